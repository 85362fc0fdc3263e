//! The settings of a server block: what its directives say to the listeners, to admin and to reload.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;

use super::exclusion::FastPathExclusion;
use super::query::Query;
use crate::corefile::{Error, Token};
use crate::files::FileSet;
use crate::wire::Class;

/// Everything of a server block that is no plugin.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The directives in use, for `coredns_plugin_enabled`.
    pub enabled: Vec<&'static str>,
    /// `bind`: the addresses to listen on; empty for all.
    pub bind: Vec<IpAddr>,
    /// `bufsize`: no UDP answer is larger.
    pub bufsize: Option<u16>,
    /// `health`.
    pub health: Option<Health>,
    /// `ready`.
    pub ready: Option<Ready>,
    /// `prometheus`: the address of `/metrics`.
    pub prometheus: Option<String>,
    /// Each admin address with the directive that asks for it.
    pub pages: Vec<(String, Token)>,
    /// `reload`.
    pub reload: Option<Reload>,
    /// `timeouts`.
    pub timeouts: Timeouts,
    /// `multisocket`: how many sockets; `None` for the server's own choice.
    pub sockets: Option<NonZeroUsize>,
    /// `shed`: queries over UDP that no answer could be waited for are dropped before the chain.
    pub shed: bool,
    /// `nsid`: the server's identifier (RFC 5001).
    pub nsid: Option<Vec<u8>>,
    /// `chaos`, `rewrite class`: the classes other than IN that are for the chain.
    pub classes: Vec<Class>,
    /// `debug`.
    pub debug: bool,
    /// `tls`: the certificate of encrypted listeners.
    pub tls: Option<Tls>,
    /// `view`: the block serves only queries for which this holds.
    pub view: Option<Arc<dyn Admits>>,
    /// Questions that take the chain though the zone could answer them.
    pub exclusions: Vec<FastPathExclusion>,
    /// Whether each of its plugins is ready, by the plugin's name.
    pub ready_checks: Vec<ReadyCheck>,
    /// Tasks that its directives do from time to time.
    pub tasks: Vec<Task>,
    /// Notes for the operator, each with its place: accepted without effect, doubtful.
    pub notes: Vec<Error>,
}

impl Settings {
    /// Whether two blocks listen on some same address.
    pub(crate) fn shares_address(&self, other: &Self) -> bool {
        match (self.bind.is_empty(), other.bind.is_empty()) {
            (true, true) => true,
            (false, false) => self.bind.iter().any(|address| other.bind.contains(address)),
            // The narrower address counts first, as the system's own sockets do it.
            _ => false,
        }
    }
}

/// Decides which queries a server block serves.
pub trait Admits: fmt::Debug + Send + Sync {
    /// The name of the block's `view`, for metrics.
    fn name(&self) -> &str;

    /// Whether the block serves a query.
    fn admits(&self, query: &Query) -> bool;
}

/// `health`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The address of `/health`.
    pub address: String,
    /// The time for which answers go on after the order to stop.
    pub lameduck: Duration,
}

/// `ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The address of `/ready`.
    pub address: String,
    /// `monitor continuously`: a plugin that was ready is asked again.
    pub continuously: bool,
}

/// `reload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// The time between looks at the files.
    pub interval: Duration,
    /// The most by which that varies.
    pub jitter: Duration,
}

/// `timeouts`: of TCP and encrypted connections; `None` for the server's defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// To read one message.
    pub read: Option<Duration>,
    /// To write one answer.
    pub write: Option<Duration>,
    /// The time between two messages.
    pub idle: Option<Duration>,
    /// The number of queries that one connection may bring.
    pub max_tcp_queries: Option<u32>,
}

/// `tls CERT KEY [CA]`: who the encrypted listeners of a block are, and what they ask of clients.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate chain and its key.
    pub identity: Arc<CertifiedKey>,
    /// The verifier of clients' certificates; `None` when none are asked for.
    pub clients: Option<Arc<dyn ClientCertVerifier>>,
    /// The place of the directive, `FILE:LINE:COLUMN`.
    pub at: String,
    /// The files that were read, to notice that they have changed.
    pub files: Arc<FileSet>,
    /// A digest of the files' contents and the options: equal for equal settings.
    pub digest: u64,
}

/// Whether a plugin is ready.
#[derive(Clone)]
pub struct ReadyCheck {
    /// The plugin.
    pub plugin: &'static str,
    /// Asks it.
    pub is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for ReadyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyCheck").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

/// Something that a directive does from time to time, as long as its block serves or until it is done.
#[derive(Clone)]
pub struct Task {
    /// The time between two runs.
    pub every: Duration,
    /// The work; it may read files and so may take its time. `Break` is the end of it.
    pub run: Arc<dyn Fn(Instant) -> ControlFlow<()> + Send + Sync>,
}

impl Task {
    /// A task that is done as long as the block serves.
    pub(crate) fn forever(every: Duration, run: impl Fn(Instant) + Send + Sync + 'static) -> Self {
        let run = move |now| {
            run(now);
            ControlFlow::Continue(())
        };
        Self { every, run: Arc::new(run) }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("every", &self.every).finish_non_exhaustive()
    }
}

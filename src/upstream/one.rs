//! One upstream: its address, its connections, and what is known of how it does.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::time::Instant;

use super::metrics::{DROPPED, OPENED, PROXY, REUSED};
use super::octets::Sent;
use super::stream::{Pool, Tls};
use super::udp::{self, Came};
use super::{Endpoint, Error, TlsConfig, Trouble, Way};

/// How connections are kept for the next query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// How long one may rest.
    pub expire: Duration,
    /// How old one may get; `None` for any age.
    pub max_age: Option<Duration>,
    /// How many may rest; 0 for as many as the upstream's pool holds.
    pub max_idle: usize,
}

/// An answer, with the id and spelling of the client's query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The message.
    pub octets: Vec<u8>,
    /// The address of the upstream that gave it.
    pub upstream: Arc<str>,
}

/// One upstream.
#[derive(Debug)]
pub struct Upstream {
    endpoint: Endpoint,
    label: Arc<str>,
    source: Option<IpAddr>,
    streams: Arc<Pool>,
    /// Health checks that failed in a row.
    pub(super) checks_failed: AtomicU32,
    pub(super) being_checked: AtomicBool,
    /// Exchanges that failed in a row, and when the last did.
    failures: AtomicU32,
    failed_at: AtomicU64,
    /// Smoothed time of an exchange in microseconds; 0 before the first.
    latency: AtomicU64,
    /// UDP answers in a row that may have lost the case of the name; [`CASE_LOST`] when it is mixed no more.
    case_faults: AtomicU32,
    born: Instant,
}

/// After so many doubtful answers in a row, none good between them, the upstream is taken to lose the case of names.
const CASE_LOST: u32 = 3;
/// How long a failed exchange makes an upstream the last choice.
const SUSPECT: Duration = Duration::from_secs(2);

impl Upstream {
    /// An upstream at an address.
    ///
    /// # Errors
    /// When it is asked over TLS and there is no configuration for that, or no valid name.
    pub fn new(
        endpoint: Endpoint,
        tls: Option<TlsConfig>,
        keep: Connections,
        source: Option<IpAddr>,
    ) -> Result<Self, String> {
        let tls = match endpoint.way {
            Way::Plain => None,
            Way::Tls => {
                let name = match &endpoint.server_name {
                    Some(name) => ServerName::try_from(name.clone())
                        .map_err(|_| format!("`{name}` is no name that a certificate can hold"))?,
                    None => ServerName::IpAddress(endpoint.address.ip().into()),
                };
                let config = tls.ok_or_else(|| format!("{} needs a TLS configuration", endpoint.address))?;
                Some(Tls { config, name })
            }
        };
        Ok(Self {
            label: endpoint.address.to_string().into(),
            streams: Arc::new(Pool::new(endpoint.address, source, tls, keep)),
            endpoint,
            source,
            checks_failed: AtomicU32::new(0),
            being_checked: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            failed_at: AtomicU64::new(0),
            latency: AtomicU64::new(0),
            case_faults: AtomicU32::new(0),
            born: Instant::now(),
        })
    }

    /// Address and port, as in logs and metrics.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Asks and waits: over UDP, or over a connection when the caller or the way wants one.
    ///
    /// # Errors
    /// When no answer came until `until`, or the network said no.
    pub(super) async fn exchange(
        &self,
        query: &[u8],
        stream: bool,
        read_timeout: Duration,
        until: Instant,
    ) -> Result<Vec<u8>, Error> {
        let begun = Instant::now();
        let result = self.send(query, stream, read_timeout, until).await;
        match &result {
            Ok(_) => {
                let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
                let known = self.latency.load(Ordering::Relaxed);
                let smoothed = if known == 0 { took } else { known - known / 8 + took / 8 };
                self.latency.store(smoothed.max(1), Ordering::Relaxed);
                self.failures.store(0, Ordering::Relaxed);
            }
            Err(error) if matches!(error.trouble, Trouble::Silence | Trouble::Network) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.failed_at.store(now, Ordering::Relaxed);
            }
            Err(_) => {}
        }
        result
    }

    async fn send(&self, query: &[u8], stream: bool, read_timeout: Duration, until: Instant) -> Result<Vec<u8>, Error> {
        let stream = stream || self.endpoint.way == Way::Tls;
        let mixed = !stream && self.case_faults.load(Ordering::Relaxed) < CASE_LOST;
        let sent = Sent::new(query, rand::random(), mixed.then(rand::random))
            .ok_or_else(|| Error::new(Trouble::Query, "the query has not one well-formed question"))?;
        if stream {
            return self.over_stream(&sent, read_timeout, until).await;
        }
        OPENED.with_label_values(&[PROXY, &self.label, "udp"]).inc();
        let limit = until.min(Instant::now() + read_timeout);
        match udp::exchange(self.endpoint.address, self.source, &sent, limit).await? {
            Came::Answer(reply) => {
                if mixed {
                    self.case_faults.store(0, Ordering::Relaxed);
                }
                Ok(reply)
            }
            Came::Doubt => {
                DROPPED.with_label_values(&[&self.label]).inc();
                if mixed && self.case_faults.fetch_add(1, Ordering::Relaxed) + 1 == CASE_LOST {
                    tracing::warn!(upstream = %self.label, "answers lose the case of names; sent as spelled from now on");
                }
                self.over_stream(&sent, read_timeout, until).await
            }
        }
    }

    async fn over_stream(&self, sent: &Sent, read_timeout: Duration, until: Instant) -> Result<Vec<u8>, Error> {
        let proto = if self.endpoint.way == Way::Tls { "tcp-tls" } else { "tcp" };
        let count = |reused| {
            let counter = if reused { &REUSED } else { &OPENED };
            counter.with_label_values(&[PROXY, &self.label, proto]).inc();
        };
        self.streams.exchange(sent, read_timeout, until, count).await
    }

    /// Whether more health checks in a row failed than may.
    pub(super) fn is_down(&self, max_fails: u32) -> bool {
        max_fails != 0 && self.checks_failed.load(Ordering::Relaxed) > max_fails
    }

    /// Whether its last exchange failed, not long ago.
    pub(super) fn is_suspect(&self) -> bool {
        self.failures.load(Ordering::Relaxed) > 0
            && self.born.elapsed() < Duration::from_millis(self.failed_at.load(Ordering::Relaxed)) + SUSPECT
    }

    /// The smoothed time of an exchange; zero before the first.
    pub(super) fn latency(&self) -> Duration {
        Duration::from_micros(self.latency.load(Ordering::Relaxed))
    }

    /// Sends a health check's query; any answer will do.
    pub(super) async fn check(&self, query: &[u8], stream: bool, limit: Duration) -> bool {
        let Some(sent) = Sent::new(query, rand::random(), None) else { return true };
        let until = Instant::now() + limit;
        if stream || self.endpoint.way == Way::Tls {
            return self.streams.exchange(&sent, limit, until, |_| {}).await.is_ok();
        }
        udp::exchange(self.endpoint.address, self.source, &sent, until).await.is_ok()
    }
}

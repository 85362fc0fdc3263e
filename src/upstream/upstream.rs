//! One upstream: its address, its connections, and what is known of how it does.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};

use super::metrics::{self, DROPPED, OPENED, PROXY, REUSED};
use super::octets::Sent;
use super::stream::{StreamPool, StreamTls};
use super::udp::{self, Came};
use super::{Connections, Error, TlsConfig, Trouble, UpstreamAddress, Way};

/// An answer, with the id and spelling of the client's query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamAnswer {
    /// The message.
    pub octets: Vec<u8>,
    /// The address of the upstream that gave it.
    pub upstream: Arc<str>,
}

/// One upstream.
#[derive(Debug)]
pub struct Upstream {
    target: UpstreamAddress,
    label: Arc<str>,
    source: Option<IpAddr>,
    streams: Arc<StreamPool>,
    /// Health checks that failed in a row.
    pub(super) checks_failed: AtomicU32,
    pub(super) being_checked: AtomicBool,
    /// Exchanges that failed in a row, and when the last did.
    failures: AtomicU32,
    failed_at: AtomicU64,
    /// Smoothed time of an exchange in microseconds; 0 before the first.
    latency: AtomicU64,
    /// UDP answers in a row that lost the case of the name.
    case_faults: AtomicU32,
    /// Until when the case is not mixed, in milliseconds since its birth.
    spelled_until: AtomicU64,
    born: Instant,
}

/// After so many answers in a row without the case of the name, none good between them, the upstream is taken to lose it.
const CASE_LOST: u32 = 3;
/// The time that this is believed: it may be another server tomorrow.
const CASE_FORGOTTEN: Duration = Duration::from_secs(600);
/// The time that a connection is preferred to asking over UDP again, where the case was lost.
const HEAD_START: Duration = Duration::from_millis(250);
/// The time that a failed exchange makes an upstream the last choice.
const SUSPECT: Duration = Duration::from_secs(2);

impl Upstream {
    /// An upstream at an address.
    ///
    /// # Errors
    /// When it is asked over TLS and there is no configuration for that, or no valid name.
    pub fn new(
        target: UpstreamAddress,
        tls: Option<TlsConfig>,
        keep: Connections,
        source: Option<IpAddr>,
    ) -> Result<Self, String> {
        let tls = match target.way {
            Way::Plain => None,
            Way::Tls => {
                let name = match &target.server_name {
                    Some(name) => ServerName::try_from(name.clone())
                        .map_err(|_| format!("`{name}` is no name that a certificate can hold"))?,
                    None => ServerName::IpAddress(target.address.ip().into()),
                };
                let config = tls.ok_or_else(|| format!("{} needs a TLS configuration", target.address))?;
                Some(StreamTls { config, name })
            }
        };
        let label: Arc<str> = target.address.to_string().into();
        metrics::begin(&label);
        Ok(Self {
            label,
            streams: Arc::new(StreamPool::new(target.address, source, tls, keep)),
            target,
            source,
            checks_failed: AtomicU32::new(0),
            being_checked: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            failed_at: AtomicU64::new(0),
            latency: AtomicU64::new(0),
            case_faults: AtomicU32::new(0),
            spelled_until: AtomicU64::new(0),
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
                self.failed_at.store(self.now(), Ordering::Relaxed);
            }
            Err(_) => {}
        }
        result
    }

    async fn send(&self, query: &[u8], stream: bool, read_timeout: Duration, until: Instant) -> Result<Vec<u8>, Error> {
        let stream = stream || self.target.way == Way::Tls;
        let mixed = !stream && self.now() >= self.spelled_until.load(Ordering::Relaxed);
        let sent = Sent::new(query, rand::random(), mixed.then(rand::random)).ok_or_else(unfit)?;
        if stream {
            return self.over_stream(&sent, read_timeout, until).await;
        }
        match self.over_udp(&sent, read_timeout, until).await? {
            Came::Answer(reply) => {
                if mixed {
                    self.case_faults.store(0, Ordering::Relaxed);
                }
                Ok(reply)
            }
            Came::CaseLost => self.without_case(query, &sent, read_timeout, until).await,
            Came::Doubt => self.over_stream(&sent, read_timeout, until).await,
        }
    }

    async fn over_udp(&self, sent: &Sent, read_timeout: Duration, until: Instant) -> Result<Came, Error> {
        OPENED.with_label_values(&[PROXY, &self.label, "udp"]).inc();
        let limit = until.min(Instant::now() + read_timeout);
        let doubted = || DROPPED.with_label_values(&[&self.label]).inc();
        udp::exchange(self.target.address, self.source, sent, limit, doubted).await
    }

    /// Asks again where an answer over UDP lost the case of the name: over a connection, which nobody can write into; soon
    /// also over UDP as the client spelled it, for there may be no connection to such a server.
    async fn without_case(
        &self,
        query: &[u8],
        sent: &Sent,
        read_timeout: Duration,
        until: Instant,
    ) -> Result<Vec<u8>, Error> {
        let mut connection = pin!(self.over_stream(sent, read_timeout, until));
        let spelled = pin!(self.as_spelled(query, read_timeout, until));
        let reply = match timeout_at(Instant::now() + HEAD_START, &mut connection).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => return spelled.await,
            Err(_) => match select(connection, spelled).await {
                Either::Left((Ok(reply), _)) => reply,
                Either::Left((Err(_), spelled)) => return spelled.await,
                Either::Right((Ok(reply), _)) => return Ok(reply),
                Either::Right((Err(_), connection)) => connection.await?,
            },
        };
        if self.case_faults.fetch_add(1, Ordering::Relaxed) + 1 >= CASE_LOST {
            self.spell();
        }
        Ok(reply)
    }

    /// Asks over UDP with the name as the client spelled it, and keeps to that for a while when it helps.
    async fn as_spelled(&self, query: &[u8], read_timeout: Duration, until: Instant) -> Result<Vec<u8>, Error> {
        let sent = Sent::new(query, rand::random(), None).ok_or_else(unfit)?;
        match self.over_udp(&sent, read_timeout, until).await? {
            Came::Answer(reply) => {
                self.spell();
                Ok(reply)
            }
            Came::CaseLost | Came::Doubt => {
                let text = format!("read udp {}: the answer is malformed or to another question", self.label);
                Err(Error::new(Trouble::Network, text))
            }
        }
    }

    /// Sends names as clients spell them, for a while.
    fn spell(&self) {
        self.case_faults.store(0, Ordering::Relaxed);
        let forgotten = u64::try_from(CASE_FORGOTTEN.as_millis()).unwrap_or(u64::MAX);
        self.spelled_until.store(self.now().saturating_add(forgotten), Ordering::Relaxed);
        tracing::warn!(upstream = %self.label, "answers lose the case of names; sent as spelled for ten minutes");
    }

    /// Milliseconds since its birth.
    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn over_stream(&self, sent: &Sent, read_timeout: Duration, until: Instant) -> Result<Vec<u8>, Error> {
        let proto = if self.target.way == Way::Tls { "tcp-tls" } else { "tcp" };
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
        if stream || self.target.way == Way::Tls {
            return self.streams.exchange(&sent, limit, until, |_| {}).await.is_ok();
        }
        udp::exchange(self.target.address, self.source, &sent, until, || {}).await.is_ok()
    }
}

fn unfit() -> Error {
    Error::new(Trouble::Query, "the query has not one well-formed question")
}

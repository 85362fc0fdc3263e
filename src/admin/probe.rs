//! Asks our own `/health` each second, as a kubelet would: how long that takes shows a machine that is starved.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::metrics::metrics;

/// The time between two probes.
const EVERY: Duration = Duration::from_secs(1);
/// The time limit of a probe; one that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(3);

metrics! {
    pub fn register;

    DURATION: Histogram =
        "coredns_health_request_duration_seconds", "Histogram of the time (in seconds) each request took.",
        [0.00025, 0.0025, 0.025, 0.25, 2.5];
    FAILURES: IntCounter =
        "coredns_health_request_failures_total", "The number of times the health check failed.";
}

/// A probe at work, until it is dropped.
#[derive(Debug)]
pub struct Probe(AbortHandle);

impl Probe {
    /// Begins to ask the `/health` of a listener.
    pub fn start(address: SocketAddr, runtime: &Handle) -> Self {
        let address = reachable(address);
        Self(runtime.spawn(run(address)).abort_handle())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(address: SocketAddr) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let begun = Instant::now();
        let answered = tokio::time::timeout(LIMIT, ask(address)).await;
        let took = begun.elapsed();
        if !matches!(answered, Ok(Ok(true))) {
            FAILURES.inc();
        } else if took > EVERY {
            tracing::warn!(target: "plugin/health", "Local health request to \"http://{address}/health\" took more than 1s: {took:?}");
        }
        DURATION.observe(took.as_secs_f64());
    }
}

async fn ask(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

/// A listener on all addresses is reached by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    // Such a listener takes both families, and IPv6 may be there without an address of its own.
    match address.ip().is_unspecified() {
        true => (Ipv4Addr::LOCALHOST, address.port()).into(),
        false => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_by_loopback() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(reachable(at("[::]:8080")), at("127.0.0.1:8080"));
        assert_eq!(reachable(at("0.0.0.0:8080")), at("127.0.0.1:8080"));
        assert_eq!(reachable(at("127.0.0.7:8080")), at("127.0.0.7:8080"));
    }
}

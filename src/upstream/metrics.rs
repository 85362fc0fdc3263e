//! What the exchanges with upstreams come to, under the names of both generations of CoreDNS.
//!
//! The older names (`coredns_forward_requests_total` and its like) are what dashboards and alerts in use still ask for.

use std::sync::LazyLock;

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

/// The first label of every newer series: who asks.
pub(super) const PROXY: &str = "forward";

/// From 0.25 ms, doubled 15 times.
fn time_buckets() -> Vec<f64> {
    (0..16).map(|power| 0.00025 * f64::from(1_u32 << power)).collect()
}

#[expect(clippy::expect_used, reason = "names and labels are constants that every test run checks")]
fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), labels).expect("a valid metric")
}

#[expect(clippy::expect_used, reason = "names and labels are constants that every test run checks")]
fn durations(name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    HistogramVec::new(HistogramOpts::new(name, help).buckets(time_buckets()), labels).expect("a valid metric")
}

macro_rules! metrics {
    ($($static:ident: $type:ty = $make:expr;)*) => {
        $(pub(super) static $static: LazyLock<$type> = LazyLock::new(|| $make);)*

        /// Registers the metrics of all upstreams.
        ///
        /// # Errors
        /// When one of them is registered already.
        pub fn register(registry: &Registry) -> prometheus::Result<()> {
            $(registry.register(Box::new($static.clone()))?;)*
            Ok(())
        }
    };
}

metrics! {
    DURATION: HistogramVec = durations(
        "coredns_proxy_request_duration_seconds", "Time that one exchange with an upstream took",
        &["proxy_name", "to", "rcode"]);
    CHECK_FAILURES: IntCounterVec = counters(
        "coredns_proxy_healthcheck_failures_total", "Health checks that failed", &["proxy_name", "to"]);
    REUSED: IntCounterVec = counters(
        "coredns_proxy_conn_cache_hits_total", "Exchanges over a connection that was there", &["proxy_name", "to", "proto"]);
    OPENED: IntCounterVec = counters(
        "coredns_proxy_conn_cache_misses_total", "Exchanges over a new connection", &["proxy_name", "to", "proto"]);
    BROKEN: IntCounter = counter(
        "coredns_forward_healthcheck_broken_total", "Queries that found every upstream down");
    OLD_REQUESTS: IntCounterVec = counters(
        "coredns_forward_requests_total", "Exchanges begun with an upstream", &["to"]);
    OLD_RESPONSES: IntCounterVec = counters(
        "coredns_forward_responses_total", "Answers of an upstream", &["to", "rcode"]);
    OLD_DURATION: HistogramVec = durations(
        "coredns_forward_request_duration_seconds", "Time that one exchange with an upstream took", &["to", "rcode"]);
    OLD_CHECK_FAILURES: IntCounterVec = counters(
        "coredns_forward_healthcheck_failures_total", "Health checks that failed", &["to"]);
    DROPPED: IntCounterVec = counters(
        "rollcall_forward_doubtful_answers_total",
        "UDP answers that were malformed, to another question or without the case of the name, and not taken",
        &["to"]);
    SHARED: IntCounter = counter(
        "rollcall_forward_shared_total", "Queries that waited for an equal query in flight");
}

/// Shows the counters of an upstream before they count: rates of what has not happened yet are wanted too.
pub(super) fn begin(label: &str) {
    for counter in [&OLD_REQUESTS, &OLD_CHECK_FAILURES, &DROPPED] {
        counter.with_label_values(&[label]);
    }
    CHECK_FAILURES.with_label_values(&[PROXY, label]);
    OLD_RESPONSES.with_label_values(&[label, "NOERROR"]);
}

#[expect(clippy::expect_used, reason = "the name is a constant that every test run checks")]
fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("a valid metric")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_metrics_can_be_registered() {
        let registry = Registry::new();
        register(&registry).unwrap();
        DURATION.with_label_values(&[PROXY, "192.0.2.1:53", "NOERROR"]).observe(0.001);
        let families = registry.gather();
        let found = families.iter().find(|one| one.name() == "coredns_proxy_request_duration_seconds").unwrap();
        let buckets = found.get_metric()[0].get_histogram().get_bucket();
        assert_eq!(buckets.len(), 16);
        assert_eq!(buckets[15].upper_bound(), 8.192);
    }
}

//! Counters of exchanges with upstreams, under the names of both generations of CoreDNS.
//!
//! The older names (`coredns_forward_requests_total` and its like) are what dashboards and alerts in use still ask for.

use crate::metrics::{doubled, metrics};

/// The first label of every newer series: who asks.
pub(super) const PROXY: &str = "forward";

metrics! {
    pub fn register;

    pub(super) DURATION: HistogramVec["proxy_name", "to", "rcode"] =
        "coredns_proxy_request_duration_seconds", "Time that one exchange with an upstream took", BOUNDS;
    pub(super) CHECK_FAILURES: IntCounterVec["proxy_name", "to"] =
        "coredns_proxy_healthcheck_failures_total", "Health checks that failed";
    pub(super) REUSED: IntCounterVec["proxy_name", "to", "proto"] =
        "coredns_proxy_conn_cache_hits_total", "Exchanges over a connection that was there";
    pub(super) OPENED: IntCounterVec["proxy_name", "to", "proto"] =
        "coredns_proxy_conn_cache_misses_total", "Exchanges over a new connection";
    pub(super) BROKEN: IntCounter =
        "coredns_forward_healthcheck_broken_total", "Queries that found every upstream down";
    pub(super) OLD_REQUESTS: IntCounterVec["to"] =
        "coredns_forward_requests_total", "Exchanges begun with an upstream";
    pub(super) OLD_RESPONSES: IntCounterVec["to", "rcode"] =
        "coredns_forward_responses_total", "Answers of an upstream";
    pub(super) OLD_DURATION: HistogramVec["to", "rcode"] =
        "coredns_forward_request_duration_seconds", "Time that one exchange with an upstream took", BOUNDS;
    pub(super) OLD_CHECK_FAILURES: IntCounterVec["to"] =
        "coredns_forward_healthcheck_failures_total", "Health checks that failed";
    pub(super) DROPPED: IntCounterVec["to"] =
        "rollcall_forward_doubtful_answers_total",
        "UDP answers that were malformed, to another question or without the case of the name, and not taken";
    pub(super) SHARED: IntCounter =
        "rollcall_forward_shared_total", "Queries that waited for an equal query in flight";
}

/// From 0.25 ms on.
const BOUNDS: [f64; 16] = doubled(0.00025);

/// Shows the counters of an upstream before they count: rates of what has not happened yet are wanted too.
pub(super) fn begin(label: &str) {
    for counter in [&OLD_REQUESTS, &OLD_CHECK_FAILURES, &DROPPED] {
        counter.with_label_values(&[label]);
    }
    CHECK_FAILURES.with_label_values(&[PROXY, label]);
    OLD_RESPONSES.with_label_values(&[label, "NOERROR"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_metrics_can_be_registered() {
        let registry = prometheus::Registry::new();
        register(&registry).unwrap();
        DURATION.with_label_values(&[PROXY, "192.0.2.1:53", "NOERROR"]).observe(0.001);
        let families = registry.gather();
        let found = families.iter().find(|one| one.name() == "coredns_proxy_request_duration_seconds").unwrap();
        let buckets = found.get_metric()[0].get_histogram().get_bucket();
        assert_eq!(buckets.len(), 16);
        assert_eq!(buckets[15].upper_bound(), 8.192);
    }
}

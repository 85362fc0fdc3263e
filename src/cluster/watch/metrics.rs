//! The metrics of the watch. The names that begin with `coredns_` are those that dashboards of CoreDNS read.

use prometheus::Registry;

use super::failure::WORDS;
use crate::cluster::facts::Kind;
use crate::cluster::snapshot;
use crate::cluster::status;
use crate::metrics::metrics;

metrics! {
    fn register_watch;

    /// Time from a request to the head of its response. The bounds are Prometheus's own, as client-go's collectors have them.
    pub(super) REQUEST_DURATION: HistogramVec["verb", "host"] =
        "coredns_kubernetes_rest_client_request_duration_seconds",
        "Request latency in seconds, by verb and host.";
    /// Time that a request waited for `apiserver_qps`.
    pub(super) LIMITER_DURATION: HistogramVec["verb", "host"] =
        "coredns_kubernetes_rest_client_rate_limiter_duration_seconds",
        "Client side rate limiter latency in seconds, by verb and host.";
    /// Requests by status code; `<error>` where none came.
    pub(super) REQUESTS: IntCounterVec["code", "method", "host"] =
        "coredns_kubernetes_rest_client_requests_total",
        "HTTP requests to the API server, by status code, method and host.";
    /// When the API server last gave a sign: an event, a bookmark, the start of a watch.
    pub(super) LAST_EVENT: GaugeVec["kind"] =
        "rollcall_watch_last_event_timestamp_seconds",
        "When the API server last said something about a kind of object, in seconds since 1970: time() minus this is \
         the age of the knowledge.";
    /// Watches that ended and were started again.
    pub(super) RESTARTS: IntCounterVec["kind", "reason"] =
        "rollcall_watch_restarts_total", "Watches started again, by kind and reason.";
    /// Complete lists after the first.
    pub(super) RELISTS: IntCounterVec["kind"] =
        "rollcall_relists_total", "Complete lists after the first one, by kind.";
    /// Lists that were not believed.
    pub(super) DOUBTFUL: IntCounterVec["kind"] =
        "rollcall_doubtful_lists_total",
        "Lists that were not believed, because they were none or would have taken nearly everything away, by kind.";
}

/// Lets the counters of a kind be there with 0, so that an alert sees the first.
pub(super) fn expect(kind: Kind) {
    let kind = plural(kind);
    for counter in [&RELISTS, &DOUBTFUL] {
        counter.with_label_values(&[kind]);
    }
    for reason in WORDS {
        RESTARTS.with_label_values(&[kind, reason]);
    }
}

/// Hands the metrics of the watch and of what it mirrors to a registry.
///
/// # Errors
/// When the registry has one of the names already.
pub fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    register_watch(registry)?;
    snapshot::register(registry)?;
    status::register(registry)
}

/// The name of a kind in metrics and logs: the plural that the API and RBAC use; slices of imports are told apart.
pub(super) fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Service => "services",
        Kind::EndpointSlice => "endpointslices",
        Kind::Namespace => "namespaces",
        Kind::Pod => "pods",
        Kind::ServiceImport => "serviceimports",
        Kind::ImportedSlice => "importedendpointslices",
    }
}

//! What the watch tells Prometheus. The names that begin with `coredns_` are those that dashboards of CoreDNS read.

use std::sync::LazyLock;

use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry};

use super::failure::WORDS;
use crate::cluster::facts::Kind;
use crate::cluster::status;

/// Time from a request to the head of its response.
pub(super) static REQUEST_DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram(
        "coredns_kubernetes_rest_client_request_duration_seconds",
        "Request latency in seconds, by verb and host.",
    )
});

/// Time that a request waited for `apiserver_qps`.
pub(super) static LIMITER_DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram(
        "coredns_kubernetes_rest_client_rate_limiter_duration_seconds",
        "Client side rate limiter latency in seconds, by verb and host.",
    )
});

/// Requests by status code; `<error>` where none came.
pub(super) static REQUESTS: LazyLock<CounterVec> = LazyLock::new(|| {
    counter(
        "coredns_kubernetes_rest_client_requests_total",
        "HTTP requests to the API server, by status code, method and host.",
        &["code", "method", "host"],
    )
});

/// When the API server last gave a sign: an event, a bookmark, the start of a watch.
pub(super) static LAST_EVENT: LazyLock<GaugeVec> = LazyLock::new(|| {
    let options = Opts::new(
        "rollcall_watch_last_event_timestamp_seconds",
        "When the API server last said something about a kind of object, in seconds since 1970: time() minus this is \
         the age of the knowledge.",
    );
    GaugeVec::new(options, &["kind"]).expect("a constant and valid description")
});

/// Watches that ended and were started again.
pub(super) static RESTARTS: LazyLock<CounterVec> = LazyLock::new(|| {
    counter("rollcall_watch_restarts_total", "Watches started again, by kind and reason.", &["kind", "reason"])
});

/// Complete lists after the first.
pub(super) static RELISTS: LazyLock<CounterVec> =
    LazyLock::new(|| counter("rollcall_relists_total", "Complete lists after the first one, by kind.", &["kind"]));

/// Lists that were not believed.
pub(super) static DOUBTFUL: LazyLock<CounterVec> = LazyLock::new(|| {
    let help =
        "Lists that were not believed, because they were none or would have taken nearly everything away, by kind.";
    counter("rollcall_doubtful_lists_total", help, &["kind"])
});

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
    registry.register(Box::new(REQUEST_DURATION.clone()))?;
    registry.register(Box::new(LIMITER_DURATION.clone()))?;
    registry.register(Box::new(REQUESTS.clone()))?;
    registry.register(Box::new(LAST_EVENT.clone()))?;
    registry.register(Box::new(RESTARTS.clone()))?;
    registry.register(Box::new(RELISTS.clone()))?;
    registry.register(Box::new(DOUBTFUL.clone()))?;
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

fn histogram(name: &str, help: &str) -> HistogramVec {
    // The default buckets of Prometheus, which client-go's collectors use as well.
    HistogramVec::new(HistogramOpts::new(name, help), &["verb", "host"]).expect("a constant and valid description")
}

fn counter(name: &str, help: &str, labels: &[&str]) -> CounterVec {
    CounterVec::new(Opts::new(name, help), labels).expect("a constant and valid description")
}

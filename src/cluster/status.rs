//! What an operator can see of the mirror: objects, bad ones, held endpoints, and how long a change took to arrive.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::bad_log::BadLog;
use super::facts::{BadObject, Kind};

/// `rollcall_bad_objects_total{kind}`
static BAD_OBJECTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let opts = Opts::new("rollcall_bad_objects_total", "Objects of the API skipped in whole or in part, by kind.");
    IntCounterVec::new(opts, &["kind"]).expect("the name and labels are well-formed")
});

/// `rollcall_endpoints_held_total`
pub(super) static ENDPOINTS_HELD: LazyLock<IntCounter> = LazyLock::new(|| {
    let help = "Endpoints answered for a moment more, because they may have been between two slices.";
    IntCounter::new("rollcall_endpoints_held_total", help).expect("the name is well-formed")
});

/// `rollcall_objects{kind}`
static OBJECTS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let opts = Opts::new("rollcall_objects", "Objects of the API that are mirrored, by kind.");
    IntGaugeVec::new(opts, &["kind"]).expect("the name and labels are well-formed")
});

/// `coredns_kubernetes_dns_programming_duration_seconds{service_kind}`
///
/// Differs from CoreDNS: a headless Service without selector is counted under the name that CoreDNS has for it and does
/// not use, as its slices are written by somebody else than those of the others.
static PROGRAMMING: LazyLock<HistogramVec> = LazyLock::new(|| {
    let name = "coredns_kubernetes_dns_programming_duration_seconds";
    let help = "In-cluster DNS programming latency: from the change of a pod or Service to the changed answer.";
    let buckets = (0..20).map(|power| 0.001 * f64::from(1u32 << power)).collect();
    HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &["service_kind"])
        .expect("the name, labels and buckets are well-formed")
});

/// The kinds of Service whose programming latency is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProgrammedKind {
    ClusterIp,
    HeadlessWithSelector,
    HeadlessWithoutSelector,
}

/// Registers the metrics of this room that are not about the watch itself.
///
/// # Errors
/// When one of the names is taken.
pub fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    // With 0 from the start, so that an alert sees the first.
    Kind::ALL.iter().for_each(|kind| drop(BAD_OBJECTS.with_label_values(&[kind.as_str()])));
    registry.register(Box::new(BAD_OBJECTS.clone()))?;
    registry.register(Box::new(ENDPOINTS_HELD.clone()))?;
    registry.register(Box::new(OBJECTS.clone()))?;
    registry.register(Box::new(PROGRAMMING.clone()))
}

/// Counts a bad object, and logs it once a minute.
pub fn report_bad(bad: &BadObject) {
    static LOG: LazyLock<Mutex<BadLog>> = LazyLock::new(Mutex::default);
    BAD_OBJECTS.with_label_values(&[bad.kind.as_str()]).inc();
    let due = LOG.lock().unwrap_or_else(PoisonError::into_inner).note(bad, Instant::now());
    let BadObject { kind, namespace, name, why } = bad;
    match due {
        None => {}
        Some(0) => tracing::warn!(%kind, %namespace, %name, %why, "bad object"),
        Some(more) => tracing::warn!(%kind, %namespace, %name, %why, not_logged = more, "bad object"),
    }
}

/// Says how many objects of a kind are mirrored.
pub(super) fn count_objects(kind: Kind, count: usize) {
    OBJECTS.with_label_values(&[kind.as_str()]).set(i64::try_from(count).unwrap_or(i64::MAX));
}

/// A slice that was triggered at this moment (milliseconds since 1970) is answered from now on.
pub(super) fn programmed(kind: ProgrammedKind, triggered: u64) {
    let kind = match kind {
        ProgrammedKind::ClusterIp => "cluster_ip",
        ProgrammedKind::HeadlessWithSelector => "headless_with_selector",
        ProgrammedKind::HeadlessWithoutSelector => "headless_without_selector",
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    // Clocks differ a little between machines: what seems to come from the future took no time.
    PROGRAMMING.with_label_values(&[kind]).observe((now - triggered as f64 / 1000.0).max(0.0));
}

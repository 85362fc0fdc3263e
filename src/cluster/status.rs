//! The metrics of the mirror: objects, bad ones, held endpoints, and how long a change took to arrive.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use prometheus::Registry;

use super::bad_log::BadLog;
use super::facts::{BadObject, Kind};
use crate::metrics::{doubled, metrics};

metrics! {
    fn register_mirror;

    BAD_OBJECTS: IntCounterVec["kind"] =
        "rollcall_bad_objects_total", "Objects of the API skipped in whole or in part, by kind.";
    pub(super) ENDPOINTS_HELD: IntCounter =
        "rollcall_endpoints_held_total",
        "Endpoints answered for a moment more, because they may have been between two slices.";
    OBJECTS: IntGaugeVec["kind"] = "rollcall_objects", "Objects of the API that are mirrored, by kind.";
    /// Differs from CoreDNS: a headless Service without selector is counted under the name that CoreDNS has for it and does
    /// not use, as its slices are written by somebody else than those of the others.
    PROGRAMMING: HistogramVec["service_kind"] =
        "coredns_kubernetes_dns_programming_duration_seconds",
        "In-cluster DNS programming latency: from the change of a pod or Service to the changed answer.",
        doubled::<20>(0.001);
}

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
    register_mirror(registry)
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

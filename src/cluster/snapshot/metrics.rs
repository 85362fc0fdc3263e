//! The metrics of snapshots.

use prometheus::Registry;

use super::format::Refusal;
use crate::metrics::metrics;

metrics! {
    fn register_snapshot;

    /// When what is answered from a snapshot was last known to be true.
    pub(super) IN_USE: GaugeVec["snapshot"] =
        "rollcall_snapshot_in_use_timestamp_seconds",
        "When the names that are answered from a snapshot were last known to be true, in seconds since 1970: time() minus \
         this is their age. 0 while none is in use, as after the first complete lists.";
    /// When a snapshot was last written.
    pub(super) WRITTEN: GaugeVec["snapshot"] =
        "rollcall_snapshot_written_timestamp_seconds", "When a snapshot was last written, in seconds since 1970.";
    pub(super) OCTETS: GaugeVec["snapshot"] = "rollcall_snapshot_octets", "The size of a snapshot when it was last written.";
    pub(super) FAILURES: IntCounter =
        "rollcall_snapshot_write_failures_total", "Snapshots that could not be written.";
    pub(super) REFUSED: IntCounterVec["reason"] =
        "rollcall_snapshot_refused_total", "Snapshots that were there at the start and not used, by reason.";
}

/// Hands the metrics of snapshots to a registry.
///
/// # Errors
/// When one of the names is taken.
pub fn register(registry: &Registry) -> prometheus::Result<()> {
    // With 0 from the start, so that an alert sees the first.
    for word in Refusal::WORDS {
        REFUSED.with_label_values(&[word]);
    }
    register_snapshot(registry)
}

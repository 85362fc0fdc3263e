//! Facts to zone: merges the slices of a Service, derives records, publishes what changed and nothing else.

use std::time::Instant;

use super::facts::{Fact, Kind, ObjectKey};
use crate::zone::Publisher;

/// The writer's state of one mirrored cluster.
#[derive(Debug)]
pub struct Index {}

/// Settings that change what is derived, not only how it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settings {
    /// `endpoint_pod_names`: the pod's name is the label of an endpoint without hostname.
    pub endpoint_pod_names: bool,
    /// `zonal`: topology zones are kept.
    pub zonal: bool,
}

impl Index {
    /// An index that publishes to this zone.
    pub fn new(publisher: Publisher, settings: Settings) -> Self {
        let _ = (publisher, settings);
        todo!()
    }

    /// An object as it is now. Nothing is published when no answer changes. `now` dates grace periods, `unix` the serial.
    pub fn apply(&mut self, fact: Fact, now: Instant, unix: u32) {
        let _ = (fact, now, unix);
        todo!()
    }

    /// An object that is gone.
    pub fn delete(&mut self, kind: Kind, key: &ObjectKey, now: Instant, unix: u32) {
        let _ = (kind, key, now, unix);
        todo!()
    }

    /// A complete list begins: what it does not name by [`end_list`](Self::end_list) is gone.
    pub fn begin_list(&mut self, kind: Kind) {
        let _ = kind;
        todo!()
    }

    /// A page of a list, published as one batch.
    pub fn apply_page(&mut self, facts: Vec<Fact>, now: Instant, unix: u32) {
        let _ = (facts, now, unix);
        todo!()
    }

    /// The complete list is in: removes what it did not name, as a difference.
    pub fn end_list(&mut self, kind: Kind, now: Instant, unix: u32) {
        let _ = (kind, now, unix);
        todo!()
    }

    /// Ends grace periods that are over; says when the next one ends.
    pub fn expire(&mut self, now: Instant, unix: u32) -> Option<Instant> {
        let _ = (now, unix);
        todo!()
    }

    /// Says that the first complete list of every watched kind is in.
    pub fn set_synced(&mut self) {
        todo!()
    }
}

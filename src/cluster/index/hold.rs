//! Grace for ready endpoints that no slice lists any more.
//!
//! The control plane may write the slice that an endpoint leaves before the slice that it moves to, and a list may bring
//! the one pages before the other. An endpoint that vanished while it was ready is therefore answered for a moment more,
//! unless nothing but its end can explain that: its Service has no other slice it could have moved to.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::service::Mirrored;
use super::slice::{Slice, Touched};
use crate::cluster::facts::Family;
use crate::cluster::status::ENDPOINTS_HELD;
use crate::wire::Label;
use crate::zone::Port;

/// How long an endpoint is kept that may be on its way to another slice.
const GRACE: Duration = Duration::from_millis(500);

/// How long one is kept at most while a list is coming in, at whose end the truth is known.
const LIST_GRACE: Duration = Duration::from_secs(30);

/// An endpoint that is kept.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) label: Label,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Arc<[Port]>,
    pub(super) zone: Option<Arc<str>>,
    pub(super) until: Instant,
    family: Family,
    /// It vanished while a list was coming in.
    deferred: bool,
    /// The slice that it vanished from is gone as a whole.
    orphan: bool,
}

impl Mirrored {
    /// Holds those ready endpoints of a slice that its next version, already in its place, lists no more.
    pub(super) fn hold_vanished(&mut self, old: &Slice, deleted: bool, listing: bool, now: Instant) {
        if !self.has_endpoints() {
            return;
        }
        let next = self.slices.iter().find(|slice| slice.name == old.name);
        if !(listing || deleted || self.has_other(old.family, &old.name)) {
            return;
        }
        let gone = super::slice::vanished(old, next);
        if gone.is_empty() {
            return;
        }
        // One pass over all slices, however many vanished at once.
        let others = || self.slices.iter().filter(|slice| slice.name != old.name);
        let wanted: HashSet<IpAddr> = gone.iter().flat_map(|entry| entry.addresses()).collect();
        let elsewhere: HashSet<IpAddr> = others()
            .flat_map(|slice| slice.endpoints.iter())
            .flat_map(|entry| entry.addresses())
            .filter(|address| wanted.contains(address))
            .collect();
        let mut holds = Vec::new();
        for entry in gone {
            let listed = others().any(|slice| slice.lists(entry.label_bytes()))
                || entry.addresses().any(|address| elsewhere.contains(&address));
            let Some(label) = entry.label().filter(|_| !listed) else { continue };
            holds.push(Hold {
                label,
                addresses: entry.addresses().collect(),
                ports: Arc::clone(&old.ports),
                zone: old.zone(&entry).cloned(),
                until: now + if listing { LIST_GRACE } else { GRACE },
                family: old.family,
                deferred: listing,
                orphan: deleted,
            });
        }
        ENDPOINTS_HELD.inc_by(holds.len() as u64);
        self.holds.retain(|old| !holds.iter().any(|hold| hold.label == old.label && hold.family == old.family));
        self.holds.append(&mut holds);
    }

    /// Ends the holds of endpoints that a slice lists, ready or not, under their label or with their address.
    pub(super) fn end_listed(&mut self, slice_name: &str, touched: &mut Touched) {
        if self.holds.is_empty() {
            return;
        }
        let Some(slice) = self.slices.iter().find(|slice| *slice.name == *slice_name) else { return };
        let addresses: HashSet<IpAddr> = slice.endpoints.iter().flat_map(|entry| entry.addresses()).collect();
        self.holds.retain(|hold| {
            let listed = slice.lists(hold.label.as_bytes()) || hold.addresses.iter().any(|own| addresses.contains(own));
            keep(hold, !listed, touched)
        });
    }

    /// Ends holds whose time is over; all of them when there is nothing to hold them for.
    pub(super) fn end_expired(&mut self, now: Instant, touched: &mut Touched) {
        let held = self.has_endpoints();
        self.holds.retain(|hold| keep(hold, held && hold.until > now, touched));
    }

    /// A list begins: what is held may be in a page of it that is still to come.
    pub(super) fn defer_holds(&mut self) {
        for hold in self.holds.iter_mut().filter(|hold| !hold.deferred) {
            hold.deferred = true;
            hold.until += LIST_GRACE;
        }
    }

    /// A list is complete: what vanished in it is gone, unless it may be between two slices even so.
    pub(super) fn end_deferred(&mut self, now: Instant, touched: &mut Touched) {
        let mut holds = std::mem::take(&mut self.holds);
        holds.retain_mut(|hold| {
            if !std::mem::take(&mut hold.deferred) {
                return true;
            }
            hold.until = now + GRACE;
            // Of slices that could take it, one is enough; the one that it vanished from is the first.
            let slices = self.slices.iter().filter(|slice| slice.family == hold.family).count();
            keep(hold, hold.orphan || slices > 1, touched)
        });
        self.holds = holds;
    }

    fn has_other(&self, family: Family, name: &str) -> bool {
        self.slices.iter().any(|slice| slice.family == family && *slice.name != *name)
    }
}

fn keep(hold: &Hold, keep: bool, touched: &mut Touched) -> bool {
    if !keep {
        touched.label(&hold.label, hold.addresses.iter().copied());
    }
    keep
}

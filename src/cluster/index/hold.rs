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
use crate::zone::{Part, Port};

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

impl Hold {
    /// Those ready endpoints of a slice that neither its next version nor one of the Service's others lists.
    pub(super) fn of_vanished(
        old: &Slice,
        next: Option<&Slice>,
        others: &[&Slice],
        deleted: bool,
        listing: bool,
        now: Instant,
    ) -> Vec<Self> {
        if !(listing || deleted || others.iter().any(|slice| slice.family == old.family)) {
            return Vec::new();
        }
        let gone = super::slice::vanished(old, next);
        if gone.is_empty() {
            return Vec::new();
        }
        // One pass over all slices, however many vanished at once.
        let wanted: HashSet<IpAddr> = gone.iter().flat_map(|entry| entry.addresses()).collect();
        let elsewhere: HashSet<IpAddr> = others
            .iter()
            .flat_map(|slice| slice.endpoints.iter())
            .flat_map(|entry| entry.addresses())
            .filter(|address| wanted.contains(address))
            .collect();
        let mut holds = Vec::new();
        for entry in gone {
            let listed = others.iter().any(|slice| slice.lists(entry.label_bytes()))
                || entry.addresses().any(|address| elsewhere.contains(&address));
            let Some(label) = entry.label().filter(|_| !listed) else { continue };
            holds.push(Self {
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
        holds
    }

    /// Whether a slice lists it, ready or not, under its label or with its address. `addresses` are those of the slice.
    pub(super) fn is_listed(&self, slice: &Slice, addresses: &HashSet<IpAddr>) -> bool {
        slice.lists(self.label.as_bytes()) || self.addresses.iter().any(|own| addresses.contains(own))
    }

    /// A list begins: what is held may be in a page of it that is still to come.
    pub(super) fn defer(&mut self) {
        if !self.deferred {
            self.deferred = true;
            self.until += LIST_GRACE;
        }
    }

    /// A list is complete: what vanished in it is gone, unless it may be between two slices even so. Returns whether it is
    /// kept.
    pub(super) fn undefer<'s>(&mut self, slices: impl Iterator<Item = &'s Slice>, now: Instant) -> bool {
        if !std::mem::take(&mut self.deferred) {
            return true;
        }
        self.until = now + GRACE;
        // Of slices that could take it, one is enough; the one that it vanished from is the first.
        self.orphan || slices.filter(|slice| slice.family == self.family).count() > 1
    }

    /// As what it is laid out.
    pub(super) fn part(&self, cluster: Option<Label>) -> Part {
        let (label, addresses) = (self.label.clone(), self.addresses.clone());
        Part { label, cluster, addresses, ports: Arc::clone(&self.ports) }
    }
}

impl Mirrored {
    /// Holds those ready endpoints of a slice that its next version, already in its place, lists no more.
    pub(super) fn hold_vanished(&mut self, old: &Slice, deleted: bool, listing: bool, now: Instant) {
        if !self.has_endpoints() {
            return;
        }
        let next = self.slices.iter().find(|slice| slice.name == old.name);
        let others: Vec<&Slice> = self.slices.iter().filter(|slice| slice.name != old.name).collect();
        let mut holds = Hold::of_vanished(old, next, &others, deleted, listing, now);
        self.holds.retain(|old| !holds.iter().any(|hold| hold.label == old.label && hold.family == old.family));
        self.holds.append(&mut holds);
    }

    /// Ends the holds of endpoints that a slice lists, ready or not, under their label or with their address.
    pub(super) fn end_listed(&mut self, slice_name: &str, touched: &mut Touched) {
        if self.holds.is_empty() {
            return;
        }
        let Some(slice) = self.slices.iter().find(|slice| *slice.name == *slice_name) else { return };
        let addresses = slice.addresses();
        self.holds.retain(|hold| keep(hold, !hold.is_listed(slice, &addresses), touched));
    }

    /// Ends holds whose time is over; all of them when there is nothing to hold them for.
    pub(super) fn end_expired(&mut self, now: Instant, touched: &mut Touched) {
        let held = self.has_endpoints();
        self.holds.retain(|hold| keep(hold, held && hold.until > now, touched));
    }

    /// A list begins.
    pub(super) fn defer_holds(&mut self) {
        self.holds.iter_mut().for_each(Hold::defer);
    }

    /// A list is complete.
    pub(super) fn end_deferred(&mut self, now: Instant, touched: &mut Touched) {
        let mut holds = std::mem::take(&mut self.holds);
        holds.retain_mut(|hold| {
            let kept = hold.undefer(self.slices.iter(), now);
            keep(hold, kept, touched)
        });
        self.holds = holds;
    }
}

fn keep(hold: &Hold, keep: bool, touched: &mut Touched) -> bool {
    if !keep {
        touched.label(&hold.label, hold.addresses.iter().copied());
    }
    keep
}

//! Grace for ready endpoints that no slice lists any more.
//!
//! The control plane may write the slice that an endpoint leaves before the slice that it moves to, and a list may bring
//! the one pages before the other. An endpoint that vanished while it was ready is therefore answered for a while more,
//! unless nothing but its end can explain that: its Service has no other slice it could have moved to.
//!
//! When a port changes, the control plane packs the endpoints of a Service anew, slice after slice, and an endpoint may be
//! in none for as long as that takes. So the grace counts from the last change of any slice of the Service, and is longer
//! once something tells that slices are being packed: one of several gets other ports, is deleted with ready endpoints in it
//! or loses many at once; one lists what another lists still; or one lists what was held. An endpoint that has truly gone is
//! in the way of none of that, and goes when its own time is over, whatever else changes.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::packed::PackedEndpoint;
use super::slice::{Slice, Touched, vanished};
use crate::cluster::facts::Family;
use crate::cluster::status::ENDPOINTS_HELD;
use crate::wire::Label;
use crate::zone::{Port, ServiceName, SliceEndpoint};

/// The time that an endpoint is kept after the last change of the Service's slices.
const GRACE: Duration = Duration::from_millis(500);

/// The same while slices are being packed: a busy control plane has been seen to take 1.5 s from one slice to the next.
const PACKING_GRACE: Duration = Duration::from_secs(2);

/// The longest time that an endpoint is kept from its own going, so that one that is truly gone is so within 5 s.
const LONGEST: Duration = Duration::from_millis(4500);

/// So many endpoints that appear in a slice are looked for in the others: of a slice that is packed anew, most are there.
const LOOKED_FOR: usize = 16;

/// A Service whose slices change: the endpoints that are held, and until when.
#[derive(Debug)]
pub(super) struct Moving {
    /// Sorted by label.
    holds: Vec<Hold>,
    /// When a slice last changed.
    changed: Instant,
    /// Slices are being packed anew.
    packing: bool,
}

/// An endpoint that is kept.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) label: Label,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Arc<[Port]>,
    pub(super) zone: Option<Arc<str>>,
    /// The cluster of an imported one.
    cluster: Option<Label>,
    family: Family,
    gone: Instant,
    /// The slice that it vanished from is gone as a whole.
    orphan: bool,
}

/// A change of one slice, seen among the slices that its endpoints could move to or from.
pub(super) struct SliceRewrite<'s> {
    pub(super) old: Option<&'s Slice>,
    pub(super) new: Option<&'s Slice>,
    /// The Service's other slices of the same family and cluster.
    pub(super) others: Vec<&'s Slice>,
    pub(super) cluster: Option<&'s Label>,
    /// The slice was deleted as such.
    pub(super) deleted: bool,
    /// A list is coming in, at whose end more is known.
    pub(super) listing: bool,
}

impl Moving {
    /// Takes note of a change: ends the holds of what is listed again, and holds what nothing lists any more.
    pub(super) fn note(moving: &mut Option<Box<Self>>, change: &SliceRewrite<'_>, now: Instant, touched: &mut Touched) {
        let found = moving.as_mut().is_some_and(|moving| moving.end_listed(change, touched));
        let may_move = change.may_move() || moving.as_ref().is_some_and(|moving| moving.packing);
        let gone = if may_move { change.gone() } else { Vec::new() };
        let packing = !change.listing && (found || change.is_packing(gone.len()));
        if gone.is_empty() && !packing && moving.is_none() {
            return;
        }
        let moving = moving.get_or_insert_with(|| Box::new(Self { holds: Vec::new(), changed: now, packing }));
        moving.changed = now;
        moving.packing |= packing;
        if gone.is_empty() {
            return;
        }
        ENDPOINTS_HELD.inc_by(gone.len() as u64);
        moving.holds.extend(gone.iter().filter_map(|entry| change.hold(entry, now)));
        // Two sorted rows, one behind the other.
        moving.holds.sort_by(|one, other| one.label.cmp(&other.label));
    }

    /// The endpoints that are held, sorted by label.
    pub(super) fn holds(&self) -> &[Hold] {
        &self.holds
    }

    /// Ends the holds whose time is over; says when the next one ends. `None` when nothing moves any more.
    pub(super) fn expire(&mut self, now: Instant, touched: &mut Touched) -> Option<Instant> {
        let quiet = self.quiet();
        self.keep(touched, |hold| quiet.min(hold.gone + LONGEST) > now);
        self.next_end().filter(|next| *next > now)
    }

    /// When the next hold ends or, where nothing is held, when the slices count as packed.
    pub(super) fn next_end(&self) -> Option<Instant> {
        let quiet = self.quiet();
        let first = self.holds.iter().map(|hold| hold.gone + LONGEST).min();
        first.map(|longest| longest.min(quiet)).or_else(|| self.packing.then_some(quiet))
    }

    fn quiet(&self) -> Instant {
        self.changed + if self.packing { PACKING_GRACE } else { GRACE }
    }

    /// Begins the grace anew: a watch goes on that was interrupted, and what it missed is on its way.
    pub(super) fn renew(&mut self, now: Instant) {
        self.changed = now;
        let not_before = now.checked_sub(LONGEST.saturating_sub(GRACE)).unwrap_or(now);
        self.holds.iter_mut().for_each(|hold| hold.gone = hold.gone.max(not_before));
    }

    /// A complete list is in: what it did not name is gone, unless it may be between two of these slices even so.
    pub(super) fn end_list<'s>(
        &mut self,
        now: Instant,
        slices: impl Iterator<Item = (&'s Slice, Option<&'s Label>)> + Clone,
        touched: &mut Touched,
    ) {
        self.renew(now);
        // Of slices that could take it, one is enough; the one that it vanished from is the first.
        let could_take = |hold: &Hold| {
            let mut own = slices.clone().filter(|(slice, its)| hold.is_of(slice.family, *its));
            own.nth(1).is_some()
        };
        self.keep(touched, |hold| hold.orphan || could_take(hold));
    }

    /// Ends all holds: there is nothing any more to hold them for.
    pub(super) fn end(&mut self, touched: &mut Touched) {
        self.keep(touched, |_| false);
    }

    /// Ends the holds of endpoints that the slice now lists; says whether there was one.
    fn end_listed(&mut self, change: &SliceRewrite<'_>, touched: &mut Touched) -> bool {
        let Some(slice) = change.new.filter(|_| !self.holds.is_empty()) else { return false };
        let addresses = slice.addresses();
        let before = self.holds.len();
        self.keep(touched, |hold| {
            !hold.is_of(slice.family, change.cluster)
                || !slice.lists(hold.label.as_bytes()) && !hold.addresses.iter().any(|own| addresses.contains(own))
        });
        self.holds.len() < before
    }

    fn keep(&mut self, touched: &mut Touched, is_kept: impl Fn(&Hold) -> bool) {
        self.holds.retain(|hold| {
            let kept = is_kept(hold);
            if !kept {
                touched.label(&hold.label, hold.addresses.iter().copied());
            }
            kept
        });
    }
}

impl Hold {
    fn is_of(&self, family: Family, cluster: Option<&Label>) -> bool {
        self.family == family && self.cluster.as_ref() == cluster
    }

    /// The family of its addresses.
    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// The cluster of an imported one.
    pub(super) fn cluster(&self) -> Option<&Label> {
        self.cluster.as_ref()
    }

    /// The endpoint as a set takes it.
    pub(super) fn slice_endpoint(&self) -> SliceEndpoint {
        let (label, cluster, addresses) = (self.label.clone(), self.cluster.clone(), self.addresses.clone());
        SliceEndpoint { label, cluster, addresses, ports: Arc::clone(&self.ports) }
    }
}

impl<'s> SliceRewrite<'s> {
    /// Whether something else than its end can explain that an endpoint is listed no more.
    fn may_move(&self) -> bool {
        self.listing || self.deleted || !self.others.is_empty() || self.has_other_ports()
    }

    fn has_other_ports(&self) -> bool {
        matches!((self.old, self.new), (Some(old), Some(new)) if old.ports != new.ports)
    }

    /// The ready endpoints that neither the slice nor any other lists any more, in whatever state.
    fn gone(&self) -> Vec<PackedEndpoint<'s>> {
        let mut gone = self.old.map(|old| vanished(old, self.new)).unwrap_or_default();
        if gone.is_empty() || self.others.is_empty() {
            return gone;
        }
        // One pass over all slices, however many vanished at once.
        let wanted: HashSet<IpAddr> = gone.iter().flat_map(|entry| entry.addresses()).collect();
        let all = self.others.iter().flat_map(|slice| slice.endpoints.iter()).flat_map(|entry| entry.addresses());
        let elsewhere: HashSet<IpAddr> = all.filter(|address| wanted.contains(address)).collect();
        gone.retain(|entry| {
            !entry.addresses().any(|address| elsewhere.contains(&address))
                && !self.others.iter().any(|slice| slice.lists(entry.label_bytes()))
        });
        gone
    }

    /// Whether the change tells that slices are being packed anew, `gone` endpoints of it being listed nowhere.
    fn is_packing(&self, gone: usize) -> bool {
        if self.others.is_empty() {
            // The only slice may take its endpoints with it in truth; with another port, it has not lost them for nothing.
            return gone > 0 && self.has_other_ports();
        }
        let is_a_part = || 4 * gone >= self.old.map_or(0, |old| old.ready().count());
        self.has_other_ports() || gone > 0 && self.deleted || gone > 1 && is_a_part() || self.lists_again()
    }

    /// Whether ready endpoints appeared in the slice that another lists as well.
    fn lists_again(&self) -> bool {
        let appeared = self.new.into_iter().flat_map(Slice::ready);
        let appeared = appeared.filter(|entry| self.old.is_none_or(|old| !old.lists(entry.label_bytes())));
        appeared.take(LOOKED_FOR).any(|entry| self.others.iter().any(|slice| slice.lists(entry.label_bytes())))
    }

    fn hold(&self, entry: &PackedEndpoint<'_>, now: Instant) -> Option<Hold> {
        let old = self.old?;
        Some(Hold {
            label: entry.label()?,
            addresses: entry.addresses().collect(),
            ports: Arc::clone(&old.ports),
            zone: old.zone(entry).cloned(),
            cluster: self.cluster.cloned(),
            family: old.family,
            gone: now,
            orphan: self.deleted,
        })
    }
}

//----------- Holds ----------------------------------------------------------

/// The Services that hold endpoints, or may come to it, as their slices are being packed anew.
#[derive(Debug, Default)]
pub(super) struct Holds(HashSet<ServiceName>);

/// A Service whose endpoints can be held: one of the cluster, or an imported one.
pub(super) trait Holder {
    /// Its endpoints that are held.
    fn moving(&self) -> Option<&Moving>;

    /// The same, to be changed.
    fn moving_mut(&mut self) -> Option<&mut Moving>;

    /// Whether nothing is left of it.
    fn is_empty(&self) -> bool;
}

impl<H: Holder> Holder for Box<H> {
    fn moving(&self) -> Option<&Moving> {
        (**self).moving()
    }

    fn moving_mut(&mut self) -> Option<&mut Moving> {
        (**self).moving_mut()
    }

    fn is_empty(&self) -> bool {
        (**self).is_empty()
    }
}

impl Holds {
    /// Whether no Service holds any.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes note of a Service whose slices changed.
    pub(super) fn note(&mut self, name: &ServiceName, service: &impl Holder) {
        if service.moving().is_some() {
            self.0.insert(name.clone());
        }
    }

    /// Begins every grace anew.
    pub(super) fn renew<H: Holder, S: BuildHasher>(&self, services: &mut HashMap<ServiceName, H, S>, now: Instant) {
        for name in &self.0 {
            let service = services.get_mut(name);
            service.and_then(Holder::moving_mut).into_iter().for_each(|moving| moving.renew(now));
        }
    }

    /// The end of the next grace period.
    pub(super) fn next_end<H: Holder, S: BuildHasher>(&self, services: &HashMap<ServiceName, H, S>) -> Option<Instant> {
        self.0.iter().filter_map(|name| services.get(name)?.moving()?.next_end()).min()
    }

    /// Lets holds of each Service end; those are told of that are touched by it, or of which nothing is left.
    pub(super) fn end<H: Holder, S: BuildHasher>(
        &mut self,
        services: &mut HashMap<ServiceName, H, S>,
        mut end: impl FnMut(&mut H, &mut Touched),
        mut tell: impl FnMut(&ServiceName, Touched),
    ) {
        self.0.retain(|name| {
            let Some(service) = services.get_mut(name) else { return false };
            let mut touched = Touched::default();
            end(service, &mut touched);
            if !touched.is_empty() || service.is_empty() {
                tell(name, touched);
            }
            service.moving().is_some()
        });
    }
}

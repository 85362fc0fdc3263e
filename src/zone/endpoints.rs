//! The ready endpoints of one Service: found by label, counted, picked at random, changed at the cost of what changed.
//!
//! Endpoints are merged by label over all slices before they come here, so that nothing is listed twice. They are
//! grouped by what they have in common, their ports and their topology zone; almost every Service has one group.
//! Beside its endpoints each group has the set of their addresses, for A and AAAA; where there are several groups,
//! the Service has the set of all as well.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::buckets::{Buckets, Edit, Keyed};
use super::{EndpointSet, Port, PortList};
use crate::wire::Label;

//----------- Endpoints ------------------------------------------------------

/// The ready endpoints of one Service, in one version.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(Option<Arc<Grouped>>);

/// The addresses of one endpoint. Almost every one has one, which then needs no heap.
pub type AddressList = SmallVec<[IpAddr; 1]>;

/// A change of one endpoint, told by its label.
#[derive(Clone, Debug)]
pub struct EndpointChange {
    /// The endpoint's label.
    pub label: Label,
    /// Its state from now on, merged over all slices; `None` when it is gone.
    pub state: Option<EndpointState>,
}

/// An endpoint as merged over all slices that list its label.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointState {
    /// Its addresses, sorted, each once.
    pub addresses: AddressList,
    /// Its ports, sorted, each once; shared between endpoints that have the same.
    pub ports: Arc<[Port]>,
    /// Its topology zone, kept only when zonal names are asked for.
    pub zone: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(super) struct Grouped {
    groups: Box<[EndpointGroup]>,
    /// The addresses of all groups; `None` when there is one group, whose addresses they are.
    union: Option<Box<AddressSets>>,
    /// The same endpoints as a set, where merging them by label says too little.
    set: Option<Arc<EndpointSet>>,
}

impl Endpoints {
    /// The next version: only the chunks that hold a changed label or address are written anew.
    ///
    /// Of several changes of one label the last counts. A state without an address counts as gone.
    #[must_use]
    pub fn apply(&self, changes: &[EndpointChange]) -> Self {
        let mut drafts: Vec<Draft<'_>> = self.groups().iter().map(Draft::of).collect();
        let mut sorted: Vec<&EndpointChange> = changes.iter().collect();
        sorted.sort_by(|a, b| a.label.cmp(&b.label));
        for (at, change) in sorted.iter().enumerate() {
            if sorted.get(at + 1).is_some_and(|next| next.label == change.label) {
                continue;
            }
            let old =
                self.groups().iter().enumerate().find_map(|(group, all)| {
                    all.endpoints.get(change.label.as_bytes()).map(|endpoint| (group, endpoint))
                });
            let new = change.state.as_ref().filter(|state| !state.addresses.is_empty()).map(|state| {
                let group = drafts.iter().position(|draft| draft.fits(state)).unwrap_or_else(|| {
                    drafts.push(Draft::new(Arc::clone(&state.ports), state.zone.clone()));
                    drafts.len() - 1
                });
                (group, Endpoint::new(change.label.clone(), &state.addresses))
            });
            if let (Some((from, old)), Some((into, new))) = (&old, &new)
                && from == into
                && *old == new
            {
                continue;
            }
            if let Some((group, old)) = old {
                drafts[group].count(old, -1);
                if new.as_ref().is_none_or(|&(into, _)| into != group) {
                    drafts[group].edits.push(Edit { item: old.clone(), keep: false });
                }
            }
            if let Some((group, new)) = new {
                drafts[group].count(&new, 1);
                drafts[group].edits.push(Edit { item: new, keep: true });
            }
        }
        self.finish(drafts)
    }

    fn finish(&self, drafts: Vec<Draft<'_>>) -> Self {
        if drafts.iter().all(|draft| draft.edits.is_empty()) {
            return self.clone();
        }
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let several = drafts.len() > 1;
        let mut groups: Vec<EndpointGroup> = Vec::with_capacity(drafts.len());
        for draft in drafts {
            if several {
                v4.extend_from_slice(&draft.v4);
                v6.extend_from_slice(&draft.v6);
            }
            groups.extend(draft.finish());
        }
        if groups.is_empty() {
            return Self(None);
        }
        let union = (groups.len() > 1).then(|| Box::new(self.addresses().cloned().unwrap_or_default().apply(v4, v6)));
        Self(Some(Arc::new(Grouped { groups: groups.into(), union, set: None })))
    }

    /// The same version with its endpoints as a set, or without. (A next version has none.)
    #[must_use]
    pub fn with_set(self, set: Option<Arc<EndpointSet>>) -> Self {
        match &self.0 {
            Some(grouped) if grouped.set != set => Self(Some(Arc::new(Grouped { set, ..Grouped::clone(grouped) }))),
            _ => self,
        }
    }

    /// The endpoints as a set, where they must be one.
    #[inline]
    pub fn set(&self) -> Option<&Arc<EndpointSet>> {
        self.0.as_ref()?.set.as_ref()
    }

    /// Whether no endpoint is ready.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The number of endpoints that are ready.
    pub fn len(&self) -> usize {
        self.groups().iter().map(|group| group.endpoints.len()).sum()
    }

    /// The present state of a label (lower case).
    pub fn get(&self, label: &[u8]) -> Option<EndpointState> {
        self.find(label).map(|(group, endpoint)| group.state(endpoint))
    }

    /// Every endpoint, in no order: for zone transfers and tests.
    pub fn iter(&self) -> impl Iterator<Item = (&Label, EndpointState)> {
        let all = |group| EndpointGroup::all(group).map(move |endpoint| (&endpoint.label, group.state(endpoint)));
        self.groups().iter().flat_map(all)
    }

    /// The addresses of every endpoint, in no order; one that several have stands several times.
    pub(super) fn every_address(&self) -> impl Iterator<Item = IpAddr> {
        self.groups().iter().flat_map(EndpointGroup::all).flat_map(Endpoint::addresses)
    }

    /// An endpoint by its label (lower case), with its group. The work grows with the number of groups.
    #[inline]
    pub(super) fn find(&self, label: &[u8]) -> Option<(&EndpointGroup, &Endpoint)> {
        self.groups().iter().find_map(|group| group.endpoints.get(label).map(|endpoint| (group, endpoint)))
    }

    pub(super) fn groups(&self) -> &[EndpointGroup] {
        self.0.as_ref().map_or(&[], |grouped| &grouped.groups)
    }

    /// The addresses of all endpoints, each once; `None` when there is no endpoint.
    pub(super) fn addresses(&self) -> Option<&AddressSets> {
        let grouped = self.0.as_ref()?;
        grouped.union.as_deref().or_else(|| grouped.groups.first().map(|group| &group.addresses))
    }
}

//----------- EndpointGroup ----------------------------------------------------

/// Endpoints that have the same ports and the same topology zone.
#[derive(Clone, Debug)]
pub(super) struct EndpointGroup {
    pub(super) ports: PortList,
    pub(super) zone: Option<Arc<str>>,
    pub(super) endpoints: Buckets<Endpoint>,
    pub(super) addresses: AddressSets,
    /// The number of pairs of an endpoint and one of its addresses.
    pub(super) pairs: u32,
}

impl EndpointGroup {
    fn all(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter()
    }

    fn state(&self, endpoint: &Endpoint) -> EndpointState {
        EndpointState {
            addresses: endpoint.addresses().collect(),
            ports: Arc::clone(self.ports.shared()),
            zone: self.zone.clone(),
        }
    }
}

/// A group on its way to the next version.
struct Draft<'g> {
    base: Option<&'g EndpointGroup>,
    ports: Arc<[Port]>,
    zone: Option<Arc<str>>,
    edits: Vec<Edit<Endpoint>>,
    v4: Vec<(Ipv4Addr, i32)>,
    v6: Vec<(Ipv6Addr, i32)>,
    pairs: i64,
}

impl<'g> Draft<'g> {
    fn new(ports: Arc<[Port]>, zone: Option<Arc<str>>) -> Self {
        Self { base: None, ports, zone, edits: Vec::new(), v4: Vec::new(), v6: Vec::new(), pairs: 0 }
    }

    fn of(group: &'g EndpointGroup) -> Self {
        let pairs = i64::from(group.pairs);
        Self { base: Some(group), pairs, ..Self::new(Arc::clone(group.ports.shared()), group.zone.clone()) }
    }

    fn fits(&self, state: &EndpointState) -> bool {
        (Arc::ptr_eq(&self.ports, &state.ports) || self.ports == state.ports) && self.zone == state.zone
    }

    fn count(&mut self, endpoint: &Endpoint, by: i32) {
        for address in endpoint.addresses() {
            self.pairs += i64::from(by);
            match address {
                IpAddr::V4(address) => self.v4.push((address, by)),
                IpAddr::V6(address) => self.v6.push((address, by)),
            }
        }
    }

    /// The group's next version; `None` when nothing is left of it.
    fn finish(self) -> Option<EndpointGroup> {
        if self.edits.is_empty() {
            return self.base.cloned();
        }
        let (endpoints, addresses, ports) = match self.base {
            Some(group) => (group.endpoints.edit(self.edits), group.addresses.clone(), group.ports.clone()),
            None => (Buckets::Empty.edit(self.edits), AddressSets::default(), PortList::new(self.ports)),
        };
        let pairs = u32::try_from(self.pairs).unwrap_or(u32::MAX);
        let addresses = addresses.apply(self.v4, self.v6);
        (endpoints.len() > 0).then_some(EndpointGroup { ports, zone: self.zone, endpoints, addresses, pairs })
    }
}

//----------- Endpoint -------------------------------------------------------

/// A label and its addresses, in 32 bytes; almost every endpoint has one IPv4 address and needs no heap of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Endpoint {
    pub(super) label: Label,
    addresses: EndpointAddresses,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum EndpointAddresses {
    V4(Ipv4Addr),
    Other(Box<[IpAddr]>),
}

impl Endpoint {
    fn new(label: Label, addresses: &[IpAddr]) -> Self {
        let addresses = match addresses {
            &[IpAddr::V4(address)] => EndpointAddresses::V4(address),
            other => EndpointAddresses::Other(other.into()),
        };
        Self { label, addresses }
    }

    /// Its addresses, each once.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let (one, others) = match &self.addresses {
            EndpointAddresses::V4(address) => (Some(IpAddr::V4(*address)), None),
            EndpointAddresses::Other(others) => (None, Some(others)),
        };
        one.into_iter().chain(others.into_iter().flat_map(|others| others.iter().copied()))
    }
}

impl Keyed for Endpoint {
    type Key = [u8];

    fn key(&self) -> &[u8] {
        self.label.as_bytes()
    }

    fn hash(label: &[u8]) -> u64 {
        FixedState::default().hash_one(label)
    }
}

//----------- AddressSets ------------------------------------------------------

/// A set of addresses, by family.
#[derive(Clone, Default, Debug)]
pub(super) struct AddressSets {
    pub(super) v4: Buckets<Counted<Ipv4Addr>>,
    pub(super) v6: Buckets<Counted<Ipv6Addr>>,
}

/// An address and how many endpoints have it: pods on the network of their node share one.
#[derive(Clone, Debug)]
pub(super) struct Counted<A> {
    pub(super) address: A,
    pub(super) count: u32,
}

impl AddressSets {
    fn apply(&self, v4: Vec<(Ipv4Addr, i32)>, v6: Vec<(Ipv6Addr, i32)>) -> Self {
        Self { v4: recount(&self.v4, v4), v6: recount(&self.v6, v6) }
    }
}

/// Adds to the counts of addresses; those that come to nothing are gone.
fn recount<A: Copy + Ord>(set: &Buckets<Counted<A>>, mut changes: Vec<(A, i32)>) -> Buckets<Counted<A>>
where
    Counted<A>: Keyed<Key = A>,
{
    changes.sort_unstable();
    let edits = changes.chunk_by(|(a, _), (b, _)| a == b).filter_map(|same| {
        let &(address, _) = same.first()?;
        let by: i64 = same.iter().map(|&(_, by)| i64::from(by)).sum();
        let old = set.get(&address).map_or(0, |counted| i64::from(counted.count));
        let count = u32::try_from((old + by).max(0)).unwrap_or(u32::MAX);
        (by != 0).then_some(Edit { item: Counted { address, count }, keep: count > 0 })
    });
    set.edit(edits.collect())
}

impl Keyed for Counted<Ipv4Addr> {
    type Key = Ipv4Addr;

    fn key(&self) -> &Ipv4Addr {
        &self.address
    }

    fn hash(address: &Ipv4Addr) -> u64 {
        FixedState::default().hash_one(u32::from(*address))
    }
}

impl Keyed for Counted<Ipv6Addr> {
    type Key = Ipv6Addr;

    fn key(&self) -> &Ipv6Addr {
        &self.address
    }

    fn hash(address: &Ipv6Addr) -> u64 {
        FixedState::default().hash_one(u128::from(*address))
    }
}

#[cfg(test)]
mod tests;

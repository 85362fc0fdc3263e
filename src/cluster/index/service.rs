//! One Service as the writer remembers it: its object, its slices, and what is published of them.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::hold::{Hold, Holder, Moving, SliceRewrite};
use super::packed::PackedEndpoint;
use super::ports::PortSets;
use super::slice::{Slice, Touched};
use crate::cluster::facts::{ServiceSpec, sort_aliases};
use crate::wire::{Label, Name};
use crate::zone::{
    AddressList, EndpointChange, EndpointSet, EndpointState, Endpoints, External, FqdnEndpoints, Port, PortList,
    Service, ServiceKind, ServiceName,
};

/// The Services that are mirrored. They are boxed: the table keeps spare room, which should not be of their size.
pub(super) type Services = HashMap<ServiceName, Box<Mirrored>, RandomState>;

/// A Service with its slices; either may come first, and reverse pointers need the slices alone.
#[derive(Debug, Default)]
pub(super) struct Mirrored {
    pub(super) object: Option<KnownService>,
    pub(super) slices: Vec<Slice>,
    /// Endpoints that are kept for a while though no slice lists them; almost no Service has any.
    moving: Option<Box<Moving>>,
    pub(super) published: Option<Arc<Service>>,
    /// Labels that cannot be merged over the slices without loss; almost no Service has any.
    #[expect(clippy::box_collection, reason = "one word for every Service, not a whole set")]
    irregular: Option<Box<HashSet<Label>>>,
}

/// The Service object.
#[derive(Debug)]
pub(super) struct KnownService {
    pub(super) version: u64,
    /// The Unix second in which this version came.
    pub(super) arrived: u32,
    /// The list or watch that last named it.
    pub(super) generation: u32,
    pub(super) selector: bool,
    pub(super) spec: Spec,
    pub(super) external: Option<Arc<External>>,
}

/// The meaning of its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spec {
    ClusterIp { addresses: Box<[IpAddr]>, ports: PortList },
    Headless,
    ExternalName(Option<Name>),
}

impl Spec {
    pub(super) fn new(spec: ServiceSpec, sets: &mut PortSets) -> Self {
        match spec {
            ServiceSpec::ClusterIp { addresses, ports } => {
                Self::ClusterIp { addresses: addresses.into(), ports: PortList::new(sets.share(ports)) }
            }
            // The ports of a headless Service are those of its slices.
            ServiceSpec::Headless { .. } => Self::Headless,
            ServiceSpec::ExternalName(name) => Self::ExternalName(name),
        }
    }

    /// The virtual addresses.
    pub(super) fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::ClusterIp { addresses, .. } => addresses,
            Self::Headless | Self::ExternalName(_) => &[],
        }
    }
}

impl Mirrored {
    /// Whether endpoints have names below this Service.
    pub(super) fn has_endpoints(&self) -> bool {
        matches!(self.object, Some(KnownService { spec: Spec::ClusterIp { .. } | Spec::Headless, .. }))
    }

    /// The labels of all ready endpoints, held ones too.
    fn labels(&self) -> Vec<Label> {
        let listed = self.slices.iter().flat_map(Slice::ready).filter_map(|entry| entry.label());
        listed.chain(self.holds().iter().map(|hold| hold.label.clone())).collect()
    }

    /// The endpoints that are held, sorted by label.
    pub(super) fn holds(&self) -> &[Hold] {
        self.moving.as_ref().map_or(&[], |moving| moving.holds())
    }

    /// The endpoints of a label that are held.
    fn held(&self, label: &Label) -> &[Hold] {
        let holds = self.holds();
        let rest = holds.get(holds.partition_point(|hold| hold.label < *label)..).unwrap_or_default();
        rest.get(..rest.partition_point(|hold| hold.label == *label)).unwrap_or_default()
    }

    /// Takes note that a slice of this name has another version, or none, in its place.
    pub(super) fn note_change(
        &mut self,
        name: &str,
        old: Option<&Slice>,
        [deleted, listing]: [bool; 2],
        now: Instant,
        touched: &mut Touched,
    ) {
        if !self.has_endpoints() {
            return;
        }
        let new = self.slices.iter().find(|slice| *slice.name == *name);
        let family = new.or(old).map(|slice| slice.family);
        let others = self.slices.iter().filter(|slice| *slice.name != *name && Some(slice.family) == family).collect();
        let change = SliceRewrite { old, new, others, cluster: None, deleted, listing };
        Moving::note(&mut self.moving, &change, now, touched);
    }

    /// Ends holds whose time is over; all of them when there is nothing to hold them for.
    pub(super) fn expire(&mut self, now: Instant, touched: &mut Touched) {
        let Some(mut moving) = self.moving.take() else { return };
        if !self.has_endpoints() {
            moving.end(touched);
        } else if moving.expire(now, touched).is_some() {
            self.moving = Some(moving);
        }
    }

    /// A complete list of slices is in.
    pub(super) fn end_list(&mut self, now: Instant, touched: &mut Touched) {
        if let Some(moving) = &mut self.moving {
            moving.end_list(now, self.slices.iter().map(|slice| (slice, None)), touched);
        }
    }

    /// Whether something is published of it.
    pub(super) fn is_answered(&self) -> bool {
        self.published.is_some()
    }

    /// The next version of the Service, given the labels that may have changed; `None` when it answers as before.
    #[expect(clippy::option_option, reason = "the outer one says whether, the inner one what is published")]
    pub(super) fn derive(
        &mut self,
        name: &ServiceName,
        labels: Vec<Label>,
        ports: &mut PortSets,
    ) -> Option<Option<Arc<Service>>> {
        let (base, mut labels) = match &self.published {
            _ if !self.has_endpoints() => (Endpoints::default(), Vec::new()),
            Some(published) if !matches!(published.kind, ServiceKind::ExternalName(_) | ServiceKind::Alias(_)) => {
                (published.endpoints.clone(), labels)
            }
            // Nothing of it is published yet.
            _ => (Endpoints::default(), self.labels()),
        };
        labels.sort_unstable();
        labels.dedup();
        let mut changes = Vec::new();
        for label in &labels {
            let (state, is_irregular) = self.state(label, ports);
            self.note_irregular(label, is_irregular);
            if state != base.get(label.as_bytes()) {
                changes.push(EndpointChange { label: label.clone(), state });
            }
        }
        let set = if self.has_endpoints() { self.endpoint_set(base.set(), &labels) } else { None };
        let same_set = match (&set, base.set()) {
            (Some(set), Some(before)) => Arc::ptr_eq(set, before),
            (set, before) => set.is_none() && before.is_none(),
        };
        let endpoints = if changes.is_empty() { base } else { base.apply(&changes) }.with_set(set);
        let Some(kind) = self.kind(endpoints.is_empty()) else {
            return self.published.take().map(|_| None);
        };
        let published = self.published.as_ref();
        if changes.is_empty() && same_set && published.is_some_and(|published| same_kind(&published.kind, &kind)) {
            return None;
        }
        let service = Arc::new(Service { name: name.clone(), kind, endpoints });
        self.published = Some(Arc::clone(&service));
        Some(Some(service))
    }

    /// The state of a label, merged over all slices; `None` when it is ready in none.
    ///
    /// And whether the label is irregular, so that merging says too little: it has other ports at one address than at
    /// another, a port without a number, or a port number that stands twice where an address does as well. (One that two
    /// slices list with other ports at the same addresses, as while it moves to another port, has all of them.)
    fn state(&self, label: &Label, sets: &mut PortSets) -> (Option<EndpointState>, bool) {
        let mut zone: Option<&Arc<str>> = None;
        let mut lists: SmallVec<[OfPorts<'_>; 1]> = SmallVec::new();
        let mut add = |ports, addresses: &mut dyn Iterator<Item = IpAddr>| match lists
            .iter_mut()
            .find(|(own, _)| *own == ports)
        {
            Some((_, all)) => all.extend(addresses),
            None => lists.push((ports, addresses.collect())),
        };
        for slice in &self.slices {
            for entry in slice.endpoints.find(label.as_bytes()).filter(PackedEndpoint::is_ready) {
                add(&slice.ports, &mut entry.addresses());
                zone = slice.zone(&entry).into_iter().chain(zone).min();
            }
        }
        for hold in self.held(label) {
            add(&hold.ports, &mut hold.addresses.iter().copied());
            zone = hold.zone.as_ref().into_iter().chain(zone).min();
        }
        let listed: usize = lists.iter().map(|(_, addresses)| addresses.len()).sum();
        lists.iter_mut().for_each(|(_, addresses)| sort(addresses));
        let mut addresses = AddressList::new();
        lists.iter().for_each(|(_, own)| addresses.extend_from_slice(own));
        sort(&mut addresses);
        let ports = || lists.iter().flat_map(|(ports, _)| ports.iter());
        let is_alike = lists.iter().all(|(_, own)| *own == addresses) && ports().all(|port| port.number != 0);
        let repeats = addresses.len() < listed;
        let ports = match lists.as_slice() {
            [(ports, _)] if is_alike => Arc::clone(ports),
            _ => sets.share(ports().filter(|port| port.number != 0).cloned().collect()),
        };
        let is_irregular = !is_alike || repeats && has_repeated_number(&ports);
        let zone = zone.cloned();
        ((!addresses.is_empty()).then_some(EndpointState { addresses, ports, zone }), is_irregular)
    }

    /// Remembers whether a label is irregular.
    fn note_irregular(&mut self, label: &Label, is_irregular: bool) {
        if is_irregular {
            self.irregular.get_or_insert_default().insert(label.clone());
        } else if let Some(irregular) = &mut self.irregular {
            irregular.remove(label);
            if irregular.is_empty() {
                self.irregular = None;
            }
        }
    }

    /// The endpoints as a set, slice by slice, when some label is irregular: anew, or as they were before with these labels,
    /// sorted, as they are now.
    fn endpoint_set(&self, before: Option<&Arc<EndpointSet>>, labels: &[Label]) -> Option<Arc<EndpointSet>> {
        self.irregular.as_ref()?;
        let Some(before) = before else {
            let listed = self.slices.iter().flat_map(Slice::slice_endpoints);
            let held = self.holds().iter().map(Hold::slice_endpoint);
            return Some(Arc::new(EndpointSet::new(&listed.chain(held).collect::<Vec<_>>())));
        };
        let mut own = Vec::new();
        for label in labels {
            let listed = self.slices.iter().flat_map(|slice| {
                let ready = slice.endpoints.find(label.as_bytes()).filter(PackedEndpoint::is_ready);
                ready.filter_map(|entry| slice.slice_endpoint(&entry))
            });
            own.extend(listed.chain(self.held(label).iter().map(Hold::slice_endpoint)));
        }
        let changed: Vec<_> = labels.iter().map(|label| (label.clone(), None)).collect();
        Some(before.apply(&changed, &own).map_or_else(|| Arc::clone(before), Arc::new))
    }

    /// Whether an address points to a label of this Service.
    pub(super) fn points(&self, address: IpAddr, label: &Label) -> bool {
        let listed = |slice: &Slice| {
            slice.endpoints.find(label.as_bytes()).any(|entry| entry.is_ready() && entry.has_address(address))
        };
        self.slices.iter().any(listed) || self.held(label).iter().any(|hold| hold.addresses.contains(&address))
    }

    /// The meaning of the bare name; `None` when it does not exist.
    ///
    /// Slices of type FQDN make a headless Service without other endpoints an alias, as they do in CoreDNS. One name
    /// can have one alias: the first in order.
    fn kind(&self, without_endpoints: bool) -> Option<ServiceKind> {
        Some(match &self.object.as_ref()?.spec {
            Spec::ClusterIp { addresses, ports } => {
                ServiceKind::ClusterIp { addresses: addresses.clone(), ports: ports.clone() }
            }
            Spec::Headless => match self.fqdn_endpoints() {
                Some(elsewhere) if without_endpoints => ServiceKind::Alias(Box::new(elsewhere)),
                _ => ServiceKind::Headless,
            },
            // CoreDNS answers NXDOMAIN where the target is an address.
            Spec::ExternalName(name) => ServiceKind::ExternalName(name.clone()?),
        })
    }

    fn fqdn_endpoints(&self) -> Option<FqdnEndpoints> {
        let slices = || self.slices.iter().filter(|slice| !slice.aliases.is_empty());
        let mut labels: Vec<(Label, Name)> = slices().flat_map(|slice| slice.aliases.iter().cloned()).collect();
        sort_aliases(&mut labels);
        let ports: Vec<Port> = slices().flat_map(|slice| slice.ports.iter().cloned()).collect();
        let target = labels.first()?.1.clone();
        Some(FqdnEndpoints { target, labels: labels.into(), ports: ports.into() })
    }
}

impl Holder for Mirrored {
    fn moving(&self) -> Option<&Moving> {
        self.moving.as_deref()
    }

    fn moving_mut(&mut self) -> Option<&mut Moving> {
        self.moving.as_deref_mut()
    }

    fn is_empty(&self) -> bool {
        self.object.is_none() && self.slices.is_empty() && self.moving.is_none()
    }
}

/// The addresses of a label that are listed with certain ports.
type OfPorts<'s> = (&'s Arc<[Port]>, AddressList);

fn has_repeated_number(ports: &[Port]) -> bool {
    let mut numbers: Vec<u16> = ports.iter().map(|port| port.number).collect();
    numbers.sort_unstable();
    numbers.windows(2).any(|two| matches!(two, [one, next] if one == next))
}

fn sort(addresses: &mut AddressList) {
    addresses.sort_unstable();
    addresses.dedup();
}

/// Whether two kinds answer alike.
fn same_kind(one: &ServiceKind, other: &ServiceKind) -> bool {
    match (one, other) {
        (
            ServiceKind::ClusterIp { addresses, ports },
            ServiceKind::ClusterIp { addresses: other_addresses, ports: other_ports },
        ) => addresses == other_addresses && ports == other_ports,
        (ServiceKind::Headless, ServiceKind::Headless) => true,
        (ServiceKind::ExternalName(name), ServiceKind::ExternalName(other)) => name == other,
        (ServiceKind::Alias(elsewhere), ServiceKind::Alias(other)) => elsewhere == other,
        _ => false,
    }
}

//! One EndpointSlice as the writer remembers it, and what differs between two versions of it.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::packed::{Loose, Packed, PackedEndpoint};
use super::settings::IndexSettings;
use crate::cluster::facts::{EndpointFact, Family, SliceFact};
use crate::wire::{Dashed, Label, Name};
use crate::zone::{Port, SliceEndpoint};

/// An EndpointSlice.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) name: Box<str>,
    pub(super) version: u64,
    /// The Unix second in which this version came.
    pub(super) arrived: u32,
    /// The list or watch that last named it.
    pub(super) generation: u32,
    pub(super) family: Family,
    pub(super) ports: Arc<[Port]>,
    pub(super) endpoints: Packed,
    /// Topology zones of its endpoints, with `zonal` only.
    pub(super) zones: Box<[Arc<str>]>,
    /// The names of the endpoints of an FQDN slice, with their labels.
    pub(super) aliases: Box<[(Label, Name)]>,
}

/// The parts of a Service that a change of a slice may change.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Labels whose merged state may be another.
    pub(super) labels: Vec<Label>,
    /// Addresses that may begin or cease to point to a label.
    pub(super) pointers: Vec<(IpAddr, Label)>,
    /// The meaning of the bare name may be another, endpoints apart.
    pub(super) kind: bool,
}

impl Touched {
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && !self.kind
    }

    pub(super) fn label(&mut self, label: &Label, addresses: impl IntoIterator<Item = IpAddr>) {
        self.pointers.extend(addresses.into_iter().map(|address| (address, label.clone())));
        self.labels.push(label.clone());
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        self.labels.append(&mut other.labels);
        self.pointers.append(&mut other.pointers);
        self.kind |= other.kind;
    }

    fn entry(&mut self, entry: PackedEndpoint<'_>) {
        if let Some(label) = entry.label().filter(|_| entry.is_ready()) {
            self.label(&label, entry.addresses());
        }
    }
}

impl Slice {
    pub(super) fn new(
        fact: SliceFact,
        ports: Arc<[Port]>,
        settings: IndexSettings,
        arrived: u32,
        generation: u32,
    ) -> Self {
        let mut zones: Vec<Arc<str>> = Vec::new();
        let mut loose = Vec::with_capacity(fact.endpoints.len());
        for endpoint in fact.endpoints {
            let zone = endpoint.zone.as_ref().filter(|_| settings.zonal).and_then(|zone| {
                let at = zones.iter().position(|known| known == zone).unwrap_or_else(|| {
                    zones.push(Arc::clone(zone));
                    zones.len() - 1
                });
                // A slice with more than 256 zones is no real one: the rest have none.
                u8::try_from(at).ok()
            });
            name_endpoint(endpoint, zone, settings, &mut loose);
        }
        Self {
            name: fact.key.name,
            version: fact.version,
            arrived,
            generation,
            family: fact.family,
            ports,
            endpoints: Packed::new(loose),
            zones: zones.into(),
            aliases: fact.aliases.into(),
        }
    }

    pub(super) fn zone(&self, entry: &PackedEndpoint<'_>) -> Option<&Arc<str>> {
        self.zones.get(usize::from(entry.zone()?))
    }

    /// The ready endpoints.
    pub(super) fn ready(&self) -> impl Iterator<Item = PackedEndpoint<'_>> {
        self.endpoints.iter().filter(PackedEndpoint::is_ready)
    }

    /// The ready endpoints, as a set takes them.
    pub(super) fn slice_endpoints(&self) -> impl Iterator<Item = SliceEndpoint> {
        self.ready().filter_map(|entry| self.slice_endpoint(&entry))
    }

    /// An endpoint of it, as a set takes it.
    pub(super) fn slice_endpoint(&self, entry: &PackedEndpoint<'_>) -> Option<SliceEndpoint> {
        let addresses = entry.addresses().collect();
        Some(SliceEndpoint { label: entry.label()?, cluster: None, addresses, ports: Arc::clone(&self.ports) })
    }

    /// Whether it lists a label, ready or not.
    pub(super) fn lists(&self, label: &[u8]) -> bool {
        self.endpoints.find(label).next().is_some()
    }

    /// The addresses that it lists, ready or not.
    pub(super) fn addresses(&self) -> HashSet<IpAddr> {
        self.endpoints.iter().flat_map(|entry| entry.addresses()).collect()
    }

    /// Whether it says the same as another, for every answer.
    fn same(&self, entry: &PackedEndpoint<'_>, other: &Self, others: &PackedEndpoint<'_>) -> bool {
        entry.same(others) && self.zone(entry) == other.zone(others)
    }
}

/// Gives an endpoint its label: hostname, pod name where asked for, or else one label for each address.
fn name_endpoint(endpoint: EndpointFact, zone: Option<u8>, settings: IndexSettings, loose: &mut Vec<Loose>) {
    let pod = endpoint.pod.filter(|_| settings.endpoint_pod_names);
    let ready = endpoint.ready;
    match endpoint.hostname.or(pod) {
        Some(label) => loose.push(Loose { label, ready, zone, addresses: endpoint.addresses }),
        None => loose.extend(endpoint.addresses.into_iter().filter_map(|address| {
            let label = Label::new(Dashed::new(address).as_bytes()).ok()?;
            Some(Loose { label, ready, zone, addresses: [address].into() })
        })),
    }
}

/// Notes what differs between two versions of a slice, in one pass over both.
pub(super) fn compare(old: Option<&Slice>, new: Option<&Slice>, touched: &mut Touched) {
    let aliases = |slice: Option<&Slice>| slice.map_or(0, |slice| slice.aliases.len());
    let told = |slice: Option<&Slice>| slice.map(|slice| (slice.aliases.clone(), Arc::clone(&slice.ports)));
    touched.kind |= aliases(old) + aliases(new) > 0 && told(old) != told(new);
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) if *old.ports == *new.ports => (old, new),
        // Other ports: everything ready is told anew.
        (old, new) => {
            old.into_iter().chain(new).flat_map(Slice::ready).for_each(|entry| touched.entry(entry));
            return;
        }
    };
    let (mut olds, mut news) = (old.endpoints.iter().peekable(), new.endpoints.iter().peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.order(other),
        };
        let gone = if order.is_le() { olds.next() } else { None };
        let come = if order.is_ge() { news.next() } else { None };
        if let (Some(gone), Some(come)) = (&gone, &come)
            && old.same(gone, new, come)
        {
            continue;
        }
        gone.into_iter().chain(come).for_each(|entry| touched.entry(entry));
    }
}

/// The ready endpoints of a slice whose label and addresses its next version lists no more, in whatever state.
pub(super) fn vanished<'o>(old: &'o Slice, new: Option<&Slice>) -> Vec<PackedEndpoint<'o>> {
    let mut gone: Vec<PackedEndpoint<'o>> =
        old.ready().filter(|entry| new.is_none_or(|new| !new.lists(entry.label_bytes()))).collect();
    if gone.is_empty() {
        return gone;
    }
    let listed = new.map(Slice::addresses).unwrap_or_default();
    gone.retain(|entry| !entry.addresses().any(|address| listed.contains(&address)));
    gone
}

//! The facts behind an index: given out piece by piece to be kept, and taken in again by another process.
//!
//! A group of facts is a Service with its slices. Given out and taken in as a whole, no Service is ever there in part.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;
use std::vec;

use foldhash::fast::RandomState;

use super::hold::Hold;
use super::service::{KnownService, Mirrored, Spec};
use super::slice::{Slice, Touched};
use super::{Index, PendingChanges};
use crate::cluster::facts::{
    EndpointFact, ExternalFact, Fact, Family, ImportedSliceFact, Kind, NamespaceFact, ObjectKey, ServiceFact,
    ServiceSpec, SliceFact,
};
use crate::wire::Label;
use crate::zone::{External, ExternalHost, Port, Reader, ServiceName};

/// An object, and the Unix second in which this version of it came.
pub type DatedFact = (Fact, u32);

/// Endpoints that no slice lists for the moment are given out as a slice of this name, which no object can have.
const HELD: &str = "(between slices)";

/// The objects of an index that are still to be given out.
#[derive(Debug, Default)]
pub struct Remaining {
    namespaces: vec::IntoIter<Label>,
    services: vec::IntoIter<ServiceName>,
    imports: vec::IntoIter<ServiceName>,
    pods: vec::IntoIter<Arc<ObjectKey>>,
}

impl Index {
    /// All that is there to be given out: names alone, which is quick.
    pub fn objects(&self) -> Remaining {
        Remaining {
            namespaces: self.namespaces.names().into_iter(),
            services: self.services.keys().cloned().collect::<Vec<_>>().into_iter(),
            imports: self.imports.names().into_iter(),
            pods: self.pods.keys().into_iter(),
        }
    }

    /// The next groups of facts, of about so many objects and endpoints; none when all are given out. What is gone by now
    /// is passed over.
    pub fn give_out(&self, remaining: &mut Remaining, most: usize) -> Vec<Vec<DatedFact>> {
        let (mut groups, mut size) = (Vec::new(), 0);
        while size < most {
            let Some(group) = self.next_group(remaining) else { break };
            size += group.iter().map(|(fact, _)| weight(fact)).sum::<usize>();
            groups.extend((!group.is_empty()).then_some(group));
        }
        groups
    }

    fn next_group(&self, remaining: &mut Remaining) -> Option<Vec<DatedFact>> {
        // First of all namespaces: what lies in them is seen through them.
        if let Some(namespace) = remaining.namespaces.next() {
            return Some(vec![(Fact::Namespace(NamespaceFact { name: text(namespace.as_bytes()) }), 0)]);
        }
        if let Some(name) = remaining.services.next() {
            return Some(self.services.get(&name).map(|mirrored| service_group(&name, mirrored)).unwrap_or_default());
        }
        if let Some(name) = remaining.imports.next() {
            return Some(self.imports.group(&name));
        }
        remaining.pods.next().map(|key| self.pods.fact(&key).map(|pod| (Fact::Pod(pod), 0)).into_iter().collect())
    }

    /// Takes in what another index has given out; see [`end_restore`](Self::end_restore). The first lists correct it as a
    /// difference.
    pub fn restore(&mut self, groups: impl IntoIterator<Item = Vec<DatedFact>>, now: Instant) {
        for (fact, arrived) in groups.into_iter().flatten() {
            self.take(fact, now, arrived);
        }
    }

    /// All is taken in: it is published as one batch, at the price of one, and answered from now on.
    ///
    /// Until the first complete list of slices those endpoints are answered, and not a part of those that the list has
    /// brought so far.
    pub fn end_restore(&mut self, unix: u32) {
        self.publish(unix);
        self.postponed.slices = true;
        self.postponed.imported = true;
        self.publisher.set_endpoints();
        self.publisher.set_imported_endpoints();
    }
}

//----------- Postponed --------------------------------------------------------

/// The lists of slices that are yet to be complete where an older truth is answered, and what waits for their end to be
/// published.
#[derive(Debug, Default)]
pub(super) struct Postponed {
    pub(super) slices: bool,
    pub(super) imported: bool,
    touched: HashMap<ServiceName, Touched, RandomState>,
}

impl Postponed {
    /// A list begins. The slices of one Service may come on several pages, which are of one version together alone. Before the
    /// first is complete there is no older truth to go on with.
    pub(super) fn begin(&mut self, kind: Kind, answered: &Reader) {
        self.slices |= kind == Kind::EndpointSlice && answered.has_endpoints();
        self.imported |= kind == Kind::ImportedSlice && answered.has_imported_endpoints();
    }

    /// Puts aside what waits: the endpoints of Services that a list of slices has changed so far. What the Service itself says
    /// does not wait, and one that is not answered has nothing older to go on with.
    pub(super) fn put_aside(&mut self, batch: &mut PendingChanges, is_answered: impl Fn(&ServiceName) -> bool) {
        if !self.slices {
            return;
        }
        batch.services.retain(|name, touched| {
            if touched.labels.is_empty() && !self.waits(name) {
                return true;
            }
            if touched.kind && !is_answered(name) {
                touched.merge(self.touched.remove(name).unwrap_or_default());
                return true;
            }
            let kind = std::mem::take(&mut touched.kind);
            self.touched.entry(name.clone()).or_default().merge(std::mem::take(touched));
            touched.kind = kind;
            kind
        });
    }

    /// Whether something of a Service waits.
    pub(super) fn waits(&self, name: &ServiceName) -> bool {
        self.touched.contains_key(name)
    }

    /// The list of a kind is complete: gives back what has waited for it.
    pub(super) fn end(&mut self, kind: Kind, batch: &mut PendingChanges) {
        match kind {
            Kind::EndpointSlice => self.slices = false,
            Kind::ImportedSlice => self.imported = false,
            Kind::Service | Kind::Namespace | Kind::Pod | Kind::ServiceImport => return,
        }
        if self.slices {
            return;
        }
        for (name, touched) in self.touched.drain() {
            batch.services.entry(name).or_default().merge(touched);
        }
    }
}

//----------- Facts of what is known -----------------------------------------

fn weight(fact: &Fact) -> usize {
    match fact {
        Fact::Slice(slice) => 1 + slice.endpoints.len(),
        Fact::ImportedSlice(imported) => 1 + imported.slice.endpoints.len(),
        Fact::Service(_) | Fact::Namespace(_) | Fact::Pod(_) | Fact::Import(_) => 1,
    }
}

fn text(octets: &[u8]) -> Box<str> {
    String::from_utf8_lossy(octets).into()
}

/// A Service and its slices.
fn service_group(name: &ServiceName, mirrored: &Mirrored) -> Vec<DatedFact> {
    let namespace = text(name.namespace());
    let object = mirrored.object.as_ref().map(|object| (Fact::Service(service_fact(name, object)), object.arrived));
    let slices = mirrored.slices.iter().map(|slice| {
        let key = ObjectKey { namespace: namespace.clone(), name: slice.name.clone() };
        (Fact::Slice(slice_fact(key, name, slice)), slice.arrived)
    });
    let held = held_slices(name, mirrored.holds()).into_iter().map(|(_, slice)| (Fact::Slice(slice), 0));
    object.into_iter().chain(slices).chain(held).collect()
}

fn service_fact(name: &ServiceName, object: &KnownService) -> ServiceFact {
    let spec = match &object.spec {
        Spec::ClusterIp { addresses, ports } => {
            ServiceSpec::ClusterIp { addresses: addresses.to_vec(), ports: ports.to_vec() }
        }
        // The ports of a headless Service are those of its slices.
        Spec::Headless => ServiceSpec::Headless { ports: Vec::new() },
        Spec::ExternalName(target) => ServiceSpec::ExternalName(target.clone()),
    };
    let external = object.external.as_deref().map(|external| Box::new(external_fact(external)));
    let key = ObjectKey { namespace: text(name.namespace()), name: text(name.service()) };
    ServiceFact { key, version: object.version, selector: object.selector, spec, external }
}

fn external_fact(external: &External) -> ExternalFact {
    let addresses = [false, true].into_iter().flat_map(|v6| external.addresses(v6));
    let addresses = addresses.map(|address| ExternalHost::Address(*address));
    let names = external.names().iter().cloned().map(ExternalHost::Name);
    ExternalFact { hosts: addresses.chain(names).collect(), ports: external.port_list().to_vec() }
}

/// A slice as it was understood: labels of its endpoints stand as hostnames, whatever they were made of.
pub(super) fn slice_fact(key: ObjectKey, service: &ServiceName, slice: &Slice) -> SliceFact {
    let endpoints = slice.endpoints.iter().map(|entry| EndpointFact {
        addresses: entry.addresses().collect(),
        hostname: if entry.is_named_by_address() { None } else { entry.label() },
        pod: None,
        ready: entry.is_ready(),
        zone: slice.zone(&entry).cloned(),
    });
    SliceFact {
        key,
        version: slice.version,
        service: text(service.service()),
        family: slice.family,
        ports: slice.ports.to_vec(),
        endpoints: endpoints.collect(),
        aliases: slice.aliases.to_vec(),
        triggered: None,
    }
}

/// What endpoints have in common that can be in one slice.
type SliceOfHolds<'h> = (Option<&'h Label>, Family, &'h [Port]);

/// Endpoints that are held, as slices of their own, each with its cluster.
pub(super) fn held_slices(service: &ServiceName, holds: &[Hold]) -> Vec<(Option<Label>, SliceFact)> {
    let mut sorted: BTreeMap<SliceOfHolds<'_>, Vec<EndpointFact>> = BTreeMap::new();
    for hold in holds {
        sorted.entry((hold.cluster(), hold.family(), &hold.ports)).or_default().push(EndpointFact {
            addresses: hold.addresses.iter().copied().collect(),
            hostname: Some(hold.label.clone()),
            pod: None,
            ready: true,
            zone: hold.zone.clone(),
        });
    }
    let numbered = (1..).zip(sorted);
    let slices = numbered.map(|(number, ((cluster, family, ports), endpoints))| {
        let slice = SliceFact {
            key: ObjectKey::new(&text(service.namespace()), &format!("{HELD} {number} of {}", text(service.service()))),
            version: 0,
            service: text(service.service()),
            family,
            ports: ports.to_vec(),
            endpoints,
            aliases: Vec::new(),
            triggered: None,
        };
        (cluster.cloned(), slice)
    });
    slices.collect()
}

/// A slice of an import, with its cluster.
pub(super) fn imported(slice: SliceFact, cluster: Option<Label>) -> Fact {
    Fact::ImportedSlice(ImportedSliceFact { slice, cluster })
}

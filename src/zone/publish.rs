//! The one place where the write path and the read path meet.
//!
//! A version of a Service is one immutable value behind one atomic pointer: whoever reads it sees its name, its ports
//! and its endpoints of the same moment. Between different Services no moment is promised.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::latch::Latch;
use super::shards::{FEW, ShardEntry, Shards};
use super::{External, Import, Pointer, Service, ServiceName};
use crate::wire::{Label, Serial};

/// Makes an empty zone that is not yet synced: its one writer and its first reader.
pub fn pair() -> (Publisher, Reader) {
    let reader = Reader(Arc::new(Maps {
        services: Shards::new(),
        imports: Shards::new(),
        pointers_v4: Shards::new(),
        pointers_v6: Shards::new(),
        namespaces: Shards::new(),
        pods: Shards::new(),
        clients: Shards::new(),
        external: Shards::new(),
        reached: Shards::new(),
        serial: AtomicU32::new(0),
        synced: Latch::new(),
        endpoints: Latch::new(),
        imported: Latch::new(),
    }));
    (Publisher { reader: reader.clone() }, reader)
}

/// The writing end. There is one for each zone.
#[derive(Debug)]
pub struct Publisher {
    reader: Reader,
}

/// The reading end: cheap to clone, never waits.
#[derive(Clone, Debug)]
pub struct Reader(Arc<Maps>);

/// The difference between two versions; the last entry for a key counts.
#[derive(Debug, Default)]
pub struct Changes {
    /// Services that are there from now on, or gone.
    pub services: Vec<(ServiceName, Option<Arc<Service>>)>,
    /// Imported Services that are there from now on, or gone.
    pub imports: Vec<(ServiceName, Option<Arc<Import>>)>,
    /// Pointers that addresses have from now on, or no longer.
    pub pointers: Vec<(IpAddr, Option<Pointer>)>,
    /// Namespaces that exist from now on (`true`), or no longer.
    pub namespaces: Vec<(Label, bool)>,
    /// Addresses of pods, by namespace, with `pods verified`: there from now on (`true`), or no longer.
    pub pods: Vec<(Label, IpAddr, bool)>,
    /// Pods that have addresses from now on, or no longer; where somebody asks for it.
    pub clients: Vec<(IpAddr, Option<Arc<PodName>>)>,
    /// Services that are reached from outside from now on, or no longer.
    pub external: Vec<(ServiceName, Option<Arc<External>>)>,
}

/// A pod by its names, as the API spells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodName {
    /// The namespace.
    pub namespace: Box<str>,
    /// The name.
    pub name: Box<str>,
}

impl Changes {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        let Self { services, imports, pointers, namespaces, pods, clients, external } = self;
        let no_services = services.is_empty() && imports.is_empty() && external.is_empty();
        no_services && pointers.is_empty() && namespaces.is_empty() && pods.is_empty() && clients.is_empty()
    }
}

#[derive(Debug)]
struct Maps {
    services: Shards<Arc<Service>>,
    imports: Shards<Arc<Import>, FEW>,
    pointers_v4: Shards<Pointed<Ipv4Addr>>,
    pointers_v6: Shards<Pointed<Ipv6Addr>>,
    namespaces: Shards<Label, FEW>,
    pods: Shards<(Label, IpAddr)>,
    clients: Shards<(IpAddr, Arc<PodName>)>,
    external: Shards<Arc<External>, FEW>,
    reached: Shards<(IpAddr, Arc<[ServiceName]>), FEW>,
    serial: AtomicU32,
    synced: Latch,
    /// The endpoints of the cluster's own Services are complete, as far as they go.
    endpoints: Latch,
    /// So are those of the imported ones.
    imported: Latch,
}

/// An address and what it points to.
#[derive(Clone)]
struct Pointed<A> {
    address: A,
    pointer: Pointer,
}

impl Publisher {
    /// Publishes a batch: each shard that changes is written once.
    ///
    /// The batch is not one moment to readers, each Service in it is.
    pub fn publish(&mut self, changes: Changes) {
        let maps = &*self.reader.0;
        // A Service is visible only in a namespace that exists, so namespaces come first.
        maps.namespaces.update(changes.namespaces, |(name, _)| name.as_bytes(), |(name, there)| there.then_some(name));
        maps.services.update(changes.services, |(name, _)| name.as_wire(), |(_, service)| service);
        maps.imports.update(changes.imports, |(name, _)| name.as_wire(), |(_, import)| import);
        maps.reached.update(
            self.reached(&changes.external),
            |(address, _)| *address,
            |(address, services)| {
                let mut services: Vec<ServiceName> = services.into_iter().collect();
                services.sort_by(|one, other| one.namespace().cmp(other.namespace()));
                (!services.is_empty()).then(|| (address, services.into()))
            },
        );
        maps.external.update(changes.external, |(name, _)| name.as_wire(), |(_, external)| external);
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (address, pointer) in changes.pointers {
            match address {
                IpAddr::V4(address) => v4.push((address, pointer)),
                IpAddr::V6(address) => v6.push((address, pointer)),
            }
        }
        maps.pointers_v4.update(v4, |&(address, _)| address, pointed);
        maps.pointers_v6.update(v6, |&(address, _)| address, pointed);
        maps.pods.update(
            changes.pods,
            |(namespace, address, _)| (namespace.as_bytes(), *address),
            |(namespace, address, there)| there.then_some((namespace, address)),
        );
        maps.clients.update(changes.clients, |(address, _)| *address, |(address, pod)| Some((address, pod?)));
    }

    /// The Services that are reached from outside at an address, for each address of which that changes.
    fn reached(&self, changes: &[(ServiceName, Option<Arc<External>>)]) -> Vec<(IpAddr, BTreeSet<ServiceName>)> {
        let last: HashMap<&ServiceName, Option<&Arc<External>>> =
            changes.iter().map(|(name, external)| (name, external.as_ref())).collect();
        let mut reached: HashMap<IpAddr, BTreeSet<ServiceName>> = HashMap::new();
        for (name, new) in last {
            let old = self.reader.external(name.as_wire());
            let mut at = |address: IpAddr, is_reached: bool| {
                let services =
                    reached.entry(address).or_insert_with(|| self.reader.reached(address).iter().cloned().collect());
                if is_reached {
                    services.insert(name.clone())
                } else {
                    services.remove(name)
                };
            };
            addresses(old.as_ref()).for_each(|address| at(address, false));
            addresses(new).for_each(|address| at(address, true));
        }
        reached.into_iter().collect()
    }

    /// Sets the serial of the SOA: the Unix second of the last change that an answer can show.
    pub fn set_serial(&mut self, serial: Serial) {
        self.reader.0.serial.store(serial.0, Ordering::Release);
    }

    /// Says that the first complete list of every kind is in. There is no way back.
    pub fn set_synced(&mut self) {
        self.set_endpoints();
        self.set_imported_endpoints();
        self.reader.0.synced.set();
    }

    /// Says that the first complete list of the cluster's slices is in: its endpoints are answered from now on.
    pub fn set_endpoints(&mut self) {
        self.reader.0.endpoints.set();
    }

    /// Says that the first complete list of imported slices is in.
    pub fn set_imported_endpoints(&mut self) {
        self.reader.0.imported.set();
    }

    /// The present state, for the writer's own look-ups.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }
}

impl Reader {
    /// Whether two readers read the same zone.
    pub fn is_of_same_zone(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether the first complete list is in. Before that, absence means nothing.
    pub fn is_synced(&self) -> bool {
        self.0.synced.is_set()
    }

    /// Whether the first complete list of slices is in. Before that, the endpoints that are here are a part of a whole that
    /// nobody knows, and no answer draws from them.
    #[inline]
    pub fn has_endpoints(&self) -> bool {
        self.0.endpoints.is_set()
    }

    /// The same of imported slices.
    pub(crate) fn has_imported_endpoints(&self) -> bool {
        self.0.imported.is_set()
    }

    /// The serial of the SOA.
    pub fn serial(&self) -> Serial {
        Serial(self.0.serial.load(Ordering::Acquire))
    }

    /// A Service by its name, in its present version.
    pub fn service(&self, name: &ServiceName) -> Option<Arc<Service>> {
        self.0.services.with(name.as_wire(), |service| service.cloned())
    }

    /// The pointer of an address.
    pub fn pointer(&self, address: IpAddr) -> Option<Pointer> {
        self.with_pointer(address, |pointer| pointer.cloned())
    }

    /// Whether a namespace exists (its label in lower case).
    pub fn has_namespace(&self, namespace: &[u8]) -> bool {
        self.0.namespaces.with(namespace, |found| found.is_some())
    }

    /// Whether a pod of a namespace has an address; known with `pods verified` only.
    pub fn has_pod(&self, namespace: &[u8], address: IpAddr) -> bool {
        self.0.pods.with((namespace, address), |found| found.is_some())
    }

    /// The pod that has an address, where that is kept; one of them when several share it.
    pub fn client(&self, address: IpAddr) -> Option<Arc<PodName>> {
        self.0.clients.with(address, |found| found.map(|(_, pod)| pod.clone()))
    }

    /// The way in which a Service is reached from outside, if it is; by both labels in wire format ([`ServiceName::as_wire`]).
    pub fn external(&self, wire: &[u8]) -> Option<Arc<External>> {
        self.0.external.with(wire, |external| external.cloned())
    }

    /// The Services that are reached from outside at an address, sorted by namespace.
    pub fn reached(&self, address: IpAddr) -> Arc<[ServiceName]> {
        self.0.reached.with(address, |found| found.map(|(_, services)| services.clone())).unwrap_or_default()
    }

    /// All Services, in no order: for zone transfers and tests.
    pub fn services(&self) -> Vec<Arc<Service>> {
        self.0.services.entries()
    }

    /// All imported Services, in no order: for zone transfers and tests.
    pub fn imports(&self) -> Vec<Arc<Import>> {
        self.0.imports.entries()
    }

    /// Shows an imported Service in its present version, like [`with_service`](Self::with_service).
    pub(super) fn with_import<R>(&self, wire: &[u8], look: impl FnOnce(Option<&Import>) -> R) -> R {
        self.0.imports.with(wire, |import| look(import.map(|import| &**import)))
    }

    /// Shows a Service in its present version, by both labels in wire format ([`ServiceName::as_wire`]).
    #[inline]
    pub(super) fn with_service<R>(&self, wire: &[u8], look: impl FnOnce(Option<&Service>) -> R) -> R {
        self.0.services.with(wire, |service| look(service.map(|service| &**service)))
    }

    /// Shows what an address points to.
    #[inline]
    pub(super) fn with_pointer<R>(&self, address: IpAddr, look: impl FnOnce(Option<&Pointer>) -> R) -> R {
        match address {
            IpAddr::V4(address) => self.0.pointers_v4.with(address, |entry| look(entry.map(|entry| &entry.pointer))),
            IpAddr::V6(address) => self.0.pointers_v6.with(address, |entry| look(entry.map(|entry| &entry.pointer))),
        }
    }
}

fn pointed<A>((address, pointer): (A, Option<Pointer>)) -> Option<Pointed<A>> {
    pointer.map(|pointer| Pointed { address, pointer })
}

fn addresses(external: Option<&Arc<External>>) -> impl Iterator<Item = IpAddr> {
    external.into_iter().flat_map(|external| [false, true].map(|v6| external.addresses(v6))).flatten().copied()
}

impl ShardEntry for Arc<Service> {
    type Key<'k> = &'k [u8];

    fn key(&self) -> &[u8] {
        self.name.as_wire()
    }

    fn has(&self, key: &[u8]) -> bool {
        self.key() == key
    }
}

impl ShardEntry for Arc<Import> {
    type Key<'k> = &'k [u8];

    fn key(&self) -> &[u8] {
        self.name.as_wire()
    }

    fn has(&self, key: &[u8]) -> bool {
        self.key() == key
    }
}

impl ShardEntry for Label {
    type Key<'k> = &'k [u8];

    fn key(&self) -> &[u8] {
        self.as_bytes()
    }

    fn has(&self, key: &[u8]) -> bool {
        self.key() == key
    }
}

impl ShardEntry for (Label, IpAddr) {
    type Key<'k> = (&'k [u8], IpAddr);

    fn key(&self) -> (&[u8], IpAddr) {
        (self.0.as_bytes(), self.1)
    }

    fn has(&self, key: (&[u8], IpAddr)) -> bool {
        self.key() == key
    }
}

/// An address with its pod, or with the Services that are reached there.
impl<T: ?Sized + 'static> ShardEntry for (IpAddr, Arc<T>) {
    type Key<'k> = IpAddr;

    fn key(&self) -> IpAddr {
        self.0
    }

    fn has(&self, key: IpAddr) -> bool {
        self.0 == key
    }
}

impl<A: Copy + Eq + std::hash::Hash + 'static> ShardEntry for Pointed<A> {
    type Key<'k> = A;

    fn key(&self) -> A {
        self.address
    }

    fn has(&self, key: A) -> bool {
        self.key() == key
    }
}

#[cfg(test)]
mod tests;

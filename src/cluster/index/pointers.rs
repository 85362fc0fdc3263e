//! Pointers of addresses: to a Service that has one as ClusterIP, or else to the endpoints that have it.
//!
//! Nothing is kept here that the zone holds already; only an address that is wanted by more than a [`Pointer`] can
//! say (a ClusterIP of two Services) is remembered whole.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use smallvec::{Array, SmallVec, smallvec};

use crate::wire::{Dashed, Label};
use crate::zone::{Pointer, Reader, ServiceName, SharedAddress};

/// The writer's side of the reverse names.
#[derive(Debug, Default)]
pub(super) struct Pointers {
    /// Addresses that changed since the last publication.
    pending: HashMap<IpAddr, Pending, RandomState>,
    /// Addresses whose published pointer does not say all.
    crowded: HashMap<IpAddr, Wanted, RandomState>,
}

/// The pointer that an address is to have, and the one that it has until then.
#[derive(Debug)]
struct Pending {
    wanted: Wanted,
    published: Option<Pointer>,
}

/// All that wants to be pointed to by one address; almost always one.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// Sorted, each once.
    services: SmallVec<[ServiceName; 1]>,
    /// Sorted, each once: real host names come before labels made from the address.
    endpoints: SmallVec<[(Label, ServiceName); 1]>,
}

impl Pointers {
    /// Whether an address is the ClusterIP of a Service.
    pub(super) fn set_service(&mut self, reader: &Reader, address: IpAddr, service: &ServiceName, there: bool) {
        let services = &mut self.wanted(reader, address).services;
        let place = services.binary_search(service);
        set(services, place, there, || service.clone());
    }

    /// Whether an address is that of a ready endpoint.
    pub(super) fn set_endpoint(
        &mut self,
        reader: &Reader,
        address: IpAddr,
        label: Label,
        service: &ServiceName,
        there: bool,
    ) {
        let endpoints = &mut self.wanted(reader, address).endpoints;
        let place = endpoints.binary_search_by(|(own, of)| order(address, (own, of), (&label, service)));
        set(endpoints, place, there, || (label, service.clone()));
    }

    /// The pointers to be published.
    pub(super) fn take(&mut self) -> Vec<(IpAddr, Option<Pointer>)> {
        let mut changes = Vec::with_capacity(self.pending.len());
        for (address, Pending { wanted, published }) in self.pending.drain() {
            if wanted.is_crowded() {
                self.crowded.insert(address, wanted.clone());
            } else {
                self.crowded.remove(&address);
            }
            let pointer = wanted.into_pointer();
            if pointer != published {
                changes.push((address, pointer));
            }
        }
        changes
    }

    #[cfg(test)]
    pub(super) fn is_plain(&self) -> bool {
        self.crowded.is_empty()
    }

    fn wanted(&mut self, reader: &Reader, address: IpAddr) -> &mut Wanted {
        let crowded = &self.crowded;
        let pending = self.pending.entry(address).or_insert_with(|| {
            let published = reader.pointer(address);
            let known = crowded.get(&address).cloned();
            Pending { wanted: known.unwrap_or_else(|| Wanted::of(published.as_ref())), published }
        });
        &mut pending.wanted
    }
}

impl Wanted {
    /// Reads a published pointer: its endpoints have the order that they had here.
    fn of(pointer: Option<&Pointer>) -> Self {
        let (services, endpoints) = match pointer {
            None => (smallvec![], smallvec![]),
            Some(Pointer::Service(service)) => (smallvec![service.clone()], smallvec![]),
            Some(Pointer::Endpoint(label, service)) => (smallvec![], smallvec![(label.clone(), service.clone())]),
            Some(Pointer::Endpoints(all)) => (smallvec![], all.iter().cloned().collect()),
            Some(Pointer::Shared(shared)) => {
                (smallvec![shared.service.clone()], shared.endpoints.iter().cloned().collect())
            }
        };
        Self { services, endpoints }
    }

    fn into_pointer(self) -> Option<Pointer> {
        let Self { services, mut endpoints } = self;
        if let Some(service) = services.into_iter().next() {
            return Some(match endpoints.len() {
                0 => Pointer::Service(service),
                _ => Pointer::Shared(Box::new(SharedAddress { service, endpoints: endpoints.into_boxed_slice() })),
            });
        }
        match endpoints.len() {
            0 | 1 => endpoints.pop().map(|(label, service)| Pointer::Endpoint(label, service)),
            _ => Some(Pointer::Endpoints(endpoints.into_boxed_slice())),
        }
    }

    fn is_crowded(&self) -> bool {
        self.services.len() > 1
    }
}

fn order(address: IpAddr, one: (&Label, &ServiceName), other: (&Label, &ServiceName)) -> Ordering {
    made(address, one.0).cmp(&made(address, other.0)).then_with(|| one.cmp(&other))
}

/// Puts an item in its place among sorted ones, or takes it away.
fn set<T, A: Array<Item = T>>(
    sorted: &mut SmallVec<A>,
    place: Result<usize, usize>,
    there: bool,
    item: impl FnOnce() -> T,
) {
    match place {
        Err(at) if there => sorted.insert(at, item()),
        Ok(at) if !there => drop(sorted.remove(at)),
        _ => {}
    }
}

/// Whether a label is made from the address, and no real host name.
fn made(address: IpAddr, label: &Label) -> bool {
    Dashed::new(address).as_bytes() == label.as_bytes()
}

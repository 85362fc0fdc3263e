//! What addresses point to: a Service that has it as ClusterIP, or else the endpoints that have it.
//!
//! Nothing is kept here that the zone holds already; only an address that is wanted by more than a [`Pointer`] can
//! say (a ClusterIP of two Services) is remembered whole.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::packed::Dashed;
use crate::wire::Label;
use crate::zone::{Pointer, Reader, ServiceName, Shared};

/// The writer's side of the reverse names.
#[derive(Debug, Default)]
pub(super) struct Pointers {
    /// Addresses that changed since the last publication.
    pending: HashMap<IpAddr, Wanted>,
    /// Addresses whose published pointer does not say all.
    crowded: HashMap<IpAddr, Wanted>,
}

/// All that wants to be pointed to by one address.
#[derive(Clone, Debug, Default)]
struct Wanted {
    services: BTreeSet<ServiceName>,
    /// Real host names come before labels made from the address.
    endpoints: BTreeSet<(bool, Label, ServiceName)>,
}

impl Pointers {
    /// Whether an address is the ClusterIP of a Service.
    pub(super) fn set_service(&mut self, reader: &Reader, address: IpAddr, service: &ServiceName, there: bool) {
        let wanted = self.wanted(reader, address);
        if there {
            wanted.services.insert(service.clone());
        } else {
            wanted.services.remove(service);
        }
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
        let endpoint = (made(address, &label), label, service.clone());
        let wanted = self.wanted(reader, address);
        if there {
            wanted.endpoints.insert(endpoint);
        } else {
            wanted.endpoints.remove(&endpoint);
        }
    }

    /// What is to be published.
    pub(super) fn take(&mut self, reader: &Reader) -> Vec<(IpAddr, Option<Pointer>)> {
        let mut changes = Vec::new();
        for (address, wanted) in self.pending.drain() {
            let pointer = wanted.pointer();
            if pointer != reader.pointer(address) {
                changes.push((address, pointer));
            }
            if wanted.is_crowded() {
                self.crowded.insert(address, wanted);
            } else {
                self.crowded.remove(&address);
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
        self.pending.entry(address).or_insert_with(|| match crowded.get(&address) {
            Some(wanted) => wanted.clone(),
            None => Wanted::of(address, reader.pointer(address)),
        })
    }
}

impl Wanted {
    fn of(address: IpAddr, pointer: Option<Pointer>) -> Self {
        let mut wanted = Self::default();
        let mut endpoint = |label: Label, service| {
            wanted.endpoints.insert((made(address, &label), label, service));
        };
        match pointer {
            None => {}
            Some(Pointer::Service(service)) => {
                wanted.services.insert(service);
            }
            Some(Pointer::Endpoint(label, service)) => endpoint(label, service),
            Some(Pointer::Endpoints(all)) => all.into_iter().for_each(|(label, service)| endpoint(label, service)),
            Some(Pointer::Shared(shared)) => {
                shared.endpoints.into_iter().for_each(|(label, service)| endpoint(label, service));
                wanted.services.insert(shared.service);
            }
        }
        wanted
    }

    fn pointer(&self) -> Option<Pointer> {
        let mut endpoints = self.endpoints.iter().map(|(_, label, service)| (label.clone(), service.clone()));
        if let Some(service) = self.services.first().cloned() {
            return Some(match self.endpoints.len() {
                0 => Pointer::Service(service),
                _ => Pointer::Shared(Box::new(Shared { service, endpoints: endpoints.collect() })),
            });
        }
        Some(match self.endpoints.len() {
            0 => return None,
            1 => endpoints.next().map(|(label, service)| Pointer::Endpoint(label, service))?,
            _ => Pointer::Endpoints(endpoints.collect()),
        })
    }

    fn is_crowded(&self) -> bool {
        self.services.len() > 1
    }
}

/// Whether a label is made from the address, and no real host name.
fn made(address: IpAddr, label: &Label) -> bool {
    Dashed::new(address).as_bytes() == label.as_bytes()
}

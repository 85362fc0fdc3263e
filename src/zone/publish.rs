//! The one place where the write path and the read path meet.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Pointer, Service, ServiceName};
use crate::wire::Label;

/// Makes an empty zone that is not yet synced: its one writer and its first reader.
pub fn pair() -> (Publisher, Reader) {
    todo!()
}

/// The writing end. There is one for each zone.
#[derive(Debug)]
pub struct Publisher {}

/// The reading end: cheap to clone, never waits.
#[derive(Clone, Debug)]
pub struct Reader {}

/// What changes between two versions; the last entry for a key counts.
#[derive(Debug, Default)]
pub struct Changes {
    /// Services that are there from now on, or gone.
    pub services: Vec<(ServiceName, Option<Arc<Service>>)>,
    /// What addresses point to from now on, or no longer.
    pub pointers: Vec<(IpAddr, Option<Pointer>)>,
    /// Namespaces that exist from now on (`true`), or no longer.
    pub namespaces: Vec<(Label, bool)>,
    /// Addresses of pods, by namespace, with `pods verified`: there from now on (`true`), or no longer.
    pub pods: Vec<(Label, IpAddr, bool)>,
}

impl Publisher {
    /// Publishes a batch: each shard that changes is written once.
    pub fn publish(&mut self, changes: Changes) {
        let _ = changes;
        todo!()
    }

    /// Sets the serial of the SOA: the Unix second of the last change that an answer can show.
    pub fn set_serial(&mut self, serial: u32) {
        let _ = serial;
        todo!()
    }

    /// Says that the first complete list is in. There is no way back.
    pub fn set_synced(&mut self) {
        todo!()
    }

    /// The present state, for the writer's own look-ups.
    pub fn reader(&self) -> Reader {
        todo!()
    }
}

impl Reader {
    /// Whether the first complete list is in. Before that, absence means nothing.
    pub fn is_synced(&self) -> bool {
        todo!()
    }

    /// The serial of the SOA.
    pub fn serial(&self) -> u32 {
        todo!()
    }

    /// A Service by its name, in its present version.
    pub fn service(&self, name: &ServiceName) -> Option<Arc<Service>> {
        let _ = name;
        todo!()
    }

    /// What an address points to.
    pub fn pointer(&self, address: IpAddr) -> Option<Pointer> {
        let _ = address;
        todo!()
    }

    /// Whether a namespace exists.
    pub fn has_namespace(&self, namespace: &[u8]) -> bool {
        let _ = namespace;
        todo!()
    }

    /// All Services, in no order: for zone transfers and tests.
    pub fn services(&self) -> Vec<Arc<Service>> {
        todo!()
    }
}

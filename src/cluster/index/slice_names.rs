//! Finds a slice by its name.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::service::Services;
use crate::cluster::facts::ObjectKey;
use crate::zone::ServiceName;

/// The Service that the slice of a name belongs to, with the hash of the name; the names are in the slices.
#[derive(Debug, Default)]
pub(super) struct SliceNames {
    table: HashTable<(u64, ServiceName)>,
    hasher: RandomState,
}

impl SliceNames {
    pub(super) fn find(&self, services: &Services, key: &ObjectKey) -> Option<ServiceName> {
        let hash = self.hash(key);
        self.table.find(hash, |entry| is_slice(services, entry, hash, key)).map(|(_, service)| service.clone())
    }

    pub(super) fn remember(&mut self, key: &ObjectKey, service: &ServiceName) {
        let hash = self.hash(key);
        self.table.insert_unique(hash, (hash, service.clone()), |&(hash, _)| hash);
    }

    /// Must come before the slice itself is removed.
    pub(super) fn forget(&mut self, services: &Services, key: &ObjectKey) -> Option<ServiceName> {
        let hash = self.hash(key);
        let found = self.table.find_entry(hash, |entry| is_slice(services, entry, hash, key)).ok()?;
        Some(found.remove().0.1)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn hash(&self, key: &ObjectKey) -> u64 {
        self.hasher.hash_one((key.namespace.to_ascii_lowercase(), &key.name))
    }
}

fn is_slice(services: &Services, (known, service): &(u64, ServiceName), hash: u64, key: &ObjectKey) -> bool {
    *known == hash
        && service.namespace().eq_ignore_ascii_case(key.namespace.as_bytes())
        && services.get(service).is_some_and(|mirrored| mirrored.slices.iter().any(|slice| slice.name == key.name))
}

//! Complete lists of one kind, which come in page by page.

use crate::cluster::facts::Kind;

/// The state of one kind's lists.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ListState {
    pub(super) generation: u32,
    pub(super) under_way: bool,
    pub(super) objects: usize,
}

/// The state of every kind's lists.
#[derive(Debug, Default)]
pub(super) struct Lists([ListState; Kind::ALL.len()]);

impl Lists {
    /// The state of one kind's lists.
    pub(super) fn of(&self, kind: Kind) -> ListState {
        let [services, slices, namespaces, pods, imports, imported] = self.0;
        match kind {
            Kind::Service => services,
            Kind::EndpointSlice => slices,
            Kind::Namespace => namespaces,
            Kind::Pod => pods,
            Kind::ServiceImport => imports,
            Kind::ImportedSlice => imported,
        }
    }

    /// The state of one kind's lists, to be changed.
    pub(super) fn of_mut(&mut self, kind: Kind) -> &mut ListState {
        let [services, slices, namespaces, pods, imports, imported] = &mut self.0;
        match kind {
            Kind::Service => services,
            Kind::EndpointSlice => slices,
            Kind::Namespace => namespaces,
            Kind::Pod => pods,
            Kind::ServiceImport => imports,
            Kind::ImportedSlice => imported,
        }
    }
}

/// Versions of one object grow, as long as the cluster is not set back; a list tells when it is.
pub(super) fn is_stale(version: u64, known: u64, listing: bool) -> bool {
    !listing && version != 0 && version < known
}

//! Complete lists of one kind, which come in page by page.

/// The state of one kind's lists.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct List {
    pub(super) generation: u32,
    pub(super) under_way: bool,
    pub(super) objects: usize,
}

/// Versions of one object grow, as long as the cluster is not set back; a list tells when it is.
pub(super) fn is_stale(version: u64, known: u64, listing: bool) -> bool {
    !listing && version != 0 && version < known
}

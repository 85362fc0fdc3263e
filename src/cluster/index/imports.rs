//! ServiceImports and their slices: what the zones of `multicluster` show.
//!
//! Such Services are few, so each change makes the set of its Service anew; nothing is published when no answer changes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::export::{self, DatedFact, held_slices, slice_fact};
use super::hold::{Hold, Holder, Holds, Moving, SliceRewrite};
use super::list::is_stale;
use super::slice::{Slice, Touched};
use crate::cluster::facts::{Fact, ObjectKey, ServiceFact, ServiceSpec};
use crate::wire::Label;
use crate::zone::{Changes, EndpointSet, Import, ImportKind, ServiceName, SliceEndpoint};

/// The imported Services that are known.
#[derive(Debug, Default)]
pub(super) struct Imports {
    known: HashMap<ServiceName, Imported>,
    /// The Service of each slice.
    slices: HashMap<ObjectKey, ServiceName>,
    touched: HashSet<ServiceName>,
    holds: Holds,
}

/// A ServiceImport with its slices; either may come first.
#[derive(Debug, Default)]
struct Imported {
    object: Option<KnownImport>,
    slices: BTreeMap<ObjectKey, (Slice, Option<Label>)>,
    /// Endpoints that are kept for a while though no slice lists them.
    moving: Option<Box<Moving>>,
    published: Option<Arc<Import>>,
}

/// The ServiceImport object.
#[derive(Debug)]
struct KnownImport {
    version: u64,
    generation: u32,
    kind: ImportKind,
}

impl Imports {
    /// A ServiceImport as it is now.
    pub(super) fn apply(&mut self, name: ServiceName, fact: ServiceFact, generation: u32, listing: bool) {
        let imported = self.known.entry(name.clone()).or_default();
        if imported.object.as_ref().is_some_and(|known| is_stale(fact.version, known.version, listing)) {
            return;
        }
        let kind = match fact.spec {
            ServiceSpec::ClusterIp { addresses, ports } => {
                ImportKind::ClusterSetIp { addresses: addresses.into(), ports: ports.into() }
            }
            ServiceSpec::Headless { .. } | ServiceSpec::ExternalName(_) => ImportKind::Headless,
        };
        imported.object = Some(KnownImport { version: fact.version, generation, kind });
        self.touched.insert(name);
    }

    /// A slice as it is now; its list or watch is in it.
    pub(super) fn apply_slice(
        &mut self,
        name: ServiceName,
        key: ObjectKey,
        slice: Slice,
        cluster: Option<Label>,
        listing: bool,
        now: Instant,
    ) {
        let before = self.slices.get(&key).and_then(|before| self.known.get(before)?.slices.get(&key));
        if before.is_some_and(|(known, _)| is_stale(slice.version, known.version, listing)) {
            return;
        }
        if let Some(before) = self.slices.insert(key.clone(), name.clone()).filter(|before| *before != name) {
            // Handed to another Service: that is no deletion.
            self.remove_slice(&before, &key, false, listing, now);
        }
        let imported = self.known.entry(name.clone()).or_default();
        let old = imported.slices.insert(key.clone(), (slice, cluster));
        imported.note_change(&key, old.as_ref(), [false, listing], now);
        self.touch(name);
    }

    pub(super) fn delete(&mut self, name: &ServiceName) {
        if let Some(imported) = self.known.get_mut(name) {
            imported.object = None;
            imported.moving = None;
            self.touched.insert(name.clone());
        }
    }

    pub(super) fn delete_slice(&mut self, key: &ObjectKey, listing: bool, now: Instant) {
        if let Some(name) = self.slices.remove(key) {
            self.remove_slice(&name, key, true, listing, now);
        }
    }

    fn remove_slice(&mut self, name: &ServiceName, key: &ObjectKey, deleted: bool, listing: bool, now: Instant) {
        if let Some(imported) = self.known.get_mut(name) {
            let old = imported.slices.remove(key);
            imported.note_change(key, old.as_ref(), [deleted, listing], now);
            self.touch(name.clone());
        }
    }

    fn touch(&mut self, name: ServiceName) {
        if let Some(imported) = self.known.get(&name) {
            self.holds.note(&name, imported);
        }
        self.touched.insert(name);
    }

    /// A watch of slices goes on that was interrupted.
    pub(super) fn resume(&mut self, now: Instant) {
        self.holds.renew(&mut self.known, now);
    }

    /// Whether no endpoint is held.
    pub(super) fn holds_none(&self) -> bool {
        self.holds.is_empty()
    }

    /// Ends grace periods that are over.
    pub(super) fn expire(&mut self, now: Instant) {
        self.end_holds(|imported, touched| {
            imported.moving.take_if(|moving| moving.expire(now, touched).is_none());
        });
    }

    /// When the next grace period ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.holds.next_end(&self.known)
    }

    fn end_holds(&mut self, end: impl Fn(&mut Imported, &mut Touched)) {
        let Self { known, touched, holds, .. } = self;
        holds.end(known, end, |name, _| {
            touched.insert(name.clone());
        });
    }

    /// Marks a ServiceImport as still there.
    pub(super) fn keep(&mut self, name: &ServiceName, generation: u32) {
        if let Some(object) = self.known.get_mut(name).and_then(|imported| imported.object.as_mut()) {
            object.generation = generation;
        }
    }

    /// Marks a slice as still there.
    pub(super) fn keep_slice(&mut self, key: &ObjectKey, generation: u32) {
        let imported = self.slices.get(key).and_then(|name| self.known.get_mut(name));
        if let Some((slice, _)) = imported.and_then(|imported| imported.slices.get_mut(key)) {
            slice.generation = generation;
        }
    }

    /// Drops the ServiceImports that this generation did not name.
    pub(super) fn sweep(&mut self, generation: u32) {
        for (name, imported) in &mut self.known {
            if imported.object.take_if(|object| object.generation != generation).is_some() {
                self.touched.insert(name.clone());
            }
        }
    }

    /// Drops the slices that this generation did not name.
    pub(super) fn sweep_slices(&mut self, generation: u32, now: Instant) {
        let mut gone: Vec<ObjectKey> = Vec::new();
        for imported in self.known.values() {
            let unnamed = imported.slices.iter().filter(|(_, (slice, _))| slice.generation != generation);
            gone.extend(unnamed.map(|(key, _)| key.clone()));
        }
        for key in &gone {
            self.delete_slice(key, true, now);
        }
        self.end_holds(|imported, touched| {
            if let Some(moving) = &mut imported.moving {
                moving.end_list(now, imported.slices.values().map(|(slice, its)| (slice, its.as_ref())), touched);
            }
        });
    }

    /// Adds what changed since the last time to a publication.
    pub(super) fn publish(&mut self, changes: &mut Changes) {
        for name in std::mem::take(&mut self.touched) {
            let Some(imported) = self.known.get_mut(&name) else { continue };
            let import = imported.derive(&name).map(Arc::new);
            if import != imported.published {
                imported.published = import.clone();
                changes.imports.push((name.clone(), import));
            }
            if imported.is_empty() {
                self.known.remove(&name);
            }
        }
    }

    /// The names of all.
    pub(super) fn names(&self) -> Vec<ServiceName> {
        self.known.keys().cloned().collect()
    }

    /// The facts of an import and its slices.
    pub(super) fn group(&self, name: &ServiceName) -> Vec<DatedFact> {
        let Some(imported) = self.known.get(name) else { return Vec::new() };
        let key = |namespace: &[u8], name: &[u8]| {
            ObjectKey::new(&String::from_utf8_lossy(namespace), &String::from_utf8_lossy(name))
        };
        let object = imported.object.as_ref().map(|object| {
            let spec = match &object.kind {
                ImportKind::ClusterSetIp { addresses, ports } => {
                    ServiceSpec::ClusterIp { addresses: addresses.to_vec(), ports: ports.to_vec() }
                }
                ImportKind::Headless => ServiceSpec::Headless { ports: Vec::new() },
            };
            let key = key(name.namespace(), name.service());
            (Fact::Import(ServiceFact { key, version: object.version, selector: false, spec, external: None }), 0)
        });
        let slices = imported.slices.iter().map(|(key, (slice, cluster))| {
            (export::imported(slice_fact(key.clone(), name, slice), cluster.clone()), slice.arrived)
        });
        let holds = imported.moving.iter().flat_map(|moving| held_slices(name, moving.holds()));
        let held = holds.map(|(cluster, slice)| (export::imported(slice, cluster), 0));
        object.into_iter().chain(slices).chain(held).collect()
    }

    /// The number of ServiceImports.
    pub(super) fn len(&self) -> usize {
        self.known.values().filter(|imported| imported.object.is_some()).count()
    }

    /// The number of slices.
    pub(super) fn slice_len(&self) -> usize {
        self.slices.len()
    }
}

impl Imported {
    /// Takes note that a slice has another version, or none, in its place.
    fn note_change(
        &mut self,
        key: &ObjectKey,
        old: Option<&(Slice, Option<Label>)>,
        [deleted, listing]: [bool; 2],
        now: Instant,
    ) {
        let present = self.slices.get(key);
        let Some((slice, cluster)) = present.or(old).filter(|_| self.object.is_some()) else { return };
        let others = self.slices.iter().filter(|(own, _)| *own != key).map(|(_, own)| own);
        let others = others.filter(|(own, its)| its == cluster && own.family == slice.family);
        let change = SliceRewrite {
            // A slice that changes its cluster leaves the other one.
            old: old.filter(|(_, its)| its == cluster).map(|(slice, _)| slice),
            new: present.map(|(slice, _)| slice),
            others: others.map(|(slice, _)| slice).collect(),
            cluster: cluster.as_ref(),
            deleted,
            listing,
        };
        Moving::note(&mut self.moving, &change, now, &mut Touched::default());
    }

    fn derive(&self, name: &ServiceName) -> Option<Import> {
        let object = self.object.as_ref()?;
        let parts = self.slices.values().flat_map(|(slice, cluster)| {
            slice.slice_endpoints().map(|own| SliceEndpoint { cluster: cluster.clone(), ..own })
        });
        let held = self.moving.iter().flat_map(|moving| moving.holds()).map(Hold::slice_endpoint);
        let set = EndpointSet::new(&parts.chain(held).collect::<Vec<_>>());
        Some(Import { name: name.clone(), kind: object.kind.clone(), set })
    }
}

impl Holder for Imported {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{cluster_ip, headless, slice};
    use super::*;
    use crate::cluster::facts::{Fact, ImportedSliceFact, Kind, SliceFact};
    use crate::cluster::{Index, IndexSettings};
    use crate::zone::{Reader, pair};

    fn imported(slice: SliceFact, version: u64) -> Fact {
        let slice = SliceFact { version, ..slice };
        Fact::ImportedSlice(ImportedSliceFact { slice, cluster: Label::new(b"west").ok() })
    }

    fn shown(reader: &Reader) -> Vec<String> {
        let imports = reader.imports();
        let endpoints = imports.iter().flat_map(|import| import.set.endpoints().iter().map(move |own| (import, own)));
        let mut lines: Vec<String> = endpoints
            .map(|(import, own)| format!("{} {:?}", own.label, String::from_utf8_lossy(import.name.service())))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn slices_and_imports_may_come_in_any_order() {
        let (publisher, reader) = pair();
        let mut index = Index::new(publisher, IndexSettings::default());
        let now = Instant::now();
        assert!(!index.apply(imported(slice("s", "db", &["db-0=10.0.0.1", "!db-1=10.0.0.2"]), 2), now, 1));
        assert!(index.apply(Fact::Import(headless("db")), now, 2));
        assert_eq!(shown(&reader), ["db-0 \"db\""]);
        // Nothing of it is the cluster's own.
        assert!(reader.services().is_empty() && reader.pointer([10, 0, 0, 1].into()).is_none());
        // An old version is passed over, one that says the same is not published.
        assert!(!index.apply(imported(slice("s", "db", &["db-9=10.0.0.9"]), 1), now, 3));
        assert!(!index.apply(imported(slice("s", "db", &["db-0=10.0.0.1"]), 3), now, 4));
        // Handed to another Service.
        assert!(index.apply(Fact::Import(cluster_ip("web", &["10.1.0.1"])), now, 5));
        assert!(index.apply(imported(slice("s", "web", &["web-0=10.0.0.1"]), 4), now, 6));
        assert_eq!(shown(&reader), ["web-0 \"web\""]);
        assert_eq!((index.count(Kind::ServiceImport), index.count(Kind::ImportedSlice)), (2, 1));
        let key = ObjectKey::new("default", "web");
        assert!(index.delete(Kind::ServiceImport, &key, now, 7));
        assert!(!index.delete(Kind::ImportedSlice, &ObjectKey::new("default", "s"), now, 8));
        assert_eq!((reader.imports().len(), index.count(Kind::ImportedSlice)), (1, 0));
    }

    #[test]
    fn what_a_list_does_not_name_is_gone() {
        let (publisher, reader) = pair();
        let mut index = Index::new(publisher, IndexSettings::default());
        let now = Instant::now();
        index.apply_page(vec![Fact::Import(headless("a")), Fact::Import(headless("b"))], now, 1);
        let slices = [imported(slice("sa", "a", &["x=10.0.0.1"]), 1), imported(slice("sb", "b", &["y=10.0.0.2"]), 1)];
        index.apply_page(slices.into(), now, 2);
        index.begin_list(Kind::ServiceImport);
        index.apply(Fact::Import(headless("a")), now, 3);
        index.end_list(Kind::ServiceImport, now, 4);
        assert_eq!(shown(&reader), ["x \"a\""]);
        index.begin_list(Kind::ImportedSlice);
        // Bad now, but still there.
        index.keep(Kind::ImportedSlice, &ObjectKey::new("default", "sa"));
        index.end_list(Kind::ImportedSlice, now, 5);
        assert_eq!((shown(&reader), index.count(Kind::ImportedSlice)), (vec!["x \"a\"".to_owned()], 1));
    }

    /// The labels that are shown while slices of the import `db` are written in this order, `later` milliseconds after.
    struct Moving {
        index: Index,
        reader: Reader,
        now: Instant,
        version: u64,
    }

    impl Moving {
        fn new() -> Self {
            let (publisher, reader) = pair();
            let mut index = Index::new(publisher, IndexSettings::default());
            let now = Instant::now();
            index.apply(Fact::Import(headless("db")), now, 1);
            Self { index, reader, now, version: 1 }
        }

        fn write(&mut self, name: &str, endpoints: &[&str]) -> Vec<String> {
            self.version += 1;
            self.index.apply(imported(slice(name, "db", endpoints), self.version), self.now, 1);
            self.labels()
        }

        fn labels(&self) -> Vec<String> {
            shown(&self.reader).iter().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
        }

        fn pass(&mut self, milliseconds: u64) -> (Option<Instant>, Vec<String>) {
            self.now += Duration::from_millis(milliseconds);
            (self.index.expire(self.now, 1), self.labels())
        }
    }

    #[test]
    fn an_endpoint_that_moves_between_imported_slices_is_answered_all_the_time() {
        let mut moving = Moving::new();
        moving.write("one", &["a=10.0.0.1", "b=10.0.0.2"]);
        moving.write("two", &["c=10.0.0.3"]);
        assert_eq!(moving.write("one", &["a=10.0.0.1"]), ["a", "b", "c"]);
        assert_eq!(moving.pass(100).1, ["a", "b", "c"]);
        assert_eq!(moving.write("two", &["b=10.0.0.2", "c=10.0.0.3"]), ["a", "b", "c"]);
        assert_eq!(moving.pass(3000), (None, vec!["a".to_owned(), "b".into(), "c".into()]));
        // One that is gone goes when its time is over, one that is not ready at once.
        assert_eq!(moving.write("two", &["c=10.0.0.3"]), ["a", "b", "c"]);
        assert!(moving.pass(100).0.is_some());
        assert_eq!(moving.pass(1000), (None, vec!["a".to_owned(), "c".into()]));
        assert_eq!(moving.write("one", &["!a=10.0.0.1"]), ["c"]);
        // The last slice of an import has nothing that an endpoint could move to.
        let mut alone = Moving::new();
        alone.write("one", &["a=10.0.0.1", "b=10.0.0.2"]);
        assert_eq!(alone.write("one", &["a=10.0.0.1"]), ["a"]);
        // With its ServiceImport everything goes.
        assert_eq!(moving.write("two", &[]), ["c"]);
        moving.index.delete(Kind::ServiceImport, &ObjectKey::new("default", "db"), moving.now, 1);
        assert_eq!(moving.pass(0), (None, Vec::new()));
    }

    #[test]
    fn a_list_whose_pages_repack_imported_slices_loses_no_endpoint() {
        let mut moving = Moving::new();
        moving.write("one", &["a=10.0.0.1"]);
        moving.write("two", &["b=10.0.0.2"]);
        moving.index.begin_list(Kind::ImportedSlice);
        assert_eq!(moving.write("two", &[]), ["a", "b"]);
        assert_eq!(moving.pass(2000).1, ["a", "b"], "the page with it may be still to come");
        assert_eq!(moving.write("three", &["b=10.0.0.2"]), ["a", "b"]);
        // `one` is named no more: its endpoint may be in a slice that is yet to be written.
        moving.index.end_list(Kind::ImportedSlice, moving.now, 1);
        assert_eq!(moving.labels(), ["a", "b"]);
        assert_eq!(moving.pass(1000), (None, vec!["b".to_owned()]));
    }
}

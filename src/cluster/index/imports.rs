//! ServiceImports and their slices: what the zones of `multicluster` show.
//!
//! Such Services are few, so each change lays its Service out anew; nothing is published when no answer changes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::is_stale;
use super::service::parts;
use super::slice::Slice;
use crate::cluster::facts::{ObjectKey, ServiceFact, ServiceSpec};
use crate::wire::Label;
use crate::zone::{Changes, Import, ImportKind, Layout, Part, ServiceName};

/// The imported Services that are known.
#[derive(Debug, Default)]
pub(super) struct Imports {
    known: HashMap<ServiceName, Imported>,
    /// The Service of each slice.
    slices: HashMap<ObjectKey, ServiceName>,
    touched: HashSet<ServiceName>,
}

/// A ServiceImport with its slices; either may come first.
#[derive(Debug, Default)]
struct Imported {
    object: Option<Object>,
    slices: BTreeMap<ObjectKey, (Slice, Option<Label>)>,
    published: Option<Arc<Import>>,
}

/// The ServiceImport object.
#[derive(Debug)]
struct Object {
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
        imported.object = Some(Object { version: fact.version, generation, kind });
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
    ) {
        let before = self.slices.get(&key).and_then(|before| self.known.get(before)?.slices.get(&key));
        if before.is_some_and(|(known, _)| is_stale(slice.version, known.version, listing)) {
            return;
        }
        if let Some(before) = self.slices.insert(key.clone(), name.clone()).filter(|before| *before != name) {
            self.remove_slice(&before, &key);
        }
        self.known.entry(name.clone()).or_default().slices.insert(key, (slice, cluster));
        self.touched.insert(name);
    }

    pub(super) fn delete(&mut self, name: &ServiceName) {
        if let Some(imported) = self.known.get_mut(name) {
            imported.object = None;
            self.touched.insert(name.clone());
        }
    }

    pub(super) fn delete_slice(&mut self, key: &ObjectKey) {
        if let Some(name) = self.slices.remove(key) {
            self.remove_slice(&name, key);
        }
    }

    fn remove_slice(&mut self, name: &ServiceName, key: &ObjectKey) {
        if let Some(imported) = self.known.get_mut(name) {
            imported.slices.remove(key);
            self.touched.insert(name.clone());
        }
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
    pub(super) fn sweep_slices(&mut self, generation: u32) {
        for (name, imported) in &mut self.known {
            let before = imported.slices.len();
            imported.slices.retain(|key, (slice, _)| {
                let named = slice.generation == generation;
                if !named {
                    self.slices.remove(key);
                }
                named
            });
            if imported.slices.len() != before {
                self.touched.insert(name.clone());
            }
        }
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
            if imported.object.is_none() && imported.slices.is_empty() {
                self.known.remove(&name);
            }
        }
    }

    /// How many ServiceImports there are.
    pub(super) fn len(&self) -> usize {
        self.known.values().filter(|imported| imported.object.is_some()).count()
    }

    /// How many slices there are.
    pub(super) fn slice_len(&self) -> usize {
        self.slices.len()
    }
}

impl Imported {
    fn derive(&self, name: &ServiceName) -> Option<Import> {
        let object = self.object.as_ref()?;
        let parts = self
            .slices
            .values()
            .flat_map(|(slice, cluster)| parts(slice).map(|part| Part { cluster: cluster.clone(), ..part }));
        let layout = Layout::new(&parts.collect::<Vec<_>>());
        Some(Import { name: name.clone(), kind: object.kind.clone(), layout })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::tests::{cluster_ip, headless, slice};
    use super::*;
    use crate::cluster::facts::{Fact, ImportedSliceFact, Kind, SliceFact};
    use crate::cluster::{Index, Settings};
    use crate::zone::{Reader, pair};

    fn imported(slice: SliceFact, version: u64) -> Fact {
        let slice = SliceFact { version, ..slice };
        Fact::ImportedSlice(ImportedSliceFact { slice, cluster: Label::new(b"west").ok() })
    }

    fn shown(reader: &Reader) -> Vec<String> {
        let imports = reader.imports();
        let endpoints =
            imports.iter().flat_map(|import| import.layout.endpoints().iter().map(move |own| (import, own)));
        let mut lines: Vec<String> = endpoints
            .map(|(import, own)| format!("{} {:?}", own.label, String::from_utf8_lossy(import.name.service())))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn slices_and_imports_may_come_in_any_order() {
        let (publisher, reader) = pair();
        let mut index = Index::new(publisher, Settings::default());
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
        let mut index = Index::new(publisher, Settings::default());
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
}

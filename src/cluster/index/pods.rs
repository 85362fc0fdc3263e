//! Pods by address and namespaces by name: what `A-B-C-D.NAMESPACE.pod` and the visibility of Services depend on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::cluster::facts::{ObjectKey, PodFact};
use crate::wire::Label;
use crate::zone::{Changes, PodName};

//----------- MirroredPods -----------------------------------------------------

/// The pods that are known, with `pods verified`.
#[derive(Debug, Default)]
pub(super) struct MirroredPods {
    known: HashMap<Arc<ObjectKey>, (Box<[IpAddr]>, u32)>,
    /// The number of pods of a namespace that have an address: those on the network of their node share one.
    counts: HashMap<(Label, IpAddr), u32>,
    /// The pods of each address in the order in which they came, of which the first is told; `None` when nobody asks.
    owners: Option<HashMap<IpAddr, Vec<ObjectKey>>>,
}

impl MirroredPods {
    /// No pods yet. `named` says that somebody asks whose address it is.
    pub(super) fn new(named: bool) -> Self {
        Self { owners: named.then(HashMap::new), ..Self::default() }
    }

    /// A pod as it is now. One that was never seen alive is not added while it ends.
    pub(super) fn apply(&mut self, fact: PodFact, generation: u32, changes: &mut Changes) {
        let Ok(namespace) = Label::new(fact.key.namespace.as_bytes()) else { return };
        let addresses: Box<[IpAddr]> = fact.addresses.into();
        let key = self.owners.is_some().then(|| fact.key.clone());
        let old = match self.known.get_mut(&fact.key) {
            Some(known) => std::mem::replace(known, (addresses.clone(), generation)).0,
            None if fact.terminating => return,
            None => {
                self.known.insert(Arc::new(fact.key), (addresses.clone(), generation));
                Box::default()
            }
        };
        if old != addresses {
            self.count(&namespace, &addresses, true, changes);
            self.count(&namespace, &old, false, changes);
            if let Some(key) = key {
                self.own(&key, &old, &addresses, changes);
            }
        }
    }

    pub(super) fn delete(&mut self, key: &ObjectKey, changes: &mut Changes) {
        if let (Some((addresses, _)), Ok(namespace)) = (self.known.remove(key), Label::new(key.namespace.as_bytes())) {
            self.count(&namespace, &addresses, false, changes);
            self.own(key, &addresses, &[], changes);
        }
    }

    /// Marks a pod as still there.
    pub(super) fn keep(&mut self, key: &ObjectKey, generation: u32) {
        if let Some((_, known)) = self.known.get_mut(key) {
            *known = generation;
        }
    }

    /// The pods that this generation did not name.
    pub(super) fn unnamed(&self, generation: u32) -> Vec<ObjectKey> {
        self.known.iter().filter(|(_, known)| known.1 != generation).map(|(key, _)| ObjectKey::clone(key)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The names of all.
    pub(super) fn keys(&self) -> Vec<Arc<ObjectKey>> {
        self.known.keys().cloned().collect()
    }

    /// The facts of a pod, if it is there.
    pub(super) fn fact(&self, key: &ObjectKey) -> Option<PodFact> {
        let (addresses, _) = self.known.get(key)?;
        Some(PodFact { key: key.clone(), addresses: addresses.to_vec(), terminating: false })
    }

    /// Says whose addresses change when a pod has these after those.
    fn own(&mut self, key: &ObjectKey, old: &[IpAddr], new: &[IpAddr], changes: &mut Changes) {
        let Some(owners) = &mut self.owners else { return };
        let name = |key: &ObjectKey| Arc::new(PodName { namespace: key.namespace.clone(), name: key.name.clone() });
        for address in old.iter().filter(|address| !new.contains(address)) {
            let Some(pods) = owners.get_mut(address) else { continue };
            let was_told = pods.first() == Some(key);
            pods.retain(|pod| pod != key);
            if was_told {
                changes.clients.push((*address, pods.first().map(name)));
            }
            if pods.is_empty() {
                owners.remove(address);
            }
        }
        for address in new.iter().filter(|address| !old.contains(address)) {
            let pods = owners.entry(*address).or_default();
            pods.push(key.clone());
            if pods.len() == 1 {
                changes.clients.push((*address, pods.first().map(name)));
            }
        }
    }

    fn count(&mut self, namespace: &Label, addresses: &[IpAddr], more: bool, changes: &mut Changes) {
        for &address in addresses {
            let key = (namespace.clone(), address);
            let count = self.counts.entry(key.clone()).or_default();
            *count = if more { *count + 1 } else { count.saturating_sub(1) };
            match *count {
                0 => {
                    self.counts.remove(&key);
                    changes.pods.push((key.0, address, false));
                }
                1 if more => changes.pods.push((key.0, address, true)),
                _ => {}
            }
        }
    }
}

//----------- Namespaces -----------------------------------------------------

/// The namespaces that exist, with the list or watch that last named them.
#[derive(Debug, Default)]
pub(super) struct Namespaces(HashMap<Label, u32>);

impl Namespaces {
    pub(super) fn apply(&mut self, name: &str, generation: u32, changes: &mut Changes) {
        let Ok(label) = Label::new(name.as_bytes()) else { return };
        if self.0.insert(label.clone(), generation).is_none() {
            changes.namespaces.push((label, true));
        }
    }

    pub(super) fn delete(&mut self, name: &str, changes: &mut Changes) {
        let Ok(label) = Label::new(name.as_bytes()) else { return };
        if self.0.remove(&label).is_some() {
            changes.namespaces.push((label, false));
        }
    }

    pub(super) fn keep(&mut self, name: &str, generation: u32) {
        if let Some(known) = Label::new(name.as_bytes()).ok().and_then(|label| self.0.get_mut(&label)) {
            *known = generation;
        }
    }

    /// Drops those that this generation did not name.
    pub(super) fn sweep(&mut self, generation: u32, changes: &mut Changes) {
        self.0.retain(|label, known| {
            let named = *known == generation;
            if !named {
                changes.namespaces.push((label.clone(), false));
            }
            named
        });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn names(&self) -> Vec<Label> {
        self.0.keys().cloned().collect()
    }
}

//! What the cluster holds, and what was ever true of it: revisions, compaction, and restores from a backup.
//!
//! Two counts: a *revision* is etcd's, which a restore sets back; a *version of the truth* is ours, which only grows. A restore
//! is one more version, in which much is again as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::objects::{Content, Key, Kind, Object, ServiceId};

/// A change, and when it was made.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    /// The version of the truth that it makes.
    pub(crate) truth: usize,
    /// Its revision.
    pub(crate) revision: u64,
    /// What changed.
    pub(crate) key: Key,
    /// What it is now; `None` when it is gone.
    pub(crate) object: Option<Arc<Object>>,
    /// What it was.
    pub(crate) old: Option<Arc<Object>>,
}

/// A ready peer: its addresses and its ports, as all slices of its Service together have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Sorted, each once.
    pub(crate) addresses: Vec<u32>,
    /// Sorted, each once.
    pub(crate) ports: Vec<u16>,
}

/// The ready peers of a Service by the number in their hostname.
pub(crate) type Peers = BTreeMap<u8, Peer>;

/// The versions of something, each from one version of the truth on.
pub(crate) type Track<V> = Vec<(usize, V)>;

/// The cluster's store.
#[derive(Debug)]
pub(crate) struct Etcd {
    /// The last revision.
    pub(crate) revision: u64,
    /// Older revisions are not to be had any more.
    pub(crate) compacted: u64,
    /// When each version of the truth began, in milliseconds.
    pub(crate) times: Vec<u64>,
    /// The changes that lead to the present, in their order.
    pub(crate) log: Vec<Commit>,
    /// Whatever was ever true of an object.
    pub(crate) objects: BTreeMap<Key, Track<Option<Arc<Object>>>>,
    /// Whatever was ever true of the peers of a Service.
    pub(crate) peers: BTreeMap<ServiceId, Track<Peers>>,
    current: BTreeMap<Key, Arc<Object>>,
}

impl Etcd {
    /// An empty store.
    pub(crate) fn new() -> Self {
        let (log, (objects, peers, current)) = Default::default();
        Self { revision: 0, compacted: 0, times: vec![0], log, objects, peers, current }
    }

    /// What an object is now.
    pub(crate) fn get(&self, key: Key) -> Option<&Arc<Object>> {
        self.current.get(&key)
    }

    /// What there is now.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.current.values()
    }

    /// The slices of a Service now.
    pub(crate) fn slices(&self, service: ServiceId) -> impl Iterator<Item = &Arc<Object>> {
        self.current.range(Key::slice(service, 0)..=Key::slice(service, u8::MAX)).map(|(_, object)| object)
    }

    /// The last version of the truth.
    pub(crate) fn truth(&self) -> usize {
        self.times.len().saturating_sub(1)
    }

    /// Writes an object, or deletes it.
    pub(crate) fn commit(&mut self, now: u64, key: Key, content: Option<Content>) {
        if content.is_none() && !self.current.contains_key(&key) {
            return;
        }
        self.revision += 1;
        self.times.push(now);
        let truth = self.truth();
        let object = content.map(|content| Object::new(key, self.revision, content));
        let old = match &object {
            Some(object) => self.current.insert(key, Arc::clone(object)),
            None => self.current.remove(&key),
        };
        self.log.push(Commit { truth, revision: self.revision, key, object: object.clone(), old });
        self.note(truth, key, object);
    }

    /// Goes back to a revision; with `bump`, further revisions begin far behind all that were given, and older ones are gone.
    pub(crate) fn restore(&mut self, now: u64, revision: u64, bump: bool) {
        let before = self.revision;
        let lost = self.log.split_off(self.log.partition_point(|commit| commit.revision <= revision));
        self.times.push(now);
        let truth = self.truth();
        for commit in lost.into_iter().rev() {
            match commit.old {
                Some(old) => drop(self.current.insert(commit.key, old)),
                None => drop(self.current.remove(&commit.key)),
            }
            let object = self.current.get(&commit.key).cloned();
            self.note(truth, commit.key, object);
        }
        self.revision = self.log.last().map_or(0, |commit| commit.revision);
        if bump {
            self.revision = before + 1000;
            self.compacted = self.revision;
        }
    }

    /// The objects of a kind at a revision of the present line.
    pub(crate) fn at(&self, kind: Kind, revision: u64) -> Vec<Arc<Object>> {
        let of_kind = |key: &Key| key.kind == kind;
        if revision >= self.revision {
            return self.current.iter().filter(|(key, _)| of_kind(key)).map(|(_, object)| Arc::clone(object)).collect();
        }
        let mut objects: BTreeMap<Key, &Arc<Object>> = BTreeMap::new();
        for commit in self.log.iter().take_while(|commit| commit.revision <= revision) {
            match &commit.object {
                Some(object) if of_kind(&commit.key) => drop(objects.insert(commit.key, object)),
                Some(_) => {}
                None => drop(objects.remove(&commit.key)),
            }
        }
        objects.into_values().cloned().collect()
    }

    /// The version of the truth that a revision of the present line is.
    pub(crate) fn truth_of(&self, revision: u64) -> usize {
        let commits = self.log.partition_point(|commit| commit.revision <= revision);
        commits.checked_sub(1).and_then(|last| self.log.get(last)).map_or(0, |commit| commit.truth)
    }

    /// The last version of the truth that was there at a time.
    pub(crate) fn truth_at(&self, time: u64) -> usize {
        self.times.partition_point(|begun| *begun <= time).saturating_sub(1)
    }

    fn note(&mut self, truth: usize, key: Key, object: Option<Arc<Object>>) {
        put(self.objects.entry(key).or_insert_with(|| vec![(0, None)]), truth, object);
        if key.kind != Kind::Slice {
            return;
        }
        let mut peers = Peers::new();
        for slice in self.slices(key.service) {
            let Content::Slice(port, endpoints) = &slice.content else { continue };
            for endpoint in endpoints.iter().filter(|endpoint| endpoint.ready) {
                let peer = peers.entry(endpoint.host).or_default();
                peer.addresses.push(endpoint.address);
                peer.ports.push(*port);
            }
        }
        for peer in peers.values_mut() {
            peer.addresses.sort_unstable();
            peer.addresses.dedup();
            peer.ports.sort_unstable();
            peer.ports.dedup();
        }
        put(self.peers.entry(key.service).or_insert_with(|| vec![(0, Peers::new())]), truth, peers);
    }
}

/// The version of something that stood at a version of the truth.
pub(crate) fn standing<V>(track: &Track<V>, truth: usize) -> usize {
    track.partition_point(|(begun, _)| *begun <= truth).saturating_sub(1)
}

fn put<V>(track: &mut Track<V>, truth: usize, value: V) {
    // Within one restore, the last word on something counts.
    track.pop_if(|(begun, _)| *begun == truth && truth > 0);
    track.push((truth, value));
}

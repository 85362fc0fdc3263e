//! A cluster that is nothing but files: served from the first reading on, followed as they are edited.

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::error::{Error, Remark};
use super::load::{self, Addresses, File, Loaded};
use super::summary::Summary;
use crate::cluster::clock::Clock;
use crate::cluster::facts::{Fact, Kind, ObjectKey};
use crate::cluster::{Explanation, Index, Settings};
use crate::wire::Label;
use crate::zone::{self, Reader, ServiceName};

/// How often files are looked at: an edit shows before the hand is back from the keyboard.
const INTERVAL: Duration = Duration::from_millis(200);

/// A file this fresh may have been written twice within one tick of the file system's clock.
const FRESH: Duration = Duration::from_secs(2);

/// The order in which changes are applied: names before what hangs on them.
const KINDS: [Kind; 4] = [Kind::Namespace, Kind::Service, Kind::EndpointSlice, Kind::Pod];

/// The cluster that manifests describe.
#[derive(Debug)]
pub struct LocalCluster {
    paths: Vec<PathBuf>,
    index: Arc<Mutex<Index>>,
    reader: Reader,
    addresses: Addresses,
    summary: Summary,
    /// What was served before the last change.
    before: Summary,
    facts: HashMap<(Kind, ObjectKey), Fact>,
    stamps: HashMap<PathBuf, Stamp>,
    hasher: RandomState,
    version: u64,
    clock: Clock,
    complaint: Option<String>,
    /// What has been told of the files as they are.
    remarks: Vec<Remark>,
}

/// What tells whether a file has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    content: u64,
}

/// What came of looking at the files.
#[derive(Debug)]
pub enum Refreshed {
    /// Nothing has changed.
    Same,
    /// The files have changed, and what they say is served.
    Applied,
    /// The files have changed and are broken; what was served last is served on.
    Broken(Error),
}

impl LocalCluster {
    /// Reads the manifests and publishes what they say.
    ///
    /// # Errors
    /// When a path cannot be read or an object is wrong: with file, line and column.
    pub fn start(paths: Vec<PathBuf>, settings: Settings) -> Result<Self, Error> {
        let (publisher, reader) = zone::pair();
        let mut cluster = Self {
            paths,
            index: Arc::new(Mutex::new(Index::new(publisher, settings))),
            reader,
            addresses: Addresses::default(),
            summary: Summary::default(),
            before: Summary::default(),
            facts: HashMap::new(),
            stamps: HashMap::new(),
            hasher: RandomState::new(),
            version: 0,
            clock: Clock::default(),
            complaint: None,
            remarks: Vec::new(),
        };
        match cluster.refresh(Instant::now(), SystemTime::now()) {
            Refreshed::Same | Refreshed::Applied => {
                lock(&cluster.index).set_synced();
                Ok(cluster)
            }
            Refreshed::Broken(error) => Err(error),
        }
    }

    /// The zone that is served.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The objects behind the zone, to ask where an answer comes from.
    pub fn objects(&self) -> LocalObjects {
        LocalObjects { index: self.index.clone(), reader: self.reader.clone() }
    }

    /// What is served at present.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Looks at the files once and applies what has changed in them, all or nothing.
    pub fn refresh(&mut self, now: Instant, clock: SystemTime) -> Refreshed {
        let unix = self.clock.second(now, clock.duration_since(UNIX_EPOCH).unwrap_or_default());
        let refreshed = match self.changed_files(clock) {
            Ok(None) => Refreshed::Same,
            Ok(Some(files)) => match load::load_files(&files, &mut self.addresses, self.version + 1) {
                Ok(loaded) => {
                    self.version += 1;
                    self.apply(loaded, now, unix);
                    Refreshed::Applied
                }
                Err(error) => Refreshed::Broken(error),
            },
            Err(error) => {
                // Once they can be read again, all of them are looked at, as if they were new.
                self.stamps.clear();
                Refreshed::Broken(error)
            }
        };
        lock(&self.index).expire(now, unix);
        refreshed
    }

    /// All files, when any of them is not as it was.
    fn changed_files(&mut self, clock: SystemTime) -> Result<Option<Vec<File>>, Error> {
        let paths = load::find(&self.paths)?;
        let same = paths.len() == self.stamps.len()
            && paths.iter().all(|path| self.stamps.get(path).is_some_and(|stamp| is_same(path, stamp, clock)));
        if same {
            return Ok(None);
        }
        let (mut files, mut stamps) = (Vec::new(), HashMap::new());
        for path in paths {
            // The stamp is taken before the content: a write in between is seen the next time.
            let meta = fs::metadata(&path).ok();
            let file = load::read(&path)?;
            let stamp = Stamp {
                modified: meta.as_ref().and_then(|meta| meta.modified().ok()),
                size: meta.map_or(0, |meta| meta.len()),
                content: self.hasher.hash_one(&file.text),
            };
            stamps.insert(path, stamp);
            files.push(file);
        }
        let edited = stamps.len() != self.stamps.len()
            || stamps.iter().any(|(path, stamp)| self.stamps.get(path).is_none_or(|old| old.content != stamp.content));
        self.stamps = stamps;
        Ok(edited.then_some(files))
    }

    fn apply(&mut self, loaded: Loaded, now: Instant, unix: u32) {
        // What an edit leaves as it was is told already.
        loaded.remarks.iter().filter(|remark| !self.remarks.contains(remark)).for_each(Remark::log);
        self.remarks = loaded.remarks;
        let mut before = std::mem::take(&mut self.facts);
        for mut fact in loaded.facts {
            let id = (fact.kind(), fact.key());
            // An object that is as it was keeps its version.
            if let Some(old) = before.remove(&id) {
                let version = version(&mut fact).map(|own| *own);
                let mut unversioned = old.clone();
                if let (Some(own), Some(version)) = (self::version(&mut unversioned), version) {
                    *own = version;
                }
                if unversioned == fact {
                    fact = old;
                }
            }
            self.facts.insert(id, fact);
        }
        let mut index = lock(&self.index);
        for kind in KINDS {
            index.begin_list(kind);
            let facts = self.facts.iter().filter(|((own, _), _)| *own == kind).map(|(_, fact)| fact.clone());
            index.apply_page(facts.collect(), now, unix);
            index.end_list(kind, now, unix);
        }
        drop(index);
        self.before = std::mem::replace(&mut self.summary, loaded.summary);
    }

    /// Follows the files on a thread of its own until the handle is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn follow(mut self) -> io::Result<Following> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("manifests".into()).spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let refreshed = self.refresh(Instant::now(), SystemTime::now());
                self.report(&refreshed);
            }
        })?;
        Ok(Following { stop: Some(stop), thread: Some(thread) })
    }

    /// Logs what has changed; the same complaint once.
    fn report(&mut self, refreshed: &Refreshed) {
        match refreshed {
            Refreshed::Same => {}
            Refreshed::Applied => {
                if self.complaint.take().is_some() {
                    tracing::info!("the manifests are right again");
                }
                match self.summary.changes(&self.before) {
                    changes if changes.is_empty() => {
                        tracing::info!("manifests changed, their names and addresses did not")
                    }
                    changes => {
                        tracing::info!("manifests changed");
                        changes.lines().for_each(|line| tracing::info!("{line}"));
                    }
                }
            }
            Refreshed::Broken(error) => {
                let complaint = error.to_string();
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::error!("{complaint}; what was read last is served on");
                    self.complaint = Some(complaint);
                }
            }
        }
    }
}

/// The objects of a [`LocalCluster`], which goes on following its files.
#[derive(Clone, Debug)]
pub struct LocalObjects {
    index: Arc<Mutex<Index>>,
    reader: Reader,
}

impl LocalObjects {
    /// The zone that is made of them.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Where the answers for a Service, or for one label of it, come from.
    pub fn explain(&self, service: &ServiceName, label: Option<&Label>) -> Explanation {
        lock(&self.index).explain(service, label)
    }
}

fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_same(path: &Path, stamp: &Stamp, clock: SystemTime) -> bool {
    let Ok(meta) = fs::metadata(path) else { return false };
    let modified = meta.modified().ok();
    let fresh = modified.is_none_or(|at| clock.duration_since(at).map_or(true, |age| age < FRESH));
    !fresh && modified == stamp.modified && meta.len() == stamp.size
}

fn version(fact: &mut Fact) -> Option<&mut u64> {
    match fact {
        Fact::Service(fact) | Fact::Import(fact) => Some(&mut fact.version),
        Fact::Slice(fact) => Some(&mut fact.version),
        Fact::ImportedSlice(fact) => Some(&mut fact.slice.version),
        Fact::Pod(_) | Fact::Namespace(_) => None,
    }
}

/// Files are followed for as long as this lives.
#[derive(Debug)]
pub struct Following {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;

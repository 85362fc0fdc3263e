//! A cluster that is nothing but files: served from the first reading on, followed as they are edited.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::details::AllDetails;
use super::error::{Error, Remark};
use super::load::{self, Addresses, Loaded};
use super::reading::{Reading, Sources};
use super::summary::Summary;
use super::survey::Identity;
use crate::cluster::clock::Clock;
use crate::cluster::facts::{Fact, Kind, ObjectKey};
use crate::cluster::{Details, Explanation, Index, IndexSettings};
use crate::wire::Label;
use crate::zone::{self, Reader, ServiceName};

/// The order in which changes are applied: names before what hangs on them.
const KINDS: [Kind; 4] = [Kind::Namespace, Kind::Service, Kind::EndpointSlice, Kind::Pod];

/// The cluster that manifests describe.
#[derive(Debug)]
pub struct LocalCluster {
    reading: Reading,
    index: Arc<Mutex<Index>>,
    details: Arc<Mutex<AllDetails>>,
    reader: Reader,
    addresses: Addresses,
    summary: Summary,
    /// The summary before the last change.
    before: Summary,
    facts: HashMap<(Kind, ObjectKey), Fact>,
    version: u64,
    clock: Clock,
    /// Whether some edit was not served when the files were looked at last.
    broken: bool,
    /// The lines that have been told of the files as they are.
    remarks: Vec<Remark>,
}

/// The outcome of looking at the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// Nothing has changed.
    Same,
    /// The files have changed, and what they say is served; of a file with a fault, what it said before.
    Applied,
}

impl LocalCluster {
    /// Reads the manifests and publishes what they say.
    ///
    /// # Errors
    /// When a path cannot be read or a file that is named has a fault: with file, line and column.
    pub fn start(sources: &Sources, settings: IndexSettings) -> Result<Self, Error> {
        let (publisher, reader) = zone::pair();
        let (now, clock) = (Instant::now(), SystemTime::now());
        let mut cluster = Self {
            reading: Reading::start(sources, clock)?,
            index: Arc::new(Mutex::new(Index::new(publisher, settings))),
            details: Arc::default(),
            reader,
            addresses: Addresses::default(),
            summary: Summary::default(),
            before: Summary::default(),
            facts: HashMap::new(),
            version: 1,
            clock: Clock::default(),
            broken: false,
            remarks: Vec::new(),
        };
        let loaded = load::compose(cluster.reading.objects(), &mut cluster.addresses, cluster.version);
        load::refuse(&loaded, &cluster.reading)?;
        let unix = cluster.unix(now, clock);
        cluster.apply(loaded, now, unix);
        lock(&cluster.index).set_synced();
        Ok(cluster)
    }

    /// The zone that is served.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The objects behind the zone, to ask where an answer comes from.
    pub fn objects(&self) -> LocalObjects {
        LocalObjects { index: self.index.clone(), details: self.details.clone(), reader: self.reader.clone() }
    }

    /// The present summary.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Looks at the files once and applies what has changed in them.
    pub fn refresh(&mut self, now: Instant, clock: SystemTime) -> Refreshed {
        let unix = self.unix(now, clock);
        let refreshed = match self.reading.look(clock) {
            false => Refreshed::Same,
            true => {
                self.version += 1;
                let loaded = load::compose(self.reading.objects(), &mut self.addresses, self.version);
                self.apply(loaded, now, unix);
                Refreshed::Applied
            }
        };
        lock(&self.index).expire(now, unix);
        refreshed
    }

    /// Ends what is over without looking at the files; says when there is more of it.
    pub(super) fn expire(&mut self, now: Instant, clock: SystemTime) -> Option<Instant> {
        let unix = self.unix(now, clock);
        lock(&self.index).expire(now, unix)
    }

    /// See [`Reading::unsettled`].
    pub(super) fn unsettled(&self) -> Option<Duration> {
        self.reading.unsettled()
    }

    /// The folders that were looked through last, and what else leads to files.
    pub(super) fn places(&self) -> (&[(std::path::PathBuf, Identity)], &[std::path::PathBuf]) {
        (&self.reading.folders, &self.reading.entrances)
    }

    fn unix(&mut self, now: Instant, clock: SystemTime) -> u32 {
        self.clock.second(now, clock.duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn apply(&mut self, loaded: Loaded, now: Instant, unix: u32) {
        // What an edit leaves as it was is told already.
        let mut remarks = self.reading.remarks();
        remarks.extend(loaded.remarks);
        remarks.iter().filter(|remark| !self.remarks.contains(remark)).for_each(Remark::log);
        self.remarks = remarks;
        *lock(&self.details) = loaded.details;
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

    /// Logs what has changed.
    pub(super) fn report(&mut self, refreshed: Refreshed) {
        if refreshed == Refreshed::Same {
            return;
        }
        let broken = self.reading.is_broken();
        if std::mem::replace(&mut self.broken, broken) && !broken {
            tracing::info!("the manifests are right again");
        }
        match self.summary.changes(&self.before) {
            changes if !changes.is_empty() => {
                tracing::info!("manifests changed");
                changes.lines().for_each(|line| tracing::info!("{line}"));
            }
            _ if broken => {}
            _ => tracing::info!("manifests changed, their names and addresses did not"),
        }
    }
}

/// The objects of a [`LocalCluster`], which goes on following its files.
#[derive(Clone, Debug)]
pub struct LocalObjects {
    index: Arc<Mutex<Index>>,
    details: Arc<Mutex<AllDetails>>,
    reader: Reader,
}

impl LocalObjects {
    /// The zone that is made of them.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The origin of the answers for a Service, or for one label of it.
    pub fn explain(&self, service: &ServiceName, label: Option<&Label>) -> Explanation {
        lock(&self.index).explain(service, label)
    }

    /// What a namespace holds.
    pub fn look(&self, namespace: &str) -> Details {
        lock(&self.details).within(namespace)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn version(fact: &mut Fact) -> Option<&mut u64> {
    match fact {
        Fact::Service(fact) | Fact::Import(fact) => Some(&mut fact.version),
        Fact::Slice(fact) => Some(&mut fact.version),
        Fact::ImportedSlice(fact) => Some(&mut fact.slice.version),
        Fact::Pod(_) | Fact::Namespace(_) => None,
    }
}

#[cfg(test)]
mod tests;

//! One snapshot in its folder: read and judged at the start, written while the server runs.

use std::fmt::Write as _;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::format::{Encoder, Head, LONGEST, Refusal, Snapshot};
use super::metrics::{FAILURES, IN_USE, OCTETS, REFUSED, WRITTEN};
use crate::cluster::index::DatedFact;
use crate::files;

/// `-rollcall.snapshot` and `-rollcall.snapshot-max-age`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// The folder that snapshots are kept in, one for each mirror.
    pub folder: PathBuf,
    /// The age past which a snapshot is not used.
    pub max_age: Duration,
}

/// What a snapshot has to be of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The way to the cluster as an operator wrote it.
    pub access: String,
    /// The cluster that it leads to: the address of its API server, and the certificate of that.
    pub cluster: String,
    /// What is asked of it.
    pub settings: String,
}

/// A clock that is wrong by no more than this is no reason to refuse.
const SLACK: u64 = 10;

/// The place of a mirror's snapshot.
#[derive(Debug)]
pub struct SnapshotFile {
    path: PathBuf,
    origin: Origin,
    max_age: Duration,
    /// The last failure to write, which is said once.
    failure: Mutex<Option<String>>,
}

impl SnapshotFile {
    /// The place of a snapshot of this origin. Its name says by a number which way and which settings it is of, so that
    /// several mirrors do not get in each other's way.
    pub fn new(options: &SnapshotOptions, origin: Origin) -> Self {
        let both = format!("{}\n{}", origin.access, origin.settings);
        let number = digest(&SHA256, both.as_bytes());
        let mut name = String::from("cluster-");
        number.as_ref().iter().take(6).for_each(|octet| {
            let _ = write!(name, "{octet:02x}");
        });
        let path = options.folder.join(name + ".snapshot");
        Self { path, origin, max_age: options.max_age, failure: Mutex::default() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The octets of the file, if it is there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<Option<Vec<u8>>, Refusal> {
        files::remove_left_over(&self.path);
        match files::read(&self.path, LONGEST) {
            Ok(octets) => Ok(Some(octets)),
            Err(error) if error.is_missing() && self.path.parent().is_some_and(Path::is_dir) => Ok(None),
            Err(error) => Err(Refusal::Unreadable(error.why())),
        }
    }

    /// Looks whether a snapshot can be used at this Unix second.
    ///
    /// # Errors
    /// When it cannot: see [`Refusal`].
    pub fn judge<'o>(&self, octets: &'o [u8], now: u64) -> Result<Snapshot<'o>, Refusal> {
        let snapshot = Snapshot::open(octets)?;
        let Head { cluster, settings, true_at } = &snapshot.head;
        if *cluster != self.origin.cluster {
            return Err(Refusal::Cluster(cluster.clone()));
        }
        if *settings != self.origin.settings {
            return Err(Refusal::Settings(settings.clone()));
        }
        if *true_at > now.saturating_add(SLACK) {
            return Err(Refusal::Future(true_at - now));
        }
        let age = now.saturating_sub(*true_at);
        if age > self.max_age.as_secs() {
            return Err(Refusal::Old(age));
        }
        Ok(snapshot)
    }

    /// Says that the snapshot is not used, and what happens instead.
    pub fn refused(&self, refusal: &Refusal) {
        REFUSED.with_label_values(&[refusal.word()]).inc();
        tracing::warn!(
            "the snapshot {} is not used: {refusal}; names are answered once the API server has listed them, and then it is \
             written anew",
            self.path.display()
        );
    }

    /// Says that names are answered from the snapshot, from this Unix second; 0 once they are not.
    pub fn in_use(&self, true_at: u64) {
        IN_USE.with_label_values(&[&self.name()]).set(true_at as f64);
    }

    /// Writes a snapshot of what `next` gives, group by group, until that is nothing. A failure is said once, and counted.
    pub fn write(&self, true_at: u64, now: u64, next: impl FnMut() -> Vec<Vec<DatedFact>>) -> bool {
        let head = Head { cluster: self.origin.cluster.clone(), settings: self.origin.settings.clone(), true_at };
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match files::replace(&self.path, |file| encode(BufWriter::new(file), &head, next)) {
            Ok(octets) => {
                WRITTEN.with_label_values(&[&self.name()]).set(now as f64);
                OCTETS.with_label_values(&[&self.name()]).set(octets as f64);
                if failure.take().is_some() {
                    tracing::info!("the snapshot {} is written again", self.path.display());
                }
                true
            }
            Err(error) => {
                FAILURES.inc();
                let why = error.to_string();
                if failure.as_ref() != Some(&why) {
                    tracing::warn!(
                        "the snapshot {} cannot be written: {why}; answers do not depend on it, a restart without it waits for \
                         the API server: see that the folder is there, writable and has room",
                        self.path.display()
                    );
                }
                *failure = Some(why);
                false
            }
        }
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Writes a snapshot of what `next` gives, until that is nothing; gives the number of octets.
///
/// # Errors
/// When it cannot be written.
pub fn encode(out: impl io::Write, head: &Head, mut next: impl FnMut() -> Vec<Vec<DatedFact>>) -> io::Result<u64> {
    let mut encoder = Encoder::new(out, head)?;
    loop {
        let groups = next();
        if groups.is_empty() {
            return encoder.finish();
        }
        for group in groups {
            encoder.push(&group)?;
        }
    }
}

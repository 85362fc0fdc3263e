//! Keeps a snapshot of what a mirror knows, and begins with the one that is there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::connection::ConnectError;
use super::moment::moment;
use super::options::Options;
use super::shared::SharedIndex;
use crate::cluster::clock::WallClock;
use crate::cluster::index::{IndexSettings, Remaining};
use crate::cluster::snapshot::{Origin, Refusal, Schedule, SnapshotFile, SnapshotOptions};

/// The time that a file system has to hand a snapshot over. The lists wait for it, and must not for long.
const READ: Duration = Duration::from_secs(2);

/// The time between looks whether a snapshot is due.
const LOOK: Duration = Duration::from_secs(1);

/// Objects and endpoints that are given out under one lock: half a millisecond.
const PIECE: usize = 2000;

/// The keeper of a mirror's snapshot.
#[derive(Debug)]
pub(super) struct Keeper {
    file: SnapshotFile,
    shared: Arc<SharedIndex>,
    schedule: Mutex<Schedule>,
    clock: WallClock,
}

impl Keeper {
    /// The keeper of a snapshot of what these options ask for.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    pub(super) fn new(
        snapshot: &SnapshotOptions,
        options: &Options,
        settings: IndexSettings,
        shared: Arc<SharedIndex>,
    ) -> Result<Self, ConnectError> {
        let origin = Origin {
            access: options.connection.to_string(),
            cluster: options.connection.cluster()?,
            settings: options.described(settings),
        };
        let schedule = Mutex::new(Schedule::new(snapshot.max_age));
        Ok(Self { file: SnapshotFile::new(snapshot, origin), shared, schedule, clock: options.clock.clone() })
    }

    /// Takes in the snapshot that is there, lets the lists begin, and keeps one from then on.
    pub(super) async fn run(self: Arc<Self>, begin: watch::Sender<bool>) {
        let reading = self.clone();
        let read = tokio::task::spawn_blocking(move || reading.file.read());
        let octets = match tokio::time::timeout(READ, read).await {
            Ok(read) => read.unwrap_or(Ok(None)),
            Err(_) => Err(Refusal::Unreadable(format!("its file system did not hand it over within {READ:?}"))),
        };
        let taking = self.clone();
        let _ = tokio::task::spawn_blocking(move || taking.take_in(octets)).await;
        begin.send_replace(true);
        let mut synced = self.shared.synced();
        // The sender lives in `shared`.
        let _ = synced.wait_for(|synced| *synced).await;
        self.file.in_use(0);
        self.shared.answers_from_lists();
        loop {
            tokio::time::sleep(LOOK).await;
            let writing = self.clone();
            let _ = tokio::task::spawn_blocking(move || writing.write(false)).await;
        }
    }

    /// The second of the wall clock, by which another process will read it.
    fn unix(&self) -> u64 {
        self.clock.since_1970().as_secs()
    }

    fn take_in(&self, octets: Result<Option<Vec<u8>>, Refusal>) {
        let path = self.file.path().display();
        let taken = octets.and_then(|octets| {
            let Some(octets) = octets else {
                tracing::info!(
                    "there is no snapshot {path} yet: names are answered once the API server has listed them"
                );
                return Ok(());
            };
            let started = moment();
            let snapshot = self.file.judge(&octets, self.unix())?;
            let true_at = snapshot.head.true_at;
            for block in snapshot.blocks() {
                self.shared.restore(block?);
            }
            self.shared.end_restore(true_at);
            self.file.in_use(true_at);
            let (age, took) = (self.unix().saturating_sub(true_at), moment().saturating_duration_since(started));
            tracing::info!(
                age_seconds = age,
                ?took,
                "names are answered from the snapshot {path} until the API server has listed them"
            );
            Ok(())
        });
        if let Err(refusal) = taken {
            self.file.refused(&refusal);
        }
    }

    /// Writes a snapshot, if the first lists are in and one is due; where it is the last, if it says anything new. May wait
    /// for the disk.
    pub(super) fn write(&self, is_last: bool) {
        let mut schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = self.shared.known(self.unix()) else { return };
        let started = moment();
        if is_last && !schedule.is_news(known) || !is_last && !schedule.is_due(known, started) {
            return;
        }
        let mut remaining: Option<Remaining> = None;
        let written = self.file.write(known.true_at, self.unix(), || self.shared.give_out(&mut remaining, PIECE));
        schedule.done(written.then_some(known), moment(), moment().saturating_duration_since(started));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if self.shared.restored().is_some() {
            self.file.in_use(0);
        }
    }
}

//! Follows the files of a local cluster: asleep until the system tells of a change, or where it does not, until the next look.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::folder_events::{Eyes, Wake};
use super::live::LocalCluster;
use crate::tasks;

/// The time in which no more changes may come before the files are read: an editor writes in several steps.
const QUIET: Duration = Duration::from_millis(40);

/// The time in which reading may be put off by changes that go on.
const LONGEST: Duration = Duration::from_millis(500);

/// The time that the thread has to end.
const PATIENCE: Duration = Duration::from_secs(1);

impl LocalCluster {
    /// Follows the files on a thread of its own until the handle is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn follow(self) -> io::Result<Following> {
        let (stop, wakes) = mpsc::channel();
        let eyes = Eyes::new(stop.clone());
        let thread = thread::Builder::new().name("manifests".into()).spawn(move || {
            let (mut cluster, mut eyes) = (self, eyes);
            while tasks::caught_here("manifests", || run(&mut cluster, &mut eyes, &wakes)).is_none() {
                // What it reads may be the same.
                thread::sleep(LONGEST);
            }
        })?;
        Ok(Following { stop, thread: Some(thread) })
    }
}

/// Files are followed for as long as this lives.
#[derive(Debug)]
pub struct Following {
    stop: Sender<Wake>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.stop.send(Wake::Stop);
        if let Some(thread) = self.thread.take() {
            // One that waits for a file system that does not answer ends with the process.
            let patience = Instant::now() + PATIENCE;
            while !thread.is_finished() && Instant::now() < patience {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn run(cluster: &mut LocalCluster, eyes: &mut Eyes, wakes: &Receiver<Wake>) {
    let mut cost = look(cluster, eyes);
    let mut looked = Instant::now();
    let mut ends = None;
    loop {
        let due = looked + cluster.unsettled().unwrap_or_else(|| eyes.pause(cost));
        let until = ends.map_or(due, |end: Instant| end.min(due));
        match wakes.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Wake::Changed) => {
                // However often files are written, looking at them takes a small part of one core.
                let rest = looked + cost * 10;
                if settle(eyes, wakes, rest) == Wake::Stop {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() < due => {
                ends = cluster.expire(Instant::now(), SystemTime::now());
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
        cost = look(cluster, eyes);
        looked = Instant::now();
        ends = cluster.expire(looked, SystemTime::now());
    }
}

/// Waits until changes have come to an end, and not before `rest`.
fn settle(eyes: &Eyes, wakes: &Receiver<Wake>, rest: Instant) -> Wake {
    let longest = (Instant::now() + LONGEST).max(rest);
    loop {
        eyes.open();
        let pause = QUIET.max(rest.saturating_duration_since(Instant::now()));
        match wakes.recv_timeout(pause) {
            Ok(Wake::Changed) if Instant::now() < longest => {}
            Err(RecvTimeoutError::Timeout) | Ok(Wake::Changed) => return Wake::Changed,
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return Wake::Stop,
        }
    }
}

/// Looks at the files until nothing has changed behind its back; says how long one look takes.
fn look(cluster: &mut LocalCluster, eyes: &mut Eyes) -> Duration {
    loop {
        let begun = Instant::now();
        eyes.open();
        let refreshed = cluster.refresh(begun, SystemTime::now());
        cluster.report(refreshed);
        let (folders, entrances) = cluster.places();
        let cost = begun.elapsed();
        // What changed in a folder before it was watched is seen by looking once more.
        if !eyes.watch(folders, entrances) {
            return cost;
        }
    }
}

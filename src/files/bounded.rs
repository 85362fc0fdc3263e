//! What is asked of a file system, in bounded time.
//!
//! A network file system whose server is gone keeps whoever reads from it waiting, for ever if need be, and nothing but the
//! end of the process ends that. So each reading has a thread of its own. One that is not done in time is left to itself: the
//! log says so once, and until it is done, the same file is not tried again, so that a file holds one thread at most.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The time that a reading may take; a ConfigMap of 1 MiB takes one of some milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The time between looks at whether the process is told to stop, while a reading takes its time.
const LOOK: Duration = Duration::from_millis(50);

/// Readings that may be left to themselves at a time, over all files.
const MOST: usize = 64;

/// The files whose reading was left to itself.
static STUCK: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// True when nobody waits for a reading any more.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// Lets nobody wait for files from now on: the process is about to end.
pub fn give_up() {
    GIVEN_UP.store(true, Ordering::Release);
}

/// The number of files that are not read, as their file systems do not answer.
pub fn stuck() -> usize {
    locked(&STUCK).len()
}

/// Asks a file system about a path; `None` where it does not answer in time, or has not answered since the last time.
pub(super) fn ask<T: Send + 'static>(path: &Path, question: impl Fn(&Path) -> T + Send + Sync + 'static) -> Option<T> {
    ask_within(PATIENCE, path, question)
}

fn ask_within<T: Send + 'static>(
    patience: Duration,
    path: &Path,
    question: impl Fn(&Path) -> T + Send + Sync + 'static,
) -> Option<T> {
    let stuck = locked(&STUCK);
    if stuck.contains(path) || stuck.len() >= MOST {
        return None;
    }
    drop(stuck);
    let begun = Instant::now();
    let reading = Arc::new(Reading { state: Mutex::new(ReadingState::UnderWay), done: Condvar::new() });
    let question = Arc::new(question);
    let (own, theirs, to) = (reading.clone(), question.clone(), path.to_owned());
    let thread = thread::Builder::new().name("file".to_owned());
    if thread.spawn(move || own.end(&to, theirs(&to))).is_err() {
        // The machine has no thread to spare.
        return Some(question(path));
    }
    let mut state = locked(&reading.state);
    loop {
        if let ReadingState::Done(_) = *state {
            let ReadingState::Done(value) = std::mem::replace(&mut *state, ReadingState::Left(begun)) else {
                return None;
            };
            return Some(value);
        }
        if begun.elapsed() >= patience || GIVEN_UP.load(Ordering::Acquire) {
            break;
        }
        state = reading.done.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
    }
    *state = ReadingState::Left(begun);
    let first = locked(&STUCK).insert(path.to_owned());
    drop(state);
    if first && !GIVEN_UP.load(Ordering::Acquire) {
        tracing::warn!(
            "{} cannot be read: its file system has not answered for {patience:?}; what was read before is served on, and the file is \
             read again once it answers",
            path.display()
        );
    }
    None
}

/// One reading, as both of its sides know it.
struct Reading<T> {
    state: Mutex<ReadingState<T>>,
    done: Condvar,
}

enum ReadingState<T> {
    UnderWay,
    Done(T),
    /// Nobody waits any more; begun at this time.
    Left(Instant),
}

impl<T> Reading<T> {
    fn end(&self, path: &Path, value: T) {
        let mut state = locked(&self.state);
        if let ReadingState::Left(begun) = *state {
            locked(&STUCK).remove(path);
            tracing::info!(
                "{} can be read again: its file system answered after {:?}",
                path.display(),
                begun.elapsed()
            );
        } else {
            *state = ReadingState::Done(value);
            self.done.notify_all();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_reading_that_is_not_done_in_time_is_left_and_holds_one_thread() {
        let path = Path::new("/hung/file");
        let (let_go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let hung = ask_within(Duration::from_millis(100), path, move |_| locked(&wait).recv());
        assert_eq!((hung, stuck()), (None, 1));
        // Not even tried.
        assert_eq!(ask_within(Duration::from_secs(60), path, |_| panic!("tried")), None::<()>);
        assert_eq!(ask(Path::new("/other/file"), |path| path.to_owned()), Some("/other/file".into()));
        drop(let_go);
        let begun = Instant::now();
        while stuck() > 0 && begun.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!((stuck(), ask(path, |_| 7)), (0, Some(7)), "asked again once it has answered");
    }
}

//! The lines that wait to be written, and the thread that writes them.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::metrics::metrics;

/// The octets that may wait: a second of `log` at 8,000 queries a second. As many again may be on their way out.
pub(super) const OCTETS: usize = 1 << 20;
/// The capacity that an empty buffer may keep, in octets.
const KEPT: usize = 64 << 10;

metrics! {
    pub(crate) fn register;

    /// Lines for which there was no room.
    DROPPED: IntCounter =
        "rollcall_log_lines_dropped_total", "Log lines dropped because standard output was not read";
}

/// Takes lines and never waits for whoever reads them.
#[derive(Debug)]
pub(super) struct Queue(Arc<QueueShared>);

#[derive(Debug)]
struct QueueShared {
    state: Mutex<QueueState>,
    /// The signal that there is something to write, or that nothing will come any more.
    ready: Condvar,
    /// Something was written.
    written: Condvar,
    most: usize,
}

#[derive(Debug, Default)]
struct QueueState {
    waiting: Vec<u8>,
    /// Octets ever taken, and of these the written ones.
    taken: u64,
    written: u64,
    ended: bool,
}

impl Queue {
    /// Starts the thread that writes, with room for this many octets. It ends with the queue.
    pub(super) fn start(out: impl Write + Send + 'static, most: usize) -> Self {
        let shared =
            Arc::new(QueueShared { state: Mutex::default(), ready: Condvar::new(), written: Condvar::new(), most });
        let own = shared.clone();
        // Without a thread the lines stay where they are, and those past the room are dropped and counted.
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(move || own.write(out));
        Self(shared)
    }

    /// Takes a line, or drops it when there is no room.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.waiting.len() + line.len() > self.0.most {
            drop(state);
            DROPPED.inc();
            return;
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        state.taken += line.len() as u64;
        drop(state);
        if was_empty {
            self.0.ready.notify_one();
        }
    }

    /// Waits until everything that has been said is written, or this much time has passed.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let state = self.0.lock();
        let taken = state.taken;
        let waited = self.0.written.wait_timeout_while(state, patience, |state| state.written < taken);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.ready.notify_one();
    }
}

impl QueueShared {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines as they come; those that are there together leave together.
    fn write(&self, mut out: impl Write) {
        let mut leaving = Vec::new();
        loop {
            let state = self.ready.wait_while(self.lock(), |state| state.waiting.is_empty() && !state.ended);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            if state.waiting.is_empty() {
                return;
            }
            std::mem::swap(&mut state.waiting, &mut leaving);
            drop(state);
            // A reader that is gone is no reason to stop.
            let _ = out.write_all(&leaving).and_then(|()| out.flush());
            self.lock().written += leaving.len() as u64;
            self.written.notify_all();
            leaving.clear();
            leaving.shrink_to(KEPT);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io;

    use super::*;

    /// Takes nothing while its lock is held.
    #[derive(Clone, Default)]
    pub(in crate::process::logs) struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Sink {
        pub(in crate::process::logs) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Sink {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_order_and_flushed() {
        let sink = Sink::default();
        let queue = Queue::start(sink.clone(), OCTETS);
        for number in 0..100 {
            queue.push(format!("line {number}\n").as_bytes());
            assert!(number % 50 != 49 || queue.flush(Duration::from_secs(60)));
        }
        assert_eq!(sink.text(), (0..100).map(|number| format!("line {number}\n")).collect::<String>());
    }

    /// The queue is bounded in octets, whatever the lines are; dropped lines are counted.
    #[test]
    fn a_reader_who_does_not_read_stops_nobody_and_costs_no_memory() {
        for (length, lines) in [(8000, 1000), (20, 100_000)] {
            let sink = Sink::default();
            let held = sink.0.lock().unwrap();
            let queue = Queue::start(sink.clone(), 100_000);
            let before = DROPPED.get();
            let line = vec![b'x'; length];
            for _ in 0..lines {
                queue.push(&line);
            }
            let fit = 2 * 100_000 / length as u64;
            assert!(DROPPED.get() - before >= lines - fit, "lines of {length}");
            assert!(queue.0.lock().waiting.capacity() <= 2 * 100_000);
            assert!(!queue.flush(Duration::from_millis(50)), "nobody reads");
            drop(held);
            assert!(queue.flush(Duration::from_secs(60)));
            assert!(sink.text().len() >= 100_000 - length);
        }
    }
}

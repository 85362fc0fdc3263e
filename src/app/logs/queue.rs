//! The lines that wait to be written, and the thread that writes them.

use std::io::{self, Write};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// How many lines may wait: a second of `log` at 8,000 queries a second, about a megabyte.
pub(super) const LINES: usize = 8192;

/// Lines for which there was no room.
pub(in crate::app) static DROPPED: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new("rollcall_log_lines_dropped_total", "Log lines dropped because standard output was not read")
        .expect("the name is well-formed")
});

/// Takes lines and never waits.
#[derive(Clone, Debug)]
pub(super) struct Queue(SyncSender<Entry>);

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// Everything before is to be written; then this channel is closed.
    Flush(SyncSender<()>),
}

impl Queue {
    /// Starts the thread that writes. It ends with the last clone of the queue.
    pub(super) fn start(out: impl Write + Send + 'static, lines: usize) -> Self {
        let (sender, entries) = sync_channel(lines);
        let thread = std::thread::Builder::new().name("log".to_owned());
        // Without a thread every line is dropped and counted, as the channel is closed.
        let _ = thread.spawn(move || write(&entries, out));
        Self(sender)
    }

    /// Waits until everything that has been said is written, or this much time has passed.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let (done, waits) = sync_channel(0);
        // A queue that is full is not read: it gets its time as well.
        let begun = std::time::Instant::now();
        let mut entry = Entry::Flush(done);
        while let Err(error) = self.0.try_send(entry) {
            let std::sync::mpsc::TrySendError::Full(again) = error else { return false };
            if begun.elapsed() >= patience {
                return false;
            }
            entry = again;
            std::thread::sleep(Duration::from_millis(10));
        }
        waits.recv_timeout(patience.saturating_sub(begun.elapsed())) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Write for Queue {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Entry::Line(octets.to_vec())).is_err() {
            DROPPED.inc();
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Queue {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// Writes lines as they come; those that are there together leave together.
fn write(entries: &Receiver<Entry>, out: impl Write) {
    let mut out = io::BufWriter::with_capacity(32 * 1024, out);
    while let Ok(first) = entries.recv() {
        let mut flushed = Vec::new();
        for entry in std::iter::once(first).chain(entries.try_iter().take(LINES)) {
            match entry {
                // A reader that is gone is no reason to stop.
                Entry::Line(line) => drop(out.write_all(&line)),
                Entry::Flush(done) => flushed.push(done),
            }
        }
        let _ = out.flush();
        drop(flushed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Takes nothing while its lock is held.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

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
        let mut queue = Queue::start(sink.clone(), 100);
        for number in 0..100 {
            queue.write_all(format!("line {number}\n").as_bytes()).unwrap();
            assert!(number % 50 != 49 || queue.flush(Duration::from_secs(10)));
        }
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, (0..100).map(|number| format!("line {number}\n")).collect::<String>());
    }

    #[test]
    fn a_reader_who_does_not_read_stops_nobody() {
        let sink = Sink::default();
        let held = sink.0.lock().unwrap();
        let mut queue = Queue::start(sink.clone(), 10);
        let (before, begun) = (DROPPED.get(), std::time::Instant::now());
        let line = [b'x'; 1024];
        for _ in 0..1000 {
            queue.write_all(&line).unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(DROPPED.get() - before >= 900);
        assert!(!queue.flush(Duration::from_millis(50)), "nobody reads");
        drop(held);
        assert!(queue.flush(Duration::from_secs(10)));
    }
}

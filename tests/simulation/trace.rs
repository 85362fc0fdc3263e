//! What happened in a run: as a number, by which two runs can be compared, and in words for who replays one.

use std::hash::{DefaultHasher, Hasher};

use tokio::time::Instant;

/// The events of one run.
#[derive(Debug)]
pub(crate) struct Trace {
    start: Instant,
    hash: DefaultHasher,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// A trace that is `kept`, or costs nothing.
    pub(crate) fn new(kept: bool) -> Self {
        Self { start: Instant::now(), hash: DefaultHasher::new(), lines: kept.then(Vec::new) }
    }

    /// Takes note of an event.
    pub(crate) fn note(&mut self, event: impl FnOnce() -> String) {
        let Some(lines) = &mut self.lines else { return };
        let line = format!("{:>7} {}", self.start.elapsed().as_millis(), event());
        self.hash.write(line.as_bytes());
        lines.push(line);
    }

    /// The number of all events so far.
    pub(crate) fn number(&self) -> u64 {
        self.hash.finish()
    }

    /// The events in words.
    pub(crate) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

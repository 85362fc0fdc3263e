//! Tells someone who waits how far a long piece of work has come.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Work shorter than this is not spoken of.
const SILENT: Duration = Duration::from_secs(1);
/// Between two lines on a terminal, where the next overwrites the last.
const TERMINAL: Duration = Duration::from_millis(200);
/// Between two lines in a log.
const LOG: Duration = Duration::from_secs(10);

/// Speaks on standard error, so that the result on standard output stays clean.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: bool,
    next: Instant,
    shown: bool,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), next: Instant::now() + SILENT, shown: false }
    }

    /// Says how far it is, when it is time to.
    pub(super) fn say(&mut self, how_far: impl FnOnce() -> String) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + if self.terminal { TERMINAL } else { LOG };
        self.shown = true;
        let (text, mut out) = (how_far(), std::io::stderr().lock());
        // Nobody may be there to read it.
        let _ = if self.terminal { write!(out, "\r\x1b[K{text}") } else { writeln!(out, "{text}") };
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown && self.terminal {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

//! The present moment, by the clock of the runtime.

use std::time::Instant;

/// The present moment: by the same clock as waits are counted, and where a test stops or turns that one, by what it shows.
pub(super) fn moment() -> Instant {
    tokio::time::Instant::now().into_std()
}

//! Waiting for a state, with one last moment for all that is waited for.

use std::time::{Duration, Instant};

/// The last moment: longer than anything takes on a machine that has much else to do. A test that passes never waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
///
/// # Panics
/// With what was waited for, when it does not hold in time.
pub fn wait_for(holds: impl FnMut() -> bool, what: impl Fn() -> String) {
    assert!(comes_true(PATIENCE, holds), "waited for {}", what());
}

/// Whether something holds within some time.
pub fn comes_true(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if begun.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// As [`wait_for`], for a test on a runtime of which others need the thread.
///
/// # Panics
/// With what was waited for, when it does not hold in time.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

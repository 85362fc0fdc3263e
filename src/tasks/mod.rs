//! Work that must go on: whatever serves for as long as the process runs goes through here, and begins anew after a panic.
//!
//! A panic is a defect, and one that some client may know how to repeat. It costs what was in hand and not the listener, the
//! thread or the watch, since a port that is bound and served by nobody is worse than one that is closed. The log tells where it
//! was; `rollcall_tasks_panicked_total` counts it.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt;

use crate::metrics::metrics;

metrics! {
    pub(crate) fn register;

    /// Panics of what serves for as long as the process runs.
    PANICKED: IntCounterVec["task"] =
        "rollcall_tasks_panicked_total", "Panics of tasks and threads that serve for as long as the process runs; each began anew";
}

/// The pause before a task begins anew: it may panic at once again.
const PAUSE: Duration = Duration::from_millis(100);

/// Awaits the work of a task; `None` once it has panicked, and may begin anew. What it left half done is for the caller to
/// judge.
pub(crate) async fn caught<T>(task: &'static str, work: impl Future<Output = T>) -> Option<T> {
    expect(task);
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => Some(done),
        Err(_) => {
            tell(task);
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

/// Does the work of a thread; `None` once it has panicked, and may begin anew. At once: its clients wait.
pub(crate) fn caught_here<T>(task: &'static str, work: impl FnOnce() -> T) -> Option<T> {
    expect(task);
    let done = catch_unwind(AssertUnwindSafe(work)).ok();
    if done.is_none() {
        tell(task);
    }
    done
}

/// Lets the counter be there before it counts: an alert sees it rise only then.
fn expect(task: &'static str) {
    let _ = PANICKED.with_label_values(&[task]);
}

/// The hook of the process has told of the panic itself.
fn tell(task: &'static str) {
    PANICKED.with_label_values(&[task]).inc();
    tracing::error!(task, "it panicked and begins anew");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_may_begin_anew_and_what_ends_has_ended() {
        let counted = || PANICKED.with_label_values(&["a test"]).get();
        let before = counted();
        let mut left = 3;
        let mut work = async || {
            left -= 1;
            assert!(left == 0, "not yet");
            "done"
        };
        let mut done = None;
        while done.is_none() {
            done = caught("a test", work()).await;
        }
        assert_eq!((done, counted() - before), (Some("done"), 2));
        assert_eq!(caught_here("a test", || 7), Some(7));
        assert_eq!(caught_here("a test", || panic!("meant")), None::<()>);
        assert_eq!(counted() - before, 3);
    }
}

//! When a snapshot is due: a plain function of what has changed and of the time.

use std::time::{Duration, Instant};

/// The least time between two snapshots, and with it what a crash may lose.
const LEAST: Duration = Duration::from_secs(10);

/// No more than a hundredth of the time goes into writing.
const SHARE: u32 = 100;

/// One that says the same is written again for the sake of its age after this time at most.
const FRESH: Duration = Duration::from_secs(300);

/// The state of a cluster that would be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Counts the changes.
    pub publications: u64,
    /// The Unix second up to which all is known to be true.
    pub true_at: u64,
}

/// The snapshots so far.
#[derive(Debug)]
pub struct Schedule {
    max_age: Duration,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    at: Instant,
    took: Duration,
    /// `None` when it failed.
    known: Option<Known>,
}

impl Schedule {
    /// No snapshot yet.
    pub fn new(max_age: Duration) -> Self {
        Self { max_age, last: None }
    }

    /// Whether a snapshot is to be written now.
    pub fn is_due(&self, known: Known, now: Instant) -> bool {
        let Some(last) = self.last else { return true };
        if now.saturating_duration_since(last.at) < LEAST.max(last.took * SHARE) {
            return false;
        }
        self.is_news(known)
    }

    /// Whether a snapshot would say something that the last one does not: a change, or that all is still so.
    pub fn is_news(&self, known: Known) -> bool {
        let Some(before) = self.last.and_then(|last| last.known) else { return true };
        let fresh = FRESH.min(self.max_age / 4).as_secs().max(1);
        known.publications != before.publications || known.true_at >= before.true_at.saturating_add(fresh)
    }

    /// A snapshot of this was written, or failed to be.
    pub fn done(&mut self, known: Option<Known>, now: Instant, took: Duration) {
        self.last = Some(Last { at: now, took, known });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn known(publications: u64, true_at: u64) -> Known {
        Known { publications, true_at }
    }

    #[test]
    fn the_first_is_due_at_once_and_changes_wait_for_the_interval() {
        let (mut schedule, start) = (Schedule::new(HOUR), Instant::now());
        assert!(schedule.is_due(known(1, 100), start));
        schedule.done(Some(known(1, 100)), start, Duration::from_millis(30));
        let second = |seconds| start + Duration::from_secs(seconds);
        assert!(!schedule.is_due(known(2, 101), second(9)));
        assert!(schedule.is_due(known(2, 101), second(10)));
        assert!(!schedule.is_due(known(1, 110), second(10)), "nothing has changed");
    }

    #[test]
    fn what_does_not_change_is_written_again_while_it_is_confirmed() {
        let (mut schedule, start) = (Schedule::new(HOUR), Instant::now());
        schedule.done(Some(known(1, 1000)), start, Duration::ZERO);
        let later = start + 5 * HOUR;
        assert!(!schedule.is_due(known(1, 1299), later), "the API server is away: what is known grows older");
        assert!(schedule.is_due(known(1, 1300), later));
        // A small bound on the age calls for more.
        let mut schedule = Schedule::new(Duration::from_secs(40));
        schedule.done(Some(known(1, 1000)), start, Duration::ZERO);
        assert!(schedule.is_due(known(1, 1010), later) && !schedule.is_due(known(1, 1009), later));
    }

    #[test]
    fn a_slow_disk_is_asked_less_often_and_a_failure_tried_again() {
        let (mut schedule, start) = (Schedule::new(HOUR), Instant::now());
        schedule.done(Some(known(1, 100)), start, Duration::from_secs(1));
        let second = |seconds| start + Duration::from_secs(seconds);
        assert!(!schedule.is_due(known(2, 100), second(99)) && schedule.is_due(known(2, 100), second(100)));
        schedule.done(None, start, Duration::ZERO);
        assert!(schedule.is_due(known(1, 100), second(10)) && !schedule.is_due(known(1, 100), second(9)));
    }
}

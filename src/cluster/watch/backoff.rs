//! How long to wait before the next try.

use std::time::{Duration, Instant};

use rand::RngExt;

/// Exponential, with full jitter: many servers that lost the same API server come back spread out.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    healthy: Duration,
    step: Duration,
    failed_at: Option<Instant>,
}

impl Backoff {
    /// Starts at `min`, doubles up to `max`, and starts again once nothing failed for `healthy`.
    pub(super) fn new(min: Duration, max: Duration, healthy: Duration) -> Self {
        Self { min, max, healthy, step: min, failed_at: None }
    }

    /// The wait after a failure at `now`: between an eighth of the step and the whole step.
    pub(super) fn after_failure(&mut self, now: Instant) -> Duration {
        if self.failed_at.is_some_and(|at| now.duration_since(at) > self.step + self.healthy) {
            self.step = self.min;
        }
        self.failed_at = Some(now);
        let wait = self.step.mul_f64(rand::rng().random_range(0.125..=1.0));
        self.step = (self.step * 2).min(self.max);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(800);
    const MAX: Duration = Duration::from_secs(30);
    const HEALTHY: Duration = Duration::from_secs(20);

    #[test]
    fn waits_grow_to_the_cap_and_stay_jittered() {
        let mut backoff = Backoff::new(MIN, MAX, HEALTHY);
        let now = Instant::now();
        let mut cap = MIN;
        for _ in 0..20 {
            let wait = backoff.after_failure(now);
            assert!(wait <= cap && wait >= cap / 9, "{wait:?} of {cap:?}");
            cap = (cap * 2).min(MAX);
        }
        let waits: Vec<Duration> = (0..50).map(|_| backoff.after_failure(now)).collect();
        assert!(waits.iter().any(|wait| *wait > MAX / 2) && waits.iter().any(|wait| *wait < MAX / 2));
    }

    #[test]
    fn a_healthy_time_starts_it_again() {
        let mut backoff = Backoff::new(MIN, MAX, HEALTHY);
        let now = Instant::now();
        for _ in 0..10 {
            backoff.after_failure(now);
        }
        assert!(backoff.after_failure(now + MAX + HEALTHY + MIN) <= MIN);
    }

    #[test]
    fn the_wait_itself_does_not_count_as_healthy() {
        let mut backoff = Backoff::new(MIN, MAX, HEALTHY);
        let now = Instant::now();
        for _ in 0..10 {
            backoff.after_failure(now);
        }
        assert!(backoff.after_failure(now + MAX) >= MAX / 9);
    }
}

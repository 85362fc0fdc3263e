//! The second by which zones are numbered and arrivals are dated: that of the wall clock, but it never goes back.
//!
//! A secondary that holds a zone under a serial takes no older one, so a clock that is set back must not show there.

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::wire::Serial;

/// The wall clock that a mirror reads. All mirrors of a process share one, so that none goes back behind another whose place
/// it takes; a test hands in its own.
#[derive(Clone)]
pub struct WallClock(Arc<SharedClock>);

struct SharedClock {
    /// The time since 1970.
    read: Box<dyn Fn() -> Duration + Send + Sync>,
    last: Mutex<Clock>,
}

/// The last second that was given, and when.
#[derive(Debug, Default)]
pub(super) struct Clock(Option<(Instant, u32)>);

impl WallClock {
    /// A clock that shows what `read` says: the time since 1970, which may jump as it likes.
    pub fn new(read: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(SharedClock { read: Box::new(read), last: Mutex::default() }))
    }

    /// The second that belongs to a moment.
    pub(super) fn second(&self, now: Instant) -> u32 {
        let since = self.since_1970();
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner).second(now, since)
    }

    /// The time since 1970, as the clock has it.
    pub(super) fn since_1970(&self) -> Duration {
        (self.0.read)()
    }
}

impl Default for WallClock {
    /// The clock of this process, one for all.
    fn default() -> Self {
        static OF_PROCESS: LazyLock<WallClock> =
            LazyLock::new(|| WallClock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()));
        OF_PROCESS.clone()
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WallClock").field("last", &self.0.last).finish_non_exhaustive()
    }
}

impl Clock {
    /// The second of a moment at which so much is said to have passed since 1970: that one, or where it lies before the last,
    /// that of a clock which was not set back.
    pub(super) fn second(&mut self, now: Instant, since: Duration) -> u32 {
        let wall = whole(since);
        if let Some((then, last)) = self.0 {
            let least = last.wrapping_add(whole(now.saturating_duration_since(then)));
            if wall != least && !Serial(wall).is_after(Serial(least)) {
                return least;
            }
        }
        self.0 = Some((now, wall));
        wall
    }
}

/// Seconds are counted modulo 2^32 (RFC 1982).
#[expect(clippy::cast_possible_truncation, reason = "a serial wraps")]
fn whole(since: Duration) -> u32 {
    since.as_secs() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_never_goes_back_and_goes_on_meanwhile() {
        let (mut clock, start) = (Clock::default(), Instant::now());
        let mut at = |milliseconds: u64, wall: u64| {
            clock.second(start + Duration::from_millis(milliseconds), Duration::from_secs(wall))
        };
        assert_eq!((at(0, 1000), at(900, 1000), at(1000, 1001)), (1000, 1000, 1001));
        // Set back by 600 s: it goes on by the time that passes.
        assert_eq!((at(1500, 401), at(2000, 402), at(62_500, 462)), (1001, 1002, 1062));
        // Right again, or ahead.
        assert_eq!((at(63_000, 1063), at(64_000, 5000), at(65_000, 5001)), (1063, 5000, 5001));
        // Before 1970, as far as the clock knows.
        assert_eq!(at(66_000, 0), 5002);
    }

    #[test]
    fn the_second_goes_on_past_the_last_serial() {
        let (mut clock, now) = (Clock::default(), Instant::now());
        for (wall, second) in [(u64::from(u32::MAX), u32::MAX), (1 << 32, 0), ((1 << 32) + 7, 7)] {
            assert_eq!(clock.second(now, Duration::from_secs(wall)), second);
        }
        // Two behind is behind, whatever the numbers are.
        assert_eq!(clock.second(now, Duration::from_secs((1 << 32) - 2)), 7);
    }
}

//! The second by which zones are numbered and arrivals are dated: that of the wall clock, but it never goes back.
//!
//! A secondary that holds a zone under a serial takes no older one, so a clock that is set back must not show there.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::wire::Serial;

/// The last second that was given, and when.
#[derive(Debug, Default)]
pub(super) struct Clock(Option<(Instant, u32)>);

/// The moment and the second of this process. All of its zones share them, so that none goes back behind another whose
/// place it takes.
pub(super) fn now() -> (Instant, u32) {
    static CLOCK: Mutex<Clock> = Mutex::new(Clock(None));
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    (now, clock.second(now, since))
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

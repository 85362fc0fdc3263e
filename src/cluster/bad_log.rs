//! One line for each bad object and minute: one that changes all the time must not fill the log.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::facts::{BadObject, Kind};

/// The time in which an object is not named again.
const QUIET: Duration = Duration::from_secs(60);

/// The number of objects that are remembered; more than that in a minute are counted only.
const MOST: usize = 1000;

/// The bad objects of the last minute.
#[derive(Debug, Default)]
pub(super) struct BadLog(HashMap<(Kind, String, String), LoggedFault>);

#[derive(Debug)]
struct LoggedFault {
    at: Instant,
    unsaid: u64,
}

impl BadLog {
    /// Whether a line is due, and then how many were left out since the last.
    pub(super) fn note(&mut self, bad: &BadObject, now: Instant) -> Option<u64> {
        let recent = |said: &LoggedFault| now.saturating_duration_since(said.at) < QUIET;
        let key = (bad.kind, bad.namespace.clone(), bad.name.clone());
        if let Some(said) = self.0.get_mut(&key) {
            if recent(said) {
                said.unsaid += 1;
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.unsaid));
        }
        if self.0.len() >= MOST {
            self.0.retain(|_, said| recent(said));
            if self.0.len() >= MOST {
                return None;
            }
        }
        self.0.insert(key, LoggedFault { at: now, unsaid: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(name: &str) -> BadObject {
        BadObject { kind: Kind::Service, namespace: "default".into(), name: name.into(), why: "port 70000".into() }
    }

    #[test]
    fn a_bad_object_is_named_once_a_minute_and_then_counted() {
        let (mut log, now) = (BadLog::default(), Instant::now());
        assert_eq!(log.note(&bad("web"), now), Some(0));
        assert_eq!(log.note(&bad("db"), now), Some(0), "each object by itself");
        for second in 1..60 {
            assert_eq!(log.note(&bad("web"), now + Duration::from_secs(second)), None);
        }
        assert_eq!(log.note(&bad("web"), now + QUIET), Some(59));
        assert_eq!(log.note(&bad("web"), now + QUIET * 3), Some(0));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_room_comes_again() {
        let (mut log, now) = (BadLog::default(), Instant::now());
        let lines = (0..2 * MOST).filter(|index| log.note(&bad(&index.to_string()), now).is_some()).count();
        assert_eq!((lines, log.0.len()), (MOST, MOST));
        assert_eq!(log.note(&bad("late"), now + QUIET), Some(0));
        assert_eq!(log.0.len(), 1);
    }
}

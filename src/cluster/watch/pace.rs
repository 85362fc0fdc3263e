//! How long to wait before the next try: each sort of trouble has waits of its own, so that none is paid for another.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::options::Timing;

/// Sorts of trouble, by how they end and what a try costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TroubleSort {
    /// Nobody answers. That costs nobody anything, and ends without a word.
    Away,
    /// The server answers that it cannot, or not now.
    Failing,
    /// A list that is to be confirmed before it is believed.
    Doubtful,
    /// The server does not know us, or forbids. What it said may be of old credentials, which are read anew.
    Denied,
    /// Our place in the stream of changes is lost. Each restart of an API server says so to everybody, once.
    Lost,
    /// Refused for good, unreadable, or ended as soon as it began: what lasts until somebody mends it.
    Unusable,
}

/// The waits of one loop. Exponential, with full jitter: many servers that lost one API server come back spread out.
#[derive(Debug)]
pub(super) struct Pace {
    min: Duration,
    max: Duration,
    longest: Duration,
    patience: Duration,
    healthy: Duration,
    sorts: [Option<Steps>; 6],
    chance: SmallRng,
}

/// The failures of one sort.
#[derive(Clone, Copy, Debug)]
struct Steps {
    since: Instant,
    last: Instant,
    step: Duration,
}

impl Pace {
    /// Waits start at `backoff_min`, grow fourfold up to `backoff_max`, and start again once nothing failed for `healthy`.
    ///
    /// All chance of a loop comes from `seed`.
    pub(super) fn new(timing: &Timing, seed: u64) -> Self {
        Self {
            min: timing.backoff_min,
            max: timing.backoff_max,
            longest: timing.backoff_longest,
            patience: timing.patience,
            healthy: timing.healthy,
            sorts: [None; 6],
            chance: SmallRng::seed_from_u64(seed),
        }
    }

    /// The wait after a failure at `now`: between an eighth of the step and the whole step.
    pub(super) fn after(&mut self, sort: TroubleSort, now: Instant) -> Duration {
        let fresh = Steps { since: now, last: now, step: self.min };
        let Some(place) = self.sorts.get_mut(sort as usize) else { return self.max };
        let known = place.filter(|known| now.saturating_duration_since(known.last) <= known.step + self.healthy);
        if known.is_none() && sort.is_tried_again_at_once() {
            *place = Some(fresh);
            return Duration::ZERO;
        }
        let Steps { since, step, .. } = known.unwrap_or(fresh);
        // What lasts until somebody mends it is asked for less and less, and found mended after a sixtieth of its time.
        let lasting = if sort.ends_by_itself() { Duration::ZERO } else { now.saturating_duration_since(since) / 60 };
        let most = self.max.max(lasting.min(self.longest));
        *place = Some(Steps { since, last: now, step: (step * 4).min(most) });
        self.jittered(step.min(most))
    }

    /// The part that a server is given of the wait it asks for: within a second, the truth is to be there once it is well
    /// again, and more the longer it is not.
    pub(super) fn granted(&self, asked: Duration, sort: TroubleSort, now: Instant) -> Duration {
        let since = self.sorts.get(sort as usize).copied().flatten().map_or(now, |known| known.since);
        let lasting = now.saturating_duration_since(since) / 60;
        asked.min(lasting.max(self.patience).min(self.longest))
    }

    /// A part of a wait, so that many who begin it together do not end it together.
    pub(super) fn jittered(&mut self, wait: Duration) -> Duration {
        wait.mul_f64(self.chance.random_range(0.125..=1.0))
    }

    /// A time between two, so that many who begin together do not end together.
    pub(super) fn between(&mut self, min: Duration, max: Duration) -> Duration {
        if min >= max { min } else { self.chance.random_range(min..max) }
    }

    /// A watch has worked: what kept it from going on is over, and what comes next begins anew.
    pub(super) fn worked(&mut self) {
        for sort in [TroubleSort::Away, TroubleSort::Failing] {
            self.sorts.get_mut(sort as usize).into_iter().for_each(|place| *place = None);
        }
    }
}

impl TroubleSort {
    fn is_tried_again_at_once(self) -> bool {
        matches!(self, Self::Denied | Self::Lost)
    }

    fn ends_by_itself(self) -> bool {
        matches!(self, Self::Away | Self::Failing | Self::Doubtful)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BinaryHeap;

    use super::*;

    const ALL: [TroubleSort; 6] = [
        TroubleSort::Away,
        TroubleSort::Failing,
        TroubleSort::Doubtful,
        TroubleSort::Denied,
        TroubleSort::Lost,
        TroubleSort::Unusable,
    ];

    fn pace() -> Pace {
        Pace::new(&Timing::default(), rand::random())
    }

    /// So many failures, all at one moment.
    fn fail(pace: &mut Pace, sort: TroubleSort, times: usize, now: Instant) {
        for _ in 0..times {
            pace.after(sort, now);
        }
    }

    #[test]
    fn waits_grow_to_the_cap_and_stay_jittered() {
        let (mut pace, timing, now) = (pace(), Timing::default(), Instant::now());
        let mut cap = timing.backoff_min;
        for _ in 0..20 {
            let wait = pace.after(TroubleSort::Away, now);
            assert!(wait <= cap && wait >= cap / 9, "{wait:?} of {cap:?}");
            cap = (cap * 4).min(timing.backoff_max);
        }
        let waits: Vec<Duration> = (0..50).map(|_| pace.after(TroubleSort::Away, now)).collect();
        let half = timing.backoff_max / 2;
        assert!(waits.iter().any(|wait| *wait > half) && waits.iter().any(|wait| *wait < half));
    }

    #[test]
    fn no_sort_of_trouble_waits_for_another() {
        let (mut pace, now) = (pace(), Instant::now());
        fail(&mut pace, TroubleSort::Away, 20, now);
        assert!(pace.after(TroubleSort::Failing, now) <= Timing::default().backoff_min);
        assert_eq!(pace.after(TroubleSort::Lost, now), Duration::ZERO, "a first 410 is listed at once");
        assert!(pace.after(TroubleSort::Lost, now) > Duration::ZERO, "a second is not");
        assert_eq!(pace.after(TroubleSort::Denied, now), Duration::ZERO, "new credentials may be there already");
    }

    #[test]
    fn a_healthy_time_starts_it_again_and_the_wait_itself_is_none() {
        let Timing { backoff_min, backoff_max, healthy, .. } = Timing::default();
        let (mut pace, now) = (pace(), Instant::now());
        fail(&mut pace, TroubleSort::Away, 10, now);
        assert!(pace.after(TroubleSort::Away, now + backoff_max) >= backoff_max / 9);
        assert!(pace.after(TroubleSort::Away, now + backoff_max * 3 + healthy) <= backoff_min);
    }

    #[test]
    fn a_watch_that_worked_ends_the_outage_but_not_what_it_does_not_disprove() {
        let (mut pace, now) = (pace(), Instant::now());
        ALL.iter().for_each(|sort| fail(&mut pace, *sort, 10, now));
        pace.worked();
        assert!(pace.after(TroubleSort::Away, now) <= Timing::default().backoff_min);
        assert!(pace.after(TroubleSort::Lost, now) >= Timing::default().backoff_max / 9);
    }

    #[test]
    fn what_lasts_is_asked_for_less_and_less_and_an_outage_never_waits_long() {
        let timing = Timing::default();
        let (mut pace, mut now, begun) = (pace(), Instant::now(), Instant::now());
        let mut tries = 0;
        while now < begun + Duration::from_secs(3600) {
            let outage = pace.after(TroubleSort::Away, now);
            let wait = pace.after(TroubleSort::Denied, now);
            assert!(outage <= timing.backoff_max && wait <= timing.backoff_longest);
            assert!(wait <= timing.backoff_max.max(now.duration_since(begun) / 60));
            now += wait.max(Duration::from_millis(1));
            tries += 1;
        }
        assert!((200..1500).contains(&tries), "{tries} tries in an hour");
    }

    #[test]
    fn a_server_that_asks_for_much_gets_less_than_a_second_and_more_the_longer_it_lasts() {
        let (mut pace, now) = (pace(), Instant::now());
        let granted = |pace: &Pace, asked, after| {
            pace.granted(Duration::from_secs(asked), TroubleSort::Failing, now + Duration::from_secs(after)).as_millis()
        };
        // The wait, its jitter, and the requests that follow are to be over within a second.
        let Timing { patience, backoff_min, .. } = Timing::default();
        assert!(patience + backoff_min <= Duration::from_millis(900), "{patience:?}");
        let at_first = patience.as_millis();
        pace.after(TroubleSort::Failing, now);
        assert_eq!([granted(&pace, 1, 0), granted(&pace, 0, 0)], [at_first, 0]);
        assert_eq!(granted(&pace, 86_400, 0), at_first);
        assert_eq!([granted(&pace, 32, 300), granted(&pace, 86_400, 9000)], [5_000, 30_000]);
    }

    /// The loops of many servers, over a clock that is turned by hand: the API server goes away at one moment, and comes
    /// back at another. Gives when each request came, in milliseconds since the latter.
    fn stampede(servers: usize, away: Duration, seen: &mut Vec<i64>) {
        let begin = Instant::now();
        let back = begin + away;
        for _ in 0..servers {
            // Three loops; the first good sign of one wakes the others.
            let mut paces = [pace(), pace(), pace()];
            let mut due = BinaryHeap::new();
            for (index, pace) in paces.iter_mut().enumerate() {
                due.push(std::cmp::Reverse((begin + pace.after(TroubleSort::Away, begin), index)));
            }
            while let Some(std::cmp::Reverse((now, index))) = due.pop() {
                seen.push(now.saturating_duration_since(begin).as_millis() as i64 - away.as_millis() as i64);
                if now >= back {
                    break;
                }
                due.push(std::cmp::Reverse((now + paces[index].after(TroubleSort::Away, now), index)));
            }
        }
    }

    #[test]
    fn a_thousand_servers_come_back_within_a_second_and_not_at_once() {
        let mut seen = Vec::new();
        stampede(1000, Duration::from_secs(20), &mut seen);
        let back: Vec<i64> = seen.iter().copied().filter(|at| *at >= 0).collect();
        assert_eq!(back.len(), 1000);
        assert!(back.iter().all(|at| *at <= 1000), "all are back within a second");
        let most = |times: &[i64], width: i64| {
            let mut counts = std::collections::HashMap::new();
            times.iter().for_each(|at| *counts.entry(at.div_euclid(width)).or_insert(0) += 1);
            counts.into_values().max().unwrap_or(0)
        };
        assert!(most(&back, 10) <= 150, "{} of 1,000 came in the same 10 ms", most(&back, 10));
        let away: Vec<i64> = seen.iter().copied().filter(|at| *at < 0).collect();
        assert!(away.len() <= 15 * 20 * 1000, "{} requests in 20 s of a thousand servers", away.len());
        let late: Vec<i64> = away.iter().copied().filter(|at| *at > -15_000).collect();
        assert!(most(&late, 100) <= 15 * 100, "{} in the same 100 ms", most(&late, 100));
        // Nor at the moment at which all watches broke.
        assert!(most(&away, 10) <= 1000, "{} of 3,000 loops in the same 10 ms", most(&away, 10));
    }
}

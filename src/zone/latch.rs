//! A truth that nobody takes back: whoever sees it sees all that was published before it was told.
//!
//! The parts of a zone are pointers, each exchanged on its own; that all of them are there is said by these alone. So they order memory,
//! and nothing else of ours does: pointers are arc-swap's, and counters are only added up. The tests below try every way in which
//! two threads can meet: `just loom`.

#[cfg(all(test, rollcall_loom))]
use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(all(test, rollcall_loom)))]
use std::sync::atomic::{AtomicBool, Ordering};

/// False at first, and true for ever once it is set.
#[derive(Debug)]
pub(super) struct Latch(AtomicBool);

impl Latch {
    /// Not set yet.
    pub(super) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Sets it, once everything that it stands for is published.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is set. Whoever wants to know what absence means asks this first, and looks then.
    #[inline]
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(all(test, rollcall_loom))]
mod tests {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;

    use super::*;

    /// A zone of two parts, which order nothing by themselves.
    struct Zone {
        parts: [AtomicUsize; 2],
        endpoints: Latch,
        synced: Latch,
    }

    impl Zone {
        fn all(&self) -> bool {
            self.parts.iter().all(|part| part.load(Ordering::Relaxed) == 1)
        }
    }

    /// Lets a reader meet a writer in every way.
    fn meet(reader: fn(&Zone)) {
        loom::model(move || {
            let parts = [AtomicUsize::new(0), AtomicUsize::new(0)];
            let zone = Arc::new(Zone { parts, endpoints: Latch::new(), synced: Latch::new() });
            let writer = loom::thread::spawn({
                let zone = zone.clone();
                move || {
                    zone.parts[0].store(1, Ordering::Relaxed);
                    zone.parts[1].store(1, Ordering::Relaxed);
                    zone.endpoints.set();
                    zone.synced.set();
                }
            });
            reader(&zone);
            writer.join().unwrap();
            assert!(zone.endpoints.is_set() && zone.synced.is_set() && zone.all());
        });
    }

    #[test]
    fn whoever_sees_that_a_zone_is_complete_sees_all_of_it() {
        meet(|zone| assert!(!zone.endpoints.is_set() || zone.all()));
        meet(|zone| assert!(!zone.synced.is_set() || zone.endpoints.is_set() && zone.all()));
    }

    #[test]
    #[should_panic(expected = "missed")]
    fn whoever_looks_first_and_asks_then_may_take_what_it_missed_for_absent() {
        meet(|zone| {
            let all = zone.all();
            assert!(all || !zone.synced.is_set(), "missed");
        });
    }
}

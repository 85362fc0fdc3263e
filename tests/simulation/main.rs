//! The whole write path in a world of its own: from the API server's octets to what a client reads, under virtual time.
//!
//! A seed decides what the cluster does, what goes wrong and when, and what chance there is in the server itself; the same seed
//! is the same run. `ROLLCALL_SEEDS=1000000` runs more of them, `ROLLCALL_SEED=7` one, with all that happens in it. What is
//! promised stands in `oracle.rs`, and for readers in `docs/proof.md`.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod api;
mod ask;
mod chance;
mod etcd;
mod faults;
mod objects;
mod oracle;
mod run;
mod trace;
mod workload;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use run::{Keep, run};

/// Seeds that `cargo test` runs.
const SEEDS: u64 = 10_000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

#[test]
fn no_promise_is_broken() {
    if let Some(seed) = number("ROLLCALL_SEED") {
        let outcome = run(seed, Keep::Words);
        outcome.lines.iter().for_each(|line| println!("{line}"));
        assert_eq!(outcome.broken, None, "seed {seed}");
        return;
    }
    let (first, seeds) = (number("ROLLCALL_SEED_FIRST").unwrap_or(1), number("ROLLCALL_SEEDS").unwrap_or(SEEDS));
    let (next, begun) = (AtomicU64::new(first), Instant::now());
    let (lasted, looks, changes, faults) = Default::default();
    let totals: [AtomicU64; 4] = [lasted, looks, changes, faults];
    let broken = std::sync::Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        break;
                    }
                    let outcome = run(seed, Keep::Nothing);
                    let numbers = [outcome.lasted, outcome.looks, outcome.changes as u64, outcome.faults as u64];
                    totals.iter().zip(numbers).for_each(|(total, own)| {
                        total.fetch_add(own, Ordering::Relaxed);
                    });
                    if let Some(wrong) = outcome.broken {
                        println!(
                            "seed {seed}: {wrong}\n  ROLLCALL_SEED={seed} cargo test --test simulation -- --nocapture"
                        );
                        broken.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let [lasted, looks, changes, faults] = totals.map(AtomicU64::into_inner);
    println!(
        "{seeds} seeds in {:?}: {} h of theirs, {changes} changes, {faults} faults, {looks} versions looked at",
        begun.elapsed(),
        lasted / 3_600_000
    );
    let broken = broken.into_inner().unwrap();
    assert!(broken.is_empty(), "{} of {seeds} seeds break a promise: {broken:?}", broken.len());
}

/// Seeds that found something, and what: each breaks a promise without its mend.
const FOUND: &[(u64, &str)] = &[
    (45, "a first list of nothing was an empty cluster"),
    (103, "a server that asked for ten seconds got more than the second in which the truth is to be there"),
    (111, "an event older than the list that a watch began from brought a pod back"),
    (3766, "a Service that came again amid a list had the endpoints of a page, and the pointers of before"),
    (7636, "a Service that was deleted amid a list of slices was answered to the end of that list"),
    (8359, "a page of a list of a cluster that was set back made one Service of two versions"),
];

#[test]
fn what_was_found_stays_mended() {
    for (seed, what) in FOUND {
        assert_eq!(run(*seed, Keep::Nothing).broken, None, "seed {seed}: {what}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1..=100 {
        let (one, other) = (run(seed, Keep::Words), run(seed, Keep::Words));
        let differs = one.lines.iter().zip(&other.lines).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.number, other.number, "seed {seed}");
    }
}

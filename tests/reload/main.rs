//! A reload brings what the Corefile says, for each directive there is: two Corefiles that differ in it, what a client or an
//! operator sees under the first and, after SIGUSR1, under the second, and no query lost on the way.
//!
//! Where `COREDNS` names a CoreDNS, it goes through the same table.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod effects;
mod load;
mod place;
mod table;
mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rollcall_testing::{coredns, program};

use load::Load;
use place::Place;
use table::{ROWS, Reference, Row};
use world::World;

#[test]
fn each_directive_has_a_row() {
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.directive).collect();
    let directives: BTreeSet<&str> = rollcall::plugins::directive_names().into_iter().collect();
    assert_eq!(rows, directives);
}

#[test]
fn a_reload_brings_what_the_corefile_says_and_loses_no_query() {
    let faults = all(|world, row| {
        let (load, faults) = try_row(world, &program(), row, row.seen);
        faults.into_iter().chain((load.lost() > 0).then(|| format!("{} queries were lost", load.lost()))).collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_reload_brings_what_it_brings_in_coredns() {
    let Some(coredns) = coredns() else { return };
    let faults = all(|world, row| {
        let seen = match row.reference {
            Reference::Same => row.seen,
            Reference::Differs { because, seen } => {
                eprintln!("{}: differs, {because}", row.directive);
                seen
            }
        };
        try_row(world, &coredns, row, seen).1
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What went wrong in any row, by its directive. Some rows are tried side by side, as most of their time is waiting.
fn all(try_row: impl Fn(&Arc<World>, &Row) -> Vec<String> + Sync) -> Vec<String> {
    let only = std::env::var("RELOAD_ONLY").ok();
    let rows: Vec<&Row> = ROWS.iter().filter(|row| only.as_deref().is_none_or(|only| row.directive == only)).collect();
    let world = Arc::new(World::new());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut faults = Vec::new();
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
            let said = try_row(&world, row);
            faults.extend(said.into_iter().map(|fault| format!("{}: {fault}", row.directive)));
        }
        faults
    };
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for _ in 0..4 {
            workers.push(scope.spawn(work));
        }
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// Goes through one row with a server, queries all the time.
fn try_row(world: &Arc<World>, program: &Path, row: &Row, seen: [&str; 2]) -> (Load, Vec<String>) {
    let mut place = Place::start(program, world, row.corefiles[0]);
    let load = Load::start(place.port());
    let mut faults = Vec::new();
    let mut step = |place: &Place, when: &str, expected: &str| {
        let found = place.until(row.effect, expected);
        if found != expected {
            faults.push(format!("{when} the reload `{found}` is seen, not `{expected}`: {}", place.log_end()));
        }
    };
    step(&place, "before", seen[0]);
    match place.reload(row.corefiles[1]) {
        Ok(()) => step(&place, "after", seen[1]),
        Err(said) => faults.push(format!("the reload fails: {said}")),
    }
    load.goes_on();
    (load.end(), faults)
}

//! What campaigns have learned of each target, run again.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rollcall_fuzz::{TARGETS, corpus};

#[test]
fn what_campaigns_have_learned_holds() {
    std::thread::scope(|scope| {
        for target in TARGETS {
            scope.spawn(move || {
                let inputs = corpus::inputs(target.name);
                assert!(inputs.len() > 4, "{}: {} inputs teach little", target.name, inputs.len());
                for octets in inputs {
                    let outcome = catch_unwind(|| target.run(&octets));
                    assert!(outcome.is_ok(), "{}: {}", target.name, octets.escape_ascii());
                }
            });
        }
    });
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let folder = rollcall_testing::repository("tests/fuzz/corpus/learned");
    let files: BTreeSet<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| format!("{}.txt", target.name)).collect();
    assert_eq!(files, targets);
    let octets: u64 = TARGETS.iter().map(|target| fs::metadata(corpus::file(target.name)).unwrap().len()).sum();
    assert!(
        octets < 1 << 20,
        "{octets} octets are more than a corpus is worth: `campaign keep` leaves out what teaches nothing"
    );
}

#[test]
fn octets_that_nobody_has_learned_hold_as_well() {
    for target in TARGETS {
        let mut runner =
            TestRunner::new(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() });
        let octets = proptest::collection::vec(any::<u8>(), 0..target.longest);
        let outcome = runner.run(&octets, |octets| {
            target.run(&octets);
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{}: {failure}", target.name));
    }
}

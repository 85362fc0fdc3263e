//! Messages: read, written and read again, and asked of one snapshot.

use hickory_proto::op::Message as Oracle;
use proptest::prelude::*;
use rollcall::wire::{Parsed, parse};
use rollcall::zone::{Answered, Seeds, View, answer};
use rollcall_fuzz::messages::{message, question};
use rollcall_testing::world::World;

use super::{a_message, a_query_with_records, corpus};

/// A snapshot with Services of every kind.
fn world() -> World {
    World::of(include_str!("../e2e/cluster.yaml"))
}

/// The snapshot answers within the limit, with the question's own id, or leaves the question to others.
fn is_answered(view: &View, octets: &[u8], limit: usize) {
    let Parsed::Query(question) = parse(octets) else { return };
    let mut buffer = vec![0xaa; limit + 64];
    match answer(&question, view, limit, true, Seeds { order: 3, choice: &|| 3 }, &mut buffer) {
        Answered::Reply { len, rcode, truncated, .. } => {
            assert!(len <= limit && buffer[limit..].iter().all(|octet| *octet == 0xaa), "nothing is written behind");
            let reply = Oracle::from_vec(&buffer[..len]).unwrap_or_else(|error| panic!("{error}: {octets:02x?}"));
            assert_eq!(reply.metadata.id, question.id);
            assert_eq!((u16::from(reply.metadata.response_code), reply.metadata.truncation), (rcode.0, truncated));
        }
        Answered::NotInZone | Answered::Fallthrough => {}
        Answered::Chase { targets } => assert!(!targets.is_empty()),
    }
}

#[test]
fn the_corpus_is_read_written_and_answered() {
    let world = world();
    let view = world.view();
    let corpus = corpus();
    assert!(corpus.len() > 60);
    for (name, octets) in &corpus {
        let outcome = std::panic::catch_unwind(|| {
            question(octets);
            message(octets);
        });
        assert!(outcome.is_ok(), "{name}");
        for limit in [512, 1232, 65_535] {
            is_answered(&view, octets, limit);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_are_read_or_refused(octets in a_message()) {
        question(&octets);
    }

    #[test]
    fn queries_with_records_behind_the_question_are_read_alike_or_refused(octets in a_query_with_records()) {
        question(&octets);
    }

    #[test]
    fn what_is_read_is_written_and_read_again(octets in a_message()) {
        message(&octets);
    }
}

#[test]
fn one_snapshot_answers_any_question_within_its_limit() {
    let world = world();
    let view = world.view();
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 3000, ..ProptestConfig::default() });
    runner
        .run(&(a_message(), 512..4096usize), |(octets, limit)| {
            is_answered(&view, &octets, limit);
            Ok(())
        })
        .unwrap();
}

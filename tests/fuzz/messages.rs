//! Messages: read, written and read again, and asked of one snapshot.

use hickory_proto::op::Message as Oracle;
use proptest::prelude::*;
use rollcall::wire::message::{Size, decode, decode_query, encode};
use rollcall::wire::{Parsed, Rcode, error_reply, parse};
use rollcall::zone::{Answered, Seeds, View, answer};
use rollcall_testing::world::World;

use super::{a_message, a_query_with_records, corpus};

/// The reader agrees with itself and with the oracle about what the question is.
fn is_read(octets: &[u8]) {
    let mut reply = vec![0; 4096];
    match parse(octets) {
        Parsed::Query(question) => {
            assert_eq!(question.id.to_be_bytes(), octets[..2]);
            assert!(question.end <= octets.len() && question.qname.as_wire().len() <= 255);
            assert!(question.spelling().eq_ignore_ascii_case(question.qname.as_wire()));
            let len = error_reply(octets, Some(&question), Rcode::SERVFAIL, &mut reply);
            let back = Oracle::from_vec(&reply[..len]).unwrap();
            assert_eq!((back.metadata.id, back.queries.len()), (question.id, 1));
            // One verdict on every path: plugins read what the reader took, and find the same in it.
            let oracle = decode_query(octets).unwrap_or_else(|failure| panic!("{failure}: {octets:02x?}"));
            let asked = oracle.queries.first().unwrap();
            assert_eq!((asked.query_type().into(), asked.query_class().into()), (question.qtype, question.qclass));
            let spelling: Vec<u8> =
                asked.name().iter().flat_map(|label| [&[label.len() as u8], label].concat()).collect();
            assert_eq!([&spelling[..], &[0]].concat(), question.spelling());
            let edns = oracle.edns.as_ref().map(|edns| (edns.max_payload(), edns.version(), edns.flags().dnssec_ok));
            let own = question.edns.map(|edns| (edns.payload.max(512), edns.version, edns.dnssec_ok));
            assert_eq!(edns, own, "{octets:02x?}");
        }
        Parsed::Refuse { question, .. } => {
            let len = error_reply(octets, question.as_ref(), Rcode::FORMERR, &mut reply);
            assert!(len >= 12 && reply[2] & 0x80 != 0, "an error answer is an answer");
        }
        Parsed::Drop => {}
    }
}

/// What can be read can be written, and is the same when it is read again.
fn is_written(octets: &[u8]) {
    let Ok(message) = decode(octets) else { return };
    let mut written = Vec::new();
    if encode(&message, Size::tcp(), 0, &mut written) {
        // More than a message holds: what is left is still a message.
        decode(&written).unwrap();
        return;
    }
    let again = decode(&written).unwrap_or_else(|failure| panic!("{failure}: {octets:02x?} became {written:02x?}"));
    assert_eq!((again.metadata.id, &again.queries), (message.metadata.id, &message.queries));
    assert_eq!(again.answers, message.answers);
    assert_eq!(again.authorities, message.authorities);
    assert_eq!(again.additionals, message.additionals);
    let mut once_more = Vec::new();
    assert!(!encode(&again, Size::tcp(), 0, &mut once_more));
    assert_eq!(once_more, written);
}

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
            is_read(octets);
            is_written(octets);
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
        is_read(&octets);
    }

    #[test]
    fn queries_with_records_behind_the_question_are_read_alike_or_refused(octets in a_query_with_records()) {
        is_read(&octets);
    }

    #[test]
    fn what_is_read_is_written_and_read_again(octets in a_message()) {
        is_written(&octets);
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

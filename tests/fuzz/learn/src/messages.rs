//! DNS messages: questions, whole messages, answers that are cut, messages on a stream.

use std::collections::BTreeMap;

use hickory_proto::op::Message as Oracle;
use rollcall::fuzzing;
use rollcall::wire::message::{Message, Record, Size, decode, decode_query, encode, finish_octets, present};
use rollcall::wire::{Edns, Flags, Header, OwnEdns, Parsed, Rcode, Records, Rtype, check, error_reply, parse, respell};

use crate::octets::{Drawn, in_parts};

/// The reader agrees with itself and with the oracle about what the question is.
pub fn question(octets: &[u8]) {
    let mut reply = [0; 4096];
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
            // What is kept of it apart from the message says the same within the message.
            let again = question.detached();
            assert_eq!(again.within(octets).spelling(), question.spelling());
        }
        Parsed::Refuse { question, rcode } => {
            assert_ne!(rcode, Rcode::NOERROR);
            let len = error_reply(octets, question.as_ref(), rcode, &mut reply);
            assert!(len >= Header::LEN && reply[2] & 0x80 != 0, "an error answer is an answer");
            Oracle::from_vec(&reply[..len]).unwrap();
        }
        Parsed::Drop => assert!(octets.len() < Header::LEN || octets[2] & 0x80 != 0, "only answers are passed over"),
    }
}

/// What can be read can be written, and is the same when it is read again; what the door lets in, everything behind it can walk.
pub fn message(octets: &[u8]) {
    is_written(octets);
    let Ok(end) = check(octets) else { return };
    let records: Vec<_> = Records::new(octets).unwrap().map(|record| record.unwrap()).collect();
    assert_eq!(records.last().map_or(end, |last| last.end), end);
    let Some(asked) = spelled_question(octets) else { return };
    // Other letters of the question change the letters of names and nothing else.
    let mut other = octets.to_vec();
    let turned: Vec<u8> =
        asked.iter().map(|octet| if octet.is_ascii_alphabetic() { octet ^ 0x20 } else { *octet }).collect();
    assert_eq!(respell(&mut other, &turned), Ok(end));
    assert!(other.eq_ignore_ascii_case(octets) && spelled_question(&other) == Some(&turned));
    assert_eq!(respell(&mut other, asked), Ok(end));
    assert!(other.eq_ignore_ascii_case(octets) && spelled_question(&other) == Some(asked));
}

/// The name of the first question, where it is written without pointers.
fn spelled_question(octets: &[u8]) -> Option<&[u8]> {
    let questions = Header::of(octets)?.counts[0];
    let mut at = Header::LEN;
    while let len @ 1..=63 = *octets.get(at)? {
        at += 1 + usize::from(len);
    }
    (questions > 0 && octets.get(at) == Some(&0)).then(|| octets.get(Header::LEN..=at))?
}

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
    if check(octets).is_ok() {
        check(&written).unwrap_or_else(|failure| {
            panic!("{failure:?}: what came through the door goes through again: {written:02x?}")
        });
    }
}

/// An answer of another server, cut: a message within the limit that says of the whole what fits, and says when it is not all.
pub fn cut(octets: &[u8]) {
    let mut drawn = Drawn::new(octets);
    let (limit, seed, kind) = (drawn.take(2), drawn.octet(), drawn.octet());
    let whole = drawn.rest();
    let Ok(end) = check(whole) else { return };
    let whole = &whole[..end];
    let Some(Header { counts: [1, ..], .. }) = Header::of(whole) else { return };
    let question_end = Records::new(whole).unwrap().at();
    let limit = limit.iter().fold(0, |limit, octet| limit << 8 | usize::from(*octet)) % 2048;
    let over_udp = kind & 1 == 0;
    let size = Size { limit: limit.max(question_end + 16), over_udp };
    let query = (kind & 2 == 0).then_some(Edns { payload: 1232, version: 0, dnssec_ok: kind & 4 == 0, nsid: false });
    let cut = || finish_octets(whole.to_vec(), query, OwnEdns::DEFAULT, size, seed.into());
    let left = cut().unwrap_or_else(|failure| panic!("{failure:?}: {whole:02x?}"));
    assert!(left.len() <= size.limit, "{} of {}", left.len(), size.limit);
    assert_eq!(check(&left), Ok(left.len()), "{left:02x?}");
    assert_eq!(cut().unwrap(), left, "equal seeds make equal choices");
    let opts = Records::new(&left).unwrap().filter(|record| record.as_ref().unwrap().rtype == Rtype::OPT).count();
    assert_eq!(opts, usize::from(query.is_some()));
    let Ok(all) = decode(whole) else { return };
    let some = decode(&left).unwrap_or_else(|failure| panic!("{failure}: {left:02x?}"));
    assert_eq!(some.queries, all.queries);
    let lost = sections(&all).iter().zip(sections(&some)).map(|(all, some)| lost(all, some)).collect::<Vec<_>>();
    let (answers, truncated) = (some.answers.len(), Flags::of(&left).unwrap().has(Flags::TC));
    let told = lost[0] > 0 || lost[1] > 0 && (over_udp || answers == 0) || lost[2] > 0 && over_udp;
    assert_eq!(truncated, all.metadata.truncation || told, "{lost:?}");
    assert!(lost[0] == 0 || some.authorities.is_empty() && some.additionals.is_empty(), "nothing stands behind a hole");
}

fn sections(message: &Message) -> [&[Record]; 3] {
    [&message.answers, &message.authorities, &message.additionals]
}

/// How many records of a section are not there any more; those that are there were.
fn lost(all: &[Record], some: &[Record]) -> usize {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    all.iter().for_each(|record| *counts.entry(present(record)).or_default() += 1);
    for record in some {
        let count = counts.get_mut(&present(record)).filter(|count| **count > 0);
        *count.unwrap_or_else(|| panic!("{} comes from nowhere", present(record))) -= 1;
    }
    all.len() - some.len()
}

/// Messages on a stream come out as they went in, however it is cut, and no more of it is held than a query may have.
pub fn tcp(octets: &[u8]) {
    const LONGEST: usize = 4096;
    let mut drawn = Drawn::new(octets);
    let parts = drawn.below(8);
    let lengths = drawn.take(parts);
    let stream = drawn.rest();
    let mut expected = Vec::new();
    let mut at = 0;
    while let Some(&[high, low]) = stream.get(at..at + 2) {
        let len = usize::from(high) << 8 | usize::from(low);
        if !(12..=LONGEST).contains(&len) {
            // What is read of a message of no length for one is its header.
            expected.extend(stream.get(at + 2..at + 2 + len.min(12)).map(|octets| (octets.to_vec(), false)));
            break;
        }
        let Some(octets) = stream.get(at + 2..at + 2 + len) else { break };
        expected.push((octets.to_vec(), true));
        at += 2 + len;
    }
    let (mut found, mut held) = (Vec::new(), Vec::new());
    'all: for part in in_parts(stream, lengths) {
        held.extend_from_slice(part);
        while let Some((octets, is_query)) = fuzzing::first_message(&held) {
            found.push((octets.to_vec(), is_query));
            if !is_query {
                break 'all;
            }
            held.drain(..2 + found.last().map_or(0, |(octets, _)| octets.len()));
        }
        assert!(held.len() < 2 + LONGEST);
    }
    assert_eq!(found, expected);
}

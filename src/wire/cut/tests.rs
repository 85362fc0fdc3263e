use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::wire::Records;
use crate::wire::message::{Message, decode, present};

/// Cuts a message whose records are found by walking over them.
fn cut_whole(message: &[u8], shears: Shears) -> Result<(Vec<u8>, bool), Malformed> {
    let records = Records::new(message)?;
    let question_end = records.at();
    let found = records.collect::<Result<Vec<_>, _>>()?;
    let found: Vec<_> = found.into_iter().filter(|record| record.rtype != Rtype::OPT).collect();
    let mut counts = [0; 3];
    found.iter().for_each(|record| counts[usize::from(record.section)] += 1);
    let span = |at: usize| found.get(at).map(|record| record.owner..record.end);
    let mut out = vec![0xee; 65_535];
    let (len, truncated) = cut(&AnswerOctets { message, question_end, counts, span }, shears, &mut out)?;
    assert!(len <= shears.limit, "{len} of {}", shears.limit);
    out.truncate(len);
    Ok((out, truncated))
}

fn shears(limit: usize) -> Shears {
    Shears { limit, over_udp: true, ttl: None, seed: 7 }
}

/// A message: the question `www.example.org A`, and records as they are.
fn message(sections: [&[&[u8]]; 3]) -> Vec<u8> {
    let mut octets = vec![0xab, 0xcd, 0x81, 0x80, 0, 1];
    for section in sections {
        octets.extend_from_slice(&(section.len() as u16).to_be_bytes());
    }
    octets.extend_from_slice(b"\x03www\x07example\x03org\0\0\x01\0\x01");
    octets.extend(sections.concat().concat());
    octets
}

fn record(owner: &[u8], rtype: u16, data: &[u8]) -> Vec<u8> {
    let fixed = [&rtype.to_be_bytes()[..], &[0, 1, 0, 0, 1, 44], &(data.len() as u16).to_be_bytes()].concat();
    [owner, &fixed, data].concat()
}

const QNAME: &[u8] = b"\xc0\x0c";

fn addresses(count: usize) -> Vec<u8> {
    let all: Vec<Vec<u8>> = (0..count).map(|n| record(QNAME, 1, &[10, 9, (n >> 8) as u8, n as u8])).collect();
    let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    message([&all, &[], &[]])
}

fn lines(message: &Message) -> [Vec<String>; 3] {
    [&message.answers, &message.authorities, &message.additionals].map(|all| all.iter().map(present).collect())
}

#[test]
fn as_many_whole_records_stay_as_fit() {
    for (count, limit, most) in [(10, 512, 10), (500, 512, 29), (4000, 1232, 74), (4000, 65_535, 4000)] {
        let whole = addresses(count);
        let (octets, truncated) = cut_whole(&whole, shears(limit)).unwrap();
        let [answers, _, _] = lines(&decode(&octets).unwrap());
        assert_eq!((answers.len(), truncated), (most, most < count), "{count} in {limit}");
        assert_eq!(Flags::of(&octets).unwrap().has(Flags::TC), truncated);
        let all: BTreeSet<String> = lines(&decode(&whole).unwrap())[0].iter().cloned().collect();
        assert!(answers.iter().all(|one| all.contains(one)));
        assert_eq!(answers.iter().collect::<BTreeSet<_>>().len(), most, "each once");
    }
}

#[test]
fn what_stays_is_equally_likely_over_seeds_and_the_same_for_one() {
    let whole = addresses(200);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..400 {
        let shears = Shears { seed: seed * 0x1_0001, ..shears(512) };
        let (octets, _) = cut_whole(&whole, shears).unwrap();
        assert_eq!(cut_whole(&whole, shears).unwrap().0, octets);
        for line in &lines(&decode(&octets).unwrap())[0] {
            *counts.entry(line.clone()).or_default() += 1;
        }
    }
    let mean = 400.0 * 29.0 / 200.0;
    let chi: f64 = counts.values().map(|&count| (f64::from(count) - mean).powi(2) / mean).sum();
    assert!((120.0..300.0).contains(&chi) && counts.len() == 200, "chi square {chi} for 199 degrees of freedom");
}

#[test]
fn the_aliases_that_begin_an_answer_stay_and_their_target_is_pointed_to() {
    let alias = record(QNAME, 5, b"\x05other\xc0\x10");
    // The target stands behind the question, an owner and the fixed part.
    let target = (12 + 21 + 12) as u8;
    let others: Vec<Vec<u8>> = (0..100).map(|n| record(&[0xc0, target], 1, &[10, 0, 0, n])).collect();
    let all: Vec<&[u8]> = [alias.as_slice()].into_iter().chain(others.iter().map(Vec::as_slice)).collect();
    let (octets, truncated) = cut_whole(&message([&all, &[], &[]]), shears(512)).unwrap();
    let [answers, _, _] = lines(&decode(&octets).unwrap());
    assert!(truncated && answers[0] == "www.example.org. 300 CNAME other.example.org.", "{answers:?}");
    assert!(answers[1..].iter().all(|line| line.starts_with("other.example.org. 300 A 10.0.0.")));
    assert_eq!(answers.len(), 1 + (512 - 33 - 20) / 16);
}

/// Names that point into other records, of every type that may have them.
fn names() -> Vec<u8> {
    // The first target, `mail.example.org`, stands at octet 45 + 2.
    let mx = record(QNAME, 15, b"\0\x0a\x04mail\xc0\x10");
    let at = [0xc0, 33 + 14];
    let one = |rtype, before: &[u8], behind: &[u8]| record(QNAME, rtype, &[before, &at, behind].concat());
    let answers = [
        mx,
        one(2, b"", b""),
        one(12, b"", b""),
        one(6, b"", b"\x04host\xc0\x10\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05"),
        one(33, b"\0\x01\0\x02\0\x50", b""),
        one(15, b"\0\x14", b""),
        one(35, b"\0\x01\0\x02\x01S\0\0", b""),
        record(QNAME, 16, b"\x02\xc0\x2f"),
        record(&at, 1, &[192, 0, 2, 1]),
    ];
    let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
    let glue = record(&at, 28, &[0; 16]);
    let soa = record(&[0xc0, 16], 6, &[&at[..], &at, &[0; 20]].concat());
    message([&answers, &[&soa], &[&glue, &glue]])
}

#[test]
fn names_say_the_same_when_what_they_pointed_to_is_gone() {
    let whole = names();
    let all = lines(&decode(&whole).unwrap());
    for limit in 40..whole.len() + 40 {
        for seed in 0..20 {
            let (octets, truncated) = cut_whole(&whole, Shears { seed, ..shears(limit) }).unwrap();
            let left = lines(&decode(&octets).unwrap_or_else(|why| panic!("{limit}: {why}: {octets:02x?}")));
            for (left, all) in left.iter().zip(&all) {
                assert!(left.iter().all(|line| all.contains(line)), "{left:?}");
            }
            assert_eq!(truncated, left.iter().map(Vec::len).sum::<usize>() < all.iter().map(Vec::len).sum(), "{limit}");
            assert!(left[1].is_empty() || left[0].len() == all[0].len(), "answers before authority");
            assert!(left[2].is_empty() || left[1].len() == all[1].len(), "authority before additionals");
        }
    }
}

#[test]
fn lost_additionals_set_tc_over_udp_alone() {
    // As it is written: names of types that allow no pointers stand whole.
    let (whole, _) = cut_whole(&names(), shears(65_535)).unwrap();
    for over_udp in [true, false] {
        let (octets, truncated) = cut_whole(&whole, Shears { over_udp, ..shears(whole.len() - 20) }).unwrap();
        let [answers, _, additionals] = lines(&decode(&octets).unwrap());
        assert_eq!((answers.len(), additionals.len(), truncated), (9, 1, over_udp));
    }
}

#[test]
fn every_record_can_be_given_another_ttl() {
    let (octets, _) = cut_whole(&names(), Shears { ttl: Some(Ttl::from_secs(11)), ..shears(65_535) }).unwrap();
    let ttls: BTreeSet<u32> = Records::new(&octets).unwrap().map(|record| record.unwrap().ttl).collect();
    assert_eq!(ttls, BTreeSet::from([11]));
}

#[test]
fn names_that_lead_nowhere_are_refused() {
    let forward = record(QNAME, 5, &[0xc0, 0xff]);
    let itself = record(QNAME, 5, &[0xc0, 45]);
    let header = record(QNAME, 5, &[0xc0, 2]);
    let over = record(QNAME, 5, b"\x09a");
    let long = record(QNAME, 5, &[b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(4));
    for bad in [forward, itself, header, over, long] {
        assert_eq!(cut_whole(&message([&[&bad], &[], &[]]), shears(512)), Err(Malformed), "{bad:02x?}");
    }
}

#[test]
fn a_name_is_followed_through_127_pointers_and_no_further() {
    let chain = |pointers: usize| {
        let start = 33 + 12;
        let mut data = vec![1, b'a', 0];
        let mut before = start;
        for _ in 0..pointers {
            let at = start + data.len();
            data.extend_from_slice(&(0xc000 | before as u16).to_be_bytes());
            before = at;
        }
        let first = record(QNAME, 10, &data);
        message([&[&first, &record(&(0xc000 | before as u16).to_be_bytes(), 1, &[1; 4])], &[], &[]])
    };
    assert!(cut_whole(&chain(126), shears(512)).is_ok());
    assert_eq!(cut_whole(&chain(200), shears(512)), Err(Malformed));
}

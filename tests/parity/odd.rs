//! Questions that are odd or malformed, octet by octet: what CoreDNS refuses is never answered here, and what it answers is
//! answered the same or refused for a reason that is listed.

use std::net::IpAddr;
use std::time::Duration;

use rollcall::wire::message::decode;
use rollcall_testing::coredns;

use super::pair::{Findings, Pair};
use super::questions::{A, Question, labels};
use super::reply::Reply;

const COREFILE: &str = "
.:PORT {
    bind 127.0.0.1
    ready READY
    hosts {
        192.0.2.7 a.test
        192.0.2.8 b.test
    }
}
";

/// A message, by the name of what is odd about it.
type Odd = (String, Vec<u8>);

#[test]
fn odd_questions_are_taken_as_in_coredns() {
    let Some(coredns) = coredns() else { return };
    let pair = Pair::start(&coredns, COREFILE);
    let host = IpAddr::from([127, 0, 0, 1]);
    let [mut ours, mut theirs] = pair.clients(host, host);
    [&mut ours, &mut theirs].into_iter().for_each(|client| client.set_patience(Duration::from_millis(700)));
    let mut findings = Findings::default();
    for (number, (what, mut octets)) in odd().into_iter().enumerate() {
        for tcp in [false, true] {
            // An answer of an earlier message is not taken for this one's.
            octets[0] = number as u8;
            octets[1] ^= 0x55;
            let replies = [&ours, &theirs].map(|client| client.send(&octets, tcp));
            judge(&mut findings, &format!("{what}, tcp {tcp}"), &octets, replies);
        }
    }
    findings.end();
}

/// No answer but an error, or nothing at all.
fn is_refusal(reply: &Result<Vec<u8>, String>) -> bool {
    reply.as_ref().map_or(true, |octets| !matches!(octets[3] & 15, 0 | 3) || decode(octets).is_err())
}

fn judge(findings: &mut Findings, what: &str, octets: &[u8], [ours, theirs]: [Result<Vec<u8>, String>; 2]) {
    let shown = || format!("{what}: {octets:02x?}\nours {ours:02x?}\nCoreDNS {theirs:02x?}\n");
    if let Ok(reply) = &ours
        && (decode(reply).is_err() || reply[..2] != octets[..2])
    {
        return findings.add(format!("no good message: {}", shown()));
    }
    match (is_refusal(&ours), is_refusal(&theirs)) {
        (true, true) => findings.explain("refused by both"),
        (false, false) => {
            let read = |reply: Result<Vec<u8>, String>| Reply::read(&reply.unwrap());
            findings.note(&shown(), [read(ours.clone()), read(theirs.clone())], |_, _| None);
        }
        (true, false) => match REFUSED_HERE.iter().find(|(start, _)| what.starts_with(start)) {
            Some((_, row)) => findings.explain(row),
            None => findings.add(format!("refused here alone: {}", shown())),
        },
        (false, true) => match ANSWERED_HERE.iter().find(|(start, _)| what.starts_with(start)) {
            Some((_, row)) => findings.explain(row),
            None => findings.add(format!("answered here alone: {}", shown())),
        },
    }
}

/// What is refused here and answered by CoreDNS, with the reason.
const REFUSED_HERE: &[(&str, &str)] = &[
    ("NOTIFY", "an opcode other than QUERY"),
    ("a record that is missing", "a message that is not whole is a format error"),
    ("OPT as", "OPT outside of the additional section is a format error"),
    ("two OPT", "a second OPT is a format error"),
    ("OPT with an owner", "OPT with an owner is a format error"),
];
/// What is answered here and refused by CoreDNS, with the reason.
const ANSWERED_HERE: &[(&str, &str)] =
    &[("keepalive with three octets", "an option that means nothing here is not read")];

/// A query for `a.test` with changed counts and octets behind the question.
fn message(counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let mut octets = Question { edns: None, ..Question::plain(labels("a.test"), A) }.octets(0);
    for (at, count) in counts.iter().enumerate() {
        octets[4 + at * 2..6 + at * 2].copy_from_slice(&count.to_be_bytes());
    }
    octets.extend_from_slice(rest);
    octets
}

fn record(owner: &[u8], rtype: u16, class: u16, ttl: u32, len: u16, data: &[u8]) -> Vec<u8> {
    let numbers = [&rtype.to_be_bytes()[..], &class.to_be_bytes(), &ttl.to_be_bytes(), &len.to_be_bytes()].concat();
    [owner, &numbers, data].concat()
}

fn opt(version: u8, flags: u16, options: &[u8]) -> Vec<u8> {
    record(&[0], 41, 1232, u32::from(version) << 16 | u32::from(flags), options.len() as u16, options)
}

fn odd() -> Vec<Odd> {
    let plain = message([1, 0, 0, 0], &[]);
    let name = b"\x01b\x04test\0";
    let address = |data: &[u8]| record(&[0xc0, 12], 1, 1, 60, data.len() as u16, data);
    let mut all: Vec<Odd> = Vec::new();
    let mut add = |what: &str, octets: Vec<u8>| all.push((what.to_owned(), octets));
    add("plain", plain.clone());
    for (bit, at, set) in [
        ("AA", 2, 4),
        ("TC", 2, 2),
        ("QR", 2, 0x80),
        ("RA", 3, 0x80),
        ("Z", 3, 0x40),
        ("AD", 3, 0x20),
        ("CD", 3, 0x10),
        ("rcode 5", 3, 5),
        ("rcode 15", 3, 15),
        ("IQUERY", 2, 8),
        ("STATUS", 2, 16),
        ("NOTIFY", 2, 32),
        ("UPDATE", 2, 40),
    ] {
        let mut octets = plain.clone();
        octets[at] |= set;
        add(bit, octets);
    }
    // Counts.
    add("no question", message([0, 0, 0, 0], &[])[..12].to_vec());
    add("no question, OPT", [&message([0, 0, 0, 1], &[])[..12], &opt(0, 0, &[])].concat());
    add("a question that is not counted", message([0, 0, 0, 0], &[]));
    add("two questions", message([2, 0, 0, 0], &[&name[..], &[0, 1, 0, 1]].concat()));
    add("two equal questions", message([2, 0, 0, 0], &[0xc0, 12, 0, 1, 0, 1]));
    add("two questions counted, one there", message([2, 0, 0, 0], &[]));
    for (section, counts) in [("answer", [1, 1, 0, 0]), ("authority", [1, 0, 1, 0]), ("additional", [1, 0, 0, 1])] {
        add(&format!("a record as {section}"), message(counts, &address(&[192, 0, 2, 1])));
        add(&format!("a record of three octets as {section}"), message(counts, &address(&[1, 2, 3])));
        add(&format!("a record that ends early as {section}"), message(counts, &record(&[0], 1, 1, 60, 4, &[1, 2])));
        add(&format!("a record that is missing as {section}"), message(counts, &[]));
        add(
            &format!("an owner that points to itself as {section}"),
            message(counts, &record(&[0xc0, 24], 1, 1, 60, 4, &[1, 2, 3, 4])),
        );
        add(&format!("OPT as {section}"), message(counts, &opt(0, 0, &[])));
        add(&format!("an unknown type as {section}"), message(counts, &record(&[0], 65_280, 1, 0, 3, b"abc")));
    }
    add("sixty thousand records counted", message([1, 0, 0, 60_000], &[]));
    for count in [1, 2, 100] {
        add(&format!("{count} octets behind"), message([1, 0, 0, 0], &vec![0; count]));
        add(&format!("{count} octets behind OPT"), message([1, 0, 0, 1], &[opt(0, 0, &[]), vec![7; count]].concat()));
    }
    // EDNS.
    add("two OPT", message([1, 0, 0, 2], &opt(0, 0, &[]).repeat(2)));
    add("EDNS 1", message([1, 0, 0, 1], &opt(1, 0, &[])));
    add("EDNS 255", message([1, 0, 0, 1], &opt(255, 0, &[])));
    add("EDNS Z", message([1, 0, 0, 1], &opt(0, 0x7fff, &[])));
    add("EDNS DO", message([1, 0, 0, 1], &opt(0, 0x8000, &[])));
    add("EDNS with an extended rcode", message([1, 0, 0, 1], &record(&[0], 41, 1232, 0x0100_0000, 0, &[])));
    add("OPT with an owner", message([1, 0, 0, 1], &record(name, 41, 1232, 0, 0, &[])));
    for size in [0, 1, 511, 65_535] {
        add(&format!("EDNS of {size} octets"), message([1, 0, 0, 1], &record(&[0], 41, size, 0, 0, &[])));
    }
    for (what, option) in [
        ("client cookie", &b"\0\x0a\0\x08abcdefgh"[..]),
        ("short cookie", b"\0\x0a\0\x03abc"),
        ("long cookie", b"\0\x0a\0\x29abcdefghabcdefghabcdefghabcdefghabcdefgha"),
        ("client subnet", b"\0\x08\0\x07\0\x01\x18\0\x0a\x01\x02"),
        ("client subnet with a long prefix", b"\0\x08\0\x08\0\x01\x21\0\x0a\x01\x02\x03"),
        ("client subnet cut short", b"\0\x08\0\x01\0"),
        ("client subnet of family 9", b"\0\x08\0\x04\0\x09\0\0"),
        ("keepalive", b"\0\x0b\0\0"),
        ("keepalive with a time", b"\0\x0b\0\x02\0\x64"),
        ("keepalive with three octets", b"\0\x0b\0\x03\0\0\0"),
        ("padding", b"\0\x0c\0\x04\0\0\0\0"),
        ("NSID", b"\0\x03\0\0"),
        ("expire", b"\0\x09\0\0"),
        ("unknown option", b"\xfd\xe9\0\x02hi"),
        ("option that ends early", b"\xfd\xe9\0\x09hi"),
        ("half an option", b"\xfd\xe9"),
    ] {
        add(what, message([1, 0, 0, 1], &opt(0, 0, option)));
    }
    // Types and classes.
    for qtype in [0, 3, 10, 41, 46, 47, 99, 249, 250, 251, 252, 253, 254, 255, 256, 32_768, 65_280, 65_535_u16] {
        let mut octets = plain.clone();
        let end = octets.len();
        octets[end - 4..end - 2].copy_from_slice(&qtype.to_be_bytes());
        add(&format!("type {qtype}"), octets);
    }
    for class in [0, 2, 3, 4, 254, 255, 256, 0x8001_u16] {
        let mut octets = plain.clone();
        let end = octets.len();
        octets[end - 2..].copy_from_slice(&class.to_be_bytes());
        add(&format!("class {class}"), octets);
    }
    // Names.
    let named = |wire: &[u8]| [&plain[..12], wire, &[0, 1, 0, 1]].concat();
    let label = |len: usize| [&[len as u8][..], &vec![b'x'; len]].concat();
    add("the root", named(&[0]));
    add("a label of 63", named(&[label(63), vec![0]].concat()));
    add("a name of 255", named(&[label(63).repeat(3), label(61), vec![0]].concat()));
    add("a name of 256", named(&[label(63).repeat(3), label(62), vec![0]].concat()));
    add("a name of 300", named(&[label(63).repeat(4), label(40), vec![0]].concat()));
    add("127 labels", named(&[label(1).repeat(127), vec![0]].concat()));
    add("a name without an end", [&plain[..12], &label(9)[..]].concat());
    add("a label of type 01", named(b"\x41abc\0"));
    add("a label of type 10", named(b"\x81abc\0"));
    add("a pointer to itself", named(&[0xc0, 12]));
    add("a pointer into the header", named(&[0xc0, 0]));
    add("a pointer onwards", named(&[0xc0, 40]));
    add("a label and a pointer to it", named(b"\x01a\xc0\x0c"));
    for octet in [0, b'.', b'\\', b'"', b' ', b'\n', 0x7f, 0xff] {
        add(&format!("octet {octet} in a label"), named(&[3, b'a', octet, b'b', 4, b't', b'e', b's', b't', 0]));
    }
    // Signatures.
    let mac = b"\x08hmac-md5\x07sig-alg\x03reg\x03int\0\0\0\0\0\0\0\x01\x2c\0\0\0\0\0\0\0\0";
    add("TSIG", message([1, 0, 0, 1], &record(b"\x03key\0", 250, 255, 0, mac.len() as u16, mac)));
    add("TSIG cut short", message([1, 0, 0, 1], &record(b"\x03key\0", 250, 255, 0, 4, &mac[..4])));
    for len in [0, 1, 11, 12, 13, plain.len() - 1] {
        let mut octets = plain.clone();
        octets.truncate(len.max(2));
        add(&format!("the first {len} octets"), octets);
    }
    all
}

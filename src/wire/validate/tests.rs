use proptest::prelude::*;

use super::super::name_at;
use super::*;

const QUESTION: &[u8] = b"\x03wWw\x07eXample\x03org\0\0\x01\0\x01";
const ASKED: &[u8] = b"\xc0\x0c";

fn record(owner: &[u8], rtype: u16, class: u16, rdata: &[u8]) -> Vec<u8> {
    let mut octets = owner.to_vec();
    octets.extend(rtype.to_be_bytes());
    octets.extend(class.to_be_bytes());
    octets.extend([0, 0, 0, 60]);
    octets.extend(u16::try_from(rdata.len()).unwrap().to_be_bytes());
    octets.extend(rdata);
    octets
}

/// A reply with records in the answer and in the additional section.
fn reply(answers: &[Vec<u8>], additional: &[Vec<u8>]) -> Vec<u8> {
    let [a0, a1] = u16::try_from(answers.len()).unwrap().to_be_bytes();
    let mut octets = vec![0x12, 0x34, 0x81, 0x80, 0, 1, a0, a1, 0, 0, 0, u8::try_from(additional.len()).unwrap()];
    octets.extend(QUESTION);
    answers.iter().chain(additional).for_each(|record| octets.extend(record));
    octets
}

fn one(rtype: u16, class: u16, rdata: &[u8]) -> bool {
    check(&reply(&[record(ASKED, rtype, class, rdata)], &[])).is_ok()
}

/// The beginning of the first record behind the question.
const FIRST: usize = 12 + QUESTION.len();

#[test]
fn the_data_of_known_types_are_what_their_type_wants() {
    let name = b"\x01a\xc0\x0c".as_slice();
    let with = |before: usize, after: &[u8]| [&vec![1; before], name, after].concat();
    let octets = |count: usize| vec![1_u8; count];
    let soa = [name, name, &octets(20)].concat();
    let naptr = [&octets(4), b"\x01S\0\x02!!".as_slice(), name].concat();
    let rows: &[(u16, Vec<u8>)] = &[
        (1, octets(4)),
        (2, with(0, b"")),
        (5, with(0, b"")),
        (6, soa),
        (12, with(0, b"")),
        (13, b"\x01a\x02bc".to_vec()),
        (14, [name, name].concat()),
        (15, with(2, b"")),
        (17, [name, name].concat()),
        (18, with(2, b"")),
        (28, octets(16)),
        (29, octets(16)),
        (33, with(6, b"")),
        (35, naptr),
        (36, with(2, b"")),
        (39, with(0, b"")),
        (51, [octets(4), b"\x02ab".to_vec()].concat()),
        (55, [b"\x02\x01\0\x03".as_slice(), &octets(5), name, name].concat()),
        (66, with(5, b"")),
        (104, octets(10)),
        (105, octets(6)),
        (107, with(2, b"")),
        (108, octets(6)),
        (109, octets(8)),
        (260, [b"\x01\x83".as_slice(), name].concat()),
    ];
    for (rtype, good) in rows {
        assert!(one(*rtype, 1, good), "type {rtype}: whole");
        assert!(!one(*rtype, 1, &good[..good.len() - 1]), "type {rtype}: an octet less");
        assert!(!one(*rtype, 1, &[good.as_slice(), &[7]].concat()), "type {rtype}: an octet more");
        assert!(!one(*rtype, 1, b""), "type {rtype}: none");
    }
}

#[test]
fn data_that_vary_in_length_are_read_part_by_part() {
    let good: &[(u16, &[u8])] = &[
        (16, b""),
        (16, b"\0\x02ab"),
        (42, b"\0\x01\x10\x82\x0a\x0b"),
        (43, b"\0\0\0\0\0"),
        (45, b"\x0a\x03\x02\x01a\0key"),
        (46, &[[1; 18].as_slice(), b"\x01a\0signature"].concat()),
        (47, b"\0\0\x01\x40"),
        (48, b"\x01\0\x03\x08key"),
        (50, b"\x01\0\0\x0a\x01a\x02bc\0\x01\x40"),
        (52, b"\x03\x01\x01x"),
        (62, b"\0\0\0\x01\0\x03\0\x01\x40"),
        (64, b"\0\x01\0\0\x01\0\x03\x02h2"),
        (65, b"\0\0\x01a\0"),
        (256, b"\0\x01\0\x01https"),
        (257, b"\0\x05issueca.example"),
        (4711, b"whatever"),
    ];
    for (rtype, rdata) in good {
        assert!(one(*rtype, 1, rdata), "type {rtype}: {rdata:?}");
    }
    let bad: &[(u16, &[u8])] = &[
        (16, b"\x03ab"),
        (42, b"\0\x01\x10\x83\x0a\x0b"),
        (45, b"\x0a\x03\x02\x05a\0key"),
        (46, b"\0\x01\x08\x03"),
        (47, b"\0\0\0"),
        (47, b"\0\0\x21\x40"),
        (48, b"\x01\0\x03"),
        (50, b"\x01\0\0\x0a\x01a\x0abc"),
        (64, b"\0\x01\0\0\x01\0\x04\x02h2"),
        (65, b"\0\0\xc0\xff"),
        (257, b"\0\x15issue"),
    ];
    for (rtype, rdata) in bad {
        assert!(!one(*rtype, 1, rdata), "type {rtype}: {rdata:?}");
    }
    assert!(one(1, 3, b"\x01a\0\0\x01"), "an address of another class is none of ours");
}

#[test]
fn one_opt_record_may_stand_at_the_root_of_the_additional_section() {
    let opt = |owner: &[u8], options: &[u8]| record(owner, 41, 1232, options);
    let good = opt(b"\0", b"\0\x0a\0\x02xy");
    assert!(check(&reply(&[], std::slice::from_ref(&good))).is_ok());
    assert!(check(&reply(&[], &[good.clone(), good.clone()])).is_err(), "two");
    assert!(check(&reply(&[good], &[])).is_err(), "in the answer");
    assert!(check(&reply(&[], &[opt(b"\x01a\0", b"")])).is_err(), "not at the root");
    assert!(check(&reply(&[], &[opt(b"\0", b"\0\x0a\0\x03xy")])).is_err(), "options that lead out");
}

#[test]
fn a_name_may_lead_through_127_pointers() {
    let chain = |hops: usize| {
        let mut pointers = Vec::new();
        let mut before = 12;
        // In an opaque RDATA behind an owner and the fixed part.
        let start = FIRST + 2 + 10;
        for nth in 1..hops {
            pointers.extend(u16::try_from(0xc000 | before).unwrap().to_be_bytes());
            before = start + 2 * (nth - 1);
        }
        let last = u16::try_from(0xc000 | before).unwrap().to_be_bytes();
        (reply(&[record(ASKED, 10, 1, &pointers), record(&last, 1, 1, &[192, 0, 2, 1])], &[]), start + pointers.len())
    };
    for (hops, good) in [(1, true), (2, true), (127, true), (128, false), (8000, false)] {
        let (message, owner) = chain(hops);
        assert_eq!(check(&message).is_ok(), good, "{hops} pointers");
        assert_eq!(name_at(&message, owner).is_ok(), good, "{hops} pointers");
    }
}

#[test]
fn names_that_lead_forwards_in_circles_or_out_are_refused() {
    let [high, low] = u16::try_from(0xc000 | FIRST).unwrap().to_be_bytes();
    for owner in [
        vec![high, low],
        vec![high, low + 4],
        vec![1, b'a', high, low],
        vec![1, b'a', high, low + 2],
        vec![0xff, 0xff],
        vec![0xc0, 0],
        vec![0x40, 0],
        vec![0x80, 0],
    ] {
        assert!(check(&reply(&[record(&owner, 1, 1, &[192, 0, 2, 1])], &[])).is_err(), "{owner:?}");
    }
    // 127 labels of one octet and the root make 255 octets: no place is left for those of the question.
    let labels = b"\x01a".repeat(119);
    let owner = [labels.as_slice(), ASKED].concat();
    assert!(check(&reply(&[record(&owner, 1, 1, &[192, 0, 2, 1])], &[])).is_ok());
    let owner = [labels.as_slice(), b"\x01a", ASKED].concat();
    assert!(check(&reply(&[record(&owner, 1, 1, &[192, 0, 2, 1])], &[])).is_err());
}

#[test]
fn each_label_is_looked_at_once_however_many_names_lead_there() {
    // A name of 100 labels, each behind a pointer to the next, and thousands of records whose names end in it.
    let start = FIRST + 2 + 10;
    let mut chain = Vec::new();
    let mut before = 12;
    for nth in 0..100 {
        chain.extend([1, b'a']);
        chain.extend(u16::try_from(0xc000 | before).unwrap().to_be_bytes());
        before = start + 4 * nth;
    }
    let last = u16::try_from(0xc000 | before).unwrap().to_be_bytes();
    let mut records = vec![record(ASKED, 10, 1, &chain)];
    records.extend((0..4500).map(|_| record(&last, 5, 1, &last)));
    let message = reply(&records, &[]);
    let mut seen = 0;
    assert_eq!(walk(&message, |_, _| seen += 1), Ok(message.len()));
    assert_eq!(seen, 3 + 100);
}

#[test]
fn the_end_is_where_the_last_record_ends() {
    let message = reply(&[record(ASKED, 1, 1, &[192, 0, 2, 1])], &[]);
    assert_eq!(check(&message), Ok(message.len()));
    assert_eq!(check(&[message.as_slice(), b"more"].concat()), Ok(message.len()));
    for len in 0..message.len() {
        assert!(check(&message[..len]).is_err(), "cut at {len}");
    }
}

#[test]
fn the_spelling_of_the_question_is_changed_in_every_name() {
    let spelled = |asked: &[u8]| {
        let upper = b"\x03www\x07EXAMPLE\x03org\0";
        let targets: Vec<Vec<u8>> = vec![
            record(ASKED, 33, 1, &[&[0; 6], b"\x07kubia-0".as_slice(), asked].concat()),
            record(&[b"\x07kubia-0".as_slice(), asked].concat(), 1, 1, &[192, 0, 2, 1]),
            record(asked, 46, 1, &[&[0; 18], &asked[4..], b"signature"].concat()),
            record(ASKED, 39, 1, b"\x03www\xc0\x10"),
            record(ASKED, 5, 1, upper),
            record(ASKED, 4711, 1, asked),
        ];
        let mut message = reply(&targets, &[]);
        message[12..12 + asked.len()].copy_from_slice(asked);
        message
    };
    let mut message = spelled(b"\x03wWw\x07eXample\x03org\0");
    respell(&mut message, b"\x03www\x07exaMPLE\x03ORG\0").unwrap();
    let mut expected = spelled(b"\x03www\x07exaMPLE\x03ORG\0");
    // Spelled as the upstream wants it, where that is not how the question was; data that nobody can read stay as they are.
    let opaque = expected.len() - 17;
    expected[opaque..].copy_from_slice(b"\x03wWw\x07eXample\x03org\0");
    let alias = opaque - 12 - 17;
    expected[alias..alias + 17].copy_from_slice(b"\x03www\x07EXAMPLE\x03ORG\0");
    assert_eq!(message, expected);
    assert_eq!(respell(&mut message, b"\x03www\x07another\x03org\0"), Err(Malformed));
    assert_eq!(respell(&mut message, &[b'a'; 300]), Err(Malformed));
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..80), names in 0..9_u8) {
        let mut message = reply(&[], &[]);
        message[7] = names;
        message.extend(octets);
        let mut other = message.clone();
        prop_assert_eq!(check(&message).is_ok(), respell(&mut other, b"\x03www\x07example\x03org\0").is_ok());
        prop_assert_eq!(message.len(), other.len());
        if check(&message).is_ok() {
            for record in Records::new(&message).unwrap() {
                prop_assert!(name_at(&message, record.unwrap().owner).is_ok());
            }
        }
    }

    #[test]
    fn pointers_anywhere_are_read_as_they_are_one_by_one(pointers in proptest::collection::vec(0..60_u8, 1..30)) {
        let mut data = Vec::new();
        for to in &pointers {
            data.extend([1, b'x', 0xc0, 12 + to]);
        }
        let mut records = vec![record(ASKED, 10, 1, &data)];
        let start = FIRST + 12;
        for nth in 0..pointers.len() {
            let [high, low] = u16::try_from(0xc000 | (start + 4 * nth)).unwrap().to_be_bytes();
            records.push(record(&[high, low], 1, 1, &[192, 0, 2, 1]));
        }
        let message = reply(&records, &[]);
        let all = Records::new(&message).unwrap().all(|record| name_at(&message, record.unwrap().owner).is_ok());
        prop_assert_eq!(check(&message).is_ok(), all);
    }
}

use proptest::prelude::*;

use super::*;

/// A query for `Kubia-0.kubia.default.svc.cluster.local A`, spelled as given.
fn query(flags: u16, counts: [u16; 4], name: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut message = vec![0xab, 0xcd];
    message.extend_from_slice(&flags.to_be_bytes());
    message.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    message.extend_from_slice(name);
    message.extend_from_slice(rest);
    message
}

const NAME: &[u8] = b"\x07Kubia-0\x05KUBIA\x07default\x03svc\x07cluster\x05local\0";
const A_IN: &[u8] = &[0, 1, 0, 1];
const RD: u16 = 0x0100;

fn opt(payload: u16, version: u8, flags: u16, options: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0, 41];
    record.extend_from_slice(&payload.to_be_bytes());
    record.extend_from_slice(&[0, version]);
    record.extend_from_slice(&flags.to_be_bytes());
    record.extend_from_slice(&(options.len() as u16).to_be_bytes());
    record.extend_from_slice(options);
    record
}

fn with_records(counts: [u16; 4], records: &[&[u8]]) -> Vec<u8> {
    query(RD, counts, NAME, &[&[A_IN], records].concat().concat())
}

fn refused(message: &[u8]) -> (Rcode, bool) {
    match parse(message) {
        Parsed::Refuse { rcode, question } => (rcode, question.is_some()),
        other => panic!("not refused: {other:?}"),
    }
}

fn read(message: &[u8]) -> Question<'_> {
    match parse(message) {
        Parsed::Query(question) => question,
        other => panic!("not read: {other:?}"),
    }
}

#[test]
fn a_plain_query_is_read_in_lower_case_and_keeps_its_spelling() {
    let message = with_records([1, 0, 0, 0], &[]);
    let question = read(&message);
    assert_eq!(
        (question.id, question.flags, question.qtype, question.qclass),
        (0xabcd, Flags::RD, Rtype::A, Class::IN)
    );
    assert_eq!(question.qname.as_wire(), NAME.to_ascii_lowercase());
    assert_eq!(question.spelling(), NAME);
    assert_eq!(question.end, message.len());
    assert_eq!(question.edns, None);
    assert!(question.recursion_desired());
}

#[test]
fn labels_are_found_from_both_ends() {
    let message = with_records([1, 0, 0, 0], &[]);
    let qname = read(&message).qname;
    assert_eq!(qname.label_count(), 6);
    let labels: Vec<&[u8]> = (0..6).map(|index| qname.label(index)).collect();
    assert_eq!(labels, [&b"kubia-0"[..], b"kubia", b"default", b"svc", b"cluster", b"local"]);
    assert_eq!(qname.suffix(4), b"\x07cluster\x05local\0");
    assert_eq!((qname.start(0), qname.start(1), qname.start(6)), (0, 8, NAME.len() - 1));
    assert_eq!((qname.label(6), qname.suffix(6), qname.suffix(99)), (&b""[..], &b"\0"[..], &b"\0"[..]));
}

#[test]
fn the_root_can_be_asked_for() {
    let message = query(0, [1, 0, 0, 0], &[0], A_IN);
    let qname = read(&message).qname;
    assert_eq!((qname.label_count(), qname.as_wire(), qname.suffix(0)), (0, &[0][..], &[0][..]));
}

#[test]
fn responses_and_fragments_of_a_header_are_met_with_silence() {
    assert!(matches!(parse(&query(0x8000, [1, 0, 0, 0], NAME, A_IN)), Parsed::Drop));
    for len in 0..12 {
        assert!(matches!(parse(&[0; 12][..len]), Parsed::Drop));
    }
}

#[test]
fn other_opcodes_are_not_implemented_and_their_question_is_repeated() {
    for opcode in 1..16u16 {
        assert_eq!(refused(&query(opcode << 11, [1, 0, 0, 0], NAME, A_IN)), (Rcode::NOTIMP, true));
    }
    assert_eq!(refused(&query(5 << 11, [0, 0, 0, 0], &[], &[])), (Rcode::NOTIMP, false));
    assert_eq!(refused(&query(5 << 11, [1, 3, 2, 9], NAME, A_IN)), (Rcode::NOTIMP, true));
}

#[test]
fn another_number_of_questions_than_one_is_an_error() {
    assert_eq!(refused(&query(0, [0; 4], &[], &[])), (Rcode::FORMERR, false));
    assert_eq!(refused(&query(0, [2, 0, 0, 0], NAME, &[A_IN, NAME, A_IN].concat())), (Rcode::FORMERR, false));
}

#[test]
fn more_records_than_a_query_has_use_for_are_an_error() {
    let a = [b"\0\0\x01\0\x01\0\0\0\0\0\x04\xc0\0\x02\x01".as_slice()];
    for counts in [[1, 2, 0, 0], [1, 0, 2, 0], [1, 0, 0, 3], [1, 0xffff, 0xffff, 0xffff]] {
        assert_eq!(refused(&with_records(counts, &a.repeat(3))), (Rcode::FORMERR, true));
    }
    for counts in [[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 2]] {
        read(&with_records(counts, &a.repeat(4)));
    }
}

#[test]
fn a_transfer_request_with_its_soa_is_read() {
    let soa = b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x18\xc0\x0c\xc0\x0c\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let message = query(0, [1, 0, 1, 0], NAME, &[&[0, 251, 0, 1], &soa[..]].concat());
    assert_eq!(read(&message).qtype, Rtype::IXFR);
}

#[test]
fn a_qname_that_is_compressed_too_long_or_cut_off_is_an_error() {
    let name_of = |octets: usize| {
        let mut name = Vec::new();
        while name.len() + 1 < octets {
            let len = (octets - name.len() - 2).min(63);
            name.push(len as u8);
            name.extend(vec![b'a'; len]);
        }
        name.push(0);
        name
    };
    assert_eq!(name_of(255).len(), 255);
    read(&query(0, [1, 0, 0, 0], &name_of(255), A_IN));
    for name in [
        &b"\xc0\x0c"[..],
        b"\x03org\xc0\x0c",
        &[64; 66],
        b"\x80",
        b"\x03or",
        &name_of(256),
        &[b"\x01a".repeat(128), vec![0]].concat(),
    ] {
        assert_eq!(refused(&query(0, [1, 0, 0, 0], name, A_IN)), (Rcode::FORMERR, false), "{name:?}");
    }
    assert_eq!(refused(&query(0, [1, 0, 0, 0], NAME, &[0, 1, 0])), (Rcode::FORMERR, false));
    assert_eq!(refused(&query(0, [1, 0, 0, 0], &[], &[])), (Rcode::FORMERR, false));
}

#[test]
fn a_name_of_127_labels_is_read() {
    let name = [b"\x01A".repeat(127), vec![0]].concat();
    let message = query(0, [1, 0, 0, 0], &name, A_IN);
    let qname = read(&message).qname;
    assert_eq!((qname.label_count(), qname.label(126), qname.suffix(126)), (127, &b"a"[..], &b"\x01a\0"[..]));
}

#[test]
fn the_opt_record_is_read_and_unknown_options_are_ignored() {
    let message = with_records([1, 0, 0, 1], &[&opt(4096, 0, 0x80ff, b"\0\x64\0\x02hi\0\x03\0\0")]);
    let edns = read(&message).edns.unwrap();
    assert_eq!(edns, Edns { payload: 4096, version: 0, dnssec_ok: true, nsid: true });
    let message = with_records([1, 0, 0, 1], &[&opt(512, 0, 0, b"\0\x0a\0\x08cookie!!")]);
    assert_eq!(read(&message).edns, Some(Edns { payload: 512, version: 0, dnssec_ok: false, nsid: false }));
}

#[test]
fn the_opt_record_may_stand_beside_another_additional_record() {
    let address = b"\x03key\0\0\x01\0\x01\0\0\0\0\0\x04\xc0\0\x02\x01";
    for records in [[&opt(1232, 0, 0, &[])[..], address], [&address[..], &opt(1232, 0, 0, &[])]] {
        assert_eq!(read(&with_records([1, 0, 0, 2], &records)).edns.unwrap().payload, 1232);
    }
}

// RFC 8945 section 5.1: the signature is the last record.
#[test]
fn a_signature_may_stand_behind_the_opt_record() {
    let algorithm = b"\x0bhmac-sha256\0";
    let data = [&algorithm[..], &[0, 0, 0x66, 0, 0, 0, 1, 44, 0, 4, 1, 2, 3, 4, 0xab, 0xcd, 0, 0, 0, 0]].concat();
    let tsig = [b"\x03key\0\0\xfa\0\xff\0\0\0\0\0".as_slice(), &[data.len() as u8], &data].concat();
    assert_eq!(read(&with_records([1, 0, 0, 2], &[&opt(1232, 0, 0, &[]), &tsig])).edns.unwrap().payload, 1232);
    assert_eq!(refused(&with_records([1, 0, 0, 1], &[&tsig[..tsig.len() - 1]])), (Rcode::FORMERR, true));
}

// RFC 6891 section 6.1.3: a version other than 0 is BADVERS, whatever the options are.
#[test]
fn another_edns_version_is_badvers() {
    let message = with_records([1, 0, 0, 1], &[&opt(4096, 100, 0, b"\0\x64\0\0")]);
    assert_eq!(refused(&message), (Rcode::BADVERS, true));
}

// RFC 6891 section 6.1.1.
#[test]
fn an_opt_record_that_is_repeated_owned_or_lies_about_its_length_is_an_error() {
    let good = opt(1232, 0, 0, &[]);
    let owned = [b"\x01a", &good[..]].concat();
    let mut long = good.clone();
    long[10] = 1;
    for records in [
        &[&good[..], &good][..],
        &[&owned],
        &[&long],
        &[&opt(1232, 0, 0, b"\0\x03\0\x04abc")],
        &[&opt(1232, 0, 0, b"\0\x03\0")],
    ] {
        assert_eq!(refused(&with_records([1, 0, 0, records.len() as u16], records)), (Rcode::FORMERR, true));
    }
}

// One verdict on every path: what the codec of the plugins cannot read is no query.
#[test]
fn a_record_that_the_codec_cannot_read_is_an_error_wherever_it_stands() {
    let good = opt(1232, 0, 0, &[]);
    let cut_address = b"\0\0\x01\0\x01\0\0\0\0\0\x03abc";
    let empty_address = b"\0\0\x01\0\x01\0\0\0\0\0\0";
    let forward = b"\xc0\xff\0\x10\0\x01\0\0\0\0\0\x02\x01a";
    for (counts, records) in [
        ([1, 0, 0, 1], &[&cut_address[..]][..]),
        ([1, 1, 0, 0], &[cut_address]),
        ([1, 0, 1, 0], &[cut_address]),
        ([1, 0, 0, 2], &[cut_address, &good]),
        ([1, 0, 0, 2], &[&good, cut_address]),
        ([1, 0, 0, 1], &[empty_address]),
        ([1, 1, 0, 0], &[forward]),
        // An OPT record outside of the additional section.
        ([1, 1, 0, 0], &[&good]),
        ([1, 0, 1, 0], &[&good]),
        ([1, 0, 1, 1], &[&good, &good]),
    ] {
        assert_eq!(refused(&with_records(counts, records)), (Rcode::FORMERR, true), "{records:02x?}");
    }
    let address = b"\0\0\x01\0\x01\0\0\0\0\0\x04abcd";
    assert_eq!(read(&with_records([1, 1, 0, 1], &[address, &good])).edns.unwrap().payload, 1232);
}

// RFC 7871 section 7.1.2.
#[test]
fn a_client_subnet_that_is_none_is_an_error() {
    let asked = |subnet: &[u8]| {
        let option = [&[0, 8, 0, subnet.len() as u8], subnet].concat();
        with_records([1, 0, 0, 1], &[&opt(1232, 0, 0, &option)])
    };
    for good in [&b"\0\x01\x18\0\xc0\0\x02"[..], b"\0\x02\x00\0", b"\0\x01\x00\0", b"\0\0\0\0"] {
        assert!(read(&asked(good)).edns.is_some(), "{good:02x?}");
        assert!(message::decode_query(&asked(good)).is_ok(), "{good:02x?}");
    }
    for bad in [&b"\0\x01\x21\0\xc0\0\x02\0\0"[..], b"\0\x01\x18\0\xc0", b"\0\x03\0\0", b"\0\0\x08\0\xc0", b"\0"] {
        assert_eq!(refused(&asked(bad)), (Rcode::FORMERR, true), "{bad:02x?}");
    }
}

#[test]
fn counted_records_that_are_missing_are_an_error_and_uncounted_octets_are_not() {
    assert_eq!(refused(&with_records([1, 0, 0, 1], &[])), (Rcode::FORMERR, true));
    assert_eq!(refused(&with_records([1, 1, 0, 0], &[b"\xc0"])), (Rcode::FORMERR, true));
    assert_eq!(read(&with_records([1, 0, 0, 0], &[b"garbage"])).edns, None);
}

proptest! {
    #[test]
    fn hostile_octets_never_panic(message in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&message);
    }

    #[test]
    fn hostile_octets_behind_a_good_header_never_panic(
        counts in proptest::array::uniform4(0u16..3),
        rest in proptest::collection::vec(prop_oneof![Just(0u8), Just(0xc0), Just(41), 1u8..8, any::<u8>()], 0..200),
    ) {
        for message in [query(0, counts, &[], &rest), query(0, counts, NAME, &[A_IN, &rest].concat())] {
            match parse(&message) {
                Parsed::Query(question) | Parsed::Refuse { question: Some(question), .. } => {
                    prop_assert_eq!(question.spelling().to_ascii_lowercase(), question.qname.as_wire());
                    prop_assert!(Name::from_wire(question.qname.as_wire()).is_ok());
                }
                _ => {}
            }
        }
    }

    #[test]
    fn every_query_that_the_oracle_writes_is_read_alike(
        labels in proptest::collection::vec("[a-zA-Z0-9_-]{1,20}", 0..8),
        qtype in 1u16..300, id: u16, payload in proptest::option::of(512u16..),
    ) {
        use crate::wire::message::{MessageQuestion, Message, MessageEdns, MessageName, MessageType, OpCode};
        let mut name = MessageName::from_labels(labels.iter().map(|label| label.as_bytes())).unwrap();
        name.set_fqdn(true);
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.add_query(MessageQuestion::query(name.clone(), qtype.into()));
        if let Some(payload) = payload {
            message.edns = Some({ let mut edns = MessageEdns::new(); edns.set_max_payload(payload); edns });
        }
        let octets = message.to_vec().unwrap();
        let question = read(&octets);
        prop_assert_eq!((question.id, question.qtype, question.edns.map(|edns| edns.payload)), (id, Rtype(qtype), payload));
        prop_assert_eq!(Name::from_wire(question.qname.as_wire()).unwrap(), (&name).into());
    }
}

#[test]
fn a_name_that_an_answer_leads_to_reads_as_if_it_were_asked_for() {
    let name: Name = "kubia-0.kubia.default.svc.cluster.local".parse().unwrap();
    let qname = QName::from_name(&name);
    assert_eq!((qname.as_wire(), qname.label_count()), (name.as_wire(), 6));
    assert_eq!((qname.label(1), qname.suffix(4)), (b"kubia".as_slice(), b"\x07cluster\x05local\0".as_slice()));
    let longest: Name = "a.".repeat(127).parse().unwrap();
    let qname = QName::from_name(&longest);
    assert_eq!((qname.as_wire(), qname.label_count(), qname.suffix(127)), (longest.as_wire(), 127, [0].as_slice()));
    assert_eq!(QName::from_name(&Name::root()).suffix(0), [0]);
}

use std::collections::HashSet;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::rdata::{A, CNAME, MX, NS, PTR, SOA, SRV, TXT};
use super::*;

fn name(text: &str) -> MessageName {
    let mut name = MessageName::from_labels(text.trim_end_matches('.').split('.').map(str::as_bytes)).unwrap();
    name.set_fqdn(true);
    name
}

fn a(owner: &str, last: u16) -> Record {
    let [third, fourth] = last.to_be_bytes();
    Record::from_rdata(name(owner), 30, RData::A(A(Ipv4Addr::new(10, 0, third, fourth))))
}

fn answer(records: Vec<Record>) -> Message {
    let mut message = Message::response(7, OpCode::Query);
    message.add_query(MessageQuestion::query(name("Kubia.default.svc.cluster.local"), RecordType::SRV));
    message.answers = records;
    message
}

fn encoded(message: &Message, size: Size, seed: u64) -> (Vec<u8>, bool) {
    let mut buffer = vec![0xee; 3];
    let truncated = encode(message, size, seed, &mut buffer);
    assert!(buffer.len() <= size.limit);
    (buffer, truncated)
}

fn srv(port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(0, 50, port, name(target)))
}

#[test]
fn a_record_that_cannot_be_written_is_a_failure_and_not_truncated() {
    // A character-string has 255 octets at most.
    let long = RData::TXT(TXT::from_bytes(vec![&[b'a'; 300]]));
    for size in [Size::udp(512), Size::tcp()] {
        let mut message = answer(vec![a("a.example", 1), Record::from_rdata(name("a.example"), 5, long.clone())]);
        message.metadata.authoritative = true;
        let (octets, truncated) = encoded(&message, size, 1);
        let read = decode(&octets).unwrap();
        assert!(!truncated && !read.metadata.truncation && !read.metadata.authoritative);
        assert_eq!((read.metadata.response_code, read.answers.len(), read.metadata.id), (ResponseCode::ServFail, 0, 7));
        assert_eq!(read.queries, message.queries);
    }
}

#[test]
fn owners_and_the_names_of_old_types_are_compressed_and_srv_targets_are_not() {
    let owner = "Kubia.default.svc.cluster.local";
    let record = |data| Record::from_rdata(name(owner), 30, data);
    let soa = SOA::new(name("ns.dns.cluster.local"), name("hostmaster.cluster.local"), 1, 2, 3, 4, 5);
    let cases = [
        (RData::NS(NS(name(owner))), 2),
        (RData::CNAME(CNAME(name("x.Kubia.default.svc.cluster.local"))), 4),
        (RData::PTR(PTR(name(owner))), 2),
        (RData::MX(MX::new(1, name(owner))), 4),
        (RData::SOA(soa), 9 + 13 + 20),
        (srv(80, owner), 6 + 33),
        (RData::TXT(TXT::new(vec!["a".to_owned(), String::new()])), 3),
    ];
    let empty = encoded(&answer(vec![]), Size::tcp(), 0).0.len();
    for (data, len) in cases {
        let message = answer(vec![record(data.clone())]);
        let (octets, truncated) = encoded(&message, Size::tcp(), 0);
        assert_eq!((octets.len() - empty, truncated), (2 + 10 + len, false), "{data:?}");
        assert_eq!(decode(&octets).unwrap(), message);
    }
}

#[test]
fn a_thousand_srv_with_their_addresses_are_all_compressed() {
    let owner = "Kubia.default.svc.cluster.local";
    let mut message =
        answer((0..700).map(|n| Record::from_rdata(name(owner), 30, srv(80, &format!("kubia-{n}.{owner}")))).collect());
    message.additionals = (0..700).map(|n| a(&format!("kubia-{n}.{owner}"), n)).collect();
    let (octets, truncated) = encoded(&message, Size::tcp(), 0);
    assert!(!truncated);
    assert!(octets.len() < 700 * (18 + 42 + 12 + 14), "{} octets", octets.len());
    assert_eq!(decode(&octets).unwrap(), message);
}

#[test]
fn spelling_decides_what_is_compressed_so_that_it_is_kept() {
    let message = answer(vec![a("kubia.default.svc.cluster.local", 1), a("KUBIA.default.svc.cluster.local", 2)]);
    let (octets, _) = encoded(&message, Size::tcp(), 0);
    let owners: Vec<_> = decode(&octets).unwrap().answers.iter().map(|record| record.name.to_ascii()).collect();
    assert_eq!(owners, ["kubia.default.svc.cluster.local.", "KUBIA.default.svc.cluster.local."]);
}

#[test]
fn what_is_cut_is_a_uniformly_random_choice() {
    let message = answer((0..100).map(|n| a("Kubia.default.svc.cluster.local", n)).collect());
    let mut seen = [0u32; 100];
    for seed in 0..2000 {
        let (octets, truncated) = encoded(&message, Size::udp(512), seed);
        assert!(truncated);
        let cut = decode(&octets).unwrap();
        assert!(cut.truncation);
        // (512 - header - question) / (pointer, fixed part, address)
        assert_eq!(cut.answers.len(), (512 - 49) / 16);
        for record in &cut.answers {
            let RData::A(address) = record.data else { panic!("not an address") };
            seen[usize::from(address.0.octets()[3])] += 1;
        }
    }
    // 2000 * 28 / 100 = 560 expected, standard deviation 20.
    assert!(seen.iter().all(|&count| (440..680).contains(&count)), "{seen:?}");
    assert_eq!(encoded(&message, Size::udp(512), 1), encoded(&message, Size::udp(512), 1));
}

#[test]
fn the_chain_of_aliases_stays_in_a_cut_answer() {
    let alias = |from: &str, to: &str| Record::from_rdata(name(from), 30, RData::CNAME(CNAME(name(to))));
    let mut records: Vec<_> = (0..100).map(|n| a("c.example.org", n)).collect();
    records.insert(50, alias("Kubia.default.svc.cluster.local", "b.example.org"));
    records.push(alias("b.example.org", "c.example.org"));
    for seed in 0..50 {
        let cut = decode(&encoded(&answer(records.clone()), Size::udp(512), seed).0).unwrap();
        let targets: Vec<_> = cut.answers.iter().take(2).map(|record| record.data.to_string()).collect();
        assert_eq!(targets, ["b.example.org.", "c.example.org."]);
        assert!(cut.answers.len() > 20);
    }
}

#[test]
fn glue_goes_first_and_its_loss_sets_tc_over_udp_alone() {
    let mut message = answer(vec![a("Kubia.default.svc.cluster.local", 1)]);
    message.authorities = vec![Record::from_rdata(name("cluster.local"), 5, RData::NS(NS(name("ns.cluster.local"))))];
    message.additionals = (0..100).map(|n| a("kubia-0.default.svc.cluster.local", n)).collect();
    message.edns = Some(MessageEdns::new());
    for (size, truncated) in [(Size::udp(512), true), (Size { limit: 512, over_udp: false }, false)] {
        let (octets, tc) = encoded(&message, size, 3);
        let cut = decode(&octets).unwrap();
        assert_eq!((tc, cut.truncation), (truncated, truncated));
        assert_eq!((cut.answers.len(), cut.authorities.len()), (1, 1));
        assert!((20..30).contains(&cut.additionals.len()));
        assert!(cut.edns.is_some(), "the OPT record stays");
    }
}

#[test]
fn a_negative_answer_whose_soa_does_not_fit_sets_tc() {
    let mut message = answer(vec![]);
    let soa = SOA::new(name("ns.dns.cluster.local"), name("hostmaster.cluster.local"), 1, 2, 3, 4, 5);
    message.authorities = vec![Record::from_rdata(name("cluster.local"), 5, RData::SOA(soa))];
    let (octets, truncated) = encoded(&message, Size { limit: 60, over_udp: false }, 0);
    assert!(truncated && decode(&octets).unwrap().authorities.is_empty());
}

#[test]
fn a_response_code_past_the_header_needs_the_opt_record() {
    let mut message = answer(vec![]);
    message.metadata.response_code = ResponseCode::BADVERS;
    assert_eq!(decode(&encoded(&message, Size::tcp(), 0).0).unwrap().response_code, ResponseCode::ServFail);
    message.edns = Some(MessageEdns::new());
    // 16 is BADVERS in an OPT record and BADSIG in a TSIG record.
    assert_eq!(Rcode::from(decode(&encoded(&message, Size::tcp(), 0).0).unwrap().response_code), Rcode::BADVERS);
}

#[test]
fn header_bits_and_unknown_types_pass_through() {
    let mut message = answer(vec![]);
    let unknown = rdata::NULL::with(vec![1, 2, 3]);
    let data = RData::Unknown { code: RecordType::Unknown(4711), rdata: unknown };
    message.answers.push(Record::from_rdata(name("a"), 1, data));
    message.metadata.authoritative = true;
    message.metadata.recursion_available = true;
    message.metadata.recursion_desired = true;
    message.metadata.authentic_data = true;
    message.metadata.checking_disabled = true;
    assert_eq!(decode(&encoded(&message, Size::tcp(), 0).0).unwrap(), message);
}

#[test]
fn names_convert_both_ways() {
    let ours: Name = r"a\.b.\000c.example.org".parse().unwrap();
    let theirs = MessageName::from(&ours);
    assert_eq!(Name::from(&theirs), ours);
    assert_eq!(Name::from(&MessageName::from(&Name::root())), Name::root());
    assert_eq!(Name::from(&name("EXAMPLE.org")), "example.org".parse().unwrap());
}

fn any_name() -> impl Strategy<Value = MessageName> {
    proptest::collection::vec(prop_oneof!["[a-c]", "[A-Za-z0-9_-]{1,63}"], 0..4).prop_map(|mut labels| {
        labels.push("org".to_owned());
        name(&labels.join("."))
    })
}

fn any_record() -> impl Strategy<Value = Record> {
    let data = prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| RData::A(A(octets.into()))),
        any_name().prop_map(|name| RData::CNAME(CNAME(name))),
        any_name().prop_map(|name| RData::PTR(PTR(name))),
        (any::<u16>(), any_name()).prop_map(|(preference, name)| RData::MX(MX::new(preference, name))),
        (any::<u16>(), any_name()).prop_map(|(port, name)| RData::SRV(SRV::new(1, 2, port, name))),
        (any_name(), any_name()).prop_map(|(server, mailbox)| RData::SOA(SOA::new(server, mailbox, 1, 2, 3, 4, 5))),
        "[a-z ]{1,80}".prop_map(|text| RData::TXT(TXT::new(vec![text]))),
    ];
    (any_name(), data).prop_map(|(owner, data)| Record::from_rdata(owner, 30, data))
}

proptest! {
    #[test]
    fn hostile_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(message) = decode(&octets) {
            encode(&message, Size::udp(512), 0, &mut Vec::new());
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_to_the_same(
        answers in proptest::collection::vec(any_record(), 0..40),
        authorities in proptest::collection::vec(any_record(), 0..4),
        additionals in proptest::collection::vec(any_record(), 0..10),
        opt: bool,
    ) {
        let mut message = answer(answers);
        message.authorities = authorities;
        message.additionals = additionals;
        message.edns = opt.then(MessageEdns::new);
        let (octets, truncated) = encoded(&message, Size::tcp(), 0);
        let decoded = decode(&octets).unwrap();
        prop_assert!(!truncated);
        // `==` on names ignores the spelling; the text does not.
        prop_assert_eq!(format!("{decoded:?}"), format!("{message:?}"));
    }

    #[test]
    fn a_cut_message_is_a_part_of_the_whole_and_below_its_limit(
        answers in proptest::collection::vec(any_record(), 0..40),
        additionals in proptest::collection::vec(any_record(), 0..40),
        limit in 60usize..2000, seed: u64, opt: bool,
    ) {
        let mut message = answer(answers);
        message.additionals = additionals;
        message.edns = opt.then(MessageEdns::new);
        let (octets, truncated) = encoded(&message, Size::udp(limit), seed);
        let decoded = decode(&octets).unwrap();
        let set = |records: &[Record]| records.iter().map(present).collect::<HashSet<_>>();
        prop_assert!(set(&decoded.answers).is_subset(&set(&message.answers)));
        prop_assert!(set(&decoded.additionals).is_subset(&set(&message.additionals)));
        let whole = decoded.answers.len() == message.answers.len() && decoded.additionals.len() == message.additionals.len();
        prop_assert_eq!(truncated, !whole);
        prop_assert_eq!(decoded.edns.is_some(), opt);
    }
}

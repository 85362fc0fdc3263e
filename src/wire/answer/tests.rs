use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::wire::message::{Message, ResponseCode, decode, present};
use crate::wire::{Parsed, parse};

const TTL: Ttl = Ttl::from_secs(30);
const ZONE: &[u8] = b"\x07Cluster\x05LOCAL\0";
const REST: &[u8] = b"\x05kubia\x07default\x03svc\x07Cluster\x05LOCAL\0";

fn query(labels: &[&str], opt: Option<(u16, u16, &[u8])>) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 0x01, 0x10, 0, 1, 0, 0, 0, 0, 0, u8::from(opt.is_some())];
    for label in labels {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 33, 0, 1]);
    if let Some((payload, flags, options)) = opt {
        message.extend_from_slice(&[0, 0, 41]);
        message.extend_from_slice(&payload.to_be_bytes());
        message.extend_from_slice(&[0, 0]);
        message.extend_from_slice(&flags.to_be_bytes());
        message.extend_from_slice(&(options.len() as u16).to_be_bytes());
        message.extend_from_slice(options);
    }
    message
}

fn kubia() -> Vec<u8> {
    query(&["KUBIA", "default", "svc", "Cluster", "LOCAL"], None)
}

fn question(message: &[u8]) -> Question<'_> {
    match parse(message) {
        Parsed::Query(question) => question,
        other => panic!("not a query: {other:?}"),
    }
}

fn written(message: &[u8], limit: usize, write: impl FnOnce(&mut Answer<'_>)) -> Vec<u8> {
    let mut buffer = vec![0xee; 70_000];
    let question = question(message);
    let mut answer = Answer::new(&question, &mut buffer, limit);
    write(&mut answer);
    let len = answer.finish(Rcode::NOERROR, true, false);
    buffer.truncate(len);
    buffer
}

fn lines(octets: &[u8]) -> [Vec<String>; 3] {
    let message = decode(octets).unwrap();
    [&message.answers, &message.authorities, &message.additionals].map(|section| section.iter().map(present).collect())
}

#[test]
fn header_and_question_are_copied_as_spelled() {
    let octets = written(&kubia(), 512, |_| {});
    let message = decode(&octets).unwrap();
    assert_eq!(&octets[12..], &kubia()[12..]);
    assert_eq!(message.metadata.id, 0x1234);
    assert!(message.authoritative && message.recursion_desired && message.checking_disabled);
    assert!(!message.recursion_available && !message.truncation && !message.authentic_data);
    assert!(message.edns.is_none());
}

#[test]
fn a_row_of_srv_records_is_what_they_are_one_by_one() {
    let labels: Vec<String> = (0..2000).map(|number| format!("kubia-{number}")).collect();
    for limit in [512, 1232, 16_500, 65_535] {
        let mut room = [0, 0];
        let by_row = written(&kubia(), limit, |answer| {
            let owner = answer.question_place();
            let mut row = answer.srv_row(owner, TTL, 7, REST);
            let mut target = row.next_target();
            room[0] = labels.iter().take_while(|label| row.put(label.as_bytes(), 80).is_ok()).count();
            for label in &labels[..room[0]] {
                if !target.is_reachable() {
                    break;
                }
                let _ = answer.address(Section::Additional, Owner::At(target), TTL, Ipv4Addr::LOCALHOST.into());
                target = target.behind(SrvRow::octets(label.as_bytes(), REST));
            }
        });
        let singly = written(&kubia(), limit, |answer| {
            let owner = Owner::At(answer.question_place());
            let places: Vec<Place> = labels
                .iter()
                .map_while(|label| {
                    answer.srv(owner, TTL, 0, 7, 80, Target { label: label.as_bytes(), rest: REST }).ok()
                })
                .collect();
            room[1] = places.len();
            for &place in places.iter().take_while(|place| place.is_reachable()) {
                let _ = answer.address(Section::Additional, Owner::At(place), TTL, Ipv4Addr::LOCALHOST.into());
            }
        });
        assert_eq!(room[0], room[1]);
        assert_eq!(by_row, singly);
        assert!(room[0] > 6 && by_row.len() + 60 > limit.min(60_000), "{} records in {}", room[0], by_row.len());
    }
}

#[test]
fn nothing_of_a_row_fits_when_its_owner_is_out_of_reach() {
    written(&kubia(), 65_535, |answer| {
        assert_eq!(answer.srv_row(Place(0x4000), TTL, 7, REST).put(b"kubia-0", 80), Err(Full));
    });
}

#[test]
fn srv_targets_are_spelled_out_and_their_addresses_point_to_them() {
    let octets = written(&kubia(), 512, |answer| {
        let owner = Owner::At(answer.question_place());
        for (index, label) in [&b"kubia-0"[..], b"kubia-1"].into_iter().enumerate() {
            answer.srv(owner, TTL, 0, 50, 80 + index as u16, Target { label, rest: REST }).unwrap();
        }
        let place = Place(answer.len() - REST.len() - 8);
        answer.address(Section::Additional, Owner::At(place), TTL, Ipv4Addr::new(10, 0, 0, 2).into()).unwrap();
        let above = answer.suffix_place(0);
        answer.address(Section::Additional, Owner::Below(b"kubia-0", above), TTL, Ipv6Addr::LOCALHOST.into()).unwrap();
    });
    assert_eq!(
        lines(&octets),
        [
            vec![
                "KUBIA.default.svc.Cluster.LOCAL. 30 SRV 0 50 80 kubia-0.kubia.default.svc.Cluster.LOCAL.",
                "KUBIA.default.svc.Cluster.LOCAL. 30 SRV 0 50 81 kubia-1.kubia.default.svc.Cluster.LOCAL.",
            ],
            vec![],
            vec![
                "kubia-1.kubia.default.svc.Cluster.LOCAL. 30 A 10.0.0.2",
                "kubia-0.KUBIA.default.svc.Cluster.LOCAL. 30 AAAA ::1",
            ],
        ]
    );
    let question = kubia().len();
    let srv = 2 + 10 + 6 + 8 + REST.len();
    assert_eq!(octets.len(), question + 2 * srv + (2 + 10 + 4) + (8 + 2 + 10 + 16));
}

#[test]
fn a_place_behind_the_reach_of_pointers_is_written_anew_and_short() {
    let octets = written(&kubia(), 65_535, |answer| {
        let owner = Owner::At(answer.question_place());
        let mut last = answer.question_place();
        for index in 0..900 {
            let label = format!("kubia-{index}");
            last = answer.srv(owner, TTL, 0, 1, 80, Target { label: label.as_bytes(), rest: REST }).unwrap();
        }
        assert!(!last.is_reachable());
        let before = answer.len();
        answer.address(Section::Additional, Owner::At(last), TTL, Ipv4Addr::LOCALHOST.into()).unwrap();
        assert_eq!(answer.len() - before, 1 + 9 + 2 + 10 + 4, "one label and a pointer to the first target's rest");
    });
    let [answers, _, additionals] = lines(&octets);
    assert_eq!(answers.len(), 900);
    assert_eq!(additionals, ["kubia-899.kubia.default.svc.Cluster.LOCAL. 30 A 127.0.0.1"]);
}

#[test]
fn a_negative_answer_carries_the_soa_of_its_zone() {
    let message = kubia();
    let octets = written(&message, 512, |answer| {
        let zone = Owner::At(answer.suffix_place(question(&message).qname.start(3)));
        answer.soa(Section::Authority, zone, Ttl::from_secs(5), Serial(1_700_000_000), Ttl::from_secs(5)).unwrap();
    });
    let soa = "Cluster.LOCAL. 5 SOA ns.dns.Cluster.LOCAL. hostmaster.Cluster.LOCAL. 1700000000 7200 1800 86400 5";
    assert_eq!(lines(&octets)[1], [soa]);
    assert_eq!(octets.len(), message.len() + 2 + 10 + 7 + 2 + 11 + 2 + 20);
    // The zone need not stand in the question.
    let octets = written(&query(&["other"], None), 512, |answer| {
        answer
            .soa(Section::Authority, Owner::Wire(ZONE), Ttl::from_secs(5), Serial(1_700_000_000), Ttl::from_secs(5))
            .unwrap();
    });
    assert_eq!(lines(&octets)[1], [soa]);
}

#[test]
fn pointers_aliases_and_name_servers_are_compressed_and_text_is_not() {
    let reverse = query(&["1", "0", "0", "10", "in-addr", "arpa"], None);
    let octets = written(&reverse, 512, |answer| {
        let owner = Owner::At(answer.question_place());
        answer.ptr(owner, TTL, Target { label: b"kubia-0", rest: REST }).unwrap();
        let before = answer.len();
        answer.ptr(owner, TTL, Target { label: b"kubia-1", rest: REST }).unwrap();
        assert_eq!(answer.len() - before, 2 + 10 + 8 + 2);
        let alias = answer.cname(owner, TTL, Target::wire(b"\x03www\x07Cluster\x05LOCAL\0")).unwrap();
        answer.address(Section::Answer, Owner::At(alias), TTL, Ipv4Addr::LOCALHOST.into()).unwrap();
        answer
            .ns(
                Section::Answer,
                Owner::Wire(ZONE),
                TTL,
                Target { label: b"ns", rest: b"\x03dns\x07Cluster\x05LOCAL\0" },
            )
            .unwrap();
        answer.txt(owner, TTL, &[b"1.1.0", b""]).unwrap();
    });
    assert_eq!(
        lines(&octets)[0],
        [
            "1.0.0.10.in-addr.arpa. 30 PTR kubia-0.kubia.default.svc.Cluster.LOCAL.",
            "1.0.0.10.in-addr.arpa. 30 PTR kubia-1.kubia.default.svc.Cluster.LOCAL.",
            "1.0.0.10.in-addr.arpa. 30 CNAME www.Cluster.LOCAL.",
            "www.Cluster.LOCAL. 30 A 127.0.0.1",
            "Cluster.LOCAL. 30 NS ns.dns.Cluster.LOCAL.",
            "1.0.0.10.in-addr.arpa. 30 TXT \"1.1.0\" \"\"",
        ]
        .map(|line| line.replace("\"", if line.contains("TXT") { "" } else { "\"" }).trim_end().to_owned())
    );
}

#[test]
fn what_does_not_fit_leaves_the_answer_as_it_was() {
    let message = kubia();
    let srv = 2 + 10 + 6 + 8 + REST.len();
    let limit = message.len() + srv + 5;
    let octets = written(&message, limit, |answer| {
        let owner = Owner::At(answer.question_place());
        let target = Target { label: b"kubia-0", rest: REST };
        answer.srv(owner, TTL, 0, 50, 80, target).unwrap();
        let state = (answer.len(), answer.remaining(Section::Answer), answer.count(Section::Answer));
        assert_eq!(answer.srv(owner, TTL, 0, 50, 80, target), Err(Full));
        assert_eq!(answer.address(Section::Additional, owner, TTL, Ipv4Addr::LOCALHOST.into()), Err(Full));
        assert_eq!(answer.soa(Section::Authority, owner, TTL, Serial(1), TTL), Err(Full));
        assert_eq!((answer.len(), answer.remaining(Section::Answer), answer.count(Section::Answer)), state);
    });
    assert!(octets.len() <= limit);
    assert_eq!(lines(&octets).map(|section| section.len()), [1, 0, 0]);
}

#[test]
fn the_opt_record_is_kept_room_for_and_says_what_the_server_can_take() {
    let message = query(&["a"], Some((4096, 0xffff, b"\0\x03\0\0\0\x64\0\x01x")));
    let own = OwnEdns { payload: 1400, nsid: Some(b"node-7".as_slice().into()) };
    let mut question = question(&message);
    question.own = &own;
    let mut buffer = [0; 512];
    let mut answer = Answer::new(&question, &mut buffer, 100);
    while answer.address(Section::Answer, Owner::At(Place(12)), TTL, Ipv4Addr::LOCALHOST.into()).is_ok() {}
    let len = answer.finish(Rcode::BADVERS, false, true);
    assert!(len <= 100);
    let message = decode(&buffer[..len]).unwrap();
    let edns = message.edns.unwrap();
    // What the flags of another version mean is not known, so that none is copied.
    assert_eq!((edns.max_payload(), edns.version(), u16::from(*edns.flags())), (1400, 0, 0));
    assert_eq!(Rcode::from(message.metadata.response_code), Rcode::BADVERS);
    assert!(message.metadata.truncation && !message.metadata.authoritative);
    assert_eq!(&buffer[len - 10..len], b"\0\x03\0\x06node-7", "the identifier, and no option of the client");
}

#[test]
fn error_replies_repeat_the_question_where_there_is_one() {
    let mut buffer = [0; 512];
    let message = query(&["a"], Some((512, 0, &[])));
    let len = error_reply(&message, Some(&question(&message)), Rcode::REFUSED, &mut buffer);
    let reply = decode(&buffer[..len]).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
    assert_eq!((reply.queries.len(), reply.edns.is_some(), reply.authoritative), (1, true, false));

    let mut notify = message.clone();
    (notify[2], notify[5]) = (0x21, 0);
    let len = error_reply(&notify, None, Rcode::NOTIMP, &mut buffer);
    assert_eq!(buffer[..len], [0x12, 0x34, 0xa1, 0x14, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(error_reply(&notify, None, Rcode::NOTIMP, &mut buffer[..11]), 0);
    assert_eq!(error_reply(&[1, 2, 3], None, Rcode::NOTIMP, &mut buffer), 0);
    assert_eq!(error_reply(&message, Some(&question(&message)), Rcode::REFUSED, &mut buffer[..20]), 0);
}

#[test]
fn a_failure_says_why_to_clients_with_edns() {
    let failure = Failure { rcode: Rcode::SERVFAIL, extended: Some(14), message: String::new() };
    let mut buffer = [0; 512];
    let message = query(&["a"], Some((512, 0, &[])));
    let len = failure_reply(&question(&message), &failure, &mut buffer);
    assert_eq!(&buffer[len - 6..len], &[0, 15, 0, 2, 0, 14]);
    assert_eq!(decode(&buffer[..len]).unwrap().metadata.response_code, ResponseCode::ServFail);
    let len = failure_reply(&question(&kubia()), &failure, &mut buffer);
    assert_eq!(len, kubia().len());
}

#[derive(Clone, Debug)]
enum OwnerEntry {
    Address(bool, [u8; 4]),
    Srv(u16, String, u8),
    Ptr(String, u8),
    Cname(u8),
}

fn entry() -> impl Strategy<Value = OwnerEntry> {
    prop_oneof![
        (any::<bool>(), any::<[u8; 4]>()).prop_map(|(v6, octets)| OwnerEntry::Address(v6, octets)),
        (any::<u16>(), "[a-z0-9][a-z0-9-]{0,62}", 0u8..3)
            .prop_map(|(port, label, rest)| OwnerEntry::Srv(port, label, rest)),
        ("[a-z0-9][a-z0-9-]{0,62}", 0u8..3).prop_map(|(label, rest)| OwnerEntry::Ptr(label, rest)),
        (0u8..3).prop_map(OwnerEntry::Cname),
    ]
}

proptest! {
    #[test]
    fn every_answer_is_read_by_the_oracle_and_stays_below_its_limit(
        entries in proptest::collection::vec(entry(), 0..60),
        limit in 100usize..3000, edns: bool,
    ) {
        const RESTS: [&[u8]; 3] = [REST, b"\x05other\x03svc\x07Cluster\x05LOCAL\0", b"\x07example\x03org\0"];
        let message = query(&["KUBIA", "default", "svc", "Cluster", "LOCAL"], edns.then_some((4096, 0, &[])));
        let mut expected = Vec::new();
        let name = |label: &str, rest: u8| {
            let wire = if label.is_empty() {
                RESTS[usize::from(rest)].to_vec()
            } else {
                [&[label.len() as u8], label.as_bytes(), RESTS[usize::from(rest)]].concat()
            };
            let mut text = String::new();
            let mut at = 0;
            while wire[at] > 0 {
                let len = usize::from(wire[at]);
                text += &String::from_utf8_lossy(&wire[at + 1..at + 1 + len]);
                text.push('.');
                at += 1 + len;
            }
            text
        };
        let octets = written(&message, limit, |answer| {
            let mut owner = Owner::At(answer.question_place());
            let mut owner_text = "KUBIA.default.svc.Cluster.LOCAL.".to_owned();
            for entry in &entries {
                let before = answer.len();
                let (result, line, place) = match entry {
                    OwnerEntry::Address(false, octets) => {
                        let address = Ipv4Addr::from(*octets);
                        (answer.address(Section::Answer, owner, TTL, address.into()), format!("A {address}"), None)
                    }
                    OwnerEntry::Address(true, octets) => {
                        let address = Ipv4Addr::from(*octets).to_ipv6_compatible();
                        (answer.address(Section::Answer, owner, TTL, address.into()), format!("AAAA {address}"), None)
                    }
                    OwnerEntry::Srv(port, label, rest) => {
                        let target = Target { label: label.as_bytes(), rest: RESTS[usize::from(*rest)] };
                        let place = answer.srv(owner, TTL, 0, 1, *port, target);
                        (place.map(|_| ()), format!("SRV 0 1 {port} {}", name(label, *rest)), place.ok().map(|place| (place, name(label, *rest))))
                    }
                    OwnerEntry::Ptr(label, rest) => {
                        let target = Target { label: label.as_bytes(), rest: RESTS[usize::from(*rest)] };
                        (answer.ptr(owner, TTL, target), format!("PTR {}", name(label, *rest)), None)
                    }
                    OwnerEntry::Cname(rest) => {
                        let place = answer.cname(owner, TTL, Target::wire(RESTS[usize::from(*rest)]));
                        (place.map(|_| ()), format!("CNAME {}", name("", *rest)), place.ok().map(|place| (place, name("", *rest))))
                    }
                };
                match result {
                    Ok(()) => expected.push(format!("{owner_text} {TTL} {line}")),
                    Err(Full) => assert_eq!(answer.len(), before),
                }
                if let Some((place, text)) = place {
                    (owner, owner_text) = (Owner::At(place), text);
                }
            }
        });
        prop_assert!(octets.len() <= limit);
        if !octets.is_empty() {
            let message: Message = decode(&octets).unwrap();
            prop_assert_eq!(message.edns.is_some(), edns);
            prop_assert_eq!(message.answers.iter().map(present).collect::<Vec<_>>(), expected);
        }
    }
}

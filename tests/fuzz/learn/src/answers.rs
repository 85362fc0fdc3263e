//! Questions to one small cluster: what it answers is what the model says.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::OnceLock;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name as MessageName, RData, Record, RecordType};
use rollcall::cluster::IndexSettings;
use rollcall::cluster::facts::{DecodedObject, Fact, Kind, json};
use rollcall::wire::{Class, Name, Parsed, Question, Rtype, parse};
use rollcall::zone::{Answered, Seeds, View, answer as answer_question};
use rollcall_testing::objects::{cluster_ip, endpoint, external_name, headless, namespace, ports, slice};
use rollcall_testing::world::World;
use serde_json::{Value, json};

use crate::model::{Model, Records, Truth, dashed, reverse};
use crate::octets::Drawn;

/// The cluster, the model of it, and the labels of which questions are made.
struct Known {
    view: View,
    model: Model,
    labels: Vec<String>,
}

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let facts = facts();
        let mut world = World::new(IndexSettings::default());
        world.list(&facts);
        let view = world.view();
        let model = Model::new(&facts, IpAddr::from([127, 0, 0, 1]));
        let mut labels: Vec<String> = [
            "_", "_http", "http", "_dns", "_tcp", "tcp", "_udp", "*", "x", "0", "1", "10", "f", "d", "fd00--1", "ip6",
            "arpa",
        ]
        .map(str::to_owned)
        .into();
        labels.extend((0..3).map(|number| dashed(IpAddr::from([10, 0, 0, number]))));
        for fact in &facts {
            let key = fact.key();
            labels.extend([key.name.to_string(), key.namespace.to_string()]);
        }
        labels.extend((0..3).map(|number| format!("peer-{number}")));
        labels.extend(["ns", "dns", "dns-version", "pod", "svc", "in-addr", "local", "cluster"].map(str::to_owned));
        labels.sort();
        labels.dedup();
        Known { view, model, labels }
    })
}

/// The settings that the model is for.
pub(crate) fn view() -> &'static View {
    &known().view
}

/// A cluster with every kind of Service, and one that no small answer holds.
fn facts() -> Vec<Fact> {
    let fact = |kind: Kind, value: &Value| match json::value(kind, value) {
        DecodedObject::Keep(fact, None) => fact,
        other => panic!("{other:?}"),
    };
    let two = json!([{"name": "http", "port": 80}, {"name": "dns", "protocol": "UDP", "port": 53}, {"port": 9}]);
    let peer = |number: usize| endpoint(&format!("peer-{number}"), &format!("10.0.0.{number}"));
    let unready = json!({"addresses": ["10.0.9.9"], "hostname": "late", "conditions": {"ready": false}});
    let many = (0..80).map(|number| json!({"addresses": [format!("10.1.0.{number}")]})).collect();
    let mut sixth = slice("db", "six", ports("http", "TCP", 80), vec![endpoint("peer-0", "fd00::1")]);
    sixth["addressType"] = "IPv6".into();
    sixth["endpoints"][0]["addresses"] = json!(["fd00::1", "fd00::"]);
    let services = [
        headless("db"),
        headless("many"),
        headless("none"),
        cluster_ip("web", "10.96.0.1", two.clone()),
        cluster_ip("bare", "10.96.0.2", json!([])),
        cluster_ip("six", "fd00:96::1", ports("dns", "UDP", 53)),
        external_name("out", "Example.org"),
        external_name("in", "db.default.svc.cluster.local"),
        external_name("missing", "x.default.svc.cluster.local"),
        external_name("loop", "loop2.default.svc.cluster.local"),
        external_name("loop2", "loop.default.svc.cluster.local"),
    ];
    let slices = [
        slice("db", "a", two.clone(), vec![peer(0), peer(1), unready]),
        slice("db", "b", two.clone(), vec![peer(1), peer(2), json!({"addresses": ["10.0.0.200"]})]),
        sixth,
        slice("many", "a", ports("http", "TCP", 8080), many),
        slice("none", "a", two, vec![json!({"addresses": ["10.0.9.8"], "conditions": {"ready": false}})]),
        slice(
            "web",
            "a",
            ports("http", "TCP", 8080),
            vec![json!({"addresses": ["10.0.0.100"]}), endpoint("peer-0", "10.0.0.101")],
        ),
    ];
    let namespaces = [namespace("default"), namespace("empty")];
    let namespaces = namespaces.iter().map(|value| fact(Kind::Namespace, value));
    let services = services.iter().map(|value| fact(Kind::Service, value));
    namespaces.chain(services).chain(slices.iter().map(|value| fact(Kind::EndpointSlice, value))).collect()
}

/// A question gets the answer that the model says, within its limit, or is left to others where the model has nothing.
pub fn answer(octets: &[u8]) {
    let known = known();
    let mut drawn = Drawn::new(octets);
    let choice = drawn.octet();
    let limit = [512, 1232, 65_535][usize::from(choice) % 3];
    let message = match choice & 0x80 {
        0 => made(&known.labels, drawn),
        _ => drawn.rest().to_vec(),
    };
    let Parsed::Query(question) = parse(&message) else { return };
    is_true(&known.view, &known.model, &question, limit);
}

/// A question of labels that the cluster has, each chosen by an octet, in any case.
fn made(labels: &[String], mut drawn: Drawn<'_>) -> Vec<u8> {
    let types = [1, 28, 33, 12, 5, 2, 6, 16, 255, 65];
    let (qtype, class, count, tail) = (drawn.one_of(&types), drawn.octet(), drawn.below(8), drawn.octet());
    let mut octets = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(tail & 4 == 0)];
    let mut put = |label: &str| {
        octets.push(label.len() as u8);
        octets.extend_from_slice(label.as_bytes());
    };
    for _ in 0..count {
        put(&labels[drawn.below(labels.len())]);
    }
    if tail & 8 != 0 {
        // A reverse name whole.
        let v6 = tail & 16 != 0;
        let address = if v6 {
            IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(drawn.octet() % 3)])
        } else {
            IpAddr::from([10, drawn.octet() % 3, 0, drawn.octet()])
        };
        reverse(address).trim_end_matches('.').split('.').for_each(&mut put);
    } else {
        let ends: [&[&str]; 4] =
            [&["default", "svc", "cluster", "local"], &["svc", "Cluster", "local"], &["cluster", "LOCAL"], &[]];
        ends[usize::from(tail & 3)].iter().for_each(|label| put(label));
    }
    octets.push(0);
    octets.extend_from_slice(&[0, qtype, 0, if class > 250 { 3 } else { 1 }]);
    if tail & 4 == 0 {
        octets.extend_from_slice(&[0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, 0]);
    }
    octets
}

/// Holds an answer against the model.
pub(crate) fn is_true(view: &View, model: &Model, question: &Question<'_>, limit: usize) {
    let mut buffer = vec![0xaa; limit + 16];
    let seeds = Seeds { order: 3, choice: &|| 3 };
    let answered = answer_question(question, view, limit, true, seeds, &mut buffer);
    let qname = lower(&MessageName::from(&Name::from_wire(question.qname.as_wire()).unwrap()));
    let truth = model.of(&qname);
    let len = match answered {
        Answered::NotInZone => return assert_eq!(truth, Truth::Elsewhere, "{qname}"),
        Answered::Fallthrough => panic!("{qname}: nothing falls through"),
        Answered::Chase { targets } => {
            let (aliases, last) = follow(model, &qname);
            assert_eq!(targets.iter().map(Name::to_string).collect::<Vec<_>>(), aliases, "{qname}");
            return assert_eq!(last, Truth::Elsewhere, "{qname}");
        }
        Answered::Reply { len, .. } => len,
    };
    assert!(len <= limit && buffer[limit..].iter().all(|octet| *octet == 0xaa), "nothing is written behind");
    let reply = Message::from_vec(&buffer[..len]).unwrap_or_else(|error| panic!("{error}: {qname}"));
    assert_eq!((reply.metadata.id, reply.queries.len()), (question.id, 1));
    assert_ne!(truth, Truth::Elsewhere, "{qname}");
    if question.qclass != Class::IN || matches!(question.qtype, Rtype::AXFR | Rtype::IXFR) {
        return assert_eq!(reply.metadata.response_code, ResponseCode::Refused, "{qname}");
    }
    assert!(
        reply.metadata.authoritative
            && reply.answers.iter().chain(&reply.additionals).all(|record| record.ttl <= 28_800)
    );
    let qtype = RecordType::from(question.qtype.0);
    let (mut aliases, mut last) = (Vec::new(), truth);
    if matches!(&last, Truth::Exists(Records { alias: Some(_), .. })) {
        (aliases, last) = follow(model, &qname);
        if qtype == RecordType::CNAME {
            aliases.truncate(1);
        }
    }
    let owner = aliases.last().unwrap_or(&qname).clone();
    let expected = match (&last, aliases.is_empty() || qtype != RecordType::CNAME) {
        (Truth::Exists(records), true) => data(records, qtype, &owner),
        _ => BTreeSet::new(),
    };
    let rcode = if last == Truth::Missing && (aliases.is_empty() || qtype != RecordType::CNAME) {
        ResponseCode::NXDomain
    } else {
        ResponseCode::NoError
    };
    assert_eq!(reply.metadata.response_code, rcode, "{qname} {qtype}");
    let mut chain = vec![qname.clone()];
    chain.extend(aliases.iter().cloned());
    let mut found = BTreeSet::new();
    for record in &reply.answers {
        if let RData::CNAME(target) = &record.data {
            let at = chain.iter().position(|name| *name == lower(&record.name)).unwrap();
            assert_eq!(chain.get(at + 1), Some(&lower(&target.0)), "{qname}");
            continue;
        }
        assert_eq!(lower(&record.name), owner, "{qname} {qtype}");
        assert!(found.insert(shown(record)), "{qname} {qtype}: twice {}", shown(record));
    }
    if reply.metadata.truncation {
        assert!(found.is_subset(&expected), "{qname} {qtype}: {found:?}");
    } else {
        assert_eq!(found, expected, "{qname} {qtype}");
        // RFC 2308: the SOA says how long the absence may be remembered. A loop has neither.
        let is_loop = matches!(&last, Truth::Exists(Records { alias: Some(_), .. }));
        let is_absent = expected.is_empty() && !is_loop && (aliases.is_empty() || qtype != RecordType::CNAME);
        let soa = reply.authorities.iter().filter(|record| record.record_type() == RecordType::SOA).count();
        assert_eq!(soa, usize::from(is_absent), "{qname} {qtype}");
    }
    beside(model, &reply, &qname, &last);
}

/// The addresses beside an answer are those of its targets: where TC is not set, all at which they have the ports. (A label may stand for
/// endpoints with other ports.)
fn beside(model: &Model, reply: &Message, qname: &str, last: &Truth) {
    let services = match last {
        Truth::Exists(records) if reply.queries[0].query_type() == RecordType::SRV => records.beside.clone(),
        _ => BTreeSet::new(),
    };
    let targets: BTreeSet<String> = reply
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(lower(&srv.target)),
            RData::NS(target) => Some(lower(&target.0)),
            _ => None,
        })
        .collect();
    let mut expected = BTreeSet::new();
    for target in &targets {
        // The name servers of reverse zones stand in no zone of names.
        let addresses = match model.of(target) {
            Truth::Exists(records) => records.addresses,
            _ => [model.local].into(),
        };
        expected.extend(addresses.into_iter().map(|address| (target.clone(), address)));
    }
    let found: BTreeSet<(String, IpAddr)> = reply
        .additionals
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some((lower(&record.name), address.0.into())),
            RData::AAAA(address) => Some((lower(&record.name), address.0.into())),
            _ => None,
        })
        .collect();
    assert!(found.is_subset(&expected), "{qname}: {found:?} of {expected:?}");
    let wanted = if services.is_empty() { expected } else { services };
    assert!(reply.metadata.truncation || wanted.is_subset(&found), "{qname}: {wanted:?}, found {found:?}");
}

/// The targets of aliases from a name on, and what the last of them stands for; the last alias itself where it is a loop.
fn follow(model: &Model, qname: &str) -> (Vec<String>, Truth) {
    let (mut aliases, mut at) = (Vec::new(), qname.to_owned());
    loop {
        match model.of(&at) {
            Truth::Exists(Records { alias: Some(target), .. }) => {
                let target = target.to_lowercase();
                aliases.push(target.clone());
                let is_loop = target == qname || aliases.iter().filter(|before| **before == target).count() > 1;
                if is_loop {
                    return (aliases, model.of(&at));
                }
                at = target;
            }
            other => return (aliases, other),
        }
    }
}

/// The data of a type that a name has.
fn data(records: &Records, qtype: RecordType, owner: &str) -> BTreeSet<String> {
    match qtype {
        RecordType::A | RecordType::AAAA => {
            let of_type = |address: &&IpAddr| address.is_ipv4() == (qtype == RecordType::A);
            records.addresses.iter().filter(of_type).map(IpAddr::to_string).collect()
        }
        RecordType::SRV => records.services.iter().map(|(port, target)| format!("{port} {target}")).collect(),
        RecordType::PTR => records.pointers.clone(),
        RecordType::TXT => records.texts.clone(),
        RecordType::NS => records.servers.clone(),
        RecordType::SOA if records.is_apex => [format!("soa of {owner}")].into(),
        _ => BTreeSet::new(),
    }
}

fn shown(record: &Record) -> String {
    match &record.data {
        RData::A(address) => address.to_string(),
        RData::AAAA(address) => address.to_string(),
        RData::SRV(srv) => {
            assert_eq!(srv.priority, 0);
            assert!((1..=100).contains(&srv.weight));
            format!("{} {}", srv.port, lower(&srv.target))
        }
        RData::PTR(target) => lower(&target.0),
        RData::NS(target) => lower(&target.0),
        RData::TXT(text) => text.txt_data.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect(),
        RData::SOA(_) => format!("soa of {}", lower(&record.name)),
        other => other.to_string(),
    }
}

/// A name as the model has it.
fn lower(name: &MessageName) -> String {
    Name::from_labels(name.iter()).unwrap().to_string()
}

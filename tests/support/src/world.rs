//! A cluster of manifests inside of the test: objects in, questions asked, whole answers out.

use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;
use std::time::Instant;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name as MessageName, RData, Record};
use rollcall::cluster::facts::{DecodedObject, Fact, Kind, json};
use rollcall::cluster::manifests::{Addresses, load};
use rollcall::cluster::{Index, IndexSettings};
use rollcall::wire::{Name, Parsed, Ttl, parse};
use rollcall::zone::{Answered, Fallthrough, Pods, Reader, Seeds, View, answer, pair};

/// A cluster and its zone.
pub struct World {
    index: Index,
    reader: Reader,
    addresses: Addresses,
    folder: tempfile::TempDir,
    clock: u32,
}

impl World {
    /// An empty cluster that is not synced yet.
    pub fn new(settings: IndexSettings) -> Self {
        let (publisher, reader) = pair();
        let index = Index::new(publisher, settings);
        Self {
            index,
            reader,
            addresses: Addresses::default(),
            folder: tempfile::tempdir().unwrap(),
            clock: 1_700_000_000,
        }
    }

    /// A cluster that holds just these manifests.
    pub fn of(manifests: &str) -> Self {
        let mut world = Self::new(IndexSettings::default());
        world.replace(manifests);
        world
    }

    /// The manifests as facts.
    pub fn facts(&mut self, manifests: &str) -> Vec<Fact> {
        let path = self.folder.path().join("cluster.yaml");
        fs::write(&path, manifests).unwrap();
        load(&[path], &mut self.addresses).unwrap_or_else(|error| panic!("{error}")).facts
    }

    /// What a multicluster zone shows of the manifests.
    pub fn imports(manifests: &[&str]) -> Vec<Fact> {
        let facts = manifests.iter().filter_map(|manifest| {
            let value: serde_json::Value = serde_saphyr::from_str(manifest).unwrap();
            let kind = match value["kind"].as_str() {
                Some("ServiceImport") => Kind::ServiceImport,
                Some("EndpointSlice") => Kind::ImportedSlice,
                _ => return None,
            };
            match json::value(kind, &value) {
                DecodedObject::Keep(fact, None) => Some(fact),
                DecodedObject::Drop(_) => None,
                other => panic!("{other:?}"),
            }
        });
        facts.collect()
    }

    /// Facts received, the list not complete yet.
    pub fn receive(&mut self, facts: Vec<Fact>) {
        self.clock += 1;
        self.index.apply_page(facts, Instant::now(), self.clock);
    }

    /// A complete list of everything: what is not in it is gone.
    pub fn list(&mut self, facts: &[Fact]) {
        for kind in Kind::ALL {
            self.clock += 1;
            self.index.begin_list(kind);
            let page = facts.iter().filter(|fact| fact.kind() == kind).cloned().collect();
            self.index.apply_page(page, Instant::now(), self.clock);
            self.index.end_list(kind, Instant::now(), self.clock);
        }
        self.index.set_synced();
    }

    /// The cluster is what these manifests say from now on.
    pub fn replace(&mut self, manifests: &str) {
        let facts = self.facts(manifests);
        self.list(&facts);
    }

    /// One event of a watch.
    pub fn index(&mut self) -> &mut Index {
        &mut self.index
    }

    /// The zone under the settings of kubeadm's Corefile, TTL 30.
    pub fn view(&self) -> View {
        View {
            reader: self.reader.clone(),
            zones: names(&["cluster.local.", "in-addr.arpa.", "ip6.arpa."]),
            multicluster: Vec::new(),
            ttl: Ttl::from_secs(30),
            pods: Pods::Insecure,
            namespaces: None,
            ignore_empty: false,
            zonal: false,
            bounds: None,
            fallthrough: Fallthrough::None,
            local: vec![IpAddr::from([127, 0, 0, 1])],
        }
    }

    /// Asks under the settings of [`view`](Self::view).
    pub fn ask(&self, qname: &str, qtype: &str) -> Reply {
        ask(&self.view(), qname, qtype).unwrap_or_else(|other| panic!("{qname} {qtype}: {other:?}"))
    }
}

/// Names of text.
pub fn names(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Labels of text.
pub fn labels(texts: &[&str]) -> HashSet<rollcall::wire::Label> {
    texts.iter().map(|text| rollcall::wire::Label::new(text.as_bytes()).unwrap()).collect()
}

/// A whole answer, its sections sorted lines of a zone file without class.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The response code in words.
    pub rcode: String,
    /// AA.
    pub authoritative: bool,
    /// TC.
    pub truncated: bool,
    /// The answer section.
    pub answers: Vec<String>,
    /// The authority section.
    pub authority: Vec<String>,
    /// The additional section.
    pub additional: Vec<String>,
}

impl Reply {
    /// Just the data of the answers, sorted.
    pub fn data(&self) -> Vec<&str> {
        self.answers.iter().map(|record| record.splitn(4, ' ').nth(3).unwrap()).collect()
    }

    /// The owner of the SOA in the authority section.
    pub fn soa(&self) -> Option<&str> {
        let soa = self.authority.iter().find(|record| record.split(' ').nth(2) == Some("SOA"));
        soa.and_then(|record| record.split(' ').next())
    }
}

/// Asks a zone over UDP with EDNS of 4,096 octets; what is no reply comes back as the error.
pub fn ask(view: &View, qname: &str, qtype: &str) -> Result<Reply, Answered> {
    let mut query = Message::new(0x2a2a, MessageType::Query, OpCode::Query);
    let mut name = MessageName::from_ascii(qname).unwrap();
    name.set_fqdn(true);
    query.add_query(Query::query(name, qtype.parse().unwrap_or_else(|_| panic!("{qtype}"))));
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    query.set_edns(edns);
    let octets = query.to_vec().unwrap();
    let Parsed::Query(question) = parse(&octets) else { panic!("{qname} {qtype} was not read as a query") };
    let mut buffer = vec![0; 4096];
    let answered = answer(&question, view, 4096, true, Seeds { order: 7, choice: &|| 7 }, &mut buffer);
    let Answered::Reply { len, rcode, truncated, .. } = answered else { return Err(answered) };
    let message = Message::from_vec(&buffer[..len]).unwrap_or_else(|error| panic!("{qname} {qtype}: {error}"));
    assert_eq!(message.metadata.id, 0x2a2a);
    assert_eq!(message.queries, query.queries, "the question is repeated");
    assert!(message.edns.is_some(), "EDNS is answered with EDNS");
    assert_eq!(u16::from(message.metadata.response_code), rcode.0);
    assert_eq!(message.metadata.truncation, truncated);
    let section = |records: &[Record]| {
        let mut lines: Vec<_> = records.iter().map(line).collect();
        lines.sort();
        lines
    };
    Ok(Reply {
        rcode: rcode.to_string(),
        authoritative: message.metadata.authoritative,
        truncated,
        answers: section(&message.answers),
        authority: section(&message.authorities),
        additional: section(&message.additionals),
    })
}

fn line(record: &Record) -> String {
    let data = match &record.data {
        RData::SRV(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target.to_ascii()),
        RData::TXT(txt) => {
            let texts = txt.txt_data.iter().map(|text| format!("\"{}\"", String::from_utf8_lossy(text)));
            texts.collect::<Vec<_>>().join(" ")
        }
        RData::PTR(name) => name.0.to_ascii(),
        RData::CNAME(name) => name.0.to_ascii(),
        RData::NS(name) => name.0.to_ascii(),
        RData::SOA(soa) => format!(
            "{} {} {} {} {} {} {}",
            soa.mname.to_ascii(),
            soa.rname.to_ascii(),
            soa.serial,
            soa.refresh,
            soa.retry,
            soa.expire,
            soa.minimum
        ),
        other => other.to_string(),
    };
    format!("{} {} {} {data}", record.name.to_ascii(), record.ttl, record.record_type())
}

/// Whether the lines of two sections are the same records; `*` fits a TTL or the serial of a SOA, data compares without case.
pub fn same(expected: &[String], found: &[String]) -> bool {
    let mut found: Vec<&String> = found.iter().collect();
    expected.len() == found.len()
        && expected.iter().all(|line| {
            let at = found.iter().position(|other| same_record(line, other));
            at.map(|at| found.swap_remove(at)).is_some()
        })
}

fn same_record(expected: &str, found: &str) -> bool {
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.splitn(4, ' ').collect(), found.splitn(4, ' ').collect());
    let (&[owner, ttl, kind, data], &[own, own_ttl, own_kind, own_data]) = (&expected[..], &found[..]) else {
        panic!("a record is `owner ttl type data`: {expected:?}")
    };
    let quoted = format!("\"{data}\"");
    let data = if kind == "TXT" && !data.starts_with('"') { &quoted } else { data };
    let (data, own_data): (Vec<&str>, Vec<&str>) = (data.split(' ').collect(), own_data.split(' ').collect());
    (owner, kind, data.len()) == (own, own_kind, own_data.len())
        && (ttl == "*" || ttl == own_ttl)
        && data.iter().zip(&own_data).all(|(one, other)| *one == "*" || one.eq_ignore_ascii_case(other))
}

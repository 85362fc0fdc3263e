//! Histories of a cluster: writes, deletions and lists in any order end in the answers that the model gives of what there is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rollcall::cluster::facts::{
    EndpointFact, Fact, Family, Kind, NamespaceFact, ObjectKey, ServiceFact, ServiceSpec, SliceFact,
};
use rollcall::cluster::{Index, IndexSettings};
use rollcall::wire::{Label, Parsed, parse};
use rollcall::zone::{Port, Protocol, View, pair};

use crate::answers::{is_true, view};
use crate::model::{Model, dashed, reverse};
use crate::octets::Drawn;
use crate::texts::address;

/// Few names, addresses and ports, so that they collide.
const SERVICES: usize = 3;
const ADDRESSES: u8 = 5;

/// What the cluster holds, and the mirror of it.
struct History {
    objects: BTreeMap<(Kind, ObjectKey), Fact>,
    index: Index,
    view: View,
    version: u64,
    now: Instant,
    unix: u32,
}

/// Whatever happened, once it is over every name is answered as the model says.
pub fn cluster(octets: &[u8]) {
    let mut drawn = Drawn::new(octets);
    let (publisher, reader) = pair();
    let mut history = History {
        objects: BTreeMap::new(),
        index: Index::new(publisher, IndexSettings::default()),
        view: View { reader, ..view().clone() },
        version: 0,
        now: Instant::now(),
        unix: 1_700_000_000,
    };
    history.write(Fact::Namespace(NamespaceFact { name: "default".into() }));
    history.index.set_synced();
    for _ in 0..drawn.below(12) {
        history.step(&mut drawn);
    }
    history.now += Duration::from_secs(3600);
    history.index.expire(history.now, history.unix);
    let facts: Vec<Fact> = history.objects.values().cloned().collect();
    let model = Model::new(&facts, IpAddr::from([127, 0, 0, 1]));
    for name in names(&model) {
        for qtype in [1, 28, 33, 12] {
            let message = asked(&name, qtype);
            let Parsed::Query(question) = parse(&message) else { panic!("{name} is well-formed") };
            is_true(&history.view, &model, &question, 4096);
        }
    }
}

impl History {
    fn step(&mut self, drawn: &mut Drawn<'_>) {
        self.now += Duration::from_millis(u64::from(drawn.octet()) * 20);
        self.unix += 1;
        match drawn.below(8) {
            0..4 => {
                let fact = slice(drawn);
                self.write(fact);
            }
            4 | 5 => {
                let fact = service(drawn);
                self.write(fact);
            }
            6 => {
                let at = drawn.below(self.objects.len());
                let Some((kind, key)) = self.objects.keys().nth(at).cloned() else { return };
                self.objects.remove(&(kind, key.clone()));
                self.index.delete(kind, &key, self.now, self.unix);
            }
            _ => self.list(drawn),
        }
        if drawn.once_in(3) {
            self.index.expire(self.now, self.unix);
        }
    }

    fn write(&mut self, mut fact: Fact) {
        self.version += 1;
        match &mut fact {
            Fact::Slice(slice) => slice.version = self.version,
            Fact::Service(service) => service.version = self.version,
            _ => {}
        }
        self.objects.insert((fact.kind(), fact.key()), fact.clone());
        self.index.apply(fact, self.now, self.unix);
    }

    /// A watch breaks, something changes that nobody sees, and a list in pages tells the whole.
    fn list(&mut self, drawn: &mut Drawn<'_>) {
        let kind = drawn.one_of(&[Kind::Service, Kind::EndpointSlice]);
        let unseen = if kind == Kind::Service { service(drawn) } else { slice(drawn) };
        let key = (kind, unseen.key());
        if drawn.once_in(2) {
            self.objects.remove(&key);
        } else {
            self.version += 1;
            let unseen = match unseen {
                Fact::Slice(slice) => Fact::Slice(SliceFact { version: self.version, ..slice }),
                Fact::Service(service) => Fact::Service(ServiceFact { version: self.version, ..service }),
                other => other,
            };
            self.objects.insert(key, unseen);
        }
        let facts: Vec<Fact> = self.objects.values().filter(|fact| fact.kind() == kind).cloned().collect();
        self.index.begin_list(kind);
        for page in facts.chunks(1 + drawn.below(3)) {
            self.index.apply_page(page.to_vec(), self.now, self.unix);
        }
        self.index.end_list(kind, self.now, self.unix);
    }
}

fn key(name: String) -> ObjectKey {
    ObjectKey::new("default", &name)
}

pub(crate) fn service(drawn: &mut Drawn<'_>) -> Fact {
    let name = format!("service-{}", drawn.below(SERVICES));
    let spec = match drawn.below(6) {
        0..3 => ServiceSpec::Headless { ports: Vec::new() },
        3 => ServiceSpec::ClusterIp {
            addresses: vec![IpAddr::from([10, 96, 0, drawn.octet() % 4])],
            ports: ports(drawn, false),
        },
        4 => ServiceSpec::ClusterIp { addresses: Vec::new(), ports: ports(drawn, false) },
        _ => {
            let target = drawn.one_of(&["example.org.", "service-0.default.svc.cluster.local."]);
            ServiceSpec::ExternalName(target.parse().ok())
        }
    };
    let selector = drawn.once_in(2);
    Fact::Service(ServiceFact { key: key(name), version: 0, selector, spec, external: None })
}

pub(crate) fn slice(drawn: &mut Drawn<'_>) -> Fact {
    let (name, service) = (format!("slice-{}", drawn.below(4)), format!("service-{}", drawn.below(SERVICES)));
    let v6 = drawn.once_in(3);
    let endpoints = (0..drawn.below(4))
        .map(|_| {
            let hostname = drawn.below(4);
            let hostname = (hostname > 0).then(|| Label::new(format!("peer-{hostname}").as_bytes()).unwrap());
            let more = drawn.once_in(5).then(|| address(1 + drawn.octet() % ADDRESSES, v6));
            let first = address(1 + drawn.octet() % ADDRESSES, v6);
            let addresses = std::iter::once(first).chain(more.filter(|more| *more != first)).collect();
            EndpointFact { addresses, hostname, pod: None, ready: !drawn.once_in(4), zone: None }
        })
        .collect();
    Fact::Slice(SliceFact {
        key: key(name),
        version: 0,
        service: service.into(),
        family: if v6 { Family::V6 } else { Family::V4 },
        ports: ports(drawn, true),
        endpoints,
        aliases: Vec::new(),
        triggered: None,
    })
}

/// Sorted, each once; a slice may have one for all numbers.
fn ports(drawn: &mut Drawn<'_>, of_slice: bool) -> Vec<Port> {
    let bits = drawn.octet();
    let label = |name: &str| Label::new(name.as_bytes()).ok();
    let all = [
        Port { name: None, protocol: Protocol::Tcp, number: 0 },
        Port { name: None, protocol: Protocol::Tcp, number: 80 },
        Port { name: label("http"), protocol: Protocol::Tcp, number: 80 },
        Port { name: label("http"), protocol: Protocol::Tcp, number: 8080 },
        Port { name: label("http"), protocol: Protocol::Udp, number: 80 },
        Port { name: label("dns"), protocol: Protocol::Udp, number: 53 },
    ];
    let chosen = all.into_iter().enumerate().filter(|(at, port)| bits & 1 << at != 0 && (of_slice || port.number > 0));
    let mut ports: Vec<Port> = chosen.map(|(_, port)| port).collect();
    ports.sort_unstable();
    ports
}

/// The names that exist, and some that may not.
fn names(model: &Model) -> Vec<String> {
    let mut names: Vec<String> = model.names().map(str::to_owned).collect();
    for number in 1..=ADDRESSES {
        names.push(reverse(address(number, false)));
        names.push(format!("{}.service-0.default.svc.cluster.local.", dashed(address(number, false))));
    }
    for service in 0..SERVICES {
        for below in ["", "peer-1.", "peer-2.", "_http._tcp.", "_dns._udp.", "_tcp.", "x."] {
            names.push(format!("{below}service-{service}.default.svc.cluster.local."));
        }
    }
    names
}

fn asked(name: &str, qtype: u8) -> Vec<u8> {
    let mut octets = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        octets.push(label.len() as u8);
        octets.extend_from_slice(label.as_bytes());
    }
    octets.extend_from_slice(&[0, 0, qtype, 0, 1]);
    octets
}

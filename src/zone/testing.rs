//! Zones and answers as text, for tests.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::*;
use crate::wire::message::{self, Message, present};
use crate::wire::{Class, Label, Name, Parsed, Rtype, Serial, Ttl, parse};

/// Makes a zone from lines of text; the head of `zones.txt` says how they read.
pub(super) fn zone(lines: &str) -> (Publisher, Reader) {
    let (mut publisher, reader) = pair();
    publisher.publish(changes(lines));
    publisher.set_serial(Serial(7));
    publisher.set_synced();
    (publisher, reader)
}

/// The difference between an empty zone and one of these lines.
pub(super) fn changes(lines: &str) -> Changes {
    let mut changes = Changes::default();
    let mut services: BTreeMap<ServiceName, Option<ServiceKind>> = BTreeMap::new();
    let mut endpoints: BTreeMap<ServiceName, BTreeMap<Label, EndpointState>> = BTreeMap::new();
    let mut pointers: BTreeMap<IpAddr, Vec<(Label, ServiceName)>> = BTreeMap::new();
    for line in lines.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["namespace", name] => changes.namespaces.push((label(name), true)),
            ["pod", namespace, address] => changes.pods.push((label(namespace), address.parse().unwrap(), true)),
            ["headless", name] => drop(services.insert(service_name(name), Some(ServiceKind::Headless))),
            ["external", name, target] => {
                services.insert(service_name(name), Some(ServiceKind::ExternalName(target.parse().unwrap())));
            }
            ["cluster-ip", name, addresses, ports @ ..] => {
                let addresses: Box<[IpAddr]> = addresses.split(',').map(|address| address.parse().unwrap()).collect();
                for &address in &addresses {
                    changes.pointers.push((address, Some(Pointer::Service(service_name(name)))));
                }
                let ports = ports.iter().map(|text| port(text)).collect::<Vec<_>>().into();
                services.insert(service_name(name), Some(ServiceKind::ClusterIp { addresses, ports }));
            }
            ["endpoint", name, own, address, rest @ ..] => {
                let zone = rest.first().and_then(|word| word.strip_prefix("zone="));
                let ports = rest.iter().skip(usize::from(zone.is_some())).map(|text| port(text));
                let state =
                    endpoints.entry(service_name(name)).or_default().entry(label(own)).or_insert_with(|| {
                        EndpointState { addresses: AddressList::new(), ports: [].into(), zone: None }
                    });
                let mut all: Vec<Port> = state.ports.iter().cloned().chain(ports).collect();
                all.sort();
                all.dedup();
                state.ports = all.into();
                state.zone = zone.map(Into::into);
                state.addresses.push(address.parse().unwrap());
                state.addresses.sort();
                state.addresses.dedup();
                let pointed = pointers.entry(address.parse().unwrap()).or_default();
                pointed.push((label(own), service_name(name)));
                pointed.sort();
                pointed.dedup();
            }
            _ => panic!("no such line: {line}"),
        }
    }
    for (address, pointed) in pointers {
        // A ClusterIP counts before endpoints, for those who see its Service.
        let shared = changes.pointers.iter_mut().find(|(other, _)| *other == address);
        if let Some((_, Some(pointer @ Pointer::Service(_)))) = shared {
            if let Pointer::Service(service) = pointer.clone() {
                *pointer = Pointer::Shared(Box::new(SharedAddress { service, endpoints: pointed.into() }));
            }
            continue;
        }
        let pointer = match <[_; 1]>::try_from(pointed) {
            Ok([(label, service)]) => Pointer::Endpoint(label, service),
            Err(several) => Pointer::Endpoints(several.into()),
        };
        changes.pointers.push((address, Some(pointer)));
    }
    for (name, kind) in services {
        let states = endpoints.remove(&name).unwrap_or_default();
        let states: Vec<EndpointChange> =
            states.into_iter().map(|(label, state)| EndpointChange { label, state: Some(state) }).collect();
        let service =
            kind.map(|kind| Service { name: name.clone(), kind, endpoints: Endpoints::default().apply(&states) });
        changes.services.push((name, service.map(Into::into)));
    }
    changes
}

fn label(text: &str) -> Label {
    Label::new(text.as_bytes()).unwrap()
}

fn service_name(text: &str) -> ServiceName {
    let (service, namespace) = text.split_once('.').expect("SERVICE.NAMESPACE");
    ServiceName::new(&label(service), &label(namespace))
}

fn port(text: &str) -> Port {
    let parts: Vec<&str> = text.split('/').collect();
    let [name, protocol, number] = parts.as_slice() else { panic!("no port: {text}") };
    Port {
        name: (*name != "-").then(|| label(name)),
        protocol: match *protocol {
            "TCP" => Protocol::Tcp,
            "UDP" => Protocol::Udp,
            "SCTP" => Protocol::Sctp,
            other => panic!("no protocol: {other}"),
        },
        number: number.parse().unwrap(),
    }
}

/// A view of all of `cluster.local`, TTL 5.
pub(super) fn view(reader: Reader) -> View {
    View {
        reader,
        zones: vec!["cluster.local".parse().unwrap()],
        multicluster: Vec::new(),
        ttl: Ttl::from_secs(5),
        pods: Pods::Disabled,
        namespaces: None,
        ignore_empty: false,
        zonal: false,
        bounds: None,
        fallthrough: Fallthrough::None,
        local: Vec::new(),
    }
}

/// The octets of a query, without EDNS.
pub(super) fn query(qname: &str, qtype: Rtype, qclass: Class) -> Vec<u8> {
    // Parsed without `Name`, which would fold the spelling.
    let mut octets = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in qname.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    octets.extend_from_slice(&qtype.to_be_bytes());
    octets.extend_from_slice(&qclass.to_be_bytes());
    octets
}

/// A type by its name.
pub(super) fn qtype(name: &str) -> Rtype {
    Rtype::from_name(name).unwrap()
}

/// The outcome of a question, read back by another decoder than wrote it.
#[derive(Debug)]
pub(super) struct TestAnswer {
    pub(super) answered: Answered,
    pub(super) octets: Vec<u8>,
    pub(super) message: Option<Message>,
}

impl TestAnswer {
    /// The records of the answer section, as written.
    pub(super) fn answers(&self) -> Vec<String> {
        self.message.iter().flat_map(|message| message.answers.iter().map(present)).collect()
    }

    /// The records of the additional section, as written.
    pub(super) fn additionals(&self) -> Vec<String> {
        self.message.iter().flat_map(|message| message.additionals.iter().map(present)).collect()
    }

    pub(super) fn authorities(&self) -> Vec<String> {
        self.message.iter().flat_map(|message| message.authorities.iter().map(present)).collect()
    }

    /// Outcome and answers in one line: `NXDOMAIN`, or `NOERROR` and the data of the records, sorted.
    pub(super) fn short(&self) -> String {
        match &self.answered {
            Answered::Reply { rcode, truncated, .. } => {
                let mut answers = self.answers();
                answers.sort();
                let data = answers.iter().map(|line| line.splitn(4, ' ').skip(2).collect::<Vec<_>>().join(" "));
                let tc = truncated.then(|| "TC".to_owned());
                [rcode.to_string()].into_iter().chain(tc).chain(data).collect::<Vec<_>>().join("; ")
            }
            Answered::Fallthrough => "next".into(),
            Answered::NotInZone => "elsewhere".into(),
            Answered::Chase { targets } => {
                let targets: Vec<String> = targets.iter().map(Name::to_string).collect();
                format!("chase; {}", targets.join("; "))
            }
        }
    }
}

/// Asks over TCP.
pub(super) fn ask(view: &View, qname: &str, type_name: &str) -> TestAnswer {
    ask_octets(view, &query(qname, qtype(type_name), Class::IN), 65_535, false, 1)
}

/// Asks over UDP within a limit.
pub(super) fn ask_udp(view: &View, qname: &str, type_name: &str, limit: usize, seed: u64) -> TestAnswer {
    ask_octets(view, &query(qname, qtype(type_name), Class::IN), limit, true, seed)
}

pub(super) fn ask_octets(view: &View, query: &[u8], limit: usize, over_udp: bool, seed: u64) -> TestAnswer {
    let Parsed::Query(question) = parse(query) else { panic!("a query of ours is well-formed") };
    let mut octets = vec![0xaa; 65_535];
    let answered = answer(&question, view, limit, over_udp, Seeds { order: seed, choice: &|| seed }, &mut octets);
    let Answered::Reply { len, rcode, truncated, .. } = &answered else {
        return TestAnswer { answered, octets: Vec::new(), message: None };
    };
    assert!(*len <= limit, "{len} octets of {limit}");
    octets.truncate(*len);
    let message = message::decode(&octets).unwrap();
    assert_eq!(message.metadata.id, 0x1234);
    assert_eq!(message.metadata.truncation, *truncated);
    assert_eq!(u16::from(message.metadata.response_code), rcode.0);
    TestAnswer { answered, octets, message: Some(message) }
}

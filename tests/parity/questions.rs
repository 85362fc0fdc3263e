//! Questions made from the objects of a cluster, and from what resembles them.

use super::world::{NAMESPACES, Random, World};

/// One question, as it is spelled.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) labels: Vec<Vec<u8>>,
    pub(crate) qtype: u16,
    pub(crate) qclass: u16,
    /// Opcode, RD, AD and CD.
    pub(crate) flags: u16,
    /// The size that EDNS advertises, and DO.
    pub(crate) edns: Option<(u16, bool)>,
    pub(crate) tcp: bool,
}

pub(crate) const A: u16 = 1;
pub(crate) const NS: u16 = 2;
pub(crate) const CNAME: u16 = 5;
pub(crate) const SOA: u16 = 6;
pub(crate) const PTR: u16 = 12;
pub(crate) const MX: u16 = 15;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const SRV: u16 = 33;
const OTHERS: [u16; 4] = [35, 64, 65, 255];

impl Question {
    pub(crate) fn plain(labels: Vec<Vec<u8>>, qtype: u16) -> Self {
        Self { labels, qtype, qclass: 1, flags: 0x100, edns: Some((4096, false)), tcp: true }
    }

    pub(crate) fn octets(&self, id: u16) -> Vec<u8> {
        let mut message = id.to_be_bytes().to_vec();
        message.extend_from_slice(&self.flags.to_be_bytes());
        message.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, u8::from(self.edns.is_some())]);
        message.extend(self.name());
        message.extend_from_slice(&self.qtype.to_be_bytes());
        message.extend_from_slice(&self.qclass.to_be_bytes());
        if let Some((size, dnssec_ok)) = self.edns {
            message.extend_from_slice(&[0, 0, 41]);
            message.extend_from_slice(&size.to_be_bytes());
            message.extend_from_slice(&[0, 0, u8::from(dnssec_ok) << 7, 0, 0, 0]);
        }
        message
    }

    /// The qname in wire format.
    pub(crate) fn name(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in &self.labels {
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        }
        wire.push(0);
        wire
    }

    /// The qname as text; labels of these questions need no escapes.
    pub(crate) fn text(&self) -> String {
        self.labels.iter().map(|label| String::from_utf8_lossy(label) + ".").collect::<String>()
    }

    /// The most that an answer may have.
    pub(crate) fn limit(&self) -> usize {
        if self.tcp { 65_535 } else { self.edns.map_or(512, |(size, _)| usize::from(size.max(512))) }
    }
}

/// Labels of a name in text.
pub(crate) fn labels(text: &str) -> Vec<Vec<u8>> {
    text.split('.').filter(|label| !label.is_empty()).map(|label| label.as_bytes().to_vec()).collect()
}

/// Makes the next question.
pub(crate) fn question(world: &World, zone: &str, random: &mut Random) -> Question {
    let (name, types) = match random.below(100) {
        0..=24 => (of_service(world, random), [A, AAAA, SRV, SRV].as_slice()),
        25..=39 => (of_endpoint(world, random), [A, AAAA, SRV].as_slice()),
        40..=59 => (of_port(world, random), [SRV, SRV, A, AAAA].as_slice()),
        60..=66 => (of_pod(random), [A, AAAA, SRV].as_slice()),
        67..=74 => (format!("out{}.a.svc.", random.below(15)), [A, AAAA, CNAME, SRV, MX].as_slice()),
        75..=82 => (structure(random), [A, TXT, NS, SOA].as_slice()),
        83..=92 => return spelled(&reverse(world, random), &[PTR, PTR, PTR, PTR, A, SOA], random),
        _ => return outside(random.one(&["www.ok.test", "x.nx.test", "x.fail.test", "local", "."]), random),
    };
    spelled(&format!("{name}{zone}"), types, random)
}

/// A name outside of the cluster; a cache answers with the spelling of an earlier question, so it is spelled one way.
fn outside(name: &str, random: &mut Random) -> Question {
    let mut question = spelled(name, &[A, AAAA, TXT], random);
    question.labels.iter_mut().for_each(|label| label.make_ascii_lowercase());
    question
}

fn spelled(name: &str, types: &[u16], random: &mut Random) -> Question {
    let mut labels = labels(name);
    if random.percent(40) {
        for octet in labels.iter_mut().flatten().filter(|octet| octet.is_ascii_alphabetic()) {
            *octet ^= u8::from(random.percent(50)) << 5;
        }
    }
    let common = [A, AAAA, SRV, TXT, PTR, CNAME, NS, SOA, MX];
    let qtype = match random.below(10) {
        0..=6 => *random.pick(types),
        7..=8 => *random.pick(&common),
        _ => *random.pick(&OTHERS),
    };
    let edns = random.percent(60).then(|| (*random.pick(&[100, 512, 1232, 4096]), random.percent(25)));
    let mut flags =
        u16::from(random.percent(80)) << 8 | u16::from(random.percent(15)) << 5 | u16::from(random.percent(10)) << 4;
    if random.below(150) == 0 {
        flags |= *random.pick(&[2 << 11, 4 << 11, 5 << 11]);
    }
    let qclass = if random.below(150) == 0 { 3 } else { 1 };
    Question { labels, qtype, qclass, flags, edns, tcp: random.percent(20) }
}

fn at(world: &World, random: &mut Random) -> String {
    let service = random.pick(&world.services);
    let namespace = if random.percent(90) { service.namespace } else { random.one(&["a", "b", "nosuch"]) };
    format!("{}.{namespace}.svc.", service.name)
}

fn of_service(world: &World, random: &mut Random) -> String {
    match random.below(10) {
        0 => format!("x{}", at(world, random)),
        1 => format!("{}.{}", random.one(&["x", "_tcp", "svc", "*", "_", "any"]), at(world, random)),
        _ => at(world, random),
    }
}

fn of_endpoint(world: &World, random: &mut Random) -> String {
    let service = random.pick(&world.services);
    let below = format!("{}.{}.svc.", service.name, service.namespace);
    match service.endpoints.as_slice() {
        [] => below,
        all => {
            let (label, address) = random.pick(all);
            let label = if random.percent(85) { label.clone() } else { address.replace(['.', ':'], "-") };
            let left = if random.percent(5) { "x." } else { "" };
            format!("{left}{label}.{below}")
        }
    }
}

fn of_port(world: &World, random: &mut Random) -> String {
    let service = random.pick(&world.services);
    let (name, protocol) = match service.ports.as_slice() {
        [] => ("http", "TCP"),
        all => {
            let (name, protocol) = random.pick(all);
            (name.as_str(), *protocol)
        }
    };
    let (name, protocol) = (if name.is_empty() { "http" } else { name }, protocol.to_lowercase());
    let port = match random.below(12) {
        0 => format!("_{protocol}"),
        1 => protocol,
        2 => format!("{name}.{protocol}"),
        3 => random.pick(&[format!("_._{protocol}"), format!("_{name}._"), "_._".to_owned()]).clone(),
        4 => format!("_{name}._{}", random.one(&["tcp", "udp", "sctp", "quic"])),
        5 => format!("_{name}._{protocol}.x"),
        6 => format!("__{name}._{protocol}"),
        _ => format!("_{name}._{protocol}"),
    };
    format!("{port}.{}.{}.svc.", service.name, service.namespace)
}

fn of_pod(random: &mut Random) -> String {
    let address = random.one(&[
        "1-2-3-4",
        "fd00--1",
        "255-255-255-255",
        "1-2-3",
        "01-2-3-4",
        "--1",
        "1--",
        "256-1-1-1",
        "1-2-3-4-5-6-7-8",
        "pod-1",
    ]);
    let left = if random.percent(15) { random.one(&["x.", "_http._tcp.", "x.y.z."]) } else { "" };
    format!("{left}{address}.{}.pod.", random.one(&["a", "b", "default", "nosuch"]))
}

fn structure(random: &mut Random) -> String {
    let namespace = random.one(&NAMESPACES);
    let names =
        ["", "", "svc.", "pod.", "dns.", "ns.dns.", "x.ns.dns.", "dns-version.", "x.dns-version.", "_tcp.", "x."];
    match random.below(4) {
        0 => format!("{namespace}.svc."),
        1 => format!("{namespace}.{}.", random.one(&["pod", "svcs", "x"])),
        _ => (*random.pick(&names)).to_owned(),
    }
}

fn reverse(world: &World, random: &mut Random) -> String {
    let addresses = world.addresses();
    let address: std::net::IpAddr =
        if random.percent(80) { random.pick(&addresses) } else { random.one(&["10.1.2.3", "fd00::99"]) }
            .parse()
            .unwrap();
    let name = match address {
        std::net::IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        std::net::IpAddr::V6(v6) => {
            let digits = format!("{:032x}", u128::from(v6));
            let digits: Vec<String> = digits.chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa", digits.join("."))
        }
    };
    match random.below(16) {
        0 => name.split_once('.').map(|(_, rest)| rest.to_owned()).unwrap(),
        1 => "in-addr.arpa".to_owned(),
        2 if address.is_ipv4() => format!("x.{name}"),
        3 => format!("0{name}"),
        _ => name,
    }
}

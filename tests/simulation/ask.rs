//! What a client sees: real queries in octets, and what their answers say.

use std::collections::BTreeMap;

use rollcall::wire::{Parsed, Rcode, Ttl, parse};
use rollcall::zone::{Answered, Pods, Reader, Seeds, View, answer};
use rollcall_testing::queries::{A, SRV, query, question_end};
use rollcall_testing::zone::view;

use crate::etcd::Peers;
use crate::objects::{ServiceId, dotted};

const PTR: u16 = 12;

/// The records of one type in a section: owner, number where there is one, and what they say.
type Rows = Vec<(String, u16, String)>;

/// A client of the zone.
#[derive(Debug)]
pub(crate) struct Client {
    view: View,
    buffer: Vec<u8>,
}

/// What a client finds under the name of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The response code of the name itself.
    pub(crate) rcode: Rcode,
    /// Its own address, where it has one.
    pub(crate) own: Option<u32>,
    /// Its peers.
    pub(crate) peers: Peers,
}

/// An answer, read.
struct Reply {
    rcode: Rcode,
    answers: Rows,
    additionals: Rows,
}

impl Client {
    /// A client of the zone that this reader reads.
    pub(crate) fn new(reader: Reader) -> Self {
        let zones = ["cluster.local", "10.in-addr.arpa"].map(|zone| zone.parse().unwrap()).to_vec();
        let view = View { zones, ttl: Ttl::from_secs(5), pods: Pods::Verified, ..view(reader) };
        Self { view, buffer: vec![0; 8192] }
    }

    /// The zone.
    pub(crate) fn reader(&self) -> &Reader {
        &self.view.reader
    }

    /// Asks for all that a Service has, and holds the answers against each other; `before` says what is looked at closely:
    /// what differs from it.
    pub(crate) fn look(&mut self, service: ServiceId, before: Option<&Seen>) -> Result<Seen, String> {
        let name = format!("s{}.n{}.svc.cluster.local.", service.number, service.namespace);
        let reply = self.ask(&name, A)?;
        let mut seen = Seen { rcode: reply.rcode, own: None, peers: Peers::new() };
        let mut addresses: Vec<u32> = reply.answers.iter().map(|(_, _, text)| number(text)).collect();
        addresses.sort_unstable();
        if addresses.first().is_some_and(|address| *address >= CLUSTER_IPS) {
            seen.own = addresses.pop();
            if !addresses.is_empty() {
                return Err(format!("{name}: an address of its own, and more: {addresses:?}"));
            }
            let back = self.ask(&reverse(seen.own.unwrap_or_default()), PTR)?;
            if !back.answers.iter().any(|(_, _, target)| *target == name) {
                return Err(format!("{name} has {:?}, which points to {:?}", seen.own, back.answers));
            }
            return Ok(seen);
        }
        let reply = self.ask(&format!("_http._tcp.{name}"), SRV)?;
        for (_, port, target) in &reply.answers {
            let Some(host) = target.strip_suffix(&format!(".{name}")).and_then(|label| label[1..].parse().ok()) else {
                return Err(format!("{name}: SRV to {target}"));
            };
            seen.peers.entry(host).or_default().ports.push(*port);
        }
        let mut glue: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (owner, _, text) in &reply.additionals {
            glue.entry(owner).or_default().push(number(text));
        }
        for (host, peer) in &mut seen.peers {
            let target = format!("p{host}.{name}");
            peer.addresses = glue.remove(target.as_str()).unwrap_or_default();
            sort(&mut peer.addresses);
            peer.ports.sort_unstable();
            peer.ports.dedup();
        }
        // One version: the names of SRV, the addresses beside them, those of the name itself, and the pointers.
        let mut beside: Vec<u32> = seen.peers.values().flat_map(|peer| peer.addresses.iter().copied()).collect();
        sort(&mut beside);
        if beside != addresses || !glue.is_empty() {
            return Err(format!("{name}: A has {addresses:?}, SRV {:?}, besides {glue:?}", seen.peers));
        }
        self.look_closely(&name, &seen, before)?;
        Ok(seen)
    }

    /// Asks for each peer that is not as it was.
    fn look_closely(&mut self, name: &str, seen: &Seen, before: Option<&Seen>) -> Result<(), String> {
        let none = Peers::new();
        let olds = before.map_or(&none, |before| &before.peers);
        for (host, peer) in seen.peers.iter().filter(|(host, peer)| olds.get(host) != Some(peer)) {
            let own = format!("p{host}.{name}");
            let mut addresses: Vec<u32> = self.ask(&own, A)?.answers.iter().map(|(_, _, text)| number(text)).collect();
            sort(&mut addresses);
            if addresses != peer.addresses {
                return Err(format!("{own}: A has {addresses:?}, beside SRV stand {:?}", peer.addresses));
            }
            for address in addresses {
                let back = self.ask(&reverse(address), PTR)?.answers;
                if !back.iter().any(|(_, _, target)| *target == own) {
                    return Err(format!("{own} has {}, which points to {back:?}", dotted(address)));
                }
            }
        }
        // Pointers are of the slices alone: they outlive a Service whose slices are still there.
        let gone = olds.iter().filter(|(host, _)| seen.rcode == Rcode::NOERROR && !seen.peers.contains_key(host));
        for (host, old) in gone {
            let own = format!("p{host}.{name}");
            let gone = self.ask(&own, A)?;
            if !gone.answers.is_empty() {
                return Err(format!("{own}: no SRV names it, and A has {:?}", gone.answers));
            }
            for address in &old.addresses {
                let back = self.ask(&reverse(*address), PTR)?.answers;
                if back.iter().any(|(_, _, target)| *target == own) {
                    return Err(format!("{own} is gone, and {} points to it", dotted(*address)));
                }
            }
        }
        Ok(())
    }

    /// Whether a pod of a namespace has an address (`pods verified`).
    pub(crate) fn has_pod(&mut self, namespace: u8, address: u32) -> Result<(Rcode, bool), String> {
        let name = format!("{}.n{namespace}.pod.cluster.local.", dotted(address).replace('.', "-"));
        let reply = self.ask(&name, A)?;
        Ok((reply.rcode, !reply.answers.is_empty()))
    }

    fn ask(&mut self, name: &str, qtype: u16) -> Result<Reply, String> {
        let asked = query(1, name, qtype);
        let Parsed::Query(question) = parse(&asked) else { return Err(format!("{name}: not a question")) };
        match answer(&question, &self.view, 8192, false, Seeds { order: 7, choice: &|| 7 }, &mut self.buffer) {
            Answered::Reply { len, rcode, truncated: false, .. } => {
                let message = &self.buffer[..len];
                let mut at = question_end(message);
                let count = |place: usize| usize::from(u16::from_be_bytes([message[place], message[place + 1]]));
                let answers = rows(message, &mut at, count(6));
                rows(message, &mut at, count(8));
                let additionals = rows(message, &mut at, count(10));
                Ok(Reply { rcode, answers, additionals })
            }
            other => Err(format!("{name}: {other:?}")),
        }
    }
}

/// The first address of a Service's own.
pub(crate) const CLUSTER_IPS: u32 = 0x0060_0000;

fn rows(message: &[u8], at: &mut usize, count: usize) -> Rows {
    let mut rows = Rows::new();
    for _ in 0..count {
        let owner = name(message, at);
        let short = |place: usize| u16::from_be_bytes([message[place], message[place + 1]]);
        let (rtype, len) = (short(*at), usize::from(short(*at + 8)));
        let mut data = *at + 10;
        *at = data + len;
        match rtype {
            A => {
                let octets: [u8; 4] = message[data..data + 4].try_into().unwrap();
                rows.push((owner, 0, std::net::Ipv4Addr::from(octets).to_string()));
            }
            SRV => {
                data += 6;
                rows.push((owner, short(data - 2), name(message, &mut data)));
            }
            PTR => rows.push((owner, 0, name(message, &mut data))),
            _ => {}
        }
    }
    rows
}

/// The name at a place, which may go on elsewhere.
fn name(message: &[u8], at: &mut usize) -> String {
    let (mut text, mut place, mut jumped) = (String::new(), *at, false);
    loop {
        let len = usize::from(message[place]);
        if len >= 0xc0 {
            if !jumped {
                *at = place + 2;
            }
            (jumped, place) = (true, (len & 0x3f) << 8 | usize::from(message[place + 1]));
            continue;
        }
        let end = place + 1 + len;
        if len == 0 {
            if !jumped {
                *at = end;
            }
            return text;
        }
        text.push_str(std::str::from_utf8(&message[place + 1..end]).unwrap());
        text.push('.');
        place = end;
    }
}

fn number(text: &str) -> u32 {
    u32::from(text.parse::<std::net::Ipv4Addr>().unwrap()) & 0x00ff_ffff
}

fn reverse(address: u32) -> String {
    let [_, one, two, three] = address.to_be_bytes();
    format!("{three}.{two}.{one}.10.in-addr.arpa.")
}

fn sort(addresses: &mut Vec<u32>) {
    addresses.sort_unstable();
    addresses.dedup();
}

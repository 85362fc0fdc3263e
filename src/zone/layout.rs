//! Endpoints laid out record by record: for Services imported from several clusters, and for the few Services whose slices
//! list one endpoint twice, or with other ports at one address than at another.
//!
//! Everything that an answer draws from is made when a version is made, so that each address goes with just the ports of
//! the slice that lists it, and nothing counts twice. That costs a whole layout for each change; see `endpoints` for what
//! costs less.
//!
//! Differs from CoreDNS: the weight is divided by what is left when repeats are gone, so that the weights add up.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::{Port, Protocol};
use crate::wire::Label;

/// A ready endpoint as one slice lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its own label.
    pub label: Label,
    /// The cluster that it belongs to, when the Service is imported and its slice says so.
    pub cluster: Option<Label>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The ports of the slice.
    pub ports: Arc<[Port]>,
}

/// The ready endpoints of one Service, in one version.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// That of all ports, then one for each name and protocol.
    choices: Box<[Choice]>,
}

/// The endpoints that have one port, or all of them, as the records that they make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Choice {
    port: Option<(Label, Protocol)>,
    pub(super) v4: Box<[Ipv4Addr]>,
    pub(super) v6: Box<[Ipv6Addr]>,
    /// Sorted by label and cluster, each pair once.
    pub(super) endpoints: Box<[LaidOut]>,
    /// The endpoint (its position) and port number of each SRV record; those of one endpoint stand together.
    pub(super) srv: Box<[(u32, u16)]>,
}

/// All that one label stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaidOut {
    /// The label.
    pub label: Label,
    /// The cluster that it belongs to.
    pub cluster: Option<Label>,
    /// Its addresses, sorted, each once.
    pub addresses: Vec<IpAddr>,
    /// Its ports, sorted, each once.
    pub ports: Vec<Port>,
    /// Its port numbers that have SRV records, sorted, each once.
    pub(super) numbers: Vec<u16>,
    /// The addresses that one of these goes with, sorted, each once: those that stand beside SRV records.
    pub(super) glue: Vec<IpAddr>,
    /// How many pairs of an address and a port number there are.
    pub(super) pairs: usize,
}

impl Layout {
    /// Lays parts out. Those of one label and cluster are one endpoint.
    pub fn new(parts: &[Part]) -> Self {
        let ports = parts.iter().flat_map(|part| part.ports.iter());
        let mut named: Vec<_> = ports.filter_map(|port| Some((port.name.clone()?, port.protocol))).collect();
        named.sort_unstable();
        named.dedup();
        let choices = std::iter::once(None).chain(named.into_iter().map(Some));
        Self { choices: choices.map(|port| Choice::new(port, parts)).collect() }
    }

    /// The endpoints.
    pub fn endpoints(&self) -> &[LaidOut] {
        self.choices.first().map_or(&[], |all| &all.endpoints)
    }

    /// The endpoint of a label in a cluster.
    pub(super) fn find(&self, label: &[u8], cluster: Option<&[u8]>) -> Option<&LaidOut> {
        let key =
            |own: &LaidOut| (own.label.as_bytes(), own.cluster.as_ref().map(Label::as_bytes)).cmp(&(label, cluster));
        let all = self.endpoints();
        all.binary_search_by(key).ok().and_then(|at| all.get(at))
    }

    /// Whether a cluster has endpoints here.
    pub(super) fn has_cluster(&self, cluster: &[u8]) -> bool {
        let mut clusters = self.endpoints().iter().filter_map(|own| own.cluster.as_ref());
        clusters.any(|own| own.as_bytes() == cluster)
    }

    /// All endpoints; `None` when there is none.
    pub(super) fn all(&self) -> Option<&Choice> {
        self.choices.first().filter(|all| !all.endpoints.is_empty())
    }

    /// The endpoints with a port of this name and protocol, both labels without underscore.
    pub(super) fn with_port(&self, name: &[u8], protocol: &[u8]) -> Option<&Choice> {
        let is_it = |port: &(Label, Protocol)| port.0.as_bytes() == name && port.1.label() == protocol;
        self.choices.iter().find(|choice| choice.port.as_ref().is_some_and(is_it))
    }

    /// Whether any named port has this protocol.
    pub(super) fn has_protocol(&self, protocol: &[u8]) -> bool {
        let mut protocols = self.choices.iter().filter_map(|choice| choice.port.as_ref());
        protocols.any(|(_, own)| own.label() == protocol)
    }
}

/// Endpoints by label and cluster, with their pairs of address and port number.
type Merged<'p> = BTreeMap<(&'p Label, Option<&'p Label>), (Vec<(IpAddr, u16)>, LaidOut)>;

impl Choice {
    fn new(port: Option<(Label, Protocol)>, parts: &[Part]) -> Self {
        let mut merged = Merged::new();
        for part in parts {
            let is_wanted = |own: &&Port| {
                port.as_ref()
                    .is_none_or(|(name, protocol)| own.name.as_ref() == Some(name) && own.protocol == *protocol)
            };
            let ports: Vec<&Port> = part.ports.iter().filter(is_wanted).collect();
            if port.is_some() && ports.is_empty() {
                continue;
            }
            let (pairs, own) = merged.entry((&part.label, part.cluster.as_ref())).or_insert_with(|| {
                let (label, cluster) = (part.label.clone(), part.cluster.clone());
                let (addresses, ports, numbers) = (Vec::new(), Vec::new(), Vec::new());
                (Vec::new(), LaidOut { label, cluster, addresses, ports, numbers, glue: Vec::new(), pairs: 0 })
            });
            // As in CoreDNS, what has no port, or one without a number, counts all the same.
            let none = ports.is_empty().then_some(0);
            let numbers: Vec<u16> = ports.iter().map(|own| own.number).chain(none).collect();
            pairs.extend(
                part.addresses.iter().flat_map(|&address| numbers.iter().map(move |&number| (address, number))),
            );
            own.addresses.extend(&part.addresses);
            own.ports.extend(ports.into_iter().cloned());
        }
        let endpoints: Box<[LaidOut]> = merged
            .into_values()
            .map(|(mut pairs, mut own)| {
                sort(&mut pairs);
                sort(&mut own.addresses);
                sort(&mut own.ports);
                // 53 over UDP and over TCP is one record.
                own.numbers = own.ports.iter().map(|port| port.number).filter(|&number| number != 0).collect();
                sort(&mut own.numbers);
                own.glue = pairs.iter().filter(|(_, number)| *number != 0).map(|(address, _)| *address).collect();
                own.glue.dedup();
                LaidOut { pairs: pairs.len(), ..own }
            })
            .collect();
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in endpoints.iter().flat_map(|own| &own.addresses) {
            match address {
                IpAddr::V4(address) => v4.push(*address),
                IpAddr::V6(address) => v6.push(*address),
            }
        }
        sort(&mut v4);
        sort(&mut v6);
        let srv = (0..).zip(&endpoints).flat_map(|(at, own)| own.numbers.iter().map(move |&number| (at, number)));
        let srv = srv.collect();
        Self { port, v4: v4.into(), v6: v6.into(), endpoints, srv }
    }

    /// How many triples of endpoint, address and port number there are, by which the weight is divided.
    pub(super) fn pairs(&self) -> usize {
        self.endpoints.iter().map(|own| own.pairs).sum()
    }
}

fn sort<T: Ord>(all: &mut Vec<T>) {
    all.sort_unstable();
    all.dedup();
}

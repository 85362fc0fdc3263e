//! A Service imported from several clusters, as the zones that `multicluster` names show it.
//!
//! Everything that an answer draws from is laid out when a version is made: such Services are few, and their endpoints
//! have two labels (`ENDPOINT.CLUSTER.SERVICE.NAMESPACE.svc`), which those of the cluster itself need not pay for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Port, Protocol, ServiceName};
use crate::wire::Label;

/// One version of an imported Service, immutable once published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its name and namespace.
    pub name: ServiceName,
    /// What its bare name answers.
    pub kind: ImportKind,
    /// Sorted by label and cluster, each pair once.
    endpoints: Box<[ImportedEndpoint]>,
    /// That of all ports, then one for each name and protocol.
    choices: Box<[Choice]>,
}

/// What the bare name of an imported Service stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// Virtual addresses that the cluster set has for it (`type: ClusterSetIP`).
    ClusterSetIp {
        /// One or two.
        addresses: Box<[IpAddr]>,
        /// The ports of the ServiceImport.
        ports: Box<[Port]>,
    },
    /// The addresses of its ready endpoints in all clusters.
    Headless,
}

/// A ready endpoint in one of the clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedEndpoint {
    /// Its own label.
    pub label: Label,
    /// The cluster that it belongs to, where its slice says so.
    pub cluster: Option<Label>,
    /// Its addresses, sorted, each once.
    pub addresses: Vec<IpAddr>,
    /// Its ports, sorted, each once.
    pub ports: Vec<Port>,
}

/// The endpoints that have one port, or all of them, as the records that they make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    port: Option<(Label, Protocol)>,
    pub(super) v4: Box<[Ipv4Addr]>,
    pub(super) v6: Box<[Ipv6Addr]>,
    /// The endpoint (its position) and port number of each SRV record; those of one endpoint stand together.
    pub(super) srv: Box<[(u32, u16)]>,
    /// How many triples of endpoint, address and port there are, by which CoreDNS divides the weight.
    pub(super) pairs: usize,
}

impl Import {
    /// Lays out a version. Endpoints of one label and cluster are one endpoint.
    pub fn new(name: ServiceName, kind: ImportKind, mut endpoints: Vec<ImportedEndpoint>) -> Self {
        endpoints.sort_by(|one, other| (&one.label, &one.cluster).cmp(&(&other.label, &other.cluster)));
        endpoints.dedup_by(|next, kept| {
            let same = (&next.label, &next.cluster) == (&kept.label, &kept.cluster);
            if same {
                kept.addresses.append(&mut next.addresses);
                kept.ports.append(&mut next.ports);
            }
            same
        });
        for endpoint in &mut endpoints {
            endpoint.addresses.sort_unstable();
            endpoint.addresses.dedup();
            endpoint.ports.sort_unstable();
            endpoint.ports.dedup();
        }
        let ports = endpoints.iter().flat_map(|endpoint| &endpoint.ports);
        let mut named: Vec<_> = ports.filter_map(|port| Some((port.name.clone()?, port.protocol))).collect();
        named.sort_unstable();
        named.dedup();
        let choices = std::iter::once(None).chain(named.into_iter().map(Some));
        let choices = choices.map(|port| Choice::new(port, &endpoints)).collect();
        Self { name, kind, endpoints: endpoints.into(), choices }
    }

    /// Its ready endpoints.
    pub fn endpoints(&self) -> &[ImportedEndpoint] {
        &self.endpoints
    }

    /// The endpoint of a label in a cluster.
    pub(super) fn find(&self, label: &[u8], cluster: Option<&[u8]>) -> Option<&ImportedEndpoint> {
        let key = |endpoint: &ImportedEndpoint| {
            (endpoint.label.as_bytes(), endpoint.cluster.as_ref().map(Label::as_bytes)).cmp(&(label, cluster))
        };
        self.endpoints.binary_search_by(key).ok().and_then(|at| self.endpoints.get(at))
    }

    /// Whether a cluster has endpoints of it.
    pub(super) fn has_cluster(&self, cluster: &[u8]) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.cluster.as_ref().is_some_and(|own| own.as_bytes() == cluster))
    }

    /// All endpoints.
    pub(super) fn all(&self) -> Option<&Choice> {
        self.choices.first()
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

impl Choice {
    fn new(port: Option<(Label, Protocol)>, endpoints: &[ImportedEndpoint]) -> Self {
        let (mut v4, mut v6, mut srv, mut pairs) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (at, endpoint) in (0..).zip(endpoints) {
            let is_wanted = |own: &&Port| {
                port.as_ref()
                    .is_none_or(|(name, protocol)| own.name.as_ref() == Some(name) && own.protocol == *protocol)
            };
            let mut numbers: Vec<u16> = endpoint.ports.iter().filter(is_wanted).map(|own| own.number).collect();
            if port.is_some() && numbers.is_empty() {
                continue;
            }
            pairs += numbers.len() * endpoint.addresses.len();
            // 53 over UDP and over TCP is one record.
            numbers.sort_unstable();
            numbers.dedup();
            srv.extend(numbers.into_iter().map(|number| (at, number)));
            for address in &endpoint.addresses {
                match address {
                    IpAddr::V4(address) => v4.push(*address),
                    IpAddr::V6(address) => v6.push(*address),
                }
            }
        }
        v4.sort_unstable();
        v4.dedup();
        v6.sort_unstable();
        v6.dedup();
        Self { port, v4: v4.into(), v6: v6.into(), srv: srv.into(), pairs }
    }
}

#[cfg(test)]
mod tests;

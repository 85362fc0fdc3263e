//! By which addresses and names a Service is reached from outside the cluster, for `k8s_external`.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::ports::{Numbers, Ports, srv_weight};
use super::shards::ShardEntry;
use super::{PortList, ServiceName};
use crate::wire::Name;

/// A Service that is reached from outside.
///
/// Few Services are, so these are kept apart from the Services themselves, which stay as small as they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct External {
    /// Its name and namespace.
    pub name: ServiceName,
    /// The addresses of each family and the names, each once, in the order of `spec.externalIPs`, then
    /// `status.loadBalancer.ingress`.
    v4: Box<[IpAddr]>,
    v6: Box<[IpAddr]>,
    names: Box<[Name]>,
    /// The number of hosts that are listed, repeats among them: CoreDNS divides weights by these.
    listed: usize,
    ports: PortList,
}

impl External {
    /// A Service by its hosts as they are listed, and its ports.
    pub fn new(name: ServiceName, hosts: &[ExternalHost], ports: PortList) -> Self {
        let (mut v4, mut v6, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for host in hosts.iter().filter(|host| seen.insert(*host)) {
            match host {
                ExternalHost::Address(address) if address.is_ipv4() => v4.push(*address),
                ExternalHost::Address(address) => v6.push(*address),
                ExternalHost::Name(name) => names.push(name.clone()),
            }
        }
        Self { name, v4: v4.into(), v6: v6.into(), names: names.into(), listed: hosts.len(), ports }
    }

    /// Its IPv4 or its IPv6 addresses, each once.
    pub fn addresses(&self, v6: bool) -> &[IpAddr] {
        if v6 { &self.v6 } else { &self.v4 }
    }

    /// The names of its load balancers, each once.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// Its ports.
    pub fn port_list(&self) -> &PortList {
        &self.ports
    }

    /// Its port numbers, or those of a name and a protocol, both labels without underscore; `None` when it has no such port.
    pub fn ports(&self, asked: Option<(&[u8], &[u8])>) -> Option<Numbers<'_>> {
        let Some((name, protocol)) = asked else { return Some(self.ports.choose(Ports::All)) };
        Some(self.ports.choose(Ports::Named { name, protocol })).filter(|numbers| numbers.count() > 0)
    }

    /// The weight of each SRV record of some of its ports.
    pub fn weight(&self, numbers: Numbers<'_>) -> u16 {
        srv_weight(self.listed * numbers.pairs)
    }
}

/// One way to a Service from outside.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ExternalHost {
    /// An address.
    Address(IpAddr),
    /// The host name of a load balancer.
    Name(Name),
}

impl ShardEntry for Arc<External> {
    type Key<'k> = &'k [u8];

    fn key(&self) -> &[u8] {
        self.name.as_wire()
    }

    fn has(&self, key: &[u8]) -> bool {
        self.key() == key
    }
}

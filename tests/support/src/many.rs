//! A large cluster by numbers, as facts: headless Services with one slice each, then as many ClusterIPs.

use std::net::Ipv4Addr;

use rollcall::cluster::facts::{EndpointFact, Fact, Family, Kind, ObjectKey, ServiceFact, ServiceSpec, SliceFact};
use rollcall::wire::Label;
use rollcall::zone::{Port, Protocol};

/// A cluster of so many headless Services with so many endpoints each, and as many ClusterIPs, in ten namespaces.
#[derive(Clone, Copy, Debug)]
pub struct Many<'n> {
    /// The headless Services, and the ClusterIPs beside them.
    pub services: usize,
    /// The endpoints of each headless Service.
    pub endpoints: usize,
    /// What the names of pods begin with; empty for endpoints without a name.
    pub name: &'n str,
}

impl Many<'_> {
    /// The objects of a kind; none of kinds other than Services and slices.
    pub fn facts(self, kind: Kind) -> impl Iterator<Item = Fact> {
        let all = match kind {
            Kind::Service => 2 * self.services,
            Kind::EndpointSlice => self.services,
            _ => 0,
        };
        (0..all).map(move |at| if kind == Kind::Service { self.service(at) } else { self.slice(at) })
    }

    /// The namespaces, by name.
    pub fn namespaces(self) -> impl Iterator<Item = String> {
        (0..10).map(|at| format!("ns{at}"))
    }

    fn service(self, at: usize) -> Fact {
        let spec = if at < self.services {
            ServiceSpec::Headless { ports: vec![port()] }
        } else {
            ServiceSpec::ClusterIp { addresses: vec![address(0x0a60_0000, at)], ports: vec![port()] }
        };
        Fact::Service(ServiceFact {
            key: key(at, &format!("app{at}")),
            version: 1,
            selector: true,
            spec,
            external: None,
        })
    }

    fn slice(self, at: usize) -> Fact {
        let endpoints = (0..self.endpoints).map(|i| {
            let hostname = (!self.name.is_empty()).then(|| format!("{}{at}-{i}", self.name));
            EndpointFact {
                addresses: [address(0x0af4_0000, at * self.endpoints + i)].into(),
                hostname: hostname.and_then(|hostname| Label::new(hostname.as_bytes()).ok()),
                pod: None,
                ready: true,
                zone: Some("zone-a".into()),
            }
        });
        Fact::Slice(SliceFact {
            key: key(at, &format!("app{at}-x7k2p")),
            version: 1,
            service: format!("app{at}").into(),
            family: Family::V4,
            ports: vec![port()],
            endpoints: endpoints.collect(),
            aliases: vec![],
            triggered: None,
        })
    }
}

fn key(at: usize, name: &str) -> ObjectKey {
    ObjectKey::new(&format!("ns{}", at % 10), name)
}

fn address(from: u32, at: usize) -> std::net::IpAddr {
    Ipv4Addr::from_bits(from + at as u32).into()
}

fn port() -> Port {
    Port { name: Label::new(b"http").ok(), protocol: Protocol::Tcp, number: 8080 }
}

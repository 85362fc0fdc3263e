//! Facts as they stand in a snapshot: borrowed from its octets while they are read, and from the facts while they are written.
//!
//! These types are the format: a change of them is a new version of it ([`VERSION`](super::format::VERSION)).

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cluster::facts::{
    EndpointFact, ExternalFact, Fact, Family, ImportedSliceFact, NamespaceFact, ObjectKey, PodFact, ServiceFact,
    ServiceSpec, SliceFact,
};
use crate::cluster::index::DatedFact;
use crate::wire::{Label, Name, NameError};
use crate::zone::{AddressList, ExternalHost, Port, Protocol};

/// A fact, and the Unix second in which its version came.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredFact<'a> {
    arrived: u32,
    #[serde(borrow)]
    object: StoredObject<'a>,
}

#[derive(Serialize, Deserialize)]
enum StoredObject<'a> {
    Namespace(&'a str),
    #[serde(borrow)]
    Service(StoredService<'a>),
    Slice(StoredSlice<'a>),
    Pod(StoredKey<'a>, Vec<IpAddr>),
    Import(StoredService<'a>),
    ImportedSlice(StoredSlice<'a>, Option<&'a [u8]>),
}

/// Namespace and name.
#[derive(Serialize, Deserialize)]
struct StoredKey<'a>(&'a str, &'a str);

#[derive(Serialize, Deserialize)]
struct StoredService<'a> {
    #[serde(borrow)]
    key: StoredKey<'a>,
    version: u64,
    selector: bool,
    spec: StoredSpec<'a>,
    external: Option<(Vec<StoredHost<'a>>, Vec<StoredPort<'a>>)>,
}

#[derive(Serialize, Deserialize)]
enum StoredSpec<'a> {
    ClusterIp(Vec<IpAddr>, #[serde(borrow)] Vec<StoredPort<'a>>),
    Headless(Vec<StoredPort<'a>>),
    /// A name in wire format.
    ExternalName(Option<&'a [u8]>),
}

#[derive(Serialize, Deserialize)]
enum StoredHost<'a> {
    Address(IpAddr),
    Name(&'a [u8]),
}

/// Name, protocol, number.
#[derive(Serialize, Deserialize)]
struct StoredPort<'a>(#[serde(borrow)] Option<&'a [u8]>, StoredProtocol, u16);

#[derive(Serialize, Deserialize)]
enum StoredProtocol {
    Tcp,
    Udp,
    Sctp,
}

#[derive(Serialize, Deserialize)]
enum StoredFamily {
    V4,
    V6,
    Fqdn,
}

#[derive(Serialize, Deserialize)]
struct StoredSlice<'a> {
    #[serde(borrow)]
    key: StoredKey<'a>,
    version: u64,
    service: &'a str,
    family: StoredFamily,
    ports: Vec<StoredPort<'a>>,
    endpoints: Vec<StoredEndpoint<'a>>,
    aliases: Vec<(&'a [u8], &'a [u8])>,
}

/// Readiness, label, topology zone, addresses.
#[derive(Serialize, Deserialize)]
struct StoredEndpoint<'a>(bool, #[serde(borrow)] Option<&'a [u8]>, Option<&'a str>, AddressList);

impl<'a> From<&'a DatedFact> for StoredFact<'a> {
    fn from((fact, arrived): &'a DatedFact) -> Self {
        let object = match fact {
            Fact::Namespace(namespace) => StoredObject::Namespace(&namespace.name),
            Fact::Service(service) => StoredObject::Service(service.into()),
            Fact::Slice(slice) => StoredObject::Slice(slice.into()),
            Fact::Pod(pod) => StoredObject::Pod((&pod.key).into(), pod.addresses.clone()),
            Fact::Import(import) => StoredObject::Import(import.into()),
            Fact::ImportedSlice(ImportedSliceFact { slice, cluster }) => {
                StoredObject::ImportedSlice(slice.into(), cluster.as_ref().map(Label::as_bytes))
            }
        };
        Self { arrived: *arrived, object }
    }
}

impl StoredFact<'_> {
    /// The fact itself.
    ///
    /// # Errors
    /// When a label or a name in it is none.
    pub(super) fn into_fact(self) -> Result<DatedFact, NameError> {
        let fact = match self.object {
            StoredObject::Namespace(name) => {
                label(name.as_bytes())?;
                Fact::Namespace(NamespaceFact { name: name.into() })
            }
            StoredObject::Service(service) => Fact::Service(service.into_fact()?),
            StoredObject::Slice(slice) => Fact::Slice(slice.into_fact()?),
            StoredObject::Pod(key, addresses) => Fact::Pod(PodFact { key: key.into(), addresses, terminating: false }),
            StoredObject::Import(import) => Fact::Import(import.into_fact()?),
            StoredObject::ImportedSlice(slice, cluster) => Fact::ImportedSlice(ImportedSliceFact {
                slice: slice.into_fact()?,
                cluster: cluster.map(label).transpose()?,
            }),
        };
        Ok((fact, self.arrived))
    }
}

fn label(octets: &[u8]) -> Result<Label, NameError> {
    Label::new(octets)
}

fn ports(ports: &[Port]) -> Vec<StoredPort<'_>> {
    ports.iter().map(StoredPort::from).collect()
}

fn port_facts(ports: Vec<StoredPort<'_>>) -> Result<Vec<Port>, NameError> {
    ports.into_iter().map(StoredPort::into_fact).collect()
}

impl<'a> From<&'a ObjectKey> for StoredKey<'a> {
    fn from(key: &'a ObjectKey) -> Self {
        Self(&key.namespace, &key.name)
    }
}

impl From<StoredKey<'_>> for ObjectKey {
    fn from(StoredKey(namespace, name): StoredKey<'_>) -> Self {
        Self::new(namespace, name)
    }
}

impl<'a> From<&'a ServiceFact> for StoredService<'a> {
    fn from(fact: &'a ServiceFact) -> Self {
        let spec = match &fact.spec {
            ServiceSpec::ClusterIp { addresses, ports: own } => StoredSpec::ClusterIp(addresses.clone(), ports(own)),
            ServiceSpec::Headless { ports: own } => StoredSpec::Headless(ports(own)),
            ServiceSpec::ExternalName(name) => StoredSpec::ExternalName(name.as_ref().map(Name::as_wire)),
        };
        let host = |host: &'a ExternalHost| match host {
            ExternalHost::Address(address) => StoredHost::Address(*address),
            ExternalHost::Name(name) => StoredHost::Name(name.as_wire()),
        };
        let external = fact.external.as_deref();
        let external = external.map(|external| (external.hosts.iter().map(host).collect(), ports(&external.ports)));
        Self { key: (&fact.key).into(), version: fact.version, selector: fact.selector, spec, external }
    }
}

impl StoredService<'_> {
    fn into_fact(self) -> Result<ServiceFact, NameError> {
        let spec = match self.spec {
            StoredSpec::ClusterIp(addresses, ports) => ServiceSpec::ClusterIp { addresses, ports: port_facts(ports)? },
            StoredSpec::Headless(ports) => ServiceSpec::Headless { ports: port_facts(ports)? },
            StoredSpec::ExternalName(name) => ServiceSpec::ExternalName(name.map(Name::from_wire).transpose()?),
        };
        let mut external = None;
        if let Some((stored, ports)) = self.external {
            let mut hosts = Vec::new();
            for host in stored {
                hosts.push(match host {
                    StoredHost::Address(address) => ExternalHost::Address(address),
                    StoredHost::Name(name) => ExternalHost::Name(Name::from_wire(name)?),
                });
            }
            external = Some(Box::new(ExternalFact { hosts, ports: port_facts(ports)? }));
        }
        Ok(ServiceFact { key: self.key.into(), version: self.version, selector: self.selector, spec, external })
    }
}

impl<'a> From<&'a Port> for StoredPort<'a> {
    fn from(port: &'a Port) -> Self {
        let protocol = match port.protocol {
            Protocol::Tcp => StoredProtocol::Tcp,
            Protocol::Udp => StoredProtocol::Udp,
            Protocol::Sctp => StoredProtocol::Sctp,
        };
        Self(port.name.as_ref().map(Label::as_bytes), protocol, port.number)
    }
}

impl StoredPort<'_> {
    fn into_fact(self) -> Result<Port, NameError> {
        let Self(name, protocol, number) = self;
        let protocol = match protocol {
            StoredProtocol::Tcp => Protocol::Tcp,
            StoredProtocol::Udp => Protocol::Udp,
            StoredProtocol::Sctp => Protocol::Sctp,
        };
        Ok(Port { name: name.map(label).transpose()?, protocol, number })
    }
}

impl<'a> From<&'a SliceFact> for StoredSlice<'a> {
    fn from(fact: &'a SliceFact) -> Self {
        let family = match fact.family {
            Family::V4 => StoredFamily::V4,
            Family::V6 => StoredFamily::V6,
            Family::Fqdn => StoredFamily::Fqdn,
        };
        Self {
            key: (&fact.key).into(),
            version: fact.version,
            service: &fact.service,
            family,
            ports: ports(&fact.ports),
            endpoints: fact.endpoints.iter().map(StoredEndpoint::from).collect(),
            aliases: fact.aliases.iter().map(|(label, name)| (label.as_bytes(), name.as_wire())).collect(),
        }
    }
}

impl StoredSlice<'_> {
    fn into_fact(self) -> Result<SliceFact, NameError> {
        let family = match self.family {
            StoredFamily::V4 => Family::V4,
            StoredFamily::V6 => Family::V6,
            StoredFamily::Fqdn => Family::Fqdn,
        };
        let aliases = self.aliases.into_iter().map(|(own, name)| Ok((label(own)?, Name::from_wire(name)?)));
        label(self.service.as_bytes())?;
        Ok(SliceFact {
            key: self.key.into(),
            version: self.version,
            service: self.service.into(),
            family,
            ports: port_facts(self.ports)?,
            endpoints: self.endpoints.into_iter().map(StoredEndpoint::into_fact).collect::<Result<_, _>>()?,
            aliases: aliases.collect::<Result<_, NameError>>()?,
            triggered: None,
        })
    }
}

impl<'a> From<&'a EndpointFact> for StoredEndpoint<'a> {
    fn from(fact: &'a EndpointFact) -> Self {
        Self(fact.ready, fact.hostname.as_ref().map(Label::as_bytes), fact.zone.as_deref(), fact.addresses.clone())
    }
}

impl StoredEndpoint<'_> {
    fn into_fact(self) -> Result<EndpointFact, NameError> {
        let Self(ready, hostname, zone, addresses) = self;
        let hostname = hostname.map(label).transpose()?;
        Ok(EndpointFact { addresses, hostname, pod: None, ready, zone: zone.map(Arc::from) })
    }
}

//! A Service as the zone knows it.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Endpoints, PortList};
use crate::wire::{Label, Name};

/// The name of a Service below `svc.ZONE`: two labels in wire format, lower case, as `\x05kubia\x07default`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ServiceName(Arc<Box<[u8]>>);

impl ServiceName {
    /// Joins Service and namespace.
    pub fn new(service: &Label, namespace: &Label) -> Self {
        let (service, namespace) = (service.as_bytes(), namespace.as_bytes());
        let mut wire = Vec::with_capacity(service.len() + namespace.len() + 2);
        for label in [service, namespace] {
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        }
        Self(Arc::new(wire.into_boxed_slice()))
    }

    /// Both labels with their length octets, without a root label.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// The Service's label.
    pub fn service(&self) -> &[u8] {
        let len = self.0.first().map_or(0, |&len| usize::from(len));
        self.0.get(1..=len).unwrap_or_default()
    }

    /// The namespace's label.
    pub fn namespace(&self) -> &[u8] {
        let len = self.0.first().map_or(0, |&len| usize::from(len));
        self.0.get(len + 2..).unwrap_or_default()
    }

    /// A name in a zone of the cluster: the Service, or what these labels stand for below it; `None` when it would be too
    /// long.
    pub fn in_cluster(&self, labels: &[&[u8]], zone: &Name) -> Option<Name> {
        let own = [self.service(), self.namespace(), b"svc"];
        Name::from_labels(labels.iter().copied().chain(own).chain(zone.labels())).ok()
    }

    /// Its name in an outside zone (`k8s_external`); `None` when it would be too long.
    pub fn outside(&self, zone: &Name) -> Option<Name> {
        Name::from_labels([self.service(), self.namespace()].into_iter().chain(zone.labels())).ok()
    }
}

/// One version of one Service, immutable once published.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name and namespace.
    pub name: ServiceName,
    /// The meaning of its bare name.
    pub kind: ServiceKind,
    /// Its ready endpoints, headless or not: `ENDPOINT.SERVICE.NAMESPACE.svc` answers for both.
    pub endpoints: Endpoints,
}

/// The meaning of the bare name of a Service.
#[derive(Clone, Debug)]
pub enum ServiceKind {
    /// Virtual addresses of its own.
    ClusterIp {
        /// One or two: IPv4, IPv6.
        addresses: Box<[IpAddr]>,
        /// The Service's ports.
        ports: PortList,
    },
    /// The addresses of its ready endpoints (`clusterIP: None`).
    Headless,
    /// Another name.
    ExternalName(Name),
    /// Headless, and its endpoints are another name: slices of the address type FQDN.
    Alias(Box<FqdnEndpoints>),
}

/// The endpoints of a Service that are names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FqdnEndpoints {
    /// The target of the bare name: the first name in order, as one name can have one alias.
    pub target: Name,
    /// The label of each endpoint and its target, sorted by target.
    pub labels: Box<[(Label, Name)]>,
    /// The ports, below which the names of ports lead to the target as well.
    pub ports: PortList,
}

/// The targets of the reverse name of an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pointer {
    /// The Service that has this ClusterIP.
    Service(ServiceName),
    /// The one endpoint that has this address: its label and its Service.
    Endpoint(Label, ServiceName),
    /// Several endpoints, sorted.
    Endpoints(Box<[(Label, ServiceName)]>),
    /// Both.
    Shared(Box<SharedAddress>),
}

/// A Service and endpoints that have the same address: these are for those who do not see the Service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedAddress {
    /// The Service that has it as ClusterIP.
    pub service: ServiceName,
    /// The endpoints, sorted.
    pub endpoints: Box<[(Label, ServiceName)]>,
}

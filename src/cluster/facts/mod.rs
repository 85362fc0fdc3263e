//! What an answer depends on, of each kind of object; read from JSON or from protobuf.

use std::net::IpAddr;

use crate::wire::{Label, Name};
use crate::zone::Port;

/// Namespace and name of an object, as the API spells them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Empty for objects without a namespace.
    pub namespace: Box<str>,
    /// The name.
    pub name: Box<str>,
}

/// The facts of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A Service.
    Service(ServiceFact),
    /// An EndpointSlice.
    Slice(SliceFact),
    /// A Namespace.
    Namespace(NamespaceFact),
    /// A Pod.
    Pod(PodFact),
}

/// The kinds of objects that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `v1` Namespace.
    Namespace,
    /// `v1` Pod.
    Pod,
}

/// What is kept of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFact {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its resourceVersion, for explanations.
    pub version: u64,
    /// What its name stands for.
    pub spec: ServiceSpec,
}

/// What the name of a Service stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceSpec {
    /// Virtual addresses; empty while the API has given none yet.
    ClusterIp {
        /// One or two.
        addresses: Vec<IpAddr>,
        /// As listed.
        ports: Vec<Port>,
    },
    /// `clusterIP: None`.
    Headless {
        /// As listed.
        ports: Vec<Port>,
    },
    /// `type: ExternalName`; `None` for what is no name, an IP address among them.
    ExternalName(Option<Name>),
}

/// What is kept of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceFact {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its resourceVersion, for explanations.
    pub version: u64,
    /// The label `kubernetes.io/service-name`.
    pub service: Box<str>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// Its endpoints, ready or not.
    pub endpoints: Vec<EndpointFact>,
    /// `endpoints.kubernetes.io/last-change-trigger-time` in milliseconds since 1970, for the programming latency.
    pub triggered: Option<u64>,
}

/// What is kept of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointFact {
    /// Its addresses; the API asks clients to take them as one endpoint.
    pub addresses: Vec<IpAddr>,
    /// `hostname`, where set.
    pub hostname: Option<Label>,
    /// The name of the pod in `targetRef`, where it fits a label.
    pub pod: Option<Label>,
    /// `conditions.ready`; absent counts as ready.
    pub ready: bool,
    /// Its topology zone.
    pub zone: Option<Box<str>>,
}

/// What is kept of a Namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceFact {
    /// Its name.
    pub name: Box<str>,
}

/// What is kept of a Pod, with `pods verified` and autopath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFact {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `status.podIP`.
    pub address: Option<IpAddr>,
    /// It was being deleted when seen.
    pub terminating: bool,
}

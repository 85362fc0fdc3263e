//! Facts: the fields of each kind of object that an answer depends on; read from JSON or from protobuf.
//!
//! Not for keeping whole objects: both decoders hand lean, borrowed shapes to the rules of one file per kind
//! ([`service`], [`endpoint_slice`], [`namespace`], [`pod`]), and what those do not need is never decoded.
//! One bad object is reported by name and skipped; the rest of its page is kept.

mod decoded;
mod distinct;
mod endpoint_slice;
pub mod json;
mod namespace;
mod pod;
mod port;
pub mod protobuf;
mod raw;
mod service;
mod service_import;
mod time;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::wire::{Label, Name};
use crate::zone::{AddressList, ExternalHost, Port};

pub(super) use endpoint_slice::{dashed, sort_aliases};

pub use decoded::{BadObject, DecodeError, DecodedObject, Event, Frame, Page, Status};

/// The longest object or event that is waited for, in octets. etcd holds objects of at most some 1.5 MB; JSON may spell
/// them longer.
pub(super) const LONGEST: usize = 16 << 20;

/// Namespace and name of an object, as the API spells them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Empty for objects without a namespace.
    pub namespace: Box<str>,
    /// The name.
    pub name: Box<str>,
}

impl ObjectKey {
    /// Joins namespace and name.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
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
    /// A ServiceImport.
    Import(ServiceFact),
    /// An EndpointSlice of a ServiceImport.
    ImportedSlice(ImportedSliceFact),
}

impl Fact {
    /// The kind of the object.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Service(_) => Kind::Service,
            Self::Slice(_) => Kind::EndpointSlice,
            Self::Namespace(_) => Kind::Namespace,
            Self::Pod(_) => Kind::Pod,
            Self::Import(_) => Kind::ServiceImport,
            Self::ImportedSlice(_) => Kind::ImportedSlice,
        }
    }

    /// Namespace and name of the object.
    pub fn key(&self) -> ObjectKey {
        match self {
            Self::Service(service) | Self::Import(service) => service.key.clone(),
            Self::Slice(slice) => slice.key.clone(),
            Self::Namespace(namespace) => ObjectKey::new("", &namespace.name),
            Self::Pod(pod) => pod.key.clone(),
            Self::ImportedSlice(imported) => imported.slice.key.clone(),
        }
    }
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
    /// `multicluster.x-k8s.io/v1alpha1` ServiceImport.
    ServiceImport,
    /// `discovery.k8s.io/v1` EndpointSlice that belongs to a ServiceImport.
    ImportedSlice,
}

impl Kind {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 6] =
        [Self::Service, Self::EndpointSlice, Self::Namespace, Self::Pod, Self::ServiceImport, Self::ImportedSlice];

    /// The kind as the API spells it; the slices of ServiceImports are told apart.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Namespace => "Namespace",
            Self::Pod => "Pod",
            Self::ServiceImport => "ServiceImport",
            Self::ImportedSlice => "ImportedEndpointSlice",
        }
    }
}

impl Kind {
    /// The group with its version, and the kind, that an object of this kind names.
    fn type_names(self) -> (&'static str, &'static str) {
        match self {
            Self::Service => ("v1", "Service"),
            Self::EndpointSlice | Self::ImportedSlice => ("discovery.k8s.io/v1", "EndpointSlice"),
            Self::Namespace => ("v1", "Namespace"),
            Self::Pod => ("v1", "Pod"),
            Self::ServiceImport => ("multicluster.x-k8s.io/v1alpha1", "ServiceImport"),
        }
    }

    /// Whether a body that names this group and kind is a list of this kind, in words where it is not.
    fn check_list(self, api_version: &str, kind: &str) -> Result<(), String> {
        let (group, name) = self.type_names();
        if api_version == group && kind.strip_suffix("List") == Some(name) {
            return Ok(());
        }
        if kind.is_empty() && api_version.is_empty() {
            return Err("it does not say what it is".to_owned());
        }
        Err(format!("it is \"{}\" of \"{}\"", raw::excerpt(kind), raw::excerpt(api_version)))
    }

    /// Whether the object of an event may be of this kind; one that says nothing may.
    fn may_be(self, kind: &str) -> bool {
        kind.is_empty() || kind == self.type_names().1
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The facts of a Service, or of a ServiceImport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFact {
    /// Namespace and name; both fit a label.
    pub key: ObjectKey,
    /// Its resourceVersion, for explanations; 0 when it is no number.
    pub version: u64,
    /// It has a selector, so that its slices are the control plane's.
    pub selector: bool,
    /// The meaning of its name.
    pub spec: ServiceSpec,
    /// The way in which it is reached from outside the cluster; `None` when it is not.
    pub external: Option<Box<ExternalFact>>,
}

/// The way in which a Service is reached from outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalFact {
    /// `spec.externalIPs`, then `status.loadBalancer.ingress`.
    pub hosts: Vec<ExternalHost>,
    /// The Service's ports.
    pub ports: Vec<Port>,
}

/// The meaning of the name of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceSpec {
    /// Virtual addresses; empty while the API has given none yet.
    ClusterIp {
        /// One or two.
        addresses: Vec<IpAddr>,
        /// As listed, each once.
        ports: Vec<Port>,
    },
    /// `clusterIP: None`.
    Headless {
        /// As listed, each once.
        ports: Vec<Port>,
    },
    /// `type: ExternalName`; `None` for what is no host name, an IP address among them.
    ExternalName(Option<Name>),
}

/// The facts of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceFact {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its resourceVersion, for explanations; 0 when it is no number.
    pub version: u64,
    /// The label `kubernetes.io/service-name`, or `multicluster.kubernetes.io/service-name`; it fits a label of a name, in lower case.
    pub service: Box<str>,
    /// The family of its endpoints' addresses.
    pub family: Family,
    /// Its ports, sorted, each once.
    pub ports: Vec<Port>,
    /// Its endpoints, ready or not.
    pub endpoints: Vec<EndpointFact>,
    /// The labels and names of its ready endpoints, where `addressType` is `FQDN`; sorted, each once.
    pub aliases: Vec<(Label, Name)>,
    /// `endpoints.kubernetes.io/last-change-trigger-time` in milliseconds since 1970, for the programming latency.
    pub triggered: Option<u64>,
}

/// The facts of an EndpointSlice that belongs to a ServiceImport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedSliceFact {
    /// The slice; its Service is the ServiceImport.
    pub slice: SliceFact,
    /// The label `multicluster.kubernetes.io/source-cluster`, where it is there and fits a label of a name.
    pub cluster: Option<Label>,
}

/// The `addressType` of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// `IPv4`.
    V4,
    /// `IPv6`.
    V6,
    /// `FQDN`.
    Fqdn,
}

/// The facts of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointFact {
    /// Its addresses, each once; the API asks clients to take them as one endpoint.
    pub addresses: AddressList,
    /// `hostname`, where set.
    pub hostname: Option<Label>,
    /// The name of the pod in `targetRef`, where it fits a label.
    pub pod: Option<Label>,
    /// `conditions.ready`; absent counts as ready.
    pub ready: bool,
    /// Its topology zone.
    pub zone: Option<Arc<str>>,
}

/// The facts of a Namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceFact {
    /// Its name; it fits a label.
    pub name: Box<str>,
}

/// The facts of a Pod, with `pods verified` and autopath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFact {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `status.podIPs`, each once.
    pub addresses: Vec<IpAddr>,
    /// It was being deleted when seen.
    pub terminating: bool,
}

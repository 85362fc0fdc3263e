//! The one look-up that decides what a name is, for every type alike, and whether it exists.
//!
//! `grammar` reads its labels; here is what the cluster has of that. A name above one that exists, exists (RFC 8020).

use std::net::IpAddr;

use super::endpoint_set::{EndpointSelection, EndpointSet, SetEndpoint};
use super::endpoints::{Endpoint, EndpointGroup, Endpoints};
use super::grammar::{Below, ClusterName, ServiceLabels, TopologyZone, ZONE, ZonePreference, unmarked};
use super::import::{Import, ImportKind};
use super::peers::Peers;
use super::ports::{Ports, named};
use super::{FqdnEndpoints, Pods, Pointer, PortList, Service, ServiceKind, ServiceName, View};
use crate::wire::{Dashed, Name, QName, reverse};

/// The meaning of a name.
pub(super) enum Lookup<'s> {
    /// It does not exist.
    NxDomain,
    /// It exists and has no record of any type.
    Empty,
    /// The zone itself.
    Apex,
    /// `dns-version`.
    Version,
    /// `ns.dns`.
    NameServer,
    /// A pod by its address.
    Pod(IpAddr),
    /// An ExternalName Service.
    Alias(&'s Name),
    /// A headless Service whose endpoints are another name.
    AliasOfPeers(&'s Name),
    /// A Service with addresses of its own.
    ClusterIp(ClusterIp<'s>),
    /// Several endpoints: a headless Service, those with one of its ports, or those in a topology zone.
    Peers(Peers<'s>),
    /// One endpoint of a Service.
    Endpoint(&'s ServiceName, &'s EndpointGroup, &'s Endpoint),
    /// Several endpoints of a Service that has an endpoint set.
    EndpointSet(&'s ServiceName, EndpointSelection<'s>),
    /// One endpoint of a Service that has an endpoint set.
    SetEndpoint(&'s ServiceName, &'s SetEndpoint),
    /// A reverse name.
    Pointer(&'s Pointer),
}

/// A Service with addresses of its own, or one of its ports.
#[derive(Clone, Copy)]
pub(super) struct ClusterIp<'s> {
    pub(super) service: &'s ServiceName,
    pub(super) addresses: &'s [IpAddr],
    pub(super) all_ports: &'s PortList,
    pub(super) ports: Ports<'s>,
}

impl View {
    /// The label at which the longest zone begins that holds a name.
    pub fn zone_of(&self, qname: &QName) -> Option<usize> {
        let wires = || self.zones.iter().map(Name::as_wire);
        (0..=qname.label_count()).find(|&at| {
            let suffix = qname.suffix(at);
            wires().any(|zone| zone == suffix)
        })
    }

    /// The zone in which reverse names point to Services: the first that is no reverse zone.
    pub(super) fn primary_zone(&self) -> Option<&Name> {
        self.zones.iter().find(|zone| !reverse::is_reverse(zone.as_wire()))
    }

    /// Whether a namespace is listed, if there is a list.
    pub(super) fn exposes(&self, namespace: &[u8]) -> bool {
        self.namespaces.as_ref().is_none_or(|listed| listed.contains(namespace))
    }

    /// Looks a name up, the labels of which belong to the zone from `zone` on. What it is, is shown to `then`.
    pub(super) fn look_up<R>(&self, qname: &QName, zone: usize, then: impl FnOnce(Lookup<'_>) -> R) -> R {
        let found = match ClusterName::parse(qname, zone) {
            ClusterName::Service(labels) => return self.look_up_service(labels, qname.suffix(zone), then),
            ClusterName::Reverse(Some(address)) => return self.look_up_reverse(address, then),
            ClusterName::Apex => Lookup::Apex,
            ClusterName::Version => Lookup::Version,
            ClusterName::NameServer => Lookup::NameServer,
            ClusterName::Above => Lookup::Empty,
            ClusterName::Namespace(namespace) if self.has_namespace(namespace) => Lookup::Empty,
            ClusterName::PodNamespace(namespace) if self.has_pods(namespace) => Lookup::Empty,
            ClusterName::Pod(labels) if self.has_pods(labels.namespace) => self.look_up_pod(labels),
            ClusterName::Namespace(_)
            | ClusterName::PodNamespace(_)
            | ClusterName::Pod(_)
            | ClusterName::Reverse(None)
            | ClusterName::Unknown => Lookup::NxDomain,
        };
        then(found)
    }

    /// Whether a namespace exists and is exposed.
    pub fn has_namespace(&self, namespace: &[u8]) -> bool {
        self.exposes(namespace) && self.reader.has_namespace(namespace)
    }

    fn look_up_service<R>(&self, labels: ServiceLabels<'_>, zone: &[u8], then: impl FnOnce(Lookup<'_>) -> R) -> R {
        let ServiceLabels { key, namespace, below, .. } = labels;
        if !self.has_namespace(namespace) {
            return then(Lookup::NxDomain);
        }
        if self.is_multicluster(zone) {
            return self.reader.with_import(key, |import| {
                then(import.and_then(|import| self.below_import(import, below)).unwrap_or(Lookup::NxDomain))
            });
        }
        self.reader.with_service(key, |service| {
            then(service.and_then(|service| self.below_service(service, below)).unwrap_or(Lookup::NxDomain))
        })
    }

    /// The meaning of labels left of a Service's name; `None` when there is no such name.
    fn below_service<'s>(&self, service: &'s Service, below: Below<'s>) -> Option<Lookup<'s>> {
        let ready = Some(&service.endpoints).filter(|all| self.reader.has_endpoints() && !all.is_empty());
        let virtual_addresses = match &service.kind {
            ServiceKind::ExternalName(target) => {
                return matches!(below, Below::Nothing).then_some(Lookup::Alias(target));
            }
            ServiceKind::Alias(_) if !self.reader.has_endpoints() => return None,
            ServiceKind::Alias(elsewhere) => return below_fqdn(elsewhere, below),
            // Kubernetes DNS 2.4.1: a headless Service without ready endpoints does not exist.
            ServiceKind::Headless if ready.is_none() => return None,
            ServiceKind::ClusterIp { .. } if ready.is_none() && self.ignore_empty => return None,
            ServiceKind::ClusterIp { addresses, ports } => Some(VirtualAddresses { addresses, ports }),
            ServiceKind::Headless => None,
        };
        let set = ready.and_then(Endpoints::set).map(|set| &**set);
        let is_zonal = self.zonal && virtual_addresses.is_none();
        let tree = ServiceTree { service: &service.name, virtual_addresses, ready, set, is_zonal };
        tree.below(below)
    }

    /// Whether a zone, in wire format, shows imported Services.
    pub fn is_multicluster(&self, zone: &[u8]) -> bool {
        !self.multicluster.is_empty() && self.multicluster.iter().any(|own| own.as_wire() == zone)
    }

    /// The meaning of labels left of an imported Service's name; `None` when there is no such name.
    ///
    /// Multicluster Services API, "DNS": as for a Service of the cluster, but that an endpoint's label comes with that of its
    /// cluster. Two labels without an underscore are these; with one they are a port and its protocol.
    #[cold]
    fn below_import<'s>(&self, import: &'s Import, below: Below<'s>) -> Option<Lookup<'s>> {
        let set = Some(&import.set).filter(|set| self.reader.has_imported_endpoints() && !set.endpoints().is_empty());
        let virtual_addresses = match &import.kind {
            ImportKind::ClusterSetIp { .. } if set.is_none() && self.ignore_empty => return None,
            ImportKind::Headless if set.is_none() => return None,
            ImportKind::ClusterSetIp { addresses, ports } => Some(VirtualAddresses { addresses, ports }),
            ImportKind::Headless => None,
        };
        let tree = ServiceTree { service: &import.name, virtual_addresses, ready: None, set, is_zonal: false };
        match below {
            Below::Pair(endpoint, cluster) => tree.endpoint(endpoint, Some(cluster)),
            Below::Label(cluster) => tree.below(below).or_else(|| {
                // RFC 8020: what has names below it exists.
                set.is_some_and(|set| set.has_cluster(cluster)).then_some(Lookup::Empty)
            }),
            below => tree.below(below),
        }
    }

    fn has_pods(&self, namespace: &[u8]) -> bool {
        self.pods != Pods::Disabled && self.has_namespace(namespace)
    }

    fn look_up_pod(&self, labels: ServiceLabels<'_>) -> Lookup<'static> {
        // Differs from CoreDNS: labels left of a pod's name do not exist, as no record was ever promised for them.
        let Below::Nothing = labels.below else { return Lookup::NxDomain };
        let (label, namespace) = (labels.service(), labels.namespace);
        let Some(address) = Dashed::address_of(label) else { return Lookup::NxDomain };
        // As in CoreDNS, a pod is found by its address as the API writes it, and by no other spelling.
        let is_pod = || self.reader.has_pod(namespace, address) && Dashed::new(address).text() == label;
        if self.pods == Pods::Verified && !is_pod() {
            return Lookup::NxDomain;
        }
        Lookup::Pod(address)
    }

    fn look_up_reverse<R>(&self, address: IpAddr, then: impl FnOnce(Lookup<'_>) -> R) -> R {
        self.reader.with_pointer(address, |pointer| {
            let are_complete = self.reader.has_endpoints();
            let shown = pointer.filter(|pointer| match pointer {
                Pointer::Service(service) => self.exposes(service.namespace()),
                Pointer::Shared(shared) if self.exposes(shared.service.namespace()) => true,
                Pointer::Endpoint(..) | Pointer::Endpoints(_) | Pointer::Shared(_) if !are_complete => false,
                Pointer::Endpoint(_, service) => self.exposes(service.namespace()),
                Pointer::Endpoints(all) => all.iter().any(|(_, service)| self.exposes(service.namespace())),
                Pointer::Shared(shared) => {
                    shared.endpoints.iter().any(|(_, service)| self.exposes(service.namespace()))
                }
            });
            then(shown.map_or(Lookup::NxDomain, Lookup::Pointer))
        })
    }
}

//----------- ServiceTree ----------------------------------------------------

/// The names at and below one Service, of the cluster or imported: whatever has such names is answered by these rules.
#[derive(Clone, Copy)]
pub(super) struct ServiceTree<'s> {
    pub(super) service: &'s ServiceName,
    /// `None` for a headless Service, the name of which stands for its endpoints.
    pub(super) virtual_addresses: Option<VirtualAddresses<'s>>,
    /// The ready endpoints, one at least; `None` as long as not all of them are known.
    pub(super) ready: Option<&'s Endpoints>,
    /// The same as an endpoint set, where they must be one.
    pub(super) set: Option<&'s EndpointSet>,
    /// Names below `_zone` are answered.
    pub(super) is_zonal: bool,
}

/// The addresses of a Service itself, and its ports.
#[derive(Clone, Copy)]
pub(super) struct VirtualAddresses<'s> {
    addresses: &'s [IpAddr],
    ports: &'s PortList,
}

impl<'s> ServiceTree<'s> {
    /// The meaning of labels left of the Service's name; `None` when there is no such name.
    #[inline]
    pub(super) fn below(self, below: Below<'s>) -> Option<Lookup<'s>> {
        match below {
            Below::Nothing => self.all(),
            Below::Label(label) => self.endpoint(label, None).or_else(|| self.is_above(label).then_some(Lookup::Empty)),
            Below::Port { name, protocol } | Below::Pair(name, protocol) => self.port(name, protocol),
            Below::Zonal { preference, zone } => self.zonal(preference, zone),
            Below::Deeper => None,
        }
    }

    /// The Service itself.
    fn all(self) -> Option<Lookup<'s>> {
        match (self.virtual_addresses, self.set) {
            (Some(own), _) => Some(self.cluster_ip(own, Ports::All)),
            (None, Some(set)) => set.all().map(|all| Lookup::EndpointSet(self.service, all)),
            (None, None) => self.peers(Ports::All, None).map(Lookup::Peers),
        }
    }

    /// One of its endpoints.
    pub(super) fn endpoint(self, label: &[u8], cluster: Option<&[u8]>) -> Option<Lookup<'s>> {
        if let Some(set) = self.set {
            return set.find(label, cluster).map(|own| Lookup::SetEndpoint(self.service, own));
        }
        self.ready?.find(label).map(|(group, endpoint)| Lookup::Endpoint(self.service, group, endpoint))
    }

    /// Those of its endpoints that have a port, or the port itself.
    fn port(self, name: &'s [u8], protocol: &'s [u8]) -> Option<Lookup<'s>> {
        let ports = Ports::Named { name, protocol };
        match (self.virtual_addresses, self.set) {
            (Some(own), _) => (own.ports.choose(ports).count() > 0).then(|| self.cluster_ip(own, ports)),
            (None, Some(set)) => set.with_port(name, protocol).map(|own| Lookup::EndpointSet(self.service, own)),
            (None, None) => self.peers(ports, None).filter(|peers| !peers.is_empty()).map(Lookup::Peers),
        }
    }

    /// Those of its endpoints that are in a topology zone.
    fn zonal(self, preference: ZonePreference, zone: TopologyZone<'s>) -> Option<Lookup<'s>> {
        if !self.is_zonal {
            return None;
        }
        if zone.is_missing() {
            return Some(Lookup::Empty);
        }
        let pinned = self.peers(Ports::All, Some(zone))?;
        match preference {
            ZonePreference::Prefer if pinned.is_empty() => self.peers(Ports::All, None),
            ZonePreference::Pin | ZonePreference::Prefer => Some(pinned),
        }
        .map(Lookup::Peers)
    }

    /// RFC 8020: whether other names stand below a label: `_tcp` exists where `_http._tcp` does.
    fn is_above(self, label: &[u8]) -> bool {
        let protocol = unmarked(label);
        let is_above_a_port = match (self.virtual_addresses, self.set, self.ready) {
            (Some(own), ..) => own.ports.has_protocol(protocol),
            (None, Some(set), _) => set.has_protocol(protocol),
            (None, None, ready) => {
                let mut groups = ready.into_iter().flat_map(Endpoints::groups);
                groups.any(|group| group.ports.has_protocol(protocol))
            }
        };
        is_above_a_port || label == ZONE && self.is_zonal
    }

    fn cluster_ip(self, own: VirtualAddresses<'s>, ports: Ports<'s>) -> Lookup<'s> {
        let VirtualAddresses { addresses, ports: all_ports } = own;
        Lookup::ClusterIp(ClusterIp { service: self.service, addresses, all_ports, ports })
    }

    fn peers(self, ports: Ports<'s>, zone: Option<TopologyZone<'s>>) -> Option<Peers<'s>> {
        Some(Peers { service: self.service, endpoints: self.ready?, ports, zone })
    }
}

/// The meaning of labels left of the name of a Service whose endpoints are names; `None` when there is no such name.
#[cold]
fn below_fqdn<'s>(elsewhere: &'s FqdnEndpoints, below: Below<'_>) -> Option<Lookup<'s>> {
    let alias = Lookup::AliasOfPeers;
    match below {
        Below::Nothing => Some(alias(&elsewhere.target)),
        Below::Label(label) => {
            let own = elsewhere.labels.iter().find(|(own, _)| own.as_bytes() == label);
            let is_above_a_port = || elsewhere.ports.has_protocol(unmarked(label)).then_some(Lookup::Empty);
            own.map(|(_, target)| alias(target)).or_else(is_above_a_port)
        }
        Below::Port { name, protocol } | Below::Pair(name, protocol) => {
            (!named(&elsewhere.ports, name, protocol).is_empty()).then_some(alias(&elsewhere.target))
        }
        Below::Zonal { .. } | Below::Deeper => None,
    }
}

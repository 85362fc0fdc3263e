//! What a name is: the one look-up that decides, for every type alike, whether it exists.
//!
//! The grammar is that of the Kubernetes DNS specification 1.1.0, read from the zone to the left: `svc` or `pod`,
//! namespace, Service, then an endpoint or a port with its protocol. A name above one that exists, exists (RFC 8020).

use std::net::IpAddr;
use std::str;

use super::endpoints::{Endpoint, Group};
use super::import::{Import, ImportKind};
use super::layout::{Chosen, LaidOut, Layout};
use super::peers::{Peers, TopologyZone};
use super::ports::{Ports, named};
use super::{Elsewhere, Pods, Pointer, PortList, Service, ServiceKind, ServiceName, View};
use crate::wire::{Name, QName, reverse};

/// What a name is.
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
    Endpoint(&'s ServiceName, &'s Group, &'s Endpoint),
    /// Several endpoints of a Service that is laid out.
    LaidOutPeers(&'s ServiceName, Chosen<'s>),
    /// One endpoint of a Service that is laid out.
    LaidOut(&'s ServiceName, &'s LaidOut),
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
    /// Where the longest zone that holds a name begins in it, as an index of labels.
    pub(super) fn zone_of(&self, qname: &QName) -> Option<usize> {
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
        if zone == 0 {
            return then(Lookup::Apex);
        }
        if reverse::is_reverse(qname.as_wire()) {
            return self.look_up_reverse(qname, then);
        }
        match (qname.label(zone - 1), zone) {
            (b"svc", _) => self.look_up_service(qname, zone, then),
            (b"pod", _) => then(self.look_up_pod(qname, zone)),
            (b"dns-version", 1) => then(Lookup::Version),
            // RFC 8020: `ns.dns` exists below.
            (b"dns", 1) => then(Lookup::Empty),
            (b"dns", 2) if qname.label(0) == b"ns" => then(Lookup::NameServer),
            _ => then(Lookup::NxDomain),
        }
    }

    fn has_namespace(&self, namespace: &[u8]) -> bool {
        self.exposes(namespace) && self.reader.has_namespace(namespace)
    }

    fn look_up_service<R>(&self, qname: &QName, zone: usize, then: impl FnOnce(Lookup<'_>) -> R) -> R {
        if zone == 1 {
            return then(Lookup::Empty);
        }
        if !self.has_namespace(qname.label(zone - 2)) {
            return then(Lookup::NxDomain);
        }
        let Some(left) = zone.checked_sub(3) else { return then(Lookup::Empty) };
        let key = qname.as_wire().get(qname.start(left)..qname.start(zone - 1)).unwrap_or_default();
        if self.is_multicluster(qname, zone) {
            return self.reader.with_import(key, |import| {
                then(import.and_then(|import| self.below_import(import, qname, left)).unwrap_or(Lookup::NxDomain))
            });
        }
        self.reader.with_service(key, |service| {
            then(service.and_then(|service| self.below_service(service, qname, left)).unwrap_or(Lookup::NxDomain))
        })
    }

    /// What the first `left` labels of a name are to a Service; `None` when there is no such name.
    fn below_service<'s>(&self, service: &'s Service, qname: &'s QName, left: usize) -> Option<Lookup<'s>> {
        let are_complete = self.reader.has_endpoints();
        let no_endpoints = !are_complete || service.endpoints.is_empty();
        match &service.kind {
            ServiceKind::ExternalName(target) => return (left == 0).then_some(Lookup::Alias(target)),
            ServiceKind::Alias(_) if !are_complete => return None,
            ServiceKind::Alias(elsewhere) => return below_elsewhere(elsewhere, qname, left),
            // Kubernetes DNS 2.4.1: a headless Service without ready endpoints does not exist.
            ServiceKind::Headless if no_endpoints => return None,
            ServiceKind::ClusterIp { .. } if no_endpoints && self.ignore_empty => return None,
            ServiceKind::ClusterIp { .. } | ServiceKind::Headless => {}
        }
        if are_complete
            && let Some(layout) = service.endpoints.layout()
            && let Some(found) = laid_out(service, layout, qname, left)
        {
            return Some(found);
        }
        match left {
            0 => Some(with_ports(service, Ports::All)),
            1 => {
                let label = qname.label(0);
                if let Some((group, endpoint)) = service.endpoints.find(label).filter(|_| are_complete) {
                    return Some(Lookup::Endpoint(&service.name, group, endpoint));
                }
                // RFC 8020: `_tcp` exists where `_http._tcp` does.
                let protocol = plain(label);
                let is_above_a_port = has_port(service, |ports| ports.has_protocol(protocol));
                (is_above_a_port || label == b"_zone" && self.has_zonal_names(service)).then_some(Lookup::Empty)
            }
            2 if qname.label(1) == b"_zone" => {
                let is_above = matches!(qname.label(0), b"pin" | b"prefer") && self.has_zonal_names(service);
                is_above.then_some(Lookup::Empty)
            }
            2 => {
                let ports = Ports::Named { name: plain(qname.label(0)), protocol: plain(qname.label(1)) };
                has_port(service, |all| all.choose(ports).count() > 0).then(|| with_ports(service, ports))
            }
            _ if qname.label(left - 1) == b"_zone" && self.has_zonal_names(service) => {
                let zone = TopologyZone { qname, labels: left - 2 };
                let all =
                    Peers { service: &service.name, endpoints: &service.endpoints, ports: Ports::All, zone: None };
                let pinned = Peers { zone: Some(zone), ..all };
                match qname.label(left - 2) {
                    b"pin" => Some(Lookup::Peers(pinned)),
                    b"prefer" => Some(Lookup::Peers(if pinned.is_empty() { all } else { pinned })),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    pub(super) fn is_multicluster(&self, qname: &QName, zone: usize) -> bool {
        !self.multicluster.is_empty() && self.multicluster.iter().any(|own| own.as_wire() == qname.suffix(zone))
    }

    /// What the first `left` labels of a name are to an imported Service; `None` when there is no such name.
    ///
    /// Multicluster Services API, "DNS": as for a Service of the cluster, but that an endpoint's label comes with that of its
    /// cluster. Two labels without an underscore are these; with one they are a port and its protocol.
    #[cold]
    fn below_import<'s>(&self, import: &'s Import, qname: &QName, left: usize) -> Option<Lookup<'s>> {
        let layout = &import.layout;
        let are_complete = self.reader.has_imported_endpoints();
        let no_endpoints = !are_complete || layout.endpoints().is_empty();
        match &import.kind {
            ImportKind::ClusterSetIp { .. } if self.ignore_empty && no_endpoints => return None,
            ImportKind::Headless if no_endpoints => return None,
            ImportKind::ClusterSetIp { .. } | ImportKind::Headless => {}
        }
        let cluster_set_ip = |asked: Option<(&[u8], &[u8])>| {
            let ImportKind::ClusterSetIp { addresses, ports: all_ports } = &import.kind else { return None };
            let ports = match asked {
                None => Ports::All,
                Some((name, protocol)) => {
                    // The port itself lends its labels, as the answer outlives the question's.
                    let port = named(all_ports, name, protocol).first()?;
                    Ports::Named { name: port.name.as_ref()?.as_bytes(), protocol: port.protocol.label() }
                }
            };
            Some(Lookup::ClusterIp(ClusterIp { service: &import.name, addresses, all_ports, ports }))
        };
        let peers = |chosen| Lookup::LaidOutPeers(&import.name, chosen);
        let one = |own| Lookup::LaidOut(&import.name, own);
        match (left, &import.kind) {
            (0, ImportKind::ClusterSetIp { .. }) => cluster_set_ip(None),
            (0, ImportKind::Headless) => layout.all().map(peers),
            (1, _) => {
                let label = qname.label(0);
                if let Some(endpoint) = layout.find(label, None).filter(|_| are_complete) {
                    return Some(one(endpoint));
                }
                // RFC 8020: what has names below it exists.
                let protocol = plain(label);
                let is_above_a_port = match &import.kind {
                    ImportKind::ClusterSetIp { ports, .. } => ports.has_protocol(protocol),
                    ImportKind::Headless => layout.has_protocol(protocol),
                };
                (is_above_a_port || are_complete && layout.has_cluster(label)).then_some(Lookup::Empty)
            }
            (2, kind) => {
                let (first, second) = (qname.label(0), qname.label(1));
                if !first.starts_with(b"_") && !second.starts_with(b"_") {
                    return layout.find(first, Some(second)).filter(|_| are_complete).map(one);
                }
                let (name, protocol) = (plain(first), plain(second));
                match kind {
                    ImportKind::ClusterSetIp { .. } => cluster_set_ip(Some((name, protocol))),
                    ImportKind::Headless => layout.with_port(name, protocol).map(peers),
                }
            }
            _ => None,
        }
    }

    fn has_zonal_names(&self, service: &Service) -> bool {
        self.zonal && matches!(service.kind, ServiceKind::Headless)
    }

    fn look_up_pod(&self, qname: &QName, zone: usize) -> Lookup<'static> {
        if zone == 1 {
            return Lookup::Empty;
        }
        let namespace = qname.label(zone - 2);
        if self.pods == Pods::Disabled || !self.has_namespace(namespace) {
            return Lookup::NxDomain;
        }
        if zone == 2 {
            return Lookup::Empty;
        }
        // Differs from CoreDNS: labels left of a pod's name do not exist, as no record was ever promised for them.
        let Some(address) = (zone == 3).then(|| dashed_address(qname.label(0))).flatten() else {
            return Lookup::NxDomain;
        };
        // As in CoreDNS, a pod is found by its address as the API writes it, and by no other spelling.
        let is_pod = || self.reader.has_pod(namespace, address) && is_canonical(qname.label(0), address);
        if self.pods == Pods::Verified && !is_pod() {
            return Lookup::NxDomain;
        }
        Lookup::Pod(address)
    }

    fn look_up_reverse<R>(&self, qname: &QName, then: impl FnOnce(Lookup<'_>) -> R) -> R {
        let Some(address) = reverse::address_of(qname.as_wire()) else { return then(Lookup::NxDomain) };
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

/// What the first `left` labels of a name are to a Service that is laid out; `None` when the layout has no say in it.
#[cold]
fn laid_out<'s>(service: &'s Service, layout: &'s Layout, qname: &QName, left: usize) -> Option<Lookup<'s>> {
    let peers = |chosen| Lookup::LaidOutPeers(&service.name, chosen);
    match (left, &service.kind) {
        (0, ServiceKind::Headless) => layout.all().map(peers),
        (1, kind) => {
            let label = qname.label(0);
            let found = layout.find(label, None).map(|own| Lookup::LaidOut(&service.name, own));
            let is_above_a_port = matches!(kind, ServiceKind::Headless) && layout.has_protocol(plain(label));
            found.or_else(|| is_above_a_port.then_some(Lookup::Empty))
        }
        (2, ServiceKind::Headless) => layout.with_port(plain(qname.label(0)), plain(qname.label(1))).map(peers),
        _ => None,
    }
}

/// What the first `left` labels of a name are to a Service whose endpoints are names.
#[cold]
fn below_elsewhere<'s>(elsewhere: &'s Elsewhere, qname: &QName, left: usize) -> Option<Lookup<'s>> {
    let alias = Lookup::AliasOfPeers;
    match left {
        0 => Some(alias(&elsewhere.target)),
        1 => {
            let label = qname.label(0);
            let own = elsewhere.labels.iter().find(|(own, _)| own.as_bytes() == label);
            let is_above_a_port = || elsewhere.ports.has_protocol(plain(label)).then_some(Lookup::Empty);
            own.map(|(_, target)| alias(target)).or_else(is_above_a_port)
        }
        2 => {
            let ports = named(&elsewhere.ports, plain(qname.label(0)), plain(qname.label(1)));
            (!ports.is_empty()).then_some(alias(&elsewhere.target))
        }
        _ => None,
    }
}

fn with_ports<'s>(service: &'s Service, ports: Ports<'s>) -> Lookup<'s> {
    let name = &service.name;
    match &service.kind {
        ServiceKind::ClusterIp { addresses, ports: all_ports } => {
            Lookup::ClusterIp(ClusterIp { service: name, addresses, all_ports, ports })
        }
        ServiceKind::Headless => {
            Lookup::Peers(Peers { service: name, endpoints: &service.endpoints, ports, zone: None })
        }
        ServiceKind::ExternalName(target) => Lookup::Alias(target),
        ServiceKind::Alias(elsewhere) => Lookup::AliasOfPeers(&elsewhere.target),
    }
}

/// Whether a port of the Service (ClusterIP) or of one of its endpoints (headless) is as wanted.
fn has_port(service: &Service, wanted: impl Fn(&PortList) -> bool) -> bool {
    match &service.kind {
        ServiceKind::ClusterIp { ports, .. } => wanted(ports),
        ServiceKind::Headless => service.endpoints.groups().iter().any(|group| wanted(&group.ports)),
        ServiceKind::ExternalName(_) | ServiceKind::Alias(_) => false,
    }
}

/// A label without its underscore, which CoreDNS does not ask for.
///
/// Differs from CoreDNS: nothing behind the underscore matches nothing, as a blank label was never promised to be a
/// wildcard.
fn plain(label: &[u8]) -> &[u8] {
    label.strip_prefix(b"_").unwrap_or(label)
}

/// The address that a pod's label spells: dots (IPv4) or colons (IPv6) as dashes.
fn dashed_address(label: &[u8]) -> Option<IpAddr> {
    let mut text = [0; 63];
    let text = text.get_mut(..label.len())?;
    let is_v4 = label.iter().filter(|&&octet| octet == b'-').count() == 3 && !label.windows(2).any(|two| two == b"--");
    for (place, &octet) in text.iter_mut().zip(label) {
        *place = match octet {
            b'-' if is_v4 => b'.',
            b'-' => b':',
            b'.' | b':' => return None,
            other => other,
        };
    }
    let text = str::from_utf8(text).ok()?;
    if is_v4 { text.parse().ok().map(IpAddr::V4) } else { text.parse().ok().map(IpAddr::V6) }
}

/// Whether a label is the usual text of its address (RFC 5952), with dashes.
fn is_canonical(label: &[u8], address: IpAddr) -> bool {
    struct Compare<'l>(&'l [u8]);
    impl std::fmt::Write for Compare<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            for octet in text.bytes().map(|octet| if matches!(octet, b'.' | b':') { b'-' } else { octet }) {
                self.0 = self.0.strip_prefix(&[octet]).ok_or(std::fmt::Error)?;
            }
            Ok(())
        }
    }
    let mut left = Compare(label);
    std::fmt::Write::write_fmt(&mut left, format_args!("{address}")).is_ok() && left.0.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_text_of_an_address_is_told_from_others() {
        for (label, address, usual) in [
            ("10-0-0-1", "10.0.0.1", true),
            ("fd00--1", "fd00::1", true),
            ("fd00-0-0-0-0-0-0-1", "fd00::1", false),
            ("fd00--01", "fd00::1", false),
            ("fd00--", "fd00::1", false),
        ] {
            assert_eq!(is_canonical(label.as_bytes(), address.parse().unwrap()), usual, "{label}");
        }
    }

    #[test]
    fn pods_are_spelled_with_dashes() {
        for (label, address) in [
            ("10-240-0-1", Some("10.240.0.1")),
            ("fd00--1", Some("fd00::1")),
            ("1-2-3-4-5-6-7-8", Some("1:2:3:4:5:6:7:8")),
            ("--1", Some("::1")),
            ("blah", None),
            ("10-240-0-256", None),
            ("010-240-0-1", None),
            ("10-240-0", None),
            ("10.240.0.1", None),
            ("a-b-c-d", None),
        ] {
            assert_eq!(dashed_address(label.as_bytes()), address.map(|text| text.parse().unwrap()), "{label}");
        }
    }
}

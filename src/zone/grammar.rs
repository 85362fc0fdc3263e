//! The grammar of the cluster's names, read from the zone to the left: the one place where labels are counted.
//!
//! A name is read once, by its labels alone, into what it may stand for; whether that exists, the look-up says. The names
//! are those of the Kubernetes DNS specification 1.1.0 and of the Multicluster Services API; in the zones of
//! `k8s_external`, Services stand right below the zone. Nothing here allocates.

use std::net::IpAddr;

use crate::wire::{QName, reverse};

/// A name below a zone of the cluster.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClusterName<'q> {
    /// The zone itself.
    Apex,
    /// `dns-version`.
    Version,
    /// `ns.dns`.
    NameServer,
    /// `svc`, `pod` or `dns`: others exist below it (RFC 8020).
    Above,
    /// `NAMESPACE.svc`.
    Namespace(&'q [u8]),
    /// `SERVICE.NAMESPACE.svc`, or a name below it.
    Service(ServiceLabels<'q>),
    /// `NAMESPACE.pod`.
    PodNamespace(&'q [u8]),
    /// `ADDRESS.NAMESPACE.pod`, or a name below it; the address stands in the place of a Service.
    Pod(ServiceLabels<'q>),
    /// A name in one of the reverse trees, with its address where it is a whole one.
    Reverse(Option<IpAddr>),
    /// None of these.
    Unknown,
}

/// A name in a zone of `k8s_external`.
#[derive(Clone, Copy, Debug)]
pub(super) enum OutsideName<'q> {
    /// The zone itself.
    Apex,
    /// The label below which the zone's name server stands.
    AboveServer,
    /// `ns1` below it.
    Server,
    /// Another name below it.
    NoServer,
    /// `NAMESPACE`.
    Namespace(&'q [u8]),
    /// `SERVICE.NAMESPACE`, or a name below it.
    Service(ServiceLabels<'q>),
}

/// The name of a Service, or the address of a pod, and the labels left of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServiceLabels<'q> {
    /// Service and namespace in wire format, as [`ServiceName::as_wire`](super::ServiceName::as_wire).
    pub(super) key: &'q [u8],
    pub(super) namespace: &'q [u8],
    pub(super) below: Below<'q>,
}

/// The labels left of a Service's name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Below<'q> {
    /// None: the name is the Service's own.
    Nothing,
    /// `ENDPOINT`; or `_PROTOCOL`, `_zone` or `CLUSTER`, above others.
    Label(&'q [u8]),
    /// `_PORT._PROTOCOL`, both without the underscore, which one of them has at least.
    Port { name: &'q [u8], protocol: &'q [u8] },
    /// Two labels without underscore: a port and its protocol (CoreDNS does not ask for the underscores), or
    /// `ENDPOINT.CLUSTER` of a Service that is imported.
    Pair(&'q [u8], &'q [u8]),
    /// `ZONE.pin._zone` or `ZONE.prefer._zone`.
    Zonal { preference: ZonePreference, zone: TopologyZone<'q> },
    /// More than any name has.
    Deeper,
}

/// The endpoints that a name of a topology zone stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ZonePreference {
    /// `pin`: those in the zone.
    Pin,
    /// `prefer`: those in the zone, or all where it has none.
    Prefer,
}

/// A topology zone as a qname spells it: its first labels, which stand for a name with dots. Without any, the name is one
/// above those of zones.
#[derive(Clone, Copy)]
pub(super) struct TopologyZone<'q> {
    qname: &'q QName,
    labels: usize,
}

/// The label below which the names of topology zones stand.
pub(super) const ZONE: &[u8] = b"_zone";

impl<'q> ClusterName<'q> {
    /// Reads a name, the labels of which belong to the zone from `zone` on.
    #[inline]
    pub(super) fn parse(qname: &'q QName, zone: usize) -> Self {
        if zone > 0 && reverse::is_reverse(qname.as_wire()) {
            return Self::Reverse(reverse::address_of(qname.as_wire()));
        }
        Self::parse_forward(qname, zone)
    }

    /// The same of a name that is taken for none of the reverse trees.
    #[inline]
    pub(super) fn parse_forward(qname: &'q QName, zone: usize) -> Self {
        let Some(last) = zone.checked_sub(1) else { return Self::Apex };
        match (qname.label(last), last) {
            (b"svc", 0) => Self::Above,
            (b"svc", 1) => Self::Namespace(qname.label(0)),
            (b"svc", _) => Self::Service(ServiceLabels::parse(qname, last)),
            (b"pod", 0) => Self::Above,
            (b"pod", 1) => Self::PodNamespace(qname.label(0)),
            (b"pod", _) => Self::Pod(ServiceLabels::parse(qname, last)),
            (b"dns-version", 0) => Self::Version,
            (b"dns", 0) => Self::Above,
            (b"dns", 1) if qname.label(0) == b"ns" => Self::NameServer,
            _ => Self::Unknown,
        }
    }
}

impl<'q> OutsideName<'q> {
    /// Reads a name, the labels of which belong to the zone from `zone` on; below `apex` stands the name server.
    pub(super) fn parse(qname: &'q QName, zone: usize, apex: &[u8]) -> Self {
        let Some(last) = zone.checked_sub(1) else { return Self::Apex };
        match (qname.label(last), last) {
            (label, 0) if label == apex => Self::AboveServer,
            (label, 1) if label == apex && qname.label(0) == b"ns1" => Self::Server,
            (label, _) if label == apex => Self::NoServer,
            (namespace, 0) => Self::Namespace(namespace),
            _ => Self::Service(ServiceLabels::parse(qname, zone)),
        }
    }
}

impl<'q> ServiceLabels<'q> {
    /// The label of the Service.
    pub(super) fn service(self) -> &'q [u8] {
        let end = self.key.len().saturating_sub(1 + self.namespace.len());
        self.key.get(1..end).unwrap_or_default()
    }

    /// Reads the labels left of `end`, two at least.
    #[inline]
    fn parse(qname: &'q QName, end: usize) -> Self {
        let left = end.saturating_sub(2);
        Self {
            key: qname.as_wire().get(qname.start(left)..qname.start(end)).unwrap_or_default(),
            namespace: qname.label(left + 1),
            below: Below::parse(qname, left),
        }
    }
}

impl<'q> Below<'q> {
    /// Reads the first so many labels.
    #[inline]
    fn parse(qname: &'q QName, labels: usize) -> Self {
        let label = |at| qname.label(at);
        let zonal = |preference| Self::Zonal { preference, zone: TopologyZone { qname, labels: labels - 2 } };
        match labels {
            0 => Self::Nothing,
            1 => Self::Label(label(0)),
            _ if label(labels - 1) == ZONE && label(labels - 2) == b"pin" => zonal(ZonePreference::Pin),
            _ if label(labels - 1) == ZONE && label(labels - 2) == b"prefer" => zonal(ZonePreference::Prefer),
            2 if is_plain(label(0)) && is_plain(label(1)) => Self::Pair(label(0), label(1)),
            2 => Self::Port { name: unmarked(label(0)), protocol: unmarked(label(1)) },
            _ => Self::Deeper,
        }
    }
}

impl<'q> TopologyZone<'q> {
    /// Whether the name is one above those of zones.
    pub(super) fn is_missing(self) -> bool {
        self.labels == 0
    }

    /// Whether the labels spell the name of a zone.
    pub(super) fn spells(self, zone: &str) -> bool {
        let mut parts = zone.as_bytes().split(|&octet| octet == b'.');
        self.labels().map(Some).chain([None]).all(|label| match (label, parts.next()) {
            (Some(label), Some(part)) => label.eq_ignore_ascii_case(part),
            (None, None) => true,
            _ => false,
        })
    }

    /// Its labels.
    pub(super) fn labels(self) -> impl Iterator<Item = &'q [u8]> {
        (0..self.labels).map(move |at| self.qname.label(at))
    }
}

impl std::fmt::Debug for TopologyZone<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.labels().map(String::from_utf8_lossy)).finish()
    }
}

/// A label without its underscore.
///
/// Differs from CoreDNS: nothing behind the underscore matches nothing, as a blank label was never promised to be a
/// wildcard.
pub(super) fn unmarked(label: &[u8]) -> &[u8] {
    label.strip_prefix(b"_").unwrap_or(label)
}

fn is_plain(label: &[u8]) -> bool {
    !label.starts_with(b"_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(label: &[u8]) -> String {
        String::from_utf8_lossy(label).into_owned()
    }

    fn service(labels: ServiceLabels<'_>) -> String {
        let ServiceLabels { key, namespace, below } = labels;
        let service = labels.service();
        let wire = [&[service.len() as u8], service, &[namespace.len() as u8], namespace].concat();
        assert_eq!(text(key), text(&wire));
        let below = match below {
            Below::Nothing => return format!("service {}/{}", text(namespace), text(service)),
            Below::Label(label) => format!("label {}", text(label)),
            Below::Port { name, protocol } => format!("port {}/{}", text(name), text(protocol)),
            Below::Pair(first, second) => format!("pair {} {}", text(first), text(second)),
            Below::Zonal { preference, zone } => format!("{preference:?} {zone:?}"),
            Below::Deeper => "deeper".to_owned(),
        };
        format!("{below} of {}/{}", text(namespace), text(service))
    }

    fn read(name: &str) -> String {
        let qname = QName::from_name(&format!("{name}.cluster.local").trim_start_matches('.').parse().unwrap());
        match ClusterName::parse(&qname, qname.label_count() - 2) {
            ClusterName::Namespace(namespace) => format!("namespace {}", text(namespace)),
            ClusterName::Service(labels) => service(labels),
            ClusterName::PodNamespace(namespace) => format!("pods of {}", text(namespace)),
            ClusterName::Pod(labels) => format!("pod: {}", service(labels)),
            plain => format!("{plain:?}").to_lowercase(),
        }
    }

    #[test]
    fn names_of_the_cluster_are_read_once_into_what_they_may_stand_for() {
        for (name, expected) in [
            ("", "apex"),
            ("dns-version", "version"),
            ("x.dns-version", "unknown"),
            ("dns", "above"),
            ("ns.dns", "nameserver"),
            ("ns1.dns", "unknown"),
            ("x.ns.dns", "unknown"),
            ("svc", "above"),
            ("pod", "above"),
            ("example", "unknown"),
            ("db.n.example", "unknown"),
            ("n.svc", "namespace n"),
            ("db.n.svc", "service n/db"),
            ("svc.svc.svc", "service svc/svc"),
            ("db-0.db.n.svc", "label db-0 of n/db"),
            ("_tcp.db.n.svc", "label _tcp of n/db"),
            ("_zone.db.n.svc", "label _zone of n/db"),
            ("_sql._tcp.db.n.svc", "port sql/tcp of n/db"),
            ("_sql.tcp.db.n.svc", "port sql/tcp of n/db"),
            ("_._tcp.db.n.svc", "port /tcp of n/db"),
            ("sql.tcp.db.n.svc", "pair sql tcp of n/db"),
            ("db-0.east.db.n.svc", "pair db-0 east of n/db"),
            ("a.b.c.db.n.svc", "deeper of n/db"),
            ("x._sql._tcp.db.n.svc", "deeper of n/db"),
            ("pin._zone.db.n.svc", "Pin [] of n/db"),
            ("prefer._zone.db.n.svc", "Prefer [] of n/db"),
            ("other._zone.db.n.svc", "port other/zone of n/db"),
            ("a.pin._zone.db.n.svc", "Pin [\"a\"] of n/db"),
            ("eu-1.a.prefer._zone.db.n.svc", "Prefer [\"eu-1\", \"a\"] of n/db"),
            ("a.other._zone.db.n.svc", "deeper of n/db"),
            ("n.pod", "pods of n"),
            ("10-0-0-1.n.pod", "pod: service n/10-0-0-1"),
            ("x.10-0-0-1.n.pod", "pod: label x of n/10-0-0-1"),
        ] {
            assert_eq!(read(name), expected, "{name}");
        }
    }

    #[test]
    fn a_name_in_a_reverse_tree_is_an_address_where_it_is_whole() {
        for (name, zone, expected) in [
            ("4.3.2.1.in-addr.arpa", 3, "Reverse(Some(1.2.3.4))"),
            ("3.2.1.in-addr.arpa", 1, "Reverse(None)"),
            ("svc.in-addr.arpa", 1, "Reverse(None)"),
            ("2.1.in-addr.arpa", 0, "Apex"),
        ] {
            let qname = QName::from_name(&name.parse().unwrap());
            assert_eq!(format!("{:?}", ClusterName::parse(&qname, zone)), expected, "{name}");
        }
    }

    #[test]
    fn in_an_outside_zone_services_stand_right_below_it() {
        for (name, expected) in [
            ("", "apex"),
            ("dns", "aboveserver"),
            ("ns1.dns", "server"),
            ("ns2.dns", "noserver"),
            ("x.ns1.dns", "noserver"),
            ("n", "namespace n"),
            ("db.n", "service n/db"),
            ("svc.n", "service n/svc"),
            ("db-0.db.n", "label db-0 of n/db"),
            ("_sql._tcp.db.n", "port sql/tcp of n/db"),
            ("a.b.c.db.n", "deeper of n/db"),
        ] {
            let qname = QName::from_name(&format!("{name}.example.org").trim_start_matches('.').parse().unwrap());
            let read = match OutsideName::parse(&qname, qname.label_count() - 2, b"dns") {
                OutsideName::Namespace(namespace) => format!("namespace {}", text(namespace)),
                OutsideName::Service(labels) => service(labels),
                plain => format!("{plain:?}").to_lowercase(),
            };
            assert_eq!(read, expected, "{name}");
        }
    }

    #[test]
    fn a_topology_zone_is_spelled_with_its_dots_as_labels() {
        for (name, zone, is_it) in [
            ("eu-1.pin._zone.db.n.svc", "eu-1", true),
            ("eu-1.pin._zone.db.n.svc", "EU-1", true),
            ("eu-1.a.pin._zone.db.n.svc", "eu-1.a", true),
            ("eu-1.a.pin._zone.db.n.svc", "eu-1", false),
            ("eu-1.pin._zone.db.n.svc", "eu-1.a", false),
        ] {
            let qname = QName::from_name(&name.parse().unwrap());
            let ClusterName::Service(ServiceLabels { below: Below::Zonal { zone: spelled, .. }, .. }) =
                ClusterName::parse(&qname, qname.label_count())
            else {
                panic!("{name} has a topology zone");
            };
            assert_eq!(spelled.spells(zone), is_it, "{name} {zone}");
        }
    }
}

//! The objects that a name names, for those who tell of queries.
//!
//! CoreDNS reads them from the labels alone, whether or not there are such objects, and names of pods like those of Services.

use super::View;
use super::grammar::{Below, ClusterName, ServiceLabels, ZONE, unmarked};
use crate::wire::QName;

/// The labels of a name by what they name; those that are not there are empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NamedObjects<'q> {
    /// `svc` or `pod`.
    pub kind: &'q [u8],
    /// The namespace.
    pub namespace: &'q [u8],
    /// The Service, or the address of a pod.
    pub service: &'q [u8],
    /// The endpoint.
    pub endpoint: &'q [u8],
    /// The cluster of an imported endpoint.
    pub cluster: &'q [u8],
    /// The name of a port, without underscore.
    pub port: &'q [u8],
    /// Its protocol, without underscore.
    pub protocol: &'q [u8],
    /// The labels of a topology zone.
    pub topology: Vec<&'q [u8]>,
}

impl View {
    /// The objects that a name names, the labels of which belong to the zone from `zone` on; `None` when it can name no
    /// Service and no pod.
    pub fn named_objects<'q>(&self, qname: &'q QName, zone: usize) -> Option<NamedObjects<'q>> {
        let (kind, labels) = match ClusterName::parse_forward(qname, zone) {
            ClusterName::Apex => return Some(NamedObjects::default()),
            ClusterName::Above if qname.label(0) != b"dns" => return Some(NamedObjects::default()),
            ClusterName::Namespace(namespace) => {
                return Some(NamedObjects { kind: b"svc", namespace, ..NamedObjects::default() });
            }
            ClusterName::PodNamespace(namespace) => {
                return Some(NamedObjects { kind: b"pod", namespace, ..NamedObjects::default() });
            }
            ClusterName::Service(labels) => (&b"svc"[..], labels),
            ClusterName::Pod(labels) => (&b"pod"[..], labels),
            _ => return None,
        };
        let ServiceLabels { namespace, below, .. } = labels;
        let mut named = NamedObjects { kind, namespace, service: labels.service(), ..NamedObjects::default() };
        let is_multicluster = self.is_multicluster(qname.suffix(zone));
        match below {
            Below::Nothing => {}
            Below::Label(endpoint) => named.endpoint = endpoint,
            Below::Pair(endpoint, cluster) if is_multicluster => (named.endpoint, named.cluster) = (endpoint, cluster),
            Below::Port { name, protocol } | Below::Pair(name, protocol) => {
                (named.port, named.protocol) = (name, protocol);
            }
            Below::Zonal { zone, .. } if zone.is_missing() => {
                (named.port, named.protocol) = (qname.label(0), unmarked(ZONE));
            }
            Below::Zonal { zone, .. } if self.zonal && !is_multicluster && kind == b"svc" => {
                named.topology = zone.labels().collect();
            }
            Below::Zonal { .. } | Below::Deeper => return None,
        }
        Some(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::pair;
    use crate::zone::testing::view;

    fn read(name: &str, multicluster: bool, zonal: bool) -> Option<[String; 7]> {
        let (_publisher, reader) = pair();
        let mut view = view(reader);
        view.zonal = zonal;
        view.multicluster.extend(multicluster.then(|| view.zones[0].clone()));
        let qname = QName::from_name(&format!("{name}.cluster.local").trim_start_matches('.').parse().unwrap());
        let named = view.named_objects(&qname, qname.label_count() - 2)?;
        let fixed =
            [named.kind, named.namespace, named.service, named.endpoint, named.cluster, named.port, named.protocol];
        Some(fixed.map(|label| String::from_utf8_lossy(label).into_owned()))
    }

    /// The table is that of CoreDNS's parser.
    #[test]
    fn names_are_read_as_coredns_reads_them() {
        for (name, wanted) in [
            ("", ["", "", "", "", "", "", ""]),
            ("svc", ["", "", "", "", "", "", ""]),
            ("ns.svc", ["svc", "ns", "", "", "", "", ""]),
            ("s.ns.svc", ["svc", "ns", "s", "", "", "", ""]),
            ("10-240-0-1.ns.pod", ["pod", "ns", "10-240-0-1", "", "", "", ""]),
            ("ep.s.ns.svc", ["svc", "ns", "s", "ep", "", "", ""]),
            ("_http._tcp.s.ns.svc", ["svc", "ns", "s", "", "", "http", "tcp"]),
            ("http.__tcp.s.ns.svc", ["svc", "ns", "s", "", "", "http", "_tcp"]),
        ] {
            assert_eq!(read(name, false, false), Some(wanted.map(str::to_owned)), "{name}");
        }
        let pod = ["pod", "ns", "10-240-0-1", "x", "", "", ""].map(str::to_owned);
        assert_eq!(read("x.10-240-0-1.ns.pod", false, false), Some(pod));
        for zonal in [false, true] {
            let above = ["svc", "ns", "s", "", "", "pin", "zone"].map(str::to_owned);
            assert_eq!(read("pin._zone.s.ns.svc", false, zonal), Some(above));
        }
        for name in [
            "a.b.c.d.e.svc",
            "a.b.s.ns.pod.svc.x",
            "foo.bar.other",
            "dns",
            "dns-version",
            "10",
            "1.0.1.10",
            "x.pin._zone.s.ns.svc",
        ] {
            assert_eq!(read(name, false, false), None, "{name}");
        }
        let cluster = ["svc", "ns", "s", "ep", "c1", "", ""].map(str::to_owned);
        assert_eq!(read("ep.c1.s.ns.svc", true, false), Some(cluster));
        assert_eq!(read("_p._tcp.s.ns.svc", true, false).unwrap()[5], "p");
        assert!(read("a.b.pin._zone.s.ns.svc", false, true).is_some());
        assert!(read("a.b.other._zone.s.ns.svc", false, true).is_none());
        assert!(
            read("a.pin._zone.s.ns.pod", false, true).is_none() && read("a.pin._zone.s.ns.svc", true, true).is_none()
        );
    }
}

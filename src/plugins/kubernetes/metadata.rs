//! What a query says of the cluster's objects, as labels for `log`, `template`, `rewrite` and `view`.

use std::net::IpAddr;

use crate::chain::Metadata;
use crate::syntax::names::{self, Zones};
use crate::wire::Name;
use crate::zone::{View, unmarked};

/// Tells what a name in one of the zones names; every label is in presentation form, as any client chooses them.
pub(super) fn tell(view: &View, name: &Name, into: &mut Metadata) {
    let zones = Zones(view.zones.clone());
    let Some(zone) = zones.matching(name) else { return };
    let labels: Vec<&[u8]> = name.labels().collect();
    let own = labels.get(..labels.len().saturating_sub(zone.labels().count())).unwrap_or_default();
    let multicluster = view.multicluster.contains(zone);
    let Some(named) = Named::read(own, multicluster, view.zonal) else {
        into.insert("kubernetes/parse-error".to_owned(), "invalid query name".to_owned());
        return;
    };
    let mut put = |label: &str, value: String| into.insert(format!("kubernetes/{label}"), value);
    for (label, value) in [
        ("kind", named.kind),
        ("namespace", named.namespace),
        ("service", named.service),
        ("endpoint", named.endpoint),
        ("port-name", named.port),
        ("protocol", named.protocol),
    ] {
        put(label, names::shown_label(value));
    }
    if multicluster {
        put("cluster", names::shown_label(named.cluster));
    }
    if view.zonal {
        let zone: Vec<String> = named.topology.iter().map(|label| names::shown_label(label)).collect();
        put("zone", zone.join("."));
    }
}

/// Tells whose pod the client is, where that is kept.
pub(super) fn tell_client(view: &View, address: IpAddr, into: &mut Metadata) {
    if let Some(pod) = view.reader.client(address) {
        into.insert("kubernetes/client-namespace".to_owned(), pod.namespace.to_string());
        into.insert("kubernetes/client-pod-name".to_owned(), pod.name.to_string());
    }
}

/// The labels of a name by what they name, as CoreDNS reads them: names of pods like those of Services. What is not there is
/// empty.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named<'n> {
    kind: &'n [u8],
    namespace: &'n [u8],
    service: &'n [u8],
    endpoint: &'n [u8],
    cluster: &'n [u8],
    port: &'n [u8],
    protocol: &'n [u8],
    /// The labels of a topology zone.
    topology: &'n [&'n [u8]],
}

impl<'n> Named<'n> {
    /// Reads the labels left of the zone; `None` when the name can name no Service and no pod.
    fn read(labels: &'n [&'n [u8]], multicluster: bool, zonal: bool) -> Option<Self> {
        let mut named = Self::default();
        let (rest, kind) = match labels {
            [] | [b"svc" | b"pod"] => return Some(named),
            [rest @ .., kind @ (b"svc" | b"pod")] => (rest, kind),
            _ => return None,
        };
        named.kind = kind;
        let (rest, service) = match rest {
            [rest @ .., service, namespace] => {
                named.namespace = namespace;
                (rest, service)
            }
            [namespace] => {
                named.namespace = namespace;
                return Some(named);
            }
            [] => return Some(named),
        };
        named.service = service;
        match rest {
            [] => {}
            [endpoint] => named.endpoint = endpoint,
            [endpoint, cluster] if multicluster && !is_marked(endpoint) && !is_marked(cluster) => {
                (named.endpoint, named.cluster) = (endpoint, cluster);
            }
            [port, protocol] => (named.port, named.protocol) = (unmarked(port), unmarked(protocol)),
            [topology @ .., b"pin" | b"prefer", b"_zone"] if zonal && !multicluster && *kind == b"svc" => {
                named.topology = topology;
            }
            _ => return None,
        }
        Some(named)
    }
}

fn is_marked(label: &[u8]) -> bool {
    label.starts_with(b"_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, multicluster: bool, zonal: bool) -> Option<[String; 7]> {
        let labels: Vec<&[u8]> = name.split('.').filter(|label| !label.is_empty()).map(str::as_bytes).collect();
        let named = Named::read(&labels, multicluster, zonal)?;
        let fixed =
            [named.kind, named.namespace, named.service, named.endpoint, named.cluster, named.port, named.protocol];
        Some(fixed.map(names::shown_label))
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
        for name in ["a.b.c.d.e.svc", "a.b.s.ns.pod.svc.x", "foo.bar.other", "10", "1.0.1.10", "x.pin._zone.s.ns.svc"] {
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

//! The cluster that all servers answer for, as Kubernetes objects, as a zone file and as questions.

use std::fmt::Write;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

/// So many headless Services of so many endpoints, and as many ClusterIPs as Services.
#[derive(Clone, Copy)]
pub(crate) struct Cluster {
    pub(crate) services: usize,
    pub(crate) endpoints: usize,
}

/// A slice holds as many endpoints as the endpoint slice controller gives it.
const PER_SLICE: usize = 100;
const NAMESPACES: usize = 10;

impl Cluster {
    /// The cluster that questions are asked about.
    pub(crate) const ASKED: Self = Self { services: 200, endpoints: 5 };

    fn name(service: usize) -> String {
        format!("app{service}.ns{}", service % NAMESPACES)
    }

    fn address(self, service: usize, endpoint: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(0x0a80_0000 + (service * self.endpoints + endpoint) as u32)
    }

    /// Namespaces, Services and slices, each with the plural of its kind.
    pub(crate) fn objects(self) -> Vec<(&'static str, Value)> {
        let mut objects: Vec<(&str, Value)> = (0..NAMESPACES)
            .map(|number| {
                ("namespaces", json!({"metadata": {"name": format!("ns{number}"), "uid": format!("n{number}")}}))
            })
            .collect();
        for service in 0..self.services {
            let namespace = format!("ns{}", service % NAMESPACES);
            let service_of = |name: String, address: String| {
                json!({"metadata": {"name": name, "namespace": namespace, "uid": format!("s-{name}")},
                       "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
                                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}})
            };
            objects.push(("services", service_of(format!("app{service}"), "None".into())));
            let address = Ipv4Addr::from_bits(0x0a60_0000 + service as u32).to_string();
            objects.push(("services", service_of(format!("web{service}"), address)));
            for slice in 0..self.endpoints.div_ceil(PER_SLICE) {
                objects.push(("endpointslices", self.slice(service, slice, 0)));
            }
        }
        objects
    }

    /// A slice of a headless Service; another `shift` gives its endpoints other addresses.
    pub(crate) fn slice(self, service: usize, slice: usize, shift: u32) -> Value {
        let from = slice * PER_SLICE;
        let endpoints: Vec<Value> = (from..(from + PER_SLICE).min(self.endpoints))
            .map(|endpoint| {
                let address = Ipv4Addr::from_bits(self.address(service, endpoint).to_bits() ^ shift << 20);
                json!({"addresses": [address.to_string()], "hostname": format!("app{service}-{endpoint}"),
                       "conditions": {"ready": true, "serving": true, "terminating": false},
                       "targetRef": {"kind": "Pod", "name": format!("app{service}-{endpoint}")}})
            })
            .collect();
        json!({"metadata": {"name": format!("app{service}-s{slice}"), "namespace": format!("ns{}", service % NAMESPACES),
                            "uid": format!("e-{service}-{slice}"),
                            "labels": {"kubernetes.io/service-name": format!("app{service}")}},
               "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": endpoints})
    }

    /// The same records for servers of static zones.
    pub(crate) fn zone_file(self) -> String {
        let mut zone = String::from(
            "$ORIGIN cluster.local.\n$TTL 30\n@ SOA ns.dns hostmaster 1 7200 1800 86400 30\n@ NS ns.dns\nns.dns A 10.96.0.10\n",
        );
        for service in 0..self.services {
            let name = format!("{}.svc", Self::name(service));
            for endpoint in 0..self.endpoints {
                let (address, peer) = (self.address(service, endpoint), format!("app{service}-{endpoint}.{name}"));
                let weight = (100 / self.endpoints).max(1);
                let _ = writeln!(zone, "{peer} A {address}\n{name} A {address}\n{name} SRV 0 {weight} 8080 {peer}");
                let _ = writeln!(zone, "_http._tcp.{name} SRV 0 {weight} 8080 {peer}");
            }
            let address = Ipv4Addr::from_bits(0x0a60_0000 + service as u32);
            let _ = writeln!(zone, "web{service}.ns{}.svc A {address}", service % NAMESPACES);
        }
        zone
    }

    /// The name of one endpoint of each Service.
    pub(crate) fn peer(service: usize, endpoint: usize) -> String {
        format!("app{service}-{endpoint}.{}.svc.cluster.local", Self::name(service))
    }

    /// Questions in dnsperf's format.
    pub(crate) fn questions(self, load: Load) -> String {
        const LINES: usize = 10_000;
        let mut random = rollcall::wire::Random::new(7);
        let mut lines = String::new();
        for _ in 0..LINES {
            let (service, endpoint) = (random.below(self.services), random.below(self.endpoints));
            let load = match (load, random.below(100)) {
                (Load::Mix, ..35) => Load::A,
                (Load::Mix, 35..50) => Load::Peers,
                (Load::Mix, 50..65) => Load::Srv,
                (Load::Mix, 65..75) => Load::ClusterIp,
                (Load::Mix, 75..85) => Load::NoData,
                (Load::Mix, _) => Load::NxDomain,
                (load, _) => load,
            };
            let (name, namespace) = (Self::name(service), service % NAMESPACES);
            let web = format!("web{service}.ns{namespace}.svc.cluster.local");
            let _ = match load {
                Load::A => writeln!(lines, "{} A", Self::peer(service, endpoint)),
                Load::Peers => writeln!(lines, "{name}.svc.cluster.local A"),
                Load::Srv => writeln!(lines, "{name}.svc.cluster.local SRV"),
                Load::ClusterIp => writeln!(lines, "{web} A"),
                Load::NoData => writeln!(lines, "{web} AAAA"),
                // What the search list of a pod asks for first.
                Load::NxDomain | Load::Mix => writeln!(lines, "{web}.ns1.svc.cluster.local A"),
            };
        }
        lines
    }
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Addresses of single pods.
    A,
    /// Addresses of headless Services.
    Peers,
    /// SRV of headless Services.
    Srv,
    /// Addresses of Services.
    ClusterIp,
    /// AAAA where there is only A.
    NoData,
    /// Names that do not exist.
    NxDomain,
    /// 35 % A, 15 % each of peers, SRV and misses, 10 % each of ClusterIP and NODATA… in a pod's proportions.
    Mix,
}

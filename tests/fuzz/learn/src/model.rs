//! What a cluster's zone must answer, worked out slowly: every name that exists is written down, with all that it has.
//!
//! It knows nothing of indexes, shards or endpoint sets, and takes its rules from the Kubernetes DNS specification 1.1.0 and the
//! documents of this server. It is for the default settings: the zone `cluster.local`, both reverse trees, `pods insecure`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rollcall::cluster::facts::{Fact, ServiceFact, ServiceSpec, SliceFact};
use rollcall::wire::Label;
use rollcall::zone::{Port, Protocol};

/// The zone's name, with the dot before it.
const ZONE: &str = ".cluster.local.";
const REVERSE: [&str; 2] = [".in-addr.arpa.", ".ip6.arpa."];

/// The records of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// Port and target.
    pub(crate) services: BTreeSet<(u16, String)>,
    /// The addresses at which their targets have the ports.
    pub(crate) beside: BTreeSet<(String, IpAddr)>,
    pub(crate) pointers: BTreeSet<String>,
    pub(crate) alias: Option<String>,
    pub(crate) texts: BTreeSet<String>,
    pub(crate) servers: BTreeSet<String>,
    pub(crate) is_apex: bool,
}

impl Records {
    /// A port without a number has no SRV record.
    fn add_port(&mut self, port: &Port, target: &str, address: IpAddr) {
        if port.number != 0 {
            self.services.insert((port.number, target.to_owned()));
            self.beside.insert((target.to_owned(), address));
        }
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    /// It lies in no zone of the cluster.
    Elsewhere,
    /// It does not exist.
    Missing,
    /// It exists, with these records, perhaps none.
    Exists(Records),
}

/// All names of a cluster, in lower case with their final dot.
#[derive(Debug)]
pub(crate) struct Model {
    names: BTreeMap<String, Records>,
    namespaces: BTreeSet<String>,
    pub(crate) local: IpAddr,
}

impl Model {
    pub(crate) fn new(facts: &[Fact], local: IpAddr) -> Self {
        let namespaces = facts.iter().filter_map(|fact| match fact {
            Fact::Namespace(namespace) => Some(namespace.name.to_lowercase()),
            _ => None,
        });
        let mut model = Self { names: BTreeMap::new(), namespaces: namespaces.collect(), local };
        let slices: Vec<&SliceFact> =
            facts.iter().filter_map(|fact| if let Fact::Slice(slice) = fact { Some(slice) } else { None }).collect();
        model.add_constants();
        for namespace in model.namespaces.clone() {
            model.exist(&format!("{namespace}.svc{ZONE}"));
            model.exist(&format!("{namespace}.pod{ZONE}"));
        }
        for fact in facts {
            if let Fact::Service(service) = fact
                && model.namespaces.contains(&service.key.namespace.to_lowercase())
            {
                let (name, namespace) = (service.key.name.to_lowercase(), service.key.namespace.to_lowercase());
                let is_own =
                    |slice: &&&SliceFact| *slice.service == *name && *slice.key.namespace == *service.key.namespace;
                let own: Vec<&SliceFact> = slices.iter().filter(is_own).copied().collect();
                model.add_service(&format!("{name}.{namespace}.svc{ZONE}"), &service.spec, &own);
            }
        }
        model.add_pointers(facts);
        model
    }

    /// An address points to the Service that has it, the first by name of several; else to each endpoint.
    fn add_pointers(&mut self, facts: &[Fact]) {
        let mut services: BTreeMap<IpAddr, BTreeSet<String>> = BTreeMap::new();
        for fact in facts {
            match fact {
                // Kubernetes DNS 2.4.3, by the slices alone.
                Fact::Slice(slice) => {
                    let (service, namespace) = (&slice.service, slice.key.namespace.to_lowercase());
                    for (label, address) in ready(slice) {
                        let name = format!("{label}.{service}.{namespace}.svc{ZONE}");
                        self.exist(&reverse(address)).pointers.insert(name);
                    }
                }
                // Kubernetes DNS 2.3.3.
                Fact::Service(ServiceFact { key, spec: ServiceSpec::ClusterIp { addresses, .. }, .. }) => {
                    let name = format!("{}.{}.svc{ZONE}", key.name, key.namespace).to_lowercase();
                    for address in addresses {
                        services.entry(*address).or_default().insert(name.clone());
                    }
                }
                _ => {}
            }
        }
        for (address, names) in services {
            self.exist(&reverse(address)).pointers = names.into_iter().take(1).collect();
        }
    }

    /// All names that exist, but those of pods.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    fn add_constants(&mut self) {
        for zone in [ZONE, REVERSE[0], REVERSE[1]] {
            let apex = self.exist(&zone[1..]);
            apex.is_apex = true;
            apex.servers.insert(format!("ns.dns{zone}"));
        }
        let local = self.local;
        self.exist(&format!("ns.dns{ZONE}")).addresses.insert(local);
        self.exist(&format!("dns-version{ZONE}")).texts.insert("1.1.0".into());
        self.exist(&format!("svc{ZONE}"));
        self.exist(&format!("pod{ZONE}"));
    }

    /// The records of a name that exists from now on, as do all between it and its zone (RFC 8020).
    fn exist(&mut self, name: &str) -> &mut Records {
        let mut above = name;
        while let Some((_, parent)) = above.split_once('.')
            && format!(".{parent}").ends_with(ZONE)
        {
            self.names.entry(parent.to_owned()).or_default();
            above = parent;
        }
        self.names.entry(name.to_owned()).or_default()
    }

    fn add_service(&mut self, name: &str, spec: &ServiceSpec, slices: &[&SliceFact]) {
        // Kubernetes DNS 2.4.2: the endpoints with a name of their own; all ready ones have a label at least.
        let ready: Vec<(String, IpAddr, &[Port])> = slices
            .iter()
            .flat_map(|slice| ready(slice).map(|(label, address)| (label, address, &slice.ports[..])))
            .collect();
        match spec {
            // Kubernetes DNS 2.5.
            ServiceSpec::ExternalName(target) => {
                if let Some(target) = target {
                    self.exist(name).alias = Some(target.to_string());
                }
                return;
            }
            // Kubernetes DNS 2.4.1: without ready endpoints there is no such name.
            ServiceSpec::Headless { .. } if ready.is_empty() => return,
            ServiceSpec::Headless { .. } => {
                for (label, address, ports) in &ready {
                    self.exist(name).addresses.insert(*address);
                    for port in *ports {
                        let target = format!("{label}.{name}");
                        self.exist(name).add_port(port, &target, *address);
                        for alias in port_names(port, name) {
                            let own = self.exist(&alias);
                            own.addresses.insert(*address);
                            own.add_port(port, &target, *address);
                        }
                    }
                }
            }
            // Kubernetes DNS 2.3.
            ServiceSpec::ClusterIp { addresses, ports } => {
                self.exist(name).addresses.extend(addresses);
                for port in ports {
                    let names = port_names(port, name).into_iter().chain([name.to_owned()]);
                    for alias in names {
                        let own = self.exist(&alias);
                        own.addresses.extend(addresses);
                        addresses.iter().for_each(|address| own.add_port(port, name, *address));
                    }
                }
            }
        }
        for (label, address, ports) in ready {
            let full = format!("{label}.{name}");
            let own = self.exist(&full);
            own.addresses.insert(address);
            ports.iter().for_each(|port| own.add_port(port, &full, address));
        }
    }

    /// What a name stands for, in lower case with its final dot.
    pub(crate) fn of(&self, name: &str) -> Truth {
        if let Some(records) = self.names.get(name) {
            return Truth::Exists(records.clone());
        }
        if let Some(address) = self.pod(name) {
            return Truth::Exists(Records { addresses: [address].into(), ..Records::default() });
        }
        let within = [ZONE, REVERSE[0], REVERSE[1]].iter().any(|zone| name.ends_with(zone));
        if within { Truth::Missing } else { Truth::Elsewhere }
    }

    /// Kubernetes DNS, "pods insecure": `ADDRESS.NAMESPACE.pod.ZONE`, for any address.
    fn pod(&self, name: &str) -> Option<IpAddr> {
        let (label, namespace) = name.strip_suffix(ZONE)?.strip_suffix(".pod")?.split_once('.')?;
        if !self.namespaces.contains(namespace) {
            return None;
        }
        let v4 = label.replace('-', ".").parse::<Ipv4Addr>().map(IpAddr::V4);
        // No label of a host has a colon or a dot within.
        let plain = label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        v4.or_else(|_| label.replace('-', ":").parse::<Ipv6Addr>().map(IpAddr::V6)).ok().filter(|_| plain)
    }
}

/// The addresses of the ready endpoints of a slice, each with its label: the hostname, or one made of the address.
fn ready(slice: &SliceFact) -> impl Iterator<Item = (String, IpAddr)> {
    slice.endpoints.iter().filter(|endpoint| endpoint.ready).flat_map(|endpoint| {
        let hostname = endpoint.hostname.as_ref().map(|label: &Label| label.to_string());
        let label = move |address| hostname.clone().unwrap_or_else(|| dashed(address));
        endpoint.addresses.iter().map(move |address| (label(*address), *address))
    })
}

/// An address as a label.
pub(crate) fn dashed(address: IpAddr) -> String {
    let text = address.to_string().replace(['.', ':'], "-");
    if text.ends_with('-') { format!("{text}0") } else { text }
}

/// The names of a port, with and without the underscores, which CoreDNS does not ask for.
fn port_names(port: &Port, name: &str) -> Vec<String> {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    let Some(own) = &port.name else { return Vec::new() };
    [("_", "_"), ("_", ""), ("", "_"), ("", "")]
        .map(|(one, other)| format!("{one}{own}.{other}{protocol}.{name}"))
        .into()
}

/// The reverse name of an address.
pub(crate) fn reverse(address: IpAddr) -> String {
    let digits: Vec<String> = match address {
        IpAddr::V4(v4) => v4.octets().iter().rev().map(u8::to_string).collect(),
        IpAddr::V6(v6) => {
            let digits = v6.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
            digits.rev().map(|digit| format!("{digit:x}")).collect()
        }
    };
    format!("{}{}", digits.join("."), REVERSE[usize::from(address.is_ipv6())])
}

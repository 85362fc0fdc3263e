//! The names that a cluster has, from its objects, and names beside them that it has not.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use crate::cluster::facts::{Fact, ServiceSpec, SliceFact};
use crate::wire::{Dashed, Label, Name, NameError, reverse};
use crate::zone::Port;

/// The thing that a name stands for: it decides which differences are known ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameKind {
    /// The cluster domain itself.
    Apex,
    /// `ns.dns`.
    NameServer,
    /// `svc`, `pod`, a namespace.
    Structure,
    /// A name that only stands between others: `dns`, `_tcp.SERVICE`; and `dns-version`, which has a TXT record only.
    Between,
    /// A Service, one of its ports or endpoints.
    Service,
    /// The same, of a Service with an endpoint in more than one slice.
    Repeated,
    /// A Service of type ExternalName.
    External,
    /// The address of a pod as a name.
    Pod,
    /// An address that something has.
    Reverse,
    /// A name that does not exist.
    Miss,
}

/// The names to ask, each once; where a name has two meanings, the first of [`NameKind`] counts.
pub(super) fn names(facts: &[Fact], zone: &Name) -> BTreeMap<String, (Name, NameKind)> {
    let mut found = NamesToAsk { zone, names: BTreeMap::new() };
    found.structure();
    let mut slices: HashMap<(&str, &str), Vec<&SliceFact>> = HashMap::new();
    for fact in facts {
        if let Fact::Slice(slice) = fact {
            slices.entry((&slice.key.namespace, &slice.service)).or_default().push(slice);
        }
    }
    for fact in facts {
        match fact {
            Fact::Namespace(namespace) => found.namespace(&namespace.name),
            Fact::Service(service) => {
                let (namespace, name) = (&*service.key.namespace, &*service.key.name);
                let slices = slices.get(&(namespace, name)).map_or(&[][..], Vec::as_slice);
                found.service(namespace, name, &service.spec, slices);
            }
            // What other clusters export is of a zone of its own.
            Fact::Slice(_) | Fact::Pod(_) | Fact::Import(_) | Fact::ImportedSlice(_) => {}
        }
    }
    found.names
}

/// The label that stands in no cluster.
const NOBODY: &str = "rollcall-diff-nobody";

struct NamesToAsk<'z> {
    zone: &'z Name,
    names: BTreeMap<String, (Name, NameKind)>,
}

impl NamesToAsk<'_> {
    fn structure(&mut self) {
        self.add(NameKind::Apex, &[]);
        self.add(NameKind::NameServer, &["ns", "dns"]);
        self.add(NameKind::Structure, &["svc"]);
        self.add(NameKind::Structure, &["pod"]);
        self.add(NameKind::Between, &["dns"]);
        self.add(NameKind::Between, &["dns-version"]);
        for labels in [
            &[NOBODY][..],
            &[NOBODY, "svc"],
            &[NOBODY, "pod"],
            &[NOBODY, NOBODY, "svc"],
            &["*", "svc"],
            &["_http", "_tcp"],
            &["www", "example", "com"],
        ] {
            self.add(NameKind::Miss, labels);
        }
    }

    fn namespace(&mut self, namespace: &str) {
        self.add(NameKind::Structure, &[namespace, "svc"]);
        self.add(NameKind::Structure, &[namespace, "pod"]);
        // What a search list makes of a name of the outside and of a name that is whole already.
        self.add(NameKind::Miss, &["www", "example", "com", namespace, "svc"]);
        self.add(NameKind::Miss, &["kubernetes", "default", "svc", namespace, "svc"]);
        self.add(NameKind::Miss, &[NOBODY, namespace, "svc"]);
        self.add(NameKind::Miss, &[NOBODY, namespace, "pod"]);
    }

    fn service(&mut self, namespace: &str, service: &str, spec: &ServiceSpec, slices: &[&SliceFact]) {
        let own = [service, namespace, "svc"];
        self.add(NameKind::Miss, &[&[NOBODY], &own[..]].concat());
        self.add(NameKind::Miss, &[&["_nobody", "_tcp"], &own[..]].concat());
        let ports: &[Port] = match spec {
            ServiceSpec::ExternalName(_) => {
                self.add(NameKind::External, &own);
                return;
            }
            ServiceSpec::ClusterIp { addresses, ports } => {
                addresses.iter().for_each(|address| self.reverse(*address));
                ports
            }
            ServiceSpec::Headless { ports } => ports,
        };
        let kind = if has_repeats(slices) { NameKind::Repeated } else { NameKind::Service };
        self.add(kind, &own);
        for port in ports.iter().chain(slices.iter().flat_map(|slice| &slice.ports)) {
            let proto = format!("_{}", String::from_utf8_lossy(port.protocol.label()));
            if let Some(name) = &port.name {
                self.add(kind, &[&[&*format!("_{name}"), &proto], &own[..]].concat());
                self.add(NameKind::Between, &[&[&*proto], &own[..]].concat());
            }
        }
        let headless = matches!(spec, ServiceSpec::Headless { .. });
        for endpoint in slices.iter().flat_map(|slice| &slice.endpoints) {
            for label in endpoint.hostname.iter().chain(&endpoint.pod) {
                self.add(kind, &[&[&*label.to_string()], &own[..]].concat());
            }
            for address in &endpoint.addresses {
                let dashed = Dashed::new(*address).to_string();
                self.add(kind, &[&[&*dashed], &own[..]].concat());
                self.add(NameKind::Pod, &[&dashed, namespace, "pod"]);
                if headless {
                    self.reverse(*address);
                }
            }
        }
    }

    fn reverse(&mut self, address: IpAddr) {
        self.insert(NameKind::Reverse, Ok(reverse::name_of(address)));
    }

    fn add(&mut self, kind: NameKind, labels: &[&str]) {
        let labels = labels.iter().map(|label| label.as_bytes()).chain(self.zone.labels());
        self.insert(kind, Name::from_labels(labels));
    }

    /// Adds a name, unless it is too long to be one and cannot be asked.
    fn insert(&mut self, kind: NameKind, name: Result<Name, NameError>) {
        let Ok(name) = name else { return };
        let known = self.names.entry(name.to_string()).or_insert((name, kind));
        known.1 = known.1.min(kind);
    }
}

/// Whether a ready endpoint stands in more than one slice.
fn has_repeats(slices: &[&SliceFact]) -> bool {
    let mut seen: HashSet<(Option<&Label>, IpAddr)> = HashSet::new();
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints).filter(|endpoint| endpoint.ready);
    let mut all =
        endpoints.flat_map(|endpoint| endpoint.addresses.iter().map(|address| (endpoint.hostname.as_ref(), *address)));
    all.any(|one| !seen.insert(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::facts::{EndpointFact, Family, NamespaceFact, ObjectKey, ServiceFact};
    use crate::zone::Protocol;

    fn service(name: &str, spec: ServiceSpec) -> Fact {
        Fact::Service(ServiceFact {
            key: ObjectKey::new("default", name),
            version: 1,
            selector: true,
            spec,
            external: None,
        })
    }

    fn port(name: &str) -> Port {
        Port { name: Label::new(name.as_bytes()).ok(), protocol: Protocol::Tcp, number: 80 }
    }

    fn slice(name: &str, hostname: &str, address: &str) -> Fact {
        Fact::Slice(SliceFact {
            key: ObjectKey::new("default", name),
            version: 1,
            service: "kubia".into(),
            family: Family::V4,
            ports: vec![port("http")],
            endpoints: vec![EndpointFact {
                addresses: [address.parse().unwrap()].into(),
                hostname: Label::new(hostname.as_bytes()).ok(),
                pod: None,
                ready: true,
                zone: None,
            }],
            aliases: Vec::new(),
            triggered: None,
        })
    }

    fn kinds(facts: &[Fact]) -> BTreeMap<String, NameKind> {
        let zone: Name = "cluster.local".parse().unwrap();
        names(facts, &zone).into_iter().map(|(text, (_, kind))| (text, kind)).collect()
    }

    #[test]
    fn every_name_of_a_headless_service_is_asked_and_some_beside_it() {
        let found = kinds(&[
            Fact::Namespace(NamespaceFact { name: "default".into() }),
            service("kubia", ServiceSpec::Headless { ports: vec![port("http")] }),
            slice("kubia-a", "kubia-0", "10.0.0.1"),
        ]);
        for (name, kind) in [
            ("cluster.local.", NameKind::Apex),
            ("default.svc.cluster.local.", NameKind::Structure),
            ("dns.cluster.local.", NameKind::Between),
            ("kubia.default.svc.cluster.local.", NameKind::Service),
            ("kubia-0.kubia.default.svc.cluster.local.", NameKind::Service),
            ("10-0-0-1.kubia.default.svc.cluster.local.", NameKind::Service),
            ("_http._tcp.kubia.default.svc.cluster.local.", NameKind::Service),
            ("_tcp.kubia.default.svc.cluster.local.", NameKind::Between),
            ("10-0-0-1.default.pod.cluster.local.", NameKind::Pod),
            ("1.0.0.10.in-addr.arpa.", NameKind::Reverse),
            ("kubernetes.default.svc.default.svc.cluster.local.", NameKind::Miss),
            ("rollcall-diff-nobody.kubia.default.svc.cluster.local.", NameKind::Miss),
        ] {
            assert_eq!(found.get(name), Some(&kind), "{name} in {found:?}");
        }
    }

    #[test]
    fn cluster_addresses_of_both_families_have_reverse_names() {
        let addresses = vec!["10.96.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let found = kinds(&[service("web", ServiceSpec::ClusterIp { addresses, ports: Vec::new() })]);
        assert!(found.contains_key("1.0.96.10.in-addr.arpa."), "{found:?}");
        let six = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.";
        assert_eq!(found.get(six), Some(&NameKind::Reverse), "{found:?}");
    }

    #[test]
    fn an_endpoint_in_two_slices_and_an_external_name_are_told_apart() {
        let found = kinds(&[
            service("kubia", ServiceSpec::Headless { ports: Vec::new() }),
            service("away", ServiceSpec::ExternalName(None)),
            slice("kubia-a", "kubia-0", "10.0.0.1"),
            slice("kubia-b", "kubia-0", "10.0.0.1"),
        ]);
        assert_eq!(found["kubia.default.svc.cluster.local."], NameKind::Repeated);
        assert_eq!(found["away.default.svc.cluster.local."], NameKind::External);
    }
}

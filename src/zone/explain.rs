//! The meaning of a name in words: for people who ask where an answer comes from. Not on the path of an answer.

use super::grammar::{Below, ClusterName, ServiceLabels};
use super::lookup::{ClusterIp, Lookup};
use super::ports::Ports;
use super::{ImportKind, Pods, Pointer, ServiceKind, ServiceName, View};
use crate::wire::{Label, Name, QName};

/// Services that an answer depends on, each with the endpoint's label where one is meant.
type NamedServices = Vec<(ServiceName, Option<Label>)>;

/// The meaning of a name in words, and the objects that it hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The zone that holds it.
    pub zone: Name,
    /// The rule by which it is answered, or why it does not exist.
    pub rule: String,
    /// The Services that the answer depends on, each with the endpoint's label where one is meant.
    pub services: NamedServices,
    /// The labels of the name, by what they may stand for.
    pub parts: NameParts,
    /// The name that it is an alias of.
    pub alias: Option<Name>,
    /// What is missing, where there is no such name.
    pub absence: Option<Absence>,
}

impl Explained {
    /// Whether there is no such name.
    pub fn is_absent(&self) -> bool {
        self.absence.is_some()
    }
}

/// The first thing that is missing of a name that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The namespace is not among `namespaces`.
    NotExposed,
    /// There is no such namespace, or `namespace_labels` leaves it out.
    Namespace,
    /// There is no such Service, or `labels` leaves it out.
    Service,
    /// Anything else.
    Other,
}

/// The labels of a name below a zone of the cluster, by what they may stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameParts {
    /// A Service, or a name below it.
    Service {
        /// The Service's label.
        service: String,
        /// The namespace's.
        namespace: String,
        /// The labels left of both.
        below: BelowParts,
    },
    /// A namespace.
    Namespace(String),
    /// The address of a pod as a label, and its namespace.
    Pod {
        /// The label.
        label: String,
        /// The namespace.
        namespace: String,
    },
    /// A name in a reverse zone.
    Reverse,
    /// The zone itself, or what belongs to it.
    Structure,
    /// No name that a cluster has: its labels left of the zone.
    Unknown(Vec<String>),
}

/// The labels left of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BelowParts {
    /// None.
    Nothing,
    /// An endpoint, or a protocol.
    Label(String),
    /// A port and a protocol, without underscores.
    Port(String, String),
    /// A topology zone.
    Zonal,
    /// More than any name has.
    Deeper(Vec<String>),
}

impl View {
    /// Says what a name is; `None` when it lies in none of the zones.
    pub fn explain(&self, name: &Name) -> Option<Explained> {
        let qname = QName::from_name(name);
        let at = self.zone_of(&qname)?;
        let zone = Name::from_wire(qname.suffix(at)).ok()?;
        let found = self.look_up(&qname, at, |found| self.rule(found, &qname, at));
        let (absence, mut rule, services) = match found {
            Some((rule, services)) => (None, rule, services),
            None => {
                let (absence, why, services) = self.absence(&qname, at);
                (Some(absence), format!("there is no such name: {why}"), services)
            }
        };
        if !self.reader.is_synced() && absence.is_some() {
            rule += "; the first complete list is not in, so the answer is SERVFAIL";
        } else if absence.is_some() && self.fallthrough.covers(qname.as_wire()) {
            rule += "; such names are for the next plugin (fallthrough)";
        }
        let alias = self.look_up(&qname, at, |found| match found {
            Lookup::Alias(target) | Lookup::AliasOfPeers(target) => Some(target.clone()),
            _ => None,
        });
        let parts = NameParts::of(ClusterName::parse(&qname, at), &qname, at);
        Some(Explained { zone, rule, services, parts, alias, absence })
    }

    /// Whether `namespaces` exposes one; its name in lower case.
    pub fn exposes_namespace(&self, namespace: &str) -> bool {
        self.exposes(namespace.as_bytes())
    }

    /// The rule by which a name is answered, and the Services behind it; `None` when it does not exist.
    fn rule(&self, found: Lookup<'_>, qname: &QName, zone: usize) -> Option<(String, NamedServices)> {
        let one = |service: &ServiceName| vec![(service.clone(), None)];
        let with = |service: &ServiceName, label: &Label| vec![(service.clone(), Some(label.clone()))];
        Some(match found {
            Lookup::NxDomain => return None,
            Lookup::Empty => ("a name above others (RFC 8020), without records".into(), service_of(qname, zone)),
            Lookup::Apex => ("the zone itself".into(), Vec::new()),
            Lookup::Version => ("the version of the DNS schema".into(), Vec::new()),
            Lookup::NameServer => ("the addresses by which this server is reached".into(), Vec::new()),
            Lookup::Pod(address) if self.pods == Pods::Verified => {
                (format!("the pod that has {address} (pods verified)"), Vec::new())
            }
            Lookup::Pod(address) => (format!("{address}, from the name alone (pods insecure)"), Vec::new()),
            Lookup::Alias(target) => (format!("an ExternalName: {target}"), service_of(qname, zone)),
            Lookup::AliasOfPeers(target) => {
                (format!("a headless Service whose slices are another name: {target}"), service_of(qname, zone))
            }
            Lookup::ClusterIp(ClusterIp { service, ports, .. }) => match ports {
                Ports::All => ("the addresses of the Service (ClusterIP)".into(), one(service)),
                Ports::Named { .. } => ("a port of the Service (ClusterIP)".into(), one(service)),
            },
            Lookup::Peers(peers) if peers.zone.is_some() => {
                ("the ready endpoints of a headless Service in one topology zone".into(), one(peers.service))
            }
            Lookup::Peers(peers) => match peers.ports {
                Ports::All => ("the ready endpoints of a headless Service".into(), one(peers.service)),
                Ports::Named { .. } => ("the ready endpoints that have a port".into(), one(peers.service)),
            },
            Lookup::EndpointSet(service, _) => ("the ready endpoints of a Service".into(), one(service)),
            Lookup::Endpoint(service, _, endpoint) => {
                (format!("the endpoint {}", endpoint.label), with(service, &endpoint.label))
            }
            Lookup::SetEndpoint(service, endpoint) => {
                (format!("the endpoint {}", endpoint.label), with(service, &endpoint.label))
            }
            Lookup::Pointer(pointer) => self.pointed(pointer),
        })
    }

    fn pointed(&self, pointer: &Pointer) -> (String, NamedServices) {
        let endpoint = |(label, service): &(Label, ServiceName)| (service.clone(), Some(label.clone()));
        match pointer {
            Pointer::Service(service) => ("the ClusterIP of a Service".into(), vec![(service.clone(), None)]),
            Pointer::Shared(shared) if self.exposes(shared.service.namespace()) => {
                ("the ClusterIP of a Service".into(), vec![(shared.service.clone(), None)])
            }
            Pointer::Shared(shared) => ("an endpoint".into(), shared.endpoints.iter().map(endpoint).collect()),
            Pointer::Endpoint(label, service) => ("an endpoint".into(), vec![(service.clone(), Some(label.clone()))]),
            Pointer::Endpoints(all) => (format!("{} endpoints", all.len()), all.iter().map(endpoint).collect()),
        }
    }

    /// The reason why a name does not exist: the first thing that is missing, from the zone to the left.
    fn absence(&self, qname: &QName, zone: usize) -> (Absence, String, NamedServices) {
        let none = |why: String| (Absence::Other, why, Vec::new());
        let text = |label: &[u8]| String::from_utf8_lossy(label).into_owned();
        let parsed = ClusterName::parse(qname, zone);
        let is_pod = matches!(parsed, ClusterName::PodNamespace(_) | ClusterName::Pod(_));
        let namespace = match parsed {
            _ if is_pod && self.pods == Pods::Disabled => return none("names of pods are disabled".into()),
            ClusterName::Reverse(_) => {
                return none("no Service and no ready endpoint that is exposed has the address".into());
            }
            ClusterName::Service(labels) | ClusterName::Pod(labels) => labels.namespace,
            ClusterName::Namespace(namespace) | ClusterName::PodNamespace(namespace) => namespace,
            _ => return none(format!("`{}` is neither svc nor pod", text(qname.label(zone.saturating_sub(1))))),
        };
        if !self.exposes(namespace) {
            let why = format!("the namespace {} is not among `namespaces`", text(namespace));
            return (Absence::NotExposed, why, Vec::new());
        }
        if !self.reader.has_namespace(namespace) {
            let why = format!("there is no namespace {}, or `namespace_labels` leaves it out", text(namespace));
            return (Absence::Namespace, why, Vec::new());
        }
        if is_pod {
            return none("no pod of the namespace has the address, or the label is none".into());
        }
        let services = service_of(qname, zone);
        let Some((service, _)) = services.first() else { return none("a Service's name is one label".into()) };
        let missing = if self.is_multicluster(qname.suffix(zone)) {
            self.reader.with_import(service.as_wire(), |import| {
                import.map(|own| own.set.endpoints().is_empty() && own.kind == ImportKind::Headless)
            })
        } else {
            self.reader.with_service(service.as_wire(), |found| {
                found.map(|own| own.endpoints.is_empty() && !matches!(own.kind, ServiceKind::ExternalName(_)))
            })
        };
        let (absence, why) = match missing {
            None => (Absence::Service, "there is no such Service, or `labels` leaves it out"),
            Some(true) => (Absence::Other, "the Service has no ready endpoint"),
            Some(false) => (Absence::Other, "the Service has no such ready endpoint or port"),
        };
        (absence, why.to_owned(), services)
    }
}

impl NameParts {
    fn of(name: ClusterName<'_>, qname: &QName, zone: usize) -> Self {
        let text = |label: &[u8]| String::from_utf8_lossy(label).into_owned();
        let left = |end: usize| (0..end).map(|at| text(qname.label(at))).collect::<Vec<_>>();
        match name {
            ClusterName::Service(labels) => Self::Service {
                service: text(labels.service()),
                namespace: text(labels.namespace),
                below: match labels.below {
                    Below::Nothing => BelowParts::Nothing,
                    Below::Label(label) => BelowParts::Label(text(label)),
                    Below::Port { name, protocol } => BelowParts::Port(text(name), text(protocol)),
                    Below::Pair(name, protocol) if is_protocol(protocol) => {
                        BelowParts::Port(text(name), text(protocol))
                    }
                    Below::Zonal { .. } => BelowParts::Zonal,
                    Below::Pair(..) | Below::Deeper => BelowParts::Deeper(left(zone.saturating_sub(3))),
                },
            },
            ClusterName::Namespace(namespace) | ClusterName::PodNamespace(namespace) => {
                Self::Namespace(text(namespace))
            }
            ClusterName::Pod(labels) => Self::Pod { label: text(labels.service()), namespace: text(labels.namespace) },
            ClusterName::Reverse(_) => Self::Reverse,
            ClusterName::Apex | ClusterName::Version | ClusterName::NameServer | ClusterName::Above => Self::Structure,
            ClusterName::Unknown => Self::Unknown(left(zone)),
        }
    }
}

fn is_protocol(label: &[u8]) -> bool {
    matches!(label, b"tcp" | b"udp" | b"sctp")
}

/// The Service that a name names, whether it is there or not.
fn service_of(qname: &QName, zone: usize) -> Vec<(ServiceName, Option<Label>)> {
    let ClusterName::Service(labels) = ClusterName::parse(qname, zone) else {
        return Vec::new();
    };
    let ServiceLabels { namespace, below, .. } = labels;
    let (Ok(service), Ok(namespace)) = (Label::new(labels.service()), Label::new(namespace)) else { return Vec::new() };
    let endpoint = if let Below::Label(label) = below { Label::new(label).ok() } else { None };
    vec![(ServiceName::new(&service, &namespace), endpoint)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::testing::{view, zone};

    fn rule(view: &View, name: &str) -> String {
        view.explain(&name.parse().unwrap()).unwrap().rule
    }

    #[test]
    fn each_name_is_told_with_its_rule_or_with_what_is_missing() {
        let lines = "namespace n\nheadless db.n\nendpoint db.n db-0 10.0.0.1 sql/TCP/5432\nheadless idle.n\n\
            cluster-ip web.n 10.1.0.1 http/TCP/80\nexternal out.n www.example.org\n";
        let (_publisher, reader) = zone(lines);
        let mut view = view(reader);
        view.zones.push("in-addr.arpa".parse().unwrap());
        for (name, says) in [
            ("db-0.db.n.svc.cluster.local", "the endpoint db-0"),
            ("db.n.svc.cluster.local", "ready endpoints of a headless Service"),
            ("_sql._tcp.db.n.svc.cluster.local", "that have a port"),
            ("web.n.svc.cluster.local", "ClusterIP"),
            ("out.n.svc.cluster.local", "an ExternalName: www.example.org."),
            ("1.0.0.10.in-addr.arpa", "an endpoint"),
            ("1.0.1.10.in-addr.arpa", "the ClusterIP of a Service"),
            ("n.svc.cluster.local", "a name above others"),
            ("idle.n.svc.cluster.local", "has no ready endpoint"),
            ("db-1.db.n.svc.cluster.local", "no such ready endpoint or port"),
            ("gone.n.svc.cluster.local", "there is no such Service"),
            ("db.other.svc.cluster.local", "there is no namespace other"),
            ("10-0-0-1.n.pod.cluster.local", "disabled"),
            ("n.example.cluster.local", "neither svc nor pod"),
        ] {
            assert!(rule(&view, name).contains(says), "{name}: {}", rule(&view, name));
        }
        let told = view.explain(&"db-1.db.n.svc.cluster.local".parse().unwrap()).unwrap();
        assert_eq!((told.services.len(), told.zone.to_string()), (1, "cluster.local.".to_owned()));
        view.namespaces = Some([Label::new(b"other").unwrap()].into());
        assert!(rule(&view, "db.n.svc.cluster.local").contains("not among `namespaces`"));
        assert_eq!(view.explain(&"example.org".parse().unwrap()), None);
    }
}

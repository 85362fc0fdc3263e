//! Hand-made objects: what is published of them, and whether anything is.

use std::net::IpAddr;
use std::time::{Duration, Instant};

mod export;
mod grace;
mod packed;

use super::*;
use crate::cluster::facts::{EndpointFact, ExternalFact, Family, NamespaceFact, PodFact, ServiceSpec};
use crate::zone::{EndpointState, ExternalHost, Pointer, Port, Protocol, Service, ServiceKind, pair};

/// An index with a hand-turned clock.
pub(super) struct Bench {
    pub(super) index: Index,
    pub(super) reader: Reader,
    now: Instant,
    unix: u32,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(IndexSettings::default())
    }

    pub(super) fn with(settings: IndexSettings) -> Self {
        let (publisher, reader) = pair();
        Self { index: Index::new(publisher, settings), reader, now: Instant::now(), unix: 1000 }
    }

    pub(super) fn apply(&mut self, fact: impl Into<Fact>) -> bool {
        self.check(|index, now, unix| index.apply(fact.into(), now, unix))
    }

    pub(super) fn delete(&mut self, kind: Kind, key: &str) -> bool {
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        self.check(|index, now, unix| index.delete(kind, &ObjectKey::new(namespace, name), now, unix))
    }

    pub(super) fn list(&mut self, kind: Kind, facts: impl IntoIterator<Item = Fact>) -> bool {
        let before = self.index.publications();
        self.index.begin_list(kind);
        for fact in facts {
            self.page(vec![fact]);
        }
        self.end_list(kind);
        self.index.publications() > before
    }

    pub(super) fn page(&mut self, facts: Vec<Fact>) -> bool {
        self.check(|index, now, unix| index.apply_page(facts, now, unix))
    }

    pub(super) fn end_list(&mut self, kind: Kind) -> bool {
        self.check(|index, now, unix| index.end_list(kind, now, unix))
    }

    pub(super) fn pass(&mut self, milliseconds: u64) -> Option<u64> {
        self.now += Duration::from_millis(milliseconds);
        let now = self.now;
        self.index.expire(self.now, self.unix).map(|at| u64::try_from((at - now).as_millis()).unwrap())
    }

    /// Makes a change; what it returns must be what was published.
    fn check(&mut self, change: impl FnOnce(&mut Index, Instant, u32) -> bool) -> bool {
        self.unix += 1;
        let before = self.index.publications();
        let changed = change(&mut self.index, self.now, self.unix);
        assert_eq!(self.index.publications() - before, u64::from(changed));
        assert_eq!(self.reader.serial().0 == self.unix, changed);
        changed
    }

    fn service(&self, name: &str) -> Option<Arc<Service>> {
        self.reader.service(&service_name(name, "default").unwrap())
    }

    /// Labels with their addresses, as `label=address,address`, sorted.
    pub(super) fn endpoints(&self, name: &str) -> Vec<String> {
        let Some(service) = self.service(name) else { return vec!["NXDOMAIN".into()] };
        let mut all: Vec<String> = service.endpoints.iter().map(|(label, state)| show(label, &state)).collect();
        all.sort();
        all
    }

    fn state(&self, name: &str, label: &str) -> EndpointState {
        self.service(name).unwrap().endpoints.get(label.as_bytes()).unwrap()
    }

    /// The pointer of an address, as `label.service` or `service`.
    fn pointer(&self, address: &str) -> Vec<String> {
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        let pair = |label: &Label, service: &ServiceName| format!("{label}.{}", text(service.service()));
        match self.reader.pointer(address.parse().unwrap()) {
            None => vec![],
            Some(Pointer::Service(service)) => vec![text(service.service())],
            Some(Pointer::Endpoint(label, service)) => vec![pair(&label, &service)],
            Some(Pointer::Endpoints(all)) => all.iter().map(|(label, service)| pair(label, service)).collect(),
            Some(Pointer::Shared(shared)) => {
                let others = shared.endpoints.iter().map(|(label, service)| pair(label, service));
                [text(shared.service.service())].into_iter().chain(others).collect()
            }
        }
    }
}

fn show(label: &Label, state: &EndpointState) -> String {
    format!("{label}={}", state.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(","))
}

impl From<SliceFact> for Fact {
    fn from(fact: SliceFact) -> Self {
        Self::Slice(fact)
    }
}

impl From<ServiceFact> for Fact {
    fn from(fact: ServiceFact) -> Self {
        Self::Service(fact)
    }
}

pub(super) fn port(number: u16) -> Port {
    Port { name: Some(Label::new(b"http").unwrap()), protocol: Protocol::Tcp, number }
}

fn service(name: &str, spec: ServiceSpec) -> ServiceFact {
    ServiceFact { key: ObjectKey::new("default", name), version: 0, selector: true, spec, external: None }
}

pub(super) fn headless(name: &str) -> ServiceFact {
    service(name, ServiceSpec::Headless { ports: vec![port(80)] })
}

pub(super) fn cluster_ip(name: &str, addresses: &[&str]) -> ServiceFact {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    service(name, ServiceSpec::ClusterIp { addresses, ports: vec![port(80)] })
}

fn external(name: &str, target: &str) -> ServiceFact {
    service(name, ServiceSpec::ExternalName(target.parse().ok()))
}

/// A slice of endpoints written as `hostname=address,address`, `address` or `!…` for one that is not ready.
pub(super) fn slice(name: &str, service: &str, endpoints: &[&str]) -> SliceFact {
    let endpoints: Vec<EndpointFact> = endpoints.iter().map(|text| endpoint(text)).collect();
    let v6 = endpoints.first().is_some_and(|endpoint| endpoint.addresses.iter().all(IpAddr::is_ipv6));
    SliceFact {
        key: ObjectKey::new("default", name),
        version: 0,
        service: service.into(),
        family: if v6 { Family::V6 } else { Family::V4 },
        ports: vec![port(80)],
        endpoints,
        aliases: vec![],
        triggered: None,
    }
}

fn endpoint(text: &str) -> EndpointFact {
    let (ready, text) = text.strip_prefix('!').map_or((true, text), |text| (false, text));
    let (hostname, addresses) = text.split_once('=').map_or((None, text), |(hostname, rest)| (Some(hostname), rest));
    EndpointFact {
        addresses: addresses.split(',').map(|text| text.parse().unwrap()).collect(),
        hostname: hostname.map(|text| Label::new(text.as_bytes()).unwrap()),
        pod: None,
        ready,
        zone: None,
    }
}

//----------- Names ----------------------------------------------------------

// Kubernetes DNS 2.4: the endpoints of a headless Service that are ready.
#[test]
fn ready_endpoints_of_a_headless_service_are_published() {
    let mut bench = Bench::new();
    assert!(bench.apply(headless("kubia")));
    assert!(bench.apply(slice("s", "kubia", &["kubia-0=10.0.0.1", "!kubia-1=10.0.0.2", "10.0.0.3"])));
    assert_eq!(bench.endpoints("kubia"), ["10-0-0-3=10.0.0.3", "kubia-0=10.0.0.1"]);
    assert_eq!(*bench.state("kubia", "kubia-0").ports, [port(80)]);
    assert!(bench.apply(slice("s", "kubia", &["kubia-0=10.0.0.1", "kubia-1=10.0.0.2"])));
    assert_eq!(bench.endpoints("kubia"), ["kubia-0=10.0.0.1", "kubia-1=10.0.0.2"]);
    assert!(bench.apply(slice("s", "kubia", &["!kubia-0=10.0.0.1", "!kubia-1=10.0.0.2"])));
    assert_eq!(bench.endpoints("kubia"), [""; 0]);
    assert!(matches!(bench.service("kubia").unwrap().kind, ServiceKind::Headless));
}

#[test]
fn what_changes_no_answer_is_not_published() {
    let mut bench = Bench::new();
    bench.apply(headless("kubia"));
    bench.apply(slice("s", "kubia", &["kubia-0=10.0.0.1", "!kubia-1=10.0.0.2"]));
    assert!(!bench.apply(headless("kubia")));
    assert!(!bench.apply(slice("s", "kubia", &["!kubia-1=10.0.0.2", "kubia-0=10.0.0.1"])));
    assert!(!bench.apply(slice("s", "kubia", &["kubia-0=10.0.0.1"])));
    assert!(!bench.apply(slice("t", "kubia", &["kubia-0=10.0.0.1"])));
    assert!(!bench.delete(Kind::EndpointSlice, "default/t"));
    assert!(!bench.delete(Kind::EndpointSlice, "default/t"));
    assert!(!bench.delete(Kind::Service, "default/none"));
    let ports = ServiceSpec::Headless { ports: vec![port(81)] };
    assert!(!bench.apply(service("kubia", ports)), "a headless Service's ports are those of its slices");
    assert!(!bench.list(Kind::Service, [headless("kubia").into()]));
    assert!(!bench.list(Kind::EndpointSlice, [slice("s", "kubia", &["kubia-0=10.0.0.1"]).into()]));
}

#[test]
fn slices_may_come_before_their_service_and_stay_after_it() {
    let mut bench = Bench::new();
    assert!(bench.apply(slice("s", "kubia", &["kubia-0=10.0.0.1"])), "its pointer is there already");
    assert_eq!(
        (bench.endpoints("kubia"), bench.pointer("10.0.0.1")),
        (vec!["NXDOMAIN".into()], vec!["kubia-0.kubia".into()])
    );
    for _ in 0..2 {
        assert!(bench.apply(headless("kubia")));
        assert_eq!(bench.endpoints("kubia"), ["kubia-0=10.0.0.1"]);
        assert!(bench.delete(Kind::Service, "default/kubia"));
        assert_eq!(
            (bench.endpoints("kubia"), bench.pointer("10.0.0.1")),
            (vec!["NXDOMAIN".into()], vec!["kubia-0.kubia".into()])
        );
    }
    assert!(bench.delete(Kind::EndpointSlice, "default/s"));
    assert_eq!(bench.pointer("10.0.0.1"), [""; 0]);
    assert!(bench.index.services.is_empty() && bench.index.slices.is_empty());
}

#[test]
fn labels_are_hostnames_then_pod_names_then_addresses() {
    let mut named = slice("s", "kubia", &["web=10.0.0.1", "10.0.0.2", "10.0.0.3,10.0.0.4"]);
    for endpoint in &mut named.endpoints {
        endpoint.pod = Label::new(b"pod-7").ok();
    }
    named.endpoints[2].pod = None;
    let mut bench = Bench::new();
    bench.apply(headless("kubia"));
    bench.apply(named.clone());
    assert_eq!(
        bench.endpoints("kubia"),
        ["10-0-0-2=10.0.0.2", "10-0-0-3=10.0.0.3", "10-0-0-4=10.0.0.4", "web=10.0.0.1"]
    );
    let mut bench = Bench::with(IndexSettings { endpoint_pod_names: true, ..IndexSettings::default() });
    bench.apply(headless("kubia"));
    bench.apply(named);
    assert_eq!(bench.endpoints("kubia"), ["10-0-0-3=10.0.0.3", "10-0-0-4=10.0.0.4", "pod-7=10.0.0.2", "web=10.0.0.1"]);
}

#[test]
fn a_label_in_several_slices_has_all_their_addresses_and_ports() {
    let mut bench = Bench::new();
    bench.apply(headless("kubia"));
    bench.apply(slice("four", "kubia", &["kubia-0=10.0.0.1", "kubia-0=10.0.0.9"]));
    let mut other = slice("six", "kubia", &["kubia-0=fd00::1"]);
    other.ports = vec![port(81)];
    bench.apply(other);
    assert_eq!(bench.endpoints("kubia"), ["kubia-0=10.0.0.1,10.0.0.9,fd00::1"]);
    assert_eq!(*bench.state("kubia", "kubia-0").ports, [port(80), port(81)]);
    bench.apply(slice("four", "kubia", &["kubia-0=10.0.0.9", "!kubia-0=10.0.0.1"]));
    assert_eq!(bench.endpoints("kubia"), ["kubia-0=10.0.0.9,fd00::1"]);
    bench.delete(Kind::EndpointSlice, "default/four");
    bench.pass(3000);
    assert_eq!(bench.endpoints("kubia"), ["kubia-0=fd00::1"]);
    assert_eq!(*bench.state("kubia", "kubia-0").ports, [port(81)]);
}

#[test]
fn ports_that_change_are_published_for_each_ready_endpoint() {
    let mut bench = Bench::new();
    bench.apply(headless("kubia"));
    bench.apply(slice("s", "kubia", &["kubia-0=10.0.0.1", "!kubia-1=10.0.0.2"]));
    let mut changed = slice("s", "kubia", &["kubia-0=10.0.0.1", "!kubia-1=10.0.0.2"]);
    changed.ports = vec![];
    assert!(bench.apply(changed));
    assert_eq!(*bench.state("kubia", "kubia-0").ports, []);
}

#[test]
fn zones_are_kept_only_when_they_are_asked_for() {
    for zonal in [false, true] {
        let mut bench = Bench::with(IndexSettings { zonal, ..IndexSettings::default() });
        bench.apply(headless("kubia"));
        let mut zoned = slice("s", "kubia", &["kubia-0=10.0.0.1"]);
        zoned.endpoints[0].zone = Some("a".into());
        bench.apply(zoned.clone());
        assert_eq!(bench.state("kubia", "kubia-0").zone.as_deref(), zonal.then_some("a"));
        zoned.endpoints[0].zone = Some("b".into());
        assert_eq!(bench.apply(zoned), zonal);
        assert_eq!(bench.state("kubia", "kubia-0").zone.as_deref(), zonal.then_some("b"));
    }
}

#[test]
fn a_service_changes_its_type_with_its_slices_in_place() {
    let mut bench = Bench::new();
    bench.apply(slice("s", "kubia", &["kubia-0=10.0.0.1"]));
    for _ in 0..2 {
        assert!(bench.apply(cluster_ip("kubia", &["10.96.0.1"])));
        assert!(
            matches!(&bench.service("kubia").unwrap().kind, ServiceKind::ClusterIp { addresses, ports } if addresses.len() == 1 && ports.len() == 1)
        );
        assert_eq!(
            (bench.endpoints("kubia"), bench.pointer("10.96.0.1")),
            (vec!["kubia-0=10.0.0.1".into()], vec!["kubia".into()])
        );
        assert!(bench.apply(headless("kubia")));
        assert_eq!((bench.endpoints("kubia"), bench.pointer("10.96.0.1").len()), (vec!["kubia-0=10.0.0.1".into()], 0));
        assert!(bench.apply(external("kubia", "example.org")));
        assert!(matches!(bench.service("kubia").unwrap().kind, ServiceKind::ExternalName(_)));
        assert_eq!(bench.endpoints("kubia"), [""; 0]);
    }
    assert!(bench.apply(external("kubia", "")));
    assert_eq!(bench.endpoints("kubia"), ["NXDOMAIN"]);
}

#[test]
fn outside_addresses_are_published_and_go_with_the_service() {
    let mut bench = Bench::new();
    let name = service_name("web", "default").unwrap();
    let hosts = vec![ExternalHost::Address("192.0.2.1".parse().unwrap())];
    let reached = ServiceFact {
        external: Some(Box::new(ExternalFact { hosts: hosts.clone(), ports: vec![port(80)] })),
        ..cluster_ip("web", &["10.96.0.1"])
    };
    assert!(bench.apply(cluster_ip("web", &["10.96.0.1"])));
    assert!(bench.apply(reached.clone()));
    assert_eq!(
        bench.reader.external(name.as_wire()).unwrap().addresses(false),
        ["192.0.2.1".parse::<IpAddr>().unwrap()]
    );
    assert_eq!(*bench.reader.reached("192.0.2.1".parse().unwrap()), *std::slice::from_ref(&name));
    assert!(!bench.apply(reached.clone()), "nothing has changed");
    assert!(bench.apply(cluster_ip("web", &["10.96.0.1"])));
    assert!(bench.reader.external(name.as_wire()).is_none());
    assert!(bench.apply(reached) && bench.delete(Kind::Service, "default/web"));
    assert!(bench.reader.external(name.as_wire()).is_none());
    assert!(bench.reader.reached("192.0.2.1".parse().unwrap()).is_empty());
}

#[test]
fn a_service_without_an_address_yet_exists() {
    let mut bench = Bench::new();
    assert!(bench.apply(cluster_ip("kubia", &[])));
    assert!(
        matches!(&bench.service("kubia").unwrap().kind, ServiceKind::ClusterIp { addresses, .. } if addresses.is_empty())
    );
    assert!(bench.apply(cluster_ip("kubia", &["10.96.0.1", "fd00::1"])));
    assert_eq!((bench.pointer("10.96.0.1"), bench.pointer("fd00::1")), (vec!["kubia".into()], vec!["kubia".into()]));
}

#[test]
fn a_slice_that_is_handed_to_another_service_leaves_the_first() {
    let mut bench = Bench::new();
    bench.apply(headless("a"));
    bench.apply(headless("b"));
    bench.apply(slice("s", "a", &["x=10.0.0.1"]));
    assert!(bench.apply(slice("s", "b", &["x=10.0.0.1"])));
    assert_eq!((bench.endpoints("a"), bench.endpoints("b")), (vec![], vec!["x=10.0.0.1".into()]));
    assert_eq!(bench.pointer("10.0.0.1"), ["x.b"]);
    bench.delete(Kind::EndpointSlice, "default/s");
    bench.pass(1000);
    assert_eq!((bench.endpoints("b"), bench.pointer("10.0.0.1")), (vec![], vec![]));
}

#[test]
fn an_fqdn_slice_makes_a_headless_service_an_alias_until_it_has_endpoints() {
    let mut bench = Bench::new();
    let mut alias = slice("f", "db", &[]);
    alias.family = Family::Fqdn;
    alias.aliases = vec![(Label::new(b"h").unwrap(), "db.example.org".parse().unwrap())];
    bench.apply(headless("db"));
    assert!(bench.apply(alias));
    assert!(
        matches!(&bench.service("db").unwrap().kind, ServiceKind::Alias(own) if own.target.to_string() == "db.example.org.")
    );
    assert!(bench.apply(slice("s", "db", &["x=10.0.0.1"])));
    assert!(matches!(bench.service("db").unwrap().kind, ServiceKind::Headless));
    assert_eq!(bench.endpoints("db"), ["x=10.0.0.1"]);
    assert!(
        bench.delete(Kind::EndpointSlice, "default/f")
            || !matches!(bench.service("db").unwrap().kind, ServiceKind::Alias(_))
    );
}

#[test]
fn an_older_version_is_passed_over_in_a_watch_and_taken_in_a_list() {
    let mut bench = Bench::new();
    let at = |version, address: &str| SliceFact { version, ..slice("s", "kubia", &[address]) };
    bench.apply(headless("kubia"));
    bench.apply(at(7, "10.0.0.7"));
    assert!(!bench.apply(at(6, "10.0.0.6")));
    assert_eq!(bench.endpoints("kubia"), ["10-0-0-7=10.0.0.7"]);
    assert!(bench.list(Kind::EndpointSlice, [at(5, "10.0.0.5").into()]));
    assert_eq!(bench.endpoints("kubia"), ["10-0-0-5=10.0.0.5"]);
    let at = |version, address: &str| ServiceFact { version, ..cluster_ip("web", &[address]) };
    bench.apply(at(7, "10.96.0.7"));
    assert!(!bench.apply(at(6, "10.96.0.6")));
    assert!(bench.apply(at(8, "10.96.0.8")));
}

//----------- Reverse pointers -----------------------------------------------

#[test]
fn a_cluster_address_points_to_its_service_before_any_endpoint() {
    let mut bench = Bench::new();
    bench.apply(slice("s", "a", &["x=10.0.0.1"]));
    assert!(bench.apply(cluster_ip("web", &["10.0.0.1"])));
    // The endpoints are kept for those to whom the Service's namespace is not exposed.
    assert_eq!(bench.pointer("10.0.0.1"), ["web", "x.a"]);
    assert!(bench.apply(slice("t", "b", &["y=10.0.0.1"])));
    assert!(bench.apply(slice("s", "a", &[])));
    assert!(bench.apply(cluster_ip("ant", &["10.0.0.1"])));
    assert_eq!(bench.pointer("10.0.0.1"), ["ant", "y.b"]);
    bench.delete(Kind::Service, "default/ant");
    assert_eq!(bench.pointer("10.0.0.1"), ["web", "y.b"]);
    assert!(bench.delete(Kind::Service, "default/web"));
    assert_eq!(bench.pointer("10.0.0.1"), ["y.b"]);
    assert!(bench.delete(Kind::EndpointSlice, "default/t"));
    assert_eq!(bench.pointer("10.0.0.1"), [""; 0]);
    assert!(bench.index.pointers_are_plain());
}

#[test]
fn each_label_and_service_is_pointed_to_once_hostnames_first() {
    let mut bench = Bench::new();
    bench.apply(slice("s", "a", &["zed=10.0.0.1", "10.0.0.1"]));
    bench.apply(slice("t", "a", &["zed=10.0.0.1"]));
    bench.apply(slice("u", "b", &["abe=10.0.0.1", "10.0.0.1"]));
    assert_eq!(bench.pointer("10.0.0.1"), ["abe.b", "zed.a", "10-0-0-1.a", "10-0-0-1.b"]);
    assert!(!bench.apply(slice("t", "a", &["!zed=10.0.0.1"])));
    bench.apply(slice("u", "b", &["!abe=10.0.0.1"]));
    assert_eq!(bench.pointer("10.0.0.1"), ["zed.a", "10-0-0-1.a"]);
    bench.apply(slice("s", "a", &["10.0.0.1"]));
    assert_eq!(bench.pointer("10.0.0.1"), ["10-0-0-1.a"]);
    assert!(bench.apply(slice("s", "a", &["!10.0.0.1"])));
    assert_eq!(bench.pointer("10.0.0.1"), [""; 0]);
}

//----------- Namespaces and pods --------------------------------------------

#[test]
fn namespaces_come_and_go() {
    let mut bench = Bench::new();
    let namespace = |name: &str| Fact::Namespace(NamespaceFact { name: name.into() });
    assert!(bench.apply(namespace("a")));
    assert!(!bench.apply(namespace("a")));
    assert!(bench.list(Kind::Namespace, [namespace("b")]));
    assert!(!bench.reader.has_namespace(b"a") && bench.reader.has_namespace(b"b"));
    bench.index.begin_list(Kind::Namespace);
    bench.index.keep(Kind::Namespace, &ObjectKey::new("", "b"));
    assert!(!bench.index.end_list(Kind::Namespace, bench.now, bench.unix));
    assert!(bench.delete(Kind::Namespace, "b"));
    assert!(!bench.reader.has_namespace(b"b"));
}

#[test]
fn a_pod_is_known_by_its_address_until_the_last_that_has_it_goes() {
    let mut bench = Bench::new();
    let pod = |name: &str, address: &str, terminating| {
        let addresses = address.split(',').filter_map(|text| text.parse().ok()).collect();
        Fact::Pod(PodFact { key: ObjectKey::new("default", name), addresses, terminating })
    };
    let known = |bench: &Bench, address: &str| bench.reader.has_pod(b"default", address.parse().unwrap());
    assert!(!bench.apply(pod("late", "10.0.0.9", true)), "it was never seen alive");
    assert!(!bench.apply(pod("a", "", false)));
    assert!(bench.apply(pod("a", "10.0.0.1", false)));
    assert!(!bench.apply(pod("b", "10.0.0.1", false)));
    assert!(!bench.apply(pod("a", "10.0.0.1", true)));
    assert!(!bench.delete(Kind::Pod, "default/a"));
    assert!(known(&bench, "10.0.0.1"));
    assert!(bench.apply(pod("b", "10.0.0.2", false)));
    assert!(!known(&bench, "10.0.0.1") && known(&bench, "10.0.0.2"));
    assert!(bench.list(Kind::Pod, [pod("c", "10.0.0.3", false)]));
    assert!(!known(&bench, "10.0.0.2") && known(&bench, "10.0.0.3"));
    // Dual stack: by each of its addresses.
    assert!(bench.apply(pod("c", "10.0.0.3,fd00::3", false)));
    assert!(known(&bench, "10.0.0.3") && known(&bench, "fd00::3"));
    assert!(bench.apply(pod("c", "fd00::3", false)));
    assert!(!known(&bench, "10.0.0.3") && known(&bench, "fd00::3"));
    assert!(bench.delete(Kind::Pod, "default/c"));
    assert!(!known(&bench, "fd00::3"));
    assert_eq!(bench.index.count(Kind::Pod), 0);
}

#[test]
fn whose_an_address_is_is_kept_for_those_who_ask() {
    let pod = |name: &str, address: &str| {
        let addresses = address.split(',').filter_map(|text| text.parse().ok()).collect();
        Fact::Pod(PodFact { key: ObjectKey::new("team", name), addresses, terminating: false })
    };
    let told = |bench: &Bench, address: &str| {
        let pod = bench.reader.client(address.parse().unwrap())?;
        Some(format!("{}/{}", pod.namespace, pod.name))
    };
    let mut bench = Bench::with(IndexSettings { client_names: true, ..IndexSettings::default() });
    assert!(bench.apply(pod("a", "10.0.0.1,fd00::1")));
    assert_eq!(told(&bench, "fd00::1").as_deref(), Some("team/a"));
    // On the network of a node: the first stays until it goes.
    assert!(!bench.apply(pod("b", "10.0.0.1")));
    assert_eq!(told(&bench, "10.0.0.1").as_deref(), Some("team/a"));
    assert!(bench.delete(Kind::Pod, "team/a"));
    assert_eq!((told(&bench, "10.0.0.1").as_deref(), told(&bench, "fd00::1")), (Some("team/b"), None));
    assert!(bench.apply(pod("b", "10.0.0.2")));
    assert_eq!((told(&bench, "10.0.0.1"), told(&bench, "10.0.0.2").as_deref()), (None, Some("team/b")));
    assert!(bench.list(Kind::Pod, []));
    assert_eq!(told(&bench, "10.0.0.2"), None);

    let mut silent = Bench::new();
    assert!(silent.apply(pod("a", "10.0.0.1")));
    assert_eq!(told(&silent, "10.0.0.1"), None, "nobody asks");
}

//----------- Lists ----------------------------------------------------------

#[test]
fn a_list_is_applied_as_a_difference_and_blanks_nothing() {
    let mut bench = Bench::new();
    bench.apply(headless("a"));
    bench.apply(headless("b"));
    bench.apply(slice("s", "a", &["x=10.0.0.1"]));
    bench.index.begin_list(Kind::Service);
    bench.index.begin_list(Kind::EndpointSlice);
    assert_eq!(bench.endpoints("a"), ["x=10.0.0.1"]);
    bench.apply(headless("b"));
    bench.apply(headless("c"));
    assert!(bench.end_list(Kind::Service));
    assert_eq!(
        (bench.endpoints("a"), bench.endpoints("b"), bench.endpoints("c")),
        (vec!["NXDOMAIN".into()], vec![], vec![])
    );
    assert!(bench.end_list(Kind::EndpointSlice));
    assert_eq!(bench.pointer("10.0.0.1"), [""; 0]);
    assert_eq!((bench.index.count(Kind::Service), bench.index.count(Kind::EndpointSlice)), (2, 0));
}

#[test]
fn a_bad_object_in_a_list_keeps_what_was_known_of_it() {
    let mut bench = Bench::new();
    bench.apply(headless("a"));
    bench.apply(slice("s", "a", &["x=10.0.0.1"]));
    for (kind, name) in [(Kind::Service, "a"), (Kind::EndpointSlice, "s")] {
        bench.index.begin_list(kind);
        bench.index.keep(kind, &ObjectKey::new("default", name));
        assert!(!bench.end_list(kind));
    }
    assert_eq!(bench.endpoints("a"), ["x=10.0.0.1"]);
}

#[test]
fn what_one_call_changes_is_one_publication() {
    let mut bench = Bench::new();
    let facts =
        vec![headless("a").into(), slice("s", "a", &["x=10.0.0.1"]).into(), slice("t", "a", &["y=10.0.0.2"]).into()];
    let (now, unix) = (bench.now, bench.unix);
    assert!(bench.index.apply_page(facts, now, unix));
    assert_eq!((bench.index.publications(), bench.reader.serial().0), (1, unix));
    assert_eq!(bench.endpoints("a"), ["x=10.0.0.1", "y=10.0.0.2"]);
}

//----------- Explanations ---------------------------------------------------

#[test]
fn an_answer_is_explained_by_versions_and_arrivals() {
    let mut bench = grace::two_slices();
    let name = service_name("k", "default").unwrap();
    bench.apply(SliceFact { version: 42, ..slice("s", "k", &["k-0=10.0.0.1", "!k-1=10.0.0.2"]) });
    let arrived = bench.unix;
    bench.apply(SliceFact { version: 42, ..slice("s", "k", &["k-0=10.0.0.1", "!k-1=10.0.0.2"]) });
    bench.apply(ServiceFact { version: 43, ..headless("k") });
    let explanation = bench.index.explain(&name, Some(&Label::new(b"k-0").unwrap()));
    assert_eq!((explanation.service, explanation.held), (Some((43, bench.unix)), 0));
    let first = ExplainedSlice { name: "s".into(), version: 42, arrived, ready: 1, not_ready: 1, lists: Some(true) };
    assert!(explanation.slices.len() == 2 && explanation.slices.contains(&first));
    assert_eq!(bench.index.explain(&service_name("none", "default").unwrap(), None), Explanation::default());
}

// A port without a number makes every label irregular.
#[test]
fn a_slice_of_many_ports_and_endpoints_is_taken_at_the_cost_of_both() {
    let mut bench = Bench::new();
    bench.apply(headless("k"));
    let endpoints: Vec<String> = (0..1000).map(|at| format!("k-{at}=10.0.{}.{}", at / 250, at % 250)).collect();
    let mut fact = slice("s", "k", &endpoints.iter().map(String::as_str).collect::<Vec<_>>());
    fact.ports = (0..800)
        .map(|number| Port { name: Label::new(format!("p{number}").as_bytes()).ok(), ..port(number) })
        .collect();
    let start = Instant::now();
    bench.apply(fact);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    let services = bench.reader.services();
    let set = services[0].endpoints.set().expect("a port without a number");
    assert_eq!(set.endpoints().len(), 1000);
    assert_eq!(set.endpoints()[0].ports.len(), 800);
}

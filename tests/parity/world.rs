//! A cluster of seeded-random objects: what the API is told, and what questions are made from.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// SplitMix64: equal seeds make equal clusters and equal questions.
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(mixed ^ (mixed >> 31)) * bound as u128) >> 64) as usize
    }

    pub(crate) fn one<'t, T: ?Sized>(&mut self, of: &[&'t T]) -> &'t T {
        of[self.below(of.len())]
    }

    pub(crate) fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }

    /// True so many times in a hundred.
    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// One Service with what stands below it.
pub(crate) struct Service {
    pub(crate) namespace: &'static str,
    pub(crate) name: String,
    /// Where an ExternalName leads.
    pub(crate) target: Option<String>,
    /// Ports by name (empty for none) and protocol, those of slices among them.
    pub(crate) ports: Vec<(String, &'static str)>,
    /// Labels and addresses of its endpoints, ready or not.
    pub(crate) endpoints: Vec<(String, String)>,
    /// An endpoint stands in several slices.
    pub(crate) repeats: bool,
}

pub(crate) struct World {
    pub(crate) services: Vec<Service>,
    objects: Vec<Value>,
}

pub(crate) const NAMESPACES: [&str; 5] = ["a", "b", "default", "svc", "pod"];

/// The ClusterIPs that Services of this number and family get.
fn virtual_address(number: usize) -> String {
    format!("10.103.{}.{}", number / 100, number % 100 + 1)
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = Self { services: Vec::new(), objects: Vec::new() };
        let mut random = Random(seed);
        for name in NAMESPACES {
            world.objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        }
        for number in 0..30 {
            world.cluster_ip(number, &mut random);
        }
        for number in 0..20 {
            world.headless(&format!("db{number}"), number, &mut random);
        }
        world.wide();
        world.external(&mut random);
        world
    }

    /// Everything as one list for `kubectl apply`.
    pub(crate) fn manifest(&self) -> String {
        json!({"apiVersion": "v1", "kind": "List", "items": self.objects}).to_string()
    }

    pub(crate) fn service(&self, name: &str, namespace: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name && service.namespace == namespace)
    }

    fn add(&mut self, namespace: &'static str, name: &str, spec: Value, ports: &[(String, &'static str, u16)]) {
        let mut spec = spec;
        if !ports.is_empty() {
            spec["ports"] = ports.iter().map(port).collect();
        }
        self.objects.push(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec
        }));
        self.services.push(Service {
            namespace,
            name: name.to_owned(),
            target: spec["externalName"].as_str().map(str::to_owned),
            ports: ports.iter().map(|(name, protocol, _)| (name.clone(), *protocol)).collect(),
            endpoints: Vec::new(),
            repeats: false,
        });
    }

    /// A slice of the Service that was added last.
    fn slice(&mut self, ports: &[(String, &'static str, u16)], endpoints: Vec<Endpoint>) {
        let number = self.objects.len();
        let service = self.services.last_mut().unwrap();
        let family = if endpoints.iter().any(|endpoint| endpoint.address.contains(':')) { "IPv6" } else { "IPv4" };
        for (name, protocol, _) in ports {
            service.ports.push((name.clone(), *protocol));
        }
        let items: Vec<Value> = endpoints
            .into_iter()
            .map(|endpoint| {
                let label = endpoint.label();
                service.repeats |= service.endpoints.contains(&(label.clone(), endpoint.address.clone()));
                service.endpoints.push((label, endpoint.address.clone()));
                let mut item = json!({"addresses": [endpoint.address], "conditions": {}});
                if let Some(ready) = endpoint.ready {
                    item["conditions"]["ready"] = ready.into();
                }
                if let Some(hostname) = endpoint.hostname {
                    item["hostname"] = hostname.into();
                }
                if let Some(pod) = endpoint.pod {
                    item["targetRef"] = json!({"kind": "Pod", "name": pod, "namespace": service.namespace});
                }
                item
            })
            .collect();
        self.objects.push(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": {
                "name": format!("slice-{number}"), "namespace": service.namespace,
                "labels": {"kubernetes.io/service-name": service.name},
            },
            "ports": ports.iter().map(port).collect::<Vec<_>>(), "endpoints": items,
        }));
    }

    fn cluster_ip(&mut self, number: usize, random: &mut Random) {
        let name = ["http", "svc", "any", "dns-version", "10-1-2-3"]
            .get(number)
            .map_or_else(|| format!("web{number}"), |n| (*n).into());
        let ports = ports(random, true);
        let spec = json!({"clusterIP": virtual_address(number)});
        self.add(random.one(&NAMESPACES), &name, spec, &ports);
        if random.percent(60) {
            let endpoints = (0..random.below(4)).map(|at| Endpoint::new(number, at, random)).collect();
            self.slice(&ports, endpoints);
        }
    }

    fn headless(&mut self, name: &str, number: usize, random: &mut Random) {
        let own = ports(random, false);
        self.add(random.one(&NAMESPACES), name, json!({"clusterIP": "None"}), &own);
        let mut last: Vec<Endpoint> = Vec::new();
        for slice in 0..random.below(4) {
            let ports = if random.percent(70) { own.clone() } else { ports(random, false) };
            let six = random.percent(25);
            let mut endpoints: Vec<Endpoint> =
                (0..random.below(6)).map(|at| Endpoint::new(100 + number * 4 + slice, at, random)).collect();
            for endpoint in endpoints.iter_mut().filter(|_| six) {
                endpoint.address = format!("fd00:1{number}::{}", endpoint.address.replace('.', ":"));
            }
            if !six && random.percent(20) {
                endpoints.extend(last.first().filter(|endpoint| !endpoint.address.contains(':')).cloned());
            }
            last.clone_from(&endpoints);
            self.slice(&ports, endpoints);
        }
    }

    /// Too many peers for a datagram.
    fn wide(&mut self) {
        let ports = [("http".to_owned(), "TCP", 80), ("peer".to_owned(), "TCP", 7000)];
        self.add("a", "wide", json!({"clusterIP": "None"}), &ports);
        let endpoint = |at: usize| Endpoint {
            address: format!("10.9.0.{}", at + 1),
            hostname: Some(format!("wide-of-a-rather-long-name-{at}")),
            pod: None,
            ready: Some(true),
        };
        self.slice(&ports, (0..90).map(endpoint).collect());
    }

    fn external(&mut self, random: &mut Random) {
        let inside: Vec<String> =
            self.services.iter().map(|own| format!("{}.{}.svc.cluster.local", own.name, own.namespace)).collect();
        let targets =
            ["www.ok.test", "www.nx.test", "www.fail.test", "192.0.2.1", "gone.a.svc.cluster.local"].map(str::to_owned);
        let targets = targets.into_iter().chain((0..8).map(|_| random.pick(&inside).clone()));
        let chain = ["out5.a.svc.cluster.local", "out13.a.svc.cluster.local"].map(str::to_owned);
        for (number, target) in targets.chain(chain).enumerate() {
            self.add("a", &format!("out{number}"), json!({"type": "ExternalName", "externalName": target}), &[]);
        }
    }

    /// Addresses by which reverse names are asked.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let own = self.services.iter().flat_map(|service| service.endpoints.iter().map(|(_, address)| address.clone()));
        own.chain((0..30).map(virtual_address)).collect()
    }

    /// Protocols below which a named port stands.
    pub(crate) fn has_protocol(&self, name: &str, namespace: &str, protocol: &str) -> bool {
        let ports = self.service(name, namespace).map(|service| service.ports.as_slice()).unwrap_or_default();
        ports.iter().any(|(name, own)| !name.is_empty() && own.eq_ignore_ascii_case(protocol))
    }
}

#[derive(Clone)]
struct Endpoint {
    address: String,
    hostname: Option<String>,
    pod: Option<String>,
    ready: Option<bool>,
}

impl Endpoint {
    fn new(group: usize, at: usize, random: &mut Random) -> Self {
        let names = random.below(3);
        // Now and then the address of another Service's endpoint, or of a Service.
        let address = match random.below(12) {
            0 => format!("10.8.100.{}", at + 1),
            1 => virtual_address(group % 30),
            _ => format!("10.8.{group}.{}", at + 1),
        };
        Self {
            address,
            hostname: (names == 0).then(|| format!("host-{}", if random.percent(10) { 0 } else { at })),
            pod: (names < 2).then(|| format!("pod-{group}-{at}")),
            ready: *random.pick(&[None, Some(true), Some(true), Some(true), Some(false)]),
        }
    }

    fn label(&self) -> String {
        self.hostname.clone().unwrap_or_else(|| self.address.replace(['.', ':'], "-"))
    }
}

fn ports(random: &mut Random, some: bool) -> Vec<(String, &'static str, u16)> {
    let names = ["http", "grpc", "dns", "tcp", "peer"];
    let count = random.below(4).max(usize::from(some));
    let first = random.below(names.len());
    let mut ports: Vec<_> = (0..count)
        .map(|at| {
            let name = names[(first + at) % names.len()].to_owned();
            (name, random.one(&["TCP", "TCP", "UDP", "SCTP"]), (random.below(60_000) + 1) as u16)
        })
        .collect();
    if count == 1 && random.percent(50) {
        ports[0].0.clear();
    }
    ports
}

fn port((name, protocol, number): &(String, &'static str, u16)) -> Value {
    let mut port = json!({"protocol": protocol, "port": number});
    if !name.is_empty() {
        port["name"] = name.clone().into();
    }
    port
}

/// How often each row was the reason of a difference.
pub(crate) type Counts = BTreeMap<&'static str, usize>;

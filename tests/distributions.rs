//! The Corefiles that distributions ship: each starts with the built binary and answers, over a cluster in this process.
//!
//! What differs from the fixture is only what a test must not touch: ports, the way to the API server, the upstream, and the
//! folder in which `/etc/coredns` lies.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use rollcall::wire::message::{Message, RData, RecordType, ResponseCode, decode};
use rollcall_testing::api_server::ApiServer;
use rollcall_testing::resolver::{Act, Asked, Resolver, answer, empty};
use rollcall_testing::{Client, Server, ask, command, free_port, get, objects, queries};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/corefiles/distributions");

//----------- Surroundings ---------------------------------------------------

/// A cluster with two peers of a headless Service and a ClusterIP, and a resolver for everything outside.
struct World {
    api: ApiServer,
    outside: Resolver,
}

impl World {
    async fn new() -> Self {
        let api = ApiServer::start().await;
        for namespace in ["default", "kube-system"] {
            api.apply("namespaces", objects::namespace(namespace));
        }
        api.apply("services", objects::headless("kubia"));
        api.apply("services", objects::cluster_ip("web", "10.96.0.80", objects::ports("http", "TCP", 80)));
        let endpoints = vec![objects::endpoint("kubia-0", "10.244.1.11"), objects::endpoint("kubia-1", "10.244.1.12")];
        api.apply("endpointslices", objects::slice("kubia", "a", objects::ports("http", "TCP", 8080), endpoints));
        let outside = Resolver::start(|asked: &Asked| {
            let wants_a = asked.octets.windows(4).any(|octets| octets == [0, 1, 0, 1]);
            vec![Act::Send(if wants_a { answer(&asked.octets, 0, 7) } else { empty(&asked.octets, 0) })]
        });
        Self { api, outside: outside.await }
    }
}

/// A distribution's server at work; killed when the test ends.
struct Distribution {
    server: Server,
    port: u16,
    health: u16,
    ready: u16,
    metrics: u16,
    text: String,
    _folder: tempfile::TempDir,
}

impl Distribution {
    fn start(name: &str, api: &str, upstream: SocketAddr) -> Self {
        let fixture = fs::read_to_string(format!("{FIXTURES}/{name}.Corefile")).unwrap();
        let [port, health, ready, metrics] = std::array::from_fn(|_| free_port());
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("custom")).unwrap();
        fs::write(folder.path().join("NodeHosts"), "10.30.0.1 node-1\n").unwrap();
        let text = adapt(&fixture, api, &upstream.to_string(), folder.path(), [port, health, ready, metrics]);
        fs::write(folder.path().join("Corefile"), &text).unwrap();
        let server = Server::start(&["-conf", "Corefile"], folder.path());
        Self { server, port, health, ready, metrics, text, _folder: folder }
    }

    /// Waits until it is ready, or answers where the Corefile has no `ready`.
    fn wait(&mut self) {
        let has_ready = self.text.lines().any(|line| line.trim().starts_with("ready"));
        let (port, ready) = (self.port, self.ready);
        self.server.up(|| match has_ready {
            true => get(ready, "/ready").is_some_and(|(status, _)| status == 200),
            false => ask(port, "up.example.org.", RecordType::A).is_some(),
        });
    }

    fn ask(&self, name: &str, qtype: RecordType) -> Message {
        ask(self.port, name, qtype).unwrap_or_else(|| panic!("no answer to {name} {qtype}\n{}", self.text))
    }

    /// The values of the answer with the TTL of each, sorted.
    fn answers(&self, name: &str, qtype: RecordType) -> Vec<(u32, String)> {
        let reply = self.ask(name, qtype);
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError, "{name} {qtype}\n{}", self.text);
        let mut all: Vec<_> = reply.answers.iter().map(|record| (record.ttl, record.data.to_string())).collect();
        all.sort();
        all
    }
}

/// The fixture with this test's ports, API server, upstream and folder.
fn adapt(fixture: &str, api: &str, upstream: &str, folder: &Path, [port, health, ready, metrics]: [u16; 4]) -> String {
    let mut text = String::new();
    for line in fixture.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let brace = if words.last() == Some(&"{") { " {" } else { "" };
        match words.as_slice() {
            // The first line of a server block.
            [key, "{"] if key.contains(':') => {
                text += &format!("{}:{port} {{\n    bind 127.0.0.1\n", key.rsplit_once(':').unwrap().0);
            }
            ["bind", ..] => {}
            ["health", ..] => text += &format!("    health 127.0.0.1:{health}{brace}\n"),
            ["ready", ..] => text += &format!("    ready 127.0.0.1:{ready}\n"),
            ["prometheus", ..] => text += &format!("    prometheus 127.0.0.1:{metrics}\n"),
            ["kubernetes", ..] => text += &format!("{line}\n        endpoint {api}\n"),
            ["forward", zone, ..] => text += &format!("    forward {zone} {upstream}{brace}\n"),
            _ => text += &format!("{line}\n"),
        }
    }
    text.replace("/etc/coredns", &folder.display().to_string())
}

//----------- What each must do ----------------------------------------------

/// What differs between the distributions as a client sees them.
#[derive(Clone, Copy)]
struct Shipped {
    ttl: u32,
    pods: bool,
    reverse: bool,
}

const COMMON: Shipped = Shipped { ttl: 30, pods: true, reverse: true };

const KUBIA: &str = "kubia.default.svc.cluster.local.";

async fn holds(name: &str, shipped: Shipped) -> (World, Distribution) {
    let world = World::new().await;
    let mut server = Distribution::start(name, &world.api.url(), world.outside.address);
    server.wait();
    let ttl = shipped.ttl;
    answers_the_cluster(&server, ttl);
    let reply = server.ask(&format!("_http._tcp.{KUBIA}"), RecordType::SRV);
    assert_eq!(reply.additionals.iter().filter(|record| matches!(record.data, RData::A(_))).count(), 2, "{name}");
    let denied = server.ask("nothere.default.svc.cluster.local.", RecordType::A);
    assert_eq!(denied.metadata.response_code, ResponseCode::NXDomain, "{name}");
    assert!(denied.metadata.authoritative && denied.authorities.len() == 1, "{name}");

    let pod = server.ask("10-1-2-3.default.pod.cluster.local.", RecordType::A);
    assert_eq!(pod.answers.len(), usize::from(shipped.pods), "{name}");
    if shipped.reverse {
        let pointer = (ttl, format!("kubia-1.{KUBIA}"));
        assert_eq!(server.answers("12.1.244.10.in-addr.arpa.", RecordType::PTR), [pointer], "{name}");
    }
    assert!(world.outside.asked.lock().unwrap().iter().all(|asked| !queries::name(&asked.octets).contains("cluster")));
    answers_the_outside(&server);
    let before = world.outside.count();
    answers_the_outside(&server);
    assert_eq!(world.outside.count(), before, "{name}: the second answer comes from the cache");

    assert_eq!(get(server.health, "/health"), Some((200, "OK".into())), "{name}");
    assert_eq!(get(server.ready, "/ready"), Some((200, "OK".into())), "{name}");
    let (_, metrics) = get(server.metrics, "/metrics").unwrap();
    for part in ["coredns_build_info{", "coredns_dns_requests_total{", "name=\"kubernetes\""] {
        assert!(metrics.contains(part), "{name}: {part}");
    }
    (world, server)
}

fn answers_the_cluster(server: &Distribution, ttl: u32) {
    let peers = [0, 1].map(|n| (ttl, format!("0 50 8080 kubia-{n}.{KUBIA}")));
    assert_eq!(server.answers(KUBIA, RecordType::SRV), peers);
    assert_eq!(server.answers(&format!("kubia-0.{KUBIA}"), RecordType::A), [(ttl, "10.244.1.11".to_owned())]);
    assert_eq!(server.answers("web.default.svc.cluster.local.", RecordType::A), [(ttl, "10.96.0.80".to_owned())]);
}

fn answers_the_outside(server: &Distribution) {
    let answers = server.answers("www.example.org.", RecordType::A);
    assert!(matches!(answers.as_slice(), [(1..=300, address)] if address == "192.0.2.7"), "{answers:?}");
}

macro_rules! distributions {
    ($($test:ident: $name:literal, $shipped:expr;)*) => {
        /// Those that are started, so that no fixture is forgotten.
        const STARTED: &[&str] = &[$($name),*];

        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            drop(holds($name, $shipped).await);
        })*
    };
}

distributions! {
    kubeadm_starts_and_answers: "kubeadm", COMMON;
    kubeadm_of_before_starts_and_answers: "kubeadm-old", COMMON;
    kind_starts_and_answers: "kind", COMMON;
    kube_up_starts_and_answers: "kube-up", COMMON;
    coredns_deployment_starts_and_answers: "coredns-deployment", Shipped { ttl: 5, pods: false, ..COMMON };
    the_helm_chart_starts_and_answers: "coredns-helm", COMMON;
    eks_starts_and_answers: "eks", Shipped { ttl: 5, ..COMMON };
    rke2_starts_and_answers: "rke2", COMMON;
    kops_starts_and_answers: "kops", COMMON;
    kubespray_starts_and_answers: "kubespray", Shipped { reverse: false, ..COMMON };
    microk8s_starts_and_answers: "microk8s", Shipped { ttl: 5, ..COMMON };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aks_denies_the_names_that_its_templates_are_for() {
    let (_world, server) = holds("aks", COMMON).await;
    for (name, rcode) in [
        ("a.b.c.d.e.internal.cloudapp.net.", ResponseCode::NXDomain),
        ("vm.internal.cloudapp.net.", ResponseCode::NoError),
        ("vm.reddog.microsoft.com.", ResponseCode::NXDomain),
    ] {
        assert_eq!(server.ask(name, RecordType::A).metadata.response_code, rcode, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k3s_answers_the_names_of_its_nodes() {
    let (_world, server) = holds("k3s", Shipped { ttl: 5, ..COMMON }).await;
    // `cache 30` stands before `hosts`, whose own TTL is 60.
    assert_eq!(server.answers("node-1.", RecordType::A), [(30, "10.30.0.1".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openshift_tells_its_host_name() {
    let (_world, server) = holds("openshift", Shipped { ttl: 5, ..COMMON }).await;
    let mut query = queries::query(1, "hostname.bind.", RecordType::TXT);
    // Class CH.
    *query.last_mut().unwrap() = 3;
    let answer = Client::new(SocketAddr::from(([127, 0, 0, 1], server.port))).send(&query, false).unwrap();
    assert_eq!(decode(&answer).unwrap().answers.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gardener_shortens_the_search_path() {
    let (_world, server) = holds("gardener", COMMON).await;
    let doubled = "web.default.svc.cluster.local.svc.cluster.local.";
    let reply = server.ask(doubled, RecordType::A);
    assert_eq!(reply.answers.len(), 1);
    assert_eq!(reply.answers.first().unwrap().name.to_ascii(), doubled);
}

// NodeLocal DNSCache is a client of ours, with TCP connections that stay, and can be this server itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_on_the_node_asks_the_clusters_server_over_tcp() {
    let (world, cluster) = holds("kubeadm", COMMON).await;
    let mut node = Distribution::start("node-local", "", SocketAddr::from(([127, 0, 0, 1], cluster.port)));
    node.wait();
    for _ in 0..3 {
        answers_the_cluster_from_a_cache(&node);
    }
    answers_the_outside(&node);
    assert_eq!(get(node.health, "/health"), Some((200, "OK".into())));
    let (_, metrics) = get(cluster.metrics, "/metrics").unwrap();
    let over_tcp = metrics
        .lines()
        .filter(|line| line.starts_with("coredns_dns_requests_total{") && line.contains("proto=\"tcp\""))
        .count();
    assert!(over_tcp > 0, "cluster names came over TCP\n{metrics}");
    let (_, metrics) = get(node.metrics, "/metrics").unwrap();
    assert!(metrics.contains("coredns_cache_hits_total{"), "{metrics}");
    drop((cluster, world));
    // What the node has remembered it goes on to answer.
    answers_the_cluster_from_a_cache(&node);
}

fn answers_the_cluster_from_a_cache(server: &Distribution) {
    let values = |name: &str, qtype| -> BTreeSet<String> {
        server.answers(name, qtype).into_iter().map(|(_, value)| value).collect()
    };
    assert_eq!(values(KUBIA, RecordType::A), ["10.244.1.11", "10.244.1.12"].map(str::to_owned).into());
    assert_eq!(values("web.default.svc.cluster.local.", RecordType::A), ["10.96.0.80".to_owned()].into());
}

//----------- As they are ----------------------------------------------------

#[test]
fn every_fixture_is_read_as_it_is_and_the_common_ones_take_the_fast_path() {
    const FAST: [&str; 13] = [
        "kubeadm",
        "kubeadm-old",
        "kind",
        "kube-up",
        "coredns-deployment",
        "coredns-helm",
        "eks",
        "aks",
        "k3s",
        "rke2",
        "openshift",
        "kops",
        "microk8s",
    ];
    const OTHERS: [&str; 5] = ["aks", "k3s", "openshift", "gardener", "node-local"];
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(FIXTURES).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let output = command().arg("check").arg(&path).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let cluster = out.lines().filter(|line| line.contains("cluster.local."));
        let is_fast = cluster.clone().count() > 0 && cluster.clone().all(|line| line.contains("on the fast path"));
        assert!(is_fast || !FAST.contains(&&*name), "{name}: {out}");
        seen.insert(name);
    }
    let started: BTreeSet<String> = STARTED.iter().chain(&OTHERS).map(|name| (*name).to_owned()).collect();
    assert_eq!(seen, started);
}

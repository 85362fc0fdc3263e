//! `rollcall diff` as an operator runs it: the names of an API server, asked at two servers.
//!
//! With `COREDNS` and `KUBEBUILDER_ASSETS` one of the two is a real CoreDNS, and the cluster has a real control plane;
//! without, that test says so and does nothing.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use rollcall_testing::api_server::{ApiServer, Fault, Verb};
use rollcall_testing::{ControlPlane, Site, coredns, objects, program};
use serde_json::{Value, json};

/// An API server on a runtime of its own, and a kubeconfig for it.
struct Cluster {
    api: ApiServer,
    folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Cluster {
    fn start(objects: &[(&str, Value)]) -> Self {
        let runtime = rollcall_testing::runtime();
        let api = runtime.block_on(ApiServer::start());
        api.set_protobuf(false);
        objects.iter().for_each(|(plural, object)| {
            api.apply(plural, object.clone());
        });
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: test\n  cluster: {{server: '{}'}}\nusers:\n- name: test\n  \
             user: {{}}\ncontexts:\n- name: test\n  context: {{cluster: test, user: test}}\ncurrent-context: test\n",
            api.url()
        );
        std::fs::write(folder.path().join("kubeconfig"), text).unwrap();
        Self { api, folder, _runtime: runtime }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Compares these servers over the names of this cluster.
    fn diff(&self, from: SocketAddr, to: SocketAddr, more: &[&str]) -> (Option<i32>, String, String) {
        diff(&self.kubeconfig(), from, to, more)
    }

    /// A server that mirrors this cluster, with these options of `kubernetes`.
    fn serve(&self, options: &str) -> Site {
        let access = format!("endpoint {}\n  {options}", self.api.url());
        Site::start(&program(), &corefile(&access))
    }
}

/// Exit status, standard output and standard error of a comparison.
fn diff(kubeconfig: &Path, from: SocketAddr, to: SocketAddr, more: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(program())
        // As in an image that holds nothing else: an API server without TLS needs no certificates.
        .env("SSL_CERT_FILE", "/nowhere")
        .env("SSL_CERT_DIR", "/nowhere")
        .args(["diff", "--from", &from.to_string(), "--to", &to.to_string(), "--kubeconfig"])
        .arg(kubeconfig)
        .args(more)
        .output()
        .unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn corefile(options: &str) -> String {
    format!(
        "cluster.local:PORT in-addr.arpa:PORT {{\n bind 127.0.0.1\n ready READY\n kubernetes cluster.local in-addr.arpa {{\n  \
         pods insecure\n  {options}\n }}\n}}\n"
    )
}

fn headless(name: &str) -> (&'static str, Value) {
    ("services", objects::headless(name))
}

fn slice(service: &str, suffix: &str, endpoints: Vec<Value>) -> (&'static str, Value) {
    ("endpointslices", objects::slice(service, suffix, objects::ports("http", "TCP", 80), endpoints))
}

fn peers(stem: &str, addresses: &[&str]) -> Vec<Value> {
    let numbered = addresses.iter().enumerate();
    numbered.map(|(index, address)| objects::endpoint(&format!("{stem}-{index}"), address)).collect()
}

/// Every kind of Service, one too large for UDP among them.
fn objects() -> Vec<(&'static str, Value)> {
    let many: Vec<String> = (1..=120).map(|last| format!("10.0.9.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let external = |name: &str, target: &str| ("services", objects::external_name(name, target));
    vec![
        ("namespaces", objects::namespace("default")),
        headless("kubia"),
        slice("kubia", "a", peers("kubia", &["10.0.0.1", "10.0.0.2"])),
        headless("twice"),
        slice("twice", "a", peers("twice", &["10.0.1.1", "10.0.1.2"])),
        slice("twice", "b", peers("twice", &["10.0.1.1"])),
        headless("many"),
        slice("many", "a", peers("many", &many)),
        headless("empty"),
        ("services", objects::cluster_ip("web", "10.96.0.7", objects::ports("dns", "UDP", 53))),
        external("near", "web.default.svc.cluster.local"),
        external("lost", "nothing.default.svc.cluster.local"),
    ]
}

#[test]
fn two_mirrors_of_one_cluster_do_not_differ() {
    let cluster = Cluster::start(&objects()[..3]);
    let (from, to) = (cluster.serve("ttl 30"), cluster.serve("ttl 30"));
    let (status, out, said) = cluster.diff(from.addr(), to.addr(), &[]);
    assert_eq!(status, Some(0), "{out}{said}");
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(out.contains(": 0 differences, 0 differ as documented, ") && out.contains("TTLs differ in 0"), "{out}");
    assert!(out.starts_with(char::is_numeric) && !out.starts_with("0 names"), "{out}");
}

#[test]
fn what_one_server_lacks_or_has_too_many_is_printed() {
    let cluster = Cluster::start(&objects());
    // The other server's cluster: one peer has moved, one Service is gone.
    let mut others = objects();
    others[2] = slice("kubia", "a", peers("kubia", &["10.0.0.1", "10.0.0.77"]));
    others.retain(|(_, object)| object["metadata"]["name"] != "web");
    let other = Cluster::start(&others);
    let (from, to) = (cluster.serve("ttl 30"), other.serve("ttl 30"));
    let (status, out, said) = cluster.diff(from.addr(), to.addr(), &["--show", "1000"]);
    assert_eq!(status, Some(1), "{out}{said}");
    for part in [
        "× response code NOERROR (-), NXDOMAIN (+)\ndiffers: ",
        "differs: kubia-1.kubia.default.svc.cluster.local. A\n  - NOERROR aa\n  + NOERROR aa\n  \
         - answer: kubia-1.kubia.default.svc.cluster.local. 30 A 10.0.0.2\n  \
         + answer: kubia-1.kubia.default.svc.cluster.local. 30 A 10.0.0.77\n",
        "differs: web.default.svc.cluster.local. A\n  - NOERROR aa\n  + NXDOMAIN aa\n  \
         - answer: web.default.svc.cluster.local. 30 A 10.96.0.7\n",
        "differs: _udp.web.default.svc.cluster.local. A\n  - NOERROR aa\n  + NXDOMAIN aa\n",
        "differs: web.default.svc.cluster.local. TXT\n  - NOERROR aa\n  + NXDOMAIN aa\n",
        "differs: 2.0.0.10.in-addr.arpa. A\n  - NOERROR aa\n  + NXDOMAIN aa\n",
        "differs: 2.0.0.10.in-addr.arpa. PTR\n  - NOERROR aa\n  + NXDOMAIN aa\n",
        "+ additional: kubia-1.kubia.default.svc.cluster.local. 30 A 10.0.0.77\n",
    ] {
        assert!(out.contains(part), "{part}\nin\n{out}");
    }
    assert!(!out.contains("differs: kubia-0."), "{out}");
    let last = out.lines().last().unwrap();
    let counted = last.split_once(": ").and_then(|(_, rest)| rest.split_once(" differences")).unwrap().0;
    assert_eq!(counted, out.matches("differs: ").count().to_string(), "{last}");
    let (_, out, _) = cluster.diff(from.addr(), to.addr(), &["--show", "1"]);
    let groups = out.lines().filter(|line| line.contains(" × ")).count();
    assert_eq!((groups, out.contains("… and ")), (out.matches("differs: ").count(), true), "{out}");
    assert_eq!(out.lines().last(), Some(last), "what is not shown is counted");
}

#[test]
fn ttls_differ_within_bounds_and_large_answers_come_over_tcp() {
    let cluster = Cluster::start(&objects());
    let (from, to) = (cluster.serve("ttl 5"), cluster.serve("ttl 25"));
    let (status, out, said) = cluster.diff(from.addr(), to.addr(), &["--ttl", "20"]);
    assert_eq!(status, Some(0), "{out}{said}");
    assert!(out.contains("by 20 s at most (20 s are allowed)"), "{out}");
    let (status, out, _) = cluster.diff(from.addr(), to.addr(), &["--ttl", "19", "--show", "10000"]);
    assert_eq!(status, Some(1), "{out}");
    assert!(out.contains("differs: many.default.svc.cluster.local. A\n"), "{out}");
    assert!(out.contains("× the same records, other TTLs\n"), "{out}");
    assert!(out.contains("  TTL 5 s (-), 25 s (+): 120 records\n"), "{out}");
}

#[test]
fn a_server_or_a_cluster_that_cannot_be_asked_is_told_from_a_difference() {
    let cluster = Cluster::start(&objects()[..3]);
    let server = cluster.serve("ttl 30");
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (status, out, said) = cluster.diff(server.addr(), silent, &[]);
    assert_eq!((status, out.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains(&format!("{silent} does not answer: ")), "{said}");
    let (status, out, said) = diff(Path::new("nothere"), server.addr(), silent, &[]);
    assert_eq!((status, out.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains("the kubeconfig nothere cannot be read: ") && said.contains("--kubeconfig FILE"), "{said}");
    assert_eq!(said.matches("nothere").count(), 1, "{said}");
    let (status, _, said) = cluster.diff(server.addr(), server.addr(), &["--zone", "a..b"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("--zone needs a domain name") && said.contains("a..b"), "{said}");
    let refusal = Fault::Status { code: 403, reason: "Forbidden", message: "not you", retry_after: None };
    cluster.api.fault(Verb::List, "endpointslices", refusal, 1);
    let (status, _, said) = cluster.diff(server.addr(), server.addr(), &[]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("cannot list endpointslices: 403 Forbidden: not you"), "{said}");
    // What passes is not told.
    cluster.api.fault(Verb::List, "services", Fault::CutBody(10), 1);
    assert_eq!(cluster.diff(server.addr(), server.addr(), &[]).0, Some(0));
}

/// As kubeadm writes it, with an upstream that is dead.
const KUBEADM: &str = "
.:PORT {
    bind 127.0.0.1
    errors
    ready READY
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       kubeconfig KUBECONFIG
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    forward . 127.0.0.1:9 {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loadbalance
}
";

#[test]
fn a_real_coredns_differs_only_as_documented() {
    let Some(coredns) = coredns() else { return };
    let Some(plane) = ControlPlane::start() else { return };
    let items: Vec<Value> = objects()
        .into_iter()
        .filter(|(plural, _)| *plural != "namespaces")
        .map(|(plural, mut object)| {
            let slice = plural == "endpointslices";
            object["apiVersion"] = json!(if slice { "discovery.k8s.io/v1" } else { "v1" });
            object["kind"] = json!(if slice { "EndpointSlice" } else { "Service" });
            // Slices are made by hand here, and addresses by the API.
            if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                spec.remove("selector");
                if spec.get("clusterIP").is_some_and(|address| address != "None") {
                    spec.retain(|key, _| !["clusterIP", "clusterIPs"].contains(&key.as_str()));
                }
            }
            object
        })
        .collect();
    plane.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
    let access = KUBEADM.replace("KUBECONFIG", &plane.kubeconfig().display().to_string());
    let (from, to) = (Site::start(&coredns, &access), Site::start(&program(), &access));
    let (status, out, said) = diff(&plane.kubeconfig(), from.addr(), to.addr(), &[]);
    assert_eq!(status, Some(0), "{out}{said}");
    for words in ["TXT of a name", "SOA of a name", "a name that has only others", "ExternalName", "SRV weight"] {
        assert!(out.contains(&format!("as documented: {words}")), "{words} in {out}");
    }
}

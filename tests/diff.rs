//! `rollcall diff` as an operator runs it: the names of an API server, asked at two servers.
//!
//! With `COREDNS=PATH` one of the two is a real CoreDNS; without, that test says so and does nothing.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

#[path = "support/api_server.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod api_server;
#[path = "support/protobuf.rs"]
mod protobuf;
#[path = "support/server.rs"]
mod server;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use api_server::{ApiServer, Fault, Verb};
use serde_json::{Value, json};
use server::Server;

/// An API server on a runtime of its own, and a kubeconfig for it.
struct Cluster {
    api: ApiServer,
    folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Cluster {
    fn start(objects: &[(&str, Value)]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
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

    /// Runs the comparison of these servers over the names of this cluster.
    fn diff(&self, from: SocketAddr, to: SocketAddr, more: &[&str]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .args(["diff", "--from", &from.to_string(), "--to", &to.to_string(), "--kubeconfig"])
            .arg(self.kubeconfig())
            .args(more)
            .output()
            .unwrap();
        let text = |octets| String::from_utf8(octets).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// A server with a Corefile whose `kubernetes` directive has these options.
    fn serve(&self, program: &Path, options: &str) -> Process {
        let port = free_port();
        let text = format!(
            "cluster.local:{port} in-addr.arpa:{port} {{\n bind 127.0.0.1\n kubernetes cluster.local in-addr.arpa {{\n  \
             endpoint {}\n  pods insecure\n  {options}\n }}\n}}\n",
            self.api.url()
        );
        let file = self.folder.path().join(format!("Corefile-{port}"));
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        let child = command.arg("-conf").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process { child: child.spawn().unwrap(), address: SocketAddr::from(([127, 0, 0, 1], port)) };
        process.wait_until_it_answers();
        process
    }
}

/// A server of its own; killed when the test ends.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn wait_until_it_answers(&self) {
        // SOA of the cluster domain, without EDNS.
        let query = b"\0\x07\0\0\0\x01\0\0\0\0\0\0\x07cluster\x05local\0\0\x06\0\x01";
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (begun, mut buffer) = (Instant::now(), [0; 512]);
        while begun.elapsed() < Duration::from_secs(30) {
            let _ = socket.send_to(query, self.address);
            // NOERROR: the first lists are in.
            if socket.recv(&mut buffer).is_ok_and(|len| len > 12 && buffer[3] & 0xf == 0) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} does not answer", self.address);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn service(name: &str, spec: Value) -> (&'static str, Value) {
    ("services", json!({"metadata": {"namespace": "default", "name": name}, "spec": spec}))
}

fn headless(name: &str) -> (&'static str, Value) {
    let ports = json!([{"name": "http", "protocol": "TCP", "port": 80}]);
    service(
        name,
        json!({"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "selector": {"a": "b"}, "ports": ports}),
    )
}

fn slice(service: &str, suffix: &str, endpoints: &[(String, String)]) -> (&'static str, Value) {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(name, address)| json!({"addresses": [address], "hostname": name, "conditions": {"ready": true}}))
        .collect();
    (
        "endpointslices",
        json!({
            "metadata": {
                "namespace": "default",
                "name": format!("{service}-{suffix}"),
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "protocol": "TCP", "port": 80}],
            "endpoints": endpoints,
        }),
    )
}

fn peers(stem: &str, addresses: &[&str]) -> Vec<(String, String)> {
    addresses.iter().enumerate().map(|(index, address)| (format!("{stem}-{index}"), (*address).to_owned())).collect()
}

/// Every kind of Service, one too large for UDP among them.
fn objects() -> Vec<(&'static str, Value)> {
    let many: Vec<String> = (1..=120).map(|last| format!("10.0.9.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let ports = json!([{"name": "dns", "protocol": "UDP", "port": 53}]);
    vec![
        ("namespaces", json!({"metadata": {"name": "default"}})),
        headless("kubia"),
        slice("kubia", "a", &peers("kubia", &["10.0.0.1", "10.0.0.2"])),
        headless("twice"),
        slice("twice", "a", &peers("twice", &["10.0.1.1", "10.0.1.2"])),
        slice("twice", "b", &peers("twice", &["10.0.1.1"])),
        headless("many"),
        slice("many", "a", &peers("many", &many)),
        headless("empty"),
        service(
            "web",
            json!({"type": "ClusterIP", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ports": ports}),
        ),
        service("near", json!({"type": "ExternalName", "externalName": "web.default.svc.cluster.local"})),
        service("lost", json!({"type": "ExternalName", "externalName": "nothing.default.svc.cluster.local"})),
    ]
}

#[test]
fn two_mirrors_of_one_cluster_do_not_differ() {
    let cluster = Cluster::start(&objects()[..3]);
    let (from, to) = (Server::start(&cluster.kubeconfig()), Server::start(&cluster.kubeconfig()));
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
    others[2] = slice("kubia", "a", &peers("kubia", &["10.0.0.1", "10.0.0.77"]));
    others.retain(|(_, object)| object["metadata"]["name"] != "web");
    let other = Cluster::start(&others);
    let (from, to) = (Server::start(&cluster.kubeconfig()), Server::start(&other.kubeconfig()));
    let (status, out, said) = cluster.diff(from.addr(), to.addr(), &[]);
    assert_eq!(status, Some(1), "{out}{said}");
    for part in [
        "differs: kubia-1.kubia.default.svc.cluster.local. A\n  - NOERROR aa\n  + NOERROR aa\n  \
         - answer: kubia-1.kubia.default.svc.cluster.local. 30 A 10.0.0.2\n  \
         + answer: kubia-1.kubia.default.svc.cluster.local. 30 A 10.0.0.77\n",
        "differs: web.default.svc.cluster.local. A\n  - NOERROR aa\n  + NXDOMAIN aa\n  \
         - answer: web.default.svc.cluster.local. 30 A 10.96.0.7\n",
        "differs: 2.0.0.10.in-addr.arpa. PTR\n  - NOERROR aa\n  + NXDOMAIN aa\n",
        "+ additional: kubia-1.kubia.default.svc.cluster.local. 30 A 10.0.0.77\n",
    ] {
        assert!(out.contains(part), "{part}\nin\n{out}");
    }
    assert!(!out.contains("differs: kubia-0."), "{out}");
    let last = out.lines().last().unwrap();
    let counted = last.split_once(": ").and_then(|(_, rest)| rest.split_once(" differences")).unwrap().0;
    assert_eq!(counted, out.matches("differs: ").count().to_string(), "{last}");
}

#[test]
fn ttls_differ_within_bounds_and_large_answers_come_over_tcp() {
    let cluster = Cluster::start(&objects());
    let rollcall = Path::new(env!("CARGO_BIN_EXE_rollcall"));
    let (from, to) = (cluster.serve(rollcall, "ttl 5"), cluster.serve(rollcall, "ttl 25"));
    let (status, out, said) = cluster.diff(from.address, to.address, &["--ttl", "20"]);
    assert_eq!(status, Some(0), "{out}{said}");
    assert!(out.contains("by 20 s at most (20 s are allowed)"), "{out}");
    let (status, out, _) = cluster.diff(from.address, to.address, &["--ttl", "19"]);
    assert_eq!(status, Some(1), "{out}");
    assert!(out.contains("differs: many.default.svc.cluster.local. A\n"), "{out}");
    assert_eq!(out.matches("- answer: many.default.svc.cluster.local. 5 A ").count(), 120, "{out}");
}

#[test]
fn a_server_or_a_cluster_that_cannot_be_asked_is_told_from_a_difference() {
    let cluster = Cluster::start(&objects()[..3]);
    let server = Server::start(&cluster.kubeconfig());
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (status, out, said) = cluster.diff(server.addr(), silent, &[]);
    assert_eq!((status, out.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains(&format!("{silent} does not answer: ")), "{said}");
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

#[test]
fn a_real_coredns_differs_only_as_documented() {
    let Some(coredns) = std::env::var_os("COREDNS").map(PathBuf::from) else {
        eprintln!("skipped: COREDNS is not set; it names a CoreDNS 1.15.0 to compare with");
        return;
    };
    let cluster = Cluster::start(&objects());
    let rollcall = cluster.serve(Path::new(env!("CARGO_BIN_EXE_rollcall")), "ttl 30");
    let other = cluster.serve(&coredns, "ttl 30");
    let (status, out, said) = cluster.diff(other.address, rollcall.address, &[]);
    assert_eq!(status, Some(0), "{out}{said}");
    for words in
        ["TXT of a name", "SOA of a name", "a name that has only others below it", "ExternalName", "SRV weight"]
    {
        assert!(out.contains(&format!("as documented: {words}")), "{words} in {out}");
    }
}

//! What Kubernetes' end-to-end tests and those of coredns/ci ask, with the very commands, in a network namespace of its own:
//! the cluster's DNS address on `lo`, the built binary on port 53, and a pod's resolv.conf.
//!
//! Runs where `unshare`, `ip` and `dig` are there and the kernel lets an ordinary user have namespaces; elsewhere it says why
//! not and passes.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod probe;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, rdata};
use probe::Probe;
use rollcall_testing::api_server::ApiServer;
use rollcall_testing::resolver::{Act, Asked, Resolver};
use rollcall_testing::{PATIENCE, Server, comes_true, http, is_there, skip};
use serde_json::{Value, json};

const INSIDE: &str = "ROLLCALL_E2E_INSIDE";
const SEARCH: &str = "e2e-dns.svc.cluster.local svc.cluster.local cluster.local";
/// On `lo`: the Service of the DNS server, its pod, and a pod that asks.
const DNS: &str = "10.96.0.10";
const DNS_POD: &str = "10.244.0.53";
const CLIENT: &str = "172.17.0.50";

#[test]
fn probes_of_kubernetes_and_of_coredns_hold() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    for program in ["unshare", "ip", "mount", "dig"] {
        if !is_there(program) {
            return skip(format_args!("no {program} on the path: no probe of Kubernetes is run"));
        }
    }
    let allowed = Command::new("unshare").args(["-Urmn", "ip", "link", "set", "lo", "up"]).output().unwrap();
    if !allowed.status.success() {
        let why = String::from_utf8_lossy(&allowed.stderr).trim().to_owned();
        return skip(format_args!("this machine allows no namespaces: no probe of Kubernetes is run: {why}"));
    }
    let mut command = Command::new("unshare");
    command.arg("-Urmn").arg(std::env::current_exe().unwrap());
    command.args(["--exact", "probes_of_kubernetes_and_of_coredns_hold", "--nocapture"]).env(INSIDE, "1");
    assert!(command.status().unwrap().success());
}

//----------- Inside ---------------------------------------------------------

/// The namespace: its addresses, and the files that clients read.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        run("ip link set lo up");
        for address in [DNS, DNS_POD, CLIENT] {
            run(&format!("ip addr add {address}/32 dev lo"));
        }
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.resolv(SEARCH);
        place.hosts("");
        fs::write(place.file("nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n").unwrap();
        for name in ["resolv.conf", "hosts", "nsswitch.conf"] {
            let target = Path::new("/etc").join(name);
            if target.exists() {
                run(&format!("mount --bind {} {}", place.file(name).display(), target.display()));
            }
        }
        let records = "@ 3600 IN SOA ns host 1 7200 3600 1209600 3600\n";
        let zone = |name: &str, rest: &str| fs::write(place.file(name), format!("{records}{rest}")).unwrap();
        zone("example.net.zone", "@ 3600 IN NS ns\n@ 3600 IN A 10.10.10.10\nfoo 3600 IN A 10.10.10.11\n");
        let servers = "@ 3600 IN NS b.iana-servers.net.\n@ 3600 IN NS a.iana-servers.net.\n";
        zone(
            "cluster.local.zone",
            &format!("{servers}@ 3600 IN A 127.0.0.1\nfoo 3600 IN A 10.10.10.10\nf.b.svc 3600 IN A 10.10.10.11\n"),
        );
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn resolv(&self, search: &str) {
        let text = format!("search {search}\nnameserver {DNS}\noptions ndots:5\n");
        fs::write(self.file("resolv.conf"), text).unwrap();
    }

    fn hosts(&self, line: &str) {
        fs::write(self.file("hosts"), format!("127.0.0.1\tlocalhost\n{line}\n")).unwrap();
    }
}

fn run(command: &str) {
    let mut words = command.split_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
    assert!(status.success(), "{command}");
}

/// The objects of both suites.
fn fill(api: &ApiServer) {
    const SETS: [&str; 5] = ["default", "dns", "externalname", "statefulset", "ci"];
    for text in [include_str!("cluster.yaml"), include_str!("../fixtures/cluster.yaml")] {
        for object in serde_saphyr::from_multiple::<Value>(text).unwrap() {
            let note = |name: &str| object["metadata"]["annotations"][name].as_str();
            if note("fixture/when").is_none() && note("fixture/set").is_some_and(|set| SETS.contains(&set)) {
                api.apply(plural(&object), object.clone());
            }
        }
    }
    api.apply(
        "endpointslices",
        json!({"metadata": {"namespace": "kube-system", "name": "kube-dns-a", "labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4", "ports": [{"name": "dns", "protocol": "UDP", "port": 53}], "endpoints": [{"addresses": [DNS_POD]}]}),
    );
    api.apply(
        "pods",
        json!({"metadata": {"namespace": "test-1", "name": "client"}, "status": {"phase": "Running", "podIP": CLIENT}}),
    );
}

fn plural(object: &Value) -> &'static str {
    match object["kind"].as_str().unwrap() {
        "Namespace" => "namespaces",
        "Service" => "services",
        "EndpointSlice" => "endpointslices",
        "Pod" => "pods",
        other => panic!("{other}"),
    }
}

/// Names of the world outside.
const OUTSIDE: [(&str, &str); 4] = [
    ("google.com.", "192.0.2.77"),
    ("dns.google.", "8.8.8.8"),
    ("example.net.", "13.14.15.16"),
    ("8.8.8.8.in-addr.arpa.", "dns.google."),
];

/// Names that only the resolver of a company knows, to which the suites' own Corefiles forward.
const COMPANY: [(&str, &str); 6] = [
    ("foo.example.com.", "192.0.2.123"),
    ("abc.acme.local.", "1.1.1.1"),
    ("def.acme.local.", "2.2.2.2"),
    ("widget.local.", "3.3.3.3"),
    ("123.2.0.192.in-addr.arpa.", "my.test."),
    ("9.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "my.test."),
];

fn resolve(names: &[(&str, &str)], asked: &Asked) -> Vec<Act> {
    let mut message = Message::from_vec(&asked.octets).unwrap();
    let Some(question) = message.queries.first().cloned() else { return Vec::new() };
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_available = true;
    let name = question.name().to_lowercase().to_ascii();
    match names.iter().find(|(own, _)| *own == name) {
        None => message.metadata.response_code = ResponseCode::NXDomain,
        Some((_, value)) => {
            let data = match value.parse() {
                Ok(address) => RData::A(rdata::A(address)),
                Err(_) => RData::PTR(rdata::PTR(Name::from_ascii(value).unwrap())),
            };
            if data.record_type() == question.query_type() {
                message.answers.push(Record::from_rdata(question.name().clone(), 300, data));
            }
        }
    }
    vec![Act::Send(message.to_vec().unwrap())]
}

/// The server on port 53.
fn start(corefile: &str, place: &Place) -> Server {
    fs::write(place.file("Corefile"), corefile).unwrap();
    let mut server = Server::start(&[], place.folder.path());
    server.up(|| http::is_ready(SocketAddr::from(([127, 0, 0, 1], 8181))));
    server
}

const KUBEADM: &str = include_str!("../fixtures/corefiles/distributions/kubeadm.Corefile");

fn inside() {
    let place = Place::new();
    let runtime = rollcall_testing::runtime();
    let (api, outside, company) = runtime.block_on(async {
        let outside = Resolver::start(|asked| resolve(&OUTSIDE, asked)).await;
        let both: Vec<_> = OUTSIDE.into_iter().chain(COMPANY).collect();
        (ApiServer::start().await, outside, Resolver::start(move |asked| resolve(&both, asked)).await)
    });
    fill(&api);
    let (url, outside, company) = (api.url(), outside.address.to_string(), company.address.to_string());
    let kubeadm = KUBEADM.replace("ip6.arpa {", "ip6.arpa {\n endpoint {API}").replace("/etc/resolv.conf", &outside);
    let mut probes = Probe::all();
    // Those of one Corefile one after another; those that change something come last of theirs.
    probes.sort_by_key(|probe| (probe.corefile.clone(), probe.phase.is_some()));
    let (mut wrong, mut held, mut server): (Vec<String>, usize, Option<(String, Server)>) = Default::default();
    for probe in &probes {
        let text = probe.corefile.as_deref().unwrap_or(&kubeadm);
        let folder = place.folder.path().to_str().unwrap();
        let text = text.replace("{API}", &url).replace("{UPSTREAM}", &company).replace("{FOLDER}", folder);
        if server.as_ref().is_none_or(|(own, _)| *own != text) {
            drop(server.take());
            server = Some((text.clone(), start(&text, &place)));
        }
        place.resolv(&probe.search(SEARCH));
        place.hosts(&probe.hosts_line());
        change(&api, probe);
        let complaints = match probe.phase {
            // What was changed a moment ago shows soon.
            Some(_) => until(|| probe.check(DNS, CLIENT)),
            None => probe.check(DNS, CLIENT),
        };
        held += usize::from(complaints.is_empty());
        wrong.extend(complaints.into_iter().map(|why| format!("{}: {why}", probe.id)));
    }
    drop(server);
    eprintln!("{held} of {} probes hold", probes.len());
    assert!(wrong.is_empty() && held > 70, "\n{}", wrong.join("\n"));
}

/// What a suite does to an object before it asks.
fn change(api: &ApiServer, probe: &Probe) {
    let spec = match probe.id.as_str() {
        "extname-cname-2" => json!({"type": "ExternalName", "externalName": "bar.example.com"}),
        "extname-to-clusterip" => {
            let address = "10.96.1.103";
            json!({"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": [{"name": "http", "protocol": "TCP", "port": 80}]})
        }
        _ => return,
    };
    api.apply("services", json!({"metadata": {"namespace": "e2e-dns", "name": "dns-test-service-3"}, "spec": spec}));
}

/// Complaints of a check, once there are none or none go away any more.
fn until(check: impl Fn() -> Vec<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    comes_true(PATIENCE, || {
        complaints = check();
        complaints.is_empty()
    });
    complaints
}

#[test]
fn the_probes_are_read() {
    let probes = Probe::all();
    assert!(probes.len() > 80 && probes.iter().all(|probe| probe.commands().count() > 0));
}

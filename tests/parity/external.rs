//! `k8s_external`: Services with addresses outside of the cluster, of load balancers, headless ones, and names that resemble theirs.

use std::net::IpAddr;

use rollcall_testing::api_server::ApiServer;
use rollcall_testing::coredns;
use serde_json::{Value, json};

use super::pair::{EXTERNAL, Findings, Pair, ask, number, seeds};
use super::questions::{A, AAAA, CNAME, MX, NS, PTR, Question, SOA, SRV, TXT, labels};
use super::reply::{Line, Reply};
use super::world::Random;

const OPTIONS: [&str; 4] = ["headless", "ttl 30", "headless\n        apex here", "ttl 0\n        fallthrough"];
const NAMESPACES: [&str; 3] = ["a", "default", "dns"];

#[test]
fn external_names_are_answered_as_by_coredns() {
    let Some(coredns) = coredns() else { return };
    let runtime = rollcall_testing::runtime();
    let mut findings = Findings::default();
    for seed in seeds() {
        let mut random = Random(seed ^ 0xe87);
        let api = runtime.block_on(ApiServer::start());
        api.set_protobuf(false);
        let (names, aliases) = fill(&api, &mut random);
        let options = OPTIONS[(seed % 4) as usize];
        let pair = Pair::start(&coredns, &EXTERNAL.replace("API", &api.url()).replace("OPTIONS", options));
        let host = IpAddr::from([127, 0, 0, 1]);
        let mut clients = pair.clients(host, host);
        for _ in 0..number("PARITY_QUESTIONS", 600) {
            let question = question(&names, &mut random);
            let Question { qtype, edns, tcp, .. } = &question;
            let what = format!("seed {seed}, {options:?}: {} type {qtype} EDNS {edns:?} tcp {tcp}", question.text());
            let name = question.text().to_lowercase();
            let is_below_an_alias = aliases.iter().any(|alias| name.contains(&format!(".{alias}.")));
            findings.note(&what, ask(&mut clients, &question), |ours, theirs| match is_below_an_alias {
                true if (ours.rcode, theirs.rcode) == (3, 0) => Some("an ExternalName has no endpoints"),
                _ => row(ours, theirs),
            });
        }
    }
    findings.end();
}

/// A cluster; returns what names are made from, and the Services that are another name.
fn fill(api: &ApiServer, random: &mut Random) -> (Vec<String>, Vec<String>) {
    let (mut names, mut aliases) = (Vec::new(), Vec::new());
    for name in NAMESPACES {
        api.apply("namespaces", json!({"metadata": {"name": name}}));
    }
    for number in 0..25 {
        let (name, namespace) = (format!("s{number}"), *random.pick(&NAMESPACES));
        let ports = ports(random);
        for port in ports.as_array().into_iter().flatten() {
            let protocol = port["protocol"].as_str().unwrap().to_lowercase();
            names.push(format!("_{}._{protocol}.{name}.{namespace}", port["name"].as_str().unwrap_or("http")));
        }
        let mut spec = json!({"type": "ClusterIP", "ports": ports});
        let mut status = json!({});
        let is_headless = random.percent(35);
        spec["clusterIP"] = if is_headless { "None".into() } else { format!("10.96.0.{}", number + 1).into() };
        spec["clusterIPs"] = json!([spec["clusterIP"]]);
        if random.percent(50) {
            let all = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3"];
            spec["externalIPs"] = all[..1 + random.below(4)].into();
        }
        if random.percent(35) {
            spec["type"] = "LoadBalancer".into();
            let ingress = [
                json!({"ip": "198.51.100.1"}),
                json!({"ip": "2001:db8:1::1"}),
                json!({"hostname": "lb.elsewhere.test"}),
                json!({"ip": "198.51.100.2"}),
            ];
            let first = random.below(4);
            status = json!({"loadBalancer": {"ingress": &ingress[first..(first + 1 + random.below(2)).min(4)]}});
        }
        if random.percent(8) {
            spec = json!({"type": "ExternalName", "externalName": "www.elsewhere.test"});
            aliases.push(format!("{name}.{namespace}"));
        }
        let metadata = json!({"namespace": namespace, "name": name});
        api.apply("services", json!({"metadata": metadata, "spec": spec, "status": status}));
        if random.percent(80) {
            let endpoints: Vec<Value> = (0..1 + random.below(4)).map(|at| endpoint(number, at, random)).collect();
            for endpoint in &endpoints {
                let label = endpoint["hostname"]
                    .as_str()
                    .map_or_else(|| endpoint["addresses"][0].as_str().unwrap().replace('.', "-"), str::to_owned);
                names.push(format!("{label}.{name}.{namespace}"));
            }
            let metadata = json!({"namespace": namespace, "name": format!("{name}-x"), "labels": {"kubernetes.io/service-name": name}});
            let slice = json!({"metadata": metadata, "addressType": "IPv4", "ports": ports, "endpoints": endpoints});
            api.apply("endpointslices", slice);
        }
        names.push(format!("{name}.{namespace}"));
        names.push(format!("{name}.{namespace}"));
    }
    (names, aliases)
}

fn endpoint(number: usize, at: usize, random: &mut Random) -> Value {
    let mut endpoint =
        json!({"addresses": [format!("10.1.{number}.{}", at + 1)], "conditions": {"ready": random.percent(85)}});
    if random.percent(50) {
        endpoint["hostname"] = format!("host-{at}").into();
    }
    endpoint
}

fn ports(random: &mut Random) -> Value {
    let names = ["http", "grpc", "peer"];
    (0..1 + random.below(3))
        .map(|at| json!({"name": names[at], "protocol": random.one(&["TCP", "TCP", "UDP"]), "port": 1 + random.below(60_000)}))
        .collect()
}

fn question(names: &[String], random: &mut Random) -> Question {
    let name = match random.below(12) {
        0 => random.one(&["", "a.", "default.", "nosuch.a.", "x.y.z.a."]).to_owned(),
        1 => random.one(&["dns.", "ns1.dns.", "here.", "ns1.here.", "x.ns1.dns.", "x.dns."]).to_owned(),
        2 => format!("x.{}.", random.pick(names)),
        3 => format!("_tcp.{}.", random.pick(names)),
        _ => format!("{}.", random.pick(names)),
    };
    let qtype = *random.pick(&[A, A, A, AAAA, SRV, SRV, SRV, CNAME, TXT, MX, NS, SOA, PTR, 255]);
    let mut labels = labels(&format!("{name}ext.test"));
    if random.percent(20) {
        labels.iter_mut().for_each(|label| label.make_ascii_uppercase());
    }
    let edns = random.percent(50).then(|| (*random.pick(&[512, 1232, 4096]), random.percent(20)));
    Question { edns, tcp: random.percent(25), ..Question::plain(labels, qtype) }
}

/// The aliases of load balancers that have a name: CoreDNS repeats them for each port, and answers NOERROR to them alone.
fn row(ours: &Reply, theirs: &Reply) -> Option<&'static str> {
    let mut once = theirs.clone();
    once.answers.dedup();
    if ours.same(&once) {
        return Some("an alias stands once");
    }
    let is_server = |line: &Line| line.data == "127.0.0.1" && line.owner.to_lowercase().starts_with("ns1.");
    if (ours.rcode, theirs.rcode) == (0, 0) && ours.answers.iter().chain(&ours.additional).any(is_server) {
        let answers: Vec<_> = ours.answers.iter().filter(|line| !is_server(line)).cloned().collect();
        return (answers == theirs.answers).then_some("the zone's name server, with bind");
    }
    let is_alias = !once.answers.is_empty() && once.answers.iter().all(|line| line.rtype == CNAME);
    once.rcode = ours.rcode;
    (is_alias && ours.same(&once)).then_some("the rcode of the alias's target")
}

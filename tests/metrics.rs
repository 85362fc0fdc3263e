//! What a running server tells Prometheus, held against the list of CoreDNS's metrics and against what alerts and
//! dashboards ask for.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use regex::Regex;
use rollcall_testing::api_server::ApiServer;
use rollcall_testing::http::{Response, fetch};
use rollcall_testing::resolver::{self, Act, Resolver};
use rollcall_testing::{Client, Server, free_port, objects, queries, repository, wait_for};
use serde_json::{Value, json};

//----------- The list --------------------------------------------------------

/// A row of the list.
struct Row {
    name: String,
    kind: String,
    labels: BTreeSet<String>,
    buckets: Option<Vec<f64>>,
    rare: bool,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(repository("tests/fixtures/metrics.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[name, kind, labels, ..] = words.as_slice() else { panic!("{line}: name, type and labels") };
            let more = &words[3..];
            assert!(more.iter().all(|word| ["T", "S", "B", "K", "P", "rare"].contains(word)), "{line}");
            let labels = labels.split(',').filter(|label| *label != "-").map(str::to_owned).collect();
            let buckets = more.iter().find_map(|word| buckets(word));
            assert_eq!(buckets.is_some(), kind == "histogram", "{line}");
            Row { name: name.into(), kind: kind.into(), labels, buckets, rare: more.contains(&"rare") }
        })
        .collect()
}

fn buckets(word: &str) -> Option<Vec<f64>> {
    let powers = |first: f64, factor: f64, count: i32| (0..count).map(|power| first * factor.powi(power)).collect();
    match word {
        "T" => Some(powers(0.00025, 2.0, 16)),
        "S" => Some(powers(0.00025, 10.0, 5)),
        "K" => Some(powers(0.001, 2.0, 20)),
        "B" => Some(
            [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16_000, 32_000, 48_000, 64_000]
                .map(f64::from)
                .to_vec(),
        ),
        "P" => Some(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
        _ => None,
    }
}

//----------- The exposition --------------------------------------------------

/// What the text format says of one metric.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    /// The names of the labels of each sample, `le` left out.
    labels: BTreeSet<BTreeSet<String>>,
    buckets: Vec<f64>,
}

fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut last = String::new();
    let label = Regex::new(r#"([a-z_]+)="((?:[^"\\]|\\.)*)""#).unwrap();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let fresh = Family { kind: kind.into(), ..Family::default() };
            assert!(families.insert(name.into(), fresh).is_none(), "{name} is described twice");
            last = name.into();
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&last), "{line} does not belong to {last}");
            let family = families.get_mut(&last).unwrap();
            let labels = line.find('{').map_or("", |start| &line[start..line.rfind('}').unwrap()]);
            let mut names = BTreeSet::new();
            for found in label.captures_iter(labels) {
                match &found[1] {
                    "le" if &found[2] == "+Inf" => {}
                    "le" => {
                        let bound = found[2].parse().unwrap();
                        if !family.buckets.contains(&bound) {
                            family.buckets.push(bound);
                        }
                    }
                    name => {
                        names.insert(name.to_owned());
                    }
                }
            }
            family.labels.insert(names);
        }
    }
    families
}

//----------- The server ------------------------------------------------------

struct Counting {
    _server: Server,
    port: u16,
    metrics: u16,
}

/// A server with every directive that counts something.
fn start(folder: &Path, api: &str, upstream: SocketAddr, dead: u16) -> Counting {
    let [port, metrics, health] = [free_port(), free_port(), free_port()];
    let corefile = format!(
        "(common) {{
    bind 127.0.0.1
    shed
    prometheus 127.0.0.1:{metrics}
}}
.:{port} {{
    import common
    health 127.0.0.1:{health}
    reload
    local
    autopath @kubernetes
    kubernetes cluster.local {{
        endpoint {api}
        pods verified
    }}
    acl blocked.example {{
        block
    }}
    acl filtered.example {{
        filter
    }}
    acl dropped.example {{
        drop
    }}
    acl allowed.example {{
        allow
    }}
    template IN A broken.example {{
        answer \"{{{{ .Name }}}} 60 IN A nowhere\"
    }}
    hosts {{
        192.0.2.7 printer.example
        fallthrough
    }}
    cache 30
    dns64 {{
        allow_ipv4
    }}
    forward . {upstream}
}}
tcp.example:{port} {{
    import common
    forward . {upstream} {{
        force_tcp
    }}
}}
dead.example:{port} {{
    import common
    loop
    forward . 127.0.0.1:{dead} {{
        health_check 100ms
    }}
}}
"
    );
    std::fs::write(folder.join("Corefile"), corefile).unwrap();
    Counting::start(folder, port, metrics)
}

impl Counting {
    /// Starts the Corefile of a folder, and waits until all pages are there.
    fn start(folder: &Path, port: u16, metrics: u16) -> Self {
        let server = Server::start(&[], folder);
        server.until("CoreDNS-");
        Self { _server: server, port, metrics }
    }

    /// Asks, and does not mind silence.
    fn ask(&self, name: &str, qtype: u16) -> Option<Vec<u8>> {
        let mut client = Client::new(SocketAddr::from(([127, 0, 0, 1], self.port)));
        client.set_patience(Duration::from_secs(2));
        client.send(&queries::with_edns(queries::query(7, name, qtype), 1232, true), false).ok()
    }

    fn exposition(&self) -> String {
        let page = SocketAddr::from(([127, 0, 0, 1], self.metrics));
        let Some(Response { head, body, .. }) = fetch(page, "/metrics") else { return String::new() };
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(!head.to_lowercase().contains("chunked"), "{head}");
        body
    }

    /// Waits until a sample is there.
    fn until(&self, sample: &str) {
        wait_for(|| self.exposition().contains(sample), || format!("{sample} in {}", self.exposition()));
    }
}

/// A cluster with a headless Service, and the address of this machine as a pod's.
fn fill(api: &ApiServer) {
    api.apply("namespaces", objects::namespace("default"));
    for (name, address, selector) in [
        ("kubia", "None", json!({"app": "kubia"})),
        ("web", "10.96.0.7", json!({"app": "web"})),
        ("manual", "None", Value::Null),
    ] {
        let mut service = objects::cluster_ip(name, address, objects::ports("http", "TCP", 80));
        service["spec"]["selector"] = selector;
        api.apply("services", service);
    }
    // Every cluster has it: a list of no slices is asked for again.
    let own = vec![objects::endpoint("server", "10.0.0.99")];
    api.apply("endpointslices", objects::slice("kubernetes", "a", objects::ports("https", "TCP", 6443), own));
    let status = json!({"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "phase": "Running"});
    api.apply("pods", json!({"metadata": {"namespace": "default", "name": "client"}, "status": status}));
}

/// A slice that says when its pods changed.
fn triggered(api: &ApiServer, service: &str, address: &str, changed: &str) {
    let endpoints = vec![objects::endpoint("kubia-0", address)];
    let mut slice = objects::slice(service, "a", objects::ports("http", "TCP", 80), endpoints);
    slice["metadata"]["annotations"] = json!({"endpoints.kubernetes.io/last-change-trigger-time": changed});
    api.apply("endpointslices", slice);
}

/// Brings all of the list about, and returns what the server says then.
fn exercised() -> String {
    let runtime = rollcall_testing::runtime();
    let api = runtime.block_on(ApiServer::start());
    api.set_protobuf(false);
    fill(&api);
    let upstream = runtime.block_on(Resolver::start(|asked| {
        let reply = if queries::qtype(&asked.octets) == queries::AAAA {
            resolver::empty(&asked.octets, 0)
        } else {
            resolver::answer(&asked.octets, 0, 7)
        };
        vec![Act::Send(reply)]
    }));
    let folder = tempfile::tempdir().unwrap();
    let dead = free_port();
    let server = start(folder.path(), &api.url(), upstream.address, dead);
    server.until("rollcall_objects{kind=\"Pod\"} 1");
    // What is no time counts nothing.
    triggered(&api, "kubia", "10.0.0.1", "yesterday");
    triggered(&api, "kubia", "10.0.0.2", "2026-01-01T00:00:00Z");
    triggered(&api, "web", "10.0.0.3", "2026-01-01T00:00:00.5Z");
    triggered(&api, "manual", "10.0.0.4", "2026-01-01T00:00:00Z");
    for kind in ["headless_with_selector", "headless_without_selector", "cluster_ip"] {
        server.until(&format!(
            "coredns_kubernetes_dns_programming_duration_seconds_count{{service_kind=\"{kind}\"}} 1\n"
        ));
    }
    let found = server.ask("printer.example.default.svc.cluster.local", 1).expect("autopath answers");
    assert_eq!(found[3] & 0xf, 0, "autopath finds the name outside");
    for (name, qtype) in [
        ("kubia.default.svc.cluster.local", 1),
        ("a.example", 1),
        ("a.example", 1),
        ("six.example", 28),
        ("www.blocked.example", 1),
        ("www.filtered.example", 1),
        ("www.dropped.example", 1),
        ("www.allowed.example", 1),
        ("www.broken.example", 1),
        ("printer.example", 1),
        ("localhost.example", 1),
        ("a.tcp.example", 1),
        ("b.tcp.example", 1),
        ("a.dead.example", 1),
    ] {
        server.ask(name, qtype);
    }
    server.until("coredns_forward_healthcheck_failures_total{");
    server.until("coredns_proxy_conn_cache_hits_total{");
    server.until("coredns_health_request_duration_seconds_count ");
    server.exposition()
}

/// An alert sees a counter rise only when it was there before.
#[test]
fn counters_of_our_own_are_there_before_they_count() {
    let runtime = rollcall_testing::runtime();
    let api = runtime.block_on(ApiServer::start());
    api.set_protobuf(false);
    fill(&api);
    let folder = tempfile::tempdir().unwrap();
    let dead = free_port();
    let server = start(folder.path(), &api.url(), SocketAddr::from(([127, 0, 0, 1], dead)), dead);
    server.until("rollcall_objects{kind=\"Pod\"} 1");
    let said = server.exposition();
    let documented = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    let counters: Vec<&str> = documented.split('`').filter(|word| is_own_counter(word)).collect();
    assert!(counters.len() > 8, "{counters:?}");
    for name in counters {
        let samples: Vec<&str> = said.lines().filter(|line| line.starts_with(name)).collect();
        assert!(!samples.is_empty(), "{name} is not there");
        assert!(samples.iter().all(|sample| sample.ends_with(" 0")), "{samples:?}");
    }
    let rule: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(repository("deploy/monitoring/prometheus-rule.yaml")).unwrap())
            .unwrap();
    let counter = Regex::new(r"\b(?:coredns|rollcall)_[a-z_]+_(?:total|detected)").unwrap();
    let rule = rule.to_string();
    let counters: BTreeSet<&str> = counter.find_iter(&rule).map(|found| found.as_str()).collect();
    assert!(counters.len() > 6, "{counters:?}");
    for name in counters {
        assert!(said.lines().any(|line| line.starts_with(name)), "an alert reads {name}, which is not there");
    }
}

/// What the alerts on upstreams read is what one that is dead makes.
#[test]
fn a_dead_upstream_is_asked_answers_nothing_and_fails_its_checks() {
    let folder = tempfile::tempdir().unwrap();
    let [port, metrics, dead] = [free_port(), free_port(), free_port()];
    let corefile = format!(
        ".:{port} {{\n bind 127.0.0.1\n prometheus 127.0.0.1:{metrics}\n forward . 127.0.0.1:{dead} {{\n  \
         health_check 50ms\n }}\n}}\n"
    );
    std::fs::write(folder.path().join("Corefile"), corefile).unwrap();
    let server = Counting::start(folder.path(), port, metrics);
    let to = format!("to=\"127.0.0.1:{dead}\"");
    server.until(&format!("coredns_proxy_healthcheck_failures_total{{proxy_name=\"forward\",{to}}} 0\n"));
    let answer = server.ask("a.example", 1).expect("a failure is told");
    assert_eq!(answer[3] & 0xf, 2);
    let value = |said: &str, sample: &str| {
        let line = said.lines().find(|line| line.starts_with(sample)).unwrap_or_else(|| panic!("{sample} in {said}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    // The checks of one that is down go on.
    let failures = format!("coredns_proxy_healthcheck_failures_total{{proxy_name=\"forward\",{to}}}");
    wait_for(|| value(&server.exposition(), &failures) >= 3.0, || format!("failures in {}", server.exposition()));
    let said = server.exposition();
    let value = |sample: &str| value(&said, sample);
    assert!(value(&format!("coredns_forward_requests_total{{{to}}}")) >= 1.0);
    assert!(value(&format!("coredns_forward_responses_total{{rcode=\"NOERROR\",{to}}}")).abs() < 0.5);
    assert!(value("coredns_dns_responses_total{plugin=\"\",rcode=\"SERVFAIL\"") >= 1.0);
}

fn is_own_counter(word: &str) -> bool {
    word.strip_prefix("rollcall_").is_some_and(|rest| {
        rest.ends_with("_total") && rest.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'_')
    })
}

#[test]
fn a_running_server_exposes_the_list_with_its_labels_and_buckets() {
    let text = exercised();
    let families = parse(&text);
    let mut wrong = Vec::new();
    for row in rows() {
        let Some(family) = families.get(&row.name) else {
            if !row.rare {
                wrong.push(format!("{} is missing", row.name));
            }
            continue;
        };
        if row.rare {
            wrong.push(format!("{} is not rare", row.name));
        }
        if family.kind != row.kind {
            wrong.push(format!("{} is a {}, not a {}", row.name, family.kind, row.kind));
        }
        if family.labels != BTreeSet::from([row.labels.clone()]) {
            wrong.push(format!("{} has the labels {:?}, not {:?}", row.name, family.labels, row.labels));
        }
        let expected = row.buckets.unwrap_or_default();
        let close = |(one, other): (&f64, &f64)| (one - other).abs() <= other.abs() * 1e-9;
        if family.buckets.len() != expected.len() || !family.buckets.iter().zip(&expected).all(close) {
            wrong.push(format!("{} has the buckets {:?}, not {expected:?}", row.name, family.buckets));
        }
    }
    let listed: BTreeSet<String> = rows().into_iter().map(|row| row.name).collect();
    for name in families.keys().filter(|name| name.starts_with("coredns_") && !listed.contains(*name)) {
        wrong.push(format!("{name} is not in the list: a metric of our own begins with rollcall_"));
    }
    for needed in asked_for() {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| needed.strip_suffix(end)).unwrap_or(&needed);
        if !families.contains_key(family) && !families.contains_key(&needed) {
            wrong.push(format!("an alert or dashboard asks for {needed}, which is not there"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\nin\n{text}", wrong.join("\n"));
    for (sample, why) in [
        ("proto=\"udp\",server=\"dns://127.0.0.1:", "the server as CoreDNS names it"),
        ("family=\"1\"", "the address family as a number"),
        ("rcode=\"NOERROR\",to=\"127.0.0.1:", "the upstream's response code and address"),
    ] {
        assert!(text.contains(sample), "{why}: {sample}\nin\n{text}");
    }
}

//----------- What is asked for ------------------------------------------------

/// The series that our own alerts and dashboard name, and those that the common ones of CoreDNS name.
fn asked_for() -> BTreeSet<String> {
    let series = Regex::new(r"\b(?:coredns|rollcall|process|go)_[a-z0-9_]+").unwrap();
    let mut names = BTreeSet::new();
    let mut files = 0;
    for entry in std::fs::read_dir(repository("deploy/monitoring")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        names.extend(expressions(&text).flat_map(|text| series.find_iter(text).map(|found| found.as_str().to_owned())));
        files += 1;
    }
    assert!(files >= 3 && names.len() > 15, "{files} files name {names:?}");
    // The alerts of the mixin for CoreDNS, and the dashboards 15762 and 12539 of Grafana's collection.
    let common = [
        "coredns_build_info",
        "coredns_cache_entries",
        "coredns_cache_hits_total",
        "coredns_cache_misses_total",
        "coredns_dns_do_requests_total",
        "coredns_dns_request_duration_seconds_bucket",
        "coredns_dns_request_size_bytes_bucket",
        "coredns_dns_request_size_bytes_count",
        "coredns_dns_request_size_bytes_sum",
        "coredns_dns_requests_total",
        "coredns_dns_response_size_bytes_bucket",
        "coredns_dns_responses_total",
        "coredns_forward_healthcheck_broken_total",
        "coredns_forward_healthcheck_failures_total",
        "coredns_forward_request_duration_seconds_bucket",
        "coredns_forward_requests_total",
        "coredns_forward_responses_total",
        "coredns_kubernetes_dns_programming_duration_seconds_bucket",
        "coredns_panics_total",
        "coredns_plugin_enabled",
        "coredns_proxy_request_duration_seconds_count",
        "go_goroutines",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
    ];
    names.extend(common.map(str::to_owned));
    names
}

/// The lines that hold a query.
fn expressions(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let line = line.trim_start();
        let begins = ["expr:", "\"expr\":", "\"query\":", "\"definition\":"].iter().any(|key| line.starts_with(key));
        let goes_on = inside && !line.contains(": ") && !line.starts_with("for:");
        inside = begins && line.ends_with('|') || goes_on;
        begins || goes_on
    })
}

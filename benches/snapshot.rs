//! A snapshot of 100,000 endpoints in 5,000 headless Services, beside 5,000 ClusterIPs: its size, the time that it takes to
//! be written and taken in, and the time from the start of the program to the first right answer, the API server away.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the figures are its purpose, and it stops at what it did not expect"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use rollcall::cluster::facts::{Fact, Kind, NamespaceFact};
use rollcall::cluster::snapshot::{Head, Snapshot, encode};
use rollcall::cluster::{Index, IndexSettings};
use rollcall::zone::pair;
use rollcall_testing::api_server::ApiServer;
use rollcall_testing::client::try_ask;
use rollcall_testing::http::is_ready;
use rollcall_testing::many::Many;
use rollcall_testing::objects::{endpoint, namespace, ports};
use rollcall_testing::{Server, folder, free_port, runtime, wait_for};
use serde_json::json;

const SERVICES: usize = 5_000;
const ENDPOINTS: usize = 20;

/// A snapshot is to stay below this.
const MOST: usize = 4_000_000;

fn main() {
    for (title, name) in
        [("short hostnames", "app"), ("long hostnames", "my-release-postgresql-"), ("no hostnames", "")]
    {
        format(title, Many { services: SERVICES, endpoints: ENDPOINTS, name });
    }
    restart();
}

fn format(title: &str, many: Many<'_>) {
    let (publisher, _reader) = pair();
    let mut index = Index::new(publisher, IndexSettings::default());
    let now = Instant::now();
    let namespaces = many.namespaces().map(|name| Fact::Namespace(NamespaceFact { name: name.into() }));
    index.apply_page(namespaces.collect(), now, 1);
    for kind in [Kind::Service, Kind::EndpointSlice] {
        index.apply_page(many.facts(kind).collect(), now, 1);
    }
    let head = Head { cluster: "bench".into(), settings: "bench".into(), true_at: 1 };
    let (mut octets, mut longest) = (Vec::new(), Duration::ZERO);
    let started = Instant::now();
    let mut remaining = index.objects();
    let listed = started.elapsed();
    encode(&mut octets, &head, || {
        let begun = Instant::now();
        let groups = index.give_out(&mut remaining, 2000);
        longest = longest.max(begun.elapsed());
        groups
    })
    .unwrap();
    let written = started.elapsed();
    let started = Instant::now();
    let snapshot = Snapshot::open(&octets).unwrap();
    let checked = started.elapsed();
    let started = Instant::now();
    let mut groups = 0;
    for block in snapshot.blocks() {
        groups += block.unwrap().len();
    }
    let decoded = started.elapsed();
    let (publisher, reader) = pair();
    let mut restored = Index::new(publisher, IndexSettings::default());
    let started = Instant::now();
    for block in snapshot.blocks() {
        restored.restore(block.unwrap(), now);
    }
    restored.end_restore(1);
    let taken = started.elapsed();
    assert_eq!(reader.services().len(), 2 * SERVICES);
    println!(
        "{title}: {} octets of {groups} groups; written in {written:.1?}, the lock held for {:.1?} at most; checked in \
         {checked:.1?}, decoded in {decoded:.1?}, decoded and taken in in {taken:.1?}",
        octets.len(),
        longest.max(listed),
    );
    assert!(octets.len() < MOST, "{} octets", octets.len());
}

/// The program itself: the API server lists, goes away, and the program is started again.
fn restart() {
    let runtime = runtime();
    let server = runtime.block_on(ApiServer::start());
    for at in 0..10 {
        server.apply("namespaces", namespace(&format!("ns{at}")));
    }
    for at in 0..2 * SERVICES {
        let own = format!("ns{}", at % 10);
        let address = if at < SERVICES { "None".to_owned() } else { format!("10.96.{}.{}", at / 250, at % 250) };
        let spec = json!({"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": ports("http", "TCP", 80)});
        server.apply("services", json!({"metadata": {"namespace": own, "name": format!("app{at}")}, "spec": spec}));
        if at < SERVICES {
            let address = |i: usize| format!("10.{}.{}.{}", 128 + at / 1000, at % 1000 / 4, at % 4 * 50 + i + 1);
            let endpoints = (0..ENDPOINTS).map(|i| endpoint(&format!("app{at}-{i}"), &address(i))).collect::<Vec<_>>();
            let labels = json!({"kubernetes.io/service-name": format!("app{at}")});
            let metadata = json!({"namespace": own, "name": format!("app{at}-x7k2p"), "labels": labels});
            let slice = json!({"metadata": metadata, "addressType": "IPv4", "ports": ports("http", "TCP", 80), "endpoints": endpoints});
            server.apply("endpointslices", slice);
        }
    }
    let (port, ready) = (free_port(), free_port());
    let site = folder(&format!(
        "cluster.local:{port} {{\nbind 127.0.0.1\nready 127.0.0.1:{ready}\nkubernetes cluster.local {{\nendpoint {}\n}}\n}}\n",
        server.url()
    ));
    std::fs::create_dir(site.path().join("snapshot")).unwrap();
    let arguments = ["-conf", "Corefile", "-rollcall.snapshot", "snapshot"];
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let ask = |name: &str| {
        let told = try_ask(addr, name, RecordType::A)?;
        (!told.answers.is_empty()).then_some(())
    };
    // Without a snapshot, the API server there.
    let started = Instant::now();
    let mut first = Server::start(&arguments, site.path());
    wait_for(|| is_ready(SocketAddr::from(([127, 0, 0, 1], ready))), || first.said());
    println!("ready without a snapshot after {:.1?}", started.elapsed());
    let written = || std::fs::read_dir(site.path().join("snapshot")).unwrap().count() == 1;
    wait_for(written, || first.said());
    first.signal("TERM");
    first.ended();
    let away = server.stop();
    for name in ["app0-0.app0.ns0", "app4999.ns9", "app7777.ns7"] {
        let mut took = Vec::new();
        for _ in 0..11 {
            let started = Instant::now();
            let again = Server::start(&arguments, site.path());
            while ask(&format!("{name}.svc.cluster.local.")).is_none() {
                assert!(started.elapsed() < Duration::from_secs(60), "{}", again.said());
            }
            took.push(started.elapsed());
        }
        took.sort();
        println!("first answer for {name}, the API server away: median {:.1?}, longest {:.1?}", took[5], took[10]);
    }
    drop(away);
}

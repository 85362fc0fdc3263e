//! The answers of server blocks, by their chains and without, and what they cost; no socket of ours is between.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use rollcall_testing::worked;

use super::plan::served;
use crate::chain::{Client, Transport};
use crate::plugins::testing::{OneZone, block_with};
use crate::serve::RouteTable;
use crate::serve::testing::{CLIENT, Direct, query, with_opt};
use crate::wire::Label;
use crate::wire::message::{Message, decode};
use crate::zone::{
    Changes, EndpointChange, EndpointState, Endpoints, External, ExternalHost, Port, Protocol, Publisher, Service,
    ServiceKind, ServiceName,
};

/// A server block with these lines; its cluster is empty and synced.
fn serves(lines: &str) -> Direct {
    let (mut publisher, _) = crate::zone::pair();
    publisher.set_synced();
    serves_with(lines, publisher)
}

fn serves_with(lines: &str, publisher: Publisher) -> Direct {
    let mut cluster = OneZone { publisher: Some(publisher), ..OneZone::default() };
    let block = Arc::new(block_with(lines, &mut cluster).unwrap());
    Direct::new(RouteTable::new("dns://:53", vec![served(&block, &block.keys)]))
}

fn ask(server: &Direct, octets: &[u8], client: Client) -> Message {
    decode(&server.answer(octets, client).now_or_never().expect("nothing waits").expect("an answer")).unwrap()
}

const HOSTS: &str =
    "hosts {\n 192.0.2.1 www.example.org\n 192.0.2.2 www.example.org\n 192.0.2.3 www.example.org\n ttl 600\n }";

/// The answer from memory, without the chain.
fn recalled(server: &Direct, octets: &[u8], transport: Transport, seed: u64) -> Option<Vec<u8>> {
    let (octets, plugin) = server.at_once(octets, Client { transport, ..CLIENT }, Instant::now(), seed)?;
    assert_eq!((octets[3] & 0xf, plugin), (0, "cache"));
    Some(octets)
}

#[test]
fn a_remembered_answer_is_what_the_chain_gives_and_needs_no_chain() {
    let corefile = format!("errors\n cache 300\n {HOSTS}");
    let server = serves(&corefile);
    let plain = query("Www.Example.org", 1);
    assert_eq!(recalled(&server, &plain, Transport::Udp, 1), None);
    ask(&server, &plain, CLIENT);
    for octets in [plain.clone(), with_opt(plain.clone(), 1232), query("www.example.ORG", 1)] {
        let by_memory = recalled(&server, &octets, Transport::Udp, 1).unwrap();
        // A name that memory does not know takes the chain, whose cache has the same answer.
        let by_chain = serves(&corefile.replace("errors", "errors\n log"));
        assert_eq!(recalled(&by_chain, &octets, Transport::Udp, 1), None);
        ask(&by_chain, &octets, CLIENT);
        let chained = by_chain.answer(&octets, CLIENT).now_or_never().unwrap().unwrap();
        let (mut a, mut b) = (decode(&by_memory).unwrap(), decode(&chained).unwrap());
        a.answers.sort_by_key(|record| record.data.to_string());
        b.answers.sort_by_key(|record| record.data.to_string());
        assert_eq!(a, b);
        assert_eq!(chained.len(), by_memory.len());
    }
}

#[test]
fn a_remembered_answer_gets_a_random_order_where_loadbalance_says_so() {
    for (loadbalance, orders) in [("loadbalance", 6), ("", 1)] {
        let corefile = format!("{loadbalance}\n cache 300\n {HOSTS}");
        let server = serves(&corefile);
        ask(&server, &query("www.example.org", 1), CLIENT);
        let seen: BTreeSet<Vec<u8>> = (0..200)
            .map(|seed| recalled(&server, &query("www.example.org", 1), Transport::Tcp, seed * 7777).unwrap())
            .collect();
        assert_eq!(seen.len(), orders);
    }
}

#[test]
fn the_chain_sees_to_remembered_answers_that_something_in_front_looks_at() {
    for (lines, name) in [
        ("log", "www.example.org"),
        ("acl {\n block net 203.0.113.0/24\n }", "www.example.org"),
        ("loadbalance round_robin {\n prefer 10.0.0.0/8\n }", "www.example.org"),
        // A name of the cluster's zones is for its plugin, even if it is remembered from before.
        ("kubernetes example.org {\n fallthrough\n }", "www.example.org"),
    ] {
        let server = serves(&format!("{lines}\n cache 300\n {HOSTS}"));
        ask(&server, &query(name, 1), CLIENT);
        assert_eq!(recalled(&server, &query(name, 1), Transport::Udp, 1), None, "{lines}");
    }
}

const MANY: usize = 400;

/// A server that remembers 400 addresses of `many.example.org`.
fn remembers_many() -> Direct {
    let hosts: String = (0..MANY).map(|n| format!(" 10.9.{}.{} many.example.org\n", n / 250, n % 250)).collect();
    let server = serves(&format!("cache 300\n hosts {{\n{hosts} ttl 600\n }}"));
    ask(&server, &query("many.example.org", 1), Client { transport: Transport::Tcp, ..CLIENT });
    server
}

#[test]
fn a_remembered_answer_too_long_for_the_client_is_cut_without_the_chain() {
    let server = remembers_many();
    let octets = query("many.example.org", 1);
    let cut = recalled(&server, &octets, Transport::Udp, 1).unwrap();
    let read = decode(&cut).unwrap();
    assert!(cut.len() <= 512 && read.truncation && read.answers.len() == (512 - 34) / 16);
    assert_eq!(read, ask(&server, &octets, CLIENT), "and through the chain alike");
    let longer = decode(&recalled(&server, &with_opt(octets.clone(), 1232), Transport::Udp, 1).unwrap()).unwrap();
    assert!(longer.truncation && longer.edns.is_some() && longer.answers.len() == (1232 - 11 - 34) / 16);
    // Longer than a place in a batch, and the client can take it: that is for the chain.
    assert_eq!(recalled(&server, &with_opt(octets.clone(), 9000), Transport::Udp, 1), None);
    assert_eq!(ask(&server, &with_opt(octets, 9000), CLIENT).answers.len(), MANY);
}

/// The addresses of an answer, sorted.
fn addresses(octets: &[u8]) -> Vec<String> {
    let mut all: Vec<String> = decode(octets).unwrap().answers.iter().map(|record| record.data.to_string()).collect();
    all.sort();
    all
}

/// The answer that a client is given at once when it asks so many seconds from now.
fn given(server: &Direct, octets: &[u8], client: u32, seconds: u64, seed: u64) -> Vec<u8> {
    let peer = SocketAddr::new(Ipv4Addr::from(0x0a14_0000 + client).into(), 4000 + seed as u16);
    let received = Instant::now() + Duration::from_secs(seconds);
    let (octets, _) = server.at_once(octets, Client { peer, ..CLIENT }, received, seed * 7777).expect("known at once");
    assert!(octets.len() <= 512 && octets[2] & 2 != 0, "truncated");
    octets
}

/// A cluster with a headless Service `big` of so many peers; with a Service `wide` that is reached at as many addresses and
/// has as many ports, and as many Services that are reached at 192.0.2.1.
fn with_peers(count: u16) -> Publisher {
    let label = |text: &str| Label::new(text.as_bytes()).unwrap();
    let name = ServiceName::new(&label("big"), &label("default"));
    let ports: Arc<[Port]> = [Port { name: Some(label("http")), protocol: Protocol::Tcp, number: 80 }].into();
    let peers: Vec<EndpointChange> = (0..count)
        .map(|n| {
            let [high, low] = n.to_be_bytes();
            let address = IpAddr::from([10, 1, high, low]);
            let state = EndpointState { addresses: [address].into(), ports: ports.clone(), zone: None };
            EndpointChange { label: label(&format!("peer-{n}")), state: Some(state) }
        })
        .collect();
    let endpoints = Endpoints::default().apply(&peers);
    let service = Service { name: name.clone(), kind: ServiceKind::Headless, endpoints };
    let reached = |service: &str, hosts: Vec<IpAddr>, ports: Vec<Port>| {
        let name = ServiceName::new(&label(service), &label("default"));
        let hosts: Vec<_> = hosts.into_iter().map(ExternalHost::Address).collect();
        (name.clone(), Some(Arc::new(External::new(name, &hosts, ports.into()))))
    };
    let wide = (0..count).map(|n| IpAddr::from([10, 2, n.to_be_bytes()[0], n.to_be_bytes()[1]]));
    let port = |number| Port { name: Some(label(&format!("p{number}"))), protocol: Protocol::Tcp, number };
    let mut external = vec![reached("wide", wide.collect(), (1..=count).map(port).collect())];
    external.extend((0..count).map(|n| reached(&format!("web-{n}"), vec![[192, 0, 2, 1].into()], vec![port(80)])));
    let (mut publisher, _) = crate::zone::pair();
    publisher.publish(Changes {
        external,
        services: vec![(name, Some(Arc::new(service)))],
        namespaces: vec![(label("default"), true)],
        ..Changes::default()
    });
    publisher.set_synced();
    publisher
}

fn serves_big() -> Direct {
    serves_with("kubernetes cluster.local", with_peers(200))
}

/// Answers every query over UDP with so many addresses, however large that is, until its value is dropped.
struct ManyAddresses(SocketAddr);

impl ManyAddresses {
    fn start(count: u16) -> Self {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((len @ 12.., from)) = socket.recv_from(&mut buffer) {
                let question = 12 + buffer[12..len].iter().position(|&octet| octet == 0).unwrap() + 5;
                let mut reply = buffer[..question].to_vec();
                let [high, low] = count.to_be_bytes();
                reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, high, low, 0, 0, 0, 0]);
                for n in 0..count {
                    let [high, low] = n.to_be_bytes();
                    reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 0x58, 0, 4, 10, 9, high, low]);
                }
                socket.send_to(&reply, from).unwrap();
            }
        });
        Self(address)
    }
}

impl Drop for ManyAddresses {
    fn drop(&mut self) {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&[], self.0).unwrap();
    }
}

/// A zone file in which names have so many records, or lead to so many.
fn zone_file(count: u16) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut text = "$ORIGIN example.org.\n@ 60 IN SOA ns1 host 1 7200 3600 1209600 300\n@ NS ns1\n".to_owned();
    for n in 0..count {
        let (high, low) = (n / 250, n % 250);
        text += &format!("many A 10.9.{high}.{low}\nmany TXT text-{n}\nmail MX 10 many\nmail MX {n} m{n}\n");
        text += &format!("m{n} A 10.9.{high}.{low}\nservers SRV 0 0 {n} m{n}\nsub NS m{n}\n");
    }
    std::fs::write(file.path(), text).unwrap();
    file
}

// Invariant: work for one query is bounded by the octets that leave.
#[test]
fn an_answer_out_of_thousands_costs_no_more_than_one_out_of_hundreds() {
    const SIZES: [u16; 3] = [10, 500, 5000];
    let (inside, outside, many) = ("big.default.svc.cluster.local", "big.default.ext.example", "many.example.org");
    let wide = "wide.default.ext.example";
    let kubernetes = "kubernetes cluster.local";
    let external = format!("{kubernetes}\nk8s_external ext.example in-addr.arpa {{\nheadless\n}}");
    let searched = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(searched.path(), "search nowhere.cluster.local default.svc.cluster.local\n").unwrap();
    let autopath = format!("autopath {}\n{kubernetes}", searched.path().display());
    let cases: Vec<(String, &str, u16)> = vec![
        (kubernetes.into(), inside, 1),
        (kubernetes.into(), inside, 33),
        (format!("log\n{kubernetes}"), inside, 1),
        (format!("log\n{kubernetes}"), inside, 33),
        (format!("log\ncache 30\nloadbalance\n{kubernetes}"), inside, 33),
        (external.clone(), outside, 1),
        (external.clone(), outside, 33),
        (external.clone(), "_http._tcp.big.default.ext.example", 33),
        (external.clone(), outside, 16),
        (external.clone(), wide, 1),
        (external.clone(), wide, 33),
        (external.clone(), "_p7._tcp.wide.default.ext.example", 33),
        (external.clone(), "1.2.0.192.in-addr.arpa", 12),
        (external, "7.0.2.10.in-addr.arpa", 12),
        (format!("rewrite name exact other.example. {inside}.\n{kubernetes}"), "other.example", 33),
        (format!("dns64 {{\nallow_ipv4\n}}\n{kubernetes}"), inside, 28),
        (autopath, "big.nowhere.cluster.local", 1),
        ("HOSTS".into(), many, 1),
        ("cache 300\nHOSTS".into(), many, 1),
        ("log\ncache 300\nloadbalance\nHOSTS".into(), many, 1),
        ("dns64 {\nallow_ipv4\n}\nHOSTS".into(), many, 28),
        ("FILE".into(), many, 1),
        ("FILE".into(), many, 255),
        ("FILE".into(), "mail.example.org", 15),
        ("FILE".into(), "servers.example.org", 33),
        ("FILE".into(), "x.sub.example.org", 1),
        ("cache 300\nFILE".into(), many, 1),
        ("TEMPLATE".into(), many, 1),
        ("cache 300\nTEMPLATE".into(), many, 1),
        ("cache 300\nFORWARD".into(), many, 1),
        ("log\ncache 300\nloadbalance\nFORWARD".into(), many, 1),
        ("FORWARD".into(), many, 1),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // What no message holds is neither remembered nor sent.
    let files = SIZES.map(|size| zone_file(size.min(4000)));
    let upstreams = SIZES.map(|size| ManyAddresses::start(size.min(4000)));
    for (lines, name, qtype) in cases {
        let costs: Vec<Duration> = (0..SIZES.len())
            .map(|at| {
                let size = SIZES[at];
                let each = |line: &dyn Fn(u16) -> String| (0..size.min(4000)).map(line).collect::<String>();
                let hosts = each(&|n| format!("10.9.{}.{} {many}\n", n / 250, n % 250));
                let answers = each(&|n| format!("answer \"{{{{ .Name }}}} 60 IN A 10.9.{}.{}\"\n", n / 250, n % 250));
                let lines = lines
                    .replace("HOSTS", &format!("hosts {{\n{hosts}ttl 600\n}}"))
                    .replace("TEMPLATE", &format!("template IN A {{\n{answers}}}"))
                    .replace("FILE", &format!("file {} example.org", files[at].path().display()))
                    .replace("FORWARD", &format!("forward . {}", upstreams[at].0));
                let peers = if lines.contains("kubernetes") { size } else { 0 };
                let _in_runtime = runtime.enter();
                let server = serves_with(&lines, with_peers(peers));
                let octets = query(name, qtype);
                let ask = |transport| {
                    let client = Client { transport, ..CLIENT };
                    runtime.block_on(server.answer(&octets, client)).unwrap()
                };
                // Where there is a cache, it remembers from here on.
                ask(if lines.contains("forward") { Transport::Udp } else { Transport::Tcp });
                let one = || {
                    let begun = worked();
                    for _ in 0..20 {
                        let reply = ask(Transport::Udp);
                        assert!(reply.len() <= 512 && reply[3] & 0xf == 0, "{lines}");
                        let is_one_of_many = reply[2] & 2 != 0 || size < 500 || reply[7] < 2;
                        assert!(is_one_of_many, "{lines}\n{name} {qtype} is no longer than an answer can be");
                    }
                    worked() - begun
                };
                (0..5).map(|_| one()).min().unwrap()
            })
            .collect();
        // What an upstream says is read once, all of it.
        let most = if lines.starts_with("FORWARD") { 16 } else { 5 };
        let (hundreds, thousands) = (costs[1], costs[2]);
        assert!(thousands < hundreds * most + Duration::from_millis(2), "{lines}\n{name} {qtype}: {costs:?}");
    }
}

#[test]
fn what_stays_of_a_long_answer_is_one_choice_for_a_client_and_even_over_all() {
    for (server, name, qtype, all) in [
        (remembers_many(), "many.example.org", 1, MANY),
        (serves_big(), "big.default.svc.cluster.local", 1, 200),
        (serves_big(), "big.default.svc.cluster.local", 33, 200),
    ] {
        let octets = query(name, qtype);
        let first = given(&server, &octets, 1, 0, 1);
        let (mut sets, mut orders) = (BTreeSet::new(), BTreeSet::new());
        for seconds in 0..120 {
            let octets = given(&server, &octets, 1, seconds, seconds);
            sets.insert(addresses(&octets));
            orders.insert(octets);
        }
        // Half a minute each, wherever the first begins.
        assert!((4..=5).contains(&sets.len()), "{name} {qtype}: {} choices in two minutes", sets.len());
        assert!(qtype == 33 || name.starts_with("many") || orders.len() > 100, "addresses have a new order each time");
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for client in 0..400 {
            for address in addresses(&given(&server, &octets, client, 0, 3)) {
                *counts.entry(address).or_default() += 1;
            }
        }
        let mean = f64::from(counts.values().sum::<u32>()) / all as f64;
        let chi: f64 = counts.values().map(|&count| (f64::from(count) - mean).powi(2) / mean).sum();
        assert!(chi < 1.6 * all as f64, "{name} {qtype}: chi square {chi} for {all} records");
        assert!(counts.len() * 100 > all * 99 && !first.is_empty());
    }
}

//! Not one query is lost: not by reloads under load, and not in a rolling restart.
#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use rollcall_testing::api_server::{ApiServer, Fault, Verb};
use rollcall_testing::http::is_ready;
use rollcall_testing::queries::{self, framed, receive};
use rollcall_testing::{PATIENCE, Server, answer, folder, free_port, objects, wait_for};
use serde_json::json;

/// `a.example` A, with an id.
fn query(id: u16) -> Vec<u8> {
    queries::query(id, "a.example", queries::A)
}

/// Who is asked, when to stop, and what became of the queries.
#[derive(Default)]
struct Load {
    to: Mutex<Option<SocketAddr>>,
    stop: AtomicBool,
    asked: AtomicUsize,
    answered: AtomicUsize,
}

impl Load {
    fn of(to: SocketAddr) -> Arc<Self> {
        Arc::new(Self { to: Mutex::new(Some(to)), ..Self::default() })
    }

    fn to(&self) -> SocketAddr {
        self.to.lock().unwrap().unwrap()
    }

    fn turn_to(&self, to: SocketAddr) {
        *self.to.lock().unwrap() = Some(to);
    }

    fn ended(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Asks over UDP, in batches, and waits for each answer.
    fn udp(self: &Arc<Self>) -> JoinHandle<()> {
        let load = self.clone();
        spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            while !load.ended() {
                let to = load.to();
                for id in 0..16 {
                    socket.send_to(&query(id), to).unwrap();
                }
                load.asked.fetch_add(16, Ordering::Relaxed);
                let mut buffer = [0; 512];
                for _ in 0..16 {
                    if socket.recv_from(&mut buffer).is_ok() {
                        load.answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        })
    }

    /// Asks over one TCP connection after another, several queries at a time; a new one only where the server changes.
    fn tcp(self: &Arc<Self>) -> JoinHandle<()> {
        let load = self.clone();
        spawn(move || {
            while !load.ended() {
                let to = load.to();
                let mut stream = TcpStream::connect(to).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                while !load.ended() && load.to() == to {
                    let batch: Vec<u8> = (0..8).flat_map(|id| framed(&query(id))).collect();
                    load.asked.fetch_add(8, Ordering::Relaxed);
                    stream.write_all(&batch).unwrap();
                    for _ in 0..8 {
                        if receive(&mut stream).is_ok() {
                            load.answered.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            }
        })
    }

    /// Asks over a TCP connection of its own each time.
    fn short_tcp(self: &Arc<Self>) -> JoinHandle<()> {
        let load = self.clone();
        spawn(move || {
            while !load.ended() {
                load.asked.fetch_add(2, Ordering::Relaxed);
                let Ok(mut stream) = TcpStream::connect(load.to()) else { continue };
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let batch: Vec<u8> = (0..2).flat_map(|id| framed(&query(id))).collect();
                let mut answered = stream.write_all(&batch).is_ok();
                for _ in 0..2 {
                    answered = answered && receive(&mut stream).is_ok_and(|answer| answer[3] & 0xf == 0);
                    load.answered.fetch_add(usize::from(answered), Ordering::Relaxed);
                }
            }
        })
    }

    fn end(&self, clients: Vec<JoinHandle<()>>) {
        self.stop.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
        let (asked, answered) = (self.asked.load(Ordering::Relaxed), self.answered());
        assert!(asked > 0);
        assert_eq!(asked, answered, "{} of {asked} queries were lost", asked - answered);
    }
}

/// Waits until both loads have been answered this many times more.
fn go_on(loads: [&Load; 2], count: usize) {
    let before = loads.map(Load::answered);
    let went_on = || loads.iter().zip(before).all(|(load, before)| load.answered() > before + count);
    wait_for(went_on, || "answers".to_owned());
}

#[test]
fn reloads_under_load_lose_no_query() {
    let (port, other) = (free_port(), free_port());
    let text = |round: usize| {
        // Another answer each time, another chain, and a listener that comes and goes; all addresses and one, by turns.
        let more = if round.is_multiple_of(2) { format!(" .:{other}") } else { String::new() };
        let bind = ["bind 127.0.0.1", "", "bind 127.0.0.1 127.0.0.2", "bind 0.0.0.0"][round / 2 % 4];
        let errors = if round.is_multiple_of(3) { "errors" } else { "loadbalance" };
        format!(
            ".:{port}{more} {{\n {bind}\n multisocket {}\n {errors}\n cache\n hosts {{\n  192.0.2.{} a.example\n }}\n}}\n",
            round % 3 + 1,
            round % 250 + 1
        )
    };
    let folder = folder(&text(0));
    let server = Server::start(&[], folder.path());
    answer(port, "a.example.", RecordType::A);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let (udp, tcp) = (Load::of(address), Load::of(address));
    let (udp_clients, tcp_clients) = (vec![udp.udp(), udp.udp()], vec![tcp.tcp(), tcp.tcp()]);
    for round in 1..=12 {
        go_on([&udp, &tcp], 100);
        let bad = round == 5 || round == 9;
        let text = if bad { text(round).replace("hosts", "hostss") } else { text(round) };
        fs::write(folder.path().join("Corefile"), text).unwrap();
        let (done, failed) = ("Reloading complete", "the old one is served on");
        let count = |word| server.said().matches(word).count();
        let before = (count(done), count(failed));
        server.signal("USR1");
        wait_for(|| (count(done), count(failed)) != before, || format!("a reload: {}", server.said()));
        assert_eq!((count(done) - before.0, count(failed) - before.1), if bad { (0, 1) } else { (1, 0) });
    }
    go_on([&udp, &tcp], 100);
    udp.end(udp_clients);
    tcp.end(tcp_clients);
    assert_eq!(server.said().matches("the old one is served on").count(), 2);
}

#[test]
fn a_rolling_restart_loses_no_query() {
    let (port, ready) = (free_port(), free_port());
    let text = |host: u8| {
        format!(
            ".:{port} {{
    bind 127.0.0.{host}
    ready 127.0.0.{host}:{ready}
    health 127.0.0.{host}:0 {{
        lameduck 5s
    }}
    hosts {{
        192.0.2.7 a.example
    }}
}}
"
        )
    };
    let (old_folder, new_folder) = (folder(&text(1)), folder(&text(2)));
    let is_ready = |host: u8| is_ready(SocketAddr::from(([127, 0, 0, host], ready)));
    let mut old = Server::start(&[], old_folder.path());
    wait_for(|| is_ready(1), || format!("the old server: {}", old.said()));
    let addresses = [1, 2].map(|host| SocketAddr::from(([127, 0, 0, host], port)));
    let (udp, tcp) = (Load::of(addresses[0]), Load::of(addresses[0]));
    let (udp_clients, tcp_clients) = (vec![udp.udp(), udp.udp()], vec![tcp.tcp(), tcp.tcp()]);
    // A connection that its client never closes.
    let mut idle = TcpStream::connect(addresses[0]).unwrap();
    idle.set_read_timeout(Some(PATIENCE)).unwrap();
    go_on([&udp, &tcp], 100);

    let new = Server::start(&[], new_folder.path());
    wait_for(|| is_ready(2), || format!("the new server: {}", new.said()));
    let told = Instant::now();
    old.signal("TERM");
    wait_for(|| !is_ready(1), || "/ready to fail".to_owned());
    assert!(told.elapsed() < Duration::from_secs(3), "/ready fails at once: {:?}", told.elapsed());
    // What watches readiness needs its time until clients are sent elsewhere.
    sleep(Duration::from_millis(500));
    assert!(old.child.try_wait().unwrap().is_none());
    udp.turn_to(addresses[1]);
    tcp.turn_to(addresses[1]);
    go_on([&udp, &tcp], 100);

    // A client that does not turn: it is answered past the order to close, until it must be closed while it still asks.
    let mut late = TcpStream::connect(addresses[0]).unwrap();
    late.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answered = Instant::now();
    while queries::send(&mut late, &query(99)).is_ok() && receive(&mut late).is_ok() {
        answered = Instant::now();
        sleep(Duration::from_millis(10));
    }
    assert!(answered - told > Duration::from_millis(5500), "answered until {:?}", answered - told);
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0, "closed in order, not reset");
    assert_eq!(old.ended().code(), Some(0), "{}", old.said());
    go_on([&udp, &tcp], 100);
    udp.end(udp_clients);
    tcp.end(tcp_clients);
}

/// An upstream that knows `a.example`, and how often it was asked.
fn upstream() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (socket.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let count = asked.clone();
    spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let mut answer = hickory_proto::op::Message::from_vec(&buffer[..len]).unwrap();
            let name = answer.queries[0].name().clone();
            if name.to_ascii().eq_ignore_ascii_case("a.example.") {
                count.fetch_add(1, Ordering::Relaxed);
            }
            answer.metadata.message_type = hickory_proto::op::MessageType::Response;
            let data = hickory_proto::rr::RData::A(hickory_proto::rr::rdata::A::new(192, 0, 2, 7));
            answer.add_answer(hickory_proto::rr::Record::from_rdata(name, 3600, data));
            socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
        }
    });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_watches_and_the_cache() {
    let api = ApiServer::start().await;
    api.apply("namespaces", objects::namespace("default"));
    api.apply("services", objects::cluster_ip("web", "10.96.0.1", json!([{"port": 80}])));
    let (to, asked) = upstream();
    let port = free_port();
    let url = api.url();
    let text = move |line: &str| {
        format!(
            ".:{port} {{\n bind 127.0.0.1\n {line}\n kubernetes cluster.local {{\n  endpoint {url}\n }}\n cache\n forward . {to}\n}}\n"
        )
    };
    let folder = folder(&text("errors"));
    tokio::task::spawn_blocking(move || {
        let server = Server::start(&[], folder.path());
        let web = || answer(port, "web.default.svc.cluster.local.", RecordType::A).answers.len();
        wait_for(|| web() == 1, || format!("the cluster's names: {}", server.said()));
        assert_eq!(answer(port, "a.example.", RecordType::A).answers.len(), 1);
        let requests = |verb| api.seen(verb, "services").len();
        let before = (requests(Verb::List), requests(Verb::Watch), asked.load(Ordering::Relaxed));
        assert_eq!(before.2, 1);
        for (round, line) in ["log", "errors", "loadbalance"].into_iter().enumerate() {
            fs::write(folder.path().join("Corefile"), text(line)).unwrap();
            server.signal("USR1");
            let reloaded = || server.said().matches("Reloading complete").count() > round;
            wait_for(reloaded, || format!("a reload: {}", server.said()));
            assert_eq!((web(), answer(port, "a.example.", RecordType::A).answers.len()), (1, 1));
        }
        assert_eq!((requests(Verb::List), requests(Verb::Watch), asked.load(Ordering::Relaxed)), before);
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_waits_for_a_silent_cluster_gives_way_to_a_correction() {
    let api = ApiServer::start().await;
    api.apply("namespaces", objects::namespace("default"));
    api.apply("services", objects::cluster_ip("web", "10.96.0.1", json!([{"port": 80}])));
    // Connections are made, and nobody answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, good, bad) = (free_port(), api.url(), format!("http://{}", silent.local_addr().unwrap()));
    let text = move |url: &str, line: &str| {
        format!(".:{port} {{\n bind 127.0.0.1\n {line}\n kubernetes cluster.local {{\n  endpoint {url}\n }}\n}}\n")
    };
    let folder = folder(&text(&good, ""));
    tokio::task::spawn_blocking(move || {
        let server = Server::start(&[], folder.path());
        let web = || answer(port, "web.default.svc.cluster.local.", RecordType::A).answers.len();
        wait_for(|| web() == 1, || format!("the cluster's names: {}", server.said()));
        for (round, signal) in [false, true].into_iter().enumerate() {
            let begun = Instant::now();
            fs::write(folder.path().join("Corefile"), text(&bad, "")).unwrap();
            server.signal("USR1");
            silent.accept().unwrap();
            fs::write(folder.path().join("Corefile"), text(&good, ["errors", "loadbalance"][round])).unwrap();
            if signal {
                server.signal("USR1");
            }
            let reloaded = || server.said().matches("Reloading complete").count() > round;
            wait_for(reloaded, || format!("a reload: {}", server.said()));
            assert!(begun.elapsed() < Duration::from_secs(30), "long before the wait is over: {:?}", begun.elapsed());
            assert_eq!(web(), 1);
        }
    })
    .await
    .unwrap();
}

/// The listening sockets of a port, as the system counts them.
fn listeners(port: u16) -> usize {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let listens = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&format!(":{port:04X}"))) && words.nth(1) == Some("0A")
    };
    tables.iter().flat_map(|table| table.lines()).filter(listens).count()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_process_takes_over_and_loses_no_query() {
    let api = ApiServer::start().await;
    api.apply("namespaces", objects::namespace("default"));
    api.apply("services", objects::cluster_ip("web", "10.96.0.1", json!([{"port": 80}])));
    let (port, ready, url) = (free_port(), free_port(), api.url());
    let text = format!(
        ".:{port} {{
    bind 127.0.0.1
    ready 127.0.0.1:{ready}
    rewrite name exact a.example web.default.svc.cluster.local answer auto
    kubernetes cluster.local {{
        endpoint {url}
    }}
}}
"
    );
    let folder = folder(&text);
    tokio::task::spawn_blocking(move || {
        let flags = ["-rollcall.handover", "-pidfile", "pid"];
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let page = SocketAddr::from(([127, 0, 0, 1], ready));
        let mut old = Server::start(&flags, folder.path());
        old.up(|| is_ready(page));
        let (udp, tcp) = (Load::of(address), Load::of(address));
        let (udp_clients, tcp_clients) = (vec![udp.udp(), udp.udp()], vec![tcp.short_tcp(), tcp.short_tcp()]);
        go_on([&udp, &tcp], 100);

        // Whoever does not ask for it is not let in, and takes nothing.
        let mut intruder = Server::start(&[], folder.path());
        assert_eq!(intruder.ended().code(), Some(1), "{}", intruder.said());
        assert!(intruder.said().contains("something listens there already"), "{}", intruder.said());

        for round in 0..4 {
            // One that does not know the cluster yet answers nobody.
            let away =
                || Fault::Status { code: 503, reason: "ServiceUnavailable", message: "not yet", retry_after: None };
            [Verb::List, Verb::Stream].into_iter().for_each(|verb| api.fault(verb, "services", away(), 1000));
            let mut new = Server::start(&flags, folder.path());
            new.until("another process serves here");
            wait_for(|| listeners(port) == 1, || format!("one listener: {}", new.said()));
            go_on([&udp, &tcp], 50);
            api.clear_faults();
            new.until("serving beside another process");
            wait_for(|| listeners(port) == 2, || format!("two listeners: {}", new.said()));
            go_on([&udp, &tcp], 300);
            old.signal(if round % 2 == 0 { "TERM" } else { "INT" });
            assert_eq!(old.ended().code(), Some(0), "{}", old.said());
            go_on([&udp, &tcp], 300);
            new.up(|| is_ready(page));
            let written = fs::read_to_string(folder.path().join("pid")).unwrap();
            assert_eq!(written.trim(), new.child.id().to_string(), "its successor's");
            old = new;
        }
        udp.end(udp_clients);
        tcp.end(tcp_clients);
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_followed_while_the_api_server_is_away_or_its_lists_hang() {
    let api = ApiServer::start().await;
    api.apply("namespaces", objects::namespace("default"));
    api.apply("services", objects::cluster_ip("web", "10.96.0.1", json!([{"port": 80}])));
    let hung = ApiServer::start().await;
    [Verb::List, Verb::Stream].into_iter().for_each(|verb| hung.fault(verb, "services", Fault::Stall, 1000));
    let (port, ready) = (free_port(), free_port());
    let text = move |line: &str, url: &str| {
        format!(
            ".:{port} {{\n bind 127.0.0.1\n ready 127.0.0.1:{ready}\n {line}\n kubernetes cluster.local {{\n  endpoint {url}\n }}\n}}\n"
        )
    };
    let folder = folder(&text("", &api.url()));
    tokio::task::spawn_blocking(move || {
        let page = SocketAddr::from(([127, 0, 0, 1], ready));
        let web = || answer(port, "web.default.svc.cluster.local.", RecordType::A).answers.len();
        let corefile = folder.path().join("Corefile");
        let url = api.url();
        let mut server = Server::start(&[], folder.path());
        server.up(|| is_ready(page));
        let _stopped = api.stop();
        for (round, line) in ["errors", "loadbalance"].into_iter().enumerate() {
            fs::write(&corefile, text(line, &url)).unwrap();
            server.signal("USR1");
            let reloaded = || server.said().matches("Reloading complete").count() > round;
            wait_for(reloaded, || format!("a reload: {}", server.said()));
            assert_eq!((web(), is_ready(page)), (1, true), "{}", server.said());
        }
        // A reload that waits for lists that hang does not keep the process.
        fs::write(&corefile, text("", &hung.url())).unwrap();
        server.signal("USR1");
        let asked = || hung.all_seen().len() > 1;
        wait_for(asked, || format!("a look at the other cluster: {}", server.said()));
        assert_eq!((web(), is_ready(page)), (1, true), "{}", server.said());
        server.signal("TERM");
        assert_eq!(server.ended().code(), Some(0), "{}", server.said());
        // Nor does a start.
        for order in ["TERM", "INT"] {
            let before = hung.all_seen().len();
            let mut server = Server::start(&[], folder.path());
            server.up(|| hung.all_seen().len() > before + 1);
            server.up(|| rollcall_testing::get(ready, "/ready").is_some_and(|(status, _)| status == 503));
            server.signal(order);
            assert_eq!(server.ended().code(), Some(0), "{order}: {}", server.said());
        }
    })
    .await
    .unwrap();
}

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::{IntCounter, Registry};

use super::*;
use crate::admin::{AskedPage, Probe, Readiness, explain, health, metrics, ready, register};

#[test]
fn the_page_that_explains_is_shown_the_name() {
    let mut fixture = Fixture::new();
    let page = explain(|asked| {
        Box::pin(async move {
            let AskedPage { name, rtype, namespace, json } = asked;
            if !name.contains('.') {
                return Err("no such zone".into());
            }
            Ok(format!("{name} {rtype:?} {namespace:?} {json}"))
        })
    });
    fixture.serve(&[(ANY, "/explain", page)]);
    assert!(fixture.ask("GET /explain?a=b&name=kubia.default").ends_with("\r\nkubia.default None None false"));
    let all = fixture.ask("GET /explain?name=%6Bubia.default&type=SRV&namespace=n&output=json");
    assert!(all.ends_with("\r\nkubia.default Some(\"SRV\") Some(\"n\") true"), "{all}");
    assert!(all.contains("content-type: application/json"), "{all}");
    let refused = fixture.ask("GET /explain?name=kubia");
    assert!(refused.starts_with("HTTP/1.1 400") && refused.ends_with("no such zone\n"), "{refused}");
    assert!(fixture.ask("GET /explain").contains("which name?"));
}

#[test]
fn the_page_that_explains_is_not_for_who_comes_by_the_name_of_a_stranger() {
    let mut fixture = Fixture::new();
    fixture
        .serve(&[(ANY, "/explain", explain(|_| Box::pin(async { Ok("known".into()) }))), (ANY, "/health", health())]);
    let port = fixture.admin.address(ANY).unwrap().port();
    for host in [&*format!("127.0.0.1:{port}"), "localhost", "LOCALHOST:1", "[::1]:8053", "127.0.0.9"] {
        assert!(fixture.ask_by(host, "GET /explain?name=a").starts_with("HTTP/1.1 200"), "{host}");
    }
    for host in
        ["evil.example", "evil.example:80", "localhost.evil.example", "192.0.2.1", "127.0.0.1.evil.example", "[", ""]
    {
        assert!(fixture.ask_by(host, "GET /explain?name=a").starts_with("HTTP/1.1 403"), "{host}");
    }
    ends(&fixture.ask_by("10.0.0.1:8080", "GET /health"), 200, "OK");
}

#[test]
fn an_address_grows_wider_and_narrower_and_is_never_closed() {
    let mut fixture = Fixture::new();
    fixture.serve(&[(ANY, "/health", health())]);
    let address = fixture.admin.address(ANY).unwrap();
    let (narrow, wide) = (address.to_string(), format!(":{}", address.port()));
    let stop = Arc::new(AtomicBool::new(false));
    let asking = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let mut failed = 0;
            while !stop.load(Ordering::Relaxed) {
                let asked = TcpStream::connect(address).and_then(|mut stream| {
                    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).map(|_| answer)
                });
                failed += usize::from(!asked.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")));
            }
            failed
        }
    });
    for round in 0..3 {
        for written in [&wide, &narrow] {
            fixture.serve(&[(written.as_str(), "/health", health())]);
            let elsewhere = SocketAddr::from(([127, 0, 0, 9], address.port()));
            let open = || TcpStream::connect(elsewhere).is_ok() == (written == &wide);
            let changed = (0..500).any(|_| {
                std::thread::sleep(Duration::from_millis(5));
                open()
            });
            assert!(changed, "round {round}: {written}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    assert_eq!(asking.join().unwrap(), 0);
    let sites = fixture.admin.sites.values().map(|site| site.narrower.len()).collect::<Vec<_>>();
    assert_eq!(sites, [0], "no listener is left over");
}

/// An address as a Corefile writes it, with a port that the kernel picks.
const ANY: &str = "127.0.0.1:0";

struct Fixture {
    runtime: tokio::runtime::Runtime,
    admin: Admin,
}

impl Fixture {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let admin = Admin::new(runtime.handle().clone());
        Self { runtime, admin }
    }

    fn serve(&mut self, pages: &[(&str, &'static str, AdminPage)]) {
        let mut sites = Sites::default();
        for (address, path, page) in pages {
            sites.put(address, path, page.clone());
        }
        self.admin.share(true);
        let prepared = self.admin.prepare(sites, &|_| false).unwrap();
        self.admin.commit(prepared);
        self.admin.share(false);
    }

    fn ask(&self, request: &str) -> String {
        self.ask_by("localhost", request)
    }

    fn ask_by(&self, host: &str, request: &str) -> String {
        let mut stream = TcpStream::connect(self.admin.address(ANY).unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
            .write_all(format!("{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

fn ends(answer: &str, status: u16, body: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, body, "{answer}");
}

#[test]
fn health_is_ok_while_the_process_lives() {
    let mut fixture = Fixture::new();
    fixture.serve(&[(ANY, "/health", health())]);
    ends(&fixture.ask("GET /health"), 200, "OK");
    ends(&fixture.ask("HEAD /health"), 200, "");
    ends(&fixture.ask("GET /other"), 404, "404 page not found\n");
    ends(&fixture.ask("POST /health"), 405, "405 method not allowed\n");
}

#[test]
fn ready_names_what_it_waits_for_and_fails_at_once_on_shutdown() {
    let mut fixture = Fixture::new();
    let waiting = Arc::new(Mutex::new(vec!["kubernetes".to_owned(), "file".to_owned(), "kubernetes".to_owned()]));
    let stopping = Arc::new(AtomicBool::new(false));
    let list = waiting.clone();
    let readiness = Readiness::new(move || list.lock().unwrap().clone(), stopping.clone());
    fixture.serve(&[(ANY, "/ready", ready(Arc::new(readiness)))]);
    ends(&fixture.ask("GET /ready"), 503, "file,kubernetes");
    waiting.lock().unwrap().clear();
    ends(&fixture.ask("GET /ready"), 200, "OK");
    stopping.store(true, Ordering::Release);
    ends(&fixture.ask("GET /ready"), 503, "Shutting down");
}

#[test]
fn metrics_come_in_the_text_format() {
    let mut fixture = Fixture::new();
    let registry = Registry::new();
    let counter = IntCounter::new("coredns_reload_failed_total", "Failures.").unwrap();
    registry.register(Box::new(counter.clone())).unwrap();
    counter.inc();
    fixture.serve(&[(ANY, "/metrics", metrics(registry))]);
    let answer = fixture.ask("GET /metrics");
    assert!(answer.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
    assert!(answer.contains("# TYPE coredns_reload_failed_total counter\ncoredns_reload_failed_total 1\n"), "{answer}");
}

#[test]
fn an_address_that_stays_keeps_its_listener_and_connections() {
    let mut fixture = Fixture::new();
    fixture.serve(&[(ANY, "/health", health())]);
    let before = fixture.admin.address(ANY).unwrap();
    let mut kept = TcpStream::connect(before).unwrap();
    fixture.serve(&[(ANY, "/ready", ready(Arc::new(Readiness::new(Vec::new, Arc::default()))))]);
    assert_eq!(fixture.admin.address(ANY), Some(before));
    ends(&fixture.ask("GET /ready"), 200, "OK");
    ends(&fixture.ask("GET /health"), 404, "404 page not found\n");
    kept.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    kept.read_to_string(&mut answer).unwrap();
    ends(&answer, 200, "OK");
}

#[test]
fn an_address_that_is_no_longer_wanted_is_closed() {
    let mut fixture = Fixture::new();
    fixture.serve(&[(ANY, "/health", health())]);
    let before = fixture.admin.address(ANY).unwrap();
    fixture.serve(&[]);
    assert_eq!(fixture.admin.address(ANY), None);
    let closed = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        TcpStream::connect(before).is_err()
    });
    assert!(closed, "{before} still takes connections");
}

#[test]
fn an_address_in_use_is_refused_and_nothing_changes() {
    let mut fixture = Fixture::new();
    fixture.serve(&[(ANY, "/health", health())]);
    let taken = fixture.admin.address(ANY).unwrap().to_string();
    let mut sites = Sites::default();
    sites.put(&taken, "/health", health());
    let error = fixture.admin.prepare(sites, &|_| false).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot listen on TCP address {taken}: ")), "{error}");
    ends(&fixture.ask("GET /health"), 200, "OK");
}

#[test]
fn an_address_without_a_host_means_all_and_a_bad_port_is_told() {
    let listener = bind(":0", &|_| false).unwrap();
    assert!(listener.local_addr().unwrap().ip().is_unspecified());
    TcpStream::connect(("127.0.0.1", listener.local_addr().unwrap().port())).unwrap();
    assert!(bind(":http", &|_| false).unwrap_err().to_string().contains("`http` is no port"));
    assert!(bind("127.0.0.1", &|_| false).is_err());
}

#[test]
fn a_request_without_end_is_refused() {
    let mut fixture = Fixture::new();
    fixture.serve(&[(ANY, "/health", health())]);
    let mut stream = TcpStream::connect(fixture.admin.address(ANY).unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // The server may hang up before all of it is written.
    let _ = stream.write_all(format!("GET /health HTTP/1.1\r\nX: {}", "x".repeat(64 << 10)).as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn silent_connections_keep_out_neither_a_probe_nor_who_asks() {
    let mut fixture = Fixture::new();
    fixture.serve(&[(ANY, "/health", health())]);
    let address = fixture.admin.address(ANY).unwrap();
    let connect = || TcpStream::connect(address).unwrap();
    let mut asking = connect();
    asking.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.extend((0..CONNECTIONS - 20).map(|_| connect()));
        ends(&fixture.ask("GET /health"), 200, "OK");
        asking.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 512];
        let len = asking.read(&mut answer).unwrap();
        ends(std::str::from_utf8(&answer[..len]).unwrap(), 200, "OK");
    }
    silent[0].set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    assert_eq!(silent[0].read(&mut [0; 1]).unwrap_or(0), 0, "the first of them made room");
}

#[test]
fn a_connection_that_asks_nothing_is_closed_soon() {
    let mut fixture = Fixture::new();
    fixture.serve(&[(ANY, "/health", health())]);
    let mut silent = TcpStream::connect(fixture.admin.address(ANY).unwrap()).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(12))).unwrap();
    let begun = std::time::Instant::now();
    silent.write_all(b"GET /health HTTP/1.1\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = silent.read_to_end(&mut answer);
    let after = begun.elapsed();
    assert!((4..10).contains(&after.as_secs()), "{after:?}");
}

#[test]
fn the_probe_asks_our_own_health_and_counts_failures() {
    let mut fixture = Fixture::new();
    let registry = Registry::new();
    register(&registry).unwrap();
    fixture.serve(&[(ANY, "/health", health())]);
    let value = |name: &str| -> u64 {
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    let until = |name: &str| {
        let before = value(name);
        (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            value(name) > before
        })
    };
    let address = fixture.admin.address(ANY).unwrap();
    let probe = Probe::start(address, fixture.runtime.handle());
    assert!(until("coredns_health_request_duration_seconds_count"));
    assert_eq!(value("coredns_health_request_failures_total"), 0);
    drop(probe);
    fixture.serve(&[]);
    let _probe = Probe::start(address, fixture.runtime.handle());
    assert!(until("coredns_health_request_failures_total"));
}

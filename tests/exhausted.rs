//! What a machine can run out of: descriptors, ports, room on a disk. The cluster's names are answered meanwhile, and the rest
//! comes back by itself.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rollcall_testing::api_server::ApiServer;
use rollcall_testing::http::is_ready;
use rollcall_testing::queries::{self, query, receive, send};
use rollcall_testing::resolver::{Act, Resolver, answer};
use rollcall_testing::server::of_program;
use rollcall_testing::{PATIENCE, Server, folder, free_port, is_there, objects, program, skip, wait_for};
use serde_json::json;

/// A server with a cluster and an upstream, and a client that has its socket already.
struct Ground {
    api: ApiServer,
    _upstream: Resolver,
    server: Server,
    folder: tempfile::TempDir,
    port: u16,
    ready: SocketAddr,
    client: UdpSocket,
}

impl Ground {
    async fn new() -> Self {
        let api = ApiServer::start().await;
        api.apply("namespaces", objects::namespace("default"));
        api.apply("services", objects::cluster_ip("web", "10.96.0.1", json!([{"port": 80}])));
        let upstream = Resolver::start(|asked| vec![Act::Send(answer(&asked.octets, 0, 9))]).await;
        let (port, ready) = (free_port(), free_port());
        let text = format!(
            ".:{port} {{
    bind 127.0.0.1
    ready 127.0.0.1:{ready}
    hosts hosts {{
        reload 100ms
        fallthrough
    }}
    kubernetes cluster.local {{
        endpoint {}
    }}
    forward . {}
}}
",
            api.url(),
            upstream.address
        );
        let folder = folder(&text);
        fs::write(folder.path().join("hosts"), "192.0.2.7 a.example\n").unwrap();
        let mut server = Server::start(&[], folder.path());
        let ready = SocketAddr::from(([127, 0, 0, 1], ready));
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(("127.0.0.1", port)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        server.up(|| is_ready(ready));
        Self { api, _upstream: upstream, server, folder, port, ready, client }
    }

    /// The response code; `None` without an answer.
    fn ask(&self, name: &str) -> Option<u8> {
        let query = query(rand::random(), name, queries::A);
        self.client.send(&query).unwrap();
        let mut buffer = [0; 4096];
        while self.client.recv(&mut buffer).is_ok() {
            if buffer[..2] == query[..2] {
                return Some(buffer[3] & 0xf);
            }
        }
        None
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Goes through a time in which something is lacking.
    fn lives_through(mut self, take: impl FnOnce(&Self), give: impl FnOnce(&Self)) {
        const WEB: &str = "web.default.svc.cluster.local";
        const NEW: &str = "new.default.svc.cluster.local";
        assert_eq!([WEB, "a.example", "b.example.org"].map(|name| self.ask(name)), [Some(0); 3]);
        assert_eq!(self.ask(NEW), Some(3));
        let mut open = self.connect();
        take(&self);
        // The watches break, and cannot be made anew.
        self.api.cut();
        self.api.apply("services", objects::cluster_ip("new", "10.96.0.2", json!([{"port": 80}])));
        fs::write(self.folder.path().join("hosts"), "192.0.2.7 a.example\n192.0.2.8 c.example\n").unwrap();
        for round in 0..20 {
            assert_eq!((self.ask(WEB), self.ask("a.example")), (Some(0), Some(0)), "{}", self.server.said());
            // Known only to an API server that cannot be reached, but over a connection that came while the others were cut.
            assert!(matches!(self.ask(NEW), Some(0 | 3)), "{}", self.server.said());
            send(&mut open, &query(round, WEB, queries::A)).unwrap();
            assert_eq!(receive(&mut open).unwrap()[3] & 0xf, 0);
            std::thread::sleep(Duration::from_millis(50));
        }
        self.server.signal("USR1");
        assert_eq!(self.ask(WEB), Some(0));
        give(&self);
        let all = || [WEB, NEW, "a.example", "c.example", "d.example.org"].map(|name| self.ask(name)) == [Some(0); 5];
        wait_for(all, || format!("all that was lacking: {}", self.server.said()));
        let mut stream = self.connect();
        send(&mut stream, &query(9, WEB, queries::A)).unwrap();
        assert_eq!(receive(&mut stream).unwrap()[3] & 0xf, 0);
        wait_for(|| is_ready(self.ready), || format!("/ready: {}", self.server.said()));
        let before = self.server.said().matches("Reloading complete").count();
        self.server.signal("USR1");
        let reloaded = || self.server.said().matches("Reloading complete").count() > before;
        wait_for(reloaded, || format!("a reload: {}", self.server.said()));
        self.server.signal("TERM");
        assert_eq!(self.server.ended().code(), Some(0), "{}", self.server.said());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_descriptor_to_spare_the_cluster_is_answered_for() {
    if !is_there("prlimit") {
        return skip("no prlimit on the path: nothing runs out of descriptors");
    }
    let ground = Ground::new().await;
    let limit = |ground: &Ground, soft: u32| {
        let process = ground.server.child.id().to_string();
        let limit = format!("--nofile={soft}:");
        assert!(Command::new("prlimit").args(["--pid", &process, &limit]).status().unwrap().success());
    };
    let take = move |ground: &Ground| {
        limit(ground, 3);
        // Connections wait until they can be taken.
        let mut waiting = ground.connect();
        send(&mut waiting, &query(7, "web.default.svc.cluster.local", queries::A)).unwrap();
        waiting.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        assert!(receive(&mut waiting).is_err(), "it had a descriptor to spare");
    };
    tokio::task::spawn_blocking(move || ground.lives_through(take, move |ground| limit(ground, 4096))).await.unwrap();
}

/// The rest runs in a network namespace of its own, whose ports are few.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_port_to_spare_the_cluster_is_answered_for() {
    const INSIDE: &str = "ROLLCALL_TEST_FEW_PORTS";
    const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
    const FEW: std::ops::RangeInclusive<u16> = 61_000..=61_003;
    if std::env::var_os(INSIDE).is_none() {
        let inside =
            "ip link set lo up && exec \"$0\" --exact without_a_port_to_spare_the_cluster_is_answered_for --nocapture";
        let mut command = Command::new("unshare");
        command.args(["--net", "bash", "-c", inside]).arg(std::env::current_exe().unwrap()).env(INSIDE, "yes");
        let trial =
            Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).stderr(Stdio::null()).status();
        if !trial.is_ok_and(|status| status.success()) {
            return skip("this machine allows no namespaces: nothing runs out of ports");
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let ground = Ground::new().await;
    let all = fs::read_to_string(RANGE).unwrap();
    let mut held = Vec::new();
    let (release, holds) = std::sync::mpsc::channel();
    let take =
        move |_: &Ground| {
            fs::write(RANGE, format!("{} {}", FEW.start(), FEW.end())).unwrap();
            held.extend(FEW.map(|port| {
                (UdpSocket::bind(("0.0.0.0", port)).unwrap(), TcpListener::bind(("0.0.0.0", port)).unwrap())
            }));
            assert!(TcpListener::bind("127.0.0.1:0").is_err() && UdpSocket::bind("127.0.0.1:0").is_err());
            release.send(held).unwrap();
        };
    let give = move |_: &Ground| {
        drop(holds.recv().unwrap());
        fs::write(RANGE, all).unwrap();
    };
    tokio::task::spawn_blocking(move || ground.lives_through(take, give)).await.unwrap();
}

#[test]
fn a_full_disk_below_the_log_stops_no_answer() {
    let port = free_port();
    let folder = folder(&format!(".:{port} {{\n bind 127.0.0.1\n log\n whoami\n}}\n"));
    let script = "mkdir log && mount -t tmpfs -o size=64k none log && exec \"$0\" >>log/out";
    let mut command = of_program(Path::new("unshare"));
    command.args(["--mount", "bash", "-c", script]).arg(program()).current_dir(folder.path());
    let trial = "mkdir trial && mount -t tmpfs -o size=64k none trial";
    let mut trial = Command::new("unshare")
        .args(["--mount", "bash", "-c", trial])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .status();
    if !trial.as_mut().is_ok_and(|status| status.success()) {
        return skip("this machine allows no namespaces with a file system of ours: no disk is full");
    }
    let mut server = Server::of(command, "");
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let ask = |name: &str| {
        client.send_to(&query(rand::random(), name, queries::A), ("127.0.0.1", port)).unwrap();
        client.recv(&mut [0; 512]).is_ok()
    };
    server.up(|| ask("a.example"));
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let log = format!("/proc/{}/cwd/log/out", server.child.id());
    let len = || fs::metadata(&log).unwrap().len();
    let mut count = 0;
    while len() < 64 << 10 {
        assert!(ask("a.example"));
        count += 1;
        assert!(count < 100_000, "the disk is never full");
    }
    for _ in 0..500 {
        assert!(ask("full.example"), "{}", server.said());
    }
    // There is room again.
    fs::File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
    let logged = || {
        assert!(ask("again.example"));
        fs::read_to_string(&log).unwrap_or_default().contains("again.example")
    };
    server.up(logged);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
}

//! Overload: the memory of a pod of kubeadm's size holds through every attack that can be made over the network, in a real
//! cgroup of that size, and the cluster's names are answered all the while.
#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use rollcall_testing::api_server::ApiServer;
use rollcall_testing::resolver::{Act, Resolver};
use rollcall_testing::{
    PATIENCE, Server, comes_true, free_port, get, objects, program, queries, runtime, skip, tls, wait_for,
};
use rustls::ClientConfig;
use serde_json::json;
use socket2::{Domain, Socket, Type};

/// The limit of kubeadm's manifest: 170Mi.
const LIMIT: u64 = 170 << 20;

//----------- The cgroup -------------------------------------------------------

/// A cgroup of the test's own, with a limit of memory; removed when dropped.
struct MemoryCgroup {
    folder: PathBuf,
    /// The names of its files differ between the two versions of cgroups.
    v2: bool,
}

impl MemoryCgroup {
    /// Makes one below the cgroup of this process, or below the root.
    fn new(limit: u64) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let place = |controller: &str| {
            own.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let controllers = parts.next()?;
                let path = parts.next()?.trim_start_matches('/').to_owned();
                controllers.split(',').any(|one| one == controller).then_some(path)
            })
        };
        let (v1, v2) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let candidates = [
            (place("memory").map(|path| v1.join(path)), false),
            (Some(v1.to_owned()), false),
            (place("").map(|path| v2.join(path)), true),
            (Some(v2.to_owned()), true),
        ];
        candidates.into_iter().filter_map(|(parent, v2)| Some((parent?, v2))).find_map(|(parent, v2)| {
            if v2 && !fs::read_to_string(parent.join("cgroup.controllers")).ok()?.contains("memory") {
                return None;
            }
            let made = Self { folder: parent.join(format!("rollcall-test-{}", std::process::id())), v2 };
            fs::create_dir(&made.folder).ok()?;
            // Version 2 gives its children controllers only when told to.
            if v2 {
                let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory");
                let _ = fs::write(made.folder.join("memory.swap.max"), "0");
            }
            let file = if v2 { "memory.max" } else { "memory.limit_in_bytes" };
            fs::write(made.folder.join(file), limit.to_string()).ok()?;
            Some(made)
        })
    }

    /// A command line of the built binary inside, outside of any cluster.
    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        let enter = "echo $$ > \"$0\" && exec \"$@\"";
        command.args(["-c", enter]).arg(self.folder.join("cgroup.procs")).arg(program());
        command.env_remove("KUBERNETES_SERVICE_HOST");
        command
    }

    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.folder.join(file)).ok()?.trim().parse().ok()
    }

    /// The most memory that was ever in use, caches of files and buffers of sockets among it.
    fn peak(&self) -> Option<u64> {
        self.number(if self.v2 { "memory.peak" } else { "memory.max_usage_in_bytes" })
    }

    /// How often the system has killed a process for want of memory.
    fn kills(&self) -> u64 {
        let file = if self.v2 { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.folder.join(file)).unwrap();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or_default()
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // As long as a process in it ends, it cannot be removed.
        comes_true(Duration::from_secs(5), || fs::remove_dir(&self.folder).is_ok() || !self.folder.exists());
    }
}

/// The most memory that a process had of its own.
fn high_water(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

//----------- The server under attack ------------------------------------------

/// The listeners of the server.
struct Target {
    dns: u16,
    tls: u16,
    https: u16,
    quic: u16,
    metrics: u16,
    config: Arc<ClientConfig>,
}

impl Target {
    fn metric(&self, name: &str) -> f64 {
        let (_, text) = get(self.metrics, "/metrics").unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default()
    }
}

const KUBIA: &str = "kubia.default.svc.cluster.local";
/// A headless Service whose SRV answer takes 60 KB over TCP.
const LARGE: &str = "large.default.svc.cluster.local";

fn fill(api: &ApiServer) {
    api.apply("namespaces", objects::namespace("default"));
    for (name, count) in [("kubia", 3), ("large", 1000)] {
        api.apply("services", objects::headless(name));
        for slice in 0..count.max(100) / 100 {
            let here = (slice * 100)..count.min(slice * 100 + 100);
            let endpoints = here
                .map(|number| {
                    objects::endpoint(&format!("{name}-{number}"), &format!("10.1.{}.{}", number / 250, number % 250))
                })
                .collect();
            let ports = objects::ports("http", "TCP", 80);
            api.apply("endpointslices", objects::slice(name, &slice.to_string(), ports, endpoints));
        }
    }
    let status = json!({"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "phase": "Running"});
    api.apply("pods", json!({"metadata": {"namespace": "default", "name": "client"}, "status": status}));
}

/// Asks for a cluster name again and again, and takes down the longest time that it took to be answered, lost datagrams
/// included.
fn watch(port: u16, stop: Arc<AtomicBool>, longest: Arc<AtomicU64>, answered: Arc<AtomicU64>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut id = 0_u16;
    while !stop.load(Ordering::Relaxed) {
        id = id.wrapping_add(1);
        let (begun, asked) = (Instant::now(), queries::query(id, KUBIA, queries::A));
        let mut buffer = [0; 2048];
        while !stop.load(Ordering::Relaxed) {
            let _ = socket.send(&asked);
            // An answer to an earlier attempt is one as well, if it has the name's three addresses.
            if socket.recv(&mut buffer).is_ok_and(|len| len > 12 && buffer[..2] == id.to_be_bytes()) {
                assert_eq!((buffer[3] & 0xf, buffer[7]), (0, 3), "a cluster name is answered with its peers");
                answered.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
        longest.fetch_max(u64::try_from(begun.elapsed().as_millis()).unwrap(), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(10));
    }
}

//----------- The attacks ------------------------------------------------------

/// A client's connection with little room for answers, from an address of its own.
fn connection(port: u16, host: u8) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(4096)?;
    socket.bind(&SocketAddr::from(([127, 0, 1, host], 0)).into())?;
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    let tcp = TcpStream::from(socket);
    tcp.set_read_timeout(Some(Duration::from_secs(2)))?;
    tcp.set_write_timeout(Some(Duration::from_millis(100)))?;
    Ok(tcp)
}

/// As many connections as there can be, each with the beginning of a message.
fn connection_flood(target: &Target) -> Vec<TcpStream> {
    let ports = [target.dns, target.tls, target.https];
    (0..4000_usize)
        .filter_map(|number| {
            let mut stream = connection(ports[number % 3], (number % 200) as u8 + 1).ok()?;
            // The beginning of a query, or of a ClientHello.
            let part: &[u8] = if number % 3 == 0 { &[0, 40, 7] } else { &[22, 3, 1, 2, 0, 1, 0, 1, 252] };
            let _ = stream.write(part);
            Some(stream)
        })
        .collect()
}

/// Clients that send an octet now and then.
fn slowloris(target: &Target) {
    let mut streams: Vec<_> = (0..500).filter_map(|_| connection(target.dns, 1).ok()).collect();
    let frame = queries::framed(&queries::query(1, KUBIA, queries::A));
    for octet in &frame[..20] {
        streams.iter_mut().for_each(|stream| drop(stream.write(&[*octet])));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Frames and datagrams of the largest size.
fn large_queries(target: &Target) {
    let junk = vec![0xff; 65_000];
    let mut streams: Vec<_> = (0..300).filter_map(|_| connection(target.dns, 2).ok()).collect();
    streams.iter_mut().for_each(|stream| drop(stream.write(&junk)));
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..500 {
        let _ = udp.send_to(&junk, ("127.0.0.1", target.dns));
        let _ = udp.send_to(&junk[..4000], ("127.0.0.1", target.quic));
    }
}

/// Names that nobody has asked before: more than may wait for an upstream that never answers, or the cache can hold.
fn random_names(target: &Target, zone: &str, count: usize, over_tcp: bool) {
    if over_tcp {
        let mut streams: Vec<_> = (0..40).filter_map(|host| connection(target.dns, host + 1).ok()).collect();
        let mut frame = [0; 2];
        for number in 0..count {
            let at = number % streams.len();
            let asked = queries::framed(&queries::query(1, &format!("r{number}.{zone}"), 16_u16));
            let _ = streams[at].write_all(&asked);
            if number >= 40 {
                // Answers are taken as they come, so that the server goes on asking.
                let mut body = vec![0; 65_535];
                if streams[at].read_exact(&mut frame).is_ok() {
                    let len = usize::from(u16::from_be_bytes(frame));
                    let _ = streams[at].read_exact(&mut body[..len]);
                }
            }
        }
        return;
    }
    let sockets: Vec<_> =
        (1..=8_u8).map(|host| UdpSocket::bind(SocketAddr::from(([127, 0, 2, host], 0))).unwrap()).collect();
    for number in 0..count {
        // One of the clients asks most of it.
        let socket = if number % 4 == 0 { &sockets[number / 4 % 8] } else { &sockets[0] };
        let asked = queries::query(number as u16, &format!("r{number}.{zone}"), queries::A);
        let _ = socket.send_to(&asked, ("127.0.0.1", target.dns));
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Large answers that nobody reads, in the clear and below TLS.
fn unread_answers(target: &Target) -> Vec<Box<dyn Write>> {
    let asked = queries::framed(&queries::query(1, LARGE, 33_u16)).repeat(100);
    let mut held: Vec<Box<dyn Write>> = Vec::new();
    for number in 0..700_u32 {
        let Ok(tcp) = connection(if number % 4 == 0 { target.tls } else { target.dns }, number as u8 % 100 + 1) else {
            continue;
        };
        if number % 4 == 0 {
            let Ok(mut stream) = tls::connect(&target.config, tcp) else { continue };
            let _ = stream.write_all(&asked).and_then(|()| stream.flush());
            held.push(Box::new(stream));
        } else {
            let mut stream = tcp;
            let _ = stream.write_all(&asked);
            held.push(Box::new(stream));
        }
    }
    // Held until there are more of them than may be.
    let shed = || target.metric("rollcall_tcp_unread_shed_total") > 0.0;
    assert!(comes_true(PATIENCE, shed), "answers that nobody reads have filled their room");
    held
}

/// Connections over QUIC that begin: handshakes, and streams with one octet (CVE-2026-32934).
fn quic_streams(target: &Target) {
    let mut config = ClientConfig::clone(&target.config);
    config.alpn_protocols = vec![b"doq".to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let to = SocketAddr::from(([127, 0, 0, 1], target.quic));
    runtime().block_on(async {
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        let mut held = Vec::new();
        for number in 0..150 {
            let Ok(connecting) = endpoint.connect_with(config.clone(), to, tls::HOST) else { continue };
            if number % 3 != 0 {
                // Begun, and never finished.
                let _ = tokio::time::timeout(Duration::from_millis(1), connecting).await;
                continue;
            }
            let Ok(Ok(connection)) = tokio::time::timeout(Duration::from_secs(2), connecting).await else { continue };
            for _ in 0..300 {
                let opening = tokio::time::timeout(Duration::from_millis(5), connection.open_bi()).await;
                let Ok(Ok((mut sending, receiving))) = opening else { break };
                let _ = sending.write(&[0]).await;
                held.push((sending, receiving));
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    });
}

/// Streams of HTTP/2 whose answers have no room to leave, and streams that are reset as soon as they are begun.
fn http_streams(target: &Target) {
    let mut config = ClientConfig::clone(&target.config);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let to = SocketAddr::from(([127, 0, 0, 1], target.https));
    runtime().block_on(async {
        let mut held = Vec::new();
        for number in 0..60 {
            let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(2), tls::dial(to, config.clone())).await
            else {
                continue;
            };
            let made = h2::client::Builder::new().initial_window_size(0).handshake::<_, bytes::Bytes>(stream);
            let Ok(Ok((client, connection))) = tokio::time::timeout(Duration::from_secs(2), made).await else {
                continue;
            };
            tokio::spawn(connection);
            let Ok(mut client) = client.ready().await else { continue };
            for _ in 0..100 {
                let request = http::Request::post(format!("https://{}/dns-query", tls::HOST))
                    .header("content-type", "application/dns-message")
                    .body(())
                    .unwrap();
                let Ok((answer, mut sending)) = client.send_request(request, false) else { break };
                let _ = sending.send_data(queries::query(0, LARGE, 33_u16).into(), true);
                if number % 2 == 0 {
                    sending.send_reset(h2::Reason::CANCEL);
                } else {
                    held.push((answer, sending));
                }
                let Ok(Ok(next)) = tokio::time::timeout(Duration::from_millis(5), client.clone().ready()).await else {
                    break;
                };
                client = next;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    });
}

#[test]
fn the_memory_of_a_pod_is_enough_for_every_attack_and_cluster_names_are_answered_throughout() {
    let Some(cgroup) = MemoryCgroup::new(LIMIT) else {
        skip("this machine allows no memory cgroup of a test's own");
        return;
    };
    let [dns, tls_port, https, quic, health, metrics] =
        [free_port(), free_port(), free_port(), free_port(), free_port(), free_port()];
    let runtime = runtime();
    let api = runtime.block_on(ApiServer::start());
    fill(&api);
    // A dead upstream: it takes whatever comes over UDP and TCP, and never answers.
    let dead_port = free_port();
    let _dead =
        (UdpSocket::bind(("127.0.0.1", dead_port)).unwrap(), TcpListener::bind(("127.0.0.1", dead_port)).unwrap());
    // One whose every answer is large and to be remembered.
    let generous = runtime.block_on(Resolver::start(|asked| {
        let mut answer = asked.octets.clone();
        (answer[2], answer[3]) = (0x81, 0x80);
        answer.truncate(queries::question_end(&answer));
        (answer[6], answer[7], answer[10], answer[11]) = (0, 200, 0, 0);
        for number in 0..200_u8 {
            answer.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1, 0, 0, 14, 16, 1, 44, 255]);
            answer.extend_from_slice(&[number; 255]);
            answer.push(43);
            answer.extend_from_slice(&[number; 43]);
        }
        vec![Act::Send(answer)]
    }));
    let folder = tempfile::tempdir().unwrap();
    let pem = tls::renew(folder.path(), "tls");
    let corefile = format!(
        ".:{dns} tls://.:{tls_port} https://.:{https} quic://.:{quic} {{
    bind 127.0.0.1
    errors
    tls tls.crt tls.key
    health 127.0.0.1:{health}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        endpoint {}
        pods verified
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus 127.0.0.1:{metrics}
    forward generous.example {} {{
        max_concurrent 1000
    }}
    forward . 127.0.0.1:{dead_port} {{
        max_concurrent 1000
    }}
    cache 30
    loop
    loadbalance
}}
",
        api.url(),
        generous.address
    );
    fs::write(folder.path().join("Corefile"), corefile).unwrap();
    let mut command = cgroup.command();
    command.current_dir(folder.path());
    let mut server = Server::of(command, "");
    server.until("CoreDNS-");
    wait_for(
        || rollcall_testing::ask(dns, LARGE, RecordType::A).is_some_and(|answer| !answer.answers.is_empty()),
        || server.said(),
    );
    let target = Target { dns, tls: tls_port, https, quic, metrics, config: tls::trusting(&pem) };
    let stop = Arc::<AtomicBool>::default();
    let (longest, answered) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let watching = {
        let (stop, longest, answered) = (stop.clone(), longest.clone(), answered.clone());
        std::thread::spawn(move || watch(dns, stop, longest, answered))
    };
    let process = server.child.id();
    let start = high_water(process);
    println!("at the start: {} KiB", start >> 10);
    let attacks: [(&str, &dyn Fn()); 9] = [
        ("large answers that are never read", &|| drop(unread_answers(&target))),
        ("a flood of connections, handshakes half done", &|| drop(connection_flood(&target))),
        ("an octet now and then", &|| slowloris(&target)),
        ("queries of the largest size", &|| large_queries(&target)),
        ("random names of the cluster", &|| random_names(&target, "svc.cluster.local", 20_000, false)),
        ("random names of a dead upstream", &|| random_names(&target, "dead.example", 20_000, false)),
        ("60 KB answers to remember", &|| random_names(&target, "generous.example", 3000, true)),
        ("streams of QUIC with one octet", &|| quic_streams(&target)),
        ("streams of HTTP/2 whose answers are not taken, or reset", &|| http_streams(&target)),
    ];
    for (what, attack) in attacks {
        let before = answered.load(Ordering::Relaxed);
        attack();
        // The server is there, and still answers what it is for.
        assert!(server.child.try_wait().unwrap().is_none(), "{what} ended it: {}", server.said());
        wait_for(|| answered.load(Ordering::Relaxed) > before + 3, || format!("a cluster name after {what}"));
        let (peak, kills) = (high_water(process), cgroup.kills());
        println!("{what}: {} KiB, of the cgroup {} KiB", peak >> 10, cgroup.peak().unwrap_or_default() >> 10);
        assert!(peak < LIMIT && kills == 0, "{what}: {peak} octets, {kills} kills: {}", server.said());
    }
    // The attacks have reached what they were made for.
    assert!(target.metric("coredns_forward_max_concurrent_rejects_total") > 0.0);
    assert!(generous.count() > 1000, "{} large answers were asked for", generous.count());
    // All at once, each by a client of its own.
    std::thread::scope(|scope| {
        scope.spawn(|| unread_answers(&target).len());
        scope.spawn(|| slowloris(&target));
        scope.spawn(|| random_names(&target, "again.example", 20_000, false));
        scope.spawn(|| random_names(&target, "more.generous.example", 1000, true));
        scope.spawn(|| quic_streams(&target));
    });
    assert!(server.child.try_wait().unwrap().is_none(), "all at once ended it: {}", server.said());
    wait_for(|| get(health, "/health").is_some_and(|(status, _)| status == 200), || server.said());
    stop.store(true, Ordering::Relaxed);
    watching.join().unwrap();
    let (peak, longest) = (high_water(process), longest.load(Ordering::Relaxed));
    println!(
        "all at once: {} KiB, of the cgroup {} KiB; {} cluster names answered, the slowest in {longest} ms",
        peak >> 10,
        cgroup.peak().unwrap_or_default() >> 10,
        answered.load(Ordering::Relaxed)
    );
    assert!(peak < LIMIT && cgroup.kills() == 0, "{peak} octets, {} kills", cgroup.kills());
    assert!(Duration::from_millis(longest) < PATIENCE / 6, "a cluster name had to wait for {longest} ms");
}

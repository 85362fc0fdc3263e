//! Clients that mean no good cost themselves, and nobody else.
#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use rollcall_testing::{PATIENCE, Server, ask, folder, free_port, get, program, tls, wait_for};
use rustls::ClientConfig;
use socket2::{Domain, SockRef, Socket, Type};

/// A query for `a.example` with its length.
const QUERY: &[u8] = b"\0\x1b\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// How a client comes to a listener.
enum Way {
    Plain,
    Tls(Arc<ClientConfig>),
}

impl Way {
    fn connect(&self, port: u16) -> io::Result<Box<dyn Stream>> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // Little room, so that a client that does not read is noticed soon.
        socket.set_recv_buffer_size(4096)?;
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
        let tcp = TcpStream::from(socket);
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(Duration::from_millis(500)))?;
        match self {
            Self::Plain => Ok(Box::new(tcp)),
            Self::Tls(config) => Ok(Box::new(tls::connect(config, tcp)?)),
        }
    }

    /// Asks one question on a connection of its own.
    fn is_answered(&self, port: u16) -> bool {
        let ask = || -> io::Result<()> {
            let mut stream = self.connect(port)?;
            stream.write_all(QUERY)?;
            stream.read_exact(&mut [0; 2])
        };
        ask().is_ok()
    }
}

/// A certificate in a folder, and clients that trust it.
fn secured(folder: &std::path::Path) -> Way {
    Way::Tls(tls::trusting(&tls::renew(folder, "tls")))
}

fn metric(port: u16, name: &str) -> f64 {
    let (_, text) = get(port, "/metrics").unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

/// Whether the peer has closed, without or with a reset.
fn is_closed(stream: &mut dyn Stream) -> bool {
    let mut buffer = [0; 65_536];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }
}

#[test]
fn clients_that_stall_trickle_flood_or_reset_are_cut_off_and_others_answered() {
    let (plain, tls, metrics) = (free_port(), free_port(), free_port());
    let folder = folder(&format!(
        ".:{plain} tls://.:{tls} {{
    bind 127.0.0.1
    tls tls.crt tls.key
    timeouts {{
        read 1s
        write 1s
        idle 1s
    }}
    prometheus 127.0.0.1:{metrics}
    hosts {{
        192.0.2.7 a.example
    }}
}}
"
    ));
    let secured = secured(folder.path());
    let server = Server::start(&[], folder.path());
    server.until("CoreDNS-");
    for (way, port) in [(&Way::Plain, plain), (&secured, tls)] {
        let mut held: Vec<Box<dyn Stream>> = Vec::new();
        for cut in [0, 1, 2, 9, QUERY.len() - 1] {
            for _ in 0..10 {
                let mut stream = way.connect(port).unwrap();
                stream.write_all(&QUERY[..cut]).unwrap();
                held.push(stream);
            }
        }
        // A frame that promises 64 KiB.
        let mut stream = way.connect(port).unwrap();
        stream.write_all(&[0xff, 0xff, 0, 7]).unwrap();
        held.push(stream);
        for n in 0..50 {
            let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
            SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap();
            let _ = (&tcp).write_all(&QUERY[..n % QUERY.len()]);
        }
        // Questions by the megabyte, and no answer read: sooner or later nothing more is taken.
        let mut stream = way.connect(port).unwrap();
        let flood = QUERY.repeat(2000);
        let sent = (0..1000).take_while(|_| stream.write_all(&flood).is_ok()).count();
        assert!(sent < 1000, "the server takes whatever comes");
        held.push(stream);
        let begun = Instant::now();
        assert!(ask(plain, "a.example.", RecordType::A).is_some(), "over UDP");
        assert!(way.is_answered(port) && begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        wait_for(|| metric(metrics, "rollcall_tcp_connections") == 0.0, || "the connections to be closed".to_owned());
        assert!(held.iter_mut().all(|stream| is_closed(stream)));
        assert!(way.is_answered(port), "{}", server.said());
    }
}

#[test]
fn idle_connections_hold_no_buffers() {
    const CONNECTIONS: usize = 400;
    let (plain, metrics) = (free_port(), free_port());
    let lines: String = (0..3000).map(|n| format!("192.0.{}.{} a.example\n", n / 250, n % 250)).collect();
    let folder = folder(&format!(
        ".:{plain} {{
    bind 127.0.0.1
    timeouts {{
        idle 1h
    }}
    prometheus 127.0.0.1:{metrics}
    hosts {{
        {lines}
    }}
}}
"
    ));
    let server = Server::start(&[], folder.path());
    server.until("CoreDNS-");
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", plain)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(QUERY).unwrap();
        let mut len = [0; 2];
        stream.read_exact(&mut len).unwrap();
        let len = u16::from_be_bytes(len);
        assert!(len > 40_000, "a long answer: {len}");
        stream.read_exact(&mut vec![0; usize::from(len)]).unwrap();
        stream
    };
    let mut held: Vec<_> = (0..20).map(|_| ask()).collect();
    let before = metric(metrics, "process_resident_memory_bytes");
    held.extend((0..CONNECTIONS).map(|_| ask()));
    let each = (metric(metrics, "process_resident_memory_bytes") - before) / CONNECTIONS as f64;
    assert!(each < 16_384.0, "{each} octets for each");
    assert!(metric(metrics, "rollcall_tcp_connections") >= CONNECTIONS as f64);
}

#[test]
fn answers_over_https_and_quic_that_nobody_reads_are_not_all_kept() {
    const CONNECTIONS: usize = 10;
    let (https, quic, metrics) = (free_port(), free_port(), free_port());
    let lines: String = (0..4000).map(|n| format!("192.0.{}.{} a.example\n", n / 250, n % 250)).collect();
    let folder = folder(&format!(
        "https://.:{https} quic://.:{quic} {{
    bind 127.0.0.1
    tls tls.crt tls.key
    prometheus 127.0.0.1:{metrics}
    cache
    hosts {{
        {lines}
    }}
}}
"
    ));
    let Way::Tls(config) = secured(folder.path()) else { unreachable!() };
    let with = |protocol: &[u8]| {
        let mut config = ClientConfig::clone(&config);
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    };
    let runtime = rollcall_testing::runtime();
    let _entered = runtime.enter();
    let over_https = async || {
        let stream = tls::dial(SocketAddr::from(([127, 0, 0, 1], https)), with(b"h2")).await.unwrap();
        let (client, connection) = h2::client::Builder::new().initial_window_size(0).handshake(stream).await.unwrap();
        let driven = tokio::spawn(connection);
        let mut answers: Vec<h2::client::ResponseFuture> = Vec::new();
        for _ in 0..128 {
            let mut client = client.clone().ready().await.unwrap();
            let request = http::Request::post("https://dns.example/dns-query").body(()).unwrap();
            let (answer, mut sending) = client.send_request(request, false).unwrap();
            sending.send_data(bytes::Bytes::from_static(&QUERY[2..]), true).unwrap();
            answers.push(answer);
        }
        (answers, driven)
    };
    let over_quic = async || {
        let tls = quinn::crypto::rustls::QuicClientConfig::try_from(with(b"doq")).unwrap();
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        let mut transport = quinn::TransportConfig::default();
        transport.stream_receive_window(1u32.into());
        config.transport_config(Arc::new(transport));
        let endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], quic));
        let connection = endpoint.connect_with(config, to, "dns.example").unwrap().await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..128 {
            let (mut sending, receiving) = connection.open_bi().await.unwrap();
            let mut query = QUERY.to_vec();
            query[3] = 0;
            sending.write_all(&query).await.unwrap();
            sending.finish().unwrap();
            streams.push((sending, receiving));
        }
        (streams, connection, endpoint)
    };
    let memory = || metric(metrics, "process_resident_memory_bytes");
    let most = |before: f64| {
        let each = (0..10).map(|_| {
            std::thread::sleep(Duration::from_millis(200));
            memory() - before
        });
        each.fold(0.0, f64::max) / CONNECTIONS as f64
    };
    // A server for each, as memory that was used once may stay. What the first connection costs is not counted.
    let server = Server::start(&[], folder.path());
    server.until("CoreDNS-");
    let _first = runtime.block_on(over_https());
    let before = memory();
    let held: Vec<_> = (0..CONNECTIONS).map(|_| runtime.block_on(over_https())).collect();
    let each = most(before);
    assert!(each < 1_500_000.0, "HTTPS: {each} octets for each");
    drop((held, server));
    let server = Server::start(&[], folder.path());
    server.until("CoreDNS-");
    let _first = runtime.block_on(over_quic());
    let before = memory();
    let _held: Vec<_> = (0..CONNECTIONS).map(|_| runtime.block_on(over_quic())).collect();
    let each = most(before);
    assert!(each < 1_500_000.0, "QUIC: {each} octets for each");
}

/// A server that may have few files open.
fn starved(folder: &std::path::Path) -> Server {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64 && exec \"$0\" -conf Corefile"]).arg(program());
    command.current_dir(folder).env_remove("KUBERNETES_SERVICE_HOST");
    Server::of(command, "")
}

#[test]
fn a_listener_that_runs_out_of_files_goes_on_when_there_are_some() {
    let (plain, tls, https, metrics) = (free_port(), free_port(), free_port(), free_port());
    let folder = folder(&format!(
        ".:{plain} tls://.:{tls} https://.:{https} {{
    bind 127.0.0.1
    tls tls.crt tls.key
    timeouts {{
        read 1s
        idle 1s
    }}
    prometheus 127.0.0.1:{metrics}
    hosts {{
        192.0.2.7 a.example
    }}
}}
"
    ));
    let secured = secured(folder.path());
    let server = starved(folder.path());
    // Said once every listener is there.
    server.until("CoreDNS-");
    for _ in 0..2 {
        // Each listener has a limit of its own, all together have more than there are files.
        let connect = |port| TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        let held: Vec<_> = [https, plain, tls].into_iter().flat_map(|port| [port; 150]).map(connect).collect();
        server.until("could not be accepted");
        // UDP needs no file for a query.
        for _ in 0..50 {
            assert!(ask(plain, "a.example.", RecordType::A).is_some());
        }
        drop(held);
        wait_for(|| Way::Plain.is_answered(plain), || format!("an answer over TCP: {}", server.said()));
        wait_for(|| secured.is_answered(tls), || format!("an answer over TLS: {}", server.said()));
    }
    wait_for(|| get(metrics, "/metrics").is_some(), || "metrics".to_owned());
    assert!(metric(metrics, "rollcall_tcp_accept_errors_total") > 0.0);
    let warnings = server.said().matches("could not be accepted").count();
    assert!((1..=3).contains(&warnings), "one a minute for each listener: {}", server.said());
}

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_server::net::h2::HttpsClientStream;
use hickory_server::net::quic::QuicClientStream;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::net::xfer::{DnsRequestSender, FirstAnswer};
use hickory_server::proto::op::{DnsRequest, DnsRequestOptions, Message, Query};
use hickory_server::proto::rr::{Name, RecordType};
use rollcall_testing::free_port;
use rollcall_testing::tls::{self, Certificate, HOST};
use rustls::ClientConfig;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_rustls::client::TlsStream;

use super::super::testing::{query_with_id, site};
use super::super::{Limits, LoadLimits, Server, metrics};
use super::*;
use crate::chain::settings::Tls;

const PATIENCE: Duration = Duration::from_secs(10);

/// The settings of a listener that shows a certificate.
fn listener(made: &Certificate) -> Tls {
    let provider = rustls::crypto::ring::default_provider();
    Tls {
        identity: Arc::new(CertifiedKey::from_der(tls::chain(made), tls::key(made), &provider).unwrap()),
        clients: None,
        at: "Corefile:1:1".to_owned(),
        files: Arc::default(),
        digest: made.cert.der().iter().fold(0, |sum: u64, octet| sum.wrapping_mul(31) + u64::from(*octet)),
    }
}

struct RunningTls {
    server: Server,
    gate: Arc<Semaphore>,
    certificate: Certificate,
}

fn start(encryption: Encryption, limits: &Limits) -> RunningTls {
    let certificate = tls::certificate();
    let (site, gate) = site(&format!("127.0.0.1:{}", free_port()), limits, Some(listener(&certificate)));
    let mut server = Server::new(Some(encryption), LoadLimits::default(), &Handle::current());
    server.commit(server.prepare(vec![site], false).unwrap());
    RunningTls { server, gate, certificate }
}

impl RunningTls {
    fn address(&self) -> SocketAddr {
        self.server.addresses().next().unwrap()
    }

    /// Reloads with other settings of TLS, and with another address if one is given.
    fn change(&mut self, address: Option<&str>, tls: Tls) {
        let port = self.address().port();
        let address = address.unwrap_or("127.0.0.1").parse().unwrap();
        let address = SocketAddr::new(address, port).to_string();
        let (site, gate) = site(&address, &Limits::default(), Some(tls));
        self.server.share(true);
        self.server.commit(self.server.prepare(vec![site], false).unwrap());
        self.server.share(false);
        self.gate = gate;
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        tls::dial(self.address(), tls::speaking(b"dot", &self.certificate, None)).await.unwrap()
    }

    async fn https(&self) -> HttpsClientStream {
        let config = Arc::new(tls::speaking(b"h2", &self.certificate, None));
        let client = HttpsClientStream::builder(config, TokioRuntimeProvider::new());
        client.build(self.address(), HOST.into(), "/dns-query".into()).await.unwrap()
    }

    async fn quic(&self) -> QuicClientStream {
        let client = QuicClientStream::builder().crypto_config(tls::speaking(b"doq", &self.certificate, None));
        client.build(self.address(), HOST.into()).await.unwrap()
    }
}

/// A client that remembers its sessions.
fn quic_client(running: &RunningTls) -> quinn::Endpoint {
    let mut client = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let tls = tls::speaking(b"doq", &running.certificate, None);
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    client.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
    client
}

fn framed(octets: &[u8]) -> Vec<u8> {
    [&(octets.len() as u16).to_be_bytes(), octets].concat()
}

async fn read(stream: &mut TlsStream<TcpStream>) -> Message {
    let octets = tokio::time::timeout(PATIENCE, async {
        let mut octets = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut octets).await.unwrap();
        octets
    });
    Message::from_vec(&octets.await.expect("in time")).unwrap()
}

/// Whether the server closes a connection in time.
async fn closed(mut stream: impl tokio::io::AsyncRead + Unpin) -> Duration {
    let start = Instant::now();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("in time");
    start.elapsed()
}

/// Asks through a client of hickory's.
async fn ask(client: &mut impl DnsRequestSender, name: &str) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    let request = DnsRequest::new(message, DnsRequestOptions::default());
    let answer = client.send_message(request).first_answer();
    tokio::time::timeout(PATIENCE, answer).await.expect("in time").unwrap().into_message()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_below_tls_are_answered_as_they_are_ready() {
    let running = start(Encryption::Tls, &Limits::default());
    let mut stream = running.connect().await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"dot"[..]));
    let queries = [(1, "wait.test"), (2, "n3000.test"), (3, "a.test")];
    let queries: Vec<u8> = queries.iter().flat_map(|&(id, name)| framed(&query_with_id(id, name))).collect();
    for part in queries.chunks(7) {
        stream.write_all(part).await.unwrap();
    }
    stream.flush().await.unwrap();
    let long = read(&mut stream).await;
    assert_eq!((long.metadata.id, long.answers.len()), (2, 3000));
    assert_eq!(read(&mut stream).await.metadata.id, 3);
    running.gate.add_permits(1);
    assert_eq!(read(&mut stream).await.metadata.id, 1);
    // More than one read brings, and more than one record of TLS holds.
    let many: Vec<u8> = (0..2000).flat_map(|id| framed(&query_with_id(id, "a.test"))).collect();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let written = tokio::spawn(async move {
        writer.write_all(&many).await.unwrap();
        writer.flush().await.unwrap();
        writer
    });
    for id in 0..2000 {
        let mut octets = vec![0; usize::from(reader.read_u16().await.unwrap())];
        reader.read_exact(&mut octets).await.unwrap();
        assert_eq!(Message::from_vec(&octets).unwrap().metadata.id, id);
    }
    drop(written.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_has_its_time_and_so_has_an_idle_connection() {
    let limits =
        Limits { handshake: Duration::from_millis(200), idle: Duration::from_millis(300), ..Limits::default() };
    let running = start(Encryption::Tls, &limits);
    let before = metrics::HANDSHAKES_FAILED.get();
    let mut silent = TcpStream::connect(running.address()).await.unwrap();
    // The beginning of a ClientHello, and no end.
    silent.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
    assert!(closed(silent).await < Duration::from_secs(3));
    assert!(metrics::HANDSHAKES_FAILED.get() > before);
    let mut idle = running.connect().await;
    let start = Instant::now();
    idle.write_all(&framed(&query_with_id(1, "a.test"))).await.unwrap();
    assert_eq!(read(&mut idle).await.metadata.id, 1);
    assert!(closed(idle).await < Duration::from_secs(3));
    assert!(start.elapsed() > Duration::from_millis(250), "{:?}", start.elapsed());
    let not_tls = TcpStream::connect(running.address()).await.unwrap();
    let mut not_tls = not_tls;
    not_tls.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    closed(not_tls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_end() {
    for encryption in [Encryption::Tls, Encryption::Https, Encryption::Quic] {
        let mut running = start(encryption, &Limits::default());
        let old = match encryption {
            Encryption::Tls => Some(running.connect().await),
            _ => None,
        };
        let renewed = tls::certificate();
        running.change(None, listener(&renewed));
        if encryption == Encryption::Tls {
            let refused = tls::dial(running.address(), tls::speaking(b"dot", &running.certificate, None)).await;
            assert!(refused.is_err(), "the old certificate is gone");
        }
        running.certificate = renewed;
        match encryption {
            Encryption::Tls => {
                let mut new = running.connect().await;
                new.write_all(&framed(&query_with_id(5, "a.test"))).await.unwrap();
                assert_eq!(read(&mut new).await.metadata.id, 5);
                closed(old.unwrap()).await;
            }
            Encryption::Https => drop(ask(&mut running.https().await, "a.test.").await),
            Encryption::Quic => drop(ask(&mut running.quic().await, "a.test.").await),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_show_what_is_asked_of_them() {
    let mut running = start(Encryption::Tls, &Limits::default());
    let own = tls::certificate();
    let tls = Tls { clients: Some(strict(&own)), digest: 7, ..listener(&running.certificate) };
    running.change(None, tls);
    let with = |own: Option<&Certificate>| tls::speaking(b"dot", &running.certificate, own);
    let answered = async |config: ClientConfig| {
        let Ok(mut stream) = tls::dial(running.address(), config).await else { return false };
        // TLS 1.3 tells of a refusal only after the client's side of the handshake.
        if stream.write_all(&framed(&query_with_id(7, "a.test"))).await.is_err() {
            return false;
        }
        stream.read_u16().await.is_ok()
    };
    assert!(answered(with(Some(&own))).await);
    assert!(!answered(with(None)).await);
    assert!(!answered(with(Some(&tls::certificate()))).await);
}

/// A verifier that asks for a certificate of one's own.
fn strict(own: &Certificate) -> Arc<dyn rustls::server::danger::ClientCertVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(tls::roots(own)), provider).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_the_rules_that_it_began_with() {
    for encryption in [Encryption::Tls, Encryption::Https] {
        for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
            let mut running = start(encryption, &Limits::default());
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
            let mut config = builder.with_root_certificates(tls::roots(&running.certificate)).with_no_client_auth();
            config.alpn_protocols = vec![encryption.protocol().to_vec()];
            // The handshake of the client is done before the server has looked at its certificate, or its session.
            let kind = async |config: &ClientConfig, address| {
                let mut stream = tls::dial(address, config.clone()).await.ok()?;
                let kind = stream.get_ref().1.handshake_kind();
                match tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await {
                    Ok(Err(_)) => None,
                    _ => kind,
                }
            };
            let address = running.address();
            assert_eq!(kind(&config, address).await, Some(rustls::HandshakeKind::Full));
            assert_eq!(kind(&config, address).await, Some(rustls::HandshakeKind::Resumed), "{encryption:?}");
            let same = listener(&running.certificate);
            running.change(None, same);
            assert_eq!(kind(&config, address).await, Some(rustls::HandshakeKind::Resumed), "nothing has changed");
            let tls = Tls { clients: Some(strict(&tls::certificate())), digest: 7, ..listener(&running.certificate) };
            running.change(None, tls);
            assert_eq!(kind(&config, address).await, None, "{encryption:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_quic_end_with_the_rules_that_they_began_with() {
    let mut running = start(Encryption::Quic, &Limits::default());
    let client = quic_client(&running);
    let connection = client.connect(running.address(), HOST).unwrap().await.unwrap();
    let tls = Tls { clients: Some(strict(&tls::certificate())), digest: 7, ..listener(&running.certificate) };
    running.change(None, tls);
    let closed = tokio::time::timeout(PATIENCE, connection.closed()).await.expect("in time");
    assert!(
        matches!(&closed, quinn::ConnectionError::ApplicationClosed(closed) if closed.error_code == 0u32.into()),
        "{closed}"
    );
    // With the session of before.
    if let Ok(connection) = client.connect(running.address(), HOST).unwrap().await {
        let closed = tokio::time::timeout(PATIENCE, connection.closed()).await.expect("in time");
        assert!(matches!(closed, quinn::ConnectionError::ConnectionClosed(_)), "{closed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wider_address_keeps_connections_over_tls_and_quic() {
    for encryption in [Encryption::Tls, Encryption::Https, Encryption::Quic] {
        let mut running = start(encryption, &Limits::default());
        let address = running.address();
        let same = listener(&running.certificate);
        match encryption {
            Encryption::Tls => {
                let mut old = running.connect().await;
                running.change(Some("::"), same);
                old.write_all(&framed(&query_with_id(5, "a.test"))).await.unwrap();
                assert_eq!(read(&mut old).await.metadata.id, 5);
            }
            Encryption::Https => {
                let mut old = running.https().await;
                running.change(Some("::"), same);
                ask(&mut old, "a.test.").await;
            }
            Encryption::Quic => {
                let mut old = running.quic().await;
                running.change(Some("::"), same);
                ask(&mut old, "a.test.").await;
            }
        }
        let same = listener(&running.certificate);
        running.change(None, same);
        assert_eq!(running.address(), address);
        match encryption {
            Encryption::Tls => drop(running.connect().await),
            Encryption::Https => drop(ask(&mut running.https().await, "a.test.").await),
            Encryption::Quic => drop(ask(&mut running.quic().await, "a.test.").await),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_answered_over_https() {
    let running = start(Encryption::Https, &Limits::default());
    let mut client = running.https().await;
    for (name, count) in [("a.test.", 1), ("n400.test.", 400)] {
        let answer = ask(&mut client, name).await;
        assert_eq!((answer.answers.len(), answer.metadata.truncation), (count, false), "{name}");
    }
    assert_eq!(u16::from(ask(&mut client, "a.example.").await.metadata.response_code), 5);
    // More than the window of a connection holds.
    for _ in 0..2000 {
        assert_eq!(ask(&mut client, "a.test.").await.answers.len(), 1);
    }
    let counted = metrics::HTTPS_RESPONSES.with_label_values(&["dns://:53", "200"]);
    assert!(counted.get() >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn https_requests_are_read_as_coredns_reads_them() {
    // Time is not the subject: a machine that is busy gets some.
    let [handshake, read, write, idle] = [Duration::from_secs(60); 4];
    let running = start(Encryption::Https, &Limits { handshake, read, write, idle, ..Limits::default() });
    let stream = tls::dial(running.address(), tls::speaking(b"h2", &running.certificate, None)).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let driven = tokio::spawn(connection);
    let request = async |method: &str, path: &str, body: Option<Vec<u8>>| {
        let uri = format!("https://{HOST}{path}");
        let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
        let mut client = client.clone().ready().await.unwrap();
        let (answer, mut sending) = client.send_request(request, body.is_none()).unwrap();
        if let Some(body) = body {
            sending.send_data(body.into(), true).unwrap();
        }
        let (head, mut body) = answer.await.unwrap().into_parts();
        let mut octets = Vec::new();
        while let Some(data) = body.data().await {
            let data = match data {
                // RFC 9113 section 8.1: the answer is whole, and what is left of the request is not wanted.
                Err(error) if error.reason() == Some(h2::Reason::NO_ERROR) => break,
                data => data.unwrap(),
            };
            body.flow_control().release_capacity(data.len()).unwrap();
            octets.extend_from_slice(&data);
        }
        (head, octets)
    };
    // `a.test` A, id 0x1234.
    let get = "/dns-query?dns=EjQBAAABAAAAAAAAAWEEdGVzdAAAAQAB";
    let post = query_with_id(0x1234, "a.test");
    for (method, path, body) in [("GET", get, None), ("POST", "/dns-query", Some(post.clone()))] {
        let (head, octets) = request(method, path, body).await;
        let header = |name: &str| head.headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(head.status, 200, "{method}");
        assert_eq!(
            (header("content-type").as_str(), header("cache-control").as_str()),
            ("application/dns-message", "max-age=5")
        );
        assert_eq!(header("content-length"), octets.len().to_string());
        let answer = Message::from_vec(&octets).unwrap();
        assert_eq!((answer.metadata.id, answer.answers.len()), (0x1234, 1));
    }
    for (method, path, body, status) in [
        ("GET", "/", None, 404),
        ("POST", "/dns-query/", Some(post.clone()), 404),
        ("GET", "/dns-query", None, 400),
        ("GET", "/dns-query?dns=EjQB&dns=EjQB", None, 400),
        ("GET", "/dns-query?dns=*", None, 400),
        // Base64 for URLs without padding, of whole octets: not a letter more or less, no other letters, nothing left over.
        ("GET", "/dns-query?dns=EjQBAAABAAAAAAAAAWEEdGVzdAAAAQABA", None, 400),
        ("GET", "/dns-query?dns=EjQBAAABAAAAAAAAAWEEdGVzdAAAAQA=", None, 400),
        ("GET", "/dns-query?dns=EjQBAAABAAAAAAAAAWEEdGVzdAAAAQB", None, 400),
        ("GET", "/dns-query?dns=EjQBAAABAAAAAAAAAWEEdGVzdAAAAQ/+", None, 400),
        ("POST", "/dns-query", Some(vec![1, 2]), 400),
        ("POST", "/dns-query", Some(vec![0; 4097]), 413),
        ("POST", "/dns-query", Some(vec![0; 65_536]), 413),
        ("PUT", "/dns-query", Some(post.clone()), 400),
        ("POST", "/dns-query", Some(query_with_id(1, "drop.test")), 500),
    ] {
        assert_eq!(request(method, path, body).await.0.status, status, "{method} {path}");
    }
    // More than any window holds, in both directions.
    for _ in 0..2000 {
        assert_eq!(request("POST", "/dns-query", Some(post.clone())).await.0.status, 200);
    }
    assert!(request("POST", "/dns-query", Some(query_with_id(1, "n3000.test"))).await.1.len() > 48_000);
    driven.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn https_connections_are_limited_and_the_longest_idle_makes_room() {
    let running = start(Encryption::Https, &Limits { connections: 2, ..Limits::default() });
    let mut first = running.https().await;
    assert_eq!(ask(&mut first, "a.test.").await.answers.len(), 1);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(running.https().await);
        assert_eq!(ask(others.last_mut().unwrap(), "a.test.").await.answers.len(), 1);
    }
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii("a.test.").unwrap(), RecordType::A));
    let again = first.send_message(DnsRequest::new(message, DnsRequestOptions::default())).first_answer().await;
    assert!(again.is_err(), "the first one made room");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_https_clients_are_cut_off() {
    let short = Duration::from_millis(300);
    let limits = Limits { handshake: short, read: short, idle: short, ..Limits::default() };
    let running = start(Encryption::Https, &limits);
    let mut silent = TcpStream::connect(running.address()).await.unwrap();
    silent.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
    assert!(closed(silent).await < Duration::from_secs(3), "a handshake that never ends");

    let mut mute = tls::dial(running.address(), tls::speaking(b"h2", &running.certificate, None)).await.unwrap();
    mute.flush().await.unwrap();
    assert!(closed(mute).await < Duration::from_secs(3), "no preface");

    // The preface, no settings, and a request whose body never comes: HEADERS with END_HEADERS, without END_STREAM.
    let mut endless = tls::dial(running.address(), tls::speaking(b"h2", &running.certificate, None)).await.unwrap();
    let mut octets = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    octets.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    // POST, https, path and authority as literals without an index.
    let mut block = vec![0x83, 0x87];
    for (name, value) in [(0x04u8, "/dns-query"), (0x01, HOST)] {
        block.extend([name, value.len() as u8]);
        block.extend(value.as_bytes());
    }
    for (name, value) in [("content-type", "application/dns-message"), ("accept", "application/dns-message")] {
        block.extend([0, name.len() as u8]);
        block.extend(name.as_bytes());
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    }
    octets.extend([0, 0, block.len() as u8, 1, 4, 0, 0, 0, 1]);
    octets.extend(block);
    endless.write_all(&octets).await.unwrap();
    assert!(closed(endless).await < Duration::from_secs(3), "a body that never ends");
    assert_eq!(metrics::HTTPS_RESPONSES.with_label_values(&["dns://:53", "408"]).get(), 1);
    assert_eq!(ask(&mut running.https().await, "a.test.").await.answers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_answered_over_quic_side_by_side() {
    let running = start(Encryption::Quic, &Limits::default());
    let mut client = running.quic().await;
    let mut waiting = Message::query();
    waiting.add_query(Query::query(Name::from_ascii("wait.test.").unwrap(), RecordType::A));
    let first = client.send_message(DnsRequest::new(waiting, DnsRequestOptions::default())).first_answer();
    let first = tokio::spawn(first);
    while running.server.in_flight() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for (name, count) in [("a.test.", 1), ("n3000.test.", 3000)] {
        assert_eq!(ask(&mut client, name).await.answers.len(), count, "{name}");
    }
    running.gate.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap().answers.len(), 1);
    assert!(metrics::QUIC_RESPONSES.with_label_values(&["dns://:53", "0x0"]).get() >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_over_quic_that_stalls_keeps_nobody_waiting() {
    let limits = Limits { handshake: Duration::from_secs(4), ..Limits::default() };
    let running = start(Encryption::Quic, &limits);
    let before = metrics::HANDSHAKES_FAILED.get();
    // One socket and its acceptor for each core: more stalled handshakes than any machine for tests has of them.
    for _ in 0..64 {
        // Between client and server: the first packet passes, and nothing after it.
        let between = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = between.local_addr().unwrap();
        let client = QuicClientStream::builder().crypto_config(tls::speaking(b"doq", &running.certificate, None));
        let trying = tokio::spawn(client.build(to, HOST.into()));
        let mut packet = [0; 2048];
        let len = between.recv(&mut packet).await.unwrap();
        between.send_to(&packet[..len], running.address()).await.unwrap();
        // Its answer shows that the server has begun.
        tokio::time::timeout(PATIENCE, between.recv(&mut packet)).await.expect("in time").unwrap();
        trying.abort();
    }
    let begun = Instant::now();
    for _ in 0..8 {
        assert_eq!(ask(&mut running.quic().await, "a.test.").await.answers.len(), 1);
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    while metrics::HANDSHAKES_FAILED.get() < before + 64 {
        assert!(begun.elapsed() < PATIENCE, "stalled handshakes end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_over_quic_get_an_error_or_end_the_connection() {
    let running = start(Encryption::Quic, &Limits::default());
    let client = quic_client(&running);
    let exchange = async |octets: &[u8]| {
        let connection = client.connect(running.address(), HOST).unwrap().await.unwrap();
        let (mut sending, mut receiving) = connection.open_bi().await.unwrap();
        // The server may stop reading before all is sent.
        let _ = sending.write_all(octets).await;
        let _ = sending.finish();
        let answer = tokio::time::timeout(PATIENCE, receiving.read_to_end(70_000)).await.expect("in time");
        (answer, connection)
    };
    // RFC 9250 section 4.3.3: whoever does not keep to the protocol loses the connection.
    let code = async |octets: &[u8]| {
        let (_, connection) = exchange(octets).await;
        match tokio::time::timeout(PATIENCE, connection.closed()).await.expect("in time") {
            quinn::ConnectionError::ApplicationClosed(closed) => closed.error_code.into_inner(),
            other => panic!("{other}"),
        }
    };
    let query = query_with_id(0, "a.test");
    let long: Vec<u8> = query.iter().copied().chain(std::iter::repeat_n(0, 4097 - query.len())).collect();
    let answer = exchange(&framed(&long)).await.0.unwrap();
    assert_eq!(u16::from(Message::from_vec(&answer[2..]).unwrap().metadata.response_code), 1);
    let answer = exchange(&framed(&long[..4096])).await.0.unwrap();
    assert_eq!(Message::from_vec(&answer[2..]).unwrap().answers.len(), 1);
    let keepalive = {
        let mut octets = query.clone();
        octets[11] = 1;
        octets.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 11, 0, 0]);
        octets
    };
    for (what, frame) in [
        ("no message", framed(&[])),
        ("less than a header", framed(&query[..11])),
        ("an id", framed(&query_with_id(1, "a.test"))),
        ("an end before that of the message", framed(&query)[..20].to_vec()),
        ("two queries", [framed(&query), framed(&query)].concat()),
        ("the keepalive of TCP", framed(&keepalive)),
    ] {
        assert_eq!(code(&frame).await, 2, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_answers_what_waits_over_every_transport() {
    for encryption in [Encryption::Tls, Encryption::Https, Encryption::Quic] {
        let running = start(encryption, &Limits::default());
        let wait: tokio::task::JoinHandle<usize> = match encryption {
            Encryption::Tls => {
                let mut stream = running.connect().await;
                tokio::spawn(async move {
                    stream.write_all(&framed(&query_with_id(1, "wait.test"))).await.unwrap();
                    read(&mut stream).await.answers.len()
                })
            }
            Encryption::Https => {
                let mut client = running.https().await;
                tokio::spawn(async move { ask(&mut client, "wait.test.").await.answers.len() })
            }
            Encryption::Quic => {
                let mut client = running.quic().await;
                tokio::spawn(async move { ask(&mut client, "wait.test.").await.answers.len() })
            }
        };
        while running.server.in_flight() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (gate, address) = (running.gate.clone(), running.address());
        let drained = tokio::spawn(running.server.drain(PATIENCE));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!drained.is_finished(), "{encryption:?}: a query waits");
        gate.add_permits(1);
        assert_eq!(wait.await.unwrap(), 1, "{encryption:?}");
        tokio::time::timeout(PATIENCE, drained).await.expect("in time").unwrap();
        match encryption {
            // Closed connections keep the socket for a moment, so that late packets get no ICMP.
            Encryption::Quic => {
                let free = async {
                    while std::net::UdpSocket::bind(address).is_err() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                tokio::time::timeout(PATIENCE, free).await.expect("the port is free again");
            }
            _ => assert!(TcpStream::connect(address).await.is_err(), "{encryption:?}"),
        }
    }
}

use std::net::IpAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::super::testing::{plan, query, query_with_id, with_opt};
use super::*;
use crate::serve::metrics;
use crate::wire::message::{Message, decode};

const PATIENCE: Duration = Duration::from_secs(5);

struct Running {
    server: Server,
    gate: Arc<Semaphore>,
}

fn start(address: &str, limits: &Limits, max_in_flight: usize) -> Running {
    let (plan, gate) = plan();
    let handler = Arc::new(Handler::new(plan, max_in_flight));
    let server = Server::start(address.parse().unwrap(), handler, limits, &Handle::current()).unwrap();
    Running { server, gate }
}

impl Running {
    fn port(&self) -> u16 {
        self.server.address().port()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port())).await.unwrap()
    }
}

async fn udp_client() -> tokio::net::UdpSocket {
    tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

async fn udp_answer(client: &tokio::net::UdpSocket) -> (Message, SocketAddr) {
    let mut buffer = [0; 4096];
    let (len, from) = tokio::time::timeout(PATIENCE, client.recv_from(&mut buffer)).await.expect("in time").unwrap();
    (decode(&buffer[..len]).unwrap(), from)
}

fn framed(octets: &[u8]) -> Vec<u8> {
    [&(octets.len() as u16).to_be_bytes(), octets].concat()
}

async fn tcp_answer(stream: &mut TcpStream) -> Message {
    tokio::time::timeout(PATIENCE, async {
        let mut octets = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut octets).await.unwrap();
        decode(&octets).unwrap()
    })
    .await
    .expect("in time")
}

/// Whether the server closes a connection, and after how long.
async fn closed_after(stream: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let count = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 16])).await.expect("in time").unwrap_or(0);
    assert_eq!(count, 0);
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_leave_from_the_address_that_was_asked_at_once_and_later() {
    let running = start("0.0.0.0:0", &Limits::default(), 100);
    for (host, name) in [(1, "n2.test"), (2, "n2.test"), (3, "wait.test")] {
        let asked = SocketAddr::from(([127, 0, 0, host], running.port()));
        let client = udp_client().await;
        client.send_to(&query(name, 1), asked).await.unwrap();
        running.gate.add_permits(1);
        let (answer, from) = udp_answer(&client).await;
        assert_eq!((answer.id, from), (0x1234, asked));
    }
    running.server.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wildcard_of_ipv6_serves_both_families() {
    let running = start("[::]:0", &Limits::default(), 100);
    let mut asked: Vec<IpAddr> = vec!["127.0.0.5".parse().unwrap()];
    if UdpSocket::bind("[::1]:0").is_ok() {
        asked.push("::1".parse().unwrap());
    }
    for address in asked {
        let asked = SocketAddr::new(address, running.port());
        let client =
            tokio::net::UdpSocket::bind(if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).await.unwrap();
        client.send_to(&query("a.test", 1), asked).await.unwrap();
        assert_eq!(udp_answer(&client).await.1, asked);
        let mut stream = TcpStream::connect(asked).await.unwrap();
        stream.write_all(&framed(&query("a.test", 1))).await.unwrap();
        assert_eq!(tcp_answer(&mut stream).await.answers.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_answered_whole() {
    let running = start("127.0.0.1:0", &Limits::default(), 100);
    let client = udp_client().await;
    client.connect(running.server.address()).await.unwrap();
    for id in 0..200 {
        client.send(&query_with_id(id, "a.test")).await.unwrap();
    }
    let mut ids = std::collections::BTreeSet::new();
    while ids.len() < 200 {
        ids.insert(udp_answer(&client).await.0.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_limit_waiting_queries_are_dropped_and_counted_and_others_answered() {
    let running = start("127.0.0.1:0", &Limits { sockets: NonZeroUsize::new(1), ..Limits::default() }, 2);
    let client = udp_client().await;
    client.connect(running.server.address()).await.unwrap();
    let before = metrics::QUEUE_DROPPED.get();
    for id in 0..5 {
        client.send(&query_with_id(id, "wait.test")).await.unwrap();
    }
    client.send(&query_with_id(77, "a.test")).await.unwrap();
    assert_eq!(udp_answer(&client).await.0.id, 77);
    assert_eq!(running.server.handler().in_flight(), 2);
    assert!(metrics::QUEUE_DROPPED.get() >= before + 3);
    running.gate.add_permits(5);
    let ids = [udp_answer(&client).await.0.id, udp_answer(&client).await.0.id];
    assert!(ids.contains(&0) && ids.contains(&1), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_datagrams_get_an_error_or_silence_and_the_server_lives() {
    let running = start("127.0.0.1:0", &Limits::default(), 100);
    let client = udp_client().await;
    client.connect(running.server.address()).await.unwrap();
    let mut response = query("a.test", 1);
    response[2] |= 0x80;
    let (empty, short, long) = (vec![], vec![0; 11], vec![0xc0; 8000]);
    for octets in [&empty, &short, &long, &response, &query("panic.test", 1)] {
        client.send(octets).await.unwrap();
    }
    // 0xc0c0 is a response: only the panic is answered.
    assert_eq!(u16::from(udp_answer(&client).await.0.response_code), 2);
    client.send(&query_with_id(9, "a.test")).await.unwrap();
    assert_eq!(udp_answer(&client).await.0.id, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_of_one_connection_are_answered_as_they_are_ready() {
    let running = start("127.0.0.1:0", &Limits::default(), 100);
    let mut stream = running.connect().await;
    let queries: Vec<u8> = [(1, "wait.test"), (2, "n500.test"), (3, "a.test")]
        .iter()
        .flat_map(|&(id, name)| framed(&query_with_id(id, name)))
        .collect();
    // Cut anywhere.
    for part in queries.chunks(7) {
        stream.write_all(part).await.unwrap();
        stream.flush().await.unwrap();
    }
    let second = tcp_answer(&mut stream).await;
    assert_eq!((second.id, second.answers.len(), second.truncation), (2, 500, false));
    assert_eq!(tcp_answer(&mut stream).await.id, 3);
    running.gate.add_permits(1);
    assert_eq!(tcp_answer(&mut stream).await.id, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_stops_reading_at_its_own_limit_and_goes_on_behind_it() {
    let running = start("127.0.0.1:0", &Limits { in_flight_per_connection: 2, ..Limits::default() }, 100);
    let mut stream = running.connect().await;
    for id in 0..3 {
        stream.write_all(&framed(&query_with_id(id, "wait.test"))).await.unwrap();
    }
    stream.write_all(&framed(&query_with_id(9, "a.test"))).await.unwrap();
    while running.server.handler().in_flight() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let early = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
    assert!(early.is_err() && running.server.handler().in_flight() == 2);
    running.gate.add_permits(3);
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(tcp_answer(&mut stream).await.id);
    }
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_trickles_in_ends_its_connection_and_so_does_silence() {
    let limits = Limits { read: Duration::from_millis(150), idle: Duration::from_millis(400), ..Limits::default() };
    let running = start("127.0.0.1:0", &limits, 100);
    let mut slow = running.connect().await;
    let start = Instant::now();
    let trickle = async {
        for octet in framed(&query("a.test", 1)) {
            if slow.write_all(&[octet]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    tokio::time::timeout(PATIENCE, trickle).await.unwrap();
    assert!(slow.read(&mut [0; 16]).await.unwrap_or(0) == 0 && start.elapsed() < Duration::from_secs(2));

    let mut idle = running.connect().await;
    let start = Instant::now();
    idle.write_all(&framed(&query("a.test", 1))).await.unwrap();
    tcp_answer(&mut idle).await;
    closed_after(&mut idle).await;
    assert!(start.elapsed() > Duration::from_millis(350), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_longer_than_over_udp_is_a_format_error_and_ends_its_connection() {
    let running = start("127.0.0.1:0", &Limits::default(), 100);
    let padded = |len: usize| {
        let mut octets = with_opt(query_with_id(3, "a.test"), 1232);
        let padding = len - octets.len() - 4;
        let rdlen = octets.len() - 2;
        octets[rdlen..].copy_from_slice(&(padding as u16 + 4).to_be_bytes());
        // RFC 7830: the option that pads.
        octets.extend([0, 12]);
        octets.extend((padding as u16).to_be_bytes());
        octets.resize(len, 0);
        octets
    };
    let mut stream = running.connect().await;
    stream.write_all(&framed(&padded(4096)).repeat(3)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(tcp_answer(&mut stream).await.answers.len(), 1, "the longest is answered");
    }
    // Whole, or no more than its header of what is promised.
    for (len, sent) in [(4097, 4099), (65_535, 65_537), (65_535, 14)] {
        let mut stream = running.connect().await;
        stream.write_all(&framed(&query_with_id(2, "a.test"))).await.unwrap();
        stream.write_all(&framed(&padded(len))[..sent]).await.unwrap();
        assert_eq!(tcp_answer(&mut stream).await.id, 2);
        let answer = tcp_answer(&mut stream).await;
        assert_eq!((answer.id, u16::from(answer.response_code)), (3, 1), "{len}");
        assert!(closed_after(&mut stream).await < Duration::from_secs(2), "{len}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_too_short_for_a_message_ends_its_connection() {
    let running = start("127.0.0.1:0", &Limits::default(), 100);
    for frame in [&[0, 0][..], &[0, 1, 0], &framed(&query("a.test", 1)[..11])] {
        let mut stream = running.connect().await;
        stream.write_all(&framed(&query_with_id(2, "wait.test"))).await.unwrap();
        stream.write_all(frame).await.unwrap();
        stream.write_all(&framed(&query_with_id(3, "a.test"))).await.unwrap();
        running.gate.add_permits(1);
        assert_eq!(tcp_answer(&mut stream).await.id, 2, "what came before is answered");
        assert!(closed_after(&mut stream).await < Duration::from_secs(2), "{frame:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_are_not_all_kept() {
    let running = start("127.0.0.1:0", &Limits::default(), 1000);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&running.server.address().into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut stream = TcpStream::from_std(socket.into()).unwrap();
    // Eight megabytes of answers, ready at one time.
    for id in 0..128 {
        stream.write_all(&framed(&query_with_id(id, "wait4000.test"))).await.unwrap();
    }
    while running.server.handler().in_flight() < 128 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.gate.add_permits(128);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(running.server.handler().in_flight() > 10, "answers are taken although none leaves");
    let mut ids = std::collections::BTreeSet::new();
    while ids.len() < 128 {
        let answer = tcp_answer(&mut stream).await;
        assert_eq!(answer.answers.len(), 4000);
        ids.insert(answer.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_limit_the_longest_idle_connection_makes_room() {
    let running = start("127.0.0.1:0", &Limits { connections: 2, ..Limits::default() }, 100);
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = running.connect().await;
        stream.write_all(&framed(&query("a.test", 1))).await.unwrap();
        tcp_answer(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        streams.push(stream);
    }
    closed_after(&mut streams[0]).await;
    for stream in &mut streams[1..] {
        stream.write_all(&framed(&query("a.test", 1))).await.unwrap();
        tcp_answer(stream).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ends_its_side_still_gets_its_answers() {
    let running = start("127.0.0.1:0", &Limits::default(), 100);
    let mut stream = running.connect().await;
    stream.write_all(&framed(&query("wait.test", 1))).await.unwrap();
    stream.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    running.gate.add_permits(1);
    assert_eq!(tcp_answer(&mut stream).await.answers.len(), 1);
    closed_after(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_be_bounded_in_queries() {
    let running = start("127.0.0.1:0", &Limits { queries_per_connection: Some(2), ..Limits::default() }, 100);
    let mut stream = running.connect().await;
    stream.write_all(&framed(&query("a.test", 1)).repeat(3)).await.unwrap();
    tcp_answer(&mut stream).await;
    tcp_answer(&mut stream).await;
    closed_after(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_answers_what_has_come_and_closes() {
    let running = start("127.0.0.1:0", &Limits { sockets: NonZeroUsize::new(1), ..Limits::default() }, 100);
    let address = running.server.address();
    let mut stream = running.connect().await;
    stream.write_all(&framed(&query_with_id(1, "wait.test"))).await.unwrap();
    let client = udp_client().await;
    client.connect(address).await.unwrap();
    for id in 0..100 {
        client.send(&query_with_id(id, "a.test")).await.unwrap();
    }
    client.send(&query_with_id(500, "wait.test")).await.unwrap();
    while running.server.handler().in_flight() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let gate = running.gate.clone();
    let drained = tokio::spawn(running.server.drain(PATIENCE));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!drained.is_finished(), "queries are in flight");
    gate.add_permits(2);
    drained.await.unwrap();
    assert_eq!(tcp_answer(&mut stream).await.id, 1);
    closed_after(&mut stream).await;
    let mut ids = std::collections::BTreeSet::new();
    while ids.len() < 101 {
        ids.insert(udp_answer(&client).await.0.id);
    }
    assert!(TcpStream::connect(address).await.is_err());
    assert!(UdpSocket::bind(address).is_ok(), "the port is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_named() {
    let running = start("127.0.0.1:0", &Limits::default(), 100);
    let handler = running.server.handler().clone();
    let error = Server::start(running.server.address(), handler, &Limits::default(), &Handle::current()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&running.server.address().to_string()), "{error}");
}

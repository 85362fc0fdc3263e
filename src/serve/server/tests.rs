use std::net::UdpSocket;
use std::num::NonZeroUsize;
use std::time::Instant;

use rollcall_testing::free_port;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::super::testing::{query, query_with_id, site, table_with, with_opt};
use super::*;
use crate::serve::{RateLimit, metrics, udp};
use crate::wire::message::{Message, decode};

mod tcp;

const PATIENCE: Duration = Duration::from_secs(5);

struct Running {
    server: Server,
    gate: Arc<Semaphore>,
}

fn start(address: &str, limits: &Limits, max_in_flight: usize) -> Running {
    start_with(address, limits, LoadLimits { max_in_flight, ..LoadLimits::default() })
}

fn start_with(address: &str, limits: &Limits, load: LoadLimits) -> Running {
    let (site, gate) = site(address, limits, None);
    let mut server = Server::new(None, load, &Handle::current());
    server.commit(server.prepare(vec![site], false).unwrap());
    Running { server, gate }
}

/// Changes over to other addresses of the port, as a reload does.
fn change(server: &mut Server, addresses: &[&str], limits: &Limits) -> io::Result<()> {
    let port = server.address().port();
    let sites = addresses.iter().map(|address| {
        let address = SocketAddr::new(address.parse().unwrap(), port).to_string();
        site(&address, limits, None).0
    });
    server.share(true);
    let prepared = server.prepare(sites.collect(), false);
    let done = prepared.map(|prepared| server.commit(prepared));
    server.share(false);
    done
}

impl Server {
    fn address(&self) -> SocketAddr {
        self.addresses().next().unwrap()
    }
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
    assert_eq!(running.server.in_flight(), 2);
    assert!(metrics::QUEUE_DROPPED.get() >= before + 3);
    running.gate.add_permits(5);
    let ids = [udp_answer(&client).await.0.id, udp_answer(&client).await.0.id];
    assert!(ids.contains(&0) && ids.contains(&1), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_limit_the_client_with_most_waiting_gives_way_over_udp_and_tcp() {
    let running = start("0.0.0.0:0", &Limits { sockets: NonZeroUsize::new(1), ..Limits::default() }, 6);
    let asked = SocketAddr::from(([127, 0, 0, 1], running.port()));
    let mut stream = running.connect().await;
    let greedy = udp_client().await;
    for id in 0..3 {
        stream.write_all(&framed(&query_with_id(id, "wait.test"))).await.unwrap();
    }
    while running.server.in_flight() < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for id in 10..13 {
        greedy.send_to(&query_with_id(id, "wait.test"), asked).await.unwrap();
    }
    while running.server.in_flight() < 6 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let before = metrics::QUEUE_DROPPED.get();
    let others = [2, 3, 4, 5].map(|host| (SocketAddr::from(([127, 0, 0, host], 0)), 20 + u16::from(host)));
    let mut clients = Vec::new();
    for (at, (from, id)) in others.into_iter().enumerate() {
        let client = tokio::net::UdpSocket::bind(from).await.unwrap();
        client.send_to(&query_with_id(id, "wait.test"), asked).await.unwrap();
        while metrics::QUEUE_DROPPED.get() <= before + at as u64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        clients.push((client, id));
    }
    // Three datagrams are gone, and the newest query of the connection has its answer: nobody would ask it again soon.
    let told = tcp_answer(&mut stream).await;
    assert_eq!((told.id, u16::from(told.response_code)), (2, 2));
    running.gate.add_permits(6);
    for (client, id) in clients {
        assert_eq!(udp_answer(&client).await.0.id, id);
    }
    let ids = [tcp_answer(&mut stream).await.id, tcp_answer(&mut stream).await.id];
    assert!(ids.contains(&0) && ids.contains(&1), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn amplifying_answers_over_udp_have_a_rate_and_those_over_tcp_have_none() {
    let rate = RateLimit { per_second: 4, slip: 2 };
    let limits = Limits { sockets: NonZeroUsize::new(1), ..Limits::default() };
    let running = start_with("127.0.0.1:0", &limits, LoadLimits { rate, ..LoadLimits::default() });
    let client = udp_client().await;
    client.connect(running.server.address()).await.unwrap();
    running.gate.add_permits(1000);
    // Answers within a batch, and those that are sent by themselves.
    for name in ["n20.test", "n300.test"] {
        for id in 0..200 {
            client.send(&with_opt(query_with_id(id, name), 9000)).await.unwrap();
        }
        client.send(&query_with_id(999, "a.test")).await.unwrap();
        let (mut whole, mut truncated, mut last) = (0, 0, false);
        let mut buffer = [0; 9000];
        // In one batch the longest answers leave first: what is behind the last query's is still to be counted.
        while let Ok(received) =
            tokio::time::timeout(if last { Duration::from_millis(200) } else { PATIENCE }, client.recv(&mut buffer))
                .await
        {
            let answer = decode(&buffer[..received.unwrap()]).unwrap();
            match answer.id {
                999 => last = true,
                _ if answer.truncation => {
                    assert!(answer.answers.is_empty() && answer.edns.is_some() && answer.queries.len() == 1);
                    truncated += 1;
                }
                _ => whole += 1,
            }
        }
        assert!(last && whole < 100, "{whole} whole answers");
        assert!(truncated >= 50 && whole + truncated < 200, "{truncated} of {} are truncated", 200 - whole);
    }
    for id in 0..50 {
        client.send(&query_with_id(id, "a.test")).await.unwrap();
    }
    for _ in 0..50 {
        let answer = udp_answer(&client).await.0;
        assert!(!answer.truncation && answer.answers.len() == 1, "what does not amplify is not limited");
    }
    let mut stream = running.connect().await;
    for id in 0..50 {
        stream.write_all(&framed(&query_with_id(id, "n20.test"))).await.unwrap();
        assert_eq!(tcp_answer(&mut stream).await.answers.len(), 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_had_to_wait_have_a_rate_as_well() {
    let rate = RateLimit { per_second: 1, slip: 1 };
    let running = start_with("127.0.0.1:0", &Limits::default(), LoadLimits { rate, ..LoadLimits::default() });
    let client = udp_client().await;
    client.connect(running.server.address()).await.unwrap();
    for id in 0..20 {
        client.send(&query_with_id(id, "wait20.test")).await.unwrap();
    }
    while running.server.in_flight() < 20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.gate.add_permits(20);
    let mut truncated = 0;
    for _ in 0..20 {
        truncated += u32::from(udp_answer(&client).await.0.truncation);
    }
    assert!((1..20).contains(&truncated), "{truncated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_shed_a_query_that_would_find_no_place_is_dropped_before_the_chain() {
    let limits = Limits { sockets: NonZeroUsize::new(1), ..Limits::default() };
    let (table, gate) = table_with("dns://:5353", |block| block.shed = true);
    let site = Site { table, ..site("0.0.0.0:0", &limits, None).0 };
    let mut server = Server::new(None, LoadLimits { max_in_flight: 2, ..LoadLimits::default() }, &Handle::current());
    server.commit(server.prepare(vec![site], false).unwrap());
    let running = Running { server, gate };
    let asked = SocketAddr::from(([127, 0, 0, 1], running.port()));
    let client = udp_client().await;
    let counters = metrics::ShedCounters::of("dns://:5353");
    for id in 0..2 {
        client.send_to(&query_with_id(id, "wait.test"), asked).await.unwrap();
    }
    while running.server.in_flight() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Whatever needs the chain: also what would not have to wait there.
    client.send_to(&query_with_id(2, "a.test"), asked).await.unwrap();
    while counters.queries.get() < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Another client has a claim to a place, and a connection is not meant.
    let other = tokio::net::UdpSocket::bind("127.0.0.2:0").await.unwrap();
    other.send_to(&query_with_id(3, "a.test"), asked).await.unwrap();
    assert_eq!(udp_answer(&other).await.0.id, 3);
    let mut stream = running.connect().await;
    stream.write_all(&framed(&query_with_id(4, "a.test"))).await.unwrap();
    assert_eq!(tcp_answer(&mut stream).await.id, 4);
    running.gate.add_permits(2);
    for _ in 0..2 {
        assert!(udp_answer(&client).await.0.id < 2);
    }
    client.send_to(&query_with_id(5, "a.test"), asked).await.unwrap();
    assert_eq!(udp_answer(&client).await.0.id, 5);
    assert_eq!((counters.queries.get(), counters.responses.get()), (1, 0));
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
    while running.server.in_flight() < 2 {
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
    let taken = running.server.address();
    let other = Server::new(None, LoadLimits::default(), &Handle::current());
    for address in [taken, SocketAddr::from((Ipv6Addr::UNSPECIFIED, taken.port()))] {
        let (site, _) = site(&address.to_string(), &Limits::default(), None);
        let error = other.prepare(vec![site], true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}

/// A client that asks without end, over UDP or TCP, and counts what it does not get.
async fn asks(address: SocketAddr, over_tcp: bool, stop: Arc<std::sync::atomic::AtomicBool>) -> (usize, usize) {
    let (mut asked, mut answered) = (0, 0);
    let mut stream = None;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        asked += 1;
        let id = asked as u16;
        let octets = query_with_id(id, "a.test");
        if !over_tcp {
            let client = udp_client().await;
            client.send_to(&octets, address).await.unwrap();
            answered += usize::from(udp_answer(&client).await.0.id == id);
            continue;
        }
        // One connection for a while, then the next.
        if asked % 20 == 1 {
            stream = Some(TcpStream::connect(address).await.unwrap());
        }
        let stream = stream.as_mut().unwrap();
        stream.write_all(&framed(&octets)).await.unwrap();
        answered += usize::from(tcp_answer(stream).await.id == id);
    }
    (asked, answered)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_grows_wider_and_narrower_without_a_lost_query() {
    let mut running = start(&format!("127.0.0.1:{}", free_port()), &Limits::default(), 100);
    let address = running.server.address();
    let stop = Arc::<std::sync::atomic::AtomicBool>::default();
    let clients: Vec<_> =
        [false, true, false, true].map(|tcp| tokio::spawn(asks(address, tcp, stop.clone()))).into_iter().collect();
    let mut old = running.connect().await;
    let elsewhere = |last: u8| SocketAddr::from(([127, 0, 0, last], address.port()));
    for addresses in
        [&["::"][..], &["127.0.0.1"], &["0.0.0.0"], &["::"], &["127.0.0.1", "127.0.0.2"], &["127.0.0.1", "::"]]
    {
        change(&mut running.server, addresses, &Limits::default()).unwrap();
        let other = if addresses.contains(&"127.0.0.2") { elsewhere(2) } else { elsewhere(3) };
        if addresses != ["127.0.0.1"] {
            let client = udp_client().await;
            client.send_to(&query("a.test", 1), other).await.unwrap();
            assert_eq!(udp_answer(&client).await.1, other, "{addresses:?}");
            let mut stream = TcpStream::connect(other).await.unwrap();
            stream.write_all(&framed(&query("a.test", 1))).await.unwrap();
            tcp_answer(&mut stream).await;
        }
        // A connection outlives the socket that took it.
        old.write_all(&framed(&query("a.test", 1))).await.unwrap();
        tcp_answer(&mut old).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    change(&mut running.server, &["127.0.0.1"], &Limits::default()).unwrap();
    let refused = async {
        while TcpStream::connect(elsewhere(3)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("what is no longer served is closed");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for client in clients {
        let (asked, answered) = client.await.unwrap();
        assert!(asked > 20, "{asked}");
        assert_eq!(asked, answered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_somebody_else_leaves_everything_as_it_was() {
    let mut running = start(&format!("127.0.0.1:{}", free_port()), &Limits::default(), 100);
    let port = running.server.address().port();
    let theirs = std::net::TcpListener::bind(("127.0.0.2", port)).unwrap();
    for addresses in [&["127.0.0.1", "127.0.0.2"][..], &["::"]] {
        let error = change(&mut running.server, addresses, &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
        let mut stream = running.connect().await;
        stream.write_all(&framed(&query("a.test", 1))).await.unwrap();
        tcp_answer(&mut stream).await;
        let client = udp_client().await;
        client.send_to(&query("a.test", 1), running.server.address()).await.unwrap();
        udp_answer(&client).await;
    }
    drop(theirs);
    change(&mut running.server, &["::"], &Limits::default()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_sockets_changes_under_load() {
    let sockets = |count| Limits { sockets: NonZeroUsize::new(count), ..Limits::default() };
    let mut running = start("127.0.0.1:0", &sockets(1), 100);
    let address = running.server.address();
    let stop = Arc::<std::sync::atomic::AtomicBool>::default();
    let clients = [(); 2].map(|()| tokio::spawn(asks(address, false, stop.clone())));
    for count in [4, 2, 1, 3, 1] {
        change(&mut running.server, &["127.0.0.1"], &sockets(count)).unwrap();
        let used = || running.server.udp.held();
        let as_many = async {
            while used() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, as_many).await.expect("sockets that left are closed");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for client in clients {
        let (asked, answered) = client.await.unwrap();
        assert_eq!(asked, answered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_come_and_go_with_the_load_without_a_lost_query() {
    let mut running = start("127.0.0.1:0", &Limits::default(), 100);
    let address = running.server.address();
    let most = std::thread::available_parallelism().unwrap().get();
    let stop = Arc::<std::sync::atomic::AtomicBool>::default();
    let clients = [(); 2].map(|()| tokio::spawn(asks(address, false, stop.clone())));
    for _ in 0..2 {
        // A batch that takes long is what calls for another thread.
        let client = udp_client().await;
        client.connect(address).await.unwrap();
        let more = async {
            while running.server.udp.count(address) < most.min(3) {
                client.send(&query_with_id(1, "slow.test")).await.unwrap();
                assert_eq!(udp_answer(&client).await.0.id, 1);
            }
        };
        tokio::time::timeout(PATIENCE, more).await.expect("as many as there may be");
        let alone = async {
            while running.server.udp.held() > 1 && !stop.load(std::sync::atomic::Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // With the clients' queries alone there is enough to do for one of them on a slow machine.
        if tokio::time::timeout(PATIENCE, alone).await.is_err() {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        change(&mut running.server, &["127.0.0.1"], &Limits::default()).unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for client in clients {
        let (asked, answered) = client.await.unwrap();
        assert_eq!(asked, answered);
    }
    let alone = async {
        while running.server.udp.held() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(6 * PATIENCE, alone).await.expect("one thread is enough for nobody");
    // Nobody else gets in, although several of our own were there.
    let (other, _) = site(&address.to_string(), &Limits::default(), None);
    assert!(Server::new(None, LoadLimits::default(), &Handle::current()).prepare(vec![other], true).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_sockets_that_was_set_does_not_follow_the_load() {
    let running = start("127.0.0.1:0", &Limits { sockets: NonZeroUsize::new(2), ..Limits::default() }, 100);
    let address = running.server.address();
    let begun = Instant::now();
    let client = udp_client().await;
    client.connect(address).await.unwrap();
    while begun.elapsed() < 3 * udp::SPELL {
        client.send(&query_with_id(1, "slow.test")).await.unwrap();
        udp_answer(&client).await;
        assert_eq!(running.server.udp.count(address), 2);
    }
    tokio::time::sleep(3 * udp::SPELL).await;
    assert_eq!(running.server.udp.count(address), 2);
}

//! Connections over TCP: their order, their limits, their end.

use super::*;

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
    while running.server.in_flight() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let early = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
    assert!(early.is_err() && running.server.in_flight() == 2);
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
    while running.server.in_flight() < 128 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.gate.add_permits(128);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(running.server.in_flight() > 10, "answers are taken although none leaves");
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
async fn new_limits_hold_for_connections_that_are_open() {
    let mut running = start("127.0.0.1:0", &Limits { idle: Duration::from_secs(60), ..Limits::default() }, 100);
    let mut stream = running.connect().await;
    stream.write_all(&framed(&query("a.test", 1))).await.unwrap();
    tcp_answer(&mut stream).await;
    let mut counted = running.connect().await;
    counted.write_all(&framed(&query("a.test", 1))).await.unwrap();
    tcp_answer(&mut counted).await;
    let short = Limits { idle: Duration::from_millis(300), queries_per_connection: Some(2), ..Limits::default() };
    change(&mut running.server, &["127.0.0.1"], &short).unwrap();
    counted.write_all(&framed(&query("a.test", 1))).await.unwrap();
    tcp_answer(&mut counted).await;
    closed_after(&mut counted).await;
    closed_after(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_limit_of_waiting_queries_one_over_tcp_is_told_so() {
    let running = start("127.0.0.1:0", &Limits::default(), 1);
    let mut stream = running.connect().await;
    for id in [1, 2] {
        stream.write_all(&framed(&query_with_id(id, "wait.test"))).await.unwrap();
    }
    let refused = tcp_answer(&mut stream).await;
    assert_eq!((refused.id, refused.metadata.response_code), (2, crate::wire::message::ResponseCode::ServFail));
    running.gate.add_permits(1);
    assert_eq!(tcp_answer(&mut stream).await.id, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_read_nothing_are_cut_off_before_they_fill_the_memory() {
    let limits = Limits { unread: 200_000, write: Duration::from_secs(60), ..Limits::default() };
    let running = start("127.0.0.1:0", &limits, 1000);
    let before = metrics::UNREAD_SHED.get();
    let mut held = Vec::new();
    for _ in 0..16 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&running.server.address().into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(socket.into()).unwrap();
        stream.write_all(&framed(&query("n2000.test", 1)).repeat(20)).await.unwrap();
        held.push(stream);
    }
    let cut = async {
        while metrics::UNREAD_SHED.get() < before + 8 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(10 * PATIENCE, cut).await.expect("most find no room");
    let mut other = running.connect().await;
    other.write_all(&framed(&query("n2000.test", 1)).repeat(2)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(tcp_answer(&mut other).await.answers.len(), 2000, "a client that reads is not concerned");
    }
}

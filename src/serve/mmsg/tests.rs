use super::*;

fn peer_v4() -> [u8; 28] {
    let mut octets = [0; 28];
    octets[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    octets[2..8].copy_from_slice(&[0x12, 0x34, 192, 0, 2, 7]);
    octets
}

fn peer_v6(address: Ipv6Addr) -> [u8; 28] {
    let mut octets = [0; 28];
    octets[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
    octets[2..4].copy_from_slice(&[0, 53]);
    octets[8..24].copy_from_slice(&address.octets());
    octets
}

#[test]
fn addresses_are_read_as_the_kernel_writes_them() {
    let v4 = DatagramEnds::read(&peer_v4(), &[]).unwrap();
    assert_eq!(v4.peer(), "192.0.2.7:4660".parse().unwrap());
    assert_eq!((v4.local(), v4.control().len), (None, 0));
    let v6 = DatagramEnds::read(&peer_v6("2001:db8::1".parse().unwrap()), &[]).unwrap();
    assert_eq!(v6.peer(), "[2001:db8::1]:53".parse().unwrap());
    let mapped = DatagramEnds::read(&peer_v6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped()), &[]).unwrap();
    assert_eq!(mapped.peer(), "10.0.0.1:53".parse().unwrap());
    assert!(DatagramEnds::read(&[0; 28], &[]).is_none());
}

#[test]
fn the_address_that_was_asked_comes_back_as_the_one_to_answer_from() {
    for local in [
        LocalAddress::V4(Ipv4Addr::new(10, 0, 0, 1)),
        LocalAddress::V6("2001:db8::1".parse().unwrap(), 0),
        LocalAddress::V6("fe80::1".parse().unwrap(), 3),
    ] {
        let ControlMessages { octets: control, len } =
            DatagramEnds { peer: Octets(peer_v4()), local: Some(local) }.control();
        assert_eq!(len % size_of::<usize>(), 0);
        assert_eq!(DatagramEnds::read(&peer_v4(), &control.0[..len]).unwrap().local, Some(local));
    }
    let routed =
        DatagramEnds { peer: Octets(peer_v4()), local: Some(LocalAddress::V6("2001:db8::1".parse().unwrap(), 3)) };
    let ControlMessages { octets: control, len } = routed.control();
    let read = DatagramEnds::read(&peer_v4(), &control.0[..len]).unwrap();
    assert_eq!(read.local, Some(LocalAddress::V6("2001:db8::1".parse().unwrap(), 0)));
}

#[test]
fn broken_control_messages_end_the_reading() {
    for len in [0, 1, HEADER - 1, HEADER, CONTROL + 1, usize::MAX] {
        let mut control = [0; CONTROL];
        control[..size_of::<usize>()].copy_from_slice(&len.to_ne_bytes());
        for end in 0..CONTROL {
            assert_eq!(DatagramEnds::read(&peer_v4(), &control[..end]).unwrap().local(), None);
        }
    }
}

#[test]
fn a_batch_is_received_answered_and_sent_at_once() {
    let server = UdpSocket::bind("0.0.0.0:0").unwrap();
    ask_for_local_address(&server, false).unwrap();
    let port = server.local_addr().unwrap().port();
    let clients: Vec<_> = (1..=5)
        .map(|host| {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            client.send_to(&[host], (Ipv4Addr::new(127, 0, 0, host), port)).unwrap();
            client
        })
        .collect();
    let mut batch = Batch::new(&server);
    let mut answered = 0;
    while answered < 5 {
        answered += batch.receive(&server, true).unwrap();
        for slot in batch.slots() {
            let host = slot.parts().0[0];
            assert_eq!(slot.envelope().unwrap().local(), Some(Ipv4Addr::new(127, 0, 0, host).into()));
            slot.answer_with(&[host, host]);
        }
        assert_eq!(batch.send(&server), 0);
    }
    for (host, client) in (1..).zip(clients) {
        let mut answer = [0; 8];
        let (len, from) = client.recv_from(&mut answer).unwrap();
        assert_eq!((&answer[..len], from.ip()), (&[host, host][..], Ipv4Addr::new(127, 0, 0, host).into()));
    }
    assert_eq!(batch.receive(&server, false).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn answers_for_one_client_arrive_each_by_itself_however_they_leave() {
    for (any, hosts, segments) in [
        ("0.0.0.0:0", ["127.0.0.1", "127.0.0.2"], true),
        ("0.0.0.0:0", ["127.0.0.1", "127.0.0.2"], false),
        ("[::]:0", ["::1", "127.0.0.2"], true),
    ] {
        // Not every machine has IPv6.
        let Ok(server) = UdpSocket::bind(any) else { continue };
        ask_for_local_address(&server, any.starts_with('[')).unwrap();
        let mut batch = Batch { segments, ..Batch::new(&server) };
        let port = server.local_addr().unwrap().port();
        let clients = hosts.map(|host| {
            let own = if host.contains(':') { "[::1]:0" } else { "127.0.0.1:0" };
            let client = UdpSocket::bind(own).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            client.connect((host, port)).unwrap();
            client
        });
        let lengths = [100, 40, 100, 100, 500, 41, 40, 1];
        for (number, client) in clients.iter().enumerate() {
            for at in 0..lengths.len() {
                client.send(&[at as u8, number as u8]).unwrap();
            }
        }
        let mut answered = 0;
        while answered < 2 * lengths.len() {
            answered += batch.receive(&server, true).unwrap();
            for slot in batch.slots() {
                let [at, number] = slot.parts().0.try_into().unwrap();
                slot.answer_with(&vec![at * 2 + number; lengths[usize::from(at)]]);
            }
            assert_eq!(batch.send(&server), 0);
        }
        assert_eq!(batch.segments, segments, "the loopback device refuses nothing");
        for (number, client) in clients.iter().enumerate() {
            let mut got: Vec<Vec<u8>> = lengths
                .iter()
                .map(|_| {
                    let mut answer = [0; 4096];
                    let len = client.recv(&mut answer).unwrap();
                    answer[..len].to_vec()
                })
                .collect();
            let mut sent: Vec<Vec<u8>> = (0..).zip(lengths).map(|(at, len)| vec![at * 2 + number as u8; len]).collect();
            got.sort();
            sent.sort();
            assert_eq!(got, sent);
        }
    }
}

#[test]
fn what_cannot_leave_together_is_tried_apart_and_counted() {
    let server = UdpSocket::bind("0.0.0.0:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", server.local_addr().unwrap().port())).unwrap();
    for number in 0..4 {
        client.send(&[number]).unwrap();
    }
    let mut batch = Batch::new(&server);
    let mut received = 0;
    while received < 4 {
        received += batch.receive(&server, true).unwrap();
    }
    for slot in batch.slots() {
        slot.answer_with(&[7; 20]);
        // Nothing may be broadcast without leave of the socket.
        slot.peer.0[4..8].copy_from_slice(&[255; 4]);
    }
    let count = batch.received;
    assert_eq!(batch.send(&server), count);
    assert!(count == 1 || !batch.segments);
}

#[test]
fn batches_grow_with_what_waits_and_shrink_again() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    for number in 0..100 {
        client.send(&[number]).unwrap();
    }
    let mut batch = Batch::new(&server);
    let mut seen = Vec::new();
    let counts: Vec<usize> = (0..4)
        .map(|_| {
            let count = batch.receive(&server, true).unwrap();
            seen.extend(batch.slots().iter_mut().map(|slot| slot.parts().0[0]));
            count
        })
        .collect();
    assert_eq!(counts, [FIRST, FEW, BATCH, 100 - FIRST - FEW - BATCH]);
    assert_eq!(seen, (0..100).collect::<Vec<u8>>());
    client.send(&[0]).unwrap();
    assert_eq!((batch.receive(&server, true).unwrap(), batch.width), (1, FEW));
    assert!(batch.is_grown());
    batch.shrink();
    assert!(!batch.is_grown() && batch.slots().is_empty() && batch.slots.capacity() < FEW);
    client.send(&[1]).unwrap();
    assert_eq!((batch.receive(&server, true).unwrap(), batch.width), (1, FIRST));
    assert_eq!(batch.slots()[0].parts().0, [1]);
}

#[test]
fn a_late_answer_leaves_from_the_address_that_was_asked() {
    let server = UdpSocket::bind("0.0.0.0:0").unwrap();
    ask_for_local_address(&server, false).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"q", ("127.0.0.9", server.local_addr().unwrap().port())).unwrap();
    let mut batch = Batch::new(&server);
    batch.receive(&server, true).unwrap();
    let envelope = batch.slots()[0].envelope().unwrap();
    send_one(&server, b"late", &envelope).unwrap();
    let (len, from) = client.recv_from(&mut [0; 8]).unwrap();
    assert_eq!((len, from.ip().to_string()), (4, "127.0.0.9".to_owned()));
}

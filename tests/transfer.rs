//! Zones leave over TCP in many messages, to those that may have them, and no faster than they are taken.
#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use rollcall_testing::api_server::ApiServer;
use rollcall_testing::{PATIENCE, Server, answer, folder, free_port, objects, queries, skip, wait_for};
use serde_json::json;
use socket2::{Domain, Socket, Type};

fn query(zone: &str, qtype: RecordType, known: Option<u32>) -> Vec<u8> {
    let mut query = Message::new(9, MessageType::Query, OpCode::Query);
    let zone = Name::from_ascii(zone).unwrap();
    query.add_query(Query::query(zone.clone(), qtype));
    if let Some(serial) = known {
        let soa = SOA::new(zone.clone(), zone.clone(), serial, 1, 1, 1, 1);
        query.add_authority(Record::from_rdata(zone, 0, RData::SOA(soa)));
    }
    query.to_vec().unwrap()
}

/// A connection from an address of the loopback network.
fn connect(port: u16, from: [u8; 4]) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn send(stream: &mut TcpStream, octets: &[u8]) {
    queries::send(stream, octets).unwrap();
}

fn read(stream: &mut TcpStream) -> Message {
    let message = Message::from_vec(&queries::receive(stream).unwrap()).unwrap();
    assert_eq!(message.metadata.id, 9);
    message
}

/// All records of a transfer, until the SOA comes again, and how many messages they took.
fn transfer(stream: &mut TcpStream, octets: &[u8]) -> (Vec<Record>, usize) {
    send(stream, octets);
    let (mut records, mut messages) = (Vec::new(), 0);
    let is_soa = |record: &Record| record.record_type() == RecordType::SOA;
    while records.len() < 2 || !records.last().is_some_and(is_soa) {
        let message = read(stream);
        assert_eq!(message.metadata.response_code, ResponseCode::NoError);
        assert!(message.metadata.authoritative && !message.answers.is_empty());
        records.extend(message.answers);
        messages += 1;
    }
    (records, messages)
}

/// Records as lines, all but the SOA and its companions at the apex.
fn lines(records: &[Record]) -> Vec<String> {
    let below = |record: &&Record| !matches!(record.record_type(), RecordType::SOA | RecordType::NS);
    let line = |record: &Record| format!("{} {} {}", record.name, record.record_type(), record.data);
    let mut lines: Vec<_> = records.iter().filter(below).map(line).filter(|line| !line.starts_with("ns.dns")).collect();
    lines.sort();
    lines
}

async fn cluster() -> ApiServer {
    let api = ApiServer::start().await;
    api.apply("namespaces", objects::namespace("default"));
    for service in [
        objects::headless("kubia"),
        objects::cluster_ip("api", "10.96.0.1", json!([{"port": 443}])),
        objects::external_name("out", "www.example.org"),
    ] {
        api.apply("services", service);
    }
    let endpoints = vec![objects::endpoint("kubia-0", "10.0.0.0"), objects::endpoint("kubia-1", "10.0.0.1")];
    api.apply("endpointslices", objects::slice("kubia", "1", objects::ports("http", "TCP", 8080), endpoints));
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_a_cluster_go_to_those_that_may_have_them() {
    let api = cluster().await;
    let port = free_port();
    let folder = folder(&format!(
        ".:{port} {{
    bind 127.0.0.1
    kubernetes cluster.local in-addr.arpa {{
        endpoint {}
    }}
    transfer cluster.local {{
        to 127.0.0.1
    }}
    cache
}}
",
        api.url()
    ));
    tokio::task::spawn_blocking(move || {
        let _server = Server::start(&[], folder.path());
        let name = "kubia.default.svc.cluster.local.";
        wait_for(|| answer(port, name, RecordType::A).answers.len() == 2, || "the cluster's names".to_owned());

        let mut stream = connect(port, [127, 0, 0, 1]);
        let (records, _) = transfer(&mut stream, &query("cluster.local.", RecordType::AXFR, None));
        assert_eq!(records.first(), records.last());
        let expected = [
            "_http._tcp.kubia.default.svc.cluster.local. SRV 0 50 8080 kubia-0.kubia.default.svc.cluster.local.",
            "_http._tcp.kubia.default.svc.cluster.local. SRV 0 50 8080 kubia-1.kubia.default.svc.cluster.local.",
            "api.default.svc.cluster.local. A 10.96.0.1",
            "api.default.svc.cluster.local. SRV 0 100 443 api.default.svc.cluster.local.",
            "kubia-0.kubia.default.svc.cluster.local. A 10.0.0.0",
            "kubia-1.kubia.default.svc.cluster.local. A 10.0.0.1",
            "kubia.default.svc.cluster.local. A 10.0.0.0",
            "kubia.default.svc.cluster.local. A 10.0.0.1",
            "out.default.svc.cluster.local. CNAME www.example.org.",
        ];
        assert_eq!(lines(&records), expected);
        let RData::SOA(soa) = &records[0].data else { panic!("the first record is {}", records[0]) };
        let serial = soa.serial;

        // The connection goes on. An IXFR brings the SOA alone, or everything.
        send(&mut stream, &query("cluster.local.", RecordType::IXFR, Some(serial)));
        assert_eq!(read(&mut stream).answers.len(), 1);
        let older = query("cluster.local.", RecordType::IXFR, Some(serial.wrapping_sub(1)));
        assert_eq!(lines(&transfer(&mut stream, &older).0), expected);

        let mut refused = Vec::new();
        for (from, zone) in [([127, 0, 0, 2], "cluster.local."), ([127, 0, 0, 1], "default.svc.cluster.local.")] {
            let mut stream = connect(port, from);
            send(&mut stream, &query(zone, RecordType::AXFR, None));
            refused.push(read(&mut stream));
        }
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_read_timeout(Some(PATIENCE)).unwrap();
        udp.send_to(&query("cluster.local.", RecordType::AXFR, None), ("127.0.0.1", port)).unwrap();
        let mut buffer = [0; 4096];
        let len = udp.recv(&mut buffer).unwrap();
        refused.push(Message::from_vec(&buffer[..len]).unwrap());
        for message in refused {
            assert!(message.answers.is_empty() && message.metadata.response_code != ResponseCode::NoError, "{message}");
        }

        match Command::new("dig").args(["@127.0.0.1", "-p", &port.to_string(), "cluster.local.", "AXFR"]).output() {
            Ok(output) => {
                let said = String::from_utf8(output.stdout).unwrap();
                assert!(said.contains(";; XFR size: "), "{said}");
            }
            Err(_) => skip("no dig on the path: it transfers no zone"),
        }
    })
    .await
    .unwrap();
}

/// Memory that a process holds, in KiB.
fn resident(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn clients_that_do_not_read_hold_a_message_each_and_not_the_zone() {
    const RECORDS: u32 = 40_000;
    const CLIENTS: usize = 40;
    let port = free_port();
    let folder =
        folder(&format!(".:{port} {{\n bind 127.0.0.1\n transfer {{\n  to *\n }}\n file db.example example.\n}}\n"));
    let mut zone = "@ 60 IN SOA ns host 7 3600 600 86400 60\n@ 60 IN NS ns\n".to_owned();
    for n in 0..RECORDS {
        writeln!(zone, "host-{n} 60 IN A {}", IpAddr::from((0x0a00_0000 + n).to_be_bytes())).unwrap();
    }
    fs::write(folder.path().join("db.example"), zone).unwrap();
    let server = Server::start(&[], folder.path());
    answer(port, "host-1.example.", RecordType::A);

    let axfr = query("example.", RecordType::AXFR, None);
    let mut first = connect(port, [127, 0, 0, 1]);
    let (records, messages) = transfer(&mut first, &axfr);
    assert_eq!((records.len(), messages > 50), (RECORDS as usize + 3, true));
    let owners: BTreeSet<_> = records.iter().map(|record| record.name.to_ascii()).collect();
    assert_eq!(owners.len(), RECORDS as usize + 1);

    let before = resident(server.child.id());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut stream = connect(port, [127, 0, 0, 1]);
            // Each asks for it many times over.
            (0..10).for_each(|_| send(&mut stream, &axfr));
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_secs(2));
    let grown = resident(server.child.id()).saturating_sub(before);
    // A copy of all records is several megabytes for each client.
    assert!(grown < CLIENTS * 1024, "{grown} KiB for {CLIENTS} clients");
    assert_eq!(answer(port, "host-1.example.", RecordType::A).answers.len(), 1);
    drop(clients);
}

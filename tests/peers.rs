//! An application whose peers find each other by SRV: two, then three, all listed at the very next request.
//!
//! Each peer is a process of its own on the loopback address that `rollcall local` gives to its pod.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

#[path = "support/ports.rs"]
mod ports;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use ports::free_port;

const SERVICE: &str = "kubia.default.svc.cluster.local";

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn peers_list_each_other_at_the_next_request_after_a_scale_up() {
    if Command::new("node").arg("--version").output().is_err() {
        eprintln!("skipped: node is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    write_manifests(folder.path(), 2, port);
    let (_server, dns) = start_server(folder.path());

    let mut peers = Vec::new();
    for name in ["kubia-0", "kubia-1"] {
        let address = wait_for_address(dns, name);
        peers.push((start_peer(name, address, port, dns), SocketAddr::new(address, port)));
    }
    assert_ne!(peers[0].1, peers[1].1);
    for (index, (_, peer)) in peers.iter().enumerate() {
        assert_eq!(request(*peer, "POST", &format!("data of {index}")), format!("stored on kubia-{index}\n"));
    }
    assert_eq!(request(peers[0].1, "GET", ""), "2 peers\nkubia-0: data of 0\nkubia-1: data of 1\n");

    write_manifests(folder.path(), 3, port);
    let address = wait_for_address(dns, "kubia-2");
    let third = SocketAddr::new(address, port);
    let _third = start_peer("kubia-2", address, port, dns);
    assert_eq!(request(third, "POST", "data of 2"), "stored on kubia-2\n");
    for peer in [peers[0].1, peers[1].1, third] {
        let listed = request(peer, "GET", "");
        assert_eq!(listed, "3 peers\nkubia-0: data of 0\nkubia-1: data of 1\nkubia-2: data of 2\n", "by {peer}");
    }
}

/// The example's manifests, on a port that is free here.
fn write_manifests(folder: &Path, replicas: u32, port: u16) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/kubia");
    let read = |name: &str| fs::read_to_string(example.join(name)).unwrap();
    let (service, set) = (read("service.yaml"), read("statefulset.yaml"));
    assert!(service.contains("targetPort: 8080") && set.contains("replicas: 2"));
    let service = service.replace("targetPort: 8080", &format!("targetPort: {port}"));
    fs::write(folder.join("service.yaml"), service).unwrap();
    fs::write(folder.join("statefulset.yaml"), set.replace("replicas: 2", &format!("replicas: {replicas}"))).unwrap();
}

fn start_server(folder: &Path) -> (Process, SocketAddr) {
    let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let server = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .args(["local", "--listen", &listen.to_string()])
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    (Process(server), listen)
}

fn start_peer(name: &str, address: IpAddr, port: u16, dns: SocketAddr) -> Process {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/peer.js");
    let mut peer = Command::new("node")
        .arg(script)
        .env("SERVICE", SERVICE)
        .env("PEER", name)
        .env("ADDRESS", address.to_string())
        .env("PORT", port.to_string())
        .env("DNS_SERVER", dns.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(peer.stdout.take().unwrap());
    let peer = Process(peer);
    output.read_line(&mut line).unwrap();
    assert_eq!(line, format!("{name} listens on {address}:{port}\n"));
    peer
}

/// The address of a pod, as soon as it has a name.
fn wait_for_address(dns: SocketAddr, pod: &str) -> IpAddr {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(address) = look_up(dns, &format!("{pod}.{SERVICE}.")) {
            return address;
        }
        assert!(Instant::now() < end, "{pod} has no address");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn look_up(dns: SocketAddr, name: &str) -> Option<IpAddr> {
    let mut query = Message::new(7, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket.send_to(&query.to_vec().unwrap(), dns).ok()?;
    let mut buffer = [0; 1232];
    let len = socket.recv(&mut buffer).ok()?;
    let reply = Message::from_vec(&buffer[..len]).unwrap();
    reply.answers.iter().find_map(|record| match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        _ => None,
    })
}

fn request(peer: SocketAddr, method: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(peer).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "{method} / HTTP/1.0\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{reply}");
    body.into()
}

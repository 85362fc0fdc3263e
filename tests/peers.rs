//! An application whose peers find each other by SRV: two, then three, all listed at the very next request.
//!
//! Each peer is a process of its own on the loopback address that `rollcall local` gives to its pod.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use hickory_proto::rr::RecordType;
use rollcall_testing::client::{addresses, try_ask};
use rollcall_testing::{PATIENCE, Server, free_port, is_there, repository, skip, wait_for};

const SERVICE: &str = "kubia.default.svc.cluster.local";

#[test]
fn peers_list_each_other_at_the_next_request_after_a_scale_up() {
    if !is_there("node") {
        return skip("no node on the path: no peers of an application are started");
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
    let example = repository("deploy/examples/kubia");
    let read = |name: &str| fs::read_to_string(example.join(name)).unwrap();
    let (service, set) = (read("service.yaml"), read("statefulset.yaml"));
    assert!(service.contains("targetPort: 8080") && set.contains("replicas: 2"));
    let service = service.replace("targetPort: 8080", &format!("targetPort: {port}"));
    fs::write(folder.join("service.yaml"), service).unwrap();
    fs::write(folder.join("statefulset.yaml"), set.replace("replicas: 2", &format!("replicas: {replicas}"))).unwrap();
}

fn start_server(folder: &Path) -> (Server, SocketAddr) {
    let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
    (Server::start(&["local", "--listen", &listen.to_string(), "."], folder), listen)
}

fn start_peer(name: &str, address: IpAddr, port: u16, dns: SocketAddr) -> Server {
    let script = repository("tests/peers/peer.js");
    let mut peer = Command::new("node");
    peer.arg(script)
        .env("SERVICE", SERVICE)
        .env("PEER", name)
        .env("ADDRESS", address.to_string())
        .env("PORT", port.to_string())
        .env("DNS_SERVER", dns.to_string());
    let peer = Server::of(peer, "");
    peer.until(&format!("{name} listens on {address}:{port}\n"));
    peer
}

/// The address of a pod, as soon as it has a name.
fn wait_for_address(dns: SocketAddr, pod: &str) -> IpAddr {
    let mut address = None;
    let has_one = || {
        let answer = try_ask(dns, &format!("{pod}.{SERVICE}."), RecordType::A);
        address = answer.and_then(|answer| addresses(&answer).next());
        address.is_some()
    };
    wait_for(has_one, || format!("an address of {pod}"));
    address.unwrap()
}

fn request(peer: SocketAddr, method: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(peer).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} / HTTP/1.0\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{reply}");
    body.into()
}

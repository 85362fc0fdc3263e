//! Hostile packets to the running server: an answer, an error answer or silence, and it goes on answering.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::Message as Oracle;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use rollcall_testing::queries::framed;
use rollcall_testing::{Client, Server, free_port};

use super::{a_message, corpus};

/// `rollcall local` on a free port.
struct Local {
    server: Server,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Local {
    fn start() -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let objects = include_str!("../e2e/cluster.yaml");
        fs::write(folder.path().join("cluster.yaml"), objects).unwrap();
        let server = Server::start(&["local", "--listen", &format!("127.0.0.1:{port}"), "."], folder.path());
        let mut local = Self { server, port, _folder: folder };
        local.goes_on();
        local
    }

    /// Waits until a good question gets its good answer.
    fn goes_on(&mut self) {
        let (_, good) = corpus().swap_remove(0);
        let port = self.port;
        self.server.up(|| {
            let mut client = Client::new(SocketAddr::from(([127, 0, 0, 1], port)));
            client.set_patience(Duration::from_millis(500));
            client.send(&good, false).is_ok_and(|octets| Oracle::from_vec(&octets).unwrap().metadata.id == 0x1234)
        });
    }
}

/// The corpus, and a few hundred messages made from it.
fn packets() -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    let strategy = a_message();
    let random = (0..400).map(|_| strategy.new_tree(&mut runner).unwrap().current());
    corpus().into_iter().map(|(_, octets)| octets).chain(random).collect()
}

/// What comes back is an answer to what was sent: its id, and the bit that says so.
fn is_answer(reply: &[u8], sent: &[u8]) {
    assert!(reply.len() >= 12 && reply[..2] == sent[..2] && reply[2] & 0x80 != 0, "{sent:02x?} got {reply:02x?}");
    Oracle::from_vec(reply).unwrap_or_else(|error| panic!("{error}: {sent:02x?} got {reply:02x?}"));
}

#[test]
fn hostile_datagrams_get_an_answer_an_error_or_silence() {
    let mut server = Local::start();
    let mut answered = 0;
    // Open to the end: an answer that comes late must not meet a later socket with the same port.
    let mut all = Vec::new();
    for batch in packets().chunks(32) {
        // A socket for each, so that an answer belongs to what was sent.
        let sockets: Vec<(UdpSocket, &Vec<u8>)> = batch
            .iter()
            .map(|packet| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect(("127.0.0.1", server.port)).unwrap();
                socket.send(packet).unwrap();
                (socket, packet)
            })
            .collect();
        server.goes_on();
        for (socket, packet) in sockets {
            socket.set_nonblocking(true).unwrap();
            let mut buffer = [0; 65_535];
            while let Ok(len) = socket.recv(&mut buffer) {
                is_answer(&buffer[..len], packet);
                answered += 1;
            }
            all.push(socket);
        }
    }
    assert!(answered > 100, "only {answered} of them were answered");
}

#[test]
fn hostile_streams_end_and_do_no_harm() {
    let mut server = Local::start();
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        stream
    };
    let (_, good) = corpus().swap_remove(0);
    let mut streams = Vec::new();
    for packet in packets().iter().step_by(5) {
        // Behind a hostile message on the same connection a good one may be answered, or the connection is closed.
        let mut stream = connect();
        let _ = stream.write_all(&[framed(packet), framed(&good)].concat());
        streams.push(stream);
    }
    let lengths: [&[u8]; 6] =
        [&[], &[0], &[0, 0], &[0xff, 0xff], &[0xff, 0xff, 1, 2, 3], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"];
    for octets in lengths {
        let mut stream = connect();
        stream.write_all(octets).unwrap();
        streams.push(stream);
    }
    server.goes_on();
    let mut answered = 0;
    for mut stream in streams {
        let mut octets = vec![0; 4096];
        if let Ok(len @ 14..) = stream.read(&mut octets) {
            assert!(octets[4] & 0x80 != 0, "{:02x?}", &octets[..len]);
            answered += 1;
        }
    }
    assert!(answered > 50, "only {answered} connections brought an answer");
    server.goes_on();
}

//! Hostile packets to the running server: an answer, an error answer or silence, and it goes on answering.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::op::Message as Oracle;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::ports::free_port;
use super::{a_message, corpus};

const PATIENCE: Duration = Duration::from_secs(30);

/// `rollcall local` on a free port; killed when the test ends.
struct Server {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let objects = include_str!("../e2e/cluster.yaml");
        fs::write(folder.path().join("cluster.yaml"), objects).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command.args(["local", "--listen", &format!("127.0.0.1:{port}")]).arg(folder.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, port, _folder: folder };
        let begun = Instant::now();
        while !server.answers() {
            assert!(
                server.child.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE,
                "the server does not start"
            );
        }
        server
    }

    /// Whether a good question gets its good answer.
    fn answers(&self) -> bool {
        let (_, good) = corpus().swap_remove(0);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut buffer = [0; 4096];
        socket.send(&good).is_ok()
            && socket.recv(&mut buffer).is_ok_and(|len| Oracle::from_vec(&buffer[..len]).unwrap().metadata.id == 0x1234)
    }

    fn goes_on(&mut self) {
        let begun = Instant::now();
        while !self.answers() {
            assert!(self.child.try_wait().unwrap().is_none(), "the server has ended");
            assert!(begun.elapsed() < PATIENCE, "the server does not answer any more");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
    let mut server = Server::start();
    let mut answered = 0;
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
        }
    }
    assert!(answered > 100, "only {answered} of them were answered");
}

#[test]
fn hostile_streams_end_and_do_no_harm() {
    let mut server = Server::start();
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        stream
    };
    let framed = |octets: &[u8]| [&u16::try_from(octets.len()).unwrap().to_be_bytes(), octets].concat();
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

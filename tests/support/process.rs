//! The built binary at work, for tests that meet it as an operator does.
#![allow(dead_code, reason = "each test binary uses its part")]

#[path = "ports.rs"]
mod ports;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
pub(crate) use ports::free_port;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.env_remove("KUBERNETES_SERVICE_HOST");
    command
}

pub(crate) fn run(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command().args(arguments).current_dir(folder).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A server at work; killed when the test ends.
pub(crate) struct Server {
    pub(crate) child: Child,
    said: Arc<Mutex<String>>,
}

impl Server {
    pub(crate) fn start(arguments: &[&str], folder: &Path) -> Self {
        Self::with_stdin(arguments, folder, "")
    }

    pub(crate) fn with_stdin(arguments: &[&str], folder: &Path, text: &str) -> Self {
        let mut command = command();
        command.args(arguments).current_dir(folder);
        Self::of(command, text)
    }

    /// Starts any command line.
    pub(crate) fn of(mut command: Command, text: &str) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let said = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    *said.lock().unwrap() += &(line + "\n");
                }
            });
        }
        Self { child, said }
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until the server has said something.
    pub(crate) fn until(&self, text: &str) {
        wait_for(|| self.said().contains(text), || format!("{text:?} in {}", self.said()));
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for(
            || {
                status = self.child.try_wait().unwrap();
                status.is_some()
            },
            || "the end of the process".to_owned(),
        );
        status.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn wait_for(mut holds: impl FnMut() -> bool, what: impl Fn() -> String) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited for {}", what());
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn ask(port: u16, name: &str, qtype: RecordType) -> Option<Message> {
    let mut query = Message::new(7, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), qtype));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // Connected, so that a closed port is told at once.
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.send(&query.to_vec().unwrap()).ok()?;
    let mut buffer = [0; 4096];
    let len = socket.recv(&mut buffer).ok()?;
    Message::from_vec(&buffer[..len]).ok()
}

/// Waits for the first answer.
pub(crate) fn answer(port: u16, name: &str, qtype: RecordType) -> Message {
    let mut answer = None;
    wait_for(
        || {
            answer = ask(port, name, qtype);
            answer.is_some()
        },
        || format!("an answer to {name} {qtype}"),
    );
    answer.unwrap()
}

pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// A Corefile in a folder of its own.
pub(crate) fn folder(corefile: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Corefile"), corefile).unwrap();
    folder
}

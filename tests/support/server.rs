//! A DNS server as a process of its own: the built binary, or another one to compare it with.

#[path = "ports.rs"]
mod ports;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ports::free_port;

/// Longer than a start takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers until it is dropped.
pub(crate) struct Server {
    child: Child,
    addr: SocketAddr,
    ready: SocketAddr,
    explain: SocketAddr,
    dir: tempfile::TempDir,
}

impl Server {
    /// Starts a program with a Corefile, in which `PORT` and `READY` stand for the port of DNS and the address of the
    /// `ready` page; waits until it says that it is ready, and until its socket is there.
    pub(crate) fn start(program: &Path, corefile: &str) -> Self {
        let mut why = String::new();
        // A port may be taken between the look and the start.
        for _ in 0..3 {
            match Self::try_start(program, corefile) {
                Ok(server) => return server,
                Err(said) => why = said,
            }
        }
        panic!("{} does not start: {why}", program.display());
    }

    fn try_start(program: &Path, corefile: &str) -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let page = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (port, ready, explain) = (free_port(), page(), page());
        let (file, log) = (dir.path().join("Corefile"), dir.path().join("log"));
        std::fs::write(&file, fill(corefile, port, ready)).unwrap();
        let output = std::fs::File::create(&log).unwrap();
        let child = Command::new(program)
            .arg("-conf")
            .arg(&file)
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env("ROLLCALL_EXPLAIN", explain.to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut server = Self { child, addr: SocketAddr::from(([127, 0, 0, 1], port)), ready, explain, dir };
        let begun = Instant::now();
        while !(is_ready(ready) && answers(server.addr)) {
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            if server.child.try_wait().unwrap().is_some() {
                return Err(said());
            }
            assert!(begun.elapsed() < PATIENCE, "{} is not ready: {}", program.display(), said());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Another Corefile, by SIGUSR1; waits until it is in force.
    #[allow(dead_code, reason = "each test uses its part")]
    pub(crate) fn reload(&self, corefile: &str) {
        let path = |name: &str| self.dir.path().join(name);
        let log = || std::fs::read_to_string(path("log")).unwrap_or_default();
        let before = log().len();
        std::fs::write(path("Corefile"), fill(corefile, self.addr.port(), self.ready)).unwrap();
        let status = Command::new("kill").args(["-USR1", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let begun = Instant::now();
        while !log()[before..].contains("Reloading complete") {
            assert!(begun.elapsed() < PATIENCE, "no reload: {}", &log()[before..]);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the page that explains answers says of a name.
    #[allow(dead_code, reason = "each test uses its part")]
    pub(crate) fn explain(&self, name: &str) -> String {
        get(self.explain, &format!("/explain?name={name}")).unwrap()
    }
}

fn fill(corefile: &str, port: u16, ready: SocketAddr) -> String {
    corefile.replace("PORT", &port.to_string()).replace("READY", &ready.to_string())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_ready(page: SocketAddr) -> bool {
    get(page, "/ready").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn get(page: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(page)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Whether the server answers a question for the name servers of the root, with whatever.
fn answers(addr: SocketAddr) -> bool {
    const QUERY: &[u8] = &[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    let ask = || -> std::io::Result<usize> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(addr)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.send(QUERY)?;
        socket.recv(&mut [0; 512])
    };
    ask().is_ok()
}

//! A server with a Corefile at an address of its own: the built binary, or another one to compare it with.

use std::net::SocketAddr;
use std::path::Path;

use crate::client::try_ask;
use crate::http::{fetch, is_ready};
use crate::ports::free_port;
use crate::server::{Server, of_program};
use crate::wait::{PATIENCE, comes_true, wait_for};

/// Answers until it is dropped.
pub struct Site {
    server: Server,
    addr: SocketAddr,
    ready: SocketAddr,
    explain: SocketAddr,
    dir: tempfile::TempDir,
}

impl Site {
    /// Starts a program with a Corefile, in which `PORT` and `READY` stand for the port of DNS and the address of the
    /// `ready` page; waits until it says that it is ready, and until its socket is there.
    pub fn start(program: &Path, corefile: &str) -> Self {
        let mut why = String::new();
        // A port may be taken between the look and the start.
        for _ in 0..3 {
            match Self::try_start(program, corefile) {
                Ok(site) => return site,
                Err(said) => why = said,
            }
        }
        panic!("{} does not start: {why}", program.display());
    }

    fn try_start(program: &Path, corefile: &str) -> Result<Self, String> {
        let page = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (port, ready, explain) = (free_port(), page(), page());
        let dir = crate::server::folder(&fill(corefile, port, ready));
        let mut command = of_program(program);
        command.args(["-conf", "Corefile"]).current_dir(dir.path()).env("ROLLCALL_EXPLAIN", explain.to_string());
        let server = Server::of(command, "");
        let mut site = Self { server, addr: SocketAddr::from(([127, 0, 0, 1], port)), ready, explain, dir };
        let mut ended = false;
        let up = comes_true(PATIENCE, || {
            ended = site.server.child.try_wait().unwrap().is_some();
            // Whatever is answered for the root.
            ended || is_ready(ready) && try_ask(site.addr, ".", hickory_proto::rr::RecordType::NS).is_some()
        });
        assert!(up, "{} is not ready: {}", program.display(), site.server.said());
        if ended { Err(site.server.said()) } else { Ok(site) }
    }

    /// Where it answers.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Another Corefile, by SIGUSR1; waits until it is in force.
    pub fn reload(&self, corefile: &str) {
        let before = self.server.said().len();
        std::fs::write(self.dir.path().join("Corefile"), fill(corefile, self.addr.port(), self.ready)).unwrap();
        self.server.signal("USR1");
        let said = || self.server.said()[before..].to_owned();
        wait_for(|| said().contains("Reloading complete"), || format!("a reload: {}", said()));
    }

    /// What the page that explains answers says of a name.
    pub fn explain(&self, name: &str) -> String {
        fetch(self.explain, &format!("/explain?name={name}")).unwrap().body
    }
}

fn fill(corefile: &str, port: u16, ready: SocketAddr) -> String {
    corefile.replace("PORT", &port.to_string()).replace("READY", &ready.to_string())
}

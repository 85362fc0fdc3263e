//! One server with a Corefile that changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcall_testing::server::of_program;
use rollcall_testing::{PATIENCE, Server, comes_true, free_port};

use super::world::World;

/// Answers all the time, whatever the row is about.
const STAYS: &str = r#"
stays.example:{PORT} {
    bind 127.0.0.1
    template IN A {
        answer "{{ .Name }} 60 IN A 192.0.2.200"
    }
}
"#;

/// A server at work; killed when the row ends.
pub(crate) struct Place {
    server: Server,
    pub(crate) world: Arc<World>,
    folder: tempfile::TempDir,
    port: u16,
    /// Ports of a second listener and of pages.
    ports: [u16; 3],
}

impl Place {
    /// Starts a program; waits until it answers.
    pub(crate) fn start(program: &Path, world: &Arc<World>, corefile: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        world.write_certificates(folder.path());
        files(folder.path());
        let (port, ports) = (free_port(), std::array::from_fn(|_| free_port()));
        fs::write(folder.path().join("Corefile"), fill(corefile, world, folder.path(), port, ports)).unwrap();
        let mut command = of_program(program);
        command.args(["-conf", "Corefile"]).current_dir(folder.path());
        let server = Server::of(command, "");
        let mut place = Self { server, world: world.clone(), folder, port, ports };
        let mut ended = false;
        let answers = comes_true(PATIENCE, || {
            ended = place.server.child.try_wait().unwrap().is_some();
            ended || !place.ask("stays.example", 1).is_empty()
        });
        assert!(answers && !ended, "no answer with {corefile}: {}", place.log());
        place
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn other_port(&self, nth: usize) -> u16 {
        self.ports[nth]
    }

    pub(crate) fn log(&self) -> String {
        self.server.said()
    }

    pub(crate) fn log_end(&self) -> String {
        let log = self.log();
        log.lines().rev().take(6).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Another Corefile and SIGUSR1. The error is what the server says instead of being done.
    pub(crate) fn reload(&mut self, corefile: &str) -> Result<(), String> {
        let text = fill(corefile, &self.world, self.folder.path(), self.port, self.ports);
        fs::write(self.path("Corefile"), text).unwrap();
        let before = self.log().len();
        let (mut said, mut signalled) = (String::new(), None::<Instant>);
        let done = comes_true(PATIENCE, || {
            said = self.log()[before..].to_owned();
            // One that comes while a server starts may be lost.
            if !said.contains("Reloading") && signalled.is_none_or(|at| at.elapsed() > Duration::from_secs(3)) {
                self.server.signal("USR1");
                signalled = Some(Instant::now());
            }
            ["Reloading complete", "Restart failed", "the old one is served on"].iter().any(|end| said.contains(end))
        });
        if done && said.contains("Reloading complete") { Ok(()) } else { Err(said) }
    }

    /// Looks until it sees what is expected; returns what it saw last.
    pub(crate) fn until(&self, effect: fn(&Self) -> String, expected: &str) -> String {
        let mut found = String::new();
        comes_true(PATIENCE, || {
            found = effect(self);
            found == expected
        });
        found
    }
}

/// The Corefile of a row: a whole one where it has a port, else the body of the block for the root.
fn fill(corefile: &str, world: &World, folder: &Path, port: u16, ports: [u16; 3]) -> String {
    let mut text = if corefile.contains("{PORT}") || corefile.contains("{SECOND}") {
        corefile.to_owned()
    } else {
        format!(".:{{PORT}} {{\n    bind 127.0.0.1\n    {corefile}\n}}\n")
    };
    if !text.contains("stays.example") {
        text += STAYS;
    }
    let page = |nth: usize| format!("127.0.0.1:{}", ports[nth]);
    text.replace("{PORT}", &port.to_string())
        .replace("{SECOND}", &ports[2].to_string())
        .replace("{ONE}", &page(0))
        .replace("{TWO}", &page(1))
        .replace("{UP}", &world.upstream(0).to_string())
        .replace("{OTHER}", &world.upstream(1).to_string())
        .replace("{API}", &world.api())
        .replace("{DIR}", folder.to_str().unwrap())
}

/// Files that Corefiles of the table name.
fn files(folder: &Path) {
    for (name, last) in [("one", 1), ("two", 2)] {
        let zone = format!(
            "$ORIGIN zone.test.\n$TTL 60\n@ IN SOA ns host {last} 7200 3600 1209600 300\n@ IN NS ns\nns IN A 192.0.2.{last}\n"
        );
        fs::write(folder.join(format!("{name}.zone")), zone).unwrap();
        fs::write(folder.join(format!("{name}.conf")), format!("search first.test {name}.test\n")).unwrap();
        fs::write(folder.join(format!("{name}.hosts")), format!("192.0.2.{last} a.test\n")).unwrap();
    }
}

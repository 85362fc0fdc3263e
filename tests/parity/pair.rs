//! This server and CoreDNS with one Corefile, asked the same, and what differs.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use rollcall_testing::{Site, program};

use super::questions::Question;
use super::reply::{Client, Reply};
use super::world::Counts;

/// A cluster, and its Services by a name from outside.
pub(crate) const EXTERNAL: &str = "
.:PORT {
    bind 127.0.0.1
    ready READY
    kubernetes cluster.local {
        endpoint API
    }
    k8s_external ext.test {
        OPTIONS
    }
}
";

/// A number that the environment may change.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The seeds to go through: `PARITY_SEEDS` of them from `PARITY_SEED` on.
pub(crate) fn seeds() -> std::ops::Range<u64> {
    let first = number("PARITY_SEED", 1);
    first..first + number("PARITY_SEEDS", 3)
}

pub(crate) struct Pair {
    servers: [Site; 2],
}

impl Pair {
    /// Starts both. The Corefile has `PORT`, and `READY` somewhere.
    pub(crate) fn start(coredns: &Path, corefile: &str) -> Self {
        Self { servers: [&program(), coredns].map(|program| Site::start(program, corefile)) }
    }

    pub(crate) fn reload(&self, corefile: &str) {
        self.servers.iter().for_each(|server| server.reload(corefile));
    }

    /// Clients of both at one address, with an address of their own.
    pub(crate) fn clients(&self, client: IpAddr, server: IpAddr) -> [Client; 2] {
        [0, 1].map(|at| Client::between(client, SocketAddr::new(server, self.servers[at].addr().port())))
    }
}

/// Asks both.
pub(crate) fn ask(clients: &mut [Client; 2], question: &Question) -> [Result<Reply, String>; 2] {
    let [ours, theirs] = clients;
    [ours.ask(question), theirs.ask(question)]
}

/// What was asked and what differs.
#[derive(Default)]
pub(crate) struct Findings {
    asked: usize,
    counts: Counts,
    unexplained: Vec<String>,
}

impl Findings {
    /// Notes one question; `row` says which documented difference explains two replies that differ.
    pub(crate) fn note(
        &mut self,
        what: &str,
        [ours, theirs]: [Result<Reply, String>; 2],
        row: impl FnOnce(&Reply, &Reply) -> Option<&'static str>,
    ) {
        self.asked += 1;
        match (&ours, &theirs) {
            (Ok(one), Ok(other)) if one.same(other) => {}
            (Ok(one), Ok(other)) => match row(one, other) {
                Some(row) => *self.counts.entry(row).or_default() += 1,
                None => self.add(format!("{what}\nours {one:?}\nCoreDNS {other:?}\n")),
            },
            _ => self.add(format!("{what}\nours {ours:?}\nCoreDNS {theirs:?}\n")),
        }
    }

    /// Counts one that is explained.
    pub(crate) fn explain(&mut self, row: &'static str) {
        self.asked += 1;
        *self.counts.entry(row).or_default() += 1;
    }

    pub(crate) fn add(&mut self, unexplained: String) {
        self.unexplained.push(unexplained);
    }

    /// # Panics
    /// With the first of what is not explained.
    pub(crate) fn end(self) {
        let (asked, count) = (self.asked, self.unexplained.len());
        eprintln!("{asked} questions, {count} unexplained, allowed: {:?}", self.counts);
        let most = number("PARITY_SHOW", 5) as usize;
        assert!(count == 0, "{count} of {asked}:\n{}", self.unexplained[..count.min(most)].join("\n"));
        assert!(asked > 0);
    }
}

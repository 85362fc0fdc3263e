//! What must hold of any octets that come from outside, one function for each reader of them.
//!
//! libFuzzer runs a target in a program of its own (`main.rs`, made and started by `campaign`) and looks for octets that lead to code
//! which no others led to. What it has learned is kept in `tests/fuzz/corpus/learned`, a line for each input, and `cargo test`
//! runs the same functions on that.
//!
//! A target says more than "no panic": two ways to the same must agree, what is written reads as what it was written from, limits
//! hold. The work is linear in the octets for all of them, see [`Target::run`].

#![expect(clippy::unwrap_used, reason = "a target stops at what must not be")]

pub mod answers;
pub mod clusters;
pub mod corpus;
pub mod http;
pub mod messages;
mod model;
mod octets;
pub mod snapshots;
pub mod texts;
pub mod typed;
pub mod watches;

use std::time::Duration;

/// A property of the octets that one reader gets.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name, that of its file in the corpus too.
    pub name: &'static str,
    /// The longest input that a campaign makes.
    pub longest: usize,
    property: fn(&[u8]),
    /// The milliseconds of work that the shortest input may take.
    least: u64,
}

const fn target(name: &'static str, longest: usize, property: fn(&[u8])) -> Target {
    Target { name, longest, property, least: 20 }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("question", 512, messages::question),
    target("answer", 512, answers::answer),
    target("cluster", 256, clusters::cluster),
    target("message", 1500, messages::message),
    target("cut", 2048, messages::cut),
    target("tcp", 1024, messages::tcp),
    target("http", 512, http::http),
    target("typed", 512, typed::typed),
    target("protobuf", 1024, watches::protobuf),
    target("json", 1024, watches::json),
    target("watch", 512, watches::watch),
    target("snapshot", 512, snapshots::snapshot),
    target("name", 300, texts::name),
    target("corefile", 1024, texts::corefile),
    target("zone", 1024, texts::zone),
    // It may go round in loops, and make 6 MB of text on the way.
    target("template", 256, texts::template).taking(250),
    target("expression", 256, texts::expression),
    target("manifest", 2048, texts::manifest),
];

/// The target of a name.
///
/// # Panics
/// Where there is none.
pub const fn named(name: &str) -> Target {
    let mut at = 0;
    while at < TARGETS.len() {
        if is_same(TARGETS[at].name.as_bytes(), name.as_bytes()) {
            return TARGETS[at];
        }
        at += 1;
    }
    panic!("no target has this name: lib.rs has them all")
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// How much slower a program may be that was built for tests, and not for a campaign.
const SLOWER: u32 = if cfg!(feature = "libfuzzer") { 1 } else { 20 };

impl Target {
    const fn taking(self, least: u64) -> Self {
        Self { least, ..self }
    }

    /// Runs the property. What is long enough to show it may take 20 ms of work, as a rule, and 20 µs for each octet.
    ///
    /// # Panics
    /// When the property does not hold.
    pub fn run(&self, octets: &[u8]) {
        if octets.len() < 128 {
            return (self.property)(octets);
        }
        let before = rollcall_testing::worked();
        (self.property)(octets);
        let worked = rollcall_testing::worked() - before;
        let most = Duration::from_micros(1000 * self.least + 20 * octets.len() as u64) * SLOWER;
        assert!(worked <= most, "{} octets took {worked:?} of work", octets.len());
    }
}

//! What the tests and the benchmarks stand on: the program at work and what it talks to, each written once.
//!
//! | room | what it is |
//! |---|---|
//! | [`server`] | the built binary, or any other program, as a process |
//! | [`site`] | a server with a Corefile, at an address that is its own, ready |
//! | [`client`], [`queries`], [`http`], [`tls`] | how it is asked |
//! | [`api_server`], [`control_plane`] | a cluster: in this process with faults by script, or a real one |
//! | [`resolver`] | an upstream that does what a test tells it to |
//! | [`objects`] | what a cluster holds: Services, slices, endpoints |
//! | [`world`], [`zone`], [`many`] | a cluster without any server: of manifests, or made by numbers |
//! | [`wait`], [`ports`], [`clock`], [`skip()`] | what a test waits for, listens at, measures and leaves out |
//!
//! It stops at what it did not expect, as a test does.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

pub mod api_server;
pub mod client;
pub mod clock;
pub mod control_plane;
pub mod http;
pub mod many;
pub mod objects;
pub mod ports;
pub mod protobuf;
pub mod queries;
pub mod resolver;
pub mod server;
pub mod site;
pub mod tls;
pub mod wait;
pub mod world;
pub mod zone;

pub use client::{Client, answer, ask};
pub use clock::worked;
pub use control_plane::ControlPlane;
pub use http::get;
pub use ports::free_port;
pub use server::{Server, command, folder, run};
pub use site::Site;
pub use wait::{PATIENCE, comes_true, eventually, wait_for};

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Says in one line of standard error what the test that calls it leaves out, and why: `skipped: REASON`. Every test that
/// does less on one machine than on another says so here, and nowhere else, so that what was left out can be counted.
pub fn skip(reason: impl std::fmt::Display) {
    // Past the harness, which keeps what a test that passes prints to itself.
    let line = format!("skipped: {}\n", reason.to_string().trim().replace('\n', " "));
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
}

/// The program that an environment variable names, or [`skip()`] with what it is for. A variable that names nothing is a
/// mistake, and no reason to leave a test out.
pub fn named(variable: &str, what: &str) -> Option<PathBuf> {
    let Some(program) = std::env::var_os(variable).map(PathBuf::from) else {
        skip(format_args!("{variable} is not set; it names {what}"));
        return None;
    };
    let shown = program.display();
    assert!(program.is_file() || is_there(&program), "{variable}={shown}: there is no such program; it names {what}");
    Some(program)
}

/// The CoreDNS to compare with, or [`skip()`].
pub fn coredns() -> Option<PathBuf> {
    named("COREDNS", "a CoreDNS 1.15 to compare with")
}

/// Whether a program is on the path.
pub fn is_there(program: impl AsRef<OsStr>) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program.as_ref()).is_file())
}

/// The built binary. Cargo builds it before integration tests and benchmarks, and lays it above them.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let built = own.ancestors().skip(1).map(|folder| folder.join("rollcall")).find(|path| path.is_file());
    built.unwrap_or_else(|| panic!("no rollcall above {}: `cargo build` makes it", own.display()))
}

/// The path of a file of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).canonicalize().unwrap().join(path)
}

/// Sends a signal by its name to a process.
pub fn signal(process: u32, name: &str) {
    let kill = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).stdin(Stdio::null()).status();
    assert!(kill.unwrap().success(), "SIG{name} to {process}");
}

/// A runtime for what a test without one of its own keeps running.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

//! The rooms of the code, and who may lean on whom: a new room is added to this table first.
//!
//! Test code obeys the same table of rooms; only outside crates are free there (an oracle, a client, a folder).

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What the code of a room may import of the others.
const ROOMS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("zone", &["wire"]),
    ("cluster", &["wire", "zone", "files", "metrics"]),
    ("files", &[]),
    ("metrics", &[]),
    ("corefile", &["wire", "files"]),
    ("cache", &["wire"]),
    ("upstream", &["wire", "files", "metrics"]),
    ("syntax", &["wire", "zone", "corefile", "files"]),
    ("chain", &["wire", "zone", "corefile", "files", "syntax"]),
    ("plugins", &["wire", "zone", "cache", "upstream", "corefile", "files", "metrics", "syntax", "chain"]),
    ("serve", &["wire", "zone", "metrics", "chain"]),
    ("admin", &["metrics"]),
    ("process", &["wire", "zone", "cluster", "files", "metrics", "corefile", "chain", "plugins", "serve", "admin"]),
    ("cli", &["wire", "zone", "cluster", "files", "corefile", "upstream", "chain", "plugins", "process"]),
];

/// Who alone may name an outside crate.
const OWNERS: &[(&str, &[&str])] = &[
    ("arc_swap", &["zone"]),
    ("data_encoding", &["process", "serve", "syntax"]),
    ("h2", &["serve"]),
    ("hickory_proto", &["wire"]),
    ("hickory_server", &["serve"]),
    ("percent_encoding", &["cluster", "syntax"]),
    ("quinn", &["serve"]),
    ("http", &["admin", "cluster", "serve"]),
    ("http_body_util", &["admin", "cluster"]),
    ("httpdate", &["cluster"]),
    ("hyper", &["admin"]),
    ("hyper_rustls", &["cluster"]),
    ("hyper_util", &["admin", "cluster"]),
    ("if_addrs", &["process"]),
    ("jiff", &["cluster", "process", "syntax"]),
    ("k8s_openapi", &["cluster"]),
    ("kube", &["cluster"]),
    ("libc", &["cli", "files", "process", "serve"]),
    ("notify", &["cluster"]),
    ("ring", &["process"]),
    ("serde_saphyr", &["cli", "cluster"]),
    ("socket2", &["admin", "serve", "upstream"]),
    ("tokio_rustls", &["serve", "upstream"]),
    ("tower", &["cluster"]),
    ("tower_http", &["cluster"]),
    ("tracing_subscriber", &["process"]),
];

/// Rooms that are handed time, bytes and handles, and neither wait nor open anything.
const PLAIN: &[&str] = &["wire", "zone", "corefile", "cache"];

#[test]
fn every_room_is_in_the_table_and_imports_only_what_its_row_lists() {
    let mut wrong = Vec::new();
    let folders: BTreeSet<String> = rooms();
    let listed: BTreeSet<String> = ROOMS.iter().map(|(room, _)| (*room).into()).collect();
    for folder in folders.symmetric_difference(&listed) {
        wrong.push(format!("src/{folder}: the rooms and this table differ; add it here first"));
    }
    for (room, allowed) in ROOMS {
        for source in sources(room) {
            for (line, path) in source.paths("crate::") {
                let target = path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                if target.is_empty() {
                    wrong.push(format!("{}:{line}: import one room per `use` line", source.path.display()));
                } else if target != *room && listed.contains(target) && !allowed.contains(&target) {
                    wrong.push(format!("{}:{line}: {room} may not import {target}", source.path.display()));
                }
            }
            for (line, rest) in source.paths("super::") {
                let ups = 1 + rest.split("::").take_while(|part| *part == "super").count();
                let depth = source.depth + usize::from(line > source.product().text.lines().count());
                if ups >= depth {
                    wrong.push(format!("{}:{line}: write crate:: to leave the room", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn outside_crates_are_named_only_by_their_rooms() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut wrong = Vec::new();
    for (outside, owners) in OWNERS {
        if !manifest.lines().any(|line| line.replace('-', "_").starts_with(&format!("{outside} ="))) {
            wrong.push(format!("{outside} is no dependency any more: take it out of this table"));
        }
        for (room, _) in ROOMS.iter().filter(|(room, _)| !owners.contains(room)) {
            for source in sources(room).into_iter().filter(|source| !source.is_test) {
                for (line, _) in source.product().paths(&format!("{outside}::")) {
                    wrong.push(format!("{}:{line}: {outside} is for {owners:?} alone", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn plain_rooms_neither_wait_nor_open_sockets() {
    let mut wrong = Vec::new();
    for (room, _) in ROOMS {
        for source in sources(room).into_iter().filter(|source| !source.is_test) {
            let inside = source.path.strip_prefix(root().join("src")).unwrap();
            let plain = PLAIN.contains(room) || (*room == "cluster" && !inside.starts_with("cluster/watch"));
            for word in ["tokio::", ".await", "UdpSocket", "TcpStream", "TcpListener"] {
                let product = source.product();
                let found = product.paths(word);
                if let Some((line, _)) = found.first().filter(|_| plain && inside != Path::new("cluster/watch.rs")) {
                    wrong.push(format!("{}:{line}: {room} is plain and sync, but has {word}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn tests_take_what_they_share_from_their_crate() {
    let mut wrong = Vec::new();
    for folder in ["tests", "benches"] {
        let mut all = Vec::new();
        read(&root().join(folder), 0, &mut all);
        for source in all.iter().filter(|source| !source.path.ends_with("tests/layering.rs")) {
            let own = source.path.starts_with(root().join("tests/support"));
            for (line, text) in (1..).zip(source.text.lines()) {
                let text = text.trim_start();
                let path = text.starts_with("#[path");
                let waived = text.starts_with('#') && text.contains("dead_code");
                if path || waived || !own && text.contains("\"skipped: ") {
                    wrong.push(format!("{}:{line}: {text}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "rollcall-testing shares, and says what is skipped:\n{}", wrong.join("\n"));
}

#[test]
fn the_reading_of_sources_finds_paths_and_skips_comments_and_tests() {
    let text = "use crate::zone::View; // crate::app\n/// [`crate::serve`]\nfn f() { crate::wire::parse(\"//\") }\n\
                #[cfg(test)]\nmod tests { use crate::cluster::Index; }\n";
    let source = Source { path: "src/wire/x.rs".into(), text: text.into(), depth: 2, is_test: false };
    let found: Vec<_> = source.paths("crate::").into_iter().map(|(line, path)| (line, path[..4].to_owned())).collect();
    assert_eq!(found, [(1, "zone".into()), (3, "wire".into()), (5, "clus".into())]);
    assert_eq!(source.product().paths("crate::").len(), 2);
    let kube = Source { path: "x".into(), text: "rustls::A; tokio_rustls::B".into(), depth: 2, is_test: false };
    assert_eq!(kube.paths("rustls::").len(), 1);
}

//----------- Source ---------------------------------------------------------

struct Source {
    path: PathBuf,
    text: String,
    /// How many modules it lies below the crate's root.
    depth: usize,
    is_test: bool,
}

impl Source {
    /// Without its tests, which come last in a file.
    fn product(&self) -> Self {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let text = self.text[..end].into();
        Self { path: self.path.clone(), text, depth: self.depth, is_test: self.is_test }
    }

    /// Line and rest of line of each place where this begins a path, outside of comments.
    fn paths(&self, start: &str) -> Vec<(usize, &str)> {
        let mut found = Vec::new();
        for (index, line) in self.text.lines().enumerate() {
            let code = line.split("// ").next().unwrap_or_default();
            if code.trim_start().starts_with("//") {
                continue;
            }
            for (at, _) in code.match_indices(start) {
                let before = code[..at].chars().next_back();
                let inside = start.starts_with(char::is_alphanumeric)
                    && before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
                if !inside {
                    found.push((index + 1, &code[at + start.len()..]));
                }
            }
        }
        found
    }
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn rooms() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("src")).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn sources(room: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    read(&root().join("src").join(room), 1, &mut sources);
    sources
}

fn read(folder: &Path, depth: usize, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, depth + 1, sources);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let depth = if path.ends_with("mod.rs") { depth } else { depth + 1 };
            let inside = path.strip_prefix(root()).unwrap();
            let is_test =
                inside.iter().any(|part| ["tests", "tests.rs", "testing.rs"].iter().any(|name| part == *name));
            sources.push(Source { path, text, depth, is_test });
        }
    }
}

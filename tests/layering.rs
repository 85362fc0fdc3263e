//! The rooms of the code, and who may lean on whom: a new room is added to this table first.
//!
//! Test code obeys the same table of rooms; only outside crates are free there (an oracle, a client, a folder). Inside a
//! room no files lean on each other in a circle; a file and those in the folder of its name are one thing.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What the code of a room may import of the others.
const ROOMS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("zone", &["wire"]),
    ("cluster", &["wire", "zone", "files", "metrics", "tasks"]),
    ("files", &[]),
    ("metrics", &[]),
    ("places", &[]),
    ("tasks", &["metrics"]),
    ("corefile", &["wire", "files"]),
    ("cache", &["wire"]),
    ("upstream", &["wire", "files", "metrics", "places", "tasks"]),
    ("syntax", &["wire", "zone", "corefile", "files"]),
    ("chain", &["wire", "zone", "corefile", "files", "syntax"]),
    ("plugins", &["wire", "zone", "cache", "upstream", "corefile", "files", "metrics", "places", "syntax", "chain"]),
    ("explain", &["wire", "zone", "cluster", "chain"]),
    ("serve", &["wire", "zone", "metrics", "places", "chain", "tasks"]),
    ("admin", &["metrics", "tasks"]),
    (
        "process",
        &[
            "wire", "zone", "cluster", "files", "metrics", "corefile", "chain", "plugins", "serve", "admin", "explain",
            "tasks",
        ],
    ),
    (
        "cli",
        &[
            "wire", "zone", "cluster", "files", "corefile", "upstream", "syntax", "chain", "plugins", "process",
            "admin", "explain",
        ],
    ),
];

/// Who alone may name an outside crate.
const OWNERS: &[(&str, &[&str])] = &[
    ("arc_swap", &["zone"]),
    ("caps", &["process"]),
    ("data_encoding", &["process", "serve", "syntax"]),
    ("h2", &["serve"]),
    ("hickory_proto", &["wire"]),
    ("hickory_server", &["serve"]),
    ("percent_encoding", &["admin", "cluster", "syntax"]),
    ("postcard", &["cluster"]),
    ("quinn", &["serve"]),
    ("http", &["admin", "cluster", "serve"]),
    ("http_body_util", &["admin", "cluster"]),
    ("httpdate", &["cluster"]),
    ("hyper", &["admin", "cluster"]),
    ("hyper_rustls", &["cluster"]),
    ("hyper_util", &["admin", "cluster"]),
    ("if_addrs", &["process"]),
    ("jiff", &["cluster", "process", "syntax"]),
    ("k8s_openapi", &["cluster"]),
    ("kube", &["cluster"]),
    ("lz4_flex", &["cluster"]),
    ("landlock", &["process"]),
    ("libc", &["cli", "files", "process", "serve"]),
    ("notify", &["cluster"]),
    ("ring", &["cluster", "process"]),
    ("serde_saphyr", &["cli", "cluster"]),
    ("socket2", &["admin", "serve", "upstream"]),
    ("strsim", &["explain"]),
    ("tokio_rustls", &["serve", "upstream"]),
    ("tower", &["cluster"]),
    ("tower_http", &["cluster"]),
    ("tracing_subscriber", &["process"]),
];

/// Rooms that are handed time, bytes and handles, and neither wait nor open anything.
const PLAIN: &[&str] = &["wire", "zone", "corefile", "cache"];

/// Rooms that index nothing but what they have laid out themselves, or unwrap constants alone.
const OWN_DATA: &[&str] = &["zone", "metrics"];

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
fn no_files_of_a_room_import_each_other() {
    let wrong: Vec<String> = ROOMS.iter().flat_map(|(room, _)| Modules::of(room).circles()).collect();
    assert!(wrong.is_empty(), "these lean on each other in a circle:\n{}", wrong.join("\n"));
}

#[test]
fn directives_know_each_other_hardly() {
    let modules = Modules::of("plugins");
    let count: usize = modules.imports().values().map(BTreeSet::len).sum();
    assert!((40..70).contains(&count), "{count} imports among the files of src/plugins");
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
fn rooms_that_read_foreign_bytes_refuse_panics() {
    let lints = "#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]";
    for (room, _) in ROOMS.iter().filter(|(room, _)| !OWN_DATA.contains(room)) {
        let text = fs::read_to_string(root().join("src").join(room).join("mod.rs")).unwrap();
        assert!(text.lines().any(|line| line == lints), "src/{room}/mod.rs: {lints}");
    }
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
fn the_reading_of_imports_follows_names_to_the_file_that_has_them() {
    let file = |module: &str, text: &str| (module.to_owned(), text.to_owned());
    let texts = BTreeMap::from([
        file("", "mod a;\npub mod b;\npub use a::{One as First, inner::Two};\npub struct Own;"),
        file("a", "pub mod inner;\nuse super::b;\nfn f() { super::Own }"),
        file("a::inner", "use super::super::{First, b::{self, Three}};\n// use super::Comment;"),
        file("b", "use crate::room::Two;"),
    ]);
    let modules = Modules { room: "room".into(), texts };
    let set = |of: &[&str]| of.iter().map(|module| (*module).to_owned()).collect::<BTreeSet<_>>();
    let imports = modules.imports();
    assert_eq!(imports["a"], set(&["", "b"]));
    assert_eq!(imports["a::inner"], set(&["a", "b"]));
    assert_eq!(imports["b"], set(&["a::inner"]));
    assert_eq!(modules.circles(), ["room: a -> b -> a"]);
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

//----------- Modules --------------------------------------------------------

/// The files of a room without its tests, by the path of their module below the room.
struct Modules {
    room: String,
    texts: BTreeMap<String, String>,
}

impl Modules {
    fn of(room: &str) -> Self {
        let folder = root().join("src").join(room);
        let product = sources(room).into_iter().filter(|source| !source.is_test);
        let texts = product
            .map(|source| {
                let inside = source.path.strip_prefix(&folder).unwrap().with_extension("");
                let parts: Vec<&str> = inside.iter().map(|part| part.to_str().unwrap()).collect();
                (parts.join("::").trim_end_matches("mod").trim_end_matches("::").to_owned(), source.product().code())
            })
            .collect();
        Self { room: room.into(), texts }
    }

    /// The modules that each module takes names from.
    fn imports(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.texts
            .iter()
            .map(|(module, text)| {
                let mut into = BTreeSet::new();
                for (path, _, used) in names(text) {
                    // A list of a parent's children, and what it shows of them, are no leaning.
                    let target = self.absolute(module, &path, used).and_then(|path| self.home(&path, 0));
                    into.extend(target.filter(|target| target != module));
                }
                (module.clone(), into)
            })
            .collect()
    }

    /// The path below the room of a path in a module; `None` for what is outside.
    fn absolute(&self, module: &str, path: &[String], used: bool) -> Option<Vec<String>> {
        let mut base: Vec<String> = module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate") if path.get(1) == Some(&self.room) => (base, rest) = (Vec::new(), &path[2..]),
            Some("self") => rest = &path[1..],
            Some("super") => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            // A child of this module, by its bare name.
            Some(child) if used && self.texts.contains_key(&join(&base, child)) => {}
            _ => return None,
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The module that a path leads to: where the name is defined, not where it is shown.
    fn home(&self, path: &[String], depth: usize) -> Option<String> {
        let mut module = String::new();
        let mut rest = path;
        while let Some((next, behind)) = rest.split_first() {
            let longer = if module.is_empty() { next.clone() } else { format!("{module}::{next}") };
            if !self.texts.contains_key(&longer) {
                break;
            }
            (module, rest) = (longer, behind);
        }
        let Some(name) = rest.first().filter(|_| depth < 8) else { return Some(module) };
        for (path, shown, _) in names(&self.texts[&module]).into_iter().filter(|(.., used)| *used) {
            if shown == *name
                && let Some(further) = self.absolute(&module, &path, true)
            {
                return self.home(&further, depth + 1);
            }
        }
        Some(module)
    }

    /// The leanings of neighbours: modules with the same parent, each with all below it. A parent and its parts are one thing.
    fn neighbours(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut neighbours = BTreeMap::<String, BTreeSet<String>>::new();
        for (module, targets) in self.imports() {
            let own: Vec<&str> = module.split("::").collect();
            for target in targets {
                let theirs: Vec<&str> = target.split("::").collect();
                let common = own.iter().zip(&theirs).take_while(|(own, theirs)| own == theirs).count();
                if common < own.len().min(theirs.len()) && !module.is_empty() && !target.is_empty() {
                    let (own, theirs) = (own[..=common].join("::"), theirs[..=common].join("::"));
                    neighbours.entry(theirs.clone()).or_default();
                    neighbours.entry(own).or_default().insert(theirs);
                }
            }
        }
        neighbours
    }

    /// The circles among neighbours, each as its modules in order.
    fn circles(&self) -> Vec<String> {
        let leaning = self.neighbours();
        let (mut circles, mut done) = (Vec::new(), BTreeSet::new());
        for start in leaning.keys() {
            let mut way = vec![(start, leaning[start].iter())];
            while let Some((_, next)) = way.last_mut() {
                let Some(next) = next.next() else {
                    done.insert(way.pop().unwrap().0);
                    continue;
                };
                if let Some(at) = way.iter().position(|(module, _)| *module == next) {
                    let circle = way[at..].iter().map(|(module, _)| module.as_str()).chain([next.as_str()]);
                    circles.push(format!("{}: {}", self.room, circle.collect::<Vec<_>>().join(" -> ")));
                } else if !done.contains(next) {
                    way.push((next, leaning[next].iter()));
                }
            }
        }
        circles
    }
}

fn join(base: &[String], child: &str) -> String {
    base.iter().map(String::as_str).chain([child]).collect::<Vec<_>>().join("::")
}

/// The paths in a text: of each the parts, the name by which it is known from there on, and whether a `use` has it.
fn names(text: &str) -> Vec<(Vec<String>, String, bool)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = ["use ", "super::", "crate::"].iter().filter_map(|word| rest.find(word)).min() {
        let begun = rest[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        let used = rest[at..].starts_with("use ");
        let path = &rest[at + if used { 4 } else { 0 }..];
        let end = match used {
            true => path.find(';').unwrap_or(path.len()),
            false => path.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(path.len()),
        };
        if !begun {
            tree(&path[..end], &[], used, &mut found);
        }
        rest = &path[end..];
    }
    found
}

/// Takes the tree of a `use` apart.
fn tree(text: &str, base: &[String], used: bool, found: &mut Vec<(Vec<String>, String, bool)>) {
    let (path, group) = match text.split_once('{') {
        Some((path, group)) => (path, group.rsplit_once('}')),
        None => (text, None),
    };
    let path = path.trim();
    let (path, shown) = path.split_once(" as ").unwrap_or((path, ""));
    let mut parts = base.to_vec();
    parts.extend(path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
    match group {
        Some((group, _)) => {
            let (mut depth, mut begin) = (0, 0);
            for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        Some(&group[begin..at]).filter(|one| !one.trim().is_empty()).into_iter().for_each(|one| {
                            tree(one, &parts, used, found);
                        });
                        begin = at + 1;
                    }
                    _ => {}
                }
            }
        }
        None => {
            parts.pop_if(|last| last == "self" && !base.is_empty());
            let shown = if shown.is_empty() { parts.last().cloned().unwrap_or_default() } else { shown.to_owned() };
            found.push((parts, shown, used));
        }
    }
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

    /// Without its comments.
    fn code(&self) -> String {
        let lines = self.text.lines().map(|line| line.split("// ").next().unwrap_or_default());
        lines.filter(|line| !line.trim_start().starts_with("//")).fold(String::new(), |code, line| code + line + "\n")
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

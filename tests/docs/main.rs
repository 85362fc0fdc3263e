//! What the documents say is so: their Corefiles start, their tables are complete, their links lead somewhere, their
//! commands work.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

mod commands;
mod documents;
mod links;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use documents::Document;

#[test]
fn every_corefile_in_a_document_or_in_the_head_of_a_plugin_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    provide_files(folder.path());
    let mut examples = Vec::new();
    for document in documents::all() {
        examples.extend(blocks(&document.text).map(|text| (document.path.clone(), text)));
    }
    assert!(!examples.is_empty(), "docs/ has a Corefile");
    for plugin in plugin_files() {
        let head = head(&fs::read_to_string(&plugin).unwrap());
        let name = plugin.file_name().unwrap().to_string_lossy().into_owned();
        examples.extend(blocks(&head).map(|text| (name.clone(), text)));
    }
    for (at, (source, text)) in examples.iter().enumerate() {
        let file = folder.path().join(format!("{at}.Corefile"));
        fs::write(&file, text).unwrap();
        let checked = rollcall(&["check", file.to_str().unwrap()], folder.path());
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{source}: {said}\n{text}");
    }
}

#[test]
fn every_plugin_has_an_example_and_says_how_it_differs() {
    for name in directives() {
        // `loop` is a word of the language.
        let file = if name == "loop" { "loop_".to_owned() } else { name.clone() };
        let head = head(&fs::read_to_string(format!("src/plugins/{file}.rs")).unwrap());
        assert!(head.starts_with(&format!("Name: `{name}`")), "src/plugins/{file}.rs: begins with its name");
        for part in ["Description:", "Syntax:", "Examples:", "Metrics:", "Ready:", "Differences:"] {
            assert!(head.lines().any(|line| line.starts_with(part)), "src/plugins/{file}.rs: has no {part}");
        }
        assert!(blocks(&head).next().is_some(), "src/plugins/{file}.rs: has no example in a corefile block");
    }
}

#[test]
fn the_table_of_directives_is_the_list_of_the_program() {
    let rows: BTreeSet<String> = first_column("docs/directives.md").collect();
    assert_eq!(rows, directives());
}

#[test]
fn the_table_of_metrics_is_what_the_sources_register() {
    let named: BTreeSet<String> = first_column("docs/metrics.md").collect();
    let mut registered = BTreeSet::new();
    for file in rust_files(Path::new("src")) {
        let text = fs::read_to_string(file).unwrap();
        let strings = text.split('"').filter(|string| {
            string.starts_with("rollcall_") && string.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'_')
        });
        registered.extend(strings.map(str::to_owned));
    }
    assert_eq!(named, registered);
}

#[test]
fn the_readme_is_read_in_three_minutes() {
    let text = Document::read("README.md").prose();
    let words = text.split_whitespace().count();
    assert!(words < 660, "README.md has {words} words outside of its blocks: move a chapter to docs/");
}

#[test]
fn every_chapter_in_docs_is_found_from_the_readme() {
    let readme = Document::read("README.md").text;
    for document in documents::all().into_iter().filter(|document| document.path.starts_with("docs/")) {
        assert!(readme.contains(&format!("]({})", document.path)), "README.md has no link to {}", document.path);
    }
}

#[test]
fn what_the_readme_says_that_local_prints_is_what_it_prints() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let file = fs::File::create(&out).unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .args(["local", "--listen", "127.0.0.1:0", "deploy/examples/kubia"])
        .stdout(file)
        .spawn()
        .unwrap();
    let printed = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        fs::read_to_string(&out).ok().filter(|text| text.contains("+short"))
    });
    server.kill().unwrap();
    server.wait().unwrap();
    let readme = Document::read("README.md").text;
    // Whom this machine asks for other names is its own affair.
    let printed = printed.unwrap();
    let printed =
        printed.lines().filter(|line| !line.starts_with('[')).map(|line| format!("{line}\n")).collect::<String>();
    let (peers, rest) = printed.split_once("\n\n").unwrap();
    assert!(readme.contains(peers), "README.md does not have:\n{peers}");
    // The port was chosen by the system.
    let port = rest.split("127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap();
    let rest = rest.replace(port, "1053");
    let rest = rest.trim_end();
    assert!(readme.contains(rest), "README.md does not have:\n{rest}");
}

/// The texts of the code blocks marked `corefile`.
fn blocks(document: &str) -> impl Iterator<Item = String> {
    document.split("```corefile\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
}

/// The lines of a file's `//!` head.
fn head(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The first column of a document's first table.
fn first_column(path: &str) -> impl Iterator<Item = String> {
    let text = Document::read(path).text;
    let rows = text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = rows.skip(2).map(|row| row.split('`').nth(1).unwrap().to_owned());
    cells.collect::<Vec<_>>().into_iter()
}

fn directives() -> BTreeSet<String> {
    let listed = rollcall(&["-plugins"], Path::new("."));
    let text = String::from_utf8(listed.stdout).unwrap();
    text.lines().filter_map(|line| line.trim().strip_prefix("dns.").map(str::to_owned)).collect()
}

fn rollcall(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rollcall")).args(arguments).current_dir(folder).output().unwrap()
}

fn plugin_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = rust_files(Path::new("src/plugins"));
    files.sort();
    files
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The files that examples name.
fn provide_files(folder: &Path) {
    let zone = "@ 3600 IN SOA ns.example.org. admin.example.org. 1 7200 1800 86400 300\n@ 3600 IN NS ns.example.org.\n";
    fs::write(folder.join("db.example.org"), zone).unwrap();
    fs::write(folder.join("weights"), "www.example.org\n192.0.2.1 2\n").unwrap();
    rollcall_testing::tls::renew(folder, "tls");
}

//! Broken Corefiles: each is refused with status 2 and a line that names the file, the line and the column.
#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rollcall_testing::run;

const TABLE: &str = include_str!("fixtures/corefiles/broken.txt");

/// Status and words of `rollcall check` for a Corefile, or of `rollcall -conf`.
fn refuse(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let (status, _, said) = run(arguments, folder);
    (status, said)
}

/// Place, message and text of each row.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let mut parts = line.splitn(3, '\t');
        let (place, message, text) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        (place, message, text.replace("\\n", "\n"))
    })
}

#[test]
fn every_broken_line_is_refused_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (place, message, text) in rows() {
        fs::write(folder.path().join("Corefile"), format!(".:5300 {{\n{text}\n}}\n")).unwrap();
        let (status, said) = refuse(folder.path(), &["check", "--here", "Corefile"]);
        let expected = format!("Corefile:{place}: {message}");
        // More faults of the same directive may be told, one a line.
        let mut told = said.lines().map(|line| line.trim_start_matches("rollcall: "));
        if status != Some(2) || !told.any(|line| line.starts_with(&expected)) {
            wrong.push(format!("{text}\n  expected {expected}\n  got {status:?} {said}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_directive_takes_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (_, listed, _) = run(&["-plugins"], folder.path());
    let known: BTreeSet<&str> = listed.lines().filter_map(|line| line.trim().strip_prefix("dns.")).collect();
    let first = |text: &str| text.split([' ', '\n', '{']).next().unwrap_or_default().to_owned();
    let tried: BTreeSet<String> = rows().map(|(_, _, text)| first(&text)).collect();
    let missing: Vec<&&str> = known.iter().filter(|name| !tried.contains(**name)).collect();
    assert!(missing.is_empty() && known.len() > 30, "no broken line of {missing:?}");

    fs::write(folder.path().join("part.conf"), "log\nchache 30\n").unwrap();
    fs::write(folder.path().join("Corefile"), ".:5300 {\n    import part.conf\n}\n").unwrap();
    for arguments in [&["check", "Corefile"][..], &["-conf", "Corefile"]] {
        let (status, said) = refuse(folder.path(), arguments);
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains("part.conf:2:1: unknown directive `chache`; did you mean `cache`?"), "{said}");
    }
}

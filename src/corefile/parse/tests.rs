use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::corefile::Scheme;

fn tree(text: &str) -> Corefile {
    try_tree(text).unwrap()
}

fn try_tree(text: &str) -> Result<Corefile, Error> {
    let source = CorefileSource::Text { name: "Corefile".to_owned(), text: text.to_owned() };
    parse(&source, &|name| (name == "PORT").then(|| "1053".to_owned()))
}

fn refusal(text: &str) -> String {
    try_tree(text).unwrap_err().to_string()
}

/// The tree in one line: `ZONE…{NAME ARGUMENT…[BODY]; …}`.
fn shape(corefile: &Corefile) -> String {
    fn lines(directives: &[Directive]) -> String {
        let line = |d: &Directive| {
            let words =
                std::iter::once(&d.name).chain(&d.arguments).map(|t| t.text.as_str()).collect::<Vec<_>>().join(" ");
            d.body.as_ref().map_or_else(|| words.clone(), |body| format!("{words}[{}]", lines(body)))
        };
        directives.iter().map(line).collect::<Vec<_>>().join("; ")
    }
    let block = |block: &ServerBlock| {
        let keys = block.keys.iter().map(|key| key.zone.to_string()).collect::<Vec<_>>().join(" ");
        format!("{keys}{{{}}}", lines(&block.directives))
    };
    corefile.blocks.iter().map(block).collect::<Vec<_>>().join(" ")
}

fn shape_of(text: &str) -> String {
    shape(&tree(text))
}

#[test]
fn kubeadms_corefile_becomes_one_block() {
    let text = "
.:53 {
    errors
    health {
       lameduck 5s
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
}
";
    assert_eq!(
        shape_of(text),
        ".{errors; health[lameduck 5s]; kubernetes cluster.local in-addr.arpa ip6.arpa[pods insecure; \
         fallthrough in-addr.arpa ip6.arpa; ttl 30]; forward . /etc/resolv.conf[max_concurrent 1000]; cache 30; loop}"
    );
    let corefile = tree(text);
    let key = corefile.blocks[0].keys[0].clone();
    assert_eq!((key.scheme, key.port), (Scheme::Dns, Some(53)));
    let ttl = &corefile.blocks[0].directives[2].lines()[2].arguments[0];
    assert_eq!(ttl.position.to_string(), "Corefile:10:12");
}

#[test]
fn the_only_block_needs_no_braces() {
    assert_eq!(shape_of(".:53\nwhoami\nhealth {\n lameduck 1s\n}\n"), ".{whoami; health[lameduck 1s]}");
    assert_eq!(shape_of("example.org"), "example.org.{}");
}

#[test]
fn a_comma_lets_zones_go_on_in_the_next_line() {
    assert_eq!(
        shape_of("a.example, b.example,\nc.example {\n}\nd.example\n{\n}"),
        "a.example. b.example. c.example.{} d.example.{}"
    );
    assert_eq!(shape_of("a.example b.example {\n}"), "a.example. b.example.{}");
}

#[test]
fn blocks_may_be_empty_and_end_where_the_next_begins() {
    assert_eq!(
        shape_of("a.example {\n errors { }\n cache {\n }\n} b.example {\n}"),
        "a.example.{errors[]; cache[]} b.example.{}"
    );
    assert_eq!(shape_of(". { whoami\n health { lameduck 5s\n }\n}"), ".{whoami; health[lameduck 5s]}");
    assert_eq!(shape_of("# nothing\n"), "");
}

#[test]
fn braces_and_keywords_in_quotes_are_words() {
    assert_eq!(shape_of(". {\n a \"{\" \"}\"\n \"import\" x\n}"), ".{a { }; import x}");
}

#[test]
fn variables_reach_keys_names_and_arguments_but_not_the_structure() {
    let corefile = tree(".:{$PORT} {\n a {%PORT%}{$NOTHING} x{$PORT}\n}");
    assert_eq!(corefile.blocks[0].keys[0].port, Some(1053));
    assert_eq!(shape(&corefile), ".{a 1053 x1053}");
    assert_eq!(shape_of("a.example {$NOTHING} {\n}"), "a.example.{}");
}

#[test]
fn a_network_gives_a_key_for_each_reverse_zone() {
    assert_eq!(shape_of("10.31.8.0/23:53 {\n}"), "8.31.10.in-addr.arpa. 9.31.10.in-addr.arpa.{}");
}

#[test]
fn snippets_are_put_in_at_the_top_in_a_block_and_in_a_body() {
    let text = "(lines) {\n 10.0.0.1 a\n 10.0.0.2 b\n}\n(common) {\n errors\n health {\n  lameduck 1s\n }\n}\n(site) {\n b.example {\n  import common\n }\n}\n
. {\n import common\n hosts {\n  import lines\n  fallthrough\n }\n}\nimport site\n";
    assert_eq!(
        shape_of(text),
        ".{errors; health[lameduck 1s]; hosts[10.0.0.1 a; 10.0.0.2 b; fallthrough]} b.example.{errors; health[lameduck 1s]}"
    );
}

#[test]
fn files_are_imported_relative_to_the_file_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("servers")).unwrap();
    write(
        "Corefile",
        "(local) {\n bind 127.0.0.1\n}\n. {\n import common.conf\n import custom/*.override\n}\nimport servers/*.conf\n",
    );
    write("common.conf", "errors\ncache {\n servfail never\n}");
    write("servers/a.conf", "a.example {\n import local\n}\n");
    write("servers/b.conf", "b.example {\n import ../common.conf\n}\n");
    let corefile = parse(&CorefileSource::File(folder.path().join("Corefile")), &|_| None).unwrap();
    assert_eq!(
        shape(&corefile),
        ".{errors; cache[servfail never]} a.example.{bind 127.0.0.1} b.example.{errors; cache[servfail never]}"
    );
    let never = &corefile.blocks[0].directives[1].lines()[0].arguments[0];
    assert_eq!(never.position.to_string(), format!("{}/common.conf:3:11", folder.path().display()));
    let warning = corefile.warnings[0].to_string();
    assert_eq!(
        warning,
        format!("{}/Corefile:6:9: no file matches the import pattern `custom/*.override`", folder.path().display())
    );
}

#[test]
fn faults_of_imports_are_told_at_the_import() {
    assert!(
        refusal(". {\n import nothere.conf\n}").starts_with("Corefile:2:9: cannot import `nothere.conf`: No such file")
    );
    assert!(refusal(". {\n import\n}").starts_with("Corefile:2:2: import needs a snippet, a file"));
    assert!(refusal(". {\n import a b\n}").starts_with(
        "Corefile:2:11: import takes a snippet, a file or a pattern with one `*` and nothing after it, found `b`"
    ));
    assert!(refusal(". {\n import */*.conf\n}").starts_with("Corefile:2:9: an import pattern takes one `*`"));
    assert!(refusal(". {\n import {$NOTHING}\n}").contains("found an empty word"));
    assert!(refusal("(a) {\n}\n(a) {\n}").starts_with("Corefile:3:1: snippet `(a)` is defined twice"));
}

#[test]
fn imports_that_import_themselves_end_soon() {
    let begun = Instant::now();
    assert!(refusal("(a) {\n import a\n}\n. {\n import a\n}").contains("imports itself"));
    assert!(refusal("(a) {\n x y z\n import a\n}\n. {\n import a\n}").contains("imports itself"));
    assert!(refusal("(a) {\n import a\n import a\n}\nimport a\n").contains("imports itself"));
    assert!(refusal("(a) {\n x {\n import a\n }\n}\n. {\n import a\n}").contains("deeper than"));
    let mut bomb = "(s0) {\n x\n}\n".to_owned();
    for level in 1..40 {
        bomb += &format!("(s{level}) {{\n import s{}\n import s{}\n}}\n", level - 1, level - 1);
    }
    assert!(refusal(&format!("{bomb}. {{\n import s39\n}}")).contains("imports"));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn every_bad_corefile_is_refused_at_its_line_and_column() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/corefiles/bad");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        // `# refused: LINE:COLUMN MESSAGE` stands in the first line.
        let (place, message) =
            text.lines().next().unwrap().strip_prefix("# refused: ").unwrap().split_once(' ').unwrap();
        let error = parse(&CorefileSource::File(path.clone()), &|_| None).expect_err(&path.to_string_lossy());
        assert_eq!(format!("{}:{}", error.position.line, error.position.column), place, "{}: {error}", path.display());
        assert!(error.message.contains(message.trim()), "{}: {error}", path.display());
        seen += 1;
    }
    assert!(seen >= 12, "only {seen} bad Corefiles found");
}

/// The words and marks that have a meaning in the grammar.
const KNOWN: &[&str] = &[
    "{",
    "}",
    "\n",
    " ",
    "\"",
    "\\",
    "#",
    ",",
    "import",
    "(a)",
    "a",
    ".:53",
    "{$A}",
    "{%A%}",
    "10.0.0.0/7",
    "tls://x",
    "\r\n",
];

/// Pieces that the grammar gives a meaning, so that random text gets past the first word.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![6 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 1 => ".{0,6}".prop_map(|s| s)]
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused_with_a_place_in_it(pieces in proptest::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        if let Err(error) = try_tree(&text) {
            let lines = text.split('\n').count() as u32;
            prop_assert!((1..=lines).contains(&error.position.line), "{error}");
            prop_assert!(error.position.column >= 1);
            prop_assert!(!error.message.is_empty());
        }
    }

    #[test]
    fn comments_and_blank_lines_change_nothing_but_positions(words in proptest::collection::vec("[a-z]{1,5}", 1..8)) {
        let plain = format!(". {{\n{}\n}}", words.join("\n"));
        let noisy = format!("# c\r\n. {{ # c\n\n\t{} # {{\n}}# x", words.join("#c\n\n   "));
        prop_assert_eq!(shape_of(&plain), shape_of(&noisy));
    }
}

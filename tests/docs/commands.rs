//! Commands that the documents show: each is run, or read against what it names, or stands in a list with the reason why not.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rollcall_testing::skip;

use super::documents::{self, Document, root};

/// Commands that are not run here, by how they begin, with the reason. What they name is looked at all the same.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo test", "this is it"),
    ("ROLLCALL_SEED", "tests/simulation is run by itself"),
    ("just simulate", "takes as long as the seeds that it is given"),
    ("just fuzz", "takes as long as it is told, and builds with all optimisation"),
    ("ROLLCALL_SOAK", "tests/soak is run by itself"),
    ("just soak", "takes as long as it is told to"),
    ("cargo bench", "takes an hour of a quiet machine"),
    ("cargo doc", "a step of .ci/run"),
    (".ci/run", "runs this"),
    ("deploy/", "builds with all optimisation; tests/image.rs runs deploy/image"),
    ("kubectl ", "needs a cluster; tests/deploy.rs has one"),
    ("helm ", "needs a cluster; tests/chart.rs has one"),
    ("kustomize build", "kubectl kustomize does the same in tests/deploy.rs"),
    ("ADDRESS=", "tests/peers.rs runs the application"),
    ("curl http://127.1.0.1:8080/", "tests/peers.rs asks the application"),
];

/// What stands behind `$ ` in the blocks marked `console`, with the lines that it prints.
struct Shown {
    document: String,
    command: String,
    printed: Vec<String>,
}

fn shown() -> Vec<Shown> {
    documents::all().iter().flat_map(of).collect()
}

fn of(document: &Document) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for block in document.blocks().into_iter().filter(|block| block.language == "console") {
        let first = all.len();
        for line in &block.lines {
            let line = line.trim_end();
            if let Some(command) = line.trim_start().strip_prefix("$ ") {
                let (document, command) = (document.path.clone(), command.to_owned());
                all.push(Shown { document, command, printed: Vec::new() });
                continue;
            }
            assert!(all.len() > first, "{}: a console block begins with a command", document.path);
            let last = all.last_mut().unwrap();
            match last.command.strip_suffix('\\') {
                Some(begun) => last.command = format!("{} {}", begun.trim_end(), line.trim_start()),
                None => last.printed.push(line.to_owned()),
            }
        }
    }
    all
}

#[test]
fn every_command_is_run_or_known_not_to_be() {
    let all = shown();
    assert!(all.len() > 20, "{} commands", all.len());
    for shown in &all {
        let ways =
            [shown.command.starts_with("rollcall "), shown.command.starts_with("dig "), is_local(&shown.command)];
        let known = NOT_RUN.iter().filter(|(begin, _)| shown.command.starts_with(begin)).count();
        let run = ways.iter().filter(|way| **way).count();
        assert!(run + known == 1, "{}: nothing runs `{}`, and no reason is listed", shown.document, shown.command);
    }
}

#[test]
fn every_reason_not_to_run_a_command_is_needed() {
    let all = shown();
    for (begin, _) in NOT_RUN {
        assert!(all.iter().any(|shown| shown.command.starts_with(begin)), "no document shows `{begin}…` any more");
    }
}

fn is_local(command: &str) -> bool {
    command.starts_with("cargo run --release -- local ")
}

//----------- Of this program ---------------------------------------------------

#[test]
fn local_serves_and_dig_is_answered_as_the_documents_show() {
    let locals: Vec<Shown> = shown().into_iter().filter(|shown| is_local(&shown.command)).collect();
    assert!(!locals.is_empty());
    for shown in &locals {
        let arguments = shown.command.strip_prefix("cargo run --release -- ").unwrap();
        Local::start(&arguments.split(' ').collect::<Vec<_>>(), None);
    }
    if Command::new("dig").arg("-v").output().is_err() {
        return skip("no dig on the path: what the documents say that it prints is not tried");
    }
    let server = Local::start(&["local", "--forward", "none", "deploy/examples/kubia"], None);
    for shown in shown().iter().filter(|shown| shown.command.starts_with("dig ")) {
        let port = server.address.port().to_string();
        let words = shown.command.split(' ').skip(1).map(|word| if word == "1053" { &port } else { word });
        let output = Command::new("dig").args(words).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(records(&said), records(&shown.printed.join("\n")), "{}: {}", shown.document, shown.command);
    }
}

/// The lines of records, or of `+short`, in any order: the server mixes them.
fn records(said: &str) -> Vec<String> {
    let lines = said.lines().filter(|line| !line.is_empty() && !line.starts_with(';'));
    let mut lines: Vec<String> = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.sort();
    lines
}

#[test]
fn what_local_reads_from_a_pipe_is_served() {
    let mut manifests = String::new();
    for file in fs::read_dir(root().join("deploy/examples/kubia")).unwrap() {
        manifests.push_str(&format!("---\n{}\n", fs::read_to_string(file.unwrap().path()).unwrap()));
    }
    let all = shown();
    let piped = all.iter().filter_map(|shown| shown.command.split_once(" | rollcall "));
    let piped: Vec<_> =
        piped.map(|(_, arguments)| arguments).filter(|arguments| arguments.starts_with("local")).collect();
    assert!(!piped.is_empty());
    for arguments in piped {
        Local::start(&arguments.split(' ').collect::<Vec<_>>(), Some(&manifests));
    }
}

#[test]
fn check_accepts_what_kubectl_would_print() {
    let folder = tempfile::tempdir().unwrap();
    let config_map = fs::read_to_string(root().join("deploy/base/config-map.yaml")).unwrap();
    fs::write(folder.path().join("corefile.yaml"), &config_map).unwrap();
    let all = shown();
    let checks = all.iter().filter_map(|shown| shown.command.strip_prefix("rollcall "));
    let checks: Vec<_> = checks.filter(|arguments| arguments.starts_with("check ")).collect();
    assert!(!checks.is_empty());
    for arguments in checks {
        let output = program().args(arguments.split(' ')).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "rollcall {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Numbers apart: seconds pass, and versions are those of a run.
#[test]
fn explain_tells_what_the_documents_show() {
    let all = shown();
    let explained = all.iter().filter_map(|shown| Some((shown, shown.command.strip_prefix("rollcall explain ")?)));
    let explained: Vec<_> = explained.collect();
    assert!(explained.len() > 2, "{} commands", explained.len());
    for (shown, arguments) in explained {
        let output = program().arg("explain").args(arguments.split(' ')).current_dir(root()).output().unwrap();
        let plain = |text: &str| {
            let text: String = text.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
            let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().replace("00", "0")).collect();
            lines.retain(|line| !line.is_empty());
            lines.iter_mut().for_each(|line| {
                while line.contains("00") {
                    *line = line.replace("00", "0");
                }
            });
            lines.sort();
            lines
        };
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(plain(&said), plain(&shown.printed.join("\n")), "{}: {}", shown.document, shown.command);
    }
}

/// Flags come first: where they are read, the credentials are the next thing that is missed.
#[test]
fn diff_understands_its_flags() {
    let all = shown();
    let diffs = all.iter().filter_map(|shown| shown.command.split_once("/rollcall diff ").map(|(_, flags)| flags));
    let diffs: Vec<_> = diffs.collect();
    assert!(!diffs.is_empty());
    for flags in diffs {
        let mut command = program();
        command.arg("diff").args(flags.split(' ')).args(["--kubeconfig", "no-such-kubeconfig"]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains("no-such-kubeconfig"), "diff {flags}: {said}");
    }
}

/// Also those within a sentence.
#[test]
fn every_flag_of_rollcall_is_in_its_help() {
    let help = String::from_utf8(program().arg("--help").output().unwrap().stdout).unwrap();
    let known: Vec<&str> =
        help.split(|letter: char| letter.is_whitespace() || matches!(letter, ',' | '[' | ']')).collect();
    let mut seen = 0;
    for document in documents::all() {
        let shown = of(&document).into_iter().map(|shown| shown.command);
        for command in shown.chain(document.code_spans()) {
            let Some(arguments) = arguments(&command) else { continue };
            seen += 1;
            let words: Vec<&str> = arguments.split_whitespace().collect();
            if words.first().is_some_and(|first| first.bytes().all(|octet| octet.is_ascii_lowercase())) {
                assert!(help.contains(&format!("  rollcall {} ", words[0])), "{}: `{command}`", document.path);
            }
            let flags = words.into_iter().filter(|word| word.len() > 1 && word.starts_with('-'));
            for flag in flags.filter(|flag| !matches!(*flag, "--help" | "-version")) {
                assert!(known.contains(&flag), "{}: `{command}`: --help does not know {flag}", document.path);
            }
        }
    }
    assert!(seen > 15, "{seen} command lines of rollcall");
}

/// What is handed to this program, in a command or in a part of a sentence that is one.
fn arguments(command: &str) -> Option<&str> {
    let mut before = ["| rollcall ", "-- /rollcall ", "cargo run --release -- "].into_iter();
    let piped = before.find_map(|before| command.split_once(before)).map(|(_, after)| after);
    piped.or_else(|| command.strip_prefix("rollcall "))
}

/// A `rollcall local` that answers, until it is dropped.
struct Local {
    child: Child,
    address: SocketAddr,
}

impl Local {
    /// Starts it on a port of the system's choice, and waits until it says that it answers.
    fn start(arguments: &[&str], stdin: Option<&str>) -> Self {
        let input = if stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        let (name, rest) = arguments.split_first().unwrap();
        let mut command = program();
        command.arg(name).args(["--listen", "127.0.0.1:0"]).args(rest).current_dir(root());
        let mut child = command.stdin(input).stdout(Stdio::piped()).spawn().unwrap();
        if let Some(text) = stdin {
            child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        }
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = said.find_map(|line| line.strip_prefix("Answering on ")?.split(' ').next()?.parse().ok());
        // What it goes on to say is read, so that it never waits for a reader.
        std::thread::spawn(move || said.for_each(drop));
        let mut local = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        local.address = address.unwrap_or_else(|| panic!("{arguments:?} does not answer"));
        local
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_rollcall"))
}

//----------- Of others -----------------------------------------------------------

#[test]
fn what_kubectl_is_told_is_in_the_repository() {
    let manifests = manifests();
    let named = |kind: &str, name: &str| {
        manifests.iter().any(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    };
    let image = format!("{}", manifests.iter().find(|object| object["kind"] == "Deployment").unwrap());
    for shown in shown().iter().filter(|shown| shown.command.starts_with("kubectl ")) {
        let why = format!("{}: {}", shown.document, shown.command);
        let words: Vec<&str> = shown.command.split(' ').collect();
        for pair in words.windows(2) {
            match *pair {
                ["-k", path] => assert!(root().join(path).join("kustomization.yaml").is_file(), "{why}"),
                ["-f", path] => assert!(root().join(path).exists(), "{why}"),
                ["configmap", name] => assert!(named("ConfigMap", name), "{why}"),
                _ => {}
            }
        }
        for word in &words {
            if let Some(name) = word.strip_prefix("deployment/") {
                assert!(named("Deployment", name), "{why}");
            }
            if let Some(new) = word.strip_prefix("coredns=") {
                assert!(image.contains(new), "{why}: the base has another image");
            }
        }
    }
}

#[test]
fn kubectl_knows_the_flags_that_it_is_told() {
    let Some(programs) = std::env::var_os("KUBEBUILDER_ASSETS") else {
        return skip("KUBEBUILDER_ASSETS is not set: flags of kubectl are not looked up");
    };
    let kubectl = Path::new(&programs).join("kubectl");
    let general = help(&kubectl, &["options"]);
    for shown in shown().iter().filter(|shown| shown.command.starts_with("kubectl ")) {
        let own = shown.command.split([';', '>', '|']).next().unwrap();
        let words: Vec<&str> = own.split(" -- ").next().unwrap().split(' ').skip(1).collect();
        let verbs = ["get", "apply", "delete", "exec", "logs"];
        let verb = words.iter().copied().find(|word| verbs.contains(word) || *word == "rollout" || *word == "set");
        let verb = verb.unwrap_or_else(|| panic!("`{}`: what does it do?", shown.command));
        let known = match verb {
            "rollout" | "set" => {
                let at = words.iter().position(|word| *word == verb).unwrap();
                help(&kubectl, &[verb, words[at + 1], "--help"])
            }
            verb => help(&kubectl, &[verb, "--help"]),
        };
        flags_are_in(&format!("{known}\n{general}"), &words, shown);
    }
}

#[test]
fn helm_knows_the_flags_and_the_chart_the_values_that_it_is_told() {
    let values = fs::read_to_string(root().join("deploy/helm/coredns/values.yaml")).unwrap();
    let values: serde_json::Value = serde_saphyr::from_str(&values).unwrap();
    let helm = std::env::var_os("HELM").map(PathBuf::from);
    if helm.is_none() {
        skip("HELM is not set: flags of Helm are not looked up");
    }
    for shown in shown().iter().filter(|shown| shown.command.starts_with("helm ")) {
        let own = shown.command.split('|').next().unwrap().trim();
        let words: Vec<&str> = own.split(' ').skip(1).collect();
        for pair in words.windows(2).filter(|pair| pair[0] == "--set") {
            let (key, _) = pair[1].split_once('=').unwrap();
            let pointer = format!("/{}", key.replace('.', "/"));
            assert!(values.pointer(&pointer).is_some(), "{}: the chart has no value {key}", shown.document);
        }
        for path in words.iter().filter(|word| word.starts_with("deploy/")) {
            assert!(root().join(path).join("Chart.yaml").is_file(), "{}: no chart is in {path}", shown.document);
        }
        let verb = words.iter().copied().find(|word| ["upgrade", "rollback", "template"].contains(word)).unwrap();
        if let Some(helm) = &helm {
            flags_are_in(&help(helm, &[verb, "--help"]), &words, shown);
        }
    }
}

fn help(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{} {arguments:?}", program.display());
    String::from_utf8(output.stdout).unwrap()
}

fn flags_are_in(help: &str, words: &[&str], shown: &Shown) {
    let known: Vec<&str> = help.split(|letter: char| letter.is_whitespace() || matches!(letter, ',' | '=')).collect();
    for flag in words.iter().filter(|word| word.len() > 1 && word.starts_with('-')) {
        assert!(known.contains(flag), "{}: `{}`: {flag} is no flag of it", shown.document, shown.command);
    }
}

/// The objects of `deploy/base` and of its overlays.
fn manifests() -> Vec<serde_json::Value> {
    let mut objects = Vec::new();
    for folder in ["deploy/base", "deploy/overlays/compare"] {
        for file in fs::read_dir(root().join(folder)).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            objects.extend(serde_saphyr::from_multiple::<serde_json::Value>(&text).unwrap());
        }
    }
    objects
}

#[test]
fn what_cargo_and_node_are_told_is_in_the_repository() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for shown in shown() {
        let why = format!("{}: {}", shown.document, shown.command);
        let words: Vec<&str> = shown.command.split_whitespace().collect();
        for pair in words.windows(2) {
            match *pair {
                ["--bench", name] => assert!(manifest.contains(&format!("[[bench]]\nname = \"{name}\"")), "{why}"),
                ["--test", name] => {
                    let file = [format!("tests/{name}.rs"), format!("tests/{name}/main.rs")];
                    assert!(file.iter().any(|file| root().join(file).is_file()), "{why}");
                }
                ["node", script] => {
                    let text = fs::read_to_string(root().join(script)).unwrap();
                    let variables = words.iter().filter_map(|word| word.split_once('=')).map(|(name, _)| name);
                    for variable in variables {
                        assert!(text.contains(&format!("process.env.{variable}")), "{why}: {variable} is not read");
                    }
                }
                _ => {}
            }
        }
        let first = words.first().copied().unwrap_or_default();
        if first.contains('/') && !first.contains('=') {
            assert!(root().join(first).is_file(), "{why}");
        }
    }
}

#[test]
fn every_part_of_the_checks_and_every_recipe_is_there() {
    let parts = Command::new(root().join(".ci/run")).arg("--list").output().unwrap();
    let parts = String::from_utf8(parts.stdout).unwrap();
    let recipes = fs::read_to_string(root().join("justfile")).unwrap();
    for document in documents::all() {
        let commands = of(&document).into_iter().map(|shown| shown.command);
        for command in commands.chain(document.code_spans()) {
            if let Some(rest) = command.strip_prefix(".ci/run ") {
                let told = rest.split(' ').flat_map(|word| word.split('|'));
                for part in told.filter(|word| word.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'-')) {
                    assert!(part == "--list" || parts.lines().any(|line| line == part), "{}: {command}", document.path);
                }
            }
            if let Some(rest) = command.strip_prefix("just ") {
                let recipe = rest.split(' ').next().unwrap();
                let is = |line: &str| line.split([' ', ':']).next() == Some(recipe);
                assert!(recipe == "--list" || recipes.lines().any(is), "{}: {command}", document.path);
            }
        }
    }
}

//! Scenarios: objects, questions and answers as text. A report of a bug becomes one of these files.
//!
//! A file `*.scenario` is a list of steps, each begun by a line with `@`:
//!
//! | step | what it does |
//! |---|---|
//! | `@objects` | the cluster holds just the manifests that follow |
//! | `@change OLD => NEW` | the same manifests, edited: every OLD becomes NEW |
//! | `@receive` | events of a watch: the manifests that follow are as given from now on |
//! | `@gone KIND NAMESPACE/NAME` | an event of a watch: this object is deleted |
//! | `@later` | ten seconds pass: no grace period lasts so long |
//! | `@ask QNAME QTYPE` | the answer is what follows, the whole of it |
//!
//! An answer begins with its rcode, or NODATA, or `CHASE NAME` where another server is asked for NAME. Records follow in
//! the form of a zone file (RFC 1035 section 5.1) without class, first the answer section, after `; additional` that
//! one. A TTL is said once by `$TTL`, names without final dot are below `$ORIGIN`. Text before the first step, and
//! lines that begin with `#` outside of manifests, are for readers.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

use std::fs;
use std::time::{Duration, Instant};

use rollcall::cluster::IndexSettings;
use rollcall::cluster::facts::{Kind, ObjectKey};
use rollcall::zone::Answered;
use rollcall_testing::repository;
use rollcall_testing::world::{World, ask, names};

#[test]
fn every_scenario_ends_as_it_is_written() {
    let mut files: Vec<_> =
        fs::read_dir(repository("tests/scenarios")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "scenario"));
    files.sort();
    assert!(files.len() >= 6);
    let mut wrong = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let found = run(&fs::read_to_string(&path).unwrap());
        wrong.extend(found.into_iter().map(|what| format!("{name}:{what}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What somebody who reports a fault begins with.
#[test]
fn the_examples_for_reports_are_scenarios() {
    let read = |path: &str| fs::read_to_string(repository(path)).unwrap();
    let contributing = read("CONTRIBUTING.md");
    let shown = contributing.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(run(shown), Vec::<String>::new());
    let form: serde_json::Value = serde_saphyr::from_str(&read(".github/ISSUE_TEMPLATE/wrong-answer.yml")).unwrap();
    assert_eq!(run(form["body"][0]["attributes"]["value"].as_str().unwrap()), Vec::<String>::new());
}

#[test]
fn a_wrong_answer_is_told_with_its_line() {
    let text = "$ORIGIN default.svc.cluster.local.\n@objects\napiVersion: v1\nkind: Service\nmetadata: {name: a}\n\
                spec: {clusterIP: 10.0.0.1, ports: [{port: 1}]}\n@ask a A\nNOERROR\na A 10.0.0.2\n@ask b A\nNODATA\n";
    let wrong = run(text);
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[0].starts_with("7: a A: ") && wrong[0].contains("10.0.0.1"), "{wrong:?}");
    assert!(wrong[1].starts_with("10: b A: ") && wrong[1].contains("NXDOMAIN"), "{wrong:?}");
}

/// Runs the steps; line and difference of each answer that is not as written.
fn run(text: &str) -> Vec<String> {
    let mut world = World::new(IndexSettings::default());
    let (mut objects, mut wrong) = (String::new(), Vec::new());
    let mut zone = ZoneText { origin: ".".into(), ttl: "30".into() };
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        if let Some(origin) = line.strip_prefix("$ORIGIN ") {
            zone.origin = origin.into();
        }
        if let Some(ttl) = line.strip_prefix("$TTL ") {
            zone.ttl = ttl.into();
        }
        let Some(step) = line.strip_prefix('@') else { continue };
        let mut body = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.starts_with(['@', '$'])) {
            body.push(line);
        }
        let (word, argument) = step.split_once(' ').unwrap_or((step, ""));
        match word {
            "objects" => {
                objects = body.join("\n");
                world.replace(&objects);
            }
            "change" => {
                let (old, new) = argument.split_once(" => ").expect("@change OLD => NEW");
                assert!(objects.contains(old), "line {}: {old:?} is not in the objects", index + 1);
                objects = objects.replace(old, new);
                world.replace(&objects);
            }
            "receive" => {
                let facts = world.facts(&body.join("\n"));
                world.receive(facts);
            }
            "gone" => {
                let (kind, key) = argument.split_once(' ').expect("@gone KIND NAMESPACE/NAME");
                let kind = Kind::ALL.into_iter().find(|own| own.as_str() == kind).expect("a kind that is watched");
                let (namespace, name) = key.split_once('/').expect("@gone KIND NAMESPACE/NAME");
                world.index().delete(kind, &ObjectKey::new(namespace, name), Instant::now(), 1_700_000_500);
            }
            "later" => {
                world.index().expire(Instant::now() + Duration::from_secs(10), 1_700_000_600);
            }
            "ask" => {
                let (qname, qtype) = argument.split_once(' ').expect("@ask QNAME QTYPE");
                let expected = zone.expected(&body);
                let found = found(&world, &zone.absolute(qname), qtype);
                if expected != found {
                    let (expected, found) = (expected.join("\n  "), found.join("\n  "));
                    wrong.push(format!("{}: {argument}: expected\n  {expected}\nfound\n  {found}", index + 1));
                }
            }
            other => panic!("line {}: no step is called @{other}", index + 1),
        }
    }
    wrong
}

/// The answer as the lines of a scenario, names absolute.
fn found(world: &World, qname: &str, qtype: &str) -> Vec<String> {
    let reply = match ask(&world.view(), qname, qtype) {
        Ok(reply) => reply,
        Err(Answered::Chase { targets }) => return vec![format!("CHASE {}", targets.last().unwrap())],
        Err(other) => return vec![format!("{other:?}")],
    };
    let is_empty = reply.rcode == "NOERROR" && reply.answers.is_empty();
    let mut lines = vec![if is_empty { "NODATA".into() } else { reply.rcode.clone() }];
    // A negative answer carries a SOA, and only that one does (RFC 2308 section 2).
    if (is_empty || reply.rcode == "NXDOMAIN") != reply.soa().is_some() {
        lines.push(format!("; SOA of {:?}", reply.soa()));
    }
    lines.extend(reply.answers);
    if !reply.additional.is_empty() {
        lines.push("; additional".into());
        lines.extend(reply.additional);
    }
    lines
}

/// What a zone file says once for all its records.
struct ZoneText {
    origin: String,
    ttl: String,
}

impl ZoneText {
    fn absolute(&self, name: &str) -> String {
        let absolute = if name.ends_with('.') { name.into() } else { format!("{name}.{}", self.origin) };
        assert_eq!(names(&[&absolute]).len(), 1);
        absolute
    }

    /// The lines of an answer as [`found`] writes them: sections sorted.
    fn expected(&self, body: &[&str]) -> Vec<String> {
        let mut lines = body.iter().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let first = lines.next().expect("an rcode");
        let first = match first.strip_prefix("CHASE ") {
            Some(name) => format!("CHASE {}", self.absolute(name)),
            None => (*first).into(),
        };
        let (mut answers, mut additional, mut glue) = (Vec::new(), Vec::new(), false);
        for line in lines {
            if *line == "; additional" {
                glue = true;
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let [owner, kind, data @ ..] = &words[..] else { panic!("owner, type and data: {line:?}") };
            let mut data: Vec<String> = data.iter().map(|word| (*word).into()).collect();
            if ["SRV", "CNAME", "PTR", "NS"].contains(kind) {
                let last = data.pop().unwrap();
                data.push(self.absolute(&last));
            }
            let section = if glue { &mut additional } else { &mut answers };
            section.push(format!("{} {} {kind} {}", self.absolute(owner), self.ttl, data.join(" ")));
        }
        answers.sort();
        additional.sort();
        let mut expected = vec![first];
        expected.extend(answers);
        if glue {
            expected.push("; additional".into());
            expected.extend(additional);
        }
        expected
    }
}

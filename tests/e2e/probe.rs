//! One probe: its commands, and what their output must say.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use rollcall_testing::skip;
use serde::Deserialize;
use serde_json::Value;

/// A line of `probes.jsonl`.
#[derive(Debug, Deserialize)]
pub(crate) struct Probe {
    pub(crate) id: String,
    /// The server's Corefile; kubeadm's without one.
    pub(crate) corefile: Option<String>,
    /// What happens before the question.
    pub(crate) phase: Option<String>,
    /// The command of the suite, as it stands there.
    cmd: Option<String>,
    /// The same to a server that is named.
    cmd_at: Option<String>,
    kdig_at: Option<String>,
    expect: Expect,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Expect {
    rcode: Option<String>,
    answer: Option<Vec<String>>,
    additional: Option<Vec<String>>,
    authority: Value,
    aa: bool,
    tc: Option<bool>,
    count: Option<usize>,
    port: Option<u16>,
    addresses: Option<Vec<String>>,
    nonempty: bool,
    stdout_exact: Option<String>,
    stdout_first_line: Option<String>,
    stdout_lines: Option<Vec<String>>,
    exit: Option<i32>,
}

/// What dig or kdig printed.
#[derive(Debug, Default)]
struct Printed {
    rcode: String,
    flags: Vec<String>,
    sections: BTreeMap<String, Vec<String>>,
}

impl Probe {
    pub(crate) fn all() -> Vec<Self> {
        include_str!("probes.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The command of the suite, then one with the whole answer; whether it names the server.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&String, bool)> {
        let named = self.cmd_at.as_ref().or(self.kdig_at.as_ref());
        self.cmd.iter().map(|command| (command, false)).chain(named.map(|command| (command, true)))
    }

    /// The search path of the pod.
    pub(crate) fn search(&self, usual: &str) -> String {
        match self.id.split('-').next() {
            Some("dotsearch") => format!("{usual} . _sip._tcp.abc_d.example.com"),
            Some("resolvconf") => "resolv.conf.local".to_owned(),
            _ => usual.to_owned(),
        }
    }

    /// What the kubelet writes into the pod's /etc/hosts.
    pub(crate) fn hosts_line(&self) -> String {
        let own = ["partial-hosts-", "hosts-", "hostname-"].iter().any(|start| self.id.starts_with(start));
        let address = self.expect.addresses.as_ref().and_then(|all| all.first()).filter(|_| own);
        let name = self.cmd.as_ref().and_then(|cmd| cmd.split_whitespace().last());
        address.zip(name).map_or_else(String::new, |(address, name)| format!("{address}\t{name}"))
    }

    /// Runs the commands; says what does not hold.
    pub(crate) fn check(&self, server: &str, client: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for (command, named) in self.commands() {
            let mut command = command.replace("{S}", server).replace("{P}", "53");
            if named {
                // The whole answer, and asked from the pod that the server knows.
                command = command.replace("+noall +answer ", "");
                if self.id.starts_with("ci-autopath") {
                    command += &format!(" -b {client}");
                }
            }
            wrong.extend(self.one(&command, named).into_iter().map(|why| format!("{command}: {why}")));
        }
        wrong
    }

    fn one(&self, command: &str, named: bool) -> Vec<String> {
        let mut words = command.split_whitespace();
        let program = words.next().unwrap();
        if program == "curl" {
            // The page is not this server's, the name is asked for by the other form.
            return Vec::new();
        }
        let Ok(output) = Command::new(program).args(words).output() else {
            skip(format_args!("no {program} on the path: the probe {} is not run", self.id));
            return Vec::new();
        };
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match program {
            "getent" => self.addresses(&text),
            "nslookup" => match output.status.code() == self.expect.exit {
                true => Vec::new(),
                false => vec![format!("exit {:?}: {text}", output.status.code())],
            },
            _ if command.contains("+short") => self.short(&text),
            _ => self.records(&Printed::read(&text), named),
        }
    }

    fn addresses(&self, text: &str) -> Vec<String> {
        let got: BTreeSet<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let answer = self.expect.answer.iter().flatten().filter_map(|row| row.split_whitespace().last());
        let want: BTreeSet<&str> = match &self.expect.addresses {
            Some(addresses) => addresses.iter().map(String::as_str).collect(),
            None => answer.collect(),
        };
        if got == want { Vec::new() } else { vec![format!("expected {want:?}, got {got:?}")] }
    }

    fn short(&self, text: &str) -> Vec<String> {
        let expect = &self.expect;
        let lines: Vec<&str> = text.lines().collect();
        let exact = match self.id.as_str() {
            "extname-to-clusterip" => Some("10.96.1.103".to_owned()),
            _ => expect.stdout_exact.clone(),
        };
        let holds = exact.is_none_or(|exact| lines == exact.lines().collect::<Vec<_>>())
            && expect.stdout_first_line.as_ref().is_none_or(|first| lines.first() == Some(&first.as_str()))
            && expect.stdout_lines.as_ref().is_none_or(|all| lines == *all);
        if holds { Vec::new() } else { vec![format!("got {lines:?}")] }
    }

    fn records(&self, got: &Printed, whole: bool) -> Vec<String> {
        let expect = &self.expect;
        let (mut wrong, answer) = (Vec::new(), got.section("ANSWER"));
        let mut rows = |section: &str, want: &[String], got: Vec<&String>| {
            let mut left = got.clone();
            let all = want.iter().all(|row| {
                let at = left.iter().position(|own| is_row(row, own));
                at.map(|at| left.remove(at)).is_some()
            });
            if !all || !left.is_empty() {
                wrong.push(format!("{section}: expected {want:?}, got {got:?}"));
            }
        };
        if let Some(want) = &expect.answer {
            rows("answer", want, answer.iter().collect());
        }
        if whole {
            if let Some(want) = &expect.additional {
                rows("additional", want, got.section("ADDITIONAL").iter().collect());
            }
            if let Value::Array(want) = &expect.authority {
                let want: Vec<String> = want.iter().map(|row| row.as_str().unwrap().to_owned()).collect();
                // A zone file brings its NS records along.
                let has_file = self.corefile.as_ref().is_some_and(|text| text.contains("file "));
                let own = got.section("AUTHORITY");
                let counted = own.iter().filter(|row| !want.is_empty() || !has_file || !row.contains(" NS "));
                rows("authority", &want, counted.collect());
            }
        }
        let mut must = |holds: bool, what: String| {
            if !holds {
                wrong.push(format!("{what}: {got:?}"));
            }
        };
        must(!expect.nonempty || !answer.is_empty(), "no answer".to_owned());
        if whole {
            // A transfer is printed without its header.
            let rcode = expect.rcode.as_ref().filter(|_| !got.rcode.is_empty() || answer.is_empty());
            must(rcode.is_none_or(|rcode| *rcode == got.rcode), format!("expected {rcode:?}"));
            must(!expect.aa || got.has("aa"), "no AA".to_owned());
            must(expect.tc.is_none_or(|tc| tc == got.has("tc")), "TC".to_owned());
            must(
                expect.count.is_none_or(|count| count == answer.len()),
                format!("expected {:?} records", expect.count),
            );
            let port = expect.port.map(|port| port.to_string());
            let ports = answer.iter().filter_map(|row| row.split_whitespace().nth(6));
            must(port.is_none_or(|port| ports.clone().all(|own| own == port)), "ports".to_owned());
            let soa = got.section("AUTHORITY").iter().any(|row| row.contains(" SOA "));
            must(expect.authority != "SOA" || soa, "no SOA".to_owned());
            if self.id.starts_with("ci-axfr") {
                let is_soa = |row: Option<&String>| row.is_some_and(|row| row.contains(" SOA "));
                must(answer.len() > 2 && is_soa(answer.first()) && is_soa(answer.last()), "no transfer".to_owned());
            }
        }
        wrong
    }
}

impl Printed {
    fn read(text: &str) -> Self {
        let mut printed = Self::default();
        // Without headings all is the answer.
        let mut section = "ANSWER".to_owned();
        for line in text.lines() {
            let plain = line.replace('\t', " ");
            if let Some(heading) = plain.strip_prefix(";; ").and_then(|rest| rest.split_once(" SECTION")) {
                section = heading.0.to_owned();
            } else if plain.starts_with(';') {
                if let Some((_, rest)) = plain.split_once("status: ") {
                    printed.rcode = rest.split([',', ';']).next().unwrap().to_owned();
                }
                if let Some((_, rest)) = plain.to_lowercase().split_once("flags: ")
                    && printed.flags.is_empty()
                {
                    printed.flags = rest.split(';').next().unwrap().split_whitespace().map(str::to_owned).collect();
                }
            } else if !plain.trim().is_empty() {
                let row = plain.split_whitespace().collect::<Vec<_>>().join(" ");
                printed.sections.entry(section.clone()).or_default().push(row);
            }
        }
        printed
    }

    fn section(&self, name: &str) -> &[String] {
        self.sections.get(name).map_or(&[], Vec::as_slice)
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|own| own == flag)
    }
}

/// Owner, TTL, type and data of a row; no TTL is any.
fn parts(row: &str) -> (&str, Option<u32>, Vec<&str>) {
    let mut words: Vec<&str> = row.split_whitespace().collect();
    let owner = words.remove(0);
    let ttl = words.first().and_then(|word| word.parse().ok());
    if ttl.is_some() || words.first() == Some(&"<ttl>") {
        words.remove(0);
    }
    if words.first() == Some(&"IN") {
        words.remove(0);
    }
    (owner, ttl, words)
}

fn is_row(want: &str, got: &str) -> bool {
    let ((want_owner, want_ttl, want_words), (owner, ttl, words)) = (parts(want), parts(got));
    let alike = |(want, got): (&&str, &&str)| want.starts_with('<') || want == got;
    want_owner == owner
        && want_ttl.is_none_or(|want| ttl == Some(want))
        && want_words.len() == words.len()
        && want_words.iter().zip(&words).all(alike)
}

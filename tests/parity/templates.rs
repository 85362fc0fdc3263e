//! `template`: what Go's text templates make of a query, as text in a TXT record.

use std::fmt::Write;
use std::net::IpAddr;
use std::process::Command;

use rollcall_testing::coredns;

use super::pair::{Findings, Pair, ask};
use super::questions::{A, Question, TXT, labels};

/// Each stands in a zone of its own; the name is matched in two groups, `first` and `second`.
const TEXTS: &[&str] = &[
    "{{ .Name }} {{ .Class }} {{ .Type }} {{ .Zone }}",
    "{{ .Question.Qtype }} {{ .Question.Qclass }} {{ .Question.Name }}",
    "{{ index .Match 0 }} {{ index .Match 1 }} {{ len .Match }}",
    "{{ .Group.first }} {{ .Group.second }} [{{ .Group.nosuch }}]",
    "{{ .Group }}",
    "{{ .Match }}",
    "{{ .Message.Opcode }} {{ .Message.RecursionDesired }} {{ len .Message.Question }}",
    "{{ printf `%s-%d-%05d-%x-%X-%o-%b` .Group.first 7 42 255 255 8 5 }}",
    "{{ printf `%v %q %5s|%-5s| %t` .Type .Type .Type .Type true }}",
    "{{ printf `%c %U %e %.2f %%` 65 65 1.5 2.345 }}",
    "{{ printf `%d` `x` }}",
    "{{ printf `%d %d` 1 }}",
    "{{ printf `%[2]s %[1]s` `a` `b` }}",
    "{{ print 1 2 `a` `b` 3 }}",
    "{{ println `a` 1 }}",
    "{{ len .Name }} {{ len .Group.first }}",
    "{{ if eq .Type `TXT` }}yes{{ else }}no{{ end }}",
    "{{ if and (eq .Class `IN`) (ne .Type `A`) }}both{{ else if true }}one{{ end }}",
    "{{ if or false `` 0 }}yes{{ else }}no{{ end }} {{ or `` `second` }} {{ and 1 `` }} {{ not 1 }}",
    "{{ eq 1 1 }} {{ eq .Type `A` `TXT` }} {{ lt 1 2 }} {{ le 2 2 }} {{ gt `b` `a` }} {{ ge 1 2 }} {{ ne 1 2 }}",
    "{{ and false (index .Match 99) }} {{ or true (index .Match 99) }}",
    "{{ with .Group.second }}{{ . }}{{ else }}none{{ end }}",
    "{{ with $x := .Group.first }}{{ $x }}{{ end }}",
    "{{ $x := `a` }}{{ $x = `b` }}{{ $x }}{{ $.Type }}",
    "{{ range $i, $m := .Match }}{{ $i }}={{ $m }} {{ end }}",
    "{{ range .Match }}[{{ . }}]{{ end }}",
    "{{ range $i := .Match }}{{ if eq $i `` }}{{ continue }}{{ end }}{{ break }}{{ end }}end",
    "{{ slice .Name 1 3 }} {{ slice .Name 2 }}",
    "{{ html `<a>&` }} {{ js `a'b` }} {{ urlquery `a b&c` }}",
    "{{ parseInt `ff` 16 32 }} {{ parseInt `10` 0 64 }} {{ parseInt `-7` 10 8 }}",
    "{{ parseInt `300` 10 8 }}",
    "{{ parseInt `x` 10 32 }}",
    "{{ parseInt .Group.second 10 32 | printf `%08x` }}",
    "{{ .Group.first | printf `%s!` | len }}",
    "{{- .Type -}} x {{- `y` }}  z",
    "{{/* nothing */}}text",
    "{{ 1.5 }} {{ 0x10 }} {{ 1e3 }} {{ 'a' }}",
    "{{ `a\\tb` }} {{ true }} {{ -3 }}",
    "{{ define `T` }}<{{ . }}>{{ end }}{{ template `T` .Type }}",
    "{{ block `B` .Class }}({{ . }}){{ end }}",
    "{{ .Nosuch }}",
    "{{ index .Match 99 }}",
    "{{ .Remote }}",
    "{{ .Meta `x/y` }}.",
    "{{ call .Name }}",
];

#[test]
fn templates_say_what_they_say_in_coredns() {
    let Some(coredns) = coredns() else { return };
    let mut findings = Findings::default();
    let (texts, refused): (Vec<&str>, Vec<&str>) = TEXTS.iter().partition(|text| is_read(&corefile(&[text])));
    refused.iter().for_each(|_| findings.explain("refused when the Corefile is read"));
    println!("refused: {refused:?}");
    let pair = Pair::start(&coredns, &corefile(&texts));
    let host = IpAddr::from([127, 0, 0, 1]);
    let mut clients = pair.clients(host, host);
    for (number, text) in texts.iter().enumerate() {
        for (name, qtype) in [("abc-12", TXT), ("x.0", TXT), ("AbC-7", TXT), ("x.99999999999", TXT), ("abc-12", A)] {
            let question = Question::plain(labels(&format!("{name}.t{number}.test")), qtype);
            findings.note(&format!("{text}: {name} {qtype}"), ask(&mut clients, &question), |_, _| None);
        }
    }
    findings.end();
}

/// Whether this server reads a Corefile: it refuses what it does not understand, and guesses nothing.
fn is_read(corefile: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Corefile");
    std::fs::write(&file, corefile.replace("PORT", "53").replace("READY", "127.0.0.1:0")).unwrap();
    let mut check = Command::new(rollcall_testing::program());
    check.arg("check").arg(&file).output().unwrap().status.success()
}

fn corefile(texts: &[&str]) -> String {
    let mut corefile = ".:PORT {\n    bind 127.0.0.1\n    ready READY\n".to_owned();
    for (number, text) in texts.iter().enumerate() {
        let pattern = "^(?P<first>[A-Za-z]*)[.-](?P<second>[0-9]*)";
        writeln!(
            corefile,
            "    template IN ANY t{number}.test {{\n        match \"{pattern}\"\n        \
             answer \"{{{{ .Name }}}} 60 IN TXT \\\"{text}\\\"\"\n        fallthrough\n    }}"
        )
        .unwrap();
    }
    corefile + "    whoami\n}\n"
}

use std::collections::HashMap;

use crate::wire::Label;
use crate::zone::testing::*;
use crate::zone::{Answered, Fallthrough, Pods, Publisher, View};

/// The lines of one zone of `zones.txt`, with those that all have in common.
fn lines_of(name: &str) -> String {
    let mut zones: HashMap<&str, String> = HashMap::new();
    let mut section = "";
    for line in include_str!("zones.txt").lines() {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => section = name,
            None => zones.entry(section).or_default().extend([line, "\n"]),
        }
    }
    if name == "common" { zones["common"].clone() } else { format!("{}{}", zones["common"], zones[name]) }
}

fn zone_of(name: &str) -> (Publisher, View) {
    let (publisher, reader) = zone(&lines_of(name));
    (publisher, view(reader))
}

fn list<T: std::str::FromStr>(text: &str) -> Vec<T> {
    text.split(',').map(|one| one.parse().ok().unwrap()).collect()
}

fn settings(mut view: View, settings: &str) -> (View, u16) {
    let mut class = 1;
    for setting in settings.split_whitespace() {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        match name {
            "namespaces" => {
                view.namespaces = Some(value.split(',').map(|name| Label::new(name.as_bytes()).unwrap()).collect());
            }
            "zones" => view.zones = list(value),
            "local" => view.local = list(value),
            "fallthrough" => view.fallthrough = Fallthrough::Zones(list(value)),
            "pods" if value == "insecure" => view.pods = Pods::Insecure,
            "pods" if value == "verified" => view.pods = Pods::Verified,
            "pods" if value == "disabled" => {}
            "ttl" => view.ttl = value.parse().unwrap(),
            "ignore-empty" => view.ignore_empty = true,
            "zonal" => view.zonal = true,
            "class" if value == "CH" => class = 3,
            other => panic!("no such setting: {other}"),
        }
    }
    (view, class)
}

fn split(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.split("; ").filter(|line| !line.is_empty()).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Checks one line of `cases.txt`; says what differs.
fn check(line: &str) -> Result<(), String> {
    let mut fields = line.split('|').map(str::trim);
    let mut field = || fields.next().unwrap_or_default();
    let [_, zone_name, options, asked, outcome, answers, additionals, soa] = [(); 8].map(|()| field());
    let (qname, type_name) = asked.split_once(' ').unwrap();
    let (publisher, reader) = match options.strip_prefix("unsynced") {
        None => zone(&lines_of(zone_name)),
        Some(_) => {
            let (mut publisher, reader) = crate::zone::pair();
            publisher.publish(changes(&lines_of(zone_name)));
            (publisher, reader)
        }
    };
    let options = options.strip_prefix("unsynced").unwrap_or(options);
    let (view, class) = settings(view(reader), options);
    let got = ask_octets(&view, &query(qname, qtype(type_name), class), 65_535, false, 3);
    let serial = view.reader.serial();
    drop(publisher);
    let expect = |what: &str, expected: Vec<String>, got: Vec<String>| {
        if expected == got { Ok(()) } else { Err(format!("{what}: expected {expected:#?}, got {got:#?}")) }
    };
    let Answered::Reply { rcode, truncated: false, oversized: false, .. } = &got.answered else {
        let targets = if answers.is_empty() { String::new() } else { format!("; {answers}") };
        return expect("outcome", vec![format!("{outcome}{targets}")], vec![got.short()]);
    };
    expect("rcode", vec![outcome.into()], vec![rcode.to_string()])?;
    expect("answer", split(answers), sorted(got.answers()))?;
    expect("additional", split(additionals), sorted(got.additionals()))?;
    let ttl = view.ttl;
    let soa = if soa.is_empty() {
        vec![]
    } else {
        let negative = ttl.min(300);
        vec![format!("{soa} {negative} SOA ns.dns.{soa} hostmaster.{soa} {serial} 7200 1800 86400 {ttl}")]
    };
    expect("authority", soa, got.authorities())?;
    let authoritative = got.message.as_ref().unwrap().metadata.authoritative;
    expect("AA", vec![(outcome != "REFUSED").to_string()], vec![authoritative.to_string()])
}

#[test]
fn every_case_is_answered_as_written() {
    let cases: Vec<&str> = include_str!("cases.txt").lines().filter(|line| !line.starts_with('#')).collect();
    assert!(cases.len() > 120);
    let wrong: Vec<String> = cases
        .iter()
        .filter(|line| !line.is_empty())
        .filter_map(|line| check(line).err().map(|error| format!("{line}\n  {error}")))
        .collect();
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}

//! `rollcall check FILE|-`: what the server would do with a Corefile, without doing it.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::error::Error;
use super::mirrors::Unsynced;
use super::plan::Plan;
use super::{interfaces, origin};
use crate::corefile;
use crate::corefile::{Corefile, Directive, Position, Source, Token};
use crate::plugins::setup::{Block, Kept};

/// How many faults are told at once.
const MOST: usize = 20;

/// Describes a Corefile.
///
/// # Errors
/// When the server would refuse it: every fault that can be told apart, each with its place.
pub(super) fn describe(file: &Path) -> Result<String, Error> {
    let source = match file.to_str() {
        Some("-") => origin::find(Some("stdin"), false)?,
        _ => Source::File(file.to_owned()),
    };
    let corefile = origin::read(&source)?;
    if corefile.blocks.is_empty() {
        return Err(Error::operator(format!(
            "{}: expected a server block, as in `.:53 {{`, found none",
            file.display()
        )));
    }
    match plan(&corefile) {
        Ok(plan) => Ok(text(&plan, &corefile)),
        Err(first) => Err(Error::operator(faults(corefile, first).join("\n"))),
    }
}

fn plan(corefile: &Corefile) -> Result<Plan, corefile::Error> {
    Plan::new(corefile, 53, &mut Unsynced, &Kept::default())
}

/// All faults in the order of their lines: each is found by leaving out the lines of those before it.
fn faults(mut corefile: Corefile, first: corefile::Error) -> Vec<String> {
    let explained = |fault: &corefile::Error, corefile: &Corefile| {
        let Position { file, line, column } = fault.position.clone();
        (file, line, column, origin::explained(fault.clone(), corefile).to_string())
    };
    let (mut found, mut fault) = (vec![explained(&first, &corefile)], first);
    let mut left_out: Vec<String> = Vec::new();
    while found.len() < MOST {
        let mut blocks = corefile.blocks.iter_mut();
        let Some(name) = blocks.find_map(|block| leave_out(&mut block.directives, &fault.position)) else { break };
        left_out.push(name);
        match plan(&corefile) {
            Ok(_) => break,
            Err(next) => {
                // What only lacks a line that was left out is no fault of its own.
                let follows = left_out.iter().any(|name| next.message.split_whitespace().any(|word| word == name));
                let told = explained(&next, &corefile);
                if !follows && !found.contains(&told) {
                    found.push(told);
                }
                fault = next;
            }
        }
    }
    found.sort();
    found.into_iter().map(|(.., told)| told).collect()
}

/// Takes out the innermost line that has a word at this place; says of which directive.
fn leave_out(lines: &mut Vec<Directive>, at: &Position) -> Option<String> {
    let index = lines.iter().position(|line| has(line, at))?;
    let name = lines.get(index)?.name.text.clone();
    let inner = lines.get_mut(index).and_then(|line| line.body.as_mut()).and_then(|body| leave_out(body, at));
    if inner.is_none() {
        lines.remove(index);
    }
    Some(name)
}

fn has(line: &Directive, at: &Position) -> bool {
    let mut words = std::iter::once(&line.name).chain(&line.arguments);
    words.any(|word| word.position == *at) || line.lines().iter().any(|line| has(line, at))
}

fn text(plan: &Plan, corefile: &Corefile) -> String {
    let mut out = String::new();
    for block in &plan.blocks {
        // Writing to a string cannot fail.
        let _ = write_block(&mut out, block, plan);
    }
    for note in surroundings(plan, corefile, &interfaces::list()) {
        let _ = writeln!(out, "note: {note}");
    }
    for warning in corefile.warnings.iter().chain(plan.blocks.iter().flat_map(|block| &block.settings.notes)) {
        let _ = writeln!(out, "note: {warning}");
    }
    out
}

/// What a start needs of the machine and was not tried: addresses that it does not have, a pod's credentials.
fn surroundings(plan: &Plan, corefile: &Corefile, interfaces: &[(String, IpAddr)]) -> Vec<corefile::Error> {
    let lacks = |address: IpAddr| {
        let here = address.is_unspecified() || address.is_loopback();
        !here && !interfaces.is_empty() && interfaces.iter().all(|(_, own)| *own != address)
    };
    let lacking = |address: IpAddr, at: &Token| {
        lacks(address).then(|| at.error(format!("this machine does not have {address}, a start here would fail")))
    };
    let mut notes = Vec::new();
    for line in corefile.blocks.iter().flat_map(|block| &block.directives) {
        match line.name.text.as_str() {
            "bind" => notes.extend(line.arguments.iter().filter_map(|word| lacking(word.text.parse().ok()?, word))),
            "kubernetes" if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() => {
                let told = line.lines().iter().any(|line| matches!(&*line.name.text, "kubeconfig" | "endpoint"));
                notes.extend((!told).then(|| line.name.error("kubernetes needs a pod's credentials; not tried here")));
            }
            _ => {}
        }
    }
    let pages = plan.blocks.iter().flat_map(|block| &block.settings.pages);
    notes.extend(pages.filter_map(|(address, at)| lacking(address.parse::<SocketAddr>().ok()?.ip(), at)));
    notes
}

fn write_block(out: &mut String, block: &std::sync::Arc<Block>, plan: &Plan) -> std::fmt::Result {
    let zones: Vec<&str> = block.keys.iter().map(|key| key.zone.as_str()).collect();
    match block.keys.first() {
        Some(key) => writeln!(out, "{}: server block {}", key.token.position, zones.join(" "))?,
        None => writeln!(out, "server block")?,
    }
    writeln!(out, "  listens    {}", plan.listeners(block).join(" "))?;
    writeln!(out, "  directives {}", block.settings.enabled.join(" "))?;
    let chain: Vec<&str> = block.chain.iter().map(|plugin| plugin.name()).collect();
    writeln!(
        out,
        "  chain      {}",
        if chain.is_empty() { "nothing: every query is refused".to_owned() } else { chain.join(" > ") }
    )?;
    let cluster = match block.fast() {
        Ok(view) => {
            let zones: Vec<String> = view.zones.iter().map(ToString::to_string).collect();
            format!("{}: answered on the fast path, without the chain", zones.join(" "))
        }
        Err(reasons) if reasons.is_empty() => "none: no plugin answers cluster names here".to_owned(),
        Err(reasons) => format!("answered through the chain, because of {}", reasons.join("; ")),
    };
    writeln!(out, "  cluster    {cluster}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let source = Source::Text { name: "Corefile".into(), text: text.into() };
        let corefile = corefile::parse(&source, &|_| None).unwrap();
        let first = plan(&corefile).unwrap_err();
        faults(corefile, first)
    }

    fn places(text: &str) -> Vec<String> {
        told(text).iter().map(|fault| fault.split(": ").next().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let text = ". {\n errrors\n kubernetes cluster.local {\n  pods sometimes\n  ttl never\n }\n cache 30\n}\n\
                    example.org {\n whoami\n hostss\n}";
        assert_eq!(places(text), ["Corefile:2:2", "Corefile:4:8", "Corefile:5:7", "Corefile:11:2"]);
    }

    #[test]
    fn what_only_lacks_a_wrong_line_is_not_told() {
        let text = ". {\n kubernetes cluster.local {\n  pods sometimes\n }\n autopath @kubernetes\n}";
        assert_eq!(places(text), ["Corefile:3:8"]);
        let text = ". {\n template IN A {\n  answer \"{{ nonsense }}\"\n }\n}";
        assert_eq!(told(text).len(), 1, "{:?}", told(text));
    }

    #[test]
    fn what_the_machine_lacks_is_noted_and_a_variable_that_is_not_set_is_named() {
        let text = ". {\n bind 127.0.0.1 192.0.2.1\n health 192.0.2.2:80\n ready :1\n prometheus 10.0.0.1:2\n}";
        let source = Source::Text { name: "Corefile".into(), text: text.into() };
        let corefile = corefile::parse(&source, &|_| None).unwrap();
        let interfaces = [("eth0".to_owned(), "10.0.0.1".parse().unwrap())];
        let notes = surroundings(&plan(&corefile).unwrap(), &corefile, &interfaces);
        let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
        assert!(notes[0].starts_with("Corefile:2:17: this machine does not have 192.0.2.1"), "{notes:?}");
        assert!(notes[1].starts_with("Corefile:3:2: this machine does not have 192.0.2.2"), "{notes:?}");
        assert_eq!(notes.len(), 2);

        let said = told(". {\n forward . {$RESOLVER}\n}").join("\n");
        assert!(said.starts_with("Corefile:2:12: ") && said.ends_with("; the variable RESOLVER is not set"), "{said}");
    }

    #[test]
    fn a_fault_of_two_blocks_ends_the_search() {
        assert_eq!(places("a.example {\n whoami\n}\na.example {\n whoami\n}"), ["Corefile:4:1"]);
        let many: String = (0..50).map(|nth| format!(" wrong{nth}\n")).collect();
        assert_eq!(places(&format!(". {{\n{many}}}")).len(), MOST);
    }

    #[test]
    fn a_block_says_how_its_names_are_answered_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("Corefile");
        let text = ".:53 {\n errors\n kubernetes cluster.local in-addr.arpa\n cache 30\n}\n\
                    slow.example:53 {\n log\n kubernetes slow.example\n}\nexample.org:53 {\n bind 127.0.0.1\n whoami\n}\n\
                    empty.example:53 {\n}\n";
        std::fs::write(&file, text).unwrap();
        let said = describe(&file).unwrap();
        for part in [
            ":1:1: server block .\n",
            "  listens    dns://:53\n",
            "  directives errors cache kubernetes\n",
            "  chain      errors > cache > kubernetes\n",
            "  cluster    cluster.local. in-addr.arpa.: answered on the fast path, without the chain\n",
            ":6:1: server block slow.example.\n",
            "  cluster    answered through the chain, because of log: ",
            "  listens    dns://127.0.0.1:53\n",
            "  cluster    none: no plugin answers cluster names here\n",
            "  chain      nothing: every query is refused\n",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}

//! Name: `loadbalance`
//!
//! Description: chooses the order of addresses in an answer.
//!
//! Syntax:
//!
//! ```text
//! loadbalance [round_robin] {
//!     prefer NETWORK...
//! }
//! loadbalance weighted FILE {
//!     reload DURATION
//! }
//! ```
//!
//! `round_robin` puts A, AAAA and MX records in a random order, CNAME records first. With `prefer`, addresses in the first
//! network come first, then those in the second, and so on. `weighted` puts an address first with a chance that
//! follows its weight; the file has a line with a name, then lines `ADDRESS WEIGHT` with weights from 1 to 255.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     loadbalance round_robin {
//!         prefer 10.0.0.0/8
//!     }
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: answers of cluster names are in a random order always, SRV records too, with and without `loadbalance`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use rand::RngExt;
use rand::seq::SliceRandom;

use super::chain::{Next, Outcome, Plugin, Query};
use super::names;
use super::setup::{Context, Task, once};
use super::words;
use crate::corefile::{Directive, Error, Token};
use crate::wire::Name;
use crate::wire::message::{MessageName, Record, RecordType};

/// The plugin.
pub(crate) struct Loadbalance {
    policy: Policy,
}

enum Policy {
    RoundRobin { prefer: Vec<IpNet> },
    Weighted { file: PathBuf, weights: RwLock<Weights> },
}

type Weights = HashMap<Name, HashMap<IpAddr, u8>>;

impl Loadbalance {
    fn order(&self, name: &MessageName, records: &mut Vec<Record>) {
        if records.len() < 2 {
            return;
        }
        let (mut moved, mut rest): (Vec<Record>, Vec<Record>) = std::mem::take(records)
            .into_iter()
            .partition(|record| matches!(record.record_type(), RecordType::A | RecordType::AAAA | RecordType::MX));
        let aliases = rest.iter().filter(|record| record.record_type() == RecordType::CNAME).count();
        rest.sort_by_key(|record| record.record_type() != RecordType::CNAME);
        let others = rest.split_off(aliases);
        moved.shuffle(&mut rand::rng());
        match &self.policy {
            Policy::RoundRobin { prefer } => {
                let rank = |record: &Record| {
                    let address = record.data.ip_addr();
                    prefer.iter().position(|net| address.is_some_and(|ip| net.contains(&ip))).unwrap_or(prefer.len())
                };
                moved.sort_by_key(rank);
            }
            Policy::Weighted { weights, .. } => {
                let weights = weights.read().unwrap_or_else(PoisonError::into_inner);
                if let Some(weights) = weights.get(&names::to_wire(name)) {
                    let all: u32 = moved.iter().map(|record| weight(weights, record)).sum();
                    let draw = rand::rng().random_range(0..all.max(1));
                    let first = pick(&moved, weights, draw);
                    moved.swap(0, first);
                }
            }
        }
        rest.append(&mut moved);
        rest.extend(others);
        *records = rest;
    }
}

/// The weight of a record: that of its address, else 1.
fn weight(weights: &HashMap<IpAddr, u8>, record: &Record) -> u32 {
    record.data.ip_addr().and_then(|ip| weights.get(&ip)).map_or(1, |weight| u32::from(*weight))
}

/// The record that a number below the sum of all weights falls upon.
fn pick(records: &[Record], weights: &HashMap<IpAddr, u8>, mut draw: u32) -> usize {
    for (index, record) in records.iter().enumerate() {
        let weight = weight(weights, record);
        if draw < weight {
            return index;
        }
        draw -= weight;
    }
    0
}

impl Plugin for Loadbalance {
    fn name(&self) -> &'static str {
        "loadbalance"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let name = query.name();
            let mut outcome = next.run(query).await;
            if let Outcome::Reply(reply) = &mut outcome {
                // The zone draws its own random order; taking its octets apart would gain nothing.
                let done =
                    reply.plugin == "kubernetes" && reply.as_octets().is_some() && self.needs_message(&[]).is_none();
                if !done && let Ok(message) = reply.message() {
                    self.order(&name, &mut message.answers);
                    self.order(&name, &mut message.additionals);
                }
            }
            outcome
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        match &self.policy {
            Policy::RoundRobin { prefer } if prefer.is_empty() => None,
            Policy::RoundRobin { .. } => Some("preferred networks come first".into()),
            Policy::Weighted { .. } => Some("addresses have weights".into()),
        }
    }
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    let policy = match directive.arguments.as_slice() {
        [] => round_robin(directive)?,
        [word] if word.text == "round_robin" => round_robin(directive)?,
        [word, rest @ ..] if word.text == "weighted" => return weighted(directive, rest, context),
        [word, ..] => return Err(word.error(format!("`{}` is neither round_robin nor weighted FILE", word.text))),
    };
    Ok(vec![Arc::new(Loadbalance { policy })])
}

fn round_robin(directive: &Directive) -> Result<Policy, Error> {
    let mut prefer = Vec::new();
    for line in directive.lines() {
        if line.name.text != "prefer" {
            return Err(words::unknown(line, "loadbalance round_robin", &["prefer"]));
        }
        line.no_body()?;
        if line.arguments.is_empty() {
            return Err(line.name.error("prefer needs at least one network"));
        }
        for word in &line.arguments {
            prefer.push(words::network(word)?);
        }
    }
    Ok(Policy::RoundRobin { prefer })
}

fn weighted(
    directive: &Directive,
    rest: &[Token],
    context: &mut Context<'_, '_>,
) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let [file] = rest else {
        return Err(directive.name.error("loadbalance weighted needs the one file of the weights"));
    };
    let mut every = Duration::from_secs(30);
    for line in directive.lines() {
        match line.name.text.as_str() {
            "reload" => every = words::duration(words::value(line, "a duration")?)?,
            _ => return Err(words::unknown(line, "loadbalance weighted", &["reload"])),
        }
    }
    let path = words::file(file);
    let weights = load(&path).map_err(|why| file.error(why))?;
    let plugin = Arc::new(Loadbalance { policy: Policy::Weighted { file: path, weights: RwLock::new(weights) } });
    if !every.is_zero() {
        let reloaded = plugin.clone();
        context.settings.tasks.push(Task { every, run: Arc::new(move |_| reloaded.reload()) });
    }
    Ok(vec![plugin])
}

impl Loadbalance {
    fn reload(&self) {
        let Policy::Weighted { file, weights } = &self.policy else { return };
        match load(file) {
            Ok(loaded) => *weights.write().unwrap_or_else(PoisonError::into_inner) = loaded,
            Err(error) => tracing::warn!(target: "plugin/loadbalance", "the weights stay as they were: {error}"),
        }
    }
}

fn load(path: &Path) -> Result<Weights, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the file {} cannot be read: {error}", path.display()))?;
    parse(&text).map_err(|(line, why)| format!("{}:{line}: {why}", path.display()))
}

fn parse(text: &str) -> Result<Weights, (usize, String)> {
    let mut weights = Weights::new();
    let mut name: Option<Name> = None;
    for (number, line) in text.lines().enumerate() {
        let fault = |why: String| (number + 1, why);
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [word] => {
                let parsed: Name =
                    word.parse().map_err(|error| fault(format!("`{word}` is no domain name: {error}")))?;
                weights.entry(parsed.clone()).or_default();
                name = Some(parsed);
            }
            [address, weight] => {
                let own = name.as_ref().and_then(|name| weights.get_mut(name));
                let own = own.ok_or_else(|| fault("an address stands before any name".into()))?;
                let ip = address.parse().map_err(|_| fault(format!("`{address}` is no address")))?;
                let value = weight.parse().ok().filter(|weight| *weight > 0);
                own.insert(ip, value.ok_or_else(|| fault(format!("`{weight}` is no weight from 1 to 255")))?);
            }
            _ => return Err(fault(format!("`{line}` is neither a name nor an address with its weight"))),
        }
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answers, block, fault, lines, message, query, run};
    use super::*;

    const FOUR: &str = "a.example. 5 IN CNAME b.example.\nb.example. 5 IN A 10.0.0.1\nb.example. 5 IN A 10.0.0.2\n\
                        b.example. 5 IN A 10.1.0.3";

    fn ask(plugin: Loadbalance) -> Vec<String> {
        let chain: Vec<Arc<dyn Plugin>> = vec![Arc::new(plugin), Arc::new(Answers::with(FOUR))];
        lines(&message(run(&chain, &mut query("a.example.", RecordType::A))).answers)
    }

    #[test]
    fn aliases_stay_first_and_addresses_move() {
        let mut firsts = std::collections::HashSet::new();
        for _ in 0..200 {
            let answers = ask(Loadbalance { policy: Policy::RoundRobin { prefer: Vec::new() } });
            assert_eq!(answers.len(), 4);
            assert!(answers[0].contains("CNAME"));
            firsts.insert(answers[1].clone());
        }
        assert_eq!(firsts.len(), 3);
    }

    #[test]
    fn preferred_networks_come_first() {
        for _ in 0..20 {
            let prefer = vec!["10.1.0.0/16".parse().unwrap()];
            assert!(ask(Loadbalance { policy: Policy::RoundRobin { prefer } })[1].ends_with("10.1.0.3"));
        }
    }

    #[test]
    fn weights_decide_how_often_an_address_comes_first() {
        let weights = parse("# weights\na.example\n10.0.0.1 200\n10.0.0.2 1\n").unwrap();
        let own = weights.get(&"a.example".parse().unwrap()).unwrap();
        let records: Vec<Record> = Answers::with(FOUR).answers.into_iter().skip(1).collect();
        let hits = |index| (0..202).filter(|draw| pick(&records, own, *draw) == index).count();
        assert_eq!([hits(0), hits(1), hits(2)], [200, 1, 1]);
    }

    #[test]
    fn broken_weights_are_refused_with_their_line() {
        assert_eq!(parse("10.0.0.1 5").unwrap_err().0, 1);
        assert_eq!(parse("a.example\n10.0.0.1 0").unwrap_err(), (2, "`0` is no weight from 1 to 255".into()));
        assert_eq!(parse("a.example\n10.0.0 1").unwrap_err().0, 2);
    }

    #[test]
    fn settings_are_checked() {
        assert!(fault("loadbalance round_robin {\nprefer 10.0.0.0/33\n}").starts_with("Corefile:3:8:"));
        assert!(fault("loadbalance weighted").starts_with("Corefile:2:1:"));
        assert!(fault("loadbalance weighted /does/not/exist").contains("cannot be read"));
        assert!(fault("loadbalance least_conn").starts_with("Corefile:2:13:"));
        let block = block("loadbalance").unwrap();
        assert!(block.chain[0].needs_message(&[]).is_none());
    }
}

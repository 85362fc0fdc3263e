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
//! follows its weight; the file has a line with a name, then lines `ADDRESS WEIGHT` with weights from 1 to 255. Addresses
//! without a line weigh 1. The file is read again when it changes, looked at every 30 seconds unless given, never with
//! `reload 0`; it may come later.
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
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use rand::RngExt;
use rand::seq::SliceRandom;

use crate::chain::settings::Task;
use crate::chain::setup::{Context, last};
use crate::chain::{Next, Outcome, Passing, Plugin, Query};
use crate::corefile::{Directive, Error, Token};
use crate::files::{self, Watched};
use crate::syntax::names;
use crate::syntax::words;
use crate::wire::message::{Record, RecordType};
use crate::wire::{Name, Rcode};

/// The plugin.
pub(crate) struct Loadbalance {
    policy: BalancePolicy,
}

enum BalancePolicy {
    RoundRobin { prefer: Vec<IpNet> },
    Weighted { weights: Watched<Weights> },
}

type Weights = HashMap<Name, HashMap<IpAddr, u8>>;

impl Loadbalance {
    fn order(&self, records: &mut [Record]) {
        if records.len() < 2 {
            return;
        }
        records.shuffle(&mut rand::rng());
        match &self.policy {
            BalancePolicy::RoundRobin { prefer } => {
                let rank = |record: &Record| {
                    let address = record.data.ip_addr();
                    prefer.iter().position(|net| address.is_some_and(|ip| net.contains(&ip))).unwrap_or(prefer.len())
                };
                records.sort_by_key(|record| (place(record), rank(record)));
            }
            BalancePolicy::Weighted { weights } => {
                records.sort_by_key(place);
                let weights = weights.value();
                let first = records.iter().position(|record| place(record) == ADDRESS).unwrap_or(records.len());
                let addresses = records.get_mut(first..).unwrap_or_default();
                let count = addresses.iter().take_while(|record| place(record) == ADDRESS).count();
                let addresses = addresses.get_mut(..count).unwrap_or_default();
                let shares: Vec<u32> = addresses.iter().map(|record| weight(&weights, record)).collect();
                let chosen = pick(&shares, rand::rng().random_range(0..shares.iter().sum::<u32>().max(1)));
                if chosen < addresses.len() {
                    addresses.swap(0, chosen);
                }
            }
        }
    }
}

/// The place of addresses in a section: behind aliases, before MX records and all others.
const ADDRESS: u8 = 1;

fn place(record: &Record) -> u8 {
    match record.record_type() {
        RecordType::CNAME => 0,
        RecordType::A | RecordType::AAAA => ADDRESS,
        RecordType::MX => 2,
        _ => 3,
    }
}

/// The weight of a record: that of its address under its owner's name, else 1.
fn weight(weights: &Weights, record: &Record) -> u32 {
    let own = weights.get(&names::to_wire(&record.name)).zip(record.data.ip_addr());
    own.and_then(|(own, ip)| own.get(&ip)).map_or(1, |weight| u32::from(*weight))
}

/// The share that a number below the sum of all falls upon.
fn pick(shares: &[u32], mut draw: u32) -> usize {
    for (index, share) in shares.iter().enumerate() {
        if draw < *share {
            return index;
        }
        draw -= share;
    }
    0
}

impl Plugin for Loadbalance {
    fn name(&self) -> &'static str {
        "loadbalance"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let mut outcome = next.run(query).await;
            if let Outcome::Reply(reply) = &mut outcome {
                // The zone draws its own random order; taking its octets apart would gain nothing.
                let done =
                    reply.plugin == "kubernetes" && reply.as_octets().is_some() && self.needs_message(&[]).is_none();
                if !done
                    && reply.rcode() == Rcode::NOERROR
                    && let Ok(message) = reply.message()
                {
                    self.order(&mut message.answers);
                    self.order(&mut message.additionals);
                }
            }
            outcome
        })
    }

    fn passing(&self) -> Passing {
        match self.needs_message(&[]) {
            None => Passing::Shuffled,
            Some(_) => Passing::NeedsMessage,
        }
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        match &self.policy {
            BalancePolicy::RoundRobin { prefer } if prefer.is_empty() => None,
            BalancePolicy::RoundRobin { .. } => Some("preferred networks come first".into()),
            BalancePolicy::Weighted { .. } => Some("addresses have weights".into()),
        }
    }
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    last(lines, |directive| match directive.arguments.as_slice() {
        [] => round_robin(directive),
        [word] if word.text == "round_robin" => round_robin(directive),
        [word, extra, ..] if word.text == "round_robin" => {
            Err(extra.error(format!("round_robin takes nothing after it, got `{}`", extra.text)))
        }
        [word, rest @ ..] if word.text == "weighted" => weighted(directive, rest, context),
        [word, ..] => Err(word.error(format!("`{}` is neither round_robin nor weighted FILE", word.text))),
    })
}

fn round_robin(directive: &Directive) -> Result<Vec<Arc<dyn Plugin>>, Error> {
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
            let network = word.text.parse::<IpNet>();
            prefer.push(network.map_err(|_| word.error(format!("`{}` is no ADDRESS/LENGTH", word.text)))?.trunc());
        }
    }
    Ok(vec![Arc::new(Loadbalance { policy: BalancePolicy::RoundRobin { prefer } })])
}

fn weighted(
    directive: &Directive,
    rest: &[Token],
    context: &mut Context<'_, '_>,
) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let file = match rest {
        [file] => file,
        [] => return Err(directive.name.error("loadbalance weighted needs the file of the weights")),
        [_, extra, ..] => return Err(extra.error("loadbalance weighted takes one file and nothing after it")),
    };
    let mut every = Duration::from_secs(30);
    for line in directive.lines() {
        match line.name.text.as_str() {
            "reload" => every = words::duration(words::value(line, "a duration")?)?,
            _ => return Err(words::unknown(line, "loadbalance weighted", &["reload"])),
        }
    }
    let weights = Watched::new(words::file(file), files::CONFIGURATION, Weights::new());
    let is_missing = || files::is_missing(weights.path());
    match look(&weights) {
        Ok(_) => {}
        Err(_) if is_missing() && context.brings(weights.path()) => {}
        Err(fault) if is_missing() && !every.is_zero() => {
            context.settings.notes.push(file.error(format!("{fault}; it is looked for every {every:?}")));
        }
        Err(fault) if is_missing() => context.lacks(file.error(fault))?,
        Err(fault) => return Err(file.error(fault)),
    }
    let plugin = Arc::new(Loadbalance { policy: BalancePolicy::Weighted { weights } });
    if !every.is_zero() {
        let reloaded = plugin.clone();
        context.settings.tasks.push(Task::forever(every, move |_| reloaded.reload()));
    }
    Ok(vec![plugin])
}

impl Loadbalance {
    fn reload(&self) {
        let BalancePolicy::Weighted { weights } = &self.policy else { return };
        if let Err(error) = look(weights) {
            tracing::warn!(target: "plugin/loadbalance", "the weights stay as they were: {error}");
        }
    }
}

/// Reads the weights again when their file has changed.
fn look(weights: &Watched<Weights>) -> Result<bool, String> {
    let path = weights.path();
    weights.look(SystemTime::now(), |read| {
        let text = read.and_then(|octets| files::to_text(path, octets)).map_err(|error| format!("the file {error}"))?;
        parse(&text).map_err(|(line, why)| format!("{}:{line}: {why}", path.display()))
    })
}

fn parse(text: &str) -> Result<Weights, (usize, String)> {
    let mut weights = Weights::new();
    let mut name: Option<Name> = None;
    for (number, line) in text.lines().enumerate() {
        let fault = |why: String| (number + 1, why);
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [word] if word.parse::<IpAddr>().is_ok() => {
                return Err(fault(format!("expected a weight after the address `{word}`")));
            }
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
    use super::super::testing::{block, fault};
    use super::*;
    use crate::chain::testing::{Answers, lines, message, query, run};

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
            let answers = ask(Loadbalance { policy: BalancePolicy::RoundRobin { prefer: Vec::new() } });
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
            assert!(ask(Loadbalance { policy: BalancePolicy::RoundRobin { prefer } })[1].ends_with("10.1.0.3"));
        }
    }

    #[test]
    fn weights_decide_how_often_an_address_comes_first() {
        // The owner's name counts, which is the alias' target here.
        let weights = parse("# weights\na.example\n10.0.0.2 255\nB.example\n10.0.0.1 200\n10.0.0.2 1\n").unwrap();
        let records: Vec<Record> = Answers::with(FOUR).answers.into_iter().skip(1).collect();
        let shares: Vec<u32> = records.iter().map(|record| weight(&weights, record)).collect();
        assert_eq!(shares, [200, 1, 1]);
        let hits = |index| (0..202).filter(|draw| pick(&shares, *draw) == index).count();
        assert_eq!([hits(0), hits(1), hits(2)], [200, 1, 1]);
        let weights = Watched::new(std::path::PathBuf::new(), files::CONFIGURATION, weights);
        let answers = ask(Loadbalance { policy: BalancePolicy::Weighted { weights } });
        assert!(answers.len() == 4 && answers[0].contains("CNAME"), "{answers:?}");
    }

    #[test]
    fn broken_weights_are_refused_with_their_line() {
        assert_eq!(parse("10.0.0.1 5").unwrap_err().0, 1);
        assert_eq!(parse("a.example\n10.0.0.1 0").unwrap_err(), (2, "`0` is no weight from 1 to 255".into()));
        assert_eq!(parse("a.example\n10.0.0.1").unwrap_err().0, 2);
        assert_eq!(parse("a.example\n10.0.0 1").unwrap_err().0, 2);
    }

    #[test]
    fn settings_are_checked() {
        assert!(fault("loadbalance round_robin {\nprefer 10.0.0.0/33\n}").starts_with("Corefile:3:8:"));
        assert!(fault("loadbalance weighted").starts_with("Corefile:2:1:"));
        assert!(fault("loadbalance weighted a b").starts_with("Corefile:2:24:"));
        assert!(fault("loadbalance round_robin {\nprefer 10.0.0.1\n}").starts_with("Corefile:3:8:"));
        assert!(fault("loadbalance round_robin all").starts_with("Corefile:2:25:"));
        assert!(fault("loadbalance weighted /does/not/exist {\nreload 0\n}").contains("cannot be read"));
        assert_eq!(block("loadbalance weighted /does/not/exist").unwrap().settings.notes.len(), 1);
        assert!(fault("loadbalance least_conn").starts_with("Corefile:2:13:"));
        let block = block("loadbalance").unwrap();
        assert!(block.chain[0].needs_message(&[]).is_none());
    }
}

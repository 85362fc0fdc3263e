//! Name: `local`
//!
//! Description: answers names of this machine: `localhost`, names whose first label it is, and the reverse names of loopback.
//!
//! Syntax:
//!
//! ```text
//! local
//! ```
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     local
//!     whoami
//! }
//! ```
//!
//! Metrics: `coredns_local_localhost_requests_total`.
//!
//! Ready: always.
//!
//! Differences: none.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::chain::{Next, Outcome, Plugin, Query, Reply};
use super::settings::Divert;
use super::setup::{Context, once};
use super::{metrics, names, words};
use crate::corefile::{Directive, Error};
use crate::wire::Name;
use crate::wire::message::{RData, Record, RecordType, rdata};

const TTL: u32 = 604_800;
const ZONES: [&str; 4] = ["localhost.", "0.in-addr.arpa.", "127.in-addr.arpa.", "255.in-addr.arpa."];

/// The plugin.
pub(crate) struct Local;

impl Local {
    fn answer(&self, query: &Query, zone: &str, records: Vec<RData>) -> Outcome {
        let mut message = query.reply_message();
        message.metadata.authoritative = true;
        let own = |data| Record::from_rdata(query.name(), TTL, data);
        message.answers = records.into_iter().map(own).collect();
        if message.answers.is_empty()
            && let Ok(owner) = names::parse(zone)
        {
            let soa = rdata::SOA::new(owner.clone(), owner.clone(), 1, 0, 0, 0, TTL);
            message.authorities.push(Record::from_rdata(owner, TTL, RData::SOA(soa)));
        }
        Outcome::Reply(Reply::from_message("local", message))
    }
}

fn addresses(qtype: RecordType) -> Vec<RData> {
    match qtype {
        RecordType::A => vec![RData::A(rdata::A(std::net::Ipv4Addr::LOCALHOST))],
        RecordType::AAAA => vec![RData::AAAA(rdata::AAAA(std::net::Ipv6Addr::LOCALHOST))],
        _ => Vec::new(),
    }
}

impl Plugin for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let (name, qtype) = (names::to_wire(&query.name()), query.qtype());
            let text = name.to_string();
            let zone = ZONES.iter().find(|zone| text == **zone || text.ends_with(&format!(".{zone}")));
            match zone {
                Some(&zone @ "127.in-addr.arpa.") => {
                    let pointers = match (text.as_str(), qtype, names::parse("localhost.")) {
                        ("1.0.0.127.in-addr.arpa.", RecordType::PTR, Ok(name)) => vec![RData::PTR(rdata::PTR(name))],
                        ("1.0.0.127.in-addr.arpa.", ..) => Vec::new(),
                        _ => return Outcome::Next,
                    };
                    self.answer(query, zone, pointers)
                }
                Some(&zone) => {
                    self.answer(query, zone, if zone == "localhost." { addresses(qtype) } else { Vec::new() })
                }
                // A search path makes `localhost.default.svc…` of it; the client means this machine.
                None if text.starts_with("localhost.") && matches!(qtype, RecordType::A | RecordType::AAAA) => {
                    metrics::LOCALHOST.inc();
                    self.answer(query, "localhost.", addresses(qtype))
                }
                None => Outcome::Next,
            }
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    words::alone(once(lines)?)?;
    context.settings.diverts.push(Divert::FirstLabel((*b"localhost").into()));
    for zone in ZONES {
        context.settings.diverts.extend(zone.parse().ok().map(|zone| Divert::Zone(zone, None)));
    }
    Ok(vec![Arc::new(Local)])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, lines, message, query, run};
    use super::*;

    fn ask(name: &str, qtype: RecordType) -> Vec<String> {
        lines(&message(run(&block("local\nwhoami").unwrap().chain, &mut query(name, qtype))).answers)
    }

    #[test]
    fn localhost_never_leaves_the_server() {
        assert_eq!(ask("localhost.", RecordType::A), ["localhost. 604800 IN A 127.0.0.1"]);
        assert_eq!(ask("some.localhost.", RecordType::AAAA), ["some.localhost. 604800 IN AAAA ::1"]);
        let below = "localhost.default.svc.cluster.local.";
        assert_eq!(ask(below, RecordType::A), [format!("{below} 604800 IN A 127.0.0.1")]);
        let reverse = "1.0.0.127.in-addr.arpa.";
        assert_eq!(ask(reverse, RecordType::PTR), [format!("{reverse} 604800 IN PTR localhost.")]);
    }

    #[test]
    fn other_types_have_a_soa_and_other_names_go_on() {
        let chain = block("local\nwhoami").unwrap().chain;
        let reply = message(run(&chain, &mut query("localhost.", RecordType::MX)));
        assert_eq!((reply.answers.len(), reply.authorities.len()), (0, 1));
        for name in ["2.0.0.127.in-addr.arpa.", "www.example.", "xlocalhost."] {
            assert!(message(run(&chain, &mut query(name, RecordType::PTR))).authorities.is_empty(), "{name}");
        }
    }
}

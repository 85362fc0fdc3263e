//! Name: `local`
//!
//! Description: answers names of this machine: `localhost`, names whose first label it is, and the reverse names of loopback.
//!
//! Syntax:
//!
//! ```text
//! local {
//!     localhost_prefix on|off
//! }
//! ```
//!
//! With `localhost_prefix off`, names outside of these zones are for the next plugin also when they begin with `localhost.`, as
//! a search path makes them.
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
//! Differences: its answers are authoritative (AA), as resolvers take an empty answer that is neither that nor recursive for
//! one of a server that does not know.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::metrics;
use crate::chain::setup::{Context, last};
use crate::chain::{FastPathExclusion, Next, Outcome, Plugin, Query, Reply};
use crate::corefile::{Directive, Error};
use crate::syntax::{names, words};
use crate::wire::message::{Message, MessageName, RData, Record, RecordType, ResponseCode, rdata};
use crate::wire::{Failure, Name};

const TTL: u32 = 604_800;
const ZONES: [&str; 4] = ["localhost.", "0.in-addr.arpa.", "127.in-addr.arpa.", "255.in-addr.arpa."];

/// The plugin.
pub(crate) struct LocalPlugin {
    /// `localhost_prefix`: names that begin with `localhost.` are this machine, whatever their zone.
    prefix: bool,
}

/// The kind of a name of this machine.
enum What {
    /// `localhost` or a name that stands for it; whether it is the apex of its zone.
    Localhost(bool),
    /// The apex of a reverse zone.
    Apex,
    /// `1.0.0.127.in-addr.arpa`.
    Loopback,
    /// A name of one of the zones that does not exist.
    Nothing,
}

impl LocalPlugin {
    /// The kind of a name (lower case, final dot), and the zone that it belongs to; `None` for the names of others.
    fn find<'n>(&self, name: &'n str) -> Option<(What, &'n str)> {
        let prefixed = self.prefix && name.starts_with("localhost.") && name != "localhost.";
        if name.ends_with(".localhost.") || prefixed {
            return Some((What::Localhost(false), name));
        }
        let zone = ZONES.into_iter().find(|zone| name == *zone || name.ends_with(&format!(".{zone}")))?;
        let what = match name {
            "localhost." => What::Localhost(true),
            "1.0.0.127.in-addr.arpa." => What::Loopback,
            _ if name == zone => What::Apex,
            _ => What::Nothing,
        };
        Some((what, zone))
    }

    fn answer(&self, query: &Query, what: &What, zone: &str) -> Result<Message, String> {
        let localhost = names::parse("localhost.")?;
        let data = match (what, query.qtype()) {
            (What::Localhost(_), RecordType::A) => Some(RData::A(rdata::A(std::net::Ipv4Addr::LOCALHOST))),
            (What::Localhost(_), RecordType::AAAA) => Some(RData::AAAA(rdata::AAAA(std::net::Ipv6Addr::LOCALHOST))),
            (What::Localhost(true) | What::Apex, RecordType::SOA) => Some(soa(&localhost)?),
            (What::Localhost(true) | What::Apex, RecordType::NS) => Some(RData::NS(rdata::NS(localhost.clone()))),
            (What::Loopback, RecordType::PTR) => Some(RData::PTR(rdata::PTR(localhost.clone()))),
            _ => None,
        };
        let mut message = query.reply_message();
        message.metadata.authoritative = true;
        match data {
            Some(data) => message.answers.push(Record::from_rdata(query.name(), TTL, data)),
            None => message.authorities.push(Record::from_rdata(names::parse(zone)?, TTL, soa(&localhost)?)),
        }
        if matches!(what, What::Nothing) {
            message.metadata.response_code = ResponseCode::NXDomain;
        }
        Ok(message)
    }
}

fn soa(localhost: &MessageName) -> Result<RData, String> {
    let mailbox = names::parse("root.localhost.")?;
    Ok(RData::SOA(rdata::SOA::new(localhost.clone(), mailbox, 1, 0, 0, 0, TTL)))
}

impl Plugin for LocalPlugin {
    fn name(&self) -> &'static str {
        "local"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let text = query.qname().to_string();
            let Some((what, zone)) = self.find(&text) else { return Outcome::Next };
            if matches!(what, What::Localhost(false)) {
                metrics::LOCALHOST.inc();
            }
            match self.answer(query, &what, zone) {
                Ok(message) => Outcome::Reply(Reply::from_message("local", message)),
                Err(why) => Outcome::Failed("local", Failure::servfail(format!("plugin/local: {why}"))),
            }
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let prefix = last(lines, read)?;
    if prefix {
        context.settings.exclusions.push(FastPathExclusion::FirstLabel((*b"localhost").into()));
    }
    for zone in ZONES {
        context.settings.exclusions.extend(zone.parse().ok().map(|zone| FastPathExclusion::Zone(zone, None)));
    }
    Ok(vec![Arc::new(LocalPlugin { prefix })])
}

/// Reads one line: whether names that begin with `localhost.` are this machine.
fn read(directive: &Directive) -> Result<bool, Error> {
    directive.no_arguments()?;
    let mut prefix = true;
    for line in directive.lines() {
        if line.name.text != "localhost_prefix" {
            return Err(words::unknown(line, "local", &["localhost_prefix"]));
        }
        let word = words::value(line, "on or off")?;
        prefix = match word.text.as_str() {
            "on" => true,
            "off" => false,
            other => return Err(word.error(format!("`{other}` is neither on nor off"))),
        };
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use super::*;
    use crate::chain::testing::{lines, message, query, run};

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
        for name in ["www.example.", "xlocalhost.", "128.in-addr.arpa."] {
            assert!(message(run(&chain, &mut query(name, RecordType::PTR))).authorities.is_empty(), "{name}");
        }
    }

    #[test]
    fn its_zones_are_whole() {
        let chain = block("local\nwhoami").unwrap().chain;
        let reply = message(run(&chain, &mut query("2.0.0.127.in-addr.arpa.", RecordType::PTR)));
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
        let soa = "127.in-addr.arpa. 604800 IN SOA localhost. root.localhost. 1 0 0 0 604800";
        assert_eq!(lines(&reply.authorities), [soa]);
        assert_eq!(ask("127.in-addr.arpa.", RecordType::SOA), [soa]);
        assert_eq!(ask("0.in-addr.arpa.", RecordType::NS), ["0.in-addr.arpa. 604800 IN NS localhost."]);
        let below = message(run(&chain, &mut query("localhost.default.svc.cluster.local.", RecordType::MX)));
        assert_eq!((below.answers.len(), below.authorities.len()), (0, 1));
    }

    #[test]
    fn names_that_only_begin_with_localhost_can_be_left_to_others() {
        let block = block("local {\nlocalhost_prefix off\n}\nwhoami").unwrap();
        let below = "localhost.default.svc.cluster.local.";
        assert_eq!(message(run(&block.chain, &mut query(below, RecordType::A))).additionals.len(), 2);
        assert!(
            !block.settings.exclusions.iter().any(|exclusion| matches!(exclusion, FastPathExclusion::FirstLabel(_)))
        );
        assert!(fault("local {\nlocalhost_prefix maybe\n}").starts_with("Corefile:3:18:"));
        assert!(fault("local yes").starts_with("Corefile:2:7:"));
        assert!(fault("local {\nprefix on\n}").starts_with("Corefile:3:1:"));
    }
}

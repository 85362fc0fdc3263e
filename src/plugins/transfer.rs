//! Name: `transfer`
//!
//! Description: lets other servers copy zones of `kubernetes` and `file`, by AXFR (RFC 5936) and IXFR (RFC 1995).
//!
//! Syntax:
//!
//! ```text
//! transfer [ZONES...] {
//!     to *|ADDRESS...
//!     source ADDRESS
//! }
//! ```
//!
//! Only the addresses after `to` get a zone, `*` is all. An IXFR gets the SOA alone when nothing has changed, else the whole.
//! Zones are sent over TCP, TLS and QUIC, message by message as the client takes them.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     transfer example.org {
//!         to 192.0.2.53
//!     }
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: changes are not told to the others by NOTIFY, so `source` is read and has no effect.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::chain::setup::Context;
use crate::chain::{FastPathExclusion, More, Next, Outcome, Plugin, Query, Reply, Transport, is_transfer};
use crate::corefile::{Directive, Error, Token};
use crate::syntax::names::{self, Zones};
use crate::syntax::words;
use crate::wire::message::{self, Message, RData, Record, RecordType, ResponseCode, Size};
use crate::wire::{Failure, Name, Serial};

/// The plugin: all `transfer` lines of a server block.
pub(crate) struct Transfer {
    rules: Vec<TransferRule>,
}

struct TransferRule {
    zones: Zones,
    /// `None` for all.
    to: Option<Vec<IpAddr>>,
}

impl Transfer {
    fn allows(&self, name: &Name, client: IpAddr) -> bool {
        let longest = |rule: &&TransferRule| rule.zones.matching(name).map_or(0, |zone| zone.as_wire().len());
        self.rules
            .iter()
            .filter(|rule| longest(rule) > 0)
            .max_by_key(longest)
            .is_some_and(|rule| rule.to.as_ref().is_none_or(|to| to.contains(&client)))
    }
}

impl Plugin for Transfer {
    fn name(&self) -> &'static str {
        "transfer"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let (name, qtype) = (query.name(), query.qtype());
            let wire = names::to_wire(&name);
            if !is_transfer(qtype) || !self.rules.iter().any(|rule| rule.zones.matching(&wire).is_some()) {
                return Outcome::Next;
            }
            // HTTP holds one message.
            let over_stream = matches!(query.client.transport, Transport::Tcp | Transport::Quic);
            if !self.allows(&wire, query.client.peer.ip().to_canonical()) || (qtype == RecordType::AXFR && !over_stream)
            {
                return refused(query);
            }
            let Some(mut records) = next.plugins().iter().find_map(|plugin| plugin.transfer(&name)) else {
                return Outcome::Next;
            };
            let Some(soa) = records.next() else { return Outcome::Next };
            let current = serial(&soa);
            let known = query.request.message().authorities.first().and_then(serial);
            // RFC 1995 section 2: nothing newer, or no room over UDP, is the SOA alone.
            if qtype == RecordType::IXFR && (!over_stream || (known.is_some() && known == current)) {
                return stream(query, Box::new(std::iter::once(soa)));
            }
            let last = std::iter::once(soa.clone());
            stream(query, Box::new(std::iter::once(soa).chain(records).chain(last)))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

fn refused(query: &Query) -> Outcome {
    let mut message = query.reply_message();
    message.metadata.response_code = ResponseCode::Refused;
    Outcome::Reply(Reply::from_message("transfer", message))
}

fn serial(record: &Record) -> Option<Serial> {
    match &record.data {
        RData::SOA(soa) => Some(Serial(soa.serial)),
        _ => None,
    }
}

/// Starts an answer of as many messages as the records need; those behind the first are made when they are wanted.
fn stream(query: &Query, records: Box<dyn Iterator<Item = Record> + Send>) -> Outcome {
    let mut template = query.reply_message();
    template.metadata.authoritative = true;
    let mut messages = Messages { template, records, written: VecDeque::new(), failed: false };
    let Some(first) = messages.next() else {
        return Outcome::Failed("transfer", Failure::servfail("plugin/transfer: a record is larger than a message"));
    };
    // RFC 5936 section 2.2.2: once is enough.
    messages.template.edns = None;
    Outcome::Reply(Reply::from_octets("transfer", first).followed_by(More::new(messages)))
}

/// The number of records taken for a message: with names that are not compressed, it is about half full.
const CHUNK: usize = 500;

/// The messages of a transfer, some records at a time.
struct Messages {
    template: Message,
    records: Box<dyn Iterator<Item = Record> + Send>,
    written: VecDeque<Vec<u8>>,
    /// A record was too large; the client notices that the last SOA is missing.
    failed: bool,
}

impl Iterator for Messages {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.written.is_empty() && !self.failed {
            let mut message = self.template.clone();
            message.answers = self.records.by_ref().take(CHUNK).collect();
            if message.answers.is_empty() {
                return None;
            }
            self.failed = !write(message, &mut self.written);
        }
        self.written.pop_front()
    }
}

/// Writes a message; halves it when it is too large.
fn write(mut message: Message, messages: &mut VecDeque<Vec<u8>>) -> bool {
    let mut octets = Vec::new();
    if !message::encode(&message, Size::tcp(), 0, &mut octets) {
        messages.push_back(octets);
        return true;
    }
    if message.answers.len() < 2 {
        return false;
    }
    let mut second = message.clone();
    second.answers = message.answers.split_off(message.answers.len() / 2);
    write(message, messages) && write(second, messages)
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let mut rules = Vec::new();
    for directive in lines {
        let zones = Zones::read(&directive.arguments, context.zones)?;
        let mut to: Option<Vec<IpAddr>> = Some(Vec::new());
        let mut written = false;
        for line in directive.lines() {
            line.no_body()?;
            match line.name.text.as_str() {
                "to" if line.arguments.is_empty() => return Err(line.name.error("to needs an address or *")),
                "to" => {
                    written = true;
                    for word in &line.arguments {
                        match (word.text.as_str(), &mut to) {
                            ("*", to) => *to = None,
                            (_, Some(to)) => to.push(read_address(word)?),
                            (_, None) => {
                                read_address(word)?;
                            }
                        }
                    }
                }
                "source" => {
                    read_address(line.one_argument("an address")?)?;
                }
                _ => return Err(words::unknown(line, "transfer", &["to", "source"])),
            }
        }
        if !written {
            return Err(directive.name.error("transfer needs a block with to"));
        }
        rules.push(TransferRule { zones, to });
    }
    for qtype in [RecordType::AXFR, RecordType::IXFR] {
        context.settings.exclusions.push(FastPathExclusion::Type(qtype.into()));
    }
    Ok(vec![Arc::new(Transfer { rules })])
}

/// `ADDRESS` or `ADDRESS:PORT`; the port is that of a NOTIFY.
fn read_address(word: &Token) -> Result<IpAddr, Error> {
    let text = word.text.as_str();
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    text.parse().or_else(|_| with_port()).map_err(|_| word.error(format!("`{text}` is no address")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use super::*;
    use crate::chain::testing::{message, query, run};
    use crate::syntax::record::parse_line;

    struct Holds(usize);

    impl Plugin for Holds {
        fn name(&self) -> &'static str {
            "holds"
        }

        fn serve<'a>(&'a self, _: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
            Box::pin(async { Outcome::Next })
        }

        fn needs_message(&self, _: &[Name]) -> Option<String> {
            None
        }

        fn transfer(&self, zone: &message::MessageName) -> Option<Box<dyn Iterator<Item = Record> + Send>> {
            let read = |line: String| parse_line(&line, None, 60).unwrap();
            let mut records = vec![read(format!("{} SOA ns.example. host.example. 7 1 1 1 60", zone.to_ascii()))];
            records.extend((0..self.0).map(|n| read(format!("n{n}.{} A 10.0.0.1", zone.to_ascii()))));
            (zone.to_ascii() == "example.").then(|| Box::new(records.into_iter()) as Box<_>)
        }
    }

    fn ask(to: &str, records: usize, change: impl FnOnce(&mut Query)) -> Outcome {
        let mut chain = block(&format!("transfer example {{\nto {to}\n}}")).unwrap().chain;
        chain.push(Arc::new(Holds(records)));
        let mut asked = query("example.", RecordType::AXFR);
        asked.client.transport = Transport::Tcp;
        change(&mut asked);
        run(&chain, &mut asked)
    }

    #[test]
    fn a_zone_goes_out_in_as_many_messages_as_it_needs() {
        let Outcome::Reply(mut reply) = ask("*", 3000, |_| ()) else { panic!("no reply") };
        let more: Vec<Vec<u8>> = reply.take_more().unwrap().collect();
        let mut records = reply.message().unwrap().answers.clone();
        for octets in &more {
            records.extend(message::decode(octets).unwrap().answers);
        }
        assert!(!more.is_empty() && records.len() == 3002);
        assert!(records.first() == records.last() && serial(&records[0]) == Some(Serial(7)));
    }

    #[test]
    fn ixfr_gets_the_soa_alone_when_nothing_has_changed() {
        let ixfr = |known: u32| {
            message(ask("*", 5, |query| {
                query.request.change(|request| request.queries[0].query_type = RecordType::IXFR);
                let soa = format!("example. 60 IN SOA ns.example. host.example. {known} 1 1 1 60");
                query.request.change(|request| request.authorities.push(parse_line(&soa, None, 60).unwrap()));
            }))
        };
        assert_eq!((ixfr(7).answers.len(), ixfr(6).answers.len()), (1, 7));
    }

    #[test]
    fn others_and_udp_are_refused_and_other_types_go_on() {
        let rcode = |outcome| message(outcome).metadata.response_code;
        assert_eq!(rcode(ask("192.0.2.1", 1, |_| ())), ResponseCode::Refused);
        assert_eq!(rcode(ask("127.0.0.1 192.0.2.1:5300", 1, |_| ())), ResponseCode::NoError);
        assert_eq!(rcode(ask("*", 1, |query| query.client.transport = Transport::Udp)), ResponseCode::Refused);
        let other = ask("*", 1, |query| query.request.change(|request| request.queries[0].query_type = RecordType::A));
        assert!(matches!(other, Outcome::Failed("holds", _)));
    }

    #[test]
    fn options_are_checked() {
        assert!(fault("transfer example {\nfrom *\n}").starts_with("Corefile:3:1:"));
        assert!(fault("transfer example {\nto nobody\n}").starts_with("Corefile:3:4:"));
        assert!(fault("transfer example").starts_with("Corefile:2:1:"));
    }
}

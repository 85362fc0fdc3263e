//! Name: `log`
//!
//! Description: writes a log line for each query.
//!
//! Syntax:
//!
//! ```text
//! log [NAMES...] [FORMAT] {
//!     class all|success|denial|error...
//! }
//! ```
//!
//! The names bound what is logged; without any it is all. A format has at least one placeholder: `{type}`, `{class}`,
//! `{name}`, `{proto}`, `{remote}`, `{local}`, `{port}`, `{size}`, `{rcode}`, `{rsize}`, `{duration}`, `{>id}`, `{>opcode}`,
//! `{>do}`, `{>bufsize}`, `{>rflags}`, `{common}`, `{combined}`, and `{/LABEL}` for metadata. The first line that holds the
//! name decides. The directive may be repeated.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     log example.org {
//!         class denial error
//!     }
//!     log . "{remote} asks {name} {type}: {rcode} in {duration}"
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: none.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::chain::{Next, Outcome, Plugin, Query, Reply, Transport};
use super::names::{self, Zones};
use super::setup::Context;
use super::words;
use crate::corefile::{Directive, Error};
use crate::wire::message::{self, Message, OpCode, RecordType, ResponseCode, Size};
use crate::wire::{Name, Rcode};

const COMMON: &str = "{remote}:{port} - {>id} \"{type} {class} {name} {proto} {size} {>do} {>bufsize}\" {rcode} {>rflags} {rsize} {duration}";

struct Rule {
    names: Zones,
    format: Vec<Piece>,
    classes: Vec<Class>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    All,
    Success,
    Denial,
    Error,
}

/// The plugin.
pub(crate) struct Log {
    rules: Vec<Rule>,
}

impl Log {
    fn rule(&self, name: &Name) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.names.matching(name).is_some())
    }

    /// The line for a query and what came of it, when it is wanted.
    fn line(&self, facts: &Facts, outcome: &mut Outcome, query: &Query, seconds: f64) -> Option<String> {
        let rule = self.rule(&facts.name)?;
        let mut reply = match outcome {
            Outcome::Reply(reply) => Some(reply),
            _ => None,
        };
        if !rule.classes.contains(&Class::All) && !rule.classes.contains(&class(reply.as_deref_mut())) {
            return None;
        }
        let answer = Answer::new(reply);
        Some(rule.format.iter().map(|piece| piece.fill(facts, &answer, query, seconds)).collect())
    }
}

impl Plugin for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            // The query may be rewritten on its way; the line tells what was asked.
            let facts = Facts::new(query);
            let mut outcome = next.run(query).await;
            let seconds = query.received.elapsed().as_secs_f64();
            if let Some(line) = self.line(&facts, &mut outcome, query, seconds) {
                tracing::info!(target: "plugin/log", "{line}");
            }
            outcome
        })
    }

    fn needs_message(&self, cluster_zones: &[Name]) -> Option<String> {
        let concerns = |rule: &&Rule| rule.names.meet(cluster_zones) && rule.classes.iter().any(|c| *c != Class::Error);
        self.rules.iter().find(concerns).map(|_| "answers of cluster names are logged".to_owned())
    }
}

//----------- Facts ----------------------------------------------------------

/// The query as it arrived.
struct Facts {
    name: Name,
    qtype: RecordType,
    class: String,
    opcode: OpCode,
    id: u16,
    dnssec_ok: bool,
    bufsize: u16,
}

impl Facts {
    fn new(query: &Query) -> Self {
        let bufsize = match query.client.transport {
            Transport::Udp => query.request.edns.as_ref().map_or(512, |edns| edns.max_payload().max(512)),
            _ => 65_535,
        };
        Self {
            name: names::to_wire(&query.name()),
            qtype: query.qtype(),
            class: query.qclass().to_string(),
            opcode: query.request.metadata.op_code,
            id: query.request.metadata.id,
            dnssec_ok: query.dnssec_ok(),
            bufsize,
        }
    }
}

/// What the answer shows.
struct Answer {
    rcode: Option<Rcode>,
    flags: String,
    size: usize,
}

impl Answer {
    fn new(reply: Option<&mut Reply>) -> Self {
        let Some(reply) = reply else { return Self { rcode: None, flags: "-".into(), size: 0 } };
        let rcode = Some(reply.rcode());
        let mut written = Vec::new();
        let head: &[u8] = match reply.as_octets() {
            Some(found) => found,
            None => {
                if let Ok(message) = reply.message() {
                    message::encode(message, Size::tcp(), 0, &mut written);
                }
                &written
            }
        };
        let (high, low) = (head.get(2).copied().unwrap_or(0), head.get(3).copied().unwrap_or(0));
        let bits = [
            (high & 0x80, "qr"),
            (high & 0x04, "aa"),
            (high & 0x02, "tc"),
            (high & 0x01, "rd"),
            (low & 0x80, "ra"),
            (low & 0x40, "z"),
            (low & 0x20, "ad"),
            (low & 0x10, "cd"),
        ];
        let flags: Vec<&str> = bits.iter().filter(|(bit, _)| *bit != 0).map(|(_, name)| *name).collect();
        Self { rcode, flags: flags.join(","), size: head.len() }
    }
}

/// The class of an answer, as `class` names it; no answer is an error.
fn class(reply: Option<&mut Reply>) -> Class {
    let Some(reply) = reply else { return Class::Error };
    match reply.rcode() {
        Rcode::NXDOMAIN => Class::Denial,
        Rcode::NOERROR => match reply.message() {
            Ok(message) if is_nodata(message) => Class::Denial,
            Ok(_) => Class::Success,
            Err(_) => Class::Error,
        },
        _ => Class::Error,
    }
}

fn is_nodata(message: &Message) -> bool {
    let referral = message.authorities.iter().any(|record| record.record_type() == RecordType::NS);
    message.answers.is_empty() && !referral && message.metadata.response_code == ResponseCode::NoError
}

//----------- Format ---------------------------------------------------------

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A placeholder, without its braces.
    Placeholder(String),
}

/// Splits a format; what is no placeholder stays as it is.
fn pieces(format: &str) -> Vec<Piece> {
    let format = format.replace("{combined}", &format!("{COMMON} \"{{>opcode}}\"")).replace("{common}", COMMON);
    let mut pieces = Vec::new();
    let mut rest = format.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        match after.split_once('}') {
            Some((inner, behind)) if is_placeholder(inner) => {
                pieces.push(Piece::Text(before.to_owned()));
                pieces.push(Piece::Placeholder(inner.to_owned()));
                rest = behind;
            }
            _ => {
                pieces.push(Piece::Text(format!("{before}{{")));
                rest = after;
            }
        }
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces
}

fn is_placeholder(inner: &str) -> bool {
    const KNOWN: [&str; 16] = [
        "type", "name", "class", "proto", "remote", "local", "port", "size", "rcode", "rsize", "duration", ">rflags",
        ">id", ">opcode", ">do", ">bufsize",
    ];
    KNOWN.contains(&inner) || inner.strip_prefix('/').is_some_and(|label| !label.is_empty())
}

impl Piece {
    fn fill(&self, facts: &Facts, answer: &Answer, query: &Query, seconds: f64) -> String {
        let placeholder = match self {
            Self::Text(text) => return text.clone(),
            Self::Placeholder(inner) => inner.as_str(),
        };
        match placeholder {
            "type" => facts.qtype.to_string(),
            "name" => facts.name.to_string(),
            "class" => facts.class.clone(),
            "proto" => query.client.transport.label().to_owned(),
            "remote" => address(query.client.peer.ip()),
            "local" => address(query.client.local.ip()),
            "port" => query.client.peer.port().to_string(),
            "size" => query.size.to_string(),
            "rcode" => answer.rcode.map_or_else(|| "-".to_owned(), |rcode| rcode.to_string()),
            "rsize" => answer.size.to_string(),
            "duration" => format!("{seconds:.9}s"),
            ">rflags" => answer.flags.clone(),
            ">id" => facts.id.to_string(),
            ">opcode" => u8::from(facts.opcode).to_string(),
            ">do" => facts.dnssec_ok.to_string(),
            ">bufsize" => facts.bufsize.to_string(),
            label => {
                let label = label.trim_start_matches('/');
                query.metadata.get(label).cloned().unwrap_or_else(|| "-".to_owned())
            }
        }
    }
}

/// An address; IPv6 in brackets, because a port follows it in the common format.
fn address(address: std::net::IpAddr) -> String {
    match address.to_canonical() {
        std::net::IpAddr::V4(v4) => v4.to_string(),
        std::net::IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], _: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let rules = lines.iter().map(|line| rule(line)).collect::<Result<_, _>>()?;
    Ok(vec![Arc::new(Log { rules })])
}

fn rule(directive: &Directive) -> Result<Rule, Error> {
    let (words, format) = match directive.arguments.split_last() {
        Some((last, names)) if last.text.contains('{') => (names, last.text.as_str()),
        _ => (directive.arguments.as_slice(), COMMON),
    };
    let mut classes = Vec::new();
    for line in directive.lines() {
        if line.name.text != "class" {
            return Err(words::unknown(line, "log", &["class"]));
        }
        line.no_body()?;
        if line.arguments.is_empty() {
            return Err(line.name.error("class needs all, success, denial or error"));
        }
        for word in &line.arguments {
            classes.push(match word.text.as_str() {
                "all" => Class::All,
                "success" => Class::Success,
                "denial" => Class::Denial,
                "error" => Class::Error,
                other => return Err(word.error(format!("`{other}` is none of all, success, denial, error"))),
            });
        }
    }
    if classes.is_empty() {
        classes.push(Class::All);
    }
    Ok(Rule { names: Zones::read(words, &[Name::root()])?, format: pieces(format), classes })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answers, fault, message, query, query_edns, token};
    use super::*;

    fn log(format: Option<&str>, names: &[&str], classes: &[Class]) -> Log {
        let words: Vec<_> = names.iter().map(|name| token(name)).collect();
        let names = Zones::read(&words, &[Name::root()]).unwrap();
        Log { rules: vec![Rule { names, format: pieces(format.unwrap_or(COMMON)), classes: classes.to_vec() }] }
    }

    fn line(log: &Log, query: &mut Query, answers: Answers) -> Option<String> {
        let facts = Facts::new(query);
        let reply = message(super::super::testing::run(&[Arc::new(answers)], query));
        log.line(&facts, &mut Outcome::Reply(Reply::from_message("answers", reply)), query, 0.0015)
    }

    #[test]
    fn the_common_format_tells_query_and_answer() {
        let mut query = query_edns("www.example.com.", RecordType::A, 1232, true);
        query.size = 44;
        let said = line(&log(None, &[], &[Class::All]), &mut query, Answers::with("www.example.com. 5 IN A 192.0.2.1"));
        let said = said.unwrap();
        let start = "127.0.0.1:40212 - 4711 \"A IN www.example.com. udp 44 true 1232\" NOERROR qr,rd 60 0.001500000s";
        assert_eq!(said, start);
    }

    #[test]
    fn a_query_without_edns_has_512_octets_and_no_answer_a_dash() {
        let mut query = query("odd.example.com.", RecordType::A);
        let facts = Facts::new(&query);
        let log = log(None, &[], &[Class::Error]);
        let failure = crate::wire::Failure::servfail("x");
        let said = log.line(&facts, &mut Outcome::Failed("forward", failure), &query, 1.0).unwrap();
        assert!(said.contains("udp 33 false 512\" - - 0 "), "{said}");
        query.client.transport = Transport::Tcp;
        assert_eq!(Facts::new(&query).bufsize, 65_535);
    }

    #[test]
    fn classes_choose() {
        let denial = log(None, &[], &[Class::Denial, Class::Error]);
        let ask = || query("a.example.", RecordType::A);
        assert!(line(&denial, &mut ask(), Answers::with("a.example. 5 IN A 192.0.2.1")).is_none());
        assert!(line(&denial, &mut ask(), Answers::default()).is_some());
        assert!(line(&denial, &mut ask(), Answers::rcode(ResponseCode::NXDomain)).is_some());
        assert!(line(&denial, &mut ask(), Answers::rcode(ResponseCode::ServFail)).is_some());
        let success = log(None, &[], &[Class::Success]);
        assert!(line(&success, &mut ask(), Answers::rcode(ResponseCode::Refused)).is_none());
    }

    #[test]
    fn names_bound_what_is_logged_and_formats_take_metadata() {
        let log =
            log(Some("{/forward/upstream} {/no/such} {name} {nonsense} {combined}"), &["example.com"], &[Class::All]);
        let mut query = query("a.example.com.", RecordType::A);
        query.metadata.insert("forward/upstream".into(), "192.0.2.53:53".into());
        let said = line(&log, &mut query, Answers::default()).unwrap();
        assert!(said.starts_with("192.0.2.53:53 - a.example.com. {nonsense} 127.0.0.1:40212 - 4711"), "{said}");
        assert!(said.ends_with("s \"0\""), "{said}");
        let mut query = super::super::testing::query("a.example.org.", RecordType::A);
        assert!(line(&log, &mut query, Answers::default()).is_none());
    }

    #[test]
    fn only_errors_of_cluster_names_need_no_message() {
        let cluster = ["cluster.local".parse().unwrap()];
        assert!(log(None, &[], &[Class::Error]).needs_message(&cluster).is_none());
        assert!(log(None, &["example.org"], &[Class::All]).needs_message(&cluster).is_none());
        assert!(log(None, &[], &[Class::Denial]).needs_message(&cluster).is_some());
    }

    #[test]
    fn unknown_classes_are_refused() {
        assert!(fault("log {\nclass some\n}").starts_with("Corefile:3:7:"));
        assert!(fault("log {\nclass\n}").starts_with("Corefile:3:1:"));
        assert!(fault("log {\nlevel all\n}").starts_with("Corefile:3:1:"));
    }
}

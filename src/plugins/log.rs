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
//! name decides. The directive may be repeated. `{/log/class}` and `{/log/type}` tell what sort of answer it is, where
//! `metadata` is loaded.
//!
//! With `-log-format json` a line is an object: the format makes its `msg`, and the query and its answer are told in
//! `client_ip`, `client_port`, `qname`, `qtype`, `qclass`, `protocol`, `id`, `opcode`, `request_size`, `dnssec_ok`, `bufsize`,
//! `rcode` (null for a query that gets no answer), `response_size` and `duration_seconds`.
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
//! Differences: a format alone, without names before it, is a format; CoreDNS takes it for a name.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;

mod answer;
mod format;

use self::answer::{Code, LoggedAnswer};
use self::format::{COMMON, Format};
use crate::chain::setup::Context;
use crate::chain::{Next, Outcome, Plugin, Query};
use crate::corefile::{Directive, Error};
use crate::syntax::names::{self, Zones};
use crate::syntax::words;
use crate::wire::{Class, Flags, Name, Rtype};

struct LogRule {
    names: Zones,
    format: Format,
    classes: Vec<AnswerClass>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnswerClass {
    All,
    Success,
    Denial,
    Error,
}

/// The plugin.
pub(crate) struct Log {
    rules: Vec<LogRule>,
    /// Whether `metadata` is loaded.
    labelled: bool,
}

impl Log {
    fn rule(&self, name: &Name) -> Option<&LogRule> {
        self.rules.iter().find(|rule| rule.names.matching(name).is_some())
    }

    /// The line for a query and what came of it, when it is wanted, with what it tells of the answer.
    fn line(
        &self,
        facts: &Facts,
        outcome: &mut Outcome,
        query: &Query,
        seconds: f64,
    ) -> Option<(String, LoggedAnswer)> {
        let rule = self.rule(&facts.name)?;
        let answer = LoggedAnswer::of(outcome, facts);
        let wanted = rule.classes.iter().any(|class| *class == AnswerClass::All || *class == answer.sort.class());
        wanted.then(|| (rule.format.fill(facts, &answer, query, seconds, self.labelled), answer))
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
            if let Some((line, answer)) = self.line(&facts, &mut outcome, query, seconds) {
                write(&line, &facts, &answer, query, seconds);
            }
            outcome
        })
    }

    fn needs_message(&self, cluster_zones: &[Name]) -> Option<String> {
        let concerns =
            |rule: &&LogRule| rule.names.meet(cluster_zones) && rule.classes.iter().any(|c| *c != AnswerClass::Error);
        self.rules.iter().find(concerns).map(|_| "answers of cluster names are logged".to_owned())
    }
}

/// Hands a line to the log; its fields are written where lines are JSON.
fn write(line: &str, facts: &Facts, answer: &LoggedAnswer, query: &Query, seconds: f64) {
    let (peer, code) = (query.client.peer, Code(answer.rcode));
    let client: IpAddr = peer.ip().to_canonical();
    tracing::info!(
        target: "plugin/log",
        client_ip = %client,
        client_port = peer.port(),
        qname = %facts.shown,
        qtype = %facts.qtype,
        qclass = %facts.class,
        protocol = query.client.transport.label(),
        id = facts.id,
        opcode = facts.opcode(),
        request_size = query.size,
        dnssec_ok = facts.dnssec_ok,
        bufsize = facts.bufsize,
        rcode = %code,
        response_size = answer.size,
        duration_seconds = seconds,
        "{line}"
    );
}

//----------- Facts ----------------------------------------------------------

/// The query as it arrived.
struct Facts {
    name: Name,
    /// The name as people write it.
    shown: String,
    qtype: Rtype,
    class: Class,
    /// The flags of the header.
    flags: Flags,
    id: u16,
    dnssec_ok: bool,
    bufsize: u16,
}

impl Facts {
    fn new(query: &Query) -> Self {
        let bufsize = match query.client.transport.label() {
            "udp" => query.request.edns().map_or(512, |edns| edns.payload.max(512)),
            _ => 65_535,
        };
        let request = &query.request;
        let name = request.qname();
        Self {
            shown: names::shown(&name),
            name,
            qtype: query.qtype().into(),
            class: query.qclass().into(),
            flags: request.flags(),
            id: request.id(),
            dnssec_ok: query.dnssec_ok(),
            bufsize,
        }
    }

    fn opcode(&self) -> u8 {
        self.flags.opcode().0
    }
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let rules = lines.iter().map(|line| rule(line)).collect::<Result<_, _>>()?;
    let labelled = context.settings.enabled.contains(&"metadata");
    Ok(vec![Arc::new(Log { rules, labelled })])
}

fn rule(directive: &Directive) -> Result<LogRule, Error> {
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
                "all" => AnswerClass::All,
                "success" => AnswerClass::Success,
                "denial" => AnswerClass::Denial,
                "error" => AnswerClass::Error,
                other => return Err(word.error(format!("`{other}` is none of all, success, denial, error"))),
            });
        }
    }
    if classes.is_empty() {
        classes.push(AnswerClass::All);
    }
    Ok(LogRule { names: Zones::read(words, &[Name::root()])?, format: Format::read(format), classes })
}

#[cfg(test)]
mod tests;

//! Name: `chaos`
//!
//! Description: answers `version.bind`, `version.server`, `authors.bind`, `hostname.bind` and `id.server` of type TXT and class CH.
//!
//! Syntax:
//!
//! ```text
//! chaos [VERSION] [AUTHORS...]
//! ```
//!
//! Without a version it is that of this server.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     chaos rollcall-1.0
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: only these names of class CH are answered; others of that class are refused, unless a `rewrite class` is for
//! them.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::chain::setup::{Context, last};
use crate::chain::{Next, Outcome, Plugin, Query, Reply};
use crate::corefile::{Directive, Error};
use crate::syntax::names;
use crate::wire::Name;
use crate::wire::message::{DNSClass, RData, Record, RecordType, ResponseCode, rdata};

/// The plugin.
pub(crate) struct Chaos {
    version: String,
    authors: Vec<String>,
    hostname: String,
}

impl Plugin for Chaos {
    fn name(&self) -> &'static str {
        "chaos"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if query.qclass() != DNSClass::CH {
                return Outcome::Next;
            }
            let texts: Vec<&str> = match (names::text(&query.name()).as_str(), query.qtype()) {
                ("version.bind." | "version.server.", RecordType::TXT) => vec![&self.version],
                ("hostname.bind." | "id.server.", RecordType::TXT) => vec![&self.hostname],
                ("authors.bind.", RecordType::TXT) => self.authors.iter().map(String::as_str).collect(),
                _ => Vec::new(),
            };
            if texts.is_empty() && next.plugins().iter().any(|plugin| plugin.takes_class(DNSClass::CH)) {
                return Outcome::Next;
            }
            let mut message = query.reply_message();
            if texts.is_empty() {
                message.metadata.response_code = ResponseCode::Refused;
            } else {
                message.metadata.authoritative = true;
            }
            for text in texts {
                // A character-string holds 255 octets.
                let part = text.as_bytes().get(..text.len().min(255)).unwrap_or_default();
                let data = RData::TXT(rdata::TXT::from_bytes(vec![part]));
                let mut record = Record::from_rdata(query.name(), 0, data);
                record.dns_class = DNSClass::CH;
                message.answers.push(record);
            }
            Outcome::Reply(Reply::from_message("chaos", message))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        // Classes other than IN take the chain always.
        None
    }
}

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let own = concat!("rollcall-", env!("CARGO_PKG_VERSION"));
    let read = |directive: &Directive| {
        directive.no_body()?;
        let words = directive.arguments.iter().map(|word| word.text.clone());
        Ok((words.clone().next(), words.skip(1).collect::<BTreeSet<_>>()))
    };
    let (version, authors) = last(lines, read)?;
    let version = version.unwrap_or_else(|| own.to_owned());
    let authors = match authors.is_empty() {
        true => vec!["the authors of rollcall".to_owned()],
        false => authors.into_iter().collect(),
    };
    context.settings.classes.push(DNSClass::CH.into());
    Ok(vec![Arc::new(Chaos { version, authors, hostname: context.host.hostname.to_owned() })])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use super::*;
    use crate::chain::testing::{lines, message, query, run};

    fn ask(name: &str, class: DNSClass) -> crate::wire::message::Message {
        let block = block("chaos v1 bob ann bob\nwhoami").unwrap();
        assert_eq!(block.settings.classes, [crate::wire::Class::CH]);
        let mut asked = query(name, RecordType::TXT);
        asked.request.change(|request| request.queries[0].query_class = class);
        message(run(&block.chain, &mut asked))
    }

    #[test]
    fn the_names_of_class_ch_are_answered_and_no_others() {
        assert_eq!(lines(&ask("version.bind.", DNSClass::CH).answers), ["version.bind. 0 CH TXT \"v1\""]);
        assert_eq!(lines(&ask("hostname.bind.", DNSClass::CH).answers), ["hostname.bind. 0 CH TXT \"server-1\""]);
        assert_eq!(ask("authors.bind.", DNSClass::CH).answers.len(), 2);
        assert_eq!(ask("a.example.", DNSClass::CH).metadata.response_code, ResponseCode::Refused);
        assert!(ask("version.bind.", DNSClass::IN).answers.is_empty());
        let block = block("chaos\nrewrite class CH IN\nwhoami").unwrap();
        let mut asked = query("a.example.", RecordType::A);
        asked.request.change(|request| request.queries[0].query_class = DNSClass::CH);
        let reply = message(run(&block.chain, &mut asked));
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError, "for the rule behind");
        assert_eq!(reply.queries.first().unwrap().query_class, DNSClass::CH);
        assert!(fault("chaos 1.0 {\nauthors me\n}").starts_with("Corefile:3:1: chaos takes no block"));
        assert!(fault("chaos 1.0 {\n}").starts_with("Corefile:2:1: chaos takes no block"));
    }
}

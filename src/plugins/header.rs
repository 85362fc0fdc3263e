//! Name: `header`
//!
//! Description: sets flags of queries and answers.
//!
//! Syntax:
//!
//! ```text
//! header {
//!     query set|clear FLAG...
//!     response set|clear FLAG...
//! }
//! ```
//!
//! Flags are `aa`, `ra` and `rd`.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     header {
//!         response set ra
//!     }
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

use crate::chain::setup::{Context, last};
use crate::chain::{Next, Outcome, Plugin, Query};
use crate::corefile::{Directive, Error};
use crate::syntax::words;
use crate::wire::Name;
use crate::wire::message::Message;

/// The plugin.
pub(crate) struct HeaderPlugin {
    query: Vec<Change>,
    response: Vec<Change>,
}

type Change = (Flag, bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flag {
    Authoritative,
    RecursionAvailable,
    RecursionDesired,
}

fn apply(changes: &[Change], message: &mut Message) {
    for (flag, value) in changes {
        let place = match flag {
            Flag::Authoritative => &mut message.metadata.authoritative,
            Flag::RecursionAvailable => &mut message.metadata.recursion_available,
            Flag::RecursionDesired => &mut message.metadata.recursion_desired,
        };
        *place = *value;
    }
}

impl Plugin for HeaderPlugin {
    fn name(&self) -> &'static str {
        "header"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if !self.query.is_empty() {
                query.request.change(|request| apply(&self.query, request));
            }
            let mut outcome = next.run(query).await;
            if let Outcome::Reply(reply) = &mut outcome
                && let Ok(message) = reply.message()
            {
                apply(&self.response, message);
            }
            outcome
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        Some("flags of answers are set".into())
    }
}

pub(crate) fn setup(lines: &[&Directive], _: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    Ok(vec![Arc::new(last(lines, read)?)])
}

fn read(directive: &Directive) -> Result<HeaderPlugin, Error> {
    directive.no_arguments()?;
    let mut header = HeaderPlugin { query: Vec::new(), response: Vec::new() };
    for line in directive.lines() {
        line.no_body()?;
        let changes = match line.name.text.to_lowercase().as_str() {
            "query" => &mut header.query,
            "response" => &mut header.response,
            _ => {
                return Err(words::unknown(line, "header", &["query", "response", "each with set FLAG or clear FLAG"]));
            }
        };
        let (value, flags) = match line.arguments.as_slice() {
            [] | [_] => return Err(line.name.error(format!("{} needs set or clear, then flags", line.name.text))),
            [word, flags @ ..] => match word.text.to_lowercase().as_str() {
                "set" => (true, flags),
                "clear" => (false, flags),
                _ => return Err(word.error(format!("`{}` is neither set nor clear", word.text))),
            },
        };
        for flag in flags {
            changes.push(match flag.text.to_lowercase().as_str() {
                "aa" => (Flag::Authoritative, value),
                "ra" => (Flag::RecursionAvailable, value),
                "rd" => (Flag::RecursionDesired, value),
                _ => return Err(flag.error(format!("`{}` is none of aa, ra, rd", flag.text))),
            });
        }
    }
    if header.query.is_empty() && header.response.is_empty() {
        return Err(directive.name.error("header needs a block with query or response"));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use crate::chain::testing::{message, query, run};
    use crate::wire::message::RecordType;

    #[test]
    fn flags_are_set_and_cleared_both_ways() {
        let chain = block("header {\nresponse set ra\nResponse CLEAR AA\nquery clear rd\n}\nwhoami").unwrap().chain;
        let reply = message(run(&chain, &mut query("a.example.", RecordType::A))).metadata;
        assert!(reply.recursion_available && !reply.authoritative && !reply.recursion_desired);
    }

    #[test]
    fn wrong_flags_are_refused() {
        assert!(fault("header {\nresponse set tc\n}").starts_with("Corefile:3:14:"));
        assert!(fault("header {\nresponse put ra\n}").starts_with("Corefile:3:10:"));
        assert!(fault("header {\nset ra\n}").starts_with("Corefile:3:1:"));
        assert!(fault("header {\nresponse set\n}").starts_with("Corefile:3:1:"));
        assert!(fault("header").starts_with("Corefile:2:1:"));
    }
}

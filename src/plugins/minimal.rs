//! Name: `minimal`
//!
//! Description: takes the authority and additional sections off answers that are no denial, no error and no referral.
//!
//! Syntax:
//!
//! ```text
//! minimal
//! ```
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     minimal
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
use crate::wire::message::{Message, Record, RecordType, ResponseCode};

/// The plugin.
pub(crate) struct Minimal;

impl Plugin for Minimal {
    fn name(&self) -> &'static str {
        "minimal"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let mut outcome = next.run(query).await;
            if let Outcome::Reply(reply) = &mut outcome
                && let Ok(message) = reply.message()
                && message.metadata.response_code == ResponseCode::NoError
                && !says_beside(message)
            {
                message.authorities.clear();
                message.additionals.clear();
            }
            outcome
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        Some("records beside the answer are taken off".into())
    }
}

/// Whether what a message says stands beside its empty answer: a denial (SOA) or a referral (NS).
fn says_beside(message: &Message) -> bool {
    let mut types = message.authorities.iter().map(Record::record_type);
    message.answers.is_empty() && types.any(|rtype| matches!(rtype, RecordType::SOA | RecordType::NS))
}

pub(crate) fn setup(lines: &[&Directive], _: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    last(lines, words::alone)?;
    Ok(vec![Arc::new(Minimal)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::testing::{Answers, message, query, run};
    use crate::syntax::record::parse_line;

    #[test]
    fn positive_answers_lose_what_is_beside_them_and_denials_keep_their_soa() {
        let soa = parse_line("example. 5 IN SOA ns.example. host.example. 1 2 3 4 5", None, 5).unwrap();
        let mut positive = Answers::with("a.example. 5 IN A 192.0.2.1");
        positive.authority = vec![soa.clone()];
        positive.additional = vec![soa.clone()];
        let reply = message(run(&[Arc::new(Minimal), Arc::new(positive)], &mut query("a.example.", RecordType::A)));
        assert_eq!((reply.answers.len(), reply.authorities.len(), reply.additionals.len()), (1, 0, 0));
        let denial = Answers { authority: vec![soa], ..Answers::rcode(ResponseCode::NXDomain) };
        let reply = message(run(&[Arc::new(Minimal), Arc::new(denial)], &mut query("a.example.", RecordType::A)));
        assert_eq!(reply.authorities.len(), 1);
    }

    #[test]
    fn an_empty_answer_loses_its_glue_unless_it_denies_or_refers() {
        let record = |line| parse_line(line, None, 5).unwrap();
        let glue = record("ns.example. 5 IN A 192.0.2.1");
        for (beside, stay) in [
            (None, 0),
            (Some("example. 5 IN SOA ns.example. host.example. 1 2 3 4 5"), 1),
            (Some("example. 5 IN NS ns.example."), 1),
            (Some("example. 5 IN TXT \"a\""), 0),
        ] {
            let empty = Answers {
                authority: beside.map(record).into_iter().collect(),
                additional: vec![glue.clone()],
                ..Answers::default()
            };
            let reply = message(run(&[Arc::new(Minimal), Arc::new(empty)], &mut query("a.example.", RecordType::A)));
            assert_eq!((reply.authorities.len(), reply.additionals.len()), (stay, stay), "{beside:?}");
        }
    }
}

//! Name: `any`
//!
//! Description: answers questions of type ANY with one short record (RFC 8482).
//!
//! Syntax:
//!
//! ```text
//! any
//! ```
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     any
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
use crate::chain::{FastPathExclusion, Next, Outcome, Plugin, Query, Reply};
use crate::corefile::{Directive, Error};
use crate::syntax::words;
use crate::wire::Name;
use crate::wire::message::{RData, Record, RecordType, rdata};

/// The plugin.
pub(crate) struct Any;

impl Plugin for Any {
    fn name(&self) -> &'static str {
        "any"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if query.qtype() != RecordType::ANY {
                return Outcome::Next;
            }
            let mut message = query.reply_message();
            // RFC 8482 section 4.2: HINFO with this text.
            let data = RData::HINFO(rdata::HINFO::new("ANY obsoleted".into(), "See RFC 8482".into()));
            message.answers.push(Record::from_rdata(query.name(), 8482, data));
            Outcome::Reply(Reply::from_message("any", message))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    last(lines, words::alone)?;
    context.settings.exclusions.push(FastPathExclusion::Type(RecordType::ANY.into()));
    Ok(vec![Arc::new(Any)])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use crate::chain::testing::{message, query, run};
    use crate::wire::message::RecordType;

    #[test]
    fn any_gets_one_hinfo_and_other_types_go_on() {
        let chain = block("any\nwhoami").unwrap().chain;
        let reply = message(run(&chain, &mut query("a.example.", RecordType::ANY)));
        assert_eq!(reply.answers.first().unwrap().record_type(), RecordType::HINFO);
        assert!(!reply.metadata.authoritative, "as in CoreDNS");
        assert_eq!(message(run(&chain, &mut query("a.example.", RecordType::A))).answers.len(), 0);
        assert!(fault("any yes").starts_with("Corefile:2:5:"));
    }
}

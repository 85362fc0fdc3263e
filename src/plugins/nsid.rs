//! Name: `nsid`
//!
//! Description: tells clients that ask for it which server answered (RFC 5001).
//!
//! Syntax:
//!
//! ```text
//! nsid [TEXT...]
//! ```
//!
//! Without text it is the host's name.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     nsid rack 7
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

use crate::chain::setup::{Context, once};
use crate::chain::{FastPathExclusion, Next, Outcome, Plugin, Query};
use crate::corefile::{Directive, Error};
use crate::wire::Name;
use crate::wire::message::{MessageEdns, rdata};

/// The plugin.
pub(crate) struct Nsid {
    text: Vec<u8>,
}

impl Plugin for Nsid {
    fn name(&self) -> &'static str {
        "nsid"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let code = rdata::opt::EdnsCode::NSID;
            let asked = query.request.edns().is_some_and(|edns| edns.nsid);
            if asked {
                // The option is for this server, not for those behind it.
                query.request.change(|request| request.edns.as_mut().map(|edns| edns.options_mut().remove(code)));
            }
            let mut outcome = next.run(query).await;
            if asked
                && let Outcome::Reply(reply) = &mut outcome
                && let Ok(message) = reply.message()
                && let Ok(payload) = rdata::opt::NSIDPayload::new(self.text.clone())
            {
                let edns = message.edns.get_or_insert_with(MessageEdns::new);
                edns.options_mut().remove(code);
                edns.options_mut().insert(rdata::opt::EdnsOption::NSID(payload));
            }
            outcome
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    directive.no_body()?;
    let words: Vec<&str> = directive.arguments.iter().map(|word| word.text.as_str()).collect();
    let text = if words.is_empty() { context.host.hostname.to_owned() } else { words.join(" ") };
    context.settings.nsid = Some(text.clone().into_bytes());
    context.settings.exclusions.push(FastPathExclusion::Nsid);
    Ok(vec![Arc::new(Nsid { text: text.into_bytes() })])
}

#[cfg(test)]
mod tests {
    use super::super::testing::block;
    use super::*;
    use crate::chain::testing::{Answers, message, query_edns, run};
    use crate::wire::message::RecordType;

    #[test]
    fn only_those_who_ask_are_told() {
        let chain: Vec<Arc<dyn Plugin>> =
            vec![Arc::new(Nsid { text: b"rack 7".to_vec() }), Arc::new(Answers::default())];
        let mut query = query_edns("a.example.", RecordType::A, 1232, false);
        let unasked = message(run(&chain, &mut query)).edns.unwrap();
        assert!(unasked.option(rdata::opt::EdnsCode::NSID).is_none());
        let payload = rdata::opt::NSIDPayload::new(Vec::new()).unwrap();
        let option = rdata::opt::EdnsOption::NSID(payload);
        query.request.change(|request| request.edns.as_mut().unwrap().options_mut().insert(option));
        let reply = message(run(&chain, &mut query));
        let told = reply.edns.as_ref().and_then(|edns| edns.option(rdata::opt::EdnsCode::NSID)).unwrap();
        assert!(matches!(told, rdata::opt::EdnsOption::NSID(payload) if payload.as_ref() == b"rack 7"));
    }

    #[test]
    fn the_text_is_the_hosts_name_unless_given() {
        assert_eq!(block("nsid").unwrap().settings.nsid.unwrap(), b"server-1");
        assert_eq!(block("nsid rack 7").unwrap().settings.nsid.unwrap(), b"rack 7");
    }
}

//! Name: `whoami`
//!
//! Description: answers every name with the client's address, port and transport, in the additional section.
//!
//! Syntax:
//!
//! ```text
//! whoami
//! ```
//!
//! Examples:
//!
//! ```corefile
//! . {
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
use crate::chain::{Next, Outcome, Plugin, Query, Reply};
use crate::corefile::{Directive, Error};
use crate::syntax::{names, words};
use crate::wire::Name;
use crate::wire::message::{RData, Record, rdata};

/// The plugin.
pub(crate) struct Whoami;

impl Plugin for Whoami {
    fn name(&self) -> &'static str {
        "whoami"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let mut message = query.reply_message();
            message.metadata.authoritative = true;
            let name = query.name();
            let peer = query.client.peer;
            let address: RData = peer.ip().to_canonical().into();
            message.additionals.push(Record::from_rdata(name.clone(), 0, address));
            let service = format!("_{}.", query.client.transport.label());
            if let Ok(owner) = names::parse(&service).and_then(|it| it.append_domain(&name).map_err(|e| e.to_string()))
            {
                let target = crate::wire::message::MessageName::root();
                let srv = RData::SRV(rdata::SRV::new(0, 0, peer.port(), target));
                message.additionals.push(Record::from_rdata(owner, 0, srv));
            }
            Outcome::Reply(Reply::from_message("whoami", message))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

pub(crate) fn setup(lines: &[&Directive], _: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    last(lines, words::alone)?;
    Ok(vec![Arc::new(Whoami)])
}

#[cfg(test)]
mod tests {
    use super::super::testing::fault;
    use super::*;
    use crate::chain::testing::{lines, message, query, run};
    use crate::wire::message::RecordType;

    #[test]
    fn the_client_is_told_who_it_is() {
        let reply = message(run(&[Arc::new(Whoami)], &mut query("a.example.", RecordType::TXT)));
        let told = lines(&reply.additionals);
        assert_eq!(told, ["a.example. 0 IN A 127.0.0.1", "_udp.a.example. 0 IN SRV 0 0 40212 ."]);
        assert!(reply.answers.is_empty() && reply.metadata.authoritative);
    }

    #[test]
    fn it_stands_alone() {
        assert!(fault("whoami me").starts_with("Corefile:2:8:"));
    }
}

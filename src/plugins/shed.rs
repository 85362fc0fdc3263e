//! Name: `shed`
//!
//! Description: drops queries over UDP before any plugin sees them while no answer could be waited for anyhow.
//!
//! Syntax:
//!
//! ```text
//! shed
//! ```
//!
//! Queries that have to wait, for an upstream mostly, have a bounded number of places (`-rollcall.max-in-flight`). While all of
//! them are taken, and none would be taken from a client that holds more, a query over UDP that needs the plugins is dropped at
//! once and silently: its client asks again, or somebody else. Cluster names and remembered answers need no place and are
//! answered all the time. TCP passes untouched. It is for plain DNS: not for `tls://`, `https://` and `quic://` server blocks.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     shed
//!     forward . 192.0.2.53
//! }
//! ```
//!
//! Metrics: `coredns_shed_dropped_total` {server, reason}, where the reason is `query` for a query that was dropped so, and
//! `response` for an answer that had waited and that the system did not take from a socket. Neither counts as a handled query.
//!
//! Ready: always.
//!
//! Differences: CoreDNS counts answers that wait for their socket, up to 1,024 of them, and drops the oldest. Here no answer
//! waits for its socket longer than a millisecond, with or without the directive: a data thread whose socket takes no more
//! reads no more either. What can pile up are queries that wait, and these are what the directive goes by.

use std::sync::Arc;

use crate::chain::Plugin;
use crate::chain::setup::{Context, once};
use crate::corefile::{Directive, Error, Scheme};

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    directive.no_arguments()?;
    directive.no_body()?;
    if let Some(key) = context.keys.iter().find(|key| key.scheme != Scheme::Dns) {
        let text = format!("shed is for plain DNS over UDP, which `{}` is not: delete the line", key.token.text);
        return Err(directive.name.error(text));
    }
    context.settings.shed = true;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};

    #[test]
    fn it_stands_alone_and_once_in_a_block_of_plain_dns() {
        assert!(block("shed").unwrap().settings.shed);
        assert!(!block("whoami").unwrap().settings.shed);
        assert!(fault("shed extra").starts_with("Corefile:2:6:"));
        assert!(fault("shed {\n depth 10\n}").starts_with("Corefile:"));
        assert!(fault("shed\nshed").starts_with("Corefile:3:1:"));
    }
}

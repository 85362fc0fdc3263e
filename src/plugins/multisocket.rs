//! Name: `multisocket`
//!
//! Description: sets how many sockets listen on each address.
//!
//! Syntax:
//!
//! ```text
//! multisocket [NUMBER]
//! ```
//!
//! From 1 to 1024; as many as processors when no number is given. A reload opens and closes sockets until there are so many.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     multisocket 2
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: without it there are as many sockets as the load takes, from one on, each with a thread of its own. As many as
//! processors means those that the process may use, by its affinity and the CPU quota of its container. Over TCP there is
//! one socket, whatever the number: all threads of the runtime take connections from it; on other systems than Linux over
//! UDP as well. A `quic://` listener keeps its sockets on a reload, as a connection is known to its socket alone.

use std::sync::Arc;

use crate::chain::Plugin;
use crate::chain::setup::{Context, once};
use crate::corefile::{Directive, Error};
use crate::syntax::words;

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    let sockets = match directive.arguments.as_slice() {
        [] => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        _ => words::number(words::value(directive, "a number of sockets")?, 1..=1024)?,
    };
    context.settings.sockets = std::num::NonZero::new(sockets);
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};

    #[test]
    fn the_number_has_a_default_and_bounds() {
        assert!(block("multisocket").unwrap().settings.sockets.is_some());
        assert_eq!(block("multisocket 2").unwrap().settings.sockets.unwrap().get(), 2);
        assert!(fault("multisocket 2000").starts_with("Corefile:2:13:"));
        assert!(fault("multisocket all").starts_with("Corefile:2:13:"));
        assert!(fault("multisocket 0").starts_with("Corefile:2:13:"));
    }
}

//! Name: `bufsize`
//!
//! Description: bounds the size of answers over UDP.
//!
//! Syntax:
//!
//! ```text
//! bufsize [OCTETS]
//! ```
//!
//! 1232 octets unless given, from 512 to 4096. A client that takes less gets less. Without the directive the client's own size
//! counts, up to what a datagram holds (65,507 octets). Of an answer that does not fit a choice of whole records stays, the same
//! for one client and name for 30 seconds and another for the next, and TC is set.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     bufsize 1100
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: the size that is announced to other servers is not changed by it.

use std::sync::Arc;

use crate::chain::Plugin;
use crate::chain::setup::{Context, last};
use crate::corefile::{Directive, Error};
use crate::syntax::words;

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let size = last(lines, |directive| match directive.arguments.as_slice() {
        [] => Ok(1232),
        _ => words::number(words::value(directive, "a number of octets")?, 512..=4096),
    })?;
    context.settings.bufsize = Some(size);
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};

    #[test]
    fn the_size_has_a_default_and_bounds() {
        assert_eq!(block("bufsize").unwrap().settings.bufsize, Some(1232));
        assert_eq!(block("bufsize 800").unwrap().settings.bufsize, Some(800));
        assert_eq!(block("bufsize\nbufsize 800").unwrap().settings.bufsize, Some(800));
        assert!(fault("bufsize 511\nbufsize").starts_with("Corefile:2:9:"));
        assert!(fault("bufsize 511").starts_with("Corefile:2:9:"));
        assert!(fault("bufsize 4097").starts_with("Corefile:2:9:"));
    }
}

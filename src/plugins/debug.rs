//! Name: `debug`
//!
//! Description: writes debug log lines too.
//!
//! Syntax:
//!
//! ```text
//! debug
//! ```
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     debug
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: a failure that is not expected ends one query and never the process, with `debug` too.

use std::sync::Arc;

use crate::chain::Plugin;
use crate::chain::setup::{Context, last};
use crate::corefile::{Directive, Error};
use crate::syntax::words;

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    last(lines, words::alone)?;
    context.settings.debug = true;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};

    #[test]
    fn it_stands_alone() {
        assert!(block("debug").unwrap().settings.debug);
        assert!(fault("debug on").starts_with("Corefile:2:7:"));
    }
}

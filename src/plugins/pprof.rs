//! Name: `pprof`
//!
//! Description: does nothing; it is read so that Corefiles that have it start.
//!
//! Syntax:
//!
//! ```text
//! pprof [ADDRESS] {
//!     block [RATE]
//!     mutex [RATE]
//! }
//! ```
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     pprof localhost:6053
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: there is no Go runtime to profile; a log line says so.

use std::sync::Arc;

use crate::chain::Plugin;
use crate::chain::setup::{Context, once};
use crate::corefile::{Directive, Error};
use crate::syntax::words;

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    if !directive.arguments.is_empty() {
        words::listen_address(directive.one_argument("an address")?)?;
    }
    for line in directive.lines() {
        line.no_body()?;
        match (line.name.text.as_str(), line.arguments.as_slice()) {
            ("block" | "mutex", []) => {}
            ("block" | "mutex", _) => {
                words::number::<u32>(line.one_argument("a rate")?, 0..=u32::MAX)?;
            }
            _ => return Err(words::unknown(line, "pprof", &["block", "mutex"])),
        }
    }
    context.settings.notes.push(directive.name.error("pprof has no effect: there is no Go runtime to profile"));
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};

    #[test]
    fn it_is_read_and_said_to_do_nothing() {
        let notes = block("pprof :6053 {\nblock\n}").unwrap().settings.notes;
        assert!(notes.first().unwrap().to_string().starts_with("Corefile:2:1: pprof has no effect"));
    }

    #[test]
    fn wrong_values_are_refused() {
        assert!(fault("pprof 6060").starts_with("Corefile:2:7:"));
        assert!(fault("pprof :1\npprof :1").starts_with("Corefile:3:1:"));
        assert!(fault("pprof {\nblock all\n}").starts_with("Corefile:3:7:"));
    }
}

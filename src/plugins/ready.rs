//! Name: `ready`
//!
//! Description: tells over HTTP whether all plugins are ready: `/ready` says `OK` or who is not.
//!
//! Syntax:
//!
//! ```text
//! ready [ADDRESS] {
//!     monitor until-ready|continuously
//! }
//! ```
//!
//! The address is `:8181` unless given. With `until-ready`, a plugin that was ready once is not asked again.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     ready :8181 {
//!         monitor continuously
//!     }
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: readiness fails at once when the process is told to stop.

use std::sync::Arc;

use crate::chain::Plugin;
use crate::chain::settings::Ready;
use crate::chain::setup::{Context, once};
use crate::corefile::{Directive, Error};
use crate::syntax::words;

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    let address = match directive.arguments.as_slice() {
        [] => ":8181".to_owned(),
        _ => words::listen_address(directive.one_argument("an address")?)?,
    };
    let mut continuously = false;
    for line in directive.lines() {
        match line.name.text.as_str() {
            "monitor" => {
                let word = words::value(line, "until-ready or continuously")?;
                continuously = match word.text.as_str() {
                    "until-ready" => false,
                    "continuously" => true,
                    other => return Err(word.error(format!("`{other}` is neither until-ready nor continuously"))),
                };
            }
            _ => return Err(words::unknown(line, "ready", &["monitor"])),
        }
    }
    context.settings.pages.push((address.clone(), directive.name.clone()));
    context.settings.ready = Some(Ready { address, continuously });
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use super::*;

    #[test]
    fn address_and_monitor_have_defaults() {
        let ready = |text| block(text).unwrap().settings.ready.unwrap();
        assert_eq!(ready("ready"), Ready { address: ":8181".into(), continuously: false });
        let set = ready("ready :1 {\nmonitor continuously\n}");
        assert_eq!(set, Ready { address: ":1".into(), continuously: true });
    }

    #[test]
    fn wrong_values_are_refused_at_their_line() {
        assert!(fault("ready 127.0.0.1").starts_with("Corefile:2:7:"));
        assert!(fault("ready {\nmonitor never\n}").starts_with("Corefile:3:9:"));
    }
}

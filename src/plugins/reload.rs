//! Name: `reload`
//!
//! Description: takes up a changed Corefile without stopping.
//!
//! Syntax:
//!
//! ```text
//! reload [INTERVAL] [JITTER]
//! ```
//!
//! The files are looked at every 30 seconds, give or take 15, unless given; the interval is 2 seconds at least, the
//! jitter 0 or 1 second at least.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     reload 10s 5s
//!     whoami
//! }
//! ```
//!
//! Metrics: `coredns_reload_failed_total`, `coredns_reload_version_info`.
//!
//! Ready: always.
//!
//! Differences: listeners, watches and caches go on; a Corefile with a fault changes nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::chain::Plugin;
use crate::chain::settings::Reload;
use crate::chain::setup::{Context, last};
use crate::corefile::{Directive, Error};
use crate::syntax::words;

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    context.settings.reload = Some(last(lines, read)?);
    Ok(Vec::new())
}

fn read(directive: &Directive) -> Result<Reload, Error> {
    directive.no_body()?;
    let (mut interval, mut jitter) = (Duration::from_secs(30), Duration::from_secs(15));
    if let [_, _, extra, ..] = directive.arguments.as_slice() {
        return Err(extra.error("reload takes an interval and a jitter and nothing after them"));
    }
    if let Some(word) = directive.arguments.first() {
        interval = words::duration(word)?;
        if interval < Duration::from_secs(2) {
            return Err(word.error(format!("`{}` is too short: the interval is 2s at least", word.text)));
        }
    }
    if let Some(word) = directive.arguments.get(1) {
        jitter = words::duration(word)?;
        if !jitter.is_zero() && jitter < Duration::from_secs(1) {
            return Err(word.error(format!("`{}` is too short: the jitter is 0s, or 1s at least", word.text)));
        }
    }
    Ok(Reload { interval, jitter: jitter.min(interval / 2) })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use super::*;

    #[test]
    fn interval_and_jitter_have_defaults_and_bounds() {
        let reload = |text| block(text).unwrap().settings.reload.unwrap();
        let seconds =
            |interval, jitter| Reload { interval: Duration::from_secs(interval), jitter: Duration::from_secs(jitter) };
        assert_eq!(reload("reload"), seconds(30, 15));
        assert_eq!(reload("reload 10s 0s"), seconds(10, 0));
        assert_eq!(reload("reload 10s"), seconds(10, 5));
        assert!(fault("reload 1s").starts_with("Corefile:2:8:"));
        assert!(fault("reload 10s 500ms").starts_with("Corefile:2:12:"));
        assert!(fault("reload 5s 1s 1s").starts_with("Corefile:2:14:"));
    }
}

//! Name: `timeouts`
//!
//! Description: sets the time-outs of TCP and encrypted connections.
//!
//! Syntax:
//!
//! ```text
//! timeouts {
//!     read DURATION
//!     write DURATION
//!     idle DURATION
//!     maxtcpqueries NUMBER
//! }
//! ```
//!
//! `read` and `write` bound one message, `idle` the time between two; durations are from 1s to 24h, and a number without a unit
//! is seconds. `maxtcpqueries` bounds the queries of one TCP connection; -1 is no bound. A reload changes all of them for
//! connections that are open, too.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     timeouts {
//!         read 5s
//!         idle 1m
//!     }
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
use std::time::Duration;

use crate::chain::Plugin;
use crate::chain::setup::Context;
use crate::corefile::{Directive, Error};
use crate::syntax::words;

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    for directive in lines {
        directive.no_arguments()?;
        if directive.lines().is_empty() {
            return Err(directive.name.error("timeouts needs a block with read, write, idle or maxtcpqueries"));
        }
    }
    let timeouts = &mut context.settings.timeouts;
    for line in lines.iter().flat_map(|directive| directive.lines()) {
        match line.name.text.as_str() {
            "read" => timeouts.read = Some(duration(line)?),
            "write" => timeouts.write = Some(duration(line)?),
            "idle" => timeouts.idle = Some(duration(line)?),
            "maxtcpqueries" => {
                let word = words::value(line, "a number")?;
                timeouts.max_tcp_queries = match word.text.as_str() {
                    "-1" => None,
                    _ => Some(words::number(word, 1..=u32::MAX)?),
                };
            }
            _ => return Err(words::unknown(line, "timeouts", &["read", "write", "idle", "maxtcpqueries"])),
        }
    }
    Ok(Vec::new())
}

fn duration(line: &Directive) -> Result<Duration, Error> {
    let word = words::value(line, "a duration, as in 5s")?;
    // A number without a unit is seconds here, and nowhere else in a Corefile.
    let time = match word.text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => words::duration(word)?,
    };
    match time {
        time if (Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&time) => Ok(time),
        _ => Err(word.error(format!("`{}` is not within 1s and 24h", word.text))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use super::*;
    use crate::chain::settings::Timeouts;

    #[test]
    fn each_is_set_by_itself() {
        let set = block("timeouts {\nread 5s\nidle 1m\nmaxtcpqueries 100\n}").unwrap().settings.timeouts;
        let (read, idle) = (Some(Duration::from_secs(5)), Some(Duration::from_secs(60)));
        assert_eq!(set, Timeouts { read, write: None, idle, max_tcp_queries: Some(100) });
    }

    #[test]
    fn wrong_values_are_refused_at_their_line() {
        let unit = block("timeouts {\nread 5\nmaxtcpqueries -1\n}").unwrap().settings.timeouts;
        assert_eq!(unit, Timeouts { read: Some(Duration::from_secs(5)), ..Timeouts::default() });
        assert!(fault("timeouts {\nmaxtcpqueries 0\n}").starts_with("Corefile:3:15:"));
        assert!(fault("timeouts {\n}").starts_with("Corefile:2:1:"));
        assert!(fault("timeouts").starts_with("Corefile:2:1:"));
        assert!(fault("timeouts {\nread forever\n}").starts_with("Corefile:3:6:"));
        assert!(fault("timeouts {\nread 1ms\n}").starts_with("Corefile:3:6:"));
    }
}

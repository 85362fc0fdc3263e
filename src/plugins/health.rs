//! Name: `health`
//!
//! Description: tells over HTTP that the process lives: `/health` says `OK`.
//!
//! Syntax:
//!
//! ```text
//! health [ADDRESS] {
//!     lameduck DURATION
//! }
//! ```
//!
//! The address is `:8080` unless given. With `lameduck`, answers and watches go on for that long after the order to stop.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     health {
//!         lameduck 5s
//!     }
//!     whoami
//! }
//! ```
//!
//! Metrics: `coredns_health_request_duration_seconds`, `coredns_health_request_failures_total`.
//!
//! Ready: always.
//!
//! Differences: the listener stays open across a reload, and the cluster's names stay current during `lameduck`.

use std::sync::Arc;
use std::time::Duration;

use crate::chain::Plugin;
use crate::chain::settings::Health;
use crate::chain::setup::Context;
use crate::corefile::{Directive, Error};
use crate::syntax::words;

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let mut health = Health { address: ":8080".to_owned(), lameduck: Duration::ZERO };
    let mut at = lines.first();
    // Repeated lines add up, as an imported file may set the one thing or the other.
    for directive in lines {
        if !directive.arguments.is_empty() {
            at = Some(directive);
            health.address = words::listen_address(directive.one_argument("an address")?)?;
        }
        for line in directive.lines() {
            match line.name.text.as_str() {
                "lameduck" => health.lameduck = words::duration(words::value(line, "a duration, as in 5s")?)?,
                _ => return Err(words::unknown(line, "health", &["lameduck"])),
            }
        }
    }
    context.settings.pages.extend(at.map(|line| (health.address.clone(), line.name.clone())));
    context.settings.health = Some(health);
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use super::*;

    #[test]
    fn address_and_lameduck_have_defaults() {
        let health = |text| block(text).unwrap().settings.health.unwrap();
        assert_eq!(health("health"), Health { address: ":8080".into(), lameduck: Duration::ZERO });
        let added = health("health 127.0.0.1:80\nhealth {\nlameduck 5s\n}");
        assert_eq!(added, health("health 127.0.0.1:80 {\nlameduck 5s\n}"));
        let set = health("health 127.0.0.1:80 {\nlameduck 5s\n}");
        assert_eq!(set, Health { address: "127.0.0.1:80".into(), lameduck: Duration::from_secs(5) });
    }

    #[test]
    fn wrong_values_are_refused_at_their_line() {
        assert!(fault("health 8080").starts_with("Corefile:2:8:"));
        assert!(fault("health {\nlameduck 5\n}").starts_with("Corefile:3:10:"));
        assert!(fault("health {\nlameduck\n}").starts_with("Corefile:3:1:"));
    }
}

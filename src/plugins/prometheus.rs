//! Name: `prometheus`
//!
//! Description: shows the server's metrics over HTTP at `/metrics`.
//!
//! Syntax:
//!
//! ```text
//! prometheus [ADDRESS] {
//!     runtime_metrics
//! }
//! ```
//!
//! The address is `localhost:9153` unless given; in a cluster write `:9153`.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     prometheus :9153
//!     whoami
//! }
//! ```
//!
//! Metrics: `coredns_build_info`, `coredns_plugin_enabled`, `coredns_panics_total` and the `coredns_dns_` family.
//!
//! Ready: always.
//!
//! Differences: `runtime_metrics` is read and has no effect, there is no Go runtime to measure.

use std::sync::Arc;

use crate::chain::Plugin;
use crate::chain::setup::{Context, once};
use crate::corefile::{Directive, Error};
use crate::syntax::words;

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    let address = match directive.arguments.as_slice() {
        [] => "localhost:9153".to_owned(),
        _ => words::listen_address(directive.one_argument("an address")?)?,
    };
    for line in directive.lines() {
        match line.name.text.as_str() {
            "runtime_metrics" => words::alone(line)?,
            _ => return Err(words::unknown(line, "prometheus", &["runtime_metrics"])),
        }
    }
    context.settings.pages.push((address.clone(), directive.name.clone()));
    context.settings.prometheus = Some(address);
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};

    #[test]
    fn the_address_has_a_default_and_a_port() {
        assert_eq!(block("prometheus").unwrap().settings.prometheus.as_deref(), Some("localhost:9153"));
        assert_eq!(block("prometheus :9153").unwrap().settings.prometheus.as_deref(), Some(":9153"));
        assert!(fault("prometheus 9153").starts_with("Corefile:2:12:"));
        assert!(fault("prometheus :1 :2").starts_with("Corefile:2:15:"));
    }
}

//! Name: `metadata`
//!
//! Description: lets plugins say what they know of a query, for `log`, `template`, `rewrite` and `view`.
//!
//! Syntax:
//!
//! ```text
//! metadata [ZONES...]
//! ```
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     metadata
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

use futures_util::future::BoxFuture;

use crate::chain::setup::{Context, once};
use crate::chain::{Next, Outcome, Passing, Plugin, Query};
use crate::corefile::{Directive, Error};
use crate::syntax::names::Zones;
use crate::wire::Name;

/// The plugin.
pub(crate) struct Collector {
    zones: Zones,
    /// The name of the block's `view`, mostly empty.
    view: String,
}

impl Plugin for Collector {
    fn name(&self) -> &'static str {
        "metadata"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if self.zones.matching(&query.qname()).is_some() {
                let mut metadata = std::mem::take(&mut query.metadata);
                if !self.view.is_empty() {
                    metadata.insert("view/name".to_owned(), self.view.clone());
                }
                for plugin in next.plugins() {
                    plugin.metadata(query, &mut metadata);
                }
                query.metadata = metadata;
            }
            Outcome::Next
        })
    }

    fn passing(&self) -> Passing {
        Passing::Unchanged
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        // Those who read the metadata say so themselves.
        None
    }
}

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    directive.no_body()?;
    let zones = Zones::read(&directive.arguments, context.zones)?;
    Ok(vec![Arc::new(Collector { zones, view: context.view.to_owned() })])
}

#[cfg(test)]
mod tests {
    use super::super::testing::block;
    use crate::chain::testing::{query, run};
    use crate::wire::message::RecordType;

    #[test]
    fn plugins_tell_what_they_know_within_its_zones() {
        // Another class, so that the cluster leaves the query to the next.
        let ask = |text: &str| {
            let chain = block(text).unwrap().chain;
            let mut asked = query("web.default.svc.cluster.local.", RecordType::A);
            asked.request.change(|request| request.queries[0].query_class = crate::wire::message::DNSClass::CH);
            run(&chain, &mut asked);
            asked.metadata.get("kubernetes/service").cloned()
        };
        assert_eq!(ask("metadata\nkubernetes cluster.local\nwhoami").as_deref(), Some("web"));
        assert_eq!(ask("metadata example.org\nkubernetes cluster.local\nwhoami"), None);
    }

    #[test]
    fn the_view_that_serves_is_told() {
        let ask = |text: &str| {
            let mut asked = query("www.example.org.", RecordType::A);
            run(&block(text).unwrap().chain, &mut asked);
            asked.metadata.get("view/name").cloned()
        };
        assert_eq!(ask("metadata\nview inside {\nexpr true\n}\nwhoami").as_deref(), Some("inside"));
        assert_eq!(ask("view inside {\nexpr true\n}\nwhoami"), None);
        assert_eq!(ask("metadata\nwhoami"), None);
    }
}

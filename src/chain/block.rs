//! A server block, ready to serve.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use super::plugin::{Next, Plugin};
use super::query::{Client, Metadata, Query, Resolve};
use super::reply::Outcome;
use super::request::Request;
use super::settings::Settings;
use crate::corefile::Key;
use crate::wire::message::{MessageName, RecordType, Size};
use crate::wire::{Failure, Question};
use crate::zone::View;

/// A server block, ready to serve.
pub struct Block {
    /// The keys that it serves.
    pub keys: Vec<Key>,
    /// Its plugins, in order.
    pub chain: Vec<Arc<dyn Plugin>>,
    /// Everything that is no plugin.
    pub settings: Settings,
}

impl Block {
    /// The chain, to run a query through.
    pub fn next(&self) -> Next<'_> {
        Next::new(&self.chain)
    }

    /// The cluster's names, where some plugin answers from them.
    pub fn view(&self) -> Option<Arc<View>> {
        self.chain.iter().find_map(|plugin| plugin.view())
    }

    /// Whether it serves a question: what its `view` says. Without one it serves all.
    pub fn admits(&self, question: &Question<'_>, client: &Client) -> bool {
        let Some(filter) = &self.settings.view else { return true };
        let request = Request::received(question);
        let mut query = Query::new(request, *client, Instant::now(), Size::tcp(), Arc::new(Nobody));
        if self.settings.enabled.contains(&"metadata") {
            let mut metadata = Metadata::new();
            self.chain.iter().for_each(|plugin| plugin.metadata(&query, &mut metadata));
            query.metadata = metadata;
        }
        filter.admits(&query)
    }

    /// The view to answer cluster names from without the chain, or why that cannot be: one reason for each plugin in the way.
    /// Questions that [`Settings::exclusions`] names take the chain all the same.
    ///
    /// # Errors
    /// The reasons, as `PLUGIN: REASON`; none when no plugin answers cluster names at all.
    pub fn fast(&self) -> Result<Arc<View>, Vec<String>> {
        let mut reasons = Vec::new();
        let Some(view) = self.view() else { return Err(reasons) };
        if self.settings.view.is_some() {
            reasons.push("view: which block serves depends on the query".to_owned());
        }
        for plugin in self.chain.iter().take_while(|plugin| plugin.view().is_none()) {
            if let Some(reason) = plugin.needs_message(&view.zones) {
                reasons.push(format!("{}: {reason}", plugin.name()));
            }
        }
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let mut before = self.chain.iter().take_while(|plugin| plugin.view().is_none());
        match before.find_map(|plugin| plugin.ttl_bounds()) {
            Some(bounds) => Ok(Arc::new(View { bounds: Some(bounds), ..View::clone(&view) })),
            None => Ok(view),
        }
    }
}

/// Nobody is asked while it is decided who serves.
struct Nobody;

impl Resolve for Nobody {
    fn lookup<'a>(&'a self, _: &'a Query, _: &'a MessageName, _: RecordType) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::Failed("view", Failure::servfail("no look-up is made to choose a server block")) })
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain: Vec<&str> = self.chain.iter().map(|plugin| plugin.name()).collect();
        f.debug_struct("Block").field("keys", &self.keys).field("chain", &chain).finish_non_exhaustive()
    }
}

//! The ready endpoints of one Service: found by label, counted, picked at random, changed at the cost of what changed.
//!
//! Endpoints are merged by label over all slices before they come here, so that nothing is listed twice.

use std::net::IpAddr;
use std::sync::Arc;

use super::Port;
use crate::wire::Label;

/// The ready endpoints of one Service, in one version.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {}

/// What becomes of one label.
#[derive(Clone, Debug)]
pub struct Change {
    /// The endpoint's label.
    pub label: Label,
    /// Its state from now on, merged over all slices; `None` when it is gone.
    pub state: Option<State>,
}

/// An endpoint as merged over all slices that list its label.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Its addresses, sorted, each once.
    pub addresses: Vec<IpAddr>,
    /// Its ports, sorted, each once; shared between endpoints that have the same.
    pub ports: Arc<[Port]>,
    /// Its topology zone, kept only when zonal names are asked for.
    pub zone: Option<Arc<str>>,
}

impl Endpoints {
    /// The next version: only the chunks that hold a changed label or address are written anew.
    #[must_use]
    pub fn apply(&self, changes: &[Change]) -> Self {
        let _ = changes;
        todo!()
    }

    /// Whether no endpoint is ready.
    pub fn is_empty(&self) -> bool {
        todo!()
    }

    /// The present state of a label (lower case).
    pub fn get(&self, label: &[u8]) -> Option<State> {
        let _ = label;
        todo!()
    }
}

//! Plugins, queries and replies that pass along their chain, and server blocks; no directive is known here.
//!
//! A [`Query`] runs through the [`Plugin`]s of a [`Block`] by [`Next`], and an [`Outcome`] comes back, mostly a [`Reply`].
//! [`setup`] is what a directive sees while its block is made; [`settings`] is what the rest of the server reads of a block.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

pub mod settings;
pub mod setup;

mod block;
mod exclusion;
mod plugin;
mod query;
mod reply;
mod request;
mod source;
mod trace;

#[cfg(test)]
pub(crate) mod testing;

pub use block::Block;
pub use exclusion::FastPathExclusion;
pub use plugin::{FastPath, FastPathQuestion, Next, Passing, Plugin};
pub(crate) use query::{Choice, is_transfer};
pub use query::{Client, Metadata, Query, Resolve, Transport};
pub(crate) use reply::append;
pub use reply::{More, Outcome, Reply};
pub use request::Request;
pub use source::{Access, Mirrors, Source};
pub use trace::{Trace, TraceEnd, TraceStep};

//! What a plugin is, what passes along a chain of plugins, and what a server block is; no directive is known here.
//!
//! A [`Query`] runs through the [`Plugin`]s of a [`Block`] by [`Next`], and an [`Outcome`] comes back, mostly a [`Reply`].
//! [`setup`] is what a directive sees while its block is made; [`settings`] is what the rest of the server reads of a block.

pub mod settings;
pub mod setup;

mod plugin;
mod source;

#[cfg(test)]
pub(crate) mod testing;

pub use plugin::{
    Asking, Client, Metadata, More, Next, Outcome, Passing, Plugin, Query, Recall, Reply, Resolve, Transport,
};
pub(crate) use plugin::{Choice, append, is_transfer};
pub use settings::Divert;
pub use setup::{Block, Mirrors};
pub use source::{Access, Source};

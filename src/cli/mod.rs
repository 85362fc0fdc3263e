//! The command line and its subcommands.
//!
//! [`flags`] reads the words, [`run`] does what they ask for: it serves, with [`signals`] as the operator's later word, or
//! hands over to [`check`], [`diff`], [`mod@explain`] and [`local`].

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

mod check;
mod diff;
mod explain;
mod flags;
mod local;
mod run;
mod signals;

pub use run::main;

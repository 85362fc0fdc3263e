//! The command line and its subcommands.
//!
//! [`flags`] reads the words, [`run`] does what they ask for: it serves, with [`signals`] as the operator's later word, or
//! hands over to [`check`], [`diff`] and [`local`].

mod check;
mod diff;
mod flags;
mod local;
mod run;
mod signals;

pub use run::main;

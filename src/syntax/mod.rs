//! The small languages inside a directive's words: templates, expressions, patterns, zone-file text, names, durations.
//!
//! [`words`] and [`names`] read the plain ones. [`record`] reads and writes zone-file text, [`gotext`] fills templates in,
//! [`expression`] works out what `view` and `template` ask, [`goregex`] takes patterns over from Go, [`filter`] is a set of
//! names that is asked without waiting.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

pub(crate) mod expression;
pub(crate) mod filter;
pub(crate) mod gotext;
pub(crate) mod names;
pub(crate) mod record;
pub(crate) mod words;

mod goregex;

#[cfg(test)]
pub(crate) mod testing;

pub use filter::NameFilter;

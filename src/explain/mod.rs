//! Tells people why a name is answered as it is: what was asked and done, the objects behind it, and the cause and the next
//! step for what is missing.
//!
//! A [`Report`] is plain data, for programs as JSON and for people by [`text()`]. Who gathers what is known hands it to
//! [`causes()`] as a [`Scene`]; nothing here asks anybody, and nothing here is on the way of an answer.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

mod aliases;
mod causes;
mod endpoints;
mod nearest;
mod path;
mod report;
mod scene;
mod search;
mod text;

#[cfg(test)]
mod tests;

pub use causes::{causes, outside};
pub use endpoints::left_out;
pub use path::path;
pub use report::{Cause, LeftOut, PathStep, Report, ReportObject, SearchStep, WatchLine};
pub use scene::{AliasHop, Scene};
pub use search::search_list;
pub use text::text;

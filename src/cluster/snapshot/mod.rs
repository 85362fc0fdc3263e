//! Snapshots: what is known of a cluster, kept on disk, so that a server that is started again can answer at once.
//!
//! Facts are kept, not the zone: the first lists are then applied to them as a difference, by which nothing blinks, and
//! where an answer comes from can be explained as ever. A snapshot never replaces a list. Whoever has read one answers the
//! names in it, knows of no other name whether it exists, and is not ready.
//!
//! Plain and sync, as all of this room but [`watch`](super::watch): [`mod@format`] is the octets, [`records`] the facts in
//! them, [`mod@file`] the place on disk and what is refused, [`schedule`] when one is due.

mod file;
mod format;
mod metrics;
mod records;
mod schedule;

#[cfg(test)]
mod tests;

pub use file::{Origin, SnapshotFile, SnapshotOptions, encode};
pub use format::{Blocks, Encoder, Head, Refusal, Snapshot, VERSION};
pub use metrics::register;
pub use schedule::{Known, Schedule};

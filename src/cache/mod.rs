//! Remembers an answer until its TTL ends; the time is an argument.
//!
//! Plain and synchronous: no task, no clock, no socket. [`Cache::lookup`] copies a remembered answer, or what fits of it, into
//! the caller's buffer without allocating; [`Cache::store`] decides what may be remembered and for how long (RFC 2308, RFC 8767).
//! Not for deciding whose answers come here: the `cache` plugin keeps the cluster's own names out.
//!
//! An answer is kept as octets, with the places of its TTLs. It is found by name, type, class and the DO and CD bits, so that
//! nobody gets an answer that was made for a query of another kind. Answers and denials have a capacity each, in entries and in
//! octets; what is over is made room for by evicting the soonest to end of a random few.
//!
//! By hand: crates for caches read the clock themselves and know nothing of TTLs within a value, of stale answers, or of
//! a second bound in octets.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

mod ask;
mod entry;
mod settings;
mod shape;
mod shard;
mod store;

pub use ask::Ask;
pub use entry::{AnswerKind, Hit, Room};
pub use settings::{CacheSettings, Capacity, Prefetch, Stale};
pub use shape::{cap_ttls, clear_authentic};
pub use store::{Cache, StoreVerdict};

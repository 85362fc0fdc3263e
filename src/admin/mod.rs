//! Tells an operator the state: health, ready, metrics. It is handed handles and imports no other room.
//!
//! [`Admin`] keeps one listener for each address and lets a reload change what stands behind it, so that a probe never
//! meets a closed port. [`pages`] says what an operator reads there, [`probe`] asks our own `/health` as a kubelet would.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

mod http;
mod listen;
mod pages;
mod places;
mod probe;

pub use listen::{Admin, BindError, PreparedSites, Sites};
pub use pages::{AdminPage, PageResponse, Readiness, explain, health, metrics, ready};
pub use probe::{Probe, register};

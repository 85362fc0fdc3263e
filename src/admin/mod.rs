//! Tells an operator the state: health, ready, metrics. It is handed handles and imports no other room.
//!
//! [`Admin`] keeps one listener for each address and lets a reload change what stands behind it, so that a probe never
//! meets a closed port. [`pages`] says what an operator reads there, [`unix`] shows it within the pod or machine alone, [`client`] asks another process
//! for it, [`probe`] asks our own `/health` as a kubelet would.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

mod address;
mod client;
mod http;
mod listen;
mod pages;
mod places;
mod probe;
mod unix;

pub use address::{DEFAULT_SOCKET, PageAddress, PageAddresses};
pub use client::ask;
pub use listen::{Admin, BindError, PreparedSites, Sites};
pub use pages::{AdminPage, AskedPage, PageResponse, Readiness, explain, health, metrics, ready};
pub use probe::{Probe, register};
pub use unix::LocalSite;

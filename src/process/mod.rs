//! One running server: Corefile to plan to servers, watches and admin; start, reload, drain.
//!
//! [`plan`] says what each listener serves, [`instance`] runs it, [`reload`] changes over to the next one, [`mirrors`]
//! keeps one mirror for each cluster, whatever the plans. [`corefile_source`] reads the Corefile that an operator named, [`pages`]
//! is what the admin pages tell, [`logs`] and [`metrics`] what the process says of itself, [`heap`], [`interfaces`]
//! and `usage` what it asks of the operating system, `sandbox` what it gives up.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

pub(crate) mod corefile_source;
pub(crate) mod error;
pub(crate) mod explain;
pub(crate) mod heap;
pub(crate) mod instance;
pub(crate) mod interfaces;
pub(crate) mod logs;
pub(crate) mod mirrors;
pub(crate) mod plan;
pub(crate) mod reload;
#[cfg(target_os = "linux")]
pub(crate) mod sandbox;
pub(crate) mod version;

mod metrics;
mod pages;
#[cfg(target_os = "linux")]
mod usage;

#[cfg(test)]
mod tests;

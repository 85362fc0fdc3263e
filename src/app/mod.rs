//! Wires the rooms: Corefile to plan to servers, watches and admin; start, reload, drain.
//!
//! [`plan`] says what each listener serves, [`instance`] runs it, [`reload`] changes over to the next one, [`mirrors`]
//! keeps one mirror for each cluster, whatever the plans. [`flags`], [`origin`] and [`signals`] are what an operator says.

mod check;
mod diff;
mod error;
mod flags;
mod heap;
mod instance;
mod interfaces;
mod local;
mod logs;
mod metrics;
mod mirrors;
mod origin;
mod plan;
mod reload;
mod run;
mod signals;
mod state;

pub use run::main;

/// Our version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The revision that the binary was built from, when the build says so.
const REVISION: &str = match option_env!("ROLLCALL_REVISION") {
    Some(revision) => revision,
    None => "",
};
/// The release whose Corefile, flags, metrics and log lines are taken over.
const COMPATIBLE: &str = "CoreDNS-1.15.0";

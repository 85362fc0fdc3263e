//! The directives: what each does to one query; one file for each, named as in the Corefile.
//!
//! [`blocks`] turns a server block into its chain, in CoreDNS's fixed order, which the table in `directives` has. What a plugin
//! is, and what it sees, is in [`crate::chain`].

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

pub mod blocks;

mod acl;
mod any;
mod autopath;
mod bind;
mod bufsize;
mod cache;
mod chaos;
mod debug;
mod directives;
mod dns64;
mod erratic;
mod errors;
mod file;
mod forward;
mod header;
mod health;
mod hosts;
mod k8s_external;
mod kubernetes;
mod loadbalance;
mod local;
mod log;
mod loop_;
mod metadata;
mod metrics;
mod minimal;
mod multisocket;
mod nsid;
mod pprof;
mod prometheus;
mod ready;
mod reload;
mod rewrite;
mod shed;
mod template;
mod timeouts;
mod tls;
mod transfer;
mod view;
mod whoami;

#[cfg(test)]
pub(crate) mod testing;

pub use directives::directive_names;
pub use metrics::register;

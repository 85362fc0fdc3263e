//! What one directive does to one query; one file for each directive, named as in the Corefile.
//!
//! [`chain`] carries a query from plugin to plugin, [`blocks`] turns a server block into its chain, in CoreDNS's fixed order,
//! [`setup`] is what a directive sees meanwhile, and [`settings`] is what the rest of the server reads of a block. Files not named after a directive serve several:
//! `names`, `words`, `record`, `metrics`, `directives`, `filter`, `gotext`, `goregex`, `expression`.

pub mod blocks;
pub mod chain;
pub mod kubernetes;
pub mod settings;
pub mod setup;

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
mod expression;
mod file;
mod filter;
mod forward;
mod goregex;
mod gotext;
mod header;
mod health;
mod hosts;
mod k8s_external;
mod loadbalance;
mod local;
mod log;
mod loop_;
mod metadata;
mod metrics;
mod minimal;
mod multisocket;
mod names;
mod nsid;
mod pprof;
mod prometheus;
mod ready;
mod record;
mod reload;
mod rewrite;
mod template;
mod timeouts;
mod tls;
mod transfer;
mod view;
mod whoami;
mod words;

#[cfg(test)]
pub(crate) mod testing;

pub use directives::directive_names;
pub use filter::NameFilter;
pub use metrics::register;

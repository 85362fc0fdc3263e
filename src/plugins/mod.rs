//! What one directive does to one query; one file for each directive, named as in the Corefile.
//!
//! [`chain`] carries a query from plugin to plugin, [`setup`] turns a server block into its chain, in CoreDNS's fixed order,
//! and [`settings`] is what the rest of the server reads of a block. Files not named after a directive serve several:
//! `names`, `words`, `record`, `metrics`, `directives`, `filter`, `gotext`.

pub mod chain;
pub mod kubernetes;
pub mod settings;
pub mod setup;

mod bind;
mod cache;
mod debug;
mod directives;
mod errors;
mod filter;
mod forward;
mod gotext;
mod health;
mod hosts;
mod loadbalance;
mod log;
mod loop_;
mod metrics;
mod minimal;
mod names;
mod nsid;
mod prometheus;
mod ready;
mod record;
mod reload;
mod template;
mod whoami;
mod words;

#[cfg(test)]
mod testing;

pub use filter::NameFilter;
pub use metrics::register;

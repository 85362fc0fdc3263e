//! What one directive does to one query; one file for each directive, named as in the Corefile.
//!
//! [`chain`] carries a query from plugin to plugin, [`setup`] turns a server block into its chain, in CoreDNS's fixed order.

pub mod chain;
pub mod setup;

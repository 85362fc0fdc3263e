//! The table of directives, in the order of their plugins in a chain.

use super::setup::Setup;
use super::{
    acl, any, autopath, bind, bufsize, cache, chaos, debug, dns64, erratic, errors, file, forward, header, health,
    hosts, k8s_external, kubernetes, loadbalance, local, log, loop_, metadata, minimal, multisocket, nsid, pprof,
    prometheus, ready, reload, rewrite, template, timeouts, tls, transfer, view, whoami,
};
use crate::corefile::{Error, Token};

/// Directives with their setup, in CoreDNS's order. The order in the Corefile means nothing.
pub(crate) const TABLE: &[(&str, Setup)] = &[
    ("metadata", metadata::setup),
    ("timeouts", timeouts::setup),
    ("multisocket", multisocket::setup),
    ("reload", reload::setup),
    ("nsid", nsid::setup),
    ("bufsize", bufsize::setup),
    ("bind", bind::setup),
    ("debug", debug::setup),
    ("ready", ready::setup),
    ("health", health::setup),
    ("pprof", pprof::setup),
    ("prometheus", prometheus::setup),
    ("errors", errors::setup),
    ("log", log::setup),
    ("local", local::setup),
    ("dns64", dns64::setup),
    ("any", any::setup),
    ("chaos", chaos::setup),
    ("loadbalance", loadbalance::setup),
    ("rewrite", rewrite::setup),
    ("autopath", autopath::setup),
    ("acl", acl::setup),
    ("cache", cache::setup),
    ("header", header::setup),
    ("tls", tls::setup),
    ("minimal", minimal::setup),
    ("template", template::setup),
    ("transfer", transfer::setup),
    ("hosts", hosts::setup),
    ("k8s_external", k8s_external::setup),
    ("kubernetes", kubernetes::setup),
    ("file", file::setup),
    ("loop", loop_::setup),
    ("forward", forward::setup),
    ("erratic", erratic::setup),
    ("whoami", whoami::setup),
    ("view", view::setup),
];

/// Directives of CoreDNS's own build that are not supported.
const OTHERS: [&str; 31] = [
    "root",
    "geoip",
    "proxyproto",
    "siit",
    "dynupdate",
    "cancel",
    "quic",
    "grpc_server",
    "https",
    "https3",
    "trace",
    "shed",
    "dnstap",
    "tsig",
    "dnssec",
    "route53",
    "azure",
    "clouddns",
    "auto",
    "secondary",
    "etcd",
    "grpc",
    "on",
    "sign",
    "nomad",
    "doh",
    "nodecache",
    "federation",
    "proxy",
    "startup",
    "shutdown",
];

/// The directives that are supported, in the order of the alphabet.
pub fn directive_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names
}

/// Refuses a name that is no directive.
///
/// # Errors
/// At the name; says whether it is unknown or not supported, and what is.
pub(crate) fn check_name(name: &Token) -> Result<(), Error> {
    if TABLE.iter().any(|(known, _)| *known == name.text) {
        return Ok(());
    }
    let known = directive_names();
    let what = if OTHERS.contains(&name.text.as_str()) {
        format!("the directive `{}` is not supported", name.text)
    } else {
        format!("unknown directive `{}`", name.text)
    };
    Err(name.error(format!("{what}; supported are {}", known.join(", "))))
}

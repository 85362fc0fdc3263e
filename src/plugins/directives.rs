//! The table of directives, in the order of their plugins in a chain.

use super::{
    acl, any, autopath, bind, bufsize, cache, chaos, debug, dns64, erratic, errors, file, forward, header, health,
    hosts, k8s_external, kubernetes, loadbalance, local, log, loop_, metadata, minimal, multisocket, nsid, pprof,
    prometheus, ready, reload, rewrite, shed, template, timeouts, tls, transfer, view, whoami,
};
use crate::chain::setup::Setup;
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
    ("shed", shed::setup),
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

/// Directives that CoreDNS has, or once had, and this server has not, each with what stands in its place.
const OTHERS: &[(&[&str], &str)] = &[
    (&["proxy"], "`forward` took its place in CoreDNS 1.5: write `forward . ADDRESS...`"),
    (&["federation"], "it went with the first federation of Kubernetes: delete the line"),
    (
        &["multicluster"],
        "it is an option now: write `multicluster ZONE` into the block of `kubernetes`, with the zone behind it",
    ),
    (
        &["startup", "shutdown", "on"],
        "this server runs no commands (in CoreDNS `on` took the place of `startup` and `shutdown`): delete the line",
    ),
    (&["auto"], "write a `file` line for each zone"),
    (&["secondary"], "write `forward ZONE ADDRESS` with its primary, or `file` with a copy of the zone"),
    (
        &["etcd", "nomad", "route53", "azure", "clouddns", "grpc"],
        "write `forward ZONE ADDRESS` with a server that has these names",
    ),
    (&["dnssec", "sign"], "nothing is signed here: serve a zone signed elsewhere with `file`"),
    (&["tsig"], "transfers are allowed by address: write `transfer` with `to ADDRESS`, or `acl`"),
    (&["dnstap", "trace"], "`log` tells of queries, and -rollcall.explain of single answers: delete the line"),
    (&["root"], "write whole paths after `file`, `hosts` and `tls`"),
    (&["geoip"], "nothing here knows countries: delete the line, and what reads its metadata"),
    (&["proxyproto"], "clients are known by the address they send from: delete the line"),
    (
        &["cancel", "quic", "https", "https3", "grpc_server"],
        "limits of time, load and connections are built in: delete the line",
    ),
    (&["nodecache"], "it is node-local-dns's own: delete the line, or see deploy/overlays/node-local"),
    (&["siit", "dynupdate", "doh"], "leave this server block to CoreDNS"),
];

/// Plugins of others, which CoreDNS's own images lack as well.
const EXTERNAL: [&str; 24] = [
    "ads",
    "alternate",
    "blocker",
    "blocklist",
    "fanout",
    "git",
    "gslb",
    "ipecho",
    "k8s_crd",
    "k8s_gateway",
    "kubernetai",
    "lighthouse",
    "mdns",
    "meship",
    "mysql",
    "netbox",
    "pdsql",
    "records",
    "recursor",
    "redis",
    "rrl",
    "tailscale",
    "unbound",
    "wgsd",
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
    let text = name.text.as_str();
    if let Some((_, advice)) = OTHERS.iter().find(|(names, _)| names.contains(&text)) {
        return Err(name.error(format!("the directive `{text}` is not supported; {advice}")));
    }
    if EXTERNAL.contains(&text) {
        return Err(name.error(format!(
            "`{text}` is no plugin of CoreDNS's own images, and not supported; leave this server block to the server that has it"
        )));
    }
    let known = directive_names();
    let near = known.iter().filter(|known| text.len() <= 2 * known.len());
    let near = near.map(|known| (distance(text, known), known)).min();
    let advice = match near {
        Some((away, known)) if away <= (text.len() / 3).max(1) => format!("did you mean `{known}`?"),
        _ => format!("supported are {}", known.join(", ")),
    };
    Err(name.error(format!("unknown directive `{text}`; {advice}")))
}

/// The number of letters that are wrong, missing, too many or changed places with the next.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    // Rows of the table: two above, one above, the present.
    let mut above = vec![usize::MAX / 2; other.len() + 1];
    let mut row: Vec<usize> = (0..=other.len()).collect();
    let mut before = None;
    for (at, &letter) in one.iter().enumerate() {
        let mut next = vec![at + 1];
        for (column, &wanted) in other.iter().enumerate() {
            let (left, up) =
                (next.last().copied().unwrap_or_default(), row.get(column + 1).copied().unwrap_or_default());
            let diagonal = row.get(column).copied().unwrap_or_default() + usize::from(letter != wanted);
            let swapped = column > 0 && before == Some(wanted) && other.get(column - 1) == Some(&letter);
            let swapped = if swapped { above.get(column - 1).copied().unwrap_or_default() + 1 } else { usize::MAX };
            next.push((left + 1).min(up + 1).min(diagonal).min(swapped));
        }
        (above, row, before) = (row, next, Some(letter));
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::testing::fault;
    use super::*;

    #[test]
    fn letters_that_differ_are_counted() {
        for (one, other, away) in [
            ("forward", "forward", 0),
            ("foward", "forward", 1),
            ("froward", "forward", 1),
            ("", "tls", 3),
            ("lgo", "log", 1),
            ("abc", "xyz", 3),
        ] {
            assert_eq!((distance(one, other), distance(other, one)), (away, away), "{one} {other}");
        }
    }

    #[test]
    fn a_misspelt_directive_brings_one_answer_and_an_old_one_its_successor() {
        for (wrong, right) in
            [("foward", "forward"), ("kubernets", "kubernetes"), ("errrors", "errors"), ("promethues", "prometheus")]
        {
            let said = fault(wrong);
            assert!(said.ends_with(&format!("unknown directive `{wrong}`; did you mean `{right}`?")), "{said}");
        }
        assert!(fault("proxy . 192.0.2.1").contains("`forward` took its place"));
        assert!(fault("federation cluster.local").contains("delete the line"));
        assert!(fault("multicluster clusterset.local").contains("option now"));
        assert!(fault("nosuchthing").contains("supported are acl, any,"));
        assert!(fault("cancel").contains("is not supported; limits of time"), "it is not misspelt");
        assert!(fault("etcd example.org").contains("write `forward ZONE ADDRESS`"));
        assert!(fault("fanout . 192.0.2.1").contains("no plugin of CoreDNS's own images"));
        let others = OTHERS.iter().flat_map(|(names, _)| names.iter()).chain(&EXTERNAL);
        let both: Vec<_> = others.filter(|name| TABLE.iter().any(|(known, _)| known == *name)).collect();
        assert!(both.is_empty(), "{both:?} are supported");
    }
}

//! A plan in words, and what a start needs of the machine beside the Corefile.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::chain::Block;
use crate::corefile;
use crate::corefile::{Corefile, Token};
use crate::process::plan::Plan;

/// The server blocks of a plan: where each listens, what it does, how cluster names are answered.
pub(super) fn blocks(plan: &Plan) -> String {
    let mut out = String::new();
    for block in &plan.blocks {
        // Writing to a string cannot fail.
        let _ = write_block(&mut out, block, plan);
    }
    out
}

/// The needs of a start that were not tried: addresses that this machine does not have, a pod's credentials.
pub(super) fn surroundings(plan: &Plan, corefile: &Corefile, interfaces: &[(String, IpAddr)]) -> Vec<corefile::Error> {
    let lacks = |address: IpAddr| {
        let here = address.is_unspecified() || address.is_loopback();
        !here && !interfaces.is_empty() && interfaces.iter().all(|(_, own)| *own != address)
    };
    let lacking = |address: IpAddr, at: &Token| {
        lacks(address).then(|| at.error(format!("this machine does not have {address}, a start here would fail")))
    };
    let mut notes = Vec::new();
    for line in corefile.blocks.iter().flat_map(|block| &block.directives) {
        match line.name.text.as_str() {
            "bind" => notes.extend(line.arguments.iter().filter_map(|word| lacking(word.text.parse().ok()?, word))),
            "kubernetes" if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() => {
                let told = line.lines().iter().any(|line| matches!(&*line.name.text, "kubeconfig" | "endpoint"));
                notes.extend((!told).then(|| line.name.error("kubernetes needs a pod's credentials; not tried here")));
            }
            _ => {}
        }
    }
    let pages = plan.blocks.iter().flat_map(|block| &block.settings.pages);
    notes.extend(pages.filter_map(|(address, at)| lacking(address.parse::<SocketAddr>().ok()?.ip(), at)));
    notes
}

fn write_block(out: &mut String, block: &Arc<Block>, plan: &Plan) -> std::fmt::Result {
    let zones: Vec<String> = block.keys.iter().map(|key| key.zone.to_string()).collect();
    match block.keys.first() {
        Some(key) => writeln!(out, "{}: server block {}", key.token.position, zones.join(" "))?,
        None => writeln!(out, "server block")?,
    }
    writeln!(out, "  listens    {}", plan.listeners(block).join(" "))?;
    writeln!(out, "  directives {}", block.settings.enabled.join(" "))?;
    let chain: Vec<&str> = block.chain.iter().map(|plugin| plugin.name()).collect();
    writeln!(
        out,
        "  chain      {}",
        if chain.is_empty() { "nothing: every query is refused".to_owned() } else { chain.join(" > ") }
    )?;
    let cluster = match block.fast() {
        Ok(view) => {
            let zones: Vec<String> = view.zones.iter().map(ToString::to_string).collect();
            format!("{}: answered on the fast path, without the chain", zones.join(" "))
        }
        Err(reasons) if reasons.is_empty() => "none: no plugin answers cluster names here".to_owned(),
        Err(reasons) => format!("answered through the chain, because of {}", reasons.join("; ")),
    };
    writeln!(out, "  cluster    {cluster}")
}

//! `rollcall check FILE`: what the server would do with a Corefile, without doing it.

use std::fmt::Write;
use std::path::Path;

use super::error::Error;
use super::mirrors::Unsynced;
use super::origin;
use super::plan::Plan;
use crate::corefile::{Corefile, Source};
use crate::plugins::setup::{Block, Kept};

/// Describes a Corefile.
///
/// # Errors
/// When the server would refuse it, with the place.
pub(super) fn describe(file: &Path) -> Result<String, Error> {
    let source = Source::File(file.to_owned());
    let corefile = origin::read(&source)?;
    if corefile.blocks.is_empty() {
        return Err(Error::operator(format!(
            "{}:1:1: expected a server block, as in `.:53 {{`, found none",
            file.display()
        )));
    }
    let plan = Plan::new(&corefile, 53, &mut Unsynced, &Kept::default())?;
    Ok(text(&plan, &corefile))
}

fn text(plan: &Plan, corefile: &Corefile) -> String {
    let mut out = String::new();
    for block in &plan.blocks {
        // Writing to a string cannot fail.
        let _ = write_block(&mut out, block, plan);
    }
    for warning in corefile.warnings.iter().chain(plan.blocks.iter().flat_map(|block| &block.settings.notes)) {
        let _ = writeln!(out, "note: {warning}");
    }
    out
}

fn write_block(out: &mut String, block: &std::sync::Arc<Block>, plan: &Plan) -> std::fmt::Result {
    let zones: Vec<&str> = block.keys.iter().map(|key| key.zone.as_str()).collect();
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

//! A report as text for people.

use std::fmt::Write;

use super::report::Report;

/// The report as lines of text.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(report, &mut text);
    text
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let rcode = report.rcode.as_deref().unwrap_or("no answer");
    let records = match report.records.len() {
        0 if rcode == "NOERROR" => ", no record of this type (NODATA)".to_owned(),
        0 => String::new(),
        1 => ", 1 record".to_owned(),
        more => format!(", {more} records"),
    };
    writeln!(out, "{} {}: {rcode}{records}", report.name, report.rtype)?;
    const SHOWN: usize = 25;
    for record in report.records.iter().take(SHOWN) {
        writeln!(out, "  {record}")?;
    }
    if report.records.len() > SHOWN {
        writeln!(out, "  and {} more", report.records.len() - SHOWN)?;
    }
    if !report.causes.is_empty() {
        writeln!(out, "\nwhy")?;
        for cause in &report.causes {
            writeln!(out, "  {}\n    next: {}", cause.cause, cause.next)?;
        }
    }
    if report.search.len() > 1 || report.namespace.is_some() {
        let of = report.namespace.as_deref().unwrap_or_default();
        writeln!(out, "\nsearch list of a pod in namespace {of} (ndots:5)")?;
        for step in &report.search {
            let chosen = if step.name == report.about { "  <- explained here" } else { "" };
            writeln!(
                out,
                "  {} {}, {} records{chosen}",
                step.name,
                step.rcode.as_deref().unwrap_or("no answer"),
                step.records
            )?;
        }
    }
    match &report.block {
        Some(block) => writeln!(out, "\nserver block {block} ({})", report.plugins.join(", "))?,
        None => writeln!(out, "\nno server block is for the name")?,
    }
    for step in report.path.iter().filter(|step| step.acted) {
        let indent = "  ".repeat(usize::from(step.depth) + 1);
        writeln!(out, "{indent}{}: {} {}", step.plugin, step.name, step.did)?;
    }
    if let (Some(zone), Some(rule)) = (&report.zone, &report.rule) {
        writeln!(out, "\n{} in the zone {zone}\n  {rule}", report.about)?;
    }
    for object in &report.objects {
        write!(out, "{} {}/{}: ", object.kind, object.namespace, object.name)?;
        match (object.resource_version, object.arrived, object.age) {
            (Some(version), Some(arrived), Some(age)) => {
                write!(out, "resourceVersion {version}, arrived {age} s ago (Unix second {arrived})")?;
            }
            _ => write!(out, "not known")?,
        }
        match &*object.note {
            "" => writeln!(out)?,
            note => writeln!(out, "; {note}")?,
        }
    }
    if !report.left_out.is_empty() {
        writeln!(out, "\nnot in the answer")?;
        for left in &report.left_out {
            writeln!(out, "  {}: {}", left.name, left.why)?;
        }
    }
    if !report.gaps.is_empty() {
        writeln!(out, "\nnot looked at")?;
        report.gaps.iter().try_for_each(|gap| writeln!(out, "  {gap}"))?;
    }
    if let Some(second) = report.snapshot {
        writeln!(
            out,
            "\nanswered from a snapshot: true up to Unix second {second}, until the API server has listed all"
        )?;
    }
    if !report.watches.is_empty() {
        writeln!(out)?;
    }
    report.watches.iter().try_for_each(|watch| writeln!(out, "watch of {}: {}", watch.kind, watch.state))
}

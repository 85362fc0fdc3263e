//! `rollcall check FILE|-`: what the server would do with a Corefile, without doing it.
//!
//! [`input`] finds the Corefile in what is given, [`faults`] looks for all that is wrong with it, [`describe`] says what is
//! right, [`findings`] is how both are told.

mod describe;
mod faults;
mod findings;
mod input;

use self::findings::Finding;
use self::input::Input;
use super::flags::{CheckOptions, Output};
use crate::corefile::Corefile;
use crate::process::error::Error;
use crate::process::plan::Plan;
use crate::process::{corefile_source, interfaces};

/// The outcome of a check, ready to be printed.
#[derive(Debug)]
pub(super) struct Checked {
    /// The text to print.
    pub(super) text: String,
    /// Whether the server would take the Corefile.
    pub(super) is_accepted: bool,
}

/// Checks what the options name.
///
/// # Errors
/// When the server would refuse it, and people read the outcome: every fault that can be told apart, each with its place.
pub(super) fn check(options: &CheckOptions) -> Result<Checked, Error> {
    let (description, findings) = match input::read(&options.file) {
        Ok(inputs) => {
            let (descriptions, findings): (Vec<_>, Vec<_>) =
                inputs.iter().map(|input| look(input, options.here)).unzip();
            (descriptions.concat(), findings.concat())
        }
        Err(fault) => (String::new(), vec![Finding::Fault(fault)]),
    };
    let faults: Vec<String> =
        findings.iter().filter(|finding| finding.is_fault()).map(|finding| finding.error().to_string()).collect();
    let is_accepted = faults.is_empty();
    match options.output {
        Output::Json => Ok(Checked { text: findings::json(&findings), is_accepted }),
        Output::Text if is_accepted => {
            let notes = findings.iter().map(|finding| format!("note: {}\n", finding.error()));
            Ok(Checked { text: description + &notes.collect::<String>(), is_accepted })
        }
        Output::Text => Err(Error::operator(faults.join("\n"))),
    }
}

/// Describes a Corefile, and finds what is wrong or worth a word, in the order of its lines.
fn look(input: &Input, here: bool) -> (String, Vec<Finding>) {
    let corefile = match input.parse(here) {
        Ok(corefile) => corefile,
        Err(fault) => return (String::new(), vec![Finding::Fault(fault)]),
    };
    if corefile.blocks.is_empty() {
        let fault = input.whole("expected a server block, as in `.:53 {`, found none");
        return (String::new(), vec![Finding::Fault(fault)]);
    }
    let elsewhere = Some(input.elsewhere()).filter(|_| !here);
    let plan = |corefile: &Corefile| Plan::look(corefile, elsewhere);
    let (plan, faults) = match plan(&corefile) {
        Ok(plan) => (Some(plan), Vec::new()),
        Err(first) => faults::all(corefile.clone(), first, &plan),
    };
    let mut notes = corefile.warnings.clone();
    if let Some(plan) = &plan {
        notes.extend(describe::surroundings(plan, &corefile, &interfaces::list()));
        notes.extend(plan.blocks.iter().flat_map(|block| &block.settings.notes).cloned());
    }
    let faults = faults.into_iter().map(|fault| Finding::Fault(corefile_source::explained(fault, &corefile)));
    let mut findings: Vec<Finding> = faults.chain(notes.into_iter().map(Finding::Note)).collect();
    findings.sort_by_cached_key(Finding::place);
    findings.dedup();
    (plan.as_ref().map(describe::blocks).unwrap_or_default(), findings)
}

#[cfg(test)]
mod tests;

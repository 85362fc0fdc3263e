//! All faults of a Corefile: each is found by leaving out the lines of those before it.

use crate::app::plan::Plan;
use crate::corefile::{Corefile, Directive, Error, Position};

/// How many faults are told at once.
const MOST: usize = 20;

/// The faults beside the first, and the plan of what is left without their lines, if any.
pub(super) fn all(
    mut corefile: Corefile,
    first: Error,
    plan: &dyn Fn(&Corefile) -> Result<Plan, Error>,
) -> (Option<Plan>, Vec<Error>) {
    let (mut found, mut fault) = (vec![first.clone()], first);
    let mut left_out: Vec<String> = Vec::new();
    while found.len() < MOST {
        let mut blocks = corefile.blocks.iter_mut();
        let Some(name) = blocks.find_map(|block| leave_out(&mut block.directives, &fault.position)) else { break };
        left_out.push(name);
        match plan(&corefile) {
            Ok(plan) => return (Some(plan), found),
            Err(next) => {
                // What only lacks a line that was left out is no fault of its own.
                let follows = left_out.iter().any(|name| next.message.split_whitespace().any(|word| word == name));
                if !follows && !found.contains(&next) {
                    found.push(next.clone());
                }
                fault = next;
            }
        }
    }
    (None, found)
}

/// Takes out the innermost line that has a word at this place; says of which directive.
fn leave_out(lines: &mut Vec<Directive>, at: &Position) -> Option<String> {
    let index = lines.iter().position(|line| has(line, at))?;
    let name = lines.get(index)?.name.text.clone();
    let inner = lines.get_mut(index).and_then(|line| line.body.as_mut()).and_then(|body| leave_out(body, at));
    if inner.is_none() {
        lines.remove(index);
    }
    Some(name)
}

fn has(line: &Directive, at: &Position) -> bool {
    let mut words = std::iter::once(&line.name).chain(&line.arguments);
    words.any(|word| word.position == *at) || line.lines().iter().any(|line| has(line, at))
}

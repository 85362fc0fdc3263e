//! All faults of a Corefile: each is found by leaving out the lines of those before it.

use crate::corefile::{Corefile, Directive, Error, Position};
use crate::process::plan::Plan;

/// The number of faults told at once.
const MOST: usize = 20;

/// The faults beside the first, and the plan of what is left without their lines, if any.
pub(super) fn all(
    mut corefile: Corefile,
    first: Error,
    plan: &dyn Fn(&Corefile) -> Result<Plan, Error>,
) -> (Option<Plan>, Vec<Error>) {
    let (mut found, mut fault) = (vec![first.clone()], first);
    let mut left_out: Vec<LeftOut> = Vec::new();
    while found.len() < MOST {
        let mut blocks = corefile.blocks.iter_mut().enumerate();
        let Some(line) = blocks.find_map(|(at, block)| leave_out(&mut block.directives, None, at, &fault.position))
        else {
            break;
        };
        left_out.push(line);
        match plan(&corefile) {
            Ok(plan) => return (Some(plan), found),
            Err(next) => {
                if !found.contains(&next) && !left_out.iter().any(|line| line.is_missed(&next, &corefile)) {
                    found.push(next.clone());
                }
                fault = next;
            }
        }
    }
    (None, found)
}

/// A line that was left out.
struct LeftOut {
    /// The first word of the line.
    name: String,
    /// The server block that it was in.
    block: usize,
    /// The line whose block it was in, if any.
    within: Option<Position>,
}

impl LeftOut {
    /// Whether this is no fault of its own, but the want of the line: told at the line around it, or at the words of another
    /// one of the server block, or of its keys, with the name of the missing line in it.
    fn is_missed(&self, fault: &Error, corefile: &Corefile) -> bool {
        let Some(block) = corefile.blocks.get(self.block) else { return false };
        let names = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == self.name);
        let line = block.directives.iter().find(|line| is_at(line, &fault.position));
        match line {
            Some(line) if self.within.as_ref() == Some(&line.name.position) => line.name.position == fault.position,
            Some(line) => line.name.text != self.name && names(&fault.message),
            None => block.keys.iter().any(|key| key.token.position == fault.position) && names(&fault.message),
        }
    }
}

/// Takes out the innermost line that has a word at this place.
fn leave_out(lines: &mut Vec<Directive>, within: Option<&Position>, block: usize, at: &Position) -> Option<LeftOut> {
    let index = lines.iter().position(|line| has(line, at))?;
    let line = lines.get_mut(index)?;
    let around = line.name.position.clone();
    if let Some(inner) = line.body.as_mut().and_then(|body| leave_out(body, Some(&around), block, at)) {
        return Some(inner);
    }
    let name = lines.remove(index).name.text;
    Some(LeftOut { name, block, within: within.cloned() })
}

fn has(line: &Directive, at: &Position) -> bool {
    is_at(line, at) || line.lines().iter().any(|line| has(line, at))
}

/// Whether this is the place of a word of the line itself.
fn is_at(line: &Directive, at: &Position) -> bool {
    std::iter::once(&line.name).chain(&line.arguments).any(|word| word.position == *at)
}

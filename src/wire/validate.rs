//! Messages of strangers: read whole, once, at the door, in time linear in their octets.
//!
//! [`check()`] is what everything behind the door relies on, which walks, cuts and copies without looking again: each name
//! resolves, each RDATA of a known type is what its type wants, and there is one OPT record at most. Each label is looked
//! at once, however many names lead through it: 64 KiB of pointers to pointers cost no more than 64 KiB of addresses.

use super::error::Malformed;
use super::layout;
use super::walk::{FoundRecord, MOST_HOPS, Records, skip_name};
use super::{Header, Rtype};

/// Reads a message to its end: its header, questions and records, and every name in them. Returns where it ends; octets
/// behind are the caller's to judge.
///
/// # Errors
/// When a count, a length or a name leads out of it; a name leads forwards, over 255 octets or through more than 127
/// pointers; an RDATA is not what its type wants; an OPT record is not the only one, not in the additional section, or not
/// at the root.
pub fn check(message: &[u8]) -> Result<usize, Malformed> {
    walk(message, |_, _| {})
}

/// Gives a message another spelling of its question: there, and in each label of a name that ends as the question does and
/// is spelled as the question was. Everything stays in its place. Returns where the message ends.
///
/// # Errors
/// When [`check()`] has any; or the name is not the one of the question.
pub fn respell(message: &mut [u8], name: &[u8]) -> Result<usize, Malformed> {
    let asked = message.get(Header::LEN..Header::LEN + name.len()).ok_or(Malformed)?.to_vec();
    if !asked.eq_ignore_ascii_case(name) {
        return Err(Malformed);
    }
    if asked == name {
        return check(message);
    }
    // From the root down, where in the question each label stands.
    let mut labels = Vec::with_capacity(8);
    let mut at = 0;
    while let Some(&len) = name.get(at).filter(|&&len| len != 0) {
        labels.push(at..at + 1 + usize::from(len));
        at += 1 + usize::from(len);
    }
    labels.reverse();
    // How many labels, from the root down, are those of the question, for each place where a label begins.
    let mut depths = vec![0_u8; message.len()];
    let mut places = Vec::new();
    let end = walk(message, |at, above| {
        let depth = match above {
            0 => 0,
            above => match depths.get(above) {
                None | Some(0) => return,
                Some(&depth) => usize::from(depth),
            },
        };
        let Some(label) = labels.get(depth) else { return };
        let (Some(stands), Some(was)) = (message.get(at..at + label.len()), asked.get(label.clone())) else { return };
        if stands.eq_ignore_ascii_case(was)
            && let Some(place) = depths.get_mut(at)
        {
            *place = depth as u8 + 1;
            if stands == was {
                places.push((at, label.clone()));
            }
        }
    })?;
    for (at, label) in places {
        if let Some((to, from)) = message.get_mut(at..at + label.len()).zip(name.get(label)) {
            to.copy_from_slice(from);
        }
    }
    Ok(end)
}

/// Walks a message; `label` is told once of each label, where it stands and where the one above it does (0 for the root,
/// which is not told of), those above before those below.
fn walk(message: &[u8], mut label: impl FnMut(usize, usize)) -> Result<usize, Malformed> {
    let mut names = NameWalk { message, known: vec![Known::default(); message.len().min(REACH)], steps: Vec::new() };
    let mut records = Records::new(message)?;
    let mut at = Header::LEN;
    while at < records.at() {
        at = names.read(at, &mut label)? + 4;
    }
    let mut opt_seen = false;
    for record in &mut records {
        let record: FoundRecord = record?;
        names.read(record.owner, &mut label)?;
        if record.rtype == Rtype::OPT {
            let at_root = message.get(record.owner) == Some(&0);
            if std::mem::replace(&mut opt_seen, true) || record.section != 2 || !at_root {
                return Err(Malformed);
            }
        }
        layout::names(message, &record, |at| names.read(at, &mut label))?;
    }
    Ok(records.at())
}

//----------- NameWalk -------------------------------------------------------

/// The octets that a pointer of 14 bits can reach.
const REACH: usize = 0x4000;

/// The names of one message, each label and pointer followed once.
struct NameWalk<'m> {
    message: &'m [u8],
    /// The places that names have led through, as far as pointers reach.
    known: Vec<Known>,
    /// The labels and pointers on the way to what is known.
    steps: Vec<Step>,
}

/// The facts of a name from some place on.
#[derive(Clone, Copy, Default)]
struct Known {
    /// The number of its octets, the root's included; 0 where nothing is known.
    len: u8,
    /// The number of pointers it leads through.
    hops: u8,
    /// The place to which the first of them leads; 0 without any.
    target: u16,
    /// The place of its first label; 0 for the root.
    label: u16,
}

#[derive(Clone, Copy)]
enum Step {
    Label { at: u16, len: u8 },
    Pointer { at: u16, target: u16 },
}

impl NameWalk<'_> {
    /// Follows a name, and returns where it ends in place.
    fn read(&mut self, start: usize, label: &mut impl FnMut(usize, usize)) -> Result<usize, Malformed> {
        let end = skip_name(self.message, start)?;
        let mut known = self.follow(start)?;
        while let Some(step) = self.steps.pop() {
            let at = match step {
                Step::Label { at, len } => {
                    label(usize::from(at), usize::from(known.label));
                    known = Known { len: known.len.checked_add(len + 1).ok_or(Malformed)?, label: at, ..known };
                    at
                }
                Step::Pointer { at, target } => {
                    known = Known { hops: known.hops + 1, target, ..known };
                    at
                }
            };
            if known.hops > MOST_HOPS {
                return Err(Malformed);
            }
            if let Some(place) = self.known.get_mut(usize::from(at)) {
                *place = known;
            }
        }
        Ok(end)
    }

    /// Goes from label to label, noting the steps, until the root or a place that is known.
    fn follow(&mut self, start: usize) -> Result<Known, Malformed> {
        self.steps.clear();
        let octet = |at: usize| self.message.get(at).copied().ok_or(Malformed);
        let narrow = |at: usize| u16::try_from(at).map_err(|_| Malformed);
        // Each pointer must lead before the place where the present run of labels began: no circle is possible.
        let (mut at, mut run) = (start, start);
        loop {
            if let Some(&known) = self.known.get(at).filter(|known| known.len != 0) {
                return if known.target == 0 || usize::from(known.target) < run { Ok(known) } else { Err(Malformed) };
            }
            // Whatever is longer than this is no name, known end or not.
            if self.steps.len() > 255 {
                return Err(Malformed);
            }
            let len = octet(at)?;
            match len >> 6 {
                0 if len == 0 => return Ok(Known { len: 1, ..Known::default() }),
                0 => {
                    self.steps.push(Step::Label { at: narrow(at)?, len });
                    at += 1 + usize::from(len);
                }
                3 => {
                    let target = usize::from(len & 0x3f) << 8 | usize::from(octet(at + 1)?);
                    if target >= run || target < Header::LEN {
                        return Err(Malformed);
                    }
                    self.steps.push(Step::Pointer { at: narrow(at)?, target: narrow(target)? });
                    (at, run) = (target, target);
                }
                _ => return Err(Malformed),
            }
        }
    }
}

#[cfg(test)]
mod tests;

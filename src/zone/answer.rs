//! From a question to the octets of its answer: a plain function of question, version, size limit and seed.
//!
//! The look-up says what the name is, `records` writes what that has of the type asked for; here is the frame: which
//! zone, what becomes of a name that does not exist, and where an ExternalName leads.

use super::records::{AnswerContext, SVC, Written};
use super::view::bounded;
use super::{Seeds, View};
use crate::wire::{Answer, Class, Name, Owner, QName, Question, Rcode, Rtype, Section, Target};

/// The outcome of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The answer stands in the buffer.
    Reply {
        /// Its length in octets.
        len: usize,
        /// Its response code.
        rcode: Rcode,
        /// TC is set.
        truncated: bool,
        /// The records of the answer section do not even fit into the largest DNS message.
        oversized: bool,
    },
    /// The name does not exist, and such names are for the next plugin (`fallthrough`).
    Fallthrough,
    /// The name lies in none of the zones: for the next plugin.
    NotInZone,
    /// An ExternalName Service whose target lies outside the zones: the answer needs another look-up.
    /// The CNAME chain so far starts the answer.
    Chase {
        /// The chain of CNAME targets, the last of which is to be looked up.
        targets: Vec<Name>,
    },
}

/// The number of CNAME records that one answer follows within the zones.
const LONGEST_CHAIN: usize = 10;

/// Answers a question from one version of the zone, into the caller's buffer, in at most `limit` octets.
///
/// `limit` is what the transport and the client allow (512 without EDNS over UDP, 65,535 over TCP);
/// `over_udp` says whether the loss of glue sets TC (some clients read addresses from there alone).
/// `seeds` decide the order of records and, where not all fit, which of them stay.
pub fn answer(
    question: &Question<'_>,
    view: &View,
    limit: usize,
    over_udp: bool,
    seeds: Seeds<'_>,
    buffer: &mut [u8],
) -> Answered {
    let qname = &question.qname;
    let Some(zone) = view.zone_of(qname) else { return Answered::NotInZone };
    // Asked before the look-up: what it misses may be there as soon as the first list is in.
    let is_synced = view.reader.is_synced();
    let out = Answer::new(question, buffer, limit);
    if question.qclass != Class::IN || matches!(question.qtype, Rtype::AXFR | Rtype::IXFR) {
        return end(out, Rcode::REFUSED, false, over_udp);
    }
    let (owner, apex) = (out.question_place(), Owner::At(out.suffix_place(qname.start(zone))));
    let spelling = question.spelling().get(qname.start(zone)..).unwrap_or_default();
    let bounds = view.bounds.as_ref().filter(|bounds| bounds.hold_for(qname));
    let ttl = bounded(view.ttl, bounds.map(|bounds| bounds.success));
    let qtype = question.qtype;
    let (middle, glue_ttl) = (SVC, ttl);
    let mut context =
        AnswerContext { view, qtype, owner, apex, spelling, middle, over_udp, seeds, bounds, ttl, glue_ttl, out };
    match view.look_up(qname, zone, |found| context.write(found)) {
        Written::NxDomain if is_synced && view.fallthrough.covers(qname.as_wire()) => Answered::Fallthrough,
        Written::Alias(target) => follow(context, qname, target, is_synced),
        written => context.finish(written, is_synced),
    }
}

/// Follows the name of an ExternalName Service, as long as it leads through our zones (RFC 1034 section 3.6.2).
///
/// Differs from CoreDNS: the CNAME answers every type, and stays when its target does not exist, whose response code
/// the answer has (RFC 6604 section 3).
#[cold]
fn follow(context: AnswerContext<'_, '_>, qname: &QName, first: Name, is_synced: bool) -> Answered {
    let AnswerContext { view, qtype, middle, over_udp, seeds, bounds, ttl, glue_ttl, mut out, .. } = context;
    let mut chain: [Option<Name>; LONGEST_CHAIN] = [const { None }; LONGEST_CHAIN];
    let mut owner = out.question_place();
    let mut target = first;
    let mut truncated = false;
    for at in 0..LONGEST_CHAIN {
        let Ok(place) = out.cname(Owner::At(owner), ttl, Target::wire(target.as_wire())) else {
            truncated = true;
            break;
        };
        let is_loop = target.as_wire() == qname.as_wire() || chain.iter().flatten().any(|before| *before == target);
        if is_loop || qtype == Rtype::CNAME {
            break;
        }
        chain[at] = Some(target.clone());
        let chase = || Answered::Chase { targets: chain.iter().flatten().cloned().collect() };
        let name = QName::from_name(&target);
        let Some(zone) = view.zone_of(&name) else { return chase() };
        owner = place;
        let (spelling, apex) = (name.suffix(zone), Owner::Wire(name.suffix(zone)));
        let mut here =
            AnswerContext { view, qtype, owner, apex, spelling, middle, over_udp, seeds, bounds, ttl, glue_ttl, out };
        match view.look_up(&name, zone, |found| here.write(found)) {
            Written::NxDomain if is_synced && view.fallthrough.covers(name.as_wire()) => return chase(),
            Written::Alias(next) => (target, out) = (next, here.out),
            written => return here.finish(written, is_synced),
        }
    }
    end(out, Rcode::NOERROR, truncated, over_udp)
}

impl AnswerContext<'_, '_> {
    /// Ends the answer after what was written.
    fn finish(mut self, written: Written, is_synced: bool) -> Answered {
        let rcode = match written {
            Written::Records { truncated } => return end(self.out, Rcode::NOERROR, truncated, self.over_udp),
            Written::NoData | Written::Alias(_) => Rcode::NOERROR,
            Written::NxDomain if is_synced => Rcode::NXDOMAIN,
            // Before the first complete list absence means nothing.
            Written::NxDomain => Rcode::SERVFAIL,
        };
        // RFC 2308 section 3: the SOA says how long the absence may be remembered.
        let lost = self.soa(Section::Authority).is_err();
        end(self.out, rcode, lost, self.over_udp)
    }
}

pub(super) fn end(out: Answer<'_>, rcode: Rcode, truncated: bool, over_udp: bool) -> Answered {
    let len = out.finish(rcode, rcode != Rcode::REFUSED, truncated);
    Answered::Reply { len, rcode, truncated, oversized: truncated && !over_udp }
}

#[cfg(test)]
mod sizes;
#[cfg(test)]
mod tests;

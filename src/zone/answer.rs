//! From a question to the octets of its answer: a plain function of question, version, size limit and seed.

use super::View;
use crate::wire::{Name, Question, Rcode};

/// What came of a question.
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

/// Answers a question from one version of the zone, into the caller's buffer, in at most `limit` octets.
///
/// `limit` is what the transport and the client allow (512 without EDNS over UDP, 65,535 over TCP);
/// `over_udp` says whether the loss of glue sets TC (some clients read addresses from there alone).
/// `seed` decides the random order; equal seeds give equal answers.
pub fn answer(
    question: &Question<'_>,
    view: &View,
    limit: usize,
    over_udp: bool,
    seed: u64,
    buffer: &mut [u8],
) -> Answered {
    let _ = (question, view, limit, over_udp, seed, buffer);
    todo!()
}

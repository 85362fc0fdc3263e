//! A client's question, as far as the cache looks at it.

use std::hash::BuildHasher;

use crate::wire::{Class, Edns, Flags, OwnEdns, Question, Rtype, is_within};

/// A question and what its answer copies from it, borrowed from wherever the query stands.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The id.
    pub id: u16,
    /// The second 16 bits of the header.
    pub flags: Flags,
    /// The qname in wire format, in lower case.
    pub qname: &'a [u8],
    /// The qname in wire format, as the client spelled it.
    pub spelling: &'a [u8],
    /// The type.
    pub qtype: Rtype,
    /// The class.
    pub qclass: Class,
    /// The OPT record of the query, where it has one.
    pub edns: Option<Edns>,
    /// The server's own EDNS, for those who send an OPT record.
    pub own: &'a OwnEdns,
}

impl<'a> From<&'a Question<'_>> for Ask<'a> {
    fn from(question: &'a Question<'_>) -> Self {
        Self {
            id: question.id,
            flags: question.flags,
            qname: question.qname.as_wire(),
            spelling: question.spelling(),
            qtype: question.qtype,
            qclass: question.qclass,
            edns: question.edns,
            own: question.own,
        }
    }
}

impl Ask<'_> {
    /// Whether the client wants DNSSEC records (DO).
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }

    /// Whether the client checks signatures itself (CD).
    pub fn checking_disabled(&self) -> bool {
        self.flags.has(Flags::CD)
    }

    /// Whether the client wants the server to look further than what it has (RD).
    pub fn recursion_desired(&self) -> bool {
        self.flags.has(Flags::RD)
    }

    /// Whether the client wants to hear that data are authentic (RFC 6840 section 5.7).
    pub fn wants_authentic(&self) -> bool {
        self.dnssec_ok() || self.flags.has(Flags::AD)
    }

    /// Whether the qname is the zone (wire format, lower case) or lies below it.
    pub fn is_within(&self, zone: &[u8]) -> bool {
        is_within(self.qname, zone)
    }

    /// The DO and CD bits in one octet: part of what an answer is found by.
    pub(super) fn variant(&self) -> u8 {
        u8::from(self.dnssec_ok()) | u8::from(self.checking_disabled()) << 1
    }

    pub(super) fn hash(&self, state: &impl BuildHasher) -> u64 {
        state.hash_one((
            self.qname,
            u64::from(self.qtype.0) << 24 | u64::from(self.qclass.0) << 8 | u64::from(self.variant()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_within_its_zone_and_not_within_one_that_only_ends_alike() {
        let ask = |qname| Ask {
            id: 0,
            flags: Flags::default(),
            qname,
            spelling: qname,
            qtype: Rtype::A,
            qclass: Class::IN,
            edns: None,
            own: OwnEdns::DEFAULT,
        };
        assert!(ask(b"\x01a\x07cluster\x05local\0").is_within(b"\x07cluster\x05local\0"));
        assert!(ask(b"\x07cluster\x05local\0").is_within(b"\x07cluster\x05local\0"));
        assert!(ask(b"\x07cluster\x05local\0").is_within(b"\0"));
        assert!(!ask(b"\x08xcluster\x05local\0").is_within(b"\x07cluster\x05local\0"));
        assert!(!ask(b"\0").is_within(b"\x05local\0"));
    }
}

//! The question of a query, read in place (RFC 1035 section 4.1).

use super::{Edns, Rcode};

/// What the octets of one message call for.
#[derive(Debug)]
pub enum Parsed<'m> {
    /// A well-formed query with one question.
    Query(Question<'m>),
    /// A query that is answered with an error and nothing else; [`error_reply`](super::Answer) writes it.
    Refuse {
        /// FORMERR, NOTIMP or BADVERS.
        rcode: Rcode,
        /// The question, where one could be read: the error answer repeats it.
        question: Option<Question<'m>>,
    },
    /// Silence: a response (QR=1), or too short for a header.
    Drop,
}

/// One question, its header and its EDNS, borrowed from the message.
#[derive(Clone, Debug)]
pub struct Question<'m> {
    /// The whole message.
    pub message: &'m [u8],
    /// The id, to be repeated.
    pub id: u16,
    /// The second 16 bits of the header, as received.
    pub flags: u16,
    /// The qname folded to lower case, with the places of its labels.
    pub qname: QName,
    /// The type asked for.
    pub qtype: u16,
    /// The class asked for.
    pub qclass: u16,
    /// The OPT record, where there is one.
    pub edns: Option<Edns>,
    /// Where the question section ends in `message`.
    pub end: usize,
}

impl Question<'_> {
    /// The qname as the client spelled it, in wire format.
    pub fn spelling(&self) -> &[u8] {
        self.message.get(12..self.end.saturating_sub(4)).unwrap_or_default()
    }
}

/// A name of a query: wire format in lower case, with the places where its labels begin.
#[derive(Clone)]
pub struct QName {
    octets: [u8; 255],
    len: u8,
    starts: [u8; 127],
    labels: u8,
}

impl QName {
    /// The wire format in lower case, with the final root label.
    pub fn as_wire(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// How many labels there are, the root not counted.
    pub fn label_count(&self) -> usize {
        usize::from(self.labels)
    }

    /// Label `index` counted from the left, in lower case, without its length octet.
    pub fn label(&self, index: usize) -> &[u8] {
        let _ = index;
        todo!()
    }

    /// The name from label `index` on, in wire format.
    pub fn suffix(&self, index: usize) -> &[u8] {
        let _ = (index, self.starts);
        todo!()
    }

    /// Where label `index` begins in the wire format (its length octet); `index == label_count()` is the root.
    pub fn start(&self, index: usize) -> usize {
        let _ = index;
        todo!()
    }
}

impl std::fmt::Debug for QName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("QName").field(&self.as_wire()).finish()
    }
}

/// Reads the question of a message. Time is linear in the octets; nothing is allocated.
pub fn parse(message: &[u8]) -> Parsed<'_> {
    let _ = message;
    todo!()
}

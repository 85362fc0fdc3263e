//! The question of a query, read in place (RFC 1035 section 4.1).
//!
//! Time is linear in the octets, nothing is allocated, and no octet that a client sends is trusted: records behind the
//! question are stepped over by their lengths, at most four of them, and only an OPT record is looked into.
//!
//! One verdict holds on every path: what the codec of the plugins could not read is refused here, before any server block is
//! chosen. A query with a question and an OPT record needs no second reading for that; one with anything else is rare, and the
//! codec itself is asked.

use super::error::Malformed;
use super::opt::{EdnsOptions, NSID, SUBNET};
use super::walk::skip_name;
use super::{Class, Edns, Flags, Header, Name, Opcode, OwnEdns, Rcode, Rtype, message};

/// The verdict on the octets of one message.
#[derive(Debug)]
pub enum Parsed<'m> {
    /// A well-formed query with one question.
    Query(Question<'m>),
    /// A query that is answered with an error and nothing else; [`error_reply`](super::error_reply) writes it.
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
    pub flags: Flags,
    /// The qname folded to lower case, with the places of its labels.
    pub qname: QName,
    /// The type asked for.
    pub qtype: Rtype,
    /// The class asked for.
    pub qclass: Class,
    /// The OPT record, where there is one.
    pub edns: Option<Edns>,
    /// The server's own EDNS in the answer: [`OwnEdns::DEFAULT`] until a server block sets its own.
    pub own: &'m OwnEdns,
    /// The end of the question section in `message`.
    pub end: usize,
}

impl Question<'_> {
    /// The question without its message.
    pub fn detached(&self) -> OwnedQuestion {
        let Self { id, flags, ref qname, qtype, qclass, edns, end, .. } = *self;
        OwnedQuestion { id, flags, qname: qname.clone(), qtype, qclass, edns, end }
    }

    /// The qname as the client spelled it, in wire format.
    pub fn spelling(&self) -> &[u8] {
        self.message.get(Header::LEN..self.end.saturating_sub(4)).unwrap_or_default()
    }

    /// Whether the client wants recursion (RD).
    pub fn recursion_desired(&self) -> bool {
        self.flags.has(Flags::RD)
    }
}

/// A question apart from the message that it was read from.
#[derive(Clone, Debug)]
pub struct OwnedQuestion {
    /// The id.
    pub id: u16,
    /// The second 16 bits of the header, as received.
    pub flags: Flags,
    /// The qname folded to lower case, with the places of its labels.
    pub qname: QName,
    /// The type asked for.
    pub qtype: Rtype,
    /// The class asked for.
    pub qclass: Class,
    /// The OPT record, where there is one.
    pub edns: Option<Edns>,
    /// The end of the question section in the message.
    pub end: usize,
}

impl OwnedQuestion {
    /// The question in its message again.
    pub fn within<'m>(&self, message: &'m [u8]) -> Question<'m> {
        let Self { id, flags, ref qname, qtype, qclass, edns, end } = *self;
        Question { message, id, flags, qname: qname.clone(), qtype, qclass, edns, own: OwnEdns::DEFAULT, end }
    }
}

/// A name of a query: wire format in lower case, with the places where its labels begin.
#[derive(Clone)]
pub struct QName {
    octets: [u8; 255],
    len: u8,
    starts: [u8; 128],
    labels: u8,
}

impl QName {
    /// A name that an answer leads to, looked up as if it were asked for.
    pub fn from_name(name: &Name) -> Self {
        let mut octets = [0; 255];
        let mut starts = [0; 128];
        let (mut at, mut labels) = (0, 0);
        for label in name.labels() {
            // A `Name` has at most 255 octets, hence at most 127 labels.
            if let Some(start) = starts.get_mut(usize::from(labels)) {
                *start = at;
            }
            at += 1 + label.len() as u8;
            labels += 1;
        }
        if let Some(root) = starts.get_mut(usize::from(labels)) {
            *root = at;
        }
        for (place, &octet) in octets.iter_mut().zip(name.as_wire()) {
            *place = octet;
        }
        Self { octets, len: at + 1, starts, labels }
    }

    /// The wire format in lower case, with the final root label.
    #[inline]
    pub fn as_wire(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The number of labels, the root not counted.
    #[inline]
    pub fn label_count(&self) -> usize {
        usize::from(self.labels)
    }

    /// Label `index` counted from the left, in lower case, without its length octet; empty past the last one.
    #[inline]
    pub fn label(&self, index: usize) -> &[u8] {
        if index >= self.label_count() {
            return &[];
        }
        self.octets.get(self.start(index) + 1..self.start(index + 1)).unwrap_or_default()
    }

    /// The name from label `index` on, in wire format; the root from `label_count()` on.
    #[inline]
    pub fn suffix(&self, index: usize) -> &[u8] {
        self.octets.get(self.start(index)..usize::from(self.len)).unwrap_or_default()
    }

    /// The beginning of label `index` in the wire format (its length octet); from `label_count()` on, the root's place.
    #[inline]
    pub fn start(&self, index: usize) -> usize {
        self.starts.get(index.min(self.label_count())).map_or(0, |&start| usize::from(start))
    }
}

impl std::fmt::Debug for QName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("QName").field(&self.as_wire()).finish()
    }
}

/// Reads the question of a message. Time is linear in the octets; nothing is allocated, unless there are records that the
/// codec is asked about.
///
/// What is answered with an error is listed in RFC 8906 and RFC 6891: an opcode other than QUERY (NOTIMP), another
/// number of questions than one, more records than a query has use for, a name that is compressed, too long or cut
/// off, an OPT record that is malformed, a second or in the wrong section, any other record that is malformed (FORMERR),
/// an EDNS version other than 0 (BADVERS). Octets behind the last counted record are ignored.
pub fn parse(message: &[u8]) -> Parsed<'_> {
    let Some(Header { id, flags, counts }) = Header::of(message) else { return Parsed::Drop };
    if flags.has(Flags::QR) {
        // A response: answering it lets two servers keep each other busy for ever (CVE-2024-2169).
        return Parsed::Drop;
    }
    let opcode_is_query = flags.opcode() == Opcode::QUERY;
    let wrong = if opcode_is_query { Rcode::FORMERR } else { Rcode::NOTIMP };
    let [questions, answers, authorities, additionals] = counts;
    if questions != 1 {
        return Parsed::Refuse { rcode: wrong, question: None };
    }
    let Some(mut question) = read_question(message, id, flags) else {
        return Parsed::Refuse { rcode: wrong, question: None };
    };
    if !opcode_is_query {
        // Only what looks like an OPT record of a query is taken as one: an UPDATE has records of many kinds.
        if additionals <= 2 && answers <= 1 && authorities <= 1 {
            let before = usize::from(answers) + usize::from(authorities);
            let behind = read_records(message, question.end, before, usize::from(additionals));
            question.edns = behind.ok().and_then(|behind| behind.edns);
        }
        return Parsed::Refuse { rcode: Rcode::NOTIMP, question: Some(question) };
    }
    // IXFR carries its SOA in the authority section (RFC 1995 section 3), TSIG and OPT make two additional records.
    if answers > 1 || authorities > 1 || additionals > 2 {
        return Parsed::Refuse { rcode: Rcode::FORMERR, question: Some(question) };
    }
    let before = usize::from(answers) + usize::from(authorities);
    let Ok(behind) = read_records(message, question.end, before, usize::from(additionals)) else {
        return Parsed::Refuse { rcode: Rcode::FORMERR, question: Some(question) };
    };
    question.edns = behind.edns;
    if question.edns.is_some_and(|edns| edns.version > 0) {
        return Parsed::Refuse { rcode: Rcode::BADVERS, question: Some(question) };
    }
    if !behind.is_plain && !message::is_query(message) {
        return Parsed::Refuse { rcode: Rcode::FORMERR, question: Some(question) };
    }
    Parsed::Query(question)
}

/// Writes a message of one question and no records.
pub fn bare_message(id: u16, flags: Flags, qname: &[u8], qtype: Rtype, qclass: Class) -> Vec<u8> {
    let head = Header { id, flags, counts: [1, 0, 0, 0] }.to_octets();
    [&head, qname, &qtype.to_be_bytes(), &qclass.to_be_bytes()].concat()
}

/// Reads the one question behind the header; a compression pointer has nothing to point to there.
fn read_question(message: &[u8], id: u16, flags: Flags) -> Option<Question<'_>> {
    let name = message.get(Header::LEN..)?;
    let mut starts = [0u8; 128];
    let mut labels = 0u8;
    let mut at = 0usize;
    loop {
        let len = *name.get(at)?;
        // At most 127 labels fit below the limit of 255 octets, so there is a place for the root as well.
        *starts.get_mut(usize::from(labels))? = at as u8;
        match len {
            0 => break,
            1..=63 => at += 1 + usize::from(len),
            _ => return None,
        }
        if at > 254 {
            return None;
        }
        labels += 1;
    }
    let len = at + 1;
    let mut octets = [0u8; 255];
    let folded = octets.get_mut(..len)?;
    folded.copy_from_slice(name.get(..len)?);
    // Length octets are below `A` and stay as they are.
    folded.make_ascii_lowercase();
    let (&[t0, t1, c0, c1], _) = name.get(len..)?.split_first_chunk::<4>()?;
    Some(Question {
        message,
        id,
        flags,
        qname: QName { octets, len: len as u8, starts, labels },
        qtype: Rtype::from_be_bytes([t0, t1]),
        qclass: Class::from_be_bytes([c0, c1]),
        edns: None,
        own: OwnEdns::DEFAULT,
        end: Header::LEN + len + 4,
    })
}

/// The records behind the question, as far as they matter.
struct Behind {
    edns: Option<Edns>,
    /// Whether nothing stands there that the codec of the plugins may refuse: an OPT record at most.
    is_plain: bool,
}

/// Steps over `before` records and looks for the OPT record among the `additionals` behind them.
fn read_records(message: &[u8], from: usize, before: usize, additionals: usize) -> Result<Behind, Malformed> {
    let mut at = from;
    let mut behind = Behind { edns: None, is_plain: true };
    for index in 0..before + additionals {
        let owner_is_root = message.get(at) == Some(&0);
        let rest = message.get(skip_name(message, at)?..).ok_or(Malformed)?;
        let (&[t0, t1, c0, c1, _extended, version, z0, _z1, l0, l1], rdata) =
            rest.split_first_chunk::<10>().ok_or(Malformed)?;
        let rdata = rdata.get(..usize::from(u16::from_be_bytes([l0, l1]))).ok_or(Malformed)?;
        at = message.len() - rest.len() + 10 + rdata.len();
        if Rtype::from_be_bytes([t0, t1]) != Rtype::OPT {
            behind.is_plain = false;
            continue;
        }
        // RFC 6891 section 6.1.1: one OPT record at most, in the additional section; its owner is the root.
        if index < before || behind.edns.is_some() || !owner_is_root {
            return Err(Malformed);
        }
        let options = read_options(rdata)?;
        behind.is_plain &= !options.subnet;
        behind.edns = Some(Edns {
            payload: u16::from_be_bytes([c0, c1]),
            version,
            dnssec_ok: z0 & 0x80 != 0,
            nsid: options.nsid,
        });
    }
    Ok(behind)
}

/// The options of a query that somebody looks at.
#[derive(Default)]
struct WantedOptions {
    nsid: bool,
    /// The client's subnet (RFC 7871), the one option whose inside the codec reads.
    subnet: bool,
}

/// Walks the options, which must fill the RDATA exactly; options unknown to us are ignored (RFC 6891 section 6.1.2).
fn read_options(rdata: &[u8]) -> Result<WantedOptions, Malformed> {
    let mut wanted = WantedOptions::default();
    for option in EdnsOptions::new(rdata) {
        let code = option?.code;
        wanted.nsid |= code == NSID;
        wanted.subnet |= code == SUBNET;
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests;

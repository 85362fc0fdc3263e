//! A whole answer, taken apart so that two can be compared.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rollcall::wire::message::{RData, Record, decode, present};

use super::questions::Question;

/// A record; they sort by owner, type, data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) owner: String,
    pub(crate) rtype: u16,
    pub(crate) data: String,
    pub(crate) ttl: u32,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} TYPE{} {}", self.owner, self.ttl, self.rtype, self.data)
    }
}

impl Line {
    /// Spelling and age aside.
    pub(crate) fn folded(&self) -> Self {
        Self { owner: self.owner.to_lowercase(), data: self.data.to_lowercase(), ttl: 0, ..self.clone() }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// QR, opcode, AA, TC, RD, RA, Z, AD, CD.
    pub(crate) flags: u16,
    pub(crate) rcode: u16,
    pub(crate) question: Vec<u8>,
    /// Whether there is an OPT record, with DO.
    pub(crate) edns: Option<bool>,
    pub(crate) answers: Vec<Line>,
    pub(crate) authority: Vec<Line>,
    pub(crate) additional: Vec<Line>,
    pub(crate) size: usize,
}

pub(crate) const TC: u16 = 0x200;

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flags, rcode, edns, size, .. } = self;
        write!(f, "rcode {rcode} flags {flags:#06x} EDNS {edns:?}, {size} octets")?;
        for (name, section) in ["answer", "authority", "additional"].iter().zip(self.sections()) {
            write!(f, "\n    {name} ({}) {:?}", section.len(), &section[..section.len().min(6)])?;
        }
        Ok(())
    }
}

impl Reply {
    pub(crate) fn read(octets: &[u8]) -> Result<Self, String> {
        let message = decode(octets).map_err(|error| format!("{error:?} in {octets:02x?}"))?;
        let flags = u16::from_be_bytes([octets[2], octets[3]]) & 0xfff0;
        let asked = u16::from_be_bytes([octets[4], octets[5]]) == 1;
        let mut end = 12;
        while asked && octets.get(end).is_some_and(|len| *len != 0) {
            end += 1 + usize::from(octets[end]);
        }
        let end = octets.len().min(end + 5);
        Ok(Self {
            flags,
            rcode: u16::from(message.metadata.response_code),
            question: if asked { octets[12..end].to_vec() } else { Vec::new() },
            edns: message.edns.as_ref().map(|edns| edns.flags().dnssec_ok),
            answers: lines(&message.answers),
            authority: lines(&message.authorities),
            additional: lines(&message.additionals),
            size: octets.len(),
        })
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.flags & TC != 0
    }

    pub(crate) fn sections(&self) -> [&[Line]; 3] {
        [&self.answers, &self.authority, &self.additional]
    }

    /// Whether two messages say the same.
    pub(crate) fn same(&self, other: &Self) -> bool {
        (self.flags, self.rcode, self.edns) == (other.flags, other.rcode, other.edns)
            && self.question == other.question
            && self.sections() == other.sections()
    }

    /// Whether two messages say the same but for what two caches have counted down: each was told at the same question, so
    /// that ages differ by as much as lay between the two, and that is longer on a busy machine.
    pub(crate) fn same_but_for_age(&self, other: &Self, apart: Duration) -> bool {
        let apart = 3 + u32::try_from(apart.as_secs()).unwrap();
        let close = |(a, b): (&Line, &Line)| a.ttl.abs_diff(b.ttl) <= apart;
        let ageless = |reply: &Self| {
            let mut reply = reply.clone();
            for section in [&mut reply.answers, &mut reply.authority, &mut reply.additional] {
                section.iter_mut().for_each(|line| line.ttl = 0);
            }
            reply
        };
        let all = |reply: &Self| reply.sections().concat();
        ageless(self).same(&ageless(other)) && all(self).iter().zip(&all(other)).all(close)
    }
}

fn lines(records: &[Record]) -> Vec<Line> {
    let mut lines: Vec<Line> = records.iter().map(line).collect();
    lines.sort();
    lines
}

fn line(record: &Record) -> Line {
    let text = present(record);
    let data = text.splitn(4, ' ').nth(3).unwrap_or_default();
    let data = match &record.data {
        // The serial is the moment at which each server saw the last change.
        RData::SOA(_) => {
            let mut words: Vec<&str> = data.split(' ').collect();
            words[2] = "*";
            words.join(" ")
        }
        _ => data.to_owned(),
    };
    Line { owner: record.name.to_ascii(), rtype: record.record_type().into(), data, ttl: record.ttl }
}

//----------- Client ----------------------------------------------------------

/// Asks one server.
pub(crate) struct Client(rollcall_testing::Client);

impl Client {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self(rollcall_testing::Client::new(server))
    }

    /// Asks from one address of this machine.
    pub(crate) fn between(client: IpAddr, server: SocketAddr) -> Self {
        Self(rollcall_testing::Client::between(client, server))
    }

    pub(crate) fn ask(&mut self, question: &Question) -> Result<Reply, String> {
        let id = self.0.next_id();
        Reply::read(&self.send(&question.octets(id), question.tcp)?)
    }

    /// Sends octets as they are; the error is that nothing came back in time.
    pub(crate) fn send(&self, query: &[u8], tcp: bool) -> Result<Vec<u8>, String> {
        self.0.send(query, tcp).map_err(|error| format!("no answer: {error}"))
    }

    /// How long an answer is waited for.
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.0.set_patience(patience);
    }
}

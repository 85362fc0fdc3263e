//! Writes an answer into the caller's buffer: header, question, records, OPT, always compressed.

use std::net::IpAddr;

use super::{Question, Rcode};

/// An answer under construction in a caller's buffer. Owners are compressed; the size limit holds at every moment.
#[derive(Debug)]
pub struct Answer<'b> {
    buffer: &'b mut [u8],
    len: usize,
    limit: usize,
    counts: [u16; 4],
}

/// The record did not fit: nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A section of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What was asked for.
    Answer = 1,
    /// The SOA of a negative answer.
    Authority = 2,
    /// Addresses beside SRV targets.
    Additional = 3,
}

/// Where a name stands in the answer: the target of compression pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub(crate) usize);

impl<'b> Answer<'b> {
    /// Starts the answer to a question: header with QR, the opcode and RD of the query; the question as spelled.
    /// Eleven octets of `limit` are kept back for the OPT record when the query had one.
    pub fn new(question: &Question<'_>, buffer: &'b mut [u8], limit: usize) -> Self {
        let _ = (question, &buffer, limit);
        todo!()
    }

    /// Writes A or AAAA; the owner is a name that stands already.
    ///
    /// # Errors
    /// [`Full`] when the record does not fit; nothing is written then.
    pub fn address(&mut self, section: Section, owner: Place, ttl: u32, address: IpAddr) -> Result<(), Full> {
        let _ = (section, owner, ttl, address, self.len, self.limit, self.counts, &self.buffer);
        todo!()
    }

    /// Ends the answer: sets AA, TC and the response code, appends the OPT record. Returns the length.
    pub fn finish(self, rcode: Rcode, authoritative: bool, truncated: bool) -> usize {
        let _ = (rcode, authoritative, truncated);
        todo!()
    }
}

//! Whole messages on the plugin chain, and their way back to octets.
//!
//! The rest of the project names `hickory-proto` types only through this module. Octets are read by its decoder and
//! written by [`encode()`], an encoder of our own: it compresses every owner in linear time, however many there are,
//! and cuts what does not fit at whole records.

mod encode;
mod opt;

pub use hickory_proto::op::{Edns as MessageEdns, Message, MessageType, OpCode, Query as Asked, ResponseCode};
pub use hickory_proto::rr::{DNSClass, Name as MessageName, RData, Record, RecordType, rdata};

use super::{Failure, Name, Rcode};
pub use encode::{Size, encode};
pub use opt::{finish_message, finish_octets};

/// Reads a message.
///
/// # Errors
/// When the octets are no message; the failure is the client's (FORMERR).
pub fn decode(octets: &[u8]) -> Result<Message, Failure> {
    Message::from_vec(octets).map_err(|error| Failure {
        rcode: Rcode::FORMERR,
        extended: None,
        message: format!("a message of {} octets could not be read: {error}", octets.len()),
    })
}

/// Makes octets fit a limit: they stay as they are when they do, otherwise they are read, cut at whole records and
/// written anew into `buffer`.
///
/// # Errors
/// When octets over the limit are no message.
pub fn fit<'o>(octets: &'o [u8], size: Size, seed: u64, buffer: &'o mut Vec<u8>) -> Result<&'o [u8], Failure> {
    if octets.len() <= size.limit {
        return Ok(octets);
    }
    encode(&decode(octets)?, size, seed, buffer);
    Ok(buffer)
}

/// Starts the answer to a request: its id, opcode, RD, CD and question, and an OPT record when it had one.
pub fn answer_to(request: &Message) -> Message {
    let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
    answer.metadata.recursion_desired = request.metadata.recursion_desired;
    answer.metadata.checking_disabled = request.metadata.checking_disabled;
    answer.queries.clone_from(&request.queries);
    answer.edns = request.edns.as_ref().map(|edns| {
        let mut own = MessageEdns::new();
        own.set_dnssec_ok(edns.flags().dnssec_ok).set_max_payload(super::OwnEdns::DEFAULT.payload);
        own
    });
    answer
}

/// Writes a record as a line of a zone file: owner, TTL, type, data.
pub fn present(record: &Record) -> String {
    format!("{} {} {} {}", record.name.to_ascii(), record.ttl, record.record_type(), record.data)
}

//----------- Conversions ----------------------------------------------------

impl From<&Name> for MessageName {
    fn from(name: &Name) -> Self {
        let mut converted = Self::from_labels(name.labels()).unwrap_or_else(|_| Self::root());
        converted.set_fqdn(true);
        converted
    }
}

impl From<&MessageName> for Name {
    /// Folds to lower case.
    fn from(name: &MessageName) -> Self {
        // Both types hold at most 255 octets in labels of at most 63.
        Self::from_labels(name.iter()).unwrap_or_else(|_| Self::root())
    }
}

impl From<Rcode> for ResponseCode {
    fn from(rcode: Rcode) -> Self {
        rcode.0.into()
    }
}

impl From<ResponseCode> for Rcode {
    fn from(code: ResponseCode) -> Self {
        Self(code.into())
    }
}

#[cfg(test)]
mod tests;

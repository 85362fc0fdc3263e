//! Whole messages on the plugin chain, and their way back to octets.
//!
//! The rest of the project names `hickory-proto` types only through this module. Octets are read by its decoder and
//! written by [`encode()`], an encoder of our own: it compresses every owner in linear time, however many there are,
//! and cuts what does not fit at whole records.

mod data;
mod encode;
mod opt;
mod rename;

pub use hickory_proto::ProtoError;
use hickory_proto::op::Metadata;
pub use hickory_proto::op::{
    Edns as MessageEdns, Message, MessageType, OpCode, Query as MessageQuestion, ResponseCode,
};
pub use hickory_proto::rr::{DNSClass, Name as MessageName, RData, Record, RecordType, rdata};

use super::opt::EdnsOptions;
use super::{Failure, Flags, Name, Opcode, Rcode, Records, Rtype};
pub use data::rdata_from;
pub use encode::{Size, encode};
pub use opt::{finish_message, finish_octets};
pub use rename::{NamePosition, compact, rename};

/// Reads a message.
///
/// # Errors
/// When the octets are no message; the failure is the client's (FORMERR).
pub fn decode(octets: &[u8]) -> Result<Message, Failure> {
    let plain = rename::without_hidden_pointers(octets);
    Message::from_vec(plain.as_deref().unwrap_or(octets)).map_err(|error| Failure {
        rcode: Rcode::FORMERR,
        extended: None,
        message: format!("a message of {} octets could not be read: {error}", octets.len()),
    })
}

/// Reads a query that [`parse`](super::parse) took.
///
/// # Errors
/// When the octets are no message.
pub fn decode_query(octets: &[u8]) -> Result<Message, Failure> {
    // `dig +subnet=0` says that it has no subnet to tell by a family of 0, which the codec does not know: no address of
    // IPv4 says the same.
    match without_family(octets) {
        Some(octets) => decode(&octets),
        None => decode(octets),
    }
}

/// Whether the codec can read a query.
pub(super) fn is_query(octets: &[u8]) -> bool {
    decode_query(octets).is_ok()
}

/// The same query with its client subnet of family 0 and no address as one of family 1.
fn without_family(octets: &[u8]) -> Option<Vec<u8>> {
    const NONE: &[u8] = &[0, 8, 0, 4, 0, 0, 0, 0];
    let found = Records::new(octets).ok()?.flatten().find(|record| record.rtype == Rtype::OPT)?;
    let mut at = found.rdata;
    for option in EdnsOptions::new(octets.get(found.rdata..found.end)?) {
        let option = option.ok()?.octets;
        if option == NONE {
            let mut octets = octets.to_vec();
            *octets.get_mut(at + 5)? = 1;
            return Some(octets);
        }
        at += option.len();
    }
    None
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

/// A name as it is spelled in octets; the root where they are no name without compression.
pub fn name_as_spelled(mut octets: &[u8]) -> MessageName {
    let mut labels = Vec::with_capacity(8);
    while let Some((len @ 1..=63, rest)) = octets.split_first()
        && let Some((label, behind)) = rest.split_at_checked(usize::from(*len))
    {
        labels.push(label);
        octets = behind;
    }
    let mut name = MessageName::from_labels(labels).unwrap_or_else(|_| MessageName::root());
    name.set_fqdn(true);
    name
}

impl From<&MessageName> for Name {
    /// Folds to lower case.
    fn from(name: &MessageName) -> Self {
        // Both types hold at most 255 octets in labels of at most 63.
        Self::from_labels(name.iter()).unwrap_or_else(|_| Self::root())
    }
}

impl From<&Metadata> for Flags {
    /// All of them but the response code, the upper bits of which stand elsewhere.
    fn from(metadata: &Metadata) -> Self {
        let bits = [
            (metadata.message_type == MessageType::Response, Self::QR),
            (metadata.authoritative, Self::AA),
            (metadata.truncation, Self::TC),
            (metadata.recursion_desired, Self::RD),
            (metadata.recursion_available, Self::RA),
            (metadata.authentic_data, Self::AD),
            (metadata.checking_disabled, Self::CD),
        ];
        let opcode = Self::default().with_opcode(Opcode(metadata.op_code.into()));
        bits.iter().fold(opcode, |flags, (set, flag)| flags.with_if(*set, *flag))
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

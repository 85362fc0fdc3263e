//! Zone text: records as `template`, `file` and others have them (RFC 1035 section 5).
//!
//! [`words`] parts the text, [`types`] knows what the record of each type consists of, [`fields`] turns words into the octets
//! that leave, with [`parameters`] and [`special`] for the parts that are written in a way of their own; [`zone`] reads whole
//! files with their directives, and [`generate`] the one that stands for many lines. Data that no plugin looks into stays octets from here to the
//! client, so a record that is read can always be sent.
//!
//! By hand: `hickory-proto` reads the text of fewer types than CoreDNS does, and takes all of them apart.

mod data;
mod fields;
mod generate;
mod parameters;
mod special;
mod types;
mod words;
mod zone;

use std::path::Path;
use std::sync::Arc;

use crate::wire::Rtype;
use crate::wire::message::{DNSClass, MessageName, Record};

pub(crate) use zone::{Placed, parse_zone, parse_zone_text};

use words::{ZoneEntries, ZoneWord};

/// A fault in zone text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The file, when it is known.
    pub(crate) file: Option<Arc<Path>>,
    /// The line, from 1.
    pub(crate) line: u32,
    /// The message.
    pub(crate) message: String,
}

impl Fault {
    fn new(line: u32, message: impl Into<String>) -> Self {
        Self { file: None, line, message: message.into() }
    }
}

/// Reads one record: `OWNER [TTL] [CLASS] TYPE RDATA…`, TTL and class in either order; names count from the root without an
/// origin. What stands behind the first record is not looked at, as in CoreDNS.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn parse_line(line: &str, origin: Option<&MessageName>, ttl: u32) -> Result<Record, String> {
    let mut entries = ZoneEntries::new(line.as_bytes());
    let entry = entries.next().ok_or("the record is empty")?.map_err(|fault| fault.message)?;
    if entry.blank {
        return Err(format!("`{line}` begins with white space, and there is no owner before it"));
    }
    let (owner, rest) = entry.words.split_first().ok_or("the record is empty")?;
    let root = MessageName::root();
    let origin = origin.unwrap_or(&root);
    let owner = fields::name(&owner.octets, origin)?;
    let (record, _) = record(owner, rest, origin, ttl).map_err(|(_, why)| why)?;
    Ok(record)
}

/// Reads what follows the owner; says whether the record has a TTL of its own. The line in an error is that of the word at
/// fault.
fn record(
    owner: MessageName,
    words: &[ZoneWord],
    origin: &MessageName,
    default: u32,
) -> Result<(Record, bool), (u32, String)> {
    let line = words.first().map_or(0, |word| word.line);
    let (mut own, mut class) = (None, None);
    let mut rest = words;
    loop {
        let (word, after) = rest.split_first().ok_or_else(|| (line, "the record has no type".to_owned()))?;
        let text = word.text();
        if let Some(seconds) = fields::seconds(&text).filter(|_| own.is_none() && !word.quoted) {
            own = Some(seconds);
        } else if let Some(found) = parse_class(&text).filter(|_| class.is_none()) {
            class = Some(found);
        } else {
            let rtype = Rtype::from_name(&text).ok_or_else(|| (word.line, format!("`{text}` is no record type")))?;
            let data = data::data(rtype, after, origin)
                .map_err(|(at, why)| (at.max(word.line), format!("{rtype} record: {why}")))?;
            let mut record = Record::from_rdata(owner, own.unwrap_or(default), data);
            record.dns_class = class.unwrap_or(DNSClass::IN);
            return Ok((record, own.is_some()));
        }
        rest = after;
    }
}

/// A class by name, or as `CLASS123` (RFC 3597 section 5).
fn parse_class(text: &str) -> Option<DNSClass> {
    let upper = text.to_ascii_uppercase();
    match upper.as_str() {
        "IN" => Some(DNSClass::IN),
        "CH" => Some(DNSClass::CH),
        "HS" => Some(DNSClass::HS),
        other => other.strip_prefix("CLASS")?.parse::<u16>().ok().map(DNSClass::from),
    }
}

/// Octets written in hexadecimal.
pub(crate) fn hex_octets(hex: &str) -> Option<Vec<u8>> {
    fields::Digits::Hex.decode(hex.as_bytes())
}

/// A record as a zone-file line.
#[cfg(test)]
pub(crate) fn text(record: &Record) -> String {
    use super::names;
    use crate::wire::message::RData;

    let data = match &record.data {
        RData::TXT(txt) => {
            let quote = |octets: &[u8]| format!("\"{}\"", String::from_utf8_lossy(octets).replace('"', "\\\""));
            txt.txt_data.iter().map(|part| quote(part)).collect::<Vec<_>>().join(" ")
        }
        RData::CNAME(target) => names::text(target),
        RData::NS(target) => names::text(target),
        RData::PTR(target) => names::text(target),
        RData::Unknown { rdata, .. } => {
            let hex = data_encoding::HEXLOWER.encode(&rdata.anything);
            format!("\\# {} {hex}", rdata.anything.len())
        }
        other => other.to_string(),
    };
    let owner = record.name.to_ascii();
    format!("{owner} {} {} {} {data}", record.ttl, record.dns_class, Rtype::from(record.record_type()))
}

#[cfg(test)]
mod tests;

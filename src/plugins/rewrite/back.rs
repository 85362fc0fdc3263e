//! What is put back in the answer to a query that was rewritten: in its octets where that does, else in its message.

use std::ops::RangeInclusive;

use regex::Regex;

use super::matcher::{Matcher, by_groups};
use crate::syntax::names;
use crate::wire::message::{
    Message, MessageName, MessageQuestion, NamePosition, RData, Record, RecordType, ResponseCode, rdata, rename,
};
use crate::wire::{Flags, Malformed, Rcode, Records, Rtype};
use rdata::opt::{EdnsCode, EdnsOption};

/// A change in the answer.
#[derive(Debug)]
pub(super) enum Back {
    /// Names that are this one or end with it become the other, owners and values.
    Names {
        from: String,
        to: String,
    },
    /// Names that end with this text end with the other.
    Ending {
        from: String,
        to: String,
    },
    /// Owners that match.
    Owner(Regex, String),
    /// Names in values that match.
    Value(Regex, String),
    Ttl(RangeInclusive<u32>),
    Rcode {
        from: ResponseCode,
        to: ResponseCode,
    },
    Cname {
        from: Matcher,
        to: String,
    },
    /// The option of this code is the one that the client sent, or none.
    Option(EdnsCode, Option<EdnsOption>),
}

impl Back {
    /// Whether octets do not do: what is changed is not in place, or not in one place.
    pub(super) fn needs_message(&self) -> bool {
        match self {
            Self::Cname { .. } | Self::Option(..) => true,
            Self::Rcode { from, to } => u16::from(*from).max(u16::from(*to)) > 15,
            Self::Names { .. } | Self::Ending { .. } | Self::Owner(..) | Self::Value(..) | Self::Ttl(_) => false,
        }
    }

    /// Changes an answer; `spelled` is the name as the client spelled it.
    pub(super) fn put_back(&self, message: &mut Message, spelled: &MessageName) {
        match self {
            Self::Rcode { from, to } => {
                if message.metadata.response_code == *from {
                    message.metadata.response_code = *to;
                }
                return;
            }
            Self::Option(code, before) => {
                if let Some(edns) = message.edns.as_mut().filter(|edns| edns.option(*code).is_some()) {
                    edns.options_mut().remove(*code);
                    before.iter().for_each(|option| edns.options_mut().insert(option.clone()));
                }
                return;
            }
            _ => {}
        }
        let sections = [&mut message.answers, &mut message.authorities, &mut message.additionals];
        for record in sections.into_iter().flatten() {
            match self {
                Self::Ttl(range) => record.ttl = record.ttl.clamp(*range.start(), *range.end()),
                Self::Owner(..) => self.change(&mut record.name, spelled),
                Self::Value(..) => values(record).into_iter().for_each(|name| self.change(name, spelled)),
                _ => {
                    self.change(&mut record.name, spelled);
                    values(record).into_iter().for_each(|name| self.change(name, spelled));
                }
            }
        }
    }

    /// Whether a name that stands there may be changed.
    fn is_for(&self, named: NamePosition) -> bool {
        match self {
            Self::Names { .. } | Self::Ending { .. } => named == NamePosition::Owner || is_value(named),
            Self::Owner(..) => named == NamePosition::Owner,
            Self::Value(..) => is_value(named),
            _ => false,
        }
    }

    fn change(&self, name: &mut MessageName, spelled: &MessageName) {
        let text = names::text(name);
        let new = match self {
            Self::Names { from, to } => {
                let left = text.strip_suffix(from.as_str()).filter(|left| left.is_empty() || left.ends_with('.'));
                left.map(|left| format!("{left}{to}"))
            }
            Self::Ending { from, to } => text.strip_suffix(from.as_str()).map(|left| format!("{left}{to}")),
            Self::Owner(regex, to) | Self::Value(regex, to) => by_groups(regex, &text, to),
            _ => None,
        };
        if let Some(new) = new.and_then(|new| names::parse(&new).ok()) {
            *name = if *spelled == new { spelled.clone() } else { new };
        }
    }
}

/// Changes an answer that is octets, and makes its question the client's.
///
/// # Errors
/// When the octets are no message.
pub(super) fn put_back_octets(
    octets: &mut Vec<u8>,
    back: &[Back],
    question: &MessageQuestion,
) -> Result<(), Malformed> {
    *octets = rename(octets, question, |named, name| {
        for rule in back.iter().rev().filter(|rule| rule.is_for(named)) {
            rule.change(name, question.name());
        }
    })?;
    let records = Records::new(octets)?.collect::<Result<Vec<_>, _>>()?;
    for rule in back.iter().rev() {
        match rule {
            Back::Ttl(range) => {
                for record in records.iter().filter(|record| record.rtype != Rtype::OPT) {
                    let ttl = record.ttl.clamp(*range.start(), *range.end());
                    let place = octets.get_mut(record.ttl_at..record.ttl_at + 4).ok_or(Malformed)?;
                    place.copy_from_slice(&ttl.to_be_bytes());
                }
            }
            Back::Rcode { from, to } => {
                // The upper bits of the code stand in the OPT record.
                let is_small = !records.iter().any(|record| record.rtype == Rtype::OPT && record.upper_rcode() != 0);
                if is_small && Rcode::of(octets) == Rcode::from(*from) {
                    Flags::change(octets, |flags| flags.with_rcode((*to).into()));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a name is the value of its record.
fn is_value(named: NamePosition) -> bool {
    use RecordType::{CNAME, DNAME, MX, NAPTR, NS, PTR, SOA, SRV};
    matches!(named, NamePosition::Data(CNAME | DNAME | MX | NAPTR | NS | PTR | SOA | SRV, 0))
}

/// The names in the value of a record.
fn values(record: &mut Record) -> Vec<&mut MessageName> {
    match &mut record.data {
        RData::CNAME(rdata::CNAME(name)) | RData::NS(rdata::NS(name)) | RData::PTR(rdata::PTR(name)) => vec![name],
        RData::SRV(srv) => vec![&mut srv.target],
        RData::MX(mx) => vec![&mut mx.exchange],
        RData::SOA(soa) => vec![&mut soa.mname],
        RData::NAPTR(naptr) => vec![&mut naptr.replacement],
        _ => Vec::new(),
    }
}

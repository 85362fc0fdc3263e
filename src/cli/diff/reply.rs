//! The parts of an answer that are compared: the response code, AA, and the records of each section as sets.

use std::collections::BTreeMap;

use crate::wire::Name;
use crate::wire::message::{Message, RData, Record, ResponseCode, decode};

/// An answer as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ComparedReply {
    pub(super) rcode: ResponseCode,
    pub(super) authoritative: bool,
    /// True for an answer that was cut, though it came over TCP.
    pub(super) truncated: bool,
    pub(super) sections: [SectionRecords; 3],
}

/// The records of a section with their TTLs, each once, in lower case, in order.
pub(super) type SectionRecords = BTreeMap<Line, u32>;

/// A record without its TTL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) owner: String,
    pub(super) rtype: String,
    pub(super) data: String,
}

/// The sections, as they are called in the report.
pub(super) const SECTIONS: [&str; 3] = ["answer", "authority", "additional"];

impl ComparedReply {
    /// Reads an answer. Records of names outside of these zones are another server's: only that there are any counts.
    pub(super) fn read(octets: &[u8], zones: &[Name]) -> Result<Self, String> {
        let message = decode(octets).map_err(|failure| failure.message)?;
        let Message { metadata, answers, authorities, additionals, .. } = &message;
        let section = |records: &[Record]| records.iter().map(|record| line(record, zones)).collect();
        Ok(Self {
            rcode: metadata.response_code,
            authoritative: metadata.authoritative,
            truncated: metadata.truncation,
            sections: [section(answers), section(authorities), section(additionals)],
        })
    }

    pub(super) fn answer(&self) -> &SectionRecords {
        &self.sections[0]
    }

    /// The name exists, and has nothing of what was asked.
    pub(super) fn is_nodata(&self) -> bool {
        self.rcode == ResponseCode::NoError && self.answer().is_empty()
    }

    pub(super) fn is_nxdomain(&self) -> bool {
        self.rcode == ResponseCode::NXDomain
    }

    /// The response code and what else its header says, as `NOERROR aa`.
    pub(super) fn head(&self) -> String {
        let rcode = crate::wire::Rcode::from(self.rcode);
        let flags = [(self.authoritative, " aa"), (self.truncated, " tc")];
        flags.iter().filter(|(set, _)| *set).fold(rcode.to_string(), |head, (_, flag)| head + flag)
    }

    /// The most that the TTL of one record differs, where both have it.
    pub(super) fn ttl_gap(&self, other: &Self) -> u32 {
        let pairs = self.sections.iter().zip(&other.sections);
        let gaps = pairs.flat_map(|(own, theirs)| {
            own.iter().filter_map(|(line, ttl)| theirs.get(line).map(|other| ttl.abs_diff(*other)))
        });
        gaps.max().unwrap_or(0)
    }

    /// Whether all but the TTLs is the same. Two answers that are both too long for TCP are each a choice.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.rcode, self.authoritative, self.truncated) == (other.rcode, other.authoritative, other.truncated)
            && (self.truncated
                || self.sections.iter().zip(&other.sections).all(|(own, theirs)| own.keys().eq(theirs.keys())))
    }
}

impl Line {
    /// The record as in a zone file, with its TTL.
    pub(super) fn with_ttl(&self, ttl: u32) -> String {
        format!("{} {ttl} {} {}", self.owner, self.rtype, self.data).trim_end().to_owned()
    }
}

fn line(record: &Record, zones: &[Name]) -> (Line, u32) {
    let name = Name::from(&record.name);
    let (owner, rtype) = (name.to_string(), record.record_type().to_string());
    if !zones.iter().any(|zone| name.is_within(zone)) {
        return (Line { owner, rtype, data: "(of another server)".to_owned() }, 0);
    }
    let data = match &record.data {
        // The serial is when a server last saw a change, and the servers saw them at different times. The minimum is a
        // TTL: the lesser of it and the record's own is how long a negative answer is kept (RFC 2308 section 5).
        RData::SOA(soa) => {
            let (mname, rname) = (soa.mname.to_lowercase(), soa.rname.to_lowercase());
            let data = format!("{mname} {rname} * {} {} {} *", soa.refresh, soa.retry, soa.expire);
            return (Line { owner, rtype, data }, record.ttl.min(soa.minimum));
        }
        RData::TXT(txt) => txt.to_string(),
        data => data.to_string().to_lowercase(),
    };
    (Line { owner, rtype, data }, record.ttl)
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A reply of text: `NXDOMAIN aa`, then records as `OWNER TTL TYPE DATA`, `; ` before those of the next section.
    pub(crate) fn reply(text: &str) -> ComparedReply {
        let mut sections: [SectionRecords; 3] = Default::default();
        let mut at = 0;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let head = lines.next().unwrap();
        for line in lines {
            if line == ";" {
                at += 1;
                continue;
            }
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            let data = words.get(3).copied().unwrap_or_default().to_owned();
            let record = Line { owner: words[0].into(), rtype: words[2].into(), data };
            sections[at].insert(record, words[1].parse().unwrap());
        }
        ComparedReply {
            rcode: match head.split(' ').next() {
                Some("NXDOMAIN") => ResponseCode::NXDomain,
                Some("SERVFAIL") => ResponseCode::ServFail,
                _ => ResponseCode::NoError,
            },
            authoritative: head.contains(" aa"),
            truncated: head.contains(" tc"),
            sections,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::reply;
    use super::*;
    use crate::wire::message::{MessageName, Size, encode, rdata};

    #[test]
    fn order_case_serial_and_ttl_are_not_compared_and_the_rest_is() {
        let one = reply("NOERROR aa\na.x. 30 A 10.0.0.1\na.x. 30 A 10.0.0.2");
        let other = reply("NOERROR aa\na.x. 7 A 10.0.0.2\na.x. 30 A 10.0.0.1");
        assert!(one.is_like(&other));
        assert_eq!(one.ttl_gap(&other), 23);
        for different in [
            "NOERROR\na.x. 30 A 10.0.0.1\na.x. 30 A 10.0.0.2",
            "NOERROR aa\na.x. 30 A 10.0.0.1",
            "NXDOMAIN aa\na.x. 30 A 10.0.0.1\na.x. 30 A 10.0.0.2",
            "NOERROR aa\na.x. 30 A 10.0.0.1\n;\na.x. 30 A 10.0.0.2",
        ] {
            assert!(!one.is_like(&reply(different)), "{different}");
        }
    }

    #[test]
    fn octets_are_read_and_records_of_other_zones_only_counted() {
        let record = |name: &str, data: RData| Record::from_rdata(MessageName::from_ascii(name).unwrap(), 5, data);
        let mut message = Message::response(7, crate::wire::message::OpCode::Query);
        message.answers = vec![
            record("A.x.", RData::A(rdata::A::new(10, 0, 0, 1))),
            record("b.example.", RData::A(rdata::A::new(192, 0, 2, 1))),
            record("b.example.", RData::A(rdata::A::new(192, 0, 2, 2))),
        ];
        let name = |text: &str| MessageName::from_ascii(text).unwrap();
        message.authorities =
            vec![record("x.", RData::SOA(rdata::SOA::new(name("NS.x."), name("h.x."), 99, 1, 2, 3, 4)))];
        let mut octets = Vec::new();
        encode(&message, Size::tcp(), 1, &mut octets);
        let read = ComparedReply::read(&octets, &["x".parse().unwrap()]).unwrap();
        let lines: Vec<String> = read.sections[0].iter().map(|(line, ttl)| line.with_ttl(*ttl)).collect();
        assert_eq!(lines, ["a.x. 5 A 10.0.0.1", "b.example. 0 A (of another server)"]);
        let lines: Vec<&str> = read.sections[1].keys().map(|line| line.data.as_str()).collect();
        assert_eq!(lines, ["ns.x. h.x. * 1 2 3 *"]);
        assert_eq!(read.sections[1].values().copied().collect::<Vec<_>>(), [4]);
        assert!(ComparedReply::read(&octets[..7], &[]).is_err());
    }
}

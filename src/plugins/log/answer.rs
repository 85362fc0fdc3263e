//! The parts of an answer that a log line tells of, read from its octets without changing them.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{AnswerClass, Facts};
use crate::chain::{Outcome, Reply};
use crate::wire::message::{self, Size};
use crate::wire::{Flags, Header, Malformed, Opcode, Rcode, Records, Rtype, unpacked_len};

/// An answer as it is logged; all parts empty when the client gets none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LoggedAnswer {
    pub(super) rcode: Option<Rcode>,
    flags: Flags,
    /// Its octets with every name written out: as the plugin made it, without the OPT record that the server adds.
    pub(super) size: usize,
    pub(super) sort: AnswerSort,
}

impl LoggedAnswer {
    pub(super) fn of(outcome: &mut Outcome, facts: &Facts) -> Self {
        match outcome {
            Outcome::Reply(reply) => Self::reply(reply, facts),
            Outcome::Failed(_, failure) => Self::made_here(failure.rcode, facts),
            Outcome::Next => Self::made_here(Rcode::REFUSED, facts),
            Outcome::Drop => Self { rcode: None, flags: Flags::default(), size: 0, sort: AnswerSort::OtherError },
        }
    }

    fn reply(reply: &mut Reply, facts: &Facts) -> Self {
        let (rcode, plugin) = (reply.rcode(), reply.plugin);
        let mut written = Vec::new();
        let octets: &[u8] = match reply.as_octets() {
            Some(octets) => octets,
            None => {
                if let Ok(message) = reply.message() {
                    message::encode(message, Size::tcp(), 0, &mut written);
                }
                &written
            }
        };
        let flags = Flags::of(octets).unwrap_or_default();
        let read = Read::of(octets).unwrap_or_default();
        // The OPT record of another server is part of its answer; all others come from here.
        let (len, opt) = unpacked_len(octets).unwrap_or((octets.len(), 0));
        let size = if plugin == "forward" { len + opt } else { len };
        let rcode = Rcode(rcode.0 & 0xf | read.extended << 4);
        Self { rcode: Some(rcode), flags, size, sort: AnswerSort::of(flags.opcode(), rcode, facts.qtype, &read) }
    }

    /// The answer that the server will make of a failure: the question and no more.
    fn made_here(rcode: Rcode, facts: &Facts) -> Self {
        let flags = facts.flags.to_answer().with_rcode(rcode);
        let size = Header::LEN + facts.name.as_wire().len() + 4;
        Self {
            rcode: Some(rcode),
            flags,
            size,
            sort: AnswerSort::of(flags.opcode(), rcode, facts.qtype, &Read::default()),
        }
    }

    /// Its flags, as `qr,rd,ra`; `-` without an answer.
    pub(super) fn flags(&self) -> String {
        self.rcode.map_or_else(|| "-".to_owned(), |_| self.flags.to_string())
    }
}

/// A response code as `log` writes it.
pub(super) struct Code(pub(super) Option<Rcode>);

impl fmt::Display for Code {
    /// The name, or the number; nothing without an answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rcode) = self.0 else { return Ok(()) };
        let name = rcode.to_string();
        f.write_str(name.strip_prefix("RCODE").unwrap_or(&name))
    }
}

//----------- Sort -----------------------------------------------------------

/// The sort of an answer: `{/log/type}`, and the ground of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerSort {
    NoError,
    NameError,
    ServerError,
    /// NOERROR without an answer, and with the SOA that says so (RFC 2308 section 2.2).
    NoData,
    Delegation,
    /// NOTIFY or a transfer.
    Meta,
    Update,
    OtherError,
}

impl AnswerSort {
    fn of(opcode: Opcode, rcode: Rcode, qtype: Rtype, read: &Read) -> Self {
        match (opcode, rcode) {
            (Opcode::UPDATE, _) => Self::Update,
            (Opcode::NOTIFY, _) => Self::Meta,
            _ if matches!(qtype, Rtype::IXFR | Rtype::AXFR) => Self::Meta,
            _ if read.dnssec_ok && read.expired => Self::OtherError,
            (_, Rcode::NOERROR) if read.answers => Self::NoError,
            (_, Rcode::NXDOMAIN) if read.answers => Self::OtherError,
            (_, Rcode::NOERROR) if read.soa => Self::NoData,
            (_, Rcode::NXDOMAIN) => Self::NameError,
            (_, Rcode::SERVFAIL | Rcode::NOTIMP) => Self::ServerError,
            (_, Rcode::NOERROR) if read.ns => Self::Delegation,
            (_, Rcode::NOERROR) => Self::NoError,
            _ => Self::OtherError,
        }
    }

    /// Its class, as `class` names it.
    pub(super) fn class(self) -> AnswerClass {
        match self {
            Self::NoError | Self::Delegation => AnswerClass::Success,
            Self::NameError | Self::NoData => AnswerClass::Denial,
            Self::ServerError | Self::Meta | Self::Update | Self::OtherError => AnswerClass::Error,
        }
    }
}

impl fmt::Display for AnswerSort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoError => "NOERROR",
            Self::NameError => "NXDOMAIN",
            Self::ServerError => "SERVERERROR",
            Self::NoData => "NODATA",
            Self::Delegation => "DELEGATION",
            Self::Meta => "META",
            Self::Update => "UPDATE",
            Self::OtherError => "OTHERERROR",
        })
    }
}

/// The records of an answer, as far as its sort follows from them.
#[derive(Debug, Default)]
struct Read {
    answers: bool,
    soa: bool,
    ns: bool,
    dnssec_ok: bool,
    /// Some signature is not valid now.
    expired: bool,
    /// The upper bits of the response code (RFC 6891 section 6.1.3).
    extended: u16,
}

impl Read {
    fn of(octets: &[u8]) -> Result<Self, Malformed> {
        let mut read = Self::default();
        let mut now = None;
        for record in Records::new(octets)? {
            let record = record?;
            read.answers |= record.section == 0;
            read.soa |= record.section == 1 && record.rtype == Rtype::SOA;
            read.ns |= record.section == 1 && record.rtype == Rtype::NS;
            match record.rtype {
                Rtype::OPT => {
                    read.dnssec_ok |= record.dnssec_ok();
                    read.extended = u16::from(record.upper_rcode());
                }
                Rtype::RRSIG => {
                    let now = *now.get_or_insert_with(seconds);
                    read.expired |= octets.get(record.rdata..record.end).is_none_or(|data| !is_valid(data, now));
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

/// The time as signatures have it: seconds, of which the upper bits are lost in 2106.
fn seconds() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32
}

/// Whether the times of an RRSIG hold now (RFC 4034 section 3.1.5: in serial number arithmetic).
fn is_valid(rdata: &[u8], now: u32) -> bool {
    let time = |at: usize| rdata.get(at..at + 4).and_then(|octets| Some(u32::from_be_bytes(octets.try_into().ok()?)));
    let (Some(expiration), Some(inception)) = (time(8), time(12)) else { return false };
    now.wrapping_sub(inception) as i32 >= 0 && expiration.wrapping_sub(now) as i32 >= 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(rcode: u16, read: &Read) -> (String, AnswerClass) {
        let sort = AnswerSort::of(Opcode::QUERY, Rcode(rcode), Rtype::A, read);
        (sort.to_string(), sort.class())
    }

    /// The table is CoreDNS's: `plugin/pkg/response`.
    #[test]
    fn answers_are_sorted_as_coredns_does() {
        let none = Read::default;
        for (rcode, read, wanted, class) in [
            (0, Read { answers: true, ..none() }, "NOERROR", AnswerClass::Success),
            (0, Read { soa: true, ..none() }, "NODATA", AnswerClass::Denial),
            (0, Read { soa: true, ns: true, ..none() }, "NODATA", AnswerClass::Denial),
            (0, Read { ns: true, ..none() }, "DELEGATION", AnswerClass::Success),
            (0, none(), "NOERROR", AnswerClass::Success),
            (3, none(), "NXDOMAIN", AnswerClass::Denial),
            (3, Read { answers: true, ..none() }, "OTHERERROR", AnswerClass::Error),
            (2, none(), "SERVERERROR", AnswerClass::Error),
            (4, none(), "SERVERERROR", AnswerClass::Error),
            (1, none(), "OTHERERROR", AnswerClass::Error),
            (5, none(), "OTHERERROR", AnswerClass::Error),
            (23, none(), "OTHERERROR", AnswerClass::Error),
            (0, Read { answers: true, expired: true, ..none() }, "NOERROR", AnswerClass::Success),
            (0, Read { answers: true, expired: true, dnssec_ok: true, ..none() }, "OTHERERROR", AnswerClass::Error),
        ] {
            assert_eq!(sort(rcode, &read), (wanted.to_owned(), class), "{rcode} {read:?}");
        }
        assert_eq!(AnswerSort::of(Opcode::QUERY, Rcode::NOERROR, Rtype::AXFR, &none()), AnswerSort::Meta);
        assert_eq!(AnswerSort::of(Opcode::NOTIFY, Rcode::NOERROR, Rtype::SOA, &none()), AnswerSort::Meta);
        assert_eq!(AnswerSort::of(Opcode::UPDATE, Rcode::NOERROR, Rtype::SOA, &none()), AnswerSort::Update);
    }

    #[test]
    fn signatures_are_valid_between_their_times() {
        let rdata = |inception: u32, expiration: u32| {
            [&[0; 8], &expiration.to_be_bytes()[..], &inception.to_be_bytes()].concat()
        };
        assert!(is_valid(&rdata(100, 200), 150) && !is_valid(&rdata(100, 200), 201) && !is_valid(&rdata(100, 200), 99));
        assert!(is_valid(&rdata(u32::MAX - 10, 10), 3), "across 2106");
        assert!(!is_valid(&[0; 8], 0));
    }

    #[test]
    fn codes_have_a_name_or_a_number() {
        let shown = |code: u16| Code(Some(Rcode(code))).to_string();
        assert_eq!([0, 2, 5, 23, 3841].map(shown), ["NOERROR", "SERVFAIL", "REFUSED", "BADCOOKIE", "3841"]);
        assert_eq!(Code(None).to_string(), "");
    }
}

//! The shape of an answer, as far as remembering it goes: an answer, a denial, a failure, or nothing to keep.

use super::Ask;
use crate::wire::{
    EdnsOption, EdnsOptions, Flags, Header, Malformed, Name, Opcode, Rcode, Records, Rtype, SUBNET, Ttl, name_at,
};

/// The sort of an answer, told by its octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Data that answer the question.
    Answer,
    /// NXDOMAIN or NODATA with the SOA that says how long (RFC 2308 section 5).
    Denial,
    /// SERVFAIL (RFC 2308 section 7.1).
    Failure,
    /// An alias and no more, without a SOA that says how long there is no more: shown as an answer is, not remembered.
    Alias,
}

/// An answer that may be remembered.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) sort: Sort,
    /// The smallest TTL of all records, for a denial also the SOA's MINIMUM; `None` without records.
    pub(super) ttl: Option<Ttl>,
    /// The places of the TTLs.
    pub(super) places: Vec<u16>,
    /// The end of the answer without its OPT record.
    pub(super) end: usize,
    /// The number of additional records, OPT not counted.
    pub(super) additional: u16,
}

/// The reason not to remember an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The answer is one to another question.
    Mismatch,
    /// Truncated, an error of another kind, a denial without SOA, malformed.
    NotForKeeping,
}

impl From<Malformed> for Unfit {
    fn from(_: Malformed) -> Self {
        Self::NotForKeeping
    }
}

impl Shape {
    /// Reads an answer to a question.
    pub(super) fn read(ask: &Ask<'_>, reply: &[u8]) -> Result<Self, Unfit> {
        let Some((Header { flags, counts: [questions, ..], .. }, rest)) = Header::split(reply) else {
            return Err(Unfit::NotForKeeping);
        };
        let question = rest.split_at_checked(ask.qname.len()).and_then(|(name, rest)| {
            let fixed = rest.first_chunk::<4>()?;
            Some((name, *fixed))
        });
        let (t, c) = (ask.qtype.to_be_bytes(), ask.qclass.to_be_bytes());
        let same = question
            .is_some_and(|(name, fixed)| name.eq_ignore_ascii_case(ask.qname) && fixed == [t[0], t[1], c[0], c[1]]);
        if questions != 1 || !flags.has(Flags::QR) || !same {
            return Err(Unfit::Mismatch);
        }
        // AXFR, IXFR and the meta-types around them are never answers to keep.
        let rcode = flags.rcode();
        if flags.opcode() != Opcode::QUERY
            || flags.has(Flags::TC)
            || !matches!(rcode, Rcode::NOERROR | Rcode::SERVFAIL | Rcode::NXDOMAIN)
            || matches!(ask.qtype, Rtype::TKEY | Rtype::TSIG | Rtype::IXFR | Rtype::AXFR)
        {
            return Err(Unfit::NotForKeeping);
        }

        let mut shape = Self { sort: Sort::Failure, ttl: None, places: Vec::new(), end: 0, additional: 0 };
        let (mut soa, mut answers, mut direct, mut aliases) = (None, 0_u32, false, Vec::new());
        let records = Records::new(reply)?;
        let mut opt_seen = false;
        shape.end = records.at();
        for record in records {
            let record = record?;
            if opt_seen {
                // Cutting the OPT record out of the middle would move what compression pointers name.
                return Err(Unfit::NotForKeeping);
            }
            if record.rtype == Rtype::OPT {
                opt_seen = true;
                if record.upper_rcode() != 0 || is_tailored(reply.get(record.rdata..record.end).unwrap_or_default()) {
                    return Err(Unfit::NotForKeeping);
                }
                continue;
            }
            shape.end = record.end;
            shape.additional += u16::from(record.section == 2);
            shape.places.push(u16::try_from(record.ttl_at).map_err(|_| Unfit::NotForKeeping)?);
            let mut ttl = Ttl::received(record.ttl);
            if record.section == 1 && record.rtype == Rtype::SOA {
                let minimum = record.end.checked_sub(4).filter(|&at| at >= record.rdata);
                let minimum = minimum.and_then(|at| reply.get(at..)?.first_chunk::<4>());
                let minimum = minimum.ok_or(Unfit::NotForKeeping)?;
                ttl = ttl.min(Ttl::from_secs(u32::from_be_bytes(*minimum)));
                soa = Some(ttl);
            }
            if record.section == 0 {
                answers += 1;
                if record.rtype == ask.qtype || ask.qtype == Rtype::ANY {
                    direct = direct || owner_is(reply, record.owner, ask.qname);
                }
                if (record.rtype == Rtype::CNAME || record.rtype == ask.qtype) && !direct {
                    aliases.push(record);
                }
            }
            shape.ttl = Some(shape.ttl.map_or(ttl, |least| least.min(ttl)));
        }

        let answered = direct || answers > 0 && chain_reaches(ask, reply, &aliases);
        shape.sort = match rcode {
            Rcode::SERVFAIL => Sort::Failure,
            Rcode::NOERROR if answered => Sort::Answer,
            _ if soa.is_some() => Sort::Denial,
            Rcode::NOERROR if aliases.iter().any(|alias| leads_on(ask, reply, alias)) => Sort::Alias,
            _ => return Err(Unfit::NotForKeeping),
        };
        Ok(shape)
    }
}

/// Whether the options say that the answer is for some networks only (RFC 7871 section 7.3.1): others want another.
fn is_tailored(rdata: &[u8]) -> bool {
    // The scope stands behind the head of the option, the family and the prefix of the query.
    let has_scope = |option: EdnsOption<'_>| option.octets.get(7).is_some_and(|&scope| scope != 0);
    EdnsOptions::new(rdata).flatten().any(|option| option.code == SUBNET && has_scope(option))
}

/// Whether the aliases lead from the qname to a record of the type asked for (RFC 1034 section 3.6.2).
fn chain_reaches(ask: &Ask<'_>, reply: &[u8], aliases: &[crate::wire::FoundRecord]) -> bool {
    // No honest chain is longer; each step reads the owners once.
    const LONGEST: usize = 16;
    let owners: Vec<Option<Name>> = aliases.iter().map(|one| name_at(reply, one.owner).ok()).collect();
    let Ok(mut name) = Name::from_wire(ask.qname) else { return false };
    for _ in 0..LONGEST {
        let mut here =
            aliases.iter().zip(&owners).filter(|(_, owner)| owner.as_ref() == Some(&name)).map(|(one, _)| one);
        let Some(first) = here.clone().find(|one| one.rtype == ask.qtype).or_else(|| here.next()) else { return false };
        if first.rtype == ask.qtype {
            return true;
        }
        let Ok(target) = name_at(reply, first.rdata) else { return false };
        name = target;
    }
    false
}

/// Whether an alias leads from the qname to another name.
fn leads_on(ask: &Ask<'_>, reply: &[u8], alias: &crate::wire::FoundRecord) -> bool {
    owner_is(reply, alias.owner, ask.qname)
        && name_at(reply, alias.rdata).is_ok_and(|target| target.as_wire() != ask.qname)
}

/// Whether the owner at a place is the qname: nearly always a pointer to the question.
fn owner_is(reply: &[u8], at: usize, qname: &[u8]) -> bool {
    reply.get(at..).is_some_and(|owner| owner.starts_with(&[0xc0, 12]))
        || name_at(reply, at).is_ok_and(|name| name.as_wire() == qname)
}

/// Sets the TTL of every record but OPT.
pub fn cap_ttls(reply: &mut [u8], ttl: Ttl) {
    change_ttls(reply, |_, _| ttl);
}

/// Makes another TTL of the type and the TTL of every record but OPT.
pub(super) fn change_ttls(reply: &mut [u8], change: impl Fn(Rtype, Ttl) -> Ttl) {
    let places: Vec<(Rtype, usize)> = match Records::new(reply) {
        Ok(records) => {
            let others = records.flatten().filter(|record| record.rtype != Rtype::OPT);
            others.map(|record| (record.rtype, record.ttl_at)).collect()
        }
        Err(Malformed) => return,
    };
    for (rtype, at) in places {
        if let Some(octets) = reply.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>) {
            *octets = change(rtype, Ttl::from_secs(u32::from_be_bytes(*octets))).to_be_bytes();
        }
    }
}

/// Takes the AD bit away: the client did not ask for it (RFC 6840 section 5.8).
pub fn clear_authentic(reply: &mut [u8]) {
    Flags::change(reply, |flags| flags.without(Flags::AD));
}

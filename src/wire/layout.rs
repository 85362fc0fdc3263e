//! What the RDATA of each type is made of: as much as tells whether it is whole and where its names stand.
//!
//! Types without a row are opaque (RFC 3597 section 3). Registry: the DNS parameters of IANA.

use super::error::Malformed;
use super::walk::FoundRecord;
use super::{Class, Rtype};

/// One part of an RDATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// Octets, so many of them.
    Octets(usize),
    /// A name.
    Name,
    /// A character-string: its length in one octet, then itself.
    Text,
    /// Character-strings to the end. None at all is no RFC's, but seen, and harms nobody.
    Texts,
    /// Codes of two octets, each with a length of two octets and a value: options, service parameters.
    Pairs,
    /// Windows of a bit map of types (RFC 4034 section 4.1.2).
    Windows,
    /// Address prefixes (RFC 3123 section 4).
    Prefixes,
    /// An address or a name, by the octet that stands so far from the beginning (RFC 4025, RFC 8777).
    Gateway(usize),
    /// A host identity and its key, each as long as the octets before them say (RFC 8005 section 5).
    HostIdentity,
    /// Names to the end.
    Names,
    /// Whatever is left.
    Rest,
}

/// The parts of an RDATA, in their order; `None` for an opaque one.
fn fields(rtype: Rtype, class: Class) -> Option<&'static [Field]> {
    use Field::*;
    use Rtype as R;
    // Types that are defined for the Internet alone.
    if class != Class::IN
        && matches!(
            rtype,
            R::A | R::WKS | R::NSAP_PTR | R::PX | R::AAAA | R::SRV | R::NAPTR | R::KX | R::APL | R::IPSECKEY
        )
    {
        return None;
    }
    Some(match rtype {
        R::A => &[Octets(4)],
        R::NS | R::MD | R::MF | R::CNAME | R::MB | R::MG | R::MR | R::PTR | R::NSAP_PTR | R::DNAME => &[Name],
        R::SOA => &[Name, Name, Octets(20)],
        R::WKS => &[Octets(5), Rest],
        R::HINFO => &[Text, Text],
        R::MINFO | R::RP | R::TALINK => &[Name, Name],
        R::MX | R::AFSDB | R::RT | R::KX | R::LP => &[Octets(2), Name],
        R::TXT | R::NINFO | R::SPF | R::AVC | R::RESINFO | R::WALLET => &[Texts],
        R::X25 => &[Text],
        R::ISDN => &[Text, Texts],
        R::SIG | R::RRSIG => &[Octets(18), Name, Rest],
        R::KEY | R::DS | R::DNSKEY | R::RKEY | R::CDS | R::CDNSKEY | R::URI | R::TA | R::DLV => &[Octets(4), Rest],
        R::PX => &[Octets(2), Name, Name],
        R::GPOS => &[Text, Text, Text],
        R::AAAA | R::LOC => &[Octets(16)],
        R::NXT | R::TKEY | R::TSIG => &[Name, Rest],
        R::SRV => &[Octets(6), Name],
        R::NAPTR => &[Octets(4), Text, Text, Text, Name],
        R::CERT => &[Octets(5), Rest],
        R::OPT => &[Pairs],
        R::APL => &[Prefixes],
        R::SSHFP => &[Octets(2), Rest],
        R::IPSECKEY => &[Octets(3), Gateway(1), Rest],
        R::NSEC => &[Name, Windows],
        R::NSEC3 => &[Octets(4), Text, Text, Windows],
        R::NSEC3PARAM => &[Octets(4), Text],
        R::TLSA | R::SMIMEA => &[Octets(3), Rest],
        R::HIP => &[HostIdentity, Names],
        R::CSYNC => &[Octets(6), Windows],
        R::ZONEMD => &[Octets(6), Rest],
        R::SVCB | R::HTTPS => &[Octets(2), Name, Pairs],
        R::DSYNC => &[Octets(5), Name],
        R::NID | R::L64 => &[Octets(10)],
        R::L32 | R::EUI48 => &[Octets(6)],
        R::EUI64 => &[Octets(8)],
        R::CAA => &[Octets(1), Text, Rest],
        R::AMTRELAY => &[Octets(2), Gateway(1)],
        _ => return None,
    })
}

/// Whether names in the data of a type may be written as pointers: those of RFC 1035 alone (RFC 3597 section 4).
pub(super) fn may_be_compressed(rtype: Rtype) -> bool {
    use Rtype as R;
    matches!(rtype, R::NS | R::MD | R::MF | R::CNAME | R::SOA | R::MB | R::MG | R::MR | R::PTR | R::MINFO | R::MX)
}

/// Walks the RDATA of a record to its end. `name` is handed the place of each name and says where it ends there.
///
/// # Errors
/// When the parts do not fill the RDATA exactly, or `name` says so.
pub(super) fn names(
    message: &[u8],
    record: &FoundRecord,
    mut name: impl FnMut(usize) -> Result<usize, Malformed>,
) -> Result<(), Malformed> {
    let Some(fields) = fields(record.rtype, record.class) else { return Ok(()) };
    let message = message.get(..record.end).ok_or(Malformed)?;
    let octet = |at: usize| message.get(at).copied().map(usize::from).ok_or(Malformed);
    let pair = |at: usize| Ok(octet(at)? << 8 | octet(at + 1)?);
    let mut at = record.rdata;
    for field in fields {
        match field {
            Field::Octets(count) => at += count,
            Field::Name => at = name(at)?,
            Field::Text => at += 1 + octet(at)?,
            Field::Texts => {
                while at < record.end {
                    at += 1 + octet(at)?;
                }
            }
            Field::Pairs => {
                while at < record.end {
                    at += 4 + pair(at + 2)?;
                }
            }
            Field::Windows => {
                while at < record.end {
                    let len = octet(at + 1)?;
                    if !(1..=32).contains(&len) {
                        return Err(Malformed);
                    }
                    at += 2 + len;
                }
            }
            Field::Prefixes => {
                while at < record.end {
                    at += 4 + (octet(at + 3)? & 0x7f);
                }
            }
            Field::Gateway(kind) => match octet(record.rdata + kind)? & 0x7f {
                0 => {}
                1 => at += 4,
                2 => at += 16,
                3 => at = name(at)?,
                _ => at = record.end,
            },
            Field::HostIdentity => at += 4 + octet(at)? + pair(at + 2)?,
            Field::Names => {
                while at < record.end {
                    at = name(at)?;
                }
            }
            Field::Rest => at = at.max(record.end),
        }
    }
    if at == record.end { Ok(()) } else { Err(Malformed) }
}

//! What the RDATA of each type is made of: as much as tells whether it is whole and where its names stand.
//!
//! Types without a row are opaque (RFC 3597 section 3). Registry: the DNS parameters of IANA.

use super::records::{Found, Malformed};

/// One part of an RDATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// So many octets.
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
fn fields(rtype: u16, class: u16) -> Option<&'static [Field]> {
    use Field::*;
    const INTERNET: u16 = 1;
    // Types that are defined for the Internet alone.
    if class != INTERNET && matches!(rtype, 1 | 11 | 23 | 26 | 28 | 33 | 35 | 36 | 42 | 45) {
        return None;
    }
    Some(match rtype {
        1 => &[Octets(4)],
        2..=5 | 7..=9 | 12 | 23 | 39 => &[Name],
        6 => &[Name, Name, Octets(20)],
        11 => &[Octets(5), Rest],
        13 => &[Text, Text],
        14 | 17 | 58 => &[Name, Name],
        15 | 18 | 21 | 36 | 107 => &[Octets(2), Name],
        16 | 56 | 99 | 258 | 261 | 262 => &[Texts],
        19 => &[Text],
        20 => &[Text, Texts],
        24 | 46 => &[Octets(18), Name, Rest],
        25 | 43 | 48 | 57 | 59 | 60 | 256 | 32768 | 32769 => &[Octets(4), Rest],
        26 => &[Octets(2), Name, Name],
        27 => &[Text, Text, Text],
        28 | 29 => &[Octets(16)],
        30 | 249 | 250 => &[Name, Rest],
        33 => &[Octets(6), Name],
        35 => &[Octets(4), Text, Text, Text, Name],
        37 => &[Octets(5), Rest],
        41 => &[Pairs],
        42 => &[Prefixes],
        44 => &[Octets(2), Rest],
        45 => &[Octets(3), Gateway(1), Rest],
        47 => &[Name, Windows],
        50 => &[Octets(4), Text, Text, Windows],
        51 => &[Octets(4), Text],
        52 | 53 => &[Octets(3), Rest],
        55 => &[HostIdentity, Names],
        62 => &[Octets(6), Windows],
        63 => &[Octets(6), Rest],
        64 | 65 => &[Octets(2), Name, Pairs],
        66 => &[Octets(5), Name],
        104 | 106 => &[Octets(10)],
        105 | 108 => &[Octets(6)],
        109 => &[Octets(8)],
        257 => &[Octets(1), Text, Rest],
        260 => &[Octets(2), Gateway(1)],
        _ => return None,
    })
}

/// Whether names in the data of a type may be written as pointers: those of RFC 1035 alone (RFC 3597 section 4).
pub(super) fn may_be_compressed(rtype: u16) -> bool {
    matches!(rtype, 2..=9 | 12 | 14 | 15)
}

/// Walks the RDATA of a record to its end. `name` is handed the place of each name and says where it ends there.
///
/// # Errors
/// When the parts do not fill the RDATA exactly, or `name` says so.
pub(super) fn names(
    message: &[u8],
    record: &Found,
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

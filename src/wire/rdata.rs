//! Where names stand in the data of records, for those that carry records from one message to another.

/// A part of the data of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// So many octets that say the same anywhere.
    Octets(usize),
    /// A name, which may be compressed.
    Name,
    /// A length octet and so many octets.
    Text,
}

/// The parts of the data up to the last name; what stands behind it says the same anywhere.
///
/// These are the types whose names somebody may have compressed: those of RFC 1035, and of the later ones those of RFC 3597
/// section 4 and the few that were written so by servers of their time. All other data are octets.
pub(super) fn parts(rtype: u16) -> &'static [Part] {
    use Part::{Name, Octets, Text};
    match rtype {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR; NXT, DNAME, NSEC.
        2..=5 | 7..=9 | 12 | 30 | 39 | 47 => &[Name],
        // SOA, MINFO, RP.
        6 | 14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX.
        15 | 18 | 21 | 36 => &[Octets(2), Name],
        // PX.
        26 => &[Octets(2), Name, Name],
        // SIG, RRSIG.
        24 | 46 => &[Octets(18), Name],
        // SRV.
        33 => &[Octets(6), Name],
        // NAPTR.
        35 => &[Octets(4), Text, Text, Text, Name],
        _ => &[],
    }
}

//! The record types by name and number, and what their text consists of.

use Field::{
    Algorithm, Base64, Certificate, Digest, Eui, Gateway, Groups, Hash, Hex, HostIdentity, HostInfo, Isdn, Key,
    Location, Long, Name, Nsap, Number8, Number16, Number32, Number64, Parameters, Prefixes, Relay, Salt, Scheme,
    Seconds, Tag, Text, Texts, Time, Type, Types, V4, V6,
};

use crate::wire::message::RecordType;

/// One part of the text of a record, read from a word or, where it says so, from all that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Number8,
    Number16,
    Number32,
    Number64,
    /// Seconds, or with units as in `1h30m`.
    Seconds,
    V4,
    V6,
    Name,
    /// A character-string of at most 255 octets.
    Text,
    /// All that are left, one at least; longer ones than 255 octets are parted.
    Texts,
    /// Octets without a length before them.
    Long,
    /// Letters and digits behind their length.
    Tag,
    /// All that are left, as hexadecimal digits.
    Hex,
    /// All that are left, in base 64.
    Base64,
    /// The same, and nothing is allowed.
    Key,
    /// A type by name.
    Type,
    /// All that are left, as a bitmap of types (RFC 4034 section 4.1.2).
    Types,
    /// An algorithm of DNSSEC by number or name.
    Algorithm,
    /// The digest of a DS record by number or name.
    Digest,
    /// The kind of a certificate by number or name (RFC 4398 section 2.1).
    Certificate,
    /// The kind of a notification by number or name (RFC 9859).
    Scheme,
    /// A time as seconds or as `YYYYMMDDHHmmSS` (RFC 4034 section 3.2).
    Time,
    /// Hexadecimal digits behind their length; `-` for none.
    Salt,
    /// A hash in base 32 behind its length (RFC 5155 section 3.3).
    Hash,
    /// So many octets as pairs of hexadecimal digits with dashes between (RFC 7043).
    Eui(u8),
    /// Four groups of four hexadecimal digits (RFC 6742).
    Groups,
    /// All that are left, as keys and values (RFC 9460).
    Parameters,
    /// All that are left, as a place on Earth (RFC 1876).
    Location,
    /// All that are left, as networks (RFC 3123).
    Prefixes,
    /// Precedence, kind of gateway, algorithm and gateway (RFC 4025).
    Gateway,
    /// Precedence, discovery, kind of relay and relay (RFC 8777).
    Relay,
    /// Algorithm, tag and key (RFC 8005), then names.
    HostIdentity,
    /// Two texts, of which the second may be left out or consist of several.
    HostInfo,
    /// One text or two.
    Isdn,
    /// An address of OSI as hexadecimal digits behind `0x`, dots between them allowed (RFC 1706).
    Nsap,
}

/// Types without a text of their own have `None`: they can be written as octets only (RFC 3597).
type Layout = Option<&'static [Field]>;

const TYPES: &[(u16, &str, Layout)] = &[
    (1, "A", Some(&[V4])),
    (2, "NS", Some(&[Name])),
    (3, "MD", Some(&[Name])),
    (4, "MF", Some(&[Name])),
    (5, "CNAME", Some(&[Name])),
    (6, "SOA", Some(&[Name, Name, Number32, Seconds, Seconds, Seconds, Seconds])),
    (7, "MB", Some(&[Name])),
    (8, "MG", Some(&[Name])),
    (9, "MR", Some(&[Name])),
    (10, "NULL", None),
    (11, "WKS", None),
    (12, "PTR", Some(&[Name])),
    (13, "HINFO", Some(&[HostInfo])),
    (14, "MINFO", Some(&[Name, Name])),
    (15, "MX", Some(&[Number16, Name])),
    (16, "TXT", Some(&[Texts])),
    (17, "RP", Some(&[Name, Name])),
    (18, "AFSDB", Some(&[Number16, Name])),
    (19, "X25", Some(&[Text])),
    (20, "ISDN", Some(&[Isdn])),
    (21, "RT", Some(&[Number16, Name])),
    (22, "NSAP", Some(&[Nsap])),
    (23, "NSAP-PTR", Some(&[Name])),
    (24, "SIG", Some(&[Type, Algorithm, Number8, Seconds, Time, Time, Number16, Name, Base64])),
    (25, "KEY", Some(&[Number16, Number8, Algorithm, Key])),
    (26, "PX", Some(&[Number16, Name, Name])),
    (27, "GPOS", Some(&[Text, Text, Text])),
    (28, "AAAA", Some(&[V6])),
    (29, "LOC", Some(&[Location])),
    (30, "NXT", Some(&[Name, Types])),
    (31, "EID", Some(&[Hex])),
    (32, "NIMLOC", Some(&[Hex])),
    (33, "SRV", Some(&[Number16, Number16, Number16, Name])),
    (34, "ATMA", None),
    (35, "NAPTR", Some(&[Number16, Number16, Text, Text, Text, Name])),
    (36, "KX", Some(&[Number16, Name])),
    (37, "CERT", Some(&[Certificate, Number16, Algorithm, Base64])),
    (38, "A6", None),
    (39, "DNAME", Some(&[Name])),
    (40, "SINK", None),
    (41, "OPT", None),
    (42, "APL", Some(&[Prefixes])),
    (43, "DS", Some(&[Number16, Algorithm, Digest, Hex])),
    (44, "SSHFP", Some(&[Number8, Number8, Hex])),
    (45, "IPSECKEY", Some(&[Gateway, Key])),
    (46, "RRSIG", Some(&[Type, Algorithm, Number8, Seconds, Time, Time, Number16, Name, Base64])),
    (47, "NSEC", Some(&[Name, Types])),
    (48, "DNSKEY", Some(&[Number16, Number8, Algorithm, Base64])),
    (49, "DHCID", Some(&[Base64])),
    (50, "NSEC3", Some(&[Number8, Number8, Number16, Salt, Hash, Types])),
    (51, "NSEC3PARAM", Some(&[Number8, Number8, Number16, Salt])),
    (52, "TLSA", Some(&[Number8, Number8, Number8, Hex])),
    (53, "SMIMEA", Some(&[Number8, Number8, Number8, Hex])),
    (55, "HIP", Some(&[HostIdentity])),
    (56, "NINFO", Some(&[Texts])),
    (57, "RKEY", Some(&[Number16, Number8, Algorithm, Base64])),
    (58, "TALINK", Some(&[Name, Name])),
    (59, "CDS", Some(&[Number16, Algorithm, Digest, Hex])),
    (60, "CDNSKEY", Some(&[Number16, Number8, Algorithm, Base64])),
    (61, "OPENPGPKEY", Some(&[Base64])),
    (62, "CSYNC", Some(&[Number32, Number16, Types])),
    (63, "ZONEMD", Some(&[Number32, Number8, Number8, Hex])),
    (64, "SVCB", Some(&[Number16, Name, Parameters])),
    (65, "HTTPS", Some(&[Number16, Name, Parameters])),
    (66, "DSYNC", Some(&[Type, Scheme, Number16, Name])),
    (67, "HHIT", Some(&[Base64])),
    (68, "BRID", Some(&[Base64])),
    (99, "SPF", Some(&[Texts])),
    (100, "UINFO", Some(&[Texts])),
    (101, "UID", Some(&[Number32])),
    (102, "GID", Some(&[Number32])),
    (103, "UNSPEC", None),
    (104, "NID", Some(&[Number16, Groups])),
    (105, "L32", Some(&[Number16, V4])),
    (106, "L64", Some(&[Number16, Groups])),
    (107, "LP", Some(&[Number16, Name])),
    (108, "EUI48", Some(&[Eui(6)])),
    (109, "EUI64", Some(&[Eui(8)])),
    (128, "NXNAME", None),
    (249, "TKEY", None),
    (250, "TSIG", None),
    (251, "IXFR", None),
    (252, "AXFR", None),
    (253, "MAILB", None),
    (254, "MAILA", None),
    (255, "ANY", None),
    (256, "URI", Some(&[Number16, Number16, Long])),
    (257, "CAA", Some(&[Number8, Tag, Long])),
    (258, "AVC", Some(&[Texts])),
    (259, "DOA", None),
    (260, "AMTRELAY", Some(&[Relay])),
    (261, "RESINFO", Some(&[Texts])),
    (262, "WALLET", Some(&[Texts])),
    (263, "CLA", Some(&[Texts])),
    (264, "IPN", Some(&[Number64])),
    (32_768, "TA", Some(&[Number16, Algorithm, Digest, Hex])),
    (32_769, "DLV", Some(&[Number16, Algorithm, Digest, Hex])),
];

/// A type by its name, or as `TYPE123` (RFC 3597 section 5).
pub(crate) fn parse_type(text: &str) -> Option<RecordType> {
    let known = TYPES.iter().find(|(_, name, _)| name.eq_ignore_ascii_case(text)).map(|(number, _, _)| *number);
    let generic = || {
        let (word, number) = text.split_at_checked(4)?;
        word.eq_ignore_ascii_case("TYPE").then(|| number.parse().ok())?
    };
    known.or_else(generic).map(RecordType::from)
}

/// What the text of a type consists of, where it has one.
pub(super) fn layout(qtype: RecordType) -> Layout {
    let number = u16::from(qtype);
    TYPES.iter().find(|(own, _, _)| *own == number).and_then(|(_, _, layout)| *layout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::TypeName;

    #[test]
    fn types_have_names_and_numbers() {
        for (number, name, _) in TYPES {
            assert_eq!(parse_type(&name.to_lowercase()).map(u16::from), Some(*number), "{name}");
            // Logs show a type by the same name, or by its number.
            let shown = TypeName(*number).to_string();
            assert!(shown == *name || shown == format!("TYPE{number}"), "{name} is shown as {shown}");
        }
        assert_eq!(parse_type("TYPE256").map(u16::from), Some(256));
        assert_eq!(parse_type("type65400").map(u16::from), Some(65_400));
        for none in ["", "TYPE", "TYPE65536", "TYPEx", "*", "IN", "typé1"] {
            assert_eq!(parse_type(none), None, "{none}");
        }
        assert!(TYPES.is_sorted_by_key(|(number, _, _)| *number));
    }
}

//! The fields in the text of each record type.

use FieldFormat::{
    Algorithm, Base64, Certificate, Digest, Eui, Gateway, Groups, Hash, Hex, HostIdentity, HostInfo, Isdn, Key,
    Location, Long, Name, Nsap, Number8, Number16, Number32, Number64, Parameters, Prefixes, Relay, Salt, Scheme,
    Seconds, Tag, Text, Texts, Time, Type, Types, V4, V6,
};

use crate::wire::Rtype;

/// One part of the text of a record, read from a word or, where it says so, from all that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldFormat {
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
    /// Texts: all words that are left, one at least; longer ones than 255 octets are parted.
    Texts,
    /// Octets without a length before them.
    Long,
    /// Letters and digits behind their length.
    Tag,
    /// Hexadecimal digits: all words that are left.
    Hex,
    /// Base 64: all words that are left.
    Base64,
    /// The same, and nothing is allowed.
    Key,
    /// A type by name.
    Type,
    /// Types, as a bitmap (RFC 4034 section 4.1.2): all words that are left.
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
    /// Octets, of this number, as pairs of hexadecimal digits with dashes between (RFC 7043).
    Eui(u8),
    /// Four groups of four hexadecimal digits (RFC 6742).
    Groups,
    /// Keys and values (RFC 9460): all words that are left.
    Parameters,
    /// A place on Earth (RFC 1876): all words that are left.
    Location,
    /// Networks (RFC 3123): all words that are left.
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

/// The fields in the text of a type; `None` for one that is written as octets only (RFC 3597).
pub(super) fn layout(rtype: Rtype) -> Option<&'static [FieldFormat]> {
    Some(match rtype {
        Rtype::A => &[V4],
        Rtype::NS
        | Rtype::MD
        | Rtype::MF
        | Rtype::CNAME
        | Rtype::MB
        | Rtype::MG
        | Rtype::MR
        | Rtype::PTR
        | Rtype::NSAP_PTR
        | Rtype::DNAME => &[Name],
        Rtype::SOA => &[Name, Name, Number32, Seconds, Seconds, Seconds, Seconds],
        Rtype::HINFO => &[HostInfo],
        Rtype::MINFO | Rtype::RP | Rtype::TALINK => &[Name, Name],
        Rtype::MX | Rtype::AFSDB | Rtype::RT | Rtype::KX | Rtype::LP => &[Number16, Name],
        Rtype::TXT
        | Rtype::NINFO
        | Rtype::SPF
        | Rtype::UINFO
        | Rtype::AVC
        | Rtype::RESINFO
        | Rtype::WALLET
        | Rtype::CLA => &[Texts],
        Rtype::X25 => &[Text],
        Rtype::ISDN => &[Isdn],
        Rtype::NSAP => &[Nsap],
        Rtype::SIG | Rtype::RRSIG => &[Type, Algorithm, Number8, Seconds, Time, Time, Number16, Name, Base64],
        Rtype::KEY => &[Number16, Number8, Algorithm, Key],
        Rtype::PX => &[Number16, Name, Name],
        Rtype::GPOS => &[Text, Text, Text],
        Rtype::AAAA => &[V6],
        Rtype::LOC => &[Location],
        Rtype::NXT | Rtype::NSEC => &[Name, Types],
        Rtype::EID | Rtype::NIMLOC => &[Hex],
        Rtype::SRV => &[Number16, Number16, Number16, Name],
        Rtype::NAPTR => &[Number16, Number16, Text, Text, Text, Name],
        Rtype::CERT => &[Certificate, Number16, Algorithm, Base64],
        Rtype::APL => &[Prefixes],
        Rtype::DS | Rtype::CDS | Rtype::TA | Rtype::DLV => &[Number16, Algorithm, Digest, Hex],
        Rtype::SSHFP => &[Number8, Number8, Hex],
        Rtype::IPSECKEY => &[Gateway, Key],
        Rtype::DNSKEY | Rtype::RKEY | Rtype::CDNSKEY => &[Number16, Number8, Algorithm, Base64],
        Rtype::DHCID | Rtype::OPENPGPKEY | Rtype::HHIT | Rtype::BRID => &[Base64],
        Rtype::NSEC3 => &[Number8, Number8, Number16, Salt, Hash, Types],
        Rtype::NSEC3PARAM => &[Number8, Number8, Number16, Salt],
        Rtype::TLSA | Rtype::SMIMEA => &[Number8, Number8, Number8, Hex],
        Rtype::HIP => &[HostIdentity],
        Rtype::CSYNC => &[Number32, Number16, Types],
        Rtype::ZONEMD => &[Number32, Number8, Number8, Hex],
        Rtype::SVCB | Rtype::HTTPS => &[Number16, Name, Parameters],
        Rtype::DSYNC => &[Type, Scheme, Number16, Name],
        Rtype::UID | Rtype::GID => &[Number32],
        Rtype::NID | Rtype::L64 => &[Number16, Groups],
        Rtype::L32 => &[Number16, V4],
        Rtype::EUI48 => &[Eui(6)],
        Rtype::EUI64 => &[Eui(8)],
        Rtype::URI => &[Number16, Number16, Long],
        Rtype::CAA => &[Number8, Tag, Long],
        Rtype::AMTRELAY => &[Relay],
        Rtype::IPN => &[Number64],
        _ => return None,
    })
}

//! Record types and classes: numbers that cannot be mixed up, with the names that people know them by.

use std::fmt;

use hickory_proto::rr::{DNSClass, RecordType};

/// A record type: any number, also one that nobody has given a meaning yet (RFC 3597).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rtype(pub u16);

/// A class of records, any number as well; what stands in its place in an OPT record is a payload size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class(pub u16);

/// Declares types by their names: those that are shown by name, and behind `numbered` those that are shown as a number.
macro_rules! rtypes {
    ($($name:ident $($text:literal)? = $number:literal,)+; numbered: $($other:ident = $other_number:literal,)+) => {
        impl Rtype {
            $(
                #[doc = concat!("Type ", $number, ".")]
                pub const $name: Self = Self($number);
            )+
            $(
                #[doc = concat!("Type ", $other_number, ".")]
                pub const $other: Self = Self($other_number);
            )+

            /// All names.
            const NAMES: &'static [(Self, &'static str)] = &[
                $((Self::$name, rtypes!(@text $name $($text)?)),)+
                $((Self::$other, stringify!($other)),)+
            ];

            /// The name, where it is shown by that.
            const fn name(self) -> Option<&'static str> {
                Some(match self {
                    $(Self::$name => rtypes!(@text $name $($text)?),)+
                    _ => return None,
                })
            }
        }
    };
    (@text $name:ident) => { stringify!($name) };
    (@text $name:ident $text:literal) => { $text };
}

rtypes! {
    A = 1,
    NS = 2,
    MD = 3,
    MF = 4,
    CNAME = 5,
    SOA = 6,
    MB = 7,
    MG = 8,
    MR = 9,
    NULL = 10,
    PTR = 12,
    HINFO = 13,
    MINFO = 14,
    MX = 15,
    TXT = 16,
    RP = 17,
    AFSDB = 18,
    X25 = 19,
    ISDN = 20,
    RT = 21,
    NSAP_PTR "NSAP-PTR" = 23,
    SIG = 24,
    KEY = 25,
    PX = 26,
    GPOS = 27,
    AAAA = 28,
    LOC = 29,
    NXT = 30,
    EID = 31,
    NIMLOC = 32,
    SRV = 33,
    ATMA = 34,
    NAPTR = 35,
    KX = 36,
    CERT = 37,
    DNAME = 39,
    OPT = 41,
    APL = 42,
    DS = 43,
    SSHFP = 44,
    IPSECKEY = 45,
    RRSIG = 46,
    NSEC = 47,
    DNSKEY = 48,
    DHCID = 49,
    NSEC3 = 50,
    NSEC3PARAM = 51,
    TLSA = 52,
    SMIMEA = 53,
    HIP = 55,
    NINFO = 56,
    RKEY = 57,
    TALINK = 58,
    CDS = 59,
    CDNSKEY = 60,
    OPENPGPKEY = 61,
    CSYNC = 62,
    ZONEMD = 63,
    SVCB = 64,
    HTTPS = 65,
    SPF = 99,
    UINFO = 100,
    UID = 101,
    GID = 102,
    UNSPEC = 103,
    NID = 104,
    L32 = 105,
    L64 = 106,
    LP = 107,
    EUI48 = 108,
    EUI64 = 109,
    NXNAME = 128,
    TKEY = 249,
    TSIG = 250,
    IXFR = 251,
    AXFR = 252,
    MAILB = 253,
    MAILA = 254,
    ANY = 255,
    URI = 256,
    CAA = 257,
    AVC = 258,
    AMTRELAY = 260,
    RESINFO = 261,
    TA = 32_768,
    DLV = 32_769,
    ; numbered:
    WKS = 11,
    NSAP = 22,
    A6 = 38,
    SINK = 40,
    DSYNC = 66,
    HHIT = 67,
    BRID = 68,
    DOA = 259,
    WALLET = 262,
    CLA = 263,
    IPN = 264,
}

impl Class {
    /// The Internet.
    pub const IN: Self = Self(1);
    /// CSNET, of old.
    pub const CS: Self = Self(2);
    /// Chaos: what a server says of itself.
    pub const CH: Self = Self(3);
    /// Hesiod.
    pub const HS: Self = Self(4);
    /// No class (RFC 2136).
    pub const NONE: Self = Self(254);
    /// Any class.
    pub const ANY: Self = Self(255);

    /// The octets in a message.
    #[inline]
    pub const fn to_be_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// The class of two octets in a message.
    #[inline]
    pub const fn from_be_bytes(octets: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(octets))
    }
}

impl Rtype {
    /// The octets in a message.
    #[inline]
    pub const fn to_be_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// The type of two octets in a message.
    #[inline]
    pub const fn from_be_bytes(octets: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(octets))
    }

    /// A type by its name in any case, or as `TYPE123` (RFC 3597 section 5).
    pub fn from_name(text: &str) -> Option<Self> {
        let known = Self::NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|&(rtype, _)| rtype);
        known.or_else(|| {
            let (word, number) = text.split_at_checked(4)?;
            word.eq_ignore_ascii_case("TYPE").then(|| number.parse().ok().map(Self))?
        })
    }
}

impl fmt::Display for Rtype {
    /// The name; `TYPE` and the number for one without (RFC 3597 section 5).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.0) {
            (Some(name), _) => f.write_str(name),
            (None, 0) => f.write_str("None"),
            (None, number) => write!(f, "TYPE{number}"),
        }
    }
}

impl fmt::Display for Class {
    /// The name; `CLASS` and the number for one without.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::IN => "IN",
            Self::CS => "CS",
            Self::CH => "CH",
            Self::HS => "HS",
            Self::NONE => "NONE",
            Self::ANY => "ANY",
            Self(number) => return write!(f, "CLASS{number}"),
        })
    }
}

impl From<RecordType> for Rtype {
    #[inline]
    fn from(rtype: RecordType) -> Self {
        Self(rtype.into())
    }
}

impl From<Rtype> for RecordType {
    #[inline]
    fn from(rtype: Rtype) -> Self {
        rtype.0.into()
    }
}

impl From<DNSClass> for Class {
    #[inline]
    fn from(class: DNSClass) -> Self {
        Self(class.into())
    }
}

impl From<Class> for DNSClass {
    #[inline]
    fn from(class: Class) -> Self {
        class.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_names_that_people_know() {
        let shown = [0, 1, 11, 12, 28, 33, 65, 66, 255, 257, 65_280].map(|number| Rtype(number).to_string());
        let names = ["None", "A", "TYPE11", "PTR", "AAAA", "SRV", "HTTPS", "TYPE66", "ANY", "CAA", "TYPE65280"];
        assert_eq!(shown, names);
        // The codec knows some of them as well; ANAME is of its own making, ZERO is no type.
        for number in 1..=u16::MAX {
            let other = RecordType::from(number).to_string();
            assert!(["Unknown", "ANAME"].contains(&&*other) || other == Rtype(number).to_string(), "{number}");
        }
    }

    #[test]
    fn types_are_read_by_every_name_they_have() {
        for (rtype, name) in Rtype::NAMES {
            assert_eq!(Rtype::from_name(&name.to_lowercase()), Some(*rtype), "{name}");
            let shown = rtype.to_string();
            assert!(shown == *name || shown == format!("TYPE{}", rtype.0), "{name} is shown as {shown}");
            assert_eq!(Rtype::from_name(&shown), Some(*rtype), "{name}");
        }
        assert_eq!(Rtype::from_name("TYPE256"), Some(Rtype::URI));
        assert_eq!(Rtype::from_name("type65400"), Some(Rtype(65_400)));
        for none in ["", "TYPE", "TYPE65536", "TYPEx", "*", "IN", "typé1"] {
            assert_eq!(Rtype::from_name(none), None, "{none}");
        }
    }

    #[test]
    fn classes_have_the_names_that_people_know() {
        assert_eq!([1, 3, 255, 7].map(|number| Class(number).to_string()), ["IN", "CH", "ANY", "CLASS7"]);
    }
}

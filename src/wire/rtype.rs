//! The names of record types and classes, as people write them.

use std::fmt;

/// A record type by its name; `TYPE` and the number for one without (RFC 3597 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeName(pub u16);

/// A class by its name; `CLASS` and the number for one without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassName(pub u16);

/// The types without a gap from 1 on; those that nobody names are empty.
const FIRST: [&str; 65] = [
    "A",
    "NS",
    "MD",
    "MF",
    "CNAME",
    "SOA",
    "MB",
    "MG",
    "MR",
    "NULL",
    "",
    "PTR",
    "HINFO",
    "MINFO",
    "MX",
    "TXT",
    "RP",
    "AFSDB",
    "X25",
    "ISDN",
    "RT",
    "",
    "NSAP-PTR",
    "SIG",
    "KEY",
    "PX",
    "GPOS",
    "AAAA",
    "LOC",
    "NXT",
    "EID",
    "NIMLOC",
    "SRV",
    "ATMA",
    "NAPTR",
    "KX",
    "CERT",
    "",
    "DNAME",
    "",
    "OPT",
    "APL",
    "DS",
    "SSHFP",
    "IPSECKEY",
    "RRSIG",
    "NSEC",
    "DNSKEY",
    "DHCID",
    "NSEC3",
    "NSEC3PARAM",
    "TLSA",
    "SMIMEA",
    "",
    "HIP",
    "NINFO",
    "RKEY",
    "TALINK",
    "CDS",
    "CDNSKEY",
    "OPENPGPKEY",
    "CSYNC",
    "ZONEMD",
    "SVCB",
    "HTTPS",
];

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "None",
            99 => "SPF",
            100 => "UINFO",
            101 => "UID",
            102 => "GID",
            103 => "UNSPEC",
            104 => "NID",
            105 => "L32",
            106 => "L64",
            107 => "LP",
            108 => "EUI48",
            109 => "EUI64",
            128 => "NXNAME",
            249 => "TKEY",
            250 => "TSIG",
            251 => "IXFR",
            252 => "AXFR",
            253 => "MAILB",
            254 => "MAILA",
            255 => "ANY",
            256 => "URI",
            257 => "CAA",
            258 => "AVC",
            260 => "AMTRELAY",
            261 => "RESINFO",
            32_768 => "TA",
            32_769 => "DLV",
            number => match FIRST.get(usize::from(number) - 1).filter(|name| !name.is_empty()) {
                Some(name) => name,
                None => return write!(f, "TYPE{number}"),
            },
        })
    }
}

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            1 => "IN",
            2 => "CS",
            3 => "CH",
            4 => "HS",
            254 => "NONE",
            255 => "ANY",
            number => return write!(f, "CLASS{number}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::RecordType;
    use super::*;

    #[test]
    fn types_have_the_names_that_people_know() {
        let shown = [0, 1, 11, 12, 28, 33, 65, 66, 255, 257, 65_280].map(|number| TypeName(number).to_string());
        let names = ["None", "A", "TYPE11", "PTR", "AAAA", "SRV", "HTTPS", "TYPE66", "ANY", "CAA", "TYPE65280"];
        assert_eq!(shown, names);
        // The codec knows some of them as well; ANAME is of its own making, ZERO is no type.
        for number in 1..=u16::MAX {
            let other = RecordType::from(number).to_string();
            assert!(["Unknown", "ANAME"].contains(&&*other) || other == TypeName(number).to_string(), "{number}");
        }
    }

    #[test]
    fn classes_have_the_names_that_people_know() {
        assert_eq!([1, 3, 255, 7].map(|number| ClassName(number).to_string()), ["IN", "CH", "ANY", "CLASS7"]);
    }
}

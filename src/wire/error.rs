//! Response codes, and the one function that turns a failure into one.

use std::fmt;

/// A response code: 4 bits in the header, the 8 above them in the OPT record (RFC 6895 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rcode(pub u16);

impl Rcode {
    /// No error.
    pub const NOERROR: Self = Self(0);
    /// The query could not be read.
    pub const FORMERR: Self = Self(1);
    /// The server could not answer.
    pub const SERVFAIL: Self = Self(2);
    /// The name does not exist.
    pub const NXDOMAIN: Self = Self(3);
    /// The server does not do that.
    pub const NOTIMP: Self = Self(4);
    /// The server will not do that.
    pub const REFUSED: Self = Self(5);
    /// An EDNS version other than 0 (RFC 6891 section 9).
    pub const BADVERS: Self = Self(16);

    const NAMES: [(u16, &str); 20] = [
        (0, "NOERROR"),
        (1, "FORMERR"),
        (2, "SERVFAIL"),
        (3, "NXDOMAIN"),
        (4, "NOTIMP"),
        (5, "REFUSED"),
        (6, "YXDOMAIN"),
        (7, "YXRRSET"),
        (8, "NXRRSET"),
        (9, "NOTAUTH"),
        (10, "NOTZONE"),
        (11, "DSOTYPENI"),
        (16, "BADVERS"),
        (17, "BADKEY"),
        (18, "BADTIME"),
        (19, "BADMODE"),
        (20, "BADNAME"),
        (21, "BADALG"),
        (22, "BADTRUNC"),
        (23, "BADCOOKIE"),
    ];

    /// A response code by its mnemonic in any case, as it is shown, or as CoreDNS also writes it.
    pub fn from_name(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        match Self::NAMES.iter().find(|(_, name)| *name == upper) {
            Some((number, _)) => Some(Self(*number)),
            None if upper == "NOTIMPL" => Some(Self::NOTIMP),
            None => upper.strip_prefix("RCODE")?.parse().ok().and_then(Self::from_number),
        }
    }

    /// A response code by its number, of 12 bits.
    pub fn from_number(number: u16) -> Option<Self> {
        (number < 1 << 12).then_some(Self(number))
    }
}

impl fmt::Display for Rcode {
    /// The mnemonic; `RCODE` and the number for one without (RFC 3597 style).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

/// The octets are no message: a count, a length or a name leads out of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The reason why a query could not be answered: the `errors` plugin logs it, the client gets it as a response code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The response code that the client gets.
    pub rcode: Rcode,
    /// Extended DNS Error code (RFC 8914), where one fits.
    pub extended: Option<u16>,
    /// The message for the operator: lower case, without a full stop, with the value.
    pub message: String,
}

impl Failure {
    /// SERVFAIL, with a message for the operator.
    pub fn servfail(message: impl Into<String>) -> Self {
        Self { rcode: Rcode::SERVFAIL, extended: None, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_codes_are_read_as_they_are_shown() {
        for number in (0..30).chain([4095]) {
            let shown = Rcode(number).to_string();
            assert_eq!(Rcode::from_name(&shown.to_lowercase()), Some(Rcode(number)), "{shown}");
        }
        assert_eq!(Rcode::from_name("NotImpl"), Some(Rcode::NOTIMP));
        for none in ["", "NOTHING", "RCODE", "RCODE4096", "3"] {
            assert_eq!(Rcode::from_name(none), None, "{none}");
        }
    }
}

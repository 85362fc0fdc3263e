//! Response codes, and the one function that turns a failure into one.

use std::fmt;

use super::Flags;

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

    /// The lower bits of the response code of a message; SERVFAIL where it has no head.
    pub fn of(message: &[u8]) -> Self {
        Flags::of(message).map_or(Self::SERVFAIL, Flags::rcode)
    }
}

impl fmt::Display for Rcode {
    /// The mnemonic; `RCODE` and the number for one without (RFC 3597 style).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "NOERROR",
            1 => "FORMERR",
            2 => "SERVFAIL",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            6 => "YXDOMAIN",
            7 => "YXRRSET",
            8 => "NXRRSET",
            9 => "NOTAUTH",
            10 => "NOTZONE",
            11 => "DSOTYPENI",
            16 => "BADVERS",
            17 => "BADKEY",
            18 => "BADTIME",
            19 => "BADMODE",
            20 => "BADNAME",
            21 => "BADALG",
            22 => "BADTRUNC",
            23 => "BADCOOKIE",
            other => return write!(f, "RCODE{other}"),
        })
    }
}

/// Why a query could not be answered: what the `errors` plugin logs and the client gets as a response code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the client is told.
    pub rcode: Rcode,
    /// Extended DNS Error code (RFC 8914), where one fits.
    pub extended: Option<u16>,
    /// For the operator: lower case, without a full stop, with the value.
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

//! Faults of another resolver, or of the way to it.

use std::fmt;

use crate::wire::{Failure, Rcode};

/// A resolver that gave no answer; the text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind of trouble.
    pub trouble: Trouble,
    /// Lower case, without a full stop, with both addresses.
    pub text: String,
}

/// The kinds of trouble that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No answer came in time.
    Silence,
    /// The network or the other side said no, or what came was no DNS message.
    Network,
    /// The queries in flight are as many as there may be.
    Busy,
    /// No upstream is healthy, and the operator wants none to be tried then.
    Unhealthy,
    /// The query cannot be sent on.
    Query,
}

impl Error {
    pub(super) fn new(trouble: Trouble, text: impl Into<String>) -> Self {
        Self { trouble, text: text.into() }
    }

    /// The answer that the client gets: SERVFAIL with an Extended DNS Error (RFC 8914): 22 when nobody could be reached, 23 for
    /// trouble on the network.
    pub fn to_failure(&self) -> Failure {
        let (rcode, extended) = match self.trouble {
            Trouble::Silence | Trouble::Unhealthy => (Rcode::SERVFAIL, Some(22)),
            Trouble::Network => (Rcode::SERVFAIL, Some(23)),
            Trouble::Busy => (Rcode::REFUSED, None),
            Trouble::Query => (Rcode::FORMERR, None),
        };
        Failure { rcode, extended, message: self.text.clone() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

//! The reason for which the process ends, and its exit status.

use std::fmt;

use crate::corefile;

/// An error that ends the process.
#[derive(Debug)]
pub(crate) struct Error {
    fault: Blame,
    message: String,
}

/// The one at fault; the exit status follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    /// The command line or the configuration.
    Operator,
    /// The machine: no memory for a thread.
    Runtime,
    /// Whoever has a port that is wanted.
    PortInUse,
}

impl Error {
    /// The command line or the configuration is wrong.
    pub(crate) fn operator(message: impl Into<String>) -> Self {
        Self { fault: Blame::Operator, message: message.into() }
    }

    /// Something failed that the configuration asked for rightly.
    pub(crate) fn runtime(message: impl Into<String>) -> Self {
        Self { fault: Blame::Runtime, message: message.into() }
    }

    /// Another process has a port.
    pub(crate) fn in_use(message: impl Into<String>) -> Self {
        Self { fault: Blame::PortInUse, message: message.into() }
    }

    /// Whether another process has a port.
    pub(crate) fn is_in_use(&self) -> bool {
        self.fault == Blame::PortInUse
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self.fault {
            Blame::Runtime | Blame::PortInUse => 1,
            Blame::Operator => 2,
        }
    }
}

impl From<corefile::Error> for Error {
    fn from(error: corefile::Error) -> Self {
        Self::operator(error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

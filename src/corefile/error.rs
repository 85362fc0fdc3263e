//! A fault in a Corefile, with its position.

use std::fmt;

use super::Position;

/// A fault of the operator's: where it is, what was found and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// File, line and column.
    pub position: Position,
    /// Lower case, without a full stop, with the value.
    pub message: String,
}

impl Error {
    /// An error at a place.
    pub fn new(position: &Position, message: impl Into<String>) -> Self {
        Self { position: position.clone(), message: message.into() }
    }

    /// The same where this machine is not the one that will serve: what is missing here may be there.
    #[must_use]
    pub fn of_elsewhere(self) -> Self {
        Self { message: format!("{}; not on this machine, the one that serves must have it", self.message), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)
    }
}

impl std::error::Error for Error {}

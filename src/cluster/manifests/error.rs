//! What is wrong in a manifest, and where: file, line, column.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named or found.
    pub file: Arc<Path>,
    /// Its line, from 1.
    pub line: u32,
    /// Its column, from 1, in characters.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Why manifests cannot be served. Nothing of them is, then: half a folder would tell a half truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    subject: Subject,
    message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Place(Place),
    File(Arc<Path>),
}

impl Error {
    pub(super) fn at(place: Place, message: impl Into<String>) -> Self {
        Self { subject: Subject::Place(place), message: message.into() }
    }

    pub(super) fn file(file: &Path, message: impl Into<String>) -> Self {
        Self { subject: Subject::File(file.into()), message: message.into() }
    }

    /// Where it is, when it is inside of a file.
    pub fn place(&self) -> Option<&Place> {
        match &self.subject {
            Subject::Place(place) => Some(place),
            Subject::File(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Place(place) => write!(f, "{place}: {}", self.message),
            Subject::File(file) => write!(f, "{}: {}", file.display(), self.message),
        }
    }
}

impl std::error::Error for Error {}

/// Something to tell about manifests that are served nevertheless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What it is about.
    pub place: Place,
    /// Whether somebody should act on it; what is merely left out is no warning.
    pub warning: bool,
    /// The remark itself.
    pub message: String,
}

impl Remark {
    pub(super) fn warning(place: &Place, message: impl Into<String>) -> Self {
        Self { place: place.clone(), warning: true, message: message.into() }
    }

    pub(super) fn left_out(place: &Place, message: impl Into<String>) -> Self {
        Self { place: place.clone(), warning: false, message: message.into() }
    }

    /// Logs it once, where it is handled.
    pub(super) fn log(&self) {
        if self.warning {
            tracing::warn!(at = %self.place, "{}", self.message);
        } else {
            tracing::info!(at = %self.place, "{}", self.message);
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

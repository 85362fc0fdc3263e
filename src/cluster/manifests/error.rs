//! Faults in manifests, with their places: file, line, column.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePosition {
    /// The file, as it was named or found.
    pub file: Arc<Path>,
    /// Its line, from 1.
    pub line: u32,
    /// Its column, from 1, in characters.
    pub column: u32,
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// A place in a file, or a file or folder as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A place inside.
    Place(FilePosition),
    /// The whole of it.
    File(Arc<Path>),
}

impl Subject {
    /// The file that it is, or is in.
    pub fn file(&self) -> &Arc<Path> {
        match self {
            Self::Place(place) => &place.file,
            Self::File(file) => file,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => place.fmt(f),
            Self::File(file) => file.display().fmt(f),
        }
    }
}

/// A fault of a file, a folder or an object, which is left out or, where the command line names its file, refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    subject: Subject,
    message: String,
}

impl Error {
    pub(super) fn at(place: FilePosition, message: impl Into<String>) -> Self {
        Self { subject: Subject::Place(place), message: message.into() }
    }

    pub(super) fn file(file: &Path, message: impl Into<String>) -> Self {
        Self { subject: Subject::File(file.into()), message: message.into() }
    }

    /// The subject of a fault.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The place, when it is inside of a file.
    pub fn place(&self) -> Option<&FilePosition> {
        match &self.subject {
            Subject::Place(place) => Some(place),
            Subject::File(_) => None,
        }
    }

    /// The remark for who is served without the faulty thing.
    pub(super) fn to_remark(&self, level: Level, consequence: &str) -> Remark {
        Remark { at: Some(self.subject.clone()), level, message: format!("{}; {consequence}", self.message) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)
    }
}

impl std::error::Error for Error {}

/// Something to tell about manifests that are served nevertheless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The subject, where that is one thing.
    pub at: Option<Subject>,
    /// The weight with which it matters.
    pub level: Level,
    /// The remark itself.
    pub message: String,
}

/// The weight with which a remark matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// An edit that is not served.
    Error,
    /// Something that looks wrong: a name will be missed.
    Warning,
    /// Something that is good to know.
    Info,
}

impl Remark {
    pub(super) fn warning(place: &FilePosition, message: impl Into<String>) -> Self {
        Self { at: Some(Subject::Place(place.clone())), level: Level::Warning, message: message.into() }
    }

    pub(super) fn info(message: impl Into<String>) -> Self {
        Self { at: None, level: Level::Info, message: message.into() }
    }

    /// Logs it once, where it is handled.
    pub(super) fn log(&self) {
        match self.level {
            Level::Error => tracing::error!("{self}"),
            Level::Warning => tracing::warn!("{self}"),
            Level::Info => tracing::info!("{self}"),
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Some(at) => write!(f, "{at}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

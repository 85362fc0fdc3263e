//! The values that a decoder hands out: an object, a page of a list, a frame of a watch, and the faults in them.

use std::fmt;

use super::{Fact, Kind, ObjectKey};

/// The outcome of decoding one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodedObject {
    /// Its facts, and what was left out of them because it was wrong.
    Keep(Fact, Option<BadObject>),
    /// Nothing can depend on it in its present state (a finished pod, a slice of no Service): as good as deleted.
    Drop(ObjectKey),
    /// It cannot be understood; what was known of it stays as it was.
    Bad(BadObject),
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The facts of its objects.
    pub facts: Vec<Fact>,
    /// Objects that were skipped, and kept ones of which a part was skipped.
    pub bad: Vec<BadObject>,
    /// The resourceVersion of the list.
    pub resource_version: String,
    /// The token of the next page; `None` on the last page.
    pub continue_token: Option<String>,
}

impl Page {
    pub(super) fn push(&mut self, object: DecodedObject) {
        match object {
            DecodedObject::Keep(fact, flaw) => {
                self.facts.push(fact);
                self.bad.extend(flaw);
            }
            DecodedObject::Drop(_) => {}
            DecodedObject::Bad(bad) => self.bad.push(bad),
        }
    }
}

/// One frame of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The resourceVersion of the object or bookmark; empty where there is none.
    pub resource_version: String,
    /// The part of the object that was left out because it was wrong.
    pub flaw: Option<BadObject>,
    /// The event itself.
    pub event: Event,
}

/// The event in a frame of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An object is as follows from now on (ADDED, MODIFIED).
    Applied(Fact),
    /// An object is gone, or in a state in which nothing depends on it.
    Deleted(Kind, ObjectKey),
    /// The watch has come as far as this resourceVersion.
    Bookmark,
    /// The server ends the watch.
    Error(Status),
    /// The object is skipped; what was known of it stays as it was.
    Bad(BadObject),
}

impl Frame {
    /// The frame of an ADDED or MODIFIED object.
    pub(super) fn applied(kind: Kind, object: DecodedObject, resource_version: String) -> Self {
        let (event, flaw) = match object {
            DecodedObject::Keep(fact, flaw) => (Event::Applied(fact), flaw),
            DecodedObject::Drop(key) => (Event::Deleted(kind, key), None),
            DecodedObject::Bad(bad) => (Event::Bad(bad), None),
        };
        Self { resource_version, flaw, event }
    }

    pub(super) fn plain(event: Event, resource_version: String) -> Self {
        Self { resource_version, flaw: None, event }
    }
}

/// A `Status` object: why the server refuses a request or ends a watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The machine's word, as `Expired`.
    pub reason: String,
    /// The words for people.
    pub message: String,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

/// An object that could not be understood, in whole or in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadObject {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, as far as it could be read.
    pub namespace: String,
    /// Its name, as far as it could be read.
    pub name: String,
    /// The fault in it, and whether it was skipped or only a part of it.
    pub why: String,
}

impl fmt::Display for BadObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}: {}", self.kind, self.namespace, self.name, self.why)
    }
}

/// A body or frame that is not what the API sends: nothing in it can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(String);

impl DecodeError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DecodeError {}

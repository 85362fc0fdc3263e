//! The body of a list, decoded while it arrives.

use super::fields::{Fields, MalformedMessage, Value};
use super::{MAGIC, no_magic, objects, type_meta};
use crate::cluster::facts::{DecodeError, Kind, LONGEST, Page};

/// A list that is arriving. What is held of its body is the one object that is not yet whole.
#[derive(Debug)]
pub struct ListDecoder {
    kind: Kind,
    octets: Vec<u8>,
    /// Up to where the octets are decoded.
    read: usize,
    place: ListPosition,
    /// The envelope has said that it holds a list of this kind.
    named: bool,
    page: Page,
}

/// The field of the body in which the next octet is.
#[derive(Clone, Copy, Debug)]
enum ListPosition {
    /// Before the envelope.
    Begin,
    /// Between the fields of the envelope.
    Envelope,
    /// Between the fields of the list, which has so many octets left.
    ListDecoder(u64),
}

impl ListDecoder {
    /// Expects the body of a list.
    pub fn new(kind: Kind) -> Self {
        Self { kind, octets: Vec::new(), read: 0, place: ListPosition::Begin, named: false, page: Page::default() }
    }

    /// Takes what the transport brought, and decodes the objects that are whole.
    ///
    /// # Errors
    /// When the body is no list in protobuf.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), DecodeError> {
        self.octets.drain(..self.read);
        self.read = 0;
        self.octets.extend_from_slice(chunk);
        while self.step().map_err(|error| self.error(&error))? {}
        if self.octets.len() - self.read > LONGEST {
            return Err(self.error(&MalformedMessage::new(format!("an object is longer than {LONGEST} octets"))));
        }
        Ok(())
    }

    /// The objects decoded since the last call; the version of the list and its token come at the [`end`](Self::end).
    pub fn take(&mut self) -> Page {
        let Page { facts, bad, .. } = &mut self.page;
        Page { facts: std::mem::take(facts), bad: std::mem::take(bad), ..Page::default() }
    }

    /// The number of objects that [`take`](Self::take) would give.
    pub fn waiting(&self) -> usize {
        self.page.facts.len()
    }

    /// The body is at its end: the rest of the list.
    ///
    /// # Errors
    /// When it is cut off, or was no list: without a version it is none.
    pub fn end(mut self) -> Result<Page, DecodeError> {
        if !matches!(self.place, ListPosition::Envelope) || self.read < self.octets.len() {
            return Err(self.error(&MalformedMessage::Cut));
        }
        if self.page.resource_version.is_empty() {
            return Err(self.error(&MalformedMessage::new("it has no resourceVersion")));
        }
        self.page.continue_token.take_if(|token| token.is_empty());
        Ok(self.page)
    }

    /// Decodes one field; whether it was whole.
    fn step(&mut self) -> Result<bool, MalformedMessage> {
        let rest = self.octets.get(self.read..).unwrap_or_default();
        let (read, place) = match self.place {
            ListPosition::Begin if rest.starts_with(MAGIC) => (MAGIC.len(), ListPosition::Envelope),
            ListPosition::Begin if MAGIC.starts_with(rest) => return Ok(false),
            ListPosition::Begin => return Err(no_magic()),
            ListPosition::Envelope => {
                let mut fields = Fields::new(rest);
                match envelope_field(self.kind, &mut self.named, &mut fields) {
                    Err(MalformedMessage::Cut) => return Ok(false),
                    place => (rest.len() - fields.left(), place?),
                }
            }
            ListPosition::ListDecoder(0) => (0, ListPosition::Envelope),
            ListPosition::ListDecoder(left) => {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let mut fields = Fields::new(rest.get(..here).unwrap_or_default());
                match fields.next().unwrap_or(Err(MalformedMessage::Cut)) {
                    // More may come.
                    Err(MalformedMessage::Cut) if (here as u64) < left => return Ok(false),
                    field => list_field(self.kind, field?, &mut self.page)?,
                }
                let read = here - fields.left();
                (read, ListPosition::ListDecoder(left - read as u64))
            }
        };
        self.read += read;
        self.place = place;
        Ok(true)
    }

    fn error(&self, error: &MalformedMessage) -> DecodeError {
        DecodeError::new(format!("list of kind {} in protobuf: {error}", self.kind))
    }
}

/// Reads one field of the envelope, or goes to the begin of the list in it; gives the place after it. What the list is has
/// to be known before: nothing of another one is taken.
fn envelope_field(kind: Kind, named: &mut bool, fields: &mut Fields<'_>) -> Result<ListPosition, MalformedMessage> {
    if let Some(len) = fields.enter(2)? {
        return if *named {
            Ok(ListPosition::ListDecoder(len))
        } else {
            Err(MalformedMessage::new("it does not say what it is"))
        };
    }
    match fields.next().unwrap_or(Err(MalformedMessage::Cut))? {
        (1, value) => {
            let (api_version, name) = type_meta(value.bytes()?)?;
            kind.check_list(api_version, name).map_err(MalformedMessage::new)?;
            *named = true;
        }
        (3, value) if !value.bytes()?.is_empty() => return Err(MalformedMessage::new("it is compressed")),
        _ => {}
    }
    Ok(ListPosition::Envelope)
}

/// Takes one field of the list into the page.
fn list_field(kind: Kind, field: (u32, Value<'_>), page: &mut Page) -> Result<(), MalformedMessage> {
    match field {
        (1, value) => {
            for field in Fields::new(value.bytes()?) {
                match field? {
                    (2, value) => page.resource_version = value.text()?.to_owned(),
                    (3, value) => page.continue_token = Some(value.text()?.to_owned()),
                    _ => {}
                }
            }
        }
        (2, value) => page.push(objects::object(kind, value.bytes()?)),
        _ => {}
    }
    Ok(())
}

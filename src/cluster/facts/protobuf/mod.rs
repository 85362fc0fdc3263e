//! Objects in the API's protobuf encoding: lists, watch frames and single objects.
//!
//! By hand over borrowed fields, because a generated type would keep every field of every object. A list is the
//! four bytes `k8s\0` and an `Unknown` message whose `raw` is the list; a watch frame is a bare `WatchEvent` whose
//! object is such an envelope again.

mod fields;
mod list;
mod objects;

use super::raw::excerpt;
use super::{DecodeError, Event, Frame, Kind, Page, Status};
use fields::{Fields, MalformedMessage};

pub use list::ListDecoder;

/// The first octets of a body in this encoding.
const MAGIC: &[u8] = b"k8s\0";

/// Decodes the body of a list.
///
/// # Errors
/// When the body is no list in protobuf.
pub fn page(kind: Kind, body: &[u8]) -> Result<Page, DecodeError> {
    let mut list = ListDecoder::new(kind);
    list.push(body)?;
    list.end()
}

/// Decodes one frame of a watch, without its four octets of length.
///
/// # Errors
/// When the frame is no watch event in protobuf.
pub fn frame(kind: Kind, frame: &[u8]) -> Result<Frame, DecodeError> {
    watch_event(kind, frame)
        .map_err(|error| DecodeError::new(format!("watch event of kind {kind} in protobuf: {error}")))
}

fn watch_event(kind: Kind, frame: &[u8]) -> Result<Frame, MalformedMessage> {
    let (mut event, mut envelope): (_, &[u8]) = ("", &[]);
    for field in Fields::new(frame) {
        match field? {
            (1, value) => event = value.text()?,
            (2, value) => {
                for field in Fields::new(value.bytes()?) {
                    if let (1, value) = field? {
                        envelope = value.bytes()?;
                    }
                }
            }
            _ => {}
        }
    }
    let envelope = unwrap(envelope)?;
    if matches!(event, "ADDED" | "MODIFIED" | "DELETED") && !kind.may_be(envelope.kind) {
        return Err(MalformedMessage::new(format!("a \"{}\"", excerpt(envelope.kind))));
    }
    let meta = || objects::bare(envelope.raw);
    Ok(match event {
        "ADDED" | "MODIFIED" => {
            Frame::applied(kind, objects::object(kind, envelope.raw), objects::version(envelope.raw).to_owned())
        }
        "DELETED" => {
            let meta = meta();
            Frame::plain(Event::Deleted(kind, meta.key()), meta.resource_version.to_string())
        }
        "BOOKMARK" => Frame::plain(Event::Bookmark, meta().resource_version.to_string()),
        "ERROR" => Frame::plain(Event::Error(raw_status(envelope.raw)?), String::new()),
        other => return Err(MalformedMessage::new(format!("unknown type of watch event \"{}\"", excerpt(other)))),
    })
}

/// Decodes the `Status` in the body of a refused request; `None` when it is something else, as from a proxy.
pub fn status(body: &[u8]) -> Option<Status> {
    let envelope = unwrap(body).ok()?;
    if envelope.kind != "Status" {
        return None;
    }
    raw_status(envelope.raw).ok()
}

fn raw_status(raw: &[u8]) -> Result<Status, MalformedMessage> {
    let mut status = Status::default();
    for field in Fields::new(raw) {
        match field? {
            (3, value) => status.message = value.text()?.to_owned(),
            (4, value) => status.reason = value.text()?.to_owned(),
            (6, value) => status.code = u16::try_from(value.int()?).unwrap_or(0),
            _ => {}
        }
    }
    Ok(status)
}

/// The envelope of an object or list.
struct Envelope<'a> {
    kind: &'a str,
    raw: &'a [u8],
}

fn no_magic() -> MalformedMessage {
    MalformedMessage::new("it does not start with \"k8s\\0\"")
}

/// The group with its version, and the kind, of what an envelope holds.
fn type_meta(message: &[u8]) -> Result<(&str, &str), MalformedMessage> {
    let (mut api_version, mut kind) = ("", "");
    for field in Fields::new(message) {
        match field? {
            (1, value) => api_version = value.text()?,
            (2, value) => kind = value.text()?,
            _ => {}
        }
    }
    Ok((api_version, kind))
}

fn unwrap(body: &[u8]) -> Result<Envelope<'_>, MalformedMessage> {
    let unknown = body.strip_prefix(MAGIC).ok_or_else(no_magic)?;
    let mut envelope = Envelope { kind: "", raw: &[] };
    for field in Fields::new(unknown) {
        match field? {
            (1, value) => (_, envelope.kind) = type_meta(value.bytes()?)?,
            (2, value) => envelope.raw = value.bytes()?,
            (3, value) if !value.bytes()?.is_empty() => return Err(MalformedMessage::new("its object is compressed")),
            _ => {}
        }
    }
    Ok(envelope)
}

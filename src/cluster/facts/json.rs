//! Objects in JSON: lists, watch lines and single objects.
//!
//! Items are cut out of their list first and decoded one by one, so that one that does not fit spoils no other.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::raw::{RawMeta, RawText, excerpt};
use super::{DecodeError, DecodedObject, Event, Frame, Kind, Page, Status};
use super::{endpoint_slice, namespace, pod, service, service_import};

/// Decodes the body of a list.
///
/// # Errors
/// When the body is no list of this kind in JSON: one without a version or without items is none.
pub fn page(kind: Kind, body: &[u8]) -> Result<Page, DecodeError> {
    let wrong = |error: String| DecodeError::new(format!("list of kind {kind} in JSON: {error}"));
    let list: RawList<'_> = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
    kind.check_list(&list.api_version, &list.kind).map_err(wrong)?;
    if list.metadata.resource_version.is_empty() {
        return Err(wrong("it has no resourceVersion".to_owned()));
    }
    let Some(items) = list.items else { return Err(wrong("it has no items".to_owned())) };
    let mut page = Page {
        resource_version: list.metadata.resource_version.to_string(),
        continue_token: Some(list.metadata.token.to_string()).filter(|token| !token.is_empty()),
        ..Page::default()
    };
    for item in items {
        page.push(object(kind, item.get()));
    }
    Ok(page)
}

/// Decodes one line of a watch.
///
/// # Errors
/// When the line is no watch event in JSON.
pub fn frame(kind: Kind, line: &[u8]) -> Result<Frame, DecodeError> {
    let event: WatchEvent<'_> = serde_json::from_slice(line)
        .map_err(|error| DecodeError::new(format!("watch event of kind {kind} in JSON: {error}")))?;
    let text = event.object.map_or("null", RawValue::get);
    let bare: Bare<'_> = serde_json::from_str(text).unwrap_or_default();
    if matches!(&*event.kind, "ADDED" | "MODIFIED" | "DELETED") && !kind.may_be(&bare.kind) {
        return Err(DecodeError::new(format!("watch event of kind {kind} in JSON: a \"{}\"", excerpt(&bare.kind))));
    }
    let meta = bare.metadata;
    Ok(match &*event.kind {
        "ADDED" | "MODIFIED" => Frame::applied(kind, object(kind, text), meta.resource_version.to_string()),
        "DELETED" => Frame::plain(Event::Deleted(kind, meta.key()), meta.resource_version.to_string()),
        "BOOKMARK" => Frame::plain(Event::Bookmark, meta.resource_version.to_string()),
        "ERROR" => Frame::plain(Event::Error(status(text.as_bytes()).unwrap_or_default()), String::new()),
        other => return Err(DecodeError::new(format!("unknown type of watch event \"{}\"", excerpt(other)))),
    })
}

/// Decodes the `Status` in the body of a refused request; `None` when it is something else, as from a proxy.
pub fn status(body: &[u8]) -> Option<Status> {
    let raw: RawStatus<'_> = serde_json::from_slice(body).ok()?;
    (*raw.kind == *"Status").then(|| Status {
        code: raw.code.unwrap_or(0),
        reason: raw.reason.to_string(),
        message: raw.message.to_string(),
    })
}

/// Decodes one object.
pub fn object(kind: Kind, text: &str) -> DecodedObject {
    read(kind, &mut serde_json::Deserializer::from_str(text)).unwrap_or_else(|error| {
        let meta = serde_json::from_str::<Bare<'_>>(text).map(|bare| bare.metadata).unwrap_or_default();
        DecodedObject::Bad(meta.bad(kind, format!("skipped: {error}")))
    })
}

/// Decodes one object that was parsed already, as from a manifest.
pub fn value(kind: Kind, value: &serde_json::Value) -> DecodedObject {
    read(kind, value).unwrap_or_else(|error| {
        let meta = value.get("metadata").and_then(|meta| RawMeta::deserialize(meta).ok()).unwrap_or_default();
        DecodedObject::Bad(meta.bad(kind, format!("skipped: {error}")))
    })
}

fn read<'de, D: serde::Deserializer<'de>>(kind: Kind, deserializer: D) -> Result<DecodedObject, D::Error> {
    Ok(match kind {
        Kind::Service => service::object(&Deserialize::deserialize(deserializer)?),
        Kind::EndpointSlice | Kind::ImportedSlice => {
            endpoint_slice::object(kind, &Deserialize::deserialize(deserializer)?)
        }
        Kind::Namespace => namespace::object(&Deserialize::deserialize(deserializer)?),
        Kind::Pod => pod::object(&Deserialize::deserialize(deserializer)?),
        Kind::ServiceImport => service_import::object(&Deserialize::deserialize(deserializer)?),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawList<'a> {
    #[serde(borrow, default)]
    api_version: RawText<'a>,
    #[serde(default)]
    kind: RawText<'a>,
    #[serde(default)]
    metadata: ListMeta<'a>,
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListMeta<'a> {
    #[serde(borrow)]
    resource_version: RawText<'a>,
    #[serde(rename = "continue")]
    token: RawText<'a>,
}

#[derive(Deserialize)]
struct WatchEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: RawText<'a>,
    object: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bare<'a> {
    #[serde(borrow)]
    kind: RawText<'a>,
    metadata: RawMeta<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStatus<'a> {
    #[serde(borrow)]
    kind: RawText<'a>,
    code: Option<u16>,
    reason: RawText<'a>,
    message: RawText<'a>,
}

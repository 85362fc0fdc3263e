//! Bodies of an API server as they come: pages of lists and frames of watches, in protobuf and in JSON.

use rollcall::cluster::facts::protobuf::ListDecoder;
use rollcall::cluster::facts::{BadObject, DecodeError, DecodedObject, Event, Fact, Frame, Kind, Page, json, protobuf};
use rollcall::fuzzing;
use rollcall::wire::Label;

use crate::octets::{Drawn, in_parts};

/// A page in protobuf is the same however it is cut on its way; what it holds is well-formed.
pub fn protobuf(octets: &[u8]) {
    let mut drawn = Drawn::new(octets);
    let kind = drawn.one_of(&Kind::ALL);
    let parts = drawn.below(8);
    let lengths = drawn.take(parts);
    let body = drawn.rest();
    let whole = protobuf::page(kind, body);
    assert_eq!(arriving(kind, &in_parts(body, lengths)), whole);
    if let Ok(page) = &whole {
        is_page(kind, page);
    }
    if let Ok(frame) = protobuf::frame(kind, body) {
        is_frame(kind, &frame);
    }
}

fn arriving(kind: Kind, parts: &[&[u8]]) -> Result<Page, DecodeError> {
    let mut list = ListDecoder::new(kind);
    let mut taken = Page::default();
    for part in parts {
        list.push(part)?;
        if list.waiting() > 1 {
            let more = list.take();
            taken.facts.extend(more.facts);
            taken.bad.extend(more.bad);
        }
    }
    let Page { facts, bad, resource_version, continue_token } = list.end()?;
    taken.facts.extend(facts);
    taken.bad.extend(bad);
    Ok(Page { resource_version, continue_token, ..taken })
}

/// A page or a frame in JSON is read alike from its text and from an ordinary reader's values; what it holds is well-formed.
pub fn json(octets: &[u8]) {
    let mut drawn = Drawn::new(octets);
    let kind = drawn.one_of(&Kind::ALL);
    let body = drawn.rest();
    if let Ok(page) = json::page(kind, body) {
        is_page(kind, &page);
        let whole: serde_json::Value = serde_json::from_slice(body).unwrap();
        let items = whole["items"].as_array().map_or(0, Vec::len);
        assert!(page.facts.len() <= items && page.bad.len() <= items);
    }
    if let Ok(frame) = json::frame(kind, body) {
        is_frame(kind, &frame);
    }
    if let Ok(text) = std::str::from_utf8(body)
        && let Ok(value) = serde_json::from_str::<serde_json::Value>(text)
        && value.to_string().len() >= body.iter().filter(|octet| !octet.is_ascii_whitespace()).count()
    {
        // Where no field is there twice, of which an ordinary reader keeps the last.
        let (one, other) = (json::object(kind, &value.to_string()), json::value(kind, &value));
        assert_eq!(without_words(one), without_words(other), "{text}");
    }
}

/// Only who reads from text can say where in the text a fault is, and how it is spelled there.
fn without_words(object: DecodedObject) -> DecodedObject {
    match object {
        DecodedObject::Bad(bad) => DecodedObject::Bad(BadObject { why: String::new(), ..bad }),
        other => other,
    }
}

/// The events of a watch come out whole and in order, however they are cut on their way.
pub fn watch(octets: &[u8]) {
    let mut drawn = Drawn::new(octets);
    let (kind, is_json, parts) = (drawn.one_of(&Kind::ALL), drawn.octet() & 1 == 0, drawn.below(8));
    let lengths = drawn.take(parts);
    let body = drawn.rest();
    let found = fuzzing::events(is_json, in_parts(body, lengths).into_iter());
    let expected = if is_json { Some(lines(body)) } else { prefixed(body) };
    assert_eq!(found, expected);
    for event in found.iter().flat_map(|(events, _)| events) {
        let frame = if is_json { json::frame(kind, event) } else { protobuf::frame(kind, event) };
        if let Ok(frame) = frame {
            is_frame(kind, &frame);
        }
    }
}

fn lines(body: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let is_blank = |line: &[u8]| line.iter().all(u8::is_ascii_whitespace);
    let mut lines: Vec<&[u8]> = body.split(|octet| *octet == b'\n').collect();
    let last = lines.pop().unwrap_or_default();
    (lines.into_iter().filter(|line| !is_blank(line)).map(<[u8]>::to_vec).collect(), !is_blank(last))
}

/// `None` where a length is more than an event may have: it is an error as soon as it is read.
fn prefixed(mut body: &[u8]) -> Option<(Vec<Vec<u8>>, bool)> {
    let mut events = Vec::new();
    while let Some((prefix, rest)) = body.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*prefix) as usize;
        if len > 16 << 20 {
            return None;
        }
        let Some((event, rest)) = rest.split_at_checked(len) else { break };
        events.push(event.to_vec());
        body = rest;
    }
    Some((events, !body.iter().all(u8::is_ascii_whitespace)))
}

pub(crate) fn is_page(kind: Kind, page: &Page) {
    assert!(!page.resource_version.is_empty() && page.continue_token.as_deref() != Some(""));
    page.facts.iter().for_each(|fact| is_fact(kind, fact));
    for bad in &page.bad {
        assert!(bad.kind == kind && !bad.why.is_empty() && !bad.to_string().chars().any(char::is_control), "{bad}");
    }
}

pub(crate) fn is_frame(kind: Kind, frame: &Frame) {
    match &frame.event {
        Event::Applied(fact) => is_fact(kind, fact),
        Event::Deleted(own, _) => assert_eq!(*own, kind),
        Event::Bad(bad) => assert!(bad.kind == kind && frame.flaw.is_none()),
        Event::Bookmark | Event::Error(_) => assert!(frame.flaw.is_none()),
    }
}

/// What a fact promises: names that are labels, addresses that are there once.
pub(crate) fn is_fact(kind: Kind, fact: &Fact) {
    assert_eq!(fact.kind(), kind);
    let key = fact.key();
    let is_label = |text: &str| Label::new(text.as_bytes()).is_ok();
    assert!(!key.name.is_empty() && key.name.len() <= 253);
    assert!(kind == Kind::Namespace || is_label(&key.namespace));
    match fact {
        Fact::Service(_) | Fact::Import(_) | Fact::Namespace(_) => assert!(is_label(&key.name)),
        Fact::Slice(slice) => is_slice(slice),
        Fact::ImportedSlice(imported) => is_slice(&imported.slice),
        Fact::Pod(pod) => {
            let mut addresses = pod.addresses.clone();
            addresses.sort_unstable();
            addresses.dedup();
            assert_eq!(addresses.len(), pod.addresses.len());
        }
    }
}

fn is_slice(slice: &rollcall::cluster::facts::SliceFact) {
    use rollcall::cluster::facts::Family;
    assert!(Label::new(slice.service.as_bytes()).is_ok_and(|label| label.as_bytes() == slice.service.as_bytes()));
    assert!(
        slice.ports.is_sorted() && slice.aliases.is_empty() != (slice.family == Family::Fqdn)
            || slice.aliases.is_empty()
    );
    for endpoint in &slice.endpoints {
        assert!(!endpoint.addresses.is_empty() && endpoint.addresses.len() <= 100 && slice.family != Family::Fqdn);
        assert!(endpoint.addresses.iter().all(|address| address.is_ipv4() == (slice.family == Family::V4)));
    }
}

//! Objects as an API server has them, made from the input and spelled in both of its encodings.

use std::net::IpAddr;

use rollcall::cluster::facts::protobuf::ListDecoder;
use rollcall::cluster::facts::{DecodedObject, Event, Fact, Frame, Kind, Page, json, protobuf};
use rollcall::fuzzing;
use serde_json::{Map, Value};

use crate::octets::{Drawn, in_parts};
use crate::texts::address;
use crate::watches::{is_fact, is_frame, is_page};

/// What is read of an object, a page or a watch does not depend on the encoding, nor on how it was cut on its way.
pub fn typed(octets: &[u8]) {
    let mut drawn = Drawn::new(octets);
    let kind = drawn.one_of(&[Kind::Service, Kind::EndpointSlice, Kind::Namespace, Kind::Pod, Kind::ImportedSlice]);
    let objects: Vec<Both> = (0..1 + drawn.below(3)).map(|_| object(kind, &mut drawn)).collect();
    for object in &objects {
        let from_json = json::object(kind, &object.json().to_string());
        assert_eq!(json::value(kind, &object.json()), from_json, "{}", object.json());
        if let DecodedObject::Keep(fact, _) = &from_json {
            is_fact(kind, fact);
        }
    }
    let parts = 1 + drawn.below(4);
    let lengths = drawn.take(parts).to_vec();
    let version = drawn.octet();
    list(kind, &objects, version, &lengths);
    watch(kind, &objects, &mut drawn, &lengths);
}

fn list(kind: Kind, objects: &[Both], version: u8, lengths: &[u8]) {
    let (group, name) = type_names(kind);
    let mut meta = Both::default();
    meta.text("resourceVersion", 2, &version.to_string());
    meta.text("continue", 3, if version & 1 == 0 { "" } else { "next" });
    let mut list = Both::default();
    list.message("metadata", 1, &meta);
    list.messages("items", 2, objects);
    let mut text = list.json();
    text["apiVersion"] = group.into();
    text["kind"] = format!("{name}List").into();
    let body = envelope(kind, "List", &list.octets);
    let page = json::page(kind, text.to_string().as_bytes()).unwrap();
    is_page(kind, &page);
    assert_eq!(protobuf::page(kind, &body).as_ref(), Ok(&page), "{text}");
    let mut arriving = ListDecoder::new(kind);
    let mut facts: Vec<Fact> = Vec::new();
    for part in in_parts(&body, lengths) {
        arriving.push(part).unwrap();
        facts.extend(arriving.take().facts);
    }
    let rest: Page = arriving.end().unwrap();
    assert_eq!((&facts, &rest.resource_version), (&page.facts, &page.resource_version));
}

fn watch(kind: Kind, objects: &[Both], drawn: &mut Drawn<'_>, lengths: &[u8]) {
    let (mut lines, mut frames, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for object in objects {
        let event = drawn.one_of(&["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]);
        let mut text = object.json();
        text["kind"] = type_names(kind).1.into();
        lines.extend_from_slice(serde_json::json!({"type": event, "object": text}).to_string().as_bytes());
        lines.push(b'\n');
        let mut raw = Vec::new();
        octets(&mut raw, 1, &envelope(kind, "", &object.octets));
        let mut frame = Vec::new();
        octets(&mut frame, 1, event.as_bytes());
        octets(&mut frame, 2, &raw);
        frames.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_be_bytes());
        frames.extend_from_slice(&frame);
        events.push(event);
    }
    let read = |is_json: bool, body: &[u8]| -> Vec<Frame> {
        let (found, is_cut) = fuzzing::events(is_json, in_parts(body, lengths).into_iter()).unwrap();
        assert!(!is_cut && found.len() == objects.len());
        let frame = |octets: &Vec<u8>| if is_json { json::frame(kind, octets) } else { protobuf::frame(kind, octets) };
        found.iter().map(frame).map(Result::unwrap).collect()
    };
    let (from_json, from_protobuf) = (read(true, &lines), read(false, &frames));
    assert_eq!(from_json, from_protobuf);
    for (frame, event) in from_json.iter().zip(events) {
        is_frame(kind, frame);
        assert_eq!(matches!(frame.event, Event::Bookmark), event == "BOOKMARK");
    }
}

//----------- Objects --------------------------------------------------------

fn object(kind: Kind, drawn: &mut Drawn<'_>) -> Both {
    let mut object = Both::default();
    object.message("metadata", 1, &metadata(drawn));
    match kind {
        Kind::Service => {
            object.message("spec", 2, &service(drawn));
            if drawn.once_in(4) {
                let ingress: Vec<Both> = (0..drawn.below(3))
                    .map(|_| {
                        let mut way = Both::default();
                        way.text("ip", 1, &text(drawn));
                        way.text("hostname", 2, &text(drawn));
                        way
                    })
                    .collect();
                let mut balancer = Both::default();
                balancer.messages("ingress", 1, &ingress);
                let mut status = Both::default();
                status.message("loadBalancer", 1, &balancer);
                object.message("status", 3, &status);
            }
        }
        Kind::EndpointSlice | Kind::ImportedSlice => {
            let endpoints: Vec<Both> = (0..drawn.below(4)).map(|_| endpoint(drawn)).collect();
            object.messages("endpoints", 2, &endpoints);
            object.messages("ports", 3, &ports(drawn));
            object.text("addressType", 4, drawn.one_of(&["IPv4", "IPv4", "IPv6", "FQDN", "", "ipv4"]));
        }
        Kind::Pod => {
            let mut status = Both::default();
            status.text("phase", 1, drawn.one_of(&["Running", "", "Pending", "Succeeded", "Failed"]));
            status.text("podIP", 6, &text(drawn));
            let addresses: Vec<Both> = (0..drawn.below(3))
                .map(|_| {
                    let mut own = Both::default();
                    own.text("ip", 1, &text(drawn));
                    own
                })
                .collect();
            status.messages("podIPs", 12, &addresses);
            object.message("status", 3, &status);
        }
        _ => {}
    }
    object
}

fn metadata(drawn: &mut Drawn<'_>) -> Both {
    let mut meta = Both::default();
    meta.text("name", 1, &label(drawn));
    meta.text("namespace", 3, &label(drawn));
    meta.text("uid", 5, "x");
    meta.text("resourceVersion", 6, &drawn.octet().to_string());
    if drawn.once_in(4) {
        // In protobuf a message: only whether it is there counts.
        meta.json.insert("deletionTimestamp".into(), "2026-01-01T00:00:00Z".into());
        octets(&mut meta.octets, 9, &[]);
    }
    let service = label(drawn);
    meta.map("labels", 11, &[("kubernetes.io/service-name", &service), ("app", "x")]);
    if drawn.once_in(2) {
        let (service, cluster) = (label(drawn), label(drawn));
        let labels = [
            ("kubernetes.io/service-name", &*service),
            ("multicluster.kubernetes.io/service-name", &*service),
            ("multicluster.kubernetes.io/source-cluster", &*cluster),
        ];
        meta.map("labels", 11, &labels);
    }
    let time =
        drawn.one_of(&["", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789Z", "1", "-0001-01-01T00:00:00Z"]);
    meta.map("annotations", 12, &[("endpoints.kubernetes.io/last-change-trigger-time", time)]);
    meta
}

fn service(drawn: &mut Drawn<'_>) -> Both {
    let mut spec = Both::default();
    spec.messages("ports", 1, &ports(drawn));
    if drawn.once_in(2) {
        spec.map("selector", 2, &[("app", "x")]);
    }
    let own = text(drawn);
    spec.text("clusterIP", 3, if drawn.once_in(3) { "None" } else { &own });
    spec.text("type", 4, drawn.one_of(&["ClusterIP", "", "ExternalName", "LoadBalancer"]));
    let external: Vec<String> = (0..drawn.below(3)).map(|_| text(drawn)).collect();
    spec.texts("externalIPs", 5, &external);
    spec.text("externalName", 10, &text(drawn));
    let addresses: Vec<String> = (0..drawn.below(4)).map(|_| text(drawn)).collect();
    spec.texts("clusterIPs", 18, &addresses);
    spec
}

fn endpoint(drawn: &mut Drawn<'_>) -> Both {
    let mut endpoint = Both::default();
    let addresses: Vec<String> = (0..drawn.below(4)).map(|_| text(drawn)).collect();
    endpoint.texts("addresses", 1, &addresses);
    if drawn.once_in(2) {
        let mut conditions = Both::default();
        if drawn.once_in(2) {
            conditions.truth("ready", 1, drawn.octet() & 1 == 0);
        }
        conditions.truth("serving", 2, drawn.octet() & 1 == 0);
        endpoint.message("conditions", 2, &conditions);
    }
    endpoint.text("hostname", 3, &label(drawn));
    if drawn.once_in(2) {
        let mut target = Both::default();
        target.text("kind", 1, drawn.one_of(&["Pod", "", "Node"]));
        target.text("name", 3, &label(drawn));
        endpoint.message("targetRef", 4, &target);
    }
    endpoint.text("zone", 7, &label(drawn));
    endpoint
}

fn ports(drawn: &mut Drawn<'_>) -> Vec<Both> {
    (0..drawn.below(3))
        .map(|_| {
            let mut port = Both::default();
            port.text("name", 1, &label(drawn));
            port.text("protocol", 2, drawn.one_of(&["TCP", "", "UDP", "SCTP", "tcp"]));
            if !drawn.once_in(4) {
                port.number("port", 3, drawn.one_of(&[80, 1, 65_535, 0, 65_536, -1, i64::MAX]));
            }
            port
        })
        .collect()
}

/// A label mostly; else any text.
fn label(drawn: &mut Drawn<'_>) -> String {
    match drawn.below(8) {
        0 => String::new(),
        1 => "Kubia-0".into(),
        2 => any(drawn),
        3 => "a.b".into(),
        4 => "a".repeat(60 + drawn.below(8)),
        _ => format!("kubia-{}", drawn.below(4)),
    }
}

/// An address or a name of a host mostly; else any text.
fn text(drawn: &mut Drawn<'_>) -> String {
    let own = |drawn: &mut Drawn<'_>, v6: bool| -> IpAddr { address(drawn.octet(), v6) };
    match drawn.below(8) {
        0 => String::new(),
        1 => any(drawn),
        2 => own(drawn, true).to_string(),
        3 => "db.Example.org.".into(),
        4 => format!("::ffff:10.0.0.{}", drawn.octet()),
        _ => own(drawn, false).to_string(),
    }
}

fn any(drawn: &mut Drawn<'_>) -> String {
    let len = drawn.below(20);
    String::from_utf8_lossy(drawn.take(len)).into_owned()
}

//----------- Both -----------------------------------------------------------

/// A message in both encodings.
#[derive(Clone, Debug, Default)]
struct Both {
    json: Map<String, Value>,
    octets: Vec<u8>,
}

impl Both {
    fn json(&self) -> Value {
        Value::Object(self.json.clone())
    }

    fn text(&mut self, name: &str, number: u64, text: &str) {
        self.json.insert(name.into(), text.into());
        octets(&mut self.octets, number, text.as_bytes());
    }

    fn texts(&mut self, name: &str, number: u64, texts: &[String]) {
        self.json.insert(name.into(), texts.into());
        texts.iter().for_each(|text| octets(&mut self.octets, number, text.as_bytes()));
    }

    fn number(&mut self, name: &str, number: u64, value: i64) {
        self.json.insert(name.into(), value.into());
        varint(&mut self.octets, number << 3);
        varint(&mut self.octets, value as u64);
    }

    fn truth(&mut self, name: &str, number: u64, value: bool) {
        self.json.insert(name.into(), value.into());
        varint(&mut self.octets, number << 3);
        varint(&mut self.octets, value.into());
    }

    fn message(&mut self, name: &str, number: u64, message: &Self) {
        self.json.insert(name.into(), message.json());
        octets(&mut self.octets, number, &message.octets);
    }

    fn messages(&mut self, name: &str, number: u64, messages: &[Self]) {
        self.json.insert(name.into(), messages.iter().map(Self::json).collect());
        messages.iter().for_each(|message| octets(&mut self.octets, number, &message.octets));
    }

    /// Entries that are there already get new values.
    fn map(&mut self, name: &str, number: u64, entries: &[(&str, &str)]) {
        let place = self.json.entry(name).or_insert_with(|| Value::Object(Map::new()));
        for (key, value) in entries {
            place[*key] = (*value).into();
            let mut entry = Vec::new();
            octets(&mut entry, 1, key.as_bytes());
            octets(&mut entry, 2, value.as_bytes());
            octets(&mut self.octets, number, &entry);
        }
    }
}

fn type_names(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::EndpointSlice | Kind::ImportedSlice => ("discovery.k8s.io/v1", "EndpointSlice"),
        Kind::Service => ("v1", "Service"),
        Kind::Namespace => ("v1", "Namespace"),
        _ => ("v1", "Pod"),
    }
}

fn envelope(kind: Kind, suffix: &str, message: &[u8]) -> Vec<u8> {
    let (group, name) = type_names(kind);
    let mut type_meta = Vec::new();
    octets(&mut type_meta, 1, group.as_bytes());
    octets(&mut type_meta, 2, format!("{name}{suffix}").as_bytes());
    let mut unknown = b"k8s\0".to_vec();
    octets(&mut unknown, 1, &type_meta);
    octets(&mut unknown, 2, message);
    unknown
}

fn octets(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

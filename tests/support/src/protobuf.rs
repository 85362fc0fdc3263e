//! Writes the few Kubernetes objects of the tests in protobuf, from their JSON.

use serde_json::{Map, Value};

/// A Status with its envelope.
pub fn status(value: &Value) -> Vec<u8> {
    envelope("status", "", &object("status", value))
}

/// A list with its envelope; its items are as [`object`] writes them.
pub fn list<'i>(plural: &str, version: u64, next: &str, items: impl Iterator<Item = &'i [u8]>) -> Vec<u8> {
    let mut meta = Vec::new();
    bytes(&mut meta, 2, version.to_string().as_bytes());
    bytes(&mut meta, 3, next.as_bytes());
    let mut list = Vec::new();
    bytes(&mut list, 1, &meta);
    items.for_each(|item| bytes(&mut list, 2, item));
    envelope(plural, "List", &list)
}

/// A frame of a watch, with its length; its object is as [`object`] writes it.
pub fn frame(kind: &str, plural: &str, object: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    bytes(&mut raw, 1, &envelope(plural, "", object));
    let mut event = Vec::new();
    bytes(&mut event, 1, kind.as_bytes());
    bytes(&mut event, 2, &raw);
    let mut frame = u32::try_from(event.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&event);
    frame
}

/// The group with its version, and the kind, of the objects that a plural stands for.
pub fn kind_of(plural: &str) -> (&'static str, &'static str) {
    match plural {
        "services" => ("v1", "Service"),
        "endpointslices" => ("discovery.k8s.io/v1", "EndpointSlice"),
        "namespaces" => ("v1", "Namespace"),
        "pods" => ("v1", "Pod"),
        "serviceimports" => ("multicluster.x-k8s.io/v1alpha1", "ServiceImport"),
        _ => ("v1", "Status"),
    }
}

fn envelope(plural: &str, suffix: &str, message: &[u8]) -> Vec<u8> {
    let mut unknown = b"k8s\0".to_vec();
    let mut type_meta = Vec::new();
    let (version, kind) = kind_of(plural);
    bytes(&mut type_meta, 1, version.as_bytes());
    bytes(&mut type_meta, 2, format!("{kind}{suffix}").as_bytes());
    bytes(&mut unknown, 1, &type_meta);
    bytes(&mut unknown, 2, message);
    unknown
}

/// One object without its envelope.
pub fn object(plural: &str, value: &Value) -> Vec<u8> {
    let mut message = Vec::new();
    if plural == "status" {
        text(&mut message, 2, &value["status"]);
        text(&mut message, 3, &value["message"]);
        text(&mut message, 4, &value["reason"]);
        number(&mut message, 6, value["code"].as_u64().unwrap());
        return message;
    }
    bytes(&mut message, 1, &metadata(&value["metadata"]));
    if value["spec"] == "broken" {
        // A field that claims to be longer than what is there.
        message.extend_from_slice(&[0x12, 0x7f, 1]);
        return message;
    }
    match plural {
        "services" => bytes(&mut message, 2, &service(&value["spec"])),
        "endpointslices" => slice(&mut message, value),
        "pods" => {
            bytes(&mut message, 2, &[]);
            let mut status = Vec::new();
            text(&mut status, 1, &value["status"]["phase"]);
            text(&mut status, 6, &value["status"]["podIP"]);
            bytes(&mut message, 3, &status);
        }
        _ => {}
    }
    message
}

fn metadata(value: &Value) -> Vec<u8> {
    let mut message = Vec::new();
    text(&mut message, 1, &value["name"]);
    text(&mut message, 3, &value["namespace"]);
    text(&mut message, 5, &value["uid"]);
    text(&mut message, 6, &value["resourceVersion"]);
    map(&mut message, 11, &value["labels"]);
    map(&mut message, 12, &value["annotations"]);
    message
}

fn service(spec: &Value) -> Vec<u8> {
    let mut message = Vec::new();
    for entry in elements(&spec["ports"]) {
        bytes(&mut message, 1, &port(entry));
    }
    map(&mut message, 2, &spec["selector"]);
    text(&mut message, 3, &spec["clusterIP"]);
    text(&mut message, 4, &spec["type"]);
    text(&mut message, 10, &spec["externalName"]);
    for address in elements(&spec["clusterIPs"]) {
        text(&mut message, 18, address);
    }
    message
}

fn slice(message: &mut Vec<u8>, value: &Value) {
    for entry in elements(&value["endpoints"]) {
        let mut endpoint = Vec::new();
        for address in elements(&entry["addresses"]) {
            text(&mut endpoint, 1, address);
        }
        let mut conditions = Vec::new();
        for (field, name) in [(1, "ready"), (2, "serving"), (3, "terminating")] {
            if let Some(condition) = entry["conditions"][name].as_bool() {
                number(&mut conditions, field, condition.into());
            }
        }
        bytes(&mut endpoint, 2, &conditions);
        text(&mut endpoint, 3, &entry["hostname"]);
        let mut target = Vec::new();
        text(&mut target, 1, &entry["targetRef"]["kind"]);
        text(&mut target, 3, &entry["targetRef"]["name"]);
        bytes(&mut endpoint, 4, &target);
        bytes(message, 2, &endpoint);
    }
    for entry in elements(&value["ports"]) {
        bytes(message, 3, &port(entry));
    }
    text(message, 4, &value["addressType"]);
}

fn port(value: &Value) -> Vec<u8> {
    let mut message = Vec::new();
    text(&mut message, 1, &value["name"]);
    text(&mut message, 2, &value["protocol"]);
    number(&mut message, 3, value["port"].as_u64().unwrap());
    message
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn map(out: &mut Vec<u8>, field: u64, value: &Value) {
    for (name, value) in value.as_object().into_iter().flat_map(Map::iter) {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, name.as_bytes());
        text(&mut entry, 2, value);
        bytes(out, field, &entry);
    }
}

fn text(out: &mut Vec<u8>, field: u64, value: &Value) {
    if let Some(value) = value.as_str() {
        bytes(out, field, value.as_bytes());
    }
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

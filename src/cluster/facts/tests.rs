//! Both encodings of the same objects, and what hostile ones come to.

use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::json;

use super::*;

//----------- A protobuf writer ----------------------------------------------

/// A message under construction: field numbers and values, as in the API's own definitions.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn int(self, number: u64, value: i64) -> Self {
        self.varint(number << 3).varint(value as u64)
    }

    fn bytes(self, number: u64, value: &[u8]) -> Self {
        let mut message = self.varint(number << 3 | 2).varint(value.len() as u64);
        message.0.extend_from_slice(value);
        message
    }

    fn text(self, number: u64, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    fn message(self, number: u64, value: &Self) -> Self {
        self.bytes(number, &value.0)
    }

    fn entry(self, number: u64, key: &str, value: &str) -> Self {
        self.message(number, &Self::default().text(1, key).text(2, value))
    }

    /// The octets of a fixed 64-bit and a fixed 32-bit field that no reader knows.
    fn unknown(mut self) -> Self {
        self = self.varint(99 << 3 | 1);
        self.0.extend_from_slice(&[7; 8]);
        self = self.varint(98 << 3 | 5);
        self.0.extend_from_slice(&[7; 4]);
        self.int(97, -1)
    }

    fn envelope(&self, kind: &str) -> Vec<u8> {
        let group = match kind.strip_suffix("List").unwrap_or(kind) {
            "EndpointSlice" => "discovery.k8s.io/v1",
            "ServiceImport" => "multicluster.x-k8s.io/v1alpha1",
            _ => "v1",
        };
        let type_meta = Self::default().text(1, group).text(2, kind);
        let unknown = Self::default().message(1, &type_meta).message(2, self).text(3, "").text(4, "");
        [b"k8s\0".as_slice(), &unknown.0].concat()
    }

    fn event(&self, event: &str, kind: &str) -> Vec<u8> {
        let raw = Self::default().bytes(1, &self.envelope(kind));
        Self::default().text(1, event).message(2, &raw).0
    }
}

fn message() -> Message {
    Message::default()
}

fn meta(namespace: &str, name: &str, version: &str) -> Message {
    message().text(1, name).text(3, namespace).text(5, "uid").text(6, version).unknown()
}

fn list(version: &str, token: &str, items: &[Message]) -> Message {
    let meta = message().text(2, version).text(3, token).int(4, 17);
    items.iter().fold(message().message(1, &meta), |list, item| list.message(2, item))
}

fn both(kind: Kind, json: &serde_json::Value, protobuf: &Message) -> Page {
    let (group, name) = kind.type_names();
    let name = format!("{name}List");
    let text = json!({"kind": name, "apiVersion": group, "metadata": {"resourceVersion": "9", "continue": "t"}, "items": [json]});
    let from_json = json::page(kind, text.to_string().as_bytes()).unwrap();
    let from_protobuf = protobuf::page(kind, &list("9", "t", std::slice::from_ref(protobuf)).envelope(&name)).unwrap();
    assert_eq!(from_json, from_protobuf);
    let value = json::value(kind, json);
    assert_eq!(value, json::object(kind, &json.to_string()));
    from_json
}

fn label(text: &str) -> Label {
    Label::new(text.as_bytes()).unwrap()
}

fn port(name: &str, protocol: crate::zone::Protocol, number: u16) -> Port {
    Port { name: (!name.is_empty()).then(|| label(name)), protocol, number }
}

use crate::zone::Protocol::{Sctp, Tcp, Udp};

//----------- Equal facts ----------------------------------------------------

#[test]
fn a_slice_has_the_same_facts_in_both_encodings() {
    let json = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": "kubia-x7", "namespace": "default", "resourceVersion": "123", "uid": "u", "generateName": "kubia-",
            "labels": {"kubernetes.io/service-name": "kubia", "app": "k"},
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "1970-01-01T00:00:01.5Z"},
            "managedFields": [{"manager": "m", "fieldsV1": {"f:x": {}}}],
        },
        "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false},
             "hostname": "Kubia-0", "targetRef": {"kind": "Pod", "name": "kubia-0"}, "zone": "a", "nodeName": "n"},
            {"addresses": ["10.0.0.2", "10.0.0.2"], "conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "a.b"}, "zone": "a"},
            {"addresses": ["10.0.0.3"], "conditions": {}},
            {"addresses": ["10.0.0.4"], "conditions": null, "hostname": null},
        ],
        "ports": [{"name": "http", "protocol": "TCP", "port": 80}, {"name": "", "protocol": "UDP", "port": 53, "appProtocol": "x"}, {"name": "any", "port": null}],
    });
    let endpoint = |address: &str| message().text(1, address).unknown();
    let ready = |value| message().int(1, value);
    let protobuf = message()
        .message(
            1,
            &meta("default", "kubia-x7", "123")
                .entry(11, "app", "k")
                .entry(11, "kubernetes.io/service-name", "kubia")
                .entry(12, "endpoints.kubernetes.io/last-change-trigger-time", "1970-01-01T00:00:01.5Z"),
        )
        .message(
            2,
            &endpoint("10.0.0.1")
                .message(2, &ready(1).int(2, 1).int(3, 0))
                .text(3, "Kubia-0")
                .message(4, &message().text(1, "Pod").text(3, "kubia-0"))
                .text(6, "n")
                .text(7, "a"),
        )
        .message(
            2,
            &endpoint("10.0.0.2")
                .text(1, "10.0.0.2")
                .message(2, &ready(0))
                .message(4, &message().text(1, "Pod").text(3, "a.b"))
                .text(7, "a"),
        )
        .message(2, &endpoint("10.0.0.3").message(2, &message()))
        .message(2, &endpoint("10.0.0.4"))
        .message(3, &message().text(1, "http").text(2, "TCP").int(3, 80))
        .message(3, &message().text(1, "").text(2, "UDP").int(3, 53).text(4, "x"))
        .message(3, &message().text(1, "any"))
        .text(4, "IPv4");
    let page = both(Kind::EndpointSlice, &json, &protobuf);
    assert_eq!(page.bad, []);
    assert_eq!((page.resource_version.as_str(), page.continue_token.as_deref()), ("9", Some("t")));
    let endpoint = |address: &str, hostname: Option<&str>, pod: Option<&str>, ready, zone: Option<&str>| EndpointFact {
        addresses: [address.parse().unwrap()].into(),
        hostname: hostname.map(label),
        pod: pod.map(label),
        ready,
        zone: zone.map(Into::into),
    };
    let expected = SliceFact {
        key: ObjectKey::new("default", "kubia-x7"),
        version: 123,
        service: "kubia".into(),
        family: Family::V4,
        ports: vec![port("", Udp, 53), port("any", Tcp, 0), port("http", Tcp, 80)],
        endpoints: vec![
            endpoint("10.0.0.1", Some("kubia-0"), Some("kubia-0"), true, Some("a")),
            endpoint("10.0.0.2", None, None, false, Some("a")),
            endpoint("10.0.0.3", None, None, true, None),
            endpoint("10.0.0.4", None, None, true, None),
        ],
        aliases: vec![],
        triggered: Some(1500),
    };
    assert_eq!(page.facts, [Fact::Slice(expected)]);
}

fn service(name: &str, spec: &serde_json::Value, protobuf: &Message) -> (Option<ServiceSpec>, usize) {
    let json = json!({"metadata": {"name": name, "namespace": "default", "resourceVersion": "4"}, "spec": spec});
    let page = both(Kind::Service, &json, &message().message(1, &meta("default", name, "4")).message(2, protobuf));
    let spec = page.facts.into_iter().next().map(|fact| match fact {
        Fact::Service(service) => service.spec,
        other => panic!("not a Service: {other:?}"),
    });
    (spec, page.bad.len())
}

#[test]
fn services_of_each_type_have_the_same_facts_in_both_encodings() {
    let spec = json!({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"], "type": "NodePort", "selector": {"a": "b"},
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": "x", "nodePort": 30000}, {"name": "s", "port": 9, "protocol": "SCTP"}]});
    let protobuf = message()
        .message(1, &message().text(1, "https").text(2, "TCP").int(3, 443).message(4, &message().int(1, 1)))
        .message(1, &message().text(1, "s").text(2, "SCTP").int(3, 9))
        .entry(2, "a", "b")
        .text(3, "10.96.0.1")
        .text(4, "NodePort")
        .text(18, "10.96.0.1")
        .text(18, "fd00::1");
    let addresses = vec!["10.96.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
    let ports = vec![port("https", Tcp, 443), port("s", Sctp, 9)];
    assert_eq!(service("a", &spec, &protobuf), (Some(ServiceSpec::ClusterIp { addresses, ports }), 0));

    let none = message().text(3, "None").text(18, "None");
    let headless = (Some(ServiceSpec::Headless { ports: vec![] }), 0);
    assert_eq!(service("a", &json!({"clusterIP": "None", "clusterIPs": ["None"]}), &none), headless);
    assert_eq!(service("a", &json!({"clusterIP": "None"}), &message().text(3, "None")), headless);

    let waiting = (Some(ServiceSpec::ClusterIp { addresses: vec![], ports: vec![] }), 0);
    assert_eq!(service("a", &json!({"clusterIP": ""}), &message()), waiting);
}

#[test]
fn outside_addresses_have_the_same_facts_in_both_encodings() {
    let json = json!({"metadata": {"name": "web", "namespace": "default"},
        "spec": {"clusterIP": "10.96.0.1", "externalIPs": ["192.0.2.1", "not one"], "ports": [{"port": 80}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "2001:db8::1", "ipMode": "VIP"}, {"hostname": "lb.example.net"}, {"ip": "192.0.2.1"}]}}});
    let ingress = |way: Message| message().message(1, &way);
    let status = message()
        .message(1, &ingress(message().text(1, "2001:db8::1").text(3, "VIP")))
        .message(1, &ingress(message().text(2, "lb.example.net")).message(1, &message().text(1, "192.0.2.1")));
    let spec = message().text(3, "10.96.0.1").text(5, "192.0.2.1").text(5, "not one").message(1, &message().int(3, 80));
    let protobuf = message().message(1, &meta("default", "web", "")).message(2, &spec).message(3, &status);
    let page = both(Kind::Service, &json, &protobuf);
    let [Fact::Service(fact)] = page.facts.as_slice() else { panic!("not one Service: {:?}", page.facts) };
    let external = fact.external.as_ref().unwrap();
    let address = |text: &str| ExternalHost::Address(text.parse().unwrap());
    let name = ExternalHost::Name("lb.example.net".parse().unwrap());
    assert_eq!(external.hosts, [address("192.0.2.1"), address("2001:db8::1"), name]);
    assert_eq!(external.ports, [port("", Tcp, 80)]);
    assert_eq!(page.bad.len(), 1, "what is no address is reported");
}

#[test]
fn an_external_name_is_kept_only_when_it_is_a_host_name() {
    for (text, name) in [
        ("db.example.org", Some("db.example.org")),
        ("DB.example.org.", Some("db.example.org")),
        ("a_b.example.org", Some("a_b.example.org")),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
        ("", None),
        (".", None),
        ("a..b", None),
        ("a b", None),
        ("x\u{1}y", None),
        (&"a.".repeat(200), None),
        (&"a".repeat(64), None),
    ] {
        let spec = json!({"type": "ExternalName", "externalName": text});
        let protobuf = message().text(4, "ExternalName").text(10, text);
        let expected = ServiceSpec::ExternalName(name.map(|name| name.parse().unwrap()));
        assert_eq!(service("a", &spec, &protobuf), (Some(expected), usize::from(name.is_none())), "{text}");
    }
}

#[test]
fn finished_pods_are_dropped_and_terminating_ones_marked() {
    let pod = |phase: &str, address: &str, deleted: bool| {
        let mut json =
            json!({"metadata": {"name": "p.q", "namespace": "default"}, "status": {"phase": phase, "podIP": address}});
        let mut meta = meta("default", "p.q", "");
        if deleted {
            json["metadata"]["deletionTimestamp"] = json!("2026-11-23T10:00:00Z");
            meta = meta.message(9, &message().int(1, 1));
        }
        let status = message().text(1, phase).text(6, address);
        both(Kind::Pod, &json, &message().message(1, &meta).message(3, &status))
    };
    for phase in ["Succeeded", "Failed", "Unknown"] {
        assert_eq!((pod(phase, "10.0.0.1", false).facts, pod(phase, "10.0.0.1", false).bad), (vec![], vec![]));
    }
    let fact = |address: Option<&str>, terminating| {
        Fact::Pod(PodFact {
            key: ObjectKey::new("default", "p.q"),
            addresses: address.map(|text| text.parse().unwrap()).into_iter().collect(),
            terminating,
        })
    };
    assert_eq!(pod("Running", "10.0.0.1", false).facts, [fact(Some("10.0.0.1"), false)]);
    assert_eq!(pod("Running", "10.0.0.1", true).facts, [fact(Some("10.0.0.1"), true)]);
    assert_eq!(pod("Pending", "", false).facts, [fact(None, false)]);
    assert_eq!(pod("Running", "ten", false).bad.len(), 1);
}

#[test]
fn a_pod_has_all_its_addresses() {
    let json = json!({
        "metadata": {"name": "p", "namespace": "default"},
        "status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}, {"ip": "fd00::1"}]},
    });
    let ip = |text| message().text(1, text);
    let status = message().text(6, "10.0.0.1").message(12, &ip("10.0.0.1")).message(12, &ip("fd00::1"));
    let protobuf = message().message(1, &meta("default", "p", "")).message(3, &status.message(12, &ip("fd00::1")));
    let facts = both(Kind::Pod, &json, &protobuf).facts;
    let [Fact::Pod(pod)] = facts.as_slice() else { panic!("{facts:?}") };
    assert_eq!(pod.addresses, ["10.0.0.1", "fd00::1"].map(|text| text.parse::<IpAddr>().unwrap()));
}

//----------- Watch frames ---------------------------------------------------

fn frames(event: &str, kind: Kind, json: &serde_json::Value, protobuf: &Message, type_meta: &str) -> Frame {
    let line = json!({"type": event, "object": json}).to_string();
    let from_json = json::frame(kind, line.as_bytes()).unwrap();
    assert_eq!(from_json, protobuf::frame(kind, &protobuf.event(event, type_meta)).unwrap());
    from_json
}

#[test]
fn watch_frames_say_the_same_in_both_encodings() {
    let json = json!({"metadata": {"name": "n", "resourceVersion": "7"}});
    let protobuf = message().message(1, &meta("", "n", "7"));
    let frame = |event, json: &serde_json::Value, protobuf: &Message| {
        frames(event, Kind::Namespace, json, protobuf, "Namespace")
    };
    let applied = Event::Applied(Fact::Namespace(NamespaceFact { name: "n".into() }));
    assert_eq!(frame("ADDED", &json, &protobuf), Frame::plain(applied, "7".into()));
    let deleted = Event::Deleted(Kind::Namespace, ObjectKey::new("", "n"));
    assert_eq!(frame("DELETED", &json, &protobuf), Frame::plain(deleted, "7".into()));

    let json = json!({"metadata": {"resourceVersion": "8"}});
    let protobuf = message().message(1, &message().text(6, "8"));
    assert_eq!(frame("BOOKMARK", &json, &protobuf), Frame::plain(Event::Bookmark, "8".into()));

    let json = json!({"kind": "Status", "metadata": {}, "status": "Failure", "message": "too old", "reason": "Expired", "code": 410});
    let protobuf = message().text(2, "Failure").text(3, "too old").text(4, "Expired").int(6, 410);
    let status = Status { code: 410, reason: "Expired".into(), message: "too old".into() };
    let frame = frames("ERROR", Kind::Namespace, &json, &protobuf, "Status");
    assert_eq!(frame.event, Event::Error(status.clone()));
    assert_eq!(protobuf::status(&protobuf.envelope("Status")), Some(status.clone()));
    assert_eq!(json::status(json.to_string().as_bytes()), Some(status));
    assert_eq!(json::status(b"<html>"), None);
    assert_eq!(protobuf::status(b"<html>"), None);
}

#[test]
fn an_object_that_no_longer_counts_is_deleted_by_its_event() {
    let json = json!({"metadata": {"name": "s", "namespace": "n", "resourceVersion": "7"}, "addressType": "IPv4"});
    let protobuf = message().message(1, &meta("n", "s", "7")).text(4, "IPv4");
    let frame = frames("MODIFIED", Kind::EndpointSlice, &json, &protobuf, "EndpointSlice");
    assert_eq!(frame.event, Event::Deleted(Kind::EndpointSlice, ObjectKey::new("n", "s")));
}

#[test]
fn a_body_that_is_no_list_is_an_error() {
    assert!(json::page(Kind::Pod, b"{").is_err());
    assert!(json::page(Kind::Pod, b"[]").is_err());
    assert!(json::frame(Kind::Pod, br#"{"type": "SURPRISE"}"#).is_err());
    assert!(protobuf::page(Kind::Pod, b"").is_err());
    assert!(protobuf::page(Kind::Pod, b"k8s\0\xff").is_err());
    assert!(protobuf::frame(Kind::Pod, b"").is_err());
}

#[test]
fn a_list_says_what_it_is_and_has_a_version_and_items() {
    let whole = json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": []});
    let with = |field: &str, value: serde_json::Value| {
        let mut list = whole.clone();
        list[field] = value;
        list
    };
    let read = |list: &serde_json::Value| json::page(Kind::Service, list.to_string().as_bytes());
    assert_eq!(read(&whole), Ok(Page { resource_version: "9".into(), ..Page::default() }));
    for wrong in [
        json!({}),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 500}),
        with("kind", json!("SecretList")),
        with("kind", json!("List")),
        with("kind", json!("Service")),
        with("kind", json!(null)),
        with("apiVersion", json!("apps/v1")),
        with("metadata", json!({})),
        with("metadata", json!({"resourceVersion": ""})),
        with("items", json!(null)),
        with("items", json!({})),
    ] {
        assert!(read(&wrong).is_err(), "{wrong}");
    }
    let mut without = whole;
    without.as_object_mut().unwrap().remove("items");
    assert!(read(&without).unwrap_err().to_string().contains("no items"));

    let empty = list("9", "", &[]);
    assert!(protobuf::page(Kind::Service, &empty.envelope("ServiceList")).is_ok());
    for kind in ["", "Status", "SecretList", "Service", "EndpointSliceList"] {
        assert!(protobuf::page(Kind::Service, &empty.envelope(kind)).is_err(), "{kind}");
    }
    assert!(protobuf::page(Kind::Service, b"k8s\0").is_err());
    assert!(protobuf::page(Kind::Service, &message().envelope("ServiceList")).is_err(), "no version");
    let nameless = [b"k8s\0".as_slice(), &message().message(2, &empty).0].concat();
    assert!(protobuf::page(Kind::Service, &nameless).unwrap_err().to_string().contains("does not say what it is"));
}

#[test]
fn nothing_of_another_kinds_list_is_taken_while_it_arrives() {
    let body = list("9", "", &namespaces(100)).envelope("SecretList");
    let mut list = protobuf::ListDecoder::new(Kind::Namespace);
    assert!(list.push(&body[..body.len() / 2]).is_err());
    assert_eq!(list.take(), Page::default());
}

#[test]
fn an_event_of_another_kind_is_an_error() {
    let json = json!({"type": "ADDED", "object": {"kind": "Secret", "metadata": {"name": "n"}}}).to_string();
    assert!(json::frame(Kind::Namespace, json.as_bytes()).is_err());
    let protobuf = message().message(1, &meta("", "n", "7")).event("DELETED", "Secret");
    assert!(protobuf::frame(Kind::Namespace, &protobuf).is_err());
}

//----------- Lists in parts -------------------------------------------------

/// A list in protobuf, taken in in chunks of these sizes, over and over.
fn in_chunks(kind: Kind, mut body: &[u8], sizes: &[usize]) -> Result<Page, DecodeError> {
    let mut list = protobuf::ListDecoder::new(kind);
    let mut whole = Page::default();
    let mut sizes = sizes.iter().cycle();
    while !body.is_empty() {
        let (chunk, rest) = body.split_at(body.len().min(*sizes.next().unwrap()));
        list.push(chunk)?;
        body = rest;
        let part = list.take();
        whole.facts.extend(part.facts);
        whole.bad.extend(part.bad);
    }
    let last = list.end()?;
    whole.facts.extend(last.facts);
    whole.bad.extend(last.bad);
    Ok(Page { resource_version: last.resource_version, continue_token: last.continue_token, ..whole })
}

fn namespaces(count: usize) -> Vec<Message> {
    (0..count).map(|at| message().message(1, &meta("", &format!("namespace-{at}"), "7"))).collect()
}

#[test]
fn objects_of_a_list_are_there_as_soon_as_they_are_whole() {
    let body = list("9", "", &namespaces(100)).envelope("NamespaceList");
    let mut list = protobuf::ListDecoder::new(Kind::Namespace);
    list.push(&body[..body.len() / 2]).unwrap();
    let early = list.take().facts.len();
    assert!((45..=50).contains(&early), "{early}");
    list.push(&body[body.len() / 2..]).unwrap();
    assert_eq!(list.waiting(), 100 - early);
    assert_eq!(list.end().unwrap().resource_version, "9");
}

#[test]
fn a_list_that_is_cut_off_is_an_error_wherever_it_is_cut() {
    // The last fields of the envelope say nothing: without them the list is whole.
    let list = list("9", "", &namespaces(3));
    let type_meta = message().text(1, "v1").text(2, "NamespaceList");
    let body = [b"k8s\0".as_slice(), &message().message(1, &type_meta).message(2, &list).0].concat();
    assert!(protobuf::page(Kind::Namespace, &body).is_ok());
    for end in 0..body.len() {
        assert!(protobuf::page(Kind::Namespace, &body[..end]).is_err(), "{end}");
    }
    // An object that claims more than its list has.
    let overlong = message().message(1, &type_meta).bytes(2, &[0x12, 0x7f, 1, 2, 3]);
    let body = [b"k8s\0".as_slice(), &overlong.text(3, "").text(4, "and more after it").0].concat();
    assert!(protobuf::page(Kind::Namespace, &body).unwrap_err().to_string().contains("cut off"));
}

#[test]
fn an_object_without_end_is_not_waited_for() {
    let mut list = protobuf::ListDecoder::new(Kind::Namespace);
    // A list and an object of 1 TiB.
    list.push(b"k8s\0").unwrap();
    list.push(&message().message(1, &message().text(1, "v1").text(2, "NamespaceList")).0).unwrap();
    list.push(b"\x12\x80\x80\x80\x80\x80\x40\x12\x80\x80\x80\x80\x80\x20").unwrap();
    let chunk = vec![0; 1 << 20];
    let failed = (0..=LONGEST >> 20).find(|_| list.push(&chunk).is_err());
    assert_eq!(failed, Some((LONGEST >> 20) - 1), "at the cap, not before");
}

#[test]
fn a_compressed_list_is_refused() {
    let body = [b"k8s\0".as_slice(), &message().text(3, "gzip").bytes(2, b"").0].concat();
    assert!(protobuf::page(Kind::Namespace, &body).unwrap_err().to_string().contains("compressed"));
}

//----------- Hostile objects ------------------------------------------------

#[test]
fn one_bad_item_is_named_and_the_rest_is_kept() {
    let text = r#"{"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "5"}, "items": [
        {"metadata": {"name": "good", "namespace": "d"}, "spec": {}},
        {"metadata": {"name": "wrong", "namespace": "d"}, "spec": {"ports": "none"}},
        {"metadata": {"name": "has.dots", "namespace": "d"}, "spec": {}},
        {"metadata": {"name": "", "namespace": "d"}, "spec": {}}, 17, null,
        {"metadata": {"name": "late", "namespace": "d"}, "spec": {}}]}"#;
    let page = json::page(Kind::Service, text.as_bytes()).unwrap();
    let names: Vec<String> = page.facts.iter().map(|fact| fact.key().to_string()).collect();
    assert_eq!(names, ["d/good", "d/late"]);
    let bad: Vec<&str> = page.bad.iter().map(|bad| bad.name.as_str()).collect();
    assert_eq!(bad, ["wrong", "has.dots", "", "", ""]);

    let good = message().message(1, &meta("d", "good", "1")).message(2, &message());
    let cut = message().message(1, &meta("d", "cut", "1")).bytes(2, b"\x0a\x7f");
    let page = protobuf::page(Kind::Service, &list("5", "", &[cut, good]).envelope("ServiceList")).unwrap();
    assert_eq!((page.facts.len(), page.continue_token), (1, None));
    assert_eq!(page.bad.iter().map(|bad| bad.name.as_str()).collect::<Vec<_>>(), ["cut"]);
}

#[test]
fn wrong_parts_of_a_slice_are_left_out_and_reported_once() {
    let same = vec!["10.0.0.1"; 1000];
    let json = json!({
        "metadata": {"name": "s", "namespace": "d", "labels": {"kubernetes.io/service-name": "S"}}, "addressType": "IPv4",
        "ports": [{"port": -1}, {"port": 65536}, {"port": 0}, {"port": 80, "protocol": "QUIC"}, {"port": 81, "name": "a.b"}, {"port": 82}, {"port": 82}],
        "endpoints": [
            {"addresses": same}, {"addresses": ["fd00::1"]}, {"addresses": ["\u{7}ten"]}, {"addresses": []}, {},
            {"addresses": ["10.0.0.2", "x"], "hostname": "not a label", "targetRef": {"name": "x".repeat(64)}},
        ],
    });
    let DecodedObject::Keep(Fact::Slice(slice), Some(flaw)) = json::value(Kind::EndpointSlice, &json) else { panic!() };
    assert_eq!(&*slice.service, "s");
    assert_eq!(slice.ports, [port("", Tcp, 81), port("", Tcp, 82)]);
    let endpoints: Vec<_> = slice
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.addresses.len(), endpoint.hostname.clone(), endpoint.pod.clone()))
        .collect();
    assert_eq!(endpoints, [(1, None, None), (1, None, None)]);
    assert_eq!(
        flaw.to_string(),
        "EndpointSlice d/s: kept without 10 parts, the first: port is not between 1 and 65535: \"-1\""
    );
}

#[test]
fn names_of_an_fqdn_slice_are_kept_when_ready() {
    let json = json!({
        "metadata": {"name": "s", "namespace": "d", "labels": {"kubernetes.io/service-name": "s"}}, "addressType": "FQDN",
        "endpoints": [{"addresses": ["db.example.com", "not a name"]}, {"addresses": ["b.example.com"], "hostname": "h"}, {"addresses": ["away.example.com"], "conditions": {"ready": false}}],
    });
    let DecodedObject::Keep(Fact::Slice(slice), Some(_)) = json::value(Kind::EndpointSlice, &json) else { panic!() };
    let alias = |label: &str, name: &str| (Label::new(label.as_bytes()).unwrap(), name.parse().unwrap());
    let aliases = vec![alias("h", "b.example.com"), alias("db-example-com", "db.example.com")];
    assert_eq!((slice.aliases, slice.endpoints), (aliases, vec![]));
}

#[test]
fn a_slice_of_unknown_address_type_or_of_a_name_that_is_no_label_is_skipped() {
    let slice = |kind: &str, service: &str| json!({"metadata": {"name": "s", "namespace": "d", "labels": {"kubernetes.io/service-name": service}}, "addressType": kind});
    for json in [slice("IPv5", "s"), slice("", "s"), slice("IPv4", "a.b"), slice("IPv4", &"x".repeat(64))] {
        assert!(matches!(json::value(Kind::EndpointSlice, &json), DecodedObject::Bad(_)), "{json}");
    }
}

proptest! {
    #[test]
    fn no_octets_make_a_decoder_panic(kind in 0..4usize, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let kind = Kind::ALL[kind];
        let enveloped = [b"k8s\0\x12".as_slice(), &[body.len().min(127) as u8], &body[..body.len().min(127)]].concat();
        for body in [&body, &enveloped] {
            let _ = (protobuf::page(kind, body), protobuf::frame(kind, body), json::page(kind, body), json::frame(kind, body));
        }
    }

    #[test]
    fn a_list_is_the_same_wherever_it_is_cut(count in 0..20usize, sizes in proptest::collection::vec(1..40usize, 1..10)) {
        let body = list("9", "t", &namespaces(count)).envelope("NamespaceList");
        prop_assert_eq!(in_chunks(Kind::Namespace, &body, &sizes), protobuf::page(Kind::Namespace, &body));
    }

    #[test]
    fn a_damaged_list_is_the_same_wherever_it_is_cut(at in any::<proptest::sample::Index>(), octet: u8, sizes in proptest::collection::vec(1..40usize, 1..10)) {
        let mut body = list("9", "t", &namespaces(3)).envelope("NamespaceList");
        let at = at.index(body.len());
        body[at] = octet;
        let (parts, whole) = (in_chunks(Kind::Namespace, &body, &sizes), protobuf::page(Kind::Namespace, &body));
        prop_assert_eq!(parts.ok(), whole.ok());
    }

    #[test]
    fn damage_to_a_page_is_an_error_or_a_bad_object(kind in 0..4usize, at in any::<proptest::sample::Index>(), octet: u8) {
        let item = message().message(1, &meta("d", "x", "1")).message(2, &message().text(1, "10.0.0.1")).text(4, "IPv4");
        let kind = Kind::ALL[kind];
        let mut body = list("5", "", &[item.clone(), item]).envelope(&format!("{}List", kind.type_names().1));
        let at = at.index(body.len());
        body[at] = octet;
        let _ = protobuf::page(kind, &body);
    }
}

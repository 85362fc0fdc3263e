//! The objects of the model: what they are, and how the API spells them.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rollcall_testing::protobuf;
use serde_json::{Value, json};

/// The kinds that a mirror follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A Service.
    Service,
    /// An EndpointSlice.
    Slice,
    /// A Namespace.
    Namespace,
    /// A Pod.
    Pod,
}

/// How many kinds there are.
pub(crate) const KINDS: usize = 4;

impl Kind {
    /// As the paths of the API have it.
    pub(crate) fn plural(self) -> &'static str {
        ["services", "endpointslices", "namespaces", "pods"][self as usize]
    }

    /// The kind of a path.
    pub(crate) fn of(path: &str) -> Self {
        let plural = path.rsplit('/').next().unwrap_or_default();
        let all = [Self::Service, Self::Slice, Self::Namespace, Self::Pod];
        all.into_iter().find(|kind| kind.plural() == plural).expect("a path of ours")
    }
}

/// A Service by its number, in its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServiceId {
    /// The number of the namespace.
    pub(crate) namespace: u8,
    /// The number of the Service.
    pub(crate) number: u8,
}

/// Which object it is: what is not needed of `part` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its namespace, and the Service that it is or belongs to.
    pub(crate) service: ServiceId,
    /// The slice, or the pod.
    pub(crate) part: u8,
}

impl Key {
    /// A namespace.
    pub(crate) fn namespace(namespace: u8) -> Self {
        Self { kind: Kind::Namespace, service: ServiceId { namespace, number: 0 }, part: 0 }
    }

    /// A Service.
    pub(crate) fn service(service: ServiceId) -> Self {
        Self { kind: Kind::Service, service, part: 0 }
    }

    /// A slice of a Service.
    pub(crate) fn slice(service: ServiceId, part: u8) -> Self {
        Self { kind: Kind::Slice, service, part }
    }

    /// A pod of a Service.
    pub(crate) fn pod(service: ServiceId, part: u8) -> Self {
        Self { kind: Kind::Pod, service, part }
    }

    fn name(self) -> String {
        let ServiceId { namespace, number } = self.service;
        match self.kind {
            Kind::Namespace => format!("n{namespace}"),
            Kind::Service => format!("s{number}"),
            // The order of pages is not that of creation.
            Kind::Slice => format!("s{number}-{}", (b'a' + self.part.wrapping_mul(7) % 26) as char),
            Kind::Pod => format!("s{number}-{}", self.part),
        }
    }
}

/// An endpoint of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    /// The number in its hostname, `p3`.
    pub(crate) host: u8,
    /// Its address: the last 24 bits after 10.
    pub(crate) address: u32,
    /// Whether it is ready.
    pub(crate) ready: bool,
}

/// What an object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// It is there.
    Plain,
    /// A headless Service.
    Headless,
    /// A Service with an address.
    ClusterIp(u32),
    /// A slice: its port, and its endpoints.
    Slice(u16, Vec<Endpoint>),
    /// A pod with an address.
    Pod(u32),
}

/// One version of an object.
#[derive(Debug)]
pub(crate) struct Object {
    /// Which.
    pub(crate) key: Key,
    /// Its resourceVersion.
    pub(crate) version: u64,
    /// What it says.
    pub(crate) content: Content,
    value: OnceLock<Value>,
    protobuf: OnceLock<Bytes>,
    json: OnceLock<String>,
}

impl Object {
    /// A version of an object.
    pub(crate) fn new(key: Key, version: u64, content: Content) -> Arc<Self> {
        let (value, protobuf, json) = Default::default();
        Arc::new(Self { key, version, content, value, protobuf, json })
    }

    fn value(&self) -> &Value {
        self.value.get_or_init(|| {
            let name = self.key.name();
            let mut meta = json!({"name": name, "resourceVersion": self.version.to_string()});
            if self.key.kind != Kind::Namespace {
                meta["namespace"] = format!("n{}", self.key.service.namespace).into();
            }
            let (group, kind) = protobuf::kind_of(self.key.kind.plural());
            let mut value = json!({"apiVersion": group, "kind": kind});
            match &self.content {
                Content::Plain => {}
                Content::Headless => value["spec"] = spec("None"),
                Content::ClusterIp(address) => value["spec"] = spec(&dotted(*address)),
                Content::Pod(address) => value["status"] = json!({"phase": "Running", "podIP": dotted(*address)}),
                Content::Slice(port, endpoints) => {
                    meta["labels"] = json!({"kubernetes.io/service-name": format!("s{}", self.key.service.number)});
                    value["addressType"] = "IPv4".into();
                    value["ports"] = json!([{"name": "http", "protocol": "TCP", "port": port}]);
                    let endpoints = endpoints.iter().map(|endpoint| {
                        json!({
                            "addresses": [dotted(endpoint.address)],
                            "hostname": format!("p{}", endpoint.host),
                            "conditions": {"ready": endpoint.ready},
                        })
                    });
                    value["endpoints"] = endpoints.collect();
                }
            }
            value["metadata"] = meta;
            value
        })
    }

    /// In protobuf, without an envelope.
    pub(crate) fn protobuf(&self) -> &Bytes {
        self.protobuf.get_or_init(|| protobuf::object(self.key.kind.plural(), self.value()).into())
    }

    /// In JSON.
    pub(crate) fn json(&self) -> &str {
        self.json.get_or_init(|| self.value().to_string())
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/n{}/{} {:?}", self.key.kind.plural(), self.key.service.namespace, self.key.name(), self.content)
    }
}

fn spec(address: &str) -> Value {
    let ports = json!([{"name": "http", "protocol": "TCP", "port": 80}]);
    json!({"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": ports})
}

/// An address in text.
pub(crate) fn dotted(address: u32) -> String {
    std::net::Ipv4Addr::from(address | 10 << 24).to_string()
}

//----------- Messages --------------------------------------------------------

/// How objects are spelled on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Encoding {
    /// The Content-Type of a list, or of a watch.
    pub(crate) fn content_type(self, watch: bool) -> &'static str {
        match (self, watch) {
            (Self::Protobuf, true) => "application/vnd.kubernetes.protobuf;stream=watch",
            (Self::Protobuf, false) => "application/vnd.kubernetes.protobuf",
            (Self::Json, _) => "application/json",
        }
    }

    /// A list.
    pub(crate) fn list(self, kind: Kind, version: u64, next: &str, items: &[Arc<Object>]) -> Bytes {
        match self {
            Self::Protobuf => {
                protobuf::list(kind.plural(), version, next, items.iter().map(|item| &item.protobuf()[..])).into()
            }
            Self::Json => {
                let (group, name) = protobuf::kind_of(kind.plural());
                let items: Vec<&str> = items.iter().map(|item| item.json()).collect();
                let meta = json!({"resourceVersion": version.to_string(), "continue": next});
                format!(
                    r#"{{"kind":"{name}List","apiVersion":"{group}","metadata":{meta},"items":[{}]}}"#,
                    items.join(",")
                )
                .into()
            }
        }
    }

    /// An event that brings an object.
    pub(crate) fn event(self, event: &str, object: &Object) -> Bytes {
        match self {
            Self::Protobuf => protobuf::frame(event, object.key.kind.plural(), object.protobuf()).into(),
            Self::Json => format!("{{\"type\":\"{event}\",\"object\":{}}}\n", object.json()).into(),
        }
    }

    /// An event that says how far the server has come.
    pub(crate) fn bookmark(self, kind: Kind, version: u64) -> Bytes {
        let (group, name) = protobuf::kind_of(kind.plural());
        let value = json!({"kind": name, "apiVersion": group, "metadata": {"resourceVersion": version.to_string()}});
        match self {
            Self::Protobuf => {
                protobuf::frame("BOOKMARK", kind.plural(), &protobuf::object(kind.plural(), &value)).into()
            }
            Self::Json => format!("{}\n", json!({"type": "BOOKMARK", "object": value})).into(),
        }
    }

    /// Why a request is refused: the body of a response.
    pub(crate) fn status(self, code: u16, reason: &str) -> Bytes {
        let status = status(code, reason);
        match self {
            Self::Protobuf => protobuf::status(&status).into(),
            Self::Json => status.to_string().into(),
        }
    }

    /// The same as an event of a watch.
    pub(crate) fn error(self, code: u16, reason: &str) -> Bytes {
        let status = status(code, reason);
        match self {
            Self::Protobuf => protobuf::frame("ERROR", "status", &protobuf::object("status", &status)).into(),
            Self::Json => format!("{}\n", json!({"type": "ERROR", "object": status})).into(),
        }
    }
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "by seed", "reason": reason, "code": code})
}

//! The messages of the watched kinds, field by field.

use super::fields::{Fields, MalformedMessage};
use crate::cluster::facts::endpoint_slice::{Builder, Conditions, RawEndpoint, TargetRef};
use crate::cluster::facts::namespace::{self, RawNamespace};
use crate::cluster::facts::pod::{self, PodIp, RawPod, RawPodStatus};
use crate::cluster::facts::port::RawPort;
use crate::cluster::facts::raw::{Annotations, RawMeta};
use crate::cluster::facts::service::{self, RawService, RawServiceSpec, Selector};
use crate::cluster::facts::{DecodedObject, Kind};

/// Decodes one object; a malformed one is bad, and named as far as its metadata can be read.
pub(super) fn object(kind: Kind, message: &[u8]) -> DecodedObject {
    let read = match kind {
        Kind::Service => service(message),
        Kind::EndpointSlice | Kind::ImportedSlice => slice(kind, message),
        Kind::Namespace => namespace(message),
        Kind::Pod => pod(message),
        // Custom resources have no such encoding.
        Kind::ServiceImport => Err(MalformedMessage::new("a ServiceImport in protobuf")),
    };
    read.unwrap_or_else(|error| DecodedObject::Bad(bare(message).bad(kind, format!("skipped: {error}"))))
}

/// The metadata of any object, as far as it can be read.
pub(super) fn bare(message: &[u8]) -> RawMeta<'_> {
    let mut meta = RawMeta::default();
    for (number, value) in Fields::new(message).flatten() {
        if let (1, Ok(bytes)) = (number, value.bytes()) {
            // What was read before a malformed field still names the object.
            let _ = read_meta(bytes, &mut meta);
        }
    }
    meta
}

/// The resourceVersion of any object; empty where it cannot be read.
pub(super) fn version(message: &[u8]) -> &str {
    let metadata = Fields::new(message).flatten().find(|(number, _)| *number == 1);
    let fields = metadata.and_then(|(_, value)| value.bytes().ok()).map(Fields::new);
    let version = fields.and_then(|fields| fields.flatten().find(|(number, _)| *number == 6));
    version.and_then(|(_, value)| value.text().ok()).unwrap_or_default()
}

fn read_meta<'a>(message: &'a [u8], meta: &mut RawMeta<'a>) -> Result<(), MalformedMessage> {
    for field in Fields::new(message) {
        match field? {
            (1, value) => meta.name = value.text()?.into(),
            (3, value) => meta.namespace = value.text()?.into(),
            (6, value) => meta.resource_version = value.text()?.into(),
            (9, _) => meta.deletion_timestamp = "set".into(),
            (11, value) => {
                let (key, value) = entry(value.bytes()?)?;
                let labels = &mut meta.labels;
                let place = match key {
                    "kubernetes.io/service-name" => &mut labels.get_or_insert_default().service,
                    "multicluster.kubernetes.io/service-name" => &mut labels.get_or_insert_default().import,
                    "multicluster.kubernetes.io/source-cluster" => &mut labels.get_or_insert_default().cluster,
                    _ => continue,
                };
                *place = value.into();
            }
            (12, value) => {
                if let ("endpoints.kubernetes.io/last-change-trigger-time", value) = entry(value.bytes()?)? {
                    meta.annotations.get_or_insert_with(Annotations::default).triggered = value.into();
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// An entry of a map of text to text.
fn entry(message: &[u8]) -> Result<(&str, &str), MalformedMessage> {
    let (mut key, mut text) = ("", "");
    for field in Fields::new(message) {
        match field? {
            (1, value) => key = value.text()?,
            (2, value) => text = value.text()?,
            _ => {}
        }
    }
    Ok((key, text))
}

fn service(message: &[u8]) -> Result<DecodedObject, MalformedMessage> {
    let mut raw = RawService::default();
    for field in Fields::new(message) {
        match field? {
            (1, value) => read_meta(value.bytes()?, &mut raw.metadata)?,
            (2, value) => read_spec(value.bytes()?, raw.spec.get_or_insert_default())?,
            (3, value) => read_balancer(value.bytes()?, raw.status.get_or_insert_default())?,
            _ => {}
        }
    }
    Ok(service::object(&raw))
}

fn read_spec<'a>(message: &'a [u8], spec: &mut RawServiceSpec<'a>) -> Result<(), MalformedMessage> {
    for field in Fields::new(message) {
        match field? {
            (1, value) => spec.ports.get_or_insert_default().push(port(value.bytes()?)?),
            (2, _) => spec.selector = Some(Selector(true)),
            (3, value) => spec.cluster_ip = value.text()?.into(),
            (4, value) => spec.kind = value.text()?.into(),
            (5, value) => spec.external_ips.get_or_insert_default().push(value.text()?.into()),
            (10, value) => spec.external_name = value.text()?.into(),
            (18, value) => spec.cluster_ips.get_or_insert_default().push(value.text()?.into()),
            _ => {}
        }
    }
    Ok(())
}

/// ServiceStatus, its LoadBalancerStatus and the list in that are field 1 each; LoadBalancerIngress has ip 1, hostname 2.
fn read_balancer<'a>(message: &'a [u8], status: &mut service::RawServiceStatus<'a>) -> Result<(), MalformedMessage> {
    let nested =
        |message: &'a [u8]| Fields::new(message).filter(|field| !matches!(field, Ok((number, _)) if *number != 1));
    for balancer in nested(message) {
        for ingress in nested(balancer?.1.bytes()?) {
            let mut way = service::RawIngress::default();
            for field in Fields::new(ingress?.1.bytes()?) {
                match field? {
                    (1, value) => way.ip = value.text()?.into(),
                    (2, value) => way.hostname = value.text()?.into(),
                    _ => {}
                }
            }
            status.load_balancer.get_or_insert_default().ingress.get_or_insert_default().push(way);
        }
    }
    Ok(())
}

/// ServicePort and EndpointPort have the same numbers for what is read.
fn port(message: &[u8]) -> Result<RawPort<'_>, MalformedMessage> {
    let mut port = RawPort::default();
    for field in Fields::new(message) {
        match field? {
            (1, value) => port.name = value.text()?.into(),
            (2, value) => port.protocol = value.text()?.into(),
            (3, value) => port.port = Some(value.int()?),
            _ => {}
        }
    }
    Ok(port)
}

/// Two passes: the address type comes after the endpoints, which are handed on one by one.
fn slice(kind: Kind, message: &[u8]) -> Result<DecodedObject, MalformedMessage> {
    let (mut meta, mut ports, mut address_type) = (RawMeta::default(), Vec::new(), "");
    for field in Fields::new(message) {
        match field? {
            (1, value) => read_meta(value.bytes()?, &mut meta)?,
            (3, value) => ports.push(port(value.bytes()?)?),
            (4, value) => address_type = value.text()?,
            _ => {}
        }
    }
    let mut slice = match Builder::new(kind, &meta, address_type, &ports) {
        Ok(slice) => slice,
        Err(object) => return Ok(*object),
    };
    for field in Fields::new(message) {
        if let (2, value) = field? {
            slice.push(&endpoint(value.bytes()?)?);
        }
    }
    Ok(slice.finish())
}

fn endpoint(message: &[u8]) -> Result<RawEndpoint<'_>, MalformedMessage> {
    let mut endpoint = RawEndpoint::default();
    for field in Fields::new(message) {
        match field? {
            (1, value) => endpoint.addresses.get_or_insert_default().push(value.text()?.into()),
            (2, value) => {
                let conditions = endpoint.conditions.get_or_insert_with(Conditions::default);
                for field in Fields::new(value.bytes()?) {
                    if let (1, value) = field? {
                        conditions.ready = Some(value.bool()?);
                    }
                }
            }
            (3, value) => endpoint.hostname = value.text()?.into(),
            (4, value) => {
                let target = endpoint.target_ref.get_or_insert_with(TargetRef::default);
                for field in Fields::new(value.bytes()?) {
                    match field? {
                        (1, value) => target.kind = value.text()?.into(),
                        (3, value) => target.name = value.text()?.into(),
                        _ => {}
                    }
                }
            }
            (7, value) => endpoint.zone = value.text()?.into(),
            _ => {}
        }
    }
    Ok(endpoint)
}

fn namespace(message: &[u8]) -> Result<DecodedObject, MalformedMessage> {
    let mut raw = RawNamespace::default();
    for field in Fields::new(message) {
        if let (1, value) = field? {
            read_meta(value.bytes()?, &mut raw.metadata)?;
        }
    }
    Ok(namespace::object(&raw))
}

fn pod(message: &[u8]) -> Result<DecodedObject, MalformedMessage> {
    let mut raw = RawPod::default();
    for field in Fields::new(message) {
        match field? {
            (1, value) => read_meta(value.bytes()?, &mut raw.metadata)?,
            (3, value) => {
                let status = raw.status.get_or_insert_with(RawPodStatus::default);
                for field in Fields::new(value.bytes()?) {
                    match field? {
                        (1, value) => status.phase = value.text()?.into(),
                        (6, value) => status.pod_ip = value.text()?.into(),
                        (12, value) => {
                            let mut own = PodIp::default();
                            for field in Fields::new(value.bytes()?) {
                                if let (1, value) = field? {
                                    own.ip = value.text()?.into();
                                }
                            }
                            status.pod_ips.get_or_insert_default().push(own);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(pod::object(&raw))
}

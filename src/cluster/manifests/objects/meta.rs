//! Metadata, and other fields that objects of several kinds have.

use std::collections::BTreeMap;

use crate::cluster::facts::ObjectKey;
use crate::cluster::manifests::error::{Error, FilePosition};
use crate::cluster::manifests::tree::ManifestField;
use crate::wire::Name;
use crate::zone::Protocol;

/// The metadata of an object, and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ObjectMeta {
    pub(crate) key: ObjectKey,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) deleting: bool,
    pub(crate) place: FilePosition,
}

/// Reads metadata; `default` is the namespace of an object that names none, `None` for one that is in no namespace.
pub(super) fn meta(object: &ManifestField<'_>, default: Option<&str>) -> Result<ObjectMeta, Error> {
    let meta = object.get("metadata")?;
    let name = meta.get("name")?;
    let text = name.required_text()?;
    let octet = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-' || octet == b'.';
    if text.len() > 253 || !text.bytes().all(octet) {
        return Err(name.error(format_args!("{text:?} is no name of an object: lower-case letters, digits, - and .")));
    }
    let namespace = match (meta.get("namespace")?.label()?, default) {
        (_, None) => String::new(),
        (Some(label), _) => label.to_string(),
        (None, Some(default)) => default.into(),
    };
    Ok(ObjectMeta {
        key: ObjectKey { namespace: namespace.into(), name: text.into() },
        labels: meta.get("labels")?.texts()?,
        deleting: meta.get("deletionTimestamp")?.is_present(),
        place: object.place(),
    })
}

pub(super) fn protocol(field: &ManifestField<'_>) -> Result<Protocol, Error> {
    match field.text()? {
        None | Some("TCP") => Ok(Protocol::Tcp),
        Some("UDP") => Ok(Protocol::Udp),
        Some("SCTP") => Ok(Protocol::Sctp),
        Some(other) => Err(field.error(format_args!("expected TCP, UDP or SCTP, found {other:?}"))),
    }
}

pub(super) fn host_name(field: &ManifestField<'_>) -> Result<Name, Error> {
    let text = field.required_text()?;
    text.parse().map_err(|error| field.error(format_args!("{text:?} is no DNS name: {error}")))
}

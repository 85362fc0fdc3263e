//! The lean shapes that both decoders fill: borrowed text, only the fields that some rule reads.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

use super::{BadObject, Kind, ObjectKey};
use crate::wire::Label;

//----------- RawText --------------------------------------------------------

/// Text of an object, borrowed where the encoding allows; absent, null and empty are the same, as in the API.
#[derive(Clone, Debug, Default)]
pub(super) struct RawText<'a>(Cow<'a, str>);

impl<'a> From<&'a str> for RawText<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl std::ops::Deref for RawText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = RawText<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(text.into())
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(RawText(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(RawText(Cow::Owned(text)))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(RawText::default())
            }
            fn visit_none<E>(self) -> Result<Self::Value, E> {
                Ok(RawText::default())
            }
        }
        deserializer.deserialize_any(Take)
    }
}

//----------- RawMeta ----------------------------------------------------------

/// The fields of `metadata` that are read.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawMeta<'a> {
    #[serde(borrow)]
    pub(super) name: RawText<'a>,
    pub(super) namespace: RawText<'a>,
    pub(super) resource_version: RawText<'a>,
    /// Only whether it is there counts.
    pub(super) deletion_timestamp: RawText<'a>,
    pub(super) labels: Option<RawLabels<'a>>,
    pub(super) annotations: Option<Annotations<'a>>,
}

/// The labels that are read.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawLabels<'a> {
    #[serde(borrow, rename = "kubernetes.io/service-name")]
    pub(super) service: RawText<'a>,
    #[serde(rename = "multicluster.kubernetes.io/service-name")]
    pub(super) import: RawText<'a>,
    #[serde(rename = "multicluster.kubernetes.io/source-cluster")]
    pub(super) cluster: RawText<'a>,
}

/// The annotation that is read.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Annotations<'a> {
    #[serde(borrow, rename = "endpoints.kubernetes.io/last-change-trigger-time")]
    pub(super) triggered: RawText<'a>,
}

impl RawMeta<'_> {
    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey::new(&self.namespace, &self.name)
    }

    pub(super) fn version(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }

    /// The object as bad, for this reason.
    pub(super) fn bad(&self, kind: Kind, why: impl Into<String>) -> BadObject {
        BadObject { kind, namespace: excerpt(&self.namespace), name: excerpt(&self.name), why: why.into() }
    }

    /// Namespace and name of an object that cannot be without them.
    pub(super) fn check(&self, kind: Kind) -> Result<(), BadObject> {
        if self.name.is_empty() || self.name.len() > 253 {
            return Err(self.bad(kind, "skipped: metadata.name is empty or longer than 253 octets"));
        }
        if dns_label(&self.namespace).is_none() {
            return Err(self.bad(kind, "skipped: metadata.namespace is no DNS label"));
        }
        Ok(())
    }
}

//----------- Flaws ----------------------------------------------------------

/// Parts that were left out of an object: the first reason and a count, so that the note stays short.
#[derive(Debug, Default)]
pub(super) struct Flaws {
    first: String,
    count: usize,
}

impl Flaws {
    pub(super) fn note(&mut self, what: &str, value: &str) {
        if self.count == 0 {
            self.first = format!("{what}: \"{}\"", excerpt(value));
        }
        self.count += 1;
    }

    pub(super) fn into_bad(self, kind: Kind, meta: &RawMeta<'_>) -> Option<BadObject> {
        match self.count {
            0 => None,
            1 => Some(meta.bad(kind, format!("kept without one part: {}", self.first))),
            more => Some(meta.bad(kind, format!("kept without {more} parts, the first: {}", self.first))),
        }
    }
}

/// Text as a label of a host name: letters, digits, `-` and `_`, at most 63 octets; folded to lower case.
///
/// A dot inside a label could only be asked for with an escape, so such text is no label here.
pub(super) fn dns_label(text: &str) -> Option<Label> {
    if !text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_') {
        return None;
    }
    Label::new(text.as_bytes()).ok()
}

/// At most 80 characters of foreign text, controls escaped, for a message.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

//! From a Pod to its facts.

use super::raw::{Flaws, Meta, Text};
use super::{Fact, Kind, Object, PodFact};

/// A Pod as both encodings have it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawPod<'a> {
    #[serde(borrow)]
    pub(super) metadata: Meta<'a>,
    pub(super) status: Option<RawStatus<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawStatus<'a> {
    #[serde(borrow)]
    pub(super) phase: Text<'a>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Text<'a>,
}

/// A pod that has finished has no name any more, though its object may stay for long.
pub(super) fn object(raw: &RawPod<'_>) -> Object {
    let meta = &raw.metadata;
    if let Err(bad) = meta.check(Kind::Pod) {
        return Object::Bad(bad);
    }
    let (phase, text) = raw.status.as_ref().map_or(("", ""), |status| (&*status.phase, &*status.pod_ip));
    if matches!(phase, "Succeeded" | "Failed" | "Unknown") {
        return Object::Drop(meta.key());
    }
    let mut flaws = Flaws::default();
    let address = text.parse().ok();
    if address.is_none() && !text.is_empty() {
        flaws.note("podIP is no address", text);
    }
    let fact = PodFact { key: meta.key(), address, terminating: !meta.deletion_timestamp.is_empty() };
    Object::Keep(Fact::Pod(fact), flaws.into_bad(Kind::Pod, meta))
}

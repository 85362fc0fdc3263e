//! From a Namespace to its facts.

use super::raw::{RawMeta, dns_label};
use super::{DecodedObject, Fact, Kind, NamespaceFact};

/// A Namespace as both encodings have it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawNamespace<'a> {
    #[serde(borrow)]
    pub(super) metadata: RawMeta<'a>,
}

/// A terminating namespace still exists: it goes when its object goes.
pub(super) fn object(raw: &RawNamespace<'_>) -> DecodedObject {
    let meta = &raw.metadata;
    match dns_label(&meta.name) {
        Some(_) => DecodedObject::Keep(Fact::Namespace(NamespaceFact { name: (*meta.name).into() }), None),
        None => DecodedObject::Bad(meta.bad(Kind::Namespace, "skipped: metadata.name is no DNS label")),
    }
}

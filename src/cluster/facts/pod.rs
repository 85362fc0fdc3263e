//! From a Pod to its facts.

use std::net::IpAddr;

use super::distinct::Distinct;
use super::raw::{Flaws, RawMeta, RawText};
use super::{DecodedObject, Fact, Kind, PodFact};

/// A Pod as both encodings have it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawPod<'a> {
    #[serde(borrow)]
    pub(super) metadata: RawMeta<'a>,
    pub(super) status: Option<RawPodStatus<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawPodStatus<'a> {
    #[serde(borrow)]
    pub(super) phase: RawText<'a>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: RawText<'a>,
    #[serde(rename = "podIPs")]
    pub(super) pod_ips: Option<Vec<PodIp<'a>>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct PodIp<'a> {
    #[serde(borrow)]
    pub(super) ip: RawText<'a>,
}

/// A pod that has finished has no name any more, though its object may stay for long.
pub(super) fn object(raw: &RawPod<'_>) -> DecodedObject {
    let meta = &raw.metadata;
    if let Err(bad) = meta.check(Kind::Pod) {
        return DecodedObject::Bad(bad);
    }
    let status = raw.status.as_ref();
    if matches!(status.map_or("", |status| &*status.phase), "Succeeded" | "Failed" | "Unknown") {
        return DecodedObject::Drop(meta.key());
    }
    let mut flaws = Flaws::default();
    // `podIPs` is what counts; `podIP` alone comes from old servers and hand-written objects.
    let listed = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
    let single = status.map(|status| &status.pod_ip).filter(|_| listed.is_empty());
    let mut addresses: Distinct<IpAddr> = Distinct::new();
    for text in listed.iter().map(|own| &own.ip).chain(single).filter(|text| !text.is_empty()) {
        match text.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => flaws.note("one of podIPs is no address", text),
        }
    }
    let fact =
        PodFact { key: meta.key(), addresses: addresses.into_vec(), terminating: !meta.deletion_timestamp.is_empty() };
    DecodedObject::Keep(Fact::Pod(fact), flaws.into_bad(Kind::Pod, meta))
}

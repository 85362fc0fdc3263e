//! From an EndpointSlice to its facts.

use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use super::port::{RawPort, ports};
use super::raw::{Flaws, RawMeta, RawText, dns_label};
use super::service::host_name;
use super::{DecodedObject, EndpointFact, Fact, Family, ImportedSliceFact, Kind, SliceFact, time};
use crate::wire::{Label, Name};
use crate::zone::AddressList;

/// More addresses than this on one endpoint are not read: the API allows 100 and uses one.
const MAX_ADDRESSES: usize = 100;

/// A slice as JSON has it; protobuf hands its endpoints over one by one.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawSlice<'a> {
    #[serde(borrow)]
    pub(super) metadata: RawMeta<'a>,
    pub(super) address_type: RawText<'a>,
    pub(super) ports: Option<Vec<RawPort<'a>>>,
    pub(super) endpoints: Option<Vec<RawEndpoint<'a>>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawEndpoint<'a> {
    #[serde(borrow)]
    pub(super) addresses: Option<SmallVec<[RawText<'a>; 1]>>,
    pub(super) conditions: Option<Conditions>,
    pub(super) hostname: RawText<'a>,
    pub(super) target_ref: Option<TargetRef<'a>>,
    pub(super) zone: RawText<'a>,
}

/// Only `ready` is read: `publishNotReadyAddresses` is already in it, and a terminating endpoint is not ready.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Conditions {
    pub(super) ready: Option<bool>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct TargetRef<'a> {
    #[serde(borrow)]
    pub(super) kind: RawText<'a>,
    pub(super) name: RawText<'a>,
}

/// A slice of a Service, or one of a ServiceImport: a slice may be both, and its kind says as what it was asked for.
pub(super) fn object(kind: Kind, raw: &RawSlice<'_>) -> DecodedObject {
    let mut slice = match Builder::new(kind, &raw.metadata, &raw.address_type, raw.ports.iter().flatten()) {
        Ok(slice) => slice,
        Err(object) => return *object,
    };
    for endpoint in raw.endpoints.iter().flatten() {
        slice.push(endpoint);
    }
    slice.finish()
}

/// Takes the endpoints of a slice one by one.
#[derive(Debug)]
pub(super) struct Builder<'m> {
    kind: Kind,
    meta: &'m RawMeta<'m>,
    fact: SliceFact,
    cluster: Option<Label>,
    flaws: Flaws,
}

impl<'m> Builder<'m> {
    /// Starts a slice, or says at once what becomes of it.
    pub(super) fn new<'r>(
        kind: Kind,
        meta: &'m RawMeta<'m>,
        address_type: &str,
        raw_ports: impl IntoIterator<Item = &'r RawPort<'r>>,
    ) -> Result<Self, Box<DecodedObject>> {
        meta.check(kind).map_err(|bad| Box::new(DecodedObject::Bad(bad)))?;
        let family = match address_type {
            "IPv4" => Family::V4,
            "IPv6" => Family::V6,
            "FQDN" => Family::Fqdn,
            _ => return Err(Box::new(DecodedObject::Bad(meta.bad(kind, "skipped: unknown addressType")))),
        };
        let is_import = kind == Kind::ImportedSlice;
        let (key, service, cluster) = match &meta.labels {
            Some(labels) if is_import => ("multicluster.kubernetes.io/service-name", &*labels.import, &*labels.cluster),
            Some(labels) => ("kubernetes.io/service-name", &*labels.service, ""),
            None => ("", "", ""),
        };
        if service.is_empty() {
            return Err(Box::new(DecodedObject::Drop(meta.key())));
        }
        let Some(service) = dns_label(service) else {
            let why = format!("skipped: the label {key} is no DNS label");
            return Err(Box::new(DecodedObject::Bad(meta.bad(kind, why))));
        };
        let mut flaws = Flaws::default();
        let id = dns_label(cluster);
        if id.is_none() && !cluster.is_empty() {
            flaws.note("the label multicluster.kubernetes.io/source-cluster is no DNS label", cluster);
        }
        let mut ports = ports(raw_ports, &mut flaws);
        ports.sort_unstable();
        let triggered = meta.annotations.as_ref().and_then(|annotations| time::milliseconds(&annotations.triggered));
        let fact = SliceFact {
            key: meta.key(),
            version: meta.version(),
            service: String::from_utf8_lossy(service.as_bytes()).into(),
            family,
            ports,
            endpoints: Vec::new(),
            aliases: Vec::new(),
            triggered,
        };
        Ok(Self { kind, meta, fact, cluster: id, flaws })
    }

    pub(super) fn push(&mut self, raw: &RawEndpoint<'_>) {
        let ready = raw.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
        let texts = raw.addresses.as_deref().unwrap_or_default();
        if self.fact.family == Family::Fqdn {
            for text in texts.iter().take(MAX_ADDRESSES) {
                match host_name(text) {
                    Some(name) if ready => {
                        let label = dns_label(&raw.hostname).or_else(|| dashed(&name));
                        self.fact.aliases.extend(label.map(|label| (label, name)));
                    }
                    Some(_) => {}
                    None => self.flaws.note("endpoint address is no host name", text),
                }
            }
            return;
        }
        if texts.len() > MAX_ADDRESSES {
            self.flaws.note("endpoint has more than 100 addresses", &texts.len().to_string());
        }
        let mut addresses = AddressList::new();
        for text in texts.iter().take(MAX_ADDRESSES) {
            match text.parse::<IpAddr>() {
                Ok(address) if address.is_ipv4() != (self.fact.family == Family::V4) => {
                    self.flaws.note("endpoint address is not of the slice's addressType", text);
                }
                Ok(address) if addresses.contains(&address) => {}
                Ok(address) => addresses.push(address),
                Err(_) => self.flaws.note("endpoint address is no address", text),
            }
        }
        if addresses.is_empty() {
            return;
        }
        let hostname = match &*raw.hostname {
            "" => None,
            text => {
                let label = dns_label(text);
                if label.is_none() {
                    self.flaws.note("hostname is no DNS label", text);
                }
                label
            }
        };
        // A pod's name with a dot is no label and no mistake: the endpoint is then named after its address.
        let pod = raw
            .target_ref
            .as_ref()
            .filter(|target| matches!(&*target.kind, "Pod" | ""))
            .and_then(|target| dns_label(&target.name));
        let zone = self.zone(&raw.zone);
        self.fact.endpoints.push(EndpointFact { addresses, hostname, pod, ready, zone });
    }

    /// The zone's name, shared with the endpoint before, which mostly lies in the same or one of few.
    fn zone(&self, text: &str) -> Option<Arc<str>> {
        if text.is_empty() || text.len() > 253 {
            return None;
        }
        let known = self.fact.endpoints.iter().rev().take(8).filter_map(|endpoint| endpoint.zone.as_ref());
        Some(known.into_iter().find(|zone| ***zone == *text).map_or_else(|| text.into(), Arc::clone))
    }

    pub(super) fn finish(mut self) -> DecodedObject {
        sort_aliases(&mut self.fact.aliases);
        let flaw = self.flaws.into_bad(self.kind, self.meta);
        let fact = match self.kind {
            Kind::ImportedSlice => Fact::ImportedSlice(ImportedSliceFact { slice: self.fact, cluster: self.cluster }),
            _ => Fact::Slice(self.fact),
        };
        DecodedObject::Keep(fact, flaw)
    }
}

/// The label of an endpoint that is a name and has no hostname: the name with dashes, where that is short enough.
pub(in crate::cluster) fn dashed(name: &Name) -> Option<Label> {
    let text = name.to_string();
    Label::new(text.trim_end_matches('.').replace('.', "-").as_bytes()).ok()
}

/// By name and then label, each pair once.
pub(in crate::cluster) fn sort_aliases(aliases: &mut Vec<(Label, Name)>) {
    aliases.sort_unstable_by(|one, other| (one.1.as_wire(), &one.0).cmp(&(other.1.as_wire(), &other.0)));
    aliases.dedup();
}

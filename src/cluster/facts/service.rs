//! From a Service to its facts.

use std::net::IpAddr;

use super::distinct::Distinct;
use super::port::{RawPort, ports};
use super::raw::{Flaws, RawMeta, RawText, dns_label};
use super::{DecodedObject, ExternalFact, Fact, Kind, ServiceFact, ServiceSpec};
use crate::wire::Name;
use crate::zone::ExternalHost;

/// A Service as both encodings have it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawService<'a> {
    #[serde(borrow)]
    pub(super) metadata: RawMeta<'a>,
    pub(super) spec: Option<RawServiceSpec<'a>>,
    pub(super) status: Option<RawServiceStatus<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawServiceStatus<'a> {
    #[serde(borrow)]
    pub(super) load_balancer: Option<RawLoadBalancer<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawLoadBalancer<'a> {
    #[serde(borrow)]
    pub(super) ingress: Option<Vec<RawIngress<'a>>>,
}

/// One way in; the address counts before the name.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawIngress<'a> {
    #[serde(borrow)]
    pub(super) ip: RawText<'a>,
    pub(super) hostname: RawText<'a>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawServiceSpec<'a> {
    #[serde(borrow)]
    pub(super) ports: Option<Vec<RawPort<'a>>>,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: RawText<'a>,
    #[serde(rename = "clusterIPs")]
    pub(super) cluster_ips: Option<Vec<RawText<'a>>>,
    #[serde(rename = "type")]
    pub(super) kind: RawText<'a>,
    pub(super) external_name: RawText<'a>,
    #[serde(rename = "externalIPs")]
    pub(super) external_ips: Option<Vec<RawText<'a>>>,
    pub(super) selector: Option<Selector>,
}

/// Whether a selector names anything.
#[derive(Debug, Default)]
pub(super) struct Selector(pub(super) bool);

impl<'de> serde::Deserialize<'de> for Selector {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;
        impl<'de> serde::de::Visitor<'de> for Count {
            type Value = Selector;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of labels")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Selector, A::Error> {
                let mut any = false;
                while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {
                    any = true;
                }
                Ok(Selector(any))
            }
        }
        deserializer.deserialize_map(Count)
    }
}

pub(super) fn object(raw: &RawService<'_>) -> DecodedObject {
    let meta = &raw.metadata;
    if let Err(bad) = meta.check(Kind::Service) {
        return DecodedObject::Bad(bad);
    }
    if dns_label(&meta.name).is_none() {
        return DecodedObject::Bad(meta.bad(Kind::Service, "skipped: metadata.name is no DNS label"));
    }
    let Some(spec) = &raw.spec else {
        return DecodedObject::Bad(meta.bad(Kind::Service, "skipped: it has no spec"));
    };
    let mut flaws = Flaws::default();
    let fact = ServiceFact {
        key: meta.key(),
        version: meta.version(),
        selector: spec.selector.as_ref().is_some_and(|selector| selector.0),
        spec: service_spec(spec, &mut flaws),
        external: external(spec, raw.status.as_ref(), &mut flaws),
    };
    DecodedObject::Keep(Fact::Service(fact), flaws.into_bad(Kind::Service, meta))
}

fn external(
    spec: &RawServiceSpec<'_>,
    status: Option<&RawServiceStatus<'_>>,
    flaws: &mut Flaws,
) -> Option<Box<ExternalFact>> {
    let mut hosts = Distinct::new();
    let balancer = status.and_then(|status| status.load_balancer.as_ref()).and_then(|it| it.ingress.as_ref());
    let ingress = balancer.into_iter().flatten().map(|way| if way.ip.is_empty() { &way.hostname } else { &way.ip });
    for text in spec.external_ips.iter().flatten().chain(ingress).filter(|text| !text.is_empty()) {
        let host = text.parse().map(ExternalHost::Address).ok();
        match host.or_else(|| host_name(text).map(ExternalHost::Name)) {
            Some(host) => hosts.push(host),
            None => flaws.note("an external address is neither an address nor a host name", text),
        }
    }
    let hosts = hosts.into_vec();
    if hosts.is_empty() {
        return None;
    }
    // What is wrong with the ports has been noted with those of the Service itself.
    let ports = ports(spec.ports.iter().flatten(), &mut Flaws::default());
    Some(Box::new(ExternalFact { hosts, ports }))
}

fn service_spec(spec: &RawServiceSpec<'_>, flaws: &mut Flaws) -> ServiceSpec {
    if *spec.kind == *"ExternalName" {
        let name = host_name(&spec.external_name);
        if name.is_none() {
            flaws.note("externalName is no host name", &spec.external_name);
        }
        return ServiceSpec::ExternalName(name);
    }
    let mut ports = ports(spec.ports.iter().flatten(), flaws);
    ports.retain(|port| port.number != 0);
    // `clusterIPs` is what counts; `clusterIP` alone comes from hand-written manifests.
    let listed: Vec<&str> = match spec.cluster_ips.as_deref() {
        Some(listed) if !listed.is_empty() => listed.iter().map(|text| &**text).collect(),
        _ => vec![&spec.cluster_ip],
    };
    if listed.first() == Some(&"None") {
        return ServiceSpec::Headless { ports };
    }
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(2);
    for text in listed.into_iter().filter(|text| !text.is_empty()) {
        match text.parse() {
            Ok(address) if addresses.contains(&address) => {}
            Ok(address) if addresses.len() < 2 => addresses.push(address),
            Ok(_) => flaws.note("a Service has at most two addresses", text),
            Err(_) => flaws.note("clusterIP is no address", text),
        }
    }
    ServiceSpec::ClusterIp { addresses, ports }
}

/// Text as a host name: an IP address is none, nor is what holds other than letters, digits, `-`, `_` and dots.
pub(super) fn host_name(text: &str) -> Option<Name> {
    if text.parse::<IpAddr>().is_ok() {
        return None;
    }
    let bare = text.strip_suffix('.').unwrap_or(text);
    if bare.split('.').any(|label| dns_label(label).is_none()) {
        return None;
    }
    bare.parse().ok()
}

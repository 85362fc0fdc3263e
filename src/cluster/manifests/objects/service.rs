//! Services, as manifests write them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::annotations::refuse_annotations;
use super::meta::{ObjectMeta, host_name, meta, protocol};
use crate::cluster::facts::{ExternalFact, ServiceFact, ServiceSpec};
use crate::cluster::manifests::error::{Error, FilePosition, Remark};
use crate::cluster::manifests::tree::ManifestField;
use crate::zone::{ExternalHost, Port};

/// A Service: its facts, and what the stand-ins for controllers go by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServiceObject {
    pub(crate) meta: ObjectMeta,
    /// A ClusterIP has no addresses as long as one is to be given out.
    pub(crate) fact: ServiceFact,
    pub(crate) ports: Vec<ServicePort>,
    pub(crate) selector: BTreeMap<String, String>,
    /// The families of its addresses, where said: IPv6 is `true`.
    pub(crate) families: Vec<bool>,
    pub(crate) publish_not_ready: bool,
}

impl ServiceObject {
    /// Whether its name stands for its endpoints.
    pub(crate) fn is_headless(&self) -> bool {
        matches!(self.fact.spec, ServiceSpec::Headless { .. })
    }

    /// Its virtual addresses, where it is to have some; none yet when they are to be given out.
    pub(crate) fn addresses(&self) -> Option<&[IpAddr]> {
        match &self.fact.spec {
            ServiceSpec::ClusterIp { addresses, .. } => Some(addresses),
            ServiceSpec::Headless { .. } | ServiceSpec::ExternalName(_) => None,
        }
    }
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServicePort {
    pub(crate) port: Port,
    pub(crate) target: TargetPort,
    /// The place of the target, or of the port that has none.
    pub(crate) place: FilePosition,
}

/// `targetPort`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TargetPort {
    Number(u16),
    Name(String),
}

pub(super) fn service(
    object: &ManifestField<'_>,
    namespace: &str,
    remarks: &mut Vec<Remark>,
) -> Result<ServiceObject, Error> {
    let meta = meta(object, Some(namespace))?;
    refuse_annotations(object, remarks)?;
    object.get("metadata")?.get("name")?.label()?;
    let spec = object.get("spec")?;
    let (single, several) = (spec.get("clusterIP")?, spec.get("clusterIPs")?);
    let mut addresses: Vec<ManifestField<'_>> = several.items()?;
    if single.text()?.is_some_and(|text| !text.is_empty()) {
        match addresses.first() {
            None => addresses.push(single),
            Some(first) if first.text()? == single.text()? => {}
            Some(_) => return Err(several.error("its first item is not clusterIP")),
        }
    }
    let mut kind = service_spec(&spec, &addresses)?;
    let ports = service_ports(&spec)?;
    if ports.is_empty() && matches!(kind, ServiceSpec::ClusterIp { .. }) {
        return Err(spec.get("ports")?.error("missing; a Service with a ClusterIP needs at least one port"));
    }
    let plain: Vec<Port> = ports.iter().map(|own| own.port.clone()).collect();
    if let ServiceSpec::ClusterIp { ports, .. } | ServiceSpec::Headless { ports } = &mut kind {
        ports.clone_from(&plain);
    }
    let mut families: Vec<bool> = spec.get("ipFamilies")?.items()?.iter().map(family).collect::<Result<_, _>>()?;
    if spec.get("ipFamilyPolicy")?.text()? == Some("RequireDualStack") && families.len() < 2 {
        families = vec![families == [true], families != [true]];
    }
    let publish_not_ready = spec.get("publishNotReadyAddresses")?.boolean()?.unwrap_or(false);
    let selector = spec.get("selector")?.texts()?;
    let hosts = external(object, &spec)?;
    let external = (!hosts.is_empty()).then(|| Box::new(ExternalFact { hosts, ports: plain }));
    let fact = ServiceFact { key: meta.key.clone(), version: 0, selector: !selector.is_empty(), spec: kind, external };
    Ok(ServiceObject { meta, fact, ports, selector, families, publish_not_ready })
}

/// The meaning of the name of a Service, its ports apart.
fn service_spec(spec: &ManifestField<'_>, addresses: &[ManifestField<'_>]) -> Result<ServiceSpec, Error> {
    let typename = spec.get("type")?;
    match typename.text()?.unwrap_or("ClusterIP") {
        "ExternalName" => {
            let target = spec.get("externalName")?;
            match target.required_text()?.trim_end_matches('.').parse::<IpAddr>() {
                Ok(_) => Ok(ServiceSpec::ExternalName(None)),
                Err(_) => Ok(ServiceSpec::ExternalName(Some(host_name(&target)?))),
            }
        }
        "ClusterIP" | "NodePort" | "LoadBalancer" => match addresses {
            [only] if only.text()? == Some("None") => Ok(ServiceSpec::Headless { ports: Vec::new() }),
            fields => {
                let addresses = fields.iter().filter_map(|field| field.address().transpose());
                Ok(ServiceSpec::ClusterIp { addresses: addresses.collect::<Result<_, _>>()?, ports: Vec::new() })
            }
        },
        other => {
            Err(typename
                .error(format_args!("expected ClusterIP, NodePort, LoadBalancer or ExternalName, found {other:?}")))
        }
    }
}

/// By which addresses and names a Service is reached from outside.
fn external(object: &ManifestField<'_>, spec: &ManifestField<'_>) -> Result<Vec<ExternalHost>, Error> {
    let mut hosts = Vec::new();
    for field in spec.get("externalIPs")?.items()? {
        hosts.extend(field.address()?.map(ExternalHost::Address));
    }
    for way in object.get("status")?.get("loadBalancer")?.get("ingress")?.items()? {
        let name = way.get("hostname")?;
        hosts.extend(match way.get("ip")?.address()? {
            Some(address) => Some(ExternalHost::Address(address)),
            None if name.text()?.is_some() => Some(ExternalHost::Name(host_name(&name)?)),
            None => None,
        });
    }
    Ok(hosts)
}

fn family(field: &ManifestField<'_>) -> Result<bool, Error> {
    match field.required_text()? {
        "IPv4" => Ok(false),
        "IPv6" => Ok(true),
        other => Err(field.error(format_args!("expected IPv4 or IPv6, found {other:?}"))),
    }
}

fn service_ports(spec: &ManifestField<'_>) -> Result<Vec<ServicePort>, Error> {
    let fields = spec.get("ports")?.items()?;
    let mut ports: Vec<ServicePort> = Vec::new();
    for field in &fields {
        let number = field.get("port")?;
        let number = number.port()?.ok_or_else(|| number.error("missing; expected a port number"))?;
        let (name, target) = (field.get("name")?, field.get("targetPort")?);
        if fields.len() > 1 && !name.is_present() {
            return Err(name.error("missing; each of several ports needs a name"));
        }
        let port = Port { name: name.label()?, protocol: protocol(&field.get("protocol")?)?, number };
        if ports.iter().any(|other| other.port.name == port.name) {
            return Err(name.error("another port of this Service has this name"));
        }
        let place = target.place();
        // The API server fills in `port` where there is no `targetPort`, for headless Services too.
        let target = match target.is_number() {
            true => TargetPort::Number(target.port()?.unwrap_or(number)),
            false => match target.text()? {
                Some(name) if !name.is_empty() => TargetPort::Name(name.into()),
                _ => TargetPort::Number(number),
            },
        };
        ports.push(ServicePort { port, target, place });
    }
    Ok(ports)
}

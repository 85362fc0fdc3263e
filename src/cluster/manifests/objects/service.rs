//! Services, as manifests write them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::annotations::refuse_annotations;
use super::meta::{Meta, host_name, meta, protocol};
use crate::cluster::manifests::error::{Error, Place, Remark};
use crate::cluster::manifests::tree::Field;
use crate::wire::Name;
use crate::zone::{ExternalHost, Port};

/// A Service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServiceObject {
    pub(crate) meta: Meta,
    pub(crate) kind: ServiceType,
    pub(crate) ports: Vec<ServicePort>,
    pub(crate) selector: BTreeMap<String, String>,
    /// The families of its addresses, where said: IPv6 is `true`.
    pub(crate) families: Vec<bool>,
    pub(crate) publish_not_ready: bool,
    /// `spec.externalIPs` and `status.loadBalancer.ingress`.
    pub(crate) external: Vec<ExternalHost>,
}

/// What the name of a Service stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServiceType {
    /// Virtual addresses; none when one is to be given out.
    ClusterIp(Vec<IpAddr>),
    Headless,
    /// `None` for what is no name: an IP address.
    ExternalName(Option<Name>),
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServicePort {
    pub(crate) port: Port,
    pub(crate) target: Target,
    /// Where the target stands, or the port that has none.
    pub(crate) place: Place,
}

/// `targetPort`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    Number(u16),
    Name(String),
}

pub(super) fn service(object: &Field<'_>, namespace: &str, remarks: &mut Vec<Remark>) -> Result<ServiceObject, Error> {
    let meta = meta(object, Some(namespace))?;
    refuse_annotations(object, remarks)?;
    object.get("metadata")?.get("name")?.label()?;
    let spec = object.get("spec")?;
    let (single, several) = (spec.get("clusterIP")?, spec.get("clusterIPs")?);
    let mut addresses: Vec<Field<'_>> = several.items()?;
    if single.text()?.is_some_and(|text| !text.is_empty()) {
        match addresses.first() {
            None => addresses.push(single),
            Some(first) if first.text()? == single.text()? => {}
            Some(_) => return Err(several.error("its first item is not clusterIP")),
        }
    }
    let typename = spec.get("type")?;
    let kind = match typename.text()?.unwrap_or("ClusterIP") {
        "ExternalName" => {
            let target = spec.get("externalName")?;
            match target.required_text()?.trim_end_matches('.').parse::<IpAddr>() {
                Ok(_) => ServiceType::ExternalName(None),
                Err(_) => ServiceType::ExternalName(Some(host_name(&target)?)),
            }
        }
        "ClusterIP" | "NodePort" | "LoadBalancer" => match addresses.as_slice() {
            [only] if only.text()? == Some("None") => ServiceType::Headless,
            fields => {
                let addresses = fields.iter().filter_map(|field| field.address().transpose());
                ServiceType::ClusterIp(addresses.collect::<Result<_, _>>()?)
            }
        },
        other => {
            return Err(typename
                .error(format_args!("expected ClusterIP, NodePort, LoadBalancer or ExternalName, found {other:?}")));
        }
    };
    let ports = service_ports(&spec)?;
    if ports.is_empty() && matches!(kind, ServiceType::ClusterIp(_)) {
        return Err(spec.get("ports")?.error("missing; a Service with a ClusterIP needs at least one port"));
    }
    let mut families: Vec<bool> = spec.get("ipFamilies")?.items()?.iter().map(family).collect::<Result<_, _>>()?;
    if spec.get("ipFamilyPolicy")?.text()? == Some("RequireDualStack") && families.len() < 2 {
        families = vec![families == [true], families != [true]];
    }
    let publish_not_ready = spec.get("publishNotReadyAddresses")?.boolean()?.unwrap_or(false);
    let selector = spec.get("selector")?.texts()?;
    let external = external(object, &spec)?;
    Ok(ServiceObject { meta, kind, ports, selector, families, publish_not_ready, external })
}

/// By which addresses and names a Service is reached from outside.
fn external(object: &Field<'_>, spec: &Field<'_>) -> Result<Vec<ExternalHost>, Error> {
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

fn family(field: &Field<'_>) -> Result<bool, Error> {
    match field.required_text()? {
        "IPv4" => Ok(false),
        "IPv6" => Ok(true),
        other => Err(field.error(format_args!("expected IPv4 or IPv6, found {other:?}"))),
    }
}

fn service_ports(spec: &Field<'_>) -> Result<Vec<ServicePort>, Error> {
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
            true => Target::Number(target.port()?.unwrap_or(number)),
            false => match target.text()? {
                Some(name) if !name.is_empty() => Target::Name(name.into()),
                _ => Target::Number(number),
            },
        };
        ports.push(ServicePort { port, target, place });
    }
    Ok(ports)
}

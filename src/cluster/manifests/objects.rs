//! The objects that manifests hold, checked as the API server would: what is wrong is said with its place.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::error::{Error, Place, Remark};
use super::kinds;
use super::tree::Field;
use crate::cluster::facts::{EndpointFact, Family, ObjectKey, dashed, sort_aliases};
use crate::wire::{Label, Name};
use crate::zone::{AddressList, ExternalHost, Port, Protocol};

/// The annotation on a StatefulSet or Deployment that names its pods that are not ready, separated by commas.
pub const NOT_READY: &str = "rollcall.dev/not-ready";

/// The annotation on a Pod or a pod template: `"false"` when it is not ready.
pub const READY: &str = "rollcall.dev/ready";

/// What all manifests together hold, in the order in which they were read.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) namespaces: Vec<Meta>,
    pub(super) services: Vec<ServiceObject>,
    pub(super) slices: Vec<SliceObject>,
    pub(super) pods: Vec<PodObject>,
    pub(super) workloads: Vec<Workload>,
}

/// What every object has.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    pub(super) key: ObjectKey,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) deleting: bool,
    pub(super) place: Place,
}

/// A Service.
#[derive(Debug)]
pub(super) struct ServiceObject {
    pub(super) meta: Meta,
    pub(super) kind: ServiceType,
    pub(super) ports: Vec<ServicePort>,
    pub(super) selector: BTreeMap<String, String>,
    /// The families of its addresses, where said: IPv6 is `true`.
    pub(super) families: Vec<bool>,
    pub(super) publish_not_ready: bool,
    /// `spec.externalIPs` and `status.loadBalancer.ingress`.
    pub(super) external: Vec<ExternalHost>,
}

/// What the name of a Service stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServiceType {
    /// Virtual addresses; none when one is to be given out.
    ClusterIp(Vec<IpAddr>),
    Headless,
    /// `None` for what is no name: an IP address.
    ExternalName(Option<Name>),
}

/// A port of a Service.
#[derive(Debug)]
pub(super) struct ServicePort {
    pub(super) port: Port,
    pub(super) target: Target,
}

/// `targetPort`.
#[derive(Debug)]
pub(super) enum Target {
    Number(u16),
    Name(String),
}

/// An EndpointSlice, or a part of an Endpoints object.
#[derive(Debug)]
pub(super) struct SliceObject {
    pub(super) meta: Meta,
    pub(super) service: Box<str>,
    pub(super) family: Family,
    pub(super) ports: Vec<Port>,
    pub(super) endpoints: Vec<EndpointFact>,
    /// The names of ready endpoints, where `addressType` is `FQDN`.
    pub(super) aliases: Vec<(Label, Name)>,
    /// Mirrored from Endpoints.
    pub(super) mirrored: bool,
}

/// A Pod, written down or standing in.
#[derive(Clone, Debug)]
pub(super) struct PodObject {
    pub(super) meta: Meta,
    pub(super) spec: PodSpec,
    /// `status.podIPs`; an address is given out when there is none.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ready: bool,
    /// It has run to its end: `Succeeded` or `Failed`.
    pub(super) finished: bool,
}

/// What is kept of `spec`, of a Pod or a template.
#[derive(Clone, Debug, Default)]
pub(super) struct PodSpec {
    pub(super) hostname: Option<String>,
    pub(super) subdomain: Option<String>,
    pub(super) ports: Vec<(Option<String>, Protocol, u16)>,
}

/// A StatefulSet or a Deployment.
#[derive(Debug)]
pub(super) struct Workload {
    pub(super) meta: Meta,
    pub(super) kind: WorkloadKind,
    pub(super) replicas: u32,
    pub(super) selector: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) spec: PodSpec,
    /// The template says that its pods are ready.
    pub(super) ready: bool,
    /// The pods that [`NOT_READY`] names.
    pub(super) not_ready: Vec<String>,
}

/// What is only in the one or the other.
#[derive(Debug)]
pub(super) enum WorkloadKind {
    StatefulSet {
        /// `spec.ordinals.start`.
        start: u32,
        /// `spec.serviceName`, and where it stands.
        service: Option<(String, Place)>,
    },
    Deployment {
        /// A hash of the template's content.
        template: u32,
    },
}

impl Objects {
    /// Takes one document: an object, or a `List` of them.
    pub(super) fn take(&mut self, object: &Field<'_>, remarks: &mut Vec<Remark>) -> Result<(), Error> {
        if !object.has_field("kind") {
            return Err(object.error(
                "has no `kind`, so it is no manifest: render it first (helm template, kubectl kustomize), or name the \
                 manifest files one by one",
            ));
        }
        let kind = object.get("kind")?.required_text()?;
        let version = object.get("apiVersion")?.required_text()?;
        let group = version.split_once('/').map_or("", |(group, _)| group);
        match (group, kind) {
            ("", "List") => {
                for item in object.get("items")?.items()? {
                    self.take(&item, remarks)?;
                }
            }
            ("", "Namespace") => self.namespaces.push(meta(object, false)?),
            ("", "Service") => self.services.push(service(object)?),
            ("", "Endpoints") => self.slices.extend(endpoints(object)?),
            ("discovery.k8s.io", "EndpointSlice") => self.slices.extend(slice(object, remarks)?),
            ("", "Pod") => self.pods.push(pod(object)?),
            ("apps", "StatefulSet" | "Deployment") => self.workloads.push(workload(object, kind, remarks)?),
            _ => remarks.push(kinds::left_out(&object.place(), version, group, kind)),
        }
        Ok(())
    }
}

fn meta(object: &Field<'_>, namespaced: bool) -> Result<Meta, Error> {
    let meta = object.get("metadata")?;
    let name = meta.get("name")?;
    let text = name.required_text()?;
    let octet = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-' || octet == b'.';
    if text.len() > 253 || !text.bytes().all(octet) {
        return Err(name.error(format_args!("{text:?} is no name of an object: lower-case letters, digits, - and .")));
    }
    let namespace = match meta.get("namespace")?.label()? {
        Some(label) if namespaced => label.to_string(),
        None if namespaced => "default".into(),
        _ => String::new(),
    };
    Ok(Meta {
        key: ObjectKey { namespace: namespace.into(), name: text.into() },
        labels: meta.get("labels")?.texts()?,
        deleting: meta.get("deletionTimestamp")?.is_present(),
        place: object.place(),
    })
}

fn protocol(field: &Field<'_>) -> Result<Protocol, Error> {
    match field.text()? {
        None | Some("TCP") => Ok(Protocol::Tcp),
        Some("UDP") => Ok(Protocol::Udp),
        Some("SCTP") => Ok(Protocol::Sctp),
        Some(other) => Err(field.error(format_args!("expected TCP, UDP or SCTP, found {other:?}"))),
    }
}

//----------- Service --------------------------------------------------------

fn service(object: &Field<'_>) -> Result<ServiceObject, Error> {
    let meta = meta(object, true)?;
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
    let families = spec.get("ipFamilies")?.items()?.iter().map(family).collect::<Result<_, _>>()?;
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
        // The API server fills in `port` where there is no `targetPort`, for headless Services too.
        let target = match target.is_number() {
            true => Target::Number(target.port()?.unwrap_or(number)),
            false => match target.text()? {
                Some(name) if !name.is_empty() => Target::Name(name.into()),
                _ => Target::Number(number),
            },
        };
        ports.push(ServicePort { port, target });
    }
    Ok(ports)
}

//----------- EndpointSlice, Endpoints ---------------------------------------

fn slice(object: &Field<'_>, remarks: &mut Vec<Remark>) -> Result<Option<SliceObject>, Error> {
    let meta = meta(object, true)?;
    let Some(service) = meta.labels.get("kubernetes.io/service-name").map(|name| name.as_str().into()) else {
        let message = format!("EndpointSlice {} is left out: no label kubernetes.io/service-name", meta.key.name);
        remarks.push(Remark::left_out(&meta.place, message));
        return Ok(None);
    };
    let kind = object.get("addressType")?;
    let family = match kind.required_text()? {
        "IPv4" => Family::V4,
        "IPv6" => Family::V6,
        "FQDN" => Family::Fqdn,
        other => return Err(kind.error(format_args!("expected IPv4, IPv6 or FQDN, found {other:?}"))),
    };
    let (mut endpoints, mut aliases) = (Vec::new(), Vec::new());
    for endpoint in object.get("endpoints")?.items()? {
        // Unknown counts as ready, as the API has it.
        let ready = endpoint.get("conditions")?.get("ready")?.boolean()?.unwrap_or(true);
        let listed = endpoint.get("addresses")?.items()?;
        if family == Family::Fqdn {
            for field in listed.iter().filter(|_| ready) {
                let name = host_name(field)?;
                let label = endpoint.get("hostname")?.label()?.or_else(|| dashed(&name));
                aliases.extend(label.map(|label| (label, name)));
            }
            continue;
        }
        let mut addresses = AddressList::new();
        for field in listed {
            let Some(address) = field.address()? else { continue };
            if address.is_ipv6() != (family == Family::V6) {
                return Err(field.error(format_args!("{address} is of another family than addressType")));
            }
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let (hostname, pod) = (endpoint.get("hostname")?.label()?, target_pod(&endpoint)?);
        let zone = endpoint.get("zone")?.text()?.map(Into::into);
        endpoints.push(EndpointFact { addresses, hostname, pod, ready, zone });
    }
    sort_aliases(&mut aliases);
    Ok(Some(SliceObject { meta, service, family, ports: plain_ports(object)?, endpoints, aliases, mirrored: false }))
}

fn host_name(field: &Field<'_>) -> Result<Name, Error> {
    let text = field.required_text()?;
    text.parse().map_err(|error| field.error(format_args!("{text:?} is no DNS name: {error}")))
}

fn target_pod(endpoint: &Field<'_>) -> Result<Option<Label>, Error> {
    let target = endpoint.get("targetRef")?;
    let is_pod = target.get("kind")?.text()? == Some("Pod");
    let name = target.get("name")?.text()?.filter(|_| is_pod);
    Ok(name.and_then(|name| Label::new(name.as_bytes()).ok()))
}

fn plain_ports(object: &Field<'_>) -> Result<Vec<Port>, Error> {
    let mut ports = Vec::new();
    for field in object.get("ports")?.items()? {
        // A port without a number stands for all ports.
        let number = field.get("port")?.port()?.unwrap_or(0);
        ports.push(Port { name: field.get("name")?.label()?, protocol: protocol(&field.get("protocol")?)?, number });
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// One slice for each subset and family, as the mirroring controller makes them.
fn endpoints(object: &Field<'_>) -> Result<Vec<SliceObject>, Error> {
    let meta = meta(object, true)?;
    let mut slices = Vec::new();
    for subset in object.get("subsets")?.items()? {
        let mut families = [(Family::V4, Vec::new()), (Family::V6, Vec::new())];
        for (list, ready) in [("addresses", true), ("notReadyAddresses", false)] {
            for item in subset.get(list)?.items()? {
                let field = item.get("ip")?;
                let address = field.address()?.ok_or_else(|| field.error("missing; expected an IP address"))?;
                let (hostname, pod) = (item.get("hostname")?.label()?, target_pod(&item)?);
                let [(_, v4), (_, v6)] = &mut families;
                let list = if address.is_ipv6() { v6 } else { v4 };
                list.push(EndpointFact { addresses: [address].into(), hostname, pod, ready, zone: None });
            }
        }
        let ports = plain_ports(&subset)?;
        for (family, endpoints) in families.into_iter().filter(|(_, endpoints)| !endpoints.is_empty()) {
            let (mut meta, service) = (meta.clone(), meta.key.name.clone());
            meta.key.name = format!("{service}-mirrored-{}", slices.len()).into();
            let (ports, aliases) = (ports.clone(), Vec::new());
            slices.push(SliceObject { meta, service, family, ports, endpoints, aliases, mirrored: true });
        }
    }
    Ok(slices)
}

//----------- Pod and workloads ----------------------------------------------

fn pod(object: &Field<'_>) -> Result<PodObject, Error> {
    let meta = meta(object, true)?;
    let status = object.get("status")?;
    let mut addresses = Vec::new();
    for item in status.get("podIPs")?.items()? {
        addresses.extend(item.get("ip")?.address()?);
    }
    if addresses.is_empty() {
        addresses.extend(status.get("podIP")?.address()?);
    }
    let phase = status.get("phase")?.text()?;
    let mut condition = None;
    for item in status.get("conditions")?.items()? {
        if item.get("type")?.text()? == Some("Ready") {
            condition = Some(item.get("status")?.text()? == Some("True"));
        }
    }
    let said = ready(&object.get("metadata")?)?;
    // A manifest seldom has a status; nothing then speaks against the pod.
    let ready = said && condition.unwrap_or_else(|| phase.is_none_or(|phase| phase == "Running"));
    let finished = matches!(phase, Some("Succeeded" | "Failed"));
    Ok(PodObject { meta, spec: pod_spec(&object.get("spec")?)?, addresses, ready, finished })
}

fn ready(meta: &Field<'_>) -> Result<bool, Error> {
    let field = meta.get("annotations")?.get(READY)?;
    match field.text()? {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(field.error(format_args!("expected \"true\" or \"false\", found {other:?}"))),
    }
}

fn pod_spec(spec: &Field<'_>) -> Result<PodSpec, Error> {
    let mut ports = Vec::new();
    for containers in ["initContainers", "containers"] {
        for container in spec.get(containers)?.items()? {
            // Of the init containers only sidecars go on running.
            if containers == "initContainers" && container.get("restartPolicy")?.text()? != Some("Always") {
                continue;
            }
            for field in container.get("ports")?.items()? {
                let number = field.get("containerPort")?;
                let number = number.port()?.ok_or_else(|| number.error("missing; expected a port number"))?;
                let name = field.get("name")?.text()?.map(Into::into);
                ports.push((name, protocol(&field.get("protocol")?)?, number));
            }
        }
    }
    let label = |name| Ok::<_, Error>(spec.get(name)?.label()?.map(|label| label.to_string()));
    Ok(PodSpec { hostname: label("hostname")?, subdomain: label("subdomain")?, ports })
}

fn workload(object: &Field<'_>, kind: &str, remarks: &mut Vec<Remark>) -> Result<Workload, Error> {
    let meta = meta(object, true)?;
    let spec = object.get("spec")?;
    let replicas = spec.get("replicas")?.number(0, i64::from(i32::MAX))?.unwrap_or(1) as u32;
    let template = spec.get("template")?;
    let labels = template.get("metadata")?.get("labels")?.texts()?;
    let selector = spec.get("selector")?;
    if !selector.is_present() {
        return Err(selector.error("missing; expected matchLabels"));
    }
    let matched = selector.get("matchLabels")?.texts()?;
    if matched.iter().any(|(key, value)| labels.get(key) != Some(value)) {
        return Err(selector.error("does not match the labels of the template"));
    }
    if selector.get("matchExpressions")?.is_present() {
        let message = format!("matchExpressions of {kind} {} are not looked at", meta.key.name);
        remarks.push(Remark::left_out(&selector.place(), message));
    }
    let not_ready = object.get("metadata")?.get("annotations")?.get(NOT_READY)?.text()?.unwrap_or_default();
    let kind = match kind {
        "StatefulSet" => {
            // The name of a pod is its hostname, so it has to be a label.
            object.get("metadata")?.get("name")?.label()?;
            let service = spec.get("serviceName")?;
            let name = service.text()?.filter(|name| !name.is_empty());
            let start = spec.get("ordinals")?.get("start")?.number(0, i64::from(i32::MAX))?.unwrap_or(0) as u32;
            WorkloadKind::StatefulSet { start, service: name.map(|name| (name.into(), service.place())) }
        }
        _ => {
            let mut hash = Fnv::default();
            if let Some(node) = template.node() {
                node.fold(&mut |octets| hash.write(octets));
            }
            WorkloadKind::Deployment { template: hash.0 }
        }
    };
    Ok(Workload {
        meta,
        kind,
        replicas,
        selector: matched,
        labels,
        spec: pod_spec(&template.get("spec")?)?,
        ready: ready(&template.get("metadata")?)?,
        not_ready: not_ready.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Into::into).collect(),
    })
}

/// FNV-1a in 32 bits: names of pods must be the same in every run and on every machine.
#[derive(Debug)]
pub(super) struct Fnv(pub(super) u32);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv {
    /// Takes in octets.
    pub(super) fn write(&mut self, octets: &[u8]) {
        for &octet in octets {
            self.0 = (self.0 ^ u32::from(octet)).wrapping_mul(0x0100_0193);
        }
    }
}

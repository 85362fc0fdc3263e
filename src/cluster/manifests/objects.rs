//! The objects that manifests hold, checked as the API server would: what is wrong is said with its place.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::error::{Error, Place, Remark};
use super::kinds;
use super::tree::Field;
use crate::cluster::facts::{EndpointFact, Family, ObjectKey, dashed, sort_aliases};
use crate::wire::{Label, Name};
use crate::zone::{AddressList, ExternalHost, Port, Protocol};

/// The annotation on a workload or its pod template that names its pods that are not ready, separated by commas.
pub const NOT_READY: &str = "rollcall.dev/not-ready";

/// The annotation on a Pod, a workload or its pod template: `"false"` when it is not ready, or none of its pods is.
pub const READY: &str = "rollcall.dev/ready";

/// More pods than there are addresses are an error, and are not made one by one first.
const MOST: u32 = 65_534;

/// How our annotations begin.
const OWN: &str = "rollcall.dev/";

/// What manifests hold, in the order in which they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Objects {
    pub(super) namespaces: Vec<Meta>,
    pub(super) services: Vec<ServiceObject>,
    pub(super) slices: Vec<SliceObject>,
    pub(super) pods: Vec<PodObject>,
    pub(super) workloads: Vec<Workload>,
}

/// What every object has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meta {
    pub(super) key: ObjectKey,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) deleting: bool,
    pub(super) place: Place,
}

/// A Service.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ServicePort {
    pub(super) port: Port,
    pub(super) target: Target,
    /// Where the target stands, or the port that has none.
    pub(super) place: Place,
}

/// `targetPort`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    Number(u16),
    Name(String),
}

/// An EndpointSlice, or a part of an Endpoints object.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PodSpec {
    pub(super) hostname: Option<String>,
    pub(super) subdomain: Option<String>,
    pub(super) ports: Vec<(Option<String>, Protocol, u16)>,
}

/// What pods come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Workload {
    pub(super) meta: Meta,
    pub(super) kind: WorkloadKind,
    pub(super) replicas: u32,
    pub(super) selector: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) spec: PodSpec,
    /// Neither it nor its template says that its pods are not ready.
    pub(super) ready: bool,
    /// The pods that [`NOT_READY`] names.
    pub(super) not_ready: Vec<String>,
}

/// What is only in the one or the other.
#[derive(Clone, Debug, PartialEq)]
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
    /// A Job whose pods have an index.
    IndexedJob,
    /// Those whose pods have their own name and five letters.
    Other(&'static str),
}

impl WorkloadKind {
    /// The kind, as manifests write it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::StatefulSet { .. } => "StatefulSet",
            Self::Deployment { .. } => "Deployment",
            Self::IndexedJob => "Job",
            Self::Other(kind) => kind,
        }
    }
}

impl Objects {
    /// Takes an object; `false` for one of a kind that is not read.
    pub(super) fn take(
        &mut self,
        object: &Field<'_>,
        group: &str,
        kind: &str,
        namespace: &str,
        remarks: &mut Vec<Remark>,
    ) -> Result<bool, Error> {
        let Some(kind) = kinds::read(group, kind) else { return Ok(false) };
        match kind {
            "Namespace" => self.namespaces.push(meta(object, None)?),
            "Service" => self.services.push(service(object, namespace, remarks)?),
            "Endpoints" => self.slices.extend(endpoints(object, namespace)?),
            "EndpointSlice" => self.slices.extend(slice(object, namespace, remarks)?),
            "Pod" => self.pods.push(pod(object, namespace, remarks)?),
            _ => self.workloads.push(workload(object, kind, namespace, remarks)?),
        }
        Ok(true)
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Puts those of another file behind these.
    pub(super) fn extend(&mut self, other: &Self) {
        self.namespaces.extend_from_slice(&other.namespaces);
        self.services.extend_from_slice(&other.services);
        self.slices.extend_from_slice(&other.slices);
        self.pods.extend_from_slice(&other.pods);
        self.workloads.extend_from_slice(&other.workloads);
    }
}

/// What an object has; `default` is the namespace of one that names none, and `None` for one that is in no namespace.
fn meta(object: &Field<'_>, default: Option<&str>) -> Result<Meta, Error> {
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

fn service(object: &Field<'_>, namespace: &str, remarks: &mut Vec<Remark>) -> Result<ServiceObject, Error> {
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

//----------- EndpointSlice, Endpoints ---------------------------------------

fn slice(object: &Field<'_>, namespace: &str, remarks: &mut Vec<Remark>) -> Result<Option<SliceObject>, Error> {
    let meta = meta(object, Some(namespace))?;
    let Some(service) = meta.labels.get("kubernetes.io/service-name").map(|name| name.as_str().into()) else {
        let message = format!("EndpointSlice {} is left out: no label kubernetes.io/service-name", meta.key.name);
        remarks.push(Remark::warning(&meta.place, message));
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
fn endpoints(object: &Field<'_>, namespace: &str) -> Result<Vec<SliceObject>, Error> {
    let meta = meta(object, Some(namespace))?;
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

fn pod(object: &Field<'_>, namespace: &str, remarks: &mut Vec<Remark>) -> Result<PodObject, Error> {
    let meta = meta(object, Some(namespace))?;
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
    let (ready, not_ready) = readiness(&object.get("metadata")?, remarks)?;
    let said = ready && !not_ready.iter().any(|name| **name == *meta.key.name);
    // A manifest seldom has a status; nothing then speaks against the pod.
    let ready = said && condition.unwrap_or_else(|| phase.is_none_or(|phase| phase == "Running"));
    let finished = matches!(phase, Some("Succeeded" | "Failed"));
    Ok(PodObject { meta, spec: pod_spec(&object.get("spec")?)?, addresses, ready, finished })
}

/// What annotations say of readiness: of all pods, and the names of those that are not ready.
fn readiness(meta: &Field<'_>, remarks: &mut Vec<Remark>) -> Result<(bool, Vec<String>), Error> {
    let annotations = meta.get("annotations")?;
    for key in annotations.keys().filter(|key| key.starts_with(OWN) && ![READY, NOT_READY].contains(key)) {
        let message = format!("the annotation {key} is not known: {READY} and {NOT_READY} are");
        remarks.push(Remark::warning(&annotations.get(key)?.place(), message));
    }
    let field = annotations.get(READY)?;
    let ready = match field.text()? {
        None | Some("true") => true,
        Some("false") => false,
        Some(other) => return Err(field.error(format_args!("expected \"true\" or \"false\", found {other:?}"))),
    };
    let names = annotations.get(NOT_READY)?.text()?.unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Into::into).collect();
    Ok((ready, names))
}

/// Says that annotations for pods do nothing on a Service.
fn refuse_annotations(object: &Field<'_>, remarks: &mut Vec<Remark>) -> Result<(), Error> {
    let annotations = object.get("metadata")?.get("annotations")?;
    for key in annotations.keys().filter(|key| key.starts_with(OWN)) {
        let message =
            format!("the annotation {key} does nothing on a Service: write it on the workload or on its pod template");
        remarks.push(Remark::warning(&annotations.get(key)?.place(), message));
    }
    Ok(())
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

fn workload(
    object: &Field<'_>,
    kind: &'static str,
    namespace: &str,
    remarks: &mut Vec<Remark>,
) -> Result<Workload, Error> {
    let meta = meta(object, Some(namespace))?;
    let spec = object.get("spec")?;
    let template = spec.get("template")?;
    let labels = template.get("metadata")?.get("labels")?.texts()?;
    let (ready, mut not_ready) = readiness(&object.get("metadata")?, remarks)?;
    let (template_ready, more) = readiness(&template.get("metadata")?, remarks)?;
    not_ready.extend(more);
    let mut workload = Workload {
        kind: WorkloadKind::Other(kind),
        replicas: replicas(&spec.get("replicas")?)?,
        selector: selector(kind, &spec, &labels, &meta, remarks)?,
        meta,
        labels,
        spec: pod_spec(&template.get("spec")?)?,
        ready: ready && template_ready,
        not_ready,
    };
    match kind {
        "StatefulSet" => {
            // The name of a pod is its hostname, so it has to be a label.
            object.get("metadata")?.get("name")?.label()?;
            let service = spec.get("serviceName")?;
            let name = service.text()?.filter(|name| !name.is_empty());
            let start = spec.get("ordinals")?.get("start")?.number(0, i64::from(i32::MAX))?.unwrap_or(0) as u32;
            let service = name.map(|name| (name.into(), service.place()));
            workload.kind = WorkloadKind::StatefulSet { start, service };
        }
        "Deployment" => {
            let mut hash = Fnv::default();
            if let Some(node) = template.node() {
                node.fold(&mut |octets| hash.write(octets));
            }
            workload.kind = WorkloadKind::Deployment { template: hash.0 };
        }
        // On the one node that this machine is.
        "DaemonSet" => workload.replicas = 1,
        "Job" => job(&spec, &mut workload)?,
        _ => {}
    }
    Ok(workload)
}

/// How many pods there are to be, and not more than there are addresses.
fn replicas(field: &Field<'_>) -> Result<u32, Error> {
    let replicas = field.number(0, i64::from(i32::MAX))?.unwrap_or(1) as u32;
    match replicas <= MOST {
        true => Ok(replicas),
        false => Err(field.error(format_args!("{replicas} are more than 127.1.0.0/16 has addresses"))),
    }
}

/// The labels that a workload selects its pods by.
fn selector(
    kind: &str,
    spec: &Field<'_>,
    labels: &BTreeMap<String, String>,
    meta: &Meta,
    remarks: &mut Vec<Remark>,
) -> Result<BTreeMap<String, String>, Error> {
    let selector = spec.get("selector")?;
    let matched = match kind {
        // Its controller makes one up.
        "Job" => return Ok(BTreeMap::new()),
        "ReplicationController" if !selector.is_present() => labels.clone(),
        "ReplicationController" => selector.texts()?,
        _ if !selector.is_present() => return Err(selector.error("missing; expected matchLabels")),
        _ => selector.get("matchLabels")?.texts()?,
    };
    if matched.iter().any(|(key, value)| labels.get(key) != Some(value)) {
        return Err(selector.error("does not match the labels of the template"));
    }
    if kind != "ReplicationController" && selector.get("matchExpressions")?.is_present() {
        let message = format!("matchExpressions of {kind} {} are not looked at", meta.key.name);
        remarks.push(Remark::warning(&selector.place(), message));
    }
    Ok(matched)
}

/// The pods of a Job that run at the same time.
fn job(spec: &Field<'_>, workload: &mut Workload) -> Result<(), Error> {
    let parallelism = replicas(&spec.get("parallelism")?)?;
    let mode = spec.get("completionMode")?;
    let indexed = match mode.text()? {
        None | Some("NonIndexed") => false,
        Some("Indexed") => true,
        Some(other) => return Err(mode.error(format_args!("expected Indexed or NonIndexed, found {other:?}"))),
    };
    let completions = spec.get("completions")?;
    let most = match completions.number(0, i64::from(i32::MAX))? {
        None if indexed => return Err(completions.error("missing; an Indexed Job needs it")),
        None => parallelism,
        Some(completions) => completions as u32,
    };
    workload.replicas = if spec.get("suspend")?.boolean()? == Some(true) { 0 } else { parallelism.min(most) };
    workload.kind = if indexed { WorkloadKind::IndexedJob } else { WorkloadKind::Other("Job") };
    let name = workload.meta.key.name.to_string();
    for key in ["job-name", "batch.kubernetes.io/job-name"] {
        workload.labels.insert(key.into(), name.clone());
    }
    Ok(())
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

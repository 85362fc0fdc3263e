//! Workloads, from which pods come: StatefulSets, Deployments and the like, as manifests write them.

use std::collections::BTreeMap;

use super::annotations::readiness;
use super::meta::{ObjectMeta, meta};
use super::pod::{PodSpec, pod_spec};
use crate::cluster::manifests::error::{Error, FilePosition, Remark};
use crate::cluster::manifests::tree::ManifestField;

/// More pods than there are addresses are an error, and are not made one by one first.
const MOST: u32 = 65_534;

/// An object from which pods come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Workload {
    pub(crate) meta: ObjectMeta,
    pub(crate) kind: WorkloadKind,
    pub(crate) replicas: u32,
    pub(crate) selector: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) spec: PodSpec,
    /// Neither it nor its template says that its pods are not ready.
    pub(crate) ready: bool,
    /// The pods that [`NOT_READY`](super::annotations::NOT_READY) names.
    pub(crate) not_ready: Vec<String>,
}

/// The fields that only one kind has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WorkloadKind {
    StatefulSet {
        /// `spec.ordinals.start`.
        start: u32,
        /// `spec.serviceName`, and where it stands.
        service: Option<(String, FilePosition)>,
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
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::StatefulSet { .. } => "StatefulSet",
            Self::Deployment { .. } => "Deployment",
            Self::IndexedJob => "Job",
            Self::Other(kind) => kind,
        }
    }
}

pub(super) fn workload(
    object: &ManifestField<'_>,
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

/// The number of pods that there are to be, and not more than there are addresses.
fn replicas(field: &ManifestField<'_>) -> Result<u32, Error> {
    let replicas = field.number(0, i64::from(i32::MAX))?.unwrap_or(1) as u32;
    match replicas <= MOST {
        true => Ok(replicas),
        false => Err(field.error(format_args!("{replicas} are more than 127.1.0.0/16 has addresses"))),
    }
}

/// The labels that a workload selects its pods by.
fn selector(
    kind: &str,
    spec: &ManifestField<'_>,
    labels: &BTreeMap<String, String>,
    meta: &ObjectMeta,
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
fn job(spec: &ManifestField<'_>, workload: &mut Workload) -> Result<(), Error> {
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
pub(crate) struct Fnv(pub(crate) u32);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv {
    /// Takes in octets.
    pub(crate) fn write(&mut self, octets: &[u8]) {
        for &octet in octets {
            self.0 = (self.0 ^ u32::from(octet)).wrapping_mul(0x0100_0193);
        }
    }
}

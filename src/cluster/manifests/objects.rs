//! The objects that manifests hold, checked as the API server would: what is wrong is said with its place.

mod annotations;
mod meta;
mod pod;
mod service;
mod slice;
mod workload;

use super::error::{Error, Remark};
use super::kinds;
use super::tree::ManifestField;

pub use annotations::{NOT_READY, READY};
pub(super) use meta::ObjectMeta;
pub(super) use pod::{PodObject, PodSpec};
pub(super) use service::{ServiceObject, TargetPort};
pub(super) use slice::SliceObject;
pub(super) use workload::{Fnv, Workload, WorkloadKind};

/// The objects of manifests, in the order in which they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Objects {
    pub(super) namespaces: Vec<ObjectMeta>,
    pub(super) services: Vec<ServiceObject>,
    pub(super) slices: Vec<SliceObject>,
    pub(super) pods: Vec<PodObject>,
    pub(super) workloads: Vec<Workload>,
}

impl Objects {
    /// Takes an object; `false` for one of a kind that is not read.
    pub(super) fn take(
        &mut self,
        object: &ManifestField<'_>,
        group: &str,
        kind: &str,
        namespace: &str,
        remarks: &mut Vec<Remark>,
    ) -> Result<bool, Error> {
        let Some(kind) = kinds::read(group, kind) else { return Ok(false) };
        match kind {
            "Namespace" => self.namespaces.push(meta::meta(object, None)?),
            "Service" => self.services.push(service::service(object, namespace, remarks)?),
            "Endpoints" => self.slices.extend(slice::endpoints(object, namespace)?),
            "EndpointSlice" => self.slices.extend(slice::slice(object, namespace, remarks)?),
            "Pod" => self.pods.push(pod::pod(object, namespace, remarks)?),
            _ => self.workloads.push(workload::workload(object, kind, namespace, remarks)?),
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

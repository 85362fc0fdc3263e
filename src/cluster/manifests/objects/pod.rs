//! Pods, and the templates of pods, as manifests write them.

use std::net::IpAddr;

use super::annotations::readiness;
use super::meta::{ObjectMeta, meta, protocol};
use crate::cluster::manifests::error::{Error, Remark};
use crate::cluster::manifests::tree::ManifestField;
use crate::zone::Protocol;

/// A Pod, written down or standing in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PodObject {
    pub(crate) meta: ObjectMeta,
    pub(crate) spec: PodSpec,
    /// `status.podIPs`; an address is given out when there is none.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ready: bool,
    /// It has run to its end: `Succeeded` or `Failed`.
    pub(crate) finished: bool,
}

/// The fields of `spec` that are kept, of a Pod or a template.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PodSpec {
    pub(crate) hostname: Option<String>,
    pub(crate) subdomain: Option<String>,
    pub(crate) ports: Vec<(Option<String>, Protocol, u16)>,
}

pub(super) fn pod(object: &ManifestField<'_>, namespace: &str, remarks: &mut Vec<Remark>) -> Result<PodObject, Error> {
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

pub(super) fn pod_spec(spec: &ManifestField<'_>) -> Result<PodSpec, Error> {
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

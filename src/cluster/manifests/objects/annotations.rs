//! The annotations by which manifests say which pods are ready.

use crate::cluster::manifests::error::{Error, Remark};
use crate::cluster::manifests::tree::ManifestField;

/// The annotation on a workload or its pod template that names its pods that are not ready, separated by commas.
pub const NOT_READY: &str = "rollcall.dev/not-ready";

/// The annotation on a Pod, a workload or its pod template: `"false"` when it is not ready, or none of its pods is.
pub const READY: &str = "rollcall.dev/ready";

/// The beginning of our annotations.
const OWN: &str = "rollcall.dev/";

/// Readiness by annotations: that of all pods, and the names of those that are not ready.
pub(super) fn readiness(meta: &ManifestField<'_>, remarks: &mut Vec<Remark>) -> Result<(bool, Vec<String>), Error> {
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
pub(super) fn refuse_annotations(object: &ManifestField<'_>, remarks: &mut Vec<Remark>) -> Result<(), Error> {
    let annotations = object.get("metadata")?.get("annotations")?;
    for key in annotations.keys().filter(|key| key.starts_with(OWN)) {
        let message =
            format!("the annotation {key} does nothing on a Service: write it on the workload or on its pod template");
        remarks.push(Remark::warning(&annotations.get(key)?.place(), message));
    }
    Ok(())
}

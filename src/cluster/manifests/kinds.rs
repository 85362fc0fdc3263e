//! Kinds of objects: which are read, and what is said of one that looks like a slip of the pen.

use super::error::{FilePosition, Remark};

/// The kinds of the groups in which a slip of the pen would cost names.
const CORE: [&str; 18] = [
    "Binding",
    "ComponentStatus",
    "ConfigMap",
    "Endpoints",
    "Event",
    "LimitRange",
    "List",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodTemplate",
    "ReplicationController",
    "ResourceQuota",
    "Secret",
    "Service",
    "ServiceAccount",
];
const APPS: [&str; 5] = ["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"];
const BATCH: [&str; 2] = ["CronJob", "Job"];
const DISCOVERY: [&str; 1] = ["EndpointSlice"];

/// The kinds from which names come, each with its group.
const READ: [(&str, &str); 11] = [
    ("", "Namespace"),
    ("", "Service"),
    ("", "Endpoints"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("", "Pod"),
    ("", "ReplicationController"),
    ("apps", "StatefulSet"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
];

/// The kind, if names come from its objects.
pub(super) fn read(group: &str, kind: &str) -> Option<&'static str> {
    READ.iter().find(|(own, read)| *own == group && *read == kind).map(|(_, read)| *read)
}

/// Whether names come from objects of this kind, whatever their group.
pub(super) fn is_read(kind: &str) -> bool {
    READ.iter().any(|(_, read)| *read == kind)
}

/// The remark for an object of a kind that is not read, where it may be one of those that are, written wrongly.
pub(super) fn suspicion(place: &FilePosition, version: &str, group: &str, kind: &str) -> Option<Remark> {
    if let Some((own, _)) = READ.iter().find(|(own, read)| *read == kind && *own != group) {
        // Other groups may have a Service of their own; those that Kubernetes had once are written by mistake.
        let old = matches!(group, "" | "extensions" | "apps" | "batch" | "core");
        let own = if own.is_empty() { "v1".to_owned() } else { format!("{own}/v1") };
        let message = format!("{version} {kind} is left out: it is of {own}");
        return old.then(|| Remark::warning(place, message));
    }
    let known: &[&str] = match group {
        "" => &CORE,
        "apps" => &APPS,
        "batch" => &BATCH,
        "discovery.k8s.io" => &DISCOVERY,
        _ => &[],
    };
    if known.contains(&kind) {
        return None;
    }
    let near = known.iter().map(|known| (distance(known, kind), known)).min().filter(|(distance, _)| *distance <= 2);
    near.map(|(_, known)| {
        Remark::warning(place, format!("{version} {kind} is left out: unknown kind, did you mean {known}?"))
    })
}

/// The number of letters that must be put in, taken out or changed; capitals do not count.
fn distance(one: &str, other: &str) -> usize {
    let other = other.to_ascii_lowercase();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.to_ascii_lowercase().bytes().enumerate() {
        let mut next = vec![at + 1];
        for (column, octet) in other.bytes().enumerate() {
            let cell = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let changed = cell(&row, column) + usize::from(letter != octet);
            next.push(changed.min(cell(&row, column + 1) + 1).min(cell(&next, column) + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn only_what_looks_like_a_slip_of_the_pen_is_worth_a_warning() {
        let place = FilePosition { file: Path::new("m.yaml").into(), line: 1, column: 1 };
        for (version, group, kind, part) in [
            ("v1", "", "ConfigMap", None),
            ("example.org/v1", "example.org", "Servce", None),
            ("serving.knative.dev/v1", "serving.knative.dev", "Service", None),
            ("batch/v1", "batch", "CronJob", None),
            ("v1", "", "Whatever", None),
            ("v1", "", "Config", None),
            ("v1", "", "Servce", Some("unknown kind, did you mean Service?")),
            ("v1", "", "service", Some("unknown kind, did you mean Service?")),
            ("apps/v1", "apps", "Statefulset", Some("did you mean StatefulSet?")),
            ("v1", "", "StatefulSet", Some("it is of apps/v1")),
            ("extensions/v1beta1", "extensions", "Deployment", Some("it is of apps/v1")),
            ("apps/v1", "apps", "Service", Some("it is of v1")),
        ] {
            let remark = suspicion(&place, version, group, kind);
            assert_eq!(remark.is_some(), part.is_some(), "{version} {kind}: {remark:?}");
            assert!(remark.is_none_or(|remark| remark.message.contains(part.unwrap())), "{version} {kind}");
        }
    }
}

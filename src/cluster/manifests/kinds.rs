//! What is said of objects that no name is made of.

use super::error::{Place, Remark};

/// Kinds whose pods would have names, and whose controllers are not stood in for.
const WITH_PODS: [&str; 5] = ["DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"];

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
const DISCOVERY: [&str; 1] = ["EndpointSlice"];

/// The remark for an object of a kind that is not read.
pub(super) fn left_out(place: &Place, version: &str, group: &str, kind: &str) -> Remark {
    let known: &[&str] = match group {
        "" => &CORE,
        "apps" => &APPS,
        "discovery.k8s.io" => &DISCOVERY,
        _ => &[],
    };
    if WITH_PODS.contains(&kind) {
        let message = format!(
            "{version} {kind} is not simulated: its pods have no names here; write the Pods down, or a Deployment"
        );
        return Remark::warning(place, message);
    }
    if known.is_empty() || known.contains(&kind) {
        return Remark::left_out(place, format!("{version} {kind} is left out: no name comes from it"));
    }
    let near = known.iter().map(|known| (distance(known, kind), known)).min().filter(|(distance, _)| *distance <= 2);
    let hint = near.map(|(_, known)| format!(", did you mean {known}?")).unwrap_or_default();
    Remark::warning(place, format!("{version} {kind} is left out: unknown kind{hint}"))
}

/// How many letters must be put in, taken out or changed; capitals do not count.
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
    fn what_costs_names_is_a_warning_and_what_costs_none_is_not() {
        let place = Place { file: Path::new("m.yaml").into(), line: 1, column: 1 };
        for (version, group, kind, warning, part) in [
            ("v1", "", "ConfigMap", false, "no name comes from it"),
            ("example.org/v1", "example.org", "Servce", false, "no name comes from it"),
            ("apps/v1", "apps", "DaemonSet", true, "is not simulated"),
            ("batch/v1", "batch", "Job", true, "is not simulated"),
            ("v1", "", "Servce", true, "unknown kind, did you mean Service?"),
            ("v1", "", "service", true, "unknown kind, did you mean Service?"),
            ("apps/v1", "apps", "Statefulset", true, "did you mean StatefulSet?"),
            ("v1", "", "Whatever", true, "is left out: unknown kind"),
        ] {
            let remark = left_out(&place, version, group, kind);
            assert_eq!(remark.warning, warning, "{remark}");
            assert!(remark.message.contains(part), "{remark}");
        }
        assert!(left_out(&place, "v1", "", "Whatever").message.ends_with("unknown kind"));
    }
}

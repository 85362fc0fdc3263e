//! Stands in for the controllers of workloads: which pods are there, under which names.
//!
//! Pods that manifests write down count as theirs, as the controllers adopt pods that are there already.

use std::collections::HashSet;

use super::error::Remark;
use super::objects::{Fnv, ObjectMeta, Objects, PodObject, Workload, WorkloadKind};
use super::selection::Selection;
use crate::cluster::facts::ObjectKey;

/// The letters of generated names: neither vowels nor digits that look like letters.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Adds the pods that the workloads ask for, StatefulSets in order of their ordinals.
pub(super) fn add_pods(objects: &mut Objects, remarks: &mut Vec<Remark>) {
    let written = Selection::of_pods(&objects.pods);
    let mut present: HashSet<ObjectKey> = objects.pods.iter().map(|pod| pod.meta.key.clone()).collect();
    let mut added: Vec<PodObject> = Vec::new();
    for workload in &objects.workloads {
        let key = |name: &str| ObjectKey::new(&workload.meta.key.namespace, name);
        let names = match &workload.kind {
            WorkloadKind::StatefulSet { start, .. } => {
                (0..workload.replicas).map(|index| format!("{}-{}", workload.meta.key.name, start + index)).collect()
            }
            WorkloadKind::Deployment { .. } | WorkloadKind::IndexedJob | WorkloadKind::Other(_) => {
                let adopted = written.selected(&workload.meta.key.namespace, &workload.selector).len() as u32;
                generated_names(workload, workload.replicas.saturating_sub(adopted))
            }
        };
        for name in &workload.not_ready {
            if !names.contains(name) && !present.contains(&key(name)) {
                let message =
                    format!("no pod of {} is named {name}, so it cannot be not ready", workload.meta.key.name);
                remarks.push(Remark::warning(&workload.meta.place, message));
            }
        }
        for (index, name) in names.iter().enumerate() {
            if present.insert(key(name)) {
                added.push(stand_in(workload, index as u32, name));
            }
        }
    }
    objects.pods.extend(added);
}

fn stand_in(workload: &Workload, index: u32, name: &str) -> PodObject {
    let mut meta = ObjectMeta {
        key: ObjectKey { namespace: workload.meta.key.namespace.clone(), name: name.into() },
        labels: workload.labels.clone(),
        deleting: false,
        place: workload.meta.place.clone(),
    };
    let mut spec = workload.spec.clone();
    match &workload.kind {
        WorkloadKind::StatefulSet { start, service } => {
            meta.labels.insert("statefulset.kubernetes.io/pod-name".into(), name.into());
            meta.labels.insert("apps.kubernetes.io/pod-index".into(), (start + index).to_string());
            spec.hostname = Some(name.into());
            spec.subdomain = service.as_ref().map(|(name, _)| name.clone());
        }
        WorkloadKind::Deployment { template } => {
            meta.labels.insert("pod-template-hash".into(), template_hash(*template));
        }
        WorkloadKind::IndexedJob => {
            meta.labels.insert("batch.kubernetes.io/job-completion-index".into(), index.to_string());
            spec.hostname.get_or_insert_with(|| format!("{}-{index}", workload.meta.key.name));
        }
        WorkloadKind::Other(_) => {}
    }
    let ready = workload.ready && !workload.not_ready.iter().any(|other| other == name);
    PodObject { meta, spec, addresses: Vec::new(), ready, finished: false }
}

/// NAME-XXXXX, with a hash of the template or an index between where the kind has one; the same workload makes the same names
/// in every run.
fn generated_names(workload: &Workload, count: u32) -> Vec<String> {
    let key = &workload.meta.key;
    let hash = match &workload.kind {
        WorkloadKind::Deployment { template } => template_hash(*template),
        kind => kind.name().to_owned(),
    };
    let (mut names, mut seen, mut salt) = (Vec::new(), HashSet::new(), 0_u32);
    while (names.len() as u32) < count {
        let mut fnv = Fnv::default();
        for part in [key.namespace.as_bytes(), b"/", key.name.as_bytes(), hash.as_bytes(), &salt.to_be_bytes()] {
            fnv.write(part);
        }
        let stem = match &workload.kind {
            WorkloadKind::Deployment { .. } => format!("{}-{hash}", key.name),
            WorkloadKind::IndexedJob => format!("{}-{}", key.name, names.len()),
            _ => key.name.to_string(),
        };
        let name = format!("{stem}-{}", letters(fnv.0, 5));
        // Two may meet in five letters: the next one is taken, then.
        if seen.insert(name.clone()) {
            names.push(name);
        }
        salt += 1;
    }
    names
}

fn template_hash(template: u32) -> String {
    letters(template, 9)
}

fn letters(hash: u32, count: usize) -> String {
    let mut rest = u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut text = String::with_capacity(count);
    for _ in 0..count {
        let letter = LETTERS.get((rest % 27) as usize).copied().unwrap_or(b'b');
        text.push(char::from(letter));
        rest /= 27;
    }
    text
}

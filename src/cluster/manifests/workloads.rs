//! Stands in for the controllers of StatefulSets and Deployments: which pods are there, under which names.
//!
//! Pods that manifests write down count as theirs, as the controllers adopt pods that are there already.

use std::collections::{BTreeMap, HashSet};

use super::error::{Error, Remark};
use super::objects::{Fnv, Meta, Objects, PodObject, ServiceType, Workload, WorkloadKind};
use crate::cluster::facts::ObjectKey;

/// The letters of generated names: neither vowels nor digits that look like letters.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// More pods than there are addresses are an error, and are not made one by one first.
const MOST: u32 = 65_534;

/// Adds the pods that the workloads ask for, StatefulSets in order of their ordinals.
///
/// # Errors
/// When a workload asks for more pods than there are addresses.
pub(super) fn add_pods(objects: &mut Objects, remarks: &mut Vec<Remark>) -> Result<(), Error> {
    for workload in &objects.workloads {
        if workload.replicas > MOST {
            let message = format!("{} replicas are more than 127.1.0.0/16 has addresses", workload.replicas);
            return Err(Error::at(workload.meta.place.clone(), message));
        }
        check_service(workload, objects, remarks);
        let present: HashSet<&str> = objects
            .pods
            .iter()
            .filter(|pod| pod.meta.key.namespace == workload.meta.key.namespace)
            .map(|pod| &*pod.meta.key.name)
            .collect();
        let names = match &workload.kind {
            WorkloadKind::StatefulSet { start, .. } => {
                (0..workload.replicas).map(|index| format!("{}-{}", workload.meta.key.name, start + index)).collect()
            }
            WorkloadKind::Deployment { template } => {
                let adopted = objects.pods.iter().filter(|pod| is_adopted(workload, pod)).count() as u32;
                deployment_names(workload, *template, workload.replicas.saturating_sub(adopted))
            }
        };
        for name in &workload.not_ready {
            if !names.contains(name) && !present.contains(name.as_str()) {
                let message =
                    format!("no pod of {} is named {name}, so it cannot be not ready", workload.meta.key.name);
                remarks.push(Remark::warning(&workload.meta.place, message));
            }
        }
        let missing: Vec<PodObject> = names
            .iter()
            .enumerate()
            .filter(|(_, name)| !present.contains(name.as_str()))
            .map(|(index, name)| stand_in(workload, index as u32, name))
            .collect();
        objects.pods.extend(missing);
    }
    Ok(())
}

fn is_adopted(workload: &Workload, pod: &PodObject) -> bool {
    pod.meta.key.namespace == workload.meta.key.namespace
        && !pod.finished
        && !workload.selector.is_empty()
        && selects(&workload.selector, &pod.meta.labels)
}

/// Whether a selector of labels selects these labels; an empty one selects nothing here.
pub(super) fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn check_service(workload: &Workload, objects: &Objects, remarks: &mut Vec<Remark>) {
    let WorkloadKind::StatefulSet { service: Some((name, place)), .. } = &workload.kind else { return };
    let governing = objects
        .services
        .iter()
        .find(|service| *service.meta.key.name == **name && service.meta.key.namespace == workload.meta.key.namespace);
    let set = &workload.meta.key.name;
    let message = match governing {
        None => {
            format!("StatefulSet {set} has serviceName {name}, but there is no such Service: its pods have no names")
        }
        Some(service) if service.kind != ServiceType::Headless => {
            format!("Service {name} of StatefulSet {set} is not headless: write clusterIP: None")
        }
        Some(service) if !selects(&service.selector, &workload.labels) => {
            format!("Service {name} does not select the pods of its StatefulSet {set}: they have no names")
        }
        Some(_) => return,
    };
    remarks.push(Remark::warning(place, message));
}

fn stand_in(workload: &Workload, index: u32, name: &str) -> PodObject {
    let mut meta = Meta {
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
    }
    let ready = workload.ready && !workload.not_ready.iter().any(|other| other == name);
    PodObject { meta, spec, addresses: Vec::new(), ready, finished: false }
}

/// NAME-HASH-XXXXX, where the same Deployment makes the same names in every run.
fn deployment_names(workload: &Workload, template: u32, count: u32) -> Vec<String> {
    let (key, hash) = (&workload.meta.key, template_hash(template));
    let (mut names, mut seen, mut salt) = (Vec::new(), HashSet::new(), 0_u32);
    while (names.len() as u32) < count {
        let mut fnv = Fnv::default();
        for part in [key.namespace.as_bytes(), b"/", key.name.as_bytes(), hash.as_bytes(), &salt.to_be_bytes()] {
            fnv.write(part);
        }
        let name = format!("{}-{hash}-{}", key.name, letters(fnv.0, 5));
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

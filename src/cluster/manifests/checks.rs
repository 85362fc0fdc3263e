//! Checks between objects: names that somebody will miss.

use std::collections::{BTreeMap, HashMap};

use super::error::{FilePosition, Remark};
use super::objects::{Objects, PodObject, PodSpec, ServiceObject, TargetPort, Workload, WorkloadKind};
use super::selection::{Meant, Selection, Selectors};
use crate::cluster::details::selects;
use crate::cluster::facts::{ObjectKey, ServiceSpec};

/// Looks at a Service whose endpoints come from pods.
pub(super) fn service(
    service: &ServiceObject,
    pods: &Selection<'_, PodObject>,
    templates: &Selection<'_, Workload>,
    meant: &Meant<'_>,
) -> Vec<Remark> {
    match &service.fact.spec {
        ServiceSpec::ExternalName(_) => return Vec::new(),
        ServiceSpec::Headless { .. } if service.selector.is_empty() => {
            let message = format!(
                "headless Service {} has no selector and no EndpointSlice, so its name has no addresses",
                service.meta.key.name
            );
            return vec![Remark::warning(&service.meta.place, message)];
        }
        _ if service.selector.is_empty() => return Vec::new(),
        _ => {}
    }
    // The templates of pods that are not wanted at present count as well.
    let namespace = &service.meta.key.namespace;
    let pods = pods.selected(namespace, &service.selector).into_iter().map(|pod| &pod.spec);
    let templates = templates.selected(namespace, &service.selector).into_iter().map(|own| &own.spec);
    let selected: Vec<&PodSpec> = pods.chain(templates).collect();
    if selected.is_empty() {
        return vec![Remark::warning(&service.meta.place, selects_nothing(service, meant))];
    }
    let mut remarks = Vec::new();
    for own in &service.ports {
        let TargetPort::Name(name) = &own.target else { continue };
        let has = |spec: &&PodSpec| {
            spec.ports.iter().any(|(port, protocol, _)| port.as_ref() == Some(name) && *protocol == own.port.protocol)
        };
        if !selected.iter().any(has) {
            let mut names: Vec<&str> =
                selected.iter().flat_map(|spec| &spec.ports).filter_map(|(name, ..)| name.as_deref()).collect();
            names.sort_unstable();
            names.dedup();
            let have = match names.as_slice() {
                [] => "none of their ports has a name".to_owned(),
                names => format!("they have {}", names.join(", ")),
            };
            let message = format!(
                "targetPort {name} of Service {} is a port of none of its pods, so there is no SRV record for it: {have}",
                service.meta.key.name
            );
            remarks.push(Remark::warning(&own.place, message));
        }
    }
    remarks
}

fn selects_nothing(service: &ServiceObject, meant: &Meant<'_>) -> String {
    let key = &service.meta.key;
    let mut message = format!(
        "the selector of Service {} ({}) selects no pod in namespace {}",
        key.name,
        written(&service.selector),
        key.namespace
    );
    if let Some(own) = meant.elsewhere(&service.selector) {
        message += &format!("; {} {} is in namespace {}", own.kind.name(), own.meta.key.name, own.meta.key.namespace);
    } else if let Some(own) = meant.with_keys(&key.namespace, &service.selector) {
        let labels = own.labels.iter().filter(|(key, _)| service.selector.contains_key(*key));
        let labels: BTreeMap<_, _> = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
        message += &format!("; those of {} {} have {}", own.kind.name(), own.meta.key.name, written(&labels));
    }
    message
}

fn written(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// Looks whether the pods of StatefulSets have names of their own.
pub(super) fn workloads(objects: &Objects, services: &HashMap<&ObjectKey, &ServiceObject>) -> Vec<Remark> {
    let headless = Selectors::of(objects.services.iter().filter(|own| own.is_headless()));
    let look = |workload: &Workload| {
        let WorkloadKind::StatefulSet { service, .. } = &workload.kind else { return None };
        match service {
            None => Some(nameless(workload, &headless)),
            Some((name, place)) => {
                let key = ObjectKey::new(&workload.meta.key.namespace, name);
                governing(name, place, workload, services.get(&key).copied())
            }
        }
    };
    objects.workloads.iter().filter_map(look).collect()
}

fn nameless(workload: &Workload, headless: &Selectors<'_>) -> Remark {
    let headless = headless.of_labels(&workload.meta.key.namespace, &workload.labels);
    let write = headless.map_or_else(
        || "give it the name of a headless Service".to_owned(),
        |own| format!("write serviceName: {}", own.meta.key.name),
    );
    let set = &workload.meta.key.name;
    let message = format!("StatefulSet {set} has no serviceName, so its pods have no names of their own: {write}");
    Remark::warning(&workload.meta.place, message)
}

fn governing(name: &str, place: &FilePosition, workload: &Workload, service: Option<&ServiceObject>) -> Option<Remark> {
    let set = &workload.meta.key.name;
    let message = match service {
        None => {
            format!("StatefulSet {set} has serviceName {name}, but there is no such Service: its pods have no names")
        }
        Some(service) if !service.is_headless() => {
            format!("Service {name} of StatefulSet {set} is not headless: write clusterIP: None")
        }
        Some(service) if !service.selector.is_empty() && !selects(&service.selector, &workload.labels) => {
            format!("Service {name} does not select the pods of its StatefulSet {set}: they have no names")
        }
        Some(_) => return None,
    };
    Some(Remark::warning(place, message))
}

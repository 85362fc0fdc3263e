//! Endpoints that are not in an answer, and why.

use super::nearest::nearest;
use super::report::{Cause, LeftOut};
use super::scene::{Scene, few};
use crate::cluster::{EndpointDetail, LabelMap, PodDetail, ServiceDetail};

/// Endpoints and pods that are told at most.
const MOST: usize = 20;

/// A selector as `kubectl` writes it.
fn selector(labels: &LabelMap) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// The reason why a pod is not ready.
fn trouble(pod: &PodDetail) -> String {
    let mut why = pod.trouble.clone();
    if pod.deleting {
        why.insert(0, "it is being deleted".to_owned());
    }
    if pod.is_finished() {
        why.insert(0, format!("it has run to its end ({})", pod.phase));
    } else if pod.phase == "Pending" {
        why.insert(0, "it is Pending".to_owned());
    }
    if pod.addresses.is_empty() {
        why.push("it has no address yet".to_owned());
    }
    match why.is_empty() {
        true => "not ready".to_owned(),
        false => format!("not ready: {}", why.join("; ")),
    }
}

/// The endpoints of a Service that are not in its answers.
pub fn left_out(scene: &Scene<'_>, service: &str, namespace: &str) -> Vec<LeftOut> {
    let pods = scene.pods(namespace);
    let listed: Vec<&EndpointDetail> = scene.endpoints(namespace, service).collect();
    let mut out: Vec<LeftOut> = Vec::new();
    for endpoint in listed.iter().filter(|endpoint| !endpoint.ready) {
        let name = endpoint.pod.clone().or_else(|| endpoint.addresses.first().cloned()).unwrap_or_default();
        let pod = pods.iter().find(|pod| Some(&pod.name) == endpoint.pod.as_ref());
        let why = pod.map_or_else(|| "not ready in its EndpointSlice".to_owned(), trouble);
        let why = if endpoint.terminating { format!("{why}; terminating") } else { why };
        if !out.iter().any(|other| other.name == name) {
            out.push(LeftOut { name, why });
        }
    }
    if let Some(own) = scene.service(namespace, service) {
        for pod in pods.iter().filter(|pod| pod.is_selected(&own.selector)) {
            if !listed.iter().any(|endpoint| endpoint.pod.as_ref() == Some(&pod.name)) {
                out.push(LeftOut { name: pod.name.clone(), why: format!("in no EndpointSlice; {}", trouble(pod)) });
            }
        }
    }
    out.truncate(MOST);
    out
}

/// The cause where no endpoint of a Service is ready.
pub(super) fn none_ready(scene: &Scene<'_>, service: &str, namespace: &str) -> Option<Cause> {
    let own = scene.service(namespace, service)?;
    let listed: Vec<&EndpointDetail> = scene.endpoints(namespace, service).collect();
    let known =
        scene.details.get(namespace).is_some_and(|details| details.endpoints.is_some() && details.pods.is_some());
    if own.external_name.is_some() || !known || listed.iter().any(|endpoint| endpoint.ready) {
        return None;
    }
    let answered = match own.headless {
        true => "",
        false => "; its ClusterIP is answered, and nobody is behind it",
    };
    if own.selector.is_empty() {
        return Some(Cause::new(
            format!(
                "Service {namespace}/{service} has no selector and no ready endpoint in an EndpointSlice{answered}"
            ),
            "write its EndpointSlices (label kubernetes.io/service-name), or give it a selector",
        ));
    }
    let pods: Vec<&PodDetail> = scene.pods(namespace).iter().filter(|pod| pod.is_selected(&own.selector)).collect();
    if pods.is_empty() {
        return Some(nobody_selected(scene, own, namespace, answered));
    }
    let waiting: Vec<String> = pods.iter().map(|pod| format!("{} is {}", pod.name, trouble(pod))).collect();
    let (next, publishes) = match own.publish_not_ready {
        true => ("see why the pods have no address: `kubectl describe pod`", " though it has publishNotReadyAddresses"),
        false => (
            "mend what keeps the pods from being ready (`kubectl describe pod`); where peers have to find each other before \
             they are ready, set `publishNotReadyAddresses: true` in the Service",
            "",
        ),
    };
    Some(Cause::new(
        format!("Service {namespace}/{service} has no ready endpoint{publishes}{answered}: {}", few(&waiting)),
        next,
    ))
}

fn nobody_selected(scene: &Scene<'_>, own: &ServiceDetail, namespace: &str, answered: &str) -> Cause {
    let selected = selector(&own.selector);
    // The labels that pods have in the place of those.
    let mut others: Vec<String> = scene
        .pods(namespace)
        .iter()
        .flat_map(|pod| own.selector.keys().filter_map(|key| Some(format!("{key}={}", pod.labels.get(key)?))))
        .collect();
    others.sort_unstable();
    others.dedup();
    let near = nearest(&selected, others.iter().map(String::as_str));
    let (there, next) = match (near.first(), others.is_empty()) {
        (Some(near), _) => {
            (format!("; pods there have {near}"), format!("correct `spec.selector` to {near}, if that was meant"))
        }
        (None, false) => {
            (format!("; pods there have {}", few(&others)), "correct `spec.selector`, or the labels of the pods".into())
        }
        (None, true) => {
            (String::new(), "start the pods, or correct `spec.selector` or the labels of the pods' template".into())
        }
    };
    Cause::new(
        format!(
            "Service {namespace}/{}: its selector {selected} selects no pod, so it has no endpoint{there}{answered}",
            own.name
        ),
        next,
    )
}

/// The cause where a label below a Service names no endpoint.
pub(super) fn no_endpoint(scene: &Scene<'_>, service: &str, namespace: &str, label: &str) -> Vec<Cause> {
    let zone = scene.zone();
    let Some(own) = scene.service(namespace, service) else { return Vec::new() };
    let listed: Vec<&EndpointDetail> = scene.endpoints(namespace, service).collect();
    if let Some(pod) =
        scene.pods(namespace).iter().find(|pod| pod.name == *label || pod.hostname.as_deref() == Some(label))
    {
        return vec![of_pod(scene, own, pod, label, namespace, &listed)];
    }
    if let Some(cause) = none_ready(scene, service, namespace) {
        return vec![cause];
    }
    let hostnames: Vec<&str> =
        listed.iter().filter(|endpoint| endpoint.ready).filter_map(|endpoint| endpoint.hostname.as_deref()).collect();
    if hostnames.is_empty() {
        let dashed: Vec<String> = listed
            .iter()
            .filter(|endpoint| endpoint.ready)
            .flat_map(|endpoint| endpoint.addresses.iter().map(|own| own.replace(['.', ':'], "-")))
            .collect();
        let owners: Vec<&str> = scene
            .pods(namespace)
            .iter()
            .filter(|pod| pod.is_selected(&own.selector))
            .filter_map(|pod| pod.owner.as_deref())
            .collect();
        let of = owners.first().map(|owner| format!(" (pods of {owner})")).unwrap_or_default();
        return vec![Cause::new(
            format!(
                "no endpoint of Service {namespace}/{service} has a hostname{of}: they are named by their addresses, {}",
                few(&dashed)
            ),
            format!(
                "ask for {service}.{namespace}.svc.{zone}, which has all of them; pods of a StatefulSet with `serviceName: \
                 {service}` have hostnames of their own"
            ),
        )];
    }
    let near = nearest(label, hostnames.iter().copied());
    let hint = near.first().map(|near| format!("; near it: {near}")).unwrap_or_default();
    vec![Cause::new(
        format!("Service {namespace}/{service} has no endpoint {label}; it has {}{hint}", few(&hostnames)),
        "scale the StatefulSet up, or correct the name",
    )]
}

/// The cause where a pod is there and its name below the Service is not.
fn of_pod(
    scene: &Scene<'_>,
    own: &ServiceDetail,
    pod: &PodDetail,
    label: &str,
    namespace: &str,
    listed: &[&EndpointDetail],
) -> Cause {
    let (service, zone, name) = (&own.name, scene.zone(), &pod.name);
    let owner = pod.owner.as_deref().unwrap_or("it");
    if let Some(other) = pod.subdomain.as_deref().filter(|other| other != service) {
        let there = match scene.has_service(namespace, other) {
            true => "that Service is there",
            false => "there is no Service of that name",
        };
        let instead = match scene.has_service(namespace, other) {
            true => format!("ask for {label}.{other}.{namespace}.svc.{zone}, or "),
            false => String::new(),
        };
        return Cause::new(
            format!(
                "pod {namespace}/{name} has its hostname below the Service that the `serviceName` of {owner} names, and that is \
                 {other}, not {service}; {there}"
            ),
            format!(
                "{instead}create a headless Service {other} with the pods' selector, or set `serviceName: {service}` (the \
                 StatefulSet has to be created anew for it)"
            ),
        );
    }
    if !pod.is_selected(&own.selector) {
        return Cause::new(
            format!(
                "pod {namespace}/{name} is there, and the selector {} of Service {service} does not select it (labels: {})",
                selector(&own.selector),
                selector(&pod.labels)
            ),
            "correct `spec.selector` of the Service, or the labels of the pods' template",
        );
    }
    if pod.hostname.is_none() || pod.subdomain.is_none() {
        let dashed: Vec<String> = pod.addresses.iter().map(|own| own.replace(['.', ':'], "-")).collect();
        return Cause::new(
            format!(
                "pod {namespace}/{name} has no hostname below the Service (no `hostname` and `subdomain` in its spec): it is \
                 named by its address, {}",
                few(&dashed)
            ),
            format!(
                "run it as a StatefulSet with `serviceName: {service}`, or set `hostname` and `subdomain: {service}` in the template"
            ),
        );
    }
    let endpoint = listed.iter().find(|endpoint| endpoint.pod.as_ref() == Some(name));
    if endpoint.is_none_or(|endpoint| !endpoint.ready) {
        let listed = if endpoint.is_some() { "" } else { ", and in no EndpointSlice" };
        return Cause::new(
            format!("pod {namespace}/{name} is {}{listed}", trouble(pod)),
            "mend what keeps it from being ready (`kubectl describe pod`); where peers have to find each other before they are \
             ready, set `publishNotReadyAddresses: true` in the Service",
        );
    }
    Cause::new(
        format!("pod {namespace}/{name} is ready by now; the event of its EndpointSlice may be on its way"),
        "ask again; when it stays so, see what the watches say below",
    )
}

/// The cause where pods name a Service as theirs that is not there.
pub(super) fn no_governing_service(
    scene: &Scene<'_>,
    service: &str,
    namespace: &str,
    label: Option<&str>,
) -> Option<Cause> {
    let pods: Vec<&PodDetail> =
        scene.pods(namespace).iter().filter(|pod| pod.subdomain.as_deref() == Some(service)).collect();
    let first = pods.iter().find(|pod| label.is_some_and(|label| pod.name == label)).or_else(|| pods.first())?;
    let owner = first.owner.clone().unwrap_or_else(|| format!("pod {}", first.name));
    let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    let labels: Vec<String> = first
        .labels
        .iter()
        .filter(|(key, _)| !key.contains("controller-revision-hash") && !key.contains("kubernetes.io/"))
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    let selecting = scene.details.get(namespace).and_then(|details| details.services.as_deref()).unwrap_or_default();
    let other = selecting.iter().find(|own| first.is_selected(&own.selector));
    let hint = other.map(|own| format!(" (Service {} selects these pods, and gives them no hostname)", own.name));
    Some(Cause::new(
        format!(
            "{owner} has `serviceName: {service}` (pods {}), and there is no Service {service} in namespace {namespace}{}",
            few(&names),
            hint.unwrap_or_default()
        ),
        format!("create it: a Service {service} with `clusterIP: None` and `selector: {{{}}}`", labels.join(", ")),
    ))
}

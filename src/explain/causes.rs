//! The causes of what is missing or unusual, each with the next step.

use std::net::IpAddr;

use super::aliases;
use super::endpoints;
use super::nearest::nearest;
use super::report::Cause;
use super::scene::{Scene, few, plain};
use crate::wire::{Name, Rcode, Rtype, is_within};
use crate::zone::{Absence, BelowParts, NameParts, Pods};

/// The causes, the nearest first.
pub fn causes(scene: &Scene<'_>) -> Vec<Cause> {
    if !scene.synced {
        return vec![Cause::new(
            "the first lists of the cluster's objects are not complete yet: what is missing may only not be known",
            "wait for /ready; when it stays so, see what the watches say below, and whether the server may list services, \
             endpointslices and namespaces",
        )];
    }
    let mut causes = match &scene.explained.parts {
        NameParts::Service { service, namespace, below } => of_service(scene, service, namespace, below),
        NameParts::Namespace(namespace) if scene.explained.is_absent() => no_namespace(scene, namespace, None),
        NameParts::Pod { label, namespace } => of_pod(scene, label, namespace),
        NameParts::Unknown(labels) => unknown(scene, labels),
        NameParts::Namespace(_) | NameParts::Reverse | NameParts::Structure => Vec::new(),
    };
    causes.extend(aliases::causes(scene));
    causes
}

/// A name below `svc`.
fn of_service(scene: &Scene<'_>, service: &str, namespace: &str, below: &BelowParts) -> Vec<Cause> {
    let zone = scene.zone();
    if let BelowParts::Deeper(labels) = below {
        let written = format!("{}.{service}", labels.join("."));
        return vec![searched(scene, &written, &format!("{namespace}.svc.{zone}"))];
    }
    if let Some(found) = carried(scene) {
        return vec![found];
    }
    if scene.explained.absence == Some(Absence::NotExposed) {
        return vec![Cause::new(
            format!("the Corefile's `namespaces` leaves {namespace} out: no name below it exists here"),
            format!("add {namespace} to `namespaces` of the kubernetes directive, or delete the option"),
        )];
    }
    if scene.explained.absence == Some(Absence::Namespace) {
        return no_namespace(scene, namespace, Some(service));
    }
    if !scene.has_service(namespace, service) {
        return no_service(scene, service, namespace, below);
    }
    let mut causes = Vec::new();
    match below {
        BelowParts::Nothing | BelowParts::Zonal | BelowParts::Deeper(_) => {}
        BelowParts::Label(label) if scene.explained.is_absent() && !label.starts_with('_') => {
            return endpoints::no_endpoint(scene, service, namespace, label);
        }
        BelowParts::Label(_) => {}
        BelowParts::Port(name, protocol) if scene.explained.is_absent() => {
            causes.extend(no_port(scene, service, namespace, name, protocol));
        }
        BelowParts::Port(..) => {}
    }
    if !matches!(below, BelowParts::Label(_)) {
        causes.extend(endpoints::none_ready(scene, service, namespace));
    }
    causes.extend(other_family(scene, service, namespace));
    causes
}

/// An answer without records of the type that was asked for.
fn other_family(scene: &Scene<'_>, service: &str, namespace: &str) -> Option<Cause> {
    let nodata = !scene.explained.is_absent() && scene.rcode == Some(Rcode::NOERROR) && scene.records == 0;
    let (asked, other, v6) = match scene.rtype {
        Rtype::A => ("IPv4", "IPv6", false),
        Rtype::AAAA => ("IPv6", "IPv4", true),
        _ => return None,
    };
    if !nodata || scene.explained.alias.is_some() {
        return None;
    }
    let has = |v6: bool| {
        scene.endpoints(namespace, service).any(|endpoint| {
            endpoint.addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok()).any(|own| own.is_ipv6() == v6)
        })
    };
    if has(v6) {
        return None;
    }
    Some(Cause::new(
        format!(
            "the name exists, with addresses of {other} alone: a query of type {} finds none of {asked} (NODATA, no error)",
            scene.rtype
        ),
        format!(
            "nothing, where clients ask for both families; else set `ipFamilyPolicy: PreferDualStack` for Service \
             {namespace}/{service} in a dual-stack cluster"
        ),
    ))
}

/// A namespace that is not there.
fn no_namespace(scene: &Scene<'_>, namespace: &str, service: Option<&str>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let near = nearest(namespace, scene.namespaces.iter().map(String::as_str));
    let hint = if near.is_empty() { String::new() } else { format!("; near it: {}", few(&near)) };
    causes.push(Cause::new(
        format!("there is no namespace {namespace} here{hint}"),
        "correct the namespace, the label before `svc`; where it is there, `namespace_labels` of the Corefile leaves it out",
    ));
    if let Some(service) = service {
        causes.extend(elsewhere(scene, service, namespace));
    }
    causes
}

/// The same Service in other namespaces.
fn elsewhere(scene: &Scene<'_>, service: &str, namespace: &str) -> Option<Cause> {
    let found = scene.elsewhere(namespace, service);
    let first = found.first()?;
    Some(Cause::new(
        format!("a Service of the name {service} is in another namespace: {}", few(&found)),
        format!("ask for {service}.{first} (whole: {service}.{first}.svc.{})", scene.zone()),
    ))
}

/// A Service that is not there.
fn no_service(scene: &Scene<'_>, service: &str, namespace: &str, below: &BelowParts) -> Vec<Cause> {
    let mut causes = Vec::new();
    let label = if let BelowParts::Label(label) = below { Some(label.as_str()) } else { None };
    causes.extend(endpoints::no_governing_service(scene, service, namespace, label));
    causes.extend(elsewhere(scene, service, namespace));
    let own = scene.services.iter().filter(|(within, _)| within == namespace);
    let own: Vec<&str> = own.map(|(_, name)| name.as_str()).collect();
    let near = nearest(service, own.iter().copied());
    if let Some(first) = near.first() {
        causes.push(Cause::new(
            format!("namespace {namespace} has no Service {service}; near it: {}", few(&near)),
            format!("ask for {first}.{namespace}.svc.{}, if that was meant", scene.zone()),
        ));
    }
    if causes.is_empty() {
        let there = if own.is_empty() { "it has none at all".to_owned() } else { format!("it has {}", few(&own)) };
        causes.push(Cause::new(
            format!("namespace {namespace} has no Service {service}: {there}"),
            format!(
                "create the Service, or correct the name; `kubectl get services --namespace {namespace}` lists them"
            ),
        ));
    }
    causes
}

/// A port or protocol that is not there.
fn no_port(scene: &Scene<'_>, service: &str, namespace: &str, name: &str, protocol: &str) -> Vec<Cause> {
    let Some(own) = scene.service(namespace, service) else { return Vec::new() };
    let zone = scene.zone();
    let named: Vec<String> = own
        .ports
        .iter()
        .filter_map(|port| Some(format!("_{}._{}", port.name.as_ref()?, port.protocol.to_lowercase())))
        .collect();
    let unnamed: Vec<String> = own
        .ports
        .iter()
        .filter(|port| port.name.is_none())
        .map(|port| format!("{}/{}", port.number, port.protocol))
        .collect();
    let other = own.ports.iter().find(|port| port.name.as_deref() == Some(name));
    if let Some(other) = other.filter(|port| !port.protocol.eq_ignore_ascii_case(protocol)) {
        let right = other.protocol.to_lowercase();
        return vec![Cause::new(
            format!(
                "port {name} of Service {namespace}/{service} speaks {}, not {}",
                other.protocol,
                protocol.to_uppercase()
            ),
            format!("ask for _{name}._{right}.{service}.{namespace}.svc.{zone}"),
        )];
    }
    if other.is_some() {
        // The port is right, so it is the endpoints that are not there.
        return Vec::new();
    }
    if named.is_empty() {
        let ports =
            if unnamed.is_empty() { "it has no port".to_owned() } else { format!("{} has no name", few(&unnamed)) };
        return vec![Cause::new(
            format!(
                "Service {namespace}/{service} has no port of the name {name}: {ports} (an unnamed port has no name below _{protocol})"
            ),
            format!(
                "give the port the name {name} in the Service (`ports: [{{name: {name}, …}}]`), or ask for SRV of the Service itself"
            ),
        )];
    }
    let mut have = named.clone();
    have.extend(unnamed.iter().map(|port| format!("{port} without a name")));
    let near = nearest(name, own.ports.iter().filter_map(|port| port.name.as_deref()));
    let hint = near.first().map(|near| format!("; near it: {near}")).unwrap_or_default();
    vec![Cause::new(
        format!("Service {namespace}/{service} has no port of the name {name}; it has {}{hint}", few(&have)),
        format!("ask for {}.{service}.{namespace}.svc.{zone}", named.first().map_or("", String::as_str)),
    )]
}

/// A name of a pod's address.
fn of_pod(scene: &Scene<'_>, label: &str, namespace: &str) -> Vec<Cause> {
    if !scene.explained.is_absent() {
        return Vec::new();
    }
    if scene.explained.absence == Some(Absence::Namespace) {
        return no_namespace(scene, namespace, None);
    }
    match scene.pods {
        Pods::Disabled => vec![Cause::new(
            "the Corefile's kubernetes directive has no `pods`: names of pods' addresses do not exist",
            "set `pods insecure`, as CoreDNS's default has it, or `pods verified`",
        )],
        Pods::Verified => {
            let pods: Vec<String> = scene
                .pods(namespace)
                .iter()
                .filter(|pod| !pod.is_finished())
                .flat_map(|pod| pod.addresses.iter().map(move |own| format!("{} ({own})", pod.name)))
                .collect();
            let there = if pods.is_empty() { "none is known there".to_owned() } else { few(&pods) };
            vec![Cause::new(
                format!(
                    "`pods verified`: no pod of namespace {namespace} has the address that {label} stands for; pods there: {there}"
                ),
                "ask for a pod's present address, or for the Service that selects it: addresses change when pods do",
            )]
        }
        Pods::Insecure => vec![Cause::new(
            format!("{label} stands for no address: it takes 10-1-2-3 for 10.1.2.3"),
            "write the address with dashes",
        )],
    }
}

/// A name below the zone that is of no kind.
fn unknown(scene: &Scene<'_>, labels: &[String]) -> Vec<Cause> {
    if let Some(found) = carried(scene) {
        return vec![found];
    }
    let zone = scene.zone();
    let mut causes = Vec::new();
    // `web.prod.cluster.local`, with whatever stands left of it.
    if let [left @ .., service, namespace] = labels
        && (scene.has_service(namespace, service) || scene.has_namespace(namespace))
    {
        let head: String = left.iter().map(|label| format!("{label}.")).collect();
        let is =
            if scene.has_service(namespace, service) { "that Service is there" } else { "that namespace is there" };
        causes.push(Cause::new(
            format!("`svc` is left out: {head}{service}.{namespace}.svc.{zone} is the name of a Service; {is}"),
            format!("ask for {head}{service}.{namespace}.svc.{zone}, or for {head}{service}.{namespace} in a pod"),
        ));
    }
    if let [only] = labels {
        let found = scene.elsewhere("", only);
        if let Some(first) = found.first() {
            causes.push(Cause::new(
                format!("namespace and `svc` are left out: a Service of the name {only} is in {}", few(&found)),
                format!("ask for {only}.{first}.svc.{zone}"),
            ));
        }
    }
    if causes.is_empty() {
        causes.push(searched(scene, &labels.join("."), &zone));
    }
    causes
}

/// A name that ends in a suffix of the search list behind a name that was whole already.
fn carried(scene: &Scene<'_>) -> Option<Cause> {
    let labels: Vec<&[u8]> = scene.name.labels().collect();
    let zone = scene.explained.zone.labels().count();
    let left = labels.len().checked_sub(zone)?;
    let at = (1..left).rev().find(|at| {
        let head = labels.get(..*at).unwrap_or_default().iter().copied();
        Name::from_labels(head)
            .is_ok_and(|head| is_within(head.as_wire(), scene.explained.zone.as_wire()) && head != scene.explained.zone)
    })?;
    let text = |labels: &[&[u8]]| {
        labels.iter().map(|label| String::from_utf8_lossy(label).into_owned()).collect::<Vec<_>>().join(".")
    };
    let (written, suffix) = labels.split_at(at);
    Some(searched(scene, &text(written), &text(suffix)))
}

/// A resolver went through its search list.
fn searched(scene: &Scene<'_>, written: &str, suffix: &str) -> Cause {
    let whole = written.ends_with(&scene.zone());
    let what = if whole { "which is a whole name" } else { "which names nothing of the cluster" };
    Cause::new(
        format!(
            "the name is {written}, {what}, with {suffix} of a pod's search list behind it: resolvers try that for names \
             with fewer than 5 dots (ndots:5), and then the name itself"
        ),
        format!(
            "ask for {written}. with a dot at its end, which saves the search, or set a smaller ndots in the pod's dnsConfig"
        ),
    )
}

/// A cause for a name that lies in no zone of the cluster: the names that a pod's search list would make of it.
pub fn outside(written: &str, completed: &[&Name], zone: &str) -> Vec<Cause> {
    completed
        .iter()
        .take(1)
        .map(|name| {
            Cause::new(
                format!(
                    "{written} is no whole name: in a pod, the search list makes {} of it, which is there",
                    plain(name)
                ),
                format!(
                    "ask for {}; or say for which namespace it is asked: -n NAMESPACE (names end in {zone})",
                    plain(name)
                ),
            )
        })
        .collect()
}

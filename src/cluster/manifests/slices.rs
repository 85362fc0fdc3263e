//! Stands in for the controller of EndpointSlices: the endpoints of Services that select pods.

use std::net::IpAddr;

use super::objects::{PodObject, ServiceObject, TargetPort};
use super::selection::Selection;
use crate::cluster::facts::{EndpointFact, Family, ObjectKey, ServiceSpec, SliceFact};
use crate::wire::Label;
use crate::zone::Port;

/// The slices of one Service: one for each family and each resolution of its named target ports.
pub(super) fn derive(service: &ServiceObject, pods: &Selection<'_, PodObject>, version: u64) -> Vec<SliceFact> {
    if matches!(service.fact.spec, ServiceSpec::ExternalName(_)) || service.selector.is_empty() {
        return Vec::new();
    }
    let key = &service.meta.key;
    let mut slices: Vec<SliceFact> = Vec::new();
    for pod in pods.selected(&key.namespace, &service.selector) {
        let ports = resolve_ports(service, pod);
        for v6 in [false, true] {
            let Some(&address) = pod.addresses.iter().find(|address| address.is_ipv6() == v6) else { continue };
            if !wants_family(service, pod, v6) {
                continue;
            }
            let endpoint = EndpointFact {
                addresses: [address].into(),
                hostname: hostname(service, pod),
                pod: Label::new(pod.meta.key.name.as_bytes()).ok(),
                // A pod that is going counts as ready only where readiness does not count at all.
                ready: service.publish_not_ready || (pod.ready && !pod.meta.deleting),
                zone: None,
            };
            let family = if v6 { Family::V6 } else { Family::V4 };
            match slices.iter_mut().find(|slice| slice.family == family && slice.ports == ports) {
                Some(slice) => slice.endpoints.push(endpoint),
                None => {
                    let slice = empty(service, family, &slices, version);
                    slices.push(SliceFact { ports: ports.clone(), endpoints: vec![endpoint], ..slice });
                }
            }
        }
    }
    // The controller leaves an empty slice where it finds no pods, so that the last ones go by an update.
    let families = if service.families.is_empty() { &[false] } else { service.families.as_slice() };
    for family in families.iter().map(|&v6| if v6 { Family::V6 } else { Family::V4 }) {
        if !slices.iter().any(|slice| slice.family == family) {
            slices.push(empty(service, family, &slices, version));
        }
    }
    slices
}

/// A slice under the next name of its family.
fn empty(service: &ServiceObject, family: Family, others: &[SliceFact], version: u64) -> SliceFact {
    let key = &service.meta.key;
    let number = others.iter().filter(|slice| slice.family == family).count();
    let v = if family == Family::V6 { "v6" } else { "v4" };
    SliceFact {
        key: ObjectKey::new(&key.namespace, &format!("{}-from-pods-{v}-{number}", key.name)),
        version,
        service: key.name.clone(),
        family,
        ports: Vec::new(),
        endpoints: Vec::new(),
        aliases: Vec::new(),
        triggered: None,
    }
}

/// The families that the Service has: as said, else those of its ClusterIPs, else the first of the pod.
fn wants_family(service: &ServiceObject, pod: &PodObject, v6: bool) -> bool {
    if !service.families.is_empty() {
        return service.families.contains(&v6);
    }
    match service.addresses() {
        Some(addresses) if !addresses.is_empty() => addresses.iter().any(|address| address.is_ipv6() == v6),
        _ => pod.addresses.first().is_some_and(|address: &IpAddr| address.is_ipv6() == v6),
    }
}

/// A pod has a hostname below the Service that its `subdomain` names (Kubernetes DNS 2.4.1), and only there.
fn hostname(service: &ServiceObject, pod: &PodObject) -> Option<Label> {
    let hostname = pod.spec.hostname.as_ref()?;
    let below = pod.spec.subdomain.as_deref() == Some(&*service.meta.key.name);
    if below { Label::new(hostname.as_bytes()).ok() } else { None }
}

/// The ports of the Service as this pod has them; a named target port that it lacks is left out.
fn resolve_ports(service: &ServiceObject, pod: &PodObject) -> Vec<Port> {
    let resolve = |target: &TargetPort, port: &Port| match target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => pod
            .spec
            .ports
            .iter()
            .find(|(own, protocol, _)| own.as_ref() == Some(name) && *protocol == port.protocol)
            .map(|(_, _, number)| *number),
    };
    let ports = service.ports.iter();
    let ports = ports.filter_map(|own| Some(Port { number: resolve(&own.target, &own.port)?, ..own.port.clone() }));
    let mut ports: Vec<Port> = ports.collect();
    ports.sort_unstable();
    ports
}

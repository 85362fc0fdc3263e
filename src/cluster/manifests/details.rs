//! The objects of one namespace with what the index does not keep, of manifests.

use super::objects::Objects;
use crate::cluster::details::{Details, EndpointDetail, LabelMap, PodDetail, PortDetail, ServiceDetail, selects};
use crate::cluster::facts::{ServiceSpec, SliceFact};
use crate::zone::Port;

/// Everything that manifests say of every namespace, for people who ask.
#[derive(Clone, Debug, Default)]
pub(super) struct AllDetails {
    services: Vec<(Box<str>, ServiceDetail)>,
    endpoints: Vec<(Box<str>, EndpointDetail)>,
    pods: Vec<(Box<str>, PodDetail)>,
    /// Kind and name of a workload, and the labels that it selects.
    workloads: Vec<(Box<str>, (String, LabelMap))>,
}

impl AllDetails {
    /// Of objects, the stand-ins among them, and of the slices that are served.
    pub(super) fn of(objects: &Objects, slices: &[SliceFact]) -> Self {
        let services = objects.services.iter().map(|service| {
            let detail = ServiceDetail {
                name: service.meta.key.name.to_string(),
                selector: service.selector.clone(),
                ports: service.ports.iter().map(|own| port(&own.port)).collect(),
                external_name: match &service.fact.spec {
                    ServiceSpec::ExternalName(Some(name)) => Some(name.to_string()),
                    ServiceSpec::ExternalName(None) => Some("an IP address".to_owned()),
                    ServiceSpec::ClusterIp { .. } | ServiceSpec::Headless { .. } => None,
                },
                headless: service.is_headless(),
                publish_not_ready: service.publish_not_ready,
            };
            (service.meta.key.namespace.clone(), detail)
        });
        let endpoints = slices.iter().flat_map(|slice| {
            slice.endpoints.iter().map(|endpoint| {
                let detail = EndpointDetail {
                    service: slice.service.to_string(),
                    slice: slice.key.name.to_string(),
                    addresses: endpoint.addresses.iter().map(ToString::to_string).collect(),
                    hostname: endpoint.hostname.as_ref().map(ToString::to_string),
                    pod: endpoint.pod.as_ref().map(ToString::to_string),
                    ready: endpoint.ready,
                    serving: endpoint.ready,
                    terminating: false,
                };
                (slice.key.namespace.clone(), detail)
            })
        });
        let pods = objects.pods.iter().map(|pod| {
            let namespace = &pod.meta.key.namespace;
            let detail = PodDetail {
                name: pod.meta.key.name.to_string(),
                labels: pod.meta.labels.clone(),
                hostname: pod.spec.hostname.clone(),
                subdomain: pod.spec.subdomain.clone(),
                owner: None,
                phase: if pod.finished { "Succeeded".to_owned() } else { String::new() },
                addresses: pod.addresses.iter().map(ToString::to_string).collect(),
                ready: pod.ready,
                trouble: if pod.ready { Vec::new() } else { vec!["the manifest says not ready".to_owned()] },
                deleting: pod.meta.deleting,
            };
            (namespace.clone(), detail)
        });
        let workloads = objects.workloads.iter().map(|own| {
            let name = format!("{} {}", own.kind.name(), own.meta.key.name);
            (own.meta.key.namespace.clone(), (name, own.selector.clone()))
        });
        Self {
            services: services.collect(),
            endpoints: endpoints.collect(),
            pods: pods.collect(),
            workloads: workloads.collect(),
        }
    }

    /// Those of one namespace.
    pub(super) fn within(&self, namespace: &str) -> Details {
        fn own<T: Clone>(all: &[(Box<str>, T)], namespace: &str) -> Vec<T> {
            all.iter().filter(|(within, _)| **within == *namespace).map(|(_, detail)| detail.clone()).collect()
        }
        let workloads = own(&self.workloads, namespace);
        let mut pods = own(&self.pods, namespace);
        for pod in &mut pods {
            let made = workloads.iter().find(|(_, selector)| selects(selector, &pod.labels));
            pod.owner = made.map(|(name, _)| name.clone());
        }
        Details {
            services: Some(own(&self.services, namespace)),
            endpoints: Some(own(&self.endpoints, namespace)),
            pods: Some(pods),
            gaps: Vec::new(),
        }
    }
}

fn port(port: &Port) -> PortDetail {
    PortDetail {
        name: port.name.as_ref().map(ToString::to_string),
        protocol: String::from_utf8_lossy(port.protocol.label()).to_uppercase(),
        number: port.number,
    }
}

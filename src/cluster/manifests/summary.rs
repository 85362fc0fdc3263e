//! What a local cluster serves, in lines for people.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::objects::{Objects, ServiceType};
use crate::cluster::facts::SliceFact;
use crate::wire::Name;

/// What is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The namespaces that exist.
    pub namespaces: Vec<String>,
    /// The Services, by namespace and name.
    pub services: Vec<ServiceSummary>,
}

/// One Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSummary {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `headless`, `ClusterIP` with the addresses, or `ExternalName` with the target.
    pub kind: String,
    /// Whether it is headless.
    pub headless: bool,
    /// Its endpoints, by name.
    pub endpoints: Vec<EndpointSummary>,
}

/// One endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointSummary {
    /// The hostname, else the name of the pod.
    pub name: Option<String>,
    /// Its address.
    pub address: IpAddr,
    /// Whether it is ready, so that it is answered.
    pub ready: bool,
}

impl Summary {
    pub(super) fn of(namespaces: &BTreeSet<&str>, objects: &Objects, slices: &[SliceFact]) -> Self {
        let mut endpoints: HashMap<(&str, &str), Vec<EndpointSummary>> = HashMap::new();
        for slice in slices {
            let list = endpoints.entry((&slice.key.namespace, &slice.service)).or_default();
            for endpoint in &slice.endpoints {
                let name = endpoint.hostname.as_ref().or(endpoint.pod.as_ref()).map(ToString::to_string);
                list.extend(endpoint.addresses.iter().map(|&address| EndpointSummary {
                    name: name.clone(),
                    address,
                    ready: endpoint.ready,
                }));
            }
        }
        let services = objects.services.iter().map(|service| {
            let key = &service.meta.key;
            let mut endpoints = endpoints.remove(&(&*key.namespace, &*key.name)).unwrap_or_default();
            endpoints.sort();
            endpoints.dedup();
            let kind = match &service.kind {
                ServiceType::ClusterIp(addresses) => {
                    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                    format!("ClusterIP {}", addresses.join(" "))
                }
                ServiceType::Headless => "headless".into(),
                ServiceType::ExternalName(Some(name)) => format!("ExternalName {name}"),
                ServiceType::ExternalName(None) => "ExternalName, but no name".into(),
            };
            ServiceSummary {
                namespace: key.namespace.as_ref().into(),
                name: key.name.as_ref().into(),
                kind,
                headless: service.kind == ServiceType::Headless,
                endpoints,
            }
        });
        let mut services: Vec<_> = services.collect();
        services.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Self { namespaces: namespaces.iter().map(|&name| name.into()).collect(), services }
    }

    /// Commands to try: the peers of the first headless Service that has any, and one peer; else any Service.
    pub fn dig_lines(&self, listen: SocketAddr, zone: &Name) -> Vec<String> {
        let zone = zone.to_string();
        let zone = zone.trim_end_matches('.');
        let dig = format!("dig @{} -p {}", listen.ip(), listen.port());
        let is_ready = |endpoint: &&EndpointSummary| endpoint.ready;
        let headless = self.services.iter().filter(|service| service.headless);
        let peers = headless.filter_map(|service| Some((service, service.endpoints.iter().find(is_ready)?))).next();
        let Some((service, peer)) = peers else {
            let first =
                self.services.iter().map(|service| format!("{dig} {}.{}.svc.{zone}", service.name, service.namespace));
            return first.take(1).collect();
        };
        let name = format!("{}.{}.svc.{zone}", service.name, service.namespace);
        let mut lines = vec![format!("{dig} SRV {name}")];
        lines.extend(peer.name.as_ref().map(|peer| format!("{dig} {peer}.{name} +short")));
        lines
    }
}

impl fmt::Display for Summary {
    /// One line for each Service, one below it for each endpoint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for service in &self.services {
            writeln!(f, "{}.{}.svc  {}", service.name, service.namespace, service.kind)?;
            for endpoint in &service.endpoints {
                let name = endpoint.name.as_deref().unwrap_or("-");
                let ready = if endpoint.ready { "" } else { "  not ready" };
                writeln!(f, "    {name}  {}{ready}", endpoint.address)?;
            }
        }
        Ok(())
    }
}

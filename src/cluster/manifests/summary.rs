//! The summary of a local cluster, in lines for people.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::objects::Objects;
use crate::cluster::facts::{ServiceSpec, SliceFact};
use crate::wire::Name;

/// More lines than this nobody reads after an edit.
const MOST: usize = 40;

/// The namespaces and Services that are served.
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
    /// Its virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether its name has an answer whether or not it has endpoints.
    pub answered: bool,
    /// Whether an SRV query for its name finds ready endpoints.
    pub srv: bool,
    /// Its endpoints, by name.
    pub endpoints: Vec<EndpointSummary>,
}

/// One endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointSummary {
    /// The hostname, else the name of the pod.
    pub name: Option<String>,
    /// Its address.
    pub address: IpAddr,
    /// Whether it is ready, so that it is answered.
    pub ready: bool,
    /// Whether its name is a hostname, which has an answer of its own below the Service.
    pub hostname: bool,
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
                    hostname: endpoint.hostname.is_some(),
                }));
            }
        }
        let srv: HashSet<(&str, &str)> = slices
            .iter()
            .filter(|slice| !slice.ports.is_empty() && slice.endpoints.iter().any(|endpoint| endpoint.ready))
            .map(|slice| (&*slice.key.namespace, &*slice.service))
            .collect();
        let services = objects.services.iter().map(|service| {
            let key = &service.meta.key;
            let mut endpoints = endpoints.remove(&(&*key.namespace, &*key.name)).unwrap_or_default();
            endpoints.sort_by(|a, b| (natural(a), a).cmp(&(natural(b), b)));
            endpoints.dedup();
            let kind = match &service.fact.spec {
                ServiceSpec::ClusterIp { addresses, .. } => {
                    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                    format!("ClusterIP {}", addresses.join(" "))
                }
                ServiceSpec::Headless { .. } => "headless".into(),
                ServiceSpec::ExternalName(Some(name)) => format!("ExternalName {name}"),
                ServiceSpec::ExternalName(None) => "ExternalName, but no name".into(),
            };
            ServiceSummary {
                namespace: key.namespace.as_ref().into(),
                name: key.name.as_ref().into(),
                kind,
                headless: service.is_headless(),
                addresses: service.addresses().unwrap_or_default().to_vec(),
                answered: !matches!(service.fact.spec, ServiceSpec::Headless { .. } | ServiceSpec::ExternalName(None)),
                srv: srv.contains(&(&*key.namespace, &*key.name)),
                endpoints,
            }
        });
        let mut services: Vec<_> = services.collect();
        services.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Self { namespaces: namespaces.iter().map(|&name| name.into()).collect(), services }
    }

    /// Lines for all that has come (`+`) and gone (`-`) since then; the first few of many.
    pub fn changes(&self, before: &Self) -> String {
        let key = |service: &ServiceSummary| (service.namespace.clone(), service.name.clone());
        let old: BTreeMap<_, _> = before.services.iter().map(|service| (key(service), service)).collect();
        let new: BTreeMap<_, _> = self.services.iter().map(|service| (key(service), service)).collect();
        let mut lines = Vec::new();
        let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for key in keys {
            let (old, new) = (old.get(key).copied(), new.get(key).copied());
            if old == new {
                continue;
            }
            let (own, theirs) = (old.map(ServiceSummary::head), new.map(ServiceSummary::head));
            if own == theirs {
                lines.extend(own.map(|head| format!("  {head}")));
            } else {
                lines.extend(own.map(|head| format!("- {head}")));
                lines.extend(theirs.map(|head| format!("+ {head}")));
            }
            let of = |service: Option<&'_ ServiceSummary>| service.map_or_else(Vec::new, |own| own.endpoints.clone());
            let (old, new) = (of(old), of(new));
            let only = |these: &[EndpointSummary], those: &[EndpointSummary], sign: char| {
                let those: HashSet<_> = those.iter().collect();
                let lines = these.iter().filter(|own| !those.contains(own)).map(|own| format!("{sign}     {own}"));
                lines.collect::<Vec<_>>()
            };
            lines.extend(only(&old, &new, '-'));
            lines.extend(only(&new, &old, '+'));
        }
        let more = lines.len().saturating_sub(MOST);
        lines.truncate(MOST);
        if more > 0 {
            lines.push(format!("  and {more} lines more"));
        }
        lines.into_iter().map(|line| line + "\n").collect()
    }

    /// Commands to try, each of which has an answer: the peers of a headless Service, by SRV where it has a port, and one
    /// peer by its own name where it has one; else any Service.
    pub fn dig_lines(&self, listen: SocketAddr, zone: &Name) -> Vec<String> {
        let zone = zone.to_string();
        let zone = zone.trim_end_matches('.');
        let dig = match listen.port() {
            53 => format!("dig @{}", listen.ip()),
            port => format!("dig @{} -p {port}", listen.ip()),
        };
        let Some((service, peer)) = self.example() else { return Vec::new() };
        let name = format!("{}.{}.svc.{zone}", service.name, service.namespace);
        let of = |address: Option<IpAddr>| if address.is_some_and(|address| address.is_ipv6()) { " AAAA" } else { "" };
        let Some(peer) = peer else {
            return vec![format!("{dig}{} {name} +short", of(service.addresses.first().copied()))];
        };
        let mut lines = Vec::new();
        if service.srv {
            lines.push(format!("{dig} SRV {name}"));
        }
        let named = peer.name.as_ref().filter(|_| peer.hostname);
        let name = named.map_or_else(|| name.clone(), |peer| format!("{peer}.{name}"));
        lines.push(format!("{dig}{} {name} +short", of(Some(peer.address))));
        lines
    }

    /// The Service that shows most, and of a headless one a peer.
    fn example(&self) -> Option<(&ServiceSummary, Option<&EndpointSummary>)> {
        let headless = self.services.iter().filter(|service| service.headless).filter_map(|service| {
            let ready = || service.endpoints.iter().filter(|endpoint| endpoint.ready);
            Some((service, ready().find(|endpoint| endpoint.hostname).or_else(|| ready().next())?))
        });
        // The first of the best, since `max_by_key` takes the last.
        let best = headless.rev().max_by_key(|(service, peer)| (peer.hostname, service.srv));
        let other = || {
            let answered = self.services.iter().filter(|service| !service.headless && service.answered);
            answered.min_by_key(|service| service.addresses.is_empty())
        };
        best.map(|(service, peer)| (service, Some(peer))).or_else(|| Some((other()?, None)))
    }
}

/// The key by which a person sorts: `kubia-2` comes before `kubia-10`.
fn natural(endpoint: &EndpointSummary) -> (Option<&str>, Option<u32>) {
    let Some(name) = endpoint.name.as_deref() else { return (None, None) };
    match name.rsplit_once('-').and_then(|(stem, ordinal)| Some((stem, ordinal.parse().ok()?))) {
        Some((stem, ordinal)) => (Some(stem), Some(ordinal)),
        None => (Some(name), None),
    }
}

impl ServiceSummary {
    fn head(&self) -> String {
        format!("{}.{}.svc  {}", self.name, self.namespace, self.kind)
    }
}

impl fmt::Display for EndpointSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ready = if self.ready { "" } else { "  not ready" };
        write!(f, "{}  {}{ready}", self.name.as_deref().unwrap_or("-"), self.address)
    }
}

impl fmt::Display for Summary {
    /// One line for each Service, one below it for each endpoint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for service in &self.services {
            writeln!(f, "{}", service.head())?;
            for endpoint in &service.endpoints {
                writeln!(f, "    {endpoint}")?;
            }
        }
        Ok(())
    }
}

//! What a name of an outside zone is in the cluster.

use std::net::IpAddr;
use std::sync::Arc;

use crate::chain::{Choice, Query};
use crate::wire::{Label, Name};
use crate::zone::{External, Pointer, Service, ServiceKind, ServiceName, View};

/// A Service that is reached from outside, or one of its ports.
pub(super) struct Hosts<'n> {
    pub(super) external: Arc<External>,
    /// The name that has the addresses, for SRV records.
    pub(super) owner: Name,
    /// The port and its protocol, without underscores.
    pub(super) port: Option<(&'n [u8], &'n [u8])>,
}

/// What a name is.
pub(super) enum Named<'n> {
    /// One that exists and has no records.
    Empty,
    /// A Service that is reached from outside.
    Hosts(Hosts<'n>),
    /// One of a Service that is not: its endpoints may be told, where they are.
    Endpoints,
}

/// What a name is; `None` where it does not exist.
pub(super) fn look_up<'n>(view: &View, zone: &Name, name: &'n Name) -> Option<Named<'n>> {
    let labels: Vec<&[u8]> = name.labels().collect();
    let own = labels.get(..labels.len().checked_sub(zone.labels().count())?)?;
    let (namespace, own) = own.split_last()?;
    if !is_exposed(view, namespace) {
        return None;
    }
    let Some((service, own)) = own.split_last() else { return Some(Named::Empty) };
    let port = match own {
        [] | [_] => None,
        [port, protocol] => Some((plain(port), plain(protocol))),
        _ => return None,
    };
    let key = ServiceName::new(&Label::new(service).ok()?, &Label::new(namespace).ok()?);
    // As in CoreDNS, a label before a Service with outside addresses changes nothing.
    let Some(external) = view.reader.external(&key) else { return Some(Named::Endpoints) };
    external.ports(port)?;
    Some(Named::Hosts(Hosts { owner: owner(&external.name, zone)?, external, port }))
}

/// The names of the Services that are reached from outside at an address, as many as the answer can hold.
pub(super) fn look_up_address(view: &View, zone: &Name, address: IpAddr, query: &Query) -> Choice<Name> {
    let all = view.reader.reached(address);
    let Choice { records, all } = match &view.namespaces {
        None => query.some_of(&all),
        Some(_) => {
            let shown = all.iter().filter(|name| is_exposed(view, name.namespace()));
            query.some_of(&shown.cloned().collect::<Vec<_>>())
        }
    };
    Choice { records: records.iter().filter_map(|name| owner(name, zone)).collect(), all }
}

/// The addresses by which this server is reached from outside; its own where no endpoint has them.
pub(super) fn servers(view: &View, headless: bool) -> Vec<IpAddr> {
    let (mut addresses, mut is_endpoint) = (Vec::new(), false);
    for own in &view.local {
        let services: Vec<ServiceName> = match view.reader.pointer(*own).filter(|_| view.reader.has_endpoints()) {
            Some(Pointer::Endpoint(_, service)) => vec![service],
            Some(Pointer::Endpoints(all)) => all.iter().map(|(_, service)| service.clone()).collect(),
            Some(Pointer::Shared(shared)) => shared.endpoints.iter().map(|(_, service)| service.clone()).collect(),
            Some(Pointer::Service(_)) | None => Vec::new(),
        };
        for name in services {
            is_endpoint = true;
            match (view.reader.external(&name), view.reader.service(&name)) {
                (_, Some(service)) if headless && is_headless(&service) => {
                    addresses.extend(service.endpoints.iter().flat_map(|(_, state)| state.addresses));
                }
                (Some(external), _) => addresses.extend([false, true].iter().flat_map(|&v6| external.addresses(v6))),
                _ => {}
            }
        }
    }
    if !is_endpoint {
        addresses.clone_from(&view.local);
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn is_exposed(view: &View, namespace: &[u8]) -> bool {
    let listed = view.namespaces.as_ref().is_none_or(|set| set.iter().any(|label| label.as_bytes() == namespace));
    listed && view.reader.has_namespace(namespace)
}

fn is_headless(service: &Service) -> bool {
    matches!(service.kind, ServiceKind::Headless | ServiceKind::Alias(_))
}

/// `SERVICE.NAMESPACE.ZONE`.
fn owner(service: &ServiceName, zone: &Name) -> Option<Name> {
    Name::from_labels([service.service(), service.namespace()].into_iter().chain(zone.labels())).ok()
}

fn plain(label: &[u8]) -> &[u8] {
    label.strip_prefix(b"_").unwrap_or(label)
}

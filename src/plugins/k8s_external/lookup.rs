//! What a name of an outside zone is in the cluster.

use std::net::IpAddr;

use crate::wire::{Label, Name};
use crate::zone::{External, ExternalHost, Pointer, Port, Service, ServiceKind, ServiceName, View};

/// One port at one host of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) host: ExternalHost,
    /// `None` for a Service without ports.
    pub(super) port: Option<u16>,
    /// The name that has the address, for SRV records.
    pub(super) owner: Name,
}

/// What a name is.
pub(super) enum Named {
    /// One that exists and has no records.
    Empty,
    /// A Service that is reached from outside.
    Hosts(Vec<Found>),
    /// One of a Service that is not: its endpoints may be told, where they are.
    Endpoints,
}

/// What a name is; `None` where it does not exist.
pub(super) fn look_up(view: &View, zone: &Name, name: &Name) -> Option<Named> {
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
    let found = of_external(&external, zone, port);
    (!found.is_empty()).then_some(Named::Hosts(found))
}

/// The names of the Services that have an address from outside.
pub(super) fn look_up_address(view: &View, zone: &Name, address: IpAddr) -> Vec<Name> {
    let mut all = view.reader.externals();
    all.retain(|external| {
        external.hosts.contains(&ExternalHost::Address(address))
            && view.namespaces.as_ref().is_none_or(|_| is_exposed(view, external.name.namespace()))
    });
    let mut names: Vec<Name> = all.iter().filter_map(|external| owner(&external.name, zone, None)).collect();
    names.sort_by(|one, other| one.as_wire().cmp(other.as_wire()));
    names
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
                (Some(external), _) => addresses.extend(external.hosts.iter().filter_map(|host| match host {
                    ExternalHost::Address(address) => Some(*address),
                    ExternalHost::Name(_) => None,
                })),
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

fn of_external(external: &External, zone: &Name, port: Option<(&[u8], &[u8])>) -> Vec<Found> {
    let Some(owner) = owner(&external.name, zone, None) else { return Vec::new() };
    let mut ports: Vec<Option<u16>> =
        external.ports.iter().filter(|own| is_wanted(own, port)).map(|own| Some(own.number)).collect();
    if external.ports.is_empty() && port.is_none() {
        ports.push(None);
    }
    let each = |host: &ExternalHost| {
        let (host, owner) = (host.clone(), owner.clone());
        ports
            .iter()
            .map(move |port| Found { host: host.clone(), port: *port, owner: owner.clone() })
            .collect::<Vec<_>>()
    };
    external.hosts.iter().flat_map(each).collect()
}

fn is_wanted(own: &Port, wanted: Option<(&[u8], &[u8])>) -> bool {
    wanted.is_none_or(|(name, protocol)| {
        own.protocol.label() == protocol && own.name.as_ref().is_some_and(|own| own.as_bytes() == name)
    })
}

/// `[ENDPOINT.]SERVICE.NAMESPACE.ZONE`.
fn owner(service: &ServiceName, zone: &Name, endpoint: Option<&Label>) -> Option<Name> {
    let endpoint = endpoint.into_iter().map(Label::as_bytes);
    let labels = endpoint.chain([service.service(), service.namespace()]).chain(zone.labels());
    Name::from_labels(labels).ok()
}

fn plain(label: &[u8]) -> &[u8] {
    label.strip_prefix(b"_").unwrap_or(label)
}

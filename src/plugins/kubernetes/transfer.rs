//! All names of a cluster as records, for zone transfers.

use std::net::IpAddr;

use super::super::names;
use crate::wire::message::{self, Asked, Message, MessageName, RData, Record, RecordType, rdata};
use crate::wire::{self, Name, Parsed};
use crate::zone::{self, Answered, Import, ImportKind, Port, Service, ServiceKind, ServiceName, View};

/// The records of a zone, the SOA first; nothing when the zone is not one of the view's zones of names.
pub(super) fn records(view: &View, zone: &MessageName) -> Option<Vec<Record>> {
    let wire = names::to_wire(zone);
    if !view.zones.contains(&wire) || super::is_reverse(&wire) || !view.reader.is_synced() {
        return None;
    }
    let mut records = ask(view, zone, RecordType::SOA)?.answers;
    let mut servers = ask(view, zone, RecordType::NS)?;
    records.append(&mut servers.answers);
    for mut address in servers.additionals {
        address.ttl = 0;
        records.push(address);
    }
    if view.multicluster.contains(&wire) {
        let mut imports = view.reader.imports();
        imports.retain(|import| {
            let hidden = view.ignore_empty && import.kind != ImportKind::Headless && import.endpoints().is_empty();
            is_exposed(view, &import.name) && !hidden
        });
        imports.sort_by(|a, b| a.name.cmp(&b.name));
        imports.iter().for_each(|import| add_import(view, &wire, import, &mut records));
        return Some(records);
    }
    let mut services = view.reader.services();
    services.retain(|service| {
        let is_cluster_ip = matches!(service.kind, ServiceKind::ClusterIp { .. });
        let hidden = view.ignore_empty && is_cluster_ip && service.endpoints.is_empty();
        is_exposed(view, &service.name) && !hidden
    });
    services.sort_by(|a, b| a.name.cmp(&b.name));
    for service in services {
        add(view, &wire, &service, &mut records);
    }
    Some(records)
}

/// The zone's own answer to a question at its apex.
fn ask(view: &View, zone: &MessageName, qtype: RecordType) -> Option<Message> {
    let mut request = Message::query();
    request.queries.push(Asked::query(zone.clone(), qtype));
    let octets = request.to_vec().ok()?;
    let Parsed::Query(question) = wire::parse(&octets) else { return None };
    let mut buffer = vec![0; 65_535];
    match zone::answer(&question, view, 65_535, false, 0, &mut buffer) {
        Answered::Reply { len, .. } => message::decode(buffer.get(..len)?).ok(),
        _ => None,
    }
}

fn is_exposed(view: &View, name: &ServiceName) -> bool {
    let namespace = name.namespace();
    let listed = |set: &std::collections::HashSet<wire::Label>| set.iter().any(|label| label.as_bytes() == namespace);
    view.namespaces.as_ref().is_none_or(listed) && view.reader.has_namespace(namespace)
}

fn add(view: &View, zone: &Name, service: &Service, records: &mut Vec<Record>) {
    let mut out = Below { view, zone, service: &service.name, records };
    match &service.kind {
        ServiceKind::ExternalName(target) | ServiceKind::Alias(target) => {
            out.put(&[], RData::CNAME(rdata::CNAME(names::to_message(target))));
        }
        ServiceKind::ClusterIp { addresses, ports } => out.put_cluster_ip(addresses, ports),
        ServiceKind::Headless => {
            let mut endpoints: Vec<_> = service.endpoints.iter().collect();
            endpoints.sort_by(|a, b| a.0.cmp(b.0));
            let weight = (100 / endpoints.len().max(1)).clamp(1, 100) as u16;
            for (label, state) in endpoints {
                out.put_endpoint(&[label.as_bytes()], &state.addresses, &state.ports, weight);
            }
        }
    }
}

fn add_import(view: &View, zone: &Name, import: &Import, records: &mut Vec<Record>) {
    let mut out = Below { view, zone, service: &import.name, records };
    match &import.kind {
        ImportKind::ClusterSetIp { addresses, ports } => out.put_cluster_ip(addresses, ports),
        ImportKind::Headless => {
            let weight = (100 / import.endpoints().len().max(1)).clamp(1, 100) as u16;
            for endpoint in import.endpoints() {
                let own = [Some(&endpoint.label), endpoint.cluster.as_ref()];
                let own: Vec<&[u8]> = own.into_iter().flatten().map(wire::Label::as_bytes).collect();
                out.put_endpoint(&own, &endpoint.addresses, &endpoint.ports, weight);
            }
        }
    }
}

/// Records at and below the name of one Service.
struct Below<'t> {
    view: &'t View,
    zone: &'t Name,
    service: &'t ServiceName,
    records: &'t mut Vec<Record>,
}

impl Below<'_> {
    fn name(&self, before: &[&[u8]]) -> Option<MessageName> {
        let base: [&[u8]; 3] = [self.service.service(), self.service.namespace(), b"svc"];
        let labels = before.iter().copied().chain(base).chain(self.zone.labels());
        Name::from_labels(labels).ok().map(|name| names::to_message(&name))
    }

    fn put(&mut self, before: &[&[u8]], data: RData) {
        if let Some(owner) = self.name(before) {
            self.records.push(Record::from_rdata(owner, self.view.ttl, data));
        }
    }

    fn put_srv(&mut self, before: &[&[u8]], weight: u16, port: u16, target: &[&[u8]]) {
        if let Some(target) = self.name(target) {
            self.put(before, RData::SRV(rdata::SRV::new(0, weight, port, target)));
        }
    }

    fn put_cluster_ip(&mut self, addresses: &[IpAddr], ports: &[Port]) {
        addresses.iter().for_each(|address| self.put(&[], RData::from(*address)));
        for port in ports {
            self.put_srv(&[], 100, port.number, &[]);
            if let Some([label, protocol]) = labels(port) {
                self.put_srv(&[&label, &protocol], 100, port.number, &[]);
            }
        }
    }

    fn put_endpoint(&mut self, own: &[&[u8]], addresses: &[IpAddr], ports: &[Port], weight: u16) {
        for address in addresses {
            self.put(&[], RData::from(*address));
            self.put(own, RData::from(*address));
        }
        for port in ports {
            if let Some([label, protocol]) = labels(port) {
                self.put_srv(&[&label, &protocol], weight, port.number, own);
            }
        }
    }
}

/// The labels of a named port, with their underscores.
fn labels(port: &Port) -> Option<[Vec<u8>; 2]> {
    let underscore = |label: &[u8]| [b"_".as_slice(), label].concat();
    Some([underscore(port.name.as_ref()?.as_bytes()), underscore(port.protocol.label())])
}

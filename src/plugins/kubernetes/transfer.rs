//! All names of a cluster as records, for zone transfers.

use std::net::IpAddr;

use super::super::names;
use crate::wire::message::{self, Asked, Message, MessageName, RData, Record, RecordType, rdata};
use crate::wire::{self, Name, Parsed};
use crate::zone::{self, Answered, Service, ServiceKind, View};

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
    let mut services = view.reader.services();
    services.retain(|service| is_exposed(view, service));
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

fn is_exposed(view: &View, service: &Service) -> bool {
    let namespace = service.name.namespace();
    let listed = |set: &std::collections::HashSet<wire::Label>| set.iter().any(|label| label.as_bytes() == namespace);
    view.namespaces.as_ref().is_none_or(listed)
        && view.reader.has_namespace(namespace)
        && !(view.ignore_empty && matches!(service.kind, ServiceKind::ClusterIp { .. }) && service.endpoints.is_empty())
}

fn add(view: &View, zone: &Name, service: &Service, records: &mut Vec<Record>) {
    let base: [&[u8]; 3] = [service.name.service(), service.name.namespace(), b"svc"];
    let name = |before: &[&[u8]]| {
        let labels = before.iter().copied().chain(base).chain(zone.labels());
        Name::from_labels(labels).ok().map(|name| names::to_message(&name))
    };
    let mut put = |owner: Option<MessageName>, data: RData| {
        if let Some(owner) = owner {
            records.push(Record::from_rdata(owner, view.ttl, data));
        }
    };
    let srv = |weight: u16, port: u16, target: MessageName| RData::SRV(rdata::SRV::new(0, weight, port, target));
    let underscore = |label: &[u8]| [b"_".as_slice(), label].concat();
    match &service.kind {
        ServiceKind::ExternalName(target) | ServiceKind::Alias(target) => {
            put(name(&[]), RData::CNAME(rdata::CNAME(names::to_message(target))))
        }
        ServiceKind::ClusterIp { addresses, ports } => {
            addresses.iter().for_each(|address: &IpAddr| put(name(&[]), RData::from(*address)));
            for port in ports.iter() {
                let Some(target) = name(&[]) else { continue };
                put(name(&[]), srv(100, port.number, target.clone()));
                if let Some(label) = &port.name {
                    let (label, protocol) = (underscore(label.as_bytes()), underscore(port.protocol.label()));
                    put(name(&[&label, &protocol]), srv(100, port.number, target));
                }
            }
        }
        ServiceKind::Headless => {
            let mut endpoints: Vec<_> = service.endpoints.iter().collect();
            endpoints.sort_by(|a, b| a.0.cmp(b.0));
            let weight = (100 / endpoints.len().max(1)).clamp(1, 100) as u16;
            for (label, state) in endpoints {
                let own = name(&[label.as_bytes()]);
                for address in &state.addresses {
                    put(name(&[]), RData::from(*address));
                    put(own.clone(), RData::from(*address));
                }
                for port in state.ports.iter() {
                    if let (Some(label), Some(target)) = (&port.name, &own) {
                        let (label, protocol) = (underscore(label.as_bytes()), underscore(port.protocol.label()));
                        put(name(&[&label, &protocol]), srv(weight, port.number, target.clone()));
                    }
                }
            }
        }
    }
}

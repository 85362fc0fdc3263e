//! All names of a cluster as records, for zone transfers.

use std::net::IpAddr;
use std::sync::Arc;

use crate::syntax::names;
use crate::wire::message::{self, Message, MessageName, MessageQuestion, RData, Record, RecordType, rdata};
use crate::wire::{self, Label, Name, Parsed};
use crate::zone::{
    self, Answered, EndpointState, Import, ImportKind, Port, Seeds, Service, ServiceKind, ServiceName, View, srv_weight,
};

/// Records made one by one.
type TransferRecords = Box<dyn Iterator<Item = Record> + Send>;

/// The records of a zone, the SOA first; nothing when the zone is not one of the view's zones of names. They are made
/// one endpoint at a time: a transfer holds the present Services, and of their records no more than are under way.
pub(super) fn records(view: &View, zone: &MessageName) -> Option<Box<dyn Iterator<Item = Record> + Send>> {
    let wire = names::to_wire(zone);
    if !view.zones.contains(&wire) || super::is_reverse(&wire) || !view.reader.is_synced() {
        return None;
    }
    let mut apex = ask(view, zone, RecordType::SOA)?.answers;
    let mut servers = ask(view, zone, RecordType::NS)?;
    apex.append(&mut servers.answers);
    for mut address in servers.additionals {
        address.ttl = 0;
        apex.push(address);
    }
    let zone = Arc::new(TransferZone { name: wire, ttl: view.ttl.as_secs() });
    if view.multicluster.contains(&zone.name) {
        let mut imports = view.reader.imports();
        imports.retain(|import| {
            let hidden = view.ignore_empty && import.kind != ImportKind::Headless && import.set.endpoints().is_empty();
            view.has_namespace(import.name.namespace()) && !hidden
        });
        imports.sort_by(|a, b| a.name.cmp(&b.name));
        let records = imports.into_iter().flat_map(move |import| zone.clone().import(import));
        return Some(Box::new(apex.into_iter().chain(records)));
    }
    let mut services = view.reader.services();
    services.retain(|service| {
        let is_cluster_ip = matches!(service.kind, ServiceKind::ClusterIp { .. });
        let hidden = view.ignore_empty && is_cluster_ip && service.endpoints.is_empty();
        view.has_namespace(service.name.namespace()) && !hidden
    });
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let records = services.into_iter().flat_map(move |service| zone.clone().service(service));
    Some(Box::new(apex.into_iter().chain(records)))
}

/// The zone's own answer to a question at its apex.
fn ask(view: &View, zone: &MessageName, qtype: RecordType) -> Option<Message> {
    let mut request = Message::query();
    request.queries.push(MessageQuestion::query(zone.clone(), qtype));
    let octets = request.to_vec().ok()?;
    let Parsed::Query(question) = wire::parse(&octets) else { return None };
    let mut buffer = vec![0; 65_535];
    match zone::answer(&question, view, 65_535, false, Seeds { order: 0, choice: &|| 0 }, &mut buffer) {
        Answered::Reply { len, .. } => message::decode(buffer.get(..len)?).ok(),
        _ => None,
    }
}

//----------- Zone -----------------------------------------------------------

/// The zone that all records of a transfer are of.
struct TransferZone {
    name: Name,
    ttl: u32,
}

impl TransferZone {
    fn service(self: Arc<Self>, service: Arc<Service>) -> TransferRecords {
        let mut out = ServiceRecords::new(&self, &service.name);
        match &service.kind {
            ServiceKind::ExternalName(target) => out.put_alias(&[], target),
            ServiceKind::Alias(elsewhere) => {
                out.put_alias(&[], &elsewhere.target);
                let mut last = None;
                for (label, target) in elsewhere.labels.iter().filter(|(label, _)| last.replace(label) != Some(label)) {
                    out.put_alias(&[label.as_bytes()], target);
                }
            }
            ServiceKind::ClusterIp { addresses, ports } => out.put_cluster_ip(addresses, ports),
            ServiceKind::Headless => {
                // CoreDNS counts the addresses of a slice, and those of one slice are of one family.
                let is_v6 = |state: &EndpointState| state.addresses.first().is_some_and(IpAddr::is_ipv6);
                let (mut labels, mut v6) = (Vec::new(), 0);
                for (label, state) in service.endpoints.iter() {
                    labels.push(label.clone());
                    v6 += usize::from(is_v6(&state));
                }
                let v4 = labels.len() - v6;
                labels.sort();
                let records = labels.into_iter().flat_map(move |label: Label| {
                    let mut out = ServiceRecords::new(&self, &service.name);
                    if let Some(state) = service.endpoints.get(label.as_bytes()) {
                        let weight = srv_weight(if is_v6(&state) { v6 } else { v4 });
                        out.put_endpoint(&[label.as_bytes()], &state.addresses, &state.ports, weight);
                    }
                    out.records
                });
                return Box::new(records);
            }
        }
        Box::new(out.records.into_iter())
    }

    fn import(self: Arc<Self>, import: Arc<Import>) -> TransferRecords {
        let mut out = ServiceRecords::new(&self, &import.name);
        match &import.kind {
            ImportKind::ClusterSetIp { addresses, ports } => out.put_cluster_ip(addresses, ports),
            ImportKind::Headless => {
                let weight = srv_weight(import.set.endpoints().len());
                let records = (0..import.set.endpoints().len()).flat_map(move |at| {
                    let mut out = ServiceRecords::new(&self, &import.name);
                    if let Some(endpoint) = import.set.endpoints().get(at) {
                        let own = [Some(&endpoint.label), endpoint.cluster.as_ref()];
                        let own: Vec<&[u8]> = own.into_iter().flatten().map(Label::as_bytes).collect();
                        out.put_endpoint(&own, &endpoint.addresses, &endpoint.ports, weight);
                    }
                    out.records
                });
                return Box::new(records);
            }
        }
        Box::new(out.records.into_iter())
    }
}

/// Records at and below the name of one Service.
struct ServiceRecords<'t> {
    zone: &'t TransferZone,
    service: &'t ServiceName,
    records: Vec<Record>,
}

impl<'t> ServiceRecords<'t> {
    fn new(zone: &'t TransferZone, service: &'t ServiceName) -> Self {
        Self { zone, service, records: Vec::new() }
    }

    fn name(&self, before: &[&[u8]]) -> Option<MessageName> {
        self.service.in_cluster(before, &self.zone.name).map(|name| names::to_message(&name))
    }

    fn put(&mut self, before: &[&[u8]], data: RData) {
        if let Some(owner) = self.name(before) {
            self.records.push(Record::from_rdata(owner, self.zone.ttl, data));
        }
    }

    fn put_alias(&mut self, before: &[&[u8]], target: &Name) {
        self.put(before, RData::CNAME(rdata::CNAME(names::to_message(target))));
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
            if let Some([label, protocol]) = port.labels() {
                self.put_srv(&[&label, &protocol], 100, port.number, &[]);
            }
        }
    }

    fn put_endpoint(&mut self, own: &[&[u8]], addresses: &[IpAddr], ports: &[Port], weight: u16) {
        for address in addresses {
            self.put(&[], RData::from(*address));
            self.put(own, RData::from(*address));
        }
        for port in ports.iter().filter(|port| port.number != 0) {
            if let Some([label, protocol]) = port.labels() {
                self.put_srv(&[&label, &protocol], weight, port.number, own);
            }
        }
    }
}

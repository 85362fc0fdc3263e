//! The endpoints of a Service under a name of an outside zone (`k8s_external`), by the same means as within the cluster.

use super::answer::{Answered, end};
use super::lookup::Lookup;
use super::peers::Peers;
use super::ports::Ports;
use super::records::{Context, Written};
use super::{Seeds, Service, ServiceKind, View};
use crate::wire::{Answer, Owner, Question, Rcode, Rtype, Ttl};

/// How an answer in an outside zone looks.
#[derive(Clone, Copy, Debug)]
pub struct Outside<'s> {
    /// The label of the qname at which the zone begins.
    pub zone: usize,
    /// The TTL of addresses.
    pub ttl: Ttl,
    /// The most octets.
    pub limit: usize,
    /// Whether the loss of additional records sets TC.
    pub over_udp: bool,
    /// The order of records, and what stays where not all fit.
    pub seeds: Seeds<'s>,
}

/// Answers with the endpoints of a headless Service, all (`SERVICE.NAMESPACE.ZONE`) or those with a port
/// (`_PORT._PROTOCOL.SERVICE.NAMESPACE.ZONE`), or with one endpoint of any Service (`ENDPOINT.SERVICE.NAMESPACE.ZONE`).
///
/// `None` when there is no such name; [`Answered::NotInZone`] when it has no record of the type.
pub fn answer_outside(question: &Question<'_>, view: &View, how: Outside<'_>, buffer: &mut [u8]) -> Option<Answered> {
    let Outside { zone, ttl, limit, over_udp, seeds } = how;
    let qname = &question.qname;
    let left = zone.checked_sub(2)?;
    // A part of the endpoints is not the whole.
    if !view.reader.has_endpoints() {
        return None;
    }
    let key = qname.as_wire().get(qname.start(left)..qname.start(zone))?;
    view.reader.with_service(key, |service| {
        let found = below(service?, question, left)?;
        let out = Answer::new(question, buffer, limit);
        let (owner, apex) = (out.question_place(), Owner::At(out.suffix_place(qname.start(zone))));
        // As in CoreDNS, targets end with the zone as it is served, and SRV records have the TTL of the cluster's zone.
        let spelling = qname.suffix(zone);
        let (qtype, glue_ttl) = (question.qtype, ttl);
        let ttl = if qtype == Rtype::SRV { view.ttl } else { ttl };
        let (middle, bounds) = (&[][..], None);
        let mut context =
            Context { view, qtype, owner, apex, spelling, middle, over_udp, seeds, bounds, ttl, glue_ttl, out };
        Some(match context.write(found) {
            Written::Records { truncated } => end(context.out, Rcode::NOERROR, truncated, over_udp),
            Written::NoData | Written::NxDomain | Written::Alias(_) => Answered::NotInZone,
        })
    })
}

fn below<'s>(service: &'s Service, question: &'s Question<'_>, left: usize) -> Option<Lookup<'s>> {
    let label = |at| {
        let label = question.qname.label(at);
        label.strip_prefix(b"_").unwrap_or(label)
    };
    let ports = match left {
        0 => Ports::All,
        1 => {
            let (group, endpoint) = service.endpoints.find(label(0))?;
            return Some(Lookup::Endpoint(&service.name, group, endpoint));
        }
        2 => Ports::Named { name: label(0), protocol: label(1) },
        _ => return None,
    };
    let is_headless = matches!(service.kind, ServiceKind::Headless | ServiceKind::Alias(_));
    let peers = Peers { service: &service.name, endpoints: &service.endpoints, ports, zone: None };
    (is_headless && !peers.is_empty()).then_some(Lookup::Peers(peers))
}

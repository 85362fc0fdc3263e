//! Names of an outside zone (`k8s_external`), by the same grammar and the same rules as within the cluster.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use super::answer::{Answered, end};
use super::grammar::{Below, OutsideName, ServiceLabels, unmarked};
use super::lookup::{Lookup, ServiceTree};
use super::records::{AnswerContext, Written};
use super::{External, Seeds, Service, ServiceKind, ServiceName, View};
use crate::wire::{Answer, Label, Owner, QName, Question, Rcode, Rtype, Ttl, sample};

//----------- Lookup ---------------------------------------------------------

/// The meaning of a name in an outside zone.
#[derive(Debug)]
pub enum OutsideLookup<'q> {
    /// The zone itself.
    Apex,
    /// The label below which the zone's name server stands.
    AboveServer,
    /// The name server.
    Server,
    /// A name beside the name server: there is none.
    NoServer,
    /// There is no such name of the cluster.
    NxDomain,
    /// A namespace, which has no records.
    Empty,
    /// A Service that is reached from outside, or one of its ports: name and protocol without underscores.
    Reached(Arc<External>, Option<(&'q [u8], &'q [u8])>),
    /// A name of a Service that is not: [`answer_outside`] says whether endpoints have it.
    Endpoints(OutsideEndpoints<'q>),
}

/// The name of a Service, a port or an endpoint in an outside zone.
#[derive(Clone, Copy, Debug)]
pub struct OutsideEndpoints<'q>(ServiceLabels<'q>);

impl View {
    /// Looks a name up, the labels of which belong to an outside zone from `zone` on; below `apex` stands its name server.
    pub fn look_up_outside<'q>(&self, qname: &'q QName, zone: usize, apex: &Label) -> OutsideLookup<'q> {
        let labels = match OutsideName::parse(qname, zone, apex.as_bytes()) {
            OutsideName::Apex => return OutsideLookup::Apex,
            OutsideName::AboveServer => return OutsideLookup::AboveServer,
            OutsideName::Server => return OutsideLookup::Server,
            OutsideName::NoServer => return OutsideLookup::NoServer,
            OutsideName::Namespace(namespace) if self.has_namespace(namespace) => return OutsideLookup::Empty,
            OutsideName::Service(labels) if self.has_namespace(labels.namespace) => labels,
            OutsideName::Namespace(_) | OutsideName::Service(_) => return OutsideLookup::NxDomain,
        };
        let port = match labels.below {
            // As in CoreDNS, a label before a Service with outside addresses changes nothing.
            Below::Nothing | Below::Label(_) => None,
            Below::Port { name, protocol } | Below::Pair(name, protocol) => Some((name, protocol)),
            Below::Zonal { .. } | Below::Deeper => return OutsideLookup::NxDomain,
        };
        match self.reader.external(labels.key) {
            None => OutsideLookup::Endpoints(OutsideEndpoints(labels)),
            Some(external) if external.ports(port).is_some() => OutsideLookup::Reached(external, port),
            Some(_) => OutsideLookup::NxDomain,
        }
    }

    /// The Services that are reached from outside at an address.
    pub fn reached(&self, address: IpAddr) -> Reached {
        let services = self.reader.reached(address);
        let Some(listed) = &self.namespaces else {
            return Reached { ranges: std::iter::once(0..services.len()).collect(), services };
        };
        let shown = listed.iter().filter(|namespace| self.reader.has_namespace(namespace.as_bytes()));
        let mut ranges: Vec<Range<usize>> = shown
            .map(|namespace| {
                let namespace = namespace.as_bytes();
                let start = services.partition_point(|service| service.namespace() < namespace);
                start..services.partition_point(|service| service.namespace() <= namespace)
            })
            .filter(|range| !range.is_empty())
            .collect();
        ranges.sort_unstable_by_key(|range| range.start);
        Reached { services, ranges }
    }

    /// The addresses by which this server is reached from outside, sorted; its own where no endpoint has them. Of a headless
    /// Service they are its endpoints', where these are told.
    ///
    /// There are no more of them than an answer can have.
    pub fn outside_servers(&self, headless: bool) -> Vec<IpAddr> {
        let (mut addresses, mut services) = (BTreeSet::new(), HashSet::new());
        for own in &self.local {
            self.with_endpoints(*own, |_, name| {
                if !services.insert(name.clone()) {
                    return;
                }
                let mut add = |more: &mut dyn Iterator<Item = IpAddr>| {
                    while addresses.len() < MOST_SERVERS
                        && let Some(address) = more.next()
                    {
                        addresses.insert(address);
                    }
                };
                match (self.reader.external(name.as_wire()), self.reader.service(name)) {
                    (_, Some(service)) if headless && is_headless(&service) => {
                        add(&mut service.endpoints.every_address())
                    }
                    (Some(external), _) => {
                        add(&mut [false, true].into_iter().flat_map(|v6| external.addresses(v6)).copied());
                    }
                    _ => {}
                }
            });
        }
        if services.is_empty() {
            addresses.extend(&self.local);
        }
        addresses.into_iter().collect()
    }
}

/// One more than any answer has records, so that more than there is room for are seen to be.
const MOST_SERVERS: usize = sample::MOST_RECORDS + 1;

fn is_headless(service: &Service) -> bool {
    matches!(service.kind, ServiceKind::Headless | ServiceKind::Alias(_))
}

//----------- Reached --------------------------------------------------------

/// The Services that are reached from outside at one address, as far as their namespaces are exposed. Which these are is
/// found by namespace, so that no question walks over those that are not.
#[derive(Debug)]
pub struct Reached {
    /// Sorted by namespace.
    services: Arc<[ServiceName]>,
    /// The places of those that are exposed.
    ranges: Vec<Range<usize>>,
}

impl Reached {
    /// Their number.
    pub fn count(&self) -> usize {
        self.ranges.iter().map(Range::len).sum()
    }

    /// The Service at a place below [`count`](Self::count).
    pub fn nth(&self, mut at: usize) -> Option<&ServiceName> {
        for range in &self.ranges {
            if at < range.len() {
                return self.services.get(range.start + at);
            }
            at -= range.len();
        }
        None
    }
}

//----------- Answer ---------------------------------------------------------

/// The shape of an answer in an outside zone.
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
pub fn answer_outside(
    question: &Question<'_>,
    view: &View,
    OutsideEndpoints(labels): OutsideEndpoints<'_>,
    how: Outside<'_>,
    buffer: &mut [u8],
) -> Option<Answered> {
    let Outside { zone, ttl, limit, over_udp, seeds } = how;
    let qname = &question.qname;
    // A part of the endpoints is not the whole.
    if !view.reader.has_endpoints() {
        return None;
    }
    view.reader.with_service(labels.key, |service| {
        let found = below(service?, labels.below)?;
        let out = Answer::new(question, buffer, limit);
        let (owner, apex) = (out.question_place(), Owner::At(out.suffix_place(qname.start(zone))));
        // As in CoreDNS, targets end with the zone as it is served, and SRV records have the TTL of the cluster's zone.
        let spelling = qname.suffix(zone);
        let (qtype, glue_ttl) = (question.qtype, ttl);
        let ttl = if qtype == Rtype::SRV { view.ttl } else { ttl };
        let (middle, bounds) = (&[][..], None);
        let mut context =
            AnswerContext { view, qtype, owner, apex, spelling, middle, over_udp, seeds, bounds, ttl, glue_ttl, out };
        Some(match context.write(found) {
            Written::Records { truncated } => end(context.out, Rcode::NOERROR, truncated, over_udp),
            Written::NoData | Written::NxDomain | Written::Alias(_) => Answered::NotInZone,
        })
    })
}

fn below<'s>(service: &'s Service, below: Below<'s>) -> Option<Lookup<'s>> {
    let ready = Some(&service.endpoints).filter(|all| !all.is_empty());
    let tree = ServiceTree { service: &service.name, virtual_addresses: None, ready, set: None, is_zonal: false };
    match below {
        Below::Label(label) => tree.endpoint(unmarked(label), None),
        below if is_headless(service) => tree.below(below),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::testing::{view, zone};
    use crate::zone::{Changes, ExternalHost};

    fn label(text: &str) -> Label {
        Label::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn services_at_an_address_are_those_of_namespaces_that_are_exposed_and_exist() {
        let (mut publisher, reader) = zone("namespace a\nnamespace b\nnamespace c\n");
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let external = |service: &str, namespace: &str| {
            let name = ServiceName::new(&label(service), &label(namespace));
            let hosts = [ExternalHost::Address(address)];
            (name.clone(), Some(Arc::new(External::new(name, &hosts, vec![].into()))))
        };
        let external = vec![
            external("one", "b"),
            external("two", "c"),
            external("one", "a"),
            external("three", "c"),
            external("one", "gone"),
            external("aaa", "b"),
        ];
        publisher.publish(Changes { external, ..Changes::default() });
        let mut view = view(reader);
        let shown = |view: &View| {
            let reached = view.reached(address);
            let all = (0..reached.count()).map(|at| {
                let name = reached.nth(at).unwrap();
                [name.service(), name.namespace()].map(String::from_utf8_lossy).join(".")
            });
            assert!(reached.nth(reached.count()).is_none());
            all.collect::<Vec<_>>()
        };
        assert_eq!(shown(&view), ["one.a", "aaa.b", "one.b", "two.c", "three.c", "one.gone"]);
        view.namespaces = Some(["c", "b", "gone", "none"].map(label).into());
        assert_eq!(shown(&view), ["aaa.b", "one.b", "two.c", "three.c"]);
        view.namespaces = Some([label("none")].into());
        assert_eq!(view.reached(address).count(), 0);
    }

    #[test]
    fn names_of_an_outside_zone_are_looked_up_with_their_port() {
        let (mut publisher, reader) = zone("namespace n\nheadless peers.n\nendpoint peers.n a 10.0.0.1\n");
        let web = ServiceName::new(&label("web"), &label("n"));
        let port = crate::zone::Port { name: Some(label("http")), protocol: crate::zone::Protocol::Tcp, number: 80 };
        let hosts = [ExternalHost::Address("192.0.2.1".parse().unwrap())];
        let external = vec![(web.clone(), Some(Arc::new(External::new(web, &hosts, vec![port].into()))))];
        publisher.publish(Changes { external, ..Changes::default() });
        let view = view(reader);
        for (name, expected) in [
            ("", "Apex"),
            ("dns", "AboveServer"),
            ("ns1.dns", "Server"),
            ("x.dns", "NoServer"),
            ("n", "Empty"),
            ("other", "NxDomain"),
            ("web.other", "NxDomain"),
            ("web.n", "Reached"),
            ("any.web.n", "Reached"),
            ("_http._tcp.web.n", "Reached"),
            ("http.tcp.web.n", "Reached"),
            ("_ftp._tcp.web.n", "NxDomain"),
            ("a.b.c.web.n", "NxDomain"),
            ("peers.n", "Endpoints"),
            ("a.peers.n", "Endpoints"),
            ("pin._zone.peers.n", "NxDomain"),
        ] {
            let qname = QName::from_name(&format!("{name}.example.org").trim_start_matches('.').parse().unwrap());
            let found = view.look_up_outside(&qname, qname.label_count() - 2, &label("dns"));
            assert!(format!("{found:?}").starts_with(expected), "{name}: {found:?}");
        }
    }
}

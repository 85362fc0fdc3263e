//! Writes SRV records, and the addresses of their targets beside them.

use std::net::IpAddr;
use std::ops::ControlFlow::{Break, Continue};

use super::ServiceName;
use super::endpoint_set::{EndpointSelection, SetEndpoint, SetSrv};
use super::endpoints::{Endpoint, EndpointGroup};
use super::lookup::ClusterIp;
use super::peers::{Peers, Srv};
use super::ports::{Numbers, Ports, srv_weight};
use super::records::{AnswerContext, SVC, Written, concat, going, joined, octets};
use crate::wire::{Label, Owner, Place, Random, Section, SrvRow, Target, sample};

/// No answer has more SRV records: each takes 18 octets and a target of `LABEL.SERVICE.NAMESPACE.svc` at least.
const MOST_SRV: usize = 65_535 / (18 + 11);

impl AnswerContext<'_, '_> {
    /// Kubernetes DNS 2.3.2: a record for each port, which names the Service itself.
    pub(super) fn srv_of_cluster_ip(&mut self, service: ClusterIp<'_>) -> Written {
        let ClusterIp { service, addresses, all_ports, ports } = service;
        let numbers = all_ports.choose(ports);
        let mut buffer = [0; 255];
        let Some(target) = self.below_zone(service, &mut buffer) else { return Written::NoData };
        if addresses.is_empty() {
            return Written::NoData;
        }
        let weight = srv_weight(numbers.pairs * addresses.len());
        self.srv_of_target(Target::wire(target), weight, numbers, || addresses.iter().copied())
    }

    /// Kubernetes DNS 2.4.2: a record for each port of the endpoint.
    pub(super) fn srv_of_endpoint(
        &mut self,
        service: &ServiceName,
        group: &EndpointGroup,
        endpoint: &Endpoint,
    ) -> Written {
        let mut buffer = [0; 255];
        let Some(rest) = self.below_zone(service, &mut buffer) else { return Written::NoData };
        let Some(target) = joined(Some(&endpoint.label), rest) else { return Written::NoData };
        let numbers = group.ports.choose(Ports::All);
        let weight = srv_weight(numbers.pairs * endpoint.addresses().count());
        self.srv_of_target(target, weight, numbers, || endpoint.addresses())
    }

    #[cold]
    pub(super) fn srv_of_set_endpoint(&mut self, service: &ServiceName, endpoint: &SetEndpoint) -> Written {
        let mut buffer = [0; 255];
        let rest = below_cluster(service, endpoint, self.spelling, &mut buffer);
        let Some(target) = rest.and_then(|rest| joined(Some(&endpoint.label), rest)) else { return Written::NoData };
        let weight = srv_weight(endpoint.pairs);
        self.srv_of_target(target, weight, Numbers::listed(&endpoint.numbers, endpoint.pairs), || endpoint.glue())
    }

    /// The records of one target, one for each port number, and its addresses beside the first.
    fn srv_of_target<A: Iterator<Item = IpAddr>>(
        &mut self,
        target: Target<'_>,
        weight: u16,
        numbers: Numbers<'_>,
        addresses: impl Fn() -> A,
    ) -> Written {
        let count = numbers.count();
        if count == 0 {
            return Written::NoData;
        }
        let seed = self.seed(count * target.srv_octets(), || addresses().map(octets).sum());
        let Self { owner, ttl, ref mut out, .. } = *self;
        let mut first = None;
        let all = sample::draw(count, usize::MAX, seed, |at| {
            let Some(number) = numbers.nth(at) else { return Continue(()) };
            let place = out.srv(Owner::At(owner), ttl, 0, weight, number, target);
            if first.is_none() {
                first = place.ok();
            }
            going(place)
        });
        match first {
            Some(place) if all => self.glue(place, addresses()),
            _ => Written::Records { truncated: true },
        }
    }

    /// Kubernetes DNS 2.4.2: a record for each port of each ready endpoint.
    pub(super) fn srv_of_peers(&mut self, peers: Peers<'_>) -> Written {
        let mut buffer = [0; 255];
        let Some(rest) = self.below_zone(peers.service, &mut buffer) else { return Written::NoData };
        let count = peers.srv_count();
        let fit = self.out.remaining(Section::Answer) / SrvRow::octets(&[0], rest);
        match count {
            0 => Written::NoData,
            1..=8 => self.srv_of_all::<8>(peers, rest),
            9..=64 => self.srv_of_all::<64>(peers, rest),
            _ if count <= fit => self.srv_of_all::<MOST_SRV>(peers, rest),
            _ => self.srv_of_some(peers, rest, count, fit),
        }
    }

    /// Writes the records of a set that fits, or is small: lists them, then draws from the list in random order.
    ///
    /// `MOST` is how long the list can be; it stands on the stack.
    #[inline(never)]
    fn srv_of_all<const MOST: usize>(&mut self, peers: Peers<'_>, rest: &[u8]) -> Written {
        let weight = srv_weight(peers.srv_pairs());
        let mut list: [Option<Srv<'_>>; MOST] = [None; MOST];
        let count = peers.list_srv(&mut list, |endpoint| joined(Some(&endpoint.label), rest).is_some());
        if count == 0 {
            return Written::NoData;
        }
        let list = &mut list[..count];
        let records = list.iter().flatten().map(|srv| SrvRow::octets(srv.endpoint.label.as_bytes(), rest)).sum();
        let seed = self.seed_of_srv(records, || {
            let firsts = list.iter().flatten().filter(|srv| srv.is_first);
            firsts.map(|srv| (1 + srv.endpoint.label.as_bytes().len(), srv.endpoint.addresses()))
        });
        let Self { owner, ttl, glue_ttl, over_udp, ref mut out, .. } = *self;
        let mut row = out.srv_row(owner, ttl, weight, rest);
        let first = row.next_target();
        let mut random = Random::new(seed);
        for at in 0..count {
            list.swap(at, at + random.below(count - at));
            let Some(srv) = list[at] else { continue };
            if row.put(srv.endpoint.label.as_bytes(), srv.number).is_err() {
                return Written::Records { truncated: true };
            }
        }
        // All records stand, so that each endpoint's first one does. Past the reach of pointers an owner is its label
        // and a pointer to the end of the first target.
        let above =
            list.iter().flatten().next().map_or(first, |srv| first.behind(1 + srv.endpoint.label.as_bytes().len()));
        let mut place = first;
        for srv in list.iter().flatten() {
            let label = srv.endpoint.label.as_bytes();
            let owner = if place.is_reachable() { Owner::At(place) } else { Owner::Below(label, above) };
            for address in srv.endpoint.addresses().filter(|_| srv.is_first) {
                if out.address(Section::Additional, owner, glue_ttl, address).is_err() {
                    return Written::Records { truncated: over_udp };
                }
            }
            place = place.behind(SrvRow::octets(label, rest));
        }
        Written::Records { truncated: false }
    }

    /// Writes a choice of the records of a set that does not fit: the work grows with the choice alone.
    #[inline(never)]
    fn srv_of_some(&mut self, peers: Peers<'_>, rest: &[u8], count: usize, fit: usize) -> Written {
        let weight = srv_weight(peers.srv_pairs());
        let Self { owner, seeds, ttl, ref mut out, .. } = *self;
        let mut row = out.srv_row(owner, ttl, weight, rest);
        sample::draw(count, fit, seeds.of(false), |at| {
            let Some(srv) = peers.srv(at) else { return Continue(()) };
            match joined(Some(&srv.endpoint.label), rest) {
                Some(target) => going(row.put(target.label, srv.number)),
                None => Continue(()),
            }
        });
        Written::Records { truncated: true }
    }

    /// Multicluster Services API, "DNS": the name of an imported endpoint has its cluster in it.
    #[cold]
    pub(super) fn srv_of_set(&mut self, service: &ServiceName, selection: EndpointSelection<'_>) -> Written {
        let weight = srv_weight(selection.records.pairs);
        let seed = self.seed_of_set(service, selection);
        let Self { owner, ttl, glue_ttl, spelling, ref mut out, .. } = *self;
        let mut places = [0u16; sample::MOST_RECORDS];
        let mut drawn = 0;
        let all = sample::draw(selection.srv_count(), places.len(), seed, |at| {
            let mut buffer = [0; 255];
            let Some(SetSrv { endpoint, number, .. }) = selection.srv(at) else { return Continue(()) };
            let rest = below_cluster(service, endpoint, spelling, &mut buffer);
            let Some(target) = rest.and_then(|rest| joined(Some(&endpoint.label), rest)) else { return Continue(()) };
            let Ok(place) = out.srv(Owner::At(owner), ttl, 0, weight, number, target) else { return Break(()) };
            places[drawn] = place.0 as u16;
            drawn += 1;
            Continue(())
        });
        if !all {
            return Written::Records { truncated: true };
        }
        if drawn == 0 {
            return Written::NoData;
        }
        // The same seed draws the same row again.
        let mut at = 0;
        let mut lost = false;
        sample::draw(selection.srv_count(), places.len(), seed, |position| {
            let mut buffer = [0; 255];
            let Some(SetSrv { endpoint, is_first, .. }) = selection.srv(position) else { return Continue(()) };
            let rest = below_cluster(service, endpoint, spelling, &mut buffer);
            if rest.and_then(|rest| joined(Some(&endpoint.label), rest)).is_none() {
                return Continue(());
            }
            let owner = Owner::At(Place(usize::from(places[at])));
            at += 1;
            for address in selection.glue(endpoint).filter(|_| is_first) {
                if out.address(Section::Additional, owner, glue_ttl, address).is_err() {
                    lost = true;
                    return Break(());
                }
            }
            Continue(())
        });
        Written::Records { truncated: lost && self.over_udp }
    }

    /// The seed by which SRV records of a set are drawn.
    fn seed_of_set(&self, service: &ServiceName, selection: EndpointSelection<'_>) -> u64 {
        let count = selection.srv_count();
        let shortest = SrvRow::octets(&[], self.spelling) + service.as_wire().len() + SVC.len();
        if count * shortest > self.out.remaining(Section::Answer) {
            return self.seeds.of(false);
        }
        let all = || (0..count).filter_map(|at| selection.srv(at));
        let longer = |endpoint: &SetEndpoint| {
            endpoint.label.as_bytes().len() + endpoint.cluster.as_ref().map_or(0, |own| 1 + own.as_bytes().len())
        };
        let records = all().map(|srv| shortest + longer(srv.endpoint)).sum();
        self.seed_of_srv(records, || {
            let firsts = all().filter(|srv| srv.is_first);
            firsts.map(|srv| (shortest + longer(srv.endpoint), selection.glue(srv.endpoint)))
        })
    }

    /// The seed by which SRV records are drawn that take so many octets, their targets being several; `beside` has for each
    /// target the octets of its name, where that has to be written anew, and its addresses.
    fn seed_of_srv<A: Iterator<Item = IpAddr>, B: Iterator<Item = (usize, A)>>(
        &self,
        records: usize,
        beside: impl FnOnce() -> B,
    ) -> u64 {
        self.seed(records, || {
            let is_within_reach = Place(self.out.len() + records).is_reachable();
            let each = beside().map(|(name, addresses)| {
                let name = if is_within_reach { 0 } else { name };
                addresses.map(|address| name + octets(address)).sum::<usize>()
            });
            each.sum()
        })
    }

    /// The name of a Service in the zone as the client spelled it.
    fn below_zone<'n>(&self, service: &ServiceName, buffer: &'n mut [u8; 255]) -> Option<&'n [u8]> {
        concat(&[service.as_wire(), self.middle, self.spelling], buffer)
    }
}

/// The name right of an endpoint's own label; `None` when it would be too long.
fn below_cluster<'n>(
    service: &ServiceName,
    endpoint: &SetEndpoint,
    zone: &[u8],
    buffer: &'n mut [u8; 255],
) -> Option<&'n [u8]> {
    let cluster = endpoint.cluster.as_ref().map_or(&[][..], Label::as_bytes);
    let len = [cluster.len() as u8];
    let len = if cluster.is_empty() { &[][..] } else { &len };
    concat(&[len, cluster, service.as_wire(), SVC, zone], buffer)
}

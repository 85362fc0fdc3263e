//! Writes the records of one name and type, in random order, and as many as fit.
//!
//! What is cut is cut at whole records, and what stays is an equally likely choice of the whole set, since some
//! clients use a truncated answer as it is (musl before 1.2.4).

use std::net::IpAddr;
use std::ops::ControlFlow::{self, Break, Continue};

use super::endpoints::{Endpoint, Group};
use super::layout::{Chosen, LaidOut, LaidOutSrv};
use super::lookup::{ClusterIp, Lookup};
use super::peers::{Peers, Srv};
use super::ports::Ports;
use super::view::{TtlBounds, bounded};
use super::{Pointer, Seeds, ServiceKind, ServiceName, View};
use crate::wire::{Answer, Full, Label, Name, Owner, Place, Random, Rtype, Section, SrvRow, Target, Ttl, sample};

/// An answer under construction, and what its records have in common.
pub(super) struct Context<'q, 'b> {
    pub(super) view: &'q View,
    pub(super) qtype: Rtype,
    /// Where the owner of the records stands.
    pub(super) owner: Place,
    /// The zone.
    pub(super) apex: Owner<'q>,
    /// The zone as the client spelled it: SRV targets end so.
    pub(super) spelling: &'q [u8],
    /// What stands between a namespace and the zone, in wire format: `svc`, or nothing in zones of `k8s_external`.
    pub(super) middle: &'static [u8],
    pub(super) over_udp: bool,
    pub(super) seeds: Seeds<'q>,
    /// What the `cache` before makes of TTLs.
    pub(super) bounds: Option<&'q TtlBounds>,
    /// The TTL of records, and of the addresses beside them.
    pub(super) ttl: Ttl,
    pub(super) glue_ttl: Ttl,
    pub(super) out: Answer<'b>,
}

/// What was written.
pub(super) enum Written {
    /// Records of the answer section.
    Records {
        /// Some were left out that should have been there.
        truncated: bool,
    },
    /// Nothing: the name has no record of the type.
    NoData,
    /// Nothing: there is no such name.
    NxDomain,
    /// Nothing: the name is an alias.
    Alias(Name),
}

/// The octets of an address with its owner as a pointer.
const ADDRESS_V4: usize = 12 + 4;
const ADDRESS_V6: usize = 12 + 16;

fn octets(address: IpAddr) -> usize {
    if address.is_ipv4() { ADDRESS_V4 } else { ADDRESS_V6 }
}

/// No answer has more SRV records: each takes 18 octets and a target of `LABEL.SERVICE.NAMESPACE.svc` at least.
const MOST_SRV: usize = 65_535 / (18 + 11);

impl Context<'_, '_> {
    /// Writes what a name has of the type asked for.
    #[inline]
    pub(super) fn write(&mut self, found: Lookup<'_>) -> Written {
        match (found, self.qtype) {
            (Lookup::NxDomain, _) => Written::NxDomain,
            // As in CoreDNS: without addresses of its own, such a Service has no SRV records.
            (Lookup::AliasOfPeers(_), Rtype::SRV) => Written::NoData,
            (Lookup::Alias(target) | Lookup::AliasOfPeers(target), _) => Written::Alias(target.clone()),
            (Lookup::Apex, Rtype::SOA) => self.soa(Section::Answer).into(),
            (Lookup::Apex, Rtype::NS) => self.name_servers(),
            // Kubernetes DNS 2.2: the version of the schema. No setting has a say in its TTL.
            (Lookup::Version, Rtype::TXT) => {
                self.out.txt(Owner::At(self.owner), Ttl::from_secs(28_800), &[b"1.1.0"]).into()
            }
            (Lookup::NameServer, Rtype::A | Rtype::AAAA) => self.own_addresses(),
            (Lookup::Pod(address), Rtype::A | Rtype::AAAA) => self.addresses([address]),
            (Lookup::ClusterIp(service), Rtype::A | Rtype::AAAA) => self.addresses(service.addresses.iter().copied()),
            (Lookup::ClusterIp(service), Rtype::SRV) => self.srv_of_cluster_ip(service),
            (Lookup::Peers(peers), Rtype::A | Rtype::AAAA) => self.addresses_of_peers(peers),
            (Lookup::Peers(peers), Rtype::SRV) => self.srv_of_peers(peers),
            (Lookup::Endpoint(_, _, endpoint), Rtype::A | Rtype::AAAA) => self.addresses(endpoint.addresses()),
            (Lookup::Endpoint(service, group, endpoint), Rtype::SRV) => self.srv_of_endpoint(service, group, endpoint),
            (Lookup::LaidOutPeers(_, chosen), Rtype::A | Rtype::AAAA) => self.addresses_laid_out(chosen),
            (Lookup::LaidOutPeers(service, chosen), Rtype::SRV) => self.srv_laid_out(service, chosen),
            (Lookup::LaidOut(_, own), Rtype::A | Rtype::AAAA) => self.addresses(own.addresses.iter().copied()),
            (Lookup::LaidOut(service, own), Rtype::SRV) => self.srv_of_one_laid_out(service, own),
            (Lookup::Pointer(pointer), Rtype::PTR) => self.pointers(pointer),
            _ => Written::NoData,
        }
    }

    /// The seed by which the records of an answer are drawn that take so many octets, the addresses beside them these more.
    /// Those count where their loss makes the answer a truncated one.
    #[inline]
    fn seed(&self, records: usize, beside: impl FnOnce() -> usize) -> u64 {
        let fits = records <= self.out.remaining(Section::Answer)
            && (!self.over_udp || records + beside() <= self.out.remaining(Section::Additional));
        self.seeds.of(fits)
    }

    /// The SOA: its TTL is bounded, so that absence is not believed for long.
    pub(super) fn soa(&mut self, section: Section) -> Result<(), Full> {
        let ttl = self.view.ttl;
        let bounds = self.bounds.map(|bounds| if section == Section::Answer { bounds.success } else { bounds.denial });
        self.out.soa(section, self.apex, bounded(ttl.min(Ttl::from_secs(300)), bounds), self.view.reader.serial(), ttl)
    }

    //------- Addresses --------------------------------------------------------

    /// Kubernetes DNS 2.3.1 and 2.4.1: the addresses of the family asked for.
    fn addresses(&mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Written {
        let mut some = false;
        for address in addresses {
            if address.is_ipv4() == (self.qtype == Rtype::A) {
                some = true;
                if self.out.address(Section::Answer, Owner::At(self.owner), self.ttl, address).is_err() {
                    return Written::Records { truncated: true };
                }
            }
        }
        if some { Written::Records { truncated: false } } else { Written::NoData }
    }

    fn addresses_of_peers(&mut self, peers: Peers<'_>) -> Written {
        let Self { owner, seeds, qtype, ttl, ref mut out, .. } = *self;
        let left = out.remaining(Section::Answer);
        let take = |address| going(out.address(Section::Answer, Owner::At(owner), ttl, address));
        let all = if qtype == Rtype::A {
            peers.draw_v4(left / ADDRESS_V4, seeds, take)
        } else {
            peers.draw_v6(left / ADDRESS_V6, seeds, take)
        };
        all.map_or(Written::NoData, |all| Written::Records { truncated: !all })
    }

    //------- SRV --------------------------------------------------------------

    /// Kubernetes DNS 2.3.2: a record for each port, which names the Service itself.
    fn srv_of_cluster_ip(&mut self, service: ClusterIp<'_>) -> Written {
        let ClusterIp { service, addresses, all_ports, ports } = service;
        let numbers = all_ports.choose(ports);
        let mut buffer = [0; 255];
        let Some(target) = self.below_zone(service, &mut buffer) else { return Written::NoData };
        if numbers.count() == 0 || addresses.is_empty() {
            return Written::NoData;
        }
        let weight = weight(numbers.pairs * addresses.len());
        let seed = self
            .seed(numbers.count() * Target::wire(target).srv_octets(), || addresses.iter().copied().map(octets).sum());
        let Self { owner, ttl, ref mut out, .. } = *self;
        let mut first = None;
        let all = sample::draw(numbers.count(), usize::MAX, seed, |at| {
            let Some(number) = numbers.nth(at) else { return Continue(()) };
            let place = out.srv(Owner::At(owner), ttl, 0, weight, number, Target::wire(target));
            if first.is_none() {
                first = place.ok();
            }
            going(place)
        });
        match first {
            Some(place) if all => self.glue(place, addresses.iter().copied()),
            _ => Written::Records { truncated: true },
        }
    }

    /// Kubernetes DNS 2.4.2: a record for each port of the endpoint.
    fn srv_of_endpoint(&mut self, service: &ServiceName, group: &Group, endpoint: &Endpoint) -> Written {
        let mut buffer = [0; 255];
        let Some(rest) = self.below_zone(service, &mut buffer) else { return Written::NoData };
        let Some(target) = joined(Some(&endpoint.label), rest) else { return Written::NoData };
        let numbers = group.ports.choose(Ports::All);
        if numbers.count() == 0 {
            return Written::NoData;
        }
        let weight = weight(numbers.pairs * endpoint.addresses().count());
        let seed = self.seed(numbers.count() * target.srv_octets(), || endpoint.addresses().map(octets).sum());
        let Self { owner, ttl, ref mut out, .. } = *self;
        let mut first = None;
        let all = sample::draw(numbers.count(), usize::MAX, seed, |at| {
            let Some(number) = numbers.nth(at) else { return Continue(()) };
            let place = out.srv(Owner::At(owner), ttl, 0, weight, number, target);
            if first.is_none() {
                first = place.ok();
            }
            going(place)
        });
        match first {
            Some(place) if all => self.glue(place, endpoint.addresses()),
            _ => Written::Records { truncated: true },
        }
    }

    /// Kubernetes DNS 2.4.2: a record for each port of each ready endpoint.
    fn srv_of_peers(&mut self, peers: Peers<'_>) -> Written {
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
        let weight = weight(peers.srv_pairs());
        let mut list: [Option<Srv<'_>>; MOST] = [None; MOST];
        let count = peers.list_srv(&mut list, |endpoint| joined(Some(&endpoint.label), rest).is_some());
        if count == 0 {
            return Written::NoData;
        }
        let list = &mut list[..count];
        let records = list.iter().flatten().map(|srv| SrvRow::octets(srv.endpoint.label.as_bytes(), rest)).sum();
        let seed = self.seed(records, || {
            let is_within_reach = Place(self.out.len() + records).is_reachable();
            let firsts = list.iter().flatten().filter(|srv| srv.is_first);
            let each = firsts.map(|srv| {
                let anew = if is_within_reach { 0 } else { 1 + srv.endpoint.label.as_bytes().len() };
                srv.endpoint.addresses().map(|address| anew + octets(address)).sum::<usize>()
            });
            each.sum()
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
        let weight = weight(peers.srv_pairs());
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

    //------- Endpoints that are laid out --------------------------------------

    #[cold]
    fn addresses_laid_out(&mut self, chosen: Chosen<'_>) -> Written {
        let Self { qtype, .. } = *self;
        let (v4, v6) = (chosen.v4(), chosen.v6());
        let (count, each) = if qtype == Rtype::A { (v4.len(), ADDRESS_V4) } else { (v6.len(), ADDRESS_V6) };
        if count == 0 {
            return Written::NoData;
        }
        let seed = self.seed(count * each, || 0);
        let Self { owner, ttl, ref mut out, .. } = *self;
        let all = sample::draw(count, usize::MAX, seed, |at| {
            let (v4, v6) = (v4.get(at).copied(), v6.get(at).copied());
            let address = if qtype == Rtype::A { v4.map(IpAddr::V4) } else { v6.map(IpAddr::V6) };
            address.map_or(Continue(()), |address| going(out.address(Section::Answer, Owner::At(owner), ttl, address)))
        });
        Written::Records { truncated: !all }
    }

    /// Multicluster Services API, "DNS": the name of an imported endpoint has its cluster in it.
    #[cold]
    fn srv_laid_out(&mut self, service: &ServiceName, chosen: Chosen<'_>) -> Written {
        let weight = weight(chosen.choice.pairs);
        let seed = self.seed_of_laid_out(service, chosen);
        let Self { owner, ttl, glue_ttl, spelling, ref mut out, .. } = *self;
        let mut places = [0u16; sample::MOST_RECORDS];
        let mut drawn = 0;
        let all = sample::draw(chosen.srv_count(), places.len(), seed, |at| {
            let mut buffer = [0; 255];
            let Some(LaidOutSrv { endpoint, number, .. }) = chosen.srv(at) else { return Continue(()) };
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
        sample::draw(chosen.srv_count(), places.len(), seed, |position| {
            let mut buffer = [0; 255];
            let Some(LaidOutSrv { endpoint, is_first, .. }) = chosen.srv(position) else { return Continue(()) };
            let rest = below_cluster(service, endpoint, spelling, &mut buffer);
            if rest.and_then(|rest| joined(Some(&endpoint.label), rest)).is_none() {
                return Continue(());
            }
            let owner = Owner::At(Place(usize::from(places[at])));
            at += 1;
            for address in chosen.glue(endpoint).filter(|_| is_first) {
                if out.address(Section::Additional, owner, glue_ttl, address).is_err() {
                    lost = true;
                    return Break(());
                }
            }
            Continue(())
        });
        Written::Records { truncated: lost && self.over_udp }
    }

    /// The seed by which SRV records of endpoints that are laid out are drawn.
    fn seed_of_laid_out(&self, service: &ServiceName, chosen: Chosen<'_>) -> u64 {
        let count = chosen.srv_count();
        let shortest = SrvRow::octets(&[], self.spelling) + service.as_wire().len() + SVC.len();
        if count * shortest > self.out.remaining(Section::Answer) {
            return self.seeds.of(false);
        }
        let all = || (0..count).filter_map(|at| chosen.srv(at));
        let longer = |endpoint: &LaidOut| {
            endpoint.label.as_bytes().len() + endpoint.cluster.as_ref().map_or(0, |own| 1 + own.as_bytes().len())
        };
        let records = all().map(|srv| shortest + longer(srv.endpoint)).sum();
        self.seed(records, || {
            let is_within_reach = Place(self.out.len() + records).is_reachable();
            let firsts = all().filter(|srv| srv.is_first);
            let each = firsts.map(|srv| {
                let anew = if is_within_reach { 0 } else { shortest + longer(srv.endpoint) };
                chosen.glue(srv.endpoint).map(|address| anew + octets(address)).sum::<usize>()
            });
            each.sum()
        })
    }

    #[cold]
    fn srv_of_one_laid_out(&mut self, service: &ServiceName, endpoint: &LaidOut) -> Written {
        let mut buffer = [0; 255];
        let rest = below_cluster(service, endpoint, self.spelling, &mut buffer);
        let Some(target) = rest.and_then(|rest| joined(Some(&endpoint.label), rest)) else { return Written::NoData };
        let weight = weight(endpoint.pairs);
        let seed = self.seed(endpoint.numbers.len() * target.srv_octets(), || endpoint.glue().map(octets).sum());
        let Self { owner, ttl, ref mut out, .. } = *self;
        let mut first = None;
        let all = sample::draw(endpoint.numbers.len(), usize::MAX, seed, |at| {
            let Some(&number) = endpoint.numbers.get(at) else { return Continue(()) };
            let place = out.srv(Owner::At(owner), ttl, 0, weight, number, target);
            if first.is_none() {
                first = place.ok();
            }
            going(place)
        });
        match first {
            Some(place) if all => self.glue(place, endpoint.glue()),
            None if all => Written::NoData,
            _ => Written::Records { truncated: true },
        }
    }

    /// Writes the addresses of a target beside it. Their loss counts over UDP only, as over TCP nothing better can be
    /// had: some clients read addresses from there alone.
    fn glue(&mut self, target: Place, addresses: impl Iterator<Item = IpAddr>) -> Written {
        for address in addresses {
            if self.out.address(Section::Additional, Owner::At(target), self.glue_ttl, address).is_err() {
                return Written::Records { truncated: self.over_udp };
            }
        }
        Written::Records { truncated: false }
    }

    //------- PTR --------------------------------------------------------------

    /// Kubernetes DNS 2.3.3 and 2.4.3: the name of the Service, or of each endpoint, that has the address.
    fn pointers(&mut self, pointer: &Pointer) -> Written {
        let Some(zone) = self.view.primary_zone() else { return Written::NoData };
        let (one, several) = match pointer {
            Pointer::Service(service) => (Some((None, service)), [].as_slice()),
            Pointer::Endpoint(label, service) => (Some((Some(label), service)), [].as_slice()),
            Pointer::Endpoints(all) => (None, &**all),
            Pointer::Shared(shared) if self.view.exposes(shared.service.namespace()) => {
                (Some((None, &shared.service)), [].as_slice())
            }
            Pointer::Shared(shared) => (None, &*shared.endpoints),
        };
        let mut some = false;
        for (label, service) in one.into_iter().chain(several.iter().map(|(label, service)| (Some(label), service))) {
            let mut buffer = [0; 255];
            let rest = below(service, zone.as_wire(), &mut buffer).filter(|_| self.view.exposes(service.namespace()));
            let Some(target) = rest.and_then(|rest| joined(label, rest)) else { continue };
            some = true;
            if self.out.ptr(Owner::At(self.owner), self.ttl, target).is_err() {
                return Written::Records { truncated: true };
            }
        }
        if some { Written::Records { truncated: false } } else { Written::NoData }
    }

    //------- NS ---------------------------------------------------------------

    /// The Services behind which this server stands, by its own addresses; else `ns.dns`.
    fn name_servers(&mut self) -> Written {
        let Self { view, owner, spelling, .. } = *self;
        let mut places = [None; SERVERS];
        let mut some = false;
        let mut lost = false;
        view.for_each_server(|at, server| {
            let mut buffer = [0; 255];
            let rest = below(server.service, spelling, &mut buffer);
            let Some(target) = rest.and_then(|rest| joined(server.label, rest)) else { return };
            let written = self.out.ns(Section::Answer, Owner::At(owner), self.ttl, target);
            (some, lost) = (true, lost || written.is_err());
            places[at] = written.ok();
        });
        if lost {
            return Written::Records { truncated: true };
        }
        if !some {
            let mut buffer = [0; 255];
            let Some(target) = concat(&[b"\x02ns\x03dns", spelling], &mut buffer) else { return Written::NoData };
            return match self.out.ns(Section::Answer, Owner::At(owner), self.ttl, Target::wire(target)) {
                Ok(place) => self.glue(place, view.local.iter().copied()),
                Err(Full) => Written::Records { truncated: true },
            };
        }
        view.for_each_server(|at, server| {
            // The Service may have come between the two walks: then it has no place yet.
            let Some(place) = places[at] else { return };
            for &address in server.addresses {
                lost |= self.out.address(Section::Additional, Owner::At(place), self.glue_ttl, address).is_err();
            }
        });
        Written::Records { truncated: lost && self.over_udp }
    }

    /// `ns.dns`: the addresses of the Services behind which this server stands; else its own.
    fn own_addresses(&mut self) -> Written {
        let Self { view, owner, qtype, .. } = *self;
        let mut servers = false;
        let mut written = Written::NoData;
        view.for_each_server(|_, server| {
            servers = true;
            for &address in server.addresses.iter().filter(|address| address.is_ipv4() == (qtype == Rtype::A)) {
                let lost = self.out.address(Section::Answer, Owner::At(owner), self.ttl, address).is_err();
                written =
                    Written::Records { truncated: lost || matches!(written, Written::Records { truncated: true }) };
            }
        });
        if servers { written } else { self.addresses(view.local.iter().copied()) }
    }

    /// The name of a Service in the zone as the client spelled it.
    fn below_zone<'n>(&self, service: &ServiceName, buffer: &'n mut [u8; 255]) -> Option<&'n [u8]> {
        concat(&[service.as_wire(), self.middle, self.spelling], buffer)
    }
}

impl From<Result<(), Full>> for Written {
    fn from(written: Result<(), Full>) -> Self {
        Self::Records { truncated: written.is_err() }
    }
}

/// A Service behind which this server stands.
struct Server<'s> {
    service: &'s ServiceName,
    /// This server's label in the Service, when that is headless.
    label: Option<&'s Label>,
    /// The addresses of the name that these make.
    addresses: &'s [IpAddr],
}

/// At most so many Services are listed as name servers.
const SERVERS: usize = 16;

impl View {
    /// Shows each Service behind which this server stands once, with its number, which is below [`SERVERS`].
    fn for_each_server(&self, mut show: impl FnMut(usize, Server<'_>)) {
        let mut shown = 0;
        for (at, own) in self.local.iter().enumerate() {
            let earlier = self.local.get(..at).unwrap_or_default();
            self.with_endpoints(*own, |label, service| {
                self.reader.with_service(service.as_wire(), |found| {
                    let (label, addresses) = match found.map(|found| &found.kind) {
                        Some(ServiceKind::ClusterIp { addresses, .. }) => (None, &**addresses),
                        Some(ServiceKind::Headless) => (Some(label), std::slice::from_ref(own)),
                        Some(ServiceKind::ExternalName(_) | ServiceKind::Alias(_)) | None => return,
                    };
                    if shown < SERVERS && !self.stands_behind(earlier, label, service) {
                        show(shown, Server { service, label, addresses });
                        shown += 1;
                    }
                });
            });
        }
    }

    /// Whether one of these addresses belongs to a Service, to a label of it if one is given.
    fn stands_behind(&self, addresses: &[IpAddr], label: Option<&Label>, service: &ServiceName) -> bool {
        let mut found = false;
        for address in addresses {
            self.with_endpoints(*address, |its_label, its_service| {
                found |= its_service == service && label.is_none_or(|label| label == its_label);
            });
        }
        found
    }

    pub(super) fn with_endpoints(&self, address: IpAddr, mut show: impl FnMut(&Label, &ServiceName)) {
        let are_complete = self.reader.has_endpoints();
        self.reader.with_pointer(address, |pointer| match pointer.filter(|_| are_complete) {
            Some(Pointer::Endpoint(label, service)) => show(label, service),
            Some(Pointer::Endpoints(all)) => all.iter().for_each(|(label, service)| show(label, service)),
            Some(Pointer::Shared(shared)) => shared.endpoints.iter().for_each(|(label, service)| show(label, service)),
            Some(Pointer::Service(_)) | None => {}
        });
    }
}

/// What stands between a namespace and the zone of the cluster.
pub(super) const SVC: &[u8] = b"\x03svc";

/// The name of a Service in a zone, in wire format; `None` when it would be too long.
fn below<'n>(service: &ServiceName, zone: &[u8], buffer: &'n mut [u8; 255]) -> Option<&'n [u8]> {
    concat(&[service.as_wire(), SVC, zone], buffer)
}

/// What stands right of an endpoint's own label; `None` when it would be too long.
fn below_cluster<'n>(
    service: &ServiceName,
    endpoint: &LaidOut,
    zone: &[u8],
    buffer: &'n mut [u8; 255],
) -> Option<&'n [u8]> {
    let cluster = endpoint.cluster.as_ref().map_or(&[][..], Label::as_bytes);
    let len = [cluster.len() as u8];
    let len = if cluster.is_empty() { &[][..] } else { &len };
    concat(&[len, cluster, service.as_wire(), SVC, zone], buffer)
}

fn concat<'n>(parts: &[&[u8]], buffer: &'n mut [u8; 255]) -> Option<&'n [u8]> {
    let mut len = 0;
    for part in parts {
        buffer.get_mut(len..len + part.len())?.copy_from_slice(part);
        len += part.len();
    }
    buffer.get(..len)
}

/// A label, if there is one, below a name; `None` when that would be too long.
fn joined<'n>(label: Option<&'n Label>, rest: &'n [u8]) -> Option<Target<'n>> {
    let Some(label) = label.map(Label::as_bytes) else { return Some(Target::wire(rest)) };
    (label.len() + 1 + rest.len() <= 255).then_some(Target { label, rest })
}

/// The weight of each of so many records, as CoreDNS divides it: a hundredth at least.
fn weight(records: usize) -> u16 {
    (100 / records.max(1)).max(1) as u16
}

fn going<T>(written: Result<T, Full>) -> ControlFlow<()> {
    if written.is_ok() { Continue(()) } else { Break(()) }
}

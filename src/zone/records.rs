//! Writes the records of one name and type, in random order, and as many as fit.
//!
//! An answer is cut at whole records, and those that stay are an equally likely choice of the whole set, since some
//! clients use a truncated answer as it is (musl before 1.2.4). SRV records are written in `srv`, name servers in `servers`.

use std::net::IpAddr;
use std::ops::ControlFlow::{self, Break, Continue};

use super::endpoint_set::EndpointSelection;
use super::lookup::Lookup;
use super::peers::Peers;
use super::view::{TtlBounds, bounded};
use super::{Pointer, Seeds, ServiceName, View};
use crate::wire::{Answer, Full, Label, Name, Owner, Place, Rtype, Section, Target, Ttl, sample};

/// An answer under construction, and what its records have in common.
pub(super) struct AnswerContext<'q, 'b> {
    pub(super) view: &'q View,
    pub(super) qtype: Rtype,
    /// The place of the owner of the records.
    pub(super) owner: Place,
    /// The zone.
    pub(super) apex: Owner<'q>,
    /// The zone as the client spelled it: SRV targets end so.
    pub(super) spelling: &'q [u8],
    /// The labels between a namespace and the zone, in wire format: `svc`, or none in zones of `k8s_external`.
    pub(super) middle: &'static [u8],
    pub(super) over_udp: bool,
    pub(super) seeds: Seeds<'q>,
    /// The bounds of TTLs that the `cache` before sets.
    pub(super) bounds: Option<&'q TtlBounds>,
    /// The TTL of records, and of the addresses beside them.
    pub(super) ttl: Ttl,
    pub(super) glue_ttl: Ttl,
    pub(super) out: Answer<'b>,
}

/// The outcome of writing.
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

pub(super) fn octets(address: IpAddr) -> usize {
    if address.is_ipv4() { ADDRESS_V4 } else { ADDRESS_V6 }
}

impl AnswerContext<'_, '_> {
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
            (Lookup::EndpointSet(_, selection), Rtype::A | Rtype::AAAA) => self.addresses_of_set(selection),
            (Lookup::EndpointSet(service, selection), Rtype::SRV) => self.srv_of_set(service, selection),
            (Lookup::SetEndpoint(_, own), Rtype::A | Rtype::AAAA) => self.addresses(own.addresses.iter().copied()),
            (Lookup::SetEndpoint(service, own), Rtype::SRV) => self.srv_of_set_endpoint(service, own),
            (Lookup::Pointer(pointer), Rtype::PTR) => self.pointers(pointer),
            _ => Written::NoData,
        }
    }

    /// The seed by which the records of an answer are drawn that take so many octets, the addresses beside them these more.
    /// Those count where their loss makes the answer a truncated one.
    #[inline]
    pub(super) fn seed(&self, records: usize, beside: impl FnOnce() -> usize) -> u64 {
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
    pub(super) fn addresses(&mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Written {
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
        let v6 = qtype != Rtype::A;
        let all = peers.draw(v6, left / if v6 { ADDRESS_V6 } else { ADDRESS_V4 }, seeds, take);
        all.map_or(Written::NoData, |all| Written::Records { truncated: !all })
    }

    #[cold]
    fn addresses_of_set(&mut self, selection: EndpointSelection<'_>) -> Written {
        let Self { qtype, .. } = *self;
        let (v4, v6) = (selection.v4(), selection.v6());
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

    /// Writes the addresses of a target beside it. Their loss counts over UDP only, as over TCP nothing better can be
    /// had: some clients read addresses from there alone.
    pub(super) fn glue(&mut self, target: Place, addresses: impl Iterator<Item = IpAddr>) -> Written {
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
}

impl From<Result<(), Full>> for Written {
    fn from(written: Result<(), Full>) -> Self {
        Self::Records { truncated: written.is_err() }
    }
}

/// The label between a namespace and the zone of the cluster.
pub(super) const SVC: &[u8] = b"\x03svc";

/// The name of a Service in a zone, in wire format; `None` when it would be too long.
pub(super) fn below<'n>(service: &ServiceName, zone: &[u8], buffer: &'n mut [u8; 255]) -> Option<&'n [u8]> {
    concat(&[service.as_wire(), SVC, zone], buffer)
}

pub(super) fn concat<'n>(parts: &[&[u8]], buffer: &'n mut [u8; 255]) -> Option<&'n [u8]> {
    let mut len = 0;
    for part in parts {
        buffer.get_mut(len..len + part.len())?.copy_from_slice(part);
        len += part.len();
    }
    buffer.get(..len)
}

/// A label, if there is one, below a name; `None` when that would be too long.
pub(super) fn joined<'n>(label: Option<&'n Label>, rest: &'n [u8]) -> Option<Target<'n>> {
    let Some(label) = label.map(Label::as_bytes) else { return Some(Target::wire(rest)) };
    (label.len() + 1 + rest.len() <= 255).then_some(Target { label, rest })
}

pub(super) fn going<T>(written: Result<T, Full>) -> ControlFlow<()> {
    if written.is_ok() { Continue(()) } else { Break(()) }
}

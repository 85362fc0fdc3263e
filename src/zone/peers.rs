//! The endpoints that one name stands for: all of a Service, those with a port, or those in a topology zone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

use super::buckets::{Buckets, Keyed};
use super::endpoints::{AddressSets, Counted, Endpoint, EndpointGroup, Endpoints};
use super::grammar::TopologyZone;
use super::ports::Ports;
use super::{Seeds, ServiceName};
use crate::wire::sample;

/// The endpoints that one name stands for.
#[derive(Clone, Copy)]
pub(super) struct Peers<'s> {
    pub(super) service: &'s ServiceName,
    pub(super) endpoints: &'s Endpoints,
    pub(super) ports: Ports<'s>,
    /// Only those in this topology zone.
    pub(super) zone: Option<TopologyZone<'s>>,
}

/// One record of an SRV answer.
#[derive(Clone, Copy)]
pub(super) struct Srv<'s> {
    pub(super) endpoint: &'s Endpoint,
    pub(super) number: u16,
    /// Of the records that name this endpoint, it is the first.
    pub(super) is_first: bool,
}

impl<'s> Peers<'s> {
    /// The groups that belong to the choice.
    pub(super) fn groups(self) -> impl Iterator<Item = &'s EndpointGroup> {
        self.endpoints.groups().iter().filter(move |group| {
            self.zone.is_none_or(|zone| group.zone.as_ref().is_some_and(|own| zone.spells(own)))
                && (matches!(self.ports, Ports::All) || group.ports.choose(self.ports).count() > 0)
        })
    }

    pub(super) fn is_empty(self) -> bool {
        self.groups().next().is_none()
    }

    /// The number of SRV records: one for each endpoint and port number.
    pub(super) fn srv_count(self) -> usize {
        self.groups().map(|group| group.endpoints.len() * group.ports.choose(self.ports).count()).sum()
    }

    /// The number of triples of endpoint, address and port, by which CoreDNS divides the weight.
    pub(super) fn srv_pairs(self) -> usize {
        self.groups().map(|group| group.pairs as usize * group.ports.choose(self.ports).pairs).sum()
    }

    /// Lists the SRV records of the endpoints that are wanted, in no order; returns how many there are. Those that the
    /// list has no place for are left out.
    pub(super) fn list_srv(self, list: &mut [Option<Srv<'s>>], wanted: impl Fn(&Endpoint) -> bool) -> usize {
        let mut count = 0;
        for group in self.groups() {
            let numbers = group.ports.choose(self.ports);
            for part in group.endpoints.parts() {
                for endpoint in part.iter().filter(|endpoint| wanted(endpoint)) {
                    for at in 0..numbers.count() {
                        let (Some(place), Some(number)) = (list.get_mut(count), numbers.nth(at)) else { return count };
                        *place = Some(Srv { endpoint, number, is_first: at == 0 });
                        count += 1;
                    }
                }
            }
        }
        count
    }

    /// The SRV record at a position below [`srv_count`](Self::srv_count).
    pub(super) fn srv(self, mut position: usize) -> Option<Srv<'s>> {
        for group in self.groups() {
            let numbers = group.ports.choose(self.ports);
            let here = group.endpoints.len() * numbers.count();
            if position < here {
                let at = position % numbers.count();
                let endpoint = group.endpoints.nth(position / numbers.count())?;
                return Some(Srv { endpoint, number: numbers.nth(at)?, is_first: at == 0 });
            }
            position -= here;
        }
        None
    }

    /// Draws the addresses of one family in random order, each once; `most`, which fit, and the result as in
    /// [`sample::draw`]. `None` when there are none.
    pub(super) fn draw(
        self,
        v6: bool,
        most: usize,
        seeds: Seeds<'_>,
        take: impl FnMut(IpAddr) -> ControlFlow<()>,
    ) -> Option<bool> {
        if v6 {
            self.draw_from::<Ipv6Addr>(|addresses| &addresses.v6, most, seeds, take)
        } else {
            self.draw_from::<Ipv4Addr>(|addresses| &addresses.v4, most, seeds, take)
        }
    }

    fn draw_from<A: Copy + Into<IpAddr>>(
        self,
        family: impl Fn(&AddressSets) -> &Buckets<Counted<A>>,
        most: usize,
        seeds: Seeds<'_>,
        mut take: impl FnMut(IpAddr) -> ControlFlow<()>,
    ) -> Option<bool>
    where
        Counted<A>: Keyed<Key = A>,
    {
        let mut chosen = self.groups();
        let set = match (chosen.next()?, chosen.next()) {
            (only, None) => Some(&only.addresses),
            _ if self.groups().count() == self.endpoints.groups().len() => self.endpoints.addresses(),
            _ => None,
        };
        if let Some(set) = set.map(&family) {
            let mut one = |at| set.nth(at).map_or(ControlFlow::Continue(()), |counted| take(counted.address.into()));
            let seed = seeds.of(set.len() <= most);
            return (set.len() > 0).then(|| sample::draw(set.len(), most, seed, &mut one));
        }
        // Some groups of several: an address that two of them share counts in the first.
        let count = self.groups().map(|group| family(&group.addresses).len()).sum();
        let all = sample::draw(count, sample::MOST_RECORDS, seeds.of(count <= most), |mut at| {
            for (index, group) in self.groups().enumerate() {
                let set = family(&group.addresses);
                if let Some(counted) = set.nth(at) {
                    let mut earlier = self.groups().take(index);
                    let shared = earlier.any(|group| family(&group.addresses).get(&counted.address).is_some());
                    return if shared { ControlFlow::Continue(()) } else { take(counted.address.into()) };
                }
                at -= set.len();
            }
            ControlFlow::Continue(())
        });
        (count > 0).then_some(all)
    }
}

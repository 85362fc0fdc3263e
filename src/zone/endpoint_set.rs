//! Endpoints as a set of records: for Services imported from several clusters, and for the few Services whose slices
//! list one endpoint twice, or with other ports at one address than at another.
//!
//! Everything that an answer draws from is made when a version is made, so that each address goes with just the ports of
//! the slice that lists it, and nothing counts twice. Of a next version the endpoints that changed are made anew, and the
//! rows that refer to them; see `endpoints` for what costs less. What is the same for several endpoints or several ports is
//! kept once: a slice may have thousands of each, but few slices have ports of their own. So endpoints in the same port
//! lists share these, and ports in the same lists share their endpoints.
//!
//! Differs from CoreDNS: the weight is divided by what is left when repeats are gone, so that the weights add up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::ports::{bit, protocols};
use super::{Port, Protocol};
use crate::wire::Label;

/// A ready endpoint as one slice lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SliceEndpoint {
    /// Its own label.
    pub label: Label,
    /// The cluster that it belongs to, when the Service is imported and its slice says so.
    pub cluster: Option<Label>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The ports of the slice.
    pub ports: Arc<[Port]>,
}

/// The ready endpoints of one Service, in one version.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EndpointSet {
    /// Sorted by label and cluster, each pair once; shared with the version before.
    endpoints: Box<[Arc<SetEndpoint>]>,
    /// The different port lists of its endpoints; `None` in a place that is free, as no endpoint has the list any more.
    lists: Box<[Option<Arc<[Port]>>]>,
    /// The clusters that have any, sorted.
    clusters: Box<[Label]>,
    all: SelectedRecords,
    /// One for each name and protocol, sorted by these.
    named: Box<[((Label, Protocol), SelectedRecords)]>,
    /// The protocols of ports that have a name, a bit each.
    protocols: u8,
}

/// All that one label stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetEndpoint {
    /// The label.
    pub label: Label,
    /// The cluster that it belongs to.
    pub cluster: Option<Label>,
    /// Its addresses, sorted, each once.
    pub addresses: Box<[IpAddr]>,
    /// Its ports, sorted, each once.
    pub ports: Arc<[Port]>,
    /// Its port numbers that have SRV records, sorted, each once.
    pub(super) numbers: Arc<[u16]>,
    /// The number of pairs of an address and a port number.
    pub(super) pairs: usize,
    /// Its addresses by the port list that they go with, each list once.
    listed: Box<[ListedAddresses]>,
}

/// Addresses of one endpoint that go with one port list.
#[derive(Clone, PartialEq, Eq, Debug)]
struct ListedAddresses {
    list: u32,
    /// A port of the list has a number.
    numbered: bool,
    /// Sorted, each once.
    addresses: Box<[IpAddr]>,
}

/// The endpoints that have one port, or all of them, as the records that they make.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct SelectedRecords {
    members: Arc<Members>,
    /// For each group of the members, the port numbers of the SRV records of each of its endpoints.
    numbers: Box<[Arc<[u16]>]>,
    /// The number of SRV records up to and with each group.
    ends: Box<[usize]>,
    /// The port lists, sorted, in which it has a number: addresses that go with them stand beside SRV records.
    numbered: Arc<[u32]>,
    /// The number of triples of endpoint, address and port number, by which the weight is divided.
    pub(super) pairs: usize,
}

/// The endpoints of certain port lists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Members {
    v4: Box<[Ipv4Addr]>,
    v6: Box<[Ipv6Addr]>,
    /// Positions of endpoints; those of one group stand together.
    endpoints: Box<[u32]>,
    groups: Box<[MemberGroup]>,
}

/// Members of a set whose addresses go with the same port lists.
#[derive(Clone, PartialEq, Eq, Debug)]
struct MemberGroup {
    /// The lists, sorted.
    lists: Box<[u32]>,
    /// The place of its first endpoint among those of the members.
    start: usize,
    /// The number of pairs of an endpoint and an address, an address counted for each list.
    addresses: usize,
}

/// An SRV record.
#[derive(Clone, Copy)]
pub(super) struct SetSrv<'l> {
    pub(super) endpoint: &'l SetEndpoint,
    pub(super) number: u16,
    /// Of the records that name this endpoint, it is the first.
    pub(super) is_first: bool,
}

/// Some of the endpoints of a set.
#[derive(Clone, Copy)]
pub(super) struct EndpointSelection<'l> {
    set: &'l EndpointSet,
    pub(super) records: &'l SelectedRecords,
}

impl EndpointSet {
    /// Makes a set of what slices list. Endpoints of one label and cluster are one.
    pub fn new(parts: &[SliceEndpoint]) -> Self {
        let mut own: Vec<(Label, Option<Label>)> = parts.iter().map(SliceEndpoint::key).collect();
        sort(&mut own);
        Self::default().apply(&own, parts).unwrap_or_default()
    }

    /// The next version, in which these endpoints, sorted, are as slices list them here, and gone where none does.
    /// `None` when that is as it was.
    pub fn apply(&self, changed: &[(Label, Option<Label>)], parts: &[SliceEndpoint]) -> Option<Self> {
        let mut lists = PortLists::new(&self.lists, parts);
        let mut merged = Merged::new();
        for (part, &list) in parts.iter().zip(&lists.of_parts) {
            let own = merged.entry((&part.label, part.cluster.as_ref())).or_default();
            own.entry(list).or_default().extend(&part.addresses);
        }
        let mut shared: HashMap<Vec<u32>, Union> = HashMap::new();
        let made = merged.into_iter().map(|((label, cluster), own)| {
            let of: Vec<u32> = own.keys().copied().collect();
            let union = |of: &Vec<u32>| self.union(of).unwrap_or_else(|| lists.union(of));
            let (ports, numbers) = shared.entry(of).or_insert_with_key(union).clone();
            let addresses: BTreeSet<IpAddr> = own.values().flatten().copied().collect();
            let listed = own.into_iter().map(|(list, own)| ListedAddresses {
                list,
                numbered: lists.numbers(list).iter().any(|&number| number != 0),
                addresses: own.into_iter().collect(),
            });
            let listed: Box<[ListedAddresses]> = listed.collect();
            let (label, cluster) = (label.clone(), cluster.cloned());
            let pairs = pairs(&listed, |list| lists.numbers(list));
            SetEndpoint { label, cluster, addresses: addresses.into_iter().collect(), ports, numbers, pairs, listed }
        });
        let (mut made, mut changed) = (made.peekable(), changed.iter().peekable());
        let mut endpoints: Vec<Arc<SetEndpoint>> = Vec::with_capacity(self.endpoints.len() + parts.len());
        let mut is_same = true;
        for old in &self.endpoints {
            let key = old.key();
            while let Some(new) = made.next_if(|new| new.key() < key) {
                is_same = false;
                endpoints.push(Arc::new(new));
            }
            while changed.next_if(|(label, cluster)| (label, cluster.as_ref()) < key).is_some() {}
            let is_named = changed.next_if(|(label, cluster)| (label, cluster.as_ref()) == key).is_some();
            match made.next_if(|new| new.key() == key) {
                Some(new) if new != **old => {
                    is_same = false;
                    endpoints.push(Arc::new(new));
                }
                None if is_named => is_same = false,
                _ => endpoints.push(Arc::clone(old)),
            }
        }
        let more = endpoints.len();
        endpoints.extend(made.map(Arc::new));
        if is_same && more == endpoints.len() {
            return None;
        }
        lists.free(&endpoints);
        Some(Self::of(endpoints, lists))
    }

    fn of(endpoints: Vec<Arc<SetEndpoint>>, lists: PortLists) -> Self {
        let clusters: BTreeSet<&Label> = endpoints.iter().filter_map(|own| own.cluster.as_ref()).collect();
        let clusters = clusters.into_iter().cloned().collect();
        let mut by_lists = HashMap::new();
        let mut choose = |of: &ByList| SelectedRecords::new(of, &endpoints, &mut by_lists);
        let all = choose(&lists.every());
        let named = lists.named().into_iter().map(|(port, of)| (port, choose(&of))).collect();
        let protocols = protocols(lists.all.iter().flatten().flat_map(|list| list.iter()));
        Self { endpoints: endpoints.into(), lists: lists.all.into(), clusters, all, named, protocols }
    }

    /// The ports of several lists and their numbers, if an endpoint has just these lists already.
    fn union(&self, lists: &[u32]) -> Option<Union> {
        let has = |own: &SetEndpoint| own.listed.iter().map(|own| own.list).eq(lists.iter().copied());
        self.endpoints.iter().find(|own| has(own)).map(|own| (Arc::clone(&own.ports), Arc::clone(&own.numbers)))
    }

    /// The endpoints.
    pub fn endpoints(&self) -> &[Arc<SetEndpoint>] {
        &self.endpoints
    }

    /// The endpoint of a label in a cluster.
    pub(super) fn find(&self, label: &[u8], cluster: Option<&[u8]>) -> Option<&SetEndpoint> {
        let key = |own: &SetEndpoint| {
            (own.label.as_bytes(), own.cluster.as_ref().map(Label::as_bytes)).cmp(&(label, cluster))
        };
        self.endpoints.binary_search_by(|own| key(own)).ok().and_then(|at| self.endpoints.get(at)).map(|own| &**own)
    }

    /// Whether a cluster has endpoints here.
    pub(super) fn has_cluster(&self, cluster: &[u8]) -> bool {
        self.clusters.binary_search_by(|own| own.as_bytes().cmp(cluster)).is_ok()
    }

    /// All endpoints; `None` when there is none.
    pub(super) fn all(&self) -> Option<EndpointSelection<'_>> {
        (!self.endpoints.is_empty()).then_some(EndpointSelection { set: self, records: &self.all })
    }

    /// The endpoints with a port of this name and protocol, both labels without underscore.
    pub(super) fn with_port(&self, name: &[u8], protocol: &[u8]) -> Option<EndpointSelection<'_>> {
        let protocol = Protocol::of_label(protocol)?;
        let at = self.named.binary_search_by(|((own, its), _)| (own.as_bytes(), *its).cmp(&(name, protocol))).ok()?;
        Some(EndpointSelection { set: self, records: &self.named.get(at)?.1 })
    }

    /// Whether any named port has this protocol.
    pub(super) fn has_protocol(&self, protocol: &[u8]) -> bool {
        Protocol::of_label(protocol).is_some_and(|protocol| self.protocols & bit(protocol) != 0)
    }
}

impl<'l> EndpointSelection<'l> {
    pub(super) fn v4(self) -> &'l [Ipv4Addr] {
        &self.records.members.v4
    }

    pub(super) fn v6(self) -> &'l [Ipv6Addr] {
        &self.records.members.v6
    }

    /// The number of SRV records.
    pub(super) fn srv_count(self) -> usize {
        self.records.ends.last().copied().unwrap_or(0)
    }

    /// The SRV record at a position below [`srv_count`](Self::srv_count).
    pub(super) fn srv(self, position: usize) -> Option<SetSrv<'l>> {
        let SelectedRecords { members, numbers, ends, .. } = self.records;
        let group = ends.partition_point(|&end| end <= position);
        let before = group.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
        let (numbers, within) = (numbers.get(group)?, position - before);
        let at = within.checked_rem(numbers.len())?;
        let member = members.endpoints.get(members.groups.get(group)?.start + within / numbers.len())?;
        let endpoint = self.set.endpoints.get(*member as usize)?;
        Some(SetSrv { endpoint, number: *numbers.get(at)?, is_first: at == 0 })
    }

    /// The addresses of an endpoint that stand beside its SRV records, each once.
    pub(super) fn glue(self, endpoint: &'l SetEndpoint) -> impl Iterator<Item = IpAddr> + 'l {
        let numbered = &self.records.numbered;
        each_once(&endpoint.listed, move |own| numbered.binary_search(&own.list).is_ok())
    }
}

impl SliceEndpoint {
    /// Label and cluster, by which its endpoint is told from others.
    fn key(&self) -> (Label, Option<Label>) {
        (self.label.clone(), self.cluster.clone())
    }
}

impl SetEndpoint {
    fn key(&self) -> (&Label, Option<&Label>) {
        (&self.label, self.cluster.as_ref())
    }

    /// The addresses that stand beside its SRV records, each once.
    pub(super) fn glue(&self) -> impl Iterator<Item = IpAddr> {
        each_once(&self.listed, |own| own.numbered)
    }
}

/// The addresses of those that are wanted.
fn each_once<'l>(
    listed: &'l [ListedAddresses],
    is_wanted: impl Fn(&ListedAddresses) -> bool + Copy + 'l,
) -> impl Iterator<Item = IpAddr> + 'l {
    let wanted = move || listed.iter().filter(move |own| is_wanted(own));
    wanted().enumerate().flat_map(move |(at, own)| {
        let again = move |address: &IpAddr| wanted().take(at).any(|own| own.addresses.binary_search(address).is_ok());
        own.addresses.iter().filter(move |address| !again(address)).copied()
    })
}

impl SelectedRecords {
    /// The endpoints whose addresses go with any of these port lists, which have these numbers in it.
    fn new(of: &ByList, endpoints: &[Arc<SetEndpoint>], by_lists: &mut HashMap<Vec<u32>, Arc<Members>>) -> Self {
        let lists: Vec<u32> = of.iter().map(|(list, _)| *list).collect();
        let members = by_lists.entry(lists).or_insert_with_key(|lists| Arc::new(Members::new(lists, endpoints)));
        let own = |list: u32| of.binary_search_by_key(&list, |(list, _)| *list).ok().and_then(|at| of.get(at));
        let own = |list| own(list).map_or(&[][..], |(_, numbers)| numbers);
        let (mut numbers, mut ends, mut total, mut all_pairs) = (Vec::new(), Vec::new(), 0, 0);
        for (at, MemberGroup { lists, start, addresses }) in members.groups.iter().enumerate() {
            let union: BTreeSet<u16> = lists.iter().flat_map(|&list| own(list)).copied().collect();
            let union: Arc<[u16]> = union.into_iter().filter(|&number| number != 0).collect();
            let end = members.groups.get(at + 1).map_or(members.endpoints.len(), |next| next.start);
            total += union.len() * (end - start);
            ends.push(total);
            numbers.push(union);
            all_pairs += match **lists {
                [list] => addresses * own(list).len(),
                _ => {
                    let group = members.endpoints.get(*start..end).unwrap_or_default();
                    let group = group.iter().filter_map(|&at| endpoints.get(at as usize));
                    group.map(|endpoint| pairs(&endpoint.listed, own)).sum::<usize>()
                }
            };
        }
        let numbered = of.iter().filter(|(_, numbers)| numbers.iter().any(|&number| number != 0));
        let numbered = numbered.map(|(list, _)| *list).collect();
        Self { members: Arc::clone(members), numbers: numbers.into(), ends: ends.into(), numbered, pairs: all_pairs }
    }
}

impl Members {
    fn new(lists: &[u32], endpoints: &[Arc<SetEndpoint>]) -> Self {
        let mut groups: BTreeMap<Vec<u32>, (Vec<u32>, usize)> = BTreeMap::new();
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let mut group: Vec<u32> = Vec::new();
        for (at, endpoint) in (0..).zip(endpoints) {
            let of = || endpoint.listed.iter().filter(|own| lists.binary_search(&own.list).is_ok());
            group.clear();
            group.extend(of().map(|own| own.list));
            if group.is_empty() {
                continue;
            }
            if !groups.contains_key(&group) {
                groups.insert(group.clone(), Default::default());
            }
            let Some((its, addresses)) = groups.get_mut(&group) else { continue };
            its.push(at);
            *addresses += of().map(|own| own.addresses.len()).sum::<usize>();
            for address in of().flat_map(|own| &own.addresses) {
                match address {
                    IpAddr::V4(address) => v4.push(*address),
                    IpAddr::V6(address) => v6.push(*address),
                }
            }
        }
        sort(&mut v4);
        sort(&mut v6);
        let mut all: Vec<u32> = Vec::with_capacity(endpoints.len());
        let groups = groups.into_iter().map(|(lists, (own, addresses))| {
            let start = all.len();
            all.extend(own);
            MemberGroup { lists: lists.into(), start, addresses }
        });
        let groups = groups.collect();
        Self { v4: v4.into(), v6: v6.into(), endpoints: all.into(), groups }
    }
}

//----------- PortLists --------------------------------------------------------

/// Endpoints by label and cluster: their addresses by port list.
type Merged<'p> = BTreeMap<(&'p Label, Option<&'p Label>), BTreeMap<u32, BTreeSet<IpAddr>>>;

/// The ports of several lists, and those of their numbers that have SRV records.
type Union = (Arc<[Port]>, Arc<[u16]>);

/// The different port lists of a version, each in a place of its own.
struct PortLists {
    all: Vec<Option<Arc<[Port]>>>,
    /// The numbers of each.
    numbers: Vec<Vec<u16>>,
    /// The list of each endpoint.
    of_parts: Vec<u32>,
}

/// The port numbers that a name stands for, by port list, sorted.
type ByList = Vec<(u32, Vec<u16>)>;

impl PortLists {
    /// Those of the version before, in their places, and those that slices list.
    fn new(before: &[Option<Arc<[Port]>>], parts: &[SliceEndpoint]) -> Self {
        let mut all = before.to_vec();
        let mut free: Vec<u32> = (0..).zip(before).filter(|(_, list)| list.is_none()).map(|(at, _)| at).collect();
        let mut known: HashMap<Arc<[Port]>, u32> =
            (0..).zip(before).filter_map(|(at, list)| Some((Arc::clone(list.as_ref()?), at))).collect();
        // Nearly always one allocation is shared by all endpoints of a slice: it need not be read again.
        let mut seen: HashMap<*const Port, u32> = HashMap::new();
        let of_parts = parts.iter().map(|part| {
            let ports = &part.ports;
            let place = if ports.is_empty() { std::ptr::null() } else { ports.as_ptr() };
            *seen.entry(place).or_insert_with(|| {
                *known.entry(Arc::clone(ports)).or_insert_with(|| {
                    let at = free.pop().unwrap_or(all.len() as u32);
                    match all.get_mut(at as usize) {
                        Some(place) => *place = Some(Arc::clone(ports)),
                        None => all.push(Some(Arc::clone(ports))),
                    }
                    at
                })
            })
        });
        let of_parts = of_parts.collect();
        let numbers = all.iter().map(|list| list.as_ref().map_or_else(Vec::new, |list| numbers(list))).collect();
        Self { all, numbers, of_parts }
    }

    /// The numbers of a list.
    fn numbers(&self, list: u32) -> &[u16] {
        self.numbers.get(list as usize).map_or(&[], Vec::as_slice)
    }

    /// Gives up the places of lists that none of these endpoints has.
    fn free(&mut self, endpoints: &[Arc<SetEndpoint>]) {
        let mut used = vec![false; self.all.len()];
        for own in endpoints.iter().flat_map(|own| &own.listed) {
            used.get_mut(own.list as usize).into_iter().for_each(|used| *used = true);
        }
        self.all.iter_mut().zip(used).filter(|(_, used)| !used).for_each(|(list, _)| *list = None);
    }

    /// All of them.
    fn every(&self) -> ByList {
        let every = (0..).zip(&self.all).zip(&self.numbers);
        every.filter(|((_, list), _)| list.is_some()).map(|((at, _), numbers)| (at, numbers.clone())).collect()
    }

    /// The union of several lists.
    fn union(&self, lists: &[u32]) -> Union {
        let mut ports: Vec<Port> = lists
            .iter()
            .filter_map(|&list| self.all.get(list as usize)?.as_ref())
            .flat_map(|list| list.iter().cloned())
            .collect();
        sort(&mut ports);
        // 53 over UDP and over TCP is one record.
        let mut numbers: Vec<u16> = ports.iter().map(|port| port.number).filter(|&number| number != 0).collect();
        sort(&mut numbers);
        (ports.into(), numbers.into())
    }

    /// The lists, with the port numbers in them, of each name and protocol.
    fn named(&self) -> BTreeMap<(Label, Protocol), ByList> {
        let mut named: BTreeMap<(Label, Protocol), ByList> = BTreeMap::new();
        for (list, ports) in (0..).zip(&self.all) {
            for port in ports.iter().flat_map(|ports| ports.iter()) {
                let Some(name) = port.name.clone() else { continue };
                let of = named.entry((name, port.protocol)).or_default();
                match of.last_mut().filter(|(last, _)| *last == list) {
                    Some((_, numbers)) => numbers.push(port.number),
                    None => of.push((list, vec![port.number])),
                }
            }
        }
        named.values_mut().flatten().for_each(|(_, numbers)| sort(numbers));
        named
    }
}

/// The port numbers of a list, sorted, each once. As in CoreDNS, what has no port, or one without a number, counts all
/// the same: as the number 0.
fn numbers(ports: &[Port]) -> Vec<u16> {
    let mut numbers: Vec<u16> = ports.iter().map(|port| port.number).collect();
    sort(&mut numbers);
    if numbers.is_empty() { vec![0] } else { numbers }
}

/// The number of pairs of an address and a number, each counted once.
fn pairs<'n>(listed: &[ListedAddresses], numbers: impl Fn(u32) -> &'n [u16]) -> usize {
    if let [own] = listed {
        return own.addresses.len() * numbers(own.list).len();
    }
    let mut pairs = BTreeSet::new();
    for own in listed {
        let numbers = numbers(own.list);
        pairs.extend(own.addresses.iter().flat_map(|&address| numbers.iter().map(move |&number| (address, number))));
    }
    pairs.len()
}

fn sort<T: Ord>(all: &mut Vec<T>) {
    all.sort_unstable();
    all.dedup();
}

#[cfg(test)]
mod tests;

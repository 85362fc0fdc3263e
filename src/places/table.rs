//! The books: who holds which places, and who holds most.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use tokio::sync::oneshot;

use super::Network;

/// The address that holds a place: its network, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Holder {
    pub(super) network: Network,
    host: u64,
}

impl Holder {
    pub(super) fn of(address: IpAddr) -> Self {
        let host = match address.to_canonical() {
            IpAddr::V4(_) => 0,
            IpAddr::V6(v6) => u128::from(v6) as u64,
        };
        Self { network: Network::of(address), host }
    }
}

/// All places that are taken. A place is taken and given back in the time of a few look-ups, however many there are.
#[derive(Debug, Default)]
pub(super) struct PlaceTable {
    /// The places by holder and number: the newest of a holder is its last.
    places: BTreeMap<(Holder, u64), oneshot::Sender<()>>,
    networks: HashMap<Network, usize>,
    /// Networks by how many places they hold.
    ranks: BTreeSet<(usize, Network)>,
    hosts: HashMap<Holder, usize>,
    /// Addresses of each network by how many places they hold.
    host_ranks: BTreeSet<(Network, usize, u64)>,
    next: u64,
}

impl PlaceTable {
    /// The number of places that are taken.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing is kept of anybody.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let Self { places, networks, ranks, hosts, host_ranks, next: _ } = self;
        places.is_empty() && networks.is_empty() && ranks.is_empty() && hosts.is_empty() && host_ranks.is_empty()
    }

    /// Takes a place. Returns its number, and what ends when it is given to another.
    pub(super) fn insert(&mut self, holder: Holder) -> (u64, oneshot::Receiver<()>) {
        let (sender, lost) = oneshot::channel();
        let number = self.next;
        self.next += 1;
        self.places.insert((holder, number), sender);
        self.count(holder, true);
        (number, lost)
    }

    /// Gives a place back, unless it was given to another before.
    pub(super) fn remove(&mut self, holder: Holder, number: u64) {
        if self.places.remove(&(holder, number)).is_some() {
            self.count(holder, false);
        }
    }

    /// Takes a place away for one who holds less than its holder; `None` when there is none to take.
    pub(super) fn make_room(&mut self, to: Holder) -> Option<()> {
        let (holder, number) = self.victim(to)?;
        self.remove(holder, number);
        Some(())
    }

    /// The newest place of whoever holds most, where that is at least two more than another holds: or places would go to
    /// and fro, and no work come to its end.
    pub(super) fn victim(&self, to: Holder) -> Option<(Holder, u64)> {
        let own = self.networks.get(&to.network).copied().unwrap_or_default();
        let &(most, heaviest) = self.ranks.last()?;
        let within = most <= own + 1;
        let network = if within { to.network } else { heaviest };
        let &(_, count, host) = self.host_ranks.range((network, 0, 0)..=(network, usize::MAX, u64::MAX)).next_back()?;
        if within && count <= self.hosts.get(&to).copied().unwrap_or_default() + 1 {
            return None;
        }
        let victim = Holder { network, host };
        self.places.range((victim, 0)..=(victim, u64::MAX)).next_back().map(|(&key, _)| key)
    }

    fn count(&mut self, holder: Holder, more: bool) {
        let Holder { network, host } = holder;
        let (before, now) = step(&mut self.networks, network, more);
        self.ranks.remove(&(before, network));
        if now > 0 {
            self.ranks.insert((now, network));
        }
        let (before, now) = step(&mut self.hosts, holder, more);
        self.host_ranks.remove(&(network, before, host));
        if now > 0 {
            self.host_ranks.insert((network, now, host));
        }
    }
}

/// Counts one more or one less; returns the count of before and that of now.
fn step<K: std::hash::Hash + Eq + Copy>(counts: &mut HashMap<K, usize>, key: K, more: bool) -> (usize, usize) {
    let count = counts.entry(key).or_default();
    let before = *count;
    *count = if more { before + 1 } else { before.saturating_sub(1) };
    let now = *count;
    if now == 0 {
        counts.remove(&key);
    }
    (before, now)
}

//! The connections there are: which gives way when places are short, and which when answers that nobody takes fill
//! their room.
//!
//! Both times the client address that has the most gives way first, so that no client takes what others need. Of IPv6 a
//! network of 64 bits counts as one address: whoever has one address there has them all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::metrics;
use crate::places::Network;

/// The open connections of one server.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    open: Mutex<OpenConnections>,
    limit: usize,
    unread: usize,
    started: Instant,
}

#[derive(Debug, Default)]
struct OpenConnections {
    connections: HashMap<u64, ConnectionEntry>,
    /// The connections of each client, by the time since when each may be idle.
    clients: HashMap<Network, BTreeSet<(u64, u64)>>,
    /// The clients, the one that gives way first last.
    ranks: BTreeSet<Rank>,
    /// Octets of answers that are not taken, by connection.
    unread: BTreeMap<u64, (Network, usize)>,
    next: u64,
}

/// The number of connections that a client has, and since when the first of them may be idle.
type Rank = (usize, Reverse<u64>, Network);

#[derive(Debug)]
struct ConnectionEntry {
    state: Arc<ConnectionState>,
    network: Network,
    /// The place among those of its client: it has not been idle since before.
    since: u64,
}

#[derive(Debug)]
struct ConnectionState {
    /// Milliseconds since the start when it became idle; [`BUSY`] while it is not.
    idle_since: AtomicU64,
    close: Notify,
}

const BUSY: u64 = u64::MAX;

/// The number of busy connections that are looked at before one of them may have to give way.
const LOOKS: usize = 64;

/// The cost of keeping an answer beside its octets, in octets.
const OVERHEAD: usize = 512;

impl ConnectionTable {
    /// Room for so many connections, and for so many octets of answers that are not taken at once.
    pub(super) fn new(limit: usize, unread: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), limit: limit.max(1), unread, started: Instant::now() })
    }

    /// Takes a place for a connection. At the limit the client with the most connections loses the one that has been
    /// idle longest. Where none is idle, a busy one gives way only to a client that has fewer; else there is no place.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Guard> {
        let network = Network::of(peer);
        let mut open = self.open();
        let now = self.now();
        if open.connections.len() >= self.limit {
            metrics::CONNECTIONS_SHED.inc();
            let victim = open.victim(network, now)?;
            open.close(victim);
        }
        let id = open.next;
        open.next += 1;
        let state = Arc::new(ConnectionState { idle_since: AtomicU64::new(now), close: Notify::new() });
        open.connections.insert(id, ConnectionEntry { state: state.clone(), network, since: now });
        open.reorder(network, |order| order.insert((now, id)));
        metrics::CONNECTIONS.inc();
        Some(Guard { connections: self.clone(), id, state })
    }

    /// Whether more than half of the places are taken.
    pub(super) fn is_crowded(&self) -> bool {
        self.open().connections.len() * 2 > self.limit
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(BUSY - 1)
    }
}

impl OpenConnections {
    /// The connection that gives way to one more of a client.
    fn victim(&mut self, to: Network, now: u64) -> Option<u64> {
        let own = self.clients.get(&to).map_or(0, BTreeSet::len);
        let mut busy = None;
        let mut looks = 0;
        while looks < LOOKS {
            let &(count, _, most) = self.ranks.last()?;
            let (count, network) = if own >= count { (own, to) } else { (count, most) };
            let &(since, id) = self.clients.get(&network)?.first()?;
            let entry = self.connections.get_mut(&id)?;
            let idle = entry.state.idle_since.load(Ordering::Relaxed);
            if idle <= since {
                return Some(id);
            }
            if idle == BUSY {
                looks += 1;
                busy.get_or_insert((count, id));
            }
            // It was active after it had got its place: its true one is further back.
            let later = if idle == BUSY { now + 1 } else { idle };
            entry.since = later;
            self.reorder(network, |order| order.remove(&(since, id)) && order.insert((later, id)));
            if looks > self.clients.get(&network).map_or(0, BTreeSet::len) {
                break;
            }
        }
        busy.filter(|&(count, _)| count > own + 1).map(|(_, id)| id)
    }

    /// Tells a connection to close; it has no place from now on.
    fn close(&mut self, id: u64) {
        if let Some(entry) = self.remove(id) {
            entry.state.close.notify_one();
        }
    }

    fn remove(&mut self, id: u64) -> Option<ConnectionEntry> {
        let entry = self.connections.remove(&id)?;
        self.reorder(entry.network, |order| order.remove(&(entry.since, id)));
        Some(entry)
    }

    /// Changes the order of a client's connections, and its rank with it.
    fn reorder(&mut self, network: Network, change: impl FnOnce(&mut BTreeSet<(u64, u64)>) -> bool) {
        let rank = |order: &BTreeSet<(u64, u64)>| Some((order.len(), Reverse(order.first()?.0), network));
        let order = self.clients.entry(network).or_default();
        if let Some(rank) = rank(order) {
            self.ranks.remove(&rank);
        }
        change(order);
        match rank(order) {
            Some(rank) => drop(self.ranks.insert(rank)),
            None => drop(self.clients.remove(&network)),
        }
    }

    /// Makes room for answers that a connection does not take, at the cost of those that hold more. `false` when there is
    /// none.
    fn make_room(&mut self, network: Network, octets: usize, limit: usize) -> bool {
        let mut held = HashMap::<Network, usize>::new();
        self.unread.values().for_each(|&(network, octets)| *held.entry(network).or_default() += octets);
        let mut total: usize = held.values().sum();
        while total + octets > limit {
            let own = held.get(&network).copied().unwrap_or_default() + octets;
            let Some((&most, _)) = held.iter().max_by_key(|(_, octets)| **octets).filter(|(_, most)| **most > own)
            else {
                return false;
            };
            let oldest = self.unread.iter().find(|(_, (network, _))| *network == most).map(|(&id, _)| id);
            let Some((_, freed)) = oldest.and_then(|id| {
                self.close(id);
                self.unread.remove(&id)
            }) else {
                return false;
            };
            total -= freed;
            held.entry(most).and_modify(|octets| *octets -= freed);
        }
        true
    }
}

//----------- Guard ----------------------------------------------------------

/// The place of one connection, given back when dropped.
#[derive(Debug)]
pub(super) struct Guard {
    connections: Arc<ConnectionTable>,
    id: u64,
    state: Arc<ConnectionState>,
}

impl Guard {
    /// Says that the connection is idle from now on, or not.
    pub(super) fn note(&self, idle: bool) {
        let now = if idle { self.connections.now() } else { BUSY };
        self.state.idle_since.store(now, Ordering::Relaxed);
    }

    /// Waits until the place is needed for another.
    pub(super) async fn closed(&self) {
        self.state.close.notified().await;
    }

    /// Takes room for an answer that the client does not take at once; `None` when there is none, and the connection has
    /// to end.
    pub(super) fn keep(&self, octets: usize) -> Option<KeptAnswer> {
        let octets = octets + OVERHEAD;
        let mut open = self.connections.open();
        let network = open.connections.get(&self.id)?.network;
        if !open.make_room(network, octets, self.connections.unread) {
            metrics::UNREAD_SHED.inc();
            return None;
        }
        open.unread.entry(self.id).or_insert((network, 0)).1 += octets;
        Some(KeptAnswer { connections: self.connections.clone(), id: self.id, octets })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        metrics::CONNECTIONS.dec();
        self.connections.open().remove(self.id);
    }
}

/// Room for an answer, given back when dropped.
#[derive(Debug)]
pub(super) struct KeptAnswer {
    connections: Arc<ConnectionTable>,
    id: u64,
    octets: usize,
}

impl Drop for KeptAnswer {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        if let Some((_, octets)) = open.unread.get_mut(&self.id) {
            *octets = octets.saturating_sub(self.octets);
            if *octets == 0 {
                open.unread.remove(&self.id);
            }
        }
    }
}

//----------- Addresses ------------------------------------------------------

/// An IPv4 client of a socket for both families, shown as one.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const ROOM: usize = 1 << 20;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn is_closed(guard: &Guard) -> bool {
        guard.closed().now_or_never().is_some()
    }

    /// Sets since when it is idle, for a test that turns the clock.
    fn idle_since(guard: &Guard, since: u64) {
        guard.state.idle_since.store(since, Ordering::Relaxed);
    }

    #[test]
    fn at_the_limit_the_connection_that_has_been_idle_longest_is_closed() {
        let connections = ConnectionTable::new(2, ROOM);
        let one = at("192.0.2.1");
        let (first, second) = (connections.admit(one).unwrap(), connections.admit(one).unwrap());
        first.note(false);
        let third = connections.admit(one).unwrap();
        assert!(is_closed(&second) && !is_closed(&first));
        third.note(false);
        assert!(connections.admit(one).is_none(), "both are busy");
        drop(first);
        assert!(connections.admit(one).is_some());
    }

    #[test]
    fn a_connection_that_was_active_is_idle_only_since_then() {
        let connections = ConnectionTable::new(3, ROOM);
        let one = at("192.0.2.1");
        let open: Vec<_> = (0..3).map(|_| connections.admit(one).unwrap()).collect();
        for (guard, since) in open.iter().zip([30, 20, 40]) {
            idle_since(guard, since);
        }
        let _fourth = connections.admit(one).unwrap();
        assert_eq!(open.iter().map(is_closed).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn the_address_with_most_connections_gives_way_first() {
        let connections = ConnectionTable::new(10, ROOM);
        let other = connections.admit(at("192.0.2.2")).unwrap();
        let many: Vec<_> = (1..10).map(|n| connections.admit(at(&format!("2001:db8::{n}"))).unwrap()).collect();
        let third = connections.admit(at("192.0.2.3")).unwrap();
        assert!(!is_closed(&other) && is_closed(&many[0]), "a network of IPv6 is one client");
        // However busy they are, they leave room for those who have less, and take none from them.
        many.iter().chain([&other, &third]).for_each(|guard| guard.note(false));
        let _fourth = connections.admit(at("192.0.2.4")).unwrap();
        assert!(many[1..].iter().any(is_closed) && !is_closed(&other) && !is_closed(&third));
        assert!(connections.admit(at("2001:db8::99")).is_none());
    }

    #[test]
    fn answers_that_nobody_takes_have_a_bound_and_who_holds_most_gives_way() {
        let each = 1000 - OVERHEAD;
        let connections = ConnectionTable::new(100, 10_000);
        let many: Vec<_> = (0..9).map(|_| connections.admit(at("192.0.2.1")).unwrap()).collect();
        let mut kept: Vec<_> = many.iter().map(|guard| guard.keep(each).unwrap()).collect();
        let other = connections.admit(at("192.0.2.2")).unwrap();
        let _own = other.keep(each).unwrap();
        assert!(many[8].keep(each).is_none(), "whoever has most gets no more");
        let third = connections.admit(at("192.0.2.3")).unwrap();
        let _third = third.keep(2 * each).unwrap();
        assert!(is_closed(&many[0]) && !is_closed(&other) && !is_closed(&third));
        kept.truncate(4);
        assert!(many[2].keep(each).is_some(), "room that was given back");
    }
}

//! Shares a bounded number of places among clients: as long as there is room everybody gets what he asks for; where there
//! is none, whoever holds most gives way.
//!
//! A place is what a query holds while it waits for something, an upstream mostly. A client that asks much gets all places
//! that nobody else wants: a node-local cache that asks for a whole node, a crawler at night. Only when the last place is
//! taken and a client comes that holds fewer, the one that holds most loses its newest. Its older ones go on: they are
//! nearest to their answer, and from those that end in vain it becomes known that an upstream is dead.
//!
//! A client is an address of IPv4 or a network of 64 bits of IPv6 ([`Network`]), as one host may have all addresses of such
//! a network and ask from each. Many a cluster gives a node one such network for all of its pods; within a network that gives
//! way it is therefore the single address with the most that loses.
//!
//! Where as many queries wait as may, a place costs two look-ups in small trees below one lock; no cluster answer comes here.
//!
//! Not for deciding what is told to a client that gives way.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

mod network;
mod table;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

pub(crate) use network::Network;
use table::{Holder, PlaceTable};

/// A number of places.
#[derive(Debug)]
pub(crate) struct Places {
    table: Mutex<PlaceTable>,
    limit: usize,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    holder: Holder,
    number: u64,
    /// Ends when the place was given to another.
    lost: oneshot::Receiver<()>,
}

impl Places {
    /// So many places, all of them free.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { table: Mutex::default(), limit })
    }

    /// The number of places that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.table().len()
    }

    /// The number of places there are.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a place for a client, where none is free that of another which holds more; `None` when there is none to have.
    pub(crate) fn take(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let holder = Holder::of(client);
        let mut table = self.table();
        if table.len() >= self.limit {
            table.make_room(holder)?;
        }
        let (number, lost) = table.insert(holder);
        drop(table);
        Some(Place { places: self.clone(), holder, number, lost })
    }

    /// Whether a client would get a place now.
    pub(crate) fn has_one_for(&self, client: IpAddr) -> bool {
        let table = self.table();
        table.len() < self.limit || table.victim(Holder::of(client)).is_some()
    }

    fn table(&self) -> MutexGuard<'_, PlaceTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Does some work as long as the place is held, and gives it back then; `None` when the work did not come to its end.
    pub(crate) async fn hold<T>(mut self, work: impl Future<Output = T>) -> Option<T> {
        let lost = &mut self.lost;
        match select(pin!(work), lost).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.table().remove(self.holder, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::FutureExt;

    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn has_lost(place: &mut Place) -> bool {
        matches!(place.lost.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }

    #[test]
    fn one_client_may_have_all_places() {
        let places = Places::new(1000);
        let held: Vec<_> = (0..1000).map(|_| places.take(at("10.0.0.1")).unwrap()).collect();
        assert!(places.take(at("10.0.0.1")).is_none(), "there are no more");
        assert_eq!(places.taken(), 1000);
        drop(held);
        assert_eq!(places.taken(), 0);
        assert!(places.take(at("10.0.0.1")).is_some());
    }

    #[test]
    fn who_holds_most_loses_the_newest_to_who_holds_less() {
        let places = Places::new(5);
        let mut many: Vec<_> = (0..4).map(|_| places.take(at("10.0.0.1")).unwrap()).collect();
        let mut one = places.take(at("10.0.0.2")).unwrap();
        let mut others: Vec<_> = ["10.0.0.3", "10.0.0.2"].map(|client| places.take(at(client)).unwrap()).into();
        assert_eq!(many.iter_mut().map(has_lost).collect::<Vec<_>>(), [false, false, true, true]);
        // Two, two and one: no place would be better held by another.
        assert!(places.take(at("10.0.0.2")).is_none() && places.take(at("10.0.0.3")).is_none());
        assert!(!has_lost(&mut one) && !others.iter_mut().any(has_lost));
        assert_eq!(places.taken(), 5);
        assert!(places.take(at("10.0.0.4")).is_some(), "who holds none finds one");
    }

    #[test]
    fn one_client_cannot_starve_a_hundred_others() {
        let places = Places::new(1000);
        let mut held: Vec<Place> = (0..1000).map(|_| places.take(at("10.0.0.1")).unwrap()).collect();
        for round in 0..9 {
            for other in 0..100 {
                held.extend(places.take(at("10.0.0.1")));
                let place = places.take(at(&format!("10.0.1.{other}")));
                held.push(place.unwrap_or_else(|| panic!("the client {other} was refused in round {round}")));
            }
        }
        let lost = held
            .iter_mut()
            .filter(|place| place.holder == Holder::of(at("10.0.0.1")))
            .filter_map(|place| has_lost(place).then_some(()));
        assert_eq!(lost.count(), 900);
        assert_eq!(places.taken(), 1000);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_in_it_the_address_with_most_loses() {
        let places = Places::new(8);
        let mut net: Vec<_> = ["::1", "::1", "::1", "::2", "::3", "::4"]
            .map(|host| places.take(at(&format!("2001:db8{host}"))).unwrap())
            .into();
        let other = "2001:db8:0:1::1";
        let _others = [other, other].map(|client| places.take(at(client)).unwrap());
        let _third = places.take(at(other)).unwrap();
        assert_eq!(net.iter_mut().map(has_lost).collect::<Vec<_>>(), [false, false, true, false, false, false]);
        // Within the network the same holds as among networks.
        let own = places.take(at("2001:db8::2"));
        assert!(own.is_none(), "no address of it holds two more than that one");
        drop(net.pop());
        let _again = places.take(at("2001:db8::1")).unwrap();
        assert!(places.take(at("2001:db8::5")).is_some());
    }

    #[tokio::test]
    async fn work_ends_with_its_place() {
        let places = Places::new(2);
        let first = places.take(at("10.0.0.1")).unwrap();
        let mut second = Box::pin(places.take(at("10.0.0.1")).unwrap().hold(pending::<()>()));
        assert!(second.as_mut().now_or_never().is_none());
        let other = places.take(at("10.0.0.2")).unwrap();
        assert_eq!(second.await, None);
        assert_eq!((first.hold(async { 1 }).await, places.taken()), (Some(1), 1));
        drop(other);
        assert_eq!(places.taken(), 0, "whoever lost a place gives none back");
    }

    #[test]
    fn without_places_nobody_has_one() {
        assert!(Places::new(0).take(at("10.0.0.1")).is_none());
    }

    /// Any sequence of taking and giving back ends as a naive model says.
    #[test]
    fn the_books_are_right_whatever_comes_and_goes() {
        let mut state = 7_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let clients = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map(at);
        let places = Places::new(12);
        let mut held: Vec<Place> = Vec::new();
        for _ in 0..20_000 {
            if random(3) == 0 && !held.is_empty() {
                held.swap_remove(random(held.len() as u64) as usize);
                continue;
            }
            let client = clients[random(6) as usize];
            held.retain_mut(|place| !has_lost(place));
            let count = |of: &dyn Fn(&Place) -> bool| held.iter().filter(|place| of(place)).count();
            let network = |client: IpAddr| count(&|place| place.holder.network == Network::of(client));
            let address = |client: IpAddr| count(&|place| place.holder == Holder::of(client));
            let most = clients.iter().map(|&client| network(client)).max().unwrap();
            let own = network(client);
            let alone = clients.iter().filter(|&&one| Network::of(one) == Network::of(client));
            let nearer = alone.map(|&one| address(one)).max().unwrap() > address(client) + 1;
            let expected = held.len() < 12 || most > own + 1 || nearer;
            assert_eq!(places.has_one_for(client), expected, "{client} holds {own} of {most}");
            let place = places.take(client);
            assert_eq!(place.is_some(), expected, "{client} holds {own} of {most}");
            held.extend(place);
            held.retain_mut(|place| !has_lost(place));
            assert_eq!(places.taken(), held.len());
        }
        drop(held);
        assert!(places.taken() == 0 && places.table().is_empty());
    }
}

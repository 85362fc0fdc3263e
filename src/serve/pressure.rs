//! What a data thread leaves when it cannot keep up: queries for the chain, so that cluster names are answered as before.
//!
//! An answer from the zone or the cache takes 4 µs, one that is asked of an upstream twenty times as much, most of it on the
//! runtime's threads, which want the same processors. Where datagrams come faster than they can be answered, the
//! kernel drops whatever comes, cluster names with all else. So the thread drops before it: as long as batch after batch is full, fewer
//! and fewer of its queries start a chain; as soon as one is not, more again. What is left to upstreams is what cluster names
//! do not need. A burst is no such thing: it takes [`STREAK`] full batches, more than any socket holds by itself.
//!
//! Of the chains that may still start the last one is kept for a client that has started few of late, so that one that
//! floods does not have all of them.

use std::hash::BuildHasher;
use std::net::IpAddr;

use crate::places::Network;

/// Full batches in a row after which the thread is behind: 2,048 datagrams, of which a socket holds some 270.
const STREAK: u32 = 32;

/// Sixteenths of a chain: the unit of what may start in a batch.
const CHAIN: u32 = 16;

/// Bounds of what may start in a batch: a chain in four of them, and all of its queries.
const LEAST: u32 = CHAIN / 4;
const MOST: u32 = 64 * CHAIN;

/// The least batch that is a sign of load; a smaller one says that the thread waits for datagrams, not they for it.
const LOAD: usize = 8;

/// Chains of late, after which what is remembered of clients is halved.
const MEMORY: u32 = 512;

/// The share of the chains of late up to which a client has few, as a divisor.
const FEW: u32 = 8;

/// How far behind a data thread is.
pub(super) struct Pressure {
    /// Full batches in a row.
    full: u32,
    /// What starts in a batch; [`MOST`] where nothing is held back.
    allowance: u32,
    /// What may start now.
    credit: u32,
    /// Chains of late by client, as far as 256 numbers tell clients apart.
    recent: [u16; 256],
    total: u32,
    keys: std::hash::RandomState,
}

impl Pressure {
    /// None yet.
    pub(super) fn new() -> Self {
        let keys = std::hash::RandomState::new();
        Self { full: 0, allowance: MOST, credit: MOST, recent: [0; 256], total: 0, keys }
    }

    /// Takes down how many datagrams a batch had, of as many as one can have.
    pub(super) fn batch(&mut self, count: usize, most: usize) {
        if count >= most {
            self.full = self.full.saturating_add(1);
            if self.full > STREAK {
                self.allowance = self.allowance.saturating_sub((self.allowance / 8).max(1)).max(LEAST);
            }
        } else {
            self.full = 0;
            self.allowance = if count < LOAD { MOST } else { (self.allowance + CHAIN).min(MOST) };
        }
        self.credit = (self.credit + self.allowance).min(MOST);
    }

    /// Whether a query of a client may start a chain.
    pub(super) fn may_start(&mut self, client: IpAddr) -> bool {
        if self.allowance >= MOST {
            return true;
        }
        let place = self.keys.hash_one(Network::of(client)) as usize % self.recent.len();
        let Some(recent) = self.recent.get_mut(place) else { return true };
        let few = u32::from(*recent) * FEW <= self.total;
        let needed = if few { CHAIN } else { 2 * CHAIN };
        if self.credit < needed {
            return false;
        }
        self.credit -= CHAIN;
        *recent = recent.saturating_add(1);
        self.total += 1;
        if self.total >= MEMORY {
            self.recent.iter_mut().for_each(|recent| *recent /= 2);
            self.total = self.recent.iter().map(|&recent| u32::from(recent)).sum();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    /// How many of a batch's chains start, all of one client.
    fn started(pressure: &mut Pressure, count: usize, client: IpAddr) -> usize {
        pressure.batch(count, 64);
        (0..count).filter(|_| pressure.may_start(client)).count()
    }

    #[test]
    fn a_burst_starts_whole_and_only_batch_after_batch_is_too_much() {
        let mut pressure = Pressure::new();
        for _ in 0..STREAK {
            assert_eq!(started(&mut pressure, 64, FLOOD), 64);
        }
        let mut least = 64;
        for _ in 0..100 {
            let now = started(&mut pressure, 64, FLOOD);
            assert!(now <= least + 1, "{now} after {least}");
            least = now;
        }
        let trickle: usize = (0..400).map(|_| started(&mut pressure, 64, FLOOD)).sum();
        assert_eq!(trickle, 100, "a chain in four batches goes on");
        // Batches that are not full give it back little by little, an idle thread at once.
        assert!(started(&mut pressure, 40, FLOOD) <= 2);
        let more = (0..20).map(|_| started(&mut pressure, 40, FLOOD)).last().unwrap();
        assert!((10..40).contains(&more), "{more}");
        assert_eq!(started(&mut pressure, 7, FLOOD), 7);
        assert_eq!(started(&mut pressure, 64, FLOOD), 64);
    }

    #[test]
    fn a_client_that_starts_few_finds_one_left_beside_one_that_floods() {
        let mut pressure = Pressure::new();
        for _ in 0..200 {
            started(&mut pressure, 64, FLOOD);
        }
        let other: IpAddr = "10.0.0.2".parse().unwrap();
        // Each asks once in a hundred batches, behind a batch full of the other.
        let answered = (0..20).filter(|_| {
            let _flood: usize = (0..100).map(|_| started(&mut pressure, 64, FLOOD)).sum();
            pressure.may_start(other)
        });
        assert!(answered.count() >= 18);
    }

    #[test]
    fn what_is_remembered_of_clients_is_halved_again_and_again() {
        let mut pressure = Pressure::new();
        for number in 0..100_000_u32 {
            pressure.batch(if number % 64 == 0 { 40 } else { 64 }, 64);
            pressure.may_start(std::net::Ipv4Addr::from(number % 7).into());
        }
        assert!(pressure.recent.iter().all(|&recent| u32::from(recent) < MEMORY) && pressure.total < MEMORY);
    }
}

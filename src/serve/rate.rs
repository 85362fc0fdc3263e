//! Response rate limiting: how many amplifying answers over UDP a client network gets in a second.
//!
//! The sender of a datagram can be anybody's address, so that a small query with a victim's address sends the victim a large
//! answer. Where the server can be reached by such senders, `-rollcall.rrl N` bounds that: an answer of at least
//! [`AMPLIFYING`] times its query's length is one of N that the network of its client gets in a second, an IPv4 network of
//! 24 bits or an IPv6 network of 56 (as in BIND, NSD and Knot). There are three classes of names, each with an N of its own:
//! those that answer, those that do not (NXDOMAIN, NODATA), and failures. Past it answers are dropped, and every second of them is
//! sent empty and truncated instead: a client that is one asks again over TCP, where an address is known to be true.
//!
//! Each data thread counts for itself, in a table of a fixed size, without a lock and without memory that grows. A network
//! that finds its row full takes the place of the one with most left: whoever is being flooded stays.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Instant;

use super::metrics;
use crate::wire::{Flags, Header, Parsed, Rcode, error_reply, parse};

/// The limit of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Amplifying answers of each class in a second; 0 for any number.
    pub per_second: u32,
    /// Of so many answers past the limit one is sent truncated, and the others dropped; 0 drops all of them.
    pub slip: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { per_second: 0, slip: 2 }
    }
}

/// The factor from which on an answer amplifies. Most of what a cluster asks stays below: one address, NXDOMAIN with its SOA.
const AMPLIFYING: usize = 3;

/// Rows of the table, and places in each: 8,192 networks and classes at a time, in 192 KiB.
const ROWS: usize = 2048;
const PLACES: usize = 4;

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is sent.
    Send,
    /// It is sent truncated, without records.
    Truncate,
    /// It is not sent.
    Drop,
}

/// The answers of late that one thread has sent, by network and class.
pub(super) struct RateTable {
    limit: RateLimit,
    keys: std::hash::RandomState,
    began: Instant,
    rows: Box<[[Bucket; PLACES]]>,
}

/// The answers that a network may still get of a class.
#[derive(Clone, Copy, Default)]
struct Bucket {
    /// The network and the class, hashed under a key that nobody knows; 0 for nobody.
    tag: u64,
    /// Milliseconds since the beginning when it was last looked at.
    at: u32,
    /// Thousandths of an answer, at most a second's.
    credit: u32,
    /// Answers in a row that were too many.
    past: u32,
}

impl Bucket {
    /// What may be had at a time.
    fn left(&self, now: u32, per_second: u32) -> u32 {
        let earned = now.saturating_sub(self.at).saturating_mul(per_second);
        let most = per_second.saturating_mul(1000);
        if self.tag == 0 { most } else { self.credit.saturating_add(earned).min(most) }
    }
}

impl std::fmt::Debug for RateTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateTable").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl RateTable {
    /// A table in which nobody has had an answer; `None` where there is no limit.
    pub(super) fn limiting(limit: RateLimit) -> Option<Self> {
        (limit.per_second > 0).then(|| Self::new(limit))
    }

    fn new(limit: RateLimit) -> Self {
        let rows = vec![[Bucket::default(); PLACES]; ROWS].into_boxed_slice();
        Self { limit, keys: std::hash::RandomState::new(), began: Instant::now(), rows }
    }

    /// Cuts an answer over UDP down to what its client may have. Returns its length; `None` when it may have nothing.
    pub(super) fn limit(&mut self, client: IpAddr, query: &[u8], answer: &mut [u8], now: Instant) -> Option<usize> {
        let len = answer.len();
        match self.judge(client, query.len(), answer, now) {
            Verdict::Send => Some(len),
            Verdict::Drop => {
                metrics::RATE_DROPPED.inc();
                None
            }
            Verdict::Truncate => {
                metrics::RATE_TRUNCATED.inc();
                let Parsed::Query(question) = parse(query) else { return None };
                let len = error_reply(query, Some(&question), Rcode::of(answer), answer);
                Header::change(answer, |header| header.flags = header.flags | Flags::TC);
                Some(len)
            }
        }
    }

    /// The verdict on an answer over UDP.
    fn judge(&mut self, client: IpAddr, query: usize, answer: &[u8], now: Instant) -> Verdict {
        if answer.len() < AMPLIFYING * query {
            return Verdict::Send;
        }
        let hash = self.keys.hash_one((network(client), Class::of(answer)));
        let now = u32::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u32::MAX);
        let most = self.limit.per_second.saturating_mul(1000);
        let Some(row) = self.rows.get_mut(hash as usize % ROWS) else { return Verdict::Send };
        let (tag, per_second) = (hash | 1, self.limit.per_second);
        let left = |bucket: &Bucket| bucket.left(now, per_second);
        let known = row.iter().position(|bucket| bucket.tag == tag);
        // One that may have all again is nobody any more; of the others the one goes that is nearest to that.
        let most_left = || (0..PLACES).max_by_key(|&place| row.get(place).map_or(0, left));
        let Some(bucket) = known.or_else(most_left).and_then(|place| row.get_mut(place)) else { return Verdict::Send };
        if known.is_none() {
            *bucket = Bucket { tag, at: now, credit: most, past: 0 };
        }
        bucket.credit = bucket.left(now, per_second);
        bucket.at = now.max(bucket.at);
        if bucket.credit >= 1000 {
            bucket.credit -= 1000;
            bucket.past = 0;
            return Verdict::Send;
        }
        bucket.past = bucket.past.wrapping_add(1);
        if self.limit.slip > 0 && bucket.past.is_multiple_of(self.limit.slip) {
            Verdict::Truncate
        } else {
            Verdict::Drop
        }
    }
}

/// The network of a client, at most 56 bits of it, and its family.
fn network(client: IpAddr) -> (u64, bool) {
    match client.to_canonical() {
        IpAddr::V4(v4) => (u64::from(u32::from(v4) >> 8), false),
        IpAddr::V6(v6) => ((u128::from(v6) >> 72) as u64, true),
    }
}

/// The classes that are counted apart: a flood of one does not take the answers of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Class {
    Records,
    Nothing,
    Failure,
}

impl Class {
    fn of(answer: &[u8]) -> Self {
        match Rcode::of(answer) {
            Rcode::NOERROR if Header::of(answer).is_some_and(|header| header.counts[1] > 0) => Self::Records,
            Rcode::NOERROR | Rcode::NXDOMAIN => Self::Nothing,
            _ => Self::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMIT: RateLimit = RateLimit { per_second: 10, slip: 2 };

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// An answer of a length, with a record and a response code.
    fn answer(len: usize, records: u16, rcode: u8) -> Vec<u8> {
        let mut octets = vec![0; len];
        octets[3] = rcode;
        octets[6..8].copy_from_slice(&records.to_be_bytes());
        octets
    }

    fn verdicts(table: &mut RateTable, client: &str, answer: &[u8], count: usize, now: Instant) -> Vec<Verdict> {
        (0..count).map(|_| table.judge(at(client), 50, answer, now)).collect()
    }

    #[test]
    fn past_the_limit_every_second_answer_is_truncated_and_the_others_dropped() {
        let (mut table, now) = (RateTable::new(LIMIT), Instant::now());
        let large = answer(400, 5, 0);
        assert_eq!(verdicts(&mut table, "192.0.2.1", &large, 10, now), [Verdict::Send; 10]);
        let more = verdicts(&mut table, "192.0.2.200", &large, 4, now);
        assert_eq!(more, [Verdict::Drop, Verdict::Truncate, Verdict::Drop, Verdict::Truncate], "the network is one");
        assert_eq!(verdicts(&mut table, "192.0.3.1", &large, 1, now), [Verdict::Send], "another is another");
        // A tenth of a second is worth one answer, an hour no more than a second.
        let later = now + Duration::from_millis(100);
        assert_eq!(verdicts(&mut table, "192.0.2.1", &large, 2, later), [Verdict::Send, Verdict::Drop]);
        let much_later = now + Duration::from_secs(3600);
        let sent = verdicts(&mut table, "192.0.2.1", &large, 30, much_later);
        assert_eq!(sent.iter().filter(|verdict| **verdict == Verdict::Send).count(), 10);
    }

    #[test]
    fn an_answer_that_does_not_amplify_is_never_limited() {
        let (mut table, now) = (RateTable::new(RateLimit { per_second: 1, slip: 0 }), Instant::now());
        assert!(verdicts(&mut table, "192.0.2.1", &answer(149, 5, 0), 1000, now).iter().all(|v| *v == Verdict::Send));
        let limited = verdicts(&mut table, "192.0.2.1", &answer(150, 5, 0), 3, now);
        assert_eq!(limited, [Verdict::Send, Verdict::Drop, Verdict::Drop], "and slip 0 truncates none");
    }

    #[test]
    fn classes_are_counted_apart() {
        let (mut table, now) = (RateTable::new(RateLimit { per_second: 1, slip: 1 }), Instant::now());
        for answer in [answer(400, 5, 0), answer(400, 0, 0), answer(400, 0, 2)] {
            let both = verdicts(&mut table, "2001:db8::1", &answer, 2, now);
            assert_eq!(both, [Verdict::Send, Verdict::Truncate]);
        }
        assert_eq!(verdicts(&mut table, "2001:db8:0:ff::1", &answer(400, 0, 3), 1, now), [Verdict::Truncate]);
        assert_eq!(verdicts(&mut table, "2001:db8:0:100::1", &answer(400, 0, 3), 1, now), [Verdict::Send]);
    }

    #[test]
    fn a_flood_of_networks_neither_grows_the_table_nor_frees_the_one_that_is_limited() {
        let (mut table, start) = (RateTable::new(LIMIT), Instant::now());
        let large = answer(400, 5, 0);
        verdicts(&mut table, "192.0.2.1", &large, 20, start);
        let mut sent = 0;
        for number in 0..200_000_u32 {
            let now = start + Duration::from_millis(u64::from(number / 2000));
            table.judge(std::net::Ipv4Addr::from(0x0a00_0000 + (number << 8)).into(), 50, &large, now);
            if number % 100 == 0 {
                sent += usize::from(table.judge(at("192.0.2.1"), 50, &large, now) == Verdict::Send);
            }
        }
        assert!(sent <= 3, "{sent} answers in a tenth of a second");
        assert_eq!(table.rows.len() * PLACES, 8192);
    }
}

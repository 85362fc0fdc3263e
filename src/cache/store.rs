//! The cache: two halves of many shards.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use super::entry::{Age, Entry};
use super::shape::{Shape, Sort, Unfit, change_ttls};
use super::shard::Shard;
use super::{AnswerKind, Ask, CacheSettings, Capacity, Hit, Room};
use crate::wire::{Rtype, Ttl};

/// A bounded store of answers. Shared between threads; a lock is held for one look-up or one insertion.
#[derive(Debug)]
pub struct Cache {
    settings: CacheSettings,
    // Clients choose the names: the seed keeps them from choosing the shard and the bucket too.
    hasher: RandomState,
    success: Half,
    denial: Half,
}

/// The verdict of [`Cache::store`] on an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreVerdict {
    /// The half it belongs to; `None` for what is never remembered.
    pub kind: Option<AnswerKind>,
    /// The TTL that its records are to carry from now on; `None` leaves them as they are.
    pub ttl: Option<Ttl>,
    /// Whether it is in the cache now.
    pub kept: bool,
    /// Whether it answers another question than the one asked, and was dropped.
    pub mismatch: bool,
    /// The number of entries that made room for it.
    pub evicted: usize,
}

#[derive(Debug)]
struct Half {
    shards: Box<[Mutex<Shard>]>,
    /// The number of entries in all: metrics ask after every insertion.
    count: AtomicUsize,
    entries: usize,
    bytes: usize,
}

const SHARDS: usize = 64;

impl Cache {
    /// An empty cache.
    pub fn new(settings: CacheSettings) -> Self {
        let (success, denial) = (Half::new(&settings.success), Half::new(&settings.denial));
        Self { settings, hasher: RandomState::default(), success, denial }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &CacheSettings {
        &self.settings
    }

    /// Writes the remembered answer to a question into the buffer, as much of it as there is room for: id, flags, spelling
    /// and OPT as the client's query wants them, TTLs counted down. `None` when there is none, or when the client can take
    /// more than the buffer holds.
    pub fn lookup(&self, ask: &Ask<'_>, now: Instant, room: Room<'_>, buffer: &mut [u8]) -> Option<Hit> {
        self.find(ask, now, room, buffer, |_| true)
    }

    /// Like [`lookup`](Self::lookup), for callers that cannot refresh: `None` also for an answer past its end, and
    /// for one so near to it that `prefetch` may want it refreshed. Returns its half and its length.
    pub fn lookup_fresh(
        &self,
        ask: &Ask<'_>,
        now: Instant,
        room: Room<'_>,
        buffer: &mut [u8],
    ) -> Option<(AnswerKind, usize)> {
        let hit = self.find(ask, now, room, buffer, |entry| !entry.may_be_refreshed(&self.settings, now))?;
        Some((hit.kind, hit.len))
    }

    fn find(
        &self,
        ask: &Ask<'_>,
        now: Instant,
        room: Room<'_>,
        buffer: &mut [u8],
        wanted: impl Fn(&Entry) -> bool + Copy,
    ) -> Option<Hit> {
        let hash = ask.hash(&self.hasher);
        let prefer_positive = self.settings.stale.is_some_and(|stale| stale.prefer_positive);
        {
            let mut denials = self.denial.shard(hash);
            let denial = denials.get(hash, ask).filter(|entry| entry.age(&self.settings, now) != Age::Over);
            if let Some(entry) = denial {
                // A SERVFAIL passes: it does not hide an answer that can still be given.
                if (entry.failure || prefer_positive)
                    && let Some(hit) = self.take(hash, ask, now, room, buffer, wanted)
                {
                    return Some(hit);
                }
                return if wanted(entry) { self.give(AnswerKind::Denial, entry, ask, now, room, buffer) } else { None };
            }
        }
        self.take(hash, ask, now, room, buffer, wanted)
    }

    /// Brings the TTLs of an answer that is never remembered within the bounds, each for itself: some may have been counted
    /// down on the way here, others not. That of the schema's version (TXT) is fixed.
    pub fn bound_ttls(&self, ask: &Ask<'_>, reply: &mut [u8]) {
        let capacity = match Shape::read(ask, reply) {
            Ok(Shape { sort: Sort::Denial, .. }) => &self.settings.denial,
            _ => &self.settings.success,
        };
        // RFC 1035 section 3.2.1: 0 means for this transaction only, whatever the shortest lifetime is.
        change_ttls(
            reply,
            |rtype, ttl| if ttl == Ttl::ZERO || rtype == Rtype::TXT { ttl } else { capacity.bound(ttl) },
        );
    }

    /// The lifetime of an answer; `None` where its TTL is 0 or there is no record with one.
    fn lifetime(&self, shape: &Shape) -> Option<Duration> {
        let capacity = match shape.sort {
            Sort::Failure => return Some(self.settings.servfail),
            Sort::Answer | Sort::Alias => &self.settings.success,
            Sort::Denial => &self.settings.denial,
        };
        // RFC 1035 section 3.2.1: 0 means for this transaction only, whatever the shortest lifetime is.
        let ttl = shape.ttl.filter(|&ttl| ttl > Ttl::ZERO)?;
        Some(capacity.bound(ttl).into())
    }

    /// Remembers an answer, if it may be; says what the client is to be told.
    pub fn store(&self, ask: &Ask<'_>, reply: &[u8], now: Instant) -> StoreVerdict {
        let unkept = StoreVerdict { kind: None, ttl: None, kept: false, mismatch: false, evicted: 0 };
        let shape = match Shape::read(ask, reply) {
            Ok(shape) => shape,
            Err(unfit) => return StoreVerdict { mismatch: unfit == Unfit::Mismatch, ..unkept },
        };
        let (kind, half, excepted) = match shape.sort {
            Sort::Answer | Sort::Alias => (AnswerKind::Success, &self.success, &self.settings.no_success),
            Sort::Denial | Sort::Failure => (AnswerKind::Denial, &self.denial, &self.settings.no_denial),
        };
        let unkept = StoreVerdict { kind: Some(kind), ..unkept };
        let Some(lifetime) = self.lifetime(&shape) else { return unkept };
        let unkept = StoreVerdict { ttl: Some(seconds(lifetime)), ..unkept };
        if lifetime.is_zero() || shape.sort == Sort::Alias || excepted.iter().any(|zone| ask.is_within(zone.as_wire()))
        {
            return unkept;
        }
        let sort = shape.sort;
        // Without recursion a resolver answers from what it has (RFC 1034 section 4.3.1), and some say SERVFAIL when that
        // is nothing: no answer for those who want it to look further. Data and denials with their SOA hold for all.
        if sort == Sort::Failure && !ask.recursion_desired() {
            return unkept;
        }
        let Some(entry) = Entry::new(ask, reply, shape, lifetime, now) else { return unkept };
        let hash = ask.hash(&self.hasher);
        let evicted = half.insert(hash, ask, entry);
        let prefer_positive = self.settings.stale.is_some_and(|stale| stale.prefer_positive);
        match sort {
            Sort::Answer => self.denial.remove(hash, ask),
            // The newest truth, unless an answer is to be kept in use past it.
            Sort::Denial if !prefer_positive => self.success.remove(hash, ask),
            Sort::Denial | Sort::Failure | Sort::Alias => {}
        }
        StoreVerdict { kept: true, evicted, ..unkept }
    }

    /// Gives back the right to refresh an answer, after a refresh that brought nothing to store.
    pub fn release(&self, ask: &Ask<'_>, now: Instant) {
        let hash = ask.hash(&self.hasher);
        for half in [&self.success, &self.denial] {
            if let Some(entry) = half.shard(hash).get(hash, ask) {
                entry.release(&self.settings, now);
            }
        }
    }

    /// The number of answers.
    pub fn len(&self, kind: AnswerKind) -> usize {
        let half = match kind {
            AnswerKind::Success => &self.success,
            AnswerKind::Denial => &self.denial,
        };
        half.count.load(Ordering::Relaxed)
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len(AnswerKind::Success) == 0 && self.len(AnswerKind::Denial) == 0
    }

    fn take(
        &self,
        hash: u64,
        ask: &Ask<'_>,
        now: Instant,
        room: Room<'_>,
        buffer: &mut [u8],
        wanted: impl Fn(&Entry) -> bool,
    ) -> Option<Hit> {
        let mut shard = self.success.shard(hash);
        let entry = shard.get(hash, ask).filter(|entry| wanted(entry))?;
        self.give(AnswerKind::Success, entry, ask, now, room, buffer)
    }

    fn give(
        &self,
        kind: AnswerKind,
        entry: &mut Entry,
        ask: &Ask<'_>,
        now: Instant,
        room: Room<'_>,
        buffer: &mut [u8],
    ) -> Option<Hit> {
        let stale = match entry.age(&self.settings, now) {
            Age::Fresh => false,
            Age::Stale => true,
            Age::Over => return None,
        };
        let len = entry.write(ask, &self.settings, now, room, buffer)?;
        let refresh = entry.touch(&self.settings, now);
        Some(Hit { len, kind, stale, refresh })
    }
}

impl Half {
    fn new(capacity: &Capacity) -> Self {
        let shards = if capacity.entries < 16 * SHARDS { 1 } else { SHARDS };
        Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::new(rand::random()))).collect(),
            count: AtomicUsize::new(0),
            entries: capacity.entries.div_ceil(shards).max(1),
            bytes: capacity.bytes() / shards,
        }
    }

    fn insert(&self, hash: u64, ask: &Ask<'_>, entry: Entry) -> usize {
        let mut shard = self.shard(hash);
        let before = shard.len();
        let evicted = shard.insert(hash, ask, entry, self.entries, self.bytes);
        self.count.fetch_add(shard.len(), Ordering::Relaxed);
        self.count.fetch_sub(before, Ordering::Relaxed);
        evicted
    }

    fn remove(&self, hash: u64, ask: &Ask<'_>) {
        if self.shard(hash).remove(hash, ask) {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The shard of a hash. Bits from the middle: the table uses those at both ends.
    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        let at = usize::try_from(hash >> 24 & 0xffff).unwrap_or_default() % self.shards.len();
        // The index is below the length, which is never 0.
        lock(self.shards.get(at).unwrap_or_else(|| unreachable!("the remainder of a division is below the divisor")))
    }
}

fn seconds(time: Duration) -> Ttl {
    u32::try_from(time.as_secs()).map_or(Ttl::MAX, Ttl::from_secs)
}

/// A thread that panicked in here left at worst one entry missing.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

//! Settings of the cache: how much is remembered, and for how long.

use std::time::Duration;

use crate::wire::{Name, Ttl};

/// Everything a `cache` directive can say about the cache itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// The bounds of answers.
    pub success: Capacity,
    /// The bounds of denials: NXDOMAIN, NODATA and SERVFAIL.
    pub denial: Capacity,
    /// The lifetime of a SERVFAIL; at most five minutes (RFC 2308 section 7.1).
    pub servfail: Duration,
    /// Early refresh of what is asked for often.
    pub prefetch: Option<Prefetch>,
    /// Answers past their end, while nobody can tell newer ones (RFC 8767).
    pub stale: Option<Stale>,
    /// Shows the TTL as it was stored instead of what is left of it.
    pub keep_ttl: bool,
    /// Zones whose answers are not remembered.
    pub no_success: Vec<Name>,
    /// Zones whose denials are not remembered.
    pub no_denial: Vec<Name>,
}

/// The bounds of one half of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The most entries.
    pub entries: usize,
    /// The longest lifetime.
    pub max_ttl: Ttl,
    /// The shortest lifetime; a TTL of 0 stays 0 and is not remembered (RFC 1035 section 3.2.1).
    pub min_ttl: Ttl,
}

/// The conditions for a refresh before an answer's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefetch {
    /// The hits that it must have had …
    pub amount: u32,
    /// … with no pause longer than this.
    pub duration: Duration,
    /// The part of its lifetime that is left then, in percent.
    pub percentage: u32,
}

/// The use of answers past their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The time after their end in which they are given.
    pub up_to: Duration,
    /// The TTL they are given with.
    pub ttl: Ttl,
    /// The pause after a refresh that failed.
    pub recheck: Duration,
    /// Keeps an answer in use when a denial follows it.
    pub prefer_positive: bool,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            success: Capacity { entries: 9984, max_ttl: Ttl::from_secs(3600), min_ttl: Ttl::from_secs(5) },
            denial: Capacity { entries: 9984, max_ttl: Ttl::from_secs(1800), min_ttl: Ttl::from_secs(5) },
            servfail: Duration::from_secs(5),
            prefetch: None,
            stale: None,
            keep_ttl: false,
            no_success: Vec::new(),
            no_denial: Vec::new(),
        }
    }
}

impl Capacity {
    /// A TTL within the bounds.
    pub fn bound(&self, ttl: Ttl) -> Ttl {
        ttl.max(self.min_ttl).min(self.max_ttl)
    }

    /// The most octets: one KiB for each entry and not under 16 MiB, far above what common answers need; 64 KiB
    /// answers cannot fill the memory of the pod.
    pub(super) fn bytes(&self) -> usize {
        self.entries.saturating_mul(1024).max(16 << 20)
    }
}

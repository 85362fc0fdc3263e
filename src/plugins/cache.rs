//! Name: `cache`
//!
//! Description: remembers the answers of the plugins behind it. **The cluster's own names, forward and reverse, are never
//! remembered**, whatever the directive says: an answer with something that `kubernetes` or `k8s_external` said is not stored,
//! also where an alias of `file` or `template` led there, or `rewrite`, `autopath` or `dns64` made another answer of it. Nor is one
//! that was looked for elsewhere because the cluster had not some other name on the way (the target of an alias, say). What is
//! remembered for a name in a zone of `kubernetes` (an outside reverse name, say) is given only after `kubernetes` was asked
//! and had no such name.
//!
//! Syntax:
//!
//! ```text
//! cache [TTL] [ZONES...] {
//!     success CAPACITY [TTL [MINTTL]]
//!     denial CAPACITY [TTL [MINTTL]]
//!     prefetch AMOUNT [DURATION [PERCENTAGE%]]
//!     serve_stale [DURATION [immediate [TTL [RECHECK]]]]
//!     serve_stale [DURATION [verify [TIMEOUT [TTL [RECHECK]]]]]
//!     serve_stale_policy prefer_positive
//!     servfail DURATION
//!     disable success|denial [ZONES...]
//!     keepttl
//! }
//! ```
//!
//! TTL is the longest lifetime in seconds (3600 for answers, 1800 for denials), MINTTL the shortest (5), CAPACITY the number of
//! entries (9984; at least 1024). All records of an answer get its smallest TTL. `prefetch` refreshes what was asked for
//! AMOUNT times without a pause longer than DURATION (1m) when PERCENTAGE (10%) of its lifetime is left. `serve_stale` gives
//! answers up to DURATION (1h) past their end: at once, refreshing behind the client's back, or after asking in vain.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     cache 30 {
//!         success 9984 30
//!         denial 9984 5
//!         prefetch 10 1m 10%
//!         serve_stale 1h verify
//!         disable denial example.org
//!     }
//!     forward . 192.0.2.53
//! }
//! ```
//!
//! Metrics: `coredns_cache_entries`, `coredns_cache_hits_total`, `coredns_cache_evictions_total` {server, type, zones, view};
//! `coredns_cache_requests_total`, `coredns_cache_misses_total`, `coredns_cache_prefetch_total`, `coredns_cache_drops_total`,
//! `coredns_cache_served_stale_total` {server, zones, view}.
//!
//! Ready: always.
//!
//! Differences: the cluster's names are never remembered. A TTL of 0 stays 0. A denial lives no longer than the MINIMUM of its
//! SOA says (RFC 2308), and one without SOA is not remembered, nor is a SERVFAIL to a query without RD, which would hide from
//! others what the upstream finds when it is asked to look. Memory is bounded in octets as well as in entries. At most 64
//! refreshes go on at a time. The cache outlives a reload that leaves the directive, its server block and the directives behind
//! it as they were; where one of these leads to other blocks (an alias of `file`, say), all of them. The TTLs of the cluster's
//! names, though not remembered, are bounded as others are, each by itself; that of `dns-version` stays as it is.

mod setup;

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use prometheus::{IntCounter, IntGauge};
use tokio::sync::Semaphore;

use crate::cache::{self, AnswerKind, Ask, CacheSettings, Hit, Room};
use crate::chain::{FastPath, FastPathQuestion, Next, Outcome, Plugin, Query, Reply};
use crate::metrics::metrics;
use crate::syntax::names::Zones;
use crate::wire::message;
use crate::wire::{Class, Edns, Flags, Name, Opcode, OwnEdns, Rcode, Rtype, bare_message, shuffle_addresses};
use crate::zone::TtlBounds;
pub(crate) use setup::setup;

//----------- Cache ----------------------------------------------------------

/// The plugin.
pub(crate) struct CachePlugin {
    inner: Arc<Inner>,
}

struct Inner {
    cache: Arc<cache::Cache>,
    zones: Zones,
    zones_label: String,
    /// The block's view, for the metrics.
    view: String,
    verify: Option<Verify>,
    refreshes: Arc<Semaphore>,
    counters: Mutex<Vec<(Arc<str>, Arc<Counters>)>>,
}

/// `serve_stale … verify`: the upstream is asked before a stale answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verify {
    /// The time that it is waited for; zero for as long as it takes.
    timeout: Duration,
    /// Whether only one client's query is used for it at a time.
    alone: bool,
}

/// The number of refreshes at a time: they are extra work, and give way before they pile up.
const REFRESHES: usize = 64;

impl Plugin for CachePlugin {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let Some(held) = Held::new(query).filter(|held| self.inner.is_for(held)) else {
                return next.run(query).await;
            };
            let counters = self.inner.counters(&query.server);
            counters.requests.inc();
            let Some((hit, octets)) = self.inner.find(&held, query) else {
                counters.misses.inc();
                return self.inner.ask(&held, query, next, &counters).await;
            };
            counters.hits(hit.kind).inc();
            self.inner.give(&held, query, next, &counters, hit, octets).await
        })
    }

    fn fast_path(&self, server: &Arc<str>, behind: &[Arc<dyn Plugin>], shuffled: bool) -> Option<Box<dyn FastPath>> {
        let cluster = behind.iter().flat_map(|plugin| plugin.cluster_zones().to_vec()).collect();
        let (inner, counters) = (self.inner.clone(), self.inner.counters(server));
        Some(Box::new(CacheHandle { inner, counters, cluster, shuffled }))
    }

    fn ttl_bounds(&self) -> Option<TtlBounds> {
        let CacheSettings { success, denial, .. } = self.inner.cache.settings();
        let bounds = |capacity: &cache::Capacity| (capacity.min_ttl, capacity.max_ttl);
        Some(TtlBounds { zones: self.inner.zones.0.clone(), success: bounds(success), denial: bounds(denial) })
    }

    /// The cluster's names never come here: the zone may answer without it.
    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

impl Inner {
    fn is_for(&self, held: &Held) -> bool {
        self.zones.0.iter().any(|zone| held.ask().is_within(zone.as_wire()))
    }

    /// Looks into the cache; of a long answer it gives what the client can take.
    fn find(&self, held: &Held, query: &Query) -> Option<(Hit, Vec<u8>)> {
        thread_local! {
            static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; 65_535].into());
        }
        BUFFER.with_borrow_mut(|buffer| {
            let now = query.received;
            let choice = || query.client.choice(&held.lower, now);
            let room = Room { limit: query.limit.limit, over_udp: query.limit.over_udp, choice: &choice };
            let hit = self.cache.lookup(&held.ask(), now, room, buffer)?;
            Some((hit, buffer.get(..hit.len)?.to_vec()))
        })
    }

    /// Gives what was found, refreshing it before or behind.
    async fn give(
        self: &Arc<Self>,
        held: &Held,
        query: &mut Query,
        next: Next<'_>,
        counters: &Arc<Counters>,
        hit: Hit,
        octets: Vec<u8>,
    ) -> Outcome {
        match self.verify.filter(|_| hit.stale) {
            Some(verify) if hit.refresh || !verify.alone => {
                if let Some(fresh) = self.verify(held, query, next, counters, verify).await {
                    return Outcome::Reply(fresh);
                }
            }
            Some(_) => {}
            None if hit.refresh => self.refresh(held, query, next, counters, hit.stale),
            None => {}
        }
        if hit.stale {
            counters.stale.inc();
        }
        let reply = Reply::from_octets("cache", octets);
        let plugins = next.plugins();
        let cluster = plugins
            .iter()
            .rposition(|plugin| plugin.cluster_zones().iter().any(|zone| held.ask().is_within(zone.as_wire())));
        match cluster {
            None => Outcome::Reply(reply),
            // The name may have become one of the cluster since the answer was remembered: those up to the cluster's plugin
            // come first, and the cache stands where the plugins behind it stood.
            Some(last) => {
                let mut chain = plugins.get(..=last).unwrap_or_default().to_vec();
                chain.push(Arc::new(CachedReply(Mutex::new(Some(reply)))));
                match Next::new(&chain).run(query).await {
                    Outcome::Reply(reply) if reply.is_of_cluster() => Outcome::Reply(self.bounded(held, reply)),
                    other => other,
                }
            }
        }
    }

    /// Asks the plugins behind, and remembers what they say.
    async fn ask(&self, held: &Held, query: &mut Query, next: Next<'_>, counters: &Counters) -> Outcome {
        match run(held, &mut *query, next).await {
            (Outcome::Reply(reply), true) => Outcome::Reply(self.bounded(held, reply)),
            (Outcome::Reply(reply), false) => {
                let plugin = reply.plugin;
                let octets = self.keep(held, query, reply.into_octets(rand::random()), counters);
                if octets.len() <= query.limit.limit {
                    return Outcome::Reply(Reply::from_octets(plugin, octets));
                }
                // Plugins before this one look at no more than leaves.
                let choice = query.client.choice(&held.lower, query.received);
                match message::finish_octets(octets, held.edns, OwnEdns::DEFAULT, query.limit, choice) {
                    Ok(octets) => Outcome::Reply(Reply::from_octets(plugin, octets)),
                    Err(failure) => Outcome::Failed(plugin, failure),
                }
            }
            (Outcome::Failed(plugin, failure), of_cluster) => {
                if failure.rcode == Rcode::SERVFAIL && !of_cluster {
                    self.keep(held, query, held.servfail(), counters);
                }
                Outcome::Failed(plugin, failure)
            }
            (other, _) => other,
        }
    }

    /// Brings the TTLs of the cluster's records within the bounds of the cache, where they never are.
    fn bounded(&self, held: &Held, mut reply: Reply) -> Reply {
        self.cache.bound_ttls(&held.ask(), reply.octets_mut());
        reply
    }

    /// Stores an answer and makes it what the client is to see.
    fn keep(&self, held: &Held, query: &Query, mut octets: Vec<u8>, counters: &Counters) -> Vec<u8> {
        let ask = held.ask();
        // No answer is older than its question.
        let verdict = self.cache.store(&ask, &octets, Instant::now().max(query.received));
        if let Some(ttl) = verdict.ttl {
            cache::cap_ttls(&mut octets, ttl);
        }
        if !ask.wants_authentic() {
            cache::clear_authentic(&mut octets);
        }
        if verdict.mismatch {
            counters.drops.inc();
        }
        if let Some(kind) = verdict.kind.filter(|_| verdict.kept) {
            counters.evictions(kind).inc_by(u64::try_from(verdict.evicted).unwrap_or(u64::MAX));
            for kind in [AnswerKind::Success, AnswerKind::Denial] {
                counters.entries(kind).set(i64::try_from(self.cache.len(kind)).unwrap_or(i64::MAX));
            }
        }
        octets
    }

    /// Asks the plugins behind a stale answer; `None` when the stale one is still the best.
    async fn verify(
        self: &Arc<Self>,
        held: &Held,
        query: &mut Query,
        next: Next<'_>,
        counters: &Arc<Counters>,
        verify: Verify,
    ) -> Option<Reply> {
        if verify.timeout.is_zero() {
            let _refreshing = Refreshing { cache: &self.cache, held };
            return self.accept(held, query, next, counters).await;
        }
        let task = self.spawn(held, query, next, counters, true)?;
        tokio::time::timeout(verify.timeout, task).await.ok()?.ok()?
    }

    /// Refreshes an answer behind the client's back.
    fn refresh(self: &Arc<Self>, held: &Held, query: &Query, next: Next<'_>, counters: &Arc<Counters>, stale: bool) {
        if self.spawn(held, query, next, counters, stale).is_some() {
            counters.prefetches.inc();
        }
    }

    fn spawn(
        self: &Arc<Self>,
        held: &Held,
        query: &Query,
        next: Next<'_>,
        counters: &Arc<Counters>,
        stale: bool,
    ) -> Option<tokio::task::JoinHandle<Option<Reply>>> {
        let Ok(permit) = self.refreshes.clone().try_acquire_owned() else {
            self.cache.release(&held.ask(), query.received);
            return None;
        };
        let mut own = query.follow(&query.name(), query.qtype());
        own.request.clone_from(&query.request);
        if !stale || self.verify.is_none() {
            // Nobody waits on UDP: over a connection nothing is truncated.
            own.go_over_tcp();
        }
        let (inner, held, counters) = (self.clone(), held.clone(), counters.clone());
        let chain = next.plugins().to_vec();
        Some(tokio::spawn(async move {
            let _refreshing = Refreshing { cache: &inner.cache, held: &held };
            let next = Next::new(&chain);
            let fresh = match stale {
                true => inner.accept(&held, &mut own, next, &counters).await,
                false => match inner.ask(&held, &mut own, next, &counters).await {
                    Outcome::Reply(reply) => Some(reply),
                    _ => None,
                },
            };
            drop(permit);
            fresh
        }))
    }

    /// Asks, and takes only what may follow a stale answer: NOERROR and NXDOMAIN, whole (RFC 8767 section 4).
    async fn accept(&self, held: &Held, query: &mut Query, next: Next<'_>, counters: &Counters) -> Option<Reply> {
        let (Outcome::Reply(reply), of_cluster) = run(held, &mut *query, next).await else { return None };
        let usable = matches!(reply.rcode(), Rcode::NOERROR | Rcode::NXDOMAIN);
        if of_cluster {
            return usable.then(|| self.bounded(held, reply));
        }
        let plugin = reply.plugin;
        let octets = reply.into_octets(rand::random());
        let truncated = Flags::of(&octets).is_none_or(|flags| flags.has(Flags::TC));
        (usable && !truncated).then(|| Reply::from_octets(plugin, self.keep(held, query, octets, counters)))
    }

    fn counters(&self, server: &Arc<str>) -> Arc<Counters> {
        let mut known = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counters)) = known.iter().find(|(name, _)| name == server) {
            return counters.clone();
        }
        let counters = Arc::new(Counters::new(server, &self.zones_label, &self.view));
        known.push((server.clone(), counters.clone()));
        counters
    }
}

/// A refresh under way. However it ends, a client that gives up included, the next one may begin.
struct Refreshing<'r> {
    cache: &'r cache::Cache,
    held: &'r Held,
}

impl Drop for Refreshing<'_> {
    fn drop(&mut self) {
        self.cache.release(&self.held.ask(), Instant::now());
    }
}

/// Runs the plugins behind, asking for the AD bit: the answer is for all who ask, also for those who want to know whether it
/// is authentic (RFC 6840 section 5.7). Says whether what they tell depends on what the cluster has, beyond that it has not
/// this very name: that is asked again before a remembered answer is given.
async fn run(held: &Held, query: &mut Query, next: Next<'_>) -> (Outcome, bool) {
    let wanted = query.request.set_authentic(true);
    // What a plugin in front was told before, of a step of a search path perhaps, is not this answer's.
    let before = query.take_marks();
    let outcome = next.run(&mut *query).await;
    let is_reply_of_cluster = matches!(&outcome, Outcome::Reply(reply) if reply.is_of_cluster());
    let of_cluster = is_reply_of_cluster || query.is_of_cluster() || query.has_passed_others(&held.lower);
    query.add_marks(before);
    query.request.set_authentic(wanted);
    (outcome, of_cluster)
}

/// A cached answer in the place of the plugins that gave it.
struct CachedReply(Mutex<Option<Reply>>);

impl Plugin for CachedReply {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn serve<'a>(&'a self, _: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        let reply = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async { reply.map_or(Outcome::Next, Outcome::Reply) })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

/// The cache on the fast path: for a server block whose chain does nothing more with its answers.
struct CacheHandle {
    inner: Arc<Inner>,
    counters: Arc<Counters>,
    /// The zones of the cluster: a name there is for its plugin first.
    cluster: Vec<Name>,
    shuffled: bool,
}

impl FastPath for CacheHandle {
    fn answer(&self, asking: &FastPathQuestion<'_>, buffer: &mut [u8]) -> Option<usize> {
        let FastPathQuestion { question, client, received: now, size, seed } = *asking;
        let ask = Ask::from(question);
        let within = |zones: &[Name]| zones.iter().any(|zone| ask.is_within(zone.as_wire()));
        if !within(&self.inner.zones.0) || within(&self.cluster) {
            return None;
        }
        let choice = || client.choice(ask.qname, now);
        let room = Room { limit: size.limit, over_udp: size.over_udp, choice: &choice };
        let (kind, len) = self.inner.cache.lookup_fresh(&ask, now, room, buffer)?;
        if self.shuffled {
            shuffle_addresses(buffer.get_mut(..len)?, seed).ok()?;
        }
        self.counters.requests.inc();
        self.counters.hits(kind).inc();
        Some(len)
    }
}

//----------- Held -----------------------------------------------------------

/// The question of a query as the cache wants it, apart from the query, which plugins may change.
#[derive(Clone)]
struct Held {
    spelling: Vec<u8>,
    lower: Vec<u8>,
    id: u16,
    flags: Flags,
    qtype: Rtype,
    qclass: Class,
    edns: Option<Edns>,
}

impl Held {
    /// `None` for what is no question to remember an answer to.
    fn new(query: &Query) -> Option<Self> {
        let question = query.request.question();
        let is_query = query.request.opcode() == Opcode::QUERY;
        is_query.then(|| Self {
            lower: question.qname.as_wire().to_vec(),
            spelling: question.spelling().to_vec(),
            id: question.id,
            flags: question.flags,
            qtype: question.qtype,
            qclass: question.qclass,
            edns: question.edns.map(|edns| Edns { nsid: false, ..edns }),
        })
    }

    fn ask(&self) -> Ask<'_> {
        Ask {
            id: self.id,
            flags: self.flags,
            qname: &self.lower,
            spelling: &self.spelling,
            qtype: self.qtype,
            qclass: self.qclass,
            edns: self.edns,
            own: OwnEdns::DEFAULT,
        }
    }

    /// The answer for the client when the plugins behind fail.
    fn servfail(&self) -> Vec<u8> {
        let flags = self.flags.to_answer().with_rcode(Rcode::SERVFAIL);
        bare_message(self.id, flags, &self.spelling, self.qtype, self.qclass)
    }
}

//----------- Metrics --------------------------------------------------------

metrics! {
    pub(super) fn register;

    ENTRIES: IntGaugeVec["server", "type", "zones", "view"] = "coredns_cache_entries", "Answers in the cache";
    HITS: IntCounterVec["server", "type", "zones", "view"] = "coredns_cache_hits_total", "Queries found in the cache";
    EVICTIONS: IntCounterVec["server", "type", "zones", "view"] =
        "coredns_cache_evictions_total", "Answers that made room for others";
    REQUESTS: IntCounterVec["server", "zones", "view"] =
        "coredns_cache_requests_total", "Queries that the cache looked for";
    MISSES: IntCounterVec["server", "zones", "view"] = "coredns_cache_misses_total", "Queries not found in the cache";
    PREFETCHES: IntCounterVec["server", "zones", "view"] =
        "coredns_cache_prefetch_total", "Answers refreshed behind the client's back";
    DROPS: IntCounterVec["server", "zones", "view"] =
        "coredns_cache_drops_total", "Answers to another question than the one asked";
    STALE: IntCounterVec["server", "zones", "view"] = "coredns_cache_served_stale_total", "Answers given past their end";
}

/// The series of one server, looked up once.
struct Counters {
    entries: [IntGauge; 2],
    hits: [IntCounter; 2],
    evictions: [IntCounter; 2],
    requests: IntCounter,
    misses: IntCounter,
    prefetches: IntCounter,
    drops: IntCounter,
    stale: IntCounter,
}

impl Counters {
    fn new(server: &str, zones: &str, view: &str) -> Self {
        let kinds = [AnswerKind::Success, AnswerKind::Denial].map(AnswerKind::as_str);
        let plain = [server, zones, view];
        Self {
            entries: kinds.map(|kind| ENTRIES.with_label_values(&[server, kind, zones, view])),
            hits: kinds.map(|kind| HITS.with_label_values(&[server, kind, zones, view])),
            evictions: kinds.map(|kind| EVICTIONS.with_label_values(&[server, kind, zones, view])),
            requests: REQUESTS.with_label_values(&plain),
            misses: MISSES.with_label_values(&plain),
            prefetches: PREFETCHES.with_label_values(&plain),
            drops: DROPS.with_label_values(&plain),
            stale: STALE.with_label_values(&plain),
        }
    }

    fn entries(&self, kind: AnswerKind) -> &IntGauge {
        series(&self.entries, kind)
    }

    fn hits(&self, kind: AnswerKind) -> &IntCounter {
        series(&self.hits, kind)
    }

    fn evictions(&self, kind: AnswerKind) -> &IntCounter {
        series(&self.evictions, kind)
    }
}

/// The series of one kind of answer.
fn series<T>([success, denial]: &[T; 2], kind: AnswerKind) -> &T {
    match kind {
        AnswerKind::Success => success,
        AnswerKind::Denial => denial,
    }
}

#[cfg(test)]
mod tests;

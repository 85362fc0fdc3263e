//! The upstreams of one `forward` line: who is asked first, who next, and equal queries in flight as one.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use futures_util::future::{Either, select};
use rand::seq::SliceRandom;
use tokio::sync::watch;
use tokio::time::Instant;

use super::metrics::{BROKEN, DURATION, OLD_DURATION, OLD_REQUESTS, OLD_RESPONSES, PROXY, SHARED};
use super::{Check, Connections, Error, Trouble, Upstream, UpstreamAnswer, octets};
use crate::places::{Place, Places};
use crate::wire::{Flags, Rcode, message};

/// Everything that all upstreams of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// The order in which upstreams are asked.
    pub policy: Policy,
    /// Asks over TCP, whatever the client came by.
    pub force_tcp: bool,
    /// Asks over UDP first, whatever the client came by.
    pub prefer_udp: bool,
    /// The health checks that may fail in a row before an upstream counts as down; 0 for any number.
    pub max_fails: u32,
    /// The check of health.
    pub check: Check,
    /// Fails at once when all are down, instead of trying one of them.
    pub fail_fast: bool,
    /// The exchanges of one query that may fail; `None` for two with each upstream, 0 for as many as time allows.
    pub max_attempts: Option<u32>,
    /// The response codes that send a query on to the next upstream.
    pub failover: Vec<Rcode>,
    /// The rules by which connections are kept.
    pub connections: Connections,
    /// The time that one exchange waits for its answer.
    pub read_timeout: Duration,
    /// The address that queries leave from.
    pub source: Option<IpAddr>,
}

/// The policy: an order in which upstreams are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// Any, far slower ones less often.
    #[default]
    Random,
    /// Each in its turn.
    RoundRobin,
    /// The order as written.
    Sequential,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            force_tcp: false,
            prefer_udp: false,
            max_fails: 2,
            check: Check::default(),
            fail_fast: false,
            max_attempts: None,
            failover: Vec::new(),
            connections: Connections { expire: Duration::from_secs(10), max_age: None, max_idle: 0 },
            read_timeout: Duration::from_secs(2),
            source: None,
        }
    }
}

/// The upstreams of one `forward` line.
#[derive(Debug)]
pub struct Group {
    upstreams: Vec<Arc<Upstream>>,
    settings: GroupSettings,
    turn: AtomicUsize,
    flights: DashMap<Box<[u8]>, watch::Sender<Option<Landed>>>,
    /// The places of exchanges in flight, each held by the client that asked first.
    places: Arc<Places>,
}

type Landed = Result<Arc<UpstreamAnswer>, Error>;

/// The time that a query may take in all.
const WHOLE: Duration = Duration::from_secs(5);
/// The exchanges that a group carries at a time. With every upstream silent that is 800 new names a second; each costs
/// a socket and some KiB, so that the whole stays far below the memory of a pod.
const MOST_FLIGHTS: usize = 4096;
/// The times that a query begins anew, as the exchange that it shared ended with the client that had begun it.
const MOST_STARTS: usize = 4;

impl Group {
    /// A group of upstreams; at least one.
    pub fn new(upstreams: Vec<Arc<Upstream>>, settings: GroupSettings) -> Self {
        Self {
            upstreams,
            settings,
            turn: AtomicUsize::new(rand::random_range(0..1024)),
            flights: DashMap::new(),
            places: Places::new(MOST_FLIGHTS),
        }
    }

    /// The upstreams, as written.
    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    /// Asks on behalf of a client that came over UDP or over a connection. An equal query in flight is joined.
    ///
    /// Where as many exchanges are in flight as may be, the client that began most of them loses one to who began fewer.
    /// Others that had joined it are asked for anew, on their own account.
    ///
    /// # Errors
    /// When nobody answered, or too many queries are in flight.
    pub async fn ask(
        self: &Arc<Self>,
        query: &[u8],
        over_stream: bool,
        client: IpAddr,
    ) -> Result<UpstreamAnswer, Error> {
        let stream = self.settings.force_tcp || !self.settings.prefer_udp && over_stream;
        let key = octets::key(query, stream)
            .ok_or_else(|| Error::new(Trouble::Query, "the query has not one well-formed question"))?;
        for _ in 0..MOST_STARTS {
            let (mut landing, joined) = match self.flights.entry(key.clone()) {
                Entry::Occupied(flight) => {
                    SHARED.inc();
                    (flight.get().subscribe(), true)
                }
                Entry::Vacant(vacant) => {
                    let place = self.places.take(client).ok_or_else(busy)?;
                    let (sender, receiver) = watch::channel(None);
                    vacant.insert(sender.clone());
                    let flight = Flight { group: self.clone(), key: key.clone() };
                    tokio::spawn(flight.fly(query.to_vec(), stream, place, sender));
                    (receiver, false)
                }
            };
            match landing.wait_for(Option::is_some).await.map(|landed| landed.clone()) {
                Ok(Some(landed)) => {
                    let mut answered = UpstreamAnswer::clone(&*landed?);
                    octets::restore(&mut answered.octets, query);
                    return Ok(answered);
                }
                // Ended, as whoever began it gave way or went away.
                _ if joined => {}
                _ => return Err(busy()),
            }
        }
        Err(busy())
    }

    async fn attempt(&self, query: &[u8], stream: bool) -> Landed {
        let until = Instant::now() + WHOLE;
        let order = self.order();
        let each = u32::try_from(order.len()).unwrap_or(u32::MAX);
        let most = self.settings.max_attempts.unwrap_or_else(|| each.saturating_mul(2));
        let (mut attempts, mut down, mut next) = (0, 0, 0);
        let (mut error, mut passed_over) = (None, None);
        while Instant::now() < until && (most == 0 || attempts < most) {
            let Some(mut upstream) = order.get(next) else {
                (next, down) = (0, 0);
                // A round without any success: those who say no at once are not asked in a tight loop.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            next += 1;
            if upstream.is_down(self.settings.max_fails) {
                down += 1;
                if down < order.len() {
                    continue;
                }
                BROKEN.inc();
                if self.settings.fail_fast {
                    break;
                }
                // The checks themselves may be what is broken.
                upstream = order.get(rand::random_range(0..order.len())).unwrap_or(upstream);
            }
            match self.one(upstream, query, stream, until).await {
                Ok(octets) => {
                    let failover = self.settings.failover.contains(&Rcode::of(&octets));
                    let (octets, upstream) = (message::compact(octets), upstream.label().clone());
                    let answered = Arc::new(UpstreamAnswer { octets, upstream });
                    attempts += 1;
                    if !failover || next >= order.len() || attempts >= each {
                        return Ok(answered);
                    }
                    passed_over = Some(answered);
                }
                Err(fault) if fault.trouble == Trouble::Query => return Err(fault),
                Err(fault) => {
                    attempts += 1;
                    if self.settings.max_fails != 0 {
                        self.settings.check.start(upstream, self.settings.force_tcp);
                    }
                    error = Some(fault);
                    if down >= order.len() {
                        break;
                    }
                }
            }
        }
        // An answer that another upstream was to better is still better than none.
        passed_over.ok_or_else(|| error.unwrap_or_else(|| Error::new(Trouble::Unhealthy, "no healthy proxies")))
    }

    async fn one(
        &self,
        upstream: &Arc<Upstream>,
        query: &[u8],
        stream: bool,
        until: Instant,
    ) -> Result<Vec<u8>, Error> {
        let (begun, label) = (Instant::now(), &**upstream.label());
        OLD_REQUESTS.with_label_values(&[label]).inc();
        let limit = self.settings.read_timeout;
        let mut reply = upstream.exchange(query, stream, limit, until).await?;
        let truncated = Flags::of(&reply).is_some_and(|flags| flags.has(Flags::TC));
        if truncated && self.settings.prefer_udp && !stream {
            reply = upstream.exchange(query, true, limit, until).await?;
        }
        let (seconds, rcode) = (begun.elapsed().as_secs_f64(), Rcode::of(&reply).to_string());
        DURATION.with_label_values(&[PROXY, label, &rcode]).observe(seconds);
        OLD_DURATION.with_label_values(&[label, &rcode]).observe(seconds);
        OLD_RESPONSES.with_label_values(&[label, &rcode]).inc();
        Ok(reply)
    }

    /// The order in which upstreams are tried: that of the policy, those that just failed last.
    fn order(&self) -> Vec<&Arc<Upstream>> {
        let mut order: Vec<&Arc<Upstream>> = self.upstreams.iter().collect();
        if order.len() < 2 {
            return order;
        }
        match self.settings.policy {
            Policy::Sequential => {}
            Policy::RoundRobin => order.rotate_left(self.turn.fetch_add(1, Ordering::Relaxed) % self.upstreams.len()),
            Policy::Random => {
                order.shuffle(&mut rand::rng());
                let best = order.iter().map(|one| one.latency()).filter(|latency| !latency.is_zero()).min();
                let far = best.unwrap_or_default() * 4 + Duration::from_millis(20);
                // Now and then a slow one is asked all the same: it may have become fast.
                if order.first().is_some_and(|one| one.latency() > far) && rand::random_range(0..8) != 0 {
                    order.sort_by_key(|one| one.latency() > far);
                }
            }
        }
        order.sort_by_key(|one| one.is_suspect());
        order
    }
}

/// One exchange in flight; its end takes it off the list, whatever the end is.
struct Flight {
    group: Arc<Group>,
    key: Box<[u8]>,
}

impl Flight {
    /// A task of its own: that one client went away does not end the exchange that others wait for. It ends when nobody
    /// waits any more, or its place is needed for another client.
    async fn fly(self, query: Vec<u8>, stream: bool, place: Place, sender: watch::Sender<Option<Landed>>) {
        let landed = {
            let attempt = pin!(place.hold(self.group.attempt(&query, stream)));
            match select(attempt, pin!(sender.closed())).await {
                Either::Left((landed, _)) => landed,
                Either::Right(_) => None,
            }
        };
        // Whoever hears of the end of an exchange without a result does not find it any more.
        drop(self);
        if landed.is_some() {
            sender.send_replace(landed);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.group.flights.remove(&self.key);
    }
}

fn busy() -> Error {
    Error::new(Trouble::Busy, format!("concurrent queries exceeded maximum {MOST_FLIGHTS}"))
}

//! The way from the octets of a query to those of its answer, whatever the transport.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::load::LoadLimits;
use super::metrics::{self, CounterGroup, Observed, ShardId};
use super::pressure::Pressure;
use super::rate::{RateLimit, RateTable};
use super::routes::{Route, RouteTable, ServedBlock};
use crate::chain::{Client, FastPathQuestion, More, Next, Outcome, Query, Reply, Request, Resolve, Transport};
use crate::places::{Place, Places};
use crate::wire::message::{self, MessageName, RecordType, Size};
use crate::wire::{
    Class, Edns, Failure, Name, OwnedQuestion, Parsed, Question, Rcode, Rtype, error_reply, failure_reply, parse,
    shuffle_addresses, udp_limit,
};
use crate::zone::{Answered, Seeds, Swap, answer};

/// The longest query taken whole, over any transport; no client sends more than a name and an OPT record.
pub(super) const LONGEST_QUERY: usize = 4096;

/// Answers the queries of one server address, from the present route table.
#[derive(Debug)]
pub(super) struct Handler {
    resolver: Arc<Resolver>,
    /// The places of queries that wait for plugins.
    waiting: Arc<Places>,
    rate: RateLimit,
    /// The answers over UDP that did not come from a data thread.
    late: Option<Mutex<RateTable>>,
}

/// The outcome of a query at once.
pub(super) enum Begun {
    /// The client gets nothing.
    Silence,
    /// The answer stands in the buffer.
    Answer {
        len: usize,
        /// The route whose group still wants the duration.
        route: Option<usize>,
    },
    /// The client can take a longer answer than the buffer can hold, and there is one: to be begun again with a buffer of
    /// [`MOST_UDP`](crate::wire::MOST_UDP) octets.
    Larger,
    /// A plugin waits for something.
    Later(PendingAnswer),
}

/// The rest of a chain: its answer, or nothing for the client.
pub(super) type PendingAnswer = BoxFuture<'static, Option<ChainAnswer>>;

/// An answer that took a chain.
pub(super) struct ChainAnswer {
    pub(super) octets: Vec<u8>,
    /// The messages behind the first one, of a zone transfer.
    pub(super) more: Option<More>,
}

/// A query on its way in.
pub(super) struct Arrived<'m> {
    pub(super) octets: &'m [u8],
    pub(super) client: Client,
    pub(super) received: Instant,
    pub(super) shard: &'m ShardId,
    pub(super) seed: u64,
    /// How far behind the thread is that received it, where that leaves what it cannot do to somebody else.
    pub(super) pressure: Option<&'m RefCell<Pressure>>,
}

impl Handler {
    /// Answers from a route table, within these limits.
    pub(super) fn new(table: RouteTable, load: LoadLimits) -> Self {
        Self {
            resolver: Arc::new(Resolver { table: Swap::new(table) }),
            waiting: Places::new(load.max_in_flight),
            rate: load.rate,
            late: RateTable::limiting(load.rate).map(Mutex::new),
        }
    }

    /// A table of answers for a data thread, where their rate is limited.
    pub(super) fn rates(&self) -> Option<RateTable> {
        RateTable::limiting(self.rate)
    }

    /// Cuts an answer over UDP that had to wait down to what the rate allows its client; `None` when that is nothing.
    pub(super) fn limit_late(&self, client: &Client, query: &[u8], mut answer: Vec<u8>) -> Option<Vec<u8>> {
        if let Some(late) = &self.late {
            let mut table = late.lock().unwrap_or_else(PoisonError::into_inner);
            let len = table.limit(client.peer.ip(), query, &mut answer, Instant::now())?;
            answer.truncate(len);
        }
        Some(answer)
    }

    /// Replaces the route table. Queries in flight end with the one they began with.
    pub(super) fn replace(&self, table: RouteTable) {
        self.resolver.table.store(table);
    }

    /// The number of queries that wait for plugins.
    pub(super) fn in_flight(&self) -> usize {
        self.waiting.taken()
    }

    /// The present table.
    pub(super) fn table(&self) -> Arc<RouteTable> {
        self.resolver.table.load().clone()
    }

    /// Answers one query, however long it takes: for transports that bring their own tasks.
    /// `None` means that the client gets no answer.
    pub(super) async fn answer(self: Arc<Self>, octets: &[u8], client: Client) -> Option<ChainAnswer> {
        let begun = {
            let (received, shard) = (Instant::now(), ShardId::SHARED);
            let arrived = Arrived { octets, client, received, shard, seed: rand::random(), pressure: None };
            self.begin_in_scratch(&self.table(), &arrived, |answer| answer.to_vec())
        };
        match begun {
            Ok(answer) => answer.map(|octets| ChainAnswer { octets, more: None }),
            Err(pending) => self.wait(self.admit(&client)?, pending).await?,
        }
    }

    /// Does as [`begin`](Self::begin), with a buffer of the thread that holds the longest answer.
    pub(super) fn begin_in_scratch<T>(
        &self,
        table: &RouteTable,
        arrived: &Arrived<'_>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, PendingAnswer> {
        thread_local!(static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 65_535]));
        SCRATCH.with_borrow_mut(|buffer| match self.begin(table, arrived, buffer) {
            // The scratch buffer holds what any client can take.
            Begun::Silence | Begun::Larger => Ok(None),
            Begun::Answer { len, route } => {
                let group = route.and_then(|route| table.route(route)).and_then(|route| route.group.as_ref());
                if let Some(group) = group {
                    group.took(arrived.shard, arrived.received.elapsed());
                }
                Ok(buffer.get(..len).map(take))
            }
            Begun::Later(pending) => Err(pending),
        })
    }

    /// Answers a query into `buffer`, or says that it must wait. A panic is SERVFAIL for this query alone.
    pub(super) fn begin(&self, table: &RouteTable, arrived: &Arrived<'_>, buffer: &mut [u8]) -> Begun {
        catch_unwind(AssertUnwindSafe(|| self.try_begin(table, arrived, buffer))).unwrap_or_else(|_| {
            metrics::PANICS.inc();
            match parse(arrived.octets) {
                Parsed::Query(question) => {
                    let len = error_reply(arrived.octets, Some(&question), Rcode::SERVFAIL, buffer);
                    Begun::Answer { len, route: None }
                }
                _ => Begun::Silence,
            }
        })
    }

    fn try_begin(&self, table: &RouteTable, arrived: &Arrived<'_>, buffer: &mut [u8]) -> Begun {
        // Nothing good listens at port 0, and an answer there would bounce (RFC 8085 section 5.1).
        if arrived.client.peer.port() == 0 {
            return Begun::Silence;
        }
        let mut question = match parse(arrived.octets) {
            Parsed::Query(question) => question,
            Parsed::Refuse { rcode, question } => return refuse(table, arrived, question.as_ref(), rcode, buffer),
            Parsed::Drop => return Begun::Silence,
        };
        let found = table.find(&question, &arrived.client);
        let Some((index, route)) = found.and_then(|index| Some((index, table.route(index)?))) else {
            return refuse(table, arrived, Some(&question), Rcode::REFUSED, buffer);
        };
        let block = &*route.block;
        if question.qclass != Class::IN && !block.classes.contains(&question.qclass) {
            return refuse(table, arrived, Some(&question), Rcode::REFUSED, buffer);
        }
        question.own = &block.own;
        if question.qclass == Class::IN && !block.exclusions.as_ref().is_some_and(|exclusions| exclusions(&question)) {
            match at_once(route, &question, arrived, buffer) {
                AtOnce::Done(len, rcode, plugin) => {
                    observe(route.group.as_ref(), arrived, question.qtype, question.edns, Some((len, rcode, plugin)));
                    return Begun::Answer { len, route: route.group.as_ref().map(|_| index) };
                }
                AtOnce::Larger => return Begun::Larger,
                AtOnce::Chain => {}
            }
        }
        let client = arrived.client.peer.ip();
        if arrived.pressure.is_some_and(|pressure| pressure.try_borrow_mut().is_ok_and(|mut it| !it.may_start(client)))
        {
            metrics::OVERLOAD_DROPPED.inc();
            return Begun::Silence;
        }
        if block.shed && arrived.client.transport == Transport::Udp && !self.waiting.has_one_for(client) {
            table.shed.iter().for_each(|shed| shed.queries.inc());
            return Begun::Silence;
        }
        self.start_chain(table, arrived, route, &question, buffer)
    }

    /// Starts the chain and goes as far as it goes without waiting.
    fn start_chain(
        &self,
        table: &RouteTable,
        arrived: &Arrived<'_>,
        route: &Route,
        question: &Question<'_>,
        buffer: &mut [u8],
    ) -> Begun {
        let limit = size(arrived.client.transport, question.edns, &route.block);
        let request = Request::received(question);
        let query = Query::new(request, arrived.client, arrived.received, limit, self.resolver.clone());
        let query = Query { server: table.server.clone(), zone: route.label.clone(), ..query };
        let asked = FinishContext {
            octets: arrived.octets.into(),
            question: question.detached(),
            client: arrived.client,
            received: arrived.received,
            choice: choice(question, arrived),
        };
        let mut pending = run(route.clone(), query, asked).boxed();
        match pending.poll_unpin(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(answer)) if answer.more.is_some() => Begun::Later(ready(Some(answer)).boxed()),
            Poll::Ready(Some(ChainAnswer { octets, .. })) => match buffer.get_mut(..octets.len()) {
                Some(place) => {
                    place.copy_from_slice(&octets);
                    Begun::Answer { len: octets.len(), route: None }
                }
                None => Begun::Later(ready(Some(ChainAnswer { octets, more: None })).boxed()),
            },
            Poll::Ready(None) => Begun::Silence,
            Poll::Pending => Begun::Later(pending),
        }
    }

    /// Takes a place among the queries in flight. Where none is free, the client that holds most gives one to who holds fewer;
    /// `None` when there is none to have, which is counted.
    pub(super) fn admit(&self, client: &Client) -> Option<Place> {
        let place = self.waiting.take(client.peer.ip());
        if place.is_none() {
            metrics::QUEUE_DROPPED.inc();
        }
        place
    }

    /// Waits for an answer as long as the place is held; `None` when it had to be given to another client, which is counted.
    pub(super) async fn wait(&self, place: Place, pending: PendingAnswer) -> Option<Option<ChainAnswer>> {
        let answer = place.hold(pending).await;
        if answer.is_none() {
            metrics::QUEUE_DROPPED.inc();
        }
        answer
    }
}

/// The answer to a query that finds no place.
pub(super) fn overloaded(octets: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 512];
    let len = match parse(octets) {
        Parsed::Query(question) => error_reply(octets, Some(&question), Rcode::SERVFAIL, &mut buffer),
        _ => 0,
    };
    buffer.get(..len).unwrap_or_default().to_vec()
}

/// The parts of a query that are needed to finish its answer.
struct FinishContext {
    octets: Box<[u8]>,
    question: OwnedQuestion,
    client: Client,
    received: Instant,
    /// The seed of what stays of an answer that is too long.
    choice: u64,
}

/// Runs the chain of a block to its end and makes octets of what comes back.
async fn run(route: Route, mut query: Query, asked: FinishContext) -> Option<ChainAnswer> {
    let block = route.block.clone();
    let outcome = AssertUnwindSafe(Next::new(&block.chain).run(&mut query)).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| {
        metrics::PANICS.inc();
        Outcome::Failed("", Failure::servfail("a plugin panicked; this is a defect"))
    });
    let mut more = None;
    let (octets, rcode, plugin) = match outcome {
        Outcome::Reply(mut reply) => {
            let (rcode, plugin) = (reply.rcode(), reply.plugin);
            more = reply.take_more();
            match finish(reply, &asked, &block) {
                Ok(octets) => (Some(octets), rcode, plugin),
                Err(failure) => {
                    tracing::debug!(%failure, plugin, "an answer could not be written");
                    (Some(fail(&asked, &block, &Failure { rcode: Rcode::SERVFAIL, ..failure })), Rcode::SERVFAIL, "")
                }
            }
        }
        // A zone without a plugin that answers.
        Outcome::Next => {
            let failure = Failure { rcode: Rcode::REFUSED, extended: None, message: String::new() };
            (Some(fail(&asked, &block, &failure)), Rcode::REFUSED, "")
        }
        Outcome::Failed(_, failure) => (Some(fail(&asked, &block, &failure)), failure.rcode, ""),
        Outcome::Drop => (None, Rcode::NOERROR, ""),
    };
    if let Some(group) = &route.group {
        let observed = Observed {
            transport: asked.client.transport,
            v6: asked.client.peer.is_ipv6(),
            qtype: asked.question.qtype,
            dnssec_ok: asked.question.edns.is_some_and(|edns| edns.dnssec_ok),
            size: asked.octets.len(),
            reply: octets.as_ref().map(|octets| (octets.len(), rcode, plugin)),
        };
        group.observe(ShardId::SHARED, &observed);
        group.took(ShardId::SHARED, asked.received.elapsed());
    }
    octets.map(|octets| ChainAnswer { octets, more })
}

/// The octets of a reply: the server's own OPT record, cut to what the client can take.
fn finish(mut reply: Reply, asked: &FinishContext, block: &ServedBlock) -> Result<Vec<u8>, Failure> {
    let size = size(asked.client.transport, asked.question.edns, block);
    if reply.as_octets().is_some() {
        return message::finish_octets(
            reply.into_octets(asked.choice),
            asked.question.edns,
            &block.own,
            size,
            asked.choice,
        );
    }
    let mut octets = Vec::with_capacity(512);
    message::finish_message(reply.message()?, asked.question.edns, &block.own, size, asked.choice, &mut octets);
    Ok(octets)
}

/// The octets of an answer that is a failure.
fn fail(asked: &FinishContext, block: &ServedBlock, failure: &Failure) -> Vec<u8> {
    let mut question = asked.question.within(&asked.octets);
    question.own = &block.own;
    let mut buffer = [0; 512];
    let len = failure_reply(&question, failure, &mut buffer);
    buffer.get(..len).unwrap_or_default().to_vec()
}

/// The outcome of a question that the zone or the cache may answer.
pub(super) enum AtOnce {
    /// An answer: its length, its response code and whose it is.
    Done(usize, Rcode, &'static str),
    /// A longer one than the buffer holds, and the client can take it.
    Larger,
    /// None: the question is for the chain.
    Chain,
}

/// Answers without the chain where that can be: from the zone, else from the cache.
pub(super) fn at_once(route: &Route, question: &Question<'_>, arrived: &Arrived<'_>, buffer: &mut [u8]) -> AtOnce {
    let size = size(arrived.client.transport, question.edns, &route.block);
    let choice = || choice(question, arrived);
    let seeds = Seeds { order: arrived.seed, choice: &choice };
    for view in &route.block.views {
        let answered = answer(question, view, size.limit, size.over_udp, seeds, buffer);
        if let Answered::Reply { len, truncated: true, .. } = answered {
            if size.limit > buffer.len() {
                return AtOnce::Larger;
            }
            // Those that stay are the client's own choice, in an order that is new each time. (SRV records stay in the
            // order that they were drawn in.)
            if let Some(reply) = buffer.get_mut(..len) {
                let _unlike = shuffle_addresses(reply, arrived.seed);
            }
        }
        match answered {
            // What is not known before the first lists are in may be worth waiting for, as the chain can.
            Answered::Reply { rcode: Rcode::SERVFAIL, .. } if !view.reader.is_synced() => return AtOnce::Chain,
            Answered::Reply { len, rcode, oversized, .. } => {
                if oversized {
                    warn_of_size(question);
                }
                return AtOnce::Done(len, rcode, "kubernetes");
            }
            Answered::NotInZone => {}
            // The chain comes to the same point with its message, and goes on from there.
            Answered::Fallthrough | Answered::Chase { .. } => return AtOnce::Chain,
        }
    }
    let Some(fast_path) = &route.fast_path else { return AtOnce::Chain };
    let Arrived { client, received, seed, .. } = arrived;
    let asking = FastPathQuestion { question, client, received: *received, size, seed: *seed };
    match fast_path.answer(&asking, buffer) {
        Some(len) => AtOnce::Done(len, Rcode::of(buffer), "cache"),
        None => AtOnce::Chain,
    }
}

/// The seed of what stays of an answer that is too long.
fn choice(question: &Question<'_>, arrived: &Arrived<'_>) -> u64 {
    arrived.client.choice(question.qname.as_wire(), arrived.received)
}

/// Counts an answer that no DNS message holds, and says so once a minute at most.
#[cold]
fn warn_of_size(question: &Question<'_>) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    metrics::OVERSIZED.inc();
    let Ok(mut last) = LAST.try_lock() else { return };
    if last.is_none_or(|last| last.elapsed() > Duration::from_secs(60)) {
        *last = Some(Instant::now());
        let name = Name::from_wire(question.qname.as_wire()).unwrap_or_else(|_| Name::root());
        tracing::warn!(%name, "the answer is larger than 64 KiB; clients get a random choice of its records");
    }
}

/// Writes an answer that is an error before any block was asked.
fn refuse(
    table: &RouteTable,
    arrived: &Arrived<'_>,
    question: Option<&Question<'_>>,
    rcode: Rcode,
    buffer: &mut [u8],
) -> Begun {
    let len = error_reply(arrived.octets, question, rcode, buffer);
    if len == 0 {
        return Begun::Silence;
    }
    let (qtype, edns) = question.map_or((Rtype(0), None), |question| (question.qtype, question.edns));
    observe(table.dropped.as_ref(), arrived, qtype, edns, Some((len, rcode, "")));
    Begun::Answer { len, route: None }
}

fn observe(
    group: Option<&Arc<CounterGroup>>,
    arrived: &Arrived<'_>,
    qtype: Rtype,
    edns: Option<Edns>,
    reply: Option<(usize, Rcode, &'static str)>,
) {
    let Some(group) = group else { return };
    let observed = Observed {
        transport: arrived.client.transport,
        v6: arrived.client.peer.is_ipv6(),
        qtype,
        dnssec_ok: edns.is_some_and(|edns| edns.dnssec_ok),
        size: arrived.octets.len(),
        reply,
    };
    group.observe(arrived.shard, &observed);
}

/// The size that the answer may have.
fn size(transport: Transport, edns: Option<Edns>, block: &ServedBlock) -> Size {
    match transport {
        Transport::Udp => Size::udp(udp_limit(edns, block.bufsize)),
        _ => Size::tcp(),
    }
}

//----------- Resolver -------------------------------------------------------

/// The resolver that plugins ask again: all blocks of the server.
#[derive(Debug)]
pub(super) struct Resolver {
    pub(super) table: Swap<RouteTable>,
}

/// The number of look-ups that may lead to another: a chain of aliases longer than this is a loop.
const MAX_DEPTH: u8 = 8;

impl Resolve for Resolver {
    fn lookup<'a>(&'a self, query: &'a Query, name: &'a MessageName, qtype: RecordType) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if query.depth >= MAX_DEPTH {
                return Outcome::Failed(
                    "",
                    Failure::servfail(format!("more than {MAX_DEPTH} look-ups lead to {name}")),
                );
            }
            let mut followed = query.follow(name, qtype);
            let table = self.table.load().clone();
            let found = table.find(&followed.request.question(), &followed.client);
            let Some(route) = found.and_then(|index| table.route(index)) else {
                let failure =
                    Failure { rcode: Rcode::REFUSED, extended: None, message: format!("no zone holds {name}") };
                return Outcome::Failed("", failure);
            };
            followed.zone = route.label.clone();
            Next::new(&route.block.chain).run_for(query, &mut followed).await
        })
    }
}

#[cfg(test)]
mod tests;

//! Helpers of tests of chains and plugins: queries, plugins that answer what a test says, resolvers, ways to run them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Instant;

use futures_util::future::BoxFuture;

use super::{Client, Next, Outcome, Plugin, Query, Reply, Resolve, Transport};
use crate::syntax::{names, record};
use crate::wire::message::{
    Message, MessageEdns, MessageName, MessageQuestion, Record, RecordType, ResponseCode, Size,
};
use crate::wire::{Failure, Name};

/// A query over UDP from 127.0.0.1.
pub(crate) fn query(name: &str, qtype: RecordType) -> Query {
    let mut request = Message::query();
    request.metadata.id = 4711;
    request.metadata.recursion_desired = true;
    request.queries.push(MessageQuestion::query(names::parse(name).unwrap(), qtype));
    let client = Client {
        peer: "127.0.0.1:40212".parse().unwrap(),
        local: "127.0.0.2:53".parse().unwrap(),
        transport: Transport::Udp,
    };
    let query = Query::new(request.into(), client, Instant::now(), Size::tcp(), Arc::new(Nowhere));
    Query { server: "dns://:53".into(), zone: ".".into(), ..query }
}

/// The same with EDNS.
pub(crate) fn query_edns(name: &str, qtype: RecordType, payload: u16, dnssec_ok: bool) -> Query {
    let mut query = query(name, qtype);
    let mut edns = MessageEdns::new();
    edns.set_max_payload(payload).set_dnssec_ok(dnssec_ok);
    query.request.change(|request| request.edns = Some(edns));
    query
}

/// Runs a future that never waits for anything outside.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a plugin waits for something"),
    }
}

/// Runs a chain.
pub(crate) fn run(chain: &[Arc<dyn Plugin>], query: &mut Query) -> Outcome {
    now(Next::new(chain).run(query))
}

/// The message of an outcome that must be a reply.
pub(crate) fn message(outcome: Outcome) -> Message {
    match outcome {
        Outcome::Reply(mut reply) => reply.message().unwrap().clone(),
        other => panic!("no reply but {other:?}"),
    }
}

/// Records as zone-file lines, for comparison.
pub(crate) fn lines(records: &[Record]) -> Vec<String> {
    records.iter().map(record::text).collect()
}

/// A plugin that hands everything on.
pub(crate) struct PassesOn;

impl Plugin for PassesOn {
    fn name(&self) -> &'static str {
        "passes_on"
    }

    fn serve<'a>(&'a self, _: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::Next })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

/// A plugin that answers whatever is asked with the records it has, or with an rcode alone.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) answers: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
    pub(crate) rcode: Option<ResponseCode>,
    /// Over UDP: nothing, and TC.
    pub(crate) only_tcp: bool,
    /// The records of the asked name and type only.
    pub(crate) exact: bool,
    pub(crate) asked: AtomicUsize,
}

impl Answers {
    pub(crate) fn with(lines: &str) -> Self {
        let records = lines.lines().map(|line| record::parse_line(line, None, 3600).unwrap()).collect();
        Self { answers: records, ..Self::default() }
    }

    pub(crate) fn rcode(rcode: ResponseCode) -> Self {
        Self { rcode: Some(rcode), ..Self::default() }
    }
}

impl Plugin for Answers {
    fn name(&self) -> &'static str {
        "answers"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let mut message = query.reply_message();
            message.answers = self.answers.clone();
            if self.only_tcp && query.client.transport == Transport::Udp {
                message.answers.clear();
                message.metadata.truncation = true;
            }
            if self.exact {
                let (name, qtype) = (query.name(), query.qtype());
                message.answers.retain(|record| record.name == name && record.record_type() == qtype);
            }
            message.authorities = self.authority.clone();
            message.additionals = self.additional.clone();
            message.metadata.response_code = self.rcode.unwrap_or(ResponseCode::NoError);
            Outcome::Reply(Reply::from_message("answers", message))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

/// A resolver that finds nothing.
pub(crate) struct Nowhere;

impl Resolve for Nowhere {
    fn lookup<'a>(&'a self, _: &'a Query, _: &'a MessageName, _: RecordType) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::Failed("nowhere", Failure::servfail("nobody is asked in this test")) })
    }
}

/// A resolver that asks a chain.
pub(crate) struct Asks(pub(crate) Vec<Arc<dyn Plugin>>);

impl Resolve for Asks {
    fn lookup<'a>(&'a self, query: &'a Query, name: &'a MessageName, qtype: RecordType) -> BoxFuture<'a, Outcome> {
        Box::pin(async move { Next::new(&self.0).run_for(query, &mut query.follow(name, qtype)).await })
    }
}

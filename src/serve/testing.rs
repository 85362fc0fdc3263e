//! The helpers of tests that serve: queries, a handler without sockets, a cluster-less block, plugins that answer, wait
//! and panic.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::handle::{Arrived, AtOnce, Handler, at_once};
use super::metrics::ShardId;
use super::{Limits, LoadLimits, RouteTable, ServedBlock, Site};
use crate::chain::settings::Tls;
use crate::chain::{Client, Next, Outcome, Plugin, Query, Reply, Transport};
use crate::wire::message::{RData, Record, rdata};
use crate::wire::{Name, Parsed, parse};

pub(crate) const CLIENT: Client = Client {
    peer: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1)), 40_000),
    local: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 53),
    transport: Transport::Udp,
};

/// A query with id 0x1234 and RD.
pub(crate) fn query(name: &str, qtype: u16) -> Vec<u8> {
    let mut octets = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    octets.extend_from_slice(&qtype.to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    octets
}

/// The same with another id.
pub(super) fn query_with_id(id: u16, name: &str) -> Vec<u8> {
    let mut octets = query(name, 1);
    octets[..2].copy_from_slice(&id.to_be_bytes());
    octets
}

/// The same with an OPT record.
pub(crate) fn with_opt(mut octets: Vec<u8>, payload: u16) -> Vec<u8> {
    octets[11] = 1;
    octets.extend_from_slice(&[0, 0, 41]);
    octets.extend_from_slice(&payload.to_be_bytes());
    octets.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
    octets
}

/// Answers with as many addresses as the first label says (`n3`), waits before (`wait`, `wait3`), holds its thread up
/// (`slow`), fails, drops or panics.
pub(super) struct Fake {
    /// The gate that queries wait at whose first label begins with `wait`.
    pub(super) gate: Arc<Semaphore>,
}

impl Plugin for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let asked = query.request.message().queries.first().map(|asked| asked.name.clone()).unwrap();
            let first =
                asked.iter().next().map(|label| String::from_utf8_lossy(label).into_owned()).unwrap_or_default();
            let count = match first.as_str() {
                "panic" => panic!("a test wants it"),
                "drop" => return Outcome::Drop,
                "next" => return Outcome::Next,
                "slow" => {
                    std::thread::sleep(2 * super::udp::BUSY);
                    1
                }
                "again" => return query.resolver.lookup(query, &asked, crate::wire::message::RecordType::A).await,
                other => {
                    let waits = other.strip_prefix("wait");
                    if waits.is_some() {
                        self.gate.acquire().await.unwrap().forget();
                    }
                    waits.or_else(|| other.strip_prefix('n')).and_then(|count| count.parse().ok()).unwrap_or(1)
                }
            };
            let mut message = query.reply_message();
            message.metadata.recursion_available = true;
            for last in 0..count {
                let address = Ipv4Addr::from(0x0a00_0000 + last);
                message.add_answer(Record::from_rdata(asked.clone(), 5, RData::A(rdata::A(address))));
            }
            Outcome::Reply(Reply::from_message("fake", message))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

/// A route table whose zone `test` is answered by [`Fake`], and the gate of its waiting queries.
pub(super) fn table() -> (RouteTable, Arc<Semaphore>) {
    table_with("dns://:53", |_| {})
}

/// The same at a server of its own name, with a block that a test changes.
pub(super) fn table_with(server: &str, change: impl FnOnce(&mut ServedBlock)) -> (RouteTable, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let fake: Arc<dyn Plugin> = Arc::new(Fake { gate: gate.clone() });
    let zones = vec!["test".parse().unwrap()];
    let mut block = ServedBlock { zones, chain: Arc::new([fake]), ..ServedBlock::default() };
    change(&mut block);
    (RouteTable::new(server, vec![block]), gate)
}

/// An address that is served by the [`table`] of tests, and the gate of its waiting queries.
pub(super) fn site(address: &str, limits: &Limits, tls: Option<Tls>) -> (Site, Arc<Semaphore>) {
    let (table, gate) = table();
    (Site { address: address.parse().unwrap(), table, limits: *limits, tls }, gate)
}

/// A handler that a test asks directly, without sockets.
pub(crate) struct Direct(Arc<Handler>);

impl Direct {
    /// Answers from a route table.
    pub(crate) fn new(table: RouteTable) -> Self {
        Self(Arc::new(Handler::new(table, LoadLimits { max_in_flight: 4, ..LoadLimits::default() })))
    }

    /// The answer, however long it takes.
    pub(crate) async fn answer(&self, octets: &[u8], client: Client) -> Option<Vec<u8>> {
        self.0.clone().answer(octets, client).await.map(|answer| answer.octets)
    }

    /// The answer that the first block gives without its chain, if it does, and the plugin that wrote it.
    pub(crate) fn at_once(
        &self,
        octets: &[u8],
        client: Client,
        received: Instant,
        seed: u64,
    ) -> Option<(Vec<u8>, &'static str)> {
        let table = self.0.table();
        let Parsed::Query(question) = parse(octets) else { panic!("a query of a test is well-formed") };
        let arrived = Arrived { octets, client, received, shard: ShardId::SHARED, seed, pressure: None };
        let mut buffer = [0; 4096];
        match at_once(table.route(0).unwrap(), &question, &arrived, &mut buffer) {
            AtOnce::Done(len, _, plugin) => Some((buffer[..len].to_vec(), plugin)),
            AtOnce::Larger | AtOnce::Chain => None,
        }
    }
}

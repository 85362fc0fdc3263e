//! One directive at work in a server block, and the chain of them that a query runs through.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::future::BoxFuture;

use super::query::{Client, Metadata, Query};
use super::reply::Outcome;
use super::trace::{TraceEnd, TraceStep};
use crate::wire::message::{DNSClass, MessageName, Record, Size};
use crate::wire::{Failure, Name, Question};
use crate::zone::{TtlBounds, View};

/// One directive at work in one server block.
pub trait Plugin: Send + Sync {
    /// The directive's name.
    fn name(&self) -> &'static str;

    /// Looks at a query: answers it, hands it on, or drops it.
    /// A plugin that changes the reply of those behind it calls `next.run(query)` and changes what comes back.
    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome>;

    /// The reason why a cluster name must come through this plugin; `None` when the zone may answer without it.
    fn needs_message(&self, cluster_zones: &[Name]) -> Option<String>;

    /// The cluster's names, of the plugin that answers from them.
    fn view(&self) -> Option<Arc<View>> {
        None
    }

    /// Gives its cached answers without the chain; `None` for plugins that cache nothing. `behind` are the plugins behind
    /// it, `shuffled` says that some plugin before it puts addresses in a random order.
    fn fast_path(&self, server: &Arc<str>, behind: &[Arc<dyn Plugin>], shuffled: bool) -> Option<Box<dyn FastPath>> {
        let _ = (server, behind, shuffled);
        None
    }

    /// The bounds that it puts on TTLs of the cluster's records that pass through it.
    fn ttl_bounds(&self) -> Option<TtlBounds> {
        None
    }

    /// The way in which a remembered answer passes that comes from behind it.
    fn passing(&self) -> Passing {
        Passing::NeedsMessage
    }

    /// Says what it knows of a query, for `log`, `template`, `rewrite` and `view`. Asked only where `metadata` is loaded.
    fn metadata(&self, query: &Query, into: &mut Metadata) {
        let _ = (query, into);
    }

    /// The zones in which it answers from the cluster's records.
    fn cluster_zones(&self) -> &[Name] {
        &[]
    }

    /// Whether it answers from the cluster's records: whatever it says, and whatever is made of that, is in no cache.
    fn is_of_cluster(&self) -> bool {
        !self.cluster_zones().is_empty()
    }

    /// Whether it makes another class of this one: then a query of this class is for those behind it.
    fn takes_class(&self, class: DNSClass) -> bool {
        let _ = class;
        false
    }

    /// All records of a zone that it holds, for `transfer`: the SOA first and not again at the end. They are made one
    /// by one, as the client takes them.
    fn transfer(&self, zone: &MessageName) -> Option<Box<dyn Iterator<Item = Record> + Send>> {
        let _ = zone;
        None
    }

    /// The search path of the client for `autopath`, when the plugin knows the client.
    fn search_path(&self, query: &Query) -> Option<Vec<MessageName>> {
        let _ = query;
        None
    }
}

/// The way in which a plugin lets a remembered answer pass that comes from behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// It may look at the query or the answer: the chain must run.
    NeedsMessage,
    /// It leaves it as it is.
    Unchanged,
    /// It puts addresses in a random order.
    Shuffled,
}

/// Gives cached answers of one server block without running its chain.
pub trait FastPath: Send + Sync {
    /// Writes the cached answer to a question into the buffer, or as much of it as the client can take, and returns its
    /// length. `None` when there is none, when it takes more than writing it, or when the client can take more than the
    /// buffer holds: then the chain sees to it.
    fn answer(&self, asking: &FastPathQuestion<'_>, buffer: &mut [u8]) -> Option<usize>;
}

/// A question, and all that decides how its answer looks.
#[derive(Clone, Copy, Debug)]
pub struct FastPathQuestion<'q> {
    /// The question.
    pub question: &'q Question<'q>,
    /// The client that asks.
    pub client: &'q Client,
    /// The time of its arrival.
    pub received: Instant,
    /// The size that the answer may have.
    pub size: Size,
    /// The seed of random orders.
    pub seed: u64,
}

/// The plugins behind the present one.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    plugins: &'a [Arc<dyn Plugin>],
    behind: &'static str,
}

impl<'a> Next<'a> {
    /// The whole chain of a server block.
    pub fn new(plugins: &'a [Arc<dyn Plugin>]) -> Self {
        Self { plugins, behind: "" }
    }

    /// Runs the rest of the chain.
    ///
    /// [`Outcome::Next`] comes back only from a chain without any plugin. Where the last plugin hands a query on,
    /// the operator is told that nobody is left to answer, and the client gets SERVFAIL.
    pub fn run(self, query: &'a mut Query) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let (mut plugins, mut behind) = (self.plugins, self.behind);
            while let Some((first, rest)) = plugins.split_first() {
                behind = first.name();
                let noted = query.trace.clone().map(|trace| (trace.begin(step(behind, query)), trace));
                let outcome = first.serve(&mut *query, Next { plugins: rest, behind }).await;
                if let Some((at, trace)) = noted {
                    trace.end(at, end(query, &outcome));
                }
                match outcome {
                    Outcome::Next => {
                        query.note_passed(first.cluster_zones());
                        plugins = rest;
                    }
                    done => return note_cluster(first.is_of_cluster(), query, done),
                }
            }
            match behind {
                "" => Outcome::Next,
                last => Outcome::Failed(last, Failure::servfail(format!("plugin/{last}: no next plugin found"))),
            }
        })
    }

    /// Runs the chain for a query that another one led to: whether that met the cluster's records counts for both.
    pub async fn run_for(self, asking: &Query, asked: &'a mut Query) -> Outcome {
        let outcome = self.run(&mut *asked).await;
        let of_cluster = matches!(&outcome, Outcome::Reply(reply) if reply.of_cluster);
        let (met, passed) = asked.take_marks();
        asking.add_marks((of_cluster || met, passed));
        outcome
    }

    /// The plugins themselves, for those that ask their neighbours.
    pub(crate) fn plugins(&self) -> &'a [Arc<dyn Plugin>] {
        self.plugins
    }
}

/// The beginning of a query at a plugin, for its notes.
fn step(plugin: &'static str, query: &Query) -> TraceStep {
    TraceStep { plugin, depth: query.depth, name: query.qname().to_string(), rtype: query.qtype(), end: None }
}

/// Its end.
fn end(query: &Query, outcome: &Outcome) -> TraceEnd {
    match outcome {
        Outcome::Next => TraceEnd::Passed,
        Outcome::Drop => TraceEnd::Dropped,
        Outcome::Reply(reply) => {
            let upstream = query.metadata.get("forward/upstream").cloned();
            TraceEnd::Answered { by: reply.plugin, rcode: reply.rcode(), upstream }
        }
        Outcome::Failed(by, failure) => TraceEnd::Failed { by, rcode: failure.rcode, message: failure.message.clone() },
    }
}

/// Says of an outcome whether records of the cluster are in it, or their absence: its plugin has them, or a look-up that it
/// made led there, though it may have gone on elsewhere from there.
fn note_cluster(of_cluster: bool, query: &Query, mut outcome: Outcome) -> Outcome {
    match &mut outcome {
        Outcome::Reply(reply) => {
            reply.of_cluster |= of_cluster || query.is_of_cluster();
            query.of_cluster.fetch_or(reply.of_cluster, Ordering::Relaxed);
        }
        Outcome::Failed(..) => {
            query.of_cluster.fetch_or(of_cluster, Ordering::Relaxed);
        }
        Outcome::Next | Outcome::Drop => {}
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answers, PassesOn, query, run};
    use super::*;
    use crate::wire::Rcode;
    use crate::wire::message::RecordType;

    #[test]
    fn a_query_passes_those_that_hand_it_on() {
        let chain: Vec<Arc<dyn Plugin>> =
            vec![Arc::new(PassesOn), Arc::new(Answers::with("a.example. 5 IN A 192.0.2.1"))];
        let Outcome::Reply(mut reply) = run(&chain, &mut query("a.example.", RecordType::A)) else {
            panic!("no reply")
        };
        assert_eq!(reply.message().unwrap().answers.len(), 1);
    }

    #[test]
    fn a_chain_that_nobody_answers_fails_at_its_last_plugin() {
        let chain: Vec<Arc<dyn Plugin>> = vec![Arc::new(PassesOn)];
        let Outcome::Failed("passes_on", failure) = run(&chain, &mut query("a.example.", RecordType::A)) else {
            panic!("not failed")
        };
        assert_eq!(failure.message, "plugin/passes_on: no next plugin found");
        assert_eq!(failure.rcode, Rcode::SERVFAIL);
        assert!(matches!(run(&[], &mut query("a.example.", RecordType::A)), Outcome::Next));
    }
}

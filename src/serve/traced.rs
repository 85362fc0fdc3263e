//! A question that is asked to learn its way: through the whole chain of its block, with notes. Not counted in metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handle::Resolver;
use super::routes::RouteTable;
use crate::chain::{Client, Next, Outcome, Query, Request, Trace, TraceStep};
use crate::wire::message::Size;
use crate::wire::{Class, Failure, Question};
use crate::zone::Swap;

/// Asks questions of one route table.
#[derive(Debug)]
pub struct Tracer(Arc<Resolver>);

/// A question's way.
#[derive(Debug)]
pub struct Traced {
    /// The zone of the server block that it was for; `None` when no block was.
    pub zone: Option<String>,
    /// The plugins of that block, in order.
    pub plugins: Vec<&'static str>,
    /// The plugins on the way.
    pub steps: Vec<TraceStep>,
    /// The outcome; `None` when it took too long.
    pub outcome: Option<Outcome>,
}

impl Tracer {
    /// Asks this table.
    pub fn new(table: RouteTable) -> Self {
        Self(Arc::new(Resolver { table: Swap::new(table) }))
    }

    /// Asks one question of the block that it is for, and waits for the answer for so long.
    pub async fn trace(&self, question: &Question<'_>, client: Client, patience: Duration) -> Traced {
        let table = self.0.table.load().clone();
        let found = table.find(question, &client).and_then(|index| table.route(index));
        let refused = |zone, plugins| Traced { zone, plugins, steps: Vec::new(), outcome: None };
        let Some(route) = found else { return refused(None, Vec::new()) };
        let zone = Some(route.label.to_string());
        let plugins: Vec<&'static str> = route.block.chain.iter().map(|plugin| plugin.name()).collect();
        if question.qclass != Class::IN {
            return refused(zone, plugins);
        }
        let trace = Arc::new(Trace::default());
        let request = Request::received(question);
        let query = Query::new(request, client, Instant::now(), Size::tcp(), self.0.clone());
        let (server, label, trace_of) = (table.server.clone(), route.label.clone(), Some(trace.clone()));
        let mut query = Query { server, zone: label, trace: trace_of, ..query };
        let running = Next::new(&route.block.chain).run(&mut query);
        let outcome = tokio::time::timeout(patience, running).await.ok().map(|outcome| match outcome {
            // A zone without a plugin that answers.
            Outcome::Next => Outcome::Failed("", Failure::servfail("no plugin of the block answers")),
            done => done,
        });
        Traced { zone, plugins, steps: trace.steps(), outcome }
    }
}

//! The way of a query through its plugins, noted for people who ask why it is answered as it is. No other query has one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::wire::Rcode;
use crate::wire::message::RecordType;

/// The steps of a query, and of those that it leads to, in the order in which they began.
#[derive(Debug, Default)]
pub struct Trace(Mutex<Vec<TraceStep>>);

/// One plugin on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStep {
    /// The plugin.
    pub plugin: &'static str,
    /// The number of look-ups that led to the query which it saw.
    pub depth: u8,
    /// The name that it was asked for, with a final dot.
    pub name: String,
    /// The type that it was asked for.
    pub rtype: RecordType,
    /// The end; `None` while it is not there.
    pub end: Option<TraceEnd>,
}

/// The end of a query at one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceEnd {
    /// It was handed on.
    Passed,
    /// An answer came back, written by this plugin or by one behind it.
    Answered {
        /// The plugin that wrote it; empty when the server did.
        by: &'static str,
        /// Its response code.
        rcode: Rcode,
        /// The upstream that gave it, where `forward` asked one.
        upstream: Option<String>,
    },
    /// The client gets nothing.
    Dropped,
    /// It could not be answered.
    Failed {
        /// The plugin that failed.
        by: &'static str,
        /// The response code that the client gets.
        rcode: Rcode,
        /// The reason.
        message: String,
    },
}

impl Trace {
    /// Notes that a plugin begins; its place is for [`end`](Self::end).
    pub(super) fn begin(&self, step: TraceStep) -> usize {
        let mut steps = self.lock();
        steps.push(step);
        steps.len() - 1
    }

    /// Notes what came of it.
    pub(super) fn end(&self, at: usize, end: TraceEnd) {
        if let Some(step) = self.lock().get_mut(at) {
            step.end = Some(end);
        }
    }

    /// The steps so far.
    pub fn steps(&self) -> Vec<TraceStep> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TraceStep>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::plugin::Plugin;
    use super::super::testing::{Answers, PassesOn, query, run};
    use super::*;

    #[test]
    fn each_plugin_on_the_way_is_noted_with_its_end() {
        let chain: Vec<Arc<dyn Plugin>> =
            vec![Arc::new(PassesOn), Arc::new(Answers::with("a.example. 5 IN A 192.0.2.1"))];
        let trace = Arc::new(Trace::default());
        let mut traced = query("a.example.", RecordType::A);
        traced.trace = Some(trace.clone());
        run(&chain, &mut traced);
        let steps = trace.steps();
        assert_eq!(steps.iter().map(|step| &*step.name).collect::<Vec<_>>(), ["a.example."; 2]);
        assert_eq!(steps[0].end, Some(TraceEnd::Passed));
        let Some(TraceEnd::Answered { rcode, .. }) = &steps[1].end else { panic!("{steps:?}") };
        assert_eq!(*rcode, Rcode::NOERROR);
        let followed = traced.follow(&traced.name(), RecordType::AAAA);
        assert!(followed.trace.is_some(), "a query that another leads to is part of its way");
    }

    #[test]
    fn a_failure_is_noted_with_its_reason() {
        let chain: Vec<Arc<dyn Plugin>> = vec![Arc::new(PassesOn)];
        let trace = Arc::new(Trace::default());
        let mut traced = query("a.example.", RecordType::A);
        traced.trace = Some(trace.clone());
        run(&chain, &mut traced);
        assert_eq!(trace.steps().len(), 1, "the chain's own failure is no step of a plugin");
    }
}

//! How many connections are open, and which of them has been idle longest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::metrics;

/// The open connections of one server.
#[derive(Debug)]
pub(super) struct Connections {
    open: Mutex<Open>,
    limit: usize,
    started: Instant,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, Arc<State>>,
    next: u64,
}

#[derive(Debug)]
struct State {
    /// Milliseconds since the start when it became idle; [`BUSY`] while it is not.
    idle_since: AtomicU64,
    close: Notify,
}

const BUSY: u64 = u64::MAX;

impl Connections {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), limit: limit.max(1), started: Instant::now() })
    }

    /// Takes a place for a connection. At the limit the one that has been idle longest is closed for it; when none is
    /// idle, there is no place.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Guard> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.connections.len() >= self.limit {
            metrics::CONNECTIONS_SHED.inc();
            let oldest = open
                .connections
                .iter()
                .map(|(&id, state)| (state.idle_since.load(Ordering::Relaxed), id))
                .filter(|&(since, _)| since != BUSY)
                .min()?;
            if let Some(state) = open.connections.remove(&oldest.1) {
                state.close.notify_one();
            }
        }
        let id = open.next;
        open.next += 1;
        let state = Arc::new(State { idle_since: AtomicU64::new(self.now()), close: Notify::new() });
        open.connections.insert(id, state.clone());
        metrics::CONNECTIONS.inc();
        Some(Guard { connections: self.clone(), id, state })
    }

    /// Whether more than half of the places are taken.
    pub(super) fn is_crowded(&self) -> bool {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).connections.len() * 2 > self.limit
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(BUSY - 1)
    }
}

/// The place of one connection, given back when dropped.
#[derive(Debug)]
pub(super) struct Guard {
    connections: Arc<Connections>,
    id: u64,
    state: Arc<State>,
}

impl Guard {
    /// Says whether the connection is idle from now on.
    pub(super) fn note(&self, idle: bool) {
        let now = if idle { self.connections.now() } else { BUSY };
        self.state.idle_since.store(now, Ordering::Relaxed);
    }

    /// Waits until the place is needed for another.
    pub(super) async fn closed(&self) {
        self.state.close.notified().await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        metrics::CONNECTIONS.dec();
        self.connections.open.lock().unwrap_or_else(PoisonError::into_inner).connections.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn at_the_limit_the_connection_that_has_been_idle_longest_is_closed() {
        let connections = Connections::new(2);
        let (first, second) = (connections.admit().unwrap(), connections.admit().unwrap());
        first.note(false);
        let third = connections.admit().unwrap();
        assert!(second.closed().now_or_never().is_some());
        assert!(first.closed().now_or_never().is_none());
        third.note(false);
        assert!(connections.admit().is_none(), "both are busy");
        drop(first);
        assert!(connections.admit().is_some());
    }
}

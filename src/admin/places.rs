//! The places of an address: as many connections as may be open, and which of them gives way to the next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The open connections of one address, by their last complete request, or their beginning when there was none.
#[derive(Debug)]
pub(super) struct ConnectionPlaces {
    limit: usize,
    open: Mutex<OpenPlaces>,
}

#[derive(Debug, Default)]
struct OpenPlaces {
    /// The lower the rank, the longer ago.
    ranks: BTreeMap<u64, Arc<Notify>>,
    next: u64,
}

impl OpenPlaces {
    fn put(&mut self, close: Arc<Notify>) -> u64 {
        let rank = self.next;
        self.next += 1;
        self.ranks.insert(rank, close);
        rank
    }
}

impl ConnectionPlaces {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), open: Mutex::default() })
    }

    /// Takes a place. When all are taken, the connection that has been longest without a complete request loses its own:
    /// silent ones cannot keep out the probe that comes after them.
    pub(super) fn take(self: &Arc<Self>) -> ConnectionPlace {
        let close = Arc::new(Notify::new());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while open.ranks.len() >= self.limit {
            let Some((_, oldest)) = open.ranks.pop_first() else { break };
            oldest.notify_one();
        }
        let rank = Mutex::new(open.put(close.clone()));
        drop(open);
        ConnectionPlace { places: self.clone(), rank, close }
    }
}

/// The place of one connection, given back when dropped.
#[derive(Debug)]
pub(super) struct ConnectionPlace {
    places: Arc<ConnectionPlaces>,
    rank: Mutex<u64>,
    close: Arc<Notify>,
}

impl ConnectionPlace {
    /// Says that a request is complete.
    pub(super) fn renew(&self) {
        let mut rank = self.rank.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = self.places.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Not there any more: it has just given way.
        if let Some(close) = open.ranks.remove(&rank) {
            *rank = open.put(close);
        }
    }

    /// Waits until another connection needs the place.
    pub(super) async fn lost(&self) {
        self.close.notified().await;
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let rank = *self.rank.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.places.open.lock().unwrap_or_else(PoisonError::into_inner).ranks.remove(&rank);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_connection_longest_without_a_request_gives_way() {
        let places = ConnectionPlaces::new(2);
        let (first, second) = (places.take(), places.take());
        first.renew();
        let third = places.take();
        assert!(second.lost().now_or_never().is_some() && first.lost().now_or_never().is_none());
        // It gives way once, whatever it says and when it ends.
        second.renew();
        drop(second);
        drop(third);
        let _third = places.take();
        assert!(first.lost().now_or_never().is_none());
        let _fourth = places.take();
        assert!(first.lost().now_or_never().is_some());
    }
}

//! Answers of one connection that wait to be sent: side by side, and yet not more octets than over TCP.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::chain::Client;
use crate::serve::Handler;
use crate::serve::connections::{Guard, KeptAnswer};
use crate::serve::handle::ChainAnswer;

/// Two of the longest answers.
const OCTETS: usize = 128 * 1024;

/// Room for the answers of one connection.
#[derive(Clone, Debug)]
pub(super) struct ConnectionRoom {
    room: Arc<Semaphore>,
    /// The connection, whose answers take of the room for all connections as well.
    guard: Arc<Guard>,
}

/// The room of one answer, given back when dropped.
pub(super) struct AnswerRoom<'h>(
    #[expect(dead_code, reason = "held")] SemaphorePermit<'h>,
    #[expect(dead_code, reason = "held")] KeptAnswer,
);

impl ConnectionRoom {
    pub(super) fn new(guard: &Arc<Guard>) -> Self {
        Self { room: Arc::new(Semaphore::new(OCTETS)), guard: guard.clone() }
    }

    /// Answers a query. The answer is kept as long as what comes with it, which is to be dropped when all is sent.
    ///
    /// Where others of the connection fill the room, the answer is forgotten, and made anew once there is some: a client
    /// that asks much and reads nothing costs work, but no memory. `None` means that there is no answer, or no room in time.
    pub(super) async fn answer(
        &self,
        handler: &Arc<Handler>,
        octets: &[u8],
        client: Client,
        patience: Duration,
    ) -> Option<(ChainAnswer, AnswerRoom<'_>)> {
        let answer = handler.clone().answer(octets, client).await?;
        let len = u32::try_from(answer.octets.len()).ok()?;
        if let Ok(room) = self.room.try_acquire_many(len) {
            return Some((answer, AnswerRoom(room, self.guard.keep(len as usize)?)));
        }
        drop(answer);
        let room = timeout(patience, self.room.acquire_many(len)).await.ok()?.ok()?;
        let kept = self.guard.keep(len as usize)?;
        Some((handler.clone().answer(octets, client).await?, AnswerRoom(room, kept)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::serve::LoadLimits;
    use crate::serve::testing::{CLIENT, query, table};

    #[tokio::test]
    async fn an_answer_waits_for_those_before_it() {
        let handler = Arc::new(Handler::new(table().0, LoadLimits { max_in_flight: 10, ..LoadLimits::default() }));
        let client = Client { transport: crate::chain::Transport::Tcp, ..CLIENT };
        let connections = crate::serve::connections::ConnectionTable::new(1, 1 << 20);
        let held = ConnectionRoom::new(&Arc::new(connections.admit(client.peer.ip()).unwrap()));
        let (long, patience) = (query("n3000.test", 1), Duration::from_millis(50));
        let first = held.answer(&handler, &long, client, patience).await.unwrap();
        let _second = held.answer(&handler, &long, client, patience).await.unwrap();
        assert!(held.answer(&handler, &long, client, patience).await.is_none(), "no room in time");
        assert!(held.answer(&handler, &query("a.test", 1), client, patience).await.is_some(), "a short one fits");
        let patience = Duration::from_secs(10);
        let mut third = Box::pin(held.answer(&handler, &long, client, patience));
        assert!(third.as_mut().now_or_never().is_none());
        let len = first.0.octets.len();
        drop(first);
        assert_eq!(third.await.unwrap().0.octets.len(), len);
    }
}

//! UDP: a thread with a socket of its own, answering in batches.
//!
//! A datagram that finds the thread idle is answered at once. Under load the thread gathers: after a batch of some datagrams
//! it pauses for a moment, so that the next batch is larger, and neither side is woken for every few of them.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::Handler;
use super::handle::{Answer, Arrived, Pending, Step};
use super::metrics::{self, ShardId};
use super::mmsg::{self, BATCH, Batch, Envelope};
use super::plan::Plan;
use crate::plugins::chain::{Client, Transport};
use crate::wire::{MOST_UDP, Random};

/// From this many datagrams on, a batch is a sign of load: a client's A and AAAA come as two.
const LOAD: usize = 8;

/// How long a thread gathers under load; the system's timers add about 50 µs. A third of what an answer costs is waking
/// threads: with eight busy clients on two cores, the pause made 2.8 µs of 4.4 for each query, and 220 thousand queries per
/// second of 189, as the clients are woken less often too. At 3,000 queries per second the 99th percentile stays.
const GATHER: Duration = Duration::from_micros(200);

/// How long a thread waits for a datagram before it looks whether it should stop.
const WAIT: Duration = Duration::from_millis(100);

/// Starts the data thread of a socket.
pub(super) fn start(
    index: usize,
    socket: UdpSocket,
    handler: Arc<Handler>,
    stopped: watch::Receiver<bool>,
    runtime: Handle,
) -> io::Result<JoinHandle<()>> {
    let local = socket.local_addr()?;
    if local.ip().is_unspecified() {
        mmsg::ask_for_local_address(&socket, local.is_ipv6())?;
    }
    socket.set_read_timeout(Some(WAIT))?;
    let thread = Thread {
        socket: Arc::new(socket),
        local,
        handler,
        shard: ShardId::take(),
        random: Random::new(rand::random()),
        runtime,
        large: Vec::new(),
    };
    std::thread::Builder::new().name(format!("udp-{index}")).spawn(move || thread.run(&stopped))
}

struct Thread {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    handler: Arc<Handler>,
    shard: ShardId,
    random: Random,
    runtime: Handle,
    /// For the rare answer that is longer than the place in a batch; empty until there is one.
    large: Vec<u8>,
}

impl Thread {
    fn run(mut self, stopped: &watch::Receiver<bool>) {
        // Plugins that start to wait on this thread register with the runtime's timers and sockets.
        let runtime = self.runtime.clone();
        let _entered = runtime.enter();
        let mut batch = Batch::new(&self.socket);
        loop {
            let stopping = *stopped.borrow();
            match batch.receive(&self.socket, !stopping) {
                Ok(count) => {
                    self.answer(&mut batch);
                    if (LOAD..BATCH).contains(&count) && !stopping {
                        std::thread::sleep(GATHER);
                    }
                }
                Err(error) => match error.kind() {
                    // Read empty: whatever came before the order to stop is answered.
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if stopping => return,
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                    // An answer that a client refused (ICMP) or a lack of memory: neither is a reason to stop.
                    _ => std::thread::sleep(Duration::from_millis(1)),
                },
            }
        }
    }

    /// Answers a batch: one plan and two readings of the clock for all of it.
    fn answer(&mut self, batch: &mut Batch) {
        let received = Instant::now();
        let plan = self.handler.plan();
        let mut measured = [None; BATCH];
        let mut large = std::mem::take(&mut self.large);
        for (slot, measured) in batch.slots().iter_mut().zip(&mut measured) {
            let Some(envelope) = slot.envelope() else { continue };
            let local = envelope.local().map_or(self.local, |address| SocketAddr::new(address, self.local.port()));
            let client = Client { peer: envelope.peer(), local, transport: Transport::Udp };
            let seed = self.random.draw();
            let (octets, buffer) = slot.parts();
            let arrived = Arrived { octets, client, received, shard: &self.shard, seed };
            match self.handler.begin(&plan, &arrived, buffer) {
                Step::Silence => {}
                Step::Answer { len, route } => {
                    slot.answer(len);
                    *measured = route;
                }
                Step::Larger => {
                    large.resize(MOST_UDP.into(), 0);
                    match self.handler.begin(&plan, &arrived, &mut large) {
                        Step::Answer { len, route } => {
                            *measured = route;
                            if mmsg::send_one(&self.socket, large.get(..len).unwrap_or_default(), &envelope).is_err() {
                                metrics::SEND_FAILED.inc();
                            }
                        }
                        Step::Later(pending) => self.wait_for(pending, envelope),
                        Step::Silence | Step::Larger => {}
                    }
                }
                Step::Later(pending) => self.wait_for(pending, envelope),
            }
        }
        self.large = large;
        let failed = batch.send(&self.socket);
        if failed > 0 {
            metrics::SEND_FAILED.inc_by(failed as u64);
        }
        self.measure(&plan, measured.iter().flatten(), received.elapsed());
    }

    fn measure<'r>(&self, plan: &Plan, routes: impl Iterator<Item = &'r usize>, duration: Duration) {
        for route in routes {
            if let Some(group) = plan.route(*route).and_then(|route| route.group.as_ref()) {
                group.took(&self.shard, duration);
            }
        }
    }

    /// Lets the runtime finish a query that waits for something, when there is room for one more.
    fn wait_for(&self, pending: Pending, envelope: Envelope) {
        let Some(place) = self.handler.admit() else { return };
        let socket = self.socket.clone();
        self.runtime.spawn(async move {
            let Some(Answer { octets, .. }) = pending.await else { return };
            let mut sent = mmsg::send_one(&socket, &octets, &envelope);
            if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                tokio::time::sleep(Duration::from_millis(1)).await;
                sent = mmsg::send_one(&socket, &octets, &envelope);
            }
            if sent.is_err() {
                metrics::SEND_FAILED.inc();
            }
            drop(place);
        });
    }
}

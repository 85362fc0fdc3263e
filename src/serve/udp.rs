//! UDP: a thread with a socket of its own, answering in batches.
//!
//! A datagram that finds the thread idle is answered at once. Under load the thread gathers: after a batch of some datagrams
//! it pauses for a moment, so that the next batch is larger, and neither side is woken for every few of them.
//!
//! A thread that nobody asks sleeps until a datagram comes or its socket is taken out of use. What it took under load,
//! larger buffers and perhaps itself ([`udp_threads`](super::udp_threads)), is given back after a spell with little to do; only until
//! then does it wake by itself.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::Handler;
use super::datagrams::{self, BATCH, Batch, DatagramEnds};
use super::handle::{Arrived, Begun, ChainAnswer, PendingAnswer};
use super::metrics::{self, ShardId};
use super::pressure::Pressure;
use super::rate::RateTable;
use super::routes::RouteTable;
use super::sockets;
use crate::chain::{Client, Transport};
use crate::tasks;
use crate::wire::{MOST_UDP, Random};

/// A batch that takes longer makes those behind it wait: about what 64 answers from the zone take.
pub(super) const BUSY: Duration = Duration::from_micros(300);

/// The time that a thread looks back at before it gives buffers back, or ends; so long no other of its port may have
/// come or gone.
pub(super) const SPELL: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(10) };

/// The number of datagrams from which on a batch is a sign of load: a client's A and AAAA come as two.
const LOAD: usize = 8;

/// The pause in which a thread gathers under load; the system's timers add about 50 µs. A third of an answer's cost is
/// waking threads: with eight busy clients on two cores, the pause made 2.8 µs of 4.4 for each query, and 220 thousand
/// queries per second of 189, as the clients are woken less often too. At 3,000 queries per second the 99th percentile stays.
const GATHER: Duration = Duration::from_micros(200);

/// The time within which datagrams arrive that were on their way when a socket was taken out of use.
const LATE: Duration = Duration::from_millis(2);

/// The threads of the same port, as one of them knows them.
pub(super) trait Others: fmt::Debug + Send + Sync {
    /// The number of sockets of an address that are in use.
    fn count(&self, address: SocketAddr) -> usize;

    /// Starts one more thread for an address, unless there are as many as may be. It shares the load from the next datagram
    /// on.
    fn grow(self: Arc<Self>, address: SocketAddr);

    /// Lets a thread go that has little to do, if the others are enough.
    fn release(&self, is_it: &dyn Fn(&DataThread) -> bool) -> Staffing;
}

/// The order to a thread that has little to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Staffing {
    /// The end, once its socket, now out of use, is read empty.
    Leave,
    /// The end at another time: there are more threads than need be, but one came or went a moment ago.
    Later,
    /// No change: it is needed.
    Stay,
}

/// A data thread and its socket; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct DataThread {
    address: SocketAddr,
    /// Gone when the thread has ended and its answers have left.
    socket: Weak<UdpSocket>,
    leaving: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DataThread {
    /// Starts the data thread of a socket.
    pub(super) fn start(
        index: usize,
        socket: UdpSocket,
        handler: Arc<Handler>,
        runtime: Handle,
        others: Weak<impl Others + 'static>,
    ) -> io::Result<Self> {
        let address = socket.local_addr()?;
        if address.ip().is_unspecified() {
            datagrams::ask_for_local_address(&socket, address.is_ipv6())?;
        }
        datagrams::wake_after(&socket, None)?;
        let socket = Arc::new(socket);
        let leaving = Arc::<AtomicBool>::default();
        let mut thread = Thread {
            socket: socket.clone(),
            local: address,
            rates: handler.rates(),
            pressure: RefCell::new(Pressure::new()),
            handler,
            shard: ShardId::take(),
            random: Random::new(rand::random()),
            runtime,
            large: Vec::new(),
            leaving: leaving.clone(),
            others,
            since: Instant::now(),
            busy: Duration::ZERO,
            wishes: 0,
            wakes: false,
        };
        let thread = std::thread::Builder::new()
            .name(format!("udp-{index}"))
            .spawn(move || while tasks::caught_here("udp", || thread.run()).is_none() {})?;
        Ok(Self { address, socket: Arc::downgrade(&socket), leaving, thread: Some(thread) })
    }

    /// The address in use.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the socket takes datagrams.
    pub(super) fn is_in_use(&self) -> bool {
        !self.leaving.load(Ordering::Acquire)
    }

    /// Whether nothing of it is left.
    pub(super) fn is_over(&self) -> bool {
        self.socket.strong_count() == 0
    }

    /// The socket, while it is there.
    pub(super) fn socket(&self) -> Option<Arc<UdpSocket>> {
        self.socket.upgrade()
    }

    /// Lets others of our own be bound beside the socket, or nobody.
    pub(super) fn share(&self, shared: bool) {
        if let Some(socket) = self.socket.upgrade() {
            sockets::share(&socket, shared);
        }
    }

    /// Takes the socket out of use. The thread answers what has arrived, and ends.
    pub(super) fn leave(&self) {
        if !self.leaving.swap(true, Ordering::AcqRel)
            && let Some(socket) = self.socket.upgrade()
        {
            sockets::leave(&socket);
        }
    }

    /// Waits for the end of the thread.
    pub(super) fn join(mut self) {
        self.leave();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for DataThread {
    fn drop(&mut self) {
        self.leave();
    }
}

struct Thread {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    handler: Arc<Handler>,
    /// The answers of late, where their rate is limited.
    rates: Option<RateTable>,
    pressure: RefCell<Pressure>,
    shard: ShardId,
    random: Random,
    runtime: Handle,
    /// The buffer of a rare answer that is longer than the place in a batch; empty until there is one.
    large: Vec<u8>,
    leaving: Arc<AtomicBool>,
    others: Weak<dyn Others>,
    /// The time when the present spell began, and how long batches were answered in it.
    since: Instant,
    busy: Duration,
    /// Batches of the spell after which another thread would have been welcome.
    wishes: u32,
    /// True when the thread wakes by itself, as there is something to give back.
    wakes: bool,
}

impl Thread {
    /// Answers until the socket is out of use and read empty.
    fn run(&mut self) {
        // Plugins that start to wait on this thread register with the runtime's timers and sockets.
        let runtime = self.runtime.clone();
        let _entered = runtime.enter();
        let mut batch = Batch::new(&self.socket);
        // One beside others may have nothing to do.
        self.wake(self.others.upgrade().is_some_and(|crew| crew.count(self.local) > 1));
        let mut late = false;
        loop {
            let leaving = self.leaving.load(Ordering::Acquire);
            match batch.receive(&self.socket, !leaving) {
                Ok(count) => {
                    self.pressure.get_mut().batch(count, BATCH);
                    self.answer(&mut batch);
                    if batch.is_grown() && !self.wakes {
                        self.wake(true);
                    }
                    if (LOAD..BATCH).contains(&count) && !leaving {
                        std::thread::sleep(GATHER);
                    }
                }
                Err(error) => match error.kind() {
                    // Read empty: whatever came before the order to leave is answered.
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if late => return,
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if leaving => {
                        late = true;
                        std::thread::sleep(LATE);
                    }
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => self.look_back(&mut batch, Instant::now()),
                    io::ErrorKind::Interrupted => {}
                    // An answer that a client refused (ICMP) or a lack of memory: neither is a reason to stop.
                    _ => std::thread::sleep(Duration::from_millis(1)),
                },
            }
        }
    }

    /// Answers a batch: one route table and two readings of the clock for all of it.
    fn answer(&mut self, batch: &mut Batch) {
        let received = Instant::now();
        let table = self.handler.table();
        let mut measured = [None; BATCH];
        let mut large = std::mem::take(&mut self.large);
        for (slot, measured) in batch.slots().iter_mut().zip(&mut measured) {
            let Some(envelope) = slot.envelope() else { continue };
            let local = envelope.local().map_or(self.local, |address| SocketAddr::new(address, self.local.port()));
            let client = Client { peer: envelope.peer(), local, transport: Transport::Udp };
            let seed = self.random.draw();
            let (octets, buffer) = slot.parts();
            let pressure = Some(&self.pressure);
            let arrived = Arrived { octets, client, received, shard: &self.shard, seed, pressure };
            match self.handler.begin(&table, &arrived, buffer) {
                Begun::Silence => {}
                Begun::Answer { len, route } => {
                    *measured = route;
                    let len = limited(&mut self.rates, &arrived, buffer, len);
                    slot.answer(len);
                }
                Begun::Larger => {
                    large.resize(MOST_UDP.into(), 0);
                    match self.handler.begin(&table, &arrived, &mut large) {
                        Begun::Answer { len, route } => {
                            *measured = route;
                            let len = limited(&mut self.rates, &arrived, &mut large, len);
                            let octets = large.get(..len).unwrap_or_default();
                            if len > 0 && datagrams::send_one(&self.socket, octets, &envelope).is_err() {
                                metrics::SEND_FAILED.inc();
                            }
                        }
                        Begun::Later(pending) => self.wait_for(pending, &arrived, &table, envelope),
                        Begun::Silence | Begun::Larger => {}
                    }
                }
                Begun::Later(pending) => self.wait_for(pending, &arrived, &table, envelope),
            }
        }
        self.large = large;
        let failed = batch.send(&self.socket);
        if failed > 0 {
            metrics::SEND_FAILED.inc_by(failed as u64);
        }
        let took = received.elapsed();
        self.measure(&table, measured.iter().flatten(), took);
        self.busy += took;
        if took > BUSY {
            self.wish();
        }
        if received.duration_since(self.since) >= SPELL {
            self.look_back(batch, received);
        }
    }

    /// Another thread would be welcome. That is said less and less often, since there may be as many as can be.
    #[cold]
    fn wish(&mut self) {
        self.wishes += 1;
        if self.wishes.is_power_of_two()
            && let Some(crew) = self.others.upgrade()
        {
            crew.grow(self.local);
        }
    }

    /// Ends a spell: with little to do in it, what was taken under load is given back, and the thread may end.
    #[cold]
    fn look_back(&mut self, batch: &mut Batch, now: Instant) {
        let little = self.busy * 10 < now.duration_since(self.since);
        (self.since, self.busy, self.wishes) = (now, Duration::ZERO, 0);
        if !little {
            return;
        }
        batch.shrink();
        self.large = Vec::new();
        let verdict = self.others.upgrade().map(|crew| crew.release(&|data| Arc::ptr_eq(&data.leaving, &self.leaving)));
        self.wake(verdict == Some(Staffing::Later));
    }

    /// Whether it is to wake at the end of a spell although nothing came.
    fn wake(&mut self, wakes: bool) {
        let limit = wakes.then_some(SPELL);
        if self.wakes != wakes && datagrams::wake_after(&self.socket, limit).is_ok() {
            self.wakes = wakes;
        }
    }

    fn measure<'r>(&self, table: &RouteTable, routes: impl Iterator<Item = &'r usize>, duration: Duration) {
        for route in routes {
            if let Some(group) = table.route(*route).and_then(|route| route.group.as_ref()) {
                group.took(&self.shard, duration);
            }
        }
    }

    /// Lets the runtime finish a query that waits for something, when there is room for one more.
    fn wait_for(&self, pending: PendingAnswer, arrived: &Arrived<'_>, table: &RouteTable, envelope: DatagramEnds) {
        let client = arrived.client;
        let Some(place) = self.handler.admit(&client) else { return };
        let (socket, handler) = (self.socket.clone(), self.handler.clone());
        let shed = table.shed.as_ref().map(|shed| shed.responses.clone());
        let query: Option<Box<[u8]>> = self.rates.is_some().then(|| arrived.octets.into());
        self.runtime.spawn(async move {
            let Some(Some(ChainAnswer { mut octets, .. })) = handler.wait(place, pending).await else { return };
            if let Some(query) = query {
                let Some(limited) = handler.limit_late(&client, &query, octets) else { return };
                octets = limited;
            }
            let mut sent = datagrams::send_one(&socket, &octets, &envelope);
            if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                tokio::time::sleep(Duration::from_millis(1)).await;
                sent = datagrams::send_one(&socket, &octets, &envelope);
            }
            if sent.is_err() {
                metrics::SEND_FAILED.inc();
                shed.iter().for_each(|responses| responses.inc());
            }
        });
    }
}

/// The length of an answer that its client may have; 0 for none.
fn limited(rates: &mut Option<RateTable>, arrived: &Arrived<'_>, buffer: &mut [u8], len: usize) -> usize {
    let (Some(rates), Some(answer)) = (rates, buffer.get_mut(..len)) else { return len };
    rates.limit(arrived.client.peer.ip(), arrived.octets, answer, arrived.received).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::super::testing::{query, site};
    use super::super::{Limits, LoadLimits};
    use super::*;

    /// Others who panic when they are asked for the first times.
    #[derive(Debug, Default)]
    struct FaultyOthers(AtomicUsize);

    impl Others for FaultyOthers {
        fn count(&self, _: SocketAddr) -> usize {
            assert!(self.0.fetch_add(1, Ordering::Relaxed) >= 2, "meant");
            1
        }

        fn grow(self: Arc<Self>, _: SocketAddr) {}

        fn release(&self, _: &dyn Fn(&DataThread) -> bool) -> Staffing {
            Staffing::Stay
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_thread_that_panics_begins_anew_on_its_socket() {
        let (site, _gate) = site("127.0.0.1:0", &Limits::default(), None);
        let handler = Arc::new(Handler::new(site.table, LoadLimits::default()));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(socket.local_addr().unwrap()).unwrap();
        // It waits there while the thread panics.
        client.send(&query("a.test", 1)).unwrap();
        let others = Arc::new(FaultyOthers::default());
        let data = DataThread::start(0, socket, handler, Handle::current(), Arc::downgrade(&others)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert!(client.recv(&mut [0; 512]).unwrap() > 12);
        assert_eq!(others.0.load(Ordering::Relaxed), 3);
        tokio::task::spawn_blocking(move || data.join()).await.unwrap();
    }
}

//! The data threads of a port: how many there are follows the load, within what the Corefile and the container allow.
//!
//! An address begins with one thread. Whoever of its threads answers a batch for longer than [`BUSY`](super::udp::BUSY) has another one started
//! beside it, up to the processors that the process may use: its affinity and the CPU quota of its container, not the
//! cores of the node. While threads have little to do, one after the other ends. `multisocket` sets the number instead.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::Limits;
use super::connection_rules::Orders;
use super::sockets;
use super::udp::{DataThread, Others, SPELL, Staffing};

/// The data threads of a port.
#[derive(Debug)]
pub(super) struct Crew {
    runtime: Handle,
    orders: watch::Receiver<Orders>,
    state: Mutex<CrewState>,
}

#[derive(Debug, Default)]
struct CrewState {
    threads: Vec<DataThread>,
    /// Other sockets of this process may be bound beside those of the port.
    shared: bool,
    /// The last time that one came or went.
    changed: Option<Instant>,
}

/// The least and the most data threads of an address.
pub(super) fn bounds(limits: &Limits) -> (usize, usize) {
    // Elsewhere one of several sockets gets everything.
    if cfg!(not(target_os = "linux")) {
        return (1, 1);
    }
    match limits.sockets {
        Some(sockets) => (sockets.get(), sockets.get()),
        None => (1, std::thread::available_parallelism().map_or(1, NonZeroUsize::get)),
    }
}

impl Crew {
    /// A crew without threads.
    pub(super) fn new(runtime: Handle, orders: watch::Receiver<Orders>) -> Arc<Self> {
        Arc::new(Self { runtime, orders, state: Mutex::default() })
    }

    /// Changes over to new orders: adds those that were bound for them, and takes sockets out of use whose address is not
    /// served any more, or has too many.
    pub(super) fn change(self: &Arc<Self>, new: Vec<DataThread>) {
        let mut state = self.lock();
        state.threads.extend(new);
        let orders = self.orders.borrow().clone();
        let mut most: Vec<_> = orders.rules.values().map(|rules| (rules.address, bounds(&rules.limits).1)).collect();
        for data in state.threads.iter().filter(|data| data.is_in_use()) {
            match most.iter_mut().find(|(address, _)| *address == data.address()) {
                Some((_, count)) if *count > 0 => *count -= 1,
                _ => data.leave(),
            }
        }
        // One that had little to do may have ended since the others were bound.
        for rules in orders.rules.values() {
            let least = bounds(&rules.limits).0;
            while (1..least).contains(&state.in_use(rules.address).count()) && self.start(&mut state, rules.address) {}
        }
        state.sweep();
    }

    /// Whether it worked.
    fn start(self: &Arc<Self>, state: &mut CrewState, address: SocketAddr) -> bool {
        let count = state.in_use(address).count();
        let Some(handler) = self.orders.borrow().rules(address).map(|rules| rules.handler.clone()) else {
            return false;
        };
        // A wider address of this port, or a narrower one, counts as well when the next is bound.
        state.share(true);
        let first = state.in_use(address).next().and_then(DataThread::socket);
        let started = first.map(|first| {
            let socket = sockets::beside(&first, count + 1)?;
            DataThread::start(count, socket, handler, self.runtime.clone(), Arc::downgrade(self))
        });
        state.changed = Some(Instant::now());
        let worked = match started {
            Some(Ok(data)) => {
                state.threads.push(data);
                true
            }
            Some(Err(error)) => {
                tracing::debug!(%address, %error, "no further data thread could be started");
                false
            }
            None => false,
        };
        state.share(state.shared);
        worked
    }

    /// Lets other sockets of this process be bound beside those of the port, or nobody again.
    pub(super) fn share(&self, shared: bool) {
        let mut state = self.lock();
        state.shared = shared;
        state.share(shared);
    }

    /// The number of sockets, in use or not.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.lock().threads.iter().filter(|data| !data.is_over()).count()
    }

    /// All threads, to be ended.
    pub(super) fn take(&self) -> Vec<DataThread> {
        std::mem::take(&mut self.lock().threads)
    }

    fn lock(&self) -> MutexGuard<'_, CrewState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Others for Crew {
    fn count(&self, address: SocketAddr) -> usize {
        self.lock().in_use(address).count()
    }

    fn grow(self: Arc<Self>, address: SocketAddr) {
        // Somebody else may be at it.
        let Ok(mut state) = self.state.try_lock() else { return };
        let orders = self.orders.borrow().clone();
        let rules = orders.rules(address).filter(|rules| !orders.stop && rules.address == address);
        let Some(rules) = rules else { return };
        if state.in_use(address).count() < bounds(&rules.limits).1 {
            self.start(&mut state, address);
            state.sweep();
        }
    }

    fn release(&self, is_it: &dyn Fn(&DataThread) -> bool) -> Staffing {
        let mut state = self.lock();
        let Some(data) = state.threads.iter().find(|data| is_it(data) && data.is_in_use()) else {
            return Staffing::Stay;
        };
        let address = data.address();
        let least = self.orders.borrow().rules(address).map_or(0, |rules| bounds(&rules.limits).0);
        if state.in_use(address).count() <= least {
            return Staffing::Stay;
        }
        if state.changed.is_some_and(|changed| changed.elapsed() < SPELL) {
            return Staffing::Later;
        }
        data.leave();
        state.changed = Some(Instant::now());
        state.share(state.shared);
        Staffing::Leave
    }
}

impl CrewState {
    fn in_use(&self, address: SocketAddr) -> impl Iterator<Item = &DataThread> {
        self.threads.iter().filter(move |data| data.address() == address && data.is_in_use())
    }

    /// Lets the sockets share their port, or no longer; a new one beside others needs that.
    fn share(&self, shared: bool) {
        for data in self.threads.iter().filter(|data| shared || self.in_use(data.address()).count() == 1) {
            data.share(shared);
        }
    }

    /// Forgets threads of which nothing is left.
    fn sweep(&mut self) {
        self.threads.retain(|data| data.is_in_use() || !data.is_over());
    }
}

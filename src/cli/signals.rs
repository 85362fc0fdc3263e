//! The signals that an operator sends to the process.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM: stop, after `lameduck`.
    Terminate,
    /// SIGINT: stop now, with what is under way.
    Interrupt,
    /// SIGQUIT: end at once.
    Quit,
    /// SIGUSR1: read the Corefile again.
    Reload,
}

/// The signals that mean something here. SIGHUP and SIGUSR2 are taken and left aside, as CoreDNS leaves the first.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Stream,
    interrupt: Stream,
    quit: Stream,
    reload: Stream,
    hang_up: Stream,
    user2: Stream,
}

impl Signals {
    /// Listens from now on; on a runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            reload: signal(SignalKind::user_defined1())?,
            hang_up: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next order.
    pub(super) async fn next(&mut self) -> Signal {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Signal::Terminate,
                _ = self.interrupt.recv() => return Signal::Interrupt,
                _ = self.quit.recv() => return Signal::Quit,
                _ = self.reload.recv() => return Signal::Reload,
                _ = self.hang_up.recv() => {}
                _ = self.user2.recv() => {
                    tracing::warn!("SIGUSR2 is not supported: the binary is not exchanged in place, start a new process");
                }
            }
        }
    }

    /// Waits for the next order to stop.
    pub(super) async fn stop(&mut self) -> Signal {
        loop {
            match self.next().await {
                Signal::Reload => {}
                stop => return stop,
            }
        }
    }
}

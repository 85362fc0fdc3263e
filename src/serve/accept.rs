//! Takes connections over TCP, in the clear or below TLS, for as long as their address is served.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection_rules::{ConnectionRules, Orders};
use super::connections::{ConnectionTable, Guard, canonical};
use super::encrypted::{CIPHERTEXT, Encryption, https};
use super::limits::LINGER;
use super::metrics;
use super::stream::Secured;
use super::tcp;
use crate::chain::{Client, Transport};
use crate::tasks;

/// Between two warnings of connections that could not be accepted: clients can cause them.
const QUIET: Duration = Duration::from_secs(60);

/// A listener and what it takes to begin a connection.
pub(super) struct Accept {
    pub(super) listener: Arc<TcpListener>,
    pub(super) address: SocketAddr,
    pub(super) encryption: Option<Encryption>,
    pub(super) connections: Arc<ConnectionTable>,
    pub(super) orders: watch::Receiver<Orders>,
}

impl Accept {
    /// Accepts connections until the address is no longer served, then waits for those that are open.
    pub(super) async fn run(self) {
        let mut tasks = JoinSet::new();
        while tasks::caught("tcp", self.accept(&mut tasks)).await.is_none() {}
        drop(self);
        while tasks.join_next().await.is_some() {}
    }

    async fn accept(&self, tasks: &mut JoinSet<()>) {
        let mut orders = self.orders.clone();
        let mut pause = Duration::ZERO;
        let mut warned: Option<Instant> = None;
        // When to stop listening: whoever has begun to shake hands with an address that goes comes in.
        let mut end: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                biased;
                told = orders.wait_for(|orders| !orders.serve(self.address)), if end.is_none() => {
                    if told.is_err() || told.is_ok_and(|orders| orders.stop) {
                        break;
                    }
                    end = Some(Instant::now() + LINGER);
                    continue;
                }
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => break,
                Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pause = Duration::ZERO;
                    self.begin(tasks, stream, peer);
                }
                Err(error) => {
                    metrics::ACCEPT_FAILED.inc();
                    // A client that is gone again is no trouble; a lack of file descriptors passes, and hurries for nobody.
                    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
                        if warned.is_none_or(|warned| warned.elapsed() > QUIET) {
                            warned = Some(Instant::now());
                            tracing::warn!(%error, "a TCP connection could not be accepted; trying again");
                        }
                        pause = (pause * 2).clamp(Duration::from_millis(5), Duration::from_secs(1));
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
        // Connections that the system has made already are answered as well.
        while let Some(Ok((stream, peer))) = self.listener.accept().now_or_never() {
            self.begin(tasks, stream, peer);
        }
    }

    /// Starts the task of a connection.
    fn begin(&self, tasks: &mut JoinSet<()>, stream: TcpStream, peer: SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        let client = Client { peer: canonical(peer), local: canonical(local), transport: Transport::Tcp };
        let Some(standing) = ConnectionRules::new(client.local, &self.orders) else { return };
        let Some(guard) = self.connections.admit(client.peer.ip()) else { return };
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(standing.rules.limits.write));
        // A task is as large as what it may become: each kind has its own.
        match self.encryption {
            None => tasks.spawn(ended(client, tcp::serve(stream, client, standing, guard))),
            Some(Encryption::Https) => tasks.spawn(ended(client, async move {
                let stream = shake(stream, &standing, &guard).await?;
                https::serve(stream, client, standing, guard).await
            })),
            Some(_) => tasks.spawn(ended(client, async move {
                let stream = shake(stream, &standing, &guard).await?;
                tcp::serve(Secured::new(stream), client, standing, guard).await
            })),
        };
    }
}

/// Resets, time-outs and clients that leave are the client's affair.
async fn ended(client: Client, connection: impl Future<Output = io::Result<()>>) {
    if let Err(error) = connection.await {
        tracing::trace!(%error, peer = %client.peer, "a TCP connection ended early");
    }
}

/// The handshake of TLS, in its time; it gives way to others like an idle connection.
async fn shake(stream: TcpStream, standing: &ConnectionRules, guard: &Guard) -> io::Result<TlsStream<TcpStream>> {
    let secure = standing.rules.secure.as_ref().ok_or(io::ErrorKind::Unsupported)?;
    let handshake = TlsAcceptor::from(secure.config.clone())
        .accept_with(stream, |connection| connection.set_buffer_limit(Some(CIPHERTEXT)));
    let shaken = tokio::select! {
        shaken = timeout(standing.rules.limits.handshake, handshake) => {
            shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        () = guard.closed() => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    if shaken.is_err() {
        metrics::HANDSHAKES_FAILED.inc();
    }
    shaken
}

//! TCP: queries of one connection are answered side by side, ready answers leave together (RFC 7766).
//!
//! A connection is one task. It takes queries off its buffer, answers cluster names into its output, lets the chain's
//! answers come in when they are ready, and writes all that is there at once. Deadlines run from the first octet of a
//! message, so that a client that sends an octet now and then gains nothing.

mod connections;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::handle::Arrived;
use super::metrics::{self, ShardId};
use super::{Handler, Limits};
use crate::plugins::chain::{Client, Transport};
use connections::{Connections, Guard};

/// How much is read at once.
const READ: usize = 16 * 1024;

/// When ready answers are written even though more queries wait: one answer may be as long.
const FLUSH: usize = 64 * 1024;

/// Accepts connections until the order to stop, then waits for those that are open.
pub(super) async fn serve(
    listener: TcpListener,
    handler: Arc<Handler>,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let connections = Connections::new(limits.connections);
    let mut tasks = JoinSet::new();
    let mut pause = Duration::ZERO;
    let told_to_stop = stopped.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = Duration::ZERO;
                begin(stream, peer, &handler, limits, &told_to_stop, &connections, &mut tasks);
            }
            Err(error) => {
                metrics::ACCEPT_FAILED.inc();
                // A client that is gone again is no trouble; a lack of file descriptors passes, and hurries for nobody.
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
                    if pause.is_zero() {
                        tracing::warn!(%error, "a TCP connection could not be accepted; trying again");
                    }
                    pause = (pause * 2).clamp(Duration::from_millis(5), Duration::from_secs(1));
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
    // Connections that the system has made already are answered as well.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        begin(stream, peer, &handler, limits, &told_to_stop, &connections, &mut tasks);
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// Starts the task of a connection.
fn begin(
    stream: TcpStream,
    peer: SocketAddr,
    handler: &Arc<Handler>,
    limits: Limits,
    stopped: &watch::Receiver<bool>,
    connections: &Arc<Connections>,
    tasks: &mut JoinSet<()>,
) {
    let Some(guard) = connections.admit() else { return };
    let Ok(local) = stream.local_addr() else { return };
    let _ = stream.set_nodelay(true);
    let client = Client { peer: canonical(peer), local: canonical(local), transport: Transport::Tcp };
    let connection = Connection {
        stream,
        client,
        handler: handler.clone(),
        limits,
        guard,
        input: BytesMut::new(),
        output: Vec::new(),
        waiting: FuturesUnordered::new(),
        queries: 0,
    };
    let stopped = stopped.clone();
    tasks.spawn(async move {
        // Resets, time-outs and clients that leave are the client's affair.
        if let Err(error) = connection.run(stopped).await {
            tracing::trace!(%error, peer = %client.peer, "a TCP connection ended early");
        }
    });
}

/// An IPv4 client of a socket for both families, shown as one.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

struct Connection {
    stream: TcpStream,
    client: Client,
    handler: Arc<Handler>,
    limits: Limits,
    guard: Guard,
    input: BytesMut,
    output: Vec<u8>,
    waiting: FuturesUnordered<BoxFuture<'static, Option<Vec<u8>>>>,
    queries: u32,
}

/// Why no more queries are taken off the buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Paused {
    /// The next message is not complete.
    Input,
    /// Ready answers should leave first.
    Output,
    /// As many queries wait as may.
    InFlight,
    /// The connection has brought as many queries as it may.
    Spent,
}

impl Connection {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) -> io::Result<()> {
        // When the incomplete message at the front of the buffer began, and when anything was last complete.
        let mut began = None;
        let mut active = Instant::now();
        // No more input is to come: the client is done, or we are.
        let mut ended = false;
        loop {
            let before = self.input.len();
            let paused = self.take_queries();
            if self.input.len() != before {
                (began, active) = (None, Instant::now());
            }
            if !self.output.is_empty() {
                let written = timeout(self.limits.write, self.stream.write_all(&self.output)).await;
                written.map_err(|_| io::ErrorKind::TimedOut)??;
                self.output.clear();
                self.output.shrink_to(FLUSH);
                active = Instant::now();
            }
            if paused == Paused::Output {
                continue;
            }
            let idle = self.waiting.is_empty();
            if idle && (ended || paused == Paused::Spent) {
                return self.stream.shutdown().await;
            }
            if self.input.is_empty() {
                // An idle connection holds no buffer.
                self.input = BytesMut::new();
            } else if paused == Paused::Input {
                began.get_or_insert_with(Instant::now);
            }
            self.guard.note(idle && self.input.is_empty());
            let deadline = match began {
                Some(began) => Some(began + self.limits.read),
                None => idle.then(|| active + self.limits.idle),
            };
            tokio::select! {
                Some(answer) = self.waiting.next(), if !idle => {
                    self.put(answer);
                    // Whatever else is ready leaves in the same packet.
                    while let Some(Some(answer)) = self.waiting.next().now_or_never() {
                        self.put(answer);
                    }
                }
                readable = self.stream.readable(), if paused == Paused::Input && !ended => {
                    readable?;
                    ended |= self.read()?;
                }
                _ = stopped.wait_for(|stopped| *stopped), if !ended => {
                    // What the client has sent before is answered.
                    while !self.read()? && self.input.len() < FLUSH {
                        if self.stream.readable().now_or_never().is_none() {
                            break;
                        }
                    }
                    ended = true;
                }
                () = self.guard.closed() => return Ok(()),
                () = sleep_until(deadline.unwrap_or(active)), if deadline.is_some() => return Ok(()),
            }
        }
    }

    /// Reads what is there. Says whether the client has ended its side.
    fn read(&mut self) -> io::Result<bool> {
        self.input.reserve(READ);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(count) => Ok(count == 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Answers complete messages, or starts to.
    fn take_queries(&mut self) -> Paused {
        let plan = self.handler.plan();
        loop {
            if self.output.len() >= FLUSH {
                return Paused::Output;
            }
            if self.waiting.len() >= self.limits.in_flight_per_connection {
                return Paused::InFlight;
            }
            if self.limits.queries_per_connection.is_some_and(|limit| self.queries >= limit) {
                return Paused::Spent;
            }
            let Some((&[high, low], rest)) = self.input.split_first_chunk::<2>() else { return Paused::Input };
            let len = usize::from(u16::from_be_bytes([high, low]));
            let Some(octets) = rest.get(..len) else { return Paused::Input };
            let arrived = Arrived {
                octets,
                client: self.client,
                received: std::time::Instant::now(),
                shard: ShardId::SHARED,
                seed: rand::random(),
            };
            let output = &mut self.output;
            match self.handler.begin_in_scratch(&plan, &arrived, |answer| frame(output, answer)) {
                Ok(_) => {}
                Err(pending) => {
                    if let Some(place) = self.handler.admit() {
                        self.waiting.push(Box::pin(async move {
                            let _place = place;
                            pending.await
                        }));
                    }
                }
            }
            self.input.advance(2 + len);
            self.queries = self.queries.saturating_add(1);
        }
    }

    fn put(&mut self, answer: Option<Vec<u8>>) {
        if let Some(answer) = answer {
            frame(&mut self.output, &answer);
        }
    }
}

/// An answer with its length in front (RFC 1035 section 4.2.2).
fn frame(output: &mut Vec<u8>, answer: &[u8]) {
    if let Ok(len) = u16::try_from(answer.len()) {
        output.extend_from_slice(&len.to_be_bytes());
        output.extend_from_slice(answer);
    }
}

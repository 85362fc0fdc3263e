//! TCP, also below TLS: queries of one connection are answered side by side, ready answers leave together (RFC 7766, RFC 7858).
//!
//! A connection is one task. It takes queries off its buffer, answers cluster names into its output, lets the chain's
//! answers come in when they are ready, and writes all that is there at once. Deadlines run from the first octet of a
//! message, so that a client that sends an octet now and then gains nothing. Answers of many messages, zone transfers,
//! are made message by message as the client takes them.

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
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connections::{Connections, Guard};
use super::encrypted::https;
use super::handle::{Answer, Arrived};
use super::metrics::{self, ShardId};
use super::mmsg::REQUEST;
use super::stream::{Secured, Stream};
use super::{Handler, Limits};
use crate::plugins::chain::{Client, More, Transport};

/// What is held of a client's octets: the longest query with its length.
const INPUT: usize = 2 + REQUEST;

/// When ready answers are written before any more are made or taken. One answer may be as long, so that a client that
/// does not read holds twice as much.
const FLUSH: usize = 64 * 1024;

/// The shortest message: a header.
const HEADER: usize = 12;

/// Between two warnings of connections that could not be accepted: clients can cause them.
const QUIET: Duration = Duration::from_secs(60);

/// How long a connection must be quiet after the order to stop before it is closed: queries may be on their way.
pub(super) const LINGER: Duration = Duration::from_millis(200);

/// How long after the order to stop queries are read at all.
pub(super) const LAST_CALL: Duration = Duration::from_secs(2);

/// What connections speak.
#[derive(Clone)]
pub(super) enum Speech {
    /// DNS.
    Plain,
    /// DNS below TLS.
    Tls(TlsAcceptor),
    /// DNS in HTTP/2 below TLS.
    Https(TlsAcceptor),
}

/// Accepts connections until the order to stop, then waits for those that are open.
pub(super) async fn serve(
    listener: TcpListener,
    handler: Arc<Handler>,
    limits: Limits,
    speech: Speech,
    mut stopped: watch::Receiver<bool>,
) {
    let mut begin = Begin {
        handler,
        limits,
        speech,
        stopped: stopped.clone(),
        connections: Connections::new(limits.connections),
        tasks: JoinSet::new(),
    };
    let mut pause = Duration::ZERO;
    let mut warned: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            Some(_) = begin.tasks.join_next(), if !begin.tasks.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = Duration::ZERO;
                begin.connection(stream, peer);
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
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        begin.connection(stream, peer);
    }
    drop(listener);
    while begin.tasks.join_next().await.is_some() {}
}

/// What it takes to begin a connection.
struct Begin {
    handler: Arc<Handler>,
    limits: Limits,
    speech: Speech,
    stopped: watch::Receiver<bool>,
    connections: Arc<Connections>,
    tasks: JoinSet<()>,
}

impl Begin {
    /// Starts the task of a connection.
    fn connection(&mut self, stream: TcpStream, peer: SocketAddr) {
        let Some(guard) = self.connections.admit() else { return };
        let Ok(local) = stream.local_addr() else { return };
        let _ = stream.set_nodelay(true);
        let client = Client { peer: canonical(peer), local: canonical(local), transport: Transport::Tcp };
        let (handler, limits, stopped) = (self.handler.clone(), self.limits, self.stopped.clone());
        let speech = self.speech.clone();
        self.tasks.spawn(async move {
            let ended = match speech {
                Speech::Plain => Connection::new(stream, client, handler, limits, guard).run(stopped).await,
                Speech::Tls(tls) => match shake(&tls, stream, &limits, &guard).await {
                    Ok(stream) => {
                        let stream = Secured::new(stream);
                        Connection::new(stream, client, handler, limits, guard).run(stopped).await
                    }
                    Err(error) => Err(error),
                },
                Speech::Https(tls) => match shake(&tls, stream, &limits, &guard).await {
                    Ok(stream) => https::serve(stream, client, handler, limits, guard, stopped).await,
                    Err(error) => Err(error),
                },
            };
            // Resets, time-outs and clients that leave are the client's affair.
            if let Err(error) = ended {
                tracing::trace!(%error, peer = %client.peer, "a TCP connection ended early");
            }
        });
    }
}

/// The handshake of TLS, in its time; it gives way to others like an idle connection.
async fn shake(
    tls: &TlsAcceptor,
    stream: TcpStream,
    limits: &Limits,
    guard: &Guard,
) -> io::Result<TlsStream<TcpStream>> {
    let shaken = tokio::select! {
        shaken = timeout(limits.handshake, tls.accept(stream)) => {
            shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        () = guard.closed() => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    if shaken.is_err() {
        metrics::HANDSHAKES_FAILED.inc();
    }
    shaken
}

/// An IPv4 client of a socket for both families, shown as one.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

struct Connection<S> {
    stream: S,
    client: Client,
    handler: Arc<Handler>,
    limits: Limits,
    guard: Guard,
    input: BytesMut,
    output: Vec<u8>,
    waiting: FuturesUnordered<BoxFuture<'static, Option<Answer>>>,
    /// The rest of an answer of many messages; no more queries are taken until it has left.
    more: Option<More>,
    queries: u32,
    /// The client has sent what is no query: nothing more of it is read.
    faulty: bool,
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
    /// The connection has brought as many queries as it may, or what is no query.
    Spent,
}

impl<S: Stream> Connection<S> {
    fn new(stream: S, client: Client, handler: Arc<Handler>, limits: Limits, guard: Guard) -> Self {
        Self {
            stream,
            client,
            handler,
            limits,
            guard,
            input: BytesMut::new(),
            output: Vec::new(),
            waiting: FuturesUnordered::new(),
            more: None,
            queries: 0,
            faulty: false,
        }
    }

    async fn run(mut self, mut stopped: watch::Receiver<bool>) -> io::Result<()> {
        // When the incomplete message at the front of the buffer began, and when anything was last complete.
        let mut began = None;
        let mut active = Instant::now();
        // No more input is to come: the client is done, or we are.
        let mut ended = false;
        // When reading ends for good, after the order to stop.
        let mut last_call: Option<Instant> = None;
        loop {
            let before = self.input.len();
            let paused = self.take_queries();
            if self.input.len() != before {
                (began, active) = (None, Instant::now());
            }
            self.put_more();
            if !self.output.is_empty() {
                self.write().await?;
                active = Instant::now();
            }
            if paused == Paused::Output || self.more.is_some() {
                continue;
            }
            let idle = self.waiting.is_empty();
            if idle && (ended || paused == Paused::Spent) {
                return self.close().await;
            }
            // A connection that waits holds no buffer.
            self.output = Vec::new();
            if self.input.is_empty() {
                self.input = BytesMut::new();
            } else if paused == Paused::Input {
                began.get_or_insert_with(Instant::now);
            }
            self.guard.note(idle && self.input.is_empty());
            let deadline = match (began, last_call) {
                (Some(began), _) => Some(began + self.limits.read),
                (None, Some(end)) => idle.then(|| end.min(active + LINGER)),
                (None, None) => idle.then(|| active + self.limits.idle),
            };
            tokio::select! {
                Some(answer) = self.waiting.next(), if !idle => {
                    self.put(answer);
                    // Whatever else is ready leaves in the same packet, as far as there is room: a client that asks much
                    // and reads nothing must not have all its answers kept here.
                    while self.output.len() < FLUSH
                        && let Some(Some(answer)) = self.waiting.next().now_or_never()
                    {
                        self.put(answer);
                    }
                }
                readable = self.stream.readable(), if paused == Paused::Input && !ended => {
                    readable?;
                    ended |= self.read()?;
                }
                _ = stopped.wait_for(|stopped| *stopped), if !ended && last_call.is_none() => {
                    // What the client has sent until now is answered, and what was on its way.
                    active = Instant::now();
                    last_call = Some(active + LAST_CALL);
                }
                () = self.guard.closed() => return Ok(()),
                () = sleep_until(deadline.unwrap_or(active)), if deadline.is_some() => match last_call {
                    Some(_) if began.is_none() => ended = true,
                    _ => return Ok(()),
                },
            }
            ended |= last_call.is_some_and(|end| end <= Instant::now());
        }
    }

    /// Writes all output, in the time for it.
    async fn write(&mut self) -> io::Result<()> {
        let written = timeout(self.limits.write, async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        });
        written.await.map_err(|_| io::ErrorKind::TimedOut)??;
        self.output.clear();
        Ok(())
    }

    /// Ends our side. What a faulty client still sends is thrown away for a moment: left unread, it would have the
    /// system reset the connection before the client has its last answer.
    async fn close(&mut self) -> io::Result<()> {
        let closed = timeout(self.limits.write, self.stream.shutdown()).await;
        closed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        if self.faulty {
            let mut thrown = 0;
            let drained = timeout(LINGER, async {
                while thrown < usize::from(u16::MAX) {
                    self.stream.readable().await?;
                    self.input.clear();
                    if self.read()? {
                        break;
                    }
                    thrown += self.input.len();
                }
                Ok(())
            });
            return drained.await.unwrap_or(Ok(()));
        }
        Ok(())
    }

    /// Reads what is there. Says whether the client has ended its side.
    fn read(&mut self) -> io::Result<bool> {
        // Never more than the longest query needs, whatever length the client names.
        if self.input.capacity() < INPUT {
            let mut room = BytesMut::with_capacity(INPUT);
            room.extend_from_slice(&self.input);
            self.input = room;
        }
        match self.stream.try_read(&mut self.input) {
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
            if self.more.is_some() || self.waiting.len() >= self.limits.in_flight_per_connection {
                return Paused::InFlight;
            }
            if self.faulty || self.limits.queries_per_connection.is_some_and(|limit| self.queries >= limit) {
                return Paused::Spent;
            }
            let Some((&[high, low], rest)) = self.input.split_first_chunk::<2>() else { return Paused::Input };
            let len = usize::from(u16::from_be_bytes([high, low]));
            // No message is shorter, and a query that is longer than one over UDP may be wants memory, not an answer: its
            // header alone gets FORMERR.
            self.faulty = !(HEADER..=REQUEST).contains(&len);
            let needed = if self.faulty { len.min(HEADER) } else { len };
            let Some(octets) = rest.get(..needed) else {
                self.faulty = false;
                return Paused::Input;
            };
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
            self.input.advance(2 + needed);
            self.queries = self.queries.saturating_add(1);
        }
    }

    fn put(&mut self, answer: Option<Answer>) {
        let Some(answer) = answer else { return };
        frame(&mut self.output, &answer.octets);
        self.guard.note(false);
        match (&mut self.more, answer.more) {
            (_, None) => {}
            (None, more) => self.more = more,
            (Some(before), Some(more)) => before.append(more),
        }
    }

    /// Makes the next messages of an answer that has many: as many as leave together.
    fn put_more(&mut self) {
        while let Some(more) = &mut self.more
            && self.output.len() < FLUSH
        {
            match more.next() {
                Some(octets) => frame(&mut self.output, &octets),
                None => self.more = None,
            }
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

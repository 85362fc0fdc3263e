//! TCP, also below TLS: queries of one connection are answered side by side, ready answers leave together (RFC 7766, RFC 7858).
//!
//! A connection is one task. It takes queries off its buffer, answers cluster names into its output, lets the chain's
//! answers come in when they are ready, and writes all that is there at once. Deadlines run from the first octet of a
//! message, so that a client that sends an octet now and then gains nothing. Answers of many messages, zone transfers,
//! are made message by message as the client takes them. What a client does not take at once counts against the room that
//! all connections have for that.

use std::io;

use bytes::{Buf, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until, timeout};

use super::connection_rules::{ConnectionRules, News};
use super::connections::Guard;
use super::handle::LONGEST_QUERY;
use super::handle::{Arrived, ChainAnswer, overloaded};
use super::limits::{LAST_CALL, LINGER};
use super::metrics::ShardId;
use super::stream::ConnectionStream;
use crate::chain::{Client, More};
use crate::wire::Header;

/// The most octets of a client that are held: the longest query with its length.
const INPUT: usize = 2 + LONGEST_QUERY;

/// The octets held of most clients: their queries are no longer.
const FIRST_INPUT: usize = 512;

/// The octets of ready answers that are written before any more are made or taken. One answer may be four times as long.
const FLUSH: usize = 16 * 1024;

/// Serves a connection until it is idle for too long, its client leaves, or its address is no longer served.
pub(super) async fn serve<S: ConnectionStream>(
    stream: S,
    client: Client,
    standing: ConnectionRules,
    guard: Guard,
) -> io::Result<()> {
    TcpConnection::new(stream, client, standing, guard).run().await
}

struct TcpConnection<S> {
    stream: S,
    client: Client,
    standing: ConnectionRules,
    guard: Guard,
    /// True when the connection was last said to be idle.
    idle: bool,
    input: BytesMut,
    /// The last read filled its room: more of the same is there, or of a longer message.
    more_input: bool,
    output: Vec<u8>,
    waiting: FuturesUnordered<BoxFuture<'static, Option<ChainAnswer>>>,
    /// The rest of an answer of many messages; no more queries are taken until it has left.
    more: Option<More>,
    queries: u32,
    /// The client has sent what is no query: nothing more of it is read.
    faulty: bool,
}

/// The reason why no more queries are taken off the buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Paused {
    /// The next message is not complete.
    Input,
    /// Ready answers should leave first.
    Output,
    /// Too many queries in flight: as many wait as may.
    InFlight,
    /// The connection has brought as many queries as it may, or what is no query.
    Spent,
}

impl<S: ConnectionStream> TcpConnection<S> {
    fn new(stream: S, client: Client, standing: ConnectionRules, guard: Guard) -> Self {
        Self {
            stream,
            client,
            standing,
            guard,
            idle: true,
            input: BytesMut::new(),
            more_input: false,
            output: Vec::new(),
            waiting: FuturesUnordered::new(),
            more: None,
            queries: 0,
            faulty: false,
        }
    }

    async fn run(mut self) -> io::Result<()> {
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
            // A part of a message does not make a connection busy: its client waits for nothing but itself.
            if began.is_none() || idle != self.idle {
                self.note(idle);
            }
            let limits = &self.standing.rules.limits;
            let deadline = match (began, last_call) {
                (Some(began), _) => Some(began + limits.read),
                (None, Some(end)) => idle.then(|| end.min(active + LINGER)),
                (None, None) => idle.then(|| active + limits.idle),
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
                news = self.standing.news(), if !ended && last_call.is_none() => match news {
                    News::Stay => {}
                    News::Leave => {
                        // What the client has sent until now is answered, and what was on its way.
                        active = Instant::now();
                        last_call = Some(active + LAST_CALL);
                    }
                    News::Expired => ended = true,
                },
                () = self.guard.closed() => return Ok(()),
                () = sleep_until(deadline.unwrap_or(active)), if deadline.is_some() => match last_call {
                    Some(_) if began.is_none() => ended = true,
                    _ => return Ok(()),
                },
            }
            ended |= last_call.is_some_and(|end| end <= Instant::now());
        }
    }

    /// Says whether it waits for nothing but its client.
    fn note(&mut self, idle: bool) {
        self.idle = idle;
        self.guard.note(idle);
    }

    /// Writes all output, in the time for it.
    async fn write(&mut self) -> io::Result<()> {
        let mut written = 0;
        while let Some(rest) = self.output.get(written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest).now_or_never() {
                Some(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Some(count) => written += count?,
                None => break,
            }
        }
        if written == self.output.len()
            && let Some(flushed) = self.stream.flush().now_or_never()
        {
            self.output.clear();
            return flushed;
        }
        self.output.drain(..written);
        self.output.shrink_to_fit();
        let _kept = self.guard.keep(self.output.len() + S::BUFFER).ok_or(io::ErrorKind::OutOfMemory)?;
        // Like an idle connection, it gives way to others.
        self.note(true);
        let written = timeout(self.standing.rules.limits.write, async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        });
        let written = tokio::select! {
            written = written => written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            () = self.guard.closed() => Err(io::ErrorKind::ConnectionAborted.into()),
        };
        self.output.clear();
        written
    }

    /// Ends our side. What a faulty client still sends is thrown away for a moment: left unread, it would have the
    /// system reset the connection before the client has its last answer.
    async fn close(&mut self) -> io::Result<()> {
        let closed = timeout(self.standing.rules.limits.write, self.stream.shutdown()).await;
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
        let wanted = if self.more_input { INPUT } else { FIRST_INPUT };
        if self.input.capacity() < wanted {
            let mut room = BytesMut::with_capacity(wanted);
            room.extend_from_slice(&self.input);
            self.input = room;
        }
        let read = self.stream.try_read(&mut self.input);
        self.more_input = self.input.len() == self.input.capacity();
        match read {
            Ok(count) => Ok(count == 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Answers complete messages, or starts to.
    fn take_queries(&mut self) -> Paused {
        let rules = self.standing.rules.clone();
        let (handler, limits) = (&rules.handler, &rules.limits);
        let table = handler.table();
        loop {
            if self.output.len() >= FLUSH {
                return Paused::Output;
            }
            if self.more.is_some() || self.waiting.len() >= limits.in_flight_per_connection {
                return Paused::InFlight;
            }
            if self.faulty || limits.queries_per_connection.is_some_and(|limit| self.queries >= limit) {
                return Paused::Spent;
            }
            let octets = match front(&self.input) {
                Front::Cut => return Paused::Input,
                Front::Query(octets) => octets,
                Front::Faulty(octets) => {
                    self.faulty = true;
                    octets
                }
            };
            let arrived = Arrived {
                octets,
                client: self.client,
                received: std::time::Instant::now(),
                shard: ShardId::SHARED,
                seed: rand::random(),
                pressure: None,
            };
            let output = &mut self.output;
            match handler.begin_in_scratch(&table, &arrived, |answer| frame(output, answer)) {
                Ok(_) => {}
                // Over TCP nobody asks again before a long time is over: a client that hears of it can go elsewhere.
                Err(pending) => match handler.admit(&self.client) {
                    Some(place) => {
                        let (handler, octets) = (handler.clone(), Box::<[u8]>::from(octets));
                        self.waiting.push(Box::pin(async move {
                            let refused = || Some(ChainAnswer { octets: overloaded(&octets), more: None });
                            handler.wait(place, pending).await.unwrap_or_else(refused)
                        }));
                    }
                    None => frame(output, &overloaded(octets)),
                },
            }
            let taken = 2 + octets.len();
            self.input.advance(taken);
            self.queries = self.queries.saturating_add(1);
        }
    }

    fn put(&mut self, answer: Option<ChainAnswer>) {
        let Some(answer) = answer else { return };
        frame(&mut self.output, &answer.octets);
        self.note(false);
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

/// The front of what a client has sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Front<'i> {
    /// The part of a message.
    Cut,
    /// A whole message.
    Query(&'i [u8]),
    /// The beginning of what is no query. Nothing behind it is read.
    Faulty(&'i [u8]),
}

/// Takes the first message off what a client has sent, as its length in front of it says.
///
/// No message is shorter than a header, and a query that is longer than one over UDP may be wants memory, not an answer: its
/// header alone gets FORMERR.
pub(crate) fn front(input: &[u8]) -> Front<'_> {
    let Some((&[high, low], rest)) = input.split_first_chunk::<2>() else { return Front::Cut };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let is_query = (Header::LEN..=LONGEST_QUERY).contains(&len);
    match rest.get(..if is_query { len } else { len.min(Header::LEN) }) {
        None => Front::Cut,
        Some(octets) if is_query => Front::Query(octets),
        Some(octets) => Front::Faulty(octets),
    }
}

/// An answer with its length in front (RFC 1035 section 4.2.2).
fn frame(output: &mut Vec<u8>, answer: &[u8]) {
    if let Ok(len) = u16::try_from(answer.len()) {
        output.extend_from_slice(&len.to_be_bytes());
        output.extend_from_slice(answer);
    }
}

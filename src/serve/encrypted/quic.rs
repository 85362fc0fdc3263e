//! DNS over QUIC (RFC 9250): a query and its answer on each stream.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Endpoint, EndpointConfig, Incoming, ReadExactError, ReadToEndError, RecvStream, SendStream, TokioRuntime,
    TransportConfig, VarInt,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::held::ConnectionRoom;
use crate::chain::{Client, Transport};
use crate::serve::connection_rules::{ConnectionRules, News, Orders, Rules};
use crate::serve::connections::canonical;
use crate::serve::connections::{ConnectionTable, Guard};
use crate::serve::handle::LONGEST_QUERY;
use crate::serve::limits::LINGER;
use crate::serve::metrics;
use crate::tasks;
use crate::wire::{Header, message};

/// The octets of one connection that may be under way in each direction: two of the longest answers.
const WINDOW: u32 = 128 * 1024;

/// The codes of RFC 9250 section 4.3 that are sent.
const NO_ERROR: VarInt = VarInt::from_u32(0);
const INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// Listens on a socket; on a runtime.
///
/// # Errors
/// When the settings of TLS are not fit for QUIC, or the socket is not.
pub(in crate::serve) fn listen(socket: UdpSocket, rules: &Rules) -> io::Result<Endpoint> {
    let config = settings(rules)?;
    Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(TokioRuntime))
}

/// The settings of connections that begin from now on.
fn settings(rules: &Rules) -> io::Result<quinn::ServerConfig> {
    let secure = rules.secure.as_ref().ok_or(io::ErrorKind::Unsupported)?;
    let crypto = QuicServerConfig::try_from(secure.config.clone()).map_err(io::Error::other)?;
    let streams = u32::try_from(rules.limits.in_flight_per_connection).unwrap_or(u32::MAX);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(streams.into())
        .stream_receive_window(VarInt::from_u32(2 + LONGEST_QUERY as u32))
        .receive_window(WINDOW.into())
        .send_window(WINDOW.into())
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        // A connection that is idle is closed by ourselves, after a time that may change.
        .max_idle_timeout(None);
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Serves an endpoint for as long as its address is served, then waits for the connections that are open.
pub(in crate::serve) async fn serve(
    endpoint: Endpoint,
    address: SocketAddr,
    connections: Arc<ConnectionTable>,
    orders: watch::Receiver<Orders>,
) {
    let mut tasks = JoinSet::new();
    while tasks::caught("quic", accept(&endpoint, address, &connections, &orders, &mut tasks)).await.is_none() {}
    endpoint.set_server_config(None);
    drop(endpoint);
    while tasks.join_next().await.is_some() {}
}

async fn accept(
    endpoint: &Endpoint,
    address: SocketAddr,
    connections: &Arc<ConnectionTable>,
    orders: &watch::Receiver<Orders>,
    tasks: &mut JoinSet<()>,
) {
    let mut told = orders.clone();
    loop {
        let incoming = tokio::select! {
            biased;
            changed = told.changed() => {
                let rules = told.borrow_and_update().clone();
                match rules.rules(address).filter(|_| changed.is_ok() && rules.serve(address)) {
                    Some(rules) => {
                        if let Ok(config) = settings(rules) {
                            endpoint.set_server_config(Some(config));
                        }
                        continue;
                    }
                    None => break,
                }
            }
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            incoming = endpoint.accept() => incoming,
        };
        // The socket is gone.
        let Some(incoming) = incoming else { break };
        // Whoever begins a connection may have written somebody else's address; when places are scarce, it has to show
        // that it gets what is sent there before it takes one.
        if !incoming.remote_address_validated() && connections.is_crowded() {
            let _ = incoming.retry();
            continue;
        }
        let local = SocketAddr::new(incoming.local_ip().unwrap_or_else(|| address.ip()), address.port());
        let client =
            Client { peer: canonical(incoming.remote_address()), local: canonical(local), transport: Transport::Quic };
        let standing = ConnectionRules::new(client.local, orders);
        let Some((standing, guard)) = standing.zip(connections.admit(client.peer.ip())) else {
            incoming.refuse();
            continue;
        };
        tasks.spawn(QuicConnection { client, standing, guard: Arc::new(guard) }.run(incoming));
    }
}

struct QuicConnection {
    client: Client,
    standing: ConnectionRules,
    guard: Arc<Guard>,
}

impl QuicConnection {
    async fn run(mut self, incoming: Incoming) {
        // Like an idle connection, a handshake gives way to others.
        let shaken = tokio::select! {
            shaken = timeout(self.standing.rules.limits.handshake, incoming) => shaken,
            () = self.guard.closed() => return metrics::HANDSHAKES_FAILED.inc(),
        };
        let Ok(Ok(connection)) = shaken else {
            tracing::trace!(?shaken, peer = %self.client.peer, "a QUIC handshake failed");
            return metrics::HANDSHAKES_FAILED.inc();
        };
        let held = ConnectionRoom::new(&self.guard);
        let mut tasks = JoinSet::new();
        let mut active = Instant::now();
        let (mut stopping, mut expired) = (false, false);
        let code = loop {
            let idle = tasks.is_empty();
            self.guard.note(idle);
            let limits = &self.standing.rules.limits;
            let quiet = if stopping { LINGER } else { limits.idle };
            let taken = tasks.len() < limits.in_flight_per_connection && !expired;
            tokio::select! {
                Some(answered) = tasks.join_next(), if !idle => match answered {
                    // RFC 9250 section 4.3.3: the whole connection ends.
                    Ok(Err(StreamFault::Protocol)) => break PROTOCOL_ERROR,
                    _ => active = Instant::now(),
                },
                stream = connection.accept_bi(), if taken => match stream {
                    Ok((sending, receiving)) => {
                        active = Instant::now();
                        tasks.spawn(answer(sending, receiving, self.client, self.standing.rules.clone(), held.clone()));
                    }
                    // The client has closed the connection, or it is lost: nobody waits for answers.
                    Err(_) => return,
                },
                news = self.standing.news(), if !stopping => if news != News::Stay {
                    (stopping, expired, active) = (true, news == News::Expired, Instant::now());
                },
                () = self.guard.closed() => break EXCESSIVE_LOAD,
                () = sleep_until(active + quiet), if idle => break NO_ERROR,
            }
        };
        connection.close(code, b"");
    }
}

/// Answers the query of one stream.
async fn answer(
    mut sending: SendStream,
    receiving: RecvStream,
    client: Client,
    rules: Arc<Rules>,
    held: ConnectionRoom,
) -> Result<(), StreamFault> {
    let answered = exchange(&mut sending, receiving, client, &rules, &held).await;
    let status = match answered {
        Ok(()) => "0x0",
        Err(StreamFault::Protocol) => {
            let _ = sending.reset(PROTOCOL_ERROR);
            "0x2"
        }
        Err(StreamFault::Internal) => {
            let _ = sending.reset(INTERNAL_ERROR);
            "0x1"
        }
    };
    metrics::QUIC_RESPONSES.with_label_values(&[&*rules.handler.table().server, status]).inc();
    answered
}

#[derive(Clone, Copy, Debug)]
enum StreamFault {
    /// The client does not keep to RFC 9250.
    Protocol,
    /// An internal error: there is no answer, or the client did not send or take in time.
    Internal,
}

async fn exchange(
    sending: &mut SendStream,
    mut receiving: RecvStream,
    client: Client,
    rules: &Rules,
    held: &ConnectionRoom,
) -> Result<(), StreamFault> {
    let limits = &rules.limits;
    let (octets, whole) = timeout(limits.read, receive(&mut receiving)).await.map_err(|_| StreamFault::Internal)??;
    // RFC 9250 section 4.2.1: the id is zero.
    if octets.first_chunk() != Some(&[0, 0]) || has_keepalive(&octets) {
        return Err(StreamFault::Protocol);
    }
    let (answer, _room) =
        held.answer(&rules.handler, &octets, client, limits.write).await.ok_or(StreamFault::Internal)?;
    let messages = std::iter::once(answer.octets).chain(answer.more.into_iter().flatten());
    for message in messages {
        let len = u16::try_from(message.len()).map_err(|_| StreamFault::Internal)?;
        let mut framed = [len.to_be_bytes().to_vec().into(), message.into()];
        let sent = timeout(limits.write, sending.write_all_chunks(&mut framed)).await;
        sent.map_err(|_| StreamFault::Internal)?.map_err(|_| StreamFault::Internal)?;
    }
    sending.finish().map_err(|_| StreamFault::Internal)?;
    // Until the client has it, the answer is held here.
    let (taken, rest) = tokio::join!(
        timeout(limits.write, sending.stopped()),
        timeout(limits.read, async { if whole { receiving.read_to_end(0).await.map(drop) } else { Ok(()) } })
    );
    match (rest, taken) {
        // RFC 9250 section 4.3.3: a second query on one stream.
        (Ok(Err(ReadToEndError::TooLong)), _) => Err(StreamFault::Protocol),
        (_, Err(_)) => Err(StreamFault::Internal),
        _ => Ok(()),
    }
}

/// The query of a stream, and whether it is whole: of one that is too long only the header is read, which gets FORMERR.
async fn receive(stream: &mut RecvStream) -> Result<(Vec<u8>, bool), StreamFault> {
    // RFC 9250 section 4.3.3: a stream that ends before its message does. One that is reset is the client's affair.
    let ended = |error| match error {
        ReadExactError::FinishedEarly(_) => StreamFault::Protocol,
        ReadExactError::ReadError(_) => StreamFault::Internal,
    };
    let mut len = [0; 2];
    stream.read_exact(&mut len).await.map_err(ended)?;
    let (len, whole) = match usize::from(u16::from_be_bytes(len)) {
        ..Header::LEN => return Err(StreamFault::Protocol),
        len @ Header::LEN..=LONGEST_QUERY => (len, true),
        _ => (Header::LEN, false),
    };
    let mut octets = vec![0; len];
    stream.read_exact(&mut octets).await.map_err(ended)?;
    Ok((octets, whole))
}

/// Whether a query has the option of TCP that keeps connections open, which QUIC has in its own way.
fn has_keepalive(octets: &[u8]) -> bool {
    const TCP_KEEPALIVE: u16 = 11;
    // No record behind the question, no options.
    Header::of(octets).is_some_and(|header| header.counts[3] > 0)
        && message::decode(octets).is_ok_and(|message| {
            message
                .edns
                .is_some_and(|edns| edns.options().as_ref().iter().any(|(code, _)| u16::from(*code) == TCP_KEEPALIVE))
        })
}

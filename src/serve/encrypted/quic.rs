//! DNS over QUIC (RFC 9250): a query and its answer on each stream.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, Incoming, RecvStream, SendStream, TokioRuntime, TransportConfig, VarInt};
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::held::Held;
use crate::plugins::chain::{Client, Transport};
use crate::serve::connections::{Connections, Guard};
use crate::serve::mmsg::REQUEST;
use crate::serve::tcp::canonical;
use crate::serve::{Handler, Limits, metrics};

/// How long a connection must be quiet after the order to stop before it is closed: answers may still be on their way.
const LINGER: Duration = Duration::from_millis(200);

/// The shortest message: a header.
const HEADER: usize = 12;

/// What may be under way of one connection in each direction, in octets: two of the longest answers.
const WINDOW: u32 = 128 * 1024;

/// The codes of RFC 9250 section 4.3 that are sent.
const INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);

/// Listens on a socket; on a runtime.
///
/// # Errors
/// When the settings of TLS are not fit for QUIC, or the socket is not.
pub(in crate::serve) fn listen(socket: UdpSocket, tls: Arc<ServerConfig>, limits: &Limits) -> io::Result<Endpoint> {
    let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(u32::try_from(limits.in_flight_per_connection).unwrap_or(u32::MAX).into())
        .stream_receive_window(VarInt::from_u32(2 + REQUEST as u32))
        .receive_window(WINDOW.into())
        .send_window(WINDOW.into())
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        // A client that has vanished; one that is idle is closed before by ourselves.
        .max_idle_timeout((limits.idle + limits.handshake).try_into().ok());
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(TokioRuntime))
}

/// Serves an endpoint until the order to stop, then waits for the connections that are open.
pub(in crate::serve) async fn serve(
    endpoint: Endpoint,
    address: SocketAddr,
    handler: Arc<Handler>,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let connections = Connections::new(limits.connections);
    let mut tasks = JoinSet::new();
    let told = stopped.clone();
    loop {
        let incoming = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
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
        let Some(guard) = connections.admit() else {
            incoming.refuse();
            continue;
        };
        let client = Client {
            peer: canonical(incoming.remote_address()),
            local: canonical(address),
            transport: Transport::Quic,
        };
        let connection = Connection { client, handler: handler.clone(), limits, guard };
        tasks.spawn(connection.run(incoming, told.clone()));
    }
    endpoint.set_server_config(None);
    drop(endpoint);
    while tasks.join_next().await.is_some() {}
}

struct Connection {
    client: Client,
    handler: Arc<Handler>,
    limits: Limits,
    guard: Guard,
}

impl Connection {
    async fn run(self, incoming: Incoming, mut stopped: watch::Receiver<bool>) {
        // Like an idle connection, a handshake gives way to others.
        let shaken = tokio::select! {
            shaken = timeout(self.limits.handshake, incoming) => shaken,
            () = self.guard.closed() => return metrics::HANDSHAKES_FAILED.inc(),
        };
        let Ok(Ok(connection)) = shaken else {
            tracing::trace!(?shaken, peer = %self.client.peer, "a QUIC handshake failed");
            return metrics::HANDSHAKES_FAILED.inc();
        };
        let held = Held::new();
        let mut tasks = JoinSet::new();
        let mut active = Instant::now();
        let mut stopping = false;
        loop {
            let idle = tasks.is_empty();
            self.guard.note(idle);
            let quiet = if stopping { LINGER } else { self.limits.idle };
            tokio::select! {
                Some(_) = tasks.join_next(), if !idle => active = Instant::now(),
                stream = connection.accept_bi(), if tasks.len() < self.limits.in_flight_per_connection => match stream {
                    Ok((sending, receiving)) => {
                        active = Instant::now();
                        tasks.spawn(answer(sending, receiving, self.client, self.handler.clone(), held.clone(), self.limits));
                    }
                    // The client has closed the connection, or it is lost: nobody waits for answers.
                    Err(_) => return,
                },
                _ = stopped.wait_for(|stopped| *stopped), if !stopping => {
                    (stopping, active) = (true, Instant::now());
                }
                () = self.guard.closed() => return,
                () = sleep_until(active + quiet), if idle => return,
            }
        }
    }
}

/// Answers the query of one stream.
async fn answer(
    mut sending: SendStream,
    receiving: RecvStream,
    client: Client,
    handler: Arc<Handler>,
    held: Held,
    limits: Limits,
) {
    let status = match exchange(&mut sending, receiving, client, &handler, &held, &limits).await {
        Ok(()) => "0x0",
        Err(Fault::Protocol) => {
            let _ = sending.reset(PROTOCOL_ERROR);
            "0x2"
        }
        Err(Fault::Internal) => {
            let _ = sending.reset(INTERNAL_ERROR);
            "0x1"
        }
    };
    metrics::QUIC_RESPONSES.with_label_values(&[&*handler.plan().server, status]).inc();
}

enum Fault {
    /// The client does not keep to RFC 9250.
    Protocol,
    /// There is no answer, or the client did not send or take in time.
    Internal,
}

async fn exchange(
    sending: &mut SendStream,
    receiving: RecvStream,
    client: Client,
    handler: &Arc<Handler>,
    held: &Held,
    limits: &Limits,
) -> Result<(), Fault> {
    let octets = timeout(limits.read, receive(receiving)).await.map_err(|_| Fault::Internal)??;
    // RFC 9250 section 4.2.1: the id is zero.
    if octets.first_chunk() != Some(&[0, 0]) {
        return Err(Fault::Protocol);
    }
    let (answer, _room) = held.answer(handler, &octets, client, limits.write).await.ok_or(Fault::Internal)?;
    let messages = std::iter::once(answer.octets).chain(answer.more.into_iter().flatten());
    for message in messages {
        let len = u16::try_from(message.len()).map_err(|_| Fault::Internal)?;
        let mut framed = [len.to_be_bytes().to_vec().into(), message.into()];
        let sent = timeout(limits.write, sending.write_all_chunks(&mut framed)).await;
        sent.map_err(|_| Fault::Internal)?.map_err(|_| Fault::Internal)?;
    }
    sending.finish().map_err(|_| Fault::Internal)
}

/// The query of a stream. Of one that is too long its header alone, which gets FORMERR; the rest is refused.
async fn receive(mut stream: RecvStream) -> Result<Vec<u8>, Fault> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).await.map_err(|_| Fault::Internal)?;
    let len = match usize::from(u16::from_be_bytes(len)) {
        ..HEADER => return Err(Fault::Protocol),
        len @ HEADER..=REQUEST => len,
        _ => HEADER,
    };
    let mut octets = vec![0; len];
    stream.read_exact(&mut octets).await.map_err(|_| Fault::Internal)?;
    Ok(octets)
}

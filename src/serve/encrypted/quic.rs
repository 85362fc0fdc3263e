//! DNS over QUIC (RFC 9250): a query and its answer on each stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_server::net::NetError;
use hickory_server::net::quic::{DoqErrorCode, QuicServer, QuicStream, QuicStreams};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::plugins::chain::{Client, Transport};
use crate::serve::connections::{Connections, Guard};
use crate::serve::tcp::canonical;
use crate::serve::{Handler, Limits, metrics};

/// How long a connection must be quiet after the order to stop before it is closed: answers may still be on their way.
const LINGER: Duration = Duration::from_millis(200);

/// Serves a socket until the order to stop, then waits for the connections that are open.
pub(in crate::serve) async fn serve(
    mut server: QuicServer,
    address: SocketAddr,
    handler: Arc<Handler>,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let connections = Connections::new(limits.connections);
    let mut tasks = JoinSet::new();
    let told = stopped.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = server.next() => accepted,
        };
        match accepted {
            Ok(Some((streams, peer))) => {
                let Some(guard) = connections.admit() else { continue };
                let client = Client { peer: canonical(peer), local: canonical(address), transport: Transport::Quic };
                let connection = Connection { client, handler: handler.clone(), limits, guard };
                tasks.spawn(connection.run(streams, told.clone()));
            }
            // The socket is gone.
            Ok(None) => break,
            Err(error) => {
                metrics::HANDSHAKES_FAILED.inc();
                tracing::trace!(%error, "a QUIC handshake failed");
            }
        }
    }
    drop(server);
    while tasks.join_next().await.is_some() {}
}

struct Connection {
    client: Client,
    handler: Arc<Handler>,
    limits: Limits,
    guard: Guard,
}

impl Connection {
    async fn run(self, mut streams: QuicStreams, mut stopped: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let mut active = Instant::now();
        let mut stopping = false;
        loop {
            let idle = tasks.is_empty();
            self.guard.note(idle);
            let quiet = if stopping { LINGER } else { self.limits.idle };
            tokio::select! {
                Some(_) = tasks.join_next(), if !idle => active = Instant::now(),
                stream = streams.next(), if tasks.len() < self.limits.in_flight_per_connection => match stream {
                    Some(Ok(stream)) => {
                        active = Instant::now();
                        tasks.spawn(answer(stream, self.client, self.handler.clone(), self.limits));
                    }
                    // The client has closed the connection, or it is lost: nobody waits for answers.
                    Some(Err(_)) | None => return,
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
async fn answer(mut stream: QuicStream, client: Client, handler: Arc<Handler>, limits: Limits) {
    let status = match exchange(&mut stream, client, &handler, &limits).await {
        Ok(()) => "0x0",
        Err(Fault::Protocol) => {
            let _ = stream.reset(DoqErrorCode::ProtocolError);
            "0x2"
        }
        Err(Fault::Internal) => {
            let _ = stream.reset(DoqErrorCode::InternalError);
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
    stream: &mut QuicStream,
    client: Client,
    handler: &Arc<Handler>,
    limits: &Limits,
) -> Result<(), Fault> {
    let octets = timeout(limits.read, stream.receive_bytes()).await.map_err(|_| Fault::Internal)?;
    let octets = octets.map_err(|_| Fault::Internal)?;
    // RFC 9250 section 4.2.1: the id is zero.
    if octets.first_chunk() != Some(&[0, 0]) {
        return Err(Fault::Protocol);
    }
    let answer = handler.clone().answer(&octets, client).await.ok_or(Fault::Internal)?;
    let messages = std::iter::once(answer.octets).chain(answer.more.into_iter().flatten());
    for message in messages {
        send(stream, message, limits).await.map_err(|_| Fault::Internal)?;
    }
    stream.finish().await.map_err(|_| Fault::Internal)
}

async fn send(stream: &mut QuicStream, octets: Vec<u8>, limits: &Limits) -> Result<(), NetError> {
    timeout(limits.write, stream.send_bytes(octets.into())).await.unwrap_or_else(|_| Err(NetError::Timeout))
}

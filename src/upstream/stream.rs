//! Connections to one upstream, over TCP or TLS, kept for the next query.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use super::octets::{Matches, Sent};
use super::udp::reason;
use super::{Error, Trouble};

/// The rules by which connections are kept for the next query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// The time that one may rest.
    pub expire: Duration,
    /// The age that one may reach; `None` for any.
    pub max_age: Option<Duration>,
    /// The number that may rest; 0 for as many as the upstream's pool holds.
    pub max_idle: usize,
}

/// Connections at rest, the last used at the end.
#[derive(Debug)]
pub(super) struct StreamPool {
    to: SocketAddr,
    source: Option<IpAddr>,
    tls: Option<StreamTls>,
    keep: Connections,
    resting: Mutex<Vec<Resting>>,
    /// Whether a task closes connections at their time.
    closing: AtomicBool,
}

/// The settings of TLS.
#[derive(Clone, Debug)]
pub(super) struct StreamTls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

struct Resting {
    connection: StreamConnection,
    since: Instant,
}

struct StreamConnection {
    stream: Box<dyn Stream>,
    here: SocketAddr,
    made: Instant,
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

impl std::fmt::Debug for Resting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resting").field("here", &self.connection.here).finish_non_exhaustive()
    }
}

/// At most this many connections rest, whatever the operator says of none: each is a file descriptor here and there.
const MOST_RESTING: usize = 256;
/// The answers to other queries that are passed over, and the octets they may have: late ones are few.
const MOST_OTHERS: (usize, usize) = (16, 256 << 10);
/// A connection and its handshake take at most this long: half of what a query has, so that another can be tried.
const DIAL: Duration = Duration::from_millis(2500);

impl StreamPool {
    pub(super) fn new(to: SocketAddr, source: Option<IpAddr>, tls: Option<StreamTls>, keep: Connections) -> Self {
        Self { to, source, tls, keep, resting: Mutex::default(), closing: AtomicBool::new(false) }
    }

    /// Asks over a resting connection, or a new one; a resting one that the other side has closed costs no failure.
    /// Calls `reused` with whether the connection was there already.
    pub(super) async fn exchange(
        self: &Arc<Self>,
        sent: &Sent,
        read_timeout: Duration,
        until: Instant,
        reused: impl Fn(bool),
    ) -> Result<Vec<u8>, Error> {
        while let Some(mut connection) = self.take() {
            reused(true);
            let limit = until.min(Instant::now() + read_timeout);
            match ask(&mut connection, self.to, sent, limit).await {
                Ok(reply) => {
                    self.rest(connection);
                    return Ok(reply);
                }
                Err(error) if error.trouble == Trouble::Silence => return Err(error),
                Err(_) => {}
            }
        }
        reused(false);
        let mut connection = self.dial(until.min(Instant::now() + DIAL)).await?;
        let limit = until.min(Instant::now() + read_timeout);
        let reply = ask(&mut connection, self.to, sent, limit).await?;
        self.rest(connection);
        Ok(reply)
    }

    fn take(&self) -> Option<StreamConnection> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        self.sweep(&mut resting);
        resting.pop().map(|one| one.connection)
    }

    fn rest(self: &Arc<Self>, connection: StreamConnection) {
        let most = match self.keep.max_idle {
            0 => MOST_RESTING,
            most => most.min(MOST_RESTING),
        };
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        self.sweep(&mut resting);
        if resting.len() >= most || self.keep.expire.is_zero() {
            return;
        }
        if !self.closing.swap(true, Ordering::Relaxed) {
            self.close_later();
        }
        resting.push(Resting { connection, since: Instant::now() });
    }

    /// Closes connections at their time though nobody asks any more.
    fn close_later(self: &Arc<Self>) {
        let (pool, pause) = (Arc::downgrade(self), self.keep.expire);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(pool) = pool.upgrade() else { return };
                let mut resting = pool.resting.lock().unwrap_or_else(PoisonError::into_inner);
                pool.sweep(&mut resting);
                if resting.is_empty() {
                    // Under the lock: the next connection that comes to rest starts another.
                    pool.closing.store(false, Ordering::Relaxed);
                    return;
                }
            }
        });
    }

    fn sweep(&self, resting: &mut Vec<Resting>) {
        let (now, keep) = (Instant::now(), &self.keep);
        resting.retain(|one| {
            now - one.since <= keep.expire && keep.max_age.is_none_or(|age| now - one.connection.made <= age)
        });
    }

    async fn dial(&self, until: Instant) -> Result<StreamConnection, Error> {
        let to = self.to;
        let fault =
            |error: std::io::Error| Error::new(Trouble::Network, format!("dial tcp {to}: connect: {}", reason(&error)));
        let silence = |_| Error::new(Trouble::Silence, format!("dial tcp {to}: i/o timeout"));
        let tcp = timeout_at(until, self.connect()).await.map_err(silence)?.map_err(fault)?;
        let here = tcp.local_addr().map_err(fault)?;
        // One write is one message: waiting for more to send would only delay it.
        tcp.set_nodelay(true).map_err(fault)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let shaking = tokio_rustls::TlsConnector::from(tls.config.clone()).connect(tls.name.clone(), tcp);
                let silence = |_| Error::new(Trouble::Silence, format!("tls handshake {here}->{to}: i/o timeout"));
                let shaken = timeout_at(until, shaking).await.map_err(silence)?;
                Box::new(shaken.map_err(|error| {
                    Error::new(Trouble::Network, format!("tls handshake {here}->{to}: {}", reason(&error)))
                })?)
            }
        };
        Ok(StreamConnection { stream, here, made: Instant::now() })
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        let Some(source) = self.source else { return TcpStream::connect(self.to).await };
        let socket = if self.to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(source, 0))?;
        socket.connect(self.to).await
    }
}

/// One message there and its answer back (RFC 1035 section 4.2.2). Answers to earlier queries are passed over.
async fn ask(connection: &mut StreamConnection, to: SocketAddr, sent: &Sent, until: Instant) -> Result<Vec<u8>, Error> {
    let here = connection.here;
    let talk = async {
        let length = u16::try_from(sent.octets.len()).map_err(std::io::Error::other)?;
        let mut message = length.to_be_bytes().to_vec();
        message.extend_from_slice(&sent.octets);
        connection.stream.write_all(&message).await?;
        connection.stream.flush().await?;
        let (mut others, mut octets) = (0, 0);
        while others < MOST_OTHERS.0 && octets < MOST_OTHERS.1 {
            let mut length = [0; 2];
            connection.stream.read_exact(&mut length).await?;
            let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
            connection.stream.read_exact(&mut reply).await?;
            match sent.compare_trusted(&reply) {
                Matches::Yes => return Ok(reply),
                Matches::No => {
                    others += 1;
                    octets += reply.len();
                }
                _ => return Err(std::io::Error::other("the answer is malformed or to another question")),
            }
        }
        Err(std::io::Error::other("too many answers to other queries"))
    };
    match timeout_at(until, talk).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(Error::new(Trouble::Network, format!("read tcp {here}->{to}: EOF")))
        }
        Ok(Err(error)) => Err(Error::new(Trouble::Network, format!("read tcp {here}->{to}: read: {}", reason(&error)))),
        Err(_) => Err(Error::new(Trouble::Silence, format!("read tcp {here}->{to}: i/o timeout"))),
    }
}

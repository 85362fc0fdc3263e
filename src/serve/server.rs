//! The sockets of one server address, from bind to drain.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::encrypted::{Encryption, Identity, quic};
use super::tcp::Speech;
use super::{Handler, mmsg, tcp, udp};
use crate::plugins::settings::Tls;

/// Limits of one server address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// UDP sockets, each with a thread of its own (`multisocket`); `None` for one per core.
    pub sockets: Option<NonZeroUsize>,
    /// For the handshake of TLS.
    pub handshake: Duration,
    /// To read one message over TCP, from its first octet (`timeouts`).
    pub read: Duration,
    /// To write answers over TCP.
    pub write: Duration,
    /// Between two messages over TCP.
    pub idle: Duration,
    /// How many queries one connection may bring.
    pub queries_per_connection: Option<u32>,
    /// Open connections; past it the one that has been idle longest is closed.
    pub connections: usize,
    /// Queries of one connection that are answered at the same time.
    pub in_flight_per_connection: usize,
}

/// Half of the files that the process may open: the other half is for upstreams, the API and admin.
fn connections() -> usize {
    static FILES: LazyLock<u64> = LazyLock::new(mmsg::raise_file_limit);
    usize::try_from(*FILES / 2).unwrap_or(usize::MAX).clamp(16, 10_000)
}

impl Default for Limits {
    /// The times of CoreDNS; few long-lived connections (node-local caches) may carry everything, so that connections
    /// of one address are not limited. The first call raises the number of files that the process may open.
    fn default() -> Self {
        Self {
            sockets: None,
            handshake: Duration::from_secs(5),
            read: Duration::from_secs(3),
            write: Duration::from_secs(5),
            idle: Duration::from_secs(10),
            queries_per_connection: None,
            connections: connections(),
            in_flight_per_connection: 128,
        }
    }
}

/// A running server: its threads and tasks end with [`drain`](Self::drain), or when it is dropped.
#[derive(Debug)]
pub struct Server {
    handler: Arc<Handler>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    udp: Vec<std::thread::JoinHandle<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    identity: Option<Arc<Identity>>,
}

impl Server {
    /// Binds an address over UDP and TCP and starts to answer. `[::]` takes IPv4 as well, where the system has IPv6;
    /// where it has none, `0.0.0.0` is bound instead. Port 0 takes a free one, the same for both.
    ///
    /// # Errors
    /// When the address cannot be bound; the message names it.
    pub fn start(address: SocketAddr, handler: Arc<Handler>, limits: &Limits, runtime: &Handle) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (address, (listener, sockets)) = bind(address, &|address| bind_both(address, limits))?;
        let mut server =
            Self { handler: handler.clone(), address, stop, udp: Vec::new(), tasks: Vec::new(), identity: None };
        for (index, socket) in sockets.into_iter().enumerate() {
            server.udp.push(udp::start(index, socket, handler.clone(), stopped.clone(), runtime.clone())?);
        }
        let _entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        server.tasks.push(runtime.spawn(tcp::serve(listener, handler, *limits, Speech::Plain, stopped)));
        Ok(server)
    }

    /// Binds an address and answers there below TLS, as [`start`](Self::start) does in the clear.
    ///
    /// # Errors
    /// When the address cannot be bound; the message names it.
    pub fn start_encrypted(
        encryption: Encryption,
        tls: Tls,
        address: SocketAddr,
        handler: Arc<Handler>,
        limits: &Limits,
        runtime: &Handle,
    ) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let identity = Arc::new(Identity::new(tls));
        let config = encryption.config(&identity).map_err(io::Error::other)?;
        let _entered = runtime.enter();
        let limits = *limits;
        let mut tasks = Vec::new();
        let address = match encryption {
            Encryption::Tls | Encryption::Https => {
                let (address, listener) = bind(address, &bind_tcp)?;
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let tls = TlsAcceptor::from(config);
                let speech = if encryption == Encryption::Tls { Speech::Tls(tls) } else { Speech::Https(tls) };
                tasks.push(runtime.spawn(tcp::serve(listener, handler.clone(), limits, speech, stopped)));
                address
            }
            Encryption::Quic => {
                let (address, sockets) = bind(address, &|address| bind_udp(address, &limits))?;
                for socket in sockets {
                    socket.set_nonblocking(true)?;
                    let endpoint = quic::listen(socket, config.clone(), &limits)?;
                    tasks.push(runtime.spawn(quic::serve(endpoint, address, handler.clone(), limits, stopped.clone())));
                }
                address
            }
        };
        Ok(Self { handler, address, stop, udp: Vec::new(), tasks, identity: Some(identity) })
    }

    /// Replaces the certificate of an encrypted server, and what it asks of clients; connections stay.
    pub fn replace_identity(&self, tls: Tls) {
        if let Some(identity) = &self.identity {
            identity.replace(tls);
        }
    }

    /// The address in use.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the queries.
    pub fn handler(&self) -> &Arc<Handler> {
        &self.handler
    }

    /// Stops: sockets are read empty, queries in flight are answered, connections closed, all within `patience`.
    pub async fn drain(mut self, patience: Duration) {
        let deadline = tokio::time::Instant::now() + patience;
        self.stop.send_replace(true);
        let threads = std::mem::take(&mut self.udp);
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = tokio::time::timeout_at(deadline, joined).await;
        for mut task in std::mem::take(&mut self.tasks) {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
        while self.handler.in_flight() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// What binds an address: gives the address with its port, and the sockets.
type Bind<'b, T> = &'b dyn Fn(SocketAddr) -> io::Result<(SocketAddr, T)>;

/// Binds an address, or what stands for it where the system has no IPv6; errors name it.
fn bind<T>(address: SocketAddr, bind: Bind<'_, T>) -> io::Result<(SocketAddr, T)> {
    let named =
        |error: io::Error, address| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    match bind_free(address, bind) {
        Err(error)
            if address.ip() == Ipv6Addr::UNSPECIFIED
                && error.raw_os_error().is_some_and(|code| code == libc::EAFNOSUPPORT) =>
        {
            let address = SocketAddr::from(([0, 0, 0, 0], address.port()));
            bind_free(address, bind).map_err(|error| named(error, address))
        }
        bound => bound.map_err(|error| named(error, address)),
    }
}

fn bind_free<T>(address: SocketAddr, bind: Bind<'_, T>) -> io::Result<(SocketAddr, T)> {
    // A free port of TCP need not be free over UDP.
    let mut tries = if address.port() == 0 { 16 } else { 1 };
    loop {
        tries -= 1;
        match bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            bound => return bound,
        }
    }
}

fn bind_both(
    address: SocketAddr,
    limits: &Limits,
) -> io::Result<(SocketAddr, (std::net::TcpListener, Vec<UdpSocket>))> {
    let (address, listener) = bind_tcp(address)?;
    let (address, sockets) = bind_udp(address, limits)?;
    Ok((address, (listener, sockets)))
}

fn bind_tcp(address: SocketAddr) -> io::Result<(SocketAddr, std::net::TcpListener)> {
    let listener = socket(address, Type::STREAM, Protocol::TCP)?;
    listener.set_reuse_address(true)?;
    listener.bind(&address.into())?;
    listener.listen(1024)?;
    listener.set_nonblocking(true)?;
    let listener = std::net::TcpListener::from(listener);
    let address = SocketAddr::new(address.ip(), listener.local_addr()?.port());
    Ok((address, listener))
}

fn bind_udp(mut address: SocketAddr, limits: &Limits) -> io::Result<(SocketAddr, Vec<UdpSocket>)> {
    let count = limits.sockets.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let mut sockets = Vec::new();
    for _ in 0..count {
        let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
        // A single socket does without, so that a second server on its port is noticed.
        if count > 1 {
            socket.set_reuse_port(true)?;
        }
        // As much as the system allows: bursts wait here while a batch is answered.
        let _ = socket.set_recv_buffer_size(4 << 20);
        let _ = socket.set_send_buffer_size(4 << 20);
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        address.set_port(socket.local_addr()?.port());
        sockets.push(socket);
    }
    Ok((address, sockets))
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests;

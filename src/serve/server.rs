//! The sockets of one server address, from bind to drain.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::{Handler, tcp, udp};

/// Limits of one server address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// UDP sockets, each with a thread of its own (`multisocket`); `None` for one per core.
    pub sockets: Option<NonZeroUsize>,
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

impl Default for Limits {
    /// The times of CoreDNS; few long-lived connections (node-local caches) may carry everything, so that connections
    /// of one address are not limited.
    fn default() -> Self {
        Self {
            sockets: None,
            read: Duration::from_secs(3),
            write: Duration::from_secs(5),
            idle: Duration::from_secs(10),
            queries_per_connection: None,
            connections: 10_000,
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
    tcp: Option<tokio::task::JoinHandle<()>>,
}

impl Server {
    /// Binds an address over UDP and TCP and starts to answer. `[::]` takes IPv4 as well, where the system has IPv6;
    /// where it has none, `0.0.0.0` is bound instead. Port 0 takes a free one, the same for both.
    ///
    /// # Errors
    /// When the address cannot be bound; the message names it.
    pub fn start(address: SocketAddr, handler: Arc<Handler>, limits: &Limits, runtime: &Handle) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (address, listener, sockets) = bind(address, limits)?;
        let mut server = Self { handler: handler.clone(), address, stop, udp: Vec::new(), tcp: None };
        for (index, socket) in sockets.into_iter().enumerate() {
            server.udp.push(udp::start(index, socket, handler.clone(), stopped.clone(), runtime.clone())?);
        }
        let _entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        server.tcp = Some(runtime.spawn(tcp::serve(listener, handler, *limits, stopped)));
        Ok(server)
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
        if let Some(mut tcp) = self.tcp.take()
            && tokio::time::timeout_at(deadline, &mut tcp).await.is_err()
        {
            tcp.abort();
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

/// The listener and the UDP sockets of an address.
fn bind(address: SocketAddr, limits: &Limits) -> io::Result<(SocketAddr, std::net::TcpListener, Vec<UdpSocket>)> {
    let named =
        |error: io::Error, address| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    match bind_all(address, limits) {
        Err(error)
            if address.ip() == Ipv6Addr::UNSPECIFIED
                && error.raw_os_error().is_some_and(|code| code == libc::EAFNOSUPPORT) =>
        {
            let address = SocketAddr::from(([0, 0, 0, 0], address.port()));
            bind_all(address, limits).map_err(|error| named(error, address))
        }
        bound => bound.map_err(|error| named(error, address)),
    }
}

fn bind_all(address: SocketAddr, limits: &Limits) -> io::Result<(SocketAddr, std::net::TcpListener, Vec<UdpSocket>)> {
    // A free port of TCP need not be free over UDP.
    let mut tries = if address.port() == 0 { 16 } else { 1 };
    loop {
        tries -= 1;
        match bind_both(address, limits) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            bound => return bound,
        }
    }
}

fn bind_both(address: SocketAddr, limits: &Limits) -> io::Result<(SocketAddr, std::net::TcpListener, Vec<UdpSocket>)> {
    let listener = socket(address, Type::STREAM, Protocol::TCP)?;
    listener.set_reuse_address(true)?;
    listener.bind(&address.into())?;
    listener.listen(1024)?;
    listener.set_nonblocking(true)?;
    let listener = std::net::TcpListener::from(listener);
    let address = SocketAddr::new(address.ip(), listener.local_addr()?.port());
    let count = limits.sockets.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let sockets = (0..count)
        .map(|_| {
            let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
            // A single socket does without, so that a second server on its port is noticed.
            if count > 1 {
                socket.set_reuse_port(true)?;
            }
            // As much as the system allows: bursts wait here while a batch is answered.
            let _ = socket.set_recv_buffer_size(4 << 20);
            let _ = socket.set_send_buffer_size(4 << 20);
            socket.bind(&address.into())?;
            Ok(socket.into())
        })
        .collect::<io::Result<_>>()?;
    Ok((address, listener, sockets))
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

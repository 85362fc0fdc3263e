//! One listener for each address, kept for as long as the address is wanted.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::AdminPage;
use super::http::{self, SitePages};
use super::places::ConnectionPlaces;
use crate::tasks;

/// Connections at one address; for the next, the one longest without a complete request is closed.
const CONNECTIONS: usize = 512;
/// Connections that the system makes before we take them, as many as `net.core.somaxconn` allows: a burst must not make a
/// probe wait until it tries again.
const BACKLOG: i32 = 4096;
/// The time for which a listener that is no longer wanted takes connections begun before.
const LINGER: Duration = Duration::from_millis(200);

/// The pages to serve, by address (as a Corefile writes it, `:8080` or `127.0.0.1:8080`) and path.
///
/// Several server blocks may name the same address; they share its listener.
#[derive(Default)]
pub struct Sites(BTreeMap<String, SitePages>);

impl Sites {
    /// Puts a page at an address; a page that is already there under the path gives way.
    pub fn put(&mut self, address: &str, path: &'static str, page: AdminPage) {
        self.0.entry(address.to_owned()).or_default().insert(path, page);
    }
}

impl fmt::Debug for Sites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.0.iter().map(|(address, pages)| (address, pages.keys().collect::<Vec<_>>()));
        f.debug_map().entries(paths).finish()
    }
}

/// The listeners of the whole process.
#[derive(Debug)]
pub struct Admin {
    runtime: Handle,
    sites: BTreeMap<String, ListeningSite>,
}

/// The listener of an address, and others whose addresses are part of it.
struct ListeningSite {
    address: SocketAddr,
    socket: Weak<TcpListener>,
    /// The pages shown; the listener and its connections end when this is dropped.
    pages: watch::Sender<Arc<SitePages>>,
    narrower: Vec<Self>,
}

/// New listeners that are bound and not yet in use: the plan for [`Admin::commit`].
pub struct PreparedSites {
    wanted: Sites,
    bound: BTreeMap<String, TcpListener>,
    /// Ports of listeners that are no longer wanted.
    given_up: Vec<u16>,
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address as written.
    pub address: String,
    /// The reason.
    pub source: io::Error,
}

impl Admin {
    /// A set without listeners; their work will be done on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, sites: BTreeMap::new() }
    }

    /// Binds the addresses that are not bound yet; what is served stays as it is. `free` are ports that others are about to
    /// leave, and let us in.
    ///
    /// # Errors
    /// At the first address that cannot be bound; none is then.
    pub fn prepare(&self, wanted: Sites, free: &dyn Fn(u16) -> bool) -> Result<PreparedSites, BindError> {
        let _guard = self.runtime.enter();
        let gone = self.sites.iter().filter(|(address, _)| !wanted.0.contains_key(*address));
        let given_up: Vec<u16> = gone.map(|(_, site)| site.address.port()).collect();
        let mut bound = BTreeMap::new();
        let spare = |address: &str| self.sites.values().flat_map(|site| &site.narrower).any(|site| site.is_at(address));
        for address in wanted.0.keys().filter(|address| !self.sites.contains_key(*address) && !spare(address)) {
            let listener = bind(address, &|port| free(port) || given_up.contains(&port))
                .and_then(TcpListener::from_std)
                .map_err(|source| BindError { address: address.clone(), source })?;
            bound.insert(address.clone(), listener);
        }
        Ok(PreparedSites { wanted, bound, given_up })
    }

    /// Changes over: new listeners begin, kept ones show the new pages, and those that are no longer wanted end, unless
    /// their addresses are part of another.
    pub fn commit(&mut self, prepared: PreparedSites) {
        let PreparedSites { wanted, mut bound, .. } = prepared;
        let mut before = std::mem::take(&mut self.sites);
        let mut spare: Vec<ListeningSite> =
            before.values_mut().flat_map(|site| std::mem::take(&mut site.narrower)).collect();
        for (address, pages) in wanted.0 {
            let listener = bound.remove(&address);
            let kept = before.remove(&address).or_else(|| {
                let index = spare.iter().position(|site| site.is_at(&address))?;
                Some(spare.swap_remove(index))
            });
            let Some(site) = kept.or_else(|| listener.map(|listener| ListeningSite::start(listener, &self.runtime)))
            else {
                continue;
            };
            site.pages.send_replace(Arc::new(pages));
            self.sites.insert(address, site);
        }
        for site in before.into_values().chain(spare) {
            if let Some(wider) = self.sites.values_mut().find(|wider| wider.holds(&site)) {
                let shown = wider.pages.borrow().clone();
                site.pages.send_replace(shown);
                wider.narrower.push(site);
            }
        }
    }

    /// Lets other sockets of this process be bound beside the listeners, or nobody again.
    pub fn share(&self, shared: bool) {
        self.sites.values().for_each(|site| site.share(shared));
    }

    /// The address that is listened on for an address as written.
    pub fn address(&self, written: &str) -> Option<SocketAddr> {
        self.sites.get(written).map(|site| site.address)
    }
}

impl PreparedSites {
    /// Whether a listener on this port is about to end.
    pub fn gives_up(&self, port: u16) -> bool {
        self.given_up.contains(&port)
    }
}

impl ListeningSite {
    fn start(listener: TcpListener, runtime: &Handle) -> Self {
        let address = listener.local_addr().unwrap_or_else(|_| (Ipv6Addr::UNSPECIFIED, 0).into());
        let listener = Arc::new(listener);
        let socket = Arc::downgrade(&listener);
        let (pages, shown) = watch::channel(Arc::default());
        runtime.spawn(serve(listener, shown));
        Self { address, socket, pages, narrower: Vec::new() }
    }

    /// Whether this is its address.
    fn is_at(&self, written: &str) -> bool {
        written.parse() == Ok(self.address)
    }

    /// Whether the address of another is part of its own.
    fn holds(&self, other: &Self) -> bool {
        let (wide, narrow) = (self.address, other.address);
        let family = wide.is_ipv4() == narrow.is_ipv4() || wide.is_ipv6();
        wide.port() == narrow.port() && (wide == narrow || (wide.ip().is_unspecified() && family))
    }

    fn share(&self, shared: bool) {
        if let Some(socket) = self.socket.upgrade() {
            let _ = SockRef::from(&*socket).set_reuse_port(shared);
        }
        self.narrower.iter().for_each(|site| site.share(shared));
    }
}

impl fmt::Debug for ListeningSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Debug for PreparedSites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on TCP address {}: {}", self.address, self.source)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

async fn serve(listener: Arc<TcpListener>, pages: watch::Receiver<Arc<SitePages>>) {
    while tasks::caught("admin", accept(&listener, &pages)).await.is_none() {}
}

async fn accept(listener: &TcpListener, pages: &watch::Receiver<Arc<SitePages>>) {
    let places = ConnectionPlaces::new(CONNECTIONS);
    let mut shown = pages.clone();
    // Until nothing is shown any more, and a moment longer: who has begun to connect by then comes in.
    let gone = async {
        while shown.changed().await.is_ok() {}
        tokio::time::sleep(LINGER).await;
    };
    let mut gone = pin!(gone);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut gone => break,
        };
        match accepted {
            Ok((stream, _)) => http::begin(http::greeted(stream), pages.clone(), places.take()),
            // Out of file descriptors, or a client that is gone already: neither ends the listener, and the first must not spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
        http::begin(http::greeted(stream), pages.clone(), places.take());
    }
}

/// Binds `HOST:PORT`; without a host, all addresses of both families, or of IPv4 where the machine has no IPv6.
/// `is_ours` says whether a port may be ours.
fn bind(written: &str, is_ours: &dyn Fn(u16) -> bool) -> io::Result<std::net::TcpListener> {
    let listen = |address: SocketAddr| match listen(address, false) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_ours(address.port()) => listen(address, true),
        done => done,
    };
    let port = |text: &str| text.parse::<u16>().map_err(|_| io::Error::other(format!("`{text}` is no port")));
    match written.strip_prefix(':') {
        None => {
            let mut fault = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
            for address in written.to_socket_addrs()? {
                match listen(address) {
                    Ok(listener) => return Ok(listener),
                    Err(error) => fault = error,
                }
            }
            Err(fault)
        }
        Some(text) => {
            let port = port(text)?;
            match listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
                Err(error)
                    if error.kind() != io::ErrorKind::AddrInUse && error.kind() != io::ErrorKind::PermissionDenied =>
                {
                    listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
                }
                done => done,
            }
        }
    }
}

/// `beside` others of this process, or alone.
fn listen(address: SocketAddr, beside: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restart must not wait for the connections of the last run to time out.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(beside)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests;

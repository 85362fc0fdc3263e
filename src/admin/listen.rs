//! One listener for each address, kept for as long as the address is wanted.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::Page;
use super::http::{self, Pages};
use super::places::Places;

/// Connections at one address; for the next, the one longest without a complete request is closed.
const CONNECTIONS: usize = 128;
/// The kernel's queue of connections not yet accepted.
const BACKLOG: i32 = 128;

/// What is to be served: pages by address (as a Corefile writes it, `:8080` or `127.0.0.1:8080`) and path.
///
/// Several server blocks may name the same address; they share its listener.
#[derive(Default)]
pub struct Sites(BTreeMap<String, Pages>);

impl Sites {
    /// Puts a page at an address; a page that is already there under the path gives way.
    pub fn put(&mut self, address: &str, path: &'static str, page: Page) {
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
    sites: BTreeMap<String, Site>,
}

struct Site {
    address: SocketAddr,
    pages: Arc<RwLock<Arc<Pages>>>,
    accepting: AbortHandle,
}

/// New listeners that are bound and not yet in use: the plan for [`Admin::commit`].
pub struct Prepared {
    wanted: Sites,
    bound: BTreeMap<String, std::net::TcpListener>,
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address as written.
    pub address: String,
    /// Why not.
    pub source: io::Error,
}

impl Admin {
    /// No listener yet; their work is done on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, sites: BTreeMap::new() }
    }

    /// Binds the addresses that are not bound yet; what is served stays as it is.
    ///
    /// # Errors
    /// At the first address that cannot be bound; none is then.
    pub fn prepare(&self, wanted: Sites) -> Result<Prepared, BindError> {
        let mut bound = BTreeMap::new();
        for address in wanted.0.keys().filter(|address| !self.sites.contains_key(*address)) {
            let listener = bind(address).map_err(|source| BindError { address: address.clone(), source })?;
            bound.insert(address.clone(), listener);
        }
        Ok(Prepared { wanted, bound })
    }

    /// Changes over: new listeners begin, kept ones show the new pages, and those that are no longer wanted end.
    ///
    /// # Errors
    /// When the runtime takes no listener, which it does as long as it runs.
    pub fn commit(&mut self, prepared: Prepared) -> Result<(), BindError> {
        let Prepared { wanted, mut bound } = prepared;
        self.sites.retain(|address, _| wanted.0.contains_key(address));
        for (address, pages) in wanted.0 {
            if let Some(site) = self.sites.get(&address) {
                *site.pages.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pages);
            } else if let Some(listener) = bound.remove(&address) {
                let site = Site::start(listener, pages, &self.runtime)
                    .map_err(|source| BindError { address: address.clone(), source })?;
                self.sites.insert(address, site);
            }
        }
        Ok(())
    }

    /// Where an address as written is really listened on.
    pub fn address(&self, written: &str) -> Option<SocketAddr> {
        self.sites.get(written).map(|site| site.address)
    }
}

impl Site {
    fn start(listener: std::net::TcpListener, pages: Pages, runtime: &Handle) -> io::Result<Self> {
        let _guard = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let pages = Arc::new(RwLock::new(Arc::new(pages)));
        let accepting = runtime.spawn(accept(listener, pages.clone())).abort_handle();
        Ok(Self { address, pages, accepting })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Debug for Prepared {
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

async fn accept(listener: TcpListener, pages: Arc<RwLock<Arc<Pages>>>) {
    let places = Places::new(CONNECTIONS);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (pages, place) = (pages.clone(), places.take());
                tokio::spawn(async move {
                    let current = || {
                        place.renew();
                        pages.read().unwrap_or_else(PoisonError::into_inner).clone()
                    };
                    tokio::select! {
                        () = http::serve(stream, current) => {}
                        () = place.lost() => {}
                    }
                });
            }
            // Out of file descriptors, or a client that is gone already: neither ends the listener, and the first must not spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Binds `HOST:PORT`; without a host, all addresses of both families, or of IPv4 where the machine has no IPv6.
fn bind(written: &str) -> io::Result<std::net::TcpListener> {
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

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restart must not wait for the connections of the last run to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests;

//! The sockets of one port, from bind to drain.
//!
//! What is served there changes as a whole: [`Server::prepare`] binds what is new, [`Server::commit`] changes over. Sockets
//! and connections stay as far as their addresses are still served, be it by a wider address or a narrower one; what
//! comes in through a socket that goes is answered before.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use quinn::Endpoint;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::accept::Accept;
use super::connection_rules::{Orders, Rules, Secure};
use super::connections::ConnectionTable;
use super::encrypted::{Encryption, quic};
use super::limits::Limits;
use super::load::LoadLimits;
use super::sockets::{self, BindPlace};
use super::udp::{DataThread, Others as _};
use super::udp_threads::{self, Crew};
use super::{Handler, RouteTable};
use crate::chain::settings::Tls;

/// One address of a port, with all that is served there.
#[derive(Debug)]
pub struct Site {
    /// The address; `[::]` takes IPv4 as well, where the system has IPv6; where it has none, `0.0.0.0` is bound instead.
    /// Port 0 takes a free one, the same for UDP and TCP.
    pub address: SocketAddr,
    /// The route table by which queries are answered.
    pub table: RouteTable,
    /// Limits of its connections.
    pub limits: Limits,
    /// The certificate and settings of TLS, where it is encrypted.
    pub tls: Option<Tls>,
}

/// The server of a port: its threads and tasks end with [`drain`](Self::drain), or when it is dropped.
#[derive(Debug)]
pub struct Server {
    encryption: Option<Encryption>,
    load: LoadLimits,
    runtime: Handle,
    /// The address that is bound for each that was asked for.
    addresses: BTreeMap<SocketAddr, SocketAddr>,
    orders: watch::Sender<Orders>,
    connections: Option<Arc<ConnectionTable>>,
    udp: Arc<Crew>,
    listeners: Vec<Listening>,
}

/// A listener for connections, and the task that takes them.
#[derive(Debug)]
struct Listening {
    address: SocketAddr,
    /// Gone when nothing is taken any more.
    socket: Weak<TcpListener>,
    task: JoinHandle<()>,
}

/// Sockets that are bound and not yet in use, and what is to be served.
#[derive(Debug)]
pub struct PreparedServer {
    addresses: BTreeMap<SocketAddr, SocketAddr>,
    rules: BTreeMap<IpAddr, Arc<Rules>>,
    /// The route tables of addresses that are served already.
    tables: Vec<(Arc<Handler>, RouteTable)>,
    udp: Vec<DataThread>,
    tcp: Vec<(SocketAddr, Arc<TcpListener>)>,
    quic: Vec<(SocketAddr, Endpoint)>,
}

impl Server {
    /// A server that has bound nothing yet.
    pub fn new(encryption: Option<Encryption>, load: LoadLimits, runtime: &Handle) -> Self {
        let orders = watch::Sender::new(Orders::default());
        Self {
            encryption,
            load,
            runtime: runtime.clone(),
            addresses: BTreeMap::new(),
            udp: Crew::new(runtime.clone(), orders.subscribe()),
            orders,
            connections: None,
            listeners: Vec::new(),
        }
    }

    /// Binds what is not bound yet; what is served stays as it is. `shared` says that the port may be in use by another
    /// server of this process, all of which [share](Self::share) theirs meanwhile.
    ///
    /// # Errors
    /// When an address cannot be bound; the message names it.
    pub fn prepare(&self, sites: Vec<Site>, shared: bool) -> io::Result<PreparedServer> {
        let _entered = self.runtime.enter();
        let present = self.orders.borrow().rules.clone();
        let mut prepared = PreparedServer {
            addresses: BTreeMap::new(),
            rules: BTreeMap::new(),
            tables: Vec::new(),
            udp: Vec::new(),
            tcp: Vec::new(),
            quic: Vec::new(),
        };
        let has_v4 = sites.iter().any(|site| site.address.ip() == Ipv4Addr::UNSPECIFIED);
        let shared = shared || sites.len() > 1 || !self.addresses.is_empty();
        for site in sites {
            let limits = self.encryption.map_or(site.limits, |encryption| encryption.bound(site.limits));
            let bound = self.addresses.iter().find(|(asked, bound)| [*asked, *bound].contains(&&site.address));
            let bound = bound.map(|(_, bound)| *bound);
            let before = bound.and_then(|bound| present.get(&bound.ip()));
            let secure = self.secure(site.tls.as_ref(), before.and_then(|rules| rules.secure.as_ref()))?;
            let handler = match before {
                Some(rules) => {
                    prepared.tables.push((rules.handler.clone(), site.table));
                    rules.handler.clone()
                }
                None => Arc::new(Handler::new(site.table, self.load)),
            };
            let address = bound.unwrap_or(site.address);
            let rules = |address| Rules { address, handler: handler.clone(), limits, secure: secure.clone() };
            let place = BindPlace { address, shared, only_v6: has_v4 };
            let bound = self.bind(place, &rules, &mut prepared)?;
            prepared.addresses.insert(site.address, bound);
            prepared.rules.insert(bound.ip(), Arc::new(rules(bound)));
        }
        Ok(prepared)
    }

    /// The settings of TLS: those of before, with their sessions, when they are the same.
    fn secure(&self, tls: Option<&Tls>, before: Option<&Secure>) -> io::Result<Option<Secure>> {
        let (Some(encryption), Some(tls)) = (self.encryption, tls) else { return Ok(None) };
        if let Some(before) = before.filter(|before| before.digest == tls.digest) {
            return Ok(Some(before.clone()));
        }
        let config = encryption.config(tls).map_err(io::Error::other)?;
        Ok(Some(Secure { digest: tls.digest, config }))
    }

    /// Binds what an address lacks, or what stands for it where the system has no IPv6; errors name it.
    fn bind(
        &self,
        place: BindPlace,
        rules: &dyn Fn(SocketAddr) -> Rules,
        prepared: &mut PreparedServer,
    ) -> io::Result<SocketAddr> {
        let named = |error: io::Error, address: SocketAddr| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        };
        match self.bind_free(place, rules, prepared) {
            Err(error)
                if place.address.ip() == Ipv6Addr::UNSPECIFIED
                    && error.raw_os_error().is_some_and(|code| code == libc::EAFNOSUPPORT) =>
            {
                let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, place.address.port()));
                self.bind_free(BindPlace { address, ..place }, rules, prepared).map_err(|error| named(error, address))
            }
            bound => bound.map_err(|error| named(error, place.address)),
        }
    }

    fn bind_free(
        &self,
        place: BindPlace,
        rules: &dyn Fn(SocketAddr) -> Rules,
        prepared: &mut PreparedServer,
    ) -> io::Result<SocketAddr> {
        // A free port of TCP need not be free over UDP.
        let mut tries = if place.address.port() == 0 { 16 } else { 1 };
        loop {
            tries -= 1;
            let (tcp, udp) = (prepared.tcp.len(), prepared.udp.len());
            match self.bind_once(place, rules, prepared) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {
                    prepared.tcp.truncate(tcp);
                    prepared.udp.truncate(udp);
                }
                bound => return bound,
            }
        }
    }

    fn bind_once(
        &self,
        mut place: BindPlace,
        rules: &dyn Fn(SocketAddr) -> Rules,
        prepared: &mut PreparedServer,
    ) -> io::Result<SocketAddr> {
        // One that is about to end, as its address was not served until now, is none.
        let stays = self.orders.borrow().serve(place.address);
        let listens = stays && self.listeners.iter().any(|listening| listening.address == place.address);
        if self.encryption == Some(Encryption::Quic) {
            // A connection is known to its socket alone: there are as many of them as there were at first.
            let wanted = if listens { 0 } else { udp_threads::bounds(&rules(place.address).limits).1 };
            for socket in sockets::udp(place, 0, wanted)? {
                socket.set_nonblocking(true)?;
                sockets::share(&socket, true);
                place.address.set_port(socket.local_addr()?.port());
                prepared.quic.push((place.address, quic::listen(socket, &rules(place.address))?));
            }
            return Ok(place.address);
        }
        if !listens {
            let listener = TcpListener::from_std(sockets::tcp(place)?)?;
            place.address.set_port(listener.local_addr()?.port());
            prepared.tcp.push((place.address, Arc::new(listener)));
        }
        if self.encryption.is_none() {
            let present = self.udp.count(place.address);
            let rules = rules(place.address);
            let (least, _) = udp_threads::bounds(&rules.limits);
            for (index, socket) in sockets::udp(place, present, least)?.into_iter().enumerate() {
                let (handler, runtime) = (rules.handler.clone(), self.runtime.clone());
                let data = DataThread::start(present + index, socket, handler, runtime, Arc::downgrade(&self.udp))?;
                prepared.udp.push(data);
            }
        }
        Ok(place.address)
    }

    /// Changes over: everything goes by what was prepared, and sockets whose address is not served any more end.
    pub fn commit(&mut self, prepared: PreparedServer) {
        let PreparedServer { addresses, rules, tables, udp, tcp, quic } = prepared;
        for (handler, table) in tables {
            handler.replace(table);
        }
        let limits = rules.values().next().map_or_else(Limits::default, |rules| rules.limits);
        self.addresses = addresses;
        self.orders.send_modify(|orders| orders.rules = Arc::new(rules));
        let connections =
            self.connections.get_or_insert_with(|| ConnectionTable::new(limits.connections, limits.unread));
        for (address, listener) in tcp {
            let accept = Accept {
                listener: listener.clone(),
                address,
                encryption: self.encryption,
                connections: connections.clone(),
                orders: self.orders.subscribe(),
            };
            let task = self.runtime.spawn(accept.run());
            self.listeners.push(Listening { address, socket: Arc::downgrade(&listener), task });
        }
        for (address, endpoint) in quic {
            let served = quic::serve(endpoint, address, connections.clone(), self.orders.subscribe());
            let task = self.runtime.spawn(served);
            self.listeners.push(Listening { address, socket: Weak::new(), task });
        }
        // Those that are new take what comes from now on.
        self.udp.change(udp);
        self.listeners.retain(|listening| !listening.task.is_finished());
    }

    /// Lets other sockets of this process be bound beside those of this server, or nobody again.
    pub fn share(&self, shared: bool) {
        for socket in self.listeners.iter().filter_map(|listening| listening.socket.upgrade()) {
            sockets::share(&socket, shared);
        }
        self.udp.share(shared);
    }

    /// The addresses in use.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.values().copied()
    }

    /// The number of queries that wait for plugins.
    pub(super) fn in_flight(&self) -> usize {
        self.orders.borrow().rules.values().map(|rules| rules.handler.in_flight()).sum()
    }

    /// Stops: sockets are read empty, queries in flight are answered, connections closed, all within `patience`.
    pub async fn drain(mut self, patience: Duration) {
        let deadline = tokio::time::Instant::now() + patience;
        self.orders.send_modify(|orders| orders.stop = true);
        let threads = self.udp.take();
        let joined = tokio::task::spawn_blocking(move || {
            threads.iter().for_each(DataThread::leave);
            threads.into_iter().for_each(DataThread::join);
        });
        let _ = tokio::time::timeout_at(deadline, joined).await;
        for mut listening in std::mem::take(&mut self.listeners) {
            if tokio::time::timeout_at(deadline, &mut listening.task).await.is_err() {
                listening.task.abort();
            }
        }
        while self.in_flight() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.orders.send_modify(|orders| orders.stop = true);
    }
}

#[cfg(test)]
mod tests;

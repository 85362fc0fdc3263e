//! The sockets of an address: how they are bound, and taken out of use.
//!
//! Nobody else can listen where we do: a socket is bound by itself first. Where that fails because another of our own is
//! there (an address that is part of all addresses, another protocol), both are made to share the port until the change
//! is done. The system sends what comes to the narrower of two, and to each of several that are alike a share. A process that
//! is to take over from this one, where both are told so, is one of our own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that the system makes before we take them; it allows as many as `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The octets of a TCP connection that may lie with the system. One of the longest answers fits into what leaves; of
/// what arrives, hundreds of queries do.
const SEND_BUFFER: usize = 64 << 10;
const RECEIVE_BUFFER: usize = 16 << 10;

/// The octets that may lie with the system for all UDP sockets of an address, and for each at least: bursts wait there
/// while a batch is answered.
const BURSTS: usize = 8 << 20;
const BURST: usize = 256 << 10;

/// The address of a socket, and those beside which it is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BindPlace {
    pub(super) address: SocketAddr,
    /// The port may be in use by ourselves.
    pub(super) shared: bool,
    /// All addresses of IPv4 have a socket of their own.
    pub(super) only_v6: bool,
}

/// Listens for connections.
pub(super) fn tcp(place: BindPlace) -> io::Result<TcpListener> {
    let open = |reuse: bool| {
        let socket = socket(place, Type::STREAM, Protocol::TCP)?;
        // A restart need not wait for the connections of the last run to time out.
        socket.set_reuse_address(true)?;
        // Connections inherit these.
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        let _ = socket.set_tcp_nodelay(true);
        socket.set_reuse_port(reuse)?;
        socket.bind(&place.address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let listener = TcpListener::from(bound(place, open)?);
    // Whoever leaves must have nobody in line when it closes.
    #[cfg(target_os = "linux")]
    super::mmsg::prefer_second(&listener);
    Ok(listener)
}

/// Binds as many sockets as are wanted of an address that has some already.
pub(super) fn udp(mut place: BindPlace, present: usize, wanted: usize) -> io::Result<Vec<UdpSocket>> {
    let mut sockets = Vec::<UdpSocket>::new();
    for _ in present..wanted {
        let open = |reuse: bool| open_udp(place, wanted, reuse);
        let socket = match sockets.is_empty() {
            true => bound(place, open)?,
            false => open(true)?,
        };
        if wanted > 1 {
            socket.set_reuse_port(true)?;
        }
        let socket = UdpSocket::from(socket);
        // A free port is the same for all of them.
        place.address.set_port(socket.local_addr()?.port());
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Binds a UDP socket beside another one, which [shares](share) its port, as one of so many.
pub(super) fn beside(other: &UdpSocket, all: usize) -> io::Result<UdpSocket> {
    let address = other.local_addr()?;
    let only_v6 = address.is_ipv6() && SockRef::from(other).only_v6()?;
    Ok(open_udp(BindPlace { address, shared: true, only_v6 }, all, true)?.into())
}

fn open_udp(place: BindPlace, all: usize, reuse: bool) -> io::Result<Socket> {
    let socket = socket(place, Type::DGRAM, Protocol::UDP)?;
    let room = (BURSTS / all.max(1)).max(BURST);
    let _ = socket.set_recv_buffer_size(room);
    let _ = socket.set_send_buffer_size(room);
    socket.set_reuse_port(reuse)?;
    socket.bind(&place.address.into())?;
    Ok(socket)
}

/// Binds a socket by itself, or else beside others of our own.
fn bound(place: BindPlace, open: impl Fn(bool) -> io::Result<Socket>) -> io::Result<Socket> {
    match open(false) {
        Ok(socket) => {
            // The next one may be bound beside it.
            socket.set_reuse_port(place.shared)?;
            Ok(socket)
        }
        Err(error) if place.shared && error.kind() == io::ErrorKind::AddrInUse => open(true),
        Err(error) => Err(error),
    }
}

fn socket(place: BindPlace, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(place.address), kind, Some(protocol))?;
    if place.address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(place.only_v6)?;
    }
    Ok(socket)
}

/// Lets others of our own be bound beside a socket, or nobody.
pub(super) fn share<S: std::os::fd::AsFd>(socket: &S, shared: bool) {
    let _ = SockRef::from(socket).set_reuse_port(shared);
}

/// Takes a UDP socket out of use: nothing arrives from now on, what has arrived can still be read, and whoever waits for
/// more wakes up. Answers can still be sent: elsewhere than on Linux a connected socket would refuse, and it is left as it
/// is for its thread to see (`portable`).
pub(super) fn leave(socket: &UdpSocket) {
    if cfg!(not(target_os = "linux")) {
        return;
    }
    // A socket that is connected gets what its peer sends, and nothing else.
    let nobody: [IpAddr; 3] =
        [Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), Ipv6Addr::LOCALHOST.into()];
    let _ = nobody.into_iter().find(|&nobody| socket.connect((nobody, DISCARD)).is_ok());
    let _ = SockRef::from(socket).shutdown(std::net::Shutdown::Read);
}

/// A port from which nobody asks.
const DISCARD: u16 = 9;

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    fn place(text: &str, port: u16, shared: bool) -> BindPlace {
        BindPlace { address: SocketAddr::new(text.parse().unwrap(), port), shared, only_v6: false }
    }

    #[test]
    fn a_socket_that_leaves_keeps_what_has_come_and_the_wider_one_gets_the_rest() {
        let narrow = udp(place("127.0.0.1", 0, true), 0, 1).unwrap().remove(0);
        let port = narrow.local_addr().unwrap().port();
        let wide = udp(place("::", port, true), 0, 1).unwrap().remove(0);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(("127.0.0.1", port)).unwrap();
        client.send(b"before").unwrap();
        leave(&narrow);
        client.send(b"after").unwrap();
        let mut buffer = [0; 16];
        for (socket, octets) in [(&narrow, &b"before"[..]), (&wide, b"after")] {
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..len], from.port()), (octets, client.local_addr().unwrap().port()));
        }
        assert_eq!(narrow.recv(&mut buffer).unwrap(), 0, "whoever waits wakes up");
    }

    #[test]
    fn a_socket_that_leaves_takes_nothing_from_its_like() {
        let first = udp(place("127.0.0.1", 0, false), 0, 1).unwrap().remove(0);
        share(&first, true);
        let port = first.local_addr().unwrap().port();
        let second = udp(place("127.0.0.1", port, true), 1, 2).unwrap().remove(0);
        leave(&first);
        second.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        for _ in 0..20 {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.send_to(b"x", ("127.0.0.1", port)).unwrap();
            assert_eq!(second.recv(&mut [0; 16]).unwrap(), 1);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn of_two_listeners_the_second_gets_what_comes_and_either_alone_gets_all() {
        let first = tcp(place("127.0.0.1", 0, true)).unwrap();
        let port = first.local_addr().unwrap().port();
        let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _client = connect();
        first.accept().unwrap();
        let second = tcp(place("127.0.0.1", port, true)).unwrap();
        let clients: Vec<_> = (0..20).map(|_| connect()).collect();
        assert_eq!(first.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        clients.iter().for_each(|_| drop(second.accept().unwrap()));
        drop(first);
        let _client = connect();
        second.accept().unwrap();
        // And so with the next.
        let third = tcp(place("127.0.0.1", port, true)).unwrap();
        let clients: Vec<_> = (0..20).map(|_| connect()).collect();
        assert_eq!(second.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        clients.iter().for_each(|_| drop(third.accept().unwrap()));
    }

    #[test]
    fn nobody_else_is_bound_where_we_are() {
        let ours = tcp(place("127.0.0.1", 0, false)).unwrap();
        let port = ours.local_addr().unwrap().port();
        for address in ["127.0.0.1", "::"] {
            let taken = tcp(place(address, port, true)).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse, "{address}");
        }
        share(&ours, true);
        let wide = tcp(place("::", port, true)).unwrap();
        share(&ours, false);
        let one = udp(place("127.0.0.1", 0, false), 0, 2).unwrap();
        let taken = udp(place("127.0.0.1", one[0].local_addr().unwrap().port(), false), 0, 2).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse, "several of our own do not let others in");
        for (to, listener) in [("127.0.0.1", &ours), ("127.0.0.2", &wide)] {
            let _client = TcpStream::connect((to, port)).unwrap();
            listener.set_nonblocking(false).unwrap();
            assert_eq!(listener.accept().unwrap().0.local_addr().unwrap().port(), port);
        }
    }
}

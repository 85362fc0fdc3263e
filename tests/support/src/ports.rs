//! Ports for servers that are told where to listen.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// The ports to choose from: below those that the kernel gives to clients, so that no socket of another test takes one
/// between the look and the start of the server.
const FIRST: u16 = 10_000;
const COUNT: u32 = 20_000;

/// A port that is free for UDP and TCP on every address of this machine at this moment; no two calls give the same.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Programs that run at the same time begin in different places.
        let place = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from(place % COUNT).unwrap();
        let is_taken = |all: IpAddr| {
            let (tcp, udp) = (TcpListener::bind((all, port)), UdpSocket::bind((all, port)));
            [tcp.err(), udp.err()].into_iter().flatten().any(|error| error.kind() == ErrorKind::AddrInUse)
        };
        if !is_taken(Ipv4Addr::UNSPECIFIED.into()) && !is_taken(Ipv6Addr::UNSPECIFIED.into()) {
            return port;
        }
    }
}

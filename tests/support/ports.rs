//! Ports for servers that are told where to listen.

use std::net::{TcpListener, UdpSocket};

/// A port of 127.0.0.1 that is free for UDP and TCP at this moment.
pub(crate) fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

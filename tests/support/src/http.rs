//! Pages of a server, over HTTP/1.1.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::wait::PATIENCE;

/// A whole answer.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The status line and the fields.
    pub head: String,
    /// What stands behind them, as it came.
    pub body: String,
}

/// Asks for a page on a connection of its own; none where nobody answers whole.
pub fn fetch(to: SocketAddr, path: &str) -> Option<Response> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Response { status, head: head.to_owned(), body: body.to_owned() })
}

/// Status and body of a page at a port of 127.0.0.1.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    fetch(SocketAddr::from(([127, 0, 0, 1], port)), path).map(|response| (response.status, response.body))
}

/// Whether the page `/ready` of an address says so.
pub fn is_ready(page: SocketAddr) -> bool {
    fetch(page, "/ready").is_some_and(|response| response.status == 200)
}

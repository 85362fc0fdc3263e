//! One exchange over UDP, from a port of its own.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::octets::{Matches, Sent};
use super::{Error, Trouble};

/// The outcome of an exchange over UDP.
#[derive(Debug)]
pub(super) enum Came {
    /// The answer.
    Answer(Vec<u8>),
    /// Only one that lost the case of the name.
    CaseLost,
    /// Only something that might be one: a connection will tell.
    Doubt,
}

/// The time that the true answer is waited for after a doubtful one.
const GRACE: Duration = Duration::from_millis(200);

thread_local! {
    /// No answer is too large for it; each thread reads one at a time.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; 65_535].into());
}

/// Asks from a new socket: the kernel picks its port at random, and takes only what the upstream's address sends. Calls
/// `doubted` for each doubtful answer.
pub(super) async fn exchange(
    to: SocketAddr,
    source: Option<IpAddr>,
    sent: &Sent,
    until: Instant,
    doubted: impl Fn(),
) -> Result<Came, Error> {
    let unspecified = if to.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let fault = |error| Error::new(Trouble::Network, format!("dial udp {to}: {error}"));
    let socket = UdpSocket::bind((source.unwrap_or(unspecified), 0)).await.map_err(fault)?;
    socket.connect(to).await.map_err(fault)?;
    let here = socket.local_addr().map_err(fault)?;
    let reading = |error: std::io::Error| {
        Error::new(Trouble::Network, format!("read udp {here}->{to}: read: {}", reason(&error)))
    };
    socket
        .send(&sent.octets)
        .await
        .map_err(|error| Error::new(Trouble::Network, format!("write udp {here}->{to}: write: {}", reason(&error))))?;

    let mut until = until;
    // What is made of the doubtful answers when no better one comes.
    let mut doubtful: Option<Came> = None;
    loop {
        // A refusal (ICMP) is an error without anything to read.
        match timeout_at(until, socket.ready(Interest::READABLE | Interest::ERROR)).await {
            Ok(ready) => {
                if let Some(error) = socket.take_error().map_err(reading)? {
                    return Err(reading(error));
                }
                if ready.map_err(reading)?.is_error() {
                    let _ = socket.try_io(Interest::ERROR, || Err::<(), _>(std::io::ErrorKind::WouldBlock.into()));
                }
            }
            Err(_) => {
                let silence = || Error::new(Trouble::Silence, format!("read udp {here}->{to}: i/o timeout"));
                return doubtful.ok_or_else(silence);
            }
        }
        let read: std::io::Result<(Matches, Vec<u8>)> = BUFFER.with_borrow_mut(|buffer| {
            let len = socket.try_recv(buffer)?;
            let reply = buffer.get(..len).unwrap_or_default();
            let matches = sent.compare(reply);
            let message = match matches {
                Matches::Yes => reply,
                Matches::Trailing(len) => reply.get(..len).unwrap_or_default(),
                _ => &[],
            };
            Ok((matches, message.to_vec()))
        });
        let came = match read {
            Ok((Matches::Yes, reply)) => return Ok(Came::Answer(reply)),
            // Dropped, and the true answer is waited for: a forger gains nothing by being first.
            Ok((Matches::No, _)) => continue,
            Ok((Matches::Trailing(_), reply)) => Came::Answer(reply),
            Ok((Matches::CaseLost, _)) => Came::CaseLost,
            Ok((Matches::Doubtful, _)) => Came::Doubt,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(reading(error)),
        };
        doubted();
        if doubtful.is_none() {
            until = until.min(Instant::now() + GRACE);
        }
        if doubtful.as_ref().is_none_or(|known| came.worth() > known.worth()) {
            doubtful = Some(came);
        }
    }
}

impl Came {
    /// The worth of a doubtful answer: of two, the greater is gone on with.
    fn worth(&self) -> u8 {
        match self {
            Self::Answer(_) => 2,
            Self::CaseLost => 1,
            Self::Doubt => 0,
        }
    }
}

/// The system's words for an error, without its number.
pub(super) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

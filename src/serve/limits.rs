//! The limits of connections: those that a Corefile sets, and the times that all transports keep.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::time::Duration;

use super::datagrams;

/// Limits of one server address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// UDP sockets, each with a thread of its own (`multisocket`); `None` for as many as the load takes, up to one per core.
    pub sockets: Option<NonZeroUsize>,
    /// The time for the handshake of TLS.
    pub handshake: Duration,
    /// The time to read one message over TCP, from its first octet (`timeouts`).
    pub read: Duration,
    /// The time to write answers over TCP.
    pub write: Duration,
    /// Between two messages over TCP.
    pub idle: Duration,
    /// The number of queries that one connection may bring.
    pub queries_per_connection: Option<u32>,
    /// Open connections; past it the client address with the most of them gives way.
    pub connections: usize,
    /// Octets of answers that are held, of all connections together, as their clients do not take them.
    pub unread: usize,
    /// Queries of one connection that are answered at the same time.
    pub in_flight_per_connection: usize,
}

/// Half of the files that the process may open: the other half is for upstreams, the API and admin.
fn connections() -> usize {
    static FILES: LazyLock<u64> = LazyLock::new(datagrams::raise_file_limit);
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
            unread: 16 << 20,
            in_flight_per_connection: 128,
        }
    }
}

/// The time that a connection must be quiet after the order to stop before it is closed: a query or an answer may be on
/// its way.
pub(super) const LINGER: Duration = Duration::from_millis(200);

/// The time after the order to stop in which queries are read at all.
pub(super) const LAST_CALL: Duration = Duration::from_secs(2);

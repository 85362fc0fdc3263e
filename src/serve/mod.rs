//! Carries bytes between listeners, the zone and the chain; size and connection limits.
//!
//! [`Server`] owns the sockets of one port: data threads for UDP, tasks for TCP and for what is encrypted. All of them hand
//! what they read to the handler of the address, which answers cluster names on the spot, from a zone's views, and starts the plugin chain for all
//! else. What a server serves is a [`RouteTable`], replaced as a whole on a reload while sockets and connections stay.
//!
//! The first steps of a chain run on the thread that received the query: an answer from the cache, a hosts file or a
//! template never changes threads. Only what has to wait moves to the runtime, up to a limit; past it queries are
//! dropped and counted, so that upstream trouble takes neither memory nor a cluster answer's time.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

mod accept;
mod connection_rules;
mod connections;
mod encrypted;
mod handle;
mod limits;
mod load;
pub mod metrics;
#[cfg(target_os = "linux")]
mod mmsg;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;
mod pressure;
mod rate;
mod routes;
#[cfg(target_os = "linux")]
mod runs;
mod server;
mod sockets;
mod stream;
mod tcp;
mod traced;
mod udp;
mod udp_threads;

#[cfg(test)]
pub(crate) mod testing;

pub use encrypted::Encryption;
pub(crate) use encrypted::https::{age as https_age, message_of as message_of_get};
use handle::Handler;
pub use limits::Limits;
pub use load::LoadLimits;
#[cfg(target_os = "linux")]
use mmsg as datagrams;
#[cfg(not(target_os = "linux"))]
use portable as datagrams;
pub use rate::RateLimit;
pub use routes::{BlockFilter, Exclusions, RouteTable, ServedBlock};
pub use server::{PreparedServer, Server, Site};
pub(crate) use tcp::{Front, front as tcp_front};
pub use traced::{Traced, Tracer};

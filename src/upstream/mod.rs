//! Asks another resolver and returns its answer; pools, health, retries.
//!
//! A client's message goes on as octets, under a random id, from a random port and with the letters of its name in random case;
//! an answer counts only when all of that comes back and the whole is well-formed. Its octets return with the client's id and
//! spelling.
//! [`Group`] is the way in: the upstreams of one `forward` line, their policy, and the queries in flight, where equal ones are one.
//! [`Upstream`] is one address with its connections and its health. Not for deciding which names go where.
//!
//! Nothing queues without bound: a group carries a fixed number of exchanges at most and refuses more at once.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

mod address;
mod error;
mod group;
mod health;
mod metrics;
mod octets;
mod resolve;
mod stream;
mod tls;
mod udp;
#[expect(clippy::module_inception, reason = "the file is the thing, and the room has its name")]
mod upstream;

pub use address::{UpstreamAddress, UpstreamHost, Way, nameservers};
pub use error::{Error, Trouble};
pub use group::{Group, GroupSettings, Policy};
pub use health::Check;
pub use metrics::register;
pub use resolve::resolve;
pub use stream::Connections;
pub use tls::{TlsConfig, client_config, system_roots};
pub use upstream::{Upstream, UpstreamAnswer};

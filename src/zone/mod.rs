//! Answers a question from an immutable version of the cluster's names; publishes the next version.
//!
//! Nothing reached from [`answer`](answer()) waits, locks or allocates.

mod answer;
mod buckets;
mod endpoint_set;
mod endpoints;
mod explain;
mod external;
mod external_zone;
mod grammar;
mod import;
mod latch;
mod lookup;
mod named;
mod peers;
mod ports;
mod publish;
mod records;
mod seeds;
mod servers;
mod service;
mod shards;
mod srv;
mod swap;
#[cfg(test)]
mod testing;
mod view;

pub use answer::{Answered, answer};
pub use endpoint_set::{EndpointSet, SetEndpoint, SliceEndpoint};
pub use endpoints::{AddressList, EndpointChange, EndpointState, Endpoints};
pub use explain::{Absence, BelowParts, Explained, NameParts};
pub use external::{External, ExternalHost};
pub use external_zone::{Outside, OutsideEndpoints, OutsideLookup, Reached, answer_outside};
pub use import::{Import, ImportKind};
pub use named::NamedObjects;
pub use ports::{Numbers, Port, PortList, Protocol, srv_weight};
pub use publish::{Changes, PodName, Publisher, Reader, pair};
pub use seeds::Seeds;
pub use service::{FqdnEndpoints, Pointer, Service, ServiceKind, ServiceName, SharedAddress};
pub use swap::Swap;
pub use view::{Fallthrough, Pods, TtlBounds, View};

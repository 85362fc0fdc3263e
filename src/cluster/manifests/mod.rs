//! Manifests instead of an API server: plain files of Kubernetes objects, followed as they are edited.
//!
//! Controllers are stood in for, as far as names depend on them: a StatefulSet has its pods in order, a Deployment has
//! pods with generated names, Services that select pods have EndpointSlices, Endpoints are mirrored. What has no address
//! gets one of loopback: pods from 127.1.0.0/16, ClusterIPs from 127.96.0.0/16. Nothing runs there; each "pod" can be run
//! by hand. Not for checking manifests in full: fields that no name depends on are not looked at.

mod address;
mod error;
mod kinds;
mod live;
mod load;
mod objects;
mod slices;
mod summary;
#[cfg(test)]
mod tests;
mod tree;
mod workloads;

pub use error::{Error, Place, Remark};
pub use live::{Following, LocalCluster, LocalObjects, Refreshed};
pub use load::{Addresses, Loaded, load};
pub use objects::{NOT_READY, READY};
pub use summary::{EndpointSummary, ServiceSummary, Summary};

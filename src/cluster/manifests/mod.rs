//! Manifests instead of an API server: plain files of Kubernetes objects, followed as they are edited.
//!
//! Controllers are stood in for, as far as names depend on them: a StatefulSet has its pods in order, other workloads have
//! pods with generated names, Services that select pods have EndpointSlices, Endpoints are mirrored. What has no address
//! gets one of loopback: pods from 127.1.0.0/16, ClusterIPs from 127.96.0.0/16. Nothing runs there; each "pod" can be run
//! by hand. Not for checking manifests in full: fields that no name depends on are not looked at.
//!
//! [`survey`] finds the files and [`content`] reads one; [`reading`] keeps what each held last. [`load()`] makes facts of it
//! all, which [`live`] serves; [`follow`] looks again when something changes.

mod address;
mod checks;
mod content;
mod details;
mod error;
mod folder_events;
mod follow;
mod kinds;
mod kustomize;
mod live;
mod load;
mod objects;
mod reading;
mod selection;
mod slices;
mod strays;
mod summary;
mod survey;
#[cfg(test)]
mod tests;
mod tree;
mod workloads;

pub use error::{Error, FilePosition, Level, Remark, Subject};
pub use follow::Following;
pub use live::{LocalCluster, LocalObjects, Refreshed};
pub use load::{Addresses, Loaded, load, load_text};
pub use objects::{NOT_READY, READY};
pub use reading::Sources;
pub use summary::{EndpointSummary, ServiceSummary, Summary};

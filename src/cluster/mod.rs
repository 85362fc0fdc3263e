//! Mirrors Services, EndpointSlices, Pods and Namespaces and derives their names and records.
//!
//! Raw objects stop at [`facts`], which keeps only the fields that an answer depends on. [`Index`] is plain and sync.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

mod bad_log;
mod clock;
mod details;
pub mod facts;
mod index;
pub mod manifests;
pub mod snapshot;
pub mod status;
mod watch;

pub use clock::WallClock;
pub use details::{Details, EndpointDetail, LabelMap, PodDetail, PortDetail, ServiceDetail};
pub use index::{DatedFact, ExplainedSlice, Explanation, Index, IndexSettings, Remaining};
pub(crate) use watch::events as watch_events;
pub use watch::{
    ConnectError, Connection, Direct, KindStatus, ListError, Listed, Mirror, Options, Timing, TlsFiles, list, register,
};

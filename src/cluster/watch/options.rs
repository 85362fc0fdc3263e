//! The options of a mirror: where the API server is, what is asked of it, and how patient the mirror is.

use std::time::Duration;

use super::connection::Connection;
use crate::cluster::clock::WallClock;
use crate::cluster::facts::Kind;
use crate::cluster::index::IndexSettings;
use crate::cluster::snapshot::SnapshotOptions;

/// Settings of a mirror: the options of one `kubernetes` directive that concern the API server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The API server's address, and our identity.
    pub connection: Connection,
    /// `labels`: a label selector for Services, EndpointSlices and Pods.
    pub labels: Option<String>,
    /// `namespace_labels`: a label selector for Namespaces.
    pub namespace_labels: Option<String>,
    /// Whether Pods are watched (`pods verified`).
    pub pods: bool,
    /// `noendpoints`: EndpointSlices are not watched.
    pub no_endpoints: bool,
    /// `multicluster`: ServiceImports and their EndpointSlices are watched as well.
    pub multicluster: bool,
    /// `apiserver_qps`: requests in a second; no limit where absent, because a mirror makes three or four in a minute.
    pub qps: Option<f64>,
    /// `apiserver_burst`: requests that may come at once before `qps` counts; 10 where absent.
    pub burst: Option<u32>,
    /// Where and for how long what is known is kept on disk; nowhere where absent.
    pub snapshot: Option<SnapshotOptions>,
    /// Its patience. The defaults are for all but tests.
    pub timing: Timing,
    /// The wall clock, by which serials count and dates of the API server are read.
    pub clock: WallClock,
    /// The seed of all chance in its waits; one from the system where absent.
    pub seed: Option<u64>,
}

impl Options {
    /// The kinds of objects that are asked for.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let mut kinds = vec![Kind::Service, Kind::Namespace];
        if !self.no_endpoints {
            kinds.push(Kind::EndpointSlice);
        }
        if self.pods {
            kinds.push(Kind::Pod);
        }
        if self.multicluster {
            kinds.extend([Kind::ServiceImport, Kind::ImportedSlice]);
        }
        kinds
    }

    /// What is asked for, and what becomes of it, in words: a snapshot of anything else is of no use.
    pub(super) fn described(&self, settings: IndexSettings) -> String {
        let kinds = self.kinds().into_iter().map(|kind| match self.selector(kind) {
            Some(selector) => format!("{kind} ({selector})"),
            None => kind.to_string(),
        });
        let IndexSettings { endpoint_pod_names, zonal, client_names: _ } = settings;
        let named = [(endpoint_pod_names, "endpoint_pod_names"), (zonal, "zonal")];
        let named = named.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name.to_owned());
        kinds.chain(named).collect::<Vec<_>>().join(", ")
    }

    /// The label selector for one kind.
    pub(super) fn selector(&self, kind: Kind) -> Option<String> {
        match kind {
            // As CoreDNS has it: ServiceImports go with their namespaces.
            Kind::Namespace | Kind::ServiceImport => self.namespace_labels.clone(),
            Kind::Service | Kind::EndpointSlice | Kind::Pod => self.labels.clone(),
            Kind::ImportedSlice => {
                let own = self.labels.as_deref().filter(|labels| !labels.is_empty());
                let parts: Vec<&str> = own.into_iter().chain(["multicluster.kubernetes.io/service-name"]).collect();
                Some(parts.join(","))
            }
        }
    }
}

/// The times that a mirror waits for what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// For a connection with its TLS handshake, and for a write to it.
    pub connect: Duration,
    /// A connection that was silent for this long is asked for a sign of life, and given up after as long again.
    pub silence: Duration,
    /// For the next sign of a list: its head, or more of its body.
    pub list_idle: Duration,
    /// A watch is asked to last between this and `watch_max`, so that many do not end together.
    pub watch_min: Duration,
    /// See `watch_min`. With `watch_grace`, the time in which a watch is noticed that nobody serves: 60 seconds.
    pub watch_max: Duration,
    /// The time that a watch may last longer than it was asked to.
    pub watch_grace: Duration,
    /// The least time between two starts of a watch.
    pub watch_interval: Duration,
    /// The longest first wait after a failure.
    pub backoff_min: Duration,
    /// The longest wait after many failures of a server that is away or not well: what its coming back is seen after.
    pub backoff_max: Duration,
    /// The longest wait for what somebody has to mend: rights, or a list that cannot be read.
    pub backoff_longest: Duration,
    /// The time in which a server that asks us to wait is waited for, at first.
    pub patience: Duration,
    /// After this time without a failure the waits start small again.
    pub healthy: Duration,
    /// A list that would take nearly everything away is believed once lists have said so for this long.
    pub believed: Duration,
    /// Lists are asked for whole first, not in pages.
    pub whole_lists: bool,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            silence: Duration::from_millis(1500),
            list_idle: Duration::from_secs(20),
            watch_min: Duration::from_secs(30),
            watch_max: Duration::from_secs(50),
            watch_grace: Duration::from_secs(10),
            watch_interval: Duration::from_millis(200),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_millis(800),
            backoff_longest: Duration::from_secs(30),
            // With its jitter and the requests that follow: within a second.
            patience: Duration::from_millis(750),
            healthy: Duration::from_secs(30),
            believed: Duration::from_secs(12),
            whole_lists: true,
        }
    }
}

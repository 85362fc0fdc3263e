//! The mirrors of clusters, by source: two server blocks, and the plans before and after a reload, share one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use crate::chain::{Access, Mirrors, Source};
use crate::cluster;
use crate::cluster::manifests::LocalObjects;
use crate::cluster::snapshot::SnapshotOptions;
use crate::cluster::{Connection, Details, Explanation, KindStatus, Mirror, Options, TlsFiles};
use crate::corefile::{Error, Token};
use crate::wire::Label;
use crate::zone::{self, Reader, ServiceName};

/// The mirrors that the present plan uses.
#[derive(Debug)]
pub(crate) struct Registry {
    runtime: Handle,
    snapshot: Option<SnapshotOptions>,
    mirrors: HashMap<Source, Arc<Mirror>>,
}

impl Registry {
    /// A set without mirrors; their watches will run on `runtime`, and what they know be kept where `snapshot` says.
    pub(crate) fn new(runtime: Handle, snapshot: Option<SnapshotOptions>) -> Self {
        Self { runtime, snapshot, mirrors: HashMap::new() }
    }

    /// Begins to set a plan up.
    pub(crate) fn session(&self) -> Session<'_> {
        Session { registry: self, used: HashMap::new() }
    }

    /// Keeps what the new plan uses; mirrors that nobody uses any more end.
    pub(crate) fn keep(&mut self, used: Used) {
        self.mirrors = used.0;
    }
}

/// The mirrors of a plan in the making; those that are new end with it, unless they are [kept](Registry::keep).
#[derive(Debug)]
pub(crate) struct Session<'r> {
    registry: &'r Registry,
    used: HashMap<Source, Arc<Mirror>>,
}

/// The mirrors that a plan uses.
#[derive(Debug)]
pub(crate) struct Used(HashMap<Source, Arc<Mirror>>);

impl Session<'_> {
    /// The mirrors that the plan uses.
    pub(crate) fn finish(self) -> Used {
        Used(self.used)
    }
}

impl Used {
    /// The mirrors, to ask them about their objects.
    pub(crate) fn mirrors(&self) -> Vec<Arc<dyn ZoneOrigin>> {
        self.0.values().map(|mirror| mirror.clone() as Arc<dyn ZoneOrigin>).collect()
    }

    /// Waits until all mirrors are synced, at most for `patience`; says whether they are.
    pub(crate) async fn synced(&self, patience: Duration) -> bool {
        let all = futures_util::future::join_all(self.0.values().map(|mirror| mirror.synced()));
        tokio::time::timeout(patience, all).await.is_ok()
    }
}

impl Mirrors for Session<'_> {
    fn mirror(&mut self, source: &Source, at: &Token) -> Result<Reader, Error> {
        let known = self.used.get(source).or_else(|| self.registry.mirrors.get(source)).cloned();
        let mirror = match known {
            Some(mirror) => mirror,
            None => {
                let (mut options, settings) = read(source);
                options.snapshot.clone_from(&self.registry.snapshot);
                let started = Mirror::start(&options, settings, &self.registry.runtime);
                Arc::new(started.map_err(|error| at.error(error.to_string()))?)
            }
        };
        let reader = mirror.reader();
        self.used.insert(source.clone(), mirror);
        Ok(reader)
    }
}

fn read(source: &Source) -> (Options, cluster::IndexSettings) {
    let connection = match source.access.clone() {
        Access::InCluster => Connection::InCluster,
        Access::Kubeconfig { file, context } => Connection::Kubeconfig { file, context },
        Access::Endpoint { url, tls } => {
            let tls = tls.map(|[cert, key, ca]| TlsFiles { cert: Some(cert), key: Some(key), ca: Some(ca) });
            Connection::Endpoint { url, tls }
        }
    };
    let [qps, burst, _] = source.limits;
    let options = Options {
        connection,
        labels: source.labels.clone(),
        namespace_labels: source.namespace_labels.clone(),
        pods: source.pods,
        no_endpoints: !source.endpoints,
        multicluster: source.multicluster,
        qps: (qps > 0).then(|| f64::from(qps)),
        burst: (burst > 0).then_some(burst),
        ..Options::default()
    };
    let settings = cluster::IndexSettings {
        endpoint_pod_names: source.endpoint_pod_names,
        zonal: source.zonal,
        client_names: source.client_names,
    };
    (options, settings)
}

/// The source of a zone, asked for the page that explains answers.
pub(crate) trait ZoneOrigin: Send + Sync {
    /// Whether this zone is meant.
    fn publishes(&self, zone: &Reader) -> bool;

    /// The objects behind a Service, or behind one label of it.
    fn explain(&self, service: &ServiceName, label: Option<&Label>) -> Explanation;

    /// What a namespace holds right now, with what is not mirrored.
    fn look(&self, namespace: String) -> BoxFuture<'_, Details>;

    /// The state of each watch.
    fn status(&self) -> Vec<KindStatus>;

    /// The Unix second of the snapshot that names are answered from, if they are.
    fn snapshot(&self) -> Option<u64> {
        None
    }

    /// Keeps on disk what is known, if that is wanted. May wait for the disk.
    fn save(&self) {}
}

impl ZoneOrigin for Mirror {
    fn publishes(&self, zone: &Reader) -> bool {
        self.reader().is_of_same_zone(zone)
    }

    fn explain(&self, service: &ServiceName, label: Option<&Label>) -> Explanation {
        self.explain(service, label)
    }

    fn look(&self, namespace: String) -> BoxFuture<'_, Details> {
        Box::pin(async move { self.look(&namespace).await })
    }

    fn status(&self) -> Vec<KindStatus> {
        self.status()
    }

    fn snapshot(&self) -> Option<u64> {
        self.snapshot()
    }

    fn save(&self) {
        self.save();
    }
}

impl ZoneOrigin for LocalObjects {
    fn publishes(&self, zone: &Reader) -> bool {
        self.reader().is_of_same_zone(zone)
    }

    fn explain(&self, service: &ServiceName, label: Option<&Label>) -> Explanation {
        self.explain(service, label)
    }

    fn look(&self, namespace: String) -> BoxFuture<'_, Details> {
        Box::pin(async move { self.look(&namespace) })
    }

    /// Files have no watch.
    fn status(&self) -> Vec<KindStatus> {
        Vec::new()
    }
}

/// One zone for every source: that of the manifests.
#[derive(Debug)]
pub(crate) struct Fixed(pub(crate) Reader);

impl Mirrors for Fixed {
    fn mirror(&mut self, _: &Source, _: &Token) -> Result<Reader, Error> {
        Ok(self.0.clone())
    }
}

/// The source without a cluster, for a look at a Corefile.
#[derive(Debug)]
pub(crate) struct Unsynced;

impl Mirrors for Unsynced {
    fn mirror(&mut self, _: &Source, _: &Token) -> Result<Reader, Error> {
        let (_, reader) = zone::pair();
        Ok(reader)
    }
}

//! Lists and watches the API server and feeds the index: the only async part of this room.
//!
//! One loop for each kind ([`supervisor`]), each over a client of its own ([`client`], [`connection`]); a list is decoded
//! while it arrives ([`decode`]), the body of a watch is cut into events ([`frames`]), and both are applied under one
//! short lock ([`shared`]). Not kube's own watcher: that one
//! speaks JSON only, and would need the same supervision on top.
//! Nothing here ever empties the index. A list is applied as a difference, and an outage changes nothing at all.

mod client;
mod connection;
mod decode;
mod direct;
mod failure;
mod frames;
mod keeper;
mod list;
mod look;
mod metrics;
mod moment;
mod options;
mod pace;
mod pages;
mod plausibility;
mod recent;
mod request;
mod shared;
mod supervisor;
mod trouble;

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::details::Details;
use super::index::{Explanation, Index, IndexSettings};
use crate::tasks;
use crate::wire::{Label, Serial};
use crate::zone::{self, Reader, ServiceName};
use client::{Api, Limiter};
use keeper::Keeper;
use moment::moment;
use request::ApiRequest;
use shared::SharedIndex;
use supervisor::Supervisor;

pub use connection::{ConnectError, Connection, TlsFiles};
pub use direct::Direct;
pub(crate) use frames::events;
pub use list::{ListError, Listed, list};
pub use metrics::register;
pub use options::{Options, Timing};
pub use shared::KindStatus;

/// A live mirror of one cluster. Dropping it ends its watches; the zone then stays as it is.
#[derive(Debug)]
pub struct Mirror {
    options: Options,
    shared: Arc<SharedIndex>,
    reader: Reader,
    keeper: Option<Arc<Keeper>>,
    tasks: Vec<AbortHandle>,
}

impl Mirror {
    /// Starts to list and watch on this runtime, and goes on for as long as the mirror lives.
    ///
    /// # Errors
    /// When the credentials cannot be used. An API server that does not answer is no error: it is asked until it does.
    pub fn start(options: &Options, settings: IndexSettings, runtime: &Handle) -> Result<Self, ConnectError> {
        let _guard = runtime.enter();
        let kinds = options.kinds();
        let limiter = options.qps.map(|qps| Arc::new(Limiter::new(qps, options.burst.unwrap_or(10))));
        let apis = kinds
            .iter()
            .map(|kind| {
                let api = Api::new(options.connection.clone(), options.timing, limiter.clone(), options.clock.clone())?;
                Ok((*kind, api))
            })
            .collect::<Result<Vec<_>, ConnectError>>()?;
        let (mut publisher, reader) = zone::pair();
        publisher.set_serial(Serial(options.clock.second(moment())));
        let shared = Arc::new(SharedIndex::new(Index::new(publisher, settings), &kinds, options.clock.clone()));
        let mut tasks = Vec::new();
        let keeper = options.snapshot.as_ref().map(|own| Keeper::new(own, options, settings, shared.clone()));
        let keeper = keeper.transpose()?.map(Arc::new);
        // Lists are applied to what a snapshot holds, not the other way round.
        let (begin, may_begin) = watch::channel(keeper.is_none());
        tasks.extend(keeper.clone().map(|keeper| runtime.spawn(keeper.run(begin)).abort_handle()));
        let mut seed = options.seed.unwrap_or_else(rand::random);
        for (kind, api) in apis {
            metrics::expect(kind);
            let selector = options.selector(kind);
            let request = ApiRequest::new(kind, selector.as_deref());
            let supervisor = Supervisor::new(kind, request, api, shared.clone(), options.timing, seed);
            seed = seed.wrapping_add(1);
            let mut may_begin = may_begin.clone();
            let run = async move {
                // A keeper that is gone has nothing to take in.
                let _ = may_begin.wait_for(|may| *may).await;
                supervisor.run().await;
            };
            tasks.push(runtime.spawn(run).abort_handle());
        }
        let timekeeper = shared.clone();
        tasks.push(
            runtime
                .spawn(async move { while tasks::caught("grace periods", timekeeper.keep_time()).await.is_none() {} })
                .abort_handle(),
        );
        Ok(Self { options: options.clone(), shared, reader, keeper, tasks })
    }

    /// The zone that it keeps.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Whether the first complete list of each kind is in.
    pub fn is_synced(&self) -> bool {
        *self.shared.synced().borrow()
    }

    /// Waits until the first complete list of each kind is in. The future does not borrow the mirror.
    pub fn synced(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut synced = self.shared.synced();
        let shared = self.shared.clone();
        async move {
            // The sender lives in `shared`, so the wait can only end with the truth.
            let _ = synced.wait_for(|synced| *synced).await;
            drop(shared);
        }
    }

    /// The origin of the answers for a Service, or for one label of it.
    pub fn explain(&self, service: &ServiceName, label: Option<&Label>) -> Explanation {
        self.shared.explain(service, label)
    }

    /// What a namespace holds right now, as the API tells it: more than is mirrored, and asked for nowhere but here.
    pub async fn look(&self, namespace: &str) -> Details {
        look::look(&self.options, namespace).await
    }

    /// The state of each watch.
    pub fn status(&self) -> Vec<KindStatus> {
        self.shared.status()
    }

    /// The snapshot that names are answered from while the first lists are not in: the Unix second up to which it was true.
    pub fn snapshot(&self) -> Option<u64> {
        self.shared.restored().filter(|_| !self.is_synced())
    }

    /// Writes the snapshot once more, if it would say anything new; may wait for the disk.
    pub fn save(&self) {
        self.keeper.iter().for_each(|keeper| keeper.write(true));
    }

    /// Ends the watches. The zone stays as it is.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

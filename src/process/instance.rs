//! The running server: listeners, admin, mirrors and tasks of the present plan, and the change to the next.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::error::Error;
use super::mirrors::ZoneOrigin;
use super::pages;
use super::plan::{Plan, PortKey, encryption};
use super::{logs, metrics};
use crate::admin::{self, Admin, LocalSite, PageAddresses, Probe};
use crate::chain::settings::Task;
use crate::chain::setup::Carryover;
pub(crate) use crate::serve::LoadLimits;
use crate::serve::{PreparedServer, Server, Site};

/// The time that queries in flight and connections have, once the sockets are to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time that the last snapshots have.
const SAVING: Duration = Duration::from_secs(2);

/// Everything that runs.
pub(crate) struct Instance {
    runtime: Handle,
    addressed_by: AddressedBy,
    load: LoadLimits,
    explain: PageAddresses,
    local: Option<LocalSite>,
    /// A process that comes after this one may be bound beside it.
    pub(crate) handover: bool,
    /// The mirrors of the plan that is applied next.
    pub(crate) mirrors: Vec<Arc<dyn ZoneOrigin>>,
    registry: prometheus::Registry,
    /// Caches and connections, which outlive reloads.
    pub(crate) carryover: Carryover,
    admin: Admin,
    probes: Vec<Probe>,
    servers: BTreeMap<PortKey, Server>,
    tasks: Vec<AbortHandle>,
    stopping: Arc<AtomicBool>,
    plan: Option<Plan>,
    /// True in the middle of a change.
    changing: bool,
}

/// Everything of a plan that had to be bound, not yet in use.
pub(crate) struct Bound {
    pages: admin::PreparedSites,
    servers: BTreeMap<PortKey, PreparedServer>,
}

/// The place where an operator has said on which address to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressedBy {
    /// The keys and `bind` of the Corefile.
    Corefile,
    /// The flag `--listen` of `rollcall local`.
    CommandLine,
}

impl Instance {
    /// An instance in which nothing runs yet.
    ///
    /// # Errors
    /// When two rooms want the same metric.
    pub(crate) fn new(
        runtime: Handle,
        addressed_by: AddressedBy,
        load: LoadLimits,
        explain: PageAddresses,
    ) -> Result<Self, Error> {
        let registry =
            metrics::registry(&runtime).map_err(|error| Error::runtime(format!("cannot set metrics up: {error}")))?;
        Ok(Self {
            admin: Admin::new(runtime.clone()),
            runtime,
            addressed_by,
            load,
            explain,
            local: None,
            handover: false,
            mirrors: Vec::new(),
            registry,
            carryover: Carryover::default(),
            probes: Vec::new(),
            servers: BTreeMap::new(),
            tasks: Vec::new(),
            stopping: Arc::default(),
            plan: None,
            changing: false,
        })
    }

    /// Changes over to a plan. Everything new is bound before anything changes; sockets whose address stays are kept, and
    /// so are connections to an address that is served by another socket from now on.
    ///
    /// # Errors
    /// When an address cannot be bound; the present plan goes on.
    pub(crate) fn apply(&mut self, plan: Plan, hash: &str) -> Result<(), Error> {
        let bound = self.bind(&plan, false)?;
        self.change(plan, bound, hash);
        Ok(())
    }

    /// Binds everything that a plan needs and that is not bound yet. `beside`: where another process of the same user has a
    /// port, and lets others in, it is shared.
    ///
    /// # Errors
    /// When an address cannot be bound; the present plan goes on.
    pub(crate) fn bind(&mut self, plan: &Plan, beside: bool) -> Result<Bound, Error> {
        // What is bound anew may lie beside what is there already, and which is ours.
        self.share(true);
        let bound = self.prepare(plan, beside);
        if bound.is_err() {
            self.share(self.handover);
        }
        bound
    }

    /// Changes over to a plan whose addresses are bound.
    pub(crate) fn change(&mut self, plan: Plan, bound: Bound, hash: &str) {
        self.changing = true;
        let Bound { pages, servers: prepared } = bound;
        self.admin.commit(pages);
        self.show_locally(&plan);
        let gone = self.servers.keys().filter(|port| !prepared.contains_key(port)).copied().collect::<Vec<_>>();
        let gone: Vec<Server> = gone.iter().filter_map(|port| self.servers.remove(port)).collect();
        for (port, prepared) in prepared {
            self.server(port).commit(prepared);
        }
        self.share(self.handover);
        self.runtime.spawn(drain(gone));
        self.start_tasks(&plan);
        let addresses = pages::health_addresses(&plan);
        let probed = addresses.iter().filter_map(|address| self.admin.address(address));
        self.probes = probed.map(|address| Probe::start(address, &self.runtime)).collect();
        logs::set_debug(plan.debug());
        metrics::describe(hash, plan.enabled());
        self.plan = Some(plan);
        self.carryover.sweep();
        self.changing = false;
    }

    /// Whether a change has been left in its middle.
    pub(crate) fn is_torn(&self) -> bool {
        self.changing
    }

    fn prepare(&mut self, plan: &Plan, beside: bool) -> Result<Bound, Error> {
        let mut sites = pages::sites(plan, &self.registry, &self.stopping);
        if let Some(address) = self.explain.tcp {
            sites.put(&address.to_string(), "/explain", pages::explain(plan, &self.mirrors));
        }
        let mut ports = BTreeMap::<PortKey, Vec<Site>>::new();
        for (listener, server) in &plan.servers {
            let site = Site {
                address: listener.address,
                table: server.table(&listener.to_string()),
                limits: server.limits,
                tls: server.secure.clone(),
            };
            ports.entry(listener.port()).or_default().push(site);
        }
        let gone =
            self.servers.keys().filter(|port| !ports.contains_key(port)).map(|&(_, port)| port).collect::<Vec<_>>();
        let pages = self.admin.prepare(sites, &|port| beside || gone.contains(&port)).map_err(|error| {
            let (at, own) = match plan.page_at(&error.address) {
                Some(at) => (format!("{}: {}: ", at.position, at.text), format!("give {} another address", at.text)),
                None => (String::new(), "choose another with -rollcall.explain".to_owned()),
            };
            cannot_listen(&error.source, &format!("{at}{error}"), &own, &own)
        })?;
        // Where we listen already, a new socket takes what the old one would get: that comes last, when nothing else can
        // stand against it.
        let (held, new): (Vec<_>, Vec<_>) = ports
            .into_iter()
            .partition(|((_, port), _)| self.servers.keys().any(|(_, held)| held == port) || pages.gives_up(*port));
        let mut servers = BTreeMap::new();
        for (port, sites) in new.into_iter().chain(held) {
            let shared = beside || gone.contains(&port.1) || pages.gives_up(port.1);
            let addressed_by = self.addressed_by;
            let prepared = self.server(port).prepare(sites, shared).map_err(|error| match addressed_by {
                AddressedBy::Corefile => cannot_listen(
                    &error,
                    &error.to_string(),
                    "choose another port (in the Corefile, or with -dns.port)",
                    "change `bind`",
                ),
                AddressedBy::CommandLine => {
                    let own = "choose another address with --listen";
                    cannot_listen(&error, &error.to_string(), own, own)
                }
            })?;
            servers.insert(port, prepared);
        }
        Ok(Bound { pages, servers })
    }

    /// Shows the page that explains answers on the socket within the pod or machine. Another process may have it: no reason not
    /// to serve, and the next plan tries again.
    fn show_locally(&mut self, plan: &Plan) {
        let Some(name) = &self.explain.socket else { return };
        if self.local.is_none() {
            match LocalSite::start(name, &self.runtime) {
                Ok(site) => self.local = Some(site),
                Err(error) => {
                    tracing::debug!(%error, "the socket @{name} is not to be had: `rollcall explain` needs --server")
                }
            }
        }
        if let Some(site) = &self.local {
            site.show([("/explain", pages::explain(plan, &self.mirrors))]);
        }
    }

    /// The server of a port; a new one where there is none.
    fn server(&mut self, port: PortKey) -> &mut Server {
        let (load, runtime) = (self.load, &self.runtime);
        self.servers.entry(port).or_insert_with(|| Server::new(encryption(port.0), load, runtime))
    }

    /// Lets sockets be bound beside our own, or nobody's again.
    fn share(&self, shared: bool) {
        self.servers.values().for_each(|server| server.share(shared));
        self.admin.share(shared);
    }

    fn start_tasks(&mut self, plan: &Plan) {
        self.tasks.drain(..).for_each(|task| task.abort());
        let tasks = plan.blocks.iter().flat_map(|block| block.settings.tasks.iter().cloned());
        self.tasks = tasks.map(|task| self.runtime.spawn(repeat(task)).abort_handle()).collect();
    }

    /// The present plan.
    pub(crate) fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// The addresses that listeners are bound to.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.servers.values().flat_map(Server::addresses)
    }

    /// Lets `/ready` say that we are leaving; everything else goes on. Where another process may be there already, its pages
    /// are the ones that count.
    pub(crate) fn announce_stop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        if self.handover {
            self.admin = Admin::new(self.runtime.clone());
        }
    }

    /// Keeps on disk what the mirrors know, where that is wanted; a disk that hangs is not waited for.
    pub(crate) fn save(&self) -> impl Future<Output = ()> + use<> {
        let mirrors = self.mirrors.clone();
        async {
            let saved = mirrors.into_iter().map(|mirror| tokio::task::spawn_blocking(move || mirror.save()));
            if tokio::time::timeout(SAVING, join_all(saved)).await.is_err() {
                tracing::warn!("the last snapshot was not written within {SAVING:?}: the one before it is kept");
            }
        }
    }

    /// Closes the listeners: what has been asked is still answered.
    pub(crate) async fn drain(&mut self) {
        drain(std::mem::take(&mut self.servers).into_values().collect()).await;
    }
}

async fn drain(servers: Vec<Server>) {
    join_all(servers.into_iter().map(|server| server.drain(PATIENCE))).await;
}

/// Runs what a directive does from time to time; it may read files, so it runs where that holds nobody up.
async fn repeat(task: Task) {
    loop {
        tokio::time::sleep(task.every).await;
        let run = task.run.clone();
        // A panic ends one run, not the task: the next may find a better file.
        if let Ok(ControlFlow::Break(())) = tokio::task::spawn_blocking(move || run(Instant::now())).await {
            return;
        }
    }
}

/// Names the next step for a listener that cannot be had: how to choose another port, and another address.
fn cannot_listen(error: &std::io::Error, message: &str, port: &str, address: &str) -> Error {
    let step = match error.kind() {
        std::io::ErrorKind::AddrInUse => format!("; something listens there already: stop it, or {port}"),
        std::io::ErrorKind::PermissionDenied => {
            format!("; ports below 1024 need the capability NET_BIND_SERVICE, or {port}")
        }
        std::io::ErrorKind::AddrNotAvailable => format!("; this machine does not have the address: {address}"),
        _ => String::new(),
    };
    let message = format!("{message}{step}");
    match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::in_use(message),
        _ => Error::runtime(message),
    }
}

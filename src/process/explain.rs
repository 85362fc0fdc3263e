//! Why a name is answered as it is: asks the server's own chains, looks at what is behind, and makes a report of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;

use super::mirrors::ZoneOrigin;
use super::plan::Plan;
use crate::chain::{Client, Outcome, Transport};
use crate::cluster::{Details, KindStatus};
use crate::corefile::Scheme;
use crate::explain::{
    AliasHop, Cause, PathStep, Report, ReportObject, Scene, SearchStep, WatchLine, causes, left_out, outside, path,
    search_list,
};
use crate::serve::{Traced, Tracer};
use crate::wire::message::{Record, present};
use crate::wire::{Class, Flags, Name, Parsed, Rcode, Rtype, bare_message, parse, reverse};
use crate::zone::{Absence, Explained, NameParts, View};

/// The time that one name may take: a resolver gives up after five seconds, too.
const PATIENCE: Duration = Duration::from_secs(4);
/// Aliases that are followed.
const HOPS: usize = 10;
/// Namespaces that are looked at.
const NAMESPACES: usize = 3;
/// Services whose objects are told.
const SERVICES: usize = 10;
/// Questions that are explained at a time: each may hold a list of the API.
const AT_ONCE: usize = 2;

/// A question to be explained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AskedWhy {
    /// The name, as somebody types it.
    pub(crate) name: String,
    /// The type; A where absent.
    pub(crate) rtype: Option<String>,
    /// The namespace of the pod whose search list completes the name.
    pub(crate) namespace: Option<String>,
}

/// Explains answers of one plan.
pub(crate) struct Explainer {
    tracers: Vec<Tracer>,
    views: Vec<Arc<View>>,
    origins: Vec<Arc<dyn ZoneOrigin>>,
    places: Semaphore,
    /// The words for a name that no server block is for.
    nobody: &'static str,
}

/// One name that was asked for.
struct AskedName {
    name: Name,
    path: Vec<PathStep>,
    block: Option<String>,
    plugins: Vec<String>,
    /// The plugin that wrote the answer.
    by: Option<String>,
    rcode: Option<Rcode>,
    records: Vec<Record>,
    /// The name as the cluster's names were asked for it: a rule may have changed it.
    seen: Name,
}

impl Explainer {
    /// For a plan, and the sources of its zones. `nobody` says who is asked for names that no server block is for.
    pub(crate) fn new(plan: &Plan, origins: &[Arc<dyn ZoneOrigin>], nobody: &'static str) -> Self {
        let plain = plan.servers.iter().filter(|(listener, _)| listener.scheme == Scheme::Dns);
        Self {
            tracers: plain.map(|(listener, server)| Tracer::new(server.table(&listener.to_string()))).collect(),
            views: plan.blocks.iter().filter_map(|block| block.view()).collect(),
            origins: origins.to_vec(),
            places: Semaphore::new(AT_ONCE),
            nobody,
        }
    }

    /// Explains the answer to one question.
    ///
    /// # Errors
    /// When it is no question: the name or the type is none.
    pub(crate) async fn explain(&self, asked: &AskedWhy) -> Result<Report, String> {
        let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
        let rtype = match asked.rtype.as_deref().filter(|rtype| !rtype.is_empty()) {
            None => Rtype::A,
            Some(text) => {
                Rtype::from_name(text).ok_or_else(|| format!("`{text}` is no type of records, as A or SRV"))?
            }
        };
        asked.name.parse::<Name>().map_err(|error| format!("`{}` is no domain name: {error}", asked.name))?;
        let namespace = asked.namespace.as_deref().filter(|namespace| !namespace.is_empty());
        let zone = self.cluster_domain();
        let mut steps = Vec::new();
        for name in search_list(&asked.name, namespace, &zone) {
            steps.push(self.ask(name, rtype).await);
            if steps.last().is_some_and(|step| step.rcode == Some(Rcode::NOERROR) && !step.records.is_empty()) {
                break;
            }
        }
        let search = steps.iter().map(|step| SearchStep {
            name: step.name.to_string(),
            rcode: step.rcode.map(|rcode| rcode.to_string()),
            records: step.records.len(),
        });
        let search: Vec<SearchStep> = search.collect();
        // A resolver that comes to the end of its list gives the best that it met.
        let rcode = best(&steps);
        let Some(step) = self.most_meant(steps) else {
            return Err(format!("`{}` is no domain name within this search list", asked.name));
        };
        let mut report = Report {
            name: asked.name.clone(),
            rtype: rtype.to_string(),
            namespace: namespace.map(str::to_owned),
            answered: rcode == Some(Rcode::NOERROR) && !step.records.is_empty(),
            rcode: rcode.map(|rcode| rcode.to_string()),
            records: step.records.iter().map(present).collect(),
            search: if namespace.is_some() { search } else { Vec::new() },
            about: step.name.to_string(),
            block: step.block.clone(),
            plugins: step.plugins.clone(),
            path: step.path.clone(),
            ..Report::default()
        };
        self.tell(&step, rtype, &asked.name, &mut report).await;
        Ok(report)
    }

    /// The cluster domain: the first zone that is not one of addresses.
    fn cluster_domain(&self) -> String {
        let zones = self.views.iter().flat_map(|view| &view.zones);
        let domain = zones
            .filter(|zone| !reverse::is_reverse(zone.as_wire()) && !zone.is_root())
            .map(ToString::to_string)
            .next();
        domain.map_or_else(|| "cluster.local".to_owned(), |domain| domain.trim_end_matches('.').to_owned())
    }

    /// Asks the server for one name, and notes its way.
    async fn ask(&self, name: Name, rtype: Rtype) -> AskedName {
        let message = bare_message(0, Flags::RD, name.as_wire(), rtype, Class::IN);
        let client = Client {
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            local: SocketAddr::from((Ipv4Addr::LOCALHOST, 53)),
            transport: Transport::Tcp,
        };
        let mut asked = AskedName {
            seen: name.clone(),
            name,
            path: Vec::new(),
            block: None,
            plugins: Vec::new(),
            by: None,
            rcode: None,
            records: Vec::new(),
        };
        let Parsed::Query(question) = parse(&message) else { return asked };
        for tracer in &self.tracers {
            let Traced { zone, plugins, steps, outcome } = tracer.trace(&question, client, PATIENCE).await;
            if zone.is_none() {
                continue;
            }
            asked.path = path(&steps);
            asked.block = zone;
            asked.plugins = plugins.into_iter().map(str::to_owned).collect();
            let seen = steps.iter().find(|step| step.depth == 0 && step.plugin == "kubernetes");
            asked.seen = seen.and_then(|step| step.name.parse().ok()).unwrap_or(asked.seen);
            match outcome {
                Some(Outcome::Reply(mut reply)) => {
                    asked.rcode = Some(reply.rcode());
                    asked.by = Some(reply.plugin.to_owned());
                    asked.records = reply.message().map(|message| message.answers.clone()).unwrap_or_default();
                }
                Some(Outcome::Failed(_, failure)) => asked.rcode = Some(failure.rcode),
                Some(Outcome::Next | Outcome::Drop) | None => {}
            }
            break;
        }
        asked
    }

    /// The name of a search that was meant: the one that is answered, else the first that names something which is there, as
    /// far to the left as can be.
    fn most_meant(&self, steps: Vec<AskedName>) -> Option<AskedName> {
        let rank = |step: &AskedName| {
            if step.rcode == Some(Rcode::NOERROR) && !step.records.is_empty() {
                return 4;
            }
            let Some((view, explained)) = self.meaning(&step.seen) else { return 0 };
            match &explained.parts {
                _ if !explained.is_absent() => 3,
                NameParts::Service { namespace, .. } if view.reader.has_namespace(namespace.as_bytes()) => {
                    let known = explained.services.first().is_some_and(|(name, _)| view.reader.service(name).is_some());
                    if known { 3 } else { 2 }
                }
                _ => 1,
            }
        };
        let mut chosen: Option<(u8, AskedName)> = None;
        for step in steps {
            let own = rank(&step);
            if chosen.as_ref().is_none_or(|(best, _)| own > *best) {
                chosen = Some((own, step));
            }
        }
        chosen.map(|(_, step)| step)
    }

    /// The meaning of a name of the cluster: of the view whose zone holds the most of it.
    fn meaning(&self, name: &Name) -> Option<(&Arc<View>, Explained)> {
        let found = self.views.iter().filter_map(|view| Some((view, view.explain(name)?)));
        found.max_by_key(|(_, explained)| explained.zone.as_wire().len())
    }

    /// Adds what is behind the answer.
    async fn tell(&self, step: &AskedName, rtype: Rtype, written: &str, report: &mut Report) {
        let Some((view, mut explained)) = self.meaning(&step.seen) else {
            report.causes.extend(self.of_others(step, written));
            return;
        };
        let origin = self.origins.iter().find(|origin| origin.publishes(&view.reader));
        report.zone = Some(explained.zone.to_string());
        if step.by.as_deref().is_some_and(|by| !matches!(by, "kubernetes" | "cache" | "")) {
            let by = step.by.clone().unwrap_or_default();
            if step.path.iter().all(|step| step.plugin != "kubernetes") {
                report.causes.push(Cause::new(
                    format!("`{by}` answers {} before the cluster's names are asked: that a Service has the name, or not, does not matter", step.name),
                    format!("delete the name from `{by}` in the Corefile, if the cluster should answer"),
                ));
                report.rule = Some(format!("none: `{by}` answers (the cluster's own: {})", explained.rule));
                return;
            }
        }
        let hops = self.hops(&step.seen, &explained);
        let mut details = BTreeMap::new();
        let namespaces = [Some(&explained)].into_iter().chain(hops.iter().map(|hop| hop.explained.as_ref())).flatten();
        let namespaces: BTreeSet<&str> = namespaces.filter_map(|explained| namespace(&explained.parts)).collect();
        if let Some(origin) = origin {
            for namespace in namespaces.into_iter().take(NAMESPACES) {
                let Details { gaps, .. } =
                    details.entry(namespace.to_owned()).or_insert(origin.look(namespace.to_owned()).await);
                report.gaps.append(gaps);
            }
            report.objects = objects(origin.as_ref(), &explained);
            report.snapshot = origin.snapshot();
            report.watches = origin.status().iter().map(watch).collect();
        }
        // The zone has nothing to say of an alias that is no name; the object is there all the same.
        if explained.absence == Some(Absence::Service)
            && report.objects.iter().any(|object| object.kind == "Service" && object.resource_version.is_some())
        {
            explained.rule =
                "the Service is there, and its name has no records: an ExternalName that is no name, or an \
                              address that is none"
                    .to_owned();
        }
        let text = |label: &[u8]| String::from_utf8_lossy(label).into_owned();
        let all = view.reader.services();
        let services: Vec<(String, String)> =
            all.iter().map(|service| (text(service.name.namespace()), text(service.name.service()))).collect();
        let mut known: BTreeSet<String> = services.iter().map(|(namespace, _)| namespace.clone()).collect();
        known.extend(
            namespace(&explained.parts).filter(|own| view.reader.has_namespace(own.as_bytes())).map(str::to_owned),
        );
        if let NameParts::Unknown(labels) = &explained.parts {
            known.extend(labels.iter().filter(|label| view.reader.has_namespace(label.as_bytes())).cloned());
        }
        let namespaces: Vec<String> = known.into_iter().collect();
        let scene = Scene {
            name: &step.seen,
            rtype,
            rcode: step.rcode,
            records: step.records.iter().filter(|record| Rtype::from(record.record_type()) == rtype).count(),
            explained: &explained,
            hops: &hops,
            synced: view.reader.is_synced(),
            pods: view.pods,
            namespaces: &namespaces,
            services: &services,
            details: &details,
        };
        report.causes.extend(causes(&scene));
        if let NameParts::Service { service, namespace, .. } = &explained.parts {
            report.left_out = left_out(&scene, service, namespace);
        }
        report.rule = Some(explained.rule);
    }

    /// The names that a name is an alias of, in turn, as long as they are names of the cluster.
    fn hops(&self, name: &Name, explained: &Explained) -> Vec<AliasHop> {
        let (mut hops, mut seen, mut next) = (Vec::<AliasHop>::new(), vec![name.clone()], explained.alias.clone());
        while let Some(name) = next.take().filter(|_| hops.len() < HOPS) {
            let again = seen.contains(&name);
            let explained = self.meaning(&name).map(|(_, explained)| explained);
            next = explained.as_ref().and_then(|explained| explained.alias.clone()).filter(|_| !again);
            seen.push(name.clone());
            hops.push(AliasHop { name, explained, again });
        }
        hops
    }

    /// What is to be said of a name outside of the cluster's zones.
    fn of_others(&self, step: &AskedName, written: &str) -> Vec<Cause> {
        let zone = self.cluster_domain();
        // The names that pods' search lists would make of it.
        let services = self.views.iter().flat_map(|view| view.reader.services());
        let labels: Vec<&[u8]> = step.name.labels().collect();
        let mut completed: Vec<Name> = Vec::new();
        if let Ok(name) = format!("{}.svc.{zone}", written.trim_end_matches('.')).parse::<Name>()
            && self.meaning(&name).is_some_and(|(_, explained)| !explained.is_absent() && labels.len() > 1)
        {
            completed.push(name);
        }
        if let [only] = labels.as_slice() {
            let named = services.filter(|service| service.name.service() == *only);
            let names = named.filter_map(|service| {
                let own = [service.name.service(), service.name.namespace(), b"svc"];
                Name::from_labels(own.into_iter().chain(zone.split('.').map(str::as_bytes))).ok()
            });
            completed.extend(names.take(1));
        }
        let mut causes = outside(written, &completed.iter().collect::<Vec<_>>(), &zone);
        if step.block.is_none() {
            causes.push(Cause::new(format!("{} is outside of the zones that are served here", step.name), self.nobody));
        } else if step.records.is_empty() {
            let why = match step.rcode {
                None => "did not answer in time",
                Some(Rcode::NOERROR) => "has no record of this type",
                Some(Rcode::NXDOMAIN) => "says that there is no such name",
                Some(_) => "could not answer",
            };
            let asked =
                step.path.iter().rev().find(|step| step.acted).map_or("the server", |step| step.plugin.as_str());
            causes.push(Cause::new(
                format!("the name is none of the cluster's ({zone}): `{asked}` {why}"),
                "ask the upstream itself (`forward` in the Corefile), and see its metrics coredns_forward_…",
            ));
        }
        causes
    }
}

/// The response code that a resolver gives at the end of its search: an answer, or the best of what it met.
fn best(steps: &[AskedName]) -> Option<Rcode> {
    let last = steps.last()?;
    if last.rcode == Some(Rcode::NOERROR) && !last.records.is_empty() {
        return last.rcode;
    }
    let met = |rcode| steps.iter().any(|step| step.rcode == Some(rcode));
    // NODATA before NXDOMAIN, and that before trouble with a name that was asked for last.
    [Rcode::NOERROR, Rcode::NXDOMAIN].into_iter().find(|rcode| met(*rcode)).or(last.rcode)
}

/// The namespace that a name belongs to.
fn namespace(parts: &NameParts) -> Option<&str> {
    match parts {
        NameParts::Service { namespace, .. } | NameParts::Pod { namespace, .. } | NameParts::Namespace(namespace) => {
            Some(namespace)
        }
        NameParts::Reverse | NameParts::Structure | NameParts::Unknown(_) => None,
    }
}

/// The objects behind an answer, with their versions and when those came.
fn objects(origin: &dyn ZoneOrigin, explained: &Explained) -> Vec<ReportObject> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32;
    let mut objects = Vec::new();
    for (service, label) in explained.services.iter().take(SERVICES) {
        let known = origin.explain(service, label.as_ref());
        let text = |label: &[u8]| String::from_utf8_lossy(label).into_owned();
        let object = |kind: &str, name: String, version: Option<(u64, u32)>, note: String| ReportObject {
            kind: kind.to_owned(),
            namespace: text(service.namespace()),
            name,
            resource_version: version.map(|(version, _)| version),
            arrived: version.map(|(_, arrived)| arrived),
            age: version.map(|(_, arrived)| unix.saturating_sub(arrived)),
            note,
        };
        let held = match known.held {
            0 => String::new(),
            held => format!("{held} endpoints are answered for a moment more, between two slices"),
        };
        objects.push(object("Service", text(service.service()), known.service, held));
        for slice in known.slices {
            let listed = match (label, slice.lists) {
                (Some(label), Some(true)) => format!("; lists {label}, ready"),
                (Some(label), Some(false)) => format!("; lists {label}, not ready"),
                _ => String::new(),
            };
            let note = format!("{} ready, {} not ready{listed}", slice.ready, slice.not_ready);
            objects.push(object("EndpointSlice", slice.name, Some((slice.version, slice.arrived)), note));
        }
    }
    objects
}

fn watch(kind: &KindStatus) -> WatchLine {
    let age = kind.age.map_or_else(|| "none yet".to_owned(), |age| format!("{:.1} s ago", age.as_secs_f64()));
    let trouble = kind.trouble.as_ref().map(|trouble| format!("; {trouble}")).unwrap_or_default();
    let synced = if kind.synced { "" } else { ", first list not complete" };
    let state = format!("last news {age}, up to resourceVersion {}{synced}{trouble}", kind.version);
    WatchLine { kind: kind.kind.to_string(), state }
}

//! Name: `kubernetes`
//!
//! Description: answers the names of a cluster's Services, endpoints and pods from memory, as the Kubernetes DNS
//! specification has them, and the reverse names of their addresses.
//!
//! Syntax:
//!
//! ```text
//! kubernetes [ZONES...] {
//!     kubeconfig FILE [CONTEXT]
//!     endpoint URL
//!     tls CERT KEY CACERT
//!     namespaces NAMESPACE...
//!     labels SELECTOR
//!     namespace_labels SELECTOR
//!     pods disabled|insecure|verified
//!     endpoint_pod_names
//!     noendpoints
//!     ttl SECONDS
//!     fallthrough [ZONES...]
//!     ignore empty_service
//!     zonal
//!     multicluster [ZONES...]
//!     startup_timeout DURATION
//!     apiserver_qps NUMBER
//!     apiserver_burst NUMBER
//!     apiserver_max_inflight NUMBER
//! }
//! ```
//!
//! Without zones it answers those of the server block. Networks such as `10.0.0.0/8` stand for their reverse zones.
//! The zones that `multicluster` names, which must be among the directive's, show Services imported from several
//! clusters: ServiceImports (`multicluster.x-k8s.io/v1alpha1`) and the EndpointSlices that carry the label
//! `multicluster.kubernetes.io/service-name`. An endpoint there is `ENDPOINT.CLUSTER.SERVICE.NAMESPACE.svc`.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     kubernetes cluster.local in-addr.arpa ip6.arpa {
//!         pods insecure
//!         fallthrough in-addr.arpa ip6.arpa
//!         ttl 30
//!     }
//! }
//! ```
//!
//! Metrics: those of the cluster's mirror.
//!
//! Ready: when the first complete list of every watched kind is in.
//!
//! Metadata, of a name in its zones: `kubernetes/kind`, `kubernetes/namespace`, `kubernetes/service`,
//! `kubernetes/endpoint`, `kubernetes/port-name`, `kubernetes/protocol`, below `multicluster` zones `kubernetes/cluster`, with
//! `zonal` `kubernetes/zone`; empty where the name has no such label, and in presentation form. A name that can name no
//! object, as all reverse names, has `kubernetes/parse-error` alone. With `pods verified` also of the client, whatever it asks
//! for: `kubernetes/client-namespace`, `kubernetes/client-pod-name`.
//!
//! Differences: ports are bound at once. Until the first lists are in, and within `startup_timeout` (5s), a query for a name that
//! is not known, or not known whole, waits for them, up to half a second; then it gets SERVFAIL. Endpoints, and what is made
//! of them, are known whole when the first list of EndpointSlices is in, ClusterIPs one by one. The serial of the SOA never goes
//! back while the server runs, whatever the clock does. An ExternalName answer carries the response code of its target's look-up.
//! The labels of the client's pod are not kept, so there is no `kubernetes/client-label/…`; `kubernetes/cluster` is told, which
//! CoreDNS means to and does not.
//! While the API server is away it is asked once or twice a second, with the token and the CA as they are then, so that the
//! truth is there a second after it is back. A list that would take nearly everything away is believed once lists have
//! agreed for 12 seconds. Events that are older than what is known change nothing.

mod metadata;
mod options;
mod selector;
mod transfer;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use self::options::KubernetesOptions;
use crate::chain::settings::ReadyCheck;
use crate::chain::setup::{Context, once};
use crate::chain::{Metadata, Next, Outcome, Plugin, Query, Reply, Transport, append, is_transfer};
use crate::corefile::{Directive, Error};
use crate::syntax::names::{self, Zones};
use crate::wire::message::{DNSClass, MessageName, RData, Record, ResponseCode, Size, rdata};
use crate::wire::{Name, Rcode, Ttl, reverse};
use crate::zone::{self, Answered, Pods, Seeds, View};

/// The plugin.
pub(crate) struct Kubernetes {
    view: Arc<View>,
    /// The end of the time in which names that are not known are waited for, as long as the first lists are not in.
    patient_until: Instant,
}

/// The time that one query waits for the first lists: far less than the 5 s after which resolvers ask anew.
const PATIENCE: Duration = Duration::from_millis(500);
/// `startup_timeout` unless given.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(5);
/// The time after which such a query looks again.
const AGAIN: Duration = Duration::from_millis(10);

impl Kubernetes {
    /// Answers from the zone.
    fn look(&self, query: &Query, buffer: &mut [u8]) -> Answered {
        let question = query.request.question();
        let Size { limit, over_udp } = query.limit;
        let choice = || query.client.choice(question.qname.as_wire(), query.received);
        let seeds = Seeds { order: rand::random(), choice: &choice };
        zone::answer(&question, &self.view, limit, over_udp, seeds, buffer)
    }

    /// Whether a query may wait for the first lists; sleeps if it may.
    async fn waits(&self, query: &Query) -> bool {
        let now = Instant::now();
        let may = !self.view.reader.is_synced()
            && now < self.patient_until
            && now.saturating_duration_since(query.received) < PATIENCE;
        if may {
            tokio::time::sleep(AGAIN).await;
        }
        may
    }

    /// Follows an ExternalName out of the zones: the CNAME chain, then what the target's look-up brings, its code and TC too.
    async fn chase(&self, query: &Query, targets: &[Name]) -> Outcome {
        let mut message = query.reply_message();
        message.metadata.authoritative = true;
        let mut owner = query.name();
        for target in targets {
            let target = names::to_message(target);
            let data = RData::CNAME(rdata::CNAME(target.clone()));
            message.answers.push(Record::from_rdata(owner, self.view.ttl.as_secs(), data));
            owner = target;
        }
        let mut found = query.resolver.lookup(query, &owner, query.qtype()).await;
        if query.client.transport == Transport::Udp && is_truncated(&mut found) {
            // Some clients use a truncated answer as it is, so it had better have addresses.
            let mut over_tcp = query.follow(&query.name(), query.qtype());
            over_tcp.go_over_tcp();
            over_tcp.depth = query.depth;
            let whole = query.resolver.lookup(&over_tcp, &owner, query.qtype()).await;
            found = if matches!(whole, Outcome::Reply(_)) { whole } else { found };
        }
        match found {
            Outcome::Reply(mut reply) => match reply.message() {
                Ok(found) => append(&mut message, found),
                Err(_) => message.metadata.response_code = ResponseCode::ServFail,
            },
            Outcome::Failed(_, failure) => message.metadata.response_code = failure.rcode.0.into(),
            Outcome::Next => message.metadata.response_code = ResponseCode::Refused,
            Outcome::Drop => message.metadata.response_code = ResponseCode::ServFail,
        }
        Outcome::Reply(Reply::from_message("kubernetes", message))
    }
}

fn is_truncated(found: &mut Outcome) -> bool {
    match found {
        Outcome::Reply(reply) => reply.message().is_ok_and(|message| message.metadata.truncation),
        Outcome::Failed(..) | Outcome::Next | Outcome::Drop => false,
    }
}

impl Plugin for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if query.qclass() != DNSClass::IN {
                return Outcome::Next;
            }
            if is_transfer(query.qtype()) {
                let name = query.qname();
                if !self.view.zones.iter().any(|zone| name.is_within(zone)) {
                    return Outcome::Next;
                }
                let mut message = query.reply_message();
                message.metadata.response_code = ResponseCode::Refused;
                return Outcome::Reply(Reply::from_message("kubernetes", message));
            }
            let mut buffer = vec![0; query.limit.limit];
            loop {
                return match self.look(query, &mut buffer) {
                    // Nothing that is known waits, and nothing at all once the lists are in.
                    Answered::Reply { rcode: Rcode::SERVFAIL, .. } if self.waits(query).await => continue,
                    Answered::Reply { len, .. } => {
                        buffer.truncate(len);
                        Outcome::Reply(Reply::from_octets("kubernetes", buffer))
                    }
                    Answered::Chase { targets } => self.chase(query, &targets).await,
                    Answered::Fallthrough | Answered::NotInZone => Outcome::Next,
                };
            }
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }

    fn view(&self) -> Option<Arc<View>> {
        Some(self.view.clone())
    }

    fn cluster_zones(&self) -> &[Name] {
        &self.view.zones
    }

    fn transfer(&self, zone: &MessageName) -> Option<Box<dyn Iterator<Item = Record> + Send>> {
        transfer::records(&self.view, zone)
    }

    fn search_path(&self, query: &Query) -> Option<Vec<MessageName>> {
        // Only without `pods verified` is a client's namespace not known.
        if self.view.pods != Pods::Verified {
            return None;
        }
        let name = query.qname();
        let zones = Zones(self.view.zones.clone());
        let zone = zones.matching(&name)?;
        let labels: Vec<&[u8]> = name.labels().collect();
        let own = labels.len().checked_sub(zone.labels().count())?;
        let [_, .., namespace, b"svc"] = labels.get(..own)? else { return None };
        if !self.view.reader.has_pod(namespace, query.client.peer.ip().to_canonical()) {
            return None;
        }
        let below = |labels: &[&[u8]]| Name::from_labels(labels.iter().copied().chain(zone.labels())).ok();
        let path = [below(&[namespace, b"svc"])?, below(&[b"svc"])?, zone.clone()];
        Some(path.iter().map(names::to_message).collect())
    }

    fn metadata(&self, query: &Query, into: &mut Metadata) {
        metadata::tell_client(&self.view, query.client.peer.ip().to_canonical(), into);
        metadata::tell(&self.view, &query.qname(), into);
    }
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    let zones = Zones::read(&directive.arguments, context.zones)?;
    if zones.0.iter().all(is_reverse) {
        return Err(directive
            .name
            .error("kubernetes needs a zone of names, such as cluster.local, beside the reverse zones"));
    }
    let mut options = KubernetesOptions::default();
    for line in directive.lines() {
        options.read(line)?;
    }
    if let (Some((line, _)), None) = (&options.tls, options.endpoint) {
        context.settings.notes.push(line.name.error("tls is for endpoint, which is missing, and so has no effect"));
    }
    options.check_multicluster(&zones.0)?;
    options.expect_files(context)?;
    let (source, at) = options.source(directive, context.settings.enabled.contains(&"metadata"))?;
    let reader = context.host.mirrors.mirror(&source, at)?;
    let view = Arc::new(View {
        reader: reader.clone(),
        zones: zones.0,
        multicluster: options.multicluster.into_iter().map(|(zone, _)| zone).collect(),
        ttl: Ttl::from_secs(options.ttl.unwrap_or(5)),
        pods: options.pods,
        namespaces: options.namespaces.map(|(namespaces, _)| namespaces),
        ignore_empty: options.ignore_empty,
        zonal: options.zonal,
        bounds: None,
        fallthrough: options.fallthrough,
        local: local_addresses(context),
    });
    context
        .settings
        .ready_checks
        .push(ReadyCheck { plugin: "kubernetes", is_ready: Arc::new(move || reader.is_synced()) });
    let patient_until = context.host.now + options.startup_timeout.unwrap_or(STARTUP_TIMEOUT);
    Ok(vec![Arc::new(Kubernetes { view, patient_until })])
}

/// The addresses by which this server is a name server of the zone: those of `bind`, or those of the machine.
fn local_addresses(context: &Context<'_, '_>) -> Vec<IpAddr> {
    let bound: Vec<IpAddr> =
        context.settings.bind.iter().copied().filter(|address| !address.is_unspecified()).collect();
    let own = context.host.interfaces.iter().map(|(_, address)| *address);
    let all: Vec<IpAddr> = if bound.is_empty() { own.collect() } else { bound.clone() };
    let others: Vec<IpAddr> = all.into_iter().filter(|address| !address.is_loopback()).collect();
    // Bound to a loopback address and to nothing else, the server has that one to tell.
    if others.is_empty() { bound } else { others }
}

/// Whether a zone lies below one of the reverse trees.
fn is_reverse(zone: &Name) -> bool {
    reverse::is_reverse(zone.as_wire()) && zone.labels().nth(2).is_some()
}

#[cfg(test)]
mod tests;

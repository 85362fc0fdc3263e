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
//! Metadata: `kubernetes/kind`, `kubernetes/namespace`, `kubernetes/service`, `kubernetes/endpoint`,
//! `kubernetes/port-name`, `kubernetes/protocol`.
//!
//! Differences: ports are bound at once. Until the first lists are in, and within `startup_timeout` (5s), a query for a name that
//! is not known waits for them, up to half a second; then it gets SERVFAIL. An ExternalName answer carries the response code of its target's look-up.

mod transfer;

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::chain::{Metadata, Next, Outcome, Plugin, Query, Reply, Transport};
use super::names::{self, Zones};
use super::settings::ReadyCheck;
use super::setup::{Context, once};
use super::words;
use crate::corefile::{Directive, Error, Token};
use crate::wire::message::{DNSClass, Message, MessageName, RData, Record, RecordType, ResponseCode, rdata};
use crate::wire::{self, Failure, Label, Name, Parsed, Rcode};
use crate::zone::{self, Answered, Fallthrough, Pods, View};

/// Where a cluster's names come from: equal sources are one mirror.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The way to the API server.
    pub access: Access,
    /// `labels`: the selector of Services, slices and pods.
    pub labels: Option<String>,
    /// `namespace_labels`: the selector of namespaces.
    pub namespace_labels: Option<String>,
    /// `pods verified`: pods are watched.
    pub pods: bool,
    /// Slices are watched; not with `noendpoints`.
    pub endpoints: bool,
    /// `endpoint_pod_names`: the pod's name is the label of an endpoint without hostname.
    pub endpoint_pod_names: bool,
    /// `zonal`: topology zones are kept.
    pub zonal: bool,
    /// `multicluster`: ServiceImports and their slices are watched as well.
    pub multicluster: bool,
    /// `apiserver_qps`, `apiserver_burst`, `apiserver_max_inflight`; 0 for the client's own.
    pub limits: [u32; 3],
}

/// The way to an API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// The service account of the pod.
    InCluster,
    /// `kubeconfig FILE [CONTEXT]`.
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// The context, when it is not the file's current one.
        context: Option<String>,
    },
    /// `endpoint URL`.
    Endpoint {
        /// Its URL.
        url: String,
        /// `tls CERT KEY CACERT`.
        tls: Option<[PathBuf; 3]>,
    },
}

/// The plugin.
pub(crate) struct Kubernetes {
    view: Arc<View>,
    /// Until when names that are not known are waited for, as long as the first lists are not in.
    patient_until: Instant,
}

/// How long one query waits for the first lists: far less than the 5 s after which resolvers ask anew.
const PATIENCE: Duration = Duration::from_millis(500);
/// `startup_timeout` unless given, and at most: time is added to it.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_STARTUP: Duration = Duration::from_secs(86_400);
/// How often such a query looks again.
const AGAIN: Duration = Duration::from_millis(10);

impl Kubernetes {
    /// Answers from the zone.
    fn look(&self, query: &Query) -> Result<(Answered, Vec<u8>), String> {
        let octets = query.request.to_vec().map_err(|error| format!("the question cannot be written: {error}"))?;
        let Parsed::Query(question) = wire::parse(&octets) else { return Err("the question cannot be read".into()) };
        let mut buffer = vec![0; 65_535];
        let answered = zone::answer(&question, &self.view, 65_535, false, rand::random(), &mut buffer);
        Ok((answered, buffer))
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
            message.answers.push(Record::from_rdata(owner, self.view.ttl, data));
            owner = target;
        }
        let mut found = query.resolver.lookup(query, &owner, query.qtype()).await;
        if query.client.transport == Transport::Udp && is_truncated(&mut found) {
            // Some clients use a truncated answer as it is, so it had better have addresses.
            let mut over_tcp = query.follow(&query.name(), query.qtype());
            (over_tcp.client.transport, over_tcp.depth) = (Transport::Tcp, query.depth);
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

/// Adds what the look-up of a target brought to the CNAME that led there.
pub(crate) fn append(message: &mut Message, found: &mut Message) {
    message.answers.append(&mut found.answers);
    message.authorities.append(&mut found.authorities);
    message.metadata.response_code = found.metadata.response_code;
    message.metadata.truncation |= found.metadata.truncation;
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
                let name = names::to_wire(&query.name());
                if !self.view.zones.iter().any(|zone| name.is_within(zone)) {
                    return Outcome::Next;
                }
                let mut message = query.reply_message();
                message.metadata.response_code = ResponseCode::Refused;
                return Outcome::Reply(Reply::from_message("kubernetes", message));
            }
            loop {
                return match self.look(query) {
                    // Nothing that is known waits, and nothing at all once the lists are in.
                    Ok((Answered::Reply { rcode: Rcode::SERVFAIL, .. }, _)) if self.waits(query).await => continue,
                    Ok((Answered::Reply { len, .. }, mut buffer)) => {
                        buffer.truncate(len);
                        Outcome::Reply(Reply::from_octets("kubernetes", buffer))
                    }
                    Ok((Answered::Chase { targets }, _)) => self.chase(query, &targets).await,
                    Ok(_) => Outcome::Next,
                    Err(why) => failed(why),
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

    fn transfer(&self, zone: &MessageName) -> Option<Box<dyn Iterator<Item = Record> + Send>> {
        transfer::records(&self.view, zone)
    }

    fn search_path(&self, query: &Query) -> Option<Vec<MessageName>> {
        // Only without `pods verified` is a client's namespace not known.
        if self.view.pods != Pods::Verified {
            return None;
        }
        let name = names::to_wire(&query.name());
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
        let name = names::to_wire(&query.name());
        let zones = Zones(self.view.zones.clone());
        let Some(zone) = zones.matching(&name) else { return };
        let labels: Vec<String> = name.labels().map(|label| String::from_utf8_lossy(label).into_owned()).collect();
        let own = labels.len().saturating_sub(zone.labels().count());
        let mut left = labels.get(..own).unwrap_or_default().iter().rev();
        let mut put = |label: &str, value: Option<&String>| {
            if let Some(value) = value {
                into.insert(format!("kubernetes/{label}"), value.clone());
            }
        };
        put("kind", left.next());
        put("namespace", left.next());
        put("service", left.next());
        let rest: Vec<&String> = left.collect();
        match rest.as_slice() {
            [endpoint] => put("endpoint", Some(endpoint)),
            [protocol, port] => {
                put("port-name", Some(&port.trim_start_matches('_').to_owned()));
                put("protocol", Some(&protocol.trim_start_matches('_').to_owned()));
            }
            _ => {}
        }
    }
}

fn failed(message: String) -> Outcome {
    Outcome::Failed("kubernetes", Failure::servfail(message))
}

//----------- Setup ----------------------------------------------------------

const OPTIONS: [&str; 17] = [
    "kubeconfig",
    "endpoint",
    "tls",
    "namespaces",
    "labels",
    "namespace_labels",
    "pods",
    "endpoint_pod_names",
    "noendpoints",
    "ttl",
    "fallthrough",
    "ignore",
    "zonal",
    "multicluster",
    "startup_timeout",
    "apiserver_qps",
    "apiserver_burst, apiserver_max_inflight",
];

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    let zones = Zones::read(&directive.arguments, context.zones)?;
    if zones.0.iter().all(is_reverse) {
        return Err(directive
            .name
            .error("kubernetes needs a zone of names, such as cluster.local, beside the reverse zones"));
    }
    let mut options = Options::default();
    for line in directive.lines() {
        options.read(line)?;
    }
    if let (Some((line, _)), None) = (&options.tls, options.endpoint) {
        context.settings.notes.push(line.name.error("tls is for endpoint, which is missing, and so has no effect"));
    }
    options.check_multicluster(&zones.0)?;
    let (source, at) = options.source(directive)?;
    let reader = context.host.mirrors.mirror(&source, at)?;
    let view = Arc::new(View {
        reader: reader.clone(),
        zones: zones.0,
        multicluster: options.multicluster.into_iter().map(|(zone, _)| zone).collect(),
        ttl: options.ttl.unwrap_or(5),
        pods: options.pods,
        namespaces: options.namespaces.map(|(namespaces, _)| namespaces),
        ignore_empty: options.ignore_empty,
        zonal: options.zonal,
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
    let labels: Vec<&[u8]> = zone.labels().collect();
    matches!(labels.as_slice(), [_, .., b"in-addr" | b"ip6", b"arpa"])
}

#[derive(Default)]
struct Options<'d> {
    kubeconfig: Option<(&'d Token, Option<String>)>,
    endpoint: Option<&'d Token>,
    tls: Option<(&'d Directive, [PathBuf; 3])>,
    namespaces: Option<(HashSet<Label>, &'d Token)>,
    labels: Option<String>,
    namespace_labels: Option<(String, &'d Token)>,
    pods: Pods,
    endpoint_pod_names: bool,
    noendpoints: Option<&'d Token>,
    ttl: Option<u32>,
    fallthrough: Fallthrough,
    ignore_empty: bool,
    zonal: bool,
    multicluster: Vec<(Name, &'d Token)>,
    limits: [u32; 3],
    startup_timeout: Option<Duration>,
}

impl<'d> Options<'d> {
    fn read(&mut self, line: &'d Directive) -> Result<(), Error> {
        line.no_body()?;
        match line.name.text.as_str() {
            "kubeconfig" => match line.arguments.as_slice() {
                [file] => self.kubeconfig = Some((file, None)),
                [file, context] => self.kubeconfig = Some((file, Some(context.text.clone()))),
                _ => return Err(line.name.error("kubeconfig needs FILE and takes a context after it")),
            },
            // CoreDNS once took several and still reads the first alone.
            "endpoint" => {
                let url =
                    line.arguments.first().ok_or_else(|| line.name.error("endpoint needs the URL of an API server"))?;
                self.endpoint = Some(url);
            }
            "tls" => match line.arguments.as_slice() {
                [certificate, key, authority] => {
                    self.tls = Some((line, [words::file(certificate), words::file(key), words::file(authority)]));
                }
                _ => return Err(line.name.error("tls needs three files: CERT KEY CACERT")),
            },
            "namespaces" => {
                if line.arguments.is_empty() {
                    return Err(line.name.error("namespaces needs at least one namespace"));
                }
                let (set, _) = self.namespaces.get_or_insert_with(|| (HashSet::new(), &line.name));
                for word in &line.arguments {
                    let label = Label::new(word.text.as_bytes());
                    set.insert(label.map_err(|error| word.error(format!("`{}` is no namespace: {error}", word.text)))?);
                }
            }
            "labels" => self.labels = Some(selector(line)?),
            "namespace_labels" => self.namespace_labels = Some((selector(line)?, &line.name)),
            "pods" => {
                let word = line.one_argument("disabled, insecure or verified")?;
                self.pods = match word.text.as_str() {
                    "disabled" => Pods::Disabled,
                    "insecure" => Pods::Insecure,
                    "verified" => Pods::Verified,
                    other => return Err(word.error(format!("`{other}` is none of disabled, insecure, verified"))),
                };
            }
            "endpoint_pod_names" => {
                line.no_arguments()?;
                self.endpoint_pod_names = true;
            }
            "noendpoints" => {
                line.no_arguments()?;
                self.noendpoints = Some(&line.name);
            }
            "ttl" => self.ttl = Some(words::number(line.one_argument("a number of seconds")?, 0..=3600)?),
            "fallthrough" => self.fallthrough = read_fallthrough(line)?,
            "ignore" => {
                let word = line.one_argument("empty_service")?;
                if word.text != "empty_service" {
                    return Err(word.error(format!("`{}` cannot be ignored, only empty_service", word.text)));
                }
                self.ignore_empty = true;
            }
            "zonal" => {
                line.no_arguments()?;
                self.zonal = true;
            }
            "startup_timeout" => {
                let time = words::duration(line.one_argument("a duration")?)?;
                self.startup_timeout = Some(time.min(LONGEST_STARTUP));
            }
            name @ ("apiserver_qps" | "apiserver_burst" | "apiserver_max_inflight") => {
                let word = line.one_argument("a number")?;
                let place =
                    ["apiserver_qps", "apiserver_burst", "apiserver_max_inflight"].iter().position(|n| *n == name);
                let value = match word.text.parse::<f64>() {
                    Ok(value) if value >= 0.0 && value <= f64::from(u32::MAX) => value.ceil() as u32,
                    _ => return Err(word.error(format!("`{}` is no number from 0 on", word.text))),
                };
                if let Some(limit) = place.and_then(|place| self.limits.get_mut(place)) {
                    *limit = value;
                }
            }
            removed @ ("upstream" | "resyncperiod" | "transfer") => {
                return Err(line.name.error(format!("kubernetes has no option `{removed}` any more; delete the line")));
            }
            "multicluster" => {
                for word in &line.arguments {
                    self.multicluster.extend(names::read_zone(word)?.into_iter().map(|zone| (zone, word)));
                }
            }
            _ => return Err(words::unknown(line, "kubernetes", &OPTIONS)),
        }
        Ok(())
    }

    /// Whether the zones of `multicluster` are among the directive's.
    fn check_multicluster(&self, zones: &[Name]) -> Result<(), Error> {
        match self.multicluster.iter().find(|(zone, _)| !zones.contains(zone)) {
            None => Ok(()),
            Some((_, word)) => {
                let what = format!("the multicluster zone `{}` must be among the zones after kubernetes", word.text);
                Err(word.error(what))
            }
        }
    }

    fn source(&self, directive: &'d Directive) -> Result<(Source, &'d Token), Error> {
        if let (Some((_, at)), Some(_)) = (&self.namespace_labels, &self.namespaces) {
            return Err(at.error("namespace_labels and namespaces exclude each other"));
        }
        if self.zonal
            && let Some(at) = self.noendpoints
        {
            return Err(at.error("noendpoints and zonal exclude each other: zonal names are those of endpoints"));
        }
        let (access, at) = match (&self.kubeconfig, self.endpoint) {
            (Some((file, context)), _) => {
                let path = words::file(file);
                std::fs::File::open(&path)
                    .map_err(|error| file.error(format!("the kubeconfig `{}` cannot be read: {error}", file.text)))?;
                (Access::Kubeconfig { file: path, context: context.clone() }, *file)
            }
            (None, Some(url)) => {
                let tls = self.tls.as_ref().map(|(_, files)| files.clone());
                (Access::Endpoint { url: url.text.clone(), tls }, url)
            }
            (None, None) => (Access::InCluster, &directive.name),
        };
        let source = Source {
            access,
            labels: self.labels.clone(),
            namespace_labels: self.namespace_labels.as_ref().map(|(selector, _)| selector.clone()),
            pods: self.pods == Pods::Verified,
            endpoints: self.noendpoints.is_none(),
            endpoint_pod_names: self.endpoint_pod_names,
            zonal: self.zonal,
            multicluster: !self.multicluster.is_empty(),
            limits: self.limits,
        };
        Ok((source, at))
    }
}

/// Reads `fallthrough [ZONES...]`.
pub(crate) fn read_fallthrough(line: &Directive) -> Result<Fallthrough, Error> {
    line.no_body()?;
    if line.arguments.is_empty() {
        return Ok(Fallthrough::All);
    }
    Ok(Fallthrough::Zones(Zones::read(&line.arguments, &[])?.0))
}

/// Whether names that do not exist are handed on at a name.
pub(crate) fn falls_through(fallthrough: &Fallthrough, name: &Name) -> bool {
    match fallthrough {
        Fallthrough::None => false,
        Fallthrough::All => true,
        Fallthrough::Zones(zones) => zones.iter().any(|zone| name.is_within(zone)),
    }
}

/// Reads a label selector as the API has it; the words of the line are one selector.
fn selector(line: &Directive) -> Result<String, Error> {
    let first =
        line.arguments.first().ok_or_else(|| line.name.error(format!("{} needs a label selector", line.name.text)))?;
    let text = line.arguments.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    if is_selector(&text) {
        Ok(text)
    } else {
        Err(first
            .error(format!("`{text}` is no label selector: write key=value, key!=value, key in (a, b), key or !key")))
    }
}

fn is_selector(text: &str) -> bool {
    let mut requirements = vec![String::new()];
    let mut depth = 0u32;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c == ',' && depth == 0 {
            requirements.push(String::new());
        } else if let Some(last) = requirements.last_mut() {
            last.push(c);
        }
    }
    depth == 0 && requirements.iter().all(|requirement| is_requirement(requirement.trim()))
}

fn is_requirement(text: &str) -> bool {
    let key = |key: &str| {
        let (prefix, name) = key.trim().rsplit_once('/').unwrap_or_else(|| ("p", key.trim()));
        !prefix.is_empty() && prefix.len() <= 253 && !name.is_empty() && is_value(name)
    };
    if let Some(negated) = text.strip_prefix('!') {
        return key(negated);
    }
    if let Some((before, values)) = text.split_once('(') {
        let mut words = before.split_whitespace();
        let operator = (words.next(), words.next(), words.next());
        let values = values.strip_suffix(')').unwrap_or("*");
        return matches!(operator, (Some(name), Some("in" | "notin"), None) if key(name))
            && values.split(',').all(|value| is_value(value.trim()));
    }
    for operator in ["!=", "==", "="] {
        if let Some((name, value)) = text.split_once(operator) {
            return key(name) && is_value(value.trim());
        }
    }
    key(text)
}

fn is_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && edge(text.chars().next())
        && edge(text.chars().last())
}

/// The type that a zone transfer asks for.
pub(crate) fn is_transfer(qtype: RecordType) -> bool {
    matches!(qtype, RecordType::AXFR | RecordType::IXFR)
}

#[cfg(test)]
mod tests;

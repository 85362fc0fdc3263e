//! Name: `k8s_external`
//!
//! Description: answers in a zone of its own by which addresses Services are reached from outside the cluster:
//! `SERVICE.NAMESPACE.ZONE` has the `externalIPs` and the load balancer's addresses.
//!
//! Syntax:
//!
//! ```text
//! k8s_external [ZONES...] {
//!     apex LABEL
//!     ttl SECONDS
//!     headless
//!     fallthrough [ZONES...]
//! }
//! ```
//!
//! It needs `kubernetes` in the same server block. `apex` is the label below which the zone's name server stands (`dns`), `ttl`
//! from 0 to 3600 (5). With `headless`, the endpoints of headless Services without external addresses are answered too, all
//! of them and each by its name. Ports are asked for as `_PORT._PROTOCOL.SERVICE.NAMESPACE.ZONE`.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     kubernetes cluster.local
//!     k8s_external example.org {
//!         headless
//!     }
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always; before the first complete list of the cluster, names that are not known, or not known whole, get SERVFAIL.
//!
//! Differences: the endpoints of a headless Service come in a random order. The serial is that of the cluster's zone. The
//! CNAME of a load balancer that has a name carries the response code of its look-up, unless there are addresses beside it.
//! A Service of the type ExternalName has no endpoints, whatever slices are left of it. The zone is not given to `transfer`.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::chain::setup::{Context, last};
use crate::chain::{Choice, FastPathExclusion, Next, Outcome, Plugin, Query, Reply, append, is_transfer};
use crate::corefile::{Directive, Error};
use crate::syntax::names::read_fallthrough;
use crate::syntax::names::{self, Zones};
use crate::syntax::words;
use crate::wire::message::{DNSClass, Message, MessageName, RData, Record, RecordType, ResponseCode, Size, rdata};
use crate::wire::{Failure, Label, Name, QName, Ttl, reverse};
use crate::zone::{
    Answered, External, Fallthrough, Outside, OutsideEndpoints, OutsideLookup, Seeds, ServiceName, View, answer_outside,
};

/// The plugin.
pub(crate) struct K8sExternal {
    zones: Zones,
    apex: Label,
    ttl: u32,
    headless: bool,
    fallthrough: Fallthrough,
}

impl Plugin for K8sExternal {
    fn name(&self) -> &'static str {
        "k8s_external"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let name = query.qname();
            let Some(zone) = self.zones.matching(&name) else { return Outcome::Next };
            let Some(view) = next.plugins().iter().find_map(|plugin| plugin.view()) else { return Outcome::Next };
            if query.qclass() != DNSClass::IN {
                return Outcome::Next;
            }
            let mut message = query.reply_message();
            message.metadata.authoritative = true;
            if is_transfer(query.qtype()) {
                message.metadata.authoritative = false;
                message.metadata.response_code = ResponseCode::Refused;
                return Outcome::Reply(Reply::from_message("k8s_external", message));
            }
            let qname = QName::from_name(&name);
            let at = qname.label_count().saturating_sub(zone.labels().count());
            let meaning = view.look_up_outside(&qname, at, &self.apex);
            let found = match self.own(&meaning, &view, zone, query, &mut message) {
                Some(found) => found,
                None => match self.cluster(meaning, &view, zone, &name, query, &mut message).await {
                    Told::Answer(octets) => return Outcome::Reply(Reply::from_octets("k8s_external", octets)),
                    Told::Exists(false) if !view.reader.is_synced() => {
                        let why = format!("plugin/k8s_external: {name} is not known before the first complete list");
                        return Outcome::Failed("k8s_external", Failure::servfail(why));
                    }
                    Told::Exists(false) if self.fallthrough.covers(name.as_wire()) => return Outcome::Next,
                    Told::Exists(found) => found,
                },
            };
            if !found {
                message.metadata.response_code = ResponseCode::NXDomain;
            }
            if message.answers.is_empty() {
                message.authorities.push(self.soa(&view, zone));
            }
            Outcome::Reply(Reply::from_message("k8s_external", message))
        })
    }

    fn cluster_zones(&self) -> &[Name] {
        &self.zones.0
    }

    fn needs_message(&self, cluster_zones: &[Name]) -> Option<String> {
        // Zones below the cluster's take the chain by themselves.
        let above = self.zones.0.iter().any(|zone| cluster_zones.iter().any(|own| own.is_within(zone)));
        above.then(|| "its zones cover cluster names".to_owned())
    }
}

/// The outcome of a name of the cluster.
enum Told {
    /// The whole answer.
    Answer(Vec<u8>),
    /// Whether the name exists; its records, if it has some of the type, stand in the message.
    Exists(bool),
}

impl K8sExternal {
    fn record(&self, owner: MessageName, data: RData) -> Record {
        Record::from_rdata(owner, self.ttl, data)
    }

    /// `ns1.APEX.ZONE`.
    fn server(&self, zone: &Name, first: &[u8]) -> MessageName {
        let labels = [first, self.apex.as_bytes()].into_iter().chain(zone.labels());
        Name::from_labels(labels).as_ref().map_or_else(|_| names::to_message(zone), names::to_message)
    }

    fn soa(&self, view: &View, zone: &Name) -> Record {
        let (server, mailbox) = (self.server(zone, b"ns1"), self.server(zone, b"hostmaster"));
        let soa = rdata::SOA::new(server, mailbox, view.reader.serial().0, 7200, 1800, 86_400, self.ttl);
        self.record(names::to_message(zone), RData::SOA(soa))
    }

    /// The zone's own names, of which as in CoreDNS none falls through; `None` for those of the cluster. Says whether the name
    /// exists.
    fn own(
        &self,
        meaning: &OutsideLookup<'_>,
        view: &View,
        zone: &Name,
        query: &Query,
        message: &mut Message,
    ) -> Option<bool> {
        let addresses = || view.outside_servers(self.headless).into_iter().map(RData::from);
        match (meaning, query.qtype()) {
            (OutsideLookup::Apex, RecordType::SOA) => message.answers.push(self.soa(view, zone)),
            // As in CoreDNS, the zone is spelled as it is served, and its server as the client spelled the zone.
            (OutsideLookup::Apex, RecordType::NS) => {
                let server = self.server(zone, b"ns1");
                let asked = query.name();
                let spelled = server.iter().take(2).chain(asked.iter());
                let spelled = MessageName::from_labels(spelled).unwrap_or_else(|_| server.clone());
                message.answers.push(self.record(names::to_message(zone), RData::NS(rdata::NS(server))));
                message.additionals.extend(addresses().map(|data| self.record(spelled.clone(), data)));
            }
            (OutsideLookup::Server, qtype) => {
                let wanted = addresses().filter(|data| data.record_type() == qtype);
                message.answers.extend(wanted.map(|data| self.record(query.name(), data)));
            }
            // RFC 8020: the apex label exists, as `ns1` does below it.
            (OutsideLookup::Apex | OutsideLookup::AboveServer, _) => {}
            (OutsideLookup::NoServer, _) => return Some(false),
            _ => return None,
        }
        Some(true)
    }

    /// The names of Services and endpoints.
    async fn cluster(
        &self,
        meaning: OutsideLookup<'_>,
        view: &View,
        zone: &Name,
        name: &Name,
        query: &Query,
        message: &mut Message,
    ) -> Told {
        if query.qtype() == RecordType::PTR
            && let Some(address) = reverse::address_of(name.as_wire())
        {
            // Several Services may have the address, and all of them are known only when the lists are in.
            if !view.reader.is_synced() {
                return Told::Exists(false);
            }
            let Choice { records: services, all } = services_at(view, address, query);
            let first = self.zones.0.first().unwrap_or(zone);
            let targets = services.iter().filter_map(|service| service.outside(first));
            let pointers = targets.map(|target| RData::PTR(rdata::PTR(names::to_message(&target))));
            message.answers.extend(pointers.map(|data| self.record(query.name(), data)));
            message.metadata.truncation = !all;
            return Told::Exists(!message.answers.is_empty());
        }
        let (external, port) = match meaning {
            OutsideLookup::Reached(external, port) => (external, port),
            OutsideLookup::Endpoints(endpoints) if self.headless => {
                return self.endpoints(endpoints, view, zone, query);
            }
            meaning => return Told::Exists(matches!(meaning, OutsideLookup::Empty)),
        };
        match query.qtype() {
            RecordType::A | RecordType::AAAA => self.addresses(view, query, &external, message).await,
            RecordType::SRV => {
                let Some(owner) = external.name.outside(zone) else { return Told::Exists(false) };
                self.services(view, query, &external, &owner, port, message).await;
            }
            _ => {}
        }
        Told::Exists(true)
    }

    /// Answers with the endpoints of a Service: as within the cluster, and as much as the client can take.
    fn endpoints(&self, endpoints: OutsideEndpoints<'_>, view: &View, zone: &Name, query: &Query) -> Told {
        let question = query.request.question();
        let Size { limit, over_udp } = query.limit;
        let zone = question.qname.label_count().saturating_sub(zone.labels().count());
        let mut buffer = vec![0; limit];
        let choice = || query.client.choice(question.qname.as_wire(), query.received);
        let seeds = Seeds { order: rand::random(), choice: &choice };
        let how = Outside { zone, ttl: Ttl::from_secs(self.ttl), limit, over_udp, seeds };
        match answer_outside(&question, view, endpoints, how, &mut buffer) {
            Some(Answered::Reply { len, .. }) => {
                buffer.truncate(len);
                Told::Answer(buffer)
            }
            other => Told::Exists(other.is_some()),
        }
    }

    async fn addresses(&self, view: &View, query: &Query, external: &External, message: &mut Message) {
        let Choice { records, all } = query.some_of(external.addresses(query.qtype() == RecordType::AAAA));
        message.metadata.truncation = !all;
        message.answers.extend(records.into_iter().map(|address| self.record(query.name(), RData::from(address))));
        for target in external.names().iter().take(MOST_NAMES) {
            let target = names::to_message(target);
            let alias = RData::CNAME(rdata::CNAME(target.clone()));
            message.answers.push(Record::from_rdata(query.name(), view.ttl.as_secs(), alias));
            match query.resolver.lookup(query, &target, query.qtype()).await {
                Outcome::Reply(mut reply) => {
                    if let Ok(beyond) = reply.message() {
                        append(message, beyond);
                    }
                }
                Outcome::Failed(_, failure) => message.metadata.response_code = failure.rcode.into(),
                Outcome::Next | Outcome::Drop => {}
            }
        }
        // Addresses are an answer, whatever became of a name beside them.
        if message.answers.iter().any(|record| record.record_type() == query.qtype()) {
            message.metadata.response_code = ResponseCode::NoError;
        }
    }

    /// SRV records: of all addresses, which are those of one target, the owner, and of each load balancer that has a name.
    async fn services(
        &self,
        view: &View,
        query: &Query,
        external: &External,
        owner: &Name,
        port: Option<(&[u8], &[u8])>,
        message: &mut Message,
    ) {
        let Some(numbers) = external.ports(port).filter(|numbers| numbers.count() > 0) else { return };
        let (v4, v6, balancers) = (external.addresses(false), external.addresses(true), external.names());
        let own = usize::from(!v4.is_empty() || !v6.is_empty());
        let target = |at: usize| if at < own { Some(owner) } else { balancers.get(at - own) };
        let weight = external.weight(numbers);
        let Choice { records, all } = query.some_places((own + balancers.len()) * numbers.count());
        for place in records {
            let (target, port) = (target(place / numbers.count()), numbers.nth(place % numbers.count()));
            let (Some(target), Some(port)) = (target, port) else { continue };
            let srv = RData::SRV(rdata::SRV::new(0, weight, port, names::to_message(target)));
            message.answers.push(Record::from_rdata(query.name(), view.ttl.as_secs(), srv));
        }
        let beside = query.some_places(v4.len() + v6.len());
        message.metadata.truncation = !all || !beside.all && query.limit.over_udp;
        for place in beside.records {
            let address = v4.get(place).or_else(|| v6.get(place - v4.len()));
            let record = address.map(|address| self.record(names::to_message(owner), RData::from(*address)));
            message.additionals.extend(record);
        }
        for target in balancers.iter().take(MOST_NAMES) {
            let target = names::to_message(target);
            for qtype in [RecordType::A, RecordType::AAAA] {
                if let Outcome::Reply(mut reply) = query.resolver.lookup(query, &target, qtype).await
                    && let Ok(beyond) = reply.message()
                {
                    message.additionals.append(&mut beyond.answers);
                }
            }
        }
    }
}

/// The Services that are reached from outside at an address, as many as the answer can hold; in their order where that is all.
fn services_at(view: &View, address: IpAddr, query: &Query) -> Choice<ServiceName> {
    let reached = view.reached(address);
    let Choice { records: places, all } = query.some_places(reached.count());
    let mut records: Vec<ServiceName> = places.into_iter().filter_map(|at| reached.nth(at).cloned()).collect();
    if all {
        records.sort();
    }
    Choice { records, all }
}

/// The host names of a Service that are looked up for one answer: a load balancer has one or two.
const MOST_NAMES: usize = 8;

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let plugin = last(lines, |directive| read(directive, context.zones))?;
    for zone in &plugin.zones.0 {
        context.settings.exclusions.push(FastPathExclusion::Zone(zone.clone(), None));
    }
    Ok(vec![Arc::new(plugin)])
}

fn read(directive: &Directive, zones: &[Name]) -> Result<K8sExternal, Error> {
    let apex = Label::new(b"dns").map_err(|error| directive.name.error(error.to_string()))?;
    let zones = Zones::read(&directive.arguments, zones)?;
    let mut plugin = K8sExternal { zones, apex, ttl: 5, headless: false, fallthrough: Fallthrough::None };
    for line in directive.lines() {
        line.no_body()?;
        match line.name.text.as_str() {
            "apex" => {
                let word = words::value(line, "a label")?;
                if word.text.contains('.') {
                    return Err(word.error(format!("`{}` is more than one label", word.text)));
                }
                plugin.apex = Label::new(word.text.to_lowercase().as_bytes())
                    .map_err(|error| word.error(format!("`{}` is no label: {error}", word.text)))?;
            }
            "ttl" => plugin.ttl = words::number(words::value(line, "a number of seconds")?, 0..=3600)?,
            "headless" => {
                words::alone(line)?;
                plugin.headless = true;
            }
            "fallthrough" => plugin.fallthrough = read_fallthrough(line)?,
            _ => return Err(words::unknown(line, "k8s_external", &["apex", "ttl", "headless", "fallthrough"])),
        }
    }
    Ok(plugin)
}

#[cfg(test)]
mod tests;

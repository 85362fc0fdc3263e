//! Name: `forward`
//!
//! Description: asks other resolvers. The client's question goes on with its flags and, of its EDNS options, its subnet; under a
//! random id, from a random port and with its name in random case. An answer counts only when all of that comes back and the
//! whole of it is a well-formed message. Equal queries in flight are asked once.
//!
//! Syntax:
//!
//! ```text
//! forward FROM TO... {
//!     except ZONES...
//!     force_tcp
//!     prefer_udp
//!     expire DURATION
//!     max_age DURATION
//!     max_idle_conns NUMBER
//!     max_fails NUMBER
//!     max_connect_attempts NUMBER
//!     read_timeout DURATION
//!     tls [CERT KEY] [CA]
//!     tls_servername NAME
//!     policy random|round_robin|sequential
//!     health_check DURATION [no_rec] [domain NAME]
//!     max_concurrent NUMBER
//!     next RCODE...
//!     next_on_nodata
//!     failover RCODE...
//!     failfast_all_unhealthy_upstreams
//!     resolver ADDRESS...
//!     source_address ADDRESS
//! }
//! ```
//!
//! FROM is the zone that is forwarded. TO is up to 15 times an address, `dns://ADDRESS:PORT`, `tls://ADDRESS%NAME`, a file with
//! `nameserver` lines, or a name whose addresses are asked for once at the start: of `resolver`, else of /etc/resolv.conf.
//! A client that came over TCP is asked for over TCP. The line may be repeated; `next` then hands a query on to the next one.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     forward corp.example.org 192.0.2.10 192.0.2.11 {
//!         policy sequential
//!         max_concurrent 1000
//!     }
//!     forward . 192.0.2.53
//! }
//! ```
//!
//! Metrics: `coredns_proxy_request_duration_seconds` {proxy_name, to, rcode}, `coredns_proxy_healthcheck_failures_total`
//! {proxy_name, to}, `coredns_proxy_conn_cache_hits_total` and `_misses_total` {proxy_name, to, proto},
//! `coredns_forward_healthcheck_broken_total`, `coredns_forward_max_concurrent_rejects_total`; of the older generation
//! `coredns_forward_requests_total` {to}, `coredns_forward_responses_total` and `coredns_forward_request_duration_seconds`
//! {to, rcode}, `coredns_forward_healthcheck_failures_total` {to}; of our own `rollcall_forward_doubtful_answers_total` {to} and
//! `rollcall_forward_shared_total`.
//!
//! Ready: always. Trouble with an upstream fails the queries for it and nothing else.
//!
//! Differences: an answer that does not match, or is malformed anywhere, is dropped and the true one waited for, instead of
//! FORMERR; then a connection is tried, and where an answer over UDP lost the case of the name, UDP once more as the client
//! spelled it, for ten minutes if that helps. Cookies, padding and options unknown to us stay here. An upstream whose last
//! exchange failed is the last choice for two seconds, and with `policy random` a far slower one is asked less often. An answer
//! larger than the client's buffer is cut by this server, instead of being emptied. 4096 exchanges at a time are the most,
//! also without `max_concurrent`. At either limit the client address (of IPv6 the network of 64 bits) that has most queries
//! waiting gives way: its newest is refused instead of the query of another. DNS over HTTPS and QUIC to upstreams are not supported.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::chain::setup::Context;
use crate::chain::{Next, Outcome, Plugin, Query, Reply, Transport};
use crate::corefile::{Directive, Error, Token};
use crate::files;
use crate::metrics::metrics;
use crate::places::Places;
use crate::syntax::names;
use crate::syntax::words;
use crate::upstream::{
    Group, GroupSettings, Policy, TlsConfig, Upstream, UpstreamAddress, UpstreamHost, Way, client_config, nameservers,
    resolve, system_roots,
};
use crate::wire::message::rdata::opt::EdnsCode;
use crate::wire::message::{Message, MessageEdns, ProtoError};
use crate::wire::{Failure, Flags, Header, Name, Opcode, OwnEdns, Rcode, Records, Rtype, append_opt, bare_message};

//----------- Forward --------------------------------------------------------

/// The plugin, one for each line.
pub(crate) struct Forward {
    from: Name,
    except: Vec<Name>,
    group: Arc<Group>,
    /// The places of queries that wait for an upstream, where `max_concurrent` bounds them.
    places: Option<Arc<Places>>,
    next: Vec<Rcode>,
    next_on_nodata: bool,
}

impl Plugin for Forward {
    fn name(&self) -> &'static str {
        "forward"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if !self.is_for(&query.qname()) {
                return Outcome::Next;
            }
            if query.request.opcode() != Opcode::QUERY {
                // CVE-2026-86003: an UPDATE for an upstream does not pass through here, whatever way it came.
                let message = "only queries are sent upstream".to_owned();
                return Outcome::Failed("forward", Failure { rcode: Rcode::NOTIMP, extended: None, message });
            }
            let octets = match sent_on(query) {
                Ok(octets) => octets,
                Err(error) => {
                    let message = format!("the query cannot be written: {error}");
                    return Outcome::Failed("forward", Failure { rcode: Rcode::FORMERR, extended: None, message });
                }
            };
            let (client, stream) = (query.client.peer.ip(), query.client.transport != Transport::Udp);
            let asking = self.group.ask(&octets, stream, client);
            let answered = match &self.places {
                None => Some(asking.await),
                Some(places) => match places.take(client) {
                    Some(place) => place.hold(asking).await,
                    None => None,
                },
            };
            let answered = match answered {
                Some(Ok(answered)) => answered,
                Some(Err(error)) => return Outcome::Failed("forward", error.to_failure()),
                None => return self.refuse(),
            };
            query.metadata.insert("forward/upstream".into(), answered.upstream.to_string());
            let another = next.plugins().first().is_some_and(|plugin| plugin.name() == "forward");
            if another && self.goes_on(&answered.octets) {
                return Outcome::Next;
            }
            let mut octets = answered.octets;
            if let Some(edns) = query.request.edns() {
                add_opt(&mut octets, edns.dnssec_ok);
            }
            Outcome::Reply(Reply::from_octets("forward", octets))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

impl Forward {
    fn is_for(&self, name: &Name) -> bool {
        name.is_within(&self.from) && (*name == self.from || !self.except.iter().any(|zone| name.is_within(zone)))
    }

    /// The outcome of a query that found no place, or lost it to a client that held fewer.
    fn refuse(&self) -> Outcome {
        REJECTS.inc();
        let most = self.places.as_ref().map_or(0, |places| places.limit());
        let message = format!("concurrent queries exceeded maximum {most}");
        Outcome::Failed("forward", Failure { rcode: Rcode::REFUSED, extended: None, message })
    }

    /// Whether an answer is one that `next` names.
    fn goes_on(&self, reply: &[u8]) -> bool {
        let rcode = Rcode::of(reply);
        let nothing = rcode == Rcode::NOERROR && Header::of(reply).is_some_and(|header| header.counts[1] == 0);
        self.next.contains(&rcode) || self.next_on_nodata && nothing
    }
}

/// The query as it goes upstream: the client's own octets, with an OPT record of ours. Of its options those go that are for
/// everybody on the way: the client's subnet (RFC 7871), and what a rule put in. Cookies, padding and the like are between
/// two neighbours.
///
/// # Errors
/// When what a rule put in cannot be written.
fn sent_on(query: &Query) -> Result<Vec<u8>, ProtoError> {
    let request = &query.request;
    let goes = |code: EdnsCode| code == EdnsCode::Subnet || query.sent_on.contains(&code);
    if !request.is_bare() || request.option_codes().any(|code| goes(code.into())) {
        return sent_on_by_message(request.message(), goes).to_vec();
    }
    let question = request.question();
    let flags = question.flags.without(Flags::Z);
    let mut octets = bare_message(question.id, flags, question.spelling(), question.qtype, question.qclass);
    if let Some(edns) = question.edns {
        append_opt(&mut octets, edns.payload.max(512), 0, edns.dnssec_ok, &[]);
    }
    Ok(octets)
}

/// The same of a query with something that goes upstream beside its question.
fn sent_on_by_message(request: &Message, goes: impl Fn(EdnsCode) -> bool) -> Message {
    let mut message = Message::query();
    message.metadata = request.metadata;
    // The upper bits of a response code stand in the OPT record, which is ours.
    message.metadata.response_code = (u16::from(request.metadata.response_code) & 0xf).into();
    message.queries.clone_from(&request.queries);
    // What an IXFR starts from (RFC 1995 section 3).
    message.authorities.clone_from(&request.authorities);
    message.edns = request.edns.as_ref().map(|edns| {
        let mut own = MessageEdns::new();
        own.set_max_payload(edns.max_payload()).set_dnssec_ok(edns.flags().dnssec_ok);
        for (_, option) in edns.options().options.iter().filter(|(code, _)| goes(*code)) {
            own.options_mut().insert(option.clone());
        }
        own
    });
    message
}

/// Gives the answer of an upstream without EDNS the OPT record that a client with it expects (RFC 6891 section 6.1.1).
fn add_opt(octets: &mut Vec<u8>, dnssec_ok: bool) {
    let has_opt = Records::new(octets).is_ok_and(|records| records.flatten().any(|record| record.rtype == Rtype::OPT));
    if !has_opt {
        append_opt(octets, OwnEdns::DEFAULT.payload, 0, dnssec_ok, &[]);
    }
}

//----------- Setup ----------------------------------------------------------

const OPTIONS: [&str; 20] = [
    "except",
    "force_tcp",
    "prefer_udp",
    "expire",
    "max_age",
    "max_idle_conns",
    "max_fails",
    "max_connect_attempts",
    "read_timeout",
    "tls",
    "tls_servername",
    "policy",
    "health_check",
    "max_concurrent",
    "next",
    "next_on_nodata",
    "failover",
    "failfast_all_unhealthy_upstreams",
    "resolver",
    "source_address",
];

/// The number of upstreams that a line may have.
const MOST_UPSTREAMS: usize = 15;

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    lines.iter().map(|line| Ok(Arc::new(forward(line, context)?) as Arc<dyn Plugin>)).collect()
}

/// The options of a line.
#[derive(Default)]
struct ForwardOptions {
    settings: GroupSettings,
    except: Vec<Name>,
    max_concurrent: usize,
    next: Vec<Rcode>,
    next_on_nodata: bool,
    tls: Vec<Token>,
    tls_servername: Option<String>,
    resolvers: Vec<SocketAddr>,
    notes: Vec<Error>,
}

fn forward(line: &Directive, context: &mut Context<'_, '_>) -> Result<Forward, Error> {
    let (from, to) = match line.arguments.as_slice() {
        [from, to @ ..] if !to.is_empty() => (from, to),
        _ => return Err(line.name.error("forward needs a zone and at least one upstream: forward . ADDRESS")),
    };
    let zones = names::read_zone(from)?;
    let zone = zones.first().cloned().ok_or_else(|| from.error(format!("`{}` is no zone", from.text)))?;
    if zones.len() > 1 {
        let note = format!("`{}` is {} zones, of which only {zone} is forwarded", from.text, zones.len());
        context.settings.notes.push(from.error(note));
    }
    if let Some(extra) = to.get(MOST_UPSTREAMS) {
        return Err(extra.error(format!("{} upstreams are too many: at most {MOST_UPSTREAMS}", to.len())));
    }
    let mut options = ForwardOptions::default();
    for option in line.lines() {
        read(option, &mut options)?;
    }
    context.settings.notes.append(&mut options.notes);
    if let Some(age) = options.settings.connections.max_age
        && age < options.settings.connections.expire
    {
        return Err(line.name.error(format!(
            "max_age ({age:?}) must not be less than expire ({:?})",
            options.settings.connections.expire
        )));
    }

    let mut endpoints: Vec<(UpstreamAddress, &Token)> = Vec::new();
    for word in to {
        let found = match named(word)? {
            NamedUpstreams::Upstreams(found) => found,
            NamedUpstreams::Unreadable(error) => {
                context.misses_file(word, "the list of upstreams", &error)?;
                Vec::new()
            }
            NamedUpstreams::Host(..) if context.host.elsewhere.is_some() => {
                let note = "is the name of a host: the machine that serves asks for its addresses at the start";
                context.settings.notes.push(word.error(format!("`{}` {note}", word.text)));
                Vec::new()
            }
            NamedUpstreams::Host(host, name) => look_up(word, &host, &name, &options.resolvers)?,
        };
        for mut endpoint in found {
            if endpoint.way == Way::Tls && options.tls_servername.is_some() {
                if endpoint.server_name.is_some() {
                    return Err(word.error("the server's name is given twice: behind % and by tls_servername"));
                }
                endpoint.server_name.clone_from(&options.tls_servername);
            }
            if !endpoints.iter().any(|(known, _)| *known == endpoint) {
                endpoints.push((endpoint, word));
            }
        }
    }
    // Another machine may know more upstreams than this one, which asks nobody for names.
    if endpoints.is_empty() && context.host.elsewhere.is_none() {
        return Err(line.name.error("forward found no upstream in what follows its zone"));
    }
    // Named files must be good also where nothing uses them yet.
    let needs_tls = !options.tls.is_empty() || endpoints.iter().any(|(endpoint, _)| endpoint.way == Way::Tls);
    let tls = if needs_tls { tls(&options.tls, &line.name, context)? } else { None };
    if tls.is_none() {
        endpoints.retain(|(endpoint, _)| endpoint.way != Way::Tls);
    }
    let (keep, source) = (options.settings.connections, options.settings.source);
    let mut upstreams = Vec::new();
    for (endpoint, word) in endpoints {
        let upstream = Upstream::new(endpoint, tls.clone(), keep, source).map_err(|why| word.error(why))?;
        upstreams.push(Arc::new(upstream));
    }
    Ok(Forward {
        from: zone,
        except: options.except,
        group: Arc::new(Group::new(upstreams, options.settings)),
        places: (options.max_concurrent > 0).then(|| Places::new(options.max_concurrent)),
        next: options.next,
        next_on_nodata: options.next_on_nodata,
    })
}

fn read(option: &Directive, into: &mut ForwardOptions) -> Result<(), Error> {
    let settings = &mut into.settings;
    match option.name.text.as_str() {
        "except" => {
            option.no_body()?;
            let words = some(option, "at least one zone")?;
            for word in words {
                into.except.extend(names::read_zone(word)?);
            }
        }
        "force_tcp" => {
            words::alone(option)?;
            settings.force_tcp = true;
        }
        "prefer_udp" => {
            words::alone(option)?;
            settings.prefer_udp = true;
        }
        "expire" => settings.connections.expire = words::duration(words::value(option, "a duration")?)?,
        "max_age" => {
            let age = words::duration(words::value(option, "a duration")?)?;
            settings.connections.max_age = (!age.is_zero()).then_some(age);
        }
        "max_idle_conns" => {
            settings.connections.max_idle = words::number(words::value(option, "a number")?, 0..=usize::MAX)?;
        }
        "max_fails" => settings.max_fails = words::number(words::value(option, "a number")?, 0..=u32::MAX)?,
        "max_connect_attempts" => {
            settings.max_attempts = Some(words::number(words::value(option, "a number")?, 0..=u32::MAX)?);
        }
        "read_timeout" => settings.read_timeout = words::positive_duration(words::value(option, "a duration")?)?,
        "tls" => {
            option.no_body()?;
            if let Some(extra) = option.arguments.get(3) {
                return Err(extra.error("tls takes a CA file, or a certificate, its key and a CA file"));
            }
            into.tls.clone_from(&option.arguments);
        }
        "tls_servername" => into.tls_servername = Some(words::value(option, "a server's name")?.text.clone()),
        "policy" => {
            let word = words::value(option, "a policy")?;
            settings.policy = match word.text.as_str() {
                "random" => Policy::Random,
                "round_robin" => Policy::RoundRobin,
                "sequential" => Policy::Sequential,
                other => {
                    let said = format!("unknown policy `{other}`; there are random, round_robin and sequential");
                    return Err(word.error(said));
                }
            };
        }
        "health_check" => health_check(option, settings)?,
        "max_concurrent" => {
            into.max_concurrent = words::number(words::value(option, "a number")?, 0..=usize::MAX)?;
        }
        "next" => into.next.extend(rcodes(option)?),
        "next_on_nodata" => {
            words::alone(option)?;
            into.next_on_nodata = true;
        }
        "failover" => {
            let rcodes = rcodes(option)?;
            if let Some(at) = rcodes.iter().position(|&rcode| rcode == Rcode::NOERROR) {
                let word = option.arguments.get(at).unwrap_or(&option.name);
                return Err(word.error("NOERROR cannot send a query on to the next upstream"));
            }
            settings.failover.extend(rcodes);
        }
        "failfast_all_unhealthy_upstreams" => {
            words::alone(option)?;
            settings.fail_fast = true;
        }
        "resolver" => {
            option.no_body()?;
            into.resolvers = some(option, "at least one address")?.iter().map(resolver).collect::<Result<_, _>>()?;
        }
        "source_address" => {
            let word = words::value(option, "an address")?;
            let address: IpAddr =
                word.text.parse().map_err(|_| word.error(format!("`{}` is no address", word.text)))?;
            settings.source = Some(address);
        }
        "doh_method" => {
            let word = words::value(option, "GET or POST")?;
            if !matches!(word.text.as_str(), "GET" | "POST") {
                return Err(word.error(format!("`{}` is neither GET nor POST", word.text)));
            }
            into.notes.push(option.name.error("doh_method has no effect: https:// upstreams are not supported"));
        }
        _ => return Err(words::unknown(option, "forward", &OPTIONS)),
    }
    Ok(())
}

/// `health_check DURATION [no_rec] [domain NAME]`.
fn health_check(option: &Directive, settings: &mut GroupSettings) -> Result<(), Error> {
    option.no_body()?;
    let mut words = option.arguments.iter();
    let interval = words.next().ok_or_else(|| option.name.error("health_check needs a duration"))?;
    settings.check.interval = words::duration(interval)?;
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "no_rec" => settings.check.recursion = false,
            "domain" => {
                let name = words.next().ok_or_else(|| word.error("domain needs a name"))?;
                settings.check.domain =
                    name.text.parse().map_err(|why| name.error(format!("`{}` is no name: {why}", name.text)))?;
            }
            other => {
                return Err(
                    word.error(format!("health_check has no option `{other}`; it knows no_rec and domain NAME"))
                );
            }
        }
    }
    Ok(())
}

fn some<'d>(option: &'d Directive, what: &str) -> Result<&'d [Token], Error> {
    match option.arguments.as_slice() {
        [] => Err(option.name.error(format!("{} needs {what}", option.name.text))),
        words => Ok(words),
    }
}

fn rcodes(option: &Directive) -> Result<Vec<Rcode>, Error> {
    option.no_body()?;
    some(option, "at least one response code")?.iter().map(words::rcode).collect()
}

fn resolver(word: &Token) -> Result<SocketAddr, Error> {
    let address = word.text.parse().ok();
    address
        .or_else(|| Some(SocketAddr::new(word.text.parse().ok()?, 53)))
        .ok_or_else(|| word.error(format!("`{}` is no resolver: write ADDRESS or ADDRESS:PORT", word.text)))
}

/// The thing that a word after the zone names.
enum NamedUpstreams {
    /// Upstreams: one, or those of a list.
    Upstreams(Vec<UpstreamAddress>),
    /// A list that cannot be read.
    Unreadable(files::Error),
    /// A host, to be looked up.
    Host(UpstreamHost, Name),
}

fn named(word: &Token) -> Result<NamedUpstreams, Error> {
    let host = UpstreamHost::parse(&word.text).map_err(|why| word.error(why))?;
    let name = match &host.host {
        Ok(address) => return Ok(NamedUpstreams::Upstreams(vec![host.at(*address)])),
        Err(name) => name,
    };
    match files::read_text(&words::file(word), files::CONFIGURATION) {
        Ok(text) => return Ok(NamedUpstreams::Upstreams(nameservers(&text))),
        Err(error) if error.is_missing() && !word.text.contains('/') => {}
        // With a scheme it is the name of a host; any other word with a slash is the name of a file.
        Err(_) if word.text.contains("://") => {}
        Err(error) => return Ok(NamedUpstreams::Unreadable(error)),
    }
    let wire: Name = name
        .parse()
        .map_err(|_| word.error(format!("`{}` is no address, no file and no name of a host", word.text)))?;
    Ok(NamedUpstreams::Host(host, wire))
}

/// The addresses of a host, from these resolvers or the system's.
fn look_up(
    word: &Token,
    host: &UpstreamHost,
    name: &Name,
    resolvers: &[SocketAddr],
) -> Result<Vec<UpstreamAddress>, Error> {
    let system;
    let resolvers = if resolvers.is_empty() {
        let text = files::read_text(Path::new("/etc/resolv.conf"), files::CONFIGURATION).unwrap_or_default();
        system = nameservers(&text).iter().map(|one| one.address).collect::<Vec<_>>();
        &system
    } else {
        resolvers
    };
    let addresses = resolve(name, resolvers).map_err(|why| {
        word.error(format!("`{}` is no address and no file, and as a name has no address: {why}", word.text))
    })?;
    Ok(addresses.into_iter().map(|address| host.at(address)).collect())
}

/// `tls [CERT KEY] [CA]`; `None`, with a note, where only the machine that serves has the files.
fn tls(words: &[Token], at: &Token, context: &mut Context<'_, '_>) -> Result<Option<TlsConfig>, Error> {
    let mut are_here = true;
    for word in words {
        are_here &= context.expects_file(word, "the file")?;
    }
    if context.host.elsewhere.is_some()
        && !matches!(words.len(), 1 | 3)
        && let Err(why) = system_roots()
    {
        context.lacks(at.error(why))?;
        are_here = false;
    }
    if !are_here {
        return Ok(None);
    }

    let path = |word: &'_ Token| words::file(word);
    let (own, ca) = match words {
        [] => (None, None),
        [ca] => (None, Some(path(ca))),
        [certificate, key] => (Some((path(certificate), path(key))), None),
        [certificate, key, ca, ..] => (Some((path(certificate), path(key))), Some(path(ca))),
    };
    let own = own.as_ref().map(|(certificate, key)| (Path::new(certificate), Path::new(key)));
    client_config(ca.as_deref(), own).map(Some).map_err(|why| words.first().unwrap_or(at).error(why))
}

//----------- Metrics --------------------------------------------------------

metrics! {
    pub(super) fn register;

    REJECTS: IntCounter =
        "coredns_forward_max_concurrent_rejects_total", "Queries refused because too many were waiting";
}

#[cfg(test)]
mod tests;

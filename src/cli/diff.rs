//! `rollcall diff`: asks two servers every name that a cluster has, and prints where their answers differ.
//!
//! It is the proof before a switch. [`names`] says what is asked, [`reply`] what of two answers is compared,
//! [`mod@deliberate`] which differences from CoreDNS are meant, and [`report`] what is printed. A difference counts when it stays on asking again: between two
//! questions a cluster may change.

mod deliberate;
mod names;
mod progress;
mod reply;
mod report;

use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::flags::DiffOptions;
use crate::cluster::{self, Connection, Options};
use crate::files;
use crate::process::error::Error;
use crate::upstream;
use crate::upstream::{Group, Upstream, UpstreamAddress};
use crate::wire::message::RecordType;
use crate::wire::{Class, Flags, Name, OwnEdns, append_opt, bare_message};
use deliberate::deliberate;
use names::NameKind;
use progress::Progress;
use reply::ComparedReply;
use report::{Difference, Report};

/// The types that every name is asked for.
const TYPES: [RecordType; 11] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::SRV,
    RecordType::PTR,
    RecordType::CNAME,
    RecordType::TXT,
    RecordType::NS,
    RecordType::SOA,
    RecordType::MX,
    RecordType::HTTPS,
    RecordType::ANY,
];
/// Questions that are under way at a time: a load that a server in use does not feel.
const AT_ONCE: usize = 64;
/// The number of times that a question is asked again when its answers differ, and the pause before each.
const AGAIN: (u32, Duration) = (2, Duration::from_millis(400));
/// The number of lasting differences after which it is not the cluster that changes: the rest are not asked again.
const SETTLED: usize = 100;
/// The number of differences after which nothing is left to learn.
const ENOUGH: usize = 10_000;

/// Compares; says whether the answers are the same, known differences apart.
///
/// # Errors
/// When the cluster cannot be listed, or one of the servers does not answer at all.
pub(super) async fn run(options: &DiffOptions, out: &mut (dyn Write + Send)) -> Result<bool, Error> {
    let zone: Name = options.zone.parse().map_err(|error| {
        Error::operator(format!("--zone needs a domain name, as in cluster.local, got `{}`: {error}", options.zone))
    })?;
    if let Connection::Kubeconfig { file, .. } = &options.connection
        && let Err(error) = files::check(file, files::CONFIGURATION)
    {
        return Err(Error::operator(format!("the kubeconfig {error}; name another with --kubeconfig FILE")));
    }
    let mut zones = vec![zone.clone()];
    zones.extend(["in-addr.arpa", "ip6.arpa"].iter().filter_map(|zone| zone.parse().ok()));
    let zones: Arc<[Name]> = zones.into();
    let from = Side::new(&options.from, zones.clone())?;
    let to = Side::new(&options.to, zones)?;
    for server in [&from, &to] {
        server.ask(&zone, RecordType::SOA).await.map_err(|error| {
            Error::operator(format!("{} does not answer: {error}; check address and port", server.endpoint.address))
        })?;
    }
    let mut progress = Progress::start();
    progress.say(|| format!("listing the cluster of {}", options.connection));
    let asked = Options { connection: options.connection.clone(), ..Options::default() };
    let listed = cluster::list(&asked).await.map_err(|error| Error::operator(error.to_string()))?;
    let names = names::names(&listed.facts, &zone);
    for bad in &listed.bad {
        let _ = writeln!(out, "note: skipped, in whole or in part: {bad}");
    }
    let mut report = Report::new(options.ttl, options.show, names.len() * TYPES.len());
    let questions = names.values().flat_map(|(name, kind)| TYPES.map(|rtype| AskedName { name, kind: *kind, rtype }));
    let pair = Pair { from: &from, to: &to, ttl: options.ttl, settled: AtomicUsize::new(0) };
    let mut answers = stream::iter(questions).map(|question| pair.compare(question)).buffered(AT_ONCE);
    while let Some((question, outcome)) = answers.next().await {
        report.count(&question, outcome);
        progress.say(|| report.how_far());
        if report.differences == ENOUGH {
            let _ = writeln!(out, "stopped after {ENOUGH} differences");
            break;
        }
    }
    drop(progress);
    let servers = [&from, &to].map(|server| server.endpoint.address.to_string());
    // A reader that is gone is no reason to fail: the exit status still says what was found.
    let _ = report.finish(out, servers.each_ref().map(String::as_str), names.len());
    Ok(report.differences == 0)
}

/// One question.
#[derive(Clone, Copy, Debug)]
struct AskedName<'n> {
    name: &'n Name,
    kind: NameKind,
    rtype: RecordType,
}

/// The outcome of comparing two answers.
#[derive(Debug)]
enum Judgement {
    /// The same, with TTLs that differ by at most this much.
    Equal(u32),
    /// A documented difference, with its reason.
    Deliberate(&'static str),
    /// A difference that no document names.
    Different(Difference),
}

/// Both servers, and how many differences have stayed.
struct Pair<'s> {
    from: &'s Side,
    to: &'s Side,
    ttl: u32,
    settled: AtomicUsize,
}

impl Pair<'_> {
    async fn compare<'n>(&self, question: AskedName<'n>) -> (AskedName<'n>, Judgement) {
        let AskedName { name, kind, rtype } = question;
        let (mut rounds, pause) = AGAIN;
        loop {
            let (one, other) = tokio::join!(self.from.ask(name, rtype), self.to.ask(name, rtype));
            let mut outcome = judge(kind, rtype, &one, &other, self.ttl);
            if matches!(outcome, Judgement::Deliberate(_)) && !self.both_have(question, &one, &other).await {
                outcome = Judgement::Different(Difference::new(&one, &other, self.ttl));
            }
            if !matches!(outcome, Judgement::Different(_)) {
                return (question, outcome);
            }
            if rounds == 0 || self.settled.load(Ordering::Relaxed) >= SETTLED {
                self.settled.fetch_add(1, Ordering::Relaxed);
                return (question, outcome);
            }
            rounds -= 1;
            tokio::time::sleep(pause).await;
        }
    }
}

impl Pair<'_> {
    /// Whether what a name stands for is there on both sides or on neither. A documented difference of response codes says
    /// nothing of a name that one of the servers has lost.
    async fn both_have(&self, question: AskedName<'_>, one: &ServerAnswer, other: &ServerAnswer) -> bool {
        let (Ok(one), Ok(other)) = (one, other) else { return true };
        if one.is_nxdomain() == other.is_nxdomain() {
            return true;
        }
        let parent;
        let (name, rtype) = match question.kind {
            NameKind::Between => match Name::from_labels(question.name.labels().skip(1)) {
                Ok(name) => {
                    parent = name;
                    (&parent, RecordType::A)
                }
                Err(_) => return true,
            },
            NameKind::Reverse => (question.name, RecordType::PTR),
            // These differ as a whole, and are documented so.
            NameKind::NameServer | NameKind::External | NameKind::Apex => return true,
            NameKind::Structure | NameKind::Service | NameKind::Repeated | NameKind::Pod | NameKind::Miss => {
                (question.name, RecordType::A)
            }
        };
        let (one, other) = tokio::join!(self.from.ask(name, rtype), self.to.ask(name, rtype));
        matches!((one, other), (Ok(one), Ok(other)) if one.is_nxdomain() == other.is_nxdomain())
    }
}

type ServerAnswer = Result<ComparedReply, String>;

fn judge(kind: NameKind, rtype: RecordType, one: &ServerAnswer, other: &ServerAnswer, ttl: u32) -> Judgement {
    if let (Ok(one), Ok(other)) = (one, other) {
        let gap = one.ttl_gap(other);
        if one.is_like(other) && gap <= ttl {
            return Judgement::Equal(gap);
        }
        // CoreDNS's cache caps what it keeps, and here no record of the cluster passes through a cache.
        if one.is_like(other) && kind == NameKind::Between && rtype == RecordType::TXT {
            return Judgement::Deliberate("TTL of dns-version: 28800, and what a cache leaves of it");
        }
        if let Some(words) = deliberate(kind, rtype, one, other).filter(|_| gap <= ttl) {
            return Judgement::Deliberate(words);
        }
    }
    Judgement::Different(Difference::new(one, other, ttl))
}

//----------- Side -----------------------------------------------------------

/// One of the two servers.
#[derive(Debug)]
struct Side {
    endpoint: UpstreamAddress,
    group: Arc<Group>,
    zones: Arc<[Name]>,
}

impl Side {
    fn new(endpoint: &UpstreamAddress, zones: Arc<[Name]>) -> Result<Self, Error> {
        // Over UDP, and what is cut again over TCP; never taken for down because one answer is late.
        let settings = upstream::GroupSettings { prefer_udp: true, max_fails: 0, ..upstream::GroupSettings::default() };
        let upstream = Upstream::new(endpoint.clone(), None, settings.connections, None).map_err(Error::operator)?;
        Ok(Self { endpoint: endpoint.clone(), group: Arc::new(Group::new(vec![Arc::new(upstream)], settings)), zones })
    }

    async fn ask(&self, name: &Name, rtype: RecordType) -> ServerAnswer {
        let mut query = bare_message(0, Flags::RD, name.as_wire(), rtype.into(), Class::IN);
        append_opt(&mut query, OwnEdns::DEFAULT.payload, 0, false, &[]);
        let answered =
            self.group.ask(&query, false, Ipv4Addr::LOCALHOST.into()).await.map_err(|error| error.to_string())?;
        ComparedReply::read(&answered.octets, &self.zones)
    }
}

#[cfg(test)]
mod tests {
    use super::reply::testing::reply;
    use super::*;

    fn judged(one: &str, other: &str) -> Judgement {
        judge(NameKind::Service, RecordType::A, &Ok(reply(one)), &Ok(reply(other)), 30)
    }

    #[test]
    fn ttls_may_differ_within_the_bound_and_not_beyond() {
        assert!(matches!(judged("NOERROR aa\nx. 30 A 10.0.0.1", "NOERROR aa\nx. 1 A 10.0.0.1"), Judgement::Equal(29)));
        let Judgement::Different(found) = judged("NOERROR aa\nx. 60 A 10.0.0.1", "NOERROR aa\nx. 5 A 10.0.0.1") else {
            panic!("a TTL may not differ by 55")
        };
        assert_eq!(found.text, "  TTL 60 s (-), 5 s (+): 1 record\n");
    }

    #[test]
    fn the_version_of_the_schema_may_lose_its_long_ttl_in_a_cache() {
        let (capped, whole) = (reply("NOERROR aa\nx. 30 TXT 1.1.0"), reply("NOERROR aa\nx. 28800 TXT 1.1.0"));
        let judged = |kind| judge(kind, RecordType::TXT, &Ok(capped.clone()), &Ok(whole.clone()), 30);
        assert!(matches!(judged(NameKind::Between), Judgement::Deliberate(_)));
        assert!(matches!(judged(NameKind::Service), Judgement::Different(_)));
    }
}

//! The documented differences: each is a function that says whether it, and nothing else, is what differs.
//!
//! What our answer should be instead is asked of CoreDNS itself, by a question that it answers without the difference.

use std::time::Duration;

use super::questions::{A, AAAA, CNAME, MX, NS, PTR, Question, SOA, SRV, TXT, labels};
use super::reply::{Client, Line, Reply};
use super::world::World;

/// One question and both answers.
pub(crate) struct Case<'c> {
    pub(crate) world: &'c World,
    /// The domain of the cluster.
    pub(crate) domain: &'c str,
    pub(crate) question: &'c Question,
    pub(crate) ours: Reply,
    pub(crate) theirs: Reply,
    pub(crate) reference: &'c mut Client,
    /// CoreDNS answers from its cache.
    pub(crate) cached: bool,
    /// How long the two took for one question at most.
    pub(crate) apart: Duration,
}

/// A row of the table, by name.
type Row<C> = (&'static str, fn(&mut C) -> bool);

const NXDOMAIN: u16 = 3;

impl Case<'_> {
    /// The row of the table that is the difference.
    pub(crate) fn allowed_by(&mut self) -> Option<&'static str> {
        if self.is_older() {
            return Some("the one asked a moment after the other");
        }
        // In the order of the table in docs/differences.md.
        let rows: [Row<Self>; 13] = [
            ("cluster names behind cache", Self::never_cached),
            ("TXT at a name that has none", Self::txt_without_records),
            ("SOA below the apex, no such name", Self::soa_of_no_name),
            ("names above a port, dns.ZONE, dns-version", Self::empty_non_terminal),
            ("a blank label", Self::blank_label),
            ("ExternalName", Self::external_name),
            ("an endpoint that stands in two slices", Self::repeated_endpoint),
            ("names of pods", Self::pod),
            ("other types at a reverse name", Self::reverse_of_other_type),
            ("NS of the apex in mixed case, or with bind", Self::name_server),
            ("a class other than IN", Self::class),
            ("an opcode other than QUERY", Self::opcode),
            ("long answers", Self::long),
        ];
        rows.into_iter().find(|(_, row)| row(self)).map(|(name, _)| name)
    }

    //------- What CoreDNS says to related questions ---------------------------

    fn ask(&mut self, labels: Vec<Vec<u8>>, qtype: u16) -> Reply {
        let question = Question { labels, qtype, ..self.question.clone() };
        self.reference.ask(&question).unwrap()
    }

    fn ask_here(&mut self, qtype: u16) -> Reply {
        self.ask(self.question.labels.clone(), qtype)
    }

    /// Everything there is, which no limit cuts.
    fn ask_whole(&mut self, labels: Vec<Vec<u8>>, qtype: u16) -> Reply {
        let flags = self.question.flags;
        let question = Question { flags, edns: self.question.edns, ..Question::plain(labels, qtype) };
        self.reference.ask(&question).unwrap()
    }

    /// Whether our answer is another message of CoreDNS, but for the question.
    fn is_like(&self, want: &Reply) -> bool {
        let ours = &self.ours;
        (ours.flags, ours.rcode, ours.edns) == (want.flags, want.rcode, want.edns)
            && ours.question == self.question.octets(0)[12..12 + ours.question.len()]
            && ours.sections().iter().zip(want.sections()).all(|(one, other)| self.same(one, other))
    }

    fn same(&self, ours: &[Line], theirs: &[Line]) -> bool {
        if !self.cached {
            return ours == theirs;
        }
        ours.iter().map(Line::folded).eq(theirs.iter().map(Line::folded))
    }

    fn is_nodata(&mut self) -> bool {
        // CoreDNS has no SOA below the apex, and there no name without it.
        let qtype = if self.left().is_some_and(|left| left.is_empty()) { MX } else { SOA };
        let want = self.ask_here(qtype);
        self.is_like(&want)
    }

    fn is_nxdomain(&mut self) -> bool {
        let Some(left) = self.left() else { return false };
        let zone = self.question.labels[left.len()..].to_vec();
        let want = self.ask([vec![b"nx-0".to_vec()], zone].concat(), A);
        self.is_like(&want)
    }

    /// The labels left of the zone, in lower case; `None` elsewhere.
    fn left(&self) -> Option<Vec<String>> {
        let all: Vec<String> =
            self.question.labels.iter().map(|label| String::from_utf8_lossy(label).to_lowercase()).collect();
        [self.domain, "in-addr.arpa", "ip6.arpa"].iter().find_map(|zone| {
            let zone: Vec<&str> = zone.split('.').collect();
            let left = all.len().checked_sub(zone.len())?;
            all[left..].iter().eq(zone.iter()).then(|| all[..left].to_vec())
        })
    }

    fn is_reverse(&self) -> bool {
        self.question.text().to_lowercase().ends_with(".arpa.")
    }

    fn parts(&self) -> Vec<String> {
        self.left().filter(|_| !self.is_reverse()).unwrap_or_default()
    }

    /// Whether the name is one of a Service that lists an endpoint twice.
    fn repeats(&self) -> bool {
        let parts = self.parts();
        let [.., service, namespace, kind] = parts.as_slice() else { return false };
        kind == "svc" && self.world.service(service, namespace).is_some_and(|service| service.repeats)
    }

    //------- The rows ----------------------------------------------------------

    fn never_cached(&mut self) -> bool {
        let (ours, theirs) = (&self.ours, &self.theirs);
        self.cached
            && self.left().is_some()
            && (ours.flags, ours.rcode, ours.edns) == (theirs.flags, theirs.rcode, theirs.edns)
            && ours.sections().iter().zip(theirs.sections()).all(|(one, other)| self.same(one, other))
    }

    /// No difference between servers.
    fn is_older(&self) -> bool {
        self.cached && self.left().is_none() && self.ours.same_but_for_age(&self.theirs, self.apart)
    }

    fn txt_without_records(&mut self) -> bool {
        let exists = if self.is_reverse() { PTR } else { A };
        self.left().is_some()
            && (self.question.qtype, self.theirs.rcode) == (TXT, NXDOMAIN)
            && self.ask_here(exists).rcode == 0
            && self.is_nodata()
    }

    fn soa_of_no_name(&mut self) -> bool {
        if self.left().is_none_or(|left| left.is_empty()) || (self.question.qtype, self.theirs.rcode) != (SOA, 0) {
            return false;
        }
        let want = self.ask_here(if self.is_reverse() { PTR } else { A });
        want.rcode == NXDOMAIN && self.is_like(&want)
    }

    fn empty_non_terminal(&mut self) -> bool {
        let parts = self.parts();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let is_one = match parts.as_slice() {
            ["dns" | "dns-version"] => true,
            [protocol, service, namespace, "svc"] => {
                let protocol = protocol.strip_prefix('_').unwrap_or(protocol);
                self.world.has_protocol(service, namespace, protocol)
            }
            _ => false,
        };
        is_one && self.theirs.rcode == NXDOMAIN && self.is_nodata()
    }

    fn blank_label(&mut self) -> bool {
        let parts = self.parts();
        parts.len() == 5 && parts[..2].iter().any(|label| label == "_") && self.theirs.rcode == 0 && self.is_nxdomain()
    }

    /// The CNAMEs, then what the target has, with its response code.
    fn external_name(&mut self) -> bool {
        let mut owner = self.question.text();
        let mut parts = self.parts();
        let mut expected: Vec<Line> = Vec::new();
        let zone = format!(".{}", self.domain);
        while let [service, namespace, kind] = parts.as_slice() {
            let target = self.world.service(service, namespace).and_then(|service| service.target.clone());
            let Some(target) = target.filter(|target| kind == "svc" && !target.ends_with(".1")) else { break };
            let ttl = self.ours.answers.first().map_or(0, |line| line.ttl);
            expected.push(Line { owner, rtype: CNAME, data: format!("{target}."), ttl });
            parts = target.strip_suffix(&zone).unwrap_or_default().split('.').map(str::to_owned).collect();
            owner = format!("{target}.");
        }
        let Some(target) = expected.last().map(|line| labels(&line.data)).filter(|_| self.theirs.rcode == 0) else {
            return false;
        };
        let is_ours = parts.len() > 1;
        // What CoreDNS does not say of other types, its answer for addresses says: whether the name is there.
        let known = !is_ours || matches!(self.question.qtype, A | AAAA | SRV);
        let mut tail = self.ask_whole(target, if known { self.question.qtype } else { A });
        if !known {
            tail.answers.clear();
            tail.additional.clear();
        }
        expected.append(&mut tail.answers);
        expected.sort();
        let folded = |lines: &[Line]| lines.iter().map(Line::folded).collect::<Vec<_>>();
        if self.ours.is_truncated() {
            return folded(&self.ours.answers).iter().all(|line| folded(&expected).contains(line));
        }
        self.ours.rcode == tail.rcode
            && without_weight(&folded(&self.ours.answers)) == without_weight(&folded(&expected))
    }

    fn repeated_endpoint(&mut self) -> bool {
        self.repeats()
            && self.question.qtype == SRV
            && (self.ours.flags, self.ours.rcode) == (self.theirs.flags, self.theirs.rcode)
            && self.same(&without_weight(&self.ours.answers), &without_weight(&self.theirs.answers))
            && weight(&self.ours) > weight(&self.theirs)
            && self.same(&self.ours.additional, &self.theirs.additional)
    }

    fn pod(&mut self) -> bool {
        let parts = self.parts();
        if parts.last().is_none_or(|kind| kind != "pod") || self.theirs.rcode != 0 {
            return false;
        }
        match parts.len() {
            3 => self.question.qtype == SRV && self.is_nodata(),
            4 | 5 => self.is_nxdomain(),
            _ => false,
        }
    }

    fn reverse_of_other_type(&mut self) -> bool {
        self.is_reverse()
            && self.question.qtype != PTR
            && self.theirs.rcode == NXDOMAIN
            && !self.ask_here(PTR).answers.is_empty()
            && self.is_nodata()
    }

    fn name_server(&mut self) -> bool {
        let (Some(left), qtype) = (self.left(), self.question.qtype) else { return false };
        if !self.theirs.answers.is_empty() || self.ours.rcode != 0 {
            return false;
        }
        match left.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] => qtype == NS && !self.ours.answers.is_empty() && self.ours.answers.iter().all(|line| line.rtype == NS),
            ["ns", "dns"] if self.ours.answers.is_empty() => self.is_nodata(),
            ["ns", "dns"] => matches!(qtype, A | AAAA) && self.ours.answers.iter().all(|line| line.rtype == qtype),
            _ => false,
        }
    }

    fn class(&mut self) -> bool {
        self.question.qclass != 1 && self.ours.rcode == 5 && self.ours.sections().concat().is_empty()
    }

    fn opcode(&mut self) -> bool {
        self.question.flags & 0x7800 != 0 && self.ours.rcode == 4 && self.ours.sections().concat().is_empty()
    }

    /// Of what does not fit, each server keeps what it will: ours whole records of the full set, answers before glue.
    fn long(&mut self) -> bool {
        if !self.ours.is_truncated() && !self.theirs.is_truncated() {
            return false;
        }
        let whole = self.ask_whole(self.question.labels.clone(), self.question.qtype);
        let (repeats, cached) = (self.repeats(), self.cached);
        let (ours, limit) = (&self.ours, self.question.limit());
        // A cache answers with the spelling of an earlier question; weights have a row of their own.
        let bare = |lines: &[Line]| {
            let lines = if repeats { without_weight(lines) } else { lines.to_vec() };
            lines.iter().map(|line| if cached { line.folded() } else { line.clone() }).collect::<Vec<_>>()
        };
        let holds = |one: &[Line], all: &[Line]| bare(one).iter().all(|line| bare(all).contains(line));
        if ours.rcode != whole.rcode || ours.size > limit {
            return false;
        }
        let fits = holds(&ours.answers, &whole.answers) && holds(&ours.additional, &whole.additional);
        let all_answers = ours.answers.len() == whole.answers.len();
        if ours.is_truncated() {
            // No record here is longer than this.
            fits && (all_answers || ours.additional.is_empty()) && limit - ours.size < 160
        } else {
            fits && all_answers && ours.additional.len() == whole.additional.len()
        }
    }
}

fn weight(reply: &Reply) -> u16 {
    let words = |line: &Line| line.data.split(' ').nth(1).and_then(|word| word.parse().ok());
    reply.answers.iter().filter(|line| line.rtype == SRV).find_map(words).unwrap_or_default()
}

fn without_weight(lines: &[Line]) -> Vec<Line> {
    let mut lines = lines.to_vec();
    for line in lines.iter_mut().filter(|line| line.rtype == SRV) {
        let mut words: Vec<&str> = line.data.split(' ').collect();
        words[1] = "*";
        line.data = words.join(" ");
    }
    lines.sort();
    lines
}

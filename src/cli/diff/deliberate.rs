//! The differences from CoreDNS that are meant: which they are, and how they are told from others.
//!
//! docs/differences.md lists them with their reasons. Each rule names the whole shape of both answers, so that nothing else
//! passes by it.

use super::names::NameKind;
use super::reply::{ComparedReply, Line, SectionRecords};
use crate::wire::message::{RecordType, ResponseCode};

/// The difference that these two answers show, whichever of the two servers CoreDNS is; `None` when it is not a known one.
pub(super) fn deliberate(
    kind: NameKind,
    rtype: RecordType,
    one: &ComparedReply,
    other: &ComparedReply,
) -> Option<&'static str> {
    let found = RULES.iter().find(|(_, holds)| {
        [(one, other), (other, one)].into_iter().any(|(theirs, ours)| holds(&Case { kind, rtype, theirs, ours }))
    });
    found.map(|(words, _)| *words)
}

/// One question with CoreDNS's answer and ours.
struct Case<'r> {
    kind: NameKind,
    rtype: RecordType,
    theirs: &'r ComparedReply,
    ours: &'r ComparedReply,
}

type KnownDifference = (&'static str, fn(&Case<'_>) -> bool);

const RULES: &[KnownDifference] = &[
    ("TXT of a name that exists and has none: NXDOMAIN and NODATA", |case| {
        case.rtype == RecordType::TXT && case.exists() && case.theirs.is_nxdomain() && case.ours.is_nodata()
    }),
    ("SOA of a name that does not exist: NODATA and NXDOMAIN", |case| {
        case.rtype == RecordType::SOA
            && case.kind != NameKind::Apex
            && case.theirs.is_nodata()
            && case.ours.is_nxdomain()
    }),
    ("a name that has only others below it, or dns-version: NXDOMAIN and NODATA", |case| {
        case.kind == NameKind::Between && case.theirs.is_nxdomain() && case.ours.is_nodata()
    }),
    ("SRV of a pod's address: a record with port 0 and NODATA", |case| {
        case.kind == NameKind::Pod
            && case.rtype == RecordType::SRV
            && !case.theirs.answer().is_empty()
            && case.ours.is_nodata()
    }),
    ("other types at a reverse name that has a PTR record: NXDOMAIN or another server's answer, and NODATA", |case| {
        case.kind == NameKind::Reverse
            && case.rtype != RecordType::PTR
            && case.theirs.answer().is_empty()
            && !(case.theirs.is_nodata() && case.theirs.authoritative)
            && case.ours.is_nodata()
            && case.ours.authoritative
    }),
    ("NS of the cluster domain where `bind` is set: NODATA and the records", |case| {
        case.kind == NameKind::Apex
            && case.rtype == RecordType::NS
            && case.theirs.is_nodata()
            && !case.ours.answer().is_empty()
    }),
    ("name of the name server where `bind` is set: NXDOMAIN, and its address or NODATA", |case| {
        case.kind == NameKind::NameServer
            && case.theirs.is_nxdomain()
            && case.ours.rcode == ResponseCode::NoError
            && case.ours.answer().keys().all(|line| matches!(&*line.rtype, "A" | "AAAA"))
    }),
    ("ExternalName whose target fails: NOERROR, and the CNAME with the target's response code", |case| {
        case.kind == NameKind::External
            && matches!(case.rtype, RecordType::A | RecordType::AAAA)
            && case.theirs.is_external_part(case.ours)
            && case.ours.answer().keys().all(|line| line.rtype == "CNAME")
    }),
    ("ExternalName, types other than addresses: NODATA, and the CNAME with what the target has", |case| {
        case.kind == NameKind::External
            && !matches!(case.rtype, RecordType::A | RecordType::AAAA | RecordType::CNAME)
            && case.theirs.is_external_part(case.ours)
    }),
    ("SRV weight of an endpoint in several slices: divided before and after repeats are dropped", |case| {
        case.kind == NameKind::Repeated
            && case.rtype == RecordType::SRV
            && case.theirs.answer().keys().any(|line| line.rtype == "SRV")
            && without_weights(case.theirs.answer()) == without_weights(case.ours.answer())
            && case.theirs.sections[1].keys().eq(case.ours.sections[1].keys())
            && case.theirs.sections[2].keys().eq(case.ours.sections[2].keys())
    }),
    ("a large answer over TCP: cut where addresses beside it are missing, and not cut", |case| {
        case.theirs.truncated
            && !case.ours.truncated
            && case.theirs.rcode == case.ours.rcode
            && case.theirs.sections.iter().zip(&case.ours.sections).take(2).all(|(part, all)| is_part(part, all))
    }),
];

impl Case<'_> {
    fn exists(&self) -> bool {
        self.kind != NameKind::Miss
    }
}

impl ComparedReply {
    /// Whether this is what CoreDNS makes of an ExternalName where the other follows it: less, and never a failure.
    fn is_external_part(&self, whole: &Self) -> bool {
        self.rcode == ResponseCode::NoError
            && whole.answer().keys().any(|line| line.rtype == "CNAME")
            && is_part(self.answer(), whole.answer())
    }
}

fn is_part(part: &SectionRecords, whole: &SectionRecords) -> bool {
    part.keys().all(|line| whole.contains_key(line))
}

/// Owner, priority, port and target of SRV records; other records as they are.
fn without_weights(records: &SectionRecords) -> Vec<(&str, &str, String)> {
    let bare = |line: &Line| {
        let words: Vec<&str> = line.data.split(' ').collect();
        match words.as_slice() {
            [priority, _, port, target] if line.rtype == "SRV" => format!("{priority} {port} {target}"),
            _ => line.data.clone(),
        }
    };
    let mut lines: Vec<_> = records.keys().map(|line| (line.owner.as_str(), line.rtype.as_str(), bare(line))).collect();
    lines.sort();
    lines.dedup();
    lines
}

#[cfg(test)]
mod tests {
    use super::super::reply::testing::reply;
    use super::*;

    const SOA: &str = ";\nx. 5 SOA ns.x. h.x. * 1 2 3 5";

    fn judged(kind: NameKind, rtype: RecordType, theirs: &str, ours: &str) -> bool {
        let (theirs, ours) = (reply(theirs), reply(ours));
        let found = deliberate(kind, rtype, &theirs, &ours);
        assert_eq!(found, deliberate(kind, rtype, &ours, &theirs), "the order of the servers does not matter");
        found.is_some()
    }

    #[test]
    fn each_known_difference_is_one_only_in_its_place() {
        let (nodata, nxdomain) = (format!("NOERROR aa\n{SOA}"), format!("NXDOMAIN aa\n{SOA}"));
        let (nodata, nxdomain) = (nodata.as_str(), nxdomain.as_str());
        let (a, txt, soa) = (RecordType::A, RecordType::TXT, RecordType::SOA);
        for (kind, rtype, known) in [
            (NameKind::Structure, txt, true),
            (NameKind::Miss, txt, false),
            (NameKind::Structure, a, false),
            (NameKind::Service, a, false),
            (NameKind::Between, a, true),
            (NameKind::NameServer, a, true),
            (NameKind::Reverse, a, true),
            (NameKind::Reverse, RecordType::PTR, false),
        ] {
            assert_eq!(judged(kind, rtype, nxdomain, nodata), known, "{kind:?} {rtype}");
        }
        assert!(judged(NameKind::Miss, soa, nodata, nxdomain));
        assert!(!judged(NameKind::Apex, soa, nodata, nxdomain));
        let srv = "NOERROR aa\nx. 5 SRV 0 100 0 y.\n;\n;\ny. 5 A 10.0.0.1";
        assert!(judged(NameKind::Pod, RecordType::SRV, srv, nodata));
        assert!(!judged(NameKind::Service, RecordType::SRV, srv, nodata));
    }

    #[test]
    fn a_lost_record_is_never_a_known_difference() {
        let (one, none) = ("NOERROR aa\nx. 5 A 10.0.0.1", "NOERROR aa");
        for kind in [
            NameKind::Service,
            NameKind::Repeated,
            NameKind::External,
            NameKind::Pod,
            NameKind::Reverse,
            NameKind::Apex,
            NameKind::Miss,
        ] {
            assert!(!judged(kind, RecordType::A, one, none), "{kind:?}");
            assert!(!judged(kind, RecordType::A, one, "SERVFAIL"), "{kind:?}");
        }
    }

    #[test]
    fn an_external_name_may_say_more_and_a_weight_may_differ() {
        let (bare, followed) = ("NOERROR aa\nx. 5 CNAME y.", "NXDOMAIN aa\nx. 5 CNAME y.");
        assert!(judged(NameKind::External, RecordType::A, bare, followed));
        assert!(!judged(NameKind::Service, RecordType::A, bare, followed));
        assert!(judged(
            NameKind::External,
            RecordType::SRV,
            "NOERROR aa",
            "NOERROR aa\nx. 5 CNAME y.\ny. 5 SRV 0 100 80 z."
        ));
        let (half, whole) = ("NOERROR aa\nx. 5 SRV 0 50 80 y.", "NOERROR aa\nx. 5 SRV 0 100 80 y.");
        assert!(judged(NameKind::Repeated, RecordType::SRV, half, whole));
        assert!(!judged(NameKind::Service, RecordType::SRV, half, whole));
        assert!(!judged(NameKind::Repeated, RecordType::SRV, half, "NOERROR aa\nx. 5 SRV 0 100 81 y."));
    }

    #[test]
    fn only_one_of_two_answers_may_be_cut_and_must_be_part_of_the_other() {
        let whole = "NOERROR aa\nx. 5 SRV 0 50 80 y.\n;\n;\ny. 5 A 10.0.0.1";
        assert!(judged(NameKind::Service, RecordType::SRV, "NOERROR aa tc\nx. 5 SRV 0 50 80 y.", whole));
        assert!(!judged(NameKind::Service, RecordType::SRV, "NOERROR aa tc\nx. 5 SRV 0 50 80 z.", whole));
    }
}

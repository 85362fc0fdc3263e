//! The report of a comparison: differences in groups, the first of each shown, and a line that sums up.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Write;

use super::reply::{ComparedReply, SECTIONS, SectionRecords};
use super::{AskedName, Judgement, ServerAnswer};

/// The way in which two answers differ: of several the one that matters most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DifferenceSort {
    /// One of the servers does not answer.
    Silence,
    /// The response codes.
    Rcode(String, String),
    /// Records that only the first server has.
    Lacking,
    /// Records that only the second server has.
    Extra,
    /// Records that each has and the other has not.
    Records,
    /// AA or TC.
    Flags,
    /// The TTLs alone.
    Ttl,
}

/// One difference.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) sort: DifferenceSort,
    /// The lines printed below the question.
    pub(super) text: String,
}

impl Difference {
    /// Looks at two answers, whose TTLs may differ by so much.
    pub(super) fn new(one: &ServerAnswer, other: &ServerAnswer, ttl: u32) -> Self {
        let sort = DifferenceSort::new(one, other);
        let text = match (&sort, one, other) {
            (DifferenceSort::Ttl, Ok(one), Ok(other)) => ttls(one, other, ttl),
            _ => lines(one, other, ttl),
        };
        Self { sort, text }
    }
}

impl DifferenceSort {
    fn new(one: &ServerAnswer, other: &ServerAnswer) -> Self {
        let (Ok(one), Ok(other)) = (one, other) else { return Self::Silence };
        if one.rcode != other.rcode {
            let [one, other] = [one, other].map(|reply| crate::wire::Rcode::from(reply.rcode).to_string());
            return Self::Rcode(one, other);
        }
        let only = |these: &ComparedReply, those: &ComparedReply| {
            these.sections.iter().zip(&those.sections).any(|(these, those)| lacks(those, these))
        };
        match (only(one, other), only(other, one)) {
            (true, false) => Self::Lacking,
            (false, true) => Self::Extra,
            (true, true) => Self::Records,
            (false, false) if one.head() != other.head() => Self::Flags,
            (false, false) => Self::Ttl,
        }
    }
}

fn lacks(these: &SectionRecords, those: &SectionRecords) -> bool {
    those.keys().any(|line| !these.contains_key(line))
}

impl fmt::Display for DifferenceSort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence => f.write_str("a server does not answer"),
            Self::Rcode(one, other) => write!(f, "response code {one} (-), {other} (+)"),
            Self::Lacking => f.write_str("records that only the first server (-) has"),
            Self::Extra => f.write_str("records that only the second server (+) has"),
            Self::Records => f.write_str("other records"),
            Self::Flags => f.write_str("the same records, other flags"),
            Self::Ttl => f.write_str("the same records, other TTLs"),
        }
    }
}

/// The TTLs of records that both have, those too far apart: `TTL 5 s (-), 60 s (+): 120 records`.
fn ttls(one: &ComparedReply, other: &ComparedReply, ttl: u32) -> String {
    let mut pairs = BTreeMap::<(u32, u32), usize>::new();
    for (own, theirs) in one.sections.iter().zip(&other.sections) {
        let both = own.iter().filter_map(|(line, own)| Some((*own, *theirs.get(line)?)));
        for pair in both.filter(|(own, other)| own.abs_diff(*other) > ttl) {
            *pairs.entry(pair).or_default() += 1;
        }
    }
    pairs.into_iter().fold(String::new(), |mut text, ((own, other), count)| {
        let records = if count == 1 { "record" } else { "records" };
        let _ = writeln!(text, "  TTL {own} s (-), {other} s (+): {count} {records}");
        text
    })
}

/// The lines that only one of the two has: `-` before those of the first, `+` before those of the second.
fn lines(one: &ServerAnswer, other: &ServerAnswer, ttl: u32) -> String {
    let mut lines = Vec::new();
    let (heads, mut text) = ([one, other].map(head), String::new());
    for (sign, head) in [('-', &heads[0]), ('+', &heads[1])] {
        let _ = writeln!(text, "  {sign} {head}");
    }
    let (Ok(one), Ok(other)) = (one, other) else { return text };
    for (section, (own, theirs)) in SECTIONS.iter().zip(one.sections.iter().zip(&other.sections)) {
        for (sign, these, those) in [('-', own, theirs), ('+', theirs, own)] {
            for (line, own) in these {
                if those.get(line).is_none_or(|other| own.abs_diff(*other) > ttl) {
                    lines.push(format!("  {sign} {section}: {}\n", line.with_ttl(*own)));
                }
            }
        }
    }
    text.extend(lines.iter().take(MOST_LINES).map(String::as_str));
    if let Some(more) = lines.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        let _ = writeln!(text, "  … and {more} more records");
    }
    text
}

/// The most records of one difference that are shown.
const MOST_LINES: usize = 20;

fn head(asked: &ServerAnswer) -> String {
    match asked {
        Ok(reply) => reply.head(),
        Err(error) => format!("no answer: {error}"),
    }
}

//----------- Report ----------------------------------------------------------

/// The differences found so far.
#[derive(Debug)]
pub(super) struct Report {
    ttl: u32,
    show: usize,
    questions: usize,
    asked: usize,
    pub(super) differences: usize,
    /// Differences: how many, and the first of them as they are printed.
    groups: BTreeMap<DifferenceSort, (usize, String)>,
    /// Known differences: how many, and the first of them.
    deliberate: BTreeMap<&'static str, (usize, String)>,
    /// Equal answers whose TTLs differ: how many, and the most.
    ttls: (usize, u32),
}

impl Report {
    pub(super) fn new(ttl: u32, show: usize, questions: usize) -> Self {
        let (groups, deliberate) = (BTreeMap::new(), BTreeMap::new());
        Self { ttl, show, questions, asked: 0, differences: 0, groups, deliberate, ttls: (0, 0) }
    }

    pub(super) fn count(&mut self, question: &AskedName<'_>, outcome: Judgement) {
        self.asked += 1;
        let AskedName { name, rtype, .. } = question;
        match outcome {
            Judgement::Equal(0) => {}
            Judgement::Equal(gap) => self.ttls = (self.ttls.0 + 1, self.ttls.1.max(gap)),
            Judgement::Deliberate(words) => {
                self.deliberate.entry(words).or_insert_with(|| (0, format!("{name} {rtype}"))).0 += 1;
            }
            Judgement::Different(Difference { sort, text }) => {
                self.differences += 1;
                let (count, shown) = self.groups.entry(sort).or_default();
                *count += 1;
                if *count <= self.show {
                    let _ = write!(shown, "differs: {name} {rtype}\n{text}");
                }
            }
        }
    }

    pub(super) fn how_far(&self) -> String {
        let percent = self.asked * 100 / self.questions.max(1);
        format!("{} of {} questions ({percent} %), {} differences", self.asked, self.questions, self.differences)
    }

    /// Prints it; `from` and `to` say which servers they are.
    pub(super) fn finish(&self, out: &mut dyn Write, [from, to]: [&str; 2], names: usize) -> std::io::Result<()> {
        for (sort, (count, shown)) in &self.groups {
            write!(out, "{count} × {sort}\n{shown}")?;
            if let Some(more) = count.checked_sub(self.show).filter(|more| *more > 0) {
                writeln!(out, "… and {more} more; --show {count} prints them")?;
            }
        }
        for (words, (count, first)) in &self.deliberate {
            writeln!(out, "as documented: {words}: {count}, first {first}")?;
        }
        let deliberate: usize = self.deliberate.values().map(|(count, _)| count).sum();
        let (count, most) = self.ttls;
        writeln!(
            out,
            "{names} names of the cluster, {} questions to {from} (-) and {to} (+): {} differences, {deliberate} differ as \
             documented, {} equal; TTLs differ in {count} of these, by {most} s at most ({} s are allowed)",
            self.asked,
            self.differences,
            self.asked - self.differences - deliberate,
            self.ttl
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::testing::reply;
    use super::*;
    use crate::cli::diff::names::NameKind;
    use crate::wire::Name;
    use crate::wire::message::RecordType;

    fn difference(one: &str, other: &str) -> Difference {
        Difference::new(&Ok(reply(one)), &Ok(reply(other)), 30)
    }

    #[test]
    fn a_difference_prints_what_only_one_has() {
        let (one, other) =
            ("NOERROR aa\nx. 5 A 10.0.0.1\nx. 5 A 10.0.0.2", "NOERROR aa\nx. 5 A 10.0.0.2\nx. 5 A 10.0.0.3");
        let found = difference(one, other);
        assert_eq!(
            found.text,
            "  - NOERROR aa\n  + NOERROR aa\n  - answer: x. 5 A 10.0.0.1\n  + answer: x. 5 A 10.0.0.3\n"
        );
        let silent = Difference::new(&Err("i/o timeout".into()), &Ok(reply("NOERROR aa")), 30);
        assert_eq!(silent.text, "  - no answer: i/o timeout\n  + NOERROR aa\n");
        assert_eq!((found.sort, silent.sort), (DifferenceSort::Records, DifferenceSort::Silence));
    }

    #[test]
    fn ttls_alone_are_said_plainly() {
        let many = |ttl: u32| (1..=30).map(|host| format!("\nx. {ttl} A 10.0.0.{host}")).collect::<String>();
        let found = difference(
            &format!("NOERROR aa{}\ny. 5 A 10.0.0.1", many(5)),
            &format!("NOERROR aa{}\ny. 9 A 10.0.0.1", many(60)),
        );
        assert_eq!((found.sort, found.text.as_str()), (DifferenceSort::Ttl, "  TTL 5 s (-), 60 s (+): 30 records\n"));
    }

    #[test]
    fn what_matters_most_names_the_group_and_long_answers_are_cut() {
        let many: String = (1..=30).map(|host| format!("\nx. 5 A 10.0.0.{host}")).collect();
        let all = format!("NOERROR aa{many}");
        for (one, other, sort) in [
            (all.as_str(), "NXDOMAIN aa", DifferenceSort::Rcode("NOERROR".into(), "NXDOMAIN".into())),
            (all.as_str(), "NOERROR", DifferenceSort::Lacking),
            ("NOERROR aa", all.as_str(), DifferenceSort::Extra),
            ("NOERROR aa\nx. 5 A 10.0.0.1", "NOERROR\nx. 60 A 10.0.0.1", DifferenceSort::Flags),
        ] {
            assert_eq!(difference(one, other).sort, sort);
        }
        let text = difference(&all, "NOERROR aa").text;
        assert!(text.ends_with("  … and 10 more records\n") && text.lines().count() == 2 + MOST_LINES + 1, "{text}");
    }

    #[test]
    fn each_group_shows_its_first_and_says_how_many_more() {
        let mut report = Report::new(30, 2, 300);
        let name: Name = "x.example".parse().unwrap();
        let question = AskedName { name: &name, kind: NameKind::Service, rtype: RecordType::A };
        for _ in 0..215 {
            report.count(&question, Judgement::Different(difference("NOERROR aa\nx. 5 A 10.0.0.1", "NXDOMAIN aa")));
        }
        report.count(
            &question,
            Judgement::Different(difference("NOERROR\nx. 5 A 10.0.0.1", "NOERROR\nx. 60 A 10.0.0.1")),
        );
        report.count(&question, Judgement::Equal(0));
        let mut out = Vec::new();
        report.finish(&mut out, ["192.0.2.1", "192.0.2.2"], 1).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(
            out.starts_with("215 × response code NOERROR (-), NXDOMAIN (+)\ndiffers: x.example. A\n  - NOERROR aa\n")
        );
        assert!(out.contains("\n… and 213 more; --show 215 prints them\n1 × the same records, other TTLs\n"), "{out}");
        assert_eq!(out.matches("differs: ").count(), 3);
        assert!(out.ends_with(": 216 differences, 0 differ as documented, 1 equal; TTLs differ in 0 of these, by 0 s at most (30 s are allowed)\n"), "{out}");
    }
}

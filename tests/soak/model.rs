//! What is true of each Service, version by version, and whether an answer fits one of them.
//!
//! A change is true from the moment at which it is sent to the API server, and what was true before may still be said
//! until the server can have heard of it. Between these two both are right; nothing else ever is, but for one thing: a pod
//! that its slice no longer lists may be on its way to another slice, and so may be answered for a while more. That a Service
//! is there comes by another watch than its pods: either may come first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// The zone of all names.
pub(crate) const ZONE: &str = "default.svc.cluster.local.";

/// The time for which a pod may be answered that no slice lists any more.
const HELD: Duration = Duration::from_secs(5);

/// Pods by their hostnames.
pub(crate) type Pods = BTreeMap<String, Ipv4Addr>;

/// A Service, and the pods that its slices list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    /// The Service is there. Its slices may be there without it: the names of an address ask for them alone, as in CoreDNS.
    pub(crate) exists: bool,
    pub(crate) pods: Pods,
}

/// A question of which the model knows the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The addresses of a Service.
    Service,
    /// The SRV records of its port, with the addresses beside them.
    Port,
    /// The address of one pod.
    Pod(String),
    /// The names of an address.
    Pointer(Ipv4Addr),
}

/// The records of an answer as text, without what does not matter; none where the name does not exist.
pub(crate) type Answer = BTreeSet<String>;

/// One Service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    versions: Vec<Version>,
}

#[derive(Debug)]
struct Version {
    truth: Truth,
    /// When the API server said that it has this; not before.
    stored: Option<Instant>,
    /// The first answer that showed this: when it came, and to which question.
    shown: Option<(Instant, Question)>,
}

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It was never true, or what was true before an answer that has been given.
    NeverOrNoMore,
    /// There is no such Service any more.
    Gone,
    /// It is no longer true since this time.
    Stale(Duration),
}

impl Service {
    pub(crate) fn new(name: String) -> Self {
        Self { name, versions: vec![Version { truth: Truth::default(), stored: Some(Instant::now()), shown: None }] }
    }

    /// What is true since the last change.
    pub(crate) fn truth(&self) -> &Truth {
        &self.versions[self.versions.len() - 1].truth
    }

    /// The number of changes.
    pub(crate) fn changes(&self) -> usize {
        self.versions.len() - 1
    }

    /// A change is about to be sent.
    pub(crate) fn begin(&mut self, truth: Truth) {
        if truth != *self.truth() {
            self.versions.push(Version { truth, stored: None, shown: None });
        }
    }

    /// All changes are with the API server.
    pub(crate) fn stored(&mut self, now: Instant) {
        let open = self.versions.iter_mut().rev().take_while(|version| version.stored.is_none());
        open.for_each(|version| version.stored = Some(now));
    }

    /// The first version that an answer to a question asked from now on may show.
    pub(crate) fn floor(&self) -> usize {
        self.versions.iter().rposition(|version| version.shown.is_some()).unwrap_or(0)
    }

    /// Forgets what was shown: another process answers from now on.
    pub(crate) fn forget(&mut self) {
        self.versions.iter_mut().for_each(|version| version.shown = None);
    }

    /// Judges an answer to a question that was asked at some time, when this was the floor. What was replaced for longer than
    /// `late` before the question is stale.
    pub(crate) fn judge(
        &mut self,
        question: &Question,
        answer: &Answer,
        asked: Instant,
        floor: usize,
        late: Duration,
    ) -> Result<(), Wrong> {
        let of_service = !matches!(question, Question::Pointer(_));
        if of_service && answer.is_empty() && self.lately(asked, late).any(|truth| !truth.exists) {
            return Ok(());
        }
        let fits = |at: &usize| {
            let right = project(&self.name, &self.versions[*at].truth.pods, question);
            right.is_subset(answer) && {
                let held = project(&self.name, &self.held(*at, asked, late), question);
                answer.difference(&right).all(|record| held.contains(record))
            }
        };
        // Many versions may look the same to a question: the oldest says the least, the newest is the best excuse.
        let Some(oldest) = (floor..self.versions.len()).find(fits) else {
            return Err(Wrong::NeverOrNoMore);
        };
        let newest = (oldest..self.versions.len()).rev().find(fits).unwrap_or(oldest);
        let replaced = self.versions.get(newest + 1).and_then(|next| next.stored);
        let since = replaced.map_or(Duration::ZERO, |since| asked.saturating_duration_since(since));
        self.versions[oldest].shown.get_or_insert_with(|| (Instant::now(), question.clone()));
        if of_service && !answer.is_empty() && !self.lately(asked, late).any(|truth| truth.exists) {
            return Err(Wrong::Gone);
        }
        if since > late { Err(Wrong::Stale(since)) } else { Ok(()) }
    }

    /// What was true at some time from `late` before the question on.
    fn lately(&self, asked: Instant, late: Duration) -> impl Iterator<Item = &Truth> {
        let over = move |stored: Option<Instant>| stored.is_some_and(|at| asked.saturating_duration_since(at) > late);
        let next = self.versions.iter().skip(1).map(|next| next.stored).rev();
        let replaced = std::iter::once(None).chain(next);
        let all = self.versions.iter().rev().zip(replaced);
        all.take_while(move |(_, replaced)| !over(*replaced)).map(|(version, _)| &version.truth)
    }

    /// The pods that may be answered beside a version's own, to a question that was asked at some time.
    fn held(&self, at: usize, asked: Instant, late: Duration) -> Pods {
        let now = &self.versions[at].truth.pods;
        let lately = |version: &&[Version]| match version {
            [_, next] => next.stored.is_none_or(|stored| asked.saturating_duration_since(stored) < HELD + late),
            _ => false,
        };
        let pairs = self.versions[..=at].windows(2).rev().take_while(lately);
        let mut gone = Pods::new();
        for (pod, address) in pairs.flat_map(|pair| &pair[0].truth.pods) {
            if !now.contains_key(pod) {
                // The last address that it had.
                gone.entry(pod.clone()).or_insert(*address);
            }
        }
        gone
    }

    /// The versions around the one that an answer may have meant, for whoever must find out why.
    pub(crate) fn around(&self, floor: usize) -> String {
        let shown = self.versions.iter().enumerate().skip(floor.saturating_sub(1)).take(6);
        let ago = |time: Instant| format!("{:?} ago", time.elapsed());
        let line = |(at, version): (usize, &Version)| {
            let Version { truth, stored, shown } = version;
            let (stored, shown) = (stored.map(ago), shown.as_ref().map(|(at, question)| (ago(*at), question)));
            format!("\n    {at}: {truth:?}, stored {stored:?}, shown {shown:?}")
        };
        shown.map(line).collect()
    }

    /// The times from the API server's word to the first answer that shows a change, for all that were seen.
    pub(crate) fn lags(&self) -> impl Iterator<Item = Duration> + '_ {
        let seen = self.versions.iter().filter_map(|version| version.stored.zip(version.shown.as_ref()));
        seen.map(|(stored, (shown, _))| shown.saturating_duration_since(stored))
    }
}

/// The right answer to a question where these are the pods.
fn project(name: &str, pods: &Pods, question: &Question) -> Answer {
    let host = |pod: &str| format!("{pod}.{name}.{ZONE}");
    match question {
        Question::Service => pods.values().map(ToString::to_string).collect(),
        Question::Port => pods.iter().map(|(pod, address)| format!("{} {address}", host(pod))).collect(),
        Question::Pod(pod) => pods.get(pod).map(ToString::to_string).into_iter().collect(),
        Question::Pointer(address) => {
            pods.iter().filter(|(_, own)| *own == address).map(|(pod, _)| host(pod)).collect()
        }
    }
}

#[test]
fn the_model_tells_right_answers_from_wrong_ones() {
    let address = |n: u8| Ipv4Addr::new(10, 9, 0, n);
    let truth = |some: &[(&str, u8)]| {
        let pods = some.iter().map(|(pod, n)| ((*pod).to_owned(), address(*n))).collect();
        Truth { exists: true, pods }
    };
    let says = |some: &[u8]| some.iter().map(|n| address(*n).to_string()).collect::<Answer>();
    let (now, soon) = (Instant::now(), Duration::from_secs(1));
    let mut service = Service::new("s".into());
    for next in [truth(&[("a", 1), ("b", 2)]), truth(&[("a", 1), ("b", 2), ("c", 3)]), truth(&[("b", 4), ("c", 3)])] {
        service.begin(next);
        service.stored(now);
    }
    let mut judge =
        |some: &[u8], asked: Instant, floor| service.judge(&Question::Service, &says(some), asked, floor, soon);
    assert_eq!(judge(&[1, 2], now, 0), Ok(()));
    assert_eq!(judge(&[2], now, 0), Err(Wrong::NeverOrNoMore), "part of a Service");
    assert_eq!(judge(&[1, 2], now, 2), Err(Wrong::NeverOrNoMore), "older than what was said");
    assert!(matches!(judge(&[1, 2], now + soon * 2, 0), Err(Wrong::Stale(_))));
    assert_eq!(judge(&[2, 3, 4], now, 0), Err(Wrong::NeverOrNoMore), "two addresses of one pod");
    assert_eq!(judge(&[1, 3, 4], now + soon * 2, 3), Ok(()), "a pod that may be on its way");
    assert_eq!(judge(&[1, 3, 4], now + HELD * 2, 3), Err(Wrong::NeverOrNoMore), "a pod that is gone");
    assert_eq!(judge(&[3, 4], now + HELD * 2, 2), Ok(()));
    assert_eq!(service.floor(), 3);
    let asked = Question::Pointer(address(1));
    assert_eq!(service.judge(&asked, &Answer::new(), now + HELD * 2, 3, soon), Ok(()));
    service.begin(Truth { exists: false, ..service.truth().clone() });
    service.stored(now);
    let mut judge = |some: &[u8], asked| service.judge(&Question::Service, &says(some), asked, 3, soon);
    assert_eq!((judge(&[], now), judge(&[3, 4], now)), (Ok(()), Ok(())));
    assert_eq!(judge(&[3, 4], now + HELD * 2), Err(Wrong::Gone));
    let old = Answer::from(["a.s.default.svc.cluster.local.".to_owned()]);
    assert_eq!(service.judge(&asked, &old, now + HELD * 2, 3, soon), Err(Wrong::NeverOrNoMore));
}

//! The state that the loops share: the index that they feed, and what an operator may ask about them.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::metrics::{LAST_EVENT, RELISTS, RESTARTS, plural};
use super::moment::moment;
use super::recent::Recent;
use crate::cluster::clock::WallClock;
use crate::cluster::facts::{BadObject, Event, Fact, Kind, ObjectKey};
use crate::cluster::index::{DatedFact, Explanation, Index, Remaining};
use crate::cluster::snapshot::Known;
use crate::cluster::status;
use crate::wire::Label;
use crate::zone::ServiceName;

/// The index and the state of each loop. The lock is held for one batch, and never by a reader of the zone.
#[derive(Debug)]
pub(super) struct SharedIndex {
    state: Mutex<SharedState>,
    synced: watch::Sender<bool>,
    /// Changes when a loop that was in trouble is so no more: the others may be as lucky.
    good_signs: GoodSigns,
    clock: WallClock,
    /// A grace period ends sooner than was known.
    sooner: Notify,
    /// The kinds of slices of which something may be there that is not read: what is there, or the watch is not.
    unread: watch::Sender<Vec<Kind>>,
}

/// After the end of a grace period, so long is given to what has arrived by then to come through to its loop.
const SETTLING: Duration = Duration::from_millis(20);

/// Signs that loops give each other. Who waits is woken in the order of waiting, where a `watch` channel chooses one by chance.
#[derive(Clone, Debug, Default)]
pub(super) struct GoodSigns {
    given: Arc<AtomicU64>,
    woken: Arc<Notify>,
    seen: u64,
}

#[derive(Debug)]
struct SharedState {
    index: Index,
    kinds: Vec<KindState>,
    /// The Unix second of the snapshot that is answered from.
    restored: Option<u64>,
    expires: Option<Instant>,
}

#[derive(Debug)]
struct KindState {
    kind: Kind,
    listed: bool,
    version: String,
    last_event: Option<Instant>,
    restarts: u64,
    relists: u64,
    trouble: Option<String>,
    recent: Recent,
}

/// The state of one loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindStatus {
    /// The kind that is watched.
    pub kind: Kind,
    /// The first complete list is in.
    pub synced: bool,
    /// The resourceVersion up to which changes are known; empty before the first list.
    pub version: String,
    /// The time since the API server last said something, a bookmark among it.
    pub age: Option<Duration>,
    /// The number of times that the watch was started again.
    pub restarts: u64,
    /// The number of complete lists after the first.
    pub relists: u64,
    /// The trouble that keeps the loop from going on, while it tries.
    pub trouble: Option<String>,
}

impl SharedIndex {
    pub(super) fn new(index: Index, kinds: &[Kind], clock: WallClock) -> Self {
        let slices = kinds.iter().copied().filter(|kind| matches!(kind, Kind::EndpointSlice | Kind::ImportedSlice));
        let kinds = kinds
            .iter()
            .map(|kind| KindState {
                kind: *kind,
                listed: false,
                version: String::new(),
                last_event: None,
                restarts: 0,
                relists: 0,
                trouble: None,
                recent: Recent::default(),
            })
            .collect();
        Self {
            state: Mutex::new(SharedState { index, kinds, restored: None, expires: None }),
            synced: watch::Sender::new(false),
            good_signs: GoodSigns::default(),
            clock,
            sooner: Notify::new(),
            unread: watch::Sender::new(slices.collect()),
        }
    }

    /// Turns true when all kinds have their first complete list, and stays so.
    pub(super) fn synced(&self) -> watch::Receiver<bool> {
        self.synced.subscribe()
    }

    /// Hears of loops that are out of trouble.
    pub(super) fn good_signs(&self) -> GoodSigns {
        self.good_signs.clone()
    }

    /// A loop is out of trouble.
    pub(super) fn good_sign(&self) {
        self.good_signs.give();
    }

    pub(super) fn status(&self) -> Vec<KindStatus> {
        let now = moment();
        let state = self.lock();
        state
            .kinds
            .iter()
            .map(|kind| KindStatus {
                kind: kind.kind,
                synced: kind.listed,
                version: kind.version.clone(),
                age: kind.last_event.map(|at| now.saturating_duration_since(at)),
                restarts: kind.restarts,
                relists: kind.relists,
                trouble: kind.trouble.clone(),
            })
            .collect()
    }

    pub(super) fn explain(&self, service: &ServiceName, label: Option<&Label>) -> Explanation {
        self.lock().index.explain(service, label)
    }

    /// Takes in a part of a snapshot, whole Services. Nothing else is known yet.
    pub(super) fn restore(&self, groups: Vec<Vec<DatedFact>>) {
        let (now, _) = self.now();
        self.lock().index.restore(groups, now);
    }

    /// The snapshot is taken in; it was true up to this Unix second.
    pub(super) fn end_restore(&self, true_at: u64) {
        let (_, unix) = self.now();
        let mut state = self.lock();
        state.index.end_restore(unix);
        state.restored = Some(true_at);
    }

    /// The Unix second of the snapshot that is answered from.
    pub(super) fn restored(&self) -> Option<u64> {
        self.lock().restored
    }

    /// All lists are in: no answer is from the snapshot any more.
    pub(super) fn answers_from_lists(&self) {
        self.lock().restored = None;
    }

    /// The state that a snapshot would keep, at this Unix second; `None` before the first complete lists. True is what the
    /// API server has confirmed of every kind.
    pub(super) fn known(&self, unix: u64) -> Option<Known> {
        let (state, now) = (self.lock(), moment());
        let heard = |kind: &KindState| kind.last_event.filter(|_| kind.listed);
        let silences = state.kinds.iter().map(|kind| Some(now.saturating_duration_since(heard(kind)?)));
        let silence = silences.collect::<Option<Vec<_>>>()?.into_iter().max()?;
        Some(Known { publications: state.index.publications(), true_at: unix.saturating_sub(silence.as_secs()) })
    }

    /// The next facts for a snapshot, of which `remaining` keeps what is left. The lock is held for about so many objects
    /// and endpoints.
    pub(super) fn give_out(&self, remaining: &mut Option<Remaining>, most: usize) -> Vec<Vec<DatedFact>> {
        let state = self.lock();
        let remaining = remaining.get_or_insert_with(|| state.index.objects());
        state.index.give_out(remaining, most)
    }

    /// A list begins; gives how many objects are known before it.
    pub(super) fn begin_list(&self, kind: Kind) -> usize {
        let mut state = self.lock();
        state.index.begin_list(kind);
        state.index.count(kind)
    }

    /// Objects of a list that is under way.
    pub(super) fn page(&self, kind: Kind, facts: Vec<Fact>) {
        let (now, unix) = self.now();
        let mut state = self.lock();
        state.heard(kind, now, &self.clock, None);
        state.index.apply_page(facts, now, unix);
        self.reckon(&mut state);
    }

    /// One bad object never spoils the rest: what was known of it stays, also when a list brings it.
    pub(super) fn bad(&self, bad: &BadObject) {
        status::report_bad(bad);
        self.lock().index.keep(bad.kind, &ObjectKey::new(&bad.namespace, &bad.name));
    }

    /// The list is complete at this version.
    pub(super) fn end_list(&self, kind: Kind, version: &str) {
        let (now, unix) = self.now();
        let mut state = self.lock();
        state.index.end_list(kind, now, unix);
        state.heard(kind, now, &self.clock, Some(version));
        if let Some(entry) = state.entry(kind) {
            if entry.listed {
                entry.relists += 1;
                RELISTS.with_label_values(&[plural(kind)]).inc();
            }
            entry.listed = true;
            entry.recent.clear();
        }
        if state.kinds.iter().all(|kind| kind.listed) && !*self.synced.borrow() {
            state.index.set_synced();
            self.synced.send_replace(true);
        }
        self.reckon(&mut state);
    }

    /// Events that arrived together, in their order, each with the version of its object (0 where it has no number). What
    /// is older than what is known of its object changes nothing.
    pub(super) fn events(&self, kind: Kind, events: Vec<(Event, u64)>, version: Option<&str>) {
        let (now, unix) = self.now();
        let mut state = self.lock();
        state.heard(kind, now, &self.clock, version);
        let mut batch = Vec::new();
        for (event, version) in events {
            match event {
                Event::Applied(fact) => {
                    if state.is_news(kind, &fact.key(), version) {
                        batch.push(fact);
                    }
                }
                Event::Deleted(_, key) => {
                    if !batch.is_empty() {
                        state.index.apply_page(std::mem::take(&mut batch), now, unix);
                    }
                    let known = state.index.version(kind, &key).unwrap_or_default();
                    if state.is_news(kind, &key, version) && (version == 0 || version >= known) {
                        state.index.delete(kind, &key, now, unix);
                    }
                }
                // Handled by the loop, which knows what to do about them.
                Event::Bookmark | Event::Error(_) | Event::Bad(_) => {}
            }
        }
        if !batch.is_empty() {
            state.index.apply_page(batch, now, unix);
        }
        self.reckon(&mut state);
    }

    /// The API server took a watch up where the last one ended: what is known is still the truth.
    pub(super) fn confirmed(&self, kind: Kind) {
        let now = moment();
        let mut state = self.lock();
        state.heard(kind, now, &self.clock, None);
        state.index.resume(kind, now);
        self.reckon(&mut state);
    }

    /// Something of a kind is there to be read, or its watch has ended.
    pub(super) fn reading(&self, kind: Kind) {
        self.unread.send_if_modified(|unread| {
            let is_new = matches!(kind, Kind::EndpointSlice | Kind::ImportedSlice) && !unread.contains(&kind);
            unread.extend(is_new.then_some(kind));
            is_new
        });
    }

    /// All is read that has come of a kind.
    pub(super) fn caught_up(&self, kind: Kind) {
        self.unread.send_if_modified(|unread| {
            let before = unread.len();
            unread.retain(|own| *own != kind);
            unread.len() < before
        });
    }

    /// The watch of a kind is to be started again, for this reason.
    pub(super) fn restarted(&self, kind: Kind, reason: &str) {
        RESTARTS.with_label_values(&[plural(kind), reason]).inc();
        if let Some(entry) = self.lock().entry(kind) {
            entry.restarts += 1;
        }
    }

    /// Notes the trouble that keeps a loop from going on; `None` once it goes on.
    pub(super) fn trouble(&self, kind: Kind, trouble: Option<String>) {
        if let Some(entry) = self.lock().entry(kind) {
            entry.trouble = trouble;
        }
    }

    /// Ends grace periods when their time has come and everything is read that had come by then, which may list again what
    /// is held. So none ends while the watch is away: what happens meanwhile is not known.
    pub(super) async fn keep_time(&self) {
        let mut unread = self.unread.subscribe();
        loop {
            let next = self.lock().expires;
            let Some(at) = next else {
                self.sooner.notified().await;
                continue;
            };
            // A permit that reckon left behind only makes one more round.
            if tokio::time::timeout_at(at.into(), self.sooner.notified()).await.is_ok() {
                continue;
            }
            tokio::time::sleep(SETTLING).await;
            // The sender lives in `self`.
            let _ = unread.wait_for(Vec::is_empty).await;
            let (now, unix) = self.now();
            let mut state = self.lock();
            state.expires = state.index.expire(now, unix);
        }
    }

    /// Wakes the timekeeper when the next grace period ends sooner than it knows.
    fn reckon(&self, state: &mut SharedState) {
        let next = state.index.next_end();
        let sooner = match (next, state.expires) {
            (Some(next), Some(known)) => next < known,
            (Some(_), None) => true,
            (None, _) => false,
        };
        state.expires = next;
        if sooner {
            self.sooner.notify_one();
        }
    }

    /// The moment, and the second that belongs to it.
    fn now(&self) -> (Instant, u32) {
        let now = moment();
        (now, self.clock.second(now))
    }

    fn lock(&self) -> MutexGuard<'_, SharedState> {
        // After a panic the next list puts right what was left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GoodSigns {
    /// A sign for all who wait, or who have not looked since.
    fn give(&self) {
        self.given.fetch_add(1, Ordering::Relaxed);
        self.woken.notify_waiters();
    }

    /// What was given so far is known.
    pub(super) fn mark_unchanged(&mut self) {
        self.seen = self.given.load(Ordering::Relaxed);
    }

    /// Waits for a sign that is not known.
    pub(super) async fn changed(&mut self) {
        loop {
            let mut woken = pin!(self.woken.notified());
            woken.as_mut().enable();
            let given = self.given.load(Ordering::Relaxed);
            if given != self.seen {
                self.seen = given;
                return;
            }
            woken.await;
        }
    }
}

impl SharedState {
    fn entry(&mut self, kind: Kind) -> Option<&mut KindState> {
        self.kinds.iter_mut().find(|entry| entry.kind == kind)
    }

    fn is_news(&mut self, kind: Kind, key: &ObjectKey, version: u64) -> bool {
        self.entry(kind).is_none_or(|entry| entry.recent.is_news(key, version))
    }

    fn heard(&mut self, kind: Kind, now: Instant, clock: &WallClock, version: Option<&str>) {
        if let Some(entry) = self.entry(kind) {
            entry.last_event = Some(now);
            if let Some(version) = version {
                entry.version.clear();
                entry.version.push_str(version);
            }
        }
        LAST_EVENT.with_label_values(&[plural(kind)]).set(clock.since_1970().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::IndexSettings;
    use crate::cluster::facts::{DecodedObject, json};
    use crate::zone::{Reader, pair};

    fn fact(kind: Kind, text: &str) -> Fact {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        match json::value(kind, &value) {
            DecodedObject::Keep(fact, None) => fact,
            other => panic!("{other:?}"),
        }
    }

    /// A slice of the Service `k` with these endpoints, of which each one's number is its name and the end of its address.
    fn slice(name: &str, endpoints: &[u8]) -> Fact {
        let endpoints = endpoints.iter().map(|i| format!(r#"{{"addresses": ["10.0.0.{i}"], "hostname": "k-{i}"}}"#));
        let endpoints: Vec<String> = endpoints.collect();
        let meta =
            format!(r#"{{"name": "{name}", "namespace": "default", "labels": {{"kubernetes.io/service-name": "k"}}}}"#);
        let text = format!(r#"{{"metadata": {meta}, "addressType": "IPv4", "endpoints": [{}]}}"#, endpoints.join(", "));
        fact(Kind::EndpointSlice, &text)
    }

    fn count(reader: &Reader) -> usize {
        reader.services().iter().map(|service| service.endpoints.len()).sum()
    }

    #[tokio::test]
    async fn no_grace_period_ends_before_all_that_has_come_is_read() {
        let (publisher, reader) = pair();
        let index = Index::new(publisher, IndexSettings::default());
        let shared = Arc::new(SharedIndex::new(index, &[Kind::Service, Kind::EndpointSlice], WallClock::default()));
        let service = r#"{"metadata": {"name": "k", "namespace": "default"}, "spec": {"clusterIP": "None"}}"#;
        shared.page(Kind::Service, vec![fact(Kind::Service, service)]);
        shared.page(Kind::EndpointSlice, vec![slice("s", &[0, 1, 2, 3, 4]), slice("t", &[5])]);
        let timekeeper = shared.clone();
        let keeping = tokio::spawn(async move { timekeeper.keep_time().await });
        shared.caught_up(Kind::EndpointSlice);
        // Something has come, and is not read before the time of `k-4` is over.
        shared.reading(Kind::EndpointSlice);
        shared.page(Kind::EndpointSlice, vec![slice("s", &[0, 1, 2, 3])]);
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert_eq!(count(&reader), 6);
        shared.page(Kind::EndpointSlice, vec![slice("t", &[4, 5])]);
        shared.caught_up(Kind::EndpointSlice);
        // Of one that is gone, nothing more is heard.
        shared.page(Kind::EndpointSlice, vec![slice("s", &[0, 1, 2])]);
        let all = Duration::from_secs(60);
        let gone = async {
            while count(&reader) == 6 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(all, gone).await.is_ok());
        assert_eq!(count(&reader), 5);
        keeping.abort();
    }
}

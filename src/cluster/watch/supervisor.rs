//! One loop for each kind: lists, watches, and gets up again whatever happens, while the index keeps what it knows.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use rand::RngExt;

use super::backoff::Backoff;
use super::client::{Api, Response};
use super::decode::{self, Encoding};
use super::failure::{Failure, Remedy};
use super::frames::Frames;
use super::metrics::plural;
use super::options::Timing;
use super::request::Request;
use super::shared::Shared;
use crate::cluster::facts::{Event, Frame, Kind, Page};

/// Objects of a whole list that are published together: a batch is published at the price of a few of them.
const BATCH: usize = 500;

/// Octets of a watch that are applied together, if so many have come: one event of a large Service costs as much as many.
const TOGETHER: usize = 1 << 20;

/// The state of one loop between its requests.
#[derive(Debug)]
pub(super) struct Supervisor {
    kind: Kind,
    request: Request,
    api: Api,
    shared: Arc<Shared>,
    timing: Timing,
    backoff: Backoff,
    /// Up to where changes are known; `None` when a complete list is due.
    version: Option<String>,
    /// Lists are asked for whole and decoded as they arrive: half the API server's work for a stream of events (WatchList),
    /// none of the waiting between pages, and no more memory here than either.
    whole: bool,
    listed: bool,
    /// The last watch was interrupted: the server may not be what it was, and its past another one.
    doubt: bool,
    trouble: Option<Trouble>,
}

/// What keeps the loop from going on, since when, and when that was last said.
#[derive(Debug)]
struct Trouble {
    word: &'static str,
    since: Instant,
    said: Instant,
    attempts: u32,
}

/// How one round ended.
#[derive(Debug)]
struct Ended {
    phase: Phase,
    /// The server had begun to answer.
    opened: bool,
    /// Events that were taken in, bookmarks among them.
    events: u64,
    /// `None` when the stream ended as it should.
    failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Listing.
    List,
    /// Watching.
    Watch,
}

impl Supervisor {
    pub(super) fn new(kind: Kind, request: Request, api: Api, shared: Arc<Shared>, timing: Timing) -> Self {
        let backoff = Backoff::new(timing.backoff_min, timing.backoff_max, timing.healthy);
        Self {
            kind,
            request,
            api,
            shared,
            timing,
            backoff,
            version: None,
            whole: may_be_whole(kind, &timing),
            listed: false,
            doubt: false,
            trouble: None,
        }
    }

    /// Never returns. A defect of ours that panics costs a new list, not the loop.
    pub(super) async fn run(mut self) {
        loop {
            if AssertUnwindSafe(self.rounds()).catch_unwind().await.is_err() {
                tracing::error!(kind = plural(self.kind), "the watch panicked and is started again with a new list");
                self.shared.restarted(self.kind, "panic");
                self.version = None;
                tokio::time::sleep(self.timing.backoff_max).await;
            }
        }
    }

    async fn rounds(&mut self) {
        loop {
            let started = Instant::now();
            let ended = self.round(started).await;
            let wait = self.judge(ended, started.elapsed());
            tokio::time::sleep(wait).await;
        }
    }

    //------- One round -------------------------------------------------------

    async fn round(&mut self, started: Instant) -> Ended {
        if let Some(version) = self.version.clone() {
            match self.is_in_the_past(&version).await {
                Ok(true) => return self.watch(&version, started).await,
                Ok(false) => self.version = None,
                Err(failure) => return Ended::refused(Phase::Watch, failure),
            }
        }
        match self.list().await {
            // The clock of the watch starts with the watch: a list may take long.
            Ok(version) => self.watch(&version, Instant::now()).await,
            Err(failure) => Ended::refused(Phase::List, failure),
        }
    }

    /// Whether our place in the stream of changes is one that the server has passed. A server whose etcd was restored from
    /// a backup takes a watch from a version that it has not reached, and is silent until it reaches it.
    async fn is_in_the_past(&mut self, version: &str) -> Result<bool, Failure> {
        if !self.doubt {
            return Ok(true);
        }
        let response = self.api.list(&self.request.probe(), self.timing.list_idle).await?;
        let present = response.page(self.kind, self.timing.list_idle).await?.resource_version;
        self.doubt = false;
        // Versions are numbers in practice; where they are not, nothing can be said.
        let past = match (version.parse::<u64>(), present.parse::<u64>()) {
            (Ok(ours), Ok(present)) => ours <= present,
            _ => true,
        };
        if !past {
            let kind = plural(self.kind);
            tracing::warn!(kind, known = version, present, "the API server went back in time, listing again");
            self.shared.restarted(self.kind, "went_back");
        }
        Ok(past)
    }

    /// Lists, whole or page by page. An expired continue token starts it again, as any failure does.
    async fn list(&mut self) -> Result<String, Failure> {
        let started = Instant::now();
        self.shared.begin_list(self.kind);
        let (mut token, mut objects): (Option<String>, _) = (None, 0);
        loop {
            let uri = match &token {
                // The API server asks etcd, and waits, before it says that it is up to date. A list that replaces nothing
                // may be older than that, as the watch from it on brings the rest.
                None if self.whole && !self.listed => self.request.first(),
                None if self.whole => self.request.whole(),
                token => self.request.page(token.as_deref()),
            };
            let response = match self.api.list(&uri, self.timing.list_idle).await {
                Ok(response) => response,
                Err(failure) => {
                    if failure.calls_for_another_way() {
                        self.list_otherwise();
                    }
                    return Err(failure);
                }
            };
            if self.whole && response.encoding() == Encoding::Json {
                // JSON is decoded once it is all there, and that must not be more than a page.
                self.whole = false;
                continue;
            }
            let take = |mut batch| objects += self.apply(&mut batch);
            let mut last = match response.list(self.kind, self.timing.list_idle, BATCH, take).await {
                Ok(last) => last,
                Err(failure) => {
                    self.list_otherwise();
                    return Err(failure);
                }
            };
            objects += self.apply(&mut last);
            match last.continue_token {
                Some(next) => token = Some(next),
                None => {
                    self.complete(&last.resource_version, objects, started);
                    return Ok(last.resource_version);
                }
            }
        }
    }

    /// Applies what a list has brought; gives how many objects that were.
    fn apply(&self, page: &mut Page) -> usize {
        let facts = std::mem::take(&mut page.facts);
        let objects = facts.len();
        page.bad.drain(..).for_each(|bad| self.shared.bad(&bad));
        self.shared.page(self.kind, facts);
        objects
    }

    /// The next list is asked for in the other way.
    fn list_otherwise(&mut self) {
        self.whole = !self.whole && may_be_whole(self.kind, &self.timing);
    }

    /// Watches from a version on.
    async fn watch(&mut self, version: &str, started: Instant) -> Ended {
        let lasts = self.watch_time();
        // Whole seconds are all that the API takes.
        let deadline = started + lasts + self.timing.watch_grace;
        let seconds = lasts.as_secs().max(1);
        let limit = self.timing.list_idle.min(deadline.saturating_duration_since(Instant::now()));
        match self.api.watch(&self.request.watch(version, seconds), limit).await {
            Ok(response) => {
                self.shared.confirmed(self.kind);
                if self.trouble.as_ref().is_some_and(|trouble| trouble.ends_with_a_response()) {
                    self.recovered();
                }
                self.follow(response, deadline).await
            }
            Err(failure) => Ended::refused(Phase::Watch, failure),
        }
    }

    fn watch_time(&self) -> Duration {
        let (min, max) = (self.timing.watch_min, self.timing.watch_max);
        if min >= max { min } else { rand::rng().random_range(min..max) }
    }

    /// Takes events in until the watch ends.
    async fn follow(&mut self, mut response: Response, deadline: Instant) -> Ended {
        let mut frames = Frames::new(response.encoding());
        let mut events = 0;
        let failure = loop {
            let mut read = self.read(&mut response, deadline).await;
            self.shared.reading(self.kind);
            // What is there already is applied together.
            let mut octets = 0;
            while let Ok(Some(chunk)) = &read {
                octets += chunk.len();
                frames.push(chunk);
                if octets >= TOGETHER {
                    break;
                }
                let Some(next) = response.chunk().now_or_never() else { break };
                read = next;
            }
            let (taken, failure) = self.take(&mut frames, response.encoding());
            events += taken;
            if failure.is_some() {
                break failure;
            }
            if taken > 0 && self.trouble.is_some() {
                self.recovered();
            }
            match read {
                Ok(Some(_)) => {}
                Ok(None) if frames.is_cut() => {
                    break Some(Failure::Transport("the watch ended in the middle of an event".to_owned()));
                }
                Ok(None) => break None,
                Err(failure) => break Some(failure),
            }
        };
        Ended { phase: Phase::Watch, opened: true, events, failure }
    }

    /// What the transport brings next.
    async fn read(&self, response: &mut Response, deadline: Instant) -> Result<Option<bytes::Bytes>, Failure> {
        let mut chunk = pin!(response.chunk());
        if let Some(chunk) = chunk.as_mut().now_or_never() {
            return chunk;
        }
        self.shared.caught_up(self.kind);
        let timeout = Failure::Timeout(self.timing.watch_min + self.timing.watch_grace);
        tokio::time::timeout_at(deadline.into(), chunk).await.unwrap_or(Err(timeout))
    }

    /// Reads what came together, and applies it as one batch; gives how many events there were.
    fn take(&mut self, frames: &mut Frames, encoding: Encoding) -> (u64, Option<Failure>) {
        let (mut taken, mut batch) = (0, Vec::new());
        let failure = loop {
            let frame = match frames.next() {
                Ok(None) => break None,
                Ok(Some(octets)) => decode::frame(self.kind, encoding, octets),
                Err(too_long) => Err(too_long.into()),
            };
            let Frame { resource_version, flaw, event } = match frame {
                Ok(frame) => frame,
                Err(error) => break Some(error),
            };
            flaw.iter().for_each(|bad| self.shared.bad(bad));
            match event {
                Event::Error(status) => break Some(Failure::Status(status.into())),
                Event::Bad(bad) => self.shared.bad(&bad),
                Event::Bookmark => {}
                event => batch.push(event),
            }
            taken += 1;
            if !resource_version.is_empty() {
                self.version = Some(resource_version);
            }
        };
        if taken > 0 {
            self.shared.events(self.kind, batch, self.version.as_deref());
        }
        (taken, failure)
    }

    /// A complete list is in.
    fn complete(&mut self, version: &str, objects: usize, started: Instant) {
        self.shared.end_list(self.kind, version);
        self.version = Some(version.to_owned());
        self.doubt = false;
        let (kind, took) = (plural(self.kind), started.elapsed());
        let how = if self.whole { "whole" } else { "pages" };
        if self.listed {
            tracing::info!(
                kind,
                objects,
                ?took,
                how,
                resource_version = version,
                "listed again, applied as a difference"
            );
        } else {
            tracing::info!(kind, objects, ?took, how, resource_version = version, "listed");
        }
        self.listed = true;
        if self.trouble.as_ref().is_some_and(|trouble| trouble.ends_with_a_response()) {
            self.recovered();
        }
    }

    //------- Between two rounds ----------------------------------------------

    /// Decides what the next round does, and how long it waits.
    fn judge(&mut self, ended: Ended, lived: Duration) -> Duration {
        let interval = self.timing.watch_interval.saturating_sub(lived);
        let useful =
            ended.phase == Phase::Watch && ended.opened && (ended.events > 0 || lived >= self.timing.watch_interval);
        // A watch that lasts as long as it was asked to ends in whole seconds, or a little later.
        self.doubt |= ended.failure.is_some() || lived + Duration::from_secs(1) < self.timing.watch_min;
        let Some(failure) = ended.failure else {
            self.shared.restarted(self.kind, "closed");
            if useful {
                if self.trouble.is_some() {
                    self.recovered();
                }
                return interval;
            }
            let wait = self.backoff.after_failure(Instant::now()).max(interval);
            self.say("closed_early", &"the watch is closed as soon as it is opened", ended.phase, wait);
            return wait;
        };
        self.shared.restarted(self.kind, failure.word());
        match failure.remedy() {
            Remedy::Retry => {}
            Remedy::Reconnect => self.api.reconnect(),
            Remedy::Relist => self.version = None,
        }
        if useful && failure.remedy() == Remedy::Reconnect {
            // A connection that broke after it had worked is replaced at once; the backoff is for the next failure.
            tracing::debug!(kind = plural(self.kind), reason = %failure, "watch interrupted");
            return interval;
        }
        let wait = self.backoff.after_failure(Instant::now()).max(interval);
        let wait = failure.retry_after().map_or(wait, |asked| asked.max(wait));
        self.say(failure.word(), &failure, ended.phase, wait);
        wait
    }

    /// Says what keeps the loop from going on: when it begins or changes, and once a minute while it lasts.
    fn say(&mut self, word: &'static str, reason: &dyn std::fmt::Display, phase: Phase, wait: Duration) {
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert(Trouble { word: "", since: now, said: now, attempts: 0 });
        trouble.attempts = trouble.attempts.saturating_add(1);
        let due = trouble.word != word || now.duration_since(trouble.said) >= Duration::from_secs(60);
        let (kind, verb) = (plural(self.kind), if phase == Phase::List { "list" } else { "watch" });
        let (attempts, lasting, wait) = (trouble.attempts, rounded(trouble.since.elapsed()), rounded(wait));
        let serving = if self.listed { "the last known names" } else { "nothing yet of this kind" };
        if due {
            (trouble.word, trouble.said) = (word, now);
            let (resource, group) = match self.kind {
                Kind::EndpointSlice | Kind::ImportedSlice => ("endpointslices", "discovery.k8s.io"),
                Kind::ServiceImport => (kind, "multicluster.x-k8s.io"),
                Kind::Service | Kind::Namespace | Kind::Pod => (kind, ""),
            };
            match word {
                "forbidden" => tracing::warn!(
                    kind, verb, attempts, retry_in = ?wait, serving, reason = %reason,
                    "the API server forbids this: grant the verbs list and watch on resource \"{resource}\" of API group \"{group}\""
                ),
                "unauthorized" => tracing::warn!(
                    kind, verb, attempts, retry_in = ?wait, serving, reason = %reason,
                    "the API server does not accept our credentials: check the token or client certificate"
                ),
                _ => tracing::warn!(
                    kind, verb, attempts, ?lasting, retry_in = ?wait, serving, reason = %reason,
                    "no news from the API server"
                ),
            }
        } else {
            tracing::debug!(kind, verb, attempts, retry_in = ?wait, reason = %reason, "no news from the API server");
        }
        self.shared.trouble(self.kind, Some(format!("{verb}: {reason}")));
    }

    fn recovered(&mut self) {
        let Some(trouble) = self.trouble.take() else { return };
        let (kind, attempts, after) = (plural(self.kind), trouble.attempts, rounded(trouble.since.elapsed()));
        tracing::info!(kind, attempts, ?after, "the watch goes on");
        self.shared.trouble(self.kind, None);
    }
}

/// Custom resources come in JSON only, and that is listed in pages.
fn may_be_whole(kind: Kind, timing: &Timing) -> bool {
    timing.whole_lists && kind != Kind::ServiceImport
}

impl Ended {
    /// A round that did not even begin.
    fn refused(phase: Phase, failure: Failure) -> Self {
        Self { phase, opened: false, events: 0, failure: Some(failure) }
    }
}

impl Trouble {
    /// Whether the first good response ends it. Streams that break once they are open have to prove themselves.
    fn ends_with_a_response(&self) -> bool {
        !matches!(self.word, "expired" | "malformed" | "closed_early" | "refused")
    }
}
/// For people: no one reads microseconds of a wait.
fn rounded(time: Duration) -> Duration {
    Duration::from_millis(time.as_millis() as u64)
}

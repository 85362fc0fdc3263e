//! One loop for each kind: lists, watches, and gets up again whatever happens, while the index keeps what it knows.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::client::{Api, Response};
use super::decode::{self, Encoding};
use super::failure::{Remedy, WatchFailure};
use super::frames::Frames;
use super::metrics::{DOUBTFUL, plural};
use super::moment::moment;
use super::options::Timing;
use super::pace::{Pace, TroubleSort};
use super::pages::Pages;
use super::plausibility::{Doubts, Said};
use super::request::{ApiRequest, PAGE};
use super::shared::{GoodSigns, SharedIndex};
use super::trouble::{Met, Troubles};
use crate::cluster::facts::{Event, Frame, Kind, Page};

/// Objects of a whole list that are published together: a batch is published at the price of a few of them.
const BATCH: usize = 500;

/// Octets of a watch that are applied together, if so many have come: one event of a large Service costs as much as many.
const TOGETHER: usize = 1 << 20;

/// A page that does not come is asked for smaller, down to so many objects.
const SMALL_PAGE: u32 = 20;

/// The time that a watch waits to hear whether its place is in the server's past.
const PROBE: Duration = Duration::from_secs(2);

/// The state of one loop between its requests.
#[derive(Debug)]
pub(super) struct Supervisor {
    kind: Kind,
    request: ApiRequest,
    api: Api,
    shared: Arc<SharedIndex>,
    timing: Timing,
    pace: Pace,
    /// Other loops that are out of trouble: what they have met is worth a try here.
    good_signs: GoodSigns,
    /// Up to where changes are known; `None` when a complete list is due.
    version: Option<String>,
    /// Lists are asked for whole and decoded as they arrive: half the API server's work for a stream of events (WatchList),
    /// none of the waiting between pages, and no more memory here than either.
    whole: bool,
    /// Objects in a page, where lists are not whole.
    page: u32,
    listed: bool,
    /// The contents of lists that are not believed yet.
    doubts: Doubts,
    /// The last watch was interrupted: the server may not be what it was, and its past another one.
    doubt: bool,
    trouble: Troubles,
}

/// The end of one round.
#[derive(Debug)]
struct Ended {
    phase: WatchPhase,
    /// The server had begun to answer.
    opened: bool,
    /// Events that were taken in, bookmarks among them.
    events: u64,
    /// `None` when the stream ended as it should.
    failure: Option<WatchFailure>,
}

/// The time to wait: `most`, or no longer than `least` where there are good signs.
#[derive(Clone, Copy, Debug)]
struct Wait {
    least: Duration,
    most: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WatchPhase {
    /// Listing.
    List,
    /// Watching.
    Watch,
}

impl Supervisor {
    pub(super) fn new(
        kind: Kind,
        request: ApiRequest,
        api: Api,
        shared: Arc<SharedIndex>,
        timing: Timing,
        seed: u64,
    ) -> Self {
        let good_signs = shared.good_signs();
        Self {
            kind,
            request,
            api,
            shared,
            timing,
            pace: Pace::new(&timing, seed),
            good_signs,
            version: None,
            whole: may_be_whole(kind, &timing),
            page: PAGE,
            listed: false,
            doubts: Doubts::default(),
            doubt: false,
            trouble: Troubles::default(),
        }
    }

    /// Never returns. A defect of ours that panics costs a new list, not the loop.
    pub(super) async fn run(mut self) {
        loop {
            if AssertUnwindSafe(self.rounds()).catch_unwind().await.is_err() {
                tracing::error!(kind = plural(self.kind), "the watch panicked and is started again with a new list");
                self.shared.restarted(self.kind, "panic");
                self.version = None;
                let wait = self.pace.after(TroubleSort::Unusable, moment());
                tokio::time::sleep(wait).await;
            }
        }
    }

    async fn rounds(&mut self) {
        loop {
            let started = moment();
            self.good_signs.mark_unchanged();
            let ended = self.round(started).await;
            let wait = self.judge(ended, moment().saturating_duration_since(started));
            self.rest(wait).await;
        }
    }

    /// Waits until another loop is out of trouble: then the next try is due, though not for all at once.
    async fn rest(&mut self, wait: Wait) {
        tokio::time::sleep(wait.least).await;
        let turn = self.pace.jittered(self.timing.backoff_min);
        let woken = async {
            if !self.trouble.is_there() {
                return std::future::pending().await;
            }
            self.good_signs.changed().await;
            tokio::time::sleep(turn).await;
        };
        tokio::select! {
            // In order, not by chance: a run with the same seed is the same run.
            biased;
            () = tokio::time::sleep(wait.most.saturating_sub(wait.least)) => {}
            () = woken => {}
        }
    }

    //------- One round -------------------------------------------------------

    async fn round(&mut self, started: Instant) -> Ended {
        if let Some(version) = self.version.clone() {
            match self.is_in_the_past(&version).await {
                Ok(true) => return self.watch(&version, started).await,
                Ok(false) => self.version = None,
                Err(failure) => return Ended::refused(WatchPhase::Watch, failure),
            }
        }
        match self.list().await {
            // The clock of the watch starts with the watch: a list may take long.
            Ok(version) => self.watch(&version, moment()).await,
            Err(failure) => Ended::refused(WatchPhase::List, failure),
        }
    }

    /// Whether our place in the stream of changes is one that the server has passed. A server whose etcd was restored from
    /// a backup takes a watch from a version that it has not reached, and is silent until it reaches it.
    async fn is_in_the_past(&mut self, version: &str) -> Result<bool, WatchFailure> {
        if !self.doubt {
            return Ok(true);
        }
        let response = match self.api.list(&self.request.probe(), self.timing.list_idle.min(PROBE)).await {
            // It has to ask etcd, which may be away while watches go on: the question is left for the next time.
            Err(WatchFailure::Timeout(_)) => return Ok(true),
            response => response?,
        };
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
    async fn list(&mut self) -> Result<String, WatchFailure> {
        let started = moment();
        let known = self.shared.begin_list(self.kind);
        let (mut pages, mut token, mut objects) = (Pages::default(), None::<String>, 0);
        loop {
            let uri = match &token {
                // The API server asks etcd, and waits, before it says that it is up to date. A list that replaces nothing
                // may be older than that, as the watch from it on brings the rest.
                None if self.whole && known == 0 && !self.listed && !self.doubts.are_there() => self.request.first(),
                None if self.whole => self.request.whole(),
                token => self.request.page(self.page, token.as_deref()),
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
            token = pages.next(last.continue_token.take())?;
            if token.is_none() {
                self.believe(objects, known)?;
                self.complete(&last.resource_version, objects, started);
                return Ok(last.resource_version);
            }
        }
    }

    /// Holds what a list names against what was known: one that takes nearly everything away is asked for again.
    fn believe(&mut self, named: usize, known: usize) -> Result<(), WatchFailure> {
        let said = Said { kind: self.kind, named, known, selected: self.request.is_selected() };
        if self.doubts.about(said, moment(), self.timing.believed) {
            return Err(WatchFailure::Doubtful(format!(
                "a list of {named} objects where {known} are known is not believed before it is confirmed"
            )));
        }
        Ok(())
    }

    /// Applies what a list has brought; gives how many objects that were.
    fn apply(&self, page: &mut Page) -> usize {
        let facts = std::mem::take(&mut page.facts);
        let objects = facts.len();
        page.bad.drain(..).for_each(|bad| self.shared.bad(&bad));
        self.shared.page(self.kind, facts);
        objects
    }

    /// The next list is asked for in the other way, and in smaller pages where it came in pages.
    fn list_otherwise(&mut self) {
        if !self.whole {
            self.page = (self.page / 5).max(SMALL_PAGE);
        }
        self.whole = !self.whole && may_be_whole(self.kind, &self.timing);
    }

    /// Watches from a version on.
    async fn watch(&mut self, version: &str, started: Instant) -> Ended {
        let lasts = self.pace.between(self.timing.watch_min, self.timing.watch_max);
        // Whole seconds are all that the API takes.
        let deadline = started + lasts + self.timing.watch_grace;
        let seconds = lasts.as_secs().max(1);
        let limit = self.timing.list_idle.min(deadline.saturating_duration_since(moment()));
        match self.api.watch(&self.request.watch(version, seconds), limit).await {
            Ok(response) => {
                self.shared.confirmed(self.kind);
                if self.trouble.ends_with_a_response() {
                    self.recovered();
                }
                self.follow(response, version.parse().unwrap_or_default(), deadline).await
            }
            Err(failure) => Ended::refused(WatchPhase::Watch, failure),
        }
    }

    /// Takes events in until the watch ends. It was asked for what came after `from` (0 where that is no number).
    async fn follow(&mut self, mut response: Response, from: u64, deadline: Instant) -> Ended {
        let mut frames = Frames::new(response.encoding());
        let mut events = 0;
        // A watch that lasts has proved itself, though it has nothing to say.
        let proved = moment() + self.timing.watch_interval;
        let failure = loop {
            let mut read = self.read(&mut response, proved, deadline).await;
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
            let (taken, failure) = self.take(&mut frames, response.encoding(), from);
            events += taken;
            if failure.is_some() {
                break failure;
            }
            if taken > 0 && self.trouble.is_there() {
                self.recovered();
            }
            match read {
                Ok(Some(_)) => {}
                Ok(None) if frames.is_cut() => {
                    break Some(WatchFailure::Transport("the watch ended in the middle of an event".to_owned()));
                }
                Ok(None) => break None,
                Err(failure) => break Some(failure),
            }
        };
        Ended { phase: WatchPhase::Watch, opened: true, events, failure }
    }

    /// The next octets of the transport. A watch that lasts until it has `proved` itself ends what trouble there was.
    async fn read(
        &mut self,
        response: &mut Response,
        proved: Instant,
        deadline: Instant,
    ) -> Result<Option<bytes::Bytes>, WatchFailure> {
        let mut chunk = pin!(response.chunk());
        if let Some(chunk) = chunk.as_mut().now_or_never() {
            return chunk;
        }
        self.shared.caught_up(self.kind);
        if self.trouble.is_there() && proved < deadline {
            match tokio::time::timeout_at(proved.into(), chunk.as_mut()).await {
                Ok(chunk) => return chunk,
                Err(_) => self.recovered(),
            }
        }
        let timeout = WatchFailure::Timeout(self.timing.watch_min + self.timing.watch_grace);
        tokio::time::timeout_at(deadline.into(), chunk).await.unwrap_or(Err(timeout))
    }

    /// Reads what came together, and applies it as one batch; gives how many events there were. What is not newer than
    /// the version that the watch began `from` is known, or undone since: the list that was complete there has the last word.
    fn take(&mut self, frames: &mut Frames, encoding: Encoding, from: u64) -> (u64, Option<WatchFailure>) {
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
                Event::Error(status) => break Some(WatchFailure::Status(status.into())),
                Event::Bad(bad) => self.shared.bad(&bad),
                Event::Bookmark => {}
                event => {
                    let version = resource_version.parse().unwrap_or_default();
                    if version == 0 || version > from {
                        batch.push((event, version));
                    }
                }
            }
            taken += 1;
            self.come_to(resource_version);
        };
        if taken > 0 {
            self.shared.events(self.kind, batch, self.version.as_deref());
        }
        (taken, failure)
    }

    /// The watch has come as far as this version; what comes late does not set it back.
    fn come_to(&mut self, version: String) {
        let number = |text: &str| text.parse::<u64>().ok();
        let is_older = match (number(&version), self.version.as_deref().and_then(number)) {
            (Some(new), Some(known)) => new < known,
            _ => version.is_empty(),
        };
        if !is_older {
            self.version = Some(version);
        }
    }

    /// A complete list is in.
    fn complete(&mut self, version: &str, objects: usize, started: Instant) {
        self.shared.end_list(self.kind, version);
        self.version = Some(version.to_owned());
        self.doubt = false;
        let (kind, took) = (plural(self.kind), moment().saturating_duration_since(started));
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
        if self.trouble.ends_with_a_response() || self.trouble.is_of_a_list() {
            self.recovered();
        }
    }

    //------- Between two rounds ----------------------------------------------

    /// Decides what the next round does, and how long it waits.
    fn judge(&mut self, ended: Ended, lived: Duration) -> Wait {
        let interval = self.timing.watch_interval.saturating_sub(lived);
        let useful = ended.phase == WatchPhase::Watch
            && ended.opened
            && (ended.events > 0 || lived >= self.timing.watch_interval);
        // A watch that lasts as long as it was asked to ends in whole seconds, or a little later.
        self.doubt |= ended.failure.is_some() || lived + Duration::from_secs(1) < self.timing.watch_min;
        let Some(failure) = ended.failure else {
            self.shared.restarted(self.kind, "closed");
            if useful {
                self.pace.worked();
                self.recovered();
                return interval.into();
            }
            let wait = self.pace.after(TroubleSort::Unusable, moment()).max(interval);
            self.say("closed_early", &"the watch is closed as soon as it is opened", ended.phase, wait);
            return wait.into();
        };
        self.shared.restarted(self.kind, failure.word());
        match failure.remedy() {
            Remedy::Retry => {}
            Remedy::Reconnect => self.api.wear_out(),
            Remedy::Relist => self.version = None,
        }
        if useful {
            self.pace.worked();
            if failure.remedy() == Remedy::Reconnect {
                // A connection that broke after it had worked is replaced at once, though not by all servers together.
                tracing::debug!(kind = plural(self.kind), reason = %failure, "watch interrupted");
                return interval.max(self.pace.jittered(self.timing.backoff_min)).into();
            }
        }
        let (sort, now) = (failure.sort(), moment());
        let mut most = self.pace.after(sort, now);
        let mut least = Duration::ZERO;
        if let Some(asked) = failure.retry_after() {
            least = self.pace.granted(asked, sort, now) + self.pace.jittered(self.timing.backoff_min);
        }
        if ended.phase == WatchPhase::List && matches!(failure, WatchFailure::Malformed(_) | WatchFailure::Doubtful(_))
        {
            DOUBTFUL.with_label_values(&[plural(self.kind)]).inc();
            // All of it was sent and read for nothing: no more than half of the time goes into that.
            least = lived.min(self.timing.backoff_longest);
        }
        most = most.max(least);
        self.say(failure.word(), &failure, ended.phase, most);
        Wait { least, most }
    }

    /// Says what keeps the loop from going on.
    fn say(&mut self, word: &'static str, reason: &dyn std::fmt::Display, phase: WatchPhase, wait: Duration) {
        let verb = if phase == WatchPhase::List { "list" } else { "watch" };
        self.trouble.say(Met { kind: self.kind, verb, word, reason, retry_in: wait, serves: self.listed });
        self.shared.trouble(self.kind, Some(format!("{verb}: {reason}")));
    }

    fn recovered(&mut self) {
        if !self.trouble.end(self.kind) {
            return;
        }
        self.shared.trouble(self.kind, None);
        self.shared.good_sign();
        // The sign is for the others.
        self.good_signs.mark_unchanged();
    }
}

/// Custom resources come in JSON only, and that is listed in pages.
fn may_be_whole(kind: Kind, timing: &Timing) -> bool {
    timing.whole_lists && kind != Kind::ServiceImport
}

impl From<Duration> for Wait {
    fn from(most: Duration) -> Self {
        Self { least: Duration::ZERO, most }
    }
}

impl Ended {
    /// A round that did not even begin.
    fn refused(phase: WatchPhase, failure: WatchFailure) -> Self {
        Self { phase, opened: false, events: 0, failure: Some(failure) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::WallClock;
    use crate::cluster::index::{Index, IndexSettings};
    use crate::cluster::watch::connection::Connection;
    use crate::zone;

    fn supervisor(shared: &Arc<SharedIndex>, kind: Kind) -> Supervisor {
        let timing = Timing::default();
        let connection = Connection::Endpoint { url: "http://127.0.0.1:1".to_owned(), tls: None };
        let api = Api::new(connection, timing, None, WallClock::default()).unwrap();
        Supervisor::new(kind, ApiRequest::new(kind, None), api, shared.clone(), timing, rand::random())
    }

    fn shared() -> Arc<SharedIndex> {
        let index = Index::new(zone::pair().0, IndexSettings::default());
        Arc::new(SharedIndex::new(index, &[Kind::Service, Kind::EndpointSlice], WallClock::default()))
    }

    const LONG: Duration = Duration::from_secs(3600);

    /// Fails when it lasts until the end of a long wait, however busy the machine is.
    async fn soon(rest: impl Future<Output = ()>) {
        tokio::time::timeout(Duration::from_secs(60), rest).await.expect("a good sign ends the wait");
    }

    #[tokio::test]
    async fn the_first_good_sign_of_one_loop_wakes_the_others() {
        let shared = shared();
        let (mut one, mut other) = (supervisor(&shared, Kind::Service), supervisor(&shared, Kind::EndpointSlice));
        for waiting in [&mut one, &mut other] {
            waiting.say("transport", &"away", WatchPhase::Watch, Duration::ZERO);
        }
        let sign = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            one.recovered();
        };
        tokio::join!(soon(other.rest(LONG.into())), sign);
        // It is for others than the one who gave it.
        one.say("transport", &"away again", WatchPhase::Watch, Duration::ZERO);
        let begun = Instant::now();
        one.rest(Duration::from_millis(200).into()).await;
        assert!(begun.elapsed() >= Duration::from_millis(200));
    }

    #[tokio::test]
    async fn good_signs_do_not_cut_short_what_a_server_asked_for() {
        let shared = shared();
        let (mut one, mut other) = (supervisor(&shared, Kind::Service), supervisor(&shared, Kind::EndpointSlice));
        one.say("transport", &"away", WatchPhase::Watch, Duration::ZERO);
        other.say("throttled", &"busy", WatchPhase::List, Duration::ZERO);
        one.recovered();
        let begun = Instant::now();
        soon(other.rest(Wait { least: Duration::from_millis(300), most: LONG })).await;
        assert!(begun.elapsed() >= Duration::from_millis(300));
    }

    #[tokio::test]
    async fn the_place_of_a_watch_never_goes_back() {
        let mut supervisor = supervisor(&shared(), Kind::Service);
        for (version, place) in [("7", "7"), ("12", "12"), ("11", "12"), ("", "12"), ("abc", "abc"), ("3", "3")] {
            supervisor.come_to(version.to_owned());
            assert_eq!(supervisor.version.as_deref(), Some(place));
        }
    }

    #[tokio::test]
    async fn each_sort_of_trouble_waits_for_itself() {
        let mut supervisor = supervisor(&shared(), Kind::Service);
        let mut judge = |failure: WatchFailure| {
            let ended = Ended::refused(WatchPhase::Watch, failure);
            supervisor.judge(ended, Duration::from_secs(9)).most
        };
        for _ in 0..20 {
            judge(WatchFailure::Transport("refused".to_owned()));
        }
        let status = |code| super::super::failure::ApiStatus { code, ..Default::default() };
        assert_eq!(judge(WatchFailure::Status(status(410))), Duration::ZERO, "a first 410 is listed at once");
        assert_eq!(judge(WatchFailure::Status(status(401))), Duration::ZERO, "the credentials may be others by now");
        assert!(judge(WatchFailure::Status(status(500))) <= Timing::default().backoff_min);
    }
}

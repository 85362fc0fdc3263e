//! Requests, and what becomes of them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use rollcall::cluster::Direct;

use super::{Action, Model, PINGS, Sending, Shared, lock};
use crate::etcd::Commit;
use crate::faults::Trouble;
use crate::objects::{Encoding, Kind};

/// The API servers as a mirror reaches them.
pub(crate) fn direct(shared: &Shared) -> Direct {
    let shared = Arc::clone(shared);
    Direct::new("simulation", move || {
        let (shared, home) = (Arc::clone(&shared), {
            let mut model = lock(&shared);
            let servers = model.servers.len();
            model.lags.index(servers)
        });
        move |request| ask(Arc::clone(&shared), home, request)
    })
}

async fn ask(shared: Shared, home: usize, request: http::Request<()>) -> io::Result<http::Response<Octets>> {
    let query = Query::of(&request);
    let (wait, restores) = {
        let mut model = lock(&shared);
        model.look(false);
        model.trace.note(|| format!("asks {query}"));
        let chance = &mut model.chances[query.kind as usize];
        (chance.length(1, 16), model.restores)
    };
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let verdict = {
        let mut model = lock(&shared);
        // A restore restarts all servers, and what was asked of them is lost.
        let is_lost = model.restores != restores;
        let verdict = if is_lost { Verdict::Refused } else { model.verdict(&shared, home, &query) };
        model.trace.note(|| match &verdict {
            Verdict::Answer(response) => format!("{} for {query}", response.status()),
            Verdict::Refused => format!("no connection for {query}"),
            Verdict::Nothing(until) => format!("silence until {until} for {query}"),
        });
        verdict
    };
    match verdict {
        Verdict::Answer(response) => Ok(response),
        Verdict::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
        Verdict::Nothing(until) => {
            let until = lock(&shared).start + Duration::from_millis(until);
            tokio::time::sleep_until(until).await;
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}

/// What becomes of a request.
enum Verdict {
    Answer(http::Response<Octets>),
    Refused,
    /// Nothing until then, and a broken connection after it.
    Nothing(u64),
}

impl Model {
    fn verdict(&mut self, shared: &Shared, home: usize, query: &Query) -> Verdict {
        let (now, kind) = (self.now(), query.kind);
        let servers = self.servers.len();
        let chance = &mut self.chances[kind as usize];
        let server = if chance.percent(80) { home } else { chance.index(servers) };
        let encoding = if chance.percent(self.json) { Encoding::Json } else { Encoding::Protobuf };
        match self.trouble(server, kind, |trouble| matches!(trouble, Trouble::Down | Trouble::Silent)) {
            Some(Trouble::Down) => return Verdict::Refused,
            Some(_) => {
                let ends = self.faults.iter().filter(|fault| fault.trouble == Trouble::Silent).map(|fault| fault.end);
                return Verdict::Nothing(ends.max().unwrap_or_default().min(now + PINGS));
            }
            None => {}
        }
        let met = self.trouble(server, kind, |trouble| match trouble {
            Trouble::Status(410 | 504, ..) => query.watch || query.token.is_some(),
            Trouble::Status(..) | Trouble::Html => true,
            Trouble::StatusBody => !query.watch,
            // The end of a list, come too early, is not to be told from the end of it.
            Trouble::Emptied => !query.watch && query.token.is_none(),
            _ => false,
        });
        match met {
            Some(Trouble::Status(code, reason, after)) => {
                return self.refuse(shared, query, encoding, (code, reason, after));
            }
            Some(Trouble::Html) => {
                let body = Bytes::from_static(b"<html>try again</html>");
                return self.whole(shared, server, query, encoding, ("text/html", body));
            }
            Some(Trouble::StatusBody) => {
                let body = encoding.status(500, "InternalError");
                return self.whole(shared, server, query, encoding, (encoding.content_type(false), body));
            }
            _ => {}
        }
        if query.watch {
            return self.watch(shared, server, query, encoding);
        }
        self.list(shared, server, query, encoding, met == Some(Trouble::Emptied))
    }

    fn list(&mut self, shared: &Shared, server: usize, query: &Query, encoding: Encoding, emptied: bool) -> Verdict {
        let kind = query.kind;
        let (mut revision, mut after) = (self.etcd.revision, 0);
        if query.version == Some(0) {
            revision = self.visible(server, kind);
        }
        if let Some((token, place)) = query.token {
            (revision, after) = (token, place);
            if revision < self.etcd.compacted || revision > self.etcd.revision {
                return self.refuse(shared, query, encoding, (410, "Expired", None));
            }
        }
        let mut objects = self.etcd.at(kind, revision);
        objects.sort_by_cached_key(|object| object.to_string().split(' ').next().unwrap_or_default().to_owned());
        let lies = &mut self.lies[kind as usize];
        let is_first = lies.is_some();
        // Three first lists that agree are believed.
        if emptied && lies.as_mut().is_none_or(|told| std::mem::replace(told, *told + 1) < 2) {
            // What is left of many is next to nothing.
            let left = if objects.len() > 30 && !is_first { self.chances[kind as usize].index(2) } else { 0 };
            objects.truncate(left);
        }
        let mut most = query.limit.unwrap_or(usize::MAX);
        if query.limit.is_some_and(|limit| limit > 1)
            && self.trouble(server, kind, |trouble| trouble == Trouble::SmallPages).is_some()
        {
            most = self.chances[kind as usize].index(6) + 1;
        }
        let rest = objects.split_off(after.min(objects.len()));
        let more = rest.len() > most;
        let next = if more { format!("{revision}-{}", after + most) } else { String::new() };
        let body = encoding.list(kind, revision, &next, &rest[..most.min(rest.len())]);
        if query.limit != Some(1) {
            let claim = &mut self.claims[kind as usize];
            *claim = revision.max(*claim);
            self.lost[kind as usize] = revision > self.etcd.revision;
        }
        self.whole(shared, server, query, encoding, (encoding.content_type(false), body))
    }

    fn watch(&mut self, shared: &Shared, server: usize, query: &Query, encoding: Encoding) -> Verdict {
        let (kind, from) = (query.kind, query.version.unwrap_or_default());
        self.claims[kind as usize] = from;
        self.lies[kind as usize] = None;
        self.lost[kind as usize] |= from > self.etcd.revision;
        let is_known = from <= self.etcd.revision && !self.lost[kind as usize];
        if from < self.etcd.compacted {
            let chance = &mut self.chances[kind as usize];
            if chance.percent(50) {
                return self.refuse(shared, query, encoding, (410, "Expired", None));
            }
            let body = encoding.error(410, "Expired");
            return self.whole(shared, server, query, encoding, (encoding.content_type(true), body));
        }
        if is_known {
            // It says itself that it knows the truth up to there.
            let truth = self.etcd.truth_of(from);
            let floor = &mut self.oracle.floors[kind as usize];
            *floor = truth.max(*floor);
        }
        if kind == Kind::Slice {
            self.oracle.disturbed = self.now();
        }
        let (id, response) = self.open(shared, server, query, encoding, (200, encoding.content_type(true)));
        if self.trouble(server, kind, |trouble| trouble == Trouble::Closes).is_some() {
            self.end(id);
            return Verdict::Answer(response);
        }
        let (visible, now) = (self.visible(server, kind), self.now());
        if let Some(stream) = self.streams.get_mut(&id) {
            (stream.watch, stream.sent) = (true, from);
        }
        let missed: Vec<Commit> = self
            .etcd
            .log
            .iter()
            .filter(|commit| commit.key.kind == kind && commit.revision > from && commit.revision <= visible)
            .cloned()
            .collect();
        missed.iter().for_each(|commit| self.tell(id, commit));
        self.plan(now + query.seconds.unwrap_or(3_600) * 1_000, Action::End(id));
        let first = now + self.chances[kind as usize].length(500, 16_000);
        self.plan(first, Action::Bookmark(id));
        Verdict::Answer(response)
    }

    fn refuse(
        &mut self,
        shared: &Shared,
        query: &Query,
        encoding: Encoding,
        (code, reason, after): (u16, &'static str, Option<u64>),
    ) -> Verdict {
        let (id, mut response) = self.open(shared, 0, query, encoding, (code, encoding.content_type(false)));
        self.come(id, Ok(encoding.status(code, reason)));
        self.ended(id);
        if let Some(seconds) = after {
            response.headers_mut().insert("retry-after", seconds.into());
        }
        Verdict::Answer(response)
    }

    /// A response whose body is whole.
    fn whole(
        &mut self,
        shared: &Shared,
        server: usize,
        query: &Query,
        encoding: Encoding,
        (content_type, body): (&str, Bytes),
    ) -> Verdict {
        let (id, response) = self.open(shared, server, query, encoding, (200, content_type));
        self.push(id, body);
        self.end(id);
        Verdict::Answer(response)
    }

    /// A response whose body is still to come, and the number of that.
    fn open(
        &mut self,
        shared: &Shared,
        server: usize,
        query: &Query,
        encoding: Encoding,
        (code, content_type): (u16, &str),
    ) -> (u64, http::Response<Octets>) {
        self.next += 1;
        let id = self.next;
        let sending = Sending {
            server,
            kind: query.kind,
            encoding,
            watch: false,
            sent: 0,
            queue: VecDeque::new(),
            ended: false,
            dead: false,
            waiting: 0,
            due: 0,
            waker: None,
        };
        self.streams.insert(id, sending);
        let octets = Octets { id, shared: Arc::clone(shared) };
        let response = http::Response::builder().status(code).header("content-type", content_type).body(octets);
        (id, response.unwrap())
    }
}

//----------- Octets ----------------------------------------------------------

/// The body of a response, as the mirror reads it. Each time that it does, a client looks: what was read is applied.
pub(crate) struct Octets {
    id: u64,
    shared: Shared,
}

impl Stream for Octets {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut model = lock(&self.shared);
        model.look(false);
        let Some(stream) = model.streams.get_mut(&self.id) else { return Poll::Ready(None) };
        if let Some(octets) = stream.queue.pop_front() {
            return Poll::Ready(Some(octets));
        }
        if stream.ended {
            return Poll::Ready(None);
        }
        stream.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Octets {
    fn drop(&mut self) {
        if let Ok(mut model) = self.shared.lock() {
            model.streams.remove(&self.id);
        }
    }
}

//----------- Query -----------------------------------------------------------

/// What a request asks for.
struct Query {
    kind: Kind,
    watch: bool,
    version: Option<u64>,
    limit: Option<usize>,
    /// The revision of a list, and how many of its objects were there.
    token: Option<(u64, usize)>,
    seconds: Option<u64>,
}

impl Query {
    fn of(request: &http::Request<()>) -> Self {
        let uri = request.uri();
        let values: BTreeMap<&str, &str> =
            uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
        let number = |name: &str| values.get(name).and_then(|value| value.parse().ok());
        let token = values.get("continue").and_then(|token| token.split_once('-'));
        Self {
            kind: Kind::of(uri.path()),
            watch: values.contains_key("watch"),
            version: number("resourceVersion"),
            limit: values.get("limit").and_then(|limit| limit.parse().ok()),
            token: token.map(|(revision, place)| (revision.parse().unwrap(), place.parse().unwrap())),
            seconds: number("timeoutSeconds"),
        }
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = if self.watch { "watch" } else { "list" };
        write!(f, "{verb} {} {:?} {:?} {:?}", self.kind.plural(), self.version, self.limit, self.token)
    }
}

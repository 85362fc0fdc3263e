//! The API servers: what they answer, what they send, and when.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::etcd::{Commit, Etcd};
use crate::faults::{Fault, Trouble};
use crate::objects::{Encoding, KINDS, Kind, Object};
use crate::oracle::Oracle;
use crate::trace::Trace;

mod requests;

pub(crate) use requests::direct;

/// A connection that is silent is given up by the pings of HTTP/2 after so many milliseconds.
const PINGS: u64 = 3_000;

/// The whole world around the server of ours.
#[derive(Debug)]
pub(crate) struct Model {
    /// The store.
    pub(crate) etcd: Etcd,
    /// The promises.
    pub(crate) oracle: Oracle,
    /// What happened.
    pub(crate) trace: Trace,
    /// What is wrong just now.
    pub(crate) faults: Vec<Fault>,
    /// What is to be done when, in milliseconds.
    pub(crate) agenda: BTreeMap<(u64, u64), Action>,
    /// The versions from which watches of each kind were last asked for.
    pub(crate) claims: [u64; KINDS],
    /// Kinds whose place is in a past that a restore has undone.
    pub(crate) lost: [bool; KINDS],
    /// The usual delay of a cache behind the store, at most, in milliseconds.
    pub(crate) lag: u64,
    /// How often the server of ours was told that there is nothing, before it heard anything else.
    pub(crate) lies: [Option<u32>; KINDS],
    /// Something is on the agenda that was not there before.
    pub(crate) sooner: Arc<Notify>,
    /// How often the store was set back.
    restores: u32,
    start: Instant,
    servers: Vec<Server>,
    streams: BTreeMap<u64, Sending>,
    next: u64,
    chances: [Chance; KINDS],
    lags: Chance,
    json: u64,
}

/// One API server's cache: the revisions of each kind that it has not seen yet.
#[derive(Debug, Default)]
struct Server {
    pending: [VecDeque<(u64, u64)>; KINDS],
}

/// The body of a response on its way.
#[derive(Debug)]
struct Sending {
    server: usize,
    kind: Kind,
    encoding: Encoding,
    watch: bool,
    /// A watch has come so far.
    sent: u64,
    queue: VecDeque<io::Result<Bytes>>,
    ended: bool,
    /// Nothing comes through any more.
    dead: bool,
    /// How much of what was sent is on its way, and when the last of it comes.
    waiting: u32,
    due: u64,
    waker: Option<Waker>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// The workload writes.
    Write,
    /// A part of a change that takes several.
    Commit(crate::objects::Key, Option<crate::objects::Content>),
    /// A change that took several is done.
    Settle(crate::objects::ServiceId),
    /// A server sees the next change of a kind.
    Visible(usize, Kind),
    /// Octets arrive.
    Push(u64, Bytes),
    /// A body breaks.
    Break(u64),
    /// A body ends.
    End(u64),
    /// A server says how far it has come.
    Bookmark(u64),
    /// A fault begins.
    Begin(Fault),
    /// A fault ends.
    Over(u64),
    /// The store forgets.
    Compact,
    /// The store is set back by so many in a hundred of its changes, and counts on far ahead or not.
    Restore(u64, bool),
    /// The server of ours starts anew.
    Restart,
    /// The wall clock is set, by so many seconds.
    Jump(i64),
    /// The last fault is over.
    Quiet,
    /// From now on, what was true so many milliseconds ago has to be there.
    Tick,
    /// The end.
    Finish,
}

/// The model, for all who have to do with it.
pub(crate) type Shared = Arc<Mutex<Model>>;

/// The model, alone.
pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Model> {
    shared.lock().unwrap()
}

impl Model {
    /// A world with so many API servers.
    pub(crate) fn new(seed: u64, servers: usize, oracle: Oracle, trace: Trace) -> Self {
        let mut chance = Chance::of(seed, 1);
        let json = chance.pick(&[0, 0, 50, 100]);
        Self {
            etcd: Etcd::new(),
            oracle,
            trace,
            faults: Vec::new(),
            agenda: BTreeMap::new(),
            claims: [0; KINDS],
            lost: [false; KINDS],
            lies: [Some(0); KINDS],
            lag: chance.length(4, 128),
            sooner: Arc::default(),
            restores: 0,
            start: Instant::now(),
            servers: (0..servers).map(|_| Server::default()).collect(),
            streams: BTreeMap::new(),
            next: 0,
            chances: [10, 11, 12, 13].map(|purpose| Chance::of(seed, purpose)),
            lags: Chance::of(seed, 2),
            json,
        }
    }

    /// Milliseconds since the begin.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    /// The moment of a time.
    pub(crate) fn moment(&self, at: u64) -> Instant {
        self.start + Duration::from_millis(at)
    }

    /// Puts something on the agenda.
    pub(crate) fn plan(&mut self, at: u64, action: Action) {
        self.next += 1;
        self.agenda.insert((at, self.next), action);
        self.sooner.notify_one();
    }

    /// Lets a client look.
    pub(crate) fn look(&mut self, all: bool) {
        let now = self.now();
        if !self.faults.is_empty() {
            self.oracle.disturbed = now;
        }
        let Self { oracle, etcd, trace, .. } = self;
        for (service, seen) in oracle.look(now, etcd, all) {
            trace.note(|| format!("s{}.n{} is {seen:?}", service.number, service.namespace));
        }
    }

    /// A number from a mirror's start: what its first lists are at least of.
    pub(crate) fn least(&self) -> [usize; KINDS] {
        let kinds = [Kind::Service, Kind::Slice, Kind::Namespace, Kind::Pod];
        kinds.map(|kind| {
            let revisions = (0..self.servers.len()).map(|server| self.visible(server, kind));
            self.etcd.truth_of(revisions.min().unwrap_or_default())
        })
    }

    //------- Writes ----------------------------------------------------------

    /// Writes, or deletes, and lets the servers hear of it.
    pub(crate) fn commit(&mut self, key: crate::objects::Key, content: Option<crate::objects::Content>) {
        let (now, before) = (self.now(), self.etcd.revision);
        self.etcd.commit(now, key, content);
        if self.etcd.revision == before {
            return;
        }
        let (revision, kind) = (self.etcd.revision, key.kind);
        self.trace.note(|| {
            let object = self.etcd.get(key).map_or_else(|| format!("{key:?} is gone"), ToString::to_string);
            format!("writes {revision}: {object}")
        });
        for server in 0..self.servers.len() {
            let mut due = now + self.lags.range(0, self.lag);
            for fault in self.faults.iter().filter(|fault| fault.meets(server, kind)) {
                if let Trouble::Lags(lag) = fault.trouble {
                    due = due.max((now + lag).min(fault.end));
                }
            }
            let pending = &mut self.servers[server].pending[kind as usize];
            let due = pending.back().map_or(due, |(_, last)| due.max(*last));
            pending.push_back((revision, due));
            self.plan(due, Action::Visible(server, kind));
        }
    }

    /// Up to which revision a server knows a kind.
    fn visible(&self, server: usize, kind: Kind) -> u64 {
        self.servers[server].pending[kind as usize].front().map_or(self.etcd.revision, |(first, _)| first - 1)
    }

    /// A server sees the next change of a kind.
    pub(crate) fn see(&mut self, server: usize, kind: Kind) {
        let Some((revision, _)) = self.servers[server].pending[kind as usize].pop_front() else { return };
        let Ok(at) = self.etcd.log.binary_search_by_key(&revision, |commit| commit.revision) else { return };
        let commit = self.etcd.log[at].clone();
        for id in self.numbers(|stream| stream.watch && stream.server == server && stream.kind == kind) {
            self.tell(id, &commit);
        }
    }

    /// All servers see all that there is.
    pub(crate) fn see_all(&mut self) {
        self.servers.iter_mut().for_each(|server| *server = Server::default());
    }

    /// The store goes back.
    pub(crate) fn restore(&mut self, part: u64, bump: bool) {
        let now = self.now();
        let revision = self.etcd.revision * (100 - part) / 100;
        let revision = revision.max(self.etcd.compacted);
        self.etcd.restore(now, revision, bump);
        for kind in 0..KINDS {
            self.lost[kind] = !bump && self.claims[kind] > self.etcd.revision;
        }
        self.restores += 1;
        self.see_all();
        self.break_all(None);
        self.oracle.disturbed = now;
        self.oracle.moving.clear();
    }

    //------- Streams ---------------------------------------------------------

    fn tell(&mut self, id: u64, commit: &Commit) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if commit.revision <= stream.sent {
            return;
        }
        stream.sent = commit.revision;
        let claim = &mut self.claims[stream.kind as usize];
        *claim = commit.revision.max(*claim);
        let (kind, server, encoding) = (stream.kind, stream.server, stream.encoding);
        let octets = event(encoding, commit);
        let trouble = self.trouble(server, kind, |trouble| {
            matches!(trouble, Trouble::Repeats | Trouble::Garbage | Trouble::ErrorEvent(..))
        });
        match trouble {
            Some(Trouble::Repeats) => {
                let chance = &mut self.chances[kind as usize];
                let past = self.etcd.log.iter().take_while(|past| past.revision <= commit.revision);
                let of_kind: Vec<&Commit> = past.filter(|past| past.key.kind == kind).collect();
                let late = chance.percent(60).then(|| event(encoding, of_kind[chance.index(of_kind.len())]));
                let first = chance.percent(50);
                let mut all: Vec<Bytes> = late.clone().filter(|_| first).into_iter().collect();
                all.extend([octets.clone()]);
                all.extend(chance.percent(50).then_some(octets));
                all.extend(late.filter(|_| !first));
                all.into_iter().for_each(|octets| self.push(id, octets));
            }
            Some(Trouble::Garbage) => self.push(id, Bytes::from_static(b"\x00\x00\x00\x04\x0a\xff\xff\xff\n")),
            Some(Trouble::ErrorEvent(code, reason)) => {
                self.push(id, encoding.error(code, reason));
                self.end(id);
            }
            _ => self.push(id, octets),
        }
    }

    /// Octets leave the server.
    fn push(&mut self, id: u64, octets: Bytes) {
        let now = self.now();
        let Some(stream) = self.streams.get(&id) else { return };
        if stream.dead || stream.ended {
            return;
        }
        let (server, kind) = (stream.server, stream.kind);
        let trouble = self.trouble(server, kind, |trouble| matches!(trouble, Trouble::Cut | Trouble::Ends));
        let chance = &mut self.chances[kind as usize];
        let at = chance.index(octets.len() + 1);
        if let Some(trouble) = trouble {
            self.arrive(id, now, octets.slice(..at));
            if trouble == Trouble::Cut { self.break_off(id) } else { self.end(id) }
        } else if chance.percent(10) {
            let wait = chance.length(1, 64);
            self.arrive(id, now, octets.slice(..at));
            self.arrive(id, now + wait, octets.slice(at..));
        } else {
            self.arrive(id, now, octets);
        }
    }

    fn arrive(&mut self, id: u64, at: u64, octets: Bytes) {
        let now = self.now();
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.waiting == 0 && at <= now {
            return self.come(id, Ok(octets));
        }
        // Nothing overtakes what is on its way.
        stream.waiting += 1;
        stream.due = stream.due.max(at);
        let due = stream.due;
        self.plan(due, Action::Push(id, octets));
    }

    /// Octets that were on their way come to the mirror.
    pub(crate) fn arrived(&mut self, id: u64, octets: Bytes) {
        self.streams.get_mut(&id).into_iter().for_each(|stream| stream.waiting -= 1);
        self.come(id, Ok(octets));
    }

    fn end(&mut self, id: u64) {
        let Some(stream) = self.streams.get(&id) else { return };
        if stream.waiting == 0 { self.ended(id) } else { self.plan(stream.due, Action::End(id)) }
    }

    fn break_off(&mut self, id: u64) {
        let Some(stream) = self.streams.get(&id) else { return };
        if stream.waiting == 0 { self.broken(id) } else { self.plan(stream.due, Action::Break(id)) }
    }

    /// Octets, or a failure, come to the mirror.
    pub(crate) fn come(&mut self, id: u64, octets: io::Result<Bytes>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !stream.ended && (!stream.dead || octets.is_err()) {
            stream.queue.push_back(octets);
            stream.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// The body is at its end.
    pub(crate) fn ended(&mut self, id: u64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !stream.dead {
            stream.ended = true;
            stream.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// The connection of a body is broken.
    pub(crate) fn broken(&mut self, id: u64) {
        self.come(id, Err(io::ErrorKind::ConnectionReset.into()));
        if let Some(stream) = self.streams.get_mut(&id) {
            (stream.ended, stream.dead) = (true, true);
        }
    }

    /// A server says how far it has come.
    pub(crate) fn bookmark(&mut self, id: u64) {
        let Some(stream) = self.streams.get(&id) else { return };
        let (kind, server, encoding, sent) = (stream.kind, stream.server, stream.encoding, stream.sent);
        let visible = self.visible(server, kind);
        if visible >= sent {
            let claim = &mut self.claims[kind as usize];
            *claim = visible.max(*claim);
            self.push(id, encoding.bookmark(kind, visible));
        }
        let at = self.now() + 7_000;
        self.plan(at, Action::Bookmark(id));
    }

    fn numbers(&self, is: impl Fn(&Sending) -> bool) -> Vec<u64> {
        self.streams.iter().filter(|(_, stream)| is(stream)).map(|(id, _)| *id).collect()
    }

    fn break_all(&mut self, server: Option<usize>) {
        for id in self.numbers(|stream| server.is_none_or(|server| stream.server == server)) {
            self.broken(id);
        }
    }

    //------- Faults ----------------------------------------------------------

    /// A fault begins.
    pub(crate) fn begin(&mut self, fault: Fault) {
        self.trace.note(|| format!("{fault:?}"));
        match fault.trouble {
            Trouble::Down => self.break_all(fault.server),
            Trouble::Silent => {
                let until = fault.end.min(fault.begin + PINGS);
                for id in self.numbers(|stream| fault.server.is_none_or(|server| server == stream.server)) {
                    self.streams.get_mut(&id).into_iter().for_each(|stream| stream.dead = true);
                    self.plan(until, Action::Break(id));
                }
            }
            _ => {}
        }
        self.plan(fault.end, Action::Over(fault.id));
        self.faults.push(fault);
    }

    /// The trouble of a sort that meets something of a kind on a server, if one does.
    fn trouble(&mut self, server: usize, kind: Kind, is: impl Fn(Trouble) -> bool) -> Option<Trouble> {
        let chance = &mut self.chances[kind as usize];
        let mut met = None;
        for fault in self.faults.iter().filter(|fault| is(fault.trouble)) {
            if (fault.meets(server, kind) || fault.is_of_network() && fault.server.is_none_or(|own| own == server))
                && chance.percent(fault.part)
            {
                met = met.or(Some(fault.trouble));
            }
        }
        met
    }
}

fn event(encoding: Encoding, commit: &Commit) -> Bytes {
    match (&commit.object, &commit.old) {
        (Some(object), None) => encoding.event("ADDED", object),
        (Some(object), Some(_)) => encoding.event("MODIFIED", object),
        (None, Some(old)) => encoding.event("DELETED", &Object::new(old.key, commit.revision, old.content.clone())),
        (None, None) => Bytes::new(),
    }
}

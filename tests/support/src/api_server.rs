//! An API server in the test's own process: real HTTP/1.1 and, over TLS, HTTP/2; lists in pages, watches, bookmarks,
//! WatchList, JSON and protobuf, tokens, and faults by script.

mod query;
mod respond;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::protobuf;
use respond::{acceptor, connection};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A list, or a page of one.
    List,
    /// A watch from a version on.
    Watch,
    /// A list as a stream (WatchList), as client-go asks for it.
    Stream,
}

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A refusal.
    Status {
        /// The status code, in the head and in the body.
        code: u16,
        /// The word for machines.
        reason: &'static str,
        /// The words for people.
        message: &'static str,
        /// Seconds in the head field `Retry-After`.
        retry_after: Option<u64>,
    },
    /// The head never comes.
    Stall,
    /// So many octets of the body come, then nothing, and the connection stays open.
    StallBody(usize),
    /// So many octets of the body come, then the connection breaks.
    CutBody(usize),
    /// The watch ends as soon as it begins.
    Close,
    /// The watch brings one event of type ERROR.
    ErrorEvent {
        /// The status code in its Status.
        code: u16,
        /// The word for machines.
        reason: &'static str,
        /// The words for people.
        message: &'static str,
    },
    /// Status 200 with this type and body.
    Body(&'static str, Vec<u8>),
    /// The body is compressed.
    Gzip,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it was for.
    pub verb: Verb,
    /// The objects it was about.
    pub plural: String,
    /// What stood behind the question mark.
    pub query: String,
    /// The head field `Accept`.
    pub accept: String,
    /// When it came.
    pub at: Instant,
}

/// The server. Dropping it closes its port and its connections.
pub struct ApiServer {
    shared: Arc<Shared>,
    addr: SocketAddr,
    task: Option<AbortHandle>,
}

struct Shared {
    state: Mutex<State>,
    /// The version, for those who wait for the next.
    news: watch::Sender<u64>,
    /// Connections that are older than the count stand still, as if what carried them were gone.
    frozen: watch::Sender<u64>,
    /// Counts the times at which all connections were reset.
    cut: watch::Sender<u64>,
}

struct State {
    version: u64,
    /// Versions before this are forgotten.
    compacted: u64,
    objects: BTreeMap<(String, String, String), Arc<Stored>>,
    log: Vec<Change>,
    faults: VecDeque<(Verb, String, Fault, usize)>,
    seen: Vec<Seen>,
    protobuf: bool,
    max_page: usize,
    /// Every page but the last is followed by the second.
    repeats: bool,
    bookmarks: Duration,
    /// What connections are encrypted with.
    tls: Option<TlsAcceptor>,
    /// The only token that is taken.
    token: Option<String>,
    /// Requests by the version of HTTP.
    http2: usize,
}

/// An object, and what a list has of it in protobuf.
struct Stored {
    value: Value,
    protobuf: Vec<u8>,
}

#[derive(Clone)]
struct Change {
    version: u64,
    plural: String,
    kind: &'static str,
    object: Value,
}

impl ApiServer {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Self::empty()).await
    }

    /// Starts at an address that nobody has any more.
    pub async fn start_at_address(addr: SocketAddr) -> Self {
        Self::start_at(addr, Self::empty()).await
    }

    /// Stops, forgetting nothing; [`again`](Stopped::again) starts it at the same address.
    pub fn stop(self) -> Stopped {
        Stopped { shared: self.shared.clone(), addr: self.addr }
    }

    /// The address as a client is told it.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Creates or changes an object; gives it the next version, which is returned.
    pub fn apply(&self, plural: &str, mut object: Value) -> u64 {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let key = key(plural, &object);
        let kind = if state.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        let stored = Stored { protobuf: protobuf::object(plural, &object), value: object.clone() };
        state.objects.insert(key, Arc::new(stored));
        state.log.push(Change { version, plural: plural.to_owned(), kind, object });
        drop(state);
        self.shared.news.send_replace(version);
        version
    }

    /// Deletes an object.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        let mut state = self.lock();
        let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        let mut object = state.objects.remove(&key).expect("the object to delete exists").value.clone();
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        state.log.push(Change { version, plural: plural.to_owned(), kind: "DELETED", object });
        drop(state);
        self.shared.news.send_replace(version);
    }

    /// Tells those who watch of an event as it is given, whatever its object's version; what is stored stays as it is.
    pub fn tell(&self, plural: &str, kind: &'static str, mut object: Value, resource_version: u64) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(resource_version.to_string());
        state.log.push(Change { version, plural: plural.to_owned(), kind, object });
        drop(state);
        self.shared.news.send_replace(version);
    }

    /// Resets all connections.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// Lets all connections that are there fall silent for good, without a word; new ones work.
    pub fn freeze(&self) {
        self.shared.frozen.send_modify(|count| *count += 1);
    }

    /// Takes requests with this token only.
    pub fn require(&self, token: &str) {
        self.lock().token = Some(token.to_owned());
    }

    /// Shows another certificate from now on.
    pub fn certify(&self, made: &crate::tls::Certificate) {
        self.lock().tls = Some(acceptor(made));
    }

    /// How many requests came over HTTP/2.
    pub fn http2(&self) -> usize {
        self.lock().http2
    }

    /// Forgets all changes so far: watches and continue tokens from before now are expired.
    pub fn compact(&self) {
        let mut state = self.lock();
        state.version += 1;
        state.compacted = state.version;
        state.log.clear();
    }

    /// Goes back to an earlier version with other objects, as after a restored backup: what was known is not to come.
    pub fn go_back(&self, version: u64) {
        let mut state = self.lock();
        state.version = version;
        state.log.clear();
    }

    /// Scripts the next `times` requests of one sort.
    pub fn fault(&self, verb: Verb, plural: &str, fault: Fault, times: usize) {
        self.lock().faults.push_back((verb, plural.to_owned(), fault, times));
    }

    /// Drops what is left of the script.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Whether it speaks protobuf to those who ask for it.
    pub fn set_protobuf(&self, speaks: bool) {
        self.lock().protobuf = speaks;
    }

    /// The most objects in a page, whatever is asked for.
    pub fn set_max_page(&self, objects: usize) {
        self.lock().max_page = objects;
    }

    /// Gives the same continue token again and again.
    pub fn repeat_tokens(&self, repeat: bool) {
        self.lock().repeats = repeat;
    }

    /// How often a watch is sent a bookmark.
    pub fn set_bookmarks(&self, every: Duration) {
        self.lock().bookmarks = every;
    }

    /// The requests of one sort so far.
    pub fn seen(&self, verb: Verb, plural: &str) -> Vec<Seen> {
        self.lock().seen.iter().filter(|seen| seen.verb == verb && seen.plural == plural).cloned().collect()
    }

    /// All requests so far.
    pub fn all_seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    fn empty() -> Arc<Shared> {
        Arc::new(Shared {
            state: Mutex::new(State {
                version: 100,
                compacted: 0,
                objects: BTreeMap::new(),
                log: Vec::new(),
                faults: VecDeque::new(),
                seen: Vec::new(),
                protobuf: true,
                max_page: usize::MAX,
                repeats: false,
                bookmarks: Duration::from_secs(60),
                tls: None,
                token: None,
                http2: 0,
            }),
            news: watch::Sender::new(100),
            frozen: watch::Sender::new(0),
            cut: watch::Sender::new(0),
        })
    }

    async fn start_at(addr: SocketAddr, shared: Arc<Shared>) -> Self {
        let listener = loop {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            match socket.bind(addr).and_then(|()| socket.listen(64)) {
                Ok(listener) => break listener,
                // The one that was there is on its way out.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let addr = listener.local_addr().unwrap();
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            // Dropped with the task, and all connections with it.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                stream.set_nodelay(true).unwrap();
                connections.spawn(connection(serving.clone(), stream));
            }
        });
        Self { shared, addr, task: Some(task.abort_handle()) }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A server that is down.
pub struct Stopped {
    shared: Arc<Shared>,
    addr: SocketAddr,
}

impl Stopped {
    /// A server that is not there yet.
    pub async fn new() -> Self {
        ApiServer::start().await.stop()
    }

    /// The address as a client is told it.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Lets things happen while it is away.
    pub fn changed(self, change: impl FnOnce(&ApiServer)) -> Self {
        // A server without a task: nobody can reach it.
        let away = ApiServer { shared: self.shared.clone(), addr: self.addr, task: None };
        change(&away);
        self
    }

    /// Starts it again, with what it held.
    pub async fn again(self) -> ApiServer {
        ApiServer::start_at(self.addr, self.shared).await
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn key(plural: &str, object: &Value) -> (String, String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (plural.to_owned(), text("namespace"), text("name"))
}

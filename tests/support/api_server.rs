//! An API server in the test's own process: real HTTP/1.1 and, over TLS, HTTP/2; lists in pages, watches, bookmarks,
//! WatchList, JSON and protobuf, tokens, and faults by script.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::protobuf;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// A list, or a page of one.
    List,
    /// A watch from a version on.
    Watch,
    /// A list as a stream (WatchList), as client-go asks for it.
    Stream,
}

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// A refusal.
    Status { code: u16, reason: &'static str, message: &'static str, retry_after: Option<u64> },
    /// The head never comes.
    Stall,
    /// So many octets of the body come, then nothing, and the connection stays open.
    StallBody(usize),
    /// So many octets of the body come, then the connection breaks.
    CutBody(usize),
    /// The watch ends as soon as it begins.
    Close,
    /// The watch brings one event of type ERROR.
    ErrorEvent { code: u16, reason: &'static str, message: &'static str },
    /// Status 200 with this type and body.
    Body(&'static str, Vec<u8>),
    /// The body is compressed.
    Gzip,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) verb: Verb,
    pub(crate) plural: String,
    pub(crate) query: String,
    pub(crate) accept: String,
    pub(crate) at: Instant,
}

/// The server. Dropping it closes its port and its connections.
pub(crate) struct ApiServer {
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
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Self::empty()).await
    }

    /// Starts at an address that nobody has any more.
    pub(crate) async fn start_at_address(addr: SocketAddr) -> Self {
        Self::start_at(addr, Self::empty()).await
    }

    /// Stops, forgetting nothing; [`again`](Stopped::again) starts it at the same address.
    pub(crate) fn stop(self) -> Stopped {
        Stopped { shared: self.shared.clone(), addr: self.addr }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Creates or changes an object; gives it the next version, which is returned.
    pub(crate) fn apply(&self, plural: &str, mut object: Value) -> u64 {
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
    pub(crate) fn delete(&self, plural: &str, namespace: &str, name: &str) {
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
    pub(crate) fn tell(&self, plural: &str, kind: &'static str, mut object: Value, resource_version: u64) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(resource_version.to_string());
        state.log.push(Change { version, plural: plural.to_owned(), kind, object });
        drop(state);
        self.shared.news.send_replace(version);
    }

    /// Resets all connections.
    pub(crate) fn cut(&self) {
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// Lets all connections that are there fall silent for good, without a word; new ones work.
    pub(crate) fn freeze(&self) {
        self.shared.frozen.send_modify(|count| *count += 1);
    }

    /// Takes requests with this token only.
    pub(crate) fn require(&self, token: &str) {
        self.lock().token = Some(token.to_owned());
    }

    /// Shows another certificate from now on.
    pub(crate) fn certify(&self, made: &rcgen::CertifiedKey<rcgen::KeyPair>) {
        self.lock().tls = Some(acceptor(made));
    }

    /// How many requests came over HTTP/2.
    pub(crate) fn http2(&self) -> usize {
        self.lock().http2
    }

    /// Forgets all changes so far: watches and continue tokens from before now are expired.
    pub(crate) fn compact(&self) {
        let mut state = self.lock();
        state.version += 1;
        state.compacted = state.version;
        state.log.clear();
    }

    /// Goes back to an earlier version with other objects, as after a restored backup: what was known is not to come.
    pub(crate) fn go_back(&self, version: u64) {
        let mut state = self.lock();
        state.version = version;
        state.log.clear();
    }

    /// Scripts the next `times` requests of one sort.
    pub(crate) fn fault(&self, verb: Verb, plural: &str, fault: Fault, times: usize) {
        self.lock().faults.push_back((verb, plural.to_owned(), fault, times));
    }

    pub(crate) fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    pub(crate) fn set_protobuf(&self, speaks: bool) {
        self.lock().protobuf = speaks;
    }

    pub(crate) fn set_max_page(&self, objects: usize) {
        self.lock().max_page = objects;
    }

    /// Gives the same continue token again and again.
    pub(crate) fn repeat_tokens(&self, repeat: bool) {
        self.lock().repeats = repeat;
    }

    pub(crate) fn set_bookmarks(&self, every: Duration) {
        self.lock().bookmarks = every;
    }

    /// The requests of one sort so far.
    pub(crate) fn seen(&self, verb: Verb, plural: &str) -> Vec<Seen> {
        self.lock().seen.iter().filter(|seen| seen.verb == verb && seen.plural == plural).cloned().collect()
    }

    pub(crate) fn all_seen(&self) -> Vec<Seen> {
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
pub(crate) struct Stopped {
    shared: Arc<Shared>,
    addr: SocketAddr,
}

impl Stopped {
    /// A server that is not there yet.
    pub(crate) async fn new() -> Self {
        ApiServer::start().await.stop()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Lets things happen while it is away.
    pub(crate) fn changed(self, change: impl FnOnce(&ApiServer)) -> Self {
        // A server without a task: nobody can reach it.
        let away = ApiServer { shared: self.shared.clone(), addr: self.addr, task: None };
        change(&away);
        self
    }

    /// Starts it again, with what it held.
    pub(crate) async fn again(self) -> ApiServer {
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

//----------- Responses -------------------------------------------------------

/// Serves one connection until it ends, is cut or falls silent.
async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    let tls = shared.lock().tls.clone();
    let mut cut = shared.cut.subscribe();
    let mut frozen = shared.frozen.subscribe();
    let serving = shared.clone();
    let service = service_fn(move |request| respond(serving.clone(), request));
    let serve = async move {
        match tls {
            None => {
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            }
            Some(tls) => {
                let Ok(stream) = tls.accept(stream).await else { return };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                } else {
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                }
            }
        }
    };
    tokio::pin!(serve);
    tokio::select! {
        () = &mut serve => {}
        _ = cut.changed() => {}
        // Held open, and never looked at again.
        _ = frozen.changed() => std::future::pending().await,
    }
}

/// The server's side of TLS, with HTTP/2 offered.
fn acceptor(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

type Body = BoxBody<Bytes, io::Error>;
type Sender = mpsc::UnboundedSender<Result<Frame<Bytes>, io::Error>>;

async fn respond(shared: Arc<Shared>, request: hyper::Request<Incoming>) -> Result<hyper::Response<Body>, Infallible> {
    let plural = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let verb = match (query.has("watch"), query.has("sendInitialEvents")) {
        (true, true) => Verb::Stream,
        (true, false) => Verb::Watch,
        _ => Verb::List,
    };
    let accept = request.headers().get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let shown = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (fault, protobuf) = {
        let mut state = shared.lock();
        state.http2 += usize::from(request.version() == http::Version::HTTP_2);
        state.seen.push(Seen {
            verb,
            plural: plural.clone(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            accept: accept.clone(),
            at: Instant::now(),
        });
        let protobuf = state.protobuf && accept.contains("application/vnd.kubernetes.protobuf");
        if state.token.as_ref().is_some_and(|token| shown != format!("Bearer {token}")) {
            return Ok(refuse(protobuf, 401, "Unauthorized", "Unauthorized", None));
        }
        (state.take_fault(verb, &plural), protobuf)
    };
    Ok(match fault {
        Some(Fault::Status { code, reason, message, retry_after }) => {
            refuse(protobuf, code, reason, message, retry_after)
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Body(content_type, body)) => {
            hyper::Response::builder().header("content-type", content_type).body(full(body)).unwrap()
        }
        fault => match verb {
            Verb::List => list(&shared, &plural, &query, protobuf, fault),
            Verb::Watch | Verb::Stream => follow(shared, plural, &query, verb, protobuf, fault),
        },
    })
}

impl State {
    fn take_fault(&mut self, verb: Verb, plural: &str) -> Option<Fault> {
        let index = self.faults.iter().position(|(on, of, _, _)| *on == verb && of == plural)?;
        let (_, _, fault, times) = &mut self.faults[index];
        let fault = fault.clone();
        *times -= 1;
        if *times == 0 {
            self.faults.remove(index);
        }
        Some(fault)
    }
}

fn refuse(protobuf: bool, code: u16, reason: &str, message: &str, retry_after: Option<u64>) -> hyper::Response<Body> {
    let status = status(code, reason, message);
    let mut builder = hyper::Response::builder().status(code).header("content-type", content_type(protobuf, false));
    if let Some(seconds) = retry_after {
        builder = builder.header("retry-after", seconds);
    }
    builder.body(full(if protobuf { protobuf::status(&status) } else { serde_json::to_vec(&status).unwrap() })).unwrap()
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code})
}

fn list(shared: &Shared, plural: &str, query: &Query, protobuf: bool, fault: Option<Fault>) -> hyper::Response<Body> {
    let state = shared.lock();
    let mut version = state.version;
    let mut after = None;
    if let Some(token) = query.get("continue") {
        let mut parts = token.splitn(3, '|');
        version = parts.next().unwrap().parse().unwrap();
        after = Some((parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned()));
        if version < state.compacted {
            return refuse(protobuf, 410, "Expired", "the provided continue parameter is too old", None);
        }
    }
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX).min(state.max_page);
    let mut items = Vec::new();
    let mut next = String::new();
    let mut last = None;
    for ((of, namespace, name), object) in &state.objects {
        let at = (namespace.clone(), name.clone());
        if of != plural || after.as_ref().is_some_and(|after| at <= *after) || !query.selects(&object.value) {
            continue;
        }
        if items.len() == limit {
            let (namespace, name): (String, String) = last.clone().unwrap();
            next = match query.get("continue").filter(|_| state.repeats) {
                Some(token) => token.to_owned(),
                None => format!("{version}|{namespace}|{name}"),
            };
            break;
        }
        items.push(object.clone());
        last = Some(at);
    }
    let mut body = if protobuf {
        protobuf::list(plural, version, &next, items.iter().map(|item| item.protobuf.as_slice()))
    } else {
        let (group, kind) = protobuf::kind_of(plural);
        let items: Vec<&Value> = items.iter().map(|item| &item.value).collect();
        let list = json!({"kind": format!("{kind}List"), "apiVersion": group, "metadata": {"resourceVersion": version.to_string(), "continue": next}, "items": items});
        serde_json::to_vec(&list).unwrap()
    };
    let mut builder = hyper::Response::builder().header("content-type", content_type(protobuf, false));
    let (send, body) = match fault {
        Some(Fault::StallBody(octets)) => {
            let (send, stream) = channel();
            body.truncate(octets);
            send.send(Ok(Frame::data(body.into()))).unwrap();
            (Some(send), stream)
        }
        Some(Fault::CutBody(octets)) => {
            let (send, stream) = channel();
            body.truncate(octets);
            send.send(Ok(Frame::data(body.into()))).unwrap();
            send.send(Err(io::Error::other("cut by script"))).unwrap();
            (None, stream)
        }
        Some(Fault::Gzip) => {
            builder = builder.header("content-encoding", "gzip");
            (None, full(gzip(&body)))
        }
        _ => (None, full(body)),
    };
    if let Some(send) = send {
        tokio::spawn(async move { send.closed().await });
    }
    builder.body(body).unwrap()
}

fn follow(
    shared: Arc<Shared>,
    plural: String,
    query: &Query,
    verb: Verb,
    protobuf: bool,
    fault: Option<Fault>,
) -> hyper::Response<Body> {
    let gzipped = matches!(fault, Some(Fault::Gzip));
    let (send, body) = channel();
    let mut watch = Watch { send, protobuf, sent: 0, stall: None, cut: None, whole: gzipped.then(Vec::new) };
    let query = query.clone();
    tokio::spawn(async move {
        match fault {
            Some(Fault::Close) => return,
            Some(Fault::ErrorEvent { code, reason, message }) => {
                watch.event("ERROR", "status", &status(code, reason, message)).await;
                return;
            }
            Some(Fault::StallBody(octets)) => watch.stall = Some(octets),
            Some(Fault::CutBody(octets)) => watch.cut = Some(octets),
            _ => {}
        }
        watch.run(&shared, &plural, &query, verb).await;
    });
    let mut builder = hyper::Response::builder().header("content-type", content_type(protobuf, true));
    if gzipped {
        builder = builder.header("content-encoding", "gzip");
    }
    builder.body(body).unwrap()
}

struct Watch {
    send: Sender,
    protobuf: bool,
    sent: usize,
    stall: Option<usize>,
    cut: Option<usize>,
    /// A compressed body is made whole and sent at its end.
    whole: Option<Vec<u8>>,
}

impl Watch {
    async fn run(&mut self, shared: &Shared, plural: &str, query: &Query, verb: Verb) {
        let seconds = query.get("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(3600);
        let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
        let mut news = shared.news.subscribe();
        let mut from = 0;
        let bookmarks = shared.lock().bookmarks;
        if verb == Verb::Stream {
            let (objects, version) = {
                let state = shared.lock();
                let objects: Vec<Arc<Stored>> = state
                    .objects
                    .iter()
                    .filter(|((of, _, _), object)| of == plural && query.selects(&object.value))
                    .map(|(_, object)| object.clone())
                    .collect();
                (objects, state.version)
            };
            from = version;
            for object in &objects {
                let octets = match self.protobuf {
                    true => protobuf::frame("ADDED", plural, &object.protobuf),
                    false => line("ADDED", plural, &object.value),
                };
                self.push(octets).await;
            }
            self.event("BOOKMARK", plural, &bookmark(version, true)).await;
        } else if let Some(version) = query.get("resourceVersion") {
            from = version.parse().unwrap();
            if from < shared.lock().compacted {
                let status = status(410, "Expired", "too old resource version");
                self.event("ERROR", "status", &status).await;
                return self.finish().await;
            }
        }
        loop {
            let changes: Vec<Change> = {
                let state = shared.lock();
                state.log.iter().filter(|change| change.version > from && change.plural == plural).cloned().collect()
            };
            for change in changes {
                from = change.version;
                if query.selects(&change.object) {
                    self.event(change.kind, plural, &change.object).await;
                }
            }
            let next = (tokio::time::Instant::now() + bookmarks).min(end);
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = self.send.closed() => return,
                () = tokio::time::sleep_until(next) => {
                    if next == end {
                        return self.finish().await;
                    }
                    let version = shared.lock().version;
                    self.event("BOOKMARK", plural, &bookmark(version, false)).await;
                }
            }
        }
    }

    async fn event(&mut self, kind: &str, plural: &str, object: &Value) {
        let octets = match self.protobuf {
            true => protobuf::frame(kind, plural, &protobuf::object(plural, object)),
            false => line(kind, plural, object),
        };
        self.push(octets).await;
    }

    async fn push(&mut self, mut octets: Vec<u8>) {
        if let Some(whole) = &mut self.whole {
            whole.append(&mut octets);
            return;
        }
        let end = self.sent + octets.len();
        if let Some(at) = self.stall.or(self.cut).filter(|at| *at < end) {
            octets.truncate(at - self.sent);
            let _ = self.send.send(Ok(Frame::data(octets.into())));
            if self.cut.is_some() {
                let _ = self.send.send(Err(io::Error::other("cut by script")));
            }
            self.send.closed().await;
            // Never to be polled again; the task ends with the runtime.
            return std::future::pending().await;
        }
        self.sent = end;
        let _ = self.send.send(Ok(Frame::data(octets.into())));
    }

    async fn finish(&mut self) {
        if let Some(whole) = self.whole.take() {
            let _ = self.send.send(Ok(Frame::data(gzip(&whole).into())));
        }
    }
}

/// An event of a watch in JSON.
fn line(kind: &str, plural: &str, object: &Value) -> Vec<u8> {
    let mut object = object.clone();
    if object.get("kind").is_none() {
        let (group, kind) = protobuf::kind_of(plural);
        (object["apiVersion"], object["kind"]) = (group.into(), kind.into());
    }
    let mut line = serde_json::to_vec(&json!({"type": kind, "object": object})).unwrap();
    line.push(b'\n');
    line
}

fn bookmark(version: u64, initial_end: bool) -> Value {
    let annotations = if initial_end { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
    json!({"metadata": {"resourceVersion": version.to_string(), "annotations": annotations}})
}

fn channel() -> (Sender, Body) {
    let (send, receive) = mpsc::unbounded_channel();
    let stream = futures_util::stream::unfold(receive, |mut receive| async move {
        receive.recv().await.map(|frame| (frame, receive))
    });
    (send, BodyExt::boxed(StreamBody::new(stream)))
}

fn full(octets: Vec<u8>) -> Body {
    http_body_util::Full::new(Bytes::from(octets)).map_err(|never| match never {}).boxed()
}

fn content_type(protobuf: bool, watch: bool) -> &'static str {
    match (protobuf, watch) {
        (true, true) => "application/vnd.kubernetes.protobuf;stream=watch",
        (true, false) => "application/vnd.kubernetes.protobuf",
        (false, _) => "application/json",
    }
}

/// A gzip file of stored blocks (RFC 1951 section 3.2.4, RFC 1952 section 2.3).
fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for block in octets.chunks(0xffff) {
        let len = u16::try_from(block.len()).unwrap();
        file.push(0);
        file.extend_from_slice(&len.to_le_bytes());
        file.extend_from_slice(&(!len).to_le_bytes());
        file.extend_from_slice(block);
    }
    file.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    let crc = octets.iter().fold(u32::MAX, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    file.extend_from_slice(&(!crc).to_le_bytes());
    file.extend_from_slice(&u32::try_from(octets.len()).unwrap().to_le_bytes());
    file
}

//----------- Query -----------------------------------------------------------

#[derive(Clone)]
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), decode(value))).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true"))
    }

    /// Label selectors of the form `name=value`.
    fn selects(&self, object: &Value) -> bool {
        self.get("labelSelector").is_none_or(|selector| {
            let (name, value) = selector.split_once('=').expect("a selector of the form name=value");
            object["metadata"]["labels"][name] == *value
        })
    }
}

fn decode(text: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let hex = [rest.next().unwrap(), rest.next().unwrap()];
            octets.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
        } else {
            octets.push(octet);
        }
    }
    String::from_utf8(octets).unwrap()
}

//! What the API server of tests answers: lists, watches and refusals, as its script says.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::query::Query;
use super::{Change, Fault, Seen, Shared, State, Stored, Verb};
use crate::protobuf;
use crate::tls::{self, Certificate};

/// Serves one connection until it ends, is cut or falls silent.
pub(super) async fn connection(shared: Arc<Shared>, stream: TcpStream) {
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
pub(super) fn acceptor(made: &Certificate) -> TlsAcceptor {
    let mut config = tls::server(made);
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

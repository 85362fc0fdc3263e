//! One request to the API server: rate limit, metrics, deadline, and the meaning of what comes back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;

use super::connection::{ConnectError, Connected, Connection, chain};
use super::decode::{self, Encoding};
use super::failure::{ApiStatus, WatchFailure};
use super::metrics::{LIMITER_DURATION, REQUEST_DURATION, REQUESTS};
use super::moment::moment;
use super::options::Timing;
use crate::cluster::clock::WallClock;
use crate::cluster::facts::{Kind, Page};

/// Protobuf where the server speaks it: a fifth of the octets and of the time of JSON (100,000 endpoints: 9.4 and 47 MB).
const LIST: &str = "application/vnd.kubernetes.protobuf, application/json";
const WATCH: &str = "application/vnd.kubernetes.protobuf;stream=watch, application/json;stream=watch, application/json";

/// A client of one loop. Each loop has its own, so that it can throw a dead connection pool away.
#[derive(Debug)]
pub(super) struct Api {
    connection: Connection,
    client: ShownClient,
    host: String,
    timing: Timing,
    limiter: Option<Arc<Limiter>>,
    clock: WallClock,
    /// When the credentials were read, and whether they come from a command.
    read: Instant,
    runs_a_command: bool,
    /// The next request goes over a new connection, with credentials that are read for it.
    worn: bool,
}

/// The time that the credentials which a command gave are used before it is run again, whatever happens.
const COMMAND_LASTS: Duration = Duration::from_secs(10);

/// A response with status 200.
pub(super) struct Response {
    encoding: Encoding,
    body: Body,
}

impl Api {
    pub(super) fn new(
        connection: Connection,
        timing: Timing,
        limiter: Option<Arc<Limiter>>,
        clock: WallClock,
    ) -> Result<Self, ConnectError> {
        let Connected { client, host, runs_a_command } = connection.connect(timing.connect, timing.silence)?;
        let client = ShownClient(client);
        Ok(Self { connection, client, host, timing, limiter, clock, read: moment(), runs_a_command, worn: false })
    }

    /// Lets the next request go over a new connection, with credentials as they are then.
    pub(super) fn wear_out(&mut self) {
        self.worn = true;
    }

    /// Drops all connections and reads the credentials again; keeps what there is when they cannot be read just now.
    fn renew(&mut self) {
        if self.runs_a_command && moment().saturating_duration_since(self.read) < COMMAND_LASTS {
            return;
        }
        match self.connection.connect(self.timing.connect, self.timing.silence) {
            Ok(Connected { client, host, runs_a_command }) => {
                (self.client, self.host, self.runs_a_command) = (ShownClient(client), host, runs_a_command);
                (self.read, self.worn) = (moment(), false);
            }
            Err(error) => tracing::debug!(%error, "credentials cannot be read again, the old ones stay"),
        }
    }

    /// A list or a page of one. Not compressed: inside a cluster, what that costs is more than what it saves.
    pub(super) async fn list(&mut self, uri: &str, limit: Duration) -> Result<Response, WatchFailure> {
        let request = http::Request::get(uri).header(ACCEPT, LIST).header(ACCEPT_ENCODING, "identity");
        self.send(request, limit).await
    }

    /// A page of a list in JSON, for fields that the decoder of protobuf does not read.
    pub(super) async fn list_as_json(&mut self, uri: &str, limit: Duration) -> Result<Response, WatchFailure> {
        let request = http::Request::get(uri).header(ACCEPT, "application/json").header(ACCEPT_ENCODING, "identity");
        self.send(request, limit).await
    }

    /// A watch. Not compressed: a compressed stream would hold events back.
    pub(super) async fn watch(&mut self, uri: &str, limit: Duration) -> Result<Response, WatchFailure> {
        let request = http::Request::get(uri).header(ACCEPT, WATCH).header(ACCEPT_ENCODING, "identity");
        self.send(request, limit).await
    }

    async fn send(&mut self, request: http::request::Builder, limit: Duration) -> Result<Response, WatchFailure> {
        let request =
            request.body(Body::empty()).map_err(|error| WatchFailure::Malformed(format!("request: {error}")))?;
        let waited = match &self.limiter {
            Some(limiter) => limiter.wait().await,
            None => Duration::ZERO,
        };
        let labels = ["GET", self.host.as_str()];
        LIMITER_DURATION.with_label_values(&labels).observe(waited.as_secs_f64());
        if self.worn {
            self.renew();
        }
        let labels = ["GET", self.host.as_str()];
        let started = moment();
        let answer = tokio::time::timeout(limit, self.client.0.send(request)).await;
        REQUEST_DURATION.with_label_values(&labels).observe(moment().saturating_duration_since(started).as_secs_f64());
        let code = match &answer {
            Ok(Ok(response)) => response.status().as_str().to_owned(),
            _ => "<error>".to_owned(),
        };
        REQUESTS.with_label_values(&[code.as_str(), "GET", self.host.as_str()]).inc();
        let response = match answer {
            Err(_) => return Err(WatchFailure::Timeout(limit)),
            Ok(Err(error)) => return Err(WatchFailure::Transport(format!("{}: {}", self.connection, chain(&error)))),
            Ok(Ok(response)) => response,
        };
        let encoding = encoding(&response);
        if response.status() != http::StatusCode::OK {
            return Err(WatchFailure::Status(
                refusal(response, encoding, limit, UNIX_EPOCH + self.clock.since_1970()).await,
            ));
        }
        match encoding {
            Ok(encoding) => Ok(Response { encoding, body: response.into_body() }),
            Err(found) => Err(WatchFailure::Malformed(format!(
                "Content-Type {found}, neither protobuf nor JSON: is {} an API server?",
                self.host
            ))),
        }
    }
}

impl Response {
    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The next octets of the transport; `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, WatchFailure> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(WatchFailure::Transport(chain(&error))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, which may have so many octets.
    pub(super) async fn body(mut self, most: usize) -> Result<Vec<u8>, WatchFailure> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > most {
                return Err(WatchFailure::Malformed(format!("more than {most} octets")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The objects of a list: `take` gets so many at a time, where they can be decoded as they come, and the caller the
    /// rest, with the version of the list. `idle` limits the time without a sign of progress.
    pub(super) async fn list(
        mut self,
        kind: Kind,
        idle: Duration,
        batch: usize,
        mut take: impl FnMut(Page),
    ) -> Result<Page, WatchFailure> {
        let mut list = decode::ArrivingList::new(kind, self.encoding);
        loop {
            match tokio::time::timeout(idle, self.chunk()).await {
                Err(_) => return Err(WatchFailure::Timeout(idle)),
                Ok(chunk) => match chunk? {
                    None => return list.end(),
                    Some(chunk) => list.push(&chunk, batch)?.into_iter().for_each(&mut take),
                },
            }
        }
    }

    /// The same, all at once.
    pub(super) async fn page(self, kind: Kind, idle: Duration) -> Result<Page, WatchFailure> {
        self.list(kind, idle, usize::MAX, drop).await
    }
}

/// The encoding that the server chose, or the Content-Type that we cannot read.
fn encoding(response: &http::Response<Body>) -> Result<Encoding, String> {
    let found = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = found.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/vnd.kubernetes.protobuf") {
        Ok(Encoding::Protobuf)
    } else if media.eq_ignore_ascii_case("application/json") {
        Ok(Encoding::Json)
    } else {
        Err(if found.is_empty() { "(none)".to_owned() } else { found.to_owned() })
    }
}

/// Reads why the server refuses. A proxy in between may say it in its own way.
async fn refusal(
    response: http::Response<Body>,
    encoding: Result<Encoding, String>,
    limit: Duration,
    now: SystemTime,
) -> ApiStatus {
    const ENOUGH: usize = 64 << 10;
    let code = response.status().as_u16();
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|text| retry_after(text.trim(), now));
    let mut text = Vec::new();
    let mut body = response.into_body();
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            text.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
            if text.len() > ENOUGH {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(limit, read).await;
    let status = encoding.ok().and_then(|encoding| decode::status(encoding, &text)).unwrap_or_else(|| ApiStatus {
        message: String::from_utf8_lossy(&text).chars().filter(|char| !char.is_control()).take(200).collect(),
        ..ApiStatus::default()
    });
    ApiStatus { code, retry_after, ..status }
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok().map(|date| date.duration_since(now).unwrap_or_default()),
    }
}

/// A client that can stand in a struct that is shown.
struct ShownClient(Client);

impl std::fmt::Debug for ShownClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("encoding", &self.encoding).finish_non_exhaustive()
    }
}

//----------- Limiter ---------------------------------------------------------

/// `apiserver_qps` and `apiserver_burst`: a bucket of tokens, one for each request.
#[derive(Debug)]
pub(super) struct Limiter {
    qps: f64,
    burst: f64,
    /// Tokens left (negative: owed), and when they were counted.
    bucket: Mutex<(f64, Instant)>,
}

impl Limiter {
    pub(super) fn new(qps: f64, burst: u32) -> Self {
        let burst = f64::from(burst.max(1));
        Self { qps: qps.max(0.001), burst, bucket: Mutex::new((burst, moment())) }
    }

    async fn wait(&self) -> Duration {
        let wait = self.take(moment());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        wait
    }

    fn take(&self, now: Instant) -> Duration {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, counted) = *bucket;
        let tokens = (tokens + now.saturating_duration_since(counted).as_secs_f64() * self.qps).min(self.burst) - 1.0;
        *bucket = (tokens, now);
        if tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64((-tokens / self.qps).min(60.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 90);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(90)));
        let later = now + Duration::from_secs(1000);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", later), Some(Duration::ZERO), "it is over");
        for text in ["", "-1", "soon", "1.5", "99999999999999999999"] {
            assert_eq!(retry_after(text, now), None, "{text}");
        }
    }

    #[test]
    fn a_burst_passes_and_the_rest_waits_its_turn() {
        let limiter = Limiter::new(10.0, 2);
        let now = Instant::now();
        assert_eq!(limiter.take(now), Duration::ZERO);
        assert_eq!(limiter.take(now), Duration::ZERO);
        let third = limiter.take(now);
        let fourth = limiter.take(now);
        assert!(third > Duration::from_millis(90) && third < Duration::from_millis(101), "{third:?}");
        assert!(fourth > Duration::from_millis(190), "{fourth:?}");
        assert_eq!(limiter.take(now + Duration::from_secs(5)), Duration::ZERO);
    }
}

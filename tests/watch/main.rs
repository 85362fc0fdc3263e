//! The watch against an API server in this process: each rule of the supervisor, by the fault that calls for it.
//!
//! Waits are a part of the real ones, so that the rules can be seen in seconds. Limits are longer than a busy machine needs:
//! a test that is about one sets its own. What is waited for is a state, never a time.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod guard;
mod lies;
mod lists;
mod lost;
mod order;
mod outages;
mod trouble;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use rollcall::cluster::{Connection, IndexSettings, Mirror, Options, Timing};
use rollcall::wire::Label;
use rollcall::zone::{Reader, ServiceName};
use rollcall_testing::api_server::ApiServer;
use rollcall_testing::objects::{self, endpoint, headless, namespace};
use rollcall_testing::{PATIENCE, eventually};
use serde_json::{Value, json};
use tokio::runtime::Handle;

const SERVICES: &str = "services";
const SLICES: &str = "endpointslices";
const NAMESPACES: &str = "namespaces";

fn timing() -> Timing {
    Timing {
        connect: Duration::from_secs(5),
        silence: Duration::from_secs(5),
        list_idle: Duration::from_secs(5),
        watch_min: Duration::from_millis(300),
        watch_max: Duration::from_millis(500),
        watch_grace: Duration::from_secs(5),
        watch_interval: Duration::from_millis(20),
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(200),
        backoff_longest: Duration::from_secs(1),
        patience: Duration::from_secs(1),
        healthy: Duration::from_millis(500),
        believed: Duration::from_millis(500),
        whole_lists: true,
    }
}

fn options(url: String) -> Options {
    Options { connection: Connection::Endpoint { url, tls: None }, timing: timing(), ..Options::default() }
}

/// As `options`, but lists come in pages.
fn paged(url: String) -> Options {
    let mut options = options(url);
    options.timing.whole_lists = false;
    options
}

fn start(options: &Options) -> Mirror {
    Mirror::start(options, IndexSettings::default(), &Handle::current()).unwrap()
}

async fn synced(options: &Options) -> Mirror {
    let mirror = start(options);
    is_synced(&mirror).await;
    assert!(mirror.reader().is_synced());
    mirror
}

async fn is_synced(mirror: &Mirror) {
    tokio::time::timeout(PATIENCE, mirror.synced()).await.expect("the mirror syncs");
}

fn slice(service: &str, address: &str) -> Value {
    objects::slice(service, "abc", objects::ports("http", "TCP", 80), vec![endpoint("peer-0", address)])
}

/// A server that holds one namespace, one Service and its slice.
async fn server() -> ApiServer {
    let server = ApiServer::start().await;
    fill(&server);
    server
}

fn fill(server: &ApiServer) {
    server.apply(NAMESPACES, namespace("default"));
    server.apply(SERVICES, headless("kubia"));
    server.apply(SLICES, slice("kubia", "10.0.0.1"));
}

fn has(reader: &Reader, service: &str) -> bool {
    let name = ServiceName::new(&Label::new(service.as_bytes()).unwrap(), &Label::new(b"default").unwrap());
    reader.service(&name).is_some()
}

fn has_address(reader: &Reader, address: &str) -> bool {
    reader.pointer(address.parse::<IpAddr>().unwrap()).is_some()
}

fn relists(mirror: &Mirror) -> u64 {
    mirror.status().iter().map(|kind| kind.relists).sum()
}

#[tokio::test]
async fn a_bad_object_is_skipped_and_the_rest_is_served() {
    for (protobuf, whole_lists) in [(true, true), (true, false), (false, true), (false, false)] {
        let server = server().await;
        server.set_protobuf(protobuf);
        let bad = |name: &str| json!({"metadata": {"namespace": "default", "name": name}, "spec": "broken"});
        server.apply(SERVICES, bad("a-bad-one"));
        let mut settings = options(server.url());
        settings.timing.whole_lists = whole_lists;
        let mirror = synced(&settings).await;
        let reader = mirror.reader();
        assert!(has(&reader, "kubia") && !has(&reader, "a-bad-one"));
        server.apply(SERVICES, bad("another"));
        let version = server.apply(SERVICES, headless("good"));
        eventually("what follows a bad event is served", || has(&reader, "good")).await;
        assert!(mirror.status().iter().any(|kind| kind.version == version.to_string()));
        assert_eq!(relists(&mirror), 0);
    }
}

#[tokio::test]
async fn a_dropped_mirror_asks_no_more_and_its_zone_stays() {
    let server = server().await;
    let mirror = synced(&options(server.url())).await;
    let reader = mirror.reader();
    mirror.shutdown();
    // What was under way may still arrive.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = server.all_seen().len();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.all_seen().len(), asked);
    assert!(has(&reader, "kubia"));
}

#[tokio::test]
async fn a_change_is_published_at_once() {
    let server = server().await;
    let mut settings = options(server.url());
    settings.timing.watch_min = Duration::from_secs(30);
    settings.timing.watch_max = Duration::from_secs(50);
    let mirror = synced(&settings).await;
    let reader = mirror.reader();
    let mut took = Vec::new();
    for index in 0..100 {
        let name = format!("new-{index}");
        let started = Instant::now();
        server.apply(SERVICES, headless(&name));
        while !has(&reader, &name) {
            tokio::task::yield_now().await;
        }
        took.push(started.elapsed());
    }
    took.sort();
    println!("write to answer, server included: p50 {:?}, p99 {:?}", took[50], took[98]);
    // Generous: the machine may be busy, and this is a debug build. Not so long as the shortest wait between two watches.
    assert!(took[50] < Duration::from_millis(500), "{:?}", took[50]);
}

#[tokio::test]
async fn requests_and_events_are_counted() {
    let registry = prometheus::Registry::new();
    rollcall::cluster::register(&registry).unwrap();
    let server = server().await;
    let mut settings = options(server.url());
    settings.timing.watch_min = Duration::from_secs(60);
    let mirror = synced(&settings).await;
    let text = || prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let host = server.url().replace("http://", "");
    // A list and a watch of each of three kinds.
    for line in [
        format!("coredns_kubernetes_rest_client_requests_total{{code=\"200\",host=\"{host}\",method=\"GET\"}} 6"),
        format!("coredns_kubernetes_rest_client_request_duration_seconds_count{{host=\"{host}\",verb=\"GET\"}} 6"),
        format!("coredns_kubernetes_rest_client_rate_limiter_duration_seconds_count{{host=\"{host}\",verb=\"GET\"}} 6"),
        "rollcall_watch_last_event_timestamp_seconds{kind=\"services\"} 1".to_owned(),
        // There with 0 before the first, so that an alert sees it.
        "rollcall_relists_total{kind=\"services\"}".to_owned(),
        "rollcall_doubtful_lists_total{kind=\"endpointslices\"}".to_owned(),
        "rollcall_watch_restarts_total{kind=\"namespaces\",reason=\"expired\"}".to_owned(),
        "rollcall_bad_objects_total{kind=\"EndpointSlice\"}".to_owned(),
    ] {
        eventually(&line, || text().contains(&line)).await;
    }
    drop(mirror);
    assert!(rollcall::cluster::register(&registry).is_err(), "names are registered once");
}

#[tokio::test]
async fn no_more_requests_are_sent_than_are_allowed() {
    let server = server().await;
    let mut settings = options(server.url());
    (settings.qps, settings.burst) = (Some(10.0), Some(1));
    let begun = Instant::now();
    drop(synced(&settings).await);
    let took = server.all_seen()[2].at - begun;
    assert!(took >= Duration::from_millis(190), "{took:?}");
}

//! Lists that cannot be true.

use std::time::Duration;

use rollcall_testing::api_server::{ApiServer, Fault, Verb};
use serde_json::json;

use super::guard::Guard;
use super::{
    NAMESPACES, SERVICES, SLICES, eventually, fill, has, has_address, headless, is_synced, options, server, slice,
    start, synced,
};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const JSON: &str = "application/json";

fn expired() -> Fault {
    Fault::Status { code: 410, reason: "Expired", message: "too old", retry_after: None }
}

fn doubtful(kind: &str) -> u64 {
    let registry = prometheus::Registry::new();
    rollcall::cluster::register(&registry).unwrap();
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let start = format!("rollcall_doubtful_lists_total{{kind=\"{kind}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_is_no_list_of_the_kind_takes_nothing_away() {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 500});
    let list = |kind: &str, items: serde_json::Value| json!({"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "900"}, "items": items});
    for (content_type, body) in [
        (JSON, status.to_string()),
        (JSON, "{}".to_owned()),
        (JSON, String::new()),
        (JSON, list("SecretList", json!([])).to_string()),
        (JSON, list("List", json!(null)).to_string()),
        (JSON, list("ServiceList", json!(null)).to_string()),
        (PROTOBUF, "k8s\0".to_owned()),
        (PROTOBUF, String::new()),
        ("text/html", "<html>log in</html>".to_owned()),
    ] {
        let server = server().await;
        let mirror = synced(&options(server.url())).await;
        let guard = Guard::on(mirror.reader());
        let (asked, counted) = (server.seen(Verb::List, SERVICES).len(), doubtful("services"));
        // More than are met: whether in pages or whole, each list is such a one until it is told otherwise.
        for plural in [SERVICES, NAMESPACES, SLICES] {
            server.fault(Verb::List, plural, Fault::Body(content_type, body.clone().into_bytes()), usize::MAX);
            server.fault(Verb::Watch, plural, expired(), 1);
        }
        eventually("several such lists are met", || server.seen(Verb::List, SERVICES).len() >= asked + 4).await;
        eventually("they are told", || mirror.status().iter().all(|kind| kind.trouble.is_some())).await;
        assert!(doubtful("services") > counted, "and counted");
        server.clear_faults();
        server.apply(SERVICES, headless("new"));
        eventually("the truth is taken", || has(&mirror.reader(), "new")).await;
        eventually("the trouble is over", || mirror.status().iter().all(|kind| kind.trouble.is_none())).await;
        guard.held();
    }
}

/// A server with enough slices for their going to be unlikely.
async fn many() -> ApiServer {
    let server = server().await;
    for index in 0..30 {
        server.apply(SERVICES, headless(&format!("many-{index}")));
        server.apply(SLICES, slice(&format!("many-{index}"), &format!("10.1.0.{index}")));
    }
    server
}

#[tokio::test]
async fn an_empty_list_that_is_not_confirmed_takes_nothing_away() {
    for (plural, kind) in [(SLICES, "EndpointSliceList"), (SERVICES, "ServiceList"), (NAMESPACES, "NamespaceList")] {
        let server = many().await;
        let mut settings = options(server.url());
        settings.timing.believed = Duration::from_secs(3600);
        let mirror = synced(&settings).await;
        let guard = Guard::on(mirror.reader());
        let group = if plural == SLICES { "discovery.k8s.io/v1" } else { "v1" };
        let empty = json!({"kind": kind, "apiVersion": group, "metadata": {"resourceVersion": "900"}, "items": []});
        let asked = server.seen(Verb::List, plural).len();
        server.fault(Verb::List, plural, Fault::Body(JSON, empty.to_string().into_bytes()), usize::MAX);
        server.fault(Verb::Watch, plural, expired(), 1);
        eventually("it is asked for again", || server.seen(Verb::List, plural).len() >= asked + 8).await;
        eventually("the doubt is told", || {
            mirror.status().iter().any(|kind| kind.trouble.as_ref().is_some_and(|text| text.contains("not believed")))
        })
        .await;
        let again = &server.seen(Verb::List, plural)[asked..];
        assert!(again.iter().all(|seen| !seen.query.contains("resourceVersion=0")), "by consistent reads");
        server.clear_faults();
        server.apply(plural, if plural == SLICES { slice("kubia", "10.0.0.1") } else { headless("default") });
        eventually("the doubt is over", || mirror.status().iter().all(|kind| kind.trouble.is_none())).await;
        assert!(has(&mirror.reader(), "many-29") && has_address(&mirror.reader(), "10.1.0.29"));
        guard.held();
    }
}

#[tokio::test]
async fn when_nearly_all_is_gone_it_is_gone() {
    for whole_lists in [true, false] {
        let server = many().await;
        let mut settings = options(server.url());
        settings.timing.whole_lists = whole_lists;
        let mirror = synced(&settings).await;
        let guard = Guard::on(mirror.reader());
        let counted = doubtful("endpointslices");
        let stopped = server.stop().changed(|server| {
            for index in 0..30 {
                server.delete(SLICES, "default", &format!("many-{index}-abc"));
            }
            server.apply(SLICES, slice("many-0", "10.2.0.1"));
            server.compact();
        });
        let server = stopped.again().await;
        eventually("what it names is taken at once", || has_address(&mirror.reader(), "10.2.0.1")).await;
        eventually("what it does not name goes", || !has_address(&mirror.reader(), "10.1.0.7")).await;
        assert!(doubtful("endpointslices") >= counted + 2, "not before it was confirmed");
        eventually("the trouble is over", || mirror.status().iter().all(|kind| kind.trouble.is_none())).await;
        guard.held();
        drop(server);
    }
}

#[tokio::test]
async fn a_first_list_of_nothing_is_confirmed_by_a_consistent_read() {
    for (plural, kind) in [(NAMESPACES, "NamespaceList"), (SERVICES, "ServiceList"), (SLICES, "EndpointSliceList")] {
        let server = server().await;
        let group = if plural == SLICES { "discovery.k8s.io/v1" } else { "v1" };
        let empty = json!({"kind": kind, "apiVersion": group, "metadata": {"resourceVersion": "9"}, "items": []});
        server.fault(Verb::List, plural, Fault::Body(JSON, empty.to_string().into_bytes()), 2);
        let mirror = start(&options(server.url()));
        is_synced(&mirror).await;
        assert!(mirror.reader().has_namespace(b"default"), "an empty cluster is not what was first said");
        assert!(has(&mirror.reader(), "kubia") && has_address(&mirror.reader(), "10.0.0.1"), "{plural}");
        let seen = server.seen(Verb::List, plural);
        assert_eq!(seen[0].query, "resourceVersion=0");
        assert!(seen[1..].iter().all(|seen| seen.query != "resourceVersion=0"));
    }

    let empty = ApiServer::start().await;
    let mirror = start(&options(empty.url()));
    is_synced(&mirror).await;
    fill(&empty);
    eventually("and one that is really empty is believed soon", || has(&mirror.reader(), "kubia")).await;
}

//! Events that come late, twice or out of order.
//!
//! One watch has to last: these versions are ahead of the server's own, which would take the next watch up elsewhere.

use std::time::Duration;

use rollcall::cluster::Mirror;
use rollcall_testing::api_server::ApiServer;

use super::{
    NAMESPACES, SERVICES, SLICES, eventually, has, has_address, headless, namespace, options, relists, server, slice,
    synced,
};

async fn watching(server: &ApiServer) -> Mirror {
    let mut settings = options(server.url());
    (settings.timing.watch_min, settings.timing.watch_max) = (Duration::from_secs(600), Duration::from_secs(600));
    synced(&settings).await
}

#[tokio::test]
async fn what_is_older_than_what_is_known_changes_nothing() {
    for protobuf in [true, false] {
        let server = server().await;
        server.set_protobuf(protobuf);
        let mirror = watching(&server).await;
        let reader = mirror.reader();
        // Each step ends with an event of another object, so that it is known when all before it is applied.
        let passed = async |step: &str| {
            server.apply(SERVICES, headless(step));
            server.apply(SLICES, slice(step, "10.9.0.1"));
            server.apply(NAMESPACES, namespace(step));
            let status = || mirror.status().iter().all(|kind| kind.trouble.is_none());
            eventually("all events have come", || has(&reader, step) && reader.has_namespace(step.as_bytes())).await;
            eventually("the slices too", || has_address(&reader, "10.9.0.1") && status()).await;
            server.delete(SLICES, "default", &format!("{step}-abc"));
            eventually("the slice is gone", || !has_address(&reader, "10.9.0.1")).await;
        };

        server.tell(SLICES, "MODIFIED", slice("kubia", "10.0.0.2"), 5002);
        server.tell(SLICES, "MODIFIED", slice("kubia", "10.0.0.3"), 5001);
        server.tell(SLICES, "DELETED", slice("kubia", "10.0.0.3"), 5001);
        server.tell(SERVICES, "MODIFIED", headless("kubia"), 5002);
        server.tell(SERVICES, "DELETED", headless("kubia"), 5001);
        server.tell(NAMESPACES, "MODIFIED", namespace("default"), 5002);
        server.tell(NAMESPACES, "DELETED", namespace("default"), 5001);
        passed("one").await;
        assert!(has_address(&reader, "10.0.0.2") && !has_address(&reader, "10.0.0.3"));
        assert!(has(&reader, "kubia") && reader.has_namespace(b"default"));

        // What is gone does not come back by an older event, but by a newer one.
        server.tell(SLICES, "DELETED", slice("kubia", "10.0.0.2"), 5010);
        server.tell(SLICES, "MODIFIED", slice("kubia", "10.0.0.3"), 5009);
        server.tell(SERVICES, "DELETED", headless("kubia"), 5010);
        server.tell(SERVICES, "ADDED", headless("kubia"), 5009);
        server.tell(NAMESPACES, "ADDED", namespace("other"), 5002);
        server.tell(NAMESPACES, "DELETED", namespace("other"), 5004);
        server.tell(NAMESPACES, "ADDED", namespace("other"), 5003);
        passed("two").await;
        assert!(!has_address(&reader, "10.0.0.2") && !has_address(&reader, "10.0.0.3"));
        assert!(!has(&reader, "kubia") && !reader.has_namespace(b"other"));

        server.tell(SLICES, "ADDED", slice("kubia", "10.0.0.4"), 5011);
        server.tell(SERVICES, "ADDED", headless("kubia"), 5011);
        passed("three").await;
        assert!(has_address(&reader, "10.0.0.4") && has(&reader, "kubia"));
        assert_eq!(relists(&mirror), 0);
    }
}

#[tokio::test]
async fn a_deletion_older_than_the_list_that_named_the_object_does_nothing() {
    let server = server().await;
    let mirror = watching(&server).await;
    let reader = mirror.reader();
    server.tell(SERVICES, "DELETED", headless("kubia"), 2);
    server.tell(SLICES, "DELETED", slice("kubia", "10.0.0.1"), 2);
    server.apply(SERVICES, headless("new"));
    server.apply(SLICES, slice("new", "10.0.0.7"));
    eventually("all events have come", || has(&reader, "new") && has_address(&reader, "10.0.0.7")).await;
    assert!(has(&reader, "kubia") && has_address(&reader, "10.0.0.1"));
}

#[tokio::test]
async fn what_is_older_than_the_list_that_a_watch_began_from_is_undone_already() {
    for protobuf in [true, false] {
        let server = server().await;
        server.set_protobuf(protobuf);
        server.apply(SERVICES, headless("gone"));
        server.delete(SERVICES, "default", "gone");
        let mirror = watching(&server).await;
        let reader = mirror.reader();
        server.tell(NAMESPACES, "DELETED", namespace("default"), 1);
        server.tell(NAMESPACES, "ADDED", namespace("other"), 1);
        server.tell(SERVICES, "ADDED", headless("gone"), 4);
        server.tell(SLICES, "ADDED", slice("kubia", "10.0.0.2"), 2);
        server.apply(NAMESPACES, namespace("new"));
        server.apply(SERVICES, headless("new"));
        server.apply(SLICES, slice("new", "10.0.0.7"));
        eventually("all events have come", || {
            has(&reader, "new") && has_address(&reader, "10.0.0.7") && reader.has_namespace(b"new")
        })
        .await;
        assert!(reader.has_namespace(b"default") && !reader.has_namespace(b"other"));
        assert!(!has(&reader, "gone") && has_address(&reader, "10.0.0.1") && !has_address(&reader, "10.0.0.2"));
        assert_eq!(relists(&mirror), 0);
    }
}

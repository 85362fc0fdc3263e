//! A place in the stream of changes that is lost.

use rollcall_testing::api_server::{Fault, Verb};

use super::guard::Guard;
use super::{
    SERVICES, SLICES, eventually, has, has_address, headless, is_synced, options, paged, relists, server, slice, start,
    synced,
};

/// Breaks the watches once with this fault, while a Service goes and another comes unseen.
async fn lists_again_after(fault: Fault) {
    let server = server().await;
    server.apply(SERVICES, headless("old"));
    let mirror = synced(&paged(server.url())).await;
    let reader = mirror.reader();
    let guard = Guard::on(reader.clone());
    // The watch that runs is ended by its own time; the next one meets the fault.
    server.fault(Verb::Watch, SERVICES, fault, 1);
    eventually("Services are listed again", || server.seen(Verb::List, SERVICES).len() == 2).await;
    server.delete(SERVICES, "default", "old");
    server.apply(SERVICES, headless("new"));
    eventually("the watch goes on", || has(&reader, "new") && !has(&reader, "old")).await;
    assert_eq!(relists(&mirror), 1);
    assert_eq!(server.seen(Verb::List, SLICES).len(), 1, "other kinds are not listed again");
    guard.held();
}

#[tokio::test]
async fn status_410_is_listed_again() {
    lists_again_after(Fault::Status {
        code: 410,
        reason: "Expired",
        message: "too old resource version",
        retry_after: None,
    })
    .await;
}

#[tokio::test]
async fn a_410_in_the_stream_is_listed_again() {
    lists_again_after(Fault::ErrorEvent { code: 410, reason: "Expired", message: "too old resource version" }).await;
}

#[tokio::test]
async fn a_version_that_the_server_has_not_reached_is_listed_again() {
    lists_again_after(Fault::Status {
        code: 504,
        reason: "Timeout",
        message: "Too large resource version: 9000, current: 12",
        retry_after: None,
    })
    .await;
}

#[tokio::test]
async fn a_watch_that_is_refused_for_good_is_listed_again() {
    lists_again_after(Fault::Status { code: 400, reason: "BadRequest", message: "no", retry_after: None }).await;
}

#[tokio::test]
async fn an_event_beyond_the_cap_is_listed_again() {
    let body = vec![0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    lists_again_after(Fault::Body("application/vnd.kubernetes.protobuf;stream=watch", body)).await;
}

#[tokio::test]
async fn a_frame_that_is_no_event_is_listed_again() {
    lists_again_after(Fault::Body("application/vnd.kubernetes.protobuf;stream=watch", vec![0, 0, 0, 2, 0xff, 0xff]))
        .await;
    lists_again_after(Fault::Body("application/json", b"{\"type\": 5\n".to_vec())).await;
}

#[tokio::test]
async fn changes_that_no_watch_told_of_are_found_by_the_next_list() {
    for whole_lists in [true, false] {
        let server = server().await;
        server.apply(SERVICES, headless("old"));
        server.apply(SLICES, slice("old", "10.0.0.9"));
        let mut settings = options(server.url());
        settings.timing.whole_lists = whole_lists;
        let mirror = synced(&settings).await;
        let reader = mirror.reader();
        let guard = Guard::on(reader.clone());
        // Away while the server forgets what happened: no watch can tell of the deletion.
        let stopped = server.stop();
        let server = stopped.changed(|server| {
            server.delete(SERVICES, "default", "old");
            server.delete(SLICES, "default", "old-abc");
            server.apply(SERVICES, headless("new"));
            server.compact();
        });
        let server = server.again().await;
        eventually("the difference is applied", || {
            has(&reader, "new") && !has(&reader, "old") && !has_address(&reader, "10.0.0.9")
        })
        .await;
        assert!(relists(&mirror) >= 1);
        guard.held();
        drop(server);
    }
}

#[tokio::test]
async fn a_server_that_went_back_in_time_is_listed_again() {
    let server = server().await;
    server.apply(SERVICES, headless("old"));
    let mirror = synced(&options(server.url())).await;
    let reader = mirror.reader();
    let guard = Guard::on(reader.clone());
    // A restored etcd: other objects, and versions that are long past for us.
    let stopped = server.stop().changed(|server| {
        server.delete(SERVICES, "default", "old");
        server.go_back(3);
        server.apply(SERVICES, headless("restored"));
    });
    let server = stopped.again().await;
    eventually("the restored state is seen", || has(&reader, "restored") && !has(&reader, "old")).await;
    server.apply(SERVICES, headless("new"));
    eventually("and what changes from then on", || has(&reader, "new")).await;
    guard.held();
}

#[tokio::test]
async fn an_expired_continue_token_starts_the_list_again() {
    let server = server().await;
    server.set_max_page(2);
    for index in 0..6 {
        server.apply(SERVICES, headless(&format!("many-{index}")));
    }
    let expired =
        Fault::Status { code: 410, reason: "Expired", message: "the continue token is too old", retry_after: None };
    let mirror = start(&paged(server.url()));
    // The first page passes, the second is refused: a fault for each request in turn.
    server.fault(Verb::List, SERVICES, Fault::Gzip, 1);
    server.fault(Verb::List, SERVICES, expired, 1);
    is_synced(&mirror).await;
    let reader = mirror.reader();
    assert!((0..6).all(|index| has(&reader, &format!("many-{index}"))));
    let seen = server.seen(Verb::List, SERVICES);
    let firsts = seen.iter().filter(|seen| !seen.query.contains("continue=")).count();
    assert_eq!((firsts, seen.len()), (2, 6));
}

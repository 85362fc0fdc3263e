//! Lists and watches as they go when nothing is wrong.

use std::time::Duration;

use rollcall_testing::api_server::{Fault, Seen, Verb};
use serde_json::json;

use super::{
    NAMESPACES, SERVICES, SLICES, eventually, has, has_address, headless, is_synced, namespace, options, paged,
    relists, server, slice, start, synced,
};

async fn follows_the_cluster(protobuf: bool, whole_lists: bool) {
    let server = server().await;
    server.set_protobuf(protobuf);
    let mut settings = options(server.url());
    settings.timing.whole_lists = whole_lists;
    let mirror = synced(&settings).await;
    let reader = mirror.reader();
    assert!(has(&reader, "kubia") && has_address(&reader, "10.0.0.1") && reader.has_namespace(b"default"));
    server.apply(SERVICES, headless("new"));
    eventually("a new Service is seen", || has(&reader, "new")).await;
    server.apply(SLICES, slice("new", "10.0.0.2"));
    eventually("its endpoint is seen", || has_address(&reader, "10.0.0.2")).await;
    server.apply(SLICES, slice("new", "10.0.0.3"));
    eventually("its endpoint moves", || has_address(&reader, "10.0.0.3") && !has_address(&reader, "10.0.0.2")).await;
    server.delete(SERVICES, "default", "new");
    eventually("a deleted Service goes", || !has(&reader, "new")).await;
    server.apply(NAMESPACES, namespace("other"));
    eventually("a namespace is seen", || reader.has_namespace(b"other")).await;
    assert_eq!(relists(&mirror), 0);
    let limited = server.seen(Verb::List, SERVICES).iter().filter(|seen| seen.query.contains("limit=")).count();
    assert_eq!(
        limited,
        usize::from(!(whole_lists && protobuf)),
        "what has to be held until it is whole comes in pages"
    );
}

#[tokio::test]
async fn whole_lists_in_protobuf_are_followed() {
    follows_the_cluster(true, true).await;
}

#[tokio::test]
async fn lists_that_come_in_json_are_asked_for_again_in_pages() {
    follows_the_cluster(false, true).await;
}

#[tokio::test]
async fn lists_in_pages_in_protobuf_are_followed() {
    follows_the_cluster(true, false).await;
}

#[tokio::test]
async fn lists_in_pages_in_json_are_followed() {
    follows_the_cluster(false, false).await;
}

#[tokio::test]
async fn only_the_first_list_may_be_older_than_the_last_write() {
    let server = server().await;
    let mirror = synced(&options(server.url())).await;
    assert_eq!(server.seen(Verb::List, SERVICES)[0].query, "resourceVersion=0");
    let expired = Fault::Status { code: 410, reason: "Expired", message: "too old", retry_after: None };
    server.fault(Verb::Watch, SERVICES, expired, 1);
    eventually("Services are listed again", || server.seen(Verb::List, SERVICES).len() == 2).await;
    assert_eq!(server.seen(Verb::List, SERVICES)[1].query, "");
    drop(mirror);
}

#[tokio::test]
async fn a_list_that_fails_in_one_way_is_asked_for_in_the_other() {
    let out_of_time = Fault::Status { code: 504, reason: "Timeout", message: "not in time", retry_after: None };
    let refusal = Fault::Status { code: 400, reason: "BadRequest", message: "too much", retry_after: None };
    for fault in [out_of_time, refusal, Fault::Stall, Fault::StallBody(40)] {
        let server = server().await;
        server.fault(Verb::List, SERVICES, fault.clone(), 2);
        let mut settings = options(server.url());
        settings.timing.list_idle = Duration::from_millis(300);
        drop(synced(&settings).await);
        let seen = server.seen(Verb::List, SERVICES);
        let limited: Vec<bool> = seen.iter().map(|seen| seen.query.contains("limit=")).take(3).collect();
        assert_eq!(limited, [false, true, false], "{fault:?}");
    }
}

#[tokio::test]
async fn a_whole_list_of_many_chunks_is_applied_as_it_comes() {
    let server = server().await;
    for index in 0..3000 {
        server.apply(SERVICES, headless(&format!("many-{index}")));
    }
    let mirror = synced(&options(server.url())).await;
    assert!((0..3000).all(|index| has(&mirror.reader(), &format!("many-{index}"))));
    assert_eq!(server.seen(Verb::List, SERVICES).len(), 1);
}

#[tokio::test]
async fn all_pages_of_a_list_are_read() {
    let server = server().await;
    server.set_max_page(7);
    for index in 0..40 {
        server.apply(SERVICES, headless(&format!("many-{index}")));
    }
    let mirror = synced(&paged(server.url())).await;
    let reader = mirror.reader();
    assert!((0..40).all(|index| has(&reader, &format!("many-{index}"))));
    assert_eq!(server.seen(Verb::List, SERVICES).len(), 6);
}

#[tokio::test]
async fn watches_resume_where_they_ended() {
    let server = server().await;
    let mirror = synced(&paged(server.url())).await;
    let version = server.apply(SERVICES, headless("late"));
    eventually("the change is seen", || has(&mirror.reader(), "late")).await;
    let from = |version: u64| move |seen: &Seen| seen.query.ends_with(&format!("resourceVersion={version}"));
    eventually("the next watch starts at the last change", || {
        server.seen(Verb::Watch, SERVICES).iter().any(from(version))
    })
    .await;
    assert_eq!(relists(&mirror), 0);
}

#[tokio::test]
async fn bookmarks_move_the_place_where_a_watch_resumes() {
    let server = server().await;
    server.set_bookmarks(Duration::from_millis(40));
    let mirror = synced(&paged(server.url())).await;
    // A change of another kind: Services hear of this version by bookmark only.
    let version = server.apply(NAMESPACES, namespace("other"));
    eventually("Services know the version", || {
        mirror
            .status()
            .iter()
            .any(|kind| kind.kind == rollcall::cluster::facts::Kind::Service && kind.version == version.to_string())
    })
    .await;
}

#[tokio::test]
async fn only_what_is_needed_is_asked_for() {
    let server = server().await;
    let mut kubia = headless("kubia");
    kubia["metadata"]["labels"] = json!({"app": "kubia"});
    server.apply(SERVICES, kubia);
    server.apply("pods", json!({"metadata": {"namespace": "default", "name": "p", "labels": {"app": "kubia"}}, "status": {"podIP": "10.0.0.1"}}));
    let mut settings = options(server.url());
    settings.labels = Some("app=kubia".to_owned());
    settings.namespace_labels = Some("team=a".to_owned());
    settings.pods = true;
    settings.no_endpoints = true;
    let mirror = synced(&settings).await;
    assert!(server.seen(Verb::List, SLICES).is_empty());
    for plural in [SERVICES, "pods"] {
        assert!(server.seen(Verb::List, plural)[0].query.contains("labelSelector=app%3Dkubia"), "{plural}");
    }
    assert!(server.seen(Verb::List, NAMESPACES)[0].query.contains("labelSelector=team%3Da"));
    assert!(has(&mirror.reader(), "kubia") && !mirror.reader().has_namespace(b"default"));
    let plain = synced(&options(server.url())).await;
    drop(plain);
    assert_eq!(server.seen(Verb::List, "pods").len(), 1, "pods are not for a mirror that does not verify them");
}

#[tokio::test]
async fn protobuf_is_asked_for_with_json_as_second_choice() {
    let server = server().await;
    drop(synced(&options(server.url())).await);
    for seen in server.all_seen() {
        let (first, rest) = seen.accept.split_once(',').unwrap();
        assert!(
            first.starts_with("application/vnd.kubernetes.protobuf") && rest.contains("application/json"),
            "{}",
            seen.accept
        );
    }
}

#[tokio::test]
async fn compressed_bodies_are_read() {
    for protobuf in [true, false] {
        let server = server().await;
        server.set_protobuf(protobuf);
        for plural in [SERVICES, SLICES, NAMESPACES] {
            server.fault(Verb::List, plural, Fault::Gzip, usize::MAX);
            server.fault(Verb::Watch, plural, Fault::Gzip, 1);
        }
        // The compressed watch comes whole when the server ends it, after a second.
        let mirror = synced(&paged(server.url())).await;
        server.apply(SERVICES, headless("new"));
        eventually("an event in a compressed watch is seen", || has(&mirror.reader(), "new")).await;
        assert_eq!(relists(&mirror), 0);
    }
}

#[tokio::test]
async fn a_continue_token_that_comes_again_ends_the_list() {
    for protobuf in [true, false] {
        let server = server().await;
        server.set_protobuf(protobuf);
        for index in 0..6 {
            server.apply(SERVICES, headless(&format!("many-{index}")));
        }
        server.set_max_page(2);
        server.repeat_tokens(true);
        let mirror = start(&paged(server.url()));
        eventually("the trouble is told", || {
            mirror.status().iter().any(|kind| kind.trouble.as_ref().is_some_and(|text| text.contains("comes again")))
        })
        .await;
        // Two pages and a wait for each try, not one page after the other for ever.
        let seen = server.seen(Verb::List, SERVICES);
        let firsts = seen.iter().filter(|seen| !seen.query.contains("continue=")).count();
        assert!(seen.len() <= 2 * firsts, "{} pages of {firsts} lists", seen.len());
        server.repeat_tokens(false);
        is_synced(&mirror).await;
        assert!((0..6).all(|index| has(&mirror.reader(), &format!("many-{index}"))));
    }
}

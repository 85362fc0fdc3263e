//! Lists and watches as they go when nothing is wrong.

use std::time::Duration;

use serde_json::json;

use super::api_server::{Fault, Seen, Verb};
use super::{
    NAMESPACES, SERVICES, SLICES, eventually, has, has_address, namespace, options, paged, relists, server, service,
    slice, synced,
};

async fn follows_the_cluster(protobuf: bool, watch_list: bool) {
    let server = server().await;
    server.set_protobuf(protobuf);
    server.set_watch_list(watch_list);
    let mirror = synced(&options(server.url())).await;
    let reader = mirror.reader();
    assert!(has(&reader, "kubia") && has_address(&reader, "10.0.0.1") && reader.has_namespace(b"default"));
    server.apply(SERVICES, service("new"));
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
    let paged = server.seen(Verb::List, SERVICES).len();
    assert_eq!(paged, usize::from(!watch_list), "lists in pages are only for servers that refuse streams");
}

#[tokio::test]
async fn streamed_lists_in_protobuf_are_followed() {
    follows_the_cluster(true, true).await;
}

#[tokio::test]
async fn streamed_lists_in_json_are_followed() {
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
async fn a_server_that_ignores_streamed_lists_is_asked_for_pages() {
    let server = server().await;
    server.set_bookmarks(Duration::from_millis(50));
    for plural in [SERVICES, SLICES, NAMESPACES] {
        server.fault(Verb::Stream, plural, Fault::Ignorant, usize::MAX);
    }
    let mirror = synced(&options(server.url())).await;
    assert!(has(&mirror.reader(), "kubia"));
    assert_eq!(server.seen(Verb::List, SERVICES).len(), 1);
}

#[tokio::test]
async fn all_pages_of_a_list_are_read() {
    let server = server().await;
    server.set_max_page(7);
    for index in 0..40 {
        server.apply(SERVICES, service(&format!("many-{index}")));
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
    let version = server.apply(SERVICES, service("late"));
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
    server.apply("pods", json!({"metadata": {"namespace": "default", "name": "p", "labels": {"app": "kubia"}}, "status": {"podIP": "10.0.0.1"}}));
    let mut settings = options(server.url());
    settings.labels = Some("app=kubia".to_owned());
    settings.namespace_labels = Some("team=a".to_owned());
    settings.pods = true;
    settings.no_endpoints = true;
    let mirror = synced(&settings).await;
    assert!(server.seen(Verb::Stream, SLICES).is_empty() && server.seen(Verb::List, SLICES).is_empty());
    for plural in [SERVICES, "pods"] {
        assert!(server.seen(Verb::Stream, plural)[0].query.contains("labelSelector=app%3Dkubia"), "{plural}");
    }
    assert!(server.seen(Verb::Stream, NAMESPACES)[0].query.contains("labelSelector=team%3Da"));
    assert!(has(&mirror.reader(), "kubia") && !mirror.reader().has_namespace(b"default"));
    let plain = synced(&options(server.url())).await;
    drop(plain);
    assert_eq!(server.seen(Verb::Stream, "pods").len(), 1, "pods are not for a mirror that does not verify them");
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
        let mut settings = paged(server.url());
        // The compressed watch comes whole when the server ends it, after a second.
        settings.timing.watch_grace = Duration::from_secs(2);
        let mirror = synced(&settings).await;
        server.apply(SERVICES, service("new"));
        eventually("an event in a compressed watch is seen", || has(&mirror.reader(), "new")).await;
        assert_eq!(relists(&mirror), 0);
    }
}

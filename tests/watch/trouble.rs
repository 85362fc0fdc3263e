//! A server in trouble.

use std::time::{Duration, Instant};

use rollcall::cluster::Timing;
use rollcall_testing::api_server::{Fault, Stopped, Verb};

use super::guard::Guard;
use super::{
    SERVICES, SLICES, eventually, fill, has, has_address, headless, is_synced, options, paged, relists, server, start,
    synced,
};

#[tokio::test]
async fn retry_after_is_waited_for() {
    let server = server().await;
    let busy = Fault::Status {
        code: 429,
        reason: "TooManyRequests",
        message: "storage is (re)initializing",
        retry_after: Some(1),
    };
    server.fault(Verb::List, SERVICES, busy, 1);
    let mirror = synced(&options(server.url())).await;
    let seen = server.seen(Verb::List, SERVICES);
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(1));
    assert!(seen.iter().all(|seen| !seen.query.contains("limit=")), "a busy server is not one that needs pages");
    assert!(mirror.status().iter().all(|kind| kind.trouble.is_none()));
}

#[tokio::test]
async fn a_broken_server_is_asked_until_it_is_well() {
    let server = server().await;
    let broken = Fault::Status { code: 500, reason: "InternalError", message: "etcd is away", retry_after: None };
    server.fault(Verb::List, SERVICES, broken, usize::MAX);
    let mirror = start(&options(server.url()));
    eventually("the trouble is told", || {
        mirror.status().iter().any(|kind| kind.trouble.as_ref().is_some_and(|text| text.contains("etcd is away")))
    })
    .await;
    eventually("it is asked again", || server.seen(Verb::List, SERVICES).len() > 8).await;
    assert!(!mirror.reader().is_synced());
    server.clear_faults();
    is_synced(&mirror).await;
}

#[tokio::test]
async fn a_list_that_hangs_is_given_up() {
    for fault in [Fault::Stall, Fault::StallBody(10)] {
        for whole_lists in [true, false] {
            let server = server().await;
            server.fault(Verb::List, SERVICES, fault.clone(), 1);
            let mut settings = options(server.url());
            settings.timing.whole_lists = whole_lists;
            settings.timing.list_idle = Duration::from_millis(300);
            let started = Instant::now();
            let mirror = synced(&settings).await;
            assert!(started.elapsed() >= settings.timing.list_idle);
            assert!(has(&mirror.reader(), "kubia"));
        }
    }
}

#[tokio::test]
async fn a_list_that_breaks_off_is_started_again() {
    for whole_lists in [true, false] {
        let server = server().await;
        server.fault(Verb::List, SERVICES, Fault::CutBody(25), 2);
        let mut settings = options(server.url());
        settings.timing.whole_lists = whole_lists;
        let mirror = synced(&settings).await;
        assert!(has(&mirror.reader(), "kubia"));
    }
}

#[tokio::test]
async fn a_watch_that_closes_at_once_is_not_started_in_a_loop() {
    let server = server().await;
    let mirror = synced(&paged(server.url())).await;
    server.fault(Verb::Watch, SERVICES, Fault::Close, usize::MAX);
    let before = server.seen(Verb::Watch, SERVICES).len();
    eventually("the watch meets the fault", || server.seen(Verb::Watch, SERVICES).len() > before + 10).await;
    let seen = server.seen(Verb::Watch, SERVICES);
    let took = seen[before + 10].at - seen[before].at;
    assert!(took >= Duration::from_millis(10 * 15), "10 starts in {took:?}, with 20 ms as the least interval");
    assert_eq!(relists(&mirror), 0);
    assert!(has(&mirror.reader(), "kubia"));
    server.clear_faults();
    server.apply(SERVICES, headless("new"));
    eventually("it recovers", || has(&mirror.reader(), "new")).await;
    eventually("the trouble is over", || mirror.status().iter().all(|kind| kind.trouble.is_none())).await;
}

#[tokio::test]
async fn a_watch_that_nobody_serves_is_noticed() {
    let server = server().await;
    server.fault(Verb::Watch, SERVICES, Fault::StallBody(0), 1);
    let mut settings = paged(server.url());
    settings.timing.watch_grace = Duration::from_millis(300);
    let mirror = synced(&settings).await;
    server.apply(SERVICES, headless("new"));
    eventually("the change is seen by another watch", || has(&mirror.reader(), "new")).await;
    assert_eq!(relists(&mirror), 0, "it resumes");
}

#[test]
fn by_default_silence_is_noticed_in_seconds_and_a_watch_that_nobody_serves_in_a_minute() {
    let timing = Timing::default();
    assert!(timing.silence * 2 + timing.backoff_min <= Duration::from_secs(4));
    assert!(timing.watch_max + timing.watch_grace <= Duration::from_secs(60));
    assert!(timing.list_idle <= Duration::from_secs(20));
}

#[tokio::test]
async fn a_connection_that_breaks_in_an_event_loses_none() {
    for at in [1, 3, 20, 60, 100] {
        let server = server().await;
        server.fault(Verb::Watch, SERVICES, Fault::CutBody(at), 1);
        let mirror = synced(&paged(server.url())).await;
        for name in ["a", "b", "c"] {
            server.apply(SERVICES, headless(name));
        }
        eventually("all are seen", || ["a", "b", "c"].iter().all(|name| has(&mirror.reader(), name))).await;
        assert_eq!(relists(&mirror), 0, "it resumes");
    }
}

#[tokio::test]
async fn a_forbidden_kind_is_asked_for_until_it_is_granted() {
    let server = server().await;
    let forbidden = Fault::Status {
        code: 403,
        reason: "Forbidden",
        message: "cannot list resource \"endpointslices\"",
        retry_after: None,
    };
    server.fault(Verb::List, SLICES, forbidden, usize::MAX);
    let mirror = start(&options(server.url()));
    eventually("the other kinds are in", || has(&mirror.reader(), "kubia")).await;
    eventually("the trouble is told", || mirror.status().iter().any(|kind| !kind.synced && kind.trouble.is_some()))
        .await;
    assert!(!mirror.is_synced(), "without one of its kinds the zone is not whole");
    server.clear_faults();
    is_synced(&mirror).await;
    assert!(has_address(&mirror.reader(), "10.0.0.1"));
    let asked = server.seen(Verb::List, SLICES);
    assert!(asked.iter().all(|seen| !seen.query.contains("limit=")), "a refusal of the right is not one of the way");
}

#[tokio::test]
async fn refused_credentials_are_tried_again() {
    let server = server().await;
    let unauthorized = Fault::Status { code: 401, reason: "Unauthorized", message: "Unauthorized", retry_after: None };
    server.fault(Verb::List, SERVICES, unauthorized, 3);
    let mirror = synced(&options(server.url())).await;
    assert!(has(&mirror.reader(), "kubia"));
}

#[tokio::test]
async fn a_page_that_is_no_answer_of_an_api_server_is_not_taken_for_one() {
    let server = server().await;
    server.fault(Verb::List, SERVICES, Fault::Body("text/html", b"<html>log in</html>".to_vec()), 2);
    let mirror = start(&options(server.url()));
    eventually("the trouble is told", || {
        mirror.status().iter().any(|kind| kind.trouble.as_ref().is_some_and(|text| text.contains("text/html")))
    })
    .await;
    assert!(!mirror.is_synced());
    is_synced(&mirror).await;
    assert!(has(&mirror.reader(), "kubia"));
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_waited_for() {
    let stopped = Stopped::new().await;
    let mirror = start(&options(stopped.url()));
    eventually("the trouble is told", || mirror.status().iter().all(|kind| kind.trouble.is_some() && !kind.synced))
        .await;
    assert!(!mirror.is_synced() && !mirror.reader().is_synced());
    let server = stopped.again().await;
    fill(&server);
    is_synced(&mirror).await;
    eventually("its names are there", || has(&mirror.reader(), "kubia")).await;
}

#[tokio::test]
async fn an_outage_changes_no_answer() {
    let server = server().await;
    let mirror = synced(&options(server.url())).await;
    let guard = Guard::on(mirror.reader());
    let stopped = server.stop();
    eventually("the outage is noticed", || mirror.status().iter().all(|kind| kind.trouble.is_some())).await;
    assert!(mirror.is_synced() && mirror.reader().is_synced());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(mirror.status().iter().all(|kind| kind.age.unwrap() >= Duration::from_millis(300)), "the age grows");
    let server = stopped.again().await;
    server.apply(SERVICES, headless("new"));
    eventually("it goes on", || has(&mirror.reader(), "new")).await;
    eventually("the trouble is over", || mirror.status().iter().all(|kind| kind.trouble.is_none())).await;
    assert_eq!(relists(&mirror), 0, "no list was needed");
    guard.held();
}

//! Outages end when they end: the way to the server breaks, or the server does not want us, and then all is well again.

use std::path::Path;
use std::time::Duration;

use rollcall::cluster::{Connection, Mirror, Options, Timing};
use rollcall_testing::api_server::{ApiServer, Fault, Verb};
use rollcall_testing::tls;

use super::guard::Guard;
use super::{
    NAMESPACES, SERVICES, SLICES, eventually, fill, has, has_address, headless, is_synced, options, relists, server,
    slice, start, synced, timing,
};

const KINDS: [&str; 3] = [SERVICES, SLICES, NAMESPACES];

fn refusal(code: u16, reason: &'static str, retry_after: Option<u64>) -> Fault {
    Fault::Status { code, reason, message: "not now", retry_after }
}

/// As the real ones are: the waits are what is tried here.
fn patient(url: String) -> Options {
    Options { timing: Timing::default(), ..options(url) }
}

/// The outage has lasted until the waits of every kind have grown as far as they do.
async fn waits_are_long(server: &ApiServer) {
    let before: Vec<usize> = KINDS.iter().map(|plural| asked(server, plural)).collect();
    eventually("each kind has asked in vain several times", || {
        KINDS.iter().zip(&before).all(|(plural, before)| asked(server, plural) >= before + 6)
    })
    .await;
}

fn asked(server: &ApiServer, plural: &str) -> usize {
    server.seen(Verb::List, plural).len() + server.seen(Verb::Watch, plural).len()
}

/// What changed meanwhile is there a second later; a busy machine gets some more.
async fn the_truth_is_there(server: &ApiServer, mirror: &Mirror) {
    let back = std::time::Instant::now();
    server.apply(SERVICES, headless("new"));
    server.apply(SLICES, slice("new", "10.0.0.2"));
    eventually("the truth is there", || has(&mirror.reader(), "new") && has_address(&mirror.reader(), "10.0.0.2"))
        .await;
    let took = back.elapsed();
    assert!(took < Duration::from_secs(6), "a second was due, not {took:?}");
    eventually("the trouble is over", || mirror.status().iter().all(|kind| kind.trouble.is_none())).await;
}

#[tokio::test]
async fn refusals_of_each_sort_end_when_they_end() {
    for fault in [
        refusal(401, "Unauthorized", None),
        refusal(403, "Forbidden", None),
        refusal(410, "Expired", None),
        refusal(429, "TooManyRequests", Some(1)),
        refusal(500, "InternalError", None),
        refusal(503, "ServiceUnavailable", Some(86_400)),
    ] {
        let server = server().await;
        let mirror = synced(&patient(server.url())).await;
        let guard = Guard::on(mirror.reader());
        for plural in KINDS {
            server.fault(Verb::List, plural, fault.clone(), usize::MAX);
            server.fault(Verb::Watch, plural, fault.clone(), usize::MAX);
        }
        let begun = std::time::Instant::now();
        let before = server.all_seen().len();
        server.cut();
        waits_are_long(&server).await;
        // What counts is how it goes on, not how it begins.
        tokio::time::sleep(Duration::from_secs(3).saturating_sub(begun.elapsed())).await;
        let rate = (server.all_seen().len() - before) as f64 / begun.elapsed().as_secs_f64();
        assert!(rate <= 15.0, "{rate:.1} requests a second");
        server.clear_faults();
        the_truth_is_there(&server, &mirror).await;
        guard.held();
    }
}

#[tokio::test]
async fn a_server_that_is_killed_is_found_again() {
    let server = server().await;
    let mirror = synced(&patient(server.url())).await;
    let guard = Guard::on(mirror.reader());
    let stopped = server.stop();
    eventually("the outage is noticed", || mirror.status().iter().all(|kind| kind.trouble.is_some())).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    // It forgets what was, as one does that is started anew.
    let server = stopped.changed(ApiServer::compact).again().await;
    the_truth_is_there(&server, &mirror).await;
    guard.held();
}

#[tokio::test]
async fn one_trouble_after_another_ends_with_the_last() {
    let server = server().await;
    let mirror = synced(&patient(server.url())).await;
    let guard = Guard::on(mirror.reader());
    let server = server.stop();
    eventually("the outage is noticed", || mirror.status().iter().all(|kind| kind.trouble.is_some())).await;
    let server = server.changed(ApiServer::compact);
    let server = server.again().await;
    // It is there, does not know us yet, is busy, and then has forgotten what we know.
    for fault in [refusal(403, "Forbidden", None), refusal(429, "TooManyRequests", Some(1)), refusal(500, "", None)] {
        for plural in KINDS {
            server.fault(Verb::List, plural, fault.clone(), 2);
            server.fault(Verb::Watch, plural, fault.clone(), 2);
        }
    }
    eventually("all that is over", || mirror.status().iter().all(|kind| kind.trouble.is_none())).await;
    the_truth_is_there(&server, &mirror).await;
    guard.held();
}

#[tokio::test]
async fn a_first_410_is_listed_at_once_whatever_was_before() {
    let server = server().await;
    let mut settings = options(server.url());
    // Whoever waits, waits long.
    (settings.timing.backoff_min, settings.timing.backoff_max) = (Duration::from_secs(600), Duration::from_secs(600));
    let mirror = synced(&settings).await;
    server.fault(Verb::Watch, SERVICES, refusal(410, "Expired", None), 1);
    eventually("Services are listed again", || server.seen(Verb::List, SERVICES).len() == 2).await;
    server.apply(SERVICES, headless("new"));
    eventually("and watched", || has(&mirror.reader(), "new")).await;
}

#[tokio::test]
async fn connections_that_are_reset_all_the_time_lose_nothing() {
    let server = server().await;
    let mut settings = options(server.url());
    settings.timing.watch_min = Duration::from_secs(30);
    let mirror = synced(&settings).await;
    let guard = Guard::on(mirror.reader());
    for index in 0..20 {
        server.cut();
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.apply(SERVICES, headless(&format!("new-{index}")));
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    eventually("all is seen", || (0..20).all(|index| has(&mirror.reader(), &format!("new-{index}")))).await;
    assert_eq!(relists(&mirror), 0, "each watch resumes");
    guard.held();
}

#[tokio::test]
async fn a_connection_that_is_accepted_and_never_served_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut settings = options(format!("http://{address}"));
    settings.timing.list_idle = Duration::from_millis(300);
    let mirror = start(&settings);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(listener.accept().await.unwrap());
    }
    eventually("the trouble is told", || mirror.status().iter().any(|kind| kind.trouble.is_some())).await;
    drop(listener);
    let server = ApiServer::start_at_address(address).await;
    fill(&server);
    is_synced(&mirror).await;
    drop(held);
}

//----------- TLS -------------------------------------------------------------

fn certificate() -> tls::Certificate {
    tls::certificate_for(&["127.0.0.1", "localhost"])
}

/// A kubeconfig whose token and CA are files of this folder.
fn kubeconfig(folder: &Path, server: &ApiServer) -> Options {
    let file = folder.join("config");
    let url = server.url().replace("http://", "https://");
    let (ca, token) = (folder.join("ca.crt"), folder.join("token"));
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: \"{url}\", certificate-authority: \"{}\"}}}}]\n\
         users: [{{name: u, user: {{tokenFile: \"{}\"}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n",
        ca.display(),
        token.display()
    );
    std::fs::write(&file, text).unwrap();
    let connection = Connection::Kubeconfig { file, context: None };
    let timing = Timing { watch_min: Duration::from_secs(60), ..timing() };
    Options { connection, timing, ..Options::default() }
}

/// A server with TLS, and a mirror of it whose credentials are in this folder.
async fn encrypted(folder: &Path) -> (ApiServer, Options) {
    let server = server().await;
    let made = certificate();
    server.certify(&made);
    server.require("token-a");
    std::fs::write(folder.join("ca.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("token"), "token-a").unwrap();
    let options = kubeconfig(folder, &server);
    (server, options)
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut settings) = encrypted(folder.path()).await;
    settings.timing.silence = Duration::from_millis(500);
    let mirror = synced(&settings).await;
    assert!(server.http2() > 0, "HTTP/2 is spoken, for its pings");
    let guard = Guard::on(mirror.reader());
    for name in ["one", "two"] {
        // The watches are to last for a minute: it is not their end that is waited for.
        server.freeze();
        server.apply(SERVICES, headless(name));
        eventually("the change is seen over a new connection", || has(&mirror.reader(), name)).await;
    }
    assert_eq!(relists(&mirror), 0, "it resumes");
    guard.held();
}

#[tokio::test]
async fn a_token_that_is_replaced_late_is_used_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (server, settings) = encrypted(folder.path()).await;
    let mirror = synced(&settings).await;
    let guard = Guard::on(mirror.reader());
    server.require("token-b");
    server.cut();
    server.apply(SERVICES, headless("new"));
    eventually("the old one is refused", || {
        mirror.status().iter().any(|kind| kind.trouble.as_ref().is_some_and(|text| text.contains("401")))
    })
    .await;
    std::fs::write(folder.path().join("token"), "token-b").unwrap();
    eventually("the new one is used", || has(&mirror.reader(), "new")).await;
    guard.held();
}

#[tokio::test]
async fn a_ca_that_is_replaced_late_is_used_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (server, settings) = encrypted(folder.path()).await;
    let mirror = synced(&settings).await;
    let guard = Guard::on(mirror.reader());
    let made = certificate();
    server.certify(&made);
    server.cut();
    server.apply(SERVICES, headless("new"));
    eventually("the new certificate is not trusted", || {
        mirror.status().iter().any(|kind| kind.trouble.as_ref().is_some_and(|text| text.contains("certificate")))
    })
    .await;
    std::fs::write(folder.path().join("ca.crt"), made.cert.pem()).unwrap();
    eventually("the new CA is used", || has(&mirror.reader(), "new")).await;
    guard.held();
}

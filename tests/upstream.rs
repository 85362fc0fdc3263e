//! Upstreams that behave badly: what a client is told, how soon, and how often they are asked.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rollcall::upstream::{
    Check, Connections, Error, Group, GroupSettings, Policy, Trouble, Upstream, UpstreamAddress, UpstreamAnswer, Way,
    client_config,
};
use rollcall::wire::Rcode;
use rollcall_testing::queries::{self, name};
use rollcall_testing::resolver::{Act, Asked, Resolver, answer, empty};
use rollcall_testing::tls;

const NAME: &str = "wWw.example.org";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn query(id: u16, name: &str) -> Vec<u8> {
    queries::query(id, name, queries::A)
}

fn endpoint(resolver: &Resolver) -> UpstreamAddress {
    UpstreamAddress { address: resolver.address, way: Way::Plain, server_name: None }
}

fn group(resolvers: &[&Resolver], change: impl FnOnce(&mut GroupSettings)) -> Arc<Group> {
    let mut settings = GroupSettings::default();
    change(&mut settings);
    let upstreams = resolvers
        .iter()
        .map(|one| Arc::new(Upstream::new(endpoint(one), None, settings.connections, None).unwrap()))
        .collect();
    Arc::new(Group::new(upstreams, settings))
}

async fn ask(group: &Arc<Group>, name: &str) -> Result<UpstreamAnswer, Error> {
    group.ask(&query(0x1234, name), false, HERE).await
}

fn good(asked: &Asked) -> Vec<Act> {
    vec![Act::Send(answer(&asked.octets, 0, 1))]
}

#[tokio::test]
async fn an_answer_comes_back_with_the_clients_id_and_spelling() {
    let resolver = Resolver::start(good).await;
    let group = group(&[&resolver], |_| {});
    let answered = ask(&group, NAME).await.unwrap();
    assert_eq!(answered.octets, answer(&query(0x1234, NAME), 0, 1));
    assert_eq!(*answered.upstream, resolver.address.to_string());
}

#[tokio::test]
async fn ids_and_case_differ_from_query_to_query() {
    let resolver = Resolver::start(good).await;
    let group = group(&[&resolver], |_| {});
    for _ in 0..32 {
        ask(&group, "a-long-name-with-many-letters.example.org").await.unwrap();
    }
    let asked = resolver.asked.lock().unwrap();
    let ids: HashSet<&[u8]> = asked.iter().map(|one| &one.octets[..2]).collect();
    let spellings: HashSet<&[u8]> = asked.iter().map(|one| &one.octets[12..]).collect();
    assert!(ids.len() >= 31 && spellings.len() >= 31, "{} ids, {} spellings", ids.len(), spellings.len());
}

#[tokio::test]
async fn wrong_answers_are_dropped_and_the_true_one_is_waited_for() {
    let resolver = Resolver::start(|asked| {
        let mut wrong_id = answer(&asked.octets, 0, 66);
        wrong_id[0] ^= 0xff;
        let mut wrong_question = answer(&asked.octets, 0, 66);
        wrong_question[13] ^= 1;
        let mut wrong_case = answer(&asked.octets, 0, 66);
        wrong_case[13] ^= 0x20;
        let mut malformed = answer(&asked.octets, 0, 66);
        malformed.truncate(malformed.len() - 1);
        let mut no_question = empty(&asked.octets, 2)[..12].to_vec();
        no_question[5] = 0;
        vec![
            Act::SendFromElsewhere(answer(&asked.octets, 0, 66)),
            Act::Send(wrong_id),
            Act::Send(wrong_question),
            Act::Send(wrong_case),
            Act::Send(malformed),
            Act::Send(no_question),
            Act::Send(vec![0; 5]),
            Act::Wait(Duration::from_millis(50)),
            Act::Send(answer(&asked.octets, 0, 1)),
        ]
    })
    .await;
    let group = group(&[&resolver], |_| {});
    assert_eq!(ask(&group, NAME).await.unwrap().octets, answer(&query(0x1234, NAME), 0, 1));
    assert_eq!(resolver.count(), 1);
}

#[tokio::test]
async fn a_resolver_that_loses_the_case_is_asked_over_tcp_and_then_as_spelled() {
    let resolver = Resolver::start(|asked| {
        let mut reply = answer(&asked.octets, 0, 1);
        reply[12..].make_ascii_lowercase();
        vec![Act::Send(reply)]
    })
    .await;
    let group = group(&[&resolver], |_| {});
    for _ in 0..3 {
        let answered = ask(&group, NAME).await.unwrap();
        assert_eq!(answered.octets, answer(&query(0x1234, NAME), 0, 1));
    }
    let before = resolver.count();
    ask(&group, "www.example.org").await.unwrap();
    let asked = resolver.asked.lock().unwrap();
    assert!(!asked.last().unwrap().stream && asked.len() == before + 1, "over UDP at once");
}

#[tokio::test]
async fn a_resolver_that_loses_the_case_and_has_no_tcp_is_asked_over_udp_again() {
    for tcp in [Act::Reset, Act::Wait(Duration::from_secs(30))] {
        let resolver = Resolver::start(move |asked| {
            if asked.stream {
                return vec![tcp.clone()];
            }
            let mut reply = answer(&asked.octets, 0, 1);
            let end = reply.len() - 20;
            reply[12..end].make_ascii_lowercase();
            vec![Act::Send(reply)]
        })
        .await;
        let group = group(&[&resolver], |_| {});
        let answered = ask(&group, "Some-Long.name.example.org").await.unwrap();
        assert_eq!(answered.octets, answer(&query(0x1234, "Some-Long.name.example.org"), 0, 1));
        let before = resolver.count();
        ask(&group, "Another-Long.name.example.org").await.unwrap();
        let asked = resolver.asked.lock().unwrap();
        assert!(asked.len() == before + 1 && !asked.last().unwrap().stream, "as spelled, and remembered");
    }
}

/// What is behind it must be waited for.
fn doubtful(asked: &Asked) -> Vec<(&'static str, Vec<u8>)> {
    let good = answer(&asked.octets, 0, 66);
    let end = good.len() - 16;
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut octets = good.clone();
        change(&mut octets);
        octets
    };
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    vec![
        ("an owner that leads to itself", changed(&|octets| octets[end + 1] = u8::try_from(end).unwrap())),
        ("no question", changed(&|octets| octets[5] = 0)),
        ("two questions", changed(&|octets| octets[5] = 2)),
        ("another opcode", changed(&|octets| octets[2] |= 0x28)),
        (
            "two OPT records",
            changed(&|octets| {
                octets[11] = 2;
                octets.extend(opt.repeat(2));
            }),
        ),
        (
            "an address of three octets",
            changed(&|octets| {
                octets[end + 11] = 3;
                octets.pop();
            }),
        ),
        ("an IPv6 address of four octets", changed(&|octets| octets[end + 3] = 28)),
        ("a mail exchange of rubbish", changed(&|octets| octets[end + 3] = 15)),
    ]
}

#[tokio::test]
async fn a_malformed_answer_is_not_taken_and_the_true_one_behind_it_is() {
    let resolver = Resolver::start(|asked| {
        let mut acts: Vec<Act> = doubtful(asked).into_iter().map(|(_, octets)| Act::Send(octets)).collect();
        acts.extend([Act::Wait(Duration::from_millis(30)), Act::Send(answer(&asked.octets, 0, 1))]);
        acts
    })
    .await;
    let group = group(&[&resolver], |_| {});
    assert_eq!(ask(&group, NAME).await.unwrap().octets, answer(&query(0x1234, NAME), 0, 1));
    assert_eq!(resolver.count(), 1);
}

#[tokio::test]
async fn a_malformed_answer_over_a_connection_is_none() {
    let kinds = doubtful(&Asked { octets: query(1, NAME), stream: true, nth: 0, connection: 1 }).len();
    for kind in 0..kinds {
        let resolver = Resolver::start(move |asked| vec![Act::Send(doubtful(asked).swap_remove(kind).1)]).await;
        let group = group(&[&resolver], |settings| settings.force_tcp = true);
        let error = ask(&group, NAME).await.unwrap_err();
        assert_eq!(error.trouble, Trouble::Network, "{kind}: {error}");
    }
}

#[tokio::test]
async fn octets_behind_an_answer_are_taken_off() {
    for tcp in [false, true] {
        let resolver = Resolver::start(|asked| {
            let mut reply = answer(&asked.octets, 0x40, 1);
            reply.extend([0; 10]);
            vec![Act::Send(reply)]
        })
        .await;
        let group = group(&[&resolver], |settings| settings.force_tcp = tcp);
        assert_eq!(ask(&group, NAME).await.unwrap().octets, answer(&query(0x1234, NAME), 0, 1));
        assert_eq!(resolver.count(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_only_brings_answers_to_others_is_given_up() {
    let resolver = Resolver::start(|asked| {
        let mut other = answer(&asked.octets, 0, 66);
        other[0] ^= 0xff;
        other.resize(60_000, 0);
        vec![Act::Send(other); 100]
    })
    .await;
    let group = group(&[&resolver], |settings| {
        settings.force_tcp = true;
        settings.read_timeout = Duration::from_secs(60);
    });
    let error = ask(&group, NAME).await.unwrap_err();
    assert!(error.text.ends_with("too many answers to other queries"), "{error}");
}

#[tokio::test]
async fn a_late_answer_counts_and_a_silent_resolver_is_a_timeout() {
    let resolver = Resolver::start(|asked| match name(&asked.octets).as_str() {
        "late.example.org." => vec![Act::Wait(Duration::from_millis(150)), Act::Send(answer(&asked.octets, 0, 1))],
        _ => Vec::new(),
    })
    .await;
    let waiting = |patience| group(&[&resolver], |settings| settings.read_timeout = patience);
    assert!(ask(&waiting(Duration::from_secs(30)), "late.example.org").await.is_ok());
    let error = ask(&waiting(Duration::from_millis(300)), "silent.example.org").await.unwrap_err();
    assert_eq!(error.trouble, Trouble::Silence);
    let (begin, end) = ("read udp 127.0.0.1:", format!("->{}: i/o timeout", resolver.address));
    assert!(error.text.starts_with(begin) && error.text.ends_with(&end), "{error}");
    let failure = error.to_failure();
    assert_eq!((failure.rcode.0, failure.extended), (2, Some(22)));
}

#[tokio::test]
async fn a_closed_port_fails_at_once() {
    let resolver = Resolver::start(good).await;
    let group = group(&[&resolver], |settings| settings.max_attempts = Some(1));
    let address = resolver.address;
    drop(resolver);
    while std::net::UdpSocket::bind(address).is_err() {
        tokio::task::yield_now().await;
    }
    let error = ask(&group, NAME).await.unwrap_err();
    assert_eq!(error.trouble, Trouble::Network, "not what a wait would end in");
    assert!(error.text.ends_with("read: connection refused"), "{error}");
}

#[tokio::test]
async fn the_second_upstream_answers_for_a_silent_first_and_the_next_query_goes_there_at_once() {
    let silent = Resolver::start(|_| Vec::new()).await;
    let resolver = Resolver::start(good).await;
    let group = group(&[&silent, &resolver], |settings| {
        settings.policy = Policy::Sequential;
        settings.read_timeout = Duration::from_millis(500);
    });
    for asked in [NAME, "next.example.org"] {
        assert_eq!(*ask(&group, asked).await.unwrap().upstream, resolver.address.to_string());
    }
    let asked = silent.asked.lock().unwrap();
    assert!(asked.iter().all(|one| name(&one.octets) != "next.example.org."), "the silent one is asked again");
}

#[tokio::test]
async fn a_servfail_is_an_answer_unless_failover_names_it() {
    let failing = Resolver::start(|asked| vec![Act::Send(empty(&asked.octets, 2))]).await;
    let resolver = Resolver::start(good).await;
    let plain = group(&[&failing, &resolver], |settings| settings.policy = Policy::Sequential);
    assert_eq!(ask(&plain, NAME).await.unwrap().octets[3] & 0xf, 2);
    let failover = group(&[&failing, &resolver], |settings| {
        settings.policy = Policy::Sequential;
        settings.failover = vec![Rcode::SERVFAIL];
    });
    assert_eq!(ask(&failover, NAME).await.unwrap().octets[3] & 0xf, 0);
    let alone = group(&[&failing], |settings| settings.failover = vec![Rcode::SERVFAIL]);
    assert_eq!(ask(&alone, NAME).await.unwrap().octets[3] & 0xf, 2, "the last one's answer stands");
}

#[tokio::test]
async fn a_truncated_answer_goes_on_to_the_client_or_is_asked_for_over_tcp() {
    let resolver = Resolver::start(|asked| match asked.stream {
        false => vec![Act::Send(empty(&asked.octets, 0x0200))],
        true => good(asked),
    })
    .await;
    let plain = group(&[&resolver], |_| {});
    let answered = ask(&plain, NAME).await.unwrap();
    assert_eq!(answered.octets[2] & 2, 2);
    assert_eq!(
        plain.ask(&query(1, NAME), true, HERE).await.unwrap().octets[2] & 2,
        0,
        "a client on TCP is asked for over TCP"
    );
    let prefer = group(&[&resolver], |settings| settings.prefer_udp = true);
    assert_eq!(prefer.ask(&query(1, NAME), true, HERE).await.unwrap().octets, answer(&query(1, NAME), 0, 1));
    let asked: Vec<bool> = resolver.asked.lock().unwrap().iter().map(|one| one.stream).collect();
    assert_eq!(asked, [false, true, false, true]);
}

#[tokio::test]
async fn an_oversized_udp_answer_arrives_whole() {
    let resolver = Resolver::start(|asked| {
        let mut reply = answer(&asked.octets, 0, 1);
        let record = reply[reply.len() - 16..].to_vec();
        for _ in 1..3000 {
            reply.extend_from_slice(&record);
        }
        reply[6..8].copy_from_slice(&3000_u16.to_be_bytes());
        vec![Act::Send(reply)]
    })
    .await;
    let group = group(&[&resolver], |_| {});
    assert!(ask(&group, NAME).await.unwrap().octets.len() > 48_000);
}

#[tokio::test]
async fn equal_queries_in_flight_are_one_and_each_gets_its_own_answer() {
    let resolver =
        Resolver::start(|asked| vec![Act::Wait(Duration::from_secs(1)), Act::Send(answer(&asked.octets, 0, 1))]).await;
    let group = group(&[&resolver], |_| {});
    let tasks: Vec<_> = (0..50_u16)
        .map(|id| {
            let (group, name) = (group.clone(), if id % 2 == 0 { NAME } else { "WwW.eXample.ORG" });
            tokio::spawn(async move { (query(id, name), group.ask(&query(id, name), false, HERE).await.unwrap()) })
        })
        .collect();
    // The one who asked first goes away: the others get their answers all the same.
    tokio::time::sleep(Duration::from_millis(50)).await;
    tasks[0].abort();
    for task in tasks.into_iter().skip(1) {
        let (asked, answered) = task.await.unwrap();
        assert_eq!(answered.octets, answer(&asked, 0, 1));
    }
    assert_eq!(resolver.count(), 1);
}

#[tokio::test]
async fn an_exchange_that_nobody_waits_for_any_more_ends() {
    let resolver = Resolver::start(|asked| match asked.nth {
        0 => Vec::new(),
        _ => good(asked),
    })
    .await;
    let group = group(&[&resolver], |settings| settings.read_timeout = Duration::from_secs(60));
    let asking = tokio::spawn({
        let group = group.clone();
        async move { ask(&group, NAME).await }
    });
    while resolver.count() < 1 {
        tokio::task::yield_now().await;
    }
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    // Whoever joins the first before its end is seen waits in vain with it, for as long as a query may take.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if let Ok(answered) = tokio::time::timeout(Duration::from_millis(200), ask(&group, NAME)).await {
            assert_eq!(answered.unwrap().octets, answer(&query(0x1234, NAME), 0, 1));
            return;
        }
    }
    panic!("{} queries came", resolver.count());
}

#[tokio::test]
async fn connections_are_used_again_and_a_closed_one_costs_no_failure() {
    let resolver = Resolver::start(|asked| match asked.nth {
        2 => vec![Act::Send(answer(&asked.octets, 0, 1)), Act::Close],
        4 => vec![Act::Reset],
        _ => good(asked),
    })
    .await;
    let group = group(&[&resolver], |settings| settings.force_tcp = true);
    for _ in 0..5 {
        ask(&group, NAME).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let connections: Vec<usize> = resolver.asked.lock().unwrap().iter().map(|one| one.connection).collect();
    assert_eq!(connections, [1, 1, 1, 2, 2, 3], "reset in the middle: asked again on a new one");
}

#[tokio::test]
async fn a_connection_that_rested_too_long_is_not_used() {
    let resolver = Resolver::start(good).await;
    let group = group(&[&resolver], |settings| {
        settings.force_tcp = true;
        settings.connections = Connections { expire: Duration::from_millis(50), max_age: None, max_idle: 0 };
    });
    ask(&group, NAME).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    ask(&group, NAME).await.unwrap();
    assert_eq!(resolver.asked.lock().unwrap().last().unwrap().connection, 2);
}

#[tokio::test]
async fn answers_to_earlier_queries_on_a_connection_are_passed_over() {
    let resolver = Resolver::start(|asked| {
        let mut earlier = answer(&asked.octets, 0, 66);
        earlier[0] ^= 0xff;
        vec![Act::Send(earlier), Act::Send(answer(&asked.octets, 0, 1))]
    })
    .await;
    let group = group(&[&resolver], |settings| settings.force_tcp = true);
    assert_eq!(ask(&group, NAME).await.unwrap().octets, answer(&query(0x1234, NAME), 0, 1));
}

#[tokio::test]
async fn a_reset_on_a_new_connection_is_a_network_failure() {
    let resolver = Resolver::start(|_| vec![Act::Reset]).await;
    let group = group(&[&resolver], |settings| settings.force_tcp = true);
    let error = ask(&group, NAME).await.unwrap_err();
    assert_eq!((error.trouble, error.to_failure().extended), (Trouble::Network, Some(23)));
    let asked = resolver.asked.lock().unwrap();
    let attempts = asked.iter().filter(|one| one.octets[12] != 0).count();
    assert_eq!(attempts, 2, "two attempts for one upstream, beside the health checks");
}

#[tokio::test]
async fn an_upstream_is_down_after_failed_checks_and_up_again_after_one_answer() {
    let silent = Arc::new(AtomicBool::new(true));
    let is_silent = silent.clone();
    let resolver = Resolver::start(move |asked| match is_silent.load(Ordering::Relaxed) {
        true => Vec::new(),
        false => good(asked),
    })
    .await;
    let group = group(&[&resolver], |settings| {
        settings.read_timeout = Duration::from_millis(30);
        settings.check = Check { interval: Duration::from_millis(10), ..Check::default() };
        settings.fail_fast = true;
    });
    let checks = || {
        let asked = resolver.asked.lock().unwrap();
        asked.iter().filter(|one| one.octets[12..] == [0, 0, 2, 0, 1]).count()
    };
    assert_eq!(ask(&group, NAME).await.unwrap_err().trouble, Trouble::Silence);
    while ask(&group, NAME).await.unwrap_err().trouble != Trouble::Unhealthy {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(checks() >= 3, "more than max_fails: {}", checks());
    let others = resolver.count() - checks();
    assert_eq!(ask(&group, NAME).await.unwrap_err().trouble, Trouble::Unhealthy);
    assert_eq!(resolver.count() - checks(), others, "it fails without a question");
    silent.store(false, Ordering::Relaxed);
    while ask(&group, NAME).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(checks() >= 4, "a check was answered first: {}", checks());
}

#[tokio::test]
async fn round_robin_asks_each_in_its_turn() {
    let (one, two) = (Resolver::start(good).await, Resolver::start(good).await);
    let group = group(&[&one, &two], |settings| settings.policy = Policy::RoundRobin);
    for n in 0..10 {
        ask(&group, &format!("n{n}.example.org")).await.unwrap();
    }
    assert_eq!((one.count(), two.count()), (5, 5));
}

//----------- TLS ------------------------------------------------------------

struct Authority {
    folder: tempfile::TempDir,
    server: Arc<rustls::ServerConfig>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let made = tls::certificate_for(&[name]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        Self { folder, server: Arc::new(tls::server(&made)) }
    }

    fn group(&self, resolver: &Resolver, name: Option<&str>) -> Arc<Group> {
        let config = client_config(Some(&self.folder.path().join("ca.pem")), None).unwrap();
        let settings = GroupSettings::default();
        let endpoint =
            UpstreamAddress { address: resolver.address, way: Way::Tls, server_name: name.map(str::to_owned) };
        let upstream = Upstream::new(endpoint, Some(config), settings.connections, None).unwrap();
        Arc::new(Group::new(vec![Arc::new(upstream)], settings))
    }
}

#[tokio::test]
async fn tls_is_verified_by_name_and_by_address_and_its_connections_are_used_again() {
    for (certified, name) in [("dns.example.org", Some("dns.example.org")), ("127.0.0.1", None)] {
        let authority = Authority::new(certified);
        let resolver = Resolver::with_tls(good, Some(authority.server.clone()), Duration::ZERO).await;
        let group = authority.group(&resolver, name);
        for _ in 0..3 {
            assert_eq!(ask(&group, NAME).await.unwrap().octets, answer(&query(0x1234, NAME), 0, 1));
        }
        assert!(resolver.asked.lock().unwrap().iter().all(|one| one.stream && one.connection == 1));
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new("dns.example.org");
    let resolver = Resolver::with_tls(good, Some(authority.server.clone()), Duration::ZERO).await;
    let error = ask(&authority.group(&resolver, Some("dns.example.com")), NAME).await.unwrap_err();
    assert_eq!(error.trouble, Trouble::Network);
    assert!(error.text.starts_with("tls handshake "), "{error}");
    assert_eq!(resolver.count(), 0);
}

#[tokio::test]
async fn a_slow_tls_handshake_is_waited_for_and_a_stalled_one_is_not_for_ever() {
    let authority = Authority::new("127.0.0.1");
    let slow = Resolver::with_tls(good, Some(authority.server.clone()), Duration::from_millis(500)).await;
    assert!(ask(&authority.group(&slow, None), NAME).await.is_ok());
    let stalled = Resolver::with_tls(good, Some(authority.server.clone()), Duration::from_secs(60)).await;
    let begun = Instant::now();
    let error = ask(&authority.group(&stalled, None), NAME).await.unwrap_err();
    assert_eq!(error.trouble, Trouble::Silence);
    assert!((4..30).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

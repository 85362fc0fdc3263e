use std::time::Duration;

use rollcall_testing::resolver::{Act, Resolver, answer, empty};

use super::super::testing::{block, fault};
use super::*;
use crate::chain::testing::{query, query_edns};
use crate::wire::message::{RecordType, rdata};

async fn good(last: u8) -> Resolver {
    Resolver::start(move |asked| vec![Act::Send(answer(&asked.octets, 0, last))]).await
}

async fn ask(chain: &[Arc<dyn Plugin>], name: &str) -> Outcome {
    Next::new(chain).run(&mut query(name, RecordType::A)).await
}

/// The last octet of the address in an answer.
fn last(outcome: Outcome) -> u8 {
    let Outcome::Reply(reply) = outcome else { panic!("no reply but {outcome:?}") };
    assert_eq!(reply.plugin, "forward");
    *reply.as_octets().unwrap().last().unwrap()
}

#[tokio::test]
async fn a_name_goes_to_the_line_of_its_zone_unless_excepted() {
    let (one, two) = (good(1).await, good(2).await);
    let lines =
        format!("forward corp.example {} {{\nexcept lab.corp.example\n}}\nforward . {}", one.address, two.address);
    let chain = block(&lines).unwrap().chain;
    assert_eq!(last(ask(&chain, "www.Corp.example.").await), 1);
    assert_eq!(last(ask(&chain, "www.lab.corp.example.").await), 2);
    assert_eq!(last(ask(&chain, "notcorp.example.").await), 2);
}

#[tokio::test]
async fn a_name_that_no_line_is_for_goes_on() {
    let chain = block("forward corp.example 192.0.2.1").unwrap().chain;
    assert!(
        matches!(ask(&chain, "www.example.").await, Outcome::Failed("forward", failure) if failure.message.contains("no next plugin"))
    );
}

#[tokio::test]
async fn a_client_with_edns_gets_an_opt_record_and_one_without_gets_none() {
    let one = good(1).await;
    let chain = block(&format!("forward . {}", one.address)).unwrap().chain;
    for (mut asked, expected) in [
        (query_edns("www.example.", RecordType::A, 1232, true), Some(true)),
        (query("www.example.", RecordType::A), None),
    ] {
        let Outcome::Reply(mut reply) = Next::new(&chain).run(&mut asked).await else { panic!("no reply") };
        let message = reply.message().unwrap();
        assert_eq!(message.edns.as_ref().map(|edns| edns.flags().dnssec_ok), expected);
        assert_eq!(message.answers.len(), 1);
    }
}

#[tokio::test]
async fn options_between_neighbours_stay_here_and_queries_that_differ_in_them_are_one() {
    use crate::wire::message::rdata::opt::EdnsOption;
    let one =
        Resolver::start(|asked| vec![Act::Wait(Duration::from_millis(100)), Act::Send(answer(&asked.octets, 0, 1))])
            .await;
    let chain = block(&format!("rewrite edns0 local set 65001 one\nforward . {}", one.address)).unwrap().chain;
    let with = |cookie: u8| {
        let mut asked = query_edns("www.example.", RecordType::A, 1232, true);
        asked.request.change(|request| {
            let options = request.edns.as_mut().unwrap().options_mut();
            options.insert(EdnsOption::Unknown(10, vec![cookie; 8]));
            options.insert(EdnsOption::Unknown(12, vec![0; usize::from(cookie)]));
            options.insert(EdnsOption::Unknown(65002, vec![cookie]));
            options.insert(EdnsOption::Subnet(rdata::opt::ClientSubnet::new("10.1.2.0".parse().unwrap(), 24, 0)));
        });
        asked
    };
    let (mut first, mut second) = (with(1), with(2));
    let (first, second) = tokio::join!(Next::new(&chain).run(&mut first), Next::new(&chain).run(&mut second));
    assert_eq!((last(first), last(second)), (0, 0), "answered, with an OPT record");
    let asked = one.asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    let sent = crate::wire::message::decode(&asked[0].octets).unwrap().edns.unwrap();
    let codes: Vec<u16> = sent.options().options.iter().map(|(code, _)| u16::from(*code)).collect();
    assert_eq!((codes, sent.flags().dnssec_ok, sent.max_payload()), (vec![8, 65001], true, 1232));
}

// CVE-2026-86003.
#[tokio::test]
async fn what_is_no_query_is_not_sent_upstream() {
    let one = good(1).await;
    let chain = block(&format!("forward . {}", one.address)).unwrap().chain;
    let mut update = query("www.example.", RecordType::SOA);
    update.request.change(|request| request.metadata.op_code = crate::wire::message::OpCode::Update);
    let Outcome::Failed("forward", failure) = Next::new(&chain).run(&mut update).await else { panic!("sent") };
    assert_eq!((failure.rcode, one.count()), (Rcode::NOTIMP, 0));
}

#[tokio::test]
async fn next_hands_a_query_to_the_next_line() {
    let missing = Resolver::start(|asked| match asked.octets[13].to_ascii_lowercase() {
        b'n' => vec![Act::Send(empty(&asked.octets, 3))],
        _ => vec![Act::Send(empty(&asked.octets, 0))],
    })
    .await;
    let two = good(2).await;
    let lines =
        format!("forward . {} {{\nnext NXDOMAIN\nnext_on_nodata\n}}\nforward . {}", missing.address, two.address);
    let chain = block(&lines).unwrap().chain;
    assert_eq!(last(ask(&chain, "nx.example.").await), 2);
    assert_eq!(last(ask(&chain, "empty.example.").await), 2);
    let alone = block(&format!("forward . {} {{\nnext NXDOMAIN\n}}", missing.address)).unwrap().chain;
    let Outcome::Reply(reply) = ask(&alone, "nx.example.").await else { panic!("no reply") };
    assert_eq!(reply.rcode(), Rcode::NXDOMAIN);
}

#[tokio::test]
async fn more_queries_than_may_wait_are_refused() {
    let slow =
        Resolver::start(|asked| vec![Act::Wait(Duration::from_secs(1)), Act::Send(answer(&asked.octets, 0, 1))]).await;
    let chain = block(&format!("forward . {} {{\nmax_concurrent 1\n}}", slow.address)).unwrap().chain;
    let (first, second) = tokio::join!(ask(&chain, "one.example."), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        ask(&chain, "two.example.").await
    });
    assert_eq!(last(first), 1);
    let Outcome::Failed("forward", failure) = second else { panic!("not refused") };
    assert_eq!((failure.rcode, failure.message.as_str()), (Rcode::REFUSED, "concurrent queries exceeded maximum 1"));
    assert_eq!(last(ask(&chain, "three.example.").await), 1, "the place is free again");
}

/// Asks on behalf of a client, in a task of its own.
fn ask_as(chain: &[Arc<dyn Plugin>], client: &str, name: &str) -> tokio::task::JoinHandle<Outcome> {
    let (chain, mut query) = (chain.to_vec(), query(name, RecordType::A));
    query.client.peer.set_ip(client.parse().unwrap());
    tokio::spawn(async move { Next::new(&chain).run(&mut query).await })
}

#[tokio::test]
async fn a_client_behind_the_limit_does_not_starve_another() {
    let slow =
        Resolver::start(|asked| vec![Act::Wait(Duration::from_secs(1)), Act::Send(answer(&asked.octets, 0, 1))]).await;
    let chain = block(&format!("forward . {} {{\nmax_concurrent 4\n}}", slow.address)).unwrap().chain;
    let mut many = Vec::new();
    for number in 0..4 {
        many.push(ask_as(&chain, "10.0.0.1", &format!("{number}.example.")));
        while slow.count() <= number {
            tokio::task::yield_now().await;
        }
    }
    let refused = |outcome| matches!(outcome, Outcome::Failed("forward", failure) if failure.rcode == Rcode::REFUSED);
    assert!(refused(ask_as(&chain, "10.0.0.1", "more.example.").await.unwrap()), "there is no room for more");
    let (one, other) = (ask_as(&chain, "10.0.0.2", "one.example."), ask_as(&chain, "10.0.0.3", "other.example."));
    // The two newest of the client that has four give way at once, the others are answered in time.
    assert!(refused(many.pop().unwrap().await.unwrap()));
    assert!(refused(many.pop().unwrap().await.unwrap()));
    for asked in many.into_iter().chain([one, other]) {
        assert_eq!(last(asked.await.unwrap()), 1);
    }
}

#[tokio::test]
async fn upstreams_come_from_a_file_and_from_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resolv.conf");
    std::fs::write(&file, "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.1\n").unwrap();
    let word = |text: String| Token { text, position: crate::syntax::testing::token("").position };
    let Ok(NamedUpstreams::Upstreams(found)) = named(&word(file.display().to_string())) else { panic!("no list") };
    assert_eq!(found.len(), 3);

    let names = Resolver::start(|asked| {
        vec![Act::Send(match asked.octets[asked.octets.len() - 3] {
            1 => answer(&asked.octets, 0, 7),
            _ => empty(&asked.octets, 0),
        })]
    })
    .await;
    let resolvers = [names.address];
    let word = word("tls://dns.example:8853".into());
    let Ok(NamedUpstreams::Host(host, name)) = named(&word) else { panic!("no host") };
    let found = tokio::task::spawn_blocking(move || look_up(&word, &host, &name, &resolvers).unwrap()).await.unwrap();
    assert_eq!(found[0].address, "192.0.2.7:8853".parse().unwrap());
}

#[test]
fn wrong_options_are_refused_at_their_word() {
    let sixteen: Vec<String> = (1..=16).map(|n| format!("127.0.0.{n}")).collect();
    let too_many = format!("forward . {}", sixteen.join(" "));
    for (text, at) in [
        ("forward", "2:1"),
        ("forward .", "2:1"),
        ("forward . grpc://192.0.2.1", "2:11"),
        ("forward . https://192.0.2.1", "2:11"),
        ("forward . /nowhere/resolv.conf", "2:11"),
        (too_many.as_str(), "2:167"),
        ("forward . 192.0.2.1:dns", "2:11"),
        ("forward . 192.0.2.1 {\npolicy fastest\n}", "3:8"),
        ("forward . 192.0.2.1 {\nmax_concurrent many\n}", "3:16"),
        ("forward . 192.0.2.1 {\nmax_concurrent -1\n}", "3:16"),
        ("forward . 192.0.2.1 {\nmax_fails\n}", "3:1"),
        ("forward . 192.0.2.1 {\nhealth_check 1s sometimes\n}", "3:17"),
        ("forward . 192.0.2.1 {\nhealth_check often\n}", "3:14"),
        ("forward . 192.0.2.1 {\nexpire -1s\n}", "3:8"),
        ("forward . 192.0.2.1 {\nmax_age 5s\n}", "2:1"),
        ("forward . 192.0.2.1 {\nread_timeout 0s\n}", "3:14"),
        ("forward . 192.0.2.1 {\nnext NEVER\n}", "3:6"),
        ("forward . 192.0.2.1 {\nfailover NOERROR\n}", "3:10"),
        ("forward . 192.0.2.1 {\nforce_tcp yes\n}", "3:11"),
        ("forward . 192.0.2.1 {\nexcept\n}", "3:1"),
        ("forward . 192.0.2.1 {\nresolver example\n}", "3:10"),
        ("forward . 192.0.2.1 {\nsource_address here\n}", "3:16"),
        ("forward . 192.0.2.1 {\ntls /nowhere/ca.pem\n}", "3:5"),
        ("forward . 192.0.2.1 {\ndoh_method PUT\n}", "3:12"),
        ("forward . 192.0.2.1 {\nupstream\n}", "3:1"),
    ] {
        let said = fault(text);
        assert!(said.starts_with(&format!("Corefile:{at}: ")), "{text}: {said}");
    }
}

#[test]
fn all_options_are_known() {
    let text = "forward . 192.0.2.1 [2001:db8::1]:54 dns://192.0.2.2 {\nexcept a.example b.example\nforce_tcp\nprefer_udp\n\
                expire 20s\nmax_age 1m\nmax_idle_conns 5\nmax_fails 0\nmax_connect_attempts 3\nread_timeout 1s\n\
                policy round_robin\nhealth_check 0.5s no_rec domain example.org\nmax_concurrent 1000\nnext NXDOMAIN REFUSED\n\
                next_on_nodata\nfailover SERVFAIL refused\nfailfast_all_unhealthy_upstreams\nresolver 192.0.2.9\n\
                source_address 127.0.0.1\ntls_servername dns.example\n}";
    assert_eq!(block(text).unwrap().chain.len(), 1);
}

#[test]
fn octets_go_upstream_as_the_codec_would_write_them() {
    use crate::wire::message::rdata::opt::EdnsOption;
    for payload in [None, Some(400), Some(1232), Some(65_535)] {
        for (flags, cookie) in [(0, false), (0x0130, true), (0x0010, true), (0x0120, false)] {
            let mut asked = query("Www.Example.org.", RecordType::AAAA);
            asked.request.change(|request| {
                request.metadata.recursion_desired = flags & 0x100 != 0;
                request.metadata.authentic_data = flags & 0x20 != 0;
                request.metadata.checking_disabled = flags & 0x10 != 0;
                request.edns = payload.map(|payload| {
                    let mut edns = MessageEdns::new();
                    edns.set_max_payload(payload).set_dnssec_ok(cookie);
                    if cookie {
                        edns.options_mut().insert(EdnsOption::Unknown(10, vec![7; 8]));
                    }
                    edns
                });
            });
            let by_message = sent_on_by_message(asked.request.message(), |_| false).to_vec().unwrap();
            assert_eq!(sent_on(&asked).unwrap(), by_message, "{payload:?} {flags:x}");
        }
    }
}

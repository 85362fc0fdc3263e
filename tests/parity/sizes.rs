//! Services of 500 to 5,000 peers, inside of the cluster and by `k8s_external`: whole answers or whole records of them, and a
//! time that grows as the peers do.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rollcall_testing::api_server::ApiServer;
use rollcall_testing::{PATIENCE, comes_true, coredns, objects};

use super::pair::{EXTERNAL, Findings, Pair};
use super::questions::{A, Question, SRV, labels};
use super::reply::Reply;

const SIZES: [usize; 4] = [500, 1000, 2000, 5000];

/// How much longer an answer from ten times the peers may take; what is quadratic takes a hundred times as long.
const GROWTH: u32 = 30;

#[test]
fn large_services_are_answered_whole_and_in_time() {
    let Some(coredns) = coredns() else { return };
    let runtime = rollcall_testing::runtime();
    let api = runtime.block_on(ApiServer::start());
    fill(&api);
    let pair = Pair::start(&coredns, &EXTERNAL.replace("API", &api.url()).replace("OPTIONS", "headless"));
    let host = IpAddr::from([127, 0, 0, 1]);
    let mut clients = pair.clients(host, host);
    let mut findings = Findings::default();
    for zone in ["svc.cluster.local", "ext.test"] {
        for (qtype, port) in [(A, ""), (SRV, ""), (SRV, "_peer._tcp.")] {
            for limit in [None, Some(512), Some(4096)] {
                let question = |size: usize| {
                    let name = format!("{port}large{size}.default.{zone}");
                    let edns = Some((limit.unwrap_or(4096), false));
                    Question { edns, tcp: limit.is_none(), ..Question::plain(labels(&name), qtype) }
                };
                for size in SIZES {
                    let question = question(size);
                    let ours = clients[0].ask(&question);
                    // The records of a Service of this size are no secret: of CoreDNS only whether it cuts is of interest.
                    let theirs = clients[1].send(&question.octets(size as u16), question.tcp);
                    let cuts = theirs.as_ref().is_ok_and(|octets| octets[2] & 2 != 0);
                    match &ours {
                        Ok(one) if is_whole(one, size, &question) && (!one.is_truncated() || cuts) => {
                            findings.explain("long answers");
                        }
                        _ => findings.add(format!(
                            "{port}large{size} in {zone}, {qtype}, {limit:?}, CoreDNS cuts {cuts}\nours {ours:?}\n"
                        )),
                    }
                }
                // The quickest of as many as it takes: the machine may have much other work.
                let took = |size| {
                    let question = question(size);
                    let begun = Instant::now();
                    clients[0].send(&question.octets(1000), question.tcp).unwrap();
                    begun.elapsed()
                };
                let mut times = [Duration::MAX; 2];
                let grows_as_the_peers = comes_true(PATIENCE, || {
                    times = [times[0].min(took(SIZES[0])), times[1].min(took(SIZES[3]))];
                    times[1] <= (times[0] + Duration::from_millis(1)) * GROWTH
                });
                if !grows_as_the_peers {
                    findings.add(format!("{port}large in {zone}, type {qtype}, {limit:?}: {times:?}"));
                }
            }
        }
    }
    findings.end();
}

/// Whether a reply holds records of the Service alone, each once, all that fit.
fn is_whole(reply: &Reply, size: usize, question: &Question) -> bool {
    let is_peer =
        |label: &str| label.strip_prefix("peer-").and_then(|n| n.parse().ok()).is_some_and(|n: usize| n < size);
    let data: HashSet<&str> = reply.answers.iter().map(|line| line.data.as_str()).collect();
    let right = |data: &str| match question.qtype {
        SRV => data.split(' ').nth(3).and_then(|target| target.split('.').next()).is_some_and(is_peer),
        _ => data.starts_with("10."),
    };
    let room = question.limit().saturating_sub(reply.size);
    (reply.rcode, data.len()) == (0, reply.answers.len())
        && reply.size <= question.limit()
        && data.iter().all(|data| right(data))
        && if reply.is_truncated() {
            room < 160 && reply.answers.len() < size || !question.tcp
        } else {
            reply.answers.len() == size
        }
}

fn fill(api: &ApiServer) {
    api.apply("namespaces", objects::namespace("default"));
    for (nth, size) in SIZES.into_iter().enumerate() {
        let ports = objects::ports("peer", "TCP", 7000);
        let name = format!("large{size}");
        api.apply("services", objects::cluster_ip(&name, "None", ports.clone()));
        let peers: Vec<usize> = (0..size).collect();
        for chunk in peers.chunks(100) {
            let endpoint = |at: &usize| {
                let address = format!("10.{nth}.{}.{}", at / 250, at % 250);
                objects::endpoint(&format!("peer-{at}"), &address)
            };
            let endpoints = chunk.iter().map(endpoint).collect();
            api.apply("endpointslices", objects::slice(&name, &chunk[0].to_string(), ports.clone(), endpoints));
        }
    }
}

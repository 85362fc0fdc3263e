//! Side by side with CoreDNS: one cluster on a real control plane, one Corefile, thousands of generated questions, whole
//! messages compared. Only the differences that docs/differences.md lists are allowed.
//!
//! Runs where `KUBEBUILDER_ASSETS` names a folder with the control plane's programs and `COREDNS` a CoreDNS; elsewhere it
//! says so and passes. `PARITY_SEED` and `PARITY_QUESTIONS` choose other questions, and more of them.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod blocks;
mod differences;
mod external;
mod odd;
mod pair;
mod questions;
mod reply;
mod sizes;
mod templates;
mod upstreams;
mod world;
mod zones;

use std::time::{Duration, Instant};

use differences::Case;
use questions::Question;
use reply::Client;
use rollcall::wire::message::{Message, MessageEdns, RData, Record, ResponseCode, decode, rdata};
use rollcall_testing::ControlPlane;
use rollcall_testing::resolver::{Act, Asked, Resolver};
use rollcall_testing::{Site, coredns, program};
use world::{Counts, Random, World};

const COREFILE: &str = "
.:PORT {
    bind 127.0.0.1
    errors
    ready READY
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig KUBECONFIG
        pods insecure
        ttl 30
        fallthrough in-addr.arpa ip6.arpa
        #OPTIONS
    }
    forward . UPSTREAM
    #CACHE
    loadbalance
}
";

/// A name, and what it changes in the Corefile.
const VARIANTS: [(&str, &[(&str, &str)]); 5] = [
    ("pods insecure", &[]),
    ("cache 30", &[("#CACHE", "cache 30")]),
    ("endpoint_pod_names, ttl 0", &[("#OPTIONS", "endpoint_pod_names"), ("ttl 30", "ttl 0")]),
    (
        "pods disabled, namespaces, ignore empty_service",
        &[("#OPTIONS", "namespaces a default\n        ignore empty_service"), ("pods insecure", "pods disabled")],
    ),
    ("noendpoints, fallthrough", &[("#OPTIONS", "noendpoints"), ("fallthrough in-addr.arpa ip6.arpa", "fallthrough")]),
];

#[test]
fn answers_are_those_of_coredns() {
    let Some(coredns) = coredns() else { return };
    let Some(plane) = ControlPlane::start() else { return };
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, count) = (number("PARITY_SEED", 1), number("PARITY_QUESTIONS", 800));
    let world = World::new(seed);
    plane.apply(&world.manifest());
    let runtime = rollcall_testing::runtime();
    let upstream = runtime.block_on(Resolver::start(|asked| vec![Act::Send(upstream(asked))]));
    let base = COREFILE
        .replace("KUBECONFIG", plane.kubeconfig().to_str().unwrap())
        .replace("UPSTREAM", &upstream.address.to_string());

    let (mut counts, mut unexplained) = (Counts::new(), Vec::new());
    for (name, changes) in VARIANTS {
        let corefile = changes.iter().fold(base.clone(), |text, (from, to)| text.replace(from, to));
        let ours = Site::start(&program(), &corefile);
        let theirs = Site::start(&coredns, &corefile);
        let (mut ours, mut reference) = (Client::new(ours.addr()), Client::new(theirs.addr()));
        let mut random = Random(seed ^ name.len() as u64);
        let mut apart = Duration::ZERO;
        for _ in 0..count {
            let question = questions::question(&world, "cluster.local", &mut random);
            let begun = Instant::now();
            let (mine, other) = (ours.ask(&question), reference.ask(&question));
            apart = apart.max(begun.elapsed());
            let (Ok(mine), Ok(other)) = (mine.clone(), other.clone()) else {
                unexplained.push(show(name, &question, &format!("{mine:?}"), &format!("{other:?}")));
                continue;
            };
            if mine.same(&other) {
                continue;
            }
            let shown = show(name, &question, &format!("{mine:?}"), &format!("{other:?}"));
            let cached = corefile.contains("cache 30");
            let mut case = Case {
                world: &world,
                domain: "cluster.local",
                question: &question,
                ours: mine,
                theirs: other,
                reference: &mut reference,
                cached,
                apart,
            };
            match case.allowed_by() {
                Some(row) => *counts.entry(row).or_default() += 1,
                None => unexplained.push(shown),
            }
        }
    }
    println!("{} questions, {} unexplained, allowed: {counts:?}", count * VARIANTS.len() as u64, unexplained.len());
    assert!(unexplained.is_empty(), "{}", unexplained[..unexplained.len().min(5)].join("\n"));
}

fn show(variant: &str, question: &Question, ours: &str, theirs: &str) -> String {
    let Question { qtype, qclass, flags, edns, tcp, .. } = question;
    let how = format!("type {qtype} class {qclass} flags {flags:#06x} EDNS {edns:?} tcp {tcp}");
    format!("{variant}: {} {how}\nours {ours}\nCoreDNS {theirs}\n", question.text())
}

/// What the world outside of the cluster says.
fn upstream(asked: &Asked) -> Vec<u8> {
    let request = decode(&asked.octets).unwrap();
    let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
    answer.metadata.recursion_desired = request.metadata.recursion_desired;
    answer.metadata.checking_disabled = request.metadata.checking_disabled;
    answer.metadata.recursion_available = true;
    answer.queries.clone_from(&request.queries);
    answer.edns = request.edns.as_ref().map(|edns| {
        let mut own = MessageEdns::new();
        own.set_dnssec_ok(edns.flags().dnssec_ok).set_max_payload(1232);
        own
    });
    let query = request.queries.first().unwrap();
    let name = query.name().to_lowercase().to_ascii();
    if name.ends_with(".ok.test.") {
        let data = RData::A(rdata::A([192, 0, 2, 7].into()));
        if u16::from(query.query_type()) == questions::A {
            answer.answers.push(Record::from_rdata(query.name().clone(), 60, data));
        }
    } else if name.ends_with(".fail.test.") {
        answer.metadata.response_code = ResponseCode::ServFail;
    } else {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    answer.to_vec().unwrap()
}

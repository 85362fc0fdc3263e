//! Server blocks side by side: equal keys, `view`, `bind` and what one keeps for itself; then another Corefile by a reload.
//!
//! Each seed makes two Corefiles of random blocks and goes from the first to the second.

use std::fmt::Write;
use std::net::IpAddr;

use rollcall_testing::coredns;
use rollcall_testing::queries;
use rollcall_testing::resolver::{Act, Asked, Resolver, answer, empty};

use super::pair::{Findings, Pair, ask, number, seeds};
use super::questions::{A, AAAA, MX, Question, TXT, labels};
use super::reply::Reply;
use super::world::Random;

/// Who asks, and where.
const CLIENTS: u8 = 4;
const SERVERS: u8 = 2;

const NAMES: [&str; 7] =
    ["a.test", "b.test", "c.sub.test", "sub.test", "example.org", "www.example.org", "other.example.com"];

/// Asks for two of three blocks whether a query is theirs.
const VIEWS: [&str; 12] = [
    "incidr(client_ip(), '127.0.0.1/32')",
    "incidr(client_ip(), '127.0.0.2/31')",
    "!incidr(client_ip(), '127.0.0.2/32')",
    "not (client_ip() == '127.0.0.3')",
    "type() == 'A'",
    "type() in ['AAAA', 'TXT']",
    "name() endsWith 'example.org.'",
    "name() matches '^(a|b)'",
    "proto() == 'tcp'",
    "proto() == 'udp' && !(type() == 'TXT')",
    "server_ip() == '127.0.0.12' || type() == 'MX'",
    "len(name()) > 8 && bufsize() < 2000",
];

#[test]
fn server_blocks_are_told_apart_as_in_coredns() {
    let Some(coredns) = coredns() else { return };
    let runtime = rollcall_testing::runtime();
    let upstreams = [81, 82, 83].map(|last| runtime.block_on(Resolver::start(move |asked| upstream(asked, last))));
    let addresses = upstreams.each_ref().map(|one| one.address.to_string());
    let mut findings = Findings::default();
    for seed in seeds() {
        let mut random = Random(seed ^ 0xb10c);
        let [first, second] = [0, 1].map(|_| corefile(&addresses, &mut random));
        let pair = Pair::start(&coredns, &first);
        questions(&pair, &format!("seed {seed}, {first}"), &first, &mut random, &mut findings);
        pair.reload(&second);
        questions(&pair, &format!("seed {seed}, reloaded to {second}"), &second, &mut random, &mut findings);
    }
    findings.end();
}

/// Every upstream has its own address for names, an empty answer for other types, and NXDOMAIN below `example.com`.
fn upstream(asked: &Asked, last: u8) -> Vec<Act> {
    let end = asked.octets[12..].iter().position(|octet| *octet == 0).unwrap() + 12;
    let gone = queries::name(&asked.octets).ends_with("example.com.");
    vec![Act::Send(match asked.octets[end + 2] {
        _ if gone => empty(&asked.octets, 3),
        1 => answer(&asked.octets, 0, last),
        _ => empty(&asked.octets, 0),
    })]
}

/// Some blocks, most with one key, on three addresses or on one of them.
fn corefile(upstreams: &[String; 3], random: &mut Random) -> String {
    let mut text = ".:PORT {\n    bind 127.0.0.1\n    ready READY\n    whoami\n}\n".to_owned();
    let key = random.one(&[".", "test", "example.org"]);
    for number in 0..2 + random.below(4) {
        let own = if random.percent(70) { key } else { random.one(&[".", "test", "example.org", "sub.test"]) };
        let bind = random.one(&["127.0.0.11", "127.0.0.11", "127.0.0.11 127.0.0.12", "127.0.0.12"]);
        writeln!(text, "{own}:PORT {{\n    bind {bind}").unwrap();
        // Blocks with the same key and address must have a view each.
        writeln!(text, "    view v{number} {{\n        expr {}\n    }}", random.one(&VIEWS)).unwrap();
        text += random.one(&[
            "",
            "    cache 60\n",
            "    cache 60\n",
            "    cache {\n        success 500 30\n        denial 500 10\n    }\n",
        ]);
        text += random.one(&[
            "",
            "",
            "    acl {\n        block net 127.0.0.2/32\n    }\n",
            "    acl {\n        filter type TXT\n    }\n",
            "    rewrite name suffix .sub.test .test\n",
            "    minimal\n",
            "    errors\n",
        ]);
        match random.below(4) {
            0 => writeln!(text, "    template IN A {{\n        answer \"{{{{ .Name }}}} 300 IN A 192.0.2.{number}\"\n    }}"),
            1 => writeln!(
                text,
                "    hosts {{\n        192.0.2.1{number} a.test www.example.org\n        2001:db8::{number} b.test\n        ttl 120\n        no_reverse\n    }}"
            ),
            _ => writeln!(text, "    forward . {}", random.pick(upstreams)),
        }
        .unwrap();
        text += "}\n";
    }
    text
}

fn questions(pair: &Pair, what: &str, corefile: &str, random: &mut Random, findings: &mut Findings) {
    let host = |last: u8| IpAddr::from([127, 0, 0, last]);
    let mut clients: Vec<_> =
        (0..CLIENTS * SERVERS).map(|at| (at, pair.clients(host(1 + at % CLIENTS), host(11 + at / CLIENTS)))).collect();
    for _ in 0..number("PARITY_QUESTIONS", 300) {
        let at = random.below(clients.len());
        let (at, clients) = &mut clients[at];
        let question = Question {
            edns: random.percent(50).then(|| (*random.pick(&[512, 1232, 4096]), false)),
            tcp: random.percent(25),
            ..Question::plain(labels(random.one(&NAMES)), *random.pick(&[A, A, A, AAAA, TXT, MX]))
        };
        if !corefile.contains(&format!("127.0.0.{}", 11 + *at / CLIENTS)) {
            continue;
        }
        let what = format!("client {} at server {}: {question:?}, {what}", *at % CLIENTS + 1, *at / CLIENTS + 11);
        findings.note(&what, ask(clients, &question), explained);
    }
}

/// Answers out of a cache differ in age; `acl` of CoreDNS adds EDNS with DO to what it refuses or empties.
fn explained(ours: &Reply, theirs: &Reply) -> Option<&'static str> {
    let bare = |reply: &Reply| {
        let mut reply = reply.clone();
        for line in reply.answers.iter_mut().chain(&mut reply.authority) {
            line.ttl = 0;
        }
        reply
    };
    let (ours, mut theirs) = (bare(ours), bare(theirs));
    if ours.same(&theirs) {
        return Some("age in a cache");
    }
    let is_empty = theirs.sections().concat().is_empty() && theirs.edns == Some(true);
    theirs.edns = ours.edns;
    (is_empty && ours.same(&theirs)).then_some("EDNS as the client has it")
}

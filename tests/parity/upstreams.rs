//! What an upstream may say: the client of a forwarded query gets what CoreDNS gives, or better where that is listed; and
//! always a message that can be read, with the question asked.

use std::net::IpAddr;
use std::time::Duration;

use rollcall_testing::coredns;
use rollcall_testing::queries::{self, question_end};
use rollcall_testing::resolver::{self, Act, Asked, Resolver};

use super::pair::{Findings, Pair};
use super::questions::{A, Question, labels};
use super::reply::Reply;

const COREFILE: &str = "
.:PORT {
    bind 127.0.0.1
    ready READY
    forward . UPSTREAM {
        HOW
    }
}
";

/// A reply, made of a good one: how it is called and what is done to it. The good one has one A record of 16 octets.
type Odd = (&'static str, fn(&mut Vec<u8>));

/// What no client should be given: passed over, and the good reply behind it taken.
const DOUBTFUL: &[Odd] = &[
    ("opcode", |reply| reply[2] |= 0x28),
    ("no-question", |reply| {
        let end = question_end(reply);
        reply.drain(12..end);
        reply[5] = 0;
        // Its owner was a pointer to the question.
        reply.splice(12..14, [0]);
    }),
    ("two-questions", |reply| {
        let end = question_end(reply);
        let question = reply[12..end].to_vec();
        reply.splice(end..end, question);
        reply[5] = 2;
    }),
    ("three-octets", |reply| {
        let end = reply.len();
        reply[end - 5] = 3;
        reply.truncate(end - 1);
    }),
    ("owner-loops", |reply| {
        let end = question_end(reply);
        reply[end + 1] = end as u8;
    }),
    ("owner-onwards", |reply| {
        let end = question_end(reply);
        reply[end + 1] = end as u8 + 14;
    }),
    ("more-counted", |reply| reply[7] = 9),
    ("ends-early", |reply| reply.truncate(reply.len() - 3)),
    ("two-opt", |reply| {
        reply.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0].repeat(2));
        reply[11] = 2;
    }),
    ("other-name", |reply| reply[13] ^= 1),
    ("other-type", |reply| {
        let end = question_end(reply);
        reply[end - 3] = 28;
    }),
    ("other-id", |reply| reply[0] ^= 1),
    ("a-query", |reply| reply[2] &= 0x7f),
];

/// What is odd and still an answer.
const ODD: &[Odd] = &[
    ("plain", |_| {}),
    ("z-bit", |reply| reply[3] |= 0x40),
    ("ad-bit", |reply| reply[3] |= 0x20),
    ("aa-bit", |reply| reply[2] |= 4),
    ("no-ra", |reply| reply[3] &= 0x7f),
    ("servfail", |reply| reply[3] |= 2),
    ("refused", |reply| reply[3] |= 5),
    ("rcode-11", |reply| reply[3] |= 11),
    ("nxdomain-with-answer", |reply| reply[3] |= 3),
    ("ttl-0", |reply| ttl(reply, 0)),
    ("ttl-negative", |reply| ttl(reply, 0x8000_0000)),
    ("ttl-largest", |reply| ttl(reply, u32::MAX)),
    ("class-ch", |reply| {
        let end = question_end(reply);
        reply[end + 5] = 3;
    }),
    ("unknown-type", |reply| {
        let end = question_end(reply);
        reply[end + 2] = 0xff;
    }),
    ("tail", |reply| reply.extend_from_slice(&[0; 7])),
    ("twice", |reply| {
        let end = question_end(reply);
        let record = reply[end..].to_vec();
        reply.extend(record);
        reply[7] = 2;
    }),
    ("of-another-name", |reply| {
        let end = question_end(reply);
        reply.splice(end..end + 2, *b"\x05other\x04test\0");
    }),
    ("cname-loop", |reply| {
        let end = question_end(reply);
        reply.truncate(end);
        reply.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12]);
    }),
    ("opt", |reply| {
        reply.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        reply[11] = 1;
    }),
    ("empty", |reply| {
        let end = question_end(reply);
        reply.truncate(end);
        reply[7] = 0;
    }),
];

fn ttl(reply: &mut [u8], ttl: u32) {
    let end = question_end(reply);
    reply[end + 6..end + 10].copy_from_slice(&ttl.to_be_bytes());
}

/// The odd reply that a name asks for; with `behind` a good one follows, from `192.0.2.1`.
fn upstream(asked: &Asked) -> Vec<Act> {
    let name = queries::name(&asked.octets);
    let mut words = name.split('.');
    let (what, how) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let good = resolver::answer(&asked.octets, 0, 1);
    let mut odd = resolver::answer(&asked.octets, 0, 66);
    if let Some((_, change)) = ODD.iter().chain(DOUBTFUL).find(|(own, _)| *own == what) {
        change(&mut odd);
    }
    let mut acts = vec![Act::Send(odd)];
    if how == "behind" {
        acts.push(Act::Send(good));
    }
    acts
}

#[test]
fn what_an_upstream_says_reaches_the_client_as_through_coredns_or_better() {
    let Some(coredns) = coredns() else { return };
    let runtime = rollcall_testing::runtime();
    let mut findings = Findings::default();
    for way in ["prefer_udp", "force_tcp"] {
        let upstream = runtime.block_on(Resolver::start(upstream));
        let corefile = COREFILE.replace("UPSTREAM", &upstream.address.to_string()).replace("HOW", way);
        let pair = &Pair::start(&coredns, &corefile);
        // Side by side: who waits for a good reply that does not come waits long.
        let asked: Vec<(String, bool)> =
            ODD.iter()
                .map(|(what, _)| (format!("{what}.alone.test"), false))
                .chain(DOUBTFUL.iter().flat_map(|(what, _)| {
                    [(format!("{what}.alone.test"), true), (format!("{what}.behind.test"), true)]
                }))
                .collect();
        let replies: Vec<_> = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (name, _) in &asked {
                threads.push(scope.spawn(move || replies(pair, name)));
            }
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for ((name, doubtful), [ours, theirs]) in asked.iter().zip(replies) {
            let what = format!("{name} {way}");
            if *doubtful {
                judge_doubtful(&mut findings, &what, ours, theirs);
            } else {
                findings.note(&what, [ours, theirs], better);
            }
        }
    }
    findings.end();
}

fn replies(pair: &Pair, name: &str) -> [Result<Reply, String>; 2] {
    let host = IpAddr::from([127, 0, 0, 1]);
    let mut clients = pair.clients(host, host);
    clients.iter_mut().for_each(|client| client.set_patience(Duration::from_secs(15)));
    let question = Question { tcp: false, ..Question::plain(labels(name), A) };
    super::pair::ask(&mut clients, &question)
}

/// A doubtful reply is an error, or the good one behind it; what CoreDNS passes on is its own affair.
fn judge_doubtful(findings: &mut Findings, what: &str, ours: Result<Reply, String>, theirs: Result<Reply, String>) {
    let good = |reply: &Reply| {
        reply.rcode == 0 && reply.answers.iter().all(|line| line.data == "192.0.2.1") && reply.answers.len() == 1
    };
    match &ours {
        Ok(reply) if what.contains("behind") && good(reply) => findings.explain("the good reply behind a doubtful one"),
        // On a connection nothing false comes first and nothing true behind it.
        Ok(reply) if !what.contains("behind.test prefer_udp") && reply.rcode == 2 && reply.answers.is_empty() => {
            findings.explain("a doubtful reply is an error");
        }
        _ => findings.add(format!("{what}\nours {ours:?}\nCoreDNS {theirs:?}\n")),
    }
}

/// Where ours is better.
fn better(ours: &Reply, theirs: &Reply) -> Option<&'static str> {
    let mut theirs = theirs.clone();
    theirs.flags &= !0x40;
    ours.same(&theirs).then_some("the reserved bit is cleared")
}

//! From a parsed question to the octets of its answer: hit, NODATA, NXDOMAIN, SRV of few and of many.

#![allow(missing_docs, reason = "criterion's macros write functions without documentation")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rollcall::wire::{Parsed, parse};
use rollcall::zone::{Seeds, answer};
use rollcall_testing::queries::{self, A, AAAA, SRV};
use rollcall_testing::zone::zone;

const UDP: usize = 1232;
const TCP: usize = 65_535;

fn lookup(criterion: &mut Criterion) {
    let (_publisher, view) = zone(&[("five", 5), ("ten", 10), ("thousand", 1000), ("many", 5000)]);
    let mut buffer = vec![0; TCP];
    for (title, name, qtype, limit) in [
        ("hit", "peer-3.five", A, UDP),
        ("nodata", "peer-3.five", AAAA, UDP),
        ("nxdomain", "peer-9.five", A, UDP),
        ("a_of_5", "five", A, UDP),
        ("srv_of_5", "five", SRV, UDP),
        ("srv_of_1000_over_tcp", "thousand", SRV, TCP),
        ("a_of_1000_over_tcp", "thousand", A, TCP),
        ("truncated_srv_of_10", "ten", SRV, 512),
        ("truncated_srv_of_1000", "thousand", SRV, 512),
        ("truncated_srv_of_5000", "many", SRV, 512),
    ] {
        let octets = queries::query(0x1234, &format!("{name}.default.svc.cluster.local"), qtype);
        let octets = queries::with_edns(octets, 1232, false);
        let Parsed::Query(question) = parse(&octets) else { panic!("a query of ours is well-formed") };
        let mut seed = 0;
        criterion.bench_function(&format!("lookup/{title}"), |bencher| {
            bencher.iter(|| {
                seed += 1;
                let seeds = Seeds { order: seed, choice: &|| seed };
                answer(black_box(&question), &view, limit, limit < TCP, seeds, &mut buffer)
            });
        });
    }
}

criterion_group!(benches, lookup);
criterion_main!(benches);

//! From the octets of a query to its question: short, long, with EDNS, hostile.

#![allow(missing_docs, reason = "criterion's macros write functions without documentation")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rollcall::wire::{Parsed, parse};
use rollcall_testing::queries;

/// The octets of a query with an OPT record of 1232 octets, as dig sends them.
fn query(qname: &str, qtype: u16) -> Vec<u8> {
    queries::with_edns(queries::query(0x1234, qname, qtype), 1232, false)
}

fn question(criterion: &mut Criterion) {
    let peer = query("peer-3.kubia.default.svc.cluster.local", 1);
    let longest = query(&["abcdefghi"; 25].join("."), 33);
    let plain = {
        let mut octets = peer.clone();
        octets.truncate(peer.len() - 11);
        octets[11] = 0;
        octets
    };
    // As many one-octet labels as a name can have: the most work for the octets.
    let hostile = query(&["x"; 126].join("."), 1);
    for (title, octets) in [("edns", peer), ("plain", plain), ("long_name", longest), ("many_labels", hostile)] {
        criterion.bench_function(&format!("parse/{title}"), |bencher| {
            bencher.iter(|| matches!(black_box(parse(black_box(&octets))), Parsed::Query(_)));
        });
    }
}

criterion_group!(benches, question);
criterion_main!(benches);

//! What a remembered answer costs: found and written, missed, stored.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot go on fails")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rollcall::cache::{Ask, Cache, CacheSettings, Room};
use rollcall::wire::{Class, Edns, Flags, Name, OwnEdns, Rtype};

fn reply(qname: &[u8]) -> Vec<u8> {
    let mut octets = vec![0, 0, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
    octets.extend_from_slice(qname);
    octets.extend_from_slice(&[0, 1, 0, 1]);
    for last in 1..=2 {
        octets.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, last]);
    }
    octets
}

fn cache(criterion: &mut Criterion) {
    let edns = Edns { payload: 1232, version: 0, dnssec_ok: false, nsid: false };
    let names: Vec<Vec<u8>> =
        (0..8000).map(|n| format!("name-{n}.example.org").parse::<Name>().unwrap().as_wire().to_vec()).collect();
    let asks: Vec<Ask<'_>> = names
        .iter()
        .map(|qname| Ask {
            id: 7,
            flags: Flags::RD,
            qname,
            spelling: qname,
            qtype: Rtype::A,
            qclass: Class::IN,
            edns: Some(edns),
            own: OwnEdns::DEFAULT,
        })
        .collect();
    let (cache, now) = (Cache::new(CacheSettings::default()), Instant::now());
    let mut buffer = vec![0; 4096];
    let mut next = asks.iter().cycle();
    criterion.bench_function("cache/miss", |bencher| {
        bencher.iter(|| cache.lookup(black_box(next.next().unwrap()), now, Room::WHOLE, &mut buffer));
    });
    let replies: Vec<Vec<u8>> = names.iter().map(|name| reply(name)).collect();
    let mut pairs = asks.iter().zip(&replies).cycle();
    criterion.bench_function("cache/store", |bencher| {
        bencher.iter(|| {
            let (ask, reply) = pairs.next().unwrap();
            cache.store(black_box(ask), reply, now)
        });
    });
    asks.iter().zip(&replies).for_each(|(ask, reply)| assert!(cache.store(ask, reply, now).kept));
    let later = now + Duration::from_secs(10);
    criterion.bench_function("cache/hit", |bencher| {
        bencher.iter(|| cache.lookup(black_box(next.next().unwrap()), later, Room::WHOLE, &mut buffer));
    });
}

criterion_group!(benches, cache);
criterion_main!(benches);

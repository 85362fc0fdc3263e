//! From facts to records: a first list of 10,000 slices, the same list again, and one changed endpoint of 5,000.

#![allow(missing_docs, reason = "criterion's macros write functions without documentation")]

use std::net::Ipv4Addr;
use std::time::Instant;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rollcall::cluster::facts::{EndpointFact, Fact, Family, Kind, ObjectKey, ServiceFact, ServiceSpec, SliceFact};
use rollcall::cluster::{Index, IndexSettings};
use rollcall::zone::pair;
use rollcall_testing::zone::{label, ports};

const SLICES: usize = 10_000;
const PER_SLICE: usize = 10;

fn service(name: &str) -> Fact {
    let spec = ServiceSpec::Headless { ports: ports().to_vec() };
    Fact::Service(ServiceFact {
        key: ObjectKey::new("default", name),
        version: 1,
        selector: true,
        spec,
        external: None,
    })
}

/// A slice of a Service with endpoints `peer-FROM`, …; `shift` moves their addresses.
fn slice(service: &str, number: usize, endpoints: usize, shift: u32) -> Fact {
    let endpoints = (number * endpoints..(number + 1) * endpoints).map(|peer| EndpointFact {
        addresses: [Ipv4Addr::from_bits(0x0a80_0000 + peer as u32 + shift).into()].into(),
        hostname: Some(label(&format!("peer-{peer}"))),
        pod: None,
        ready: true,
        zone: None,
    });
    Fact::Slice(SliceFact {
        key: ObjectKey::new("default", &format!("{service}-{number}")),
        version: 1,
        service: service.into(),
        family: Family::V4,
        ports: ports().to_vec(),
        endpoints: endpoints.collect(),
        aliases: vec![],
        triggered: None,
    })
}

/// Lists headless Services of one slice each.
fn list(index: &mut Index) {
    index.begin_list(Kind::Service);
    index.apply_page((0..SLICES).map(|at| service(&format!("app{at}"))).collect(), Instant::now(), 1);
    index.end_list(Kind::Service, Instant::now(), 1);
    index.begin_list(Kind::EndpointSlice);
    for page in 0..SLICES / 500 {
        let slices = (page * 500..(page + 1) * 500).map(|at| slice(&format!("app{at}"), at, PER_SLICE, 0));
        index.apply_page(slices.collect(), Instant::now(), 1);
    }
    index.end_list(Kind::EndpointSlice, Instant::now(), 1);
}

fn empty() -> Index {
    Index::new(pair().0, IndexSettings::default())
}

fn index(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("index");
    group.sample_size(10);
    group.bench_function("list_of_10000_slices", |bencher| {
        bencher.iter_batched_ref(empty, list, BatchSize::PerIteration);
    });
    let mut full = empty();
    list(&mut full);
    group.bench_function("relist_of_10000_slices", |bencher| bencher.iter(|| list(&mut full)));
    // 5,000 endpoints in 50 slices, of which one slice changes.
    full.apply(service("large"), Instant::now(), 1);
    for number in 0..50 {
        full.apply(slice("large", number, 100, 1 << 20), Instant::now(), 1);
    }
    let mut shift = 1 << 21;
    group.bench_function("change_of_one_slice_of_50", |bencher| {
        bencher.iter(|| {
            shift += 100;
            full.apply(slice("large", 17, 100, shift), Instant::now(), 1)
        });
    });
    group.finish();
}

criterion_group!(benches, index);
criterion_main!(benches);

//! Bytes held for each endpoint: 100,000 endpoints in 5,000 headless Services, beside 5,000 ClusterIPs.
//!
//! Counts what the zone and its writer allocate, by an allocator of its own; prints steady state and peak, for the first
//! list and for a relist of the same objects.

#![expect(unsafe_code, reason = "an allocator that counts can only be written so")]
#![expect(clippy::print_stdout, reason = "the figures are its purpose")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rollcall::cluster::facts::Kind;
use rollcall::cluster::{Index, IndexSettings};
use rollcall::zone::pair;
use rollcall_testing::many::Many;

/// The system's allocator, counting.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SERVICES: usize = 5_000;
const ENDPOINTS: usize = 20;
const PAGE: usize = 500;

fn main() {
    // Pods of short and of long names, and endpoints without a name.
    for (title, name) in
        [("short hostnames", "app"), ("long hostnames", "my-release-postgresql-"), ("no hostnames", "")]
    {
        measure(title, name);
    }
}

fn measure(title: &str, name: &str) {
    let many = Many { services: SERVICES, endpoints: ENDPOINTS, name };
    let before = HELD.load(Ordering::Relaxed);
    let (publisher, _reader) = pair();
    let mut index = Index::new(publisher, IndexSettings::default());
    println!("{title}: {} endpoints in {SERVICES} headless Services, {SERVICES} ClusterIPs", SERVICES * ENDPOINTS);
    for title in ["first list", "relist"] {
        let held = HELD.load(Ordering::Relaxed) - before;
        PEAK.store(before + held, Ordering::Relaxed);
        CALLS.store(0, Ordering::Relaxed);
        let start = Instant::now();
        for kind in [Kind::Service, Kind::EndpointSlice] {
            index.begin_list(kind);
            let mut facts = many.facts(kind);
            loop {
                let page: Vec<_> = facts.by_ref().take(PAGE).collect();
                if page.is_empty() {
                    break;
                }
                index.apply_page(page, Instant::now(), 1);
            }
            index.end_list(kind, Instant::now(), 1);
        }
        let spent = start.elapsed();
        let held = HELD.load(Ordering::Relaxed) - before;
        let peak = PEAK.load(Ordering::Relaxed) - before;
        println!(
            "  {title:10}  {:6.1} bytes/endpoint steady, {:6.1} peak ({:.2} x), {:.1} allocations/endpoint, {spent:.0?}",
            held as f64 / (SERVICES * ENDPOINTS) as f64,
            peak as f64 / (SERVICES * ENDPOINTS) as f64,
            peak as f64 / held as f64,
            CALLS.load(Ordering::Relaxed) as f64 / (SERVICES * ENDPOINTS) as f64,
        );
    }
}

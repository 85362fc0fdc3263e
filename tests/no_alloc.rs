//! An answer about the cluster allocates nothing, and an endpoint holds few bytes: counted by an allocator of our own.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

use std::alloc::{GlobalAlloc, System};
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use rollcall::wire::{Label, Parsed, Rcode, Ttl, parse};
use rollcall::zone::{
    Answered, Changes, EndpointChange, EndpointSet, EndpointState, Endpoints, Fallthrough, Import, ImportKind, Pods,
    Pointer, Port, PortList, Protocol, Publisher, Seeds, Service, ServiceKind, ServiceName, SliceEndpoint, View,
    answer, pair,
};
use rollcall_testing::queries::{A, query};

struct Counting;

thread_local! {
    // Without a destructor and without lazy set-up, so that the allocator may touch it.
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "counting allocations needs an allocator; it hands everything to the system's")]
// SAFETY: every call is handed to `System` as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        hold(layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: std::alloc::Layout) {
        hold(-(layout.size() as i64));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: std::alloc::Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        hold(size as i64 - layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

fn hold(bytes: i64) {
    HELD.with(|held| held.set(held.get() + bytes));
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn label(text: &str) -> Label {
    Label::new(text.as_bytes()).unwrap()
}

fn zone() -> (Publisher, View) {
    let (mut publisher, _) = pair();
    let name = |service: &str| ServiceName::new(&label(service), &label("a-namespace-with-a-long-name"));
    let ports: Arc<[Port]> = [Port { name: Some(label("http")), protocol: Protocol::Tcp, number: 80 }].into();
    let address = |number: u32| IpAddr::from([10, 0, (number / 250) as u8, (number % 250) as u8]);
    let peers: Vec<EndpointChange> = (0..1000)
        .map(|number| EndpointChange {
            label: label(&format!("kubia-with-a-long-name-{number}")),
            state: Some(EndpointState { addresses: [address(number)].into(), ports: Arc::clone(&ports), zone: None }),
        })
        .collect();
    let service = |name: &ServiceName, kind, peers| {
        let endpoints = Endpoints::default().apply(peers);
        (name.clone(), Some(Arc::new(Service { name: name.clone(), kind, endpoints })))
    };
    let cluster_ip = ServiceKind::ClusterIp {
        addresses: [IpAddr::from([10, 96, 0, 1])].into(),
        ports: PortList::new(Arc::clone(&ports)),
    };
    let imported = (0..300).map(|number| SliceEndpoint {
        label: label(&format!("kubia-{number}")),
        cluster: Some(label("west")),
        addresses: [address(number)].into(),
        ports: Arc::clone(&ports),
    });
    let set = EndpointSet::new(&imported.collect::<Vec<_>>());
    let import = Import { name: name("kubia"), kind: ImportKind::Headless, set };
    publisher.publish(Changes {
        imports: vec![(name("kubia"), Some(Arc::new(import)))],
        services: vec![
            service(&name("kubia"), ServiceKind::Headless, peers.as_slice()),
            service(&name("few"), ServiceKind::Headless, peers.get(..5).unwrap()),
            service(&name("web"), cluster_ip, &[]),
            service(
                &name("alias"),
                ServiceKind::ExternalName("web.a-namespace-with-a-long-name.svc.cluster.local".parse().unwrap()),
                &[],
            ),
        ],
        pointers: (0..1000)
            .map(|number| {
                let label = label(&format!("kubia-with-a-long-name-{number}"));
                (address(number), Some(Pointer::Endpoint(label, name("kubia"))))
            })
            .collect(),
        namespaces: vec![(label("a-namespace-with-a-long-name"), true)],
        pods: vec![(label("a-namespace-with-a-long-name"), address(7), true)],
        ..Changes::default()
    });
    publisher.set_synced();
    let view = View {
        reader: publisher.reader(),
        zones: ["cluster.local", "in-addr.arpa", "clusterset.local"].map(|zone| zone.parse().unwrap()).into(),
        multicluster: vec!["clusterset.local".parse().unwrap()],
        ttl: Ttl::from_secs(5),
        pods: Pods::Verified,
        namespaces: Some([label("a-namespace-with-a-long-name"), label("another")].into()),
        ignore_empty: false,
        zonal: false,
        bounds: None,
        fallthrough: Fallthrough::None,
        local: vec![address(3)],
    };
    (publisher, view)
}

#[test]
fn an_answer_allocates_nothing() {
    let (_publisher, view) = zone();
    let mut buffer = vec![0; 65_535];
    let mut ask = |message: &[u8], limit: usize| {
        let Parsed::Query(question) = parse(message) else { panic!("a query of ours is well-formed") };
        answer(&question, &view, limit, limit < 65_535, Seeds { order: 11, choice: &|| 12 }, &mut buffer)
    };
    // A thread's first look allocates its place among the readers.
    ask(&query(1, "kubia.a-namespace-with-a-long-name.svc.cluster.local", A), 1232);
    let in_namespace = |name: &str| format!("{name}.a-namespace-with-a-long-name.svc.cluster.local");
    for (name, qtype, rcode) in [
        (in_namespace("kubia"), 1_u16, Rcode::NOERROR),
        (in_namespace("kubia"), 28, Rcode::NOERROR),
        (in_namespace("kubia"), 33, Rcode::NOERROR),
        (in_namespace("few"), 33, Rcode::NOERROR),
        (in_namespace("_http._tcp.kubia"), 33, Rcode::NOERROR),
        (in_namespace("kubia-with-a-long-name-7.kubia"), 1_u16, Rcode::NOERROR),
        (in_namespace("kubia-with-a-long-name-7.kubia"), 33, Rcode::NOERROR),
        (in_namespace("web"), 1_u16, Rcode::NOERROR),
        (in_namespace("web"), 33, Rcode::NOERROR),
        (in_namespace("alias"), 1_u16, Rcode::NOERROR),
        (in_namespace("nobody"), 1, Rcode::NXDOMAIN),
        (in_namespace("nobody.kubia"), 33, Rcode::NXDOMAIN),
        ("kubia.elsewhere.svc.cluster.local".into(), 1, Rcode::NXDOMAIN),
        ("kubia.a-namespace-with-a-long-name.svc.clusterset.local".into(), 1, Rcode::NOERROR),
        ("kubia.a-namespace-with-a-long-name.svc.clusterset.local".into(), 33, Rcode::NOERROR),
        ("kubia-7.west.kubia.a-namespace-with-a-long-name.svc.clusterset.local".into(), 33, Rcode::NOERROR),
        ("kubia-7.east.kubia.a-namespace-with-a-long-name.svc.clusterset.local".into(), 1, Rcode::NXDOMAIN),
        ("10-0-0-7.a-namespace-with-a-long-name.pod.cluster.local".into(), 1, Rcode::NOERROR),
        ("example.org.cluster.local".into(), 1, Rcode::NXDOMAIN),
        ("cluster.local".into(), 2, Rcode::NOERROR),
        ("cluster.local".into(), 6, Rcode::NOERROR),
        ("7.0.0.10.in-addr.arpa".into(), 12, Rcode::NOERROR),
        ("7.0.9.10.in-addr.arpa".into(), 12, Rcode::NXDOMAIN),
    ] {
        let message = query(1, &name, qtype);
        for limit in [512, 1232, 65_535] {
            let before = COUNT.with(Cell::get);
            let answered = ask(&message, limit);
            assert_eq!(COUNT.with(Cell::get) - before, 0, "allocations for {name} type {qtype} in {limit}");
            assert!(matches!(answered, Answered::Reply { rcode: found, .. } if found == rcode), "{name}: {answered:?}");
        }
    }
}

#[test]
fn the_counter_counts() {
    let before = COUNT.with(Cell::get);
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(COUNT.with(Cell::get) - before, 1);
}

// 100,000 endpoints in 5,000 headless Services, as the API server lists them; the writer's own memory comes on top.
#[test]
fn an_endpoint_holds_fewer_than_a_hundred_and_ten_bytes_of_the_zone() {
    const SERVICES: u32 = 5000;
    const PEERS: u32 = 20;
    let before = HELD.with(Cell::get);
    let (mut publisher, _reader) = pair();
    for page in 0..10 {
        let mut changes = Changes::default();
        for number in (0..SERVICES).filter(|number| number % 10 == page) {
            let name = ServiceName::new(&label(&format!("service-{number}")), &label("default"));
            let ports: Arc<[Port]> = [Port { name: Some(label("http")), protocol: Protocol::Tcp, number: 80 }].into();
            let peers: Vec<EndpointChange> = (0..PEERS)
                .map(|peer| {
                    let address = IpAddr::from((0x0a00_0000 + number * PEERS + peer).to_be_bytes());
                    let label = label(&format!("peer-{peer}"));
                    changes.pointers.push((address, Some(Pointer::Endpoint(label.clone(), name.clone()))));
                    EndpointChange {
                        label,
                        state: Some(EndpointState {
                            addresses: [address].into(),
                            ports: Arc::clone(&ports),
                            zone: None,
                        }),
                    }
                })
                .collect();
            let endpoints = Endpoints::default().apply(&peers);
            let service = Service { name: name.clone(), kind: ServiceKind::Headless, endpoints };
            changes.services.push((name, Some(Arc::new(service))));
        }
        publisher.publish(changes);
    }
    let each = (HELD.with(Cell::get) - before) / i64::from(SERVICES * PEERS);
    println!("{each} bytes for each endpoint");
    assert!((50..110).contains(&each), "{each} bytes for each endpoint");
}

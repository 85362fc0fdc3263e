use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::zone::{EndpointChange, EndpointState, Endpoints, ExternalHost, Port, Protocol, ServiceKind};

fn label(text: &str) -> Label {
    Label::new(text.as_bytes()).unwrap()
}

fn name(service: &str) -> ServiceName {
    ServiceName::new(&label(service), &label("default"))
}

fn headless(service: &str, endpoints: Endpoints) -> (ServiceName, Option<Arc<Service>>) {
    (name(service), Some(Arc::new(Service { name: name(service), kind: ServiceKind::Headless, endpoints })))
}

fn peer(number: u8) -> EndpointChange {
    let ports = [Port { name: Some(label("http")), protocol: Protocol::Tcp, number: 80 }];
    let addresses = [Ipv4Addr::new(10, 0, 0, number).into()].into();
    let state = Some(EndpointState { addresses, ports: ports.into(), zone: None });
    EndpointChange { label: label(&format!("kubia-{number}")), state }
}

#[test]
fn what_is_published_is_found_until_it_is_gone() {
    let (mut publisher, reader) = pair();
    let address = IpAddr::from([10, 0, 0, 1]);
    let v6 = IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]);
    publisher.publish(Changes {
        services: vec![headless("kubia", Endpoints::default())],
        pointers: vec![
            (address, Some(Pointer::Endpoint(label("kubia-0"), name("kubia")))),
            (v6, Some(Pointer::Service(name("kubia")))),
        ],
        namespaces: vec![(label("default"), true)],
        pods: vec![(label("default"), address, true)],
        imports: vec![(
            name("kubia"),
            Some(Arc::new(Import {
                name: name("kubia"),
                kind: crate::zone::ImportKind::Headless,
                set: crate::zone::EndpointSet::default(),
            })),
        )],
        ..Changes::default()
    });
    assert_eq!(reader.service(&name("kubia")).unwrap().name, name("kubia"));
    assert_eq!((reader.services().len(), reader.imports().len()), (1, 1));
    assert_eq!(reader.pointer(address), Some(Pointer::Endpoint(label("kubia-0"), name("kubia"))));
    assert_eq!(reader.pointer(v6), Some(Pointer::Service(name("kubia"))));
    assert!(reader.has_namespace(b"default") && reader.has_pod(b"default", address));
    assert!(!reader.has_namespace(b"other") && !reader.has_pod(b"other", address) && !reader.has_pod(b"default", v6));

    publisher.publish(Changes {
        services: vec![(name("kubia"), None)],
        pointers: vec![(address, None), (v6, None)],
        namespaces: vec![(label("default"), false)],
        pods: vec![(label("default"), address, false)],
        imports: vec![(name("kubia"), None)],
        ..Changes::default()
    });
    assert!(reader.service(&name("kubia")).is_none() && reader.services().is_empty() && reader.imports().is_empty());
    assert_eq!((reader.pointer(address), reader.pointer(v6)), (None, None));
    assert!(!reader.has_namespace(b"default") && !reader.has_pod(b"default", address));
}

#[test]
fn an_address_from_outside_leads_to_its_services() {
    let (mut publisher, reader) = pair();
    let external = |service: &str, addresses: &[&str]| {
        let hosts: Vec<_> = addresses.iter().map(|text| ExternalHost::Address(text.parse().unwrap())).collect();
        (name(service), Some(Arc::new(External::new(name(service), &hosts, vec![].into()))))
    };
    let reached = |address: &str| {
        let services = reader.reached(address.parse().unwrap());
        services.iter().map(|name| String::from_utf8_lossy(name.service()).into_owned()).collect::<Vec<_>>()
    };
    let mut publish = |external| publisher.publish(Changes { external, ..Changes::default() });
    publish(vec![
        external("b", &["192.0.2.1"]),
        external("a", &["192.0.2.1", "fd00::1"]),
        external("c", &["192.0.2.9"]),
    ]);
    assert_eq!((reached("192.0.2.1"), reached("fd00::1")), (vec!["a".into(), "b".into()], vec!["a".into()]));
    // The last change of a Service counts.
    publish(vec![external("a", &["192.0.2.7"]), external("a", &["192.0.2.9"]), (name("b"), None)]);
    assert_eq!((reached("192.0.2.1"), reached("fd00::1"), reached("192.0.2.7")), (vec![], vec![], vec![]));
    assert_eq!(reached("192.0.2.9"), ["a", "c"]);
}

#[test]
fn serial_and_first_sync_reach_every_reader() {
    let (mut publisher, reader) = pair();
    assert_eq!((reader.serial(), reader.is_synced()), (Serial(0), false));
    publisher.set_serial(Serial(1_700_000_000));
    publisher.set_synced();
    assert_eq!((reader.serial(), publisher.reader().is_synced()), (Serial(1_700_000_000), true));
}

#[test]
fn a_pointer_takes_twenty_four_bytes_and_its_entry_thirty_two() {
    assert_eq!((size_of::<Pointer>(), size_of::<Pointed<Ipv4Addr>>()), (24, 32));
}

// One moment for one Service, while others around it change: no reader sees it absent, and none sees an endpoint
// whose address the same version does not list.
#[test]
fn readers_never_see_a_service_blank_or_half_changed() {
    let (mut publisher, reader) = pair();
    let all: Vec<EndpointChange> = (0..100).map(peer).collect();
    let mut endpoints = Endpoints::default().apply(&all);
    publisher.publish(Changes { services: vec![headless("kubia", endpoints.clone())], ..Changes::default() });
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut rounds = 0u64;
                    loop {
                        let service = reader.service(&name("kubia")).expect("present throughout");
                        let addresses = service.endpoints.addresses().expect("never empty");
                        let mut seen = 0;
                        for (_, state) in service.endpoints.iter() {
                            for address in state.addresses {
                                let IpAddr::V4(address) = address else { panic!("only IPv4 here") };
                                assert!(addresses.v4.get(&address).is_some(), "{address} belongs to no version");
                                seen += 1;
                            }
                        }
                        assert_eq!(seen, addresses.v4.len());
                        rounds += 1;
                        if stop.load(Ordering::Relaxed) {
                            break rounds;
                        }
                    }
                })
            })
            .collect();
        let end = Instant::now() + Duration::from_millis(300);
        let mut round = 0u32;
        // A machine that is busy with something else gets the time for some rounds.
        while Instant::now() < end || round <= 10 {
            let number = (round % 100) as u8;
            let change =
                if round.is_multiple_of(3) { peer(number) } else { EndpointChange { state: None, ..peer(number) } };
            let others = (0..20).map(|other| {
                let there = !(round + other).is_multiple_of(3);
                let (name, service) = headless(&format!("other-{other}"), Endpoints::default());
                (name, service.filter(|_| there))
            });
            // `kubia-0` is never taken away, so that the Service keeps an endpoint.
            endpoints = endpoints.apply(&[change, peer(0)]);
            let services = others.chain([headless("kubia", endpoints.clone())]).collect();
            publisher.publish(Changes { services, ..Changes::default() });
            round += 1;
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
}

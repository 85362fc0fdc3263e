use std::net::IpAddr;
use std::sync::Arc;

use super::*;
use crate::wire::Label;
use crate::zone::testing::{ask, ask_udp, view};
use crate::zone::{Answered, Changes, Port, Protocol, Publisher, SliceEndpoint, View, pair};

fn label(text: &str) -> Label {
    Label::new(text.as_bytes()).unwrap()
}

fn port(name: &str, protocol: Protocol, number: u16) -> Port {
    Port { name: (!name.is_empty()).then(|| label(name)), protocol, number }
}

fn endpoint(name: &str, cluster: &str, address: &str, ports: &[Port]) -> SliceEndpoint {
    SliceEndpoint {
        label: label(name),
        cluster: (!cluster.is_empty()).then(|| label(cluster)),
        addresses: vec![address.parse().unwrap()],
        ports: ports.into(),
    }
}

/// A view of `clusterset.local`, where `db.n` is headless and `web.n` has an address, and of `cluster.local`.
fn world(peers: Vec<SliceEndpoint>) -> View {
    let (mut publisher, view) = unsynced(peers);
    publisher.set_synced();
    view
}

/// The same before the first lists are complete.
fn unsynced(peers: Vec<SliceEndpoint>) -> (Publisher, View) {
    let (mut publisher, reader) = pair();
    let name = |service: &str| ServiceName::new(&label(service), &label("n"));
    let ports = [port("http", Protocol::Tcp, 80), port("", Protocol::Udp, 80)];
    let addresses: Box<[IpAddr]> = ["10.0.0.1".parse().unwrap()].into();
    let kind = ImportKind::ClusterSetIp { addresses, ports: ports.to_vec().into() };
    let set = EndpointSet::new(&[endpoint("a", "east", "172.16.0.1", &ports)]);
    let web = Import { name: name("web"), kind, set };
    let db = Import { name: name("db"), kind: ImportKind::Headless, set: EndpointSet::new(&peers) };
    publisher.publish(Changes {
        imports: vec![(name("web"), Some(Arc::new(web))), (name("db"), Some(Arc::new(db)))],
        namespaces: vec![(label("n"), true)],
        ..Changes::default()
    });
    let zones: Vec<_> = ["clusterset.local", "cluster.local"].map(|zone| zone.parse().unwrap()).into();
    (publisher, View { multicluster: zones[..1].to_vec(), zones, ..view(reader) })
}

#[test]
fn before_the_first_list_of_imported_slices_no_answer_draws_from_them() {
    let (mut publisher, view) = unsynced(peers());
    let rcode = |left: &str| {
        let short = ask(&view, &format!("{left}.clusterset.local"), "A").short();
        short.split(';').next().unwrap_or_default().to_owned()
    };
    let drawn =
        ["db.n.svc", "db-0.east.db.n.svc", "lone.db.n.svc", "_sql._tcp.db.n.svc", "west.db.n.svc", "a.east.web.n.svc"];
    drawn.iter().for_each(|left| assert_eq!(rcode(left), "SERVFAIL", "{left}"));
    assert_eq!(rcode("web.n.svc"), "NOERROR");
    // The slices of the cluster itself say nothing of these.
    publisher.set_endpoints();
    drawn.iter().for_each(|left| assert_eq!(rcode(left), "SERVFAIL", "{left}"));
    publisher.set_imported_endpoints();
    drawn.iter().for_each(|left| assert_eq!(rcode(left), "NOERROR", "{left}"));
}

fn peers() -> Vec<SliceEndpoint> {
    let sql = [port("sql", Protocol::Tcp, 5432)];
    vec![
        endpoint("db-0", "east", "172.16.0.1", &sql),
        endpoint("db-0", "west", "172.17.0.1", &sql),
        endpoint("db-0", "west", "fd00::1", &sql),
        endpoint("lone", "", "172.18.0.1", &[]),
    ]
}

#[test]
fn peers_of_one_name_in_two_clusters_are_told_apart() {
    let view = world(peers());
    let name = |left: &str| format!("{left}.clusterset.local");
    for (left, kind, expected) in [
        ("db.n.svc", "A", "NOERROR; A 172.16.0.1; A 172.17.0.1; A 172.18.0.1"),
        ("db.n.svc", "AAAA", "NOERROR; AAAA fd00::1"),
        ("db-0.east.db.n.svc", "A", "NOERROR; A 172.16.0.1"),
        ("db-0.west.db.n.svc", "AAAA", "NOERROR; AAAA fd00::1"),
        ("db-0.north.db.n.svc", "A", "NXDOMAIN"),
        ("db-0.db.n.svc", "A", "NXDOMAIN"),
        ("lone.db.n.svc", "A", "NOERROR; A 172.18.0.1"),
        ("lone.db.n.svc", "SRV", "NOERROR"),
        ("_sql._tcp.db.n.svc", "A", "NOERROR; A 172.16.0.1; A 172.17.0.1"),
        ("_sql.tcp.db.n.svc", "AAAA", "NOERROR; AAAA fd00::1"),
        ("sql.tcp.db.n.svc", "A", "NXDOMAIN"),
        ("_sql._udp.db.n.svc", "A", "NXDOMAIN"),
        ("x.db-0.west.db.n.svc", "A", "NXDOMAIN"),
        // Names above those that exist.
        ("west.db.n.svc", "A", "NOERROR"),
        ("_tcp.db.n.svc", "A", "NOERROR"),
        ("_udp.db.n.svc", "A", "NXDOMAIN"),
    ] {
        assert_eq!(ask(&view, &name(left), kind).short(), expected, "{left} {kind}");
    }
    let west = ask(&view, &name("db-0.WEST.db.n.svc"), "SRV");
    assert_eq!(west.short(), "NOERROR; SRV 0 50 5432 db-0.west.db.n.svc.clusterset.local.");
    assert_eq!(west.additionals().len(), 2);
}

#[test]
fn srv_records_of_a_headless_import_name_the_clusters() {
    let all = ask(&world(peers()), "db.n.svc.clusterset.local", "SRV");
    let target = |cluster: &str| format!("SRV 0 25 5432 db-0.{cluster}.db.n.svc.clusterset.local.");
    assert_eq!(all.short(), format!("NOERROR; {}; {}", target("east"), target("west")));
    let mut glue = all.additionals();
    glue.sort();
    assert_eq!(
        glue,
        [
            "db-0.east.db.n.svc.clusterset.local. 5 A 172.16.0.1",
            "db-0.west.db.n.svc.clusterset.local. 5 A 172.17.0.1",
            "db-0.west.db.n.svc.clusterset.local. 5 AAAA fd00::1",
        ]
    );
}

#[test]
fn an_import_with_an_address_answers_with_it() {
    let mut view = world(Vec::new());
    let name = |left: &str| format!("{left}.clusterset.local");
    for (left, kind, expected) in [
        ("web.n.svc", "A", "NOERROR; A 10.0.0.1"),
        ("web.n.svc", "SRV", "NOERROR; SRV 0 50 80 web.n.svc.clusterset.local."),
        ("_http._tcp.web.n.svc", "SRV", "NOERROR; SRV 0 100 80 web.n.svc.clusterset.local."),
        ("_https._tcp.web.n.svc", "SRV", "NXDOMAIN"),
        ("_tcp.web.n.svc", "A", "NOERROR"),
        ("a.east.web.n.svc", "A", "NOERROR; A 172.16.0.1"),
        // Without endpoints a headless Service does not exist.
        ("db.n.svc", "A", "NXDOMAIN"),
        ("web.other.svc", "A", "NXDOMAIN"),
    ] {
        assert_eq!(ask(&view, &name(left), kind).short(), expected, "{left} {kind}");
    }
    // The cluster's own zone shows its own Services, of which there are none.
    assert_eq!(ask(&view, "web.n.svc.cluster.local", "A").short(), "NXDOMAIN");
    view.multicluster.clear();
    assert_eq!(ask(&view, "web.n.svc.clusterset.local", "A").short(), "NXDOMAIN");
}

#[test]
fn a_long_answer_of_an_import_is_cut_at_whole_records() {
    let port = [port("sql", Protocol::Tcp, 5432)];
    let peers = (0..100u8).map(|n| endpoint(&format!("db-{n}"), "west", &format!("172.16.0.{n}"), &port)).collect();
    let view = world(peers);
    for (kind, most) in [("A", 29), ("SRV", 8)] {
        let got = ask_udp(&view, "db.n.svc.clusterset.local", kind, 512, 3);
        assert!(matches!(got.answered, Answered::Reply { truncated: true, .. }), "{kind}");
        assert!((most - 1..=most).contains(&got.answers().len()), "{kind}: {}", got.answers().len());
    }
    let whole = ask(&view, "db.n.svc.clusterset.local", "SRV");
    assert_eq!((whole.answers().len(), whole.additionals().len()), (100, 100));
}

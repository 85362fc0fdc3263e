//! Kubernetes DNS 2.3: records for a Service with ClusterIP.

use super::{answers, assert_absent, assert_empty, world};

// Kubernetes DNS 2.3.1: an A record for each IPv4 ClusterIP, an AAAA record for each IPv6 ClusterIP.
#[test]
fn a_service_has_an_address_record_for_each_family() {
    let name = "kubernetes.default.svc.cluster.local.";
    assert_eq!(answers(name, "A"), [format!("{name} A 10.3.0.1")]);
    assert_eq!(answers(name, "AAAA"), [format!("{name} AAAA 2001:db8::1")]);
    assert_empty("unnamed.default.svc.cluster.local.", "AAAA");
    assert_absent("nosuch.default.svc.cluster.local.", "A");
}

// Kubernetes DNS 2.3.2: an SRV record for each named port, by name and protocol, with the Service as target.
#[test]
fn each_named_port_has_an_srv_record() {
    let target = "kubernetes.default.svc.cluster.local.";
    for (port, number) in [("_https._tcp", 443), ("_metrics._udp", 9100)] {
        let records = answers(&format!("{port}.{target}"), "SRV");
        assert_eq!(records.len(), 1);
        assert!(records[0].starts_with(&format!("{port}.{target} SRV ")), "{records:?}");
        assert!(records[0].ends_with(&format!(" {number} {target}")), "{records:?}");
    }
    assert_absent(&format!("_https._udp.{target}"), "SRV");
}

// Kubernetes DNS 2.3.2: ports without a name have no SRV record by name.
#[test]
fn unnamed_ports_have_no_srv_record_of_their_own() {
    assert_absent("_8080._tcp.unnamed.default.svc.cluster.local.", "SRV");
    assert_absent("_._tcp.unnamed.default.svc.cluster.local.", "SRV");
}

// Kubernetes DNS 2.3.2: the additional section may hold the addresses of the target.
#[test]
fn the_addresses_of_an_srv_target_come_along() {
    let reply = world().ask("_https._tcp.kubernetes.default.svc.cluster.local.", "SRV");
    assert_eq!(
        reply.additional,
        [
            "kubernetes.default.svc.cluster.local. 30 A 10.3.0.1",
            "kubernetes.default.svc.cluster.local. 30 AAAA 2001:db8::1"
        ]
    );
}

// Kubernetes DNS 2.3.3: a PTR record for each ClusterIP, of both families.
#[test]
fn cluster_ips_point_back_to_their_service() {
    let target = "kubernetes.default.svc.cluster.local.";
    assert_eq!(answers("1.0.3.10.in-addr.arpa.", "PTR"), [format!("1.0.3.10.in-addr.arpa. PTR {target}")]);
    let nibbles = format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa.", "0.".repeat(23));
    assert_eq!(answers(&nibbles, "PTR"), [format!("{nibbles} PTR {target}")]);
}

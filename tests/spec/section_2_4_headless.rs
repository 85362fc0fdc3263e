//! Kubernetes DNS 2.4: records for a headless Service.

use super::{answers, assert_absent, assert_empty, world};

const HEADLESS: &str = "headless.default.svc.cluster.local.";

// Kubernetes DNS 2.4.1: an A record for each ready IPv4 endpoint, an AAAA record for each ready IPv6 endpoint.
#[test]
fn the_service_has_the_addresses_of_its_ready_endpoints() {
    let expected = ["10.3.0.100", "10.3.0.101", "10.3.0.102"].map(|address| format!("{HEADLESS} A {address}"));
    assert_eq!(answers(HEADLESS, "A"), expected);
    assert_eq!(answers(HEADLESS, "AAAA"), [format!("{HEADLESS} AAAA 2001:db8::100")]);
}

// Kubernetes DNS 2.4.1: without any ready endpoint the answer is NXDOMAIN.
#[test]
fn headless_service_without_ready_endpoints_is_nxdomain() {
    for qtype in ["A", "AAAA", "SRV"] {
        assert_absent("nobody.default.svc.cluster.local.", qtype);
    }
    assert_absent("_https._tcp.nobody.default.svc.cluster.local.", "SRV");
}

// Kubernetes DNS 2.4.1: each ready endpoint has address records under its hostname.
#[test]
fn each_ready_endpoint_has_records_under_its_hostname() {
    let name = format!("my-pet.{HEADLESS}");
    assert_eq!(answers(&name, "A"), [format!("{name} A 10.3.0.100")]);
    assert_eq!(answers(&name, "AAAA"), [format!("{name} AAAA 2001:db8::100")]);
    assert_empty(&format!("my-pet-2.{HEADLESS}"), "AAAA");
}

// Kubernetes DNS 2.4.1: several addresses of one hostname are one record each.
#[test]
fn a_hostname_with_several_addresses_has_a_record_for_each() {
    let again = super::CLUSTER.replace("hostname: my-pet-2", "hostname: my-pet");
    let reply = super::World::of(&again).ask(&format!("my-pet.{HEADLESS}"), "A");
    assert_eq!(reply.data(), ["10.3.0.100", "10.3.0.101"]);
}

// Kubernetes DNS 2.4.2: N ready endpoints and M named ports are N times M records, each under its port's name.
#[test]
fn each_endpoint_and_named_port_has_an_srv_record() {
    let mut count = 0;
    for (port, number) in [("_https._tcp", 443), ("_http._tcp", 80)] {
        let owner = format!("{port}.{HEADLESS}");
        for record in answers(&owner, "SRV") {
            assert!(record.starts_with(&format!("{owner} SRV ")), "{record}");
            assert!(record.contains(&format!(" {number} ")) && record.ends_with(&format!(".{HEADLESS}")), "{record}");
            count += 1;
        }
    }
    assert_eq!(count, 3 * 2);
}

// Kubernetes DNS 2.4.2: ports without a name have no SRV record by name.
#[test]
fn unnamed_ports_have_no_srv_record_of_their_own() {
    assert_absent("_7000._tcp.plain.default.svc.cluster.local.", "SRV");
    assert_absent("_._tcp.plain.default.svc.cluster.local.", "SRV");
}

// Kubernetes DNS 2.4.2: the additional section may hold the addresses of the targets.
#[test]
fn the_addresses_of_srv_targets_come_along() {
    let reply = world().ask(&format!("_https._tcp.{HEADLESS}"), "SRV");
    let targets: Vec<&str> = reply.data().iter().map(|data| data.rsplit(' ').next().unwrap()).collect();
    assert_eq!(reply.additional.len(), 4, "{:?}", reply.additional);
    for record in &reply.additional {
        assert!(targets.iter().any(|target| record.starts_with(&format!("{target} 30 A"))), "{record}");
    }
}

// Kubernetes DNS 2.4.3: the address of each ready endpoint points back to its hostname, in both families.
#[test]
fn endpoint_addresses_point_back_to_their_hostname() {
    let target = format!("my-pet.{HEADLESS}");
    assert_eq!(answers("100.0.3.10.in-addr.arpa.", "PTR"), [format!("100.0.3.10.in-addr.arpa. PTR {target}")]);
    let nibbles = format!("0.0.1.{}8.b.d.0.1.0.0.2.ip6.arpa.", "0.".repeat(21));
    assert_eq!(answers(&nibbles, "PTR"), [format!("{nibbles} PTR {target}")]);
}

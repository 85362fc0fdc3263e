use std::net::IpAddr;

use super::super::testing::{OneZone, block, block_with, fault};
use super::*;
use crate::chain::Block;
use crate::chain::testing::{Answers, Asks, lines, message, query, run};
use crate::wire::Rcode;
use crate::zone::{
    Changes, EndpointChange, EndpointState, Endpoints, External, ExternalHost, Pointer, Port, Protocol, Service,
    ServiceKind, ServiceName,
};

fn label(text: &str) -> Label {
    Label::new(text.as_bytes()).unwrap()
}

fn name(service: &str) -> ServiceName {
    ServiceName::new(&label(service), &label("default"))
}

fn port(name: &str, number: u16) -> Port {
    Port { name: Some(label(name)), protocol: Protocol::Tcp, number }
}

/// `web` is reached at two addresses, `lb` by a name, `mixed` at an address and by a name, `peers` is headless, `inner` is not reached from outside.
fn cluster(text: &str, synced: bool) -> Block {
    let mut mirrors = OneZone::default();
    let block = block_with(text, &mut mirrors).unwrap();
    let mut publisher = mirrors.publisher.unwrap();
    let mut changes = Changes { namespaces: vec![(label("default"), true)], ..Changes::default() };
    let outside = |service: &str, hosts: Vec<ExternalHost>, ports: Vec<Port>| {
        let external = External::new(name(service), &hosts, ports.into());
        (name(service), Some(Arc::new(external)))
    };
    let address = |text: &str| ExternalHost::Address(text.parse().unwrap());
    let both = vec![port("http", 80), port("https", 443)];
    changes.external.push(outside("web", vec![address("192.0.2.7"), address("2001:db8::7")], both));
    let balancer = ExternalHost::Name("lb.example.net".parse().unwrap());
    let both = vec![address("192.0.2.8"), balancer.clone()];
    changes.external.push(outside("mixed", both, vec![port("http", 80)]));
    changes.external.push(outside("lb", vec![balancer], vec![port("http", 80)]));
    let states: Vec<EndpointChange> = (0..2u8)
        .map(|n| {
            let addresses = [IpAddr::from([10, 244, 1, 11 + n])].into();
            let state = EndpointState { addresses, ports: vec![port("http", 8080)].into(), zone: None };
            EndpointChange { label: label(&format!("peers-{n}")), state: Some(state) }
        })
        .collect();
    let endpoints = Endpoints::default().apply(&states);
    let mut put = |service: &str, kind, endpoints| {
        changes.services.push((name(service), Some(Arc::new(Service { name: name(service), kind, endpoints }))));
    };
    put("peers", ServiceKind::Headless, endpoints.clone());
    put("inner", ServiceKind::ClusterIp { addresses: Box::default(), ports: vec![].into() }, endpoints);
    changes.pointers.push(("10.244.0.5".parse().unwrap(), Some(Pointer::Endpoint(label("dns"), name("web")))));
    publisher.publish(changes);
    publisher.set_serial(crate::wire::Serial(7));
    if synced {
        publisher.set_synced();
    }
    block
}

const PLAIN: &str = "kubernetes cluster.local\nk8s_external example.org in-addr.arpa\nwhoami";
const HEADLESS: &str = "kubernetes cluster.local\nk8s_external example.org {\nheadless\nttl 60\nfallthrough\n}\nwhoami";

fn ask(text: &str, name: &str, qtype: RecordType) -> Message {
    message(run(&cluster(text, true).chain, &mut query(name, qtype)))
}

#[test]
fn services_have_their_outside_addresses() {
    let reply = ask(PLAIN, "Web.default.example.org.", RecordType::A);
    assert_eq!(lines(&reply.answers), ["Web.default.example.org. 5 IN A 192.0.2.7"]);
    assert!(reply.metadata.authoritative);
    let reply = ask(PLAIN, "web.default.example.org.", RecordType::AAAA);
    assert_eq!(lines(&reply.answers), ["web.default.example.org. 5 IN AAAA 2001:db8::7"]);
    let reply = ask(PLAIN, "7.2.0.192.in-addr.arpa.", RecordType::PTR);
    assert_eq!(lines(&reply.answers), ["7.2.0.192.in-addr.arpa. 5 IN PTR web.default.example.org."]);
}

#[test]
fn ports_have_srv_records() {
    let reply = ask(PLAIN, "_https._tcp.web.default.example.org.", RecordType::SRV);
    let owner = "_https._tcp.web.default.example.org.";
    assert_eq!(lines(&reply.answers), [format!("{owner} 5 IN SRV 0 50 443 web.default.example.org.")]);
    assert_eq!(reply.additionals.len(), 2);
    let all = ask(PLAIN, "web.default.example.org.", RecordType::SRV);
    assert_eq!((all.answers.len(), all.additionals.len()), (2, 2));
    assert_eq!(
        ask(PLAIN, "_ftp._tcp.web.default.example.org.", RecordType::SRV).metadata.response_code,
        ResponseCode::NXDomain
    );
}

#[test]
fn a_balancer_with_a_name_is_an_alias() {
    let block = cluster(PLAIN, true);
    let mut asked = query("lb.default.example.org.", RecordType::A);
    let beyond = || Answers { exact: true, ..Answers::with("lb.example.net. 300 IN A 198.51.100.9") };
    asked.resolver = Arc::new(Asks(vec![Arc::new(beyond())]));
    let reply = message(run(&block.chain, &mut asked));
    let alias = "lb.default.example.org. 5 IN CNAME lb.example.net.";
    assert_eq!(lines(&reply.answers), [alias, "lb.example.net. 300 IN A 198.51.100.9"]);
    let mut asked = query("lb.default.example.org.", RecordType::SRV);
    asked.resolver = Arc::new(Asks(vec![Arc::new(beyond())]));
    let reply = message(run(&block.chain, &mut asked));
    assert_eq!(lines(&reply.answers), ["lb.default.example.org. 5 IN SRV 0 100 80 lb.example.net."]);
    assert_eq!(lines(&reply.additionals), ["lb.example.net. 300 IN A 198.51.100.9"]);
}

#[test]
fn an_address_is_an_answer_although_a_name_beside_it_is_not_found() {
    let owner = "mixed.default.example.org.";
    let reply = ask(PLAIN, owner, RecordType::A);
    let alias = format!("{owner} 5 IN CNAME lb.example.net.");
    assert_eq!(lines(&reply.answers), [format!("{owner} 5 IN A 192.0.2.8"), alias.clone()]);
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
    let reply = ask(PLAIN, owner, RecordType::AAAA);
    assert_eq!(lines(&reply.answers), [alias]);
    assert_ne!(reply.metadata.response_code, ResponseCode::NoError, "as with a name alone");
}

#[test]
fn headless_services_are_answered_when_asked_for() {
    for missing in ["peers.default.example.org.", "inner.default.example.org.", "x.web.nowhere.example.org."] {
        let reply = ask(PLAIN, missing, RecordType::A);
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain, "{missing}");
        let soa = "example.org. 5 IN SOA ns1.dns.example.org. hostmaster.dns.example.org. 7 7200 1800 86400 5";
        assert_eq!(lines(&reply.authorities), [soa]);
    }
    let reply = ask(HEADLESS, "peers.default.example.org.", RecordType::A);
    assert_eq!(reply.answers.len(), 2);
    assert!(lines(&reply.answers).contains(&"peers.default.example.org. 60 IN A 10.244.1.11".to_owned()));
    let reply = ask(HEADLESS, "peers-1.peers.default.example.org.", RecordType::A);
    assert_eq!(lines(&reply.answers), ["peers-1.peers.default.example.org. 60 IN A 10.244.1.12"]);
    let reply = ask(HEADLESS, "_http._tcp.peers.default.example.org.", RecordType::SRV);
    assert!(lines(&reply.answers).iter().any(|line| line.ends_with("0 50 8080 peers-0.peers.default.example.org.")));
    // As in CoreDNS, what a record names ends as the zone is written in the Corefile.
    let reply = ask(HEADLESS, "Peers.default.EXAMPLE.org.", RecordType::SRV);
    assert!(reply.answers.iter().all(|record| record.data.to_string().ends_with(".peers.default.example.org.")));
    assert!(reply.additionals.iter().all(|record| record.name.to_ascii().ends_with(".peers.default.example.org.")));
    let passed = ask(HEADLESS, "nothere.default.example.org.", RecordType::A);
    assert_eq!(passed.additionals.len(), 2, "whoami has answered");
}

#[test]
fn the_zone_has_an_apex_and_a_server() {
    assert_eq!(ask(PLAIN, "example.org.", RecordType::SOA).answers.len(), 1);
    let servers = ask(PLAIN, "example.org.", RecordType::NS);
    assert_eq!(lines(&servers.answers), ["example.org. 5 IN NS ns1.dns.example.org."]);
    // This server is an endpoint of `web`, and so is reached at its addresses.
    assert_eq!(servers.additionals.len(), 2);
    let own = ask(PLAIN, "ns1.dns.example.org.", RecordType::A);
    assert_eq!(lines(&own.answers), ["ns1.dns.example.org. 5 IN A 192.0.2.7"]);
    for (name, rcode) in [
        ("example.org.", ResponseCode::NoError),
        ("default.example.org.", ResponseCode::NoError),
        ("dns.example.org.", ResponseCode::NoError),
        ("ns2.dns.example.org.", ResponseCode::NXDomain),
        ("x.ns1.dns.example.org.", ResponseCode::NXDomain),
        ("nowhere.example.org.", ResponseCode::NXDomain),
    ] {
        let reply = ask(PLAIN, name, RecordType::A);
        assert_eq!(
            (reply.metadata.response_code, reply.answers.len(), reply.authorities.len()),
            (rcode, 0, 1),
            "{name}"
        );
    }
}

#[test]
fn the_zones_own_names_do_not_fall_through() {
    for name in ["x.dns.example.org.", "x.ns1.dns.example.org."] {
        let reply = ask(HEADLESS, name, RecordType::A);
        let sizes = (reply.answers.len(), reply.authorities.len(), reply.additionals.len());
        assert_eq!((reply.metadata.response_code, sizes), (ResponseCode::NXDomain, (0, 1, 0)), "{name}");
    }
}

#[test]
fn what_is_not_known_yet_is_no_denial() {
    let block = cluster(PLAIN, false);
    let outcome = run(&block.chain, &mut query("nothere.default.example.org.", RecordType::A));
    assert!(matches!(outcome, Outcome::Failed("k8s_external", failure) if failure.rcode == Rcode::SERVFAIL));
    // Nor is a part of the endpoints the whole; and what may yet be there is not for the next plugin.
    let block = cluster(HEADLESS, false);
    for (name, qtype) in [
        ("peers.default.example.org.", RecordType::A),
        ("peers-0.peers.default.example.org.", RecordType::A),
        ("_http._tcp.peers.default.example.org.", RecordType::SRV),
        ("nothere.default.example.org.", RecordType::A),
    ] {
        let outcome = run(&block.chain, &mut query(name, qtype));
        assert!(matches!(outcome, Outcome::Failed("k8s_external", _)), "{name}");
    }
    let block = cluster(PLAIN, false);
    let outcome = run(&block.chain, &mut query("7.2.0.192.in-addr.arpa.", RecordType::PTR));
    assert!(matches!(outcome, Outcome::Failed("k8s_external", _)), "other Services may have the address");
    let reply = message(run(&block.chain, &mut query("web.default.example.org.", RecordType::A)));
    assert_eq!(lines(&reply.answers), ["web.default.example.org. 5 IN A 192.0.2.7"], "this one is known whole");
    let servers = message(run(&block.chain, &mut query("example.org.", RecordType::NS)));
    assert_eq!(servers.additionals.len(), 1, "its own address, until it is known whose endpoint it is");
}

#[test]
fn settings_are_checked_and_cluster_names_keep_their_fast_path() {
    assert!(fault("k8s_external example.org").starts_with("Corefile:2:1: k8s_external needs kubernetes"));
    for (option, column) in [("ttl 3601", 5), ("apex", 1), ("apex a.b", 6), ("headless yes", 10), ("upstream", 1)] {
        let said = fault(&format!("kubernetes cluster.local\nk8s_external example.org {{\n{option}\n}}"));
        assert!(said.starts_with(&format!("Corefile:4:{column}:")), "{option}: {said}");
    }
    assert!(block("kubernetes cluster.local\nk8s_external example.org").unwrap().fast().is_ok());
    assert!(block("kubernetes cluster.local\nk8s_external local").unwrap().fast().is_err());
}

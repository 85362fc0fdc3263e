use std::collections::HashSet;

use super::super::testing::{OneZone, block, block_with, fault};
use super::*;
use crate::chain::testing::{Answers, Asks, lines, message, query, run};
use crate::chain::{Access, Block};
use crate::wire::Label;
use crate::wire::message::RecordType;
use crate::zone::Fallthrough;
use crate::zone::{
    Changes, EndpointChange, EndpointSet, EndpointState, Endpoints, Import, ImportKind, Port, Protocol, Service,
    ServiceKind, ServiceName, SliceEndpoint,
};

fn options(text: &str) -> String {
    format!("kubernetes cluster.local in-addr.arpa ip6.arpa {{\n{text}\n}}")
}

#[test]
fn every_option_reaches_the_view_or_the_source() {
    let mut mirrors = OneZone::default();
    let text = options(
        "namespaces default prod\nlabels app=web,tier in (a, b)\npods verified\nendpoint_pod_names\nttl 30\n\
         fallthrough in-addr.arpa ip6.arpa\nignore empty_service\nzonal\nstartup_timeout 10s\napiserver_qps 20\napiserver_burst 40",
    );
    let block = block_with(&text, &mut mirrors).unwrap();
    let view = block.view().unwrap();
    assert_eq!((view.ttl, view.pods, view.ignore_empty, view.zonal), (Ttl::from_secs(30), Pods::Verified, true, true));
    let names: HashSet<Label> = [b"default".as_slice(), b"prod"].into_iter().map(|n| Label::new(n).unwrap()).collect();
    assert_eq!(view.namespaces, Some(names));
    let reverse = ["in-addr.arpa", "ip6.arpa"].map(|zone| zone.parse().unwrap()).to_vec();
    assert_eq!(view.fallthrough, Fallthrough::Zones(reverse));
    assert_eq!(view.local, ["10.244.0.5".parse::<IpAddr>().unwrap()]);
    let source = mirrors.sources.first().unwrap();
    assert_eq!(source.labels.as_deref(), Some("app=web,tier in (a, b)"));
    assert!(source.pods && source.endpoint_pod_names && source.endpoints);
    assert_eq!(source.limits, [20, 40, 0]);
    assert_eq!(source.access, Access::InCluster);
}

#[test]
fn zones_default_to_those_of_the_server_block_and_ttl_to_five() {
    let view = block("kubernetes").unwrap().view().unwrap();
    assert_eq!((view.zones.as_slice(), view.ttl), ([Name::root()].as_slice(), Ttl::from_secs(5)));
}

#[test]
fn multicluster_zones_are_zones_of_the_directive() {
    let mut mirrors = OneZone::default();
    let text = "kubernetes cluster.local clusterset.local {\nmulticluster clusterset.local\n}";
    let view = block_with(text, &mut mirrors).unwrap().view().unwrap();
    assert_eq!(view.multicluster, ["clusterset.local".parse().unwrap()]);
    assert!(mirrors.sources.first().unwrap().multicluster);
    let view = block("kubernetes cluster.local {\nmulticluster\n}").unwrap().view().unwrap();
    assert!(view.multicluster.is_empty());
}

#[test]
fn a_transfer_of_a_multicluster_zone_has_its_imports() {
    let mut mirrors = OneZone::default();
    let text = "kubernetes cluster.local clusterset.local {\nmulticluster clusterset.local\n}";
    let block = block_with(text, &mut mirrors).unwrap();
    let label = |text: &str| Label::new(text.as_bytes()).unwrap();
    let name = |service: &str| ServiceName::new(&label(service), &label("n"));
    let sql = Port { name: Some(label("sql")), protocol: Protocol::Tcp, number: 5432 };
    let peer = SliceEndpoint {
        label: label("db-0"),
        cluster: Some(label("west")),
        addresses: vec![IpAddr::from([172, 16, 0, 1])],
        ports: [sql.clone()].into(),
    };
    let kind = ImportKind::ClusterSetIp { addresses: [IpAddr::from([10, 0, 0, 1])].into(), ports: vec![sql].into() };
    let db = Import { name: name("db"), kind: ImportKind::Headless, set: EndpointSet::new(&[peer]) };
    let web = Import { name: name("web"), kind, set: EndpointSet::default() };
    let publisher = mirrors.publisher.as_mut().unwrap();
    publisher.publish(Changes {
        imports: [db, web].map(|import| (import.name.clone(), Some(Arc::new(import)))).into(),
        namespaces: vec![(label("n"), true)],
        ..Changes::default()
    });
    publisher.set_synced();
    let records =
        |zone: &str| -> Vec<_> { block.chain.first().unwrap().transfer(&zone.parse().unwrap()).unwrap().collect() };
    let all = lines(&records("clusterset.local."));
    assert_eq!(
        all.iter().filter(|line| line.contains(".n.svc.")).map(String::as_str).collect::<Vec<_>>(),
        [
            "db.n.svc.clusterset.local. 5 IN A 172.16.0.1",
            "db-0.west.db.n.svc.clusterset.local. 5 IN A 172.16.0.1",
            "_sql._tcp.db.n.svc.clusterset.local. 5 IN SRV 0 100 5432 db-0.west.db.n.svc.clusterset.local.",
            "web.n.svc.clusterset.local. 5 IN A 10.0.0.1",
            "web.n.svc.clusterset.local. 5 IN SRV 0 100 5432 web.n.svc.clusterset.local.",
            "_sql._tcp.web.n.svc.clusterset.local. 5 IN SRV 0 100 5432 web.n.svc.clusterset.local.",
        ]
    );
    assert!(!lines(&records("cluster.local.")).iter().any(|line| line.contains(".n.svc.")));
}

#[test]
fn name_servers_are_the_bound_addresses_or_those_of_the_machine() {
    let local = |bind: &str| {
        let view = block(&format!("{bind}\nkubernetes cluster.local")).unwrap().view().unwrap();
        view.local.iter().map(IpAddr::to_string).collect::<Vec<_>>()
    };
    assert_eq!(local(""), ["10.244.0.5"]);
    assert_eq!(local("bind 0.0.0.0"), ["10.244.0.5"]);
    assert_eq!(local("bind 10.96.0.10 127.0.0.1"), ["10.96.0.10"]);
    assert_eq!(local("bind 127.0.0.1"), ["127.0.0.1"]);
}

#[test]
fn networks_alone_are_refused_and_a_zone_may_stand_twice() {
    assert!(fault("kubernetes 10.0.0.0/8 fd00::/8").starts_with("Corefile:2:1:"));
    assert!(block("kubernetes cluster.local  cluster.local in-addr.arpa ip6.arpa").is_ok());
}

#[test]
fn wrong_options_are_refused_at_their_line() {
    for (option, says) in [
        ("ttl 3601", "no whole number from 0 to 3600"),
        ("ttl -1", "no whole number"),
        ("pods", "needs disabled, insecure or verified"),
        ("pods maybe", "none of disabled"),
        ("noendpoints yes", "takes no argument"),
        ("upstream", "no option `upstream` any more"),
        ("resyncperiod 5m", "any more"),
        ("labels app=web=db", "no label selector"),
        ("labels", "needs a label selector"),
        ("endpoint", "needs the URL"),
        ("tls a b", "three files"),
        ("startup_timeout soon", "no duration"),
        ("kubeconfig /does/not/exist", "cannot be read"),
        ("ignore everything", "only empty_service"),
        ("multicluster example", "must be among the zones"),
        ("apiserver_qps many", "no number"),
        ("nonsense", "no option `nonsense`"),
    ] {
        let said = fault(&options(option));
        assert!(said.starts_with("Corefile:3:") && said.contains(says), "{option}: {said}");
    }
    assert!(fault(&options("namespaces default\nnamespace_labels team=core")).starts_with("Corefile:4:"));
}

#[test]
fn an_external_name_is_followed_through_the_whole_server() {
    let mut mirrors = OneZone::default();
    let block = block_with("kubernetes cluster.local", &mut mirrors).unwrap();
    let label = |text: &str| Label::new(text.as_bytes()).unwrap();
    let name = ServiceName::new(&label("ext"), &label("default"));
    let kind = ServiceKind::ExternalName("www.example.org".parse().unwrap());
    let service = Service { name: name.clone(), kind, endpoints: Default::default() };
    let publisher = mirrors.publisher.as_mut().unwrap();
    publisher.publish(Changes {
        services: vec![(name, Some(Arc::new(service)))],
        namespaces: vec![(label("default"), true)],
        ..Changes::default()
    });
    publisher.set_synced();
    let mut asked = query("ext.default.svc.cluster.local.", RecordType::A);
    asked.resolver = Arc::new(Asks(vec![Arc::new(Answers::with("www.example.org. 60 IN A 192.0.2.1"))]));
    let reply = message(run(&block.chain, &mut asked));
    assert_eq!(
        lines(&reply.answers),
        ["ext.default.svc.cluster.local. 5 IN CNAME www.example.org.", "www.example.org. 60 IN A 192.0.2.1"]
    );
    let big = Answers { only_tcp: true, ..Answers::with("www.example.org. 60 IN A 192.0.2.1") };
    asked.resolver = Arc::new(Asks(vec![Arc::new(big)]));
    let reply = message(run(&block.chain, &mut asked));
    assert_eq!((reply.answers.len(), reply.metadata.truncation), (2, false), "asked again over TCP");
    asked.resolver = Arc::new(Asks(vec![Arc::new(Answers::rcode(ResponseCode::NXDomain))]));
    let reply = message(run(&block.chain, &mut asked));
    assert_eq!((reply.answers.len(), reply.metadata.response_code), (1, ResponseCode::NXDomain));
    asked.resolver = Arc::new(crate::chain::testing::Nowhere);
    let reply = message(run(&block.chain, &mut asked));
    assert_eq!((reply.answers.len(), reply.metadata.response_code), (1, ResponseCode::ServFail));
}

#[test]
fn the_weights_of_a_transfer_count_the_endpoints_of_one_family() {
    let mut mirrors = OneZone::default();
    let block = block_with("kubernetes cluster.local", &mut mirrors).unwrap();
    let label = |text: &str| Label::new(text.as_bytes()).unwrap();
    let name = ServiceName::new(&label("peers"), &label("default"));
    let port = Port { name: Some(label("http")), protocol: Protocol::Tcp, number: 80 };
    let change = |(own, address): (&str, &str)| EndpointChange {
        label: label(own),
        state: Some(EndpointState {
            addresses: [address.parse().unwrap()].into(),
            ports: vec![port.clone()].into(),
            zone: None,
        }),
    };
    let changes: Vec<EndpointChange> =
        [("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "fd00::3"), ("d", "fd00::4"), ("e", "fd00::5")].map(change).into();
    let endpoints = Endpoints::default().apply(&changes);
    let service = Service { name: name.clone(), kind: ServiceKind::Headless, endpoints };
    let publisher = mirrors.publisher.as_mut().unwrap();
    publisher.publish(Changes {
        services: vec![(name, Some(Arc::new(service)))],
        namespaces: vec![(label("default"), true)],
        ..Changes::default()
    });
    publisher.set_synced();
    let records = block.chain.first().unwrap().transfer(&names::parse("cluster.local.").unwrap()).unwrap();
    let weights = records.filter_map(|record| match &record.data {
        RData::SRV(srv) => Some((srv.target.to_ascii().chars().next().unwrap(), srv.weight)),
        _ => None,
    });
    assert_eq!(weights.collect::<Vec<_>>(), [('a', 50), ('b', 50), ('c', 33), ('d', 33), ('e', 33)]);
}

#[test]
fn names_not_known_yet_wait_a_moment_for_the_first_lists() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut mirrors = OneZone::default();
    let block = block_with("kubernetes cluster.local", &mut mirrors).unwrap();
    let mut publisher = mirrors.publisher.unwrap();
    let rcode = |block: &Block, asked: &mut Query| match runtime.block_on(block.next().run(asked)) {
        Outcome::Reply(reply) => reply.rcode(),
        other => panic!("no reply but {other:?}"),
    };
    let mut asked = query("web.default.svc.cluster.local.", RecordType::A);
    assert_eq!(rcode(&block, &mut asked), Rcode::SERVFAIL);
    assert!((PATIENCE..PATIENCE * 40).contains(&asked.received.elapsed()), "{:?}", asked.received.elapsed());

    let syncing = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        publisher.set_synced();
        publisher
    });
    let mut asked = query("web.default.svc.cluster.local.", RecordType::A);
    assert_eq!(rcode(&block, &mut asked), Rcode::NXDOMAIN);
    drop(syncing.join().unwrap());

    let hasty = block_with("kubernetes cluster.local {\nstartup_timeout 0s\n}", &mut OneZone::default()).unwrap();
    // This one would panic if it waited.
    let outcome = run(&hasty.chain, &mut query("web.default.svc.cluster.local.", RecordType::A));
    assert!(matches!(outcome, Outcome::Reply(reply) if reply.rcode() == Rcode::SERVFAIL));
}

#[test]
fn metadata_names_the_parts_of_a_cluster_name() {
    let block = block("kubernetes cluster.local").unwrap();
    let mut found = Metadata::new();
    let plugin = block.chain.first().unwrap();
    plugin.metadata(&query("_http._tcp.web.prod.svc.cluster.local.", RecordType::SRV), &mut found);
    for (label, value) in
        [("kind", "svc"), ("namespace", "prod"), ("service", "web"), ("port-name", "http"), ("protocol", "tcp")]
    {
        assert_eq!(found.get(&format!("kubernetes/{label}")).map(String::as_str), Some(value));
    }
    assert_eq!(found.get("kubernetes/endpoint").map(String::as_str), Some(""));
}

/// Labels are what any client sends: in presentation form they stay within their line.
#[test]
fn metadata_tells_what_names_no_service_and_escapes_the_rest() {
    let block = block("kubernetes cluster.local in-addr.arpa").unwrap();
    let plugin = block.chain.first().unwrap();
    for name in ["a.b.c.d.e.svc.cluster.local.", "1.0.1.10.in-addr.arpa.", "web.prod.other.cluster.local."] {
        let mut found = Metadata::new();
        plugin.metadata(&query(name, RecordType::A), &mut found);
        let wanted = Metadata::from([("kubernetes/parse-error".to_owned(), "invalid query name".to_owned())]);
        assert_eq!(found, wanted, "{name}");
    }
    let mut asked = query("x.", RecordType::A);
    let labels = [b"a\n[error] x".as_slice(), b"default", b"svc", b"cluster", b"local"];
    asked.request.change(|request| request.queries[0].name = MessageName::from_labels(labels).unwrap());
    let mut found = Metadata::new();
    plugin.metadata(&asked, &mut found);
    assert_eq!(found.get("kubernetes/service").map(String::as_str), Some(r"a\010[error]\ x"));
    found.clear();
    plugin.metadata(&query("www.example.org.", RecordType::A), &mut found);
    assert!(found.is_empty());
}

#[test]
fn other_classes_are_for_the_next_plugin() {
    let block = block("kubernetes cluster.local").unwrap();
    let mut asked = query("web.default.svc.cluster.local.", RecordType::A);
    asked.request.change(|request| request.queries[0].query_class = DNSClass::CH);
    assert!(matches!(run(&block.chain, &mut asked), Outcome::Failed("kubernetes", _)));
}

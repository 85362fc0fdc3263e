use std::collections::BTreeMap;

use super::*;
use crate::cluster::{Details, EndpointDetail, LabelMap, PodDetail, PortDetail, ServiceDetail};
use crate::wire::{Name, Rcode, Rtype};
use crate::zone::{Absence, BelowParts, Explained, NameParts, Pods};

fn labels(text: &str) -> LabelMap {
    text.split(',').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect()
}

fn service(name: &str, selector: &str, ports: &[(&str, &str)]) -> ServiceDetail {
    let ports = ports.iter().map(|(name, protocol)| PortDetail {
        name: Some((*name).to_owned()).filter(|name| !name.is_empty()),
        protocol: (*protocol).to_owned(),
        number: 80,
    });
    ServiceDetail {
        name: name.into(),
        selector: labels(selector),
        ports: ports.collect(),
        headless: true,
        ..ServiceDetail::default()
    }
}

fn pod(name: &str, app: &str, subdomain: Option<&str>, ready: bool) -> PodDetail {
    PodDetail {
        name: name.into(),
        labels: labels(&format!("app={app}")),
        hostname: subdomain.map(|_| name.to_owned()),
        subdomain: subdomain.map(str::to_owned),
        owner: Some(format!("StatefulSet {app}")),
        phase: "Running".into(),
        addresses: vec!["10.0.0.1".into()],
        ready,
        trouble: if ready { Vec::new() } else { vec!["Ready=False (ContainersNotReady)".into()] },
        deleting: false,
    }
}

fn endpoint(service: &str, pod: &str, hostname: bool, ready: bool) -> EndpointDetail {
    EndpointDetail {
        service: service.into(),
        slice: format!("{service}-x"),
        addresses: vec!["10.0.0.1".into()],
        hostname: hostname.then(|| pod.to_owned()),
        pod: Some(pod.into()),
        ready,
        serving: ready,
        terminating: false,
    }
}

/// A namespace `prod` with a little of everything, and an empty one.
fn details() -> BTreeMap<String, Details> {
    let mut out = service("extip", "", &[]);
    (out.external_name, out.headless) = (Some("10.1.2.3".into()), false);
    let mut cluster_ip = service("selbad", "app=wbe", &[("http", "TCP")]);
    cluster_ip.headless = false;
    let mut published = service("early", "app=late", &[("http", "TCP")]);
    published.publish_not_ready = true;
    let prod = Details {
        services: Some(vec![
            service("web", "app=web", &[("http", "TCP"), ("dns", "UDP")]),
            service("late", "app=late", &[("http", "TCP")]),
            service("api", "app=api", &[("", "TCP")]),
            service("stray", "app=none", &[]),
            service("manual", "", &[]),
            cluster_ip,
            published,
            out,
        ]),
        endpoints: Some(vec![
            endpoint("web", "web-0", false, true),
            endpoint("late", "late-0", true, false),
            endpoint("api", "api-5f-x", false, true),
        ]),
        pods: Some(vec![
            pod("web-0", "web", Some("web-headless"), true),
            pod("late-0", "late", Some("late"), false),
            pod("api-5f-x", "api", None, true),
        ]),
        gaps: Vec::new(),
    };
    [("prod".to_owned(), prod), ("default".to_owned(), Details::default())].into()
}

/// The causes for a name below `svc` that does not exist, as one text.
fn told(service: &str, namespace: &str, below: BelowParts) -> String {
    let parts = NameParts::Service { service: service.into(), namespace: namespace.into(), below };
    told_of(&format!("{service}.{namespace}.svc.cluster.local"), parts, Absence::Other, Some(Rcode::NXDOMAIN))
}

fn told_of(name: &str, parts: NameParts, absence: Absence, rcode: Option<Rcode>) -> String {
    told_by(name, parts, absence, rcode, |_| {})
}

fn told_by(
    name: &str,
    parts: NameParts,
    absence: Absence,
    rcode: Option<Rcode>,
    change: impl FnOnce(&mut Scene<'_>),
) -> String {
    let explained = Explained {
        zone: "cluster.local".parse().unwrap(),
        rule: "…".into(),
        services: Vec::new(),
        parts,
        alias: None,
        absence: (rcode == Some(Rcode::NXDOMAIN)).then_some(absence),
    };
    let name: Name = name.parse().unwrap();
    let details = details();
    let services: Vec<(String, String)> = details
        .iter()
        .flat_map(|(namespace, own)| own.services.iter().flatten().map(|own| (namespace.clone(), own.name.clone())))
        .collect();
    let namespaces = ["default".to_owned(), "prod".to_owned()];
    let mut scene = Scene {
        name: &name,
        rtype: Rtype::A,
        rcode,
        records: 0,
        explained: &explained,
        hops: &[],
        synced: true,
        pods: Pods::Insecure,
        namespaces: &namespaces,
        services: &services,
        details: &details,
    };
    change(&mut scene);
    let lines = causes(&scene).into_iter().map(|Cause { cause, next }| format!("{cause}\n  {next}\n"));
    lines.collect()
}

fn says(told: &str, words: &[&str]) {
    for word in words {
        assert!(told.contains(word), "`{word}` is not in: {told}");
    }
}

fn label(text: &str) -> BelowParts {
    BelowParts::Label(text.into())
}

fn port(name: &str, protocol: &str) -> BelowParts {
    BelowParts::Port(name.into(), protocol.into())
}

#[test]
fn each_cause_is_told_with_its_next_step() {
    let nothing = || BelowParts::Nothing;
    for (service, namespace, below, words) in [
        (
            "late",
            "prod",
            nothing(),
            &["late-0", "not ready", "ContainersNotReady", "publishNotReadyAddresses: true"][..],
        ),
        ("late", "prod", label("late-0"), &["late-0", "not ready", "publishNotReadyAddresses"]),
        ("early", "prod", nothing(), &["though it has publishNotReadyAddresses", "no address"]),
        ("stray", "prod", nothing(), &["selector app=none selects no pod", "app=late"]),
        ("selbad", "prod", nothing(), &["app=wbe", "its ClusterIP is answered", "app=web"]),
        ("manual", "prod", nothing(), &["no selector", "EndpointSlice"]),
        ("web", "prod", label("web-0"), &["web-0", "serviceName", "web-headless, not web", "no Service of that name"]),
        (
            "web-headless",
            "prod",
            label("web-0"),
            &["serviceName: web-headless", "there is no Service web-headless", "app: web"],
        ),
        ("api", "prod", label("api-0"), &["hostname", "10-0-0-1", "StatefulSet"]),
        ("web", "prod", label("late-0"), &["late-0 has its hostname", "that is late, not web"]),
        ("web", "default", nothing(), &["in another namespace: prod", "web.prod.svc.cluster.local"]),
        ("wbe", "prod", nothing(), &["no Service wbe; near it: web"]),
        ("unlike", "prod", nothing(), &["no Service unlike: it has", "kubectl get services"]),
        ("web", "prod", port("grpc", "tcp"), &["_http._tcp", "_dns._udp"]),
        ("web", "prod", port("dns", "tcp"), &["speaks UDP, not TCP", "_dns._udp.web.prod"]),
        ("api", "prod", port("http", "tcp"), &["80/TCP has no name", "give the port the name http"]),
        ("extip", "prod", nothing(), &["`externalName: 10.1.2.3` is an address", "EndpointSlice"]),
        (
            "com",
            "default",
            BelowParts::Deeper(vec!["www".into(), "a".into()]),
            &["www.a.com", "search list", "ndots:5"],
        ),
    ] {
        says(&told(service, namespace, below), words);
    }
}

#[test]
fn what_is_as_it_should_be_has_no_cause() {
    let parts = NameParts::Service { service: "web".into(), namespace: "prod".into(), below: BelowParts::Nothing };
    let told = told_by("web.prod.svc.cluster.local", parts, Absence::Other, Some(Rcode::NOERROR), |scene| {
        scene.records = 1;
    });
    assert_eq!(told, "");
}

#[test]
fn nodata_by_family_is_told() {
    let parts = NameParts::Service { service: "web".into(), namespace: "prod".into(), below: BelowParts::Nothing };
    let told = told_by("web.prod.svc.cluster.local", parts, Absence::Other, Some(Rcode::NOERROR), |scene| {
        scene.rtype = Rtype::AAAA;
    });
    says(&told, &["addresses of IPv4 alone", "AAAA", "NODATA", "ipFamilyPolicy"]);
}

#[test]
fn names_that_are_of_no_kind_are_told_apart() {
    let unknown = |name: &str| {
        let left: Vec<String> = name.split('.').map(str::to_owned).collect();
        told_of(&format!("{name}.cluster.local"), NameParts::Unknown(left), Absence::Other, Some(Rcode::NXDOMAIN))
    };
    says(&unknown("web.prod"), &["`svc` is left out", "web.prod.svc.cluster.local"]);
    says(&unknown("web-0.web.prod"), &["web-0.web.prod.svc.cluster.local"]);
    says(&unknown("web"), &["is in prod", "web.prod.svc.cluster.local"]);
    says(&unknown("www.example"), &["search list"]);
    says(&unknown("web.prod.svc.cluster.local"), &["web.prod.svc.cluster.local, which is a whole name"]);
    let parts = NameParts::Service {
        service: "local".into(),
        namespace: "default".into(),
        below: BelowParts::Deeper(["web", "prod", "svc", "cluster"].map(str::to_owned).into()),
    };
    let name = "web.prod.svc.cluster.local.default.svc.cluster.local";
    says(
        &told_of(name, parts, Absence::Other, Some(Rcode::NXDOMAIN)),
        &["which is a whole name", "default.svc.cluster.local", "a dot at its end"],
    );
}

#[test]
fn settings_that_leave_names_out_are_told() {
    let web = || NameParts::Service { service: "web".into(), namespace: "prdo".into(), below: BelowParts::Nothing };
    let absent = |absence, parts| told_of("web.prdo.svc.cluster.local", parts, absence, Some(Rcode::NXDOMAIN));
    says(&absent(Absence::NotExposed, web()), &["`namespaces` leaves prdo out"]);
    says(
        &absent(Absence::Namespace, web()),
        &["no namespace prdo here; near it: prod", "namespace_labels", "web.prod"],
    );
    let pod = || NameParts::Pod { label: "10-0-0-9".into(), namespace: "prod".into() };
    let with = |pods| {
        told_by("10-0-0-9.prod.pod.cluster.local", pod(), Absence::Other, Some(Rcode::NXDOMAIN), |scene| {
            scene.pods = pods
        })
    };
    says(&with(Pods::Verified), &["`pods verified`", "web-0 (10.0.0.1)"]);
    says(&with(Pods::Disabled), &["no `pods`", "pods insecure"]);
    says(&with(Pods::Insecure), &["stands for no address"]);
    let unsynced = told_by("web.prod.svc.cluster.local", web(), Absence::Other, Some(Rcode::SERVFAIL), |scene| {
        scene.synced = false
    });
    says(&unsynced, &["not complete yet", "/ready"]);
}

#[test]
fn aliases_are_told_hop_by_hop() {
    let hop = |name: &str, absent: bool, again: bool| AliasHop {
        name: name.parse().unwrap(),
        explained: Some(Explained {
            zone: "cluster.local".parse().unwrap(),
            rule: "there is no such Service".into(),
            services: Vec::new(),
            parts: NameParts::Structure,
            alias: None,
            absence: absent.then_some(Absence::Service),
        }),
        again,
    };
    let through = |hops: &[AliasHop]| {
        told_by("one.prod.svc.cluster.local", NameParts::Structure, Absence::Other, Some(Rcode::NOERROR), |scene| {
            scene.hops = Box::leak(hops.to_vec().into_boxed_slice());
        })
    };
    let two = "two.prod.svc.cluster.local";
    says(
        &through(&[hop(two, false, false), hop("one.prod.svc.cluster.local", false, true)]),
        &["a loop", "one.prod.svc.cluster.local -> two.prod.svc.cluster.local -> one.prod.svc.cluster.local"],
    );
    says(&through(&[hop(two, true, false)]), &["leads to two.prod", "no such Service"]);
    says(&through(&[hop(two, false, false), hop("three.prod.svc.cluster.local", false, false)]), &["by 2 aliases"]);
    let outside = AliasHop { name: "www.example.org".parse().unwrap(), explained: None, again: false };
    says(&through(&[outside]), &["out of the cluster", "www.example.org"]);
    assert_eq!(through(&[]), "");
}

#[test]
fn endpoints_that_are_left_out_are_told_with_the_reason() {
    let details = details();
    let explained = Explained {
        zone: "cluster.local".parse().unwrap(),
        rule: String::new(),
        services: Vec::new(),
        parts: NameParts::Structure,
        alias: None,
        absence: None,
    };
    let name: Name = "late.prod.svc.cluster.local".parse().unwrap();
    let scene = Scene {
        name: &name,
        rtype: Rtype::A,
        rcode: None,
        records: 0,
        explained: &explained,
        hops: &[],
        synced: true,
        pods: Pods::Insecure,
        namespaces: &[],
        services: &[],
        details: &details,
    };
    let out = left_out(&scene, "late", "prod");
    assert_eq!((out.len(), &*out[0].name), (1, "late-0"));
    assert!(out[0].why.contains("ContainersNotReady"), "{out:?}");
    let out = left_out(&scene, "early", "prod");
    assert!(out[0].why.contains("in no EndpointSlice"), "{out:?}");
    assert!(left_out(&scene, "web", "prod").is_empty());
}

#[test]
fn a_report_is_read_as_it_was_written_and_by_those_that_know_less_or_more() {
    let report = Report {
        name: "web".into(),
        rtype: "A".into(),
        rcode: Some("NXDOMAIN".into()),
        about: "web.".into(),
        causes: vec![Cause::new("a cause", "a step")],
        left_out: vec![LeftOut { name: "web-0".into(), why: "not ready".into() }],
        gaps: vec!["the pods".into()],
        snapshot: Some(88),
        ..Report::default()
    };
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    assert!(json.contains("\"type\":\"A\""), "{json}");
    let other: Report = serde_json::from_str("{\"name\":\"a\",\"new\":1}").unwrap();
    assert_eq!(other.name, "a");
    says(
        &text(&report),
        &[
            "web A: NXDOMAIN\n",
            "a cause\n    next: a step",
            "web-0: not ready",
            "not looked at\n  the pods",
            "a snapshot: true up to Unix second 88",
        ],
    );
}

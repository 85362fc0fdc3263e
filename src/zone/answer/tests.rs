use std::collections::HashMap;

use crate::wire::{Class, Label, Rtype, Ttl};
use crate::zone::testing::*;
use crate::zone::{Answered, Fallthrough, Pods, Publisher, TtlBounds, View};

/// The lines of one zone of `zones.txt`, with those that all have in common.
fn lines_of(name: &str) -> String {
    let mut zones: HashMap<&str, String> = HashMap::new();
    let mut section = "";
    for line in include_str!("zones.txt").lines() {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => section = name,
            None => zones.entry(section).or_default().extend([line, "\n"]),
        }
    }
    if name == "common" { zones["common"].clone() } else { format!("{}{}", zones["common"], zones[name]) }
}

fn zone_of(name: &str) -> (Publisher, View) {
    let (publisher, reader) = zone(&lines_of(name));
    (publisher, view(reader))
}

fn list<T: std::str::FromStr>(text: &str) -> Vec<T> {
    text.split(',').map(|one| one.parse().ok().unwrap()).collect()
}

fn settings(mut view: View, settings: &str) -> (View, Class) {
    let mut class = Class::IN;
    for setting in settings.split_whitespace() {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        match name {
            "namespaces" => {
                view.namespaces = Some(value.split(',').map(|name| Label::new(name.as_bytes()).unwrap()).collect());
            }
            "zones" => view.zones = list(value),
            "local" => view.local = list(value),
            "fallthrough" => view.fallthrough = Fallthrough::Zones(list(value)),
            "pods" if value == "insecure" => view.pods = Pods::Insecure,
            "pods" if value == "verified" => view.pods = Pods::Verified,
            "pods" if value == "disabled" => {}
            "ttl" => view.ttl = Ttl::from_secs(value.parse().unwrap()),
            "ignore-empty" => view.ignore_empty = true,
            "zonal" => view.zonal = true,
            "class" if value == "CH" => class = Class::CH,
            other => panic!("no such setting: {other}"),
        }
    }
    (view, class)
}

fn split(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.split("; ").filter(|line| !line.is_empty()).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Checks one line of `cases.txt`; says what differs.
fn check(line: &str) -> Result<(), String> {
    let mut fields = line.split('|').map(str::trim);
    let mut field = || fields.next().unwrap_or_default();
    let [_, zone_name, options, asked, outcome, answers, additionals, soa] = [(); 8].map(|()| field());
    let (qname, type_name) = asked.split_once(' ').unwrap();
    let (publisher, reader) = match options.strip_prefix("unsynced") {
        None => zone(&lines_of(zone_name)),
        Some(_) => {
            let (mut publisher, reader) = crate::zone::pair();
            publisher.publish(changes(&lines_of(zone_name)));
            (publisher, reader)
        }
    };
    let options = options.strip_prefix("unsynced").unwrap_or(options);
    let (view, class) = settings(view(reader), options);
    let got = ask_octets(&view, &query(qname, qtype(type_name), class), 65_535, false, 3);
    let serial = view.reader.serial();
    drop(publisher);
    let expect = |what: &str, expected: Vec<String>, got: Vec<String>| {
        if expected == got { Ok(()) } else { Err(format!("{what}: expected {expected:#?}, got {got:#?}")) }
    };
    let Answered::Reply { rcode, truncated: false, oversized: false, .. } = &got.answered else {
        let targets = if answers.is_empty() { String::new() } else { format!("; {answers}") };
        return expect("outcome", vec![format!("{outcome}{targets}")], vec![got.short()]);
    };
    expect("rcode", vec![outcome.into()], vec![rcode.to_string()])?;
    expect("answer", split(answers), sorted(got.answers()))?;
    expect("additional", split(additionals), sorted(got.additionals()))?;
    let ttl = view.ttl;
    let soa = if soa.is_empty() {
        vec![]
    } else {
        let negative = ttl.min(Ttl::from_secs(300));
        vec![format!("{soa} {negative} SOA ns.dns.{soa} hostmaster.{soa} {serial} 7200 1800 86400 {ttl}")]
    };
    expect("authority", soa, got.authorities())?;
    let authoritative = got.message.as_ref().unwrap().metadata.authoritative;
    expect("AA", vec![(outcome != "REFUSED").to_string()], vec![authoritative.to_string()])
}

#[test]
fn every_case_is_answered_as_written() {
    let cases: Vec<&str> = include_str!("cases.txt").lines().filter(|line| !line.starts_with('#')).collect();
    assert!(cases.len() > 120);
    let wrong: Vec<String> = cases
        .iter()
        .filter(|line| !line.is_empty())
        .filter_map(|line| check(line).err().map(|error| format!("{line}\n  {error}")))
        .collect();
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}

//----------- Existence ------------------------------------------------------

// One look-up decides whether a name exists, for every type (RFC 8020, RFC 2308).
#[test]
fn a_name_exists_for_every_type_or_for_none() {
    let names: std::collections::BTreeSet<(&str, &str)> = include_str!("cases.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split(" | ");
            let (zone, asked) = (fields.nth(1)?, fields.nth(1)?);
            Some((zone, asked.split_once(' ')?.0))
        })
        .collect();
    assert!(names.len() > 60);
    for (zone_name, name) in names {
        let (_publisher, mut view) = zone_of(zone_name);
        view.zonal = true;
        view.pods = Pods::Insecure;
        view.zones.extend(["in-addr.arpa".parse().unwrap(), "ip6.arpa".parse().unwrap()]);
        // An alias has the response code of its target.
        if ask(&view, name, "CNAME").short().contains("CNAME") {
            continue;
        }
        let types = ["A", "AAAA", "SRV", "TXT", "CNAME", "NS", "SOA", "PTR", "MX", "HTTPS", "ANY", "DS"];
        let outcomes: std::collections::BTreeSet<String> = types
            .iter()
            .map(|type_name| ask(&view, name, type_name).short().split("; ").next().unwrap().to_owned())
            .collect();
        assert_eq!(outcomes.len(), 1, "{name} in {zone_name}: {outcomes:?}");
    }
}

#[test]
fn what_lies_above_a_name_that_exists_exists() {
    let (_publisher, mut view) = zone_of("zonal");
    view.zonal = true;
    for name in ["_tcp.hdls", "tcp.hdls", "_zone.hdls", "pin._zone.hdls", "prefer._zone.hdls"] {
        assert_eq!(ask(&view, &format!("{name}.testns.svc.cluster.local"), "A").short(), "NOERROR", "{name}");
    }
    for name in ["_udp.hdls", "_.hdls", "_zone.clstr", "florp._zone.hdls", "pin.hdls"] {
        assert_eq!(ask(&view, &format!("{name}.testns.svc.cluster.local"), "A").short(), "NXDOMAIN", "{name}");
    }
    view.zonal = false;
    assert_eq!(ask(&view, "us-west-2a.pin._zone.hdls.testns.svc.cluster.local", "A").short(), "NXDOMAIN");
}

#[test]
fn the_longest_zone_counts_and_other_names_are_for_others() {
    let (_publisher, mut view) = zone_of("main");
    view.zones = list("local,svc.cluster.local,cluster.local");
    assert_eq!(ask(&view, "svc1.testns.svc.cluster.local", "A").short(), "NXDOMAIN");
    assert!(ask(&view, "svc.cluster.local", "SOA").answers()[0].starts_with("svc.cluster.local. 5 SOA"));
    for name in ["example.org", "xcluster.local.org", "."] {
        assert_eq!(ask(&view, name, "A").short(), "elsewhere", "{name}");
    }
}

#[test]
fn zone_transfers_and_other_classes_are_refused() {
    let (_publisher, view) = zone_of("main");
    for (qtype, class) in
        [(Rtype::AXFR, Class::IN), (Rtype::IXFR, Class::IN), (Rtype::A, Class::CH), (Rtype::A, Class::ANY)]
    {
        let got = ask_octets(&view, &query("cluster.local", qtype, class), 512, true, 1);
        assert_eq!((got.short().as_str(), got.message.unwrap().metadata.authoritative), ("REFUSED", false));
    }
}

// "Not synced yet" is not "empty": absence means nothing before the first complete list.
#[test]
fn before_the_first_list_absence_is_a_failure_and_nothing_falls_through() {
    let (mut publisher, reader) = crate::zone::pair();
    publisher.publish(changes("namespace testns\ncluster-ip svc1.testns 10.0.0.1 http/TCP/80"));
    let mut view = view(reader);
    view.zones = list("cluster.local,in-addr.arpa");
    view.fallthrough = Fallthrough::All;
    for (name, type_name, outcome) in [
        ("svc1.testns.svc.cluster.local", "A", "NOERROR; A 10.0.0.1"),
        ("svc0.testns.svc.cluster.local", "A", "SERVFAIL"),
        ("svc1.other.svc.cluster.local", "A", "SERVFAIL"),
        ("9.9.0.10.in-addr.arpa", "PTR", "SERVFAIL"),
        ("1.0.0.10.in-addr.arpa", "PTR", "NOERROR; PTR svc1.testns.svc.cluster.local."),
        ("svc.cluster.local", "A", "NOERROR"),
    ] {
        assert_eq!(ask(&view, name, type_name).short(), outcome, "{name}");
    }
    assert!(ask(&view, "svc0.testns.svc.cluster.local", "A").authorities()[0].contains(" SOA "));
    publisher.set_synced();
    assert_eq!(ask(&view, "svc0.testns.svc.cluster.local", "A").short(), "next");
    assert_eq!(ask(&view, "9.9.0.10.in-addr.arpa", "PTR").short(), "next");
    // `fallthrough` hands on what does not exist, never what exists without a record.
    assert_eq!(ask(&view, "svc1.testns.svc.cluster.local", "AAAA").short(), "NOERROR");
    view.fallthrough = Fallthrough::Zones(list("in-addr.arpa"));
    assert_eq!(ask(&view, "svc0.testns.svc.cluster.local", "A").short(), "NXDOMAIN");
    assert_eq!(ask(&view, "9.9.0.10.in-addr.arpa", "PTR").short(), "next");
}

#[test]
fn before_the_first_list_of_slices_no_answer_draws_from_endpoints() {
    let (mut publisher, reader) = crate::zone::pair();
    publisher.publish(changes(
        "namespace n\nheadless db.n\nendpoint db.n db-0 10.0.0.1 sql/TCP/5432\ncluster-ip web.n 10.1.0.1 http/TCP/80\n\
         endpoint web.n web-0 10.0.0.2 http/TCP/80\nexternal to.n db.n.svc.cluster.local\n\
         cluster-ip both.n 10.0.0.2 http/TCP/80",
    ));
    let mut view = view(reader);
    view.zones = list("cluster.local,in-addr.arpa");
    view.local = list("10.0.0.1");
    let cases = [
        ("db.n.svc.cluster.local", "A", "NOERROR; A 10.0.0.1"),
        ("db.n.svc.cluster.local", "SRV", "NOERROR; SRV 0 100 5432 db-0.db.n.svc.cluster.local."),
        ("_sql._tcp.db.n.svc.cluster.local", "SRV", "NOERROR; SRV 0 100 5432 db-0.db.n.svc.cluster.local."),
        ("_tcp.db.n.svc.cluster.local", "A", "NOERROR"),
        ("db-0.db.n.svc.cluster.local", "A", "NOERROR; A 10.0.0.1"),
        ("web-0.web.n.svc.cluster.local", "A", "NOERROR; A 10.0.0.2"),
        ("1.0.0.10.in-addr.arpa", "PTR", "NOERROR; PTR db-0.db.n.svc.cluster.local."),
        ("to.n.svc.cluster.local", "A", "NOERROR; A 10.0.0.1; CNAME db.n.svc.cluster.local."),
    ];
    for (name, type_name, _) in cases {
        assert_eq!(ask(&view, name, type_name).short().split(';').next(), Some("SERVFAIL"), "{name}");
    }
    // What is whole is answered, and the name servers are a guess of ours at all times.
    for (name, type_name, outcome) in [
        ("web.n.svc.cluster.local", "A", "NOERROR; A 10.1.0.1"),
        ("_http._tcp.web.n.svc.cluster.local", "SRV", "NOERROR; SRV 0 100 80 web.n.svc.cluster.local."),
        ("1.0.1.10.in-addr.arpa", "PTR", "NOERROR; PTR web.n.svc.cluster.local."),
        ("2.0.0.10.in-addr.arpa", "PTR", "NOERROR; PTR both.n.svc.cluster.local."),
        ("cluster.local", "NS", "NOERROR; NS ns.dns.cluster.local."),
    ] {
        assert_eq!(ask(&view, name, type_name).short(), outcome, "{name}");
    }
    let hiding = View { ignore_empty: true, ..view.clone() };
    assert_eq!(ask(&hiding, "web.n.svc.cluster.local", "A").short(), "SERVFAIL");
    publisher.set_endpoints();
    for (name, type_name, outcome) in cases {
        assert_eq!(ask(&view, name, type_name).short(), outcome, "{name}");
    }
    assert_eq!(ask(&hiding, "web.n.svc.cluster.local", "A").short(), "NOERROR; A 10.1.0.1");
    assert_eq!(ask(&view, "cluster.local", "NS").short(), "NOERROR; NS db-0.db.n.svc.cluster.local.");
}

//----------- ExternalName ---------------------------------------------------

fn aliases() -> (Publisher, View) {
    let mut lines = "namespace n\ncluster-ip web.n 10.0.0.1 http/TCP/80\n".to_owned();
    for (name, target) in [
        ("once", "web.n.svc.cluster.local"),
        ("twice", "once.n.svc.cluster.local"),
        ("missing", "nobody.n.svc.cluster.local"),
        ("outside", "example.org"),
        ("later", "outside.n.svc.cluster.local"),
        ("self", "self.n.svc.cluster.local"),
        ("ping", "pong.n.svc.cluster.local"),
        ("pong", "ping.n.svc.cluster.local"),
    ] {
        lines += &format!("external {name}.n {target}\n");
    }
    for number in 0..12 {
        lines += &format!("external row{number}.n row{}.n.svc.cluster.local\n", number + 1);
    }
    let (publisher, reader) = zone(&lines);
    (publisher, view(reader))
}

fn alias(view: &View, name: &str, type_name: &str) -> String {
    ask(view, &format!("{name}.N.svc.Cluster.local"), type_name).short().replace(".n.svc.cluster.local.", "")
}

#[test]
fn an_alias_is_followed_within_the_zones_for_every_type() {
    let (_publisher, view) = aliases();
    let got = ask(&view, "Twice.n.svc.CLUSTER.local", "A");
    assert_eq!(
        got.answers(),
        [
            "Twice.n.svc.CLUSTER.local. 5 CNAME once.n.svc.cluster.local.",
            "once.n.svc.cluster.local. 5 CNAME web.n.svc.cluster.local.",
            "web.n.svc.cluster.local. 5 A 10.0.0.1",
        ]
    );
    assert_eq!(alias(&view, "once", "SRV"), "NOERROR; CNAME web; SRV 0 100 80 web");
    assert_eq!(alias(&view, "once", "MX"), "NOERROR; CNAME web");
    assert!(ask(&view, "once.n.svc.cluster.local", "MX").authorities()[0].starts_with("cluster.local. 5 SOA"));
    assert_eq!(alias(&view, "twice", "CNAME"), "NOERROR; CNAME once");
    assert_eq!(alias(&view, "twice", "ANY"), "NOERROR; CNAME web; CNAME once");
    assert_eq!(ask(&view, "below.once.n.svc.cluster.local", "A").short(), "NXDOMAIN");
}

// RFC 6604 section 3: the response code is that of the last name.
#[test]
fn an_alias_of_a_missing_name_has_its_cname_and_nxdomain() {
    let (_publisher, mut view) = aliases();
    assert_eq!(alias(&view, "missing", "A"), "NXDOMAIN; CNAME nobody");
    assert!(ask(&view, "missing.n.svc.cluster.local", "A").authorities()[0].starts_with("cluster.local. 5 SOA"));
    view.fallthrough = Fallthrough::All;
    assert_eq!(alias(&view, "missing", "A"), "chase; nobody");
}

#[test]
fn an_alias_that_leaves_the_zones_needs_another_look_up() {
    let (_publisher, view) = aliases();
    assert_eq!(alias(&view, "outside", "A"), "chase; example.org.");
    assert_eq!(alias(&view, "later", "MX"), "chase; outside; example.org.");
    assert_eq!(alias(&view, "outside", "CNAME"), "NOERROR; CNAME example.org.");
}

#[test]
fn a_loop_of_aliases_is_cut() {
    let (_publisher, view) = aliases();
    assert_eq!(alias(&view, "self", "A"), "NOERROR; CNAME self");
    assert_eq!(alias(&view, "ping", "A"), "NOERROR; CNAME pong; CNAME ping");
    assert_eq!(ask(&view, "row0.n.svc.cluster.local", "A").answers().len(), 10);
}

//----------- Name servers ---------------------------------------------------

#[test]
fn the_services_behind_which_the_server_stands_are_its_name_servers() {
    let (_publisher, mut view) = zone_of("ns");
    view.zones = list("cluster.local,in-addr.arpa");
    view.local = list("10.244.0.20,192.0.2.1");
    view.namespaces = Some([Label::new(b"testns").unwrap()].into());
    let got = ask(&view, "Cluster.Local", "NS");
    let servers = ["10-244-0-20.hdls-dns-service", "dns-service", "dns6-service"];
    let below = |name: &str| format!("{name}.kube-system.svc.Cluster.Local.");
    let expected: Vec<String> = servers.iter().map(|name| format!("Cluster.Local. 5 NS {}", below(name))).collect();
    assert_eq!(sorted(got.answers()), expected);
    let glue = ["A 10.244.0.20", "A 10.0.0.111", "AAAA 10::111"];
    let expected: Vec<String> =
        servers.iter().zip(glue).map(|(name, data)| format!("{} 5 {data}", below(name))).collect();
    assert_eq!(sorted(got.additionals()), sorted(expected));
    assert_eq!(ask(&view, "ns.dns.cluster.local", "A").short(), "NOERROR; A 10.0.0.111; A 10.244.0.20");
    assert_eq!(ask(&view, "ns.dns.cluster.local", "AAAA").short(), "NOERROR; AAAA 10::111");
    assert!(ask(&view, "in-addr.arpa", "NS").short().contains("NS dns-service.kube-system.svc.in-addr.arpa."));
}

//----------- Choices of endpoints -------------------------------------------

#[test]
fn names_of_ports_stand_for_the_endpoints_that_have_them() {
    let lines = "namespace n\nheadless mixed.n\n\
        endpoint mixed.n a 10.0.0.1 http/TCP/80\nendpoint mixed.n b 10.0.0.2 http/TCP/80 admin/TCP/9\n\
        endpoint mixed.n c 10.0.0.2 admin/TCP/9\nendpoint mixed.n d 10.0.0.3 admin/TCP/9\n\
        endpoint mixed.n e 10.0.0.4\n";
    let (_publisher, reader) = zone(lines);
    let view = view(reader);
    let asked = |name: &str, type_name: &str| ask(&view, &format!("{name}mixed.n.svc.cluster.local"), type_name);
    assert_eq!(asked("", "A").short(), "NOERROR; A 10.0.0.1; A 10.0.0.2; A 10.0.0.3; A 10.0.0.4");
    assert_eq!(asked("_http._tcp.", "A").short(), "NOERROR; A 10.0.0.1; A 10.0.0.2");
    // Two endpoints share an address, which is answered once.
    assert_eq!(asked("_admin._tcp.", "A").short(), "NOERROR; A 10.0.0.2; A 10.0.0.3");
    assert_eq!(asked("e.", "A").short(), "NOERROR; A 10.0.0.4");
    assert_eq!(asked("e.", "SRV").short(), "NOERROR");
    let srv = asked("_admin._tcp.", "SRV");
    let targets: Vec<String> = sorted(srv.answers()).iter().map(|line| line[46..].to_owned()).collect();
    assert_eq!(targets.len(), 3, "{targets:?}");
    assert!(srv.answers().iter().all(|line| line.contains(" SRV 0 33 9 ")));
    assert_eq!(srv.additionals().len(), 3);
}

#[test]
fn one_number_over_two_protocols_is_one_srv_record() {
    let ports = "dns/UDP/53 dns-tcp/TCP/53 metrics/TCP/9153";
    let lines =
        format!("namespace n\ncluster-ip dns.n 10.0.0.10 {ports}\nheadless all.n\nendpoint all.n a 10.1.0.1 {ports}\n");
    let (_publisher, reader) = zone(&lines);
    let view = view(reader);
    let weights = "SRV 0 33 53 X; SRV 0 33 9153 X";
    for (name, target) in [("dns", "dns"), ("all", "a.all"), ("a.all", "a.all")] {
        let got = ask(&view, &format!("{name}.n.svc.cluster.local"), "SRV");
        let expected = format!("NOERROR; {}", weights.replace('X', &format!("{target}.n.svc.cluster.local.")));
        assert_eq!((got.short(), got.additionals().len()), (expected, 1));
    }
}

#[test]
fn reverse_names_show_only_exposed_namespaces() {
    let lines = "namespace a\nnamespace b\nheadless s.a\nheadless s.b\n\
        endpoint s.a x 10.0.0.1\nendpoint s.b y 10.0.0.1\nendpoint s.b z 10.0.0.2\n\
        cluster-ip web.b 10.0.0.3\nendpoint s.a w 10.0.0.3\n";
    let (_publisher, reader) = zone(lines);
    let mut view = view(reader);
    view.zones = list("cluster.local,in-addr.arpa");
    let both = "NOERROR; PTR x.s.a.svc.cluster.local.; PTR y.s.b.svc.cluster.local.";
    assert_eq!(ask(&view, "1.0.0.10.in-addr.arpa", "PTR").short(), both);
    let web = "NOERROR; PTR web.b.svc.cluster.local.";
    assert_eq!(ask(&view, "3.0.0.10.in-addr.arpa", "PTR").short(), web);
    view.namespaces = Some([Label::new(b"a").unwrap()].into());
    assert_eq!(ask(&view, "3.0.0.10.in-addr.arpa", "PTR").short(), "NOERROR; PTR w.s.a.svc.cluster.local.");
    assert_eq!(ask(&view, "1.0.0.10.in-addr.arpa", "PTR").short(), "NOERROR; PTR x.s.a.svc.cluster.local.");
    assert_eq!(ask(&view, "2.0.0.10.in-addr.arpa", "PTR").short(), "NXDOMAIN");
    assert_eq!(ask(&view, "1.0.0.10.in-addr.arpa", "A").short(), "NOERROR");
    assert_eq!(ask(&view, "0.0.10.in-addr.arpa", "PTR").short(), "NXDOMAIN");
}

#[test]
fn each_of_thousands_of_ports_is_found_by_its_name_and_listed_once() {
    // Five ports have each number.
    let ports = (0..5000).map(|at| {
        let protocol = if at < 2500 { "udp" } else { "tcp" };
        format!(" p{at}/{}/{}", protocol.to_uppercase(), 1000 + at % 1000)
    });
    let lines = format!("namespace n\ncluster-ip many.n 10.0.0.1{}", ports.collect::<String>());
    let (_publisher, reader) = zone(&lines);
    let view = view(reader);
    let mut took = Vec::new();
    for at in 0..5000 {
        let protocol = if at < 2500 { "udp" } else { "tcp" };
        let start = std::time::Instant::now();
        let got = ask(&view, &format!("_p{at}._{protocol}.many.n.svc.cluster.local"), "SRV");
        took.push(start.elapsed());
        let number = 1000 + at % 1000;
        assert_eq!(got.short(), format!("NOERROR; SRV 0 100 {number} many.n.svc.cluster.local."), "port {at}");
    }
    // Of the median, as the machine may have much else to do.
    took.sort_unstable();
    assert!(took[2500] < std::time::Duration::from_millis(1), "one question takes {:?}", took[2500]);
    assert_eq!(ask(&view, "_p5._tcp.many.n.svc.cluster.local", "SRV").short(), "NXDOMAIN");
    let all = ask(&view, "many.n.svc.cluster.local", "SRV");
    let distinct: std::collections::HashSet<String> = all.answers().into_iter().collect();
    assert_eq!((all.answers().len(), distinct.len()), (1000, 1000));
    assert!(matches!(all.answered, Answered::Reply { truncated: false, .. }));
}

#[test]
fn the_cache_before_bounds_ttls_that_it_does_not_remember() {
    let (_publisher, plain) = zone_of("ci");
    let ttls = |ttl, zones: &str, name: &str, qtype: &str| {
        let seconds = |shortest, longest| (Ttl::from_secs(shortest), Ttl::from_secs(longest));
        let bounds = TtlBounds { zones: list(zones), success: seconds(5, 30), denial: seconds(5, 10) };
        let view = View { ttl: Ttl::from_secs(ttl), bounds: Some(bounds), ..plain.clone() };
        let got = ask(&view, name, qtype);
        let all = [got.answers(), got.authorities(), got.additionals()].concat();
        assert!(!all.is_empty(), "{name} {qtype}");
        let mut ttls: Vec<u32> = all.iter().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect();
        ttls.sort_unstable();
        ttls.dedup();
        ttls
    };
    let service = "svc-1-a.test-1.svc.cluster.local";
    for (ttl, zones, shown) in [
        (300, ".", 30),
        (20, ".", 20),
        (2, ".", 5),
        (0, ".", 0),
        (300, "example.org,cluster.local", 30),
        (300, "org", 300),
    ] {
        assert_eq!(ttls(ttl, zones, service, "A"), [shown], "{ttl} in {zones}");
        assert_eq!(ttls(ttl, zones, service, "SRV"), [shown], "{ttl} in {zones}");
    }
    assert_eq!(ttls(300, ".", "cluster.local", "SOA"), [30]);
    assert_eq!(ttls(300, ".", "none.test-1.svc.cluster.local", "A"), [10]);
    assert_eq!(ttls(300, ".", service, "TXT"), [10]);
    assert_eq!(ttls(300, ".", "dns-version.cluster.local", "TXT"), [28_800]);
}

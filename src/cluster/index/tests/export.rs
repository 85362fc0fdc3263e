//! What one index gives out, another takes in: it answers the same, and the first lists change it as a difference.

use super::*;
use crate::cluster::facts::ImportedSliceFact;
use crate::cluster::index::DatedFact;
use crate::zone::External;

/// What an index gives out, in pieces of about so many objects.
fn given_out(index: &Index, most: usize) -> Vec<Vec<DatedFact>> {
    let (mut remaining, mut all) = (index.objects(), Vec::new());
    loop {
        let groups = index.give_out(&mut remaining, most);
        if groups.is_empty() {
            return all;
        }
        all.extend(groups);
    }
}

/// Another index that has taken in what one gives out.
fn restarted(bench: &Bench, settings: IndexSettings) -> Bench {
    let mut again = Bench::with(settings);
    for group in given_out(&bench.index, 3) {
        let now = again.now;
        again.index.restore([group], now);
    }
    assert!(!again.reader.has_endpoints() && again.index.publications() == 0, "not before all is taken in");
    let unix = again.unix;
    again.index.end_restore(unix);
    assert!(again.reader.has_endpoints() && !again.reader.is_synced());
    again
}

fn namespace(name: &str) -> Fact {
    Fact::Namespace(NamespaceFact { name: name.into() })
}

fn imported(slice: SliceFact) -> Fact {
    Fact::ImportedSlice(ImportedSliceFact { slice, cluster: Label::new(b"west").ok() })
}

#[test]
fn what_is_taken_in_again_answers_the_same() {
    let settings = IndexSettings { zonal: true, client_names: true, ..IndexSettings::default() };
    let mut bench = Bench::with(settings);
    let mut zoned = slice("z", "kubia", &["kubia-3=10.0.0.5", "!kubia-4=10.0.0.6"]);
    zoned.endpoints[0].zone = Some("zone-a".into());
    zoned.version = 12;
    let mut fqdn = slice("f", "elsewhere", &[]);
    (fqdn.family, fqdn.aliases) =
        (Family::Fqdn, vec![(Label::new(b"www").unwrap(), "www.example.org".parse().unwrap())]);
    let hosts =
        vec![ExternalHost::Address([192, 0, 2, 1].into()), ExternalHost::Name("lb.example.org".parse().unwrap())];
    let outside = Some(Box::new(ExternalFact { hosts, ports: vec![port(443)] }));
    let pod =
        PodFact { key: ObjectKey::new("default", "p"), addresses: vec![[10, 0, 0, 1].into()], terminating: false };
    let facts: Vec<Fact> = vec![
        namespace("default"),
        namespace("other"),
        headless("kubia").into(),
        slice("s", "kubia", &["kubia-0=10.0.0.1,10.0.0.2", "10.0.0.3", "10.0.0.1"]).into(),
        slice("v6", "kubia", &["kubia-0=fd00::1"]).into(),
        zoned.into(),
        ServiceFact { external: outside, version: 9, ..cluster_ip("web", &["10.1.0.1", "fd00::2"]) }.into(),
        external("out", "example.org").into(),
        headless("elsewhere").into(),
        fqdn.into(),
        slice("stray", "nobody", &["stray-0=10.0.0.9"]).into(),
        Fact::Import(cluster_ip("imported", &["10.2.0.1"])),
        imported(slice("i", "imported", &["i-0=10.9.0.1"])),
        Fact::Pod(pod),
    ];
    bench.page(facts);
    for _ in 0..2 {
        let again = restarted(&bench, settings);
        for name in ["kubia", "web", "out", "elsewhere"] {
            let (one, other) = (bench.service(name).unwrap(), again.service(name).unwrap());
            assert_eq!(format!("{:?}", one.kind), format!("{:?}", other.kind), "{name}");
            let (all, others) = (one.endpoints.iter(), other.endpoints.iter());
            assert_eq!(all.collect::<Vec<_>>(), others.collect::<Vec<_>>(), "{name}");
        }
        for address in ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "10.1.0.1", "10.0.0.9", "10.0.0.6"] {
            assert_eq!(bench.pointer(address), again.pointer(address), "{address}");
        }
        let outside = |bench: &Bench| -> Option<Arc<External>> {
            bench.reader.external(service_name("web", "default").unwrap().as_wire())
        };
        assert!(outside(&bench).is_some() && outside(&bench) == outside(&again));
        assert_eq!(bench.reader.imports(), again.reader.imports());
        assert!(again.reader.has_namespace(b"other") && again.reader.has_pod(b"default", [10, 0, 0, 1].into()));
        assert_eq!(&*again.reader.client([10, 0, 0, 1].into()).unwrap().name, "p");
        for kind in Kind::ALL {
            assert_eq!(bench.index.count(kind), again.index.count(kind), "{kind}");
        }
        // Also what is told of it.
        let explain = |bench: &Bench| {
            let mut told = bench.index.explain(&service_name("kubia", "default").unwrap(), None);
            told.slices.sort_by(|one, other| one.name.cmp(&other.name));
            told
        };
        assert_eq!(explain(&bench), explain(&again));
        bench = again;
    }
}

#[test]
fn the_first_lists_change_nothing_where_nothing_has_changed() {
    let mut bench = Bench::new();
    bench.page(vec![namespace("default"), headless("kubia").into()]);
    let version = |version, fact: SliceFact| SliceFact { version, ..fact };
    bench.apply(version(7, slice("s", "kubia", &["kubia-0=10.0.0.1"])));
    let came = bench.index.explain(&service_name("kubia", "default").unwrap(), None).slices[0].arrived;
    let mut again = restarted(&bench, IndexSettings::default());
    again.unix += 500;
    again.list(Kind::Namespace, [namespace("default")]);
    assert!(!again.list(Kind::Service, [headless("kubia").into()]));
    assert!(!again.list(Kind::EndpointSlice, [version(7, slice("s", "kubia", &["kubia-0=10.0.0.1"])).into()]));
    let told = again.index.explain(&service_name("kubia", "default").unwrap(), None);
    assert_eq!(told.slices[0].arrived, came, "the version is the one that had come then");
}

#[test]
fn no_service_is_answered_in_part_while_the_first_list_runs() {
    let mut bench = Bench::new();
    bench.page(vec![namespace("default"), headless("kubia").into(), headless("gone").into()]);
    bench.apply(slice("s", "kubia", &["kubia-0=10.0.0.1"]));
    bench.apply(slice("g", "gone", &["gone-0=10.0.0.9"]));
    let mut again = restarted(&bench, IndexSettings::default());
    // New Services, one of them with an address of its own: that is known whole.
    again.list(
        Kind::Service,
        [headless("kubia").into(), headless("new").into(), cluster_ip("web", &["10.1.0.1"]).into()],
    );
    assert_eq!((again.endpoints("new"), again.pointer("10.1.0.1")), (vec![], vec!["web".to_owned()]));
    assert_eq!(again.service("gone").map(drop), None, "it was not named");
    // A list breaks off, and begins anew.
    for _ in 0..2 {
        again.index.begin_list(Kind::EndpointSlice);
        again.page(vec![slice("n", "new", &["new-0=10.0.1.1"]).into()]);
        again.page(vec![
            slice("t", "kubia", &["kubia-1=10.0.0.2"]).into(),
            slice("w", "web", &["web-0=10.0.3.1"]).into(),
        ]);
        assert_eq!((again.endpoints("new"), again.endpoints("kubia")), (vec![], vec!["kubia-0=10.0.0.1".to_owned()]));
        // The object itself changes meanwhile.
        again.apply(external("out", "example.org"));
        again.apply(ServiceFact { selector: false, ..headless("new") });
        assert_eq!((again.endpoints("new"), again.pointer("10.0.1.1")), (vec![], vec![]));
    }
    again.page(vec![slice("m", "new", &["new-1=10.0.1.2"]).into()]);
    again.page(vec![slice("s", "kubia", &["kubia-0=10.0.0.1"]).into()]);
    assert!(again.end_list(Kind::EndpointSlice));
    assert_eq!(again.endpoints("new"), ["new-0=10.0.1.1", "new-1=10.0.1.2"]);
    assert_eq!(again.endpoints("kubia"), ["kubia-0=10.0.0.1", "kubia-1=10.0.0.2"]);
    assert_eq!(
        (again.pointer("10.0.1.1"), again.endpoints("web")),
        (vec!["new-0.new".into()], vec!["web-0=10.0.3.1".into()])
    );
    // From there on each change is told at once.
    assert!(again.apply(slice("s", "kubia", &["kubia-0=10.0.0.1", "kubia-7=10.0.0.7"])));
    assert_eq!(again.endpoints("kubia").len(), 3);
}

#[test]
fn what_the_first_list_does_not_name_goes_at_its_end_and_not_before() {
    let mut bench = Bench::new();
    bench.page(vec![namespace("default"), headless("kubia").into()]);
    bench.apply(slice("s", "kubia", &["kubia-0=10.0.0.1", "kubia-1=10.0.0.2"]));
    let mut again = restarted(&bench, IndexSettings::default());
    again.index.begin_list(Kind::EndpointSlice);
    again.page(vec![slice("s", "kubia", &["kubia-0=10.0.0.1", "kubia-2=10.0.0.3"]).into()]);
    assert_eq!(again.endpoints("kubia"), ["kubia-0=10.0.0.1", "kubia-1=10.0.0.2"]);
    again.end_list(Kind::EndpointSlice);
    assert_eq!(again.endpoints("kubia"), ["kubia-0=10.0.0.1", "kubia-2=10.0.0.3"]);
    assert_eq!(again.pointer("10.0.0.2"), [""; 0]);
}

#[test]
fn an_endpoint_between_two_slices_is_not_lost_by_a_restart() {
    let mut bench = Bench::new();
    bench.page(vec![namespace("default"), headless("kubia").into()]);
    bench.apply(slice("s", "kubia", &["kubia-0=10.0.0.1", "kubia-1=10.0.0.2"]));
    bench.apply(slice("t", "kubia", &["kubia-2=10.0.0.3"]));
    bench.apply(slice("s", "kubia", &["kubia-0=10.0.0.1"]));
    let three = ["kubia-0=10.0.0.1", "kubia-1=10.0.0.2", "kubia-2=10.0.0.3"];
    assert_eq!(bench.endpoints("kubia"), three, "it is held");
    let mut again = restarted(&bench, IndexSettings::default());
    assert_eq!(again.endpoints("kubia"), three);
    again.list(Kind::Service, [headless("kubia").into()]);
    again.list(
        Kind::EndpointSlice,
        [
            slice("s", "kubia", &["kubia-0=10.0.0.1"]).into(),
            slice("t", "kubia", &["kubia-1=10.0.0.2", "kubia-2=10.0.0.3"]).into(),
        ],
    );
    assert_eq!(
        (again.endpoints("kubia"), again.index.count(Kind::EndpointSlice)),
        (three.map(String::from).to_vec(), 2)
    );
    while again.pass(5000).is_some() {}
    assert_eq!(again.endpoints("kubia"), three, "it has arrived");
}

#[test]
fn imported_services_come_back_whole_too() {
    let mut bench = Bench::new();
    bench.page(vec![Fact::Import(headless("db")), imported(slice("a", "db", &["db-0=10.9.0.1"]))]);
    let mut again = restarted(&bench, IndexSettings::default());
    let labels = |bench: &Bench| -> Vec<String> {
        let imports = bench.reader.imports();
        let mut labels: Vec<String> =
            imports.iter().flat_map(|import| import.set.endpoints().iter().map(|own| own.label.to_string())).collect();
        labels.sort();
        labels
    };
    again.index.begin_list(Kind::ImportedSlice);
    again.page(vec![imported(slice("b", "db", &["db-1=10.9.0.2"]))]);
    assert_eq!(labels(&again), ["db-0"]);
    again.page(vec![imported(slice("a", "db", &["db-0=10.9.0.1"]))]);
    again.end_list(Kind::ImportedSlice);
    assert_eq!(labels(&again), ["db-0", "db-1"]);
}

#[test]
fn what_is_gone_while_it_is_given_out_ends_nothing() {
    let mut bench = Bench::new();
    let names: Vec<String> = (0..100).map(|at| format!("s{at}")).collect();
    bench.page(names.iter().map(|name| headless(name).into()).collect());
    let mut remaining = bench.index.objects();
    let first = bench.index.give_out(&mut remaining, 1);
    let Fact::Service(kept) = &first[0][0].0 else { panic!("{first:?}") };
    // All but the first and one more go.
    let other = names.iter().find(|name| **name != *kept.key.name).unwrap();
    for name in names.iter().filter(|name| **name != *kept.key.name && *name != other) {
        bench.delete(Kind::Service, &format!("default/{name}"));
    }
    let rest = bench.index.give_out(&mut remaining, 1);
    assert!(matches!(&rest[..], [group] if group[0].0.key() == ObjectKey::new("default", other)), "{rest:?}");
    assert!(bench.index.give_out(&mut remaining, 1).is_empty());
}

#[test]
fn a_list_that_comes_again_is_published_at_its_end_and_other_news_meanwhile() {
    let mut bench = Bench::new();
    bench.apply(headless("a"));
    bench.apply(headless("b"));
    let before = [("s", &["x=10.0.0.1", "y=10.0.0.2"][..]), ("t", &["z=10.0.0.3"])];
    bench.list(Kind::EndpointSlice, before.map(|(name, endpoints)| slice(name, "a", endpoints).into()));
    let old = bench.endpoints("a");
    // The cluster was set back: then `x` stood in the other slice, and neither page alone tells so.
    bench.index.begin_list(Kind::EndpointSlice);
    assert!(!bench.page(vec![slice("s", "a", &["y=10.0.0.2"]).into()]));
    assert_eq!((bench.endpoints("a"), bench.pointer("10.0.0.1").len()), (old.clone(), 1));
    assert!(bench.apply(cluster_ip("c", &["10.1.0.1"])), "a Service of which no slice has changed");
    assert!(!bench.apply(slice("u", "b", &["w=10.0.0.9"])));
    // It breaks off, and another one begins.
    bench.index.begin_list(Kind::EndpointSlice);
    assert!(!bench.page(vec![slice("s", "a", &["y=10.0.0.2"]).into()]));
    assert_eq!(bench.endpoints("a"), old);
    assert!(!bench.page(vec![slice("t", "a", &["x=10.0.0.8"]).into()]));
    assert!(bench.end_list(Kind::EndpointSlice));
    assert_eq!(bench.endpoints("a"), ["x=10.0.0.8", "y=10.0.0.2", "z=10.0.0.3"]);
    // What no slice lists any more may still have been on its way.
    bench.pass(5_000);
    assert_eq!(bench.endpoints("a"), ["x=10.0.0.8", "y=10.0.0.2"]);
    assert_eq!((bench.pointer("10.0.0.1").len(), bench.pointer("10.0.0.8").len()), (0, 1));
}

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn label(text: &str) -> Label {
    Label::new(text.as_bytes()).unwrap()
}

fn port(name: &str, protocol: Protocol, number: u16) -> Port {
    Port { name: (!name.is_empty()).then(|| label(name)), protocol, number }
}

/// The records of a selection: addresses, SRV as (endpoint, number), those beside as (endpoint, address), weight.
type Shown = (BTreeSet<IpAddr>, Vec<(String, u16)>, BTreeSet<(String, IpAddr)>, usize);

fn name_of(label: &Label, cluster: Option<&Label>) -> String {
    format!("{label} {cluster:?}")
}

fn shown(selection: EndpointSelection<'_>) -> Shown {
    let v4 = selection.v4().iter().map(|&address| IpAddr::V4(address));
    let addresses: Vec<IpAddr> = v4.chain(selection.v6().iter().map(|&address| IpAddr::V6(address))).collect();
    let set: BTreeSet<IpAddr> = addresses.iter().copied().collect();
    assert_eq!(set.len(), addresses.len(), "an address stands twice");
    let (mut srv, mut glue) = (Vec::new(), Vec::new());
    for at in 0..selection.srv_count() {
        let SetSrv { endpoint, number, is_first } = selection.srv(at).unwrap();
        let name = name_of(&endpoint.label, endpoint.cluster.as_ref());
        glue.extend(selection.glue(endpoint).filter(|_| is_first).map(|address| (name.clone(), address)));
        srv.push((name, number));
    }
    assert!(selection.srv(selection.srv_count()).is_none());
    let beside: BTreeSet<_> = glue.iter().cloned().collect();
    assert_eq!(beside.len(), glue.len(), "an address stands twice beside its name");
    srv.sort();
    (set, srv, beside, selection.records.pairs)
}

/// The same, record by record from what slices list: each address goes with the ports of the slice that lists it.
fn expected(parts: &[SliceEndpoint], wanted: Option<(&str, Protocol)>) -> Option<Shown> {
    let (mut addresses, mut srv, mut glue, mut triples) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for part in parts {
        let is_it = |own: &&Port| {
            wanted.is_none_or(|(name, protocol)| own.name == Some(label(name)) && own.protocol == protocol)
        };
        let mut numbers: Vec<u16> = part.ports.iter().filter(is_it).map(|own| own.number).collect();
        match wanted {
            Some(_) if numbers.is_empty() => continue,
            None if numbers.is_empty() => numbers.push(0),
            _ => {}
        }
        let name = name_of(&part.label, part.cluster.as_ref());
        for &address in &part.addresses {
            addresses.insert(address);
            for &number in &numbers {
                triples.insert((name.clone(), address, number));
                if number != 0 {
                    srv.insert((name.clone(), number));
                    glue.insert((name.clone(), address));
                }
            }
        }
    }
    (!addresses.is_empty()).then(|| (addresses, srv.into_iter().collect(), glue, triples.len()))
}

const NAMES: [&str; 3] = ["a", "b", "c"];
const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

fn a_part() -> impl Strategy<Value = SliceEndpoint> {
    let own_port = (0..4usize, 0..2usize, 0..3u16);
    let ports = proptest::collection::vec(own_port, 0..5);
    (0..3u8, 0..3u8, proptest::collection::vec((0..4u8, any::<bool>()), 1..4), ports).prop_map(
        |(own, cluster, addresses, ports)| SliceEndpoint {
            label: label(&format!("e{own}")),
            cluster: (cluster > 0).then(|| label(&format!("c{cluster}"))),
            addresses: addresses
                .into_iter()
                .map(|(last, v6)| if v6 { format!("fd00::{last}") } else { format!("10.0.0.{last}") }.parse().unwrap())
                .collect(),
            ports: ports
                .into_iter()
                .map(|(name, protocol, number)| {
                    port(NAMES.get(name).copied().unwrap_or_default(), PROTOCOLS[protocol], number * 10)
                })
                .collect(),
        },
    )
}

proptest! {
    #[test]
    fn every_selection_shows_what_the_slices_say(parts in proptest::collection::vec(a_part(), 0..8)) {
        check(&EndpointSet::new(&parts), &parts)?;
    }

    #[test]
    fn a_next_version_shows_what_the_slices_say_then(
        rounds in proptest::collection::vec(proptest::collection::vec(a_part(), 0..5), 1..6),
    ) {
        let (mut set, mut parts) = (EndpointSet::default(), Vec::<SliceEndpoint>::new());
        for round in rounds {
            // What it names is as it says, and the first two that it does not name are gone every other time.
            let mut changed: Vec<_> = round.iter().map(SliceEndpoint::key).collect();
            if round.len() % 2 == 0 {
                changed.extend(parts.iter().map(SliceEndpoint::key).take(2));
            }
            sort(&mut changed);
            parts.retain(|part: &SliceEndpoint| !changed.contains(&part.key()));
            parts.extend(round.iter().cloned());
            match set.apply(&changed, &round) {
                Some(next) => set = next,
                None => prop_assert_eq!(set.endpoints().len(), EndpointSet::new(&parts).endpoints().len()),
            }
            check(&set, &parts)?;
            let used = parts.iter().map(|part| &part.ports).collect::<BTreeSet<_>>();
            prop_assert_eq!(set.lists.iter().flatten().collect::<BTreeSet<_>>(), used);
        }
    }
}

/// Whether a set shows what the slices say.
fn check(set: &EndpointSet, parts: &[SliceEndpoint]) -> Result<(), TestCaseError> {
    prop_assert_eq!(set.all().map(shown), expected(parts, None));
    for name in NAMES {
        for protocol in PROTOCOLS {
            let found = set.with_port(name.as_bytes(), protocol.label()).map(shown);
            prop_assert_eq!(found, expected(parts, Some((name, protocol))), "{} {:?}", name, protocol);
        }
    }
    for protocol in PROTOCOLS {
        let has = NAMES.iter().any(|name| expected(parts, Some((name, protocol))).is_some());
        prop_assert_eq!(set.has_protocol(protocol.label()), has);
    }
    for own in set.endpoints() {
        prop_assert!(set.find(own.label.as_bytes(), own.cluster.as_ref().map(Label::as_bytes)) == Some(&**own));
        prop_assert!(own.cluster.as_ref().is_none_or(|cluster| set.has_cluster(cluster.as_bytes())));
        let alone: Vec<SliceEndpoint> =
            parts.iter().filter(|part| part.label == own.label && part.cluster == own.cluster).cloned().collect();
        let (addresses, srv, glue, pairs) = expected(&alone, None).unwrap();
        prop_assert_eq!(own.addresses.to_vec(), addresses.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(own.numbers.to_vec(), srv.into_iter().map(|(_, number)| number).collect::<Vec<_>>());
        prop_assert_eq!(own.glue().collect::<BTreeSet<_>>(), glue.into_iter().map(|(_, own)| own).collect());
        prop_assert_eq!(own.pairs, pairs);
    }
    prop_assert!(!set.has_cluster(b"c9"));
    Ok(())
}

#[test]
fn a_next_version_keeps_the_endpoints_that_are_as_they_were() {
    let ports = |number| -> Arc<[Port]> { [port("http", Protocol::Tcp, number)].into() };
    let (old, new) = (ports(80), ports(81));
    let part = |own: u32, ports: &Arc<[Port]>| SliceEndpoint {
        label: label(&format!("e{own}")),
        cluster: None,
        addresses: vec![Ipv4Addr::from(own).into()],
        ports: Arc::clone(ports),
    };
    let before = EndpointSet::new(&(0..100).map(|own| part(own, &old)).collect::<Vec<_>>());
    assert_eq!(before.apply(&[part(7, &old).key()], &[part(7, &old)]), None);
    let after = before.apply(&[part(7, &new).key()], &[part(7, &new)]).unwrap();
    let kept = before.endpoints().iter().zip(after.endpoints()).filter(|(one, other)| Arc::ptr_eq(one, other)).count();
    assert_eq!((kept, after.endpoints().len(), after.lists.len()), (99, 100, 2));
    assert_eq!(after.all().map(|all| (all.srv_count(), all.records.pairs)), Some((100, 100)));
    let gone = after.apply(&[part(7, &new).key()], &[]).unwrap();
    assert_eq!((gone.endpoints().len(), gone.lists.iter().flatten().count()), (99, 1));
}

#[test]
fn a_slice_with_thousands_of_ports_and_endpoints_is_made_a_set_at_the_cost_of_both_not_of_their_product() {
    let ports: Arc<[Port]> =
        (0..5000).map(|number| port(&format!("p{number}"), Protocol::Tcp, number)).collect::<Vec<_>>().into();
    let parts: Vec<SliceEndpoint> = (0..1000u32)
        .map(|number| SliceEndpoint {
            label: label(&format!("e{number}")),
            cluster: None,
            addresses: vec![Ipv4Addr::from(0x0a00_0000 + number).into()],
            ports: Arc::clone(&ports),
        })
        .collect();
    let start = Instant::now();
    let set = EndpointSet::new(&parts);
    // A product would be five million endpoints, each with its lists.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let (first, last) = (&set.endpoints()[0], &set.endpoints()[999]);
    assert!(Arc::ptr_eq(&first.ports, &last.ports) && Arc::ptr_eq(&first.numbers, &last.numbers));
    let (one, other) = (set.with_port(b"p1", b"tcp").unwrap(), set.with_port(b"p4999", b"tcp").unwrap());
    assert!(Arc::ptr_eq(&one.records.members, &other.records.members));
    assert_eq!((one.srv_count(), one.v4().len(), one.records.pairs), (1000, 1000, 1000));
    assert_eq!((set.all().unwrap().srv_count(), set.all().unwrap().records.pairs), (4999 * 1000, 5000 * 1000));
    // The port without a number has the addresses alone.
    let zero = set.with_port(b"p0", b"tcp").unwrap();
    assert_eq!((zero.srv_count(), zero.v4().len()), (0, 1000));
}

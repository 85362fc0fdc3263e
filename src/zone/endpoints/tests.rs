use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::zone::Protocol;

fn label(text: &str) -> Label {
    Label::new(text.as_bytes()).unwrap()
}

fn ports(numbers: &[u16]) -> Arc<[Port]> {
    numbers
        .iter()
        .map(|&number| Port { name: Some(label(&format!("p{number}"))), protocol: Protocol::Tcp, number })
        .collect()
}

fn state(addresses: &[IpAddr], numbers: &[u16], zone: Option<&str>) -> EndpointState {
    EndpointState { addresses: addresses.into(), ports: ports(numbers), zone: zone.map(Arc::from) }
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn v6(last: u16) -> IpAddr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last).into()
}

fn set_of(addresses: Option<&AddressSets>) -> BTreeMap<IpAddr, u32> {
    let Some(addresses) = addresses else { return BTreeMap::new() };
    let v4 = addresses.v4.iter().map(|counted| (IpAddr::V4(counted.address), counted.count));
    v4.chain(addresses.v6.iter().map(|counted| (IpAddr::V6(counted.address), counted.count))).collect()
}

fn check(endpoints: &Endpoints, model: &BTreeMap<Label, EndpointState>) {
    assert_eq!(endpoints.len(), model.len());
    assert_eq!(endpoints.is_empty(), model.is_empty());
    let all: BTreeMap<Label, EndpointState> = endpoints.iter().map(|(label, state)| (label.clone(), state)).collect();
    assert_eq!(&all, model);
    for (label, state) in model {
        assert_eq!(endpoints.get(label.as_bytes()).as_ref(), Some(state));
    }
    assert_eq!(endpoints.get(b"nobody"), None);
    let count = |states: &mut dyn Iterator<Item = &EndpointState>| {
        let mut counts = BTreeMap::new();
        states.flat_map(|state| &state.addresses).for_each(|&address| *counts.entry(address).or_insert(0) += 1);
        counts
    };
    assert_eq!(set_of(endpoints.addresses()), count(&mut model.values()));
    let kinds: BTreeSet<_> = model.values().map(|state| (state.ports.clone(), state.zone.clone())).collect();
    assert_eq!(endpoints.groups().len(), kinds.len());
    for group in endpoints.groups() {
        let mut ours = model.values().filter(|state| *state.ports == *group.ports && state.zone == group.zone);
        let counts = count(&mut ours);
        assert_eq!(group.pairs, counts.values().sum::<u32>());
        assert_eq!(set_of(Some(&group.addresses)), counts);
    }
}

fn any_state() -> impl Strategy<Value = EndpointState> {
    let addresses = proptest::collection::btree_set(prop_oneof![(0u8..40).prop_map(v4), (0u16..10).prop_map(v6)], 1..3);
    let zone = prop_oneof![Just(None), Just(Some("a")), Just(Some("b"))];
    (addresses, prop_oneof![4 => Just(vec![80]), 1 => Just(vec![80, 9090]), 1 => Just(vec![])], zone)
        .prop_map(|(addresses, numbers, zone)| state(&addresses.into_iter().collect::<Vec<_>>(), &numbers, zone))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_row_of_changes_equals_a_plain_map(
        rounds in proptest::collection::vec(
            proptest::collection::vec((0u16..300, proptest::option::weighted(0.7, any_state())), 0..200), 1..8),
    ) {
        let (mut endpoints, mut model) = (Endpoints::default(), BTreeMap::new());
        for round in rounds {
            let changes: Vec<EndpointChange> = round
                .into_iter()
                .map(|(number, state)| EndpointChange { label: label(&format!("pod-{number}-with-a-long-name")), state })
                .collect();
            endpoints = endpoints.apply(&changes);
            for EndpointChange { label, state } in changes {
                match state {
                    Some(state) => model.insert(label, state),
                    None => model.remove(&label),
                };
            }
            check(&endpoints, &model);
        }
    }
}

#[test]
fn an_endpoint_takes_thirty_two_bytes_and_an_address_eight() {
    assert_eq!((size_of::<Endpoint>(), size_of::<Counted<Ipv4Addr>>(), size_of::<Endpoints>()), (32, 8, 8));
}

#[test]
fn an_address_that_two_labels_share_stays_until_both_are_gone() {
    let change = |name: &str, state| EndpointChange { label: label(name), state };
    let both = [change("a", Some(state(&[v4(1)], &[80], None))), change("b", Some(state(&[v4(1)], &[81], None)))];
    let two = Endpoints::default().apply(&both);
    assert_eq!(set_of(two.addresses()), BTreeMap::from([(v4(1), 2)]));
    let one = two.apply(&[change("a", None)]);
    assert_eq!(set_of(one.addresses()), BTreeMap::from([(v4(1), 1)]));
    assert!(one.apply(&[change("b", None)]).is_empty());
}

#[test]
fn a_change_that_changes_nothing_keeps_the_version() {
    let one = [EndpointChange { label: label("a"), state: Some(state(&[v4(1)], &[80], None)) }];
    let before = Endpoints::default().apply(&one);
    let after = before.apply(&one);
    assert!(Arc::ptr_eq(before.0.as_ref().unwrap(), after.0.as_ref().unwrap()));
}

#[test]
fn a_state_without_addresses_counts_as_gone() {
    let endpoints =
        Endpoints::default().apply(&[EndpointChange { label: label("a"), state: Some(state(&[], &[80], None)) }]);
    assert!(endpoints.is_empty());
}

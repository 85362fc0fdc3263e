//! Any history of lists, watch events, relists, duplicates and old events ends in the zone of a fresh list.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::{Bench, cluster_ip, headless, port, slice};
use super::*;
use crate::cluster::facts::{Family, ServiceSpec};
use crate::zone::ServiceKind;

/// Few names and addresses, so that they collide: labels between slices, slices between Services, addresses everywhere.
fn a_slice() -> impl Strategy<Value = SliceFact> {
    let endpoint = (0..4u8, 0..6u8, any::<bool>(), any::<bool>());
    let fact = (0..4u8, 0..3u8, 0..3u16, any::<bool>(), proptest::collection::vec(endpoint, 0..5));
    fact.prop_map(|(name, service, ports, v6, endpoints)| {
        let endpoints: Vec<String> = endpoints
            .into_iter()
            .map(|(label, address, ready, named)| {
                let address = if v6 { format!("fd00::{address}") } else { format!("10.0.0.{address}") };
                let hostname = if named { format!("h{label}=") } else { String::new() };
                format!("{}{hostname}{address}", if ready { "" } else { "!" })
            })
            .collect();
        let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
        let mut fact = slice(&format!("slice-{name}"), &format!("service-{service}"), &endpoints);
        fact.family = if v6 { Family::V6 } else { Family::V4 };
        fact.ports = (0..ports).map(|number| port(80 + number)).collect();
        fact
    })
}

fn a_service() -> impl Strategy<Value = ServiceFact> {
    (0..3u8, 0..5u8, 0..6u8).prop_map(|(name, kind, address)| {
        let name = format!("service-{name}");
        match kind {
            0 | 1 => headless(&name),
            // An address that endpoints may have as well.
            2 => cluster_ip(&name, &[&format!("10.0.0.{address}")]),
            3 => cluster_ip(&name, &[&format!("10.96.0.{address}"), &format!("fd00::{address}")]),
            _ => ServiceFact { spec: ServiceSpec::ExternalName("example.org".parse().ok()), ..headless(&name) },
        }
    })
}

fn a_fact() -> impl Strategy<Value = Fact> {
    prop_oneof![3 => a_slice().prop_map(Fact::Slice), 2 => a_service().prop_map(Fact::Service)]
}

#[derive(Clone, Debug)]
enum ModelStep {
    /// The object is written, and its event arrives.
    Write(Fact),
    /// The object is deleted, and its event arrives.
    Delete(Kind, usize),
    /// The object is written or deleted while the watch is broken.
    Unseen(Fact, bool),
    /// An event of some time ago arrives again.
    Again(usize),
    /// A list, of pages of this size; a part of it may come twice, because it had to begin anew.
    List(Kind, usize, bool),
    Time(u64),
}

fn a_step() -> impl Strategy<Value = ModelStep> {
    let kind = || prop_oneof![Just(Kind::Service), Just(Kind::EndpointSlice)];
    prop_oneof![
        8 => a_fact().prop_map(ModelStep::Write),
        2 => (kind(), 0..10usize).prop_map(|(kind, at)| ModelStep::Delete(kind, at)),
        2 => (a_fact(), any::<bool>()).prop_map(|(fact, there)| ModelStep::Unseen(fact, there)),
        2 => (0..10usize).prop_map(ModelStep::Again),
        2 => (kind(), 1..4usize, any::<bool>()).prop_map(|(kind, size, anew)| ModelStep::List(kind, size, anew)),
        2 => (1..700u64).prop_map(ModelStep::Time),
    ]
}

/// The API server: the objects as they are, and the events that were sent.
#[derive(Debug, Default)]
struct ModelCluster {
    objects: BTreeMap<(Kind, ObjectKey), Fact>,
    /// Events whose objects were not deleted since.
    sent: Vec<Fact>,
    version: u64,
    /// A broken watch is healed by a list before anything else arrives.
    missed: BTreeMap<Kind, ()>,
}

impl ModelCluster {
    fn write(&mut self, mut fact: Fact) -> Fact {
        self.version += 1;
        match &mut fact {
            Fact::Slice(fact) => fact.version = self.version,
            Fact::Service(fact) => fact.version = self.version,
            Fact::Namespace(_) | Fact::Pod(_) | Fact::Import(_) | Fact::ImportedSlice(_) => {}
        }
        self.objects.insert((fact.kind(), fact.key()), fact.clone());
        fact
    }

    fn remove(&mut self, kind: Kind, key: &ObjectKey) {
        self.objects.remove(&(kind, key.clone()));
        self.sent.retain(|fact| (fact.kind(), fact.key()) != (kind, key.clone()));
    }

    fn list(&self, kind: Kind) -> Vec<Fact> {
        self.objects.iter().filter(|((own, _), _)| *own == kind).map(|(_, fact)| fact.clone()).collect()
    }
}

fn relist(bench: &mut Bench, cluster: &mut ModelCluster, kind: Kind, size: usize, anew: bool) {
    let facts = cluster.list(kind);
    bench.index.begin_list(kind);
    if anew {
        for page in facts.chunks(size).take(1) {
            bench.page(page.to_vec());
        }
        bench.index.begin_list(kind);
    }
    for page in facts.chunks(size) {
        bench.page(page.to_vec());
    }
    bench.end_list(kind);
    cluster.missed.remove(&kind);
    cluster.sent.retain(|fact| fact.kind() != kind);
}

fn run(bench: &mut Bench, cluster: &mut ModelCluster, step: ModelStep) {
    match step {
        ModelStep::Write(fact) => {
            let fact = cluster.write(fact);
            if !cluster.missed.contains_key(&fact.kind()) {
                cluster.sent.push(fact.clone());
                bench.apply(fact);
            }
        }
        ModelStep::Delete(kind, at) => {
            let facts = cluster.list(kind);
            let Some(fact) = facts.get(at % facts.len().max(1)) else { return };
            cluster.remove(kind, &fact.key());
            if !cluster.missed.contains_key(&kind) {
                bench.delete(kind, &fact.key().to_string());
            }
        }
        ModelStep::Unseen(fact, there) => {
            cluster.missed.insert(fact.kind(), ());
            if there {
                cluster.write(fact);
            } else {
                cluster.remove(fact.kind(), &fact.key());
            }
        }
        ModelStep::Again(at) => {
            if let Some(fact) = cluster.sent.get(at % cluster.sent.len().max(1)).cloned() {
                bench.apply(fact);
            }
        }
        ModelStep::List(kind, size, anew) => relist(bench, cluster, kind, size, anew),
        ModelStep::Time(milliseconds) => {
            bench.pass(milliseconds);
        }
    }
}

/// Everything that an answer can show.
fn contents(bench: &Bench) -> Vec<String> {
    let mut lines = Vec::new();
    for service in bench.reader.services() {
        let kind = match &service.kind {
            ServiceKind::ClusterIp { addresses, ports } => format!("{addresses:?} {ports:?}"),
            ServiceKind::Headless => "headless".to_owned(),
            ServiceKind::ExternalName(name) => name.to_string(),
            ServiceKind::Alias(elsewhere) => format!("{elsewhere:?}"),
        };
        lines.push(format!("{:?} {kind}", service.name));
        lines.extend(service.endpoints.iter().map(|(label, state)| format!("{:?} {label} {state:?}", service.name)));
    }
    for last in 0..10 {
        for address in [format!("10.0.0.{last}"), format!("10.96.0.{last}"), format!("fd00::{last}")] {
            lines.push(format!("{address} {:?}", bench.reader.pointer(address.parse().unwrap())));
        }
    }
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_history_ends_in_the_zone_of_a_fresh_list(steps in proptest::collection::vec(a_step(), 1..40)) {
        let (mut bench, mut cluster) = (Bench::new(), ModelCluster::default());
        for step in steps {
            run(&mut bench, &mut cluster, step);
        }
        for kind in [Kind::Service, Kind::EndpointSlice] {
            if cluster.missed.contains_key(&kind) {
                relist(&mut bench, &mut cluster, kind, 2, false);
            }
        }
        prop_assert!(bench.pass(60_000).is_none());
        let mut fresh = Bench::new();
        for kind in [Kind::EndpointSlice, Kind::Service] {
            relist(&mut fresh, &mut cluster, kind, 3, false);
        }
        fresh.pass(60_000);
        prop_assert_eq!(contents(&bench), contents(&fresh));
        for kind in Kind::ALL {
            prop_assert_eq!(bench.index.count(kind), fresh.index.count(kind));
        }
    }

    // Invariant of the grace: what is ready before and after, in whatever slice, is answered all the time.
    #[test]
    fn an_endpoint_that_is_packed_anew_is_answered_all_the_time(before in proptest::collection::vec(0..3usize, 8), after in proptest::collection::vec(0..3usize, 8), order in Just([0usize, 1, 2]).prop_shuffle()) {
        let packed = |slices: &[usize], at: usize| {
            let own: Vec<String> = slices.iter().enumerate().filter(|(_, slice)| **slice == at).map(|(i, _)| format!("k-{i}=10.0.0.{i}")).collect();
            slice(&format!("s{at}"), "k", &own.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let mut bench = Bench::new();
        bench.apply(headless("k"));
        for at in 0..3 {
            bench.apply(packed(&before, at));
        }
        let all = bench.endpoints("k");
        prop_assert_eq!(all.len(), 8);
        for at in order {
            bench.apply(packed(&after, at));
            prop_assert_eq!(&bench.endpoints("k"), &all);
            bench.pass(100);
            prop_assert_eq!(&bench.endpoints("k"), &all);
        }
        prop_assert!(bench.pass(3000).is_none());
        prop_assert_eq!(&bench.endpoints("k"), &all);
    }

    // The same with another port, which tells what is going on, at the pace of a busy control plane.
    #[test]
    fn an_endpoint_that_is_packed_anew_with_another_port_is_answered_all_the_time(
        before in proptest::collection::vec(0..4usize, 12),
        after in proptest::collection::vec(0..4usize, 12),
        turns in Just([0usize, 1, 2, 3]).prop_shuffle(),
        waits in proptest::collection::vec(0..1500u64, 4),
    ) {
        let packed = |slices: &[usize], at: usize, number: u16| {
            let own: Vec<String> = slices.iter().enumerate().filter(|(_, slice)| **slice == at).map(|(i, _)| format!("k-{i}=10.0.0.{i}")).collect();
            let mut fact = slice(&format!("s{at}"), "k", &own.iter().map(String::as_str).collect::<Vec<_>>());
            fact.ports = vec![port(number)];
            fact
        };
        let mut bench = Bench::new();
        bench.apply(headless("k"));
        for at in 0..4 {
            bench.apply(packed(&before, at, 80));
        }
        let all = bench.endpoints("k");
        let begun = waits.iter().sum::<u64>();
        for (at, wait) in turns.into_iter().zip(waits) {
            bench.apply(packed(&after, at, 81));
            prop_assert_eq!(&bench.endpoints("k"), &all);
            bench.pass(wait);
            prop_assert!(begun > 4400 || bench.endpoints("k") == all);
        }
        prop_assert!(bench.pass(3000).is_none());
        prop_assert_eq!(&bench.endpoints("k"), &all);
    }
}

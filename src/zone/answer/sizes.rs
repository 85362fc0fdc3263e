//! Answers that are too long for their way, and the records that are left out of them.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::wire::{Class, Parsed, Rcode, Rtype, parse};
use crate::zone::testing::*;
use crate::zone::{Answered, Publisher, Seeds, View, answer};

fn peers(count: usize) -> (Publisher, View) {
    let mut lines = "namespace default\nheadless kubia.default\n".to_owned();
    for number in 0..count {
        let (high, low) = (number / 250, number % 250);
        lines += &format!("endpoint kubia.default kubia-{number} 10.1.{high}.{low} http/TCP/80\n");
    }
    let (publisher, reader) = zone(&lines);
    (publisher, view(reader))
}

const NAME: &str = "kubia.default.svc.cluster.local";

fn is_truncated(asked: &TestAnswer) -> bool {
    matches!(asked.answered, Answered::Reply { rcode: Rcode::NOERROR, truncated: true, .. })
}

#[test]
fn a_truncated_answer_keeps_as_many_whole_records_as_fit() {
    let (_publisher, view) = peers(200);
    for (type_name, limit, most) in [("A", 512, 28), ("A", 1232, 73), ("SRV", 512, 7), ("SRV", 1232, 19)] {
        let got = ask_udp(&view, NAME, type_name, limit, 5);
        assert!(is_truncated(&got));
        assert_eq!(got.answers().len(), most, "{type_name} in {limit}");
        assert!(got.octets.len() + 60 > limit, "{} of {limit} octets used", got.octets.len());
        assert_eq!(got.additionals(), [""; 0], "glue goes before answers");
    }
}

#[test]
fn what_a_truncated_answer_keeps_is_an_equally_likely_choice() {
    let (_publisher, view) = peers(200);
    for (type_name, mean) in [("A", 400.0 * 28.0 / 200.0), ("SRV", 400.0 * 7.0 / 200.0)] {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for seed in 0..400 {
            for answer in ask_udp(&view, NAME, type_name, 512, seed * 0x1_0001).answers() {
                *counts.entry(answer).or_default() += 1;
            }
        }
        let chi: f64 = counts.values().map(|&count| (f64::from(count) - mean).powi(2) / mean).sum();
        assert!((120.0..300.0).contains(&chi), "{type_name}: chi square {chi} for 199 degrees of freedom");
        assert!(counts.len() >= 199, "{type_name}: {} of 200 were seen", counts.len());
    }
}

#[test]
fn the_order_is_random_and_a_matter_of_the_seed() {
    let (_publisher, view) = peers(5);
    for type_name in ["A", "SRV"] {
        let order = |seed| ask_udp(&view, NAME, type_name, 1232, seed).answers();
        assert_eq!(order(1), order(1));
        let orders: BTreeSet<Vec<String>> = (0..2000).map(|seed| order(seed * 77_777)).collect();
        assert_eq!(orders.len(), 120, "each order of five {type_name} records occurs");
    }
}

// An answer is made once, so what is drawn by must be right before the first record is written.
#[test]
fn what_stays_of_an_answer_is_drawn_by_the_choice_and_the_order_of_one_that_fits_is_not() {
    let mut lines = "namespace default\n".to_owned();
    let sizes = [2, 5, 7, 8, 9, 10, 13, 14, 15, 16, 20, 27, 28, 29, 30, 31, 64, 65, 73, 74, 200];
    for size in sizes {
        lines +=
            &format!("headless s{size}.default\nheadless six{size}.default\ncluster-ip c{size}.default 10.96.0.{size}");
        (0..size).for_each(|port| lines += &format!(" p{port}/TCP/{}", 1000 + port));
        lines += "\n";
        for at in 0..size {
            let label = format!("{}-{at}", "peer".repeat(1 + at % 3));
            lines += &format!("endpoint s{size}.default {label} 10.1.{size}.{at} http/TCP/80\n");
            lines += &format!("endpoint six{size}.default {label} fd00::{size}:{at} http/TCP/80 grpc/TCP/81\n");
        }
    }
    let (_publisher, reader) = zone(&lines);
    let view = view(reader);
    let mut buffer = vec![0; 65_535];
    for (service, qtype) in
        [("s", Rtype::A), ("s", Rtype::SRV), ("six", Rtype::AAAA), ("six", Rtype::SRV), ("c", Rtype::SRV)]
    {
        for size in sizes {
            let octets = query(&format!("{service}{size}.default.svc.cluster.local"), qtype, Class::IN);
            let Parsed::Query(question) = parse(&octets) else { panic!("a query of ours is well-formed") };
            for (limit, over_udp) in [(512, true), (1232, true), (1232, false), (16_384, true), (65_535, false)] {
                let mut made = BTreeSet::new();
                let (asked, cut) = (Cell::new(0), Cell::new(0));
                for order in 0..30 {
                    let choice = || {
                        asked.set(asked.get() + 1);
                        7
                    };
                    let seeds = Seeds { order: order * 7777, choice: &choice };
                    let answered = answer(&question, &view, limit, over_udp, seeds, &mut buffer);
                    let Answered::Reply { len, truncated, .. } = answered else { panic!("{answered:?}") };
                    cut.set(cut.get() + usize::from(truncated));
                    made.insert(buffer[..len].to_vec());
                }
                let what = format!("{service}{size} {qtype} in {limit}, UDP {over_udp}: {} answers", made.len());
                assert_eq!(asked.get(), cut.get(), "{what}");
                assert_eq!(made.len() == 1, cut.get() == 30, "{what}");
            }
        }
    }
}

#[test]
fn the_loss_of_glue_alone_truncates_over_udp_only() {
    let (_publisher, view) = peers(16);
    let query = query(NAME, Rtype::SRV, Class::IN);
    for (over_udp, truncated) in [(true, true), (false, false)] {
        let got = ask_octets(&view, &query, 1232, over_udp, 3);
        assert_eq!((got.answers().len(), is_truncated(&got)), (16, truncated));
        assert!((1..16).contains(&got.additionals().len()), "{}", got.additionals().len());
    }
    let got = ask_octets(&view, &query, 4096, true, 3);
    assert_eq!((got.answers().len(), got.additionals().len(), is_truncated(&got)), (16, 16, false));
}

// The owner of each address is the target byte for byte, in the spelling of the query.
#[test]
fn addresses_beside_srv_records_belong_to_their_targets() {
    let (_publisher, view) = peers(40);
    let got = ask_udp(&view, "Kubia.DEFAULT.svc.Cluster.LOCAL", "SRV", 4096, 9);
    let targets: Vec<String> = got.answers().iter().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
    assert_eq!(targets.len(), 40);
    assert!(targets.iter().all(|target| target.ends_with(".kubia.default.svc.Cluster.LOCAL.")), "{targets:?}");
    let owners: Vec<String> = got.additionals().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(owners, targets);
    for (answer, address) in got.answers().iter().zip(got.additionals()) {
        let number: usize = answer.split("kubia-").nth(1).unwrap().split('.').next().unwrap().parse().unwrap();
        assert!(address.ends_with(&format!(" A 10.1.{}.{}", number / 250, number % 250)), "{answer} {address}");
    }
}

#[test]
fn addresses_beside_srv_records_over_tcp_end_at_60_000_octets_without_tc() {
    let (_publisher, view) = peers(800);
    let got = ask(&view, NAME, "SRV");
    assert_eq!((got.answers().len(), is_truncated(&got)), (800, false));
    // Owners within the reach of compression pointers come first, at 16 octets each.
    assert!((200..800).contains(&got.additionals().len()), "{} addresses", got.additionals().len());
}

#[test]
fn a_thousand_srv_records_go_over_tcp_whole_and_without_tc() {
    let (_publisher, view) = peers(1000);
    let got = ask(&view, NAME, "SRV");
    assert_eq!((got.answers().len(), is_truncated(&got)), (1000, false));
    assert!(got.answers().iter().all(|line| line.contains(" SRV 0 1 80 ")));
    assert_eq!(got.additionals().len(), 0, "nothing additional past 60,000 octets");
    let got = ask(&view, NAME, "A");
    assert_eq!((got.answers().len(), is_truncated(&got)), (1000, false));
}

#[test]
fn what_no_message_can_hold_is_cut_at_random_and_reported() {
    let (_publisher, view) = peers(5000);
    for type_name in ["SRV", "A"] {
        let got = ask(&view, NAME, type_name);
        assert!(matches!(got.answered, Answered::Reply { truncated: true, oversized: true, .. }), "{type_name}");
        assert!(got.answers().len() > 900 && got.octets.len() > 65_400, "{}", got.octets.len());
        let udp = ask_udp(&view, NAME, type_name, 1232, 1);
        assert!(matches!(udp.answered, Answered::Reply { truncated: true, oversized: false, .. }));
    }
}

#[test]
fn an_endpoint_of_both_families_has_both_addresses_beside_its_srv_record() {
    let lines = "namespace n\nheadless both.n\nendpoint both.n a 10.0.0.1 http/TCP/80\n\
        endpoint both.n a fd00::1 http/TCP/80\nendpoint both.n b fd00::2 http/TCP/80\n";
    let (_publisher, reader) = zone(lines);
    let view = view(reader);
    let got = ask_udp(&view, "both.n.svc.cluster.local", "SRV", 1232, 1);
    // Three pairs of endpoint and address: a third of the weight for each record.
    assert!(got.answers().len() == 2 && got.answers().iter().all(|line| line.contains(" SRV 0 33 80 ")));
    assert_eq!(got.additionals().len(), 3);
    assert_eq!(ask(&view, "both.n.svc.cluster.local", "A").short(), "NOERROR; A 10.0.0.1");
    assert_eq!(ask(&view, "b.both.n.svc.cluster.local", "A").short(), "NOERROR");
}

#[test]
fn names_too_long_for_a_target_are_left_out() {
    let long = "x".repeat(63);
    let lines = format!(
        "namespace {long}\nheadless {long}.{long}\nendpoint {long}.{long} {long} 10.0.0.1 http/TCP/80\n\
        endpoint {long}.{long} y 10.0.0.2 http/TCP/80\n"
    );
    let (_publisher, reader) = zone(&lines);
    let mut view = view(reader);
    view.zones = vec!["a-cluster-domain-that-is-so-long-that-some-of-its-names-are.too-long".parse().unwrap()];
    let name = format!("{long}.{long}.svc.a-cluster-domain-that-is-so-long-that-some-of-its-names-are.too-long");
    let got = ask(&view, &name, "SRV");
    assert_eq!((got.answers().len(), got.additionals().len()), (1, 1));
    assert!(got.additionals()[0].starts_with("y.") && got.additionals()[0].ends_with(" A 10.0.0.2"));
}

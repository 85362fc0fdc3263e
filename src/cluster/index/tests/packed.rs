//! Services whose slices are packed anew.

use super::*;

/// A slice whose port is another one.
fn with_port(mut slice: SliceFact, number: u16) -> SliceFact {
    slice.ports = vec![port(number)];
    slice
}

/// Slices of a Service with endpoints `k-FROM` and following in each.
fn rows(from: &[u8], number: u16) -> Vec<SliceFact> {
    let row = |at: usize, first: u8| {
        let own: Vec<String> = (first..first + 4).map(|i| format!("k-{i}=10.0.0.{i}")).collect();
        with_port(slice(&format!("s{at}"), "k", &own.iter().map(String::as_str).collect::<Vec<_>>()), number)
    };
    from.iter().enumerate().map(|(at, &first)| row(at, first)).collect()
}

/// Three slices of four endpoints.
fn packed() -> Bench {
    let mut bench = Bench::new();
    bench.apply(headless("k"));
    bench.page(rows(&[0, 4, 8], 80).into_iter().map(Fact::Slice).collect());
    assert_eq!(bench.endpoints("k").len(), 12);
    bench
}

#[test]
fn slices_that_get_another_port_lose_nobody_however_slow_they_come() {
    let mut bench = packed();
    for slice in rows(&[4, 8, 0], 81) {
        bench.apply(slice);
        assert_eq!(bench.endpoints("k").len(), 12);
        bench.pass(1900);
        assert_eq!(bench.endpoints("k").len(), 12);
    }
    assert_eq!((bench.pass(2000), bench.endpoints("k").len()), (None, 12));
    assert!(bench.service("k").unwrap().endpoints.iter().all(|(_, state)| *state.ports == [port(81)]));
}

#[test]
fn slices_may_be_replaced_by_others_in_any_order() {
    // The new ones come first, or the old ones go first.
    for turns in [[3, 4, 5, 0, 1, 2], [0, 1, 2, 3, 4, 5], [3, 0, 4, 1, 5, 2], [0, 3, 1, 4, 2, 5]] {
        let mut bench = packed();
        for turn in turns {
            let mut new = rows(&[4, 8, 0], 81).remove(turn % 3);
            new.key = ObjectKey::new("default", &format!("new-{turn}"));
            match turn {
                0..3 => bench.delete(Kind::EndpointSlice, &format!("default/s{turn}")),
                _ => bench.apply(new),
            };
            assert_eq!(bench.endpoints("k").len(), 12, "{turns:?}: {turn}");
            bench.pass(700);
            assert_eq!(bench.endpoints("k").len(), 12, "{turns:?}: {turn}");
        }
        assert_eq!((bench.pass(2000), bench.endpoints("k").len()), (None, 12), "{turns:?}");
    }
}

#[test]
fn each_family_is_packed_by_itself() {
    let mut bench = packed();
    let six = |name: &str, from: u8, number: u16| {
        let own: Vec<String> = (from..from + 6).map(|i| format!("k-{i}=fd00::{i}")).collect();
        with_port(slice(name, "k", &own.iter().map(String::as_str).collect::<Vec<_>>()), number)
    };
    bench.apply(six("six0", 0, 80));
    bench.apply(six("six1", 6, 80));
    let all = |bench: &Bench| {
        let endpoints = bench.service("k").unwrap().endpoints.clone();
        endpoints.iter().map(|(_, state)| state.addresses.len()).sum::<usize>()
    };
    let mut turns: Vec<SliceFact> = rows(&[4, 8, 0], 81);
    turns.insert(1, six("six0", 6, 81));
    turns.push(six("six1", 0, 81));
    for turn in turns {
        bench.apply(turn);
        assert_eq!(all(&bench), 24, "the one address of a label does not stand for the other");
        bench.pass(1000);
        assert_eq!(all(&bench), 24);
    }
    assert_eq!((bench.pass(2000), all(&bench)), (None, 24));
}

#[test]
fn services_that_are_packed_in_turns_lose_nobody() {
    let mut bench = packed();
    bench.apply(headless("other"));
    let of_other = |mut slice: SliceFact| {
        slice.key = ObjectKey::new("default", &format!("other-{}", slice.key.name));
        slice.service = "other".into();
        slice
    };
    bench.page(rows(&[0, 4, 8], 80).into_iter().map(of_other).map(Fact::Slice).collect());
    for (slice, other) in rows(&[4, 8, 0], 81).into_iter().zip(rows(&[8, 0, 4], 82)) {
        bench.apply(slice);
        bench.pass(800);
        bench.apply(of_other(other));
        bench.pass(800);
        assert_eq!((bench.endpoints("k").len(), bench.endpoints("other").len()), (12, 12));
    }
}

#[test]
fn an_endpoint_may_change_its_address_and_its_readiness_on_the_way() {
    let mut bench = packed();
    let mut turns = rows(&[4, 8, 0], 81).into_iter();
    bench.apply(turns.next().unwrap());
    assert_eq!(bench.endpoints("k").len(), 12);
    // `k-8` is gone from `s1`, and comes back otherwise in what was `s2`.
    bench.apply(turns.next().unwrap());
    let mut last = turns.next().unwrap();
    last.endpoints = ["k-0=10.9.9.9", "!k-1=10.0.0.1", "k-2=10.0.0.2", "k-3=10.0.0.3"].map(endpoint).into();
    bench.apply(last);
    let endpoints = bench.endpoints("k");
    assert_eq!(endpoints.len(), 11);
    assert!(endpoints.contains(&"k-0=10.9.9.9".to_owned()) && !endpoints.iter().any(|own| own.starts_with("k-1=")));
    assert_eq!(bench.pointer("10.0.0.0"), [""; 0]);
}

#[test]
fn an_endpoint_that_goes_while_slices_are_packed_is_gone_soon_after() {
    let mut bench = packed();
    let mut turns = rows(&[4, 8, 0], 81);
    turns[2].endpoints.remove(0);
    for turn in turns {
        bench.apply(turn);
    }
    assert_eq!((bench.endpoints("k").len(), bench.pass(1999), bench.endpoints("k").len()), (12, Some(1), 12));
    assert_eq!((bench.pass(1), bench.endpoints("k").len()), (None, 11));
    assert_eq!(bench.pointer("10.0.0.0"), [""; 0]);
}

#[test]
fn under_steady_change_what_is_gone_is_so_within_five_seconds() {
    let mut bench = packed();
    let mut gone = rows(&[0], 80).remove(0);
    gone.endpoints.remove(0);
    bench.apply(gone);
    let mut passed = 0;
    while bench.endpoints("k").iter().any(|own| own.starts_with("k-0=")) {
        // Another slice is packed to and fro.
        let other = rows(&[0, 4, 8], if passed % 600 == 0 { 80 } else { 81 }).remove(1);
        bench.apply(other);
        bench.pass(300);
        passed += 300;
        assert!(passed < 5000);
    }
    assert!(passed > 4000, "as long as slices change it may be on its way");
}

#[test]
fn in_a_service_that_is_quiet_one_endpoint_goes_soon() {
    let mut bench = packed();
    let mut gone = rows(&[0], 80).remove(0);
    gone.endpoints.remove(0);
    bench.apply(gone);
    assert_eq!((bench.pass(499), bench.pass(1), bench.endpoints("k").len()), (Some(1), None, 11));
}

#[test]
fn a_watch_that_goes_on_begins_the_grace_anew() {
    let mut bench = packed();
    bench.apply(rows(&[4], 81).remove(0));
    // It is away for long, and no period ends meanwhile: nobody says that the time has come.
    bench.now += Duration::from_secs(60);
    let now = bench.now;
    bench.index.resume(Kind::Service, now);
    bench.index.resume(Kind::EndpointSlice, now);
    assert_eq!((bench.pass(400), bench.endpoints("k").len()), (Some(100), 12));
    assert_eq!((bench.pass(100), bench.endpoints("k").len()), (Some(1500), 8));
}

#[test]
fn endpoints_are_answered_from_the_first_complete_list_of_slices_on() {
    let mut bench = Bench::new();
    bench.list(Kind::Service, [headless("k").into()]);
    bench.index.begin_list(Kind::EndpointSlice);
    bench.apply(slice("s", "k", &["k-0=10.0.0.1"]));
    assert!(!bench.reader.has_endpoints());
    bench.end_list(Kind::EndpointSlice);
    assert!(bench.reader.has_endpoints() && !bench.reader.is_synced());
}

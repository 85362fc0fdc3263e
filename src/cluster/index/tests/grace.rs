//! Endpoints between two slices, and the grace that they have.

use super::*;

/// A Service with the slices `s` and `t`.
pub(super) fn two_slices() -> Bench {
    let mut bench = Bench::new();
    bench.apply(headless("k"));
    bench.apply(slice("s", "k", &["k-0=10.0.0.1", "k-1=10.0.0.2"]));
    bench.apply(slice("t", "k", &["k-2=10.0.0.3"]));
    bench
}

#[test]
fn an_endpoint_between_two_slices_stays() {
    let mut bench = two_slices();
    assert!(!bench.apply(slice("s", "k", &["k-0=10.0.0.1"])));
    assert_eq!(bench.endpoints("k"), ["k-0=10.0.0.1", "k-1=10.0.0.2", "k-2=10.0.0.3"]);
    assert_eq!((bench.pointer("10.0.0.2"), bench.pass(100)), (vec!["k-1.k".into()], Some(400)));
    assert!(!bench.apply(slice("t", "k", &["k-1=10.0.0.2", "k-2=10.0.0.3"])));
    assert_eq!((bench.endpoints("k").len(), bench.pass(2000), bench.endpoints("k").len()), (3, None, 3));
}

#[test]
fn an_endpoint_that_does_not_come_back_goes_when_its_grace_is_over() {
    let mut bench = two_slices();
    bench.apply(slice("s", "k", &["k-0=10.0.0.1"]));
    assert_eq!((bench.pass(499), bench.endpoints("k").len()), (Some(1), 3));
    assert_eq!((bench.pass(1), bench.endpoints("k").len()), (None, 2));
    assert_eq!(bench.pointer("10.0.0.2"), [""; 0]);
}

#[test]
fn grace_ends_when_the_label_or_the_address_is_listed_again() {
    for (listed, expected) in [
        ("k-1=10.0.0.7", vec!["k-0=10.0.0.1", "k-1=10.0.0.7"]),
        ("new=10.0.0.2", vec!["k-0=10.0.0.1", "new=10.0.0.2"]),
        ("!k-1=10.0.0.2", vec!["k-0=10.0.0.1"]),
        ("!10.0.0.2", vec!["k-0=10.0.0.1"]),
    ] {
        let mut bench = two_slices();
        bench.apply(slice("t", "k", &[]));
        bench.pass(1000);
        bench.apply(slice("s", "k", &["k-0=10.0.0.1"]));
        assert!(bench.apply(slice("t", "k", &[listed])), "{listed}");
        assert_eq!(bench.endpoints("k"), expected);
        assert_eq!((bench.pass(2000), bench.endpoints("k").len()), (None, expected.len()));
    }
}

#[test]
fn an_endpoint_that_is_listed_otherwise_has_no_grace() {
    let mut bench = two_slices();
    assert!(bench.apply(slice("s", "k", &["!k-0=10.0.0.1", "k-1=10.0.0.9"])));
    assert_eq!((bench.endpoints("k"), bench.pass(0)), (vec!["k-1=10.0.0.9".into(), "k-2=10.0.0.3".into()], None));
}

#[test]
fn an_endpoint_of_the_only_slice_goes_at_once() {
    let mut bench = Bench::new();
    bench.apply(headless("k"));
    bench.apply(slice("s", "k", &["k-0=10.0.0.1", "k-1=10.0.0.2"]));
    bench.apply(slice("six", "k", &["k-0=fd00::1"]));
    assert!(bench.apply(slice("s", "k", &["k-0=10.0.0.1"])));
    assert_eq!((bench.endpoints("k"), bench.pass(0)), (vec!["k-0=10.0.0.1,fd00::1".into()], None));
}

#[test]
fn a_slice_that_is_deleted_and_made_anew_takes_nothing_away() {
    let mut bench = Bench::new();
    bench.apply(headless("k"));
    bench.apply(slice("s", "k", &["k-0=10.0.0.1", "!k-1=10.0.0.2"]));
    assert!(!bench.delete(Kind::EndpointSlice, "default/s"));
    assert_eq!(bench.endpoints("k"), ["k-0=10.0.0.1"]);
    assert_eq!((bench.pass(499), bench.endpoints("k")), (Some(1), vec!["k-0=10.0.0.1".to_owned()]));
    assert!(!bench.apply(slice("s2", "k", &["k-0=10.0.0.1"])));
    assert_eq!(bench.pass(2000), None);
    assert_eq!(bench.endpoints("k"), ["k-0=10.0.0.1"]);
}

#[test]
fn grace_ends_with_the_service() {
    let mut bench = two_slices();
    bench.apply(slice("s", "k", &["k-0=10.0.0.1"]));
    assert!(bench.delete(Kind::Service, "default/k"));
    assert_eq!((bench.pointer("10.0.0.2"), bench.pass(0)), (vec![], None));
    bench.apply(headless("k"));
    assert_eq!(bench.endpoints("k"), ["k-0=10.0.0.1", "k-2=10.0.0.3"]);
    bench.delete(Kind::Service, "default/k");
    assert!(bench.delete(Kind::EndpointSlice, "default/s"));
    assert_eq!((bench.pointer("10.0.0.1"), bench.pass(0)), (vec![], None));
}

#[test]
fn an_endpoint_that_moves_to_a_later_page_of_a_list_stays() {
    let mut bench = Bench::new();
    bench.apply(headless("k"));
    bench.apply(slice("s", "k", &["k-0=10.0.0.1", "k-1=10.0.0.2", "k-2=10.0.0.3"]));
    bench.index.begin_list(Kind::EndpointSlice);
    assert!(!bench.apply(slice("s", "k", &["k-0=10.0.0.1"])));
    bench.pass(5000);
    assert_eq!(bench.endpoints("k").len(), 3);
    assert!(!bench.apply(slice("t", "k", &["k-1=10.0.0.2"])));
    let (now, unix) = (bench.now, bench.unix);
    assert!(!bench.index.end_list(Kind::EndpointSlice, now, unix));
    assert_eq!((bench.endpoints("k").len(), bench.pass(499), bench.pass(1)), (3, Some(1), None));
    assert_eq!(bench.endpoints("k"), ["k-0=10.0.0.1", "k-1=10.0.0.2"]);
}

#[test]
fn an_endpoint_of_the_only_slice_goes_with_the_end_of_a_list() {
    let mut bench = Bench::new();
    bench.apply(headless("k"));
    bench.apply(slice("s", "k", &["k-0=10.0.0.1", "k-1=10.0.0.2"]));
    assert!(bench.list(Kind::EndpointSlice, [slice("s", "k", &["k-0=10.0.0.1"]).into()]));
    assert_eq!((bench.endpoints("k"), bench.pass(0)), (vec!["k-0=10.0.0.1".into()], None));
}

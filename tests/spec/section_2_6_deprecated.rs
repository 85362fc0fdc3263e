//! Kubernetes DNS 2.6: names of pods made of their address.

use super::{answers, assert_absent, assert_empty};

// Kubernetes DNS 2.6: a-b-c-d.<ns>.pod.<zone> has the A record a.b.c.d.
#[test]
fn a_dashed_address_is_the_name_of_a_pod() {
    let name = "10-3-0-77.default.pod.cluster.local.";
    assert_eq!(answers(name, "A"), [format!("{name} A 10.3.0.77")]);
    assert_empty(name, "AAAA");
    assert_absent("10-3-0-256.default.pod.cluster.local.", "A");
    assert_absent("10-3-0-77.nosuch.pod.cluster.local.", "A");
}

//! Kubernetes DNS 2.5: records for External Name Services.

use rollcall::zone::Answered;
use rollcall_testing::world::ask;

use super::{answers, world};

// Kubernetes DNS 2.5: a CNAME record from the Service to the external name.
#[test]
fn the_service_is_an_alias_of_the_external_name() {
    let name = "foo.default.svc.cluster.local.";
    assert_eq!(answers(name, "CNAME"), [format!("{name} CNAME www.example.com.")]);
}

// Kubernetes DNS 2.5: a query for addresses is answered with the alias and the addresses of its target.
#[test]
fn an_external_target_is_looked_up() {
    let answered = ask(&world().view(), "foo.default.svc.cluster.local.", "A");
    assert_eq!(answered, Err(Answered::Chase { targets: rollcall_testing::world::names(&["www.example.com."]) }));
}

// Kubernetes DNS 2.5: the same for a target in the cluster, which needs no other server.
#[test]
fn a_target_in_the_cluster_is_answered_at_once() {
    assert_eq!(
        answers("inside.default.svc.cluster.local.", "A"),
        [
            "inside.default.svc.cluster.local. CNAME kubernetes.default.svc.cluster.local.",
            "kubernetes.default.svc.cluster.local. A 10.3.0.1"
        ]
    );
}

//! Kubernetes DNS 2.1: hostname, ready, comparison without case.

use rollcall_testing::world::World;

use super::{answers, assert_absent};

// Kubernetes DNS 2.1: the hostname of an endpoint is its `hostname` field, if there is one.
#[test]
fn the_hostname_field_names_an_endpoint() {
    assert_eq!(
        answers("my-pet-2.headless.default.svc.cluster.local.", "A"),
        ["my-pet-2.headless.default.svc.cluster.local. A 10.3.0.101"]
    );
}

// Kubernetes DNS 2.1: otherwise it is an identifier that the system gives, which finds the endpoint below its Service.
#[test]
fn an_endpoint_without_hostname_has_a_name_of_its_own() {
    let reply = super::world().ask("_http._tcp.headless.default.svc.cluster.local.", "SRV");
    let targets: Vec<&str> = reply.data().iter().map(|data| data.rsplit(' ').next().unwrap()).collect();
    let given = targets.iter().find(|target| !target.starts_with("my-pet")).unwrap();
    assert_eq!(answers(given, "A"), [format!("{given} A 10.3.0.102")]);
}

// Kubernetes DNS 2.1: an endpoint is ready by its condition; where that is not said, it is.
#[test]
fn endpoints_that_are_not_ready_have_no_records() {
    assert_absent("tired.headless.default.svc.cluster.local.", "A");
    assert_absent("103.0.3.10.in-addr.arpa.", "PTR");
}

// Kubernetes DNS 2.1: with publishNotReadyAddresses every endpoint of a Service counts as ready.
#[test]
fn publish_not_ready_addresses_makes_endpoints_ready() {
    let text = |publish: bool| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\n\
             spec: {{clusterIP: None, publishNotReadyAddresses: {publish}, selector: {{app: s}}}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{app: s}}, annotations: {{rollcall.dev/ready: 'false'}}}}\n\
             status: {{podIP: 10.0.0.9}}\n"
        )
    };
    assert_eq!(World::of(&text(true)).ask("s.default.svc.cluster.local.", "A").data(), ["10.0.0.9"]);
    assert_eq!(World::of(&text(false)).ask("s.default.svc.cluster.local.", "A").rcode, "NXDOMAIN");
}

// Kubernetes DNS 2.1: comparisons between query data and data in Kubernetes do not look at case.
#[test]
fn names_compare_without_case() {
    assert_eq!(
        answers("Kubernetes.DEFAULT.svc.Cluster.Local.", "A"),
        ["Kubernetes.DEFAULT.svc.Cluster.Local. A 10.3.0.1"]
    );
    assert_eq!(answers("_HTTPS._TCP.headless.default.SVC.cluster.local.", "SRV").len(), 3);
    assert_eq!(answers("MY-PET-2.headless.default.svc.cluster.local.", "A").len(), 1);
}

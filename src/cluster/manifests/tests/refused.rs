//! Manifests that are refused, each with its place and what was expected there.

use super::*;

#[test]
fn broken_manifests_are_refused_with_line_column_and_what_was_expected() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: ";
    let set = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}\nspec:\n  ";
    let slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nmetadata: {name: a, labels: ";
    for (text, expected) in [
        (
            format!("{service}{{clusterIP: 10.0.0.256, ports: [{{port: 80}}]}}"),
            "m.yaml:4:19: spec.clusterIP: expected an IP address, found \"10.0.0.256\"",
        ),
        (
            format!("{service}{{ports: [{{port: 80000}}]}}"),
            "m.yaml:4:23: spec.ports[0].port: expected a whole number from 1 to 65535, found 80000 (a number)",
        ),
        (
            format!("{service}{{ports: []}}"),
            "m.yaml:4:15: spec.ports: missing; a Service with a ClusterIP needs at least one port",
        ),
        (format!("{service}{{clusterIp: None}}"), "m.yaml:4:19: unknown field clusterIp: it is spelled clusterIP"),
        (
            format!("{service}{{ports: [{{port: 1}}, {{port: 2}}]}}"),
            "m.yaml:4:16: spec.ports[0].name: missing; each of several ports needs a name",
        ),
        (
            format!("{service}{{type: Cluster}}"),
            "m.yaml:4:14: spec.type: expected ClusterIP, NodePort, LoadBalancer or ExternalName, found \"Cluster\"",
        ),
        (format!("{service}{{type: ExternalName}}"), "m.yaml:4:7: spec.externalName: missing; expected text"),
        (format!("{service}none"), "m.yaml:4:7: spec: expected a mapping, found \"none\""),
        (
            format!("{set}replicas: -1"),
            "m.yaml:5:13: spec.replicas: expected a whole number from 0 to 2147483647, found -1 (a number)",
        ),
        (
            format!("{set}replicas: two"),
            "m.yaml:5:13: spec.replicas: expected a whole number from 0 to 2147483647, found \"two\"",
        ),
        (
            format!("{set}selector: {{matchLabels: {{a: b}}}}"),
            "m.yaml:5:13: spec.selector: does not match the labels of the template",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: 7}".into(),
            "m.yaml:3:18: metadata.name: expected text in quotes, found 7 (a number)",
        ),
        (
            format!("{slice}{{kubernetes.io/service-name: a}}}}\nendpoints: [{{hostname: a-0}}]"),
            "m.yaml:5:13: endpoints[0].addresses: missing; an endpoint has one address at least",
        ),
        (
            format!("{slice}{{kubernetes.io/service-name: A}}}}"),
            "m.yaml:4:58: metadata.labels.kubernetes.io/service-name: expected a DNS label: lower-case letters, digits and - \
             inside, found \"A\"",
        ),
        ("apiVersion: v1\nkind: Pod\nmetadata: {}".into(), "m.yaml:3:11: metadata.name: missing; expected text"),
    ] {
        assert_eq!(error(&text), expected);
    }
}

#[test]
fn text_that_is_no_yaml_is_refused_with_its_place() {
    let broken = error("apiVersion: v1\nkind: Service\nmetadata: {name: a\nspec: {}\n");
    assert!(broken.starts_with("m.yaml:4:"), "{broken}");
    let twice = error("apiVersion: v1\napiVersion: v1\nkind: Pod\n");
    assert!(twice.starts_with("m.yaml:2:1: ") && twice.contains("apiVersion"), "{twice}");
    let second = error("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\nkind: [\n");
    assert!(second.starts_with("m.yaml:"), "{second}");
}

#[test]
fn objects_and_addresses_that_are_there_twice_are_refused() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";
    assert_eq!(error(&format!("{pod}---\n{pod}")), "m.yaml:5:1: Pod a is there twice; the first is at m.yaml:1:1");
    let service = |name| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: 10.0.0.1, ports: [{{port: 1}}]}}\n"
        )
    };
    let text = format!("{}---\n{}", service("a"), service("b"));
    assert_eq!(error(&text), "m.yaml:6:1: the Service at m.yaml:1:1 has ClusterIP 10.0.0.1 already");
}

#[test]
fn more_replicas_than_addresses_are_refused() {
    let text = KUBIA.replace("replicas: 2", "replicas: 70000");
    assert_eq!(error(&text), "m.yaml:12:13: spec.replicas: 70000 are more than 127.1.0.0/16 has addresses");
}

//! Manifests to facts: what is read, what is refused and where, what the stand-ins make of it.

mod folders;
mod refused;
mod summary;

use std::fs;
use std::path::{Path, PathBuf};

use super::content::Content;
use super::*;
use crate::cluster::facts::{EndpointFact, Fact, ServiceSpec, SliceFact};
use crate::zone::Protocol;

fn load_text(text: &str) -> Result<Loaded, Error> {
    load_again(text, &mut Addresses::default())
}

fn load_again(text: &str, addresses: &mut Addresses) -> Result<Loaded, Error> {
    let content = content(text, true);
    match content.refusal() {
        Some(error) => Err(error.clone()),
        None => {
            let mut loaded = load::compose(content.objects, addresses, 1);
            loaded.remarks.extend(content.remarks);
            match loaded.conflicts.first() {
                Some(error) => Err(error.clone()),
                None => Ok(loaded),
            }
        }
    }
}

fn content(text: &str, named: bool) -> Content {
    Content::read(&Path::new("m.yaml").into(), text, "default", named)
}

/// The lines that are told of a text in a file of a folder: remarks, and the one line for all that is left out.
fn told(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("m.yaml"), text).unwrap();
    let loaded = load(&[folder.path().into()], &mut Addresses::default()).unwrap();
    let path = format!("{}/", folder.path().display());
    loaded.remarks.iter().map(|remark| remark.to_string().replace(&path, "")).collect()
}

fn error(text: &str) -> String {
    load_text(text).expect_err(text).to_string()
}

fn slices(loaded: &Loaded, service: &str) -> Vec<SliceFact> {
    let slices = loaded.facts.iter().filter_map(|fact| match fact {
        Fact::Slice(slice) if *slice.service == *service => Some(slice.clone()),
        _ => None,
    });
    slices.collect()
}

/// `hostname address ready`, as listed.
fn endpoints(slices: &[SliceFact]) -> Vec<String> {
    let show = |endpoint: &EndpointFact| {
        let hostname = endpoint.hostname.as_ref().map_or_else(|| "-".into(), ToString::to_string);
        let ready = if endpoint.ready { "ready" } else { "not-ready" };
        format!("{hostname} {} {ready}", endpoint.addresses[0])
    };
    slices.iter().flat_map(|slice| &slice.endpoints).map(show).collect()
}

fn pods(loaded: &Loaded) -> Vec<String> {
    let pods = loaded.facts.iter().filter_map(|fact| match fact {
        Fact::Pod(pod) => Some(format!("{} {}", pod.key.name, pod.addresses[0])),
        _ => None,
    });
    pods.collect()
}

const KUBIA: &str = "
apiVersion: v1
kind: Service
metadata: {name: kubia}
spec: {clusterIP: None, selector: {app: kubia}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: kubia}
spec:
  serviceName: kubia
  replicas: 2
  selector: {matchLabels: {app: kubia}}
  template:
    metadata: {labels: {app: kubia}}
    spec: {containers: [{name: kubia, image: luksa/kubia-pet, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: kubia-public}
spec: {selector: {app: kubia}, ports: [{port: 80, targetPort: 8080}]}
";

//----------- StatefulSets and Services --------------------------------------

#[test]
fn stateful_set_pods_have_names_in_order_and_loopback_addresses() {
    let loaded = load_text(KUBIA).unwrap();
    assert_eq!(pods(&loaded), ["kubia-0 127.1.0.1", "kubia-1 127.1.0.2"]);
    assert_eq!(endpoints(&slices(&loaded, "kubia")), ["kubia-0 127.1.0.1 ready", "kubia-1 127.1.0.2 ready"]);
    assert_eq!(loaded.remarks, []);
}

#[test]
fn the_port_of_a_slice_is_the_target_port_of_its_service() {
    let loaded = load_text(KUBIA).unwrap();
    let port = |service: &str| slices(&loaded, service)[0].ports[0].clone();
    assert_eq!(port("kubia").number, 80);
    assert_eq!(port("kubia").name.unwrap().as_bytes(), b"http");
    assert_eq!((port("kubia-public").number, port("kubia-public").name), (8080, None));
}

#[test]
fn a_pod_has_its_hostname_only_below_the_service_of_its_set() {
    let loaded = load_text(KUBIA).unwrap();
    assert_eq!(endpoints(&slices(&loaded, "kubia-public")), ["- 127.1.0.1 ready", "- 127.1.0.2 ready"]);
}

#[test]
fn named_target_ports_are_those_of_the_containers() {
    let named = KUBIA.replace("{name: http, port: 80}", "{name: http, port: 80, targetPort: http}");
    assert_eq!(slices(&load_text(&named).unwrap(), "kubia")[0].ports[0].number, 8080);
    let other = KUBIA.replace("{name: http, port: 80}", "{name: http, port: 80, targetPort: admin}");
    assert_eq!(slices(&load_text(&other).unwrap(), "kubia")[0].ports, []);
}

#[test]
fn a_pod_keeps_its_address_while_it_exists() {
    let mut addresses = Addresses::default();
    let before = "apiVersion: v1\nkind: Pod\nmetadata: {name: early}\n---\n".to_owned() + KUBIA;
    assert_eq!(pods(&load_again(&before, &mut addresses).unwrap())[1], "kubia-0 127.1.0.2");
    let three = KUBIA.replace("replicas: 2", "replicas: 3");
    let after = pods(&load_again(&three, &mut addresses).unwrap());
    assert_eq!(after, ["kubia-0 127.1.0.2", "kubia-1 127.1.0.3", "kubia-2 127.1.0.1"]);
}

#[test]
fn a_broken_edit_gives_no_address_away() {
    let mut addresses = Addresses::default();
    load_again(KUBIA, &mut addresses).unwrap();
    load_again(&KUBIA.replace("replicas: 2", "replicas: -1"), &mut addresses).unwrap_err();
    let loaded = load_again(KUBIA, &mut addresses).unwrap();
    assert_eq!(pods(&loaded), ["kubia-0 127.1.0.1", "kubia-1 127.1.0.2"]);
}

#[test]
fn replicas_default_to_one_and_ordinals_start_where_told() {
    let text = KUBIA.replace("  replicas: 2", "  ordinals: {start: 5}");
    assert_eq!(pods(&load_text(&text).unwrap()), ["kubia-5 127.1.0.1"]);
    let none = KUBIA.replace("replicas: 2", "replicas: 0");
    assert_eq!(endpoints(&slices(&load_text(&none).unwrap(), "kubia")), [""; 0]);
}

#[test]
fn annotations_make_pods_not_ready() {
    let text = KUBIA.replace(
        "kind: StatefulSet\nmetadata: {name: kubia}",
        "kind: StatefulSet\nmetadata: {name: kubia, annotations: {rollcall.dev/not-ready: 'kubia-1, kubia-7'}}",
    );
    let loaded = load_text(&text).unwrap();
    assert_eq!(endpoints(&slices(&loaded, "kubia")), ["kubia-0 127.1.0.1 ready", "kubia-1 127.1.0.2 not-ready"]);
    assert_eq!(loaded.remarks.len(), 1);
    assert!(loaded.remarks[0].to_string().contains("m.yaml:7:1: no pod of kubia is named kubia-7"));

    let template = KUBIA.replace(
        "metadata: {labels: {app: kubia}}",
        "metadata: {labels: {app: kubia}, annotations: {rollcall.dev/ready: 'false'}}",
    );
    let loaded = load_text(&template).unwrap();
    assert_eq!(endpoints(&slices(&loaded, "kubia")), ["kubia-0 127.1.0.1 not-ready", "kubia-1 127.1.0.2 not-ready"]);

    // On the template or on the set, the one as good as the other.
    let template = template.replace("rollcall.dev/ready: 'false'", "rollcall.dev/not-ready: kubia-1");
    let loaded = load_text(&template).unwrap();
    assert_eq!(endpoints(&slices(&loaded, "kubia")), ["kubia-0 127.1.0.1 ready", "kubia-1 127.1.0.2 not-ready"]);
    let set = text.replace("rollcall.dev/not-ready: 'kubia-1, kubia-7'", "rollcall.dev/ready: 'false'");
    assert!(endpoints(&slices(&load_text(&set).unwrap(), "kubia")).iter().all(|own| own.ends_with("not-ready")));
}

#[test]
fn annotations_that_do_nothing_are_told() {
    let service = KUBIA.replacen("{name: kubia}", "{name: kubia, annotations: {rollcall.dev/not-ready: kubia-1}}", 1);
    let said = load_text(&service).unwrap().remarks[0].to_string();
    assert!(said.starts_with("m.yaml:4:") && said.contains("does nothing on a Service"), "{said}");
    let misspelled =
        KUBIA.replace("{labels: {app: kubia}}", "{labels: {app: kubia}, annotations: {rollcall.dev/reddy: a}}");
    let said = load_text(&misspelled).unwrap().remarks[0].to_string();
    assert!(said.contains("rollcall.dev/reddy is not known"), "{said}");
}

#[test]
fn publish_not_ready_addresses_makes_every_endpoint_ready() {
    let text = KUBIA.replace("clusterIP: None,", "clusterIP: None, publishNotReadyAddresses: true,").replace(
        "metadata: {labels: {app: kubia}}",
        "metadata: {labels: {app: kubia}, annotations: {rollcall.dev/ready: 'false'}}",
    );
    let loaded = load_text(&text).unwrap();
    assert_eq!(endpoints(&slices(&loaded, "kubia")), ["kubia-0 127.1.0.1 ready", "kubia-1 127.1.0.2 ready"]);
    assert_eq!(endpoints(&slices(&loaded, "kubia-public"))[0], "- 127.1.0.1 not-ready");
}

#[test]
fn a_service_of_one_pod_selects_it_by_the_label_that_its_set_gives_it() {
    let text = KUBIA.to_owned()
        + "---\napiVersion: v1\nkind: Service\nmetadata: {name: first}\n\
           spec: {selector: {statefulset.kubernetes.io/pod-name: kubia-0}, ports: [{port: 80}]}\n";
    assert_eq!(endpoints(&slices(&load_text(&text).unwrap(), "first")), ["- 127.1.0.1 ready"]);
}

#[test]
fn a_set_without_its_service_is_served_with_a_warning() {
    let text = KUBIA.replace("serviceName: kubia", "serviceName: kubja");
    let loaded = load_text(&text).unwrap();
    let remark = loaded.remarks[0].to_string();
    assert!(
        remark.starts_with("m.yaml:11:16: StatefulSet kubia has serviceName kubja, but there is no such"),
        "{remark}"
    );
    assert_eq!(loaded.remarks[0].level, Level::Warning);
    assert_eq!(endpoints(&slices(&loaded, "kubia"))[0], "- 127.1.0.1 ready");
}

//----------- Deployments, Pods ----------------------------------------------

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web:1}]}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

#[test]
fn deployment_pods_have_generated_names_that_stay_the_same() {
    let names = pods(&load_text(DEPLOYMENT).unwrap());
    assert_eq!(names, pods(&load_text(DEPLOYMENT).unwrap()));
    assert_eq!(names.len(), 3);
    for name in &names {
        let parts: Vec<_> = name.split([' ', '-']).collect();
        assert_eq!((parts[0], parts[1].len(), parts[2].len()), ("web", 9, 5), "{name}");
    }
    let two = pods(&load_text(&DEPLOYMENT.replace("replicas: 3", "replicas: 2")).unwrap());
    assert_eq!(two, names[..2]);
    let rolled = pods(&load_text(&DEPLOYMENT.replace("web:1", "web:2")).unwrap());
    assert_ne!(rolled[0], names[0]);
}

#[test]
fn pods_that_are_written_down_count_as_those_of_their_workload() {
    let pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop, labels: {app: web}}\n\
               status: {podIP: 10.1.2.3}\n";
    let loaded = load_text(&(DEPLOYMENT.to_owned() + pod)).unwrap();
    assert_eq!(pods(&loaded).len(), 3);
    assert_eq!(endpoints(&slices(&loaded, "web"))[0], "- 10.1.2.3 ready");

    let pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: kubia-0, labels: {app: kubia}}\n\
               spec: {hostname: kubia-0, subdomain: kubia}\nstatus: {podIP: 127.1.0.1}\n";
    let loaded = load_text(&(KUBIA.to_owned() + pod)).unwrap();
    assert_eq!(endpoints(&slices(&loaded, "kubia")), ["kubia-0 127.1.0.1 ready", "kubia-1 127.1.0.2 ready"]);
}

#[test]
fn readiness_of_a_pod_is_its_condition_and_finished_pods_are_gone() {
    let base = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: None, selector: {a: b}}\n---\n\
                apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {a: b}}\nspec: {hostname: h, subdomain: s}\n";
    let with = |status: &str| endpoints(&slices(&load_text(&format!("{base}status: {status}\n")).unwrap(), "s"));
    assert_eq!(with("{podIP: 10.0.0.1}"), ["h 10.0.0.1 ready"]);
    assert_eq!(with("{podIP: 10.0.0.1, phase: Pending}"), ["h 10.0.0.1 not-ready"]);
    let condition =
        |status| format!("{{podIP: 10.0.0.1, phase: Running, conditions: [{{type: Ready, status: '{status}'}}]}}");
    assert_eq!(with(&condition("True")), ["h 10.0.0.1 ready"]);
    assert_eq!(with(&condition("False")), ["h 10.0.0.1 not-ready"]);
    assert_eq!(with("{podIP: 10.0.0.1, phase: Succeeded}"), [""; 0]);
    let annotated = base
        .replace("labels: {a: b}}\nspec: {h", "labels: {a: b}, annotations: {rollcall.dev/ready: 'false'}}\nspec: {h");
    assert_eq!(endpoints(&slices(&load_text(&annotated).unwrap(), "s")), ["h 127.1.0.1 not-ready"]);
}

#[test]
fn a_pod_with_two_families_is_in_the_slices_that_its_service_wants() {
    let text = |families: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{clusterIP: None, selector: {{a: b}}{families}}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{a: b}}}}\n\
             status: {{podIP: 10.0.0.1, podIPs: [{{ip: 10.0.0.1}}, {{ip: 'fd00::1'}}]}}\n"
        )
    };
    let with = |families| endpoints(&slices(&load_text(&text(families)).unwrap(), "s"));
    assert_eq!(with(""), ["- 10.0.0.1 ready"]);
    assert_eq!(with(", ipFamilies: [IPv6]"), ["- fd00::1 ready"]);
    assert_eq!(with(", ipFamilies: [IPv4, IPv6]"), ["- 10.0.0.1 ready", "- fd00::1 ready"]);
}

#[test]
fn other_workloads_have_pods_with_generated_names() {
    let text = |kind: &str, group: &str, spec: &str| {
        format!(
            "apiVersion: {group}\nkind: {kind}\nmetadata: {{name: w}}\nspec: {{{spec}template: {{metadata: {{labels: {{a: b}}}}, \
             spec: {{subdomain: s}}}}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: s}}\n\
             spec: {{clusterIP: None, selector: {{a: b}}}}\n"
        )
    };
    let selector = "selector: {matchLabels: {a: b}}, ";
    for (kind, group, spec, count) in [
        ("ReplicaSet", "apps/v1", format!("replicas: 2, {selector}"), 2),
        ("DaemonSet", "apps/v1", selector.to_owned(), 1),
        ("ReplicationController", "v1", "replicas: 3, ".to_owned(), 3),
        ("Job", "batch/v1", "parallelism: 2, ".to_owned(), 2),
        ("Job", "batch/v1", "parallelism: 3, completions: 2, ".to_owned(), 2),
        ("Job", "batch/v1", "suspend: true, ".to_owned(), 0),
    ] {
        let loaded = load_text(&text(kind, group, &spec)).unwrap();
        let names = pods(&loaded);
        assert_eq!((names.len(), loaded.remarks), (count, Vec::new()), "{kind} {spec}");
        assert!(names.iter().all(|name| name.starts_with("w-") && name.find(' ') == Some(7)), "{names:?}");
    }
    let indexed =
        load_text(&text("Job", "batch/v1", "parallelism: 5, completions: 2, completionMode: Indexed, ")).unwrap();
    assert_eq!(endpoints(&slices(&indexed, "s")), ["w-0 127.1.0.1 ready", "w-1 127.1.0.2 ready"]);
    let by_name = text("Job", "batch/v1", "completions: 1, completionMode: Indexed, ")
        .replace("selector: {a: b}", "selector: {job-name: w}");
    assert_eq!(endpoints(&slices(&load_text(&by_name).unwrap(), "s")), ["w-0 127.1.0.1 ready"]);
}

#[test]
fn ipv6_is_simulated_where_a_service_asks_for_it() {
    let six = KUBIA.replace("clusterIP: None,", "clusterIP: None, ipFamilies: [IPv6],");
    let loaded = load_text(&six).unwrap();
    assert_eq!(endpoints(&slices(&loaded, "kubia")), ["kubia-0 fd7f:1::1 ready", "kubia-1 fd7f:1::2 ready"]);
    assert_eq!(endpoints(&slices(&loaded, "kubia-public"))[0], "- 127.1.0.1 ready");
    assert!(loaded.remarks[0].to_string().contains("ip -6 addr add fd7f:1::1 dev lo"), "{:?}", loaded.remarks);
    let both = KUBIA.replace(
        "selector: {app: kubia}, ports: [{port: 80,",
        "ipFamilyPolicy: RequireDualStack, selector: {app: kubia}, ports: [{port: 80,",
    );
    let loaded = load_text(&both).unwrap();
    assert!(loaded.summary.to_string().contains("kubia-public.default.svc  ClusterIP 127.96.0.1 fd7f:60::1"));
    assert_eq!(endpoints(&slices(&loaded, "kubia-public")).len(), 4);
}

//----------- Warnings -------------------------------------------------------

#[test]
fn names_that_will_be_missed_are_told() {
    for (from, to, expected) in [
        (
            "selector: {app: kubia}, ports: [{port: 80, targetPort: 8080}]",
            "selector: {app: kubja}, ports: [{port: 80}]",
            "the selector of Service kubia-public (app=kubja) selects no pod in namespace default; those of StatefulSet \
             kubia have app=kubia",
        ),
        (
            "{name: kubia-public}",
            "{name: kubia-public, namespace: other}",
            "selects no pod in namespace other; StatefulSet kubia is in namespace default",
        ),
        (
            "{port: 80, targetPort: 8080}",
            "{port: 80, targetPort: web}",
            "targetPort web of Service kubia-public is a port of none of its pods, so there is no SRV record for it: they \
             have http",
        ),
        (
            "  serviceName: kubia\n",
            "",
            "StatefulSet kubia has no serviceName, so its pods have no names of their own: write serviceName: kubia",
        ),
    ] {
        let text = KUBIA.replace(from, to);
        let remarks = load_text(&text).unwrap().remarks;
        let said: Vec<String> = remarks.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].contains(expected), "{expected}: {said:?}");
        assert_eq!(remarks[0].level, Level::Warning);
    }
    let headless = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: None}\n";
    assert!(load_text(headless).unwrap().remarks[0].message.contains("has no selector and no EndpointSlice"));
    // None are wanted for now, and none are missed.
    assert_eq!(load_text(&KUBIA.replace("replicas: 2", "replicas: 0")).unwrap().remarks, []);
}

//----------- Services, slices, Endpoints ------------------------------------

#[test]
fn a_service_without_address_is_given_one_of_loopback() {
    let loaded = load_text(KUBIA).unwrap();
    let spec = loaded.facts.iter().find_map(|fact| match fact {
        Fact::Service(service) if &*service.key.name == "kubia-public" => Some(service.spec.clone()),
        _ => None,
    });
    let Some(ServiceSpec::ClusterIp { addresses, ports }) = spec else { panic!("{spec:?}") };
    assert_eq!(addresses, ["127.96.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!((ports[0].number, ports[0].protocol), (80, Protocol::Tcp));
}

#[test]
fn slices_that_are_written_down_are_taken_as_they_are() {
    let text = KUBIA.to_owned()
        + "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
           metadata: {name: kubia-x, labels: {kubernetes.io/service-name: kubia}}\naddressType: IPv4\n\
           ports: [{name: http, port: 80}]\nendpoints:\n\
           - {addresses: [10.9.0.1], hostname: kubia-0, zone: a, targetRef: {kind: Pod, name: kubia-0}}\n\
           - {addresses: [10.9.0.2], conditions: {ready: false}}\n";
    let loaded = load_text(&text).unwrap();
    assert_eq!(endpoints(&slices(&loaded, "kubia")), ["kubia-0 10.9.0.1 ready", "- 10.9.0.2 not-ready"]);
    let endpoint = &slices(&loaded, "kubia")[0].endpoints[0];
    assert_eq!((endpoint.zone.as_deref(), endpoint.pod.as_ref().unwrap().as_bytes()), (Some("a"), &b"kubia-0"[..]));
}

#[test]
fn endpoints_are_mirrored_by_family_for_services_without_selector() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {clusterIP: None}\n---\n";
    let mirror = "apiVersion: v1\nkind: Endpoints\nmetadata: {name: db}\nsubsets:\n\
                  - addresses: [{ip: 10.0.0.1, hostname: a}, {ip: 'fd00::1'}]\n  notReadyAddresses: [{ip: 10.0.0.2}]\n\
                  \x20 ports: [{name: pg, port: 5432}]\n";
    let loaded = load_text(&format!("{service}{mirror}")).unwrap();
    let mirrored = slices(&loaded, "db");
    assert_eq!(endpoints(&mirrored), ["a 10.0.0.1 ready", "- 10.0.0.2 not-ready", "- fd00::1 ready"]);
    assert_eq!((mirrored.len(), mirrored[0].ports[0].number), (2, 5432));

    let alone = load_text(mirror).unwrap();
    assert_eq!(slices(&alone, "db"), []);
    assert!(alone.remarks[0].message.contains("there is no Service of this name"));
    let skipped = format!(
        "{service}{}",
        mirror.replace("{name: db}", "{name: db, labels: {endpointslice.kubernetes.io/skip-mirror: 'true'}}")
    );
    assert_eq!(slices(&load_text(&skipped).unwrap(), "db"), []);
}

#[test]
fn lists_are_unpacked_and_other_kinds_are_left_out() {
    let text = "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n\t{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"c\"}},\n\t{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"p\\u002d1\", \"namespace\": \"far\"}}\n]}";
    let loaded = load_text(text).unwrap();
    assert_eq!(pods(&loaded), ["p-1 127.1.0.1"]);
    assert!(loaded.summary.namespaces.contains(&"far".into()) && loaded.summary.namespaces.contains(&"default".into()));
}

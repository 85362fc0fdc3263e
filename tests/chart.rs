//! The Helm chart in the place of coredns/helm: names, labels, selectors and ports, values that no template would read.
//!
//! `HELM` names Helm 3. With `KUBEBUILDER_ASSETS` as well, releases are upgraded and rolled back on a real API server.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::path::PathBuf;
use std::process::{Command, Output};

use rollcall_testing::{ControlPlane, named};
use serde_json::{Value, json};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/coredns");
const THEIRS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/coredns-release");

/// Helm with a home of its own.
struct Helm {
    program: PathBuf,
    home: tempfile::TempDir,
    kubeconfig: PathBuf,
}

impl Helm {
    /// The program that `HELM` names, if any.
    fn find() -> Option<Self> {
        let program = named("HELM", "Helm 3, for the chart")?;
        let home = tempfile::tempdir().unwrap();
        let kubeconfig = home.path().join("none");
        Some(Self { program, home, kubeconfig })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--namespace", "kube-system"]);
        command.env("HOME", self.home.path()).env("KUBECONFIG", &self.kubeconfig);
        command.output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "helm {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The objects of a release with these values.
    fn render(&self, release: &str, sets: &[&str]) -> Vec<Value> {
        let mut arguments = vec!["template", release, CHART, "--kube-version", "1.34.0"];
        sets.iter().for_each(|set| arguments.extend(["--set-json", set]));
        let objects: Vec<Value> = serde_saphyr::from_multiple(&self.done(&arguments)).unwrap();
        objects.into_iter().filter(|object| !object.is_null()).collect()
    }

    /// Why a release with these values is refused.
    fn refusal(&self, sets: &[&str]) -> String {
        let mut arguments = vec!["template", "coredns", CHART, "--kube-version", "1.29.0"];
        sets.iter().for_each(|set| arguments.extend(["--set-json", set]));
        let output = self.run(&arguments);
        assert!(!output.status.success(), "{sets:?} is taken");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn one<'o>(objects: &'o [Value], kind: &str, name: &str) -> &'o Value {
    let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    objects.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn port_names(ports: &Value) -> Vec<&str> {
    ports.as_array().unwrap().iter().map(|port| port["name"].as_str().unwrap()).collect()
}

#[test]
fn everything_is_called_as_in_the_other_chart() {
    let Some(helm) = Helm::find() else { return };
    for (release, sets, full, app, name) in [
        ("coredns", &[][..], "coredns", "coredns", "coredns"),
        ("dns", &[], "dns-coredns", "coredns", "coredns"),
        ("my-coredns-2", &[], "my-coredns-2", "coredns", "coredns"),
        ("dns", &["nameOverride=\"core\""], "dns-core", "coredns", "core"),
        ("core-dns", &["nameOverride=\"core\""], "core-dns", "coredns", "core"),
        ("dns", &["fullnameOverride=\"x\"", "k8sAppLabelOverride=\"kube-dns\""], "x", "kube-dns", "coredns"),
    ] {
        let objects = helm.render(release, sets);
        let deployment = one(&objects, "Deployment", full);
        let labels = json!({
            "app.kubernetes.io/instance": release, "app.kubernetes.io/name": name, "k8s-app": app
        });
        assert_eq!(deployment["spec"]["selector"], json!({"matchLabels": labels}));
        assert_eq!(deployment["spec"]["template"]["metadata"]["labels"], labels);
        assert_eq!(deployment["spec"]["replicas"], 1);
        assert_eq!(one(&objects, "Service", full)["spec"]["selector"], labels);
        for kind in ["ConfigMap", "ClusterRole", "ClusterRoleBinding"] {
            assert_eq!(one(&objects, kind, full)["metadata"]["labels"]["k8s-app"], app);
        }
    }
    let objects = helm.render("own", &["isClusterService=false", "customLabels={\"team\":\"dns\"}"]);
    let deployment = one(&objects, "Deployment", "own-coredns");
    assert_eq!(deployment["spec"]["selector"]["matchLabels"].get("k8s-app"), None);
    assert_eq!(deployment["metadata"]["labels"]["team"], "dns");
    let objects = helm.render("coredns", &["autoscaler.enabled=true", "deployment.name=\"pods\""]);
    let autoscaler = one(&objects, "Deployment", "coredns-autoscaler");
    let labels = json!({
        "app.kubernetes.io/instance": "coredns", "app.kubernetes.io/name": "coredns-autoscaler",
        "k8s-app": "coredns-autoscaler"
    });
    assert_eq!(autoscaler["spec"]["selector"], json!({"matchLabels": labels}));
    let command = &autoscaler["spec"]["template"]["spec"]["containers"][0]["command"];
    assert!(command.as_array().unwrap().contains(&json!("--target=Deployment/pods")), "{command}");
    assert_eq!(one(&objects, "Deployment", "pods")["spec"].get("replicas"), None);
}

#[test]
fn ports_have_the_names_and_the_order_of_the_other_chart() {
    let Some(helm) = Helm::find() else { return };
    let servers = r#"servers=[
        {"port": 53, "zones": [{"zone": "."}], "plugins": [{"name": "prometheus", "parameters": ":9153"}]},
        {"port": 53, "zones": [{"zone": "b.", "use_tcp": true}], "nodePort": 30053},
        {"port": 5353, "servicePort": 54, "hostPort": 5353, "plugins": [{"name": "cache", "parameters": 1000000}]},
        {"port": 443, "zones": [{"zone": "c.", "scheme": "https://"}]}]"#;
    let objects = helm.render("coredns", &[servers]);
    let ports = &one(&objects, "Service", "coredns")["spec"]["ports"];
    assert_eq!(port_names(ports), ["tcp-443", "udp-53", "tcp-53", "udp-5353", "tcp-5353"]);
    let port = |at: usize, name: &str| ports[at][name].as_u64();
    assert_eq!((port(1, "port"), port(1, "targetPort"), port(1, "nodePort")), (Some(53), Some(53), Some(30053)));
    assert_eq!((port(4, "port"), port(4, "targetPort"), port(4, "nodePort")), (Some(54), Some(5353), None));
    let container = &one(&objects, "Deployment", "coredns")["spec"]["template"]["spec"]["containers"][0];
    let ports = &container["ports"];
    assert_eq!(port_names(ports), ["tcp-443", "udp-53", "tcp-53", "udp-5353", "tcp-5353", "tcp-9153"]);
    assert_eq!(ports[3]["hostPort"], 5353);
    let corefile = one(&objects, "ConfigMap", "coredns")["data"]["Corefile"].as_str().unwrap().to_owned();
    let expected = ".:53 {\n    prometheus :9153\n}\nb.:53 {\n}\n.:5353 {\n    cache 1000000\n}\nhttps://c.:443 {\n}";
    assert_eq!(corefile, expected);
}

#[test]
fn what_is_known_outlives_the_container_unless_it_is_turned_off() {
    let Some(helm) = Helm::find() else { return };
    let own = "env=[{\"name\":\"TZ\",\"value\":\"UTC\"}]";
    let kept = json!({"name": "ROLLCALL_SNAPSHOT", "value": "/var/lib/rollcall"});
    let age = json!({"name": "ROLLCALL_SNAPSHOT_MAX_AGE", "value": "30m"});
    let other = json!({"name": "TZ", "value": "UTC"});
    for (sets, env) in [
        (&[][..], json!([kept])),
        // As with values of the other chart.
        (&["snapshot=null"], json!([kept])),
        (&[own, "snapshot.maxAge=\"30m\""], json!([kept, age, other])),
        (&["snapshot.enabled=false"], Value::Null),
        (&["snapshot.enabled=false", own], json!([other])),
    ] {
        let objects = helm.render("coredns", sets);
        let pod = &one(&objects, "Deployment", "coredns")["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0]["env"], env, "{sets:?}");
        let is_kept = env.as_array().is_some_and(|env| env.contains(&kept));
        let named = |list: &Value| list.as_array().unwrap().iter().any(|own| own["name"] == "snapshot");
        assert_eq!(named(&pod["volumes"]), is_kept, "{sets:?}");
        assert_eq!(named(&pod["containers"][0]["volumeMounts"]), is_kept, "{sets:?}");
    }
}

#[test]
fn what_no_template_would_read_is_refused_by_name() {
    let Some(helm) = Helm::find() else { return };
    for (set, part) in [
        ("typo=1", "typo"),
        ("service.typo=1", "typo"),
        ("snapshot.typo=1", "typo"),
        ("image.digest=\"sha256:0\"", "digest"),
        ("prometheus.monitor.typo=1", "typo"),
        ("servers=[{\"plugin\":[]}]", "plugin"),
        ("servers=[{\"plugins\":[{\"name\":\"log\",\"parameter\":1}]}]", "parameter"),
        ("autoscaler.image.typo=1", "typo"),
        ("livenessProbe.delay=1", "delay"),
        ("zoneFiles=[{\"filename\":\"a\",\"content\":\"x\"}]", "content"),
        ("rbac.pspEnable=true", "pspEnable"),
        ("replicaCount=\"two\"", "replicaCount"),
    ] {
        let said = helm.refusal(&[set]);
        assert!(said.contains(part), "{set}: {said}");
    }
    for (sets, part) in [
        (&["hpa.enabled=true", "autoscaler.enabled=true"][..], "exclude each other"),
        (&["preStopSleep=5"], "preStopSleep needs Kubernetes 1.30"),
        (&["image.repository=\"coredns/coredns\""], "set image.repository and image.tag"),
    ] {
        let said = helm.refusal(sets);
        assert!(said.contains(part), "{sets:?}: {said}");
    }
    // A chart around this one may say something to all of its parts.
    helm.render("coredns", &["global={\"any\":1}", "podDisruptionBudget=null", "preStopSleep=5"]);
    let lint = helm.done(&["lint", CHART]);
    assert!(lint.contains("0 chart(s) failed") && !lint.contains("[WARNING]"), "{lint}");
}

//----------- With a real API server -------------------------------------------

/// What may not change, and what an operator has done, of an object.
fn kept(object: &Value) -> Value {
    let spec = &object["spec"];
    json!({
        "uid": object["metadata"]["uid"], "team": object["metadata"]["labels"]["team"],
        "note": object["metadata"]["annotations"]["example.org/note"], "selector": spec["selector"],
        "clusterIP": spec["clusterIP"], "names": spec["ports"].as_array().map(|_| port_names(&spec["ports"])),
    })
}

#[test]
fn a_release_of_the_other_chart_is_upgraded_and_rolled_back() {
    let Some(mut helm) = Helm::find() else { return };
    let Some(plane) = ControlPlane::start() else { return };
    helm.kubeconfig = plane.kubeconfig();
    let own =
        "fullnameOverride=dns,k8sAppLabelOverride=kube-dns,autoscaler.enabled=true,prometheus.service.enabled=true";
    let image = "image.repository=registry.example.org/coredns,image.tag=v1.14.2-rollcall.0.1.0";
    let both = format!("{own},{image}");
    for (release, name, install, upgrade) in [
        ("coredns", "coredns", vec!["--set", "replicaCount=3"], vec!["--reuse-values", "--set", image]),
        ("resolver", "dns", vec!["--set", own], vec!["--set", &both]),
    ] {
        helm.done(&[&["install", release, THEIRS][..], &install].concat());
        let of = |kind: &str, name: &str| {
            let said = plane.kubectl(&["get", kind, name, "--namespace=kube-system", "--output=json"]);
            serde_json::from_str::<Value>(&said).unwrap()
        };
        for kind in ["deployment", "service"] {
            plane.kubectl(&["label", kind, name, "team=network", "--namespace=kube-system"]);
            plane.kubectl(&["annotate", kind, name, "example.org/note=ours", "--namespace=kube-system"]);
        }
        let autoscaler = format!("{name}-autoscaler");
        let state = || {
            let mut state = vec![of("deployment", name), of("service", name)];
            if release == "resolver" {
                state.push(of("deployment", &autoscaler));
                state.push(of("service", &format!("{name}-metrics")));
            }
            state
        };
        let before = state();
        helm.done(&[&["upgrade", release, CHART][..], &upgrade].concat());
        let after = state();
        let image_of = |state: &[Value]| state[0]["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        assert_eq!(image_of(&after), "registry.example.org/coredns:v1.14.2-rollcall.0.1.0");
        assert_eq!(after.iter().map(kept).collect::<Vec<_>>(), before.iter().map(kept).collect::<Vec<_>>());
        assert_eq!(kept(&after[0])["team"], "network");
        assert_eq!(after[0]["spec"]["replicas"], before[0]["spec"]["replicas"], "{release}");
        for kind in ["clusterrole", "clusterrolebinding"] {
            assert_eq!(of(kind, name)["metadata"]["name"], name);
        }
        helm.done(&["rollback", release, "1"]);
        let back = state();
        assert_eq!(image_of(&back), "coredns/coredns:1.14.2");
        assert_eq!(back.iter().map(kept).collect::<Vec<_>>(), before.iter().map(kept).collect::<Vec<_>>());
        let pod = |state: &[Value]| {
            let mut pod = state[0]["spec"]["template"]["spec"].clone();
            // The API server writes the same account under two names.
            pod.as_object_mut().unwrap().remove("serviceAccount");
            pod
        };
        assert_eq!(pod(&back), pod(&before), "nothing of the upgrade stays");
        helm.done(&["uninstall", release]);
    }
}

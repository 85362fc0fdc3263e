//! What stands in `deploy/`: it can be read, has kubeadm's shape, renders, and a real API server takes it.
//!
//! With `KUBEBUILDER_ASSETS` every overlay goes through the kubectl in there to a real API server, and with `HELM` the
//! chart does too; without, the tests say so.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rollcall_testing::{Client, ControlPlane, Site, named, program, repository};
use serde_json::{Value, json};

/// The documents of a text in YAML.
fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    all.into_iter().filter(|document| !document.is_null()).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The one object of a file.
fn object(path: &str) -> Value {
    let mut documents = documents(&read(path));
    assert_eq!(documents.len(), 1, "{path}");
    documents.remove(0)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// What a binary is made of, told whole: every crate of the resolution, and what is linked in beside them.
#[test]
fn the_list_of_what_is_inside_is_whole() {
    let output = Command::new(repository("deploy/sbom")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&list["spdxVersion"], &list["dataLicense"]), (&json!("SPDX-2.3"), &json!("CC0-1.0")));
    let packages = list["packages"].as_array().unwrap();
    let of = |package: &Value, key: &str| package[key].as_str().unwrap().to_owned();
    let mut ids = Vec::new();
    for package in packages {
        let named = format!("SPDXRef-{}-{}", of(package, "name"), of(package, "versionInfo"));
        let id = of(package, "SPDXID");
        assert_eq!(id, named.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "-"));
        assert!(!of(package, "licenseDeclared").is_empty() && package["filesAnalyzed"] == json!(false), "{package}");
        ids.push(id);
    }
    let unique: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    for name in ["rollcall-dns", "tokio", "hickory-proto", "kube", "ring", "rust-std", "glibc"] {
        assert!(packages.iter().any(|package| package["name"] == name), "{name}");
    }
    assert!(packages.iter().all(|package| package["name"] != "criterion"), "what tests alone need is not inside");
    let relations = list["relationships"].as_array().unwrap();
    // One for the document, and one for each that the server stands on.
    assert_eq!(relations.len(), packages.len());
    assert!(relations.iter().all(|relation| ids.contains(&of(relation, "relatedSpdxElement"))));
}

//----------- Without other programs ------------------------------------------

#[test]
fn every_file_can_be_read_as_what_it_is() {
    let mut all = Vec::new();
    files(&repository("deploy"), &mut all);
    all.push(repository(".ci/run"));
    let (mut manifests, mut scripts) = (0, 0);
    for path in all {
        let text = fs::read_to_string(&path).unwrap();
        if text.starts_with("#!/usr/bin/env bash\n") {
            let status = Command::new("bash").arg("-n").arg(&path).status().unwrap();
            assert!(status.success(), "{}", path.display());
            scripts += 1;
        } else if path.components().any(|part| part.as_os_str() == "templates") {
            assert_eq!(text.matches("{{").count(), text.matches("}}").count(), "{}", path.display());
        } else if path.extension().is_some_and(|end| end == "yaml") {
            assert!(!documents(&text).is_empty(), "{} holds nothing", path.display());
            manifests += 1;
        } else if path.extension().is_some_and(|end| end == "json") {
            let _: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    assert!(manifests > 20 && scripts >= 2, "{manifests} manifests, {scripts} scripts");
}

#[test]
fn the_base_has_the_names_and_the_shape_of_kubeadms() {
    let meta = |path: &str| {
        let object = object(path);
        let of = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        (object["kind"].as_str().unwrap().to_owned(), of("namespace"), of("name"))
    };
    for (file, kind, namespace, name) in [
        ("service-account", "ServiceAccount", "kube-system", "coredns"),
        ("cluster-role", "ClusterRole", "", "system:coredns"),
        ("cluster-role-binding", "ClusterRoleBinding", "", "system:coredns"),
        ("config-map", "ConfigMap", "kube-system", "coredns"),
        ("deployment", "Deployment", "kube-system", "coredns"),
        ("service", "Service", "kube-system", "kube-dns"),
    ] {
        let path = format!("deploy/base/{file}.yaml");
        assert_eq!(meta(&path), (kind.into(), namespace.into(), name.into()), "{path}");
    }
    let service = object("deploy/base/service.yaml");
    let labels =
        json!({"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"});
    assert_eq!(service["metadata"]["labels"], labels);
    let annotations = json!({"prometheus.io/port": "9153", "prometheus.io/scrape": "true"});
    assert_eq!(service["metadata"]["annotations"], annotations);
    let port = |name: &str, port: u16, protocol: &str| json!({"name": name, "port": port, "protocol": protocol, "targetPort": port});
    let ports = json!([port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")]);
    assert_eq!(service["spec"]["ports"], ports);
    assert_eq!(service["spec"]["selector"], json!({"k8s-app": "kube-dns"}));

    let deployment = object("deploy/base/deployment.yaml");
    assert_eq!(deployment["metadata"]["labels"], json!({"k8s-app": "kube-dns"}));
    let spec = &deployment["spec"];
    assert_eq!(spec["replicas"], 2);
    assert_eq!(spec["selector"], json!({"matchLabels": {"k8s-app": "kube-dns"}}));
    assert_eq!(spec["strategy"], json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}));
    assert_eq!(spec["template"]["metadata"], json!({"labels": {"k8s-app": "kube-dns"}}));
    let pod = &spec["template"]["spec"];
    for (key, value) in [
        ("priorityClassName", json!("system-cluster-critical")),
        ("serviceAccountName", json!("coredns")),
        ("dnsPolicy", json!("Default")),
        ("nodeSelector", json!({"kubernetes.io/os": "linux"})),
        (
            "tolerations",
            json!([
                {"key": "CriticalAddonsOnly", "operator": "Exists"},
                {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
            ]),
        ),
    ] {
        assert_eq!(pod[key], value, "{key}");
    }
    let spread = &pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(spread[0]["weight"], 100);
    assert_eq!(spread[0]["podAffinityTerm"]["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
    let container = &pod["containers"][0];
    let port =
        |name: &str, port: u16, protocol: &str| json!({"name": name, "containerPort": port, "protocol": protocol});
    let probe = |path: &str, port: &str| json!({"path": path, "port": port, "scheme": "HTTP"});
    for (key, value) in [
        ("name", json!("coredns")),
        ("args", json!(["-conf", "/etc/coredns/Corefile"])),
        ("resources", json!({"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}})),
        (
            "ports",
            json!([
                port("dns", 53, "UDP"),
                port("dns-tcp", 53, "TCP"),
                port("metrics", 9153, "TCP"),
                port("liveness-probe", 8080, "TCP"),
                port("readiness-probe", 8181, "TCP"),
            ]),
        ),
        (
            "livenessProbe",
            json!({
                "httpGet": probe("/health", "liveness-probe"),
                "initialDelaySeconds": 60,
                "timeoutSeconds": 5,
                "successThreshold": 1,
                "failureThreshold": 5,
            }),
        ),
        ("readinessProbe", json!({"httpGet": probe("/ready", "readiness-probe")})),
        (
            "securityContext",
            json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            }),
        ),
        // A variable and no flag: CoreDNS starts with the same Deployment.
        ("env", json!([{"name": "ROLLCALL_SNAPSHOT", "value": "/var/lib/rollcall"}])),
        (
            "volumeMounts",
            json!([
                {"name": "config-volume", "mountPath": "/etc/coredns", "readOnly": true},
                {"name": "snapshot", "mountPath": "/var/lib/rollcall"},
            ]),
        ),
    ] {
        assert_eq!(container[key], value, "{key}");
    }
    assert_eq!(pod["volumes"][1], json!({"name": "snapshot", "emptyDir": {}}));
    // kubeadm finds the version in the tag of an image that is called coredns.
    let image = container["image"].as_str().unwrap();
    let (name, tag) = image.rsplit_once(':').unwrap();
    assert!(name.ends_with("/coredns") && tag.starts_with("v1."), "{image}");
    assert_eq!(rules(&object("deploy/base/cluster-role.yaml")), corednss_rules());
}

/// Nothing of the image may be written, nothing gained, and no port below 1024 is a matter of root.
#[test]
fn every_container_of_ours_has_the_least_that_it_needs() {
    let mut found = Vec::new();
    files(&repository("deploy"), &mut found);
    let mut seen = 0;
    let is_plain = |path: &&PathBuf| {
        path.extension().is_some_and(|end| end == "yaml") && !path.components().any(|part| part.as_os_str() == "helm")
    };
    for path in found.iter().filter(is_plain) {
        for object in documents(&fs::read_to_string(path).unwrap()) {
            let containers = object["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
            let image = |container: &Value| container["image"].as_str().unwrap_or_default().to_owned();
            // A patch may name a container for its image alone.
            for container in containers.iter().filter(|own| image(own).contains("rollcall") && own["ports"].is_array())
            {
                seen += 1;
                has_the_least(&container["securityContext"], &path.display().to_string());
            }
        }
    }
    assert!(seen >= 3, "{seen} containers");
    let values: Value = serde_saphyr::from_str(&read("deploy/helm/coredns/values.yaml")).unwrap();
    has_the_least(&values["securityContext"], "the chart");
    assert!(
        read("deploy/helm/coredns/templates/deployment.yaml").contains("securityContext: {{- toYaml . | nindent 12 }}")
    );
}

fn has_the_least(context: &Value, place: &str) {
    for (key, value) in [
        ("allowPrivilegeEscalation", json!(false)),
        ("readOnlyRootFilesystem", json!(true)),
        ("capabilities", json!({"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]})),
        ("seccompProfile", json!({"type": "RuntimeDefault"})),
    ] {
        assert_eq!(context[key], value, "{place}: {key}");
    }
}

/// It answers as the base would, from CoreDNS's ConfigMap, and nothing sends a client to it.
#[test]
fn what_is_compared_is_the_base_beside_the_clusters_dns() {
    let (base, compared) = (object("deploy/base/deployment.yaml"), object("deploy/overlays/compare/deployment.yaml"));
    let (base, pod) = (&base["spec"]["template"]["spec"], &compared["spec"]["template"]["spec"]);
    for key in ["containers", "volumes", "serviceAccountName", "dnsPolicy", "nodeSelector", "tolerations"] {
        assert_eq!(pod[key], base[key], "{key}");
    }
    let label = json!({"app": "rollcall-compare"});
    assert_eq!(compared["spec"]["template"]["metadata"]["labels"], label);
    assert_eq!(compared["spec"]["selector"]["matchLabels"], label);
    assert_eq!(compared["metadata"]["labels"], label);
    let service = object("deploy/overlays/compare/service.yaml");
    assert_eq!((&service["spec"]["selector"], &service["metadata"]["labels"]), (&label, &label));
    // What is removed again with the overlay is its own alone.
    let listed = &object("deploy/overlays/compare/kustomization.yaml")["resources"];
    assert_eq!(listed, &json!(["deployment.yaml", "service.yaml"]));
    for object in [&compared, &service] {
        assert_eq!(object["metadata"]["name"], "rollcall-compare");
    }
    let name = compared["metadata"]["name"].as_str().unwrap();
    let switching = read("docs/switching.md");
    let told = format!("exec deployment/{name} -- /rollcall diff");
    assert!(switching.contains(&told), "step 2 in docs/switching.md names it");
}

#[test]
fn every_corefile_in_the_manifests_is_one() {
    for path in ["deploy/base/config-map.yaml", "deploy/overlays/node-local/config-map.yaml"] {
        check(&object(path));
    }
}

#[test]
fn the_image_is_named_alike_everywhere() {
    let base = object("deploy/base/deployment.yaml");
    let image = base["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
    let (name, tag) = image.rsplit_once(':').unwrap();
    assert_eq!(object("deploy/helm/coredns/Chart.yaml")["appVersion"], tag);
    assert_eq!(object("deploy/helm/coredns/values.yaml")["image"]["repository"], name);
    let swap = &object("deploy/overlays/image-swap/kustomization.yaml")["images"][0];
    assert_eq!((&swap["name"], &swap["newTag"]), (&json!(name), &json!(tag)));
    for other in ["node-local/daemon-set", "compare/deployment"] {
        let other = object(&format!("deploy/overlays/{other}.yaml"));
        assert_eq!(other["spec"]["template"]["spec"]["containers"][0]["image"], image.as_str());
    }
    for path in ["deploy/Dockerfile", "deploy/image"] {
        assert!(read(path).contains(&image), "{path} names another image than {image}");
    }
    assert!(tag.ends_with(&format!("rollcall.{}", env!("CARGO_PKG_VERSION"))), "{tag}");
}

/// What CoreDNS's role allows, and all that may be asked for: `group/resource`, with `list` and `watch`.
fn corednss_rules() -> Vec<String> {
    let core = ["/endpoints", "/namespaces", "/pods", "/services", "discovery.k8s.io/endpointslices"];
    core.map(str::to_owned).to_vec()
}

/// What a role allows; nothing but `list` and `watch` may be in it.
fn rules(role: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        assert_eq!(rule["verbs"], json!(["list", "watch"]), "{rule}");
        for group in rule["apiGroups"].as_array().unwrap() {
            for resource in rule["resources"].as_array().unwrap() {
                all.push(format!("{}/{}", group.as_str().unwrap(), resource.as_str().unwrap()));
            }
        }
    }
    all.sort();
    all
}

/// Checks the Corefile of a ConfigMap, with the files beside it.
fn check(config_map: &Value) {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in config_map["data"].as_object().unwrap() {
        fs::write(folder.path().join(file), text.as_str().unwrap()).unwrap();
    }
    let mut command = Command::new(program());
    let output = command.args(["check", "Corefile"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}\n{config_map}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("server block"));
}

//----------- With a real API server -------------------------------------------

#[test]
fn a_real_api_server_takes_every_overlay_and_every_chart() {
    let Some(plane) = ControlPlane::start() else { return };
    plane.apply_file(&repository("tests/fixtures/prometheus-operator.yaml"));
    for crd in ["servicemonitors", "prometheusrules"] {
        let name = format!("crd/{crd}.monitoring.coreos.com");
        plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &name]);
    }
    let plane = Plane(plane);
    for overlay in ["base", "overlays/fresh-install", "overlays/node-local", "overlays/compare"] {
        plane.tries(overlay, &plane.kustomize(overlay));
    }
    for file in ["service-monitor", "prometheus-rule"] {
        plane.tries(file, &read(&format!("deploy/monitoring/{file}.yaml")));
    }
    // Before there is a Deployment: its selector cannot be changed.
    if let Some(helm) = named("HELM", "Helm 3, for the chart") {
        plane.takes_the_chart(&helm);
    }
    plane.swaps_the_image_and_nothing_else();
    plane.serves_with_the_rights_of_the_base();
}

/// The API server, and what is tried on it.
struct Plane(ControlPlane);

impl Plane {
    fn kustomize(&self, overlay: &str) -> String {
        self.0.kubectl(&["kustomize", repository("deploy").join(overlay).to_str().unwrap()])
    }

    /// Lets the API server say whether it would take these objects; fields that it does not know are refused.
    fn tries(&self, what: &str, manifests: &str) {
        let objects = documents(manifests);
        assert!(!objects.is_empty(), "{what} renders nothing");
        let file = self.0.dir.path().join("try.yaml");
        fs::write(&file, manifests).unwrap();
        let file = file.to_str().unwrap();
        let said = self.0.kubectl(&["apply", "--dry-run=server", "--validate=strict", "--filename", file]);
        assert_eq!(said.matches("(server dry run)").count(), objects.len(), "{what}: {said}");
        for object in &objects {
            if object["kind"] == "ConfigMap" && object["data"].get("Corefile").is_some() {
                check(object);
            }
        }
    }

    /// On a cluster that runs CoreDNS with settings of its operator's.
    fn swaps_the_image_and_nothing_else(&self) {
        let mut old = object("deploy/base/deployment.yaml");
        old["spec"]["replicas"] = json!(5);
        let container = &mut old["spec"]["template"]["spec"]["containers"][0];
        container["image"] = json!("registry.k8s.io/coredns/coredns:v1.13.1");
        container["resources"]["limits"]["memory"] = json!("500Mi");
        for file in ["service-account", "cluster-role", "cluster-role-binding", "config-map", "service"] {
            self.0.apply_file(&repository(&format!("deploy/base/{file}.yaml")));
        }
        self.0.apply(&old.to_string());
        let get = ["get", "deployment", "coredns", "--namespace=kube-system", "--output=json"];
        let before: Value = serde_json::from_str(&self.0.kubectl(&get)).unwrap();
        let file = self.0.dir.path().join("swap.yaml");
        fs::write(&file, self.kustomize("overlays/image-swap")).unwrap();
        let file = file.to_str().unwrap();
        self.0.kubectl(&["apply", "--server-side", "--force-conflicts", "--validate=strict", "--filename", file]);
        let after: Value = serde_json::from_str(&self.0.kubectl(&get)).unwrap();
        let mut expected = before["spec"].clone();
        let base = object("deploy/base/deployment.yaml");
        expected["template"]["spec"]["containers"][0]["image"] =
            base["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        expected["minReadySeconds"] = json!(10);
        expected["strategy"]["rollingUpdate"] = json!({"maxSurge": 1, "maxUnavailable": 0});
        assert_eq!(after["spec"], expected);
    }

    /// kubeadm's Corefile and Pods too, with the service account of the base: nothing is refused.
    fn serves_with_the_rights_of_the_base(&self) {
        let account = self.0.kubeconfig_with("kube-system", "coredns");
        let corefile = object("deploy/base/config-map.yaml")["data"]["Corefile"].as_str().unwrap().to_owned();
        let corefile = corefile
            .replace(".:53 {", ".:PORT {\n    bind 127.0.0.1")
            .replace("pods insecure", &format!("pods verified\n       kubeconfig {}", account.display()))
            .replace("ready\n", "ready READY\n")
            .replace("prometheus :9153", "prometheus 127.0.0.1:0")
            .replace("health {", "health 127.0.0.1:0 {")
            .replace("/etc/resolv.conf", "127.0.0.1:9");
        let server = Site::start(&program(), &corefile);
        let found = Client::new(server.addr()).addresses("kube-dns.kube-system.svc.cluster.local");
        assert_eq!(found.into_iter().map(|address| address.to_string()).collect::<Vec<_>>(), ["10.96.0.10"]);
        // The rights of the service account are enough to compare as well.
        let (address, account) = (server.addr().to_string(), account.to_str().unwrap());
        let compared = Command::new(program())
            .args(["diff", "--from", &address, "--to", &address, "--kubeconfig", account])
            .output()
            .unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&compared.stdout), String::from_utf8_lossy(&compared.stderr));
        assert!(compared.status.success() && said.contains(": 0 differences"), "{said}");
    }

    fn takes_the_chart(&self, helm: &Path) {
        let mut values = Vec::new();
        files(&repository("tests/fixtures/helm"), &mut values);
        values.sort();
        assert!(values.len() >= 3, "{values:?}");
        let chart = repository("deploy/helm/coredns");
        self.tries("the chart", &template(helm, &chart, &[]));
        for file in values {
            let text = template(helm, &chart, &["--values", file.to_str().unwrap()]);
            self.tries(&file.display().to_string(), &text);
            let monitor = read_all(&text, "ServiceMonitor");
            let rule = read_all(&text, "PrometheusRule");
            if file.ends_with("everything.yaml") {
                assert_eq!((monitor.len(), rule.len()), (1, 1), "{text}");
                assert_eq!(rule[0]["spec"], object("deploy/monitoring/prometheus-rule.yaml")["spec"]);
                let dashboard = read_all(&text, "ConfigMap");
                let dashboard = dashboard.iter().find_map(|map| map["data"]["rollcall.json"].as_str()).unwrap();
                let own: Value = serde_json::from_str(&read("deploy/monitoring/grafana-dashboard.json")).unwrap();
                assert_eq!(serde_json::from_str::<Value>(dashboard).unwrap(), own);
            }
            let role = read_all(&text, "ClusterRole").into_iter().find(|role| role["metadata"]["name"] == "coredns");
            let more = rules(&role.unwrap()).into_iter().filter(|rule| !corednss_rules().contains(rule));
            assert!(
                more.eq(file.ends_with("everything.yaml").then(|| "multicluster.x-k8s.io/serviceimports".to_owned()))
            );
        }
        self.takes_the_values_of_another_chart(helm);
    }

    /// `helm upgrade --reuse-values` puts the old chart's values in the place of ours: no value is missed.
    fn takes_the_values_of_another_chart(&self, helm: &Path) {
        let copy = self.0.dir.path().join("chart");
        let from = repository("deploy/helm/coredns");
        let mut all = Vec::new();
        files(&from, &mut all);
        for file in all {
            let to = copy.join(file.strip_prefix(&from).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&file, to).unwrap();
        }
        fs::copy(repository("tests/fixtures/coredns-release/values.yaml"), copy.join("values.yaml")).unwrap();
        let text = template(helm, &copy, &["--set", "image.repository=registry.example.org/coredns"]);
        self.tries("the chart with the values of another", &text);
        let pod = &read_all(&text, "Deployment")[0]["spec"]["template"]["spec"];
        assert_eq!(pod["dnsPolicy"], "Default");
        let tag = object("deploy/helm/coredns/Chart.yaml")["appVersion"].as_str().unwrap().to_owned();
        assert_eq!(pod["containers"][0]["image"], format!("registry.example.org/coredns:{tag}"));
    }
}

fn template(helm: &Path, chart: &Path, more: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(helm)
        .args(["template", "coredns"])
        .arg(chart)
        .args(["--namespace", "kube-system", "--kube-version", "1.33.0"])
        .args(more)
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "helm template {more:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn read_all(text: &str, kind: &str) -> Vec<Value> {
    documents(text).into_iter().filter(|object| object["kind"] == kind).collect()
}

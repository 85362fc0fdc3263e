//! Files and folders as people have them.

use rollcall_testing::worked;

use super::*;

#[test]
fn folders_are_read_in_the_order_of_names_without_hidden_files() {
    let folder = tempfile::tempdir().unwrap();
    let pod = |name: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n");
    fs::create_dir(folder.path().join("b")).unwrap();
    for (file, name) in [("c.yml", "three"), ("a.yaml", "one"), ("b/x.json", "two")] {
        fs::write(folder.path().join(file), pod(name)).unwrap();
    }
    fs::write(folder.path().join(".a.yaml"), "broken: [").unwrap();
    fs::write(folder.path().join("notes.txt"), "broken: [").unwrap();
    let loaded = load(&[folder.path().into()], &mut Addresses::default()).unwrap();
    assert_eq!(pods(&loaded), ["one 127.1.0.1", "two 127.1.0.2", "three 127.1.0.3"]);
}

#[test]
fn links_are_followed_and_what_they_lead_to_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // As a mounted ConfigMap is laid out.
    fs::create_dir(at("..2026")).unwrap();
    fs::write(at("..2026/pod.yaml"), "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n").unwrap();
    for (to, link) in [("..2026", "..data"), ("..data/pod.yaml", "pod.yaml"), ("pod.yaml", "same.yaml")] {
        std::os::unix::fs::symlink(to, at(link)).unwrap();
    }
    for (to, link) in [(".", "loop"), ("/no/such/file", "dangling.yaml")] {
        std::os::unix::fs::symlink(to, at(link)).unwrap();
    }
    let loaded = load(&[folder.path().into()], &mut Addresses::default()).unwrap();
    assert_eq!((pods(&loaded), loaded.remarks), (vec!["a 127.1.0.1".to_owned()], Vec::new()));
}

#[test]
fn a_folder_is_served_without_what_is_no_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        fs::write(folder.path().join(name), text).unwrap();
    };
    write("k8s/kubia.yaml", KUBIA);
    write("chart/Chart.yaml", "apiVersion: v2\nname: a\n");
    write("chart/values.yaml", "replicas: 2\n");
    write("chart/templates/a.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Release.Name }}\n");
    write("chart/templates/b.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: '{{ .Release.Name }}'}\n");
    write("package.json", "{\"name\": \"x\"}");
    write("tsconfig.json", "{ // a comment\n}");
    write("empty.yaml", "");
    write("notes.yaml", "# nothing\n---\n");
    write("more.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\nfoo: [\n---\nfoo: bar\n");
    write("hook.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {helm.sh/hook: test}}\n");
    let loaded = load(&[folder.path().into()], &mut Addresses::default()).unwrap();
    assert_eq!(pods(&loaded), ["kubia-0 127.1.0.1", "kubia-1 127.1.0.2"]);
    let told: Vec<String> = loaded.remarks.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("10 documents are left out: 2 templates ("), "{told:?}");
    for part in
        ["5 without apiVersion and kind (", "more.yaml:5:6)", "2 of kinds without names (1 ConfigMap, 1 hook Pod)"]
    {
        assert!(told[0].contains(part), "{part}: {told:?}");
    }
    assert!(told[0].ends_with("helm template CHART | rollcall local -"), "{told:?}");
}

#[test]
fn a_folder_without_any_manifest_is_refused_with_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Chart.yaml"), "apiVersion: v2\nname: a\n").unwrap();
    fs::write(folder.path().join("t.yaml"), "kind: {{ .Values.kind }}\n").unwrap();
    let error = load(&[folder.path().into()], &mut Addresses::default()).unwrap_err().to_string();
    assert!(error.contains("holds no Service, workload or Pod: 2 documents are left out: 1 template ("), "{error}");
}

#[test]
fn a_manifest_with_a_fault_is_left_out_of_a_folder_and_told_with_its_place() {
    let bad = "---\napiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 80000}]}\n";
    let told = told(&(KUBIA.to_owned() + bad + "---\n" + KUBIA));
    let starts = ["m.yaml:26:23: spec.ports[0].port: expected", "m.yaml:29:1: Service kubia is there twice"];
    for start in starts {
        assert!(told.iter().any(|line| line.starts_with(start) && line.ends_with("left out")), "{told:?}");
    }
}

#[test]
fn kustomizations_are_told_and_their_patches_are_no_objects() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("base/kustomization.yaml", "resources: [kubia.yaml]\n"),
        ("base/kubia.yaml", KUBIA),
        ("a/kustomization.yaml", "namespace: prod\nresources: [../base]\npatches: [{path: ./more.yaml}]\n"),
        ("a/more.yaml", "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: kubia}\nspec: {replicas: 3}\n"),
    ] {
        fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        fs::write(folder.path().join(name), text).unwrap();
    }
    let loaded = load(&[folder.path().into()], &mut Addresses::default()).unwrap();
    assert_eq!(pods(&loaded).len(), 2);
    let told: Vec<String> = loaded.remarks.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("a/kustomization.yaml: this kustomization is not applied, and so is one more"),
        "{told:?}"
    );
    assert!(told[1].starts_with("1 document is left out: 1 patch of a kustomization ("), "{told:?}");
    let path = folder.path().join("base/kustomization.yaml");
    let named = load(&[path], &mut Addresses::default()).unwrap_err().to_string();
    assert!(named.contains("a kustomization is no manifest: `kustomize build "), "{named}");
}

#[test]
fn texts_of_other_editors_are_read() {
    assert_eq!(pods(&load_text(&KUBIA.replace('\n', "\r\n")).unwrap()).len(), 2);
    assert_eq!(pods(&load_text(&format!("\u{feff}{KUBIA}")).unwrap()).len(), 2);
    let anchors = KUBIA
        .replace("selector: {matchLabels: {app: kubia}}", "selector: {matchLabels: &labels {app: kubia}}")
        .replace("metadata: {labels: {app: kubia}}", "metadata: {labels: {<<: *labels, tier: a}}");
    assert_eq!(endpoints(&slices(&load_text(&anchors).unwrap(), "kubia")).len(), 2);
}

#[test]
fn a_long_file_is_read_whole() {
    let one = |at: usize| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: s{at}}}\nspec: {{selector: {{a: s{at}}}, ports: [{{port: 1}}]}}\n"
        )
    };
    let text = (0..4000).map(one).collect::<Vec<_>>().join("---\n");
    assert_eq!(load_text(&text).unwrap().summary.services.len(), 4000);
}

#[test]
fn paths_that_cannot_be_read_are_refused_by_name() {
    let missing = load(&[PathBuf::from("/no/such/file.yaml")], &mut Addresses::default()).unwrap_err();
    assert!(missing.to_string().starts_with("/no/such/file.yaml: cannot be read: "), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    let empty = load(&[folder.path().into()], &mut Addresses::default()).unwrap_err();
    assert!(empty.to_string().ends_with("the folder holds no *.yaml, *.yml or *.json file"), "{empty}");
}

/// Documents of one sort, so many of them.
type Many = fn(usize) -> String;

// Eight times as much costs about eight times the work.
#[test]
fn what_is_wrong_in_many_documents_costs_no_more_for_each_of_them_than_in_few() {
    let kinds: [(&str, Many); 5] = [
        ("one document of a file cannot be read", |many| {
            let service = |n| format!("apiVersion: v1\nkind: Service\nmetadata: {{name: s{n}}}\nspec: {{}}\n---\n");
            (0..many).map(service).collect::<String>() + "foo: [\n"
        }),
        ("templates", |many| {
            "apiVersion: v1\nkind: Service\nmetadata: {name: '{{ .Release.Name }}'}\nspec: {}\n---\n".repeat(many)
        }),
        ("selectors that select nothing", |many| {
            let pair = |n| {
                format!(
                    "apiVersion: v1\nkind: Service\nmetadata: {{name: s{n}}}\nspec: {{selector: {{a: a{n}}}}}\n---\n\
                     apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: w{n}}}\nspec:\n  replicas: 0\n  \
                     selector: {{matchLabels: {{b: b{n}}}}}\n  template: {{metadata: {{labels: {{b: b{n}}}}}}}\n---\n"
                )
            };
            (0..many).map(pair).collect()
        }),
        ("StatefulSets without a Service", |many| {
            let set = |n| {
                format!(
                    "apiVersion: v1\nkind: Service\nmetadata: {{name: s{n}}}\nspec: {{clusterIP: None, selector: {{a: \
                     a{n}}}}}\n---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: w{n}}}\nspec:\n  replicas: \
                     0\n  selector: {{matchLabels: {{b: b{n}}}}}\n  template: {{metadata: {{labels: {{b: b{n}}}}}}}\n---\n"
                )
            };
            (0..many).map(set).collect()
        }),
        ("Endpoints of no Service", |many| {
            let endpoints = |n| {
                format!(
                    "apiVersion: v1\nkind: Endpoints\nmetadata: {{name: e{n}}}\nsubsets: [{{addresses: [{{ip: \
                     10.0.0.1}}]}}]\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{n}}}\nspec: {{}}\n---\n"
                )
            };
            (0..many).map(endpoints).collect()
        }),
    ];
    for (what, text) in kinds {
        let cost = |many: usize| {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("a.yaml"), KUBIA.to_owned() + "---\n" + &text(many)).unwrap();
            let start = worked();
            load(&[folder.path().into()], &mut Addresses::default()).unwrap();
            worked() - start
        };
        let (few, many) = (cost(500).min(cost(500)), cost(4000));
        assert!(many < few * 14, "{what}: {many:?} for 4,000, {few:?} for 500");
    }
}

//! Summaries of local clusters, and the lines to try.

use super::*;

#[test]
fn the_summary_names_services_endpoints_and_what_to_ask() {
    let summary = load_text(KUBIA).unwrap().summary;
    let shown = summary.to_string();
    assert!(
        shown.starts_with("kubia.default.svc  headless\n    kubia-0  127.1.0.1\n    kubia-1  127.1.0.2\n"),
        "{shown}"
    );
    assert!(shown.contains("kubia-public.default.svc  ClusterIP 127.96.0.1\n"), "{shown}");
    let lines = summary.dig_lines("127.0.0.1:1053".parse().unwrap(), &"cluster.local".parse().unwrap());
    assert_eq!(
        lines,
        [
            "dig @127.0.0.1 -p 1053 SRV kubia.default.svc.cluster.local",
            "dig @127.0.0.1 -p 1053 kubia-0.kubia.default.svc.cluster.local +short",
        ]
    );
}

#[test]
fn what_the_dig_lines_ask_for_has_an_answer() {
    let lines = |text: &str| {
        let summary = load_text(text).unwrap().summary;
        let lines = summary.dig_lines("127.0.0.1:53".parse().unwrap(), &"cluster.local".parse().unwrap());
        lines.iter().map(|line| line.trim_start_matches("dig @127.0.0.1 ").to_owned()).collect::<Vec<_>>()
    };
    let public = "kubia-public.default.svc.cluster.local +short";
    let service = |spec: &str| format!("apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{{spec}}}\n");
    for (text, wanted) in [
        // The pods of a Deployment have no names of their own.
        (
            DEPLOYMENT.replace("ports: [{port: 80}]", "clusterIP: None, ports: [{port: 80}]"),
            vec!["SRV web.shop.svc.cluster.local", "web.shop.svc.cluster.local +short"],
        ),
        (
            KUBIA.replace(", ports: [{name: http, port: 80}]", ""),
            vec!["kubia-0.kubia.default.svc.cluster.local +short"],
        ),
        (
            KUBIA.replace("{name: http, port: 80}", "{name: http, port: 80, targetPort: web}"),
            vec!["kubia-0.kubia.default.svc.cluster.local +short"],
        ),
        (
            KUBIA.replace("  serviceName: kubia\n", ""),
            vec!["SRV kubia.default.svc.cluster.local", "kubia.default.svc.cluster.local +short"],
        ),
        (
            KUBIA.replace("clusterIP: None,", "clusterIP: None, ipFamilies: [IPv6],"),
            vec!["SRV kubia.default.svc.cluster.local", "AAAA kubia-0.kubia.default.svc.cluster.local +short"],
        ),
        (KUBIA.replace("replicas: 2", "replicas: 0"), vec![public]),
        (service("type: ExternalName, externalName: a.example"), vec!["s.default.svc.cluster.local +short"]),
        (service("type: ExternalName, externalName: 192.0.2.1"), vec![]),
    ] {
        assert_eq!(lines(&text), wanted, "{text}");
    }
}

#[test]
fn what_is_no_manifest_is_told_with_the_way_out() {
    let said = error("metadata:\n  name: {{ .Release.Name }}\n");
    assert!(said.starts_with("m.yaml:2:") && said.ends_with("a template is rendered first: helm template"), "{said}");
    for text in ["apiVersion: v2\nname: chart\n", "- op: replace\n  path: /spec\n"] {
        let said = error(text);
        assert!(
            said.starts_with("m.yaml:1:1: ") && said.contains("no manifest: render it first (helm template"),
            "{said}"
        );
    }
}

#[test]
fn peers_are_listed_in_the_order_of_their_ordinals() {
    let loaded = load_text(&KUBIA.replace("replicas: 2", "replicas: 12")).unwrap();
    let names: Vec<_> = loaded.summary.services[0].endpoints.iter().map(|own| own.name.clone().unwrap()).collect();
    let wanted: Vec<String> = (0..12).map(|ordinal| format!("kubia-{ordinal}")).collect();
    assert_eq!(names, wanted);
}

use super::*;

fn read_text(text: &str) -> Result<Vec<Input>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cm.yaml");
    std::fs::write(&file, text).unwrap();
    read(&file)
}

/// The directives of each Corefile with their places, `LINE:COLUMN NAME`.
fn lines(text: &str) -> Vec<Vec<String>> {
    let inputs = read_text(text).unwrap();
    let line = |line: &corefile::Directive| {
        format!("{}:{} {}", line.name.position.line, line.name.position.column, line.name.text)
    };
    let lines = |corefile: Corefile| corefile.blocks.iter().flat_map(|block| &block.directives).map(line).collect();
    inputs.iter().map(|input| lines(input.parse(false).unwrap())).collect()
}

const MAP: &str = "apiVersion: v1\ndata:\n  Corefile: |\n    .:53 {\n        errors\n\n        import custom/*.override\n    }\n    \
                   import /etc/coredns/custom/*.server\nkind: ConfigMap\nmetadata:\n  name: coredns\n";
const CUSTOM: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: coredns-custom\ndata:\n  log.override: |\n    log\n  \
                      test.server: |\n    test.example:53 {\n        whoami\n    }\n";

/// A document as an item of a list.
fn item(document: &str) -> String {
    let indented: Vec<String> = document.lines().map(|line| format!("  {line}")).collect();
    format!("-{}\n", indented.join("\n").trim_start_matches(' ').replacen("", " ", 1))
}

#[test]
fn a_config_map_has_the_lines_of_its_manifest() {
    assert_eq!(lines(MAP), [["5:9 errors"]]);
    assert_eq!(lines(&format!("---\n{MAP}---\nkind: Service\nspec: {{}}\n")), [["6:9 errors"]]);
    // Text that YAML cannot write as a block, as kubectl does where a line ends with a blank.
    let quoted = "kind: ConfigMap\ndata:\n  Corefile: \".:53 {\\n errors \\n}\\n\"\nmetadata:\n  name: coredns\n";
    assert_eq!(lines(quoted), [["2:2 errors"]]);
    assert!(read_text(quoted).unwrap()[0].name.ends_with("cm.yaml#coredns/Corefile"));
    let json = r#"{"kind": "ConfigMap", "metadata": {"name": "dns"}, "data": {"Corefile": ".:53 {\n log\n}\n"}}"#;
    assert_eq!(lines(json), [["2:2 log"]]);
}

#[test]
fn imports_find_what_a_pod_has_beside_the_corefile() {
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{}{}", item(MAP), item(CUSTOM));
    let found = lines(&list);
    assert_eq!(found.len(), 1, "{list}");
    let names: Vec<&str> = found[0].iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(names, ["errors", "log", "whoami"]);
    assert_eq!(lines(&format!("{MAP}---\n{CUSTOM}")), [["5:9 errors", "20:5 log", "23:9 whoami"]]);
    let own =
        "kind: ConfigMap\ndata:\n  Corefile: |\n    . {\n        import more.conf\n    }\n  more.conf: |\n    any\n";
    assert_eq!(lines(own), [["8:5 any"]]);
    assert_eq!(lines(CUSTOM), [["7:5 log", "10:9 whoami"]]);
    let files = read_text(MAP).unwrap()[0].parse(false).unwrap();
    assert_eq!(files.warnings.len(), 2, "nothing is imported: {:?}", files.warnings);
}

#[test]
fn a_manifest_without_a_corefile_says_what_is_expected() {
    let said = |text: &str| read_text(text).unwrap_err().to_string();
    assert!(said("kind: ConfigMap\ndata:\n  other: x\n").contains("no ConfigMap with a key `Corefile`"));
    assert!(said("apiVersion: v1\nkind: Secret\n").contains("get configmap coredns"));
    assert!(said("apiVersion: v1\nkind: [\n").contains("this is no YAML"));
    assert!(!is_manifest(".:53 {\n errors\n}\n") && !is_manifest("# kind: of\nexample.org,\nkind {\n}\n"));
}

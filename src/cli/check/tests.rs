use std::path::Path;

use super::*;
use crate::corefile::{self, OtherMachine};

/// The findings in a Corefile that another machine will serve.
fn found(text: &str, here: bool) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Corefile");
    std::fs::write(&file, text).unwrap();
    let inputs = input::read(&file).unwrap();
    look(&inputs[0], here).1
}

/// Each as `LINE:COLUMN: MESSAGE`.
fn told(findings: &[Finding], faults: bool) -> Vec<String> {
    let wanted = findings.iter().filter(|finding| finding.is_fault() == faults).map(Finding::error);
    wanted.map(|error| format!("{}:{}: {}", error.position.line, error.position.column, error.message)).collect()
}

fn faults(text: &str) -> Vec<String> {
    told(&found(text, false), true)
}

fn places(text: &str) -> Vec<String> {
    faults(text).iter().map(|fault| fault.split(": ").next().unwrap().to_owned()).collect()
}

#[test]
fn every_fault_is_told_with_its_place() {
    let text = ". {\n errrors\n kubernetes cluster.local {\n  pods sometimes\n  ttl never\n }\n cache 30\n}\n\
                example.org {\n whoami\n hostss\n}";
    assert_eq!(places(text), ["2:2", "4:8", "5:7", "11:2"]);
}

#[test]
fn faults_of_one_directive_are_each_told() {
    let text = ". {\n kubernetes cluster.local {\n  upstream\n  resyncperiod 5m\n  cidrs 10.0.0.0/8\n }\n log a b c {\n  \
                class x\n }\n file db.x {\n  transfer to *\n  no_reload\n }\n}\nb. {\n cache 0\n forward . 192.0.2.1 {\n  \
                policy none\n  cache\n  expire never\n }\n}";
    assert_eq!(places(text), ["3:3", "4:3", "5:3", "8:9", "11:3", "12:3", "16:8", "18:10", "19:3", "20:10"]);
}

#[test]
fn what_only_lacks_a_wrong_line_is_not_told() {
    let text = ". {\n kubernetes cluster.local {\n  pods sometimes\n }\n autopath @kubernetes\n}";
    assert_eq!(places(text), ["3:8"]);
    let text = ". {\n template IN A {\n  answer \"{{ nonsense }}\"\n }\n}";
    assert_eq!(faults(text).len(), 1, "{:?}", faults(text));
    assert_eq!(places("tls://. {\n tls Cargo.toml Cargo.toml\n whoami\n}"), ["2:6"]);
}

#[test]
fn what_the_machine_lacks_is_noted_and_a_variable_that_is_not_set_is_named() {
    let text = ". {\n bind 127.0.0.1 192.0.2.1\n health 192.0.2.2:80\n ready :1\n prometheus 10.0.0.1:2\n}";
    let source = corefile::CorefileSource::Text { name: "Corefile".into(), text: text.into() };
    let corefile = corefile::parse(&source, &|_| None).unwrap();
    let interfaces = [("eth0".to_owned(), "10.0.0.1".parse().unwrap())];
    let notes =
        describe::surroundings(&Plan::look(&corefile, Some(&OtherMachine::default())).unwrap(), &corefile, &interfaces);
    let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
    assert!(notes[0].starts_with("Corefile:2:17: this machine does not have 192.0.2.1"), "{notes:?}");
    assert!(notes[1].starts_with("Corefile:3:2: this machine does not have 192.0.2.2"), "{notes:?}");
    assert_eq!(notes.len(), 2);

    let said = faults(". {\n forward . {$ROLLCALL_NO_SUCH_VARIABLE}\n}").join("\n");
    assert!(
        said.starts_with("2:12: ") && said.ends_with("; the variable ROLLCALL_NO_SUCH_VARIABLE is not set"),
        "{said}"
    );
}

#[test]
fn what_only_the_pod_has_is_a_note_and_here_a_fault() {
    let text = "tls://. {\n tls /no/tls.crt /no/tls.key /no/ca.crt {\n  client_auth require_and_verify\n }\n whoami\n}\n\
                . {\n bind eth99\n kubernetes cluster.local {\n  kubeconfig /no/kubeconfig\n }\n autopath /no/resolv.conf\n \
                loadbalance weighted /no/weights {\n  reload 0\n }\n file /no/db.x x.example {\n  reload 0\n }\n \
                hosts /no/NodeHosts\n forward . /no/upstreams consul-dns.consul.svc.cluster.local\n}\n\
                b. {\n import /no/more.conf\n forward . tls://9.9.9.9 {\n  tls /no/a.pem /no/k.pem /no/ca.pem\n }\n}\n\
                c. {\n kubernetes cluster.local {\n  endpoint https://192.0.2.1\n  tls /no/c.pem /no/k.pem /no/ca.pem\n }\n}\n";
    let findings = found(text, false);
    assert_eq!(told(&findings, true), [""; 0]);
    let notes = told(&findings, false);
    for (place, what) in [
        ("2:6", "the certificate /no/tls.crt cannot be read"),
        ("2:18", "the key /no/tls.key cannot be read"),
        ("2:30", "the CA file /no/ca.crt cannot be read"),
        ("8:7", "`eth99` is neither an address nor an interface"),
        ("10:14", "the kubeconfig /no/kubeconfig cannot be read"),
        ("12:11", "the file /no/resolv.conf cannot be read"),
        ("13:23", "the file /no/weights cannot be read"),
        ("16:7", "the zone file /no/db.x cannot be read"),
        ("19:8", "the hosts file /no/NodeHosts cannot be read"),
        ("20:12", "the list of upstreams /no/upstreams cannot be read"),
        ("20:26", "`consul-dns.consul.svc.cluster.local` is the name of a host"),
        ("23:9", "cannot import `/no/more.conf`"),
        ("25:7", "the file /no/a.pem cannot be read"),
        ("25:17", "the file /no/k.pem cannot be read"),
        ("25:27", "the file /no/ca.pem cannot be read"),
        ("31:7", "the file /no/c.pem cannot be read"),
        ("31:17", "the file /no/k.pem cannot be read"),
        ("31:27", "the file /no/ca.pem cannot be read"),
    ] {
        let is_told = |note: &String| note.starts_with(&format!("{place}: {what}"));
        assert!(notes.iter().any(is_told), "{place} {what}: {notes:#?}");
    }
    for (text, place) in [
        (". {\n autopath /no/resolv.conf\n}", "2:11: "),
        (". {\n tls /no/tls.crt /no/tls.key\n}", "2:6: "),
        (". {\n bind eth99\n}", "2:7: "),
        (". {\n import /no/more.conf\n}", "2:9: "),
        (". {\n forward . tls://9.9.9.9 {\n  tls /no/ca.pem\n }\n}", "3:7: "),
        (". {\n kubernetes a {\n  endpoint https://a\n  tls /no/c /no/k /no/ca\n }\n}", "4:7: "),
    ] {
        assert!(told(&found(text, true), true)[0].starts_with(place), "{text}");
    }
}

#[test]
fn files_that_come_with_the_corefile_are_not_missed() {
    let map = "kind: ConfigMap\ndata:\n  Corefile: |\n    . {\n        hosts /etc/coredns/NodeHosts\n        \
               file /etc/coredns/db.other other.\n    }\n  NodeHosts: |\n    192.0.2.1 node\n";
    let notes = told(&found(map, false), false);
    assert!(notes.len() == 1 && notes[0].starts_with("6:14: the zone file /etc/coredns/db.other"), "{notes:?}");
    for line in [
        "file /etc/coredns/here a.",
        "file /etc/coredns/here a. {\n            reload 0\n        }",
        "loadbalance weighted /etc/coredns/here",
        "autopath /etc/coredns/here",
        "tls /etc/coredns/here /etc/coredns/here",
        "forward . /etc/coredns/here",
    ] {
        let map = format!("kind: ConfigMap\ndata:\n  Corefile: |\n    . {{\n        {line}\n    }}\n  here: x\n");
        assert_eq!(found(&map, false), [], "{line}");
    }
}

#[test]
fn what_no_machine_can_have_stays_a_fault() {
    for text in [
        ". {\n bind 127.0.0.300\n}",
        ". {\n bind /etc/hosts\n}",
        ". {\n tls Cargo.toml Cargo.toml\n}",
        ". {\n hosts /dev/null\n}",
        ". {\n kubernetes a {\n  kubeconfig /dev/null\n }\n}",
        ". {\n import /dev\n}",
        "tls://. {\n whoami\n}",
    ] {
        assert_eq!(faults(text).len(), 1, "{text}");
    }
}

#[test]
fn a_fault_of_two_blocks_ends_the_search() {
    assert_eq!(places("a.example {\n whoami\n}\na.example {\n whoami\n}"), ["4:1"]);
    let many: String = (0..50).map(|nth| format!(" wrong{nth}\n")).collect();
    assert_eq!(places(&format!(". {{\n{many}}}")).len(), 20);
}

fn checked(file: &Path, output: Output) -> Result<Checked, Error> {
    check(&CheckOptions { file: file.into(), output, here: false })
}

#[test]
fn a_block_says_how_its_names_are_answered_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Corefile");
    let text = ".:53 {\n errors\n kubernetes cluster.local in-addr.arpa\n cache 30\n}\n\
                slow.example:53 {\n log\n kubernetes slow.example\n}\nexample.org:53 {\n bind 127.0.0.1\n whoami\n}\n\
                empty.example:53 {\n}\n";
    std::fs::write(&file, text).unwrap();
    let said = checked(&file, Output::Text).unwrap().text;
    for part in [
        ":1:1: server block .\n",
        "  listens    dns://:53\n",
        "  directives errors cache kubernetes\n",
        "  chain      errors > cache > kubernetes\n",
        "  cluster    cluster.local. in-addr.arpa.: answered on the fast path, without the chain\n",
        ":6:1: server block slow.example.\n",
        "  cluster    answered through the chain, because of log: ",
        "  listens    dns://127.0.0.1:53\n",
        "  cluster    none: no plugin answers cluster names here\n",
        "  chain      nothing: every query is refused\n",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn programs_read_an_array_in_the_order_of_lines() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Corefile");
    let name = file.to_str().unwrap();
    let read = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let checked = checked(&file, Output::Json).unwrap();
        (checked.is_accepted, serde_json::from_str::<serde_json::Value>(&checked.text).unwrap())
    };
    let row = |line: u32, column: u32, severity: &str, message: &str, hint: Option<&str>| {
        serde_json::json!({
            "file": name, "line": line, "column": column, "severity": severity, "message": message, "hint": hint
        })
    };
    assert_eq!(read(". {\n whoami\n}"), (true, serde_json::json!([])));
    let (accepted, rows) = read(". {\n pprof\n foward . 192.0.2.1\n bufsize 1\n}");
    let expected = serde_json::json!([
        row(2, 2, "note", "pprof has no effect: there is no Go runtime to profile", None),
        row(3, 2, "error", "unknown directive `foward`", Some("did you mean `forward`?")),
        row(4, 10, "error", "`1` is no whole number from 512 to 4096", None),
    ]);
    assert_eq!((accepted, rows), (false, expected));
    let (accepted, rows) = read("# nothing\n");
    assert!(!accepted && rows[0]["line"].is_null() && rows[0]["column"].is_null(), "{rows}");
    let missing = checked(&folder.path().join("missing"), Output::Json).unwrap();
    assert!(!missing.is_accepted && missing.text.contains("cannot read the Corefile"), "{missing:?}");
    assert_eq!(checked(&folder.path().join("missing"), Output::Text).unwrap_err().status(), 2);
}

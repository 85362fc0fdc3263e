//! The alerts fire when they are to: promtool's rule tests, and what surrounds them.
//!
//! `PROMTOOL` names the program; without, it is looked for on the path, and where it is not, the test says so.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use rollcall_testing::{is_there, named, repository};
use serde_json::Value;

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap()
}

/// What a PrometheusRule holds, as Prometheus itself reads it.
fn rules() -> Value {
    let rule: Value = serde_saphyr::from_str(&read("deploy/monitoring/prometheus-rule.yaml")).unwrap();
    rule["spec"].clone()
}

fn alerts() -> Vec<Value> {
    rules()["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

#[test]
fn alerts_fire_as_their_tests_say() {
    let on_path = std::env::var_os("PROMTOOL").is_none() && is_there("promtool");
    let promtool = if on_path { Some("promtool".into()) } else { named("PROMTOOL", "Prometheus's promtool") };
    let Some(promtool) = promtool else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.json"), rules().to_string()).unwrap();
    fs::write(folder.path().join("tests.yaml"), read("tests/fixtures/alerts.yaml")).unwrap();
    for arguments in [&["check", "rules", "rules.json"][..], &["test", "rules", "tests.yaml"]] {
        let run = Command::new(&promtool).args(arguments).current_dir(folder.path()).output();
        let run = run.unwrap_or_else(|error| panic!("{} cannot be started: {error}", promtool.display()));
        let said = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        assert!(run.status.success(), "{}\n{}", said(&run.stdout), said(&run.stderr));
    }
}

#[test]
fn each_alert_is_tested_firing_and_says_what_to_do() {
    let tests: Value = serde_saphyr::from_str(&read("tests/fixtures/alerts.yaml")).unwrap();
    let tests = tests["tests"].as_array().unwrap().iter().flat_map(|test| test["alert_rule_test"].as_array().unwrap());
    let firing: BTreeSet<&str> = tests
        .filter(|test| test["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()))
        .map(|test| test["alertname"].as_str().unwrap())
        .collect();
    let runbook = read("deploy/monitoring/runbook.md");
    let sections: Vec<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts();
    let names: Vec<&str> = alerts.iter().map(|alert| alert["alert"].as_str().unwrap()).collect();
    assert_eq!(sections, names, "the runbook has a section for each alert, in their order");
    for (alert, name) in alerts.iter().zip(names) {
        assert!(firing.contains(name), "tests/fixtures/alerts.yaml does not make {name} fire");
        let place = format!("deploy/monitoring/runbook.md#{}", name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook"], place.as_str());
        assert!(alert["labels"]["severity"].is_string() && alert["annotations"]["summary"].is_string(), "{name}");
    }
}

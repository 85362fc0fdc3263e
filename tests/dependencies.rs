//! The crates below this one have licences that `deny.toml` allows, and no second copy that it does not know.
//!
//! `cargo deny check` holds the same, and looks for advisories as well; this needs no program but Cargo.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn every_licence_is_one_that_is_allowed() {
    let allowed = strings("allow");
    assert!(allowed.len() > 5, "{allowed:?}");
    let mut wrong = Vec::new();
    for package in packages() {
        let (name, licence) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or("none"));
        if !holds(licence, &allowed) {
            wrong.push(format!("{name}: {licence} is not allowed by deny.toml"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Second copies that stand in Cargo.lock alone: for features of others that nobody asks for.
const NOT_BUILT: [&str; 3] = ["core-foundation", "embedded-io", "synstructure"];

#[test]
fn second_copies_are_those_that_are_known() {
    let lock = read("Cargo.lock");
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for name in lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')) {
        *versions.entry(name).or_default() += 1;
    }
    let twice: BTreeSet<String> =
        versions.into_iter().filter(|(_, copies)| *copies > 1).map(|(name, _)| name.to_owned()).collect();
    let text = read("deny.toml");
    let known = text.lines().filter_map(|line| line.trim().strip_prefix("{ crate = \"")?.split('"').next());
    let known: BTreeSet<String> = known.chain(NOT_BUILT).map(str::to_owned).collect();
    assert_eq!(twice, known, "crates of which there is a second copy, and those that deny.toml skips");
}

/// Whether an SPDX expression can be met with these licences. Old packages write `/` for `OR`.
fn holds(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ");
    let (mut depth, mut start, mut parts, mut any) = (0_u32, 0, Vec::new(), false);
    let words = [" OR ", " AND "];
    for (at, letter) in expression.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        let word = words.iter().find(|word| depth == 0 && at >= start && expression[at..].starts_with(**word));
        if let Some(word) = word {
            parts.push(&expression[start..at]);
            start = at + word.len();
            any |= *word == " OR ";
        }
    }
    parts.push(&expression[start..]);
    let mut parts = parts.into_iter().map(str::trim);
    if parts.len() == 1 {
        let part = parts.next().unwrap();
        return match part.strip_prefix('(').and_then(|part| part.strip_suffix(')')) {
            Some(inner) => holds(inner, allowed),
            None => allowed.contains(part),
        };
    }
    assert!(!any || !expression_mixes(&expression), "{expression}: OR and AND without parentheses");
    if any { parts.any(|part| holds(part, allowed)) } else { parts.all(|part| holds(part, allowed)) }
}

/// Whether both words stand outside of parentheses.
fn expression_mixes(expression: &str) -> bool {
    let mut depth = 0_u32;
    let mut outside = String::new();
    for letter in expression.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            other if depth == 0 => outside.push(other),
            _ => {}
        }
    }
    outside.contains(" OR ") && outside.contains(" AND ")
}

#[test]
fn expressions_of_licences_are_understood() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    for met in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "MIT AND ISC", "(GPL-3.0 OR MIT) AND ISC"] {
        assert!(holds(met, &allowed), "{met}");
    }
    for unmet in ["GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR MIT) AND BSD-3-Clause", "none"] {
        assert!(!holds(unmet, &allowed), "{unmet}");
    }
}

/// The packages of this build, as Cargo knows them, without asking anybody.
fn packages() -> Vec<Value> {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told["packages"].as_array().unwrap().clone()
}

/// The strings of a list of `deny.toml`.
fn strings(key: &str) -> BTreeSet<String> {
    let text = read("deny.toml");
    let list = text.split(&format!("\n{key} = [")).nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

//! Links from one document to another, and to files: each leads somewhere.

use std::path::{Path, PathBuf};

use super::documents::{self, Document, root};

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let mut wrong = Vec::new();
    for document in documents::all() {
        for target in targets(&document) {
            if !target.contains("://") && !leads(&document.path, &target) {
                wrong.push(format!("{}: {target} leads nowhere", document.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_path_of_the_sources_that_a_document_names_is_there() {
    let mut wrong = Vec::new();
    for document in documents::all().iter().filter(|document| document.path != "CHANGELOG.md") {
        for span in document.code_spans() {
            let names_path = ["src/", "tests/", "benches/", "deploy/", "docs/", ".ci/", ".github/"];
            let is_path =
                names_path.iter().any(|folder| span.starts_with(folder)) && !span.contains(['…', '*', '<', ' ']);
            if is_path && !root().join(&span).exists() {
                wrong.push(format!("{}: there is no {span}", document.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The targets of links and images, `](TARGET)`.
fn targets(document: &Document) -> Vec<String> {
    let prose = document.prose();
    prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

fn leads(from: &str, target: &str) -> bool {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let to = if path.is_empty() { PathBuf::from(from) } else { Path::new(from).parent().unwrap().join(path) };
    root().join(&to).exists()
        && anchor.is_none_or(|anchor| Document::read(to.to_str().unwrap()).anchors().iter().any(|own| own == anchor))
}

#[test]
fn a_link_to_nothing_is_seen() {
    assert!(leads("docs/directives.md", "differences.md") && leads("README.md", "docs/laptop.md#your-own-manifests"));
    assert!(!leads("docs/directives.md", "docs/differences.md"));
    assert!(!leads("README.md", "docs/laptop.md#no-such-heading") && !leads("README.md", "#no-such-heading"));
}

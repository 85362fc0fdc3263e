//! One file: what its documents are, and what is wrong with those that are manifests.

use std::cell::LazyCell;
use std::path::Path;
use std::sync::Arc;

use super::error::{Error, FilePosition, Remark};
use super::kinds;
use super::objects::Objects;
use super::strays::{Stray, StraySort};
use super::tree::{ManifestField, Node};

/// The contents of one file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Content {
    /// Its objects, as far as they are right.
    pub(super) objects: Objects,
    /// Its documents from which no name comes.
    pub(super) strays: Vec<Stray>,
    /// Its manifests that are wrong, with the place.
    pub(super) faults: Vec<Error>,
    /// Remarks on those that are served.
    pub(super) remarks: Vec<Remark>,
}

impl Content {
    /// Reads the documents of a file, each for itself. Objects that name no namespace are in `namespace`. A file that the
    /// command line does not name may be something else altogether.
    pub(super) fn read(path: &Arc<Path>, text: &str, namespace: &str, named: bool) -> Self {
        let mut content = Self::default();
        // Most files of a large tree are no manifests, and need not be taken apart to see it.
        if !named && !is_manifest(text) && !is_slip(text) {
            content.take_foreign(path, text);
            return content;
        }
        match Node::read(path, 0, text) {
            Ok(documents) => content.take_documents(path, 0, text, &documents, namespace),
            Err(error) => match documents(text) {
                // One document that cannot be read does not hide the others.
                Some(documents) => documents.for_each(|(before, document)| match Node::read(path, before, document) {
                    Ok(nodes) => content.take_documents(path, before, document, &nodes, namespace),
                    Err(error) => content.take_unreadable(error, document),
                }),
                None => content.take_unreadable(error, text),
            },
        }
        content
    }

    /// The reason why a file that the command line names cannot be served: what in a folder would be left out.
    pub(super) fn refusal(&self) -> Option<&Error> {
        let foreign = self.strays.iter().find(|stray| stray.is_foreign()).map(|stray| &stray.error);
        self.faults.first().or(foreign)
    }

    /// The breakage of an edit: a fault or a document that is no manifest, more than there were before.
    pub(super) fn broken_since(&self, before: &Self) -> Option<&Error> {
        let foreign = |content: &Self| content.strays.iter().filter(|stray| stray.is_foreign()).count();
        if self.faults.len() > before.faults.len() {
            return self.faults.iter().find(|fault| !before.faults.contains(fault));
        }
        if foreign(self) > foreign(before) {
            let mut strays = self.strays.iter().filter(|stray| stray.is_foreign());
            return strays.find(|stray| !before.strays.contains(stray)).map(|stray| &stray.error);
        }
        None
    }

    /// A file without any manifest.
    fn take_foreign(&mut self, path: &Arc<Path>, text: &str) {
        let is_blank = |line: &str| line.is_empty() || line.starts_with('#') || line == "---" || line == "...";
        if text.trim_start_matches('\u{feff}').lines().all(|line| is_blank(line.trim())) {
            return;
        }
        let sort = if text.contains("{{") { StraySort::Template } else { StraySort::NoKind };
        let place = FilePosition { file: path.clone(), line: 1, column: 1 };
        self.strays.push(Stray { error: Error::at(place, NO_KIND), sort });
    }

    /// Takes the documents of a text that stands behind so many lines.
    fn take_documents(&mut self, path: &Arc<Path>, before: u32, text: &str, documents: &[Node], namespace: &str) {
        let lines = LazyCell::new(|| text.lines().collect::<Vec<_>>());
        for document in documents.iter().filter(|document| !document.is_empty()) {
            let faults = self.faults.len();
            self.take(&document.root(path), namespace);
            // A name such as "{{ .Release.Name }}" is one of a template.
            let is_template = |fault: &Error| {
                let line = fault.place().and_then(|place| lines.get(place.line.saturating_sub(before + 1) as usize));
                line.is_some_and(|line| line.contains("{{"))
            };
            if self.faults.iter().skip(faults).any(is_template) {
                self.strays.extend(self.faults.drain(faults..).map(|error| Stray { error, sort: StraySort::Template }));
            }
        }
    }

    fn take_unreadable(&mut self, error: Error, text: &str) {
        match (text.contains("{{"), is_manifest(text)) {
            (true, _) => self.strays.push(Stray { error, sort: StraySort::Template }),
            (false, true) => self.faults.push(error),
            (false, false) => self.strays.push(Stray { error, sort: StraySort::NoYaml }),
        }
    }

    /// Takes one document: an object, or a `List` of them.
    fn take(&mut self, object: &ManifestField<'_>, namespace: &str) {
        let known = |field: Result<ManifestField<'_>, Error>| {
            field.ok().and_then(|field| field.text().ok().flatten().map(kinds::is_read)).unwrap_or(false)
        };
        if !object.has_field("kind") || !object.has_field("apiVersion") && !known(object.get("kind")) {
            self.strays.push(Stray { error: object.error(NO_KIND), sort: StraySort::NoKind });
        } else if let Err(error) = self.take_object(object, namespace) {
            self.faults.push(error);
        }
    }

    fn take_object(&mut self, object: &ManifestField<'_>, namespace: &str) -> Result<(), Error> {
        let kind = object.get("kind")?.required_text()?;
        let version = object.get("apiVersion")?.required_text()?;
        let group = version.split_once('/').map_or("", |(group, _)| group);
        if (group, kind) == ("", "List") {
            object.get("items")?.items()?.iter().for_each(|item| self.take(item, namespace));
        } else if is_hook(object, kind) {
            let error = object.error(format_args!("{kind} is a hook of a chart"));
            self.strays.push(Stray { error, sort: StraySort::Other(format!("hook {kind}")) });
        } else if !self.objects.take(object, group, kind, namespace, &mut self.remarks)? {
            match kinds::suspicion(&object.place(), version, group, kind) {
                Some(remark) => self.remarks.push(remark),
                None => {
                    let error = object.error(format_args!("{version} {kind} has no names"));
                    self.strays.push(Stray { error, sort: StraySort::Other(kind.into()) });
                }
            }
        }
        Ok(())
    }
}

/// Whether pods run before or after a release of a chart, and not with it.
fn is_hook(object: &ManifestField<'_>, kind: &str) -> bool {
    let annotations = object.get("metadata").and_then(|meta| meta.get("annotations"));
    matches!(kind, "Pod" | "Job") && annotations.is_ok_and(|annotations| annotations.has_field("helm.sh/hook"))
}

const NO_KIND: &str = "has no `apiVersion` and `kind`, so it is no manifest: render it first (helm template, kubectl \
                       kustomize), or name the manifest files one by one";

/// Whether a manifest may be in a text.
fn is_manifest(text: &str) -> bool {
    text.contains("apiVersion") && text.contains("kind")
}

/// Whether a text without `apiVersion` or `kind` may be a manifest in which just these are misspelled or missing.
fn is_slip(text: &str) -> bool {
    let begins = |line: &str, word: &str| line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let kind = text.lines().any(|line| begins(line, "kind:") || begins(line.trim_start(), "\"kind\""));
    kind && text.lines().any(|line| begins(line.trim_start(), "metadata") || begins(line.trim_start(), "\"metadata"))
}

/// The documents of a YAML text that has several, each with the number of lines before it.
fn documents(text: &str) -> Option<impl Iterator<Item = (u32, &str)>> {
    let mut starts: Vec<(usize, u32)> = vec![(0, 0)];
    let mut at = 0;
    for (number, line) in (0..).zip(text.split_inclusive('\n')) {
        if number > 0 && line.starts_with("---") {
            starts.push((at, number));
        }
        at += line.len();
    }
    let ends: Vec<usize> = starts.iter().skip(1).map(|(start, _)| *start).chain([text.len()]).collect();
    let cut = move |((start, before), end)| (before, text.get(start..end).unwrap_or_default());
    (starts.len() > 1).then(|| starts.into_iter().zip(ends).map(cut))
}

//! Documents from which no name comes: told of in one line, however many there are.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use super::error::{Error, Remark};

/// The number of files or kinds of one sort that are named.
const NAMED: usize = 3;

/// A document that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stray {
    /// The place, and what would be said of it where the command line names its file.
    pub(super) error: Error,
    pub(super) sort: StraySort,
}

/// The reason why a document is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StraySort {
    /// A template of manifests, as in the source of a chart.
    Template,
    /// It has not both `apiVersion` and `kind`.
    NoKind,
    /// It cannot be read as YAML or JSON.
    NoYaml,
    /// A part of an object, which a kustomization lays over it.
    Patch,
    /// An object of a kind that has no names.
    Other(String),
}

impl Stray {
    /// Whether it is no manifest at all.
    pub(super) fn is_foreign(&self) -> bool {
        !matches!(self.sort, StraySort::Other(_))
    }
}

/// The line for all that is left out; none where that is nothing.
pub(super) fn summary<'s>(strays: impl IntoIterator<Item = &'s Stray>) -> Option<Remark> {
    let mut sorts: BTreeMap<&StraySort, Vec<&Error>> = BTreeMap::new();
    for stray in strays {
        sorts.entry(&stray.sort).or_default().push(&stray.error);
    }
    let all: usize = sorts.values().map(Vec::len).sum();
    if all == 0 {
        return None;
    }
    let mut parts = Vec::new();
    let mut kinds = Vec::new();
    for (sort, errors) in &sorts {
        let what = match (sort, errors.len()) {
            (StraySort::Template, 1) => "template",
            (StraySort::Template, _) => "templates",
            (StraySort::NoKind, _) => "without apiVersion and kind",
            (StraySort::NoYaml, _) => "not readable as YAML",
            (StraySort::Patch, 1) => "patch of a kustomization",
            (StraySort::Patch, _) => "patches of kustomizations",
            (StraySort::Other(kind), count) => {
                kinds.push((count, kind));
                continue;
            }
        };
        // The first place helps to find what is not meant to be left out.
        let place = matches!(sort, StraySort::NoYaml);
        parts.push(format!("{} {what} ({})", errors.len(), examples(errors, place)));
    }
    if !kinds.is_empty() {
        kinds.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let total: usize = kinds.iter().map(|(count, _)| count).sum();
        let named = kinds.iter().take(NAMED).map(|(count, kind)| format!("{count} {kind}"));
        let mut text = named.collect::<Vec<_>>().join(", ");
        let more = kinds.len().saturating_sub(NAMED);
        if more > 0 {
            let _ = write!(text, " and {more} kinds more");
        }
        parts.push(format!("{total} of kinds without names ({text})"));
    }
    let documents = if all == 1 { "document is" } else { "documents are" };
    let mut message = format!("{all} {documents} left out: {}", parts.join(", "));
    if sorts.contains_key(&StraySort::Template) {
        message.push_str("; a chart is rendered first: helm template CHART | rollcall local -");
    }
    Some(Remark::info(message))
}

/// The first files, each once.
fn examples(errors: &[&Error], place: bool) -> String {
    let mut seen = HashSet::new();
    let mut names: Vec<String> = errors
        .iter()
        .map(|error| match place {
            true => error.subject().to_string(),
            false => error.subject().file().display().to_string(),
        })
        .filter(|name| seen.insert(name.clone()))
        .collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let text = names.join(", ");
    if more > 0 { format!("{text} and {more} files more") } else { text }
}

//! Kustomizations are not applied: what they would lay over the plain files is told of and left out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Error, Level, Remark, Subject};
use super::tree::{ManifestField, Node};

/// The paths that a kustomization names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct KustomizationPaths {
    /// The files of its patches.
    pub(super) patches: Vec<PathBuf>,
    /// The parts that it is made of: files, and folders of other kustomizations.
    pub(super) resources: Vec<PathBuf>,
}

/// Reads a kustomization; one that cannot be read names nothing.
pub(super) fn read(path: &Arc<Path>, text: &str) -> KustomizationPaths {
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let documents = Node::read(path, 0, text).unwrap_or_default();
    let mut names = KustomizationPaths::default();
    for document in &documents {
        let root = document.root(path);
        let items = |name| root.get(name).and_then(|field: ManifestField<'_>| field.items()).unwrap_or_default();
        let path = |field: ManifestField<'_>| field.text().ok().flatten().map(|text| plain(&folder.join(text)));
        for item in ["patches", "patchesJson6902"].into_iter().flat_map(items) {
            names.patches.extend(item.get("path").ok().and_then(path));
        }
        names.patches.extend(items("patchesStrategicMerge").into_iter().filter_map(path));
        names.resources.extend(["resources", "bases", "components"].into_iter().flat_map(items).filter_map(path));
    }
    names
}

/// A path without `.` and `..`.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// The warning for all kustomizations together: at one that no other is made of.
pub(super) fn warning(all: &[(&Path, &KustomizationPaths)]) -> Option<Remark> {
    let is_part = |path: &Path| all.iter().any(|(_, names)| names.resources.contains(&plain(folder(path))));
    let paths = || all.iter().map(|(path, _)| *path);
    let first = &paths().find(|path| !is_part(path)).or_else(|| paths().next())?;
    let more = match all.len() - 1 {
        0 => String::new(),
        1 => ", and so is one more".to_owned(),
        more => format!(", and so are {more} more"),
    };
    let message = format!(
        "this kustomization is not applied{more}: names, namespaces and replicas are those of the plain files; \
         `kustomize build {0} | rollcall local -` serves the result (or `kubectl kustomize {0}`)",
        folder(first).display()
    );
    Some(Remark { at: Some(Subject::File((*first).into())), level: Level::Warning, message })
}

/// The reason why a kustomization that is named itself is refused.
pub(super) fn refusal(path: &Path) -> Error {
    let folder = folder(path).display();
    Error::file(path, format!("a kustomization is no manifest: `kustomize build {folder} | rollcall local -`"))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

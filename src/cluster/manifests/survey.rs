//! The survey of files: those that are named, and those below the folders that are named.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::Error;
use crate::files::Stamp;

/// The names of files in which kustomizations are written.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The files and folders at one time.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The manifest files, each once, folders in the order of names.
    pub(super) files: Vec<SurveyedFile>,
    /// The files of kustomizations.
    pub(super) kustomizations: Vec<SurveyedFile>,
    /// The folders that were looked through.
    pub(super) folders: Vec<(PathBuf, Identity)>,
    /// Paths that lead somewhere else: links, and those of the command line. Their own folders tell when they change.
    pub(super) entrances: Vec<PathBuf>,
    /// Paths that cannot be looked at, and why.
    pub(super) faults: Vec<(PathBuf, Error)>,
    seen: HashSet<Identity>,
}

/// A file.
#[derive(Clone, Debug)]
pub(super) struct SurveyedFile {
    pub(super) path: PathBuf,
    /// The command line names it, not only a folder of it.
    pub(super) named: bool,
    pub(super) stamp: Stamp,
}

/// The identity of a file or folder, whatever its names: device and inode.
pub(super) type Identity = (u64, u64);

impl Survey {
    /// Looks at what the command line names. What is not there is a fault of the survey.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut survey = Self::default();
        for path in paths {
            survey.entrances.push(path.clone());
            match fs::metadata(path) {
                Ok(meta) if meta.is_dir() => survey.walk(path, &meta),
                Ok(meta) if meta.is_file() => survey.add(path.clone(), &meta, true),
                // Files are read again to follow edits, which takes a pipe empty or waits for its writer for ever.
                Ok(_) => survey.fault(path, "is neither a file nor a folder: write the manifests to a file"),
                Err(error) => survey.fault(path, format!("cannot be read: {error}")),
            }
        }
        survey
    }

    fn fault(&mut self, path: &Path, message: impl Into<String>) {
        self.faults.push((path.into(), Error::file(path, message)));
    }

    fn add(&mut self, path: PathBuf, meta: &Metadata, named: bool) {
        if !self.seen.insert(identity(meta)) {
            return;
        }
        let found = SurveyedFile { named, stamp: Stamp::of(meta), path };
        match is_kustomization(&found.path) {
            true => self.kustomizations.push(found),
            false => self.files.push(found),
        }
    }

    /// A folder and what is below it; a link that points back leads to what has been seen.
    fn walk(&mut self, folder: &Path, meta: &Metadata) {
        if !self.seen.insert(identity(meta)) {
            return;
        }
        self.folders.push((folder.into(), identity(meta)));
        let entries = match fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(error) => return self.fault(folder, format!("cannot be read: {error}")),
        };
        let mut entries: Vec<_> = entries.into_iter().map(|entry| (entry.path(), entry.file_type().ok())).collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (path, kind) in entries {
            let Some(name) = path.file_name() else { continue };
            // Hidden files are the business of editors and of mounted ConfigMaps.
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let manifest = is_manifest(&path) || is_kustomization(&path);
            let link = kind.is_none_or(|kind| kind.is_symlink());
            // What is neither is not looked at: a tree has many other files.
            if !manifest && !link && kind.is_some_and(|kind| !kind.is_dir()) {
                continue;
            }
            match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() || manifest && meta.is_file() => {
                    if link {
                        self.entrances.push(path.clone());
                    }
                    match meta.is_dir() {
                        true => self.walk(&path, &meta),
                        false => self.add(path, &meta, false),
                    }
                }
                // Gone since the folder was listed, or a link to nothing: as if it were not there.
                Err(error) if manifest && error.kind() != std::io::ErrorKind::NotFound => {
                    self.fault(&path, format!("cannot be read: {error}"));
                }
                _ => {}
            }
        }
    }
}

/// Whether a file is one that may hold manifests, by its name.
pub(super) fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json")
}

/// Whether a file is one of a kustomization, by its name.
pub(super) fn is_kustomization(path: &Path) -> bool {
    path.file_name().is_some_and(|name| KUSTOMIZATIONS.iter().any(|own| name == *own))
}

/// The identity of what a path leads to at present.
pub(super) fn identity_of(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().as_ref().map(identity)
}

fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino())
}

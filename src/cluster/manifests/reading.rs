//! The files as they were read last: each for itself, so that a fault in one holds up no other.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::content::Content;
use super::error::{Error, Level, Remark};
use super::kustomize;
use super::objects::Objects;
use super::strays::{self, Stray, StraySort};
use super::survey::{Identity, Survey, SurveyedFile};
use crate::files::{self, FRESH, Stamp};

/// More remarks of one sort than this nobody reads.
const MOST: usize = 20;

/// The sources of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// Files, folders with all that is below them, and `-` for standard input.
    pub paths: Vec<PathBuf>,
    /// The namespace of objects that name none.
    pub namespace: String,
}

impl Default for Sources {
    fn default() -> Self {
        Self { paths: Vec::new(), namespace: "default".into() }
    }
}

impl From<Vec<PathBuf>> for Sources {
    fn from(paths: Vec<PathBuf>) -> Self {
        Self { paths, ..Self::default() }
    }
}

/// The files and what they hold.
#[derive(Debug)]
pub(super) struct Reading {
    paths: Vec<PathBuf>,
    namespace: String,
    /// Text that was handed over once and cannot be read again: standard input.
    handed_over: Vec<Arc<Content>>,
    files: Vec<Kept>,
    kustomizations: Vec<Kustomization>,
    /// Paths that cannot be looked at, with the reason.
    faults: Vec<(PathBuf, Error)>,
    hasher: RandomState,
    /// The folders that were looked through.
    pub(super) folders: Vec<(PathBuf, Identity)>,
    /// See [`Survey::entrances`].
    pub(super) entrances: Vec<PathBuf>,
}

/// A file as it was read last.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    named: bool,
    stamp: Stamp,
    hash: u64,
    content: Arc<Content>,
    /// The reason why the content is an older one.
    complaint: Option<Error>,
    /// It is empty for now: whoever emptied it may be about to write.
    unsettled: bool,
}

#[derive(Debug)]
struct Kustomization {
    path: PathBuf,
    stamp: Stamp,
    names: kustomize::KustomizationPaths,
}

impl Reading {
    /// Reads everything for the first time.
    ///
    /// # Errors
    /// When something that the command line names cannot be read or is wrong, with the place, or holds no manifest.
    pub(super) fn start(sources: &Sources, clock: SystemTime) -> Result<Self, Error> {
        let (once, paths): (Vec<_>, Vec<_>) = sources.paths.iter().cloned().partition(|path| is_handed_over(path));
        let mut reading = Self {
            paths,
            namespace: sources.namespace.clone(),
            handed_over: Vec::new(),
            files: Vec::new(),
            kustomizations: Vec::new(),
            faults: Vec::new(),
            hasher: RandomState::new(),
            folders: Vec::new(),
            entrances: Vec::new(),
        };
        for path in &once {
            let content = read_once(path, &sources.namespace)?;
            reading.handed_over.push(Arc::new(content));
        }
        reading.look(clock);
        let named = |path: &Path| reading.paths.iter().any(|own| own == path);
        if let Some((_, error)) = reading.faults.iter().find(|(path, _)| named(path)) {
            return Err(error.clone());
        }
        for file in reading.files.iter().filter(|file| file.named) {
            if let Some(error) = file.complaint.as_ref().or_else(|| file.content.refusal()) {
                return Err(error.clone());
            }
        }
        if let Some(own) = reading.kustomizations.iter().find(|own| named(&own.path)) {
            return Err(kustomize::refusal(&own.path));
        }
        reading.refuse_nothing()?;
        Ok(reading)
    }

    /// Refuses folders that hold no manifest at all: nobody means that.
    fn refuse_nothing(&self) -> Result<(), Error> {
        let some = self.contents().any(|content| !content.objects.is_empty() || !content.faults.is_empty());
        let Some(path) = self.paths.first().filter(|_| !some && !self.files.iter().any(|file| file.named)) else {
            return Ok(());
        };
        if let Some(own) = self.kustomizations.first() {
            return Err(kustomize::refusal(&own.path));
        }
        let message = match strays::summary(self.strays().iter()) {
            Some(remark) => format!("the folder holds no Service, workload or Pod: {}", remark.message),
            None if self.files.is_empty() => "the folder holds no *.yaml, *.yml or *.json file".to_owned(),
            None => "the folder holds no manifest".to_owned(),
        };
        Err(Error::file(path, message))
    }

    /// Looks at the files again, and reads those that have changed; says whether what they hold has.
    pub(super) fn look(&mut self, clock: SystemTime) -> bool {
        let survey = Survey::of(&self.paths);
        let patches = self.look_at_kustomizations(&survey.kustomizations, clock);
        let mut before: HashMap<PathBuf, Kept> = self.files.drain(..).map(|file| (file.path.clone(), file)).collect();
        let count = before.len();
        let mut changed = patches || self.faults != survey.faults;
        self.faults = survey.faults;
        let patches: HashSet<&Path> =
            self.kustomizations.iter().flat_map(|own| &own.names.patches).map(PathBuf::as_path).collect();
        let mut files = Vec::with_capacity(survey.files.len());
        for found in survey.files {
            let patch = !found.named && patches.contains(&*kustomize::plain(&found.path));
            let kept = match before.remove(&found.path) {
                Some(kept) if kept.stamp == found.stamp && !kept.unsettled && !found.stamp.is_fresh(clock) => kept,
                kept => {
                    let (kept, edited) = self.read(found, kept, patch, clock);
                    changed |= edited;
                    kept
                }
            };
            files.push(kept);
        }
        // What cannot be looked at for now may be there all the same.
        for (path, kept) in before {
            if self.faults.iter().any(|(fault, _)| path.starts_with(fault)) {
                files.push(kept);
            }
        }
        changed |= files.len() != count;
        self.files = files;
        (self.folders, self.entrances) = (survey.folders, survey.entrances);
        changed
    }

    /// Reads the kustomizations that have changed; says whether they name other patches now.
    fn look_at_kustomizations(&mut self, found: &[SurveyedFile], clock: SystemTime) -> bool {
        let mut before = std::mem::take(&mut self.kustomizations);
        let paths =
            |these: &[Kustomization]| these.iter().map(|own| (own.path.clone(), own.names.clone())).collect::<Vec<_>>();
        let old = paths(&before);
        for found in found {
            let at = before.iter().position(|own| own.path == found.path);
            let own = match at.map(|at| before.swap_remove(at)) {
                Some(own) if own.stamp == found.stamp && !found.stamp.is_fresh(clock) => own,
                _ => {
                    let text = read(&found.path, files::CONFIGURATION).unwrap_or_default();
                    let names = kustomize::read(&found.path.as_path().into(), &text);
                    Kustomization { path: found.path.clone(), stamp: found.stamp.clone(), names }
                }
            };
            self.kustomizations.push(own);
        }
        let same = paths(&self.kustomizations) == old;
        if !same {
            // Other files are patches now.
            self.files.iter_mut().for_each(|file| file.unsettled = true);
        }
        !same
    }

    /// Reads a file; says whether that changes what is served or told.
    fn read(&self, found: SurveyedFile, before: Option<Kept>, patch: bool, clock: SystemTime) -> (Kept, bool) {
        let SurveyedFile { path, named, stamp } = found;
        let unsettled = false;
        let text = match read(&path, files::RECORDS) {
            Ok(text) => text,
            Err(error) => {
                let error = Error::file(&path, format!("cannot be read: {}", error.why()));
                let told = before.as_ref().is_some_and(|kept| kept.complaint.as_ref() == Some(&error));
                let (hash, content) = before.map_or_else(Default::default, |kept| (kept.hash, kept.content));
                return (Kept { path, named, stamp, hash, content, complaint: Some(error), unsettled }, !told);
            }
        };
        let before = match before {
            Some(kept) if text.is_empty() && !kept.content.objects.is_empty() && stamp.is_fresh(clock) => {
                return (Kept { stamp, unsettled: true, ..kept }, false);
            }
            before => before,
        };
        let hash = self.hasher.hash_one((&text, patch));
        let before = match before {
            Some(kept) if kept.hash == hash && kept.complaint.as_ref().is_none_or(|own| own.place().is_some()) => {
                return (Kept { stamp, unsettled, ..kept }, false);
            }
            before => before,
        };
        let file = path.as_path().into();
        let before = before.filter(|before| !before.content.objects.is_empty());
        let content = match patch {
            true => {
                let stray =
                    Stray { error: Error::file(&path, "is a patch of a kustomization"), sort: StraySort::Patch };
                Content { strays: vec![stray], ..Content::default() }
            }
            false => Content::read(&file, &text, &self.namespace, named || before.is_some()),
        };
        if let Some(old) = before.filter(|_| !patch)
            && let Some(error) = content.broken_since(&old.content)
        {
            let complaint = Some(error.clone());
            return (Kept { path, named, stamp, hash, content: old.content, complaint, unsettled }, true);
        }
        (Kept { path, named, stamp, hash, content: Arc::new(content), complaint: None, unsettled }, true)
    }

    fn contents(&self) -> impl Iterator<Item = &Content> {
        self.handed_over.iter().chain(self.files.iter().map(|file| &file.content)).map(|content| &**content)
    }

    fn strays(&self) -> Vec<Stray> {
        self.contents().flat_map(|content| content.strays.iter().cloned()).collect()
    }

    /// The objects of all files together.
    pub(super) fn objects(&self) -> Objects {
        let mut objects = Objects::default();
        self.contents().for_each(|content| objects.extend(&content.objects));
        objects
    }

    /// The files that only stand in a folder: all others are named by the command line.
    pub(super) fn in_folders(&self) -> HashSet<&Path> {
        self.files.iter().filter(|file| !file.named).map(|file| &*file.path).collect()
    }

    /// When the files should be looked at again although nothing tells of a change.
    pub(super) fn unsettled(&self) -> Option<Duration> {
        self.files.iter().any(|file| file.unsettled).then_some(FRESH)
    }

    /// Whether some edit, or some path, is not served as it is.
    pub(super) fn is_broken(&self) -> bool {
        !self.faults.is_empty() || self.files.iter().any(|file| file.complaint.is_some())
    }

    /// The remarks on the files: edits that are not served, faults, what looks wrong, what is left out.
    pub(super) fn remarks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let complaints = self.files.iter().filter_map(|file| {
            let (level, kept) = consequence(!file.content.objects.is_empty());
            file.complaint.as_ref().map(|error| error.to_remark(level, kept))
        });
        remarks.extend(few(complaints.collect()));
        let faults = self.faults.iter().map(|(path, error)| {
            let (level, kept) = consequence(self.files.iter().any(|file| file.path.starts_with(path)));
            error.to_remark(level, kept)
        });
        remarks.extend(few(faults.collect()));
        let faults = self.contents().flat_map(|content| &content.faults);
        let faults: Vec<_> = faults.map(|error| error.to_remark(Level::Warning, "it is left out")).collect();
        remarks.extend(few(faults));
        remarks.extend(few(self.contents().flat_map(|content| content.remarks.iter().cloned()).collect()));
        let kustomizations: Vec<_> = self.kustomizations.iter().map(|own| (own.path.as_path(), &own.names)).collect();
        remarks.extend(kustomize::warning(&kustomizations));
        remarks.extend(strays::summary(self.strays().iter()));
        remarks
    }
}

/// The weight with which a fault matters, and what becomes of the thing, when something is served of it still.
fn consequence(kept: bool) -> (Level, &'static str) {
    match kept {
        true => (Level::Error, "what was read last is served on"),
        false => (Level::Warning, "it is left out"),
    }
}

/// The first few of many remarks, and how many there are more.
pub(super) fn few(mut remarks: Vec<Remark>) -> Vec<Remark> {
    let more = remarks.len().saturating_sub(MOST);
    if more > 0 {
        remarks.truncate(MOST);
        remarks.push(Remark::info(format!("and {more} more of these")));
    }
    remarks
}

/// Whether a path stands for what can be read once.
fn is_handed_over(path: &Path) -> bool {
    path == Path::new("-") || files::is_handed_over(path)
}

/// Reads a manifest; the thread that follows manifests may wait for it.
fn read(path: &Path, most: u64) -> Result<String, files::Error> {
    files::to_text(path, files::read_at_leisure(path, most)?)
}

fn read_once(path: &Path, namespace: &str) -> Result<Content, Error> {
    let name = if path == Path::new("-") { Path::new("stdin") } else { path };
    let text = files::read_named(path, files::RECORDS)
        .map_err(|error| Error::file(name, format!("cannot be read: {}", error.why())))?;
    let content = Content::read(&name.into(), &text, namespace, true);
    match content.refusal() {
        Some(error) => Err(error.clone()),
        None if content.objects.is_empty() => {
            Err(Error::file(name, "no Service, workload or Pod comes in: what is before the pipe printed none"))
        }
        None => Ok(content),
    }
}

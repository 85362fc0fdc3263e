//! Has the system tell of changes in folders, where it can.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::survey::{self, Identity};

/// Watches folders, and tells the thread that follows the files.
#[derive(Debug)]
pub(super) struct Eyes {
    watcher: Option<RecommendedWatcher>,
    watched: HashMap<PathBuf, Identity>,
    looks: Arc<Looks>,
    /// The reason why some folder is not watched.
    blind: Option<String>,
}

/// The reason why the thread that follows the files wakes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    Changed,
    Stop,
}

/// The state that the callback of the watcher shares.
#[derive(Debug)]
struct Looks {
    wake: Mutex<Sender<Wake>>,
    /// A change has been told that nobody has looked at yet.
    told: AtomicBool,
    /// For each folder that is watched, the names that count in it; all that may be manifests where there are none.
    names: Mutex<HashMap<PathBuf, HashSet<OsString>>>,
}

impl Eyes {
    pub(super) fn new(wake: Sender<Wake>) -> Self {
        let looks = Arc::new(Looks { wake: Mutex::new(wake), told: AtomicBool::new(false), names: Mutex::default() });
        let callback = looks.clone();
        let made = notify::recommended_watcher(move |event: notify::Result<Event>| callback.tell(event));
        let (watcher, blind) = match made {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { watcher, watched: HashMap::new(), looks, blind }
    }

    /// Changes from now on are told again.
    pub(super) fn open(&self) {
        self.looks.told.store(false, Ordering::Release);
    }

    /// The time in which nothing needs to be looked at, when a look takes this long. Even where changes are told, some file systems
    /// tell only of those that this machine makes.
    pub(super) fn pause(&self, cost: Duration) -> Duration {
        match self.blind {
            None => Duration::from_secs(2).max(cost * 1000),
            Some(_) => Duration::from_millis(200).max(cost * 50),
        }
    }

    /// Watches these folders, and those from which the entrances lead; says whether something is watched that was not.
    pub(super) fn watch(&mut self, folders: &[(PathBuf, Identity)], entrances: &[PathBuf]) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        // One folder has one watch, by whatever names it is reached.
        let mut wanted: HashMap<Identity, PathBuf> =
            folders.iter().map(|(path, identity)| (*identity, path.clone())).collect();
        let looked_through: HashSet<Identity> = wanted.keys().copied().collect();
        let mut names: HashMap<PathBuf, HashSet<OsString>> = HashMap::new();
        for path in entrances {
            // The link may be exchanged, and what it leads to may be.
            for path in [absolute(path), path.canonicalize()].into_iter().flatten() {
                let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { continue };
                let Some(identity) = survey::identity_of(folder).filter(|own| !looked_through.contains(own)) else {
                    continue;
                };
                let folder = wanted.entry(identity).or_insert_with(|| folder.into());
                names.entry(folder.clone()).or_default().insert(name.into());
            }
        }
        *self.looks.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        self.watched.retain(|path, identity| {
            let stays = wanted.get(identity) == Some(path);
            if !stays {
                // A folder that is gone has ended its watch itself.
                let _ = watcher.unwatch(path);
            }
            stays
        });
        let mut new = false;
        let mut blind = None;
        for (identity, path) in wanted {
            if self.watched.contains_key(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(path, identity);
                    new = true;
                }
                // Gone already: the next look sees it.
                Err(_) if !path.exists() => {}
                Err(error) => {
                    blind = Some(error.to_string());
                    break;
                }
            }
        }
        if let Some(why) = blind.as_ref().filter(|_| self.blind.is_none()) {
            tracing::info!(
                "the system does not tell of all changes ({why}): the files are looked at from time to time"
            );
        }
        self.blind = blind;
        new
    }
}

impl Looks {
    fn tell(&self, event: notify::Result<Event>) {
        let counts = event.as_ref().map_or(true, |event| self.counts(event));
        if counts && !self.told.swap(true, Ordering::AcqRel) {
            let _ = self.wake.lock().unwrap_or_else(PoisonError::into_inner).send(Wake::Changed);
        }
    }

    fn counts(&self, event: &Event) -> bool {
        let written = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Data(_)) => true,
            EventKind::Access(_) => return false,
            _ => false,
        };
        if event.need_rescan() || event.paths.is_empty() {
            return true;
        }
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        event.paths.iter().any(|path| {
            let named = path.parent().and_then(|folder| names.get(folder));
            match (named, path.file_name()) {
                (Some(names), Some(name)) => names.contains(name),
                (None, Some(_)) => may_count(path, written, event.kind),
                (_, None) => true,
            }
        })
    }
}

/// Whether a file or folder of this name may be one that is read.
fn may_count(path: &Path, written: bool, kind: EventKind) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    // A mounted ConfigMap changes by a link whose name begins with two dots; other hidden files are those of editors.
    if name.starts_with(b".") {
        return name.starts_with(b"..");
    }
    // Other files are written without end, such as logs; what is made, moved or gone may be a folder.
    let folder = || kind == EventKind::Create(CreateKind::Folder) || path.is_dir() || !path.exists();
    survey::is_manifest(path) || survey::is_kustomization(path) || !written && folder()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_folder_that_is_reached_in_two_ways_is_watched_as_the_one_that_is_looked_through() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/a.yaml"), "").unwrap();
        symlink("a.yaml", at("real/link.yaml")).unwrap();
        symlink("real", at("way")).unwrap();
        let (wake, _wakes) = mpsc::channel();
        let mut eyes = Eyes::new(wake);
        let identity = survey::identity_of(&at("real")).unwrap();
        let folders = [(at("way"), identity)];
        let entrances = [at("way"), at("way/link.yaml")];
        assert!(eyes.watch(&folders, &entrances), "{eyes:?}");
        assert!(!eyes.watch(&folders, &entrances), "{eyes:?}");
        let paths: HashSet<PathBuf> = eyes.watched.keys().cloned().collect();
        assert_eq!(paths, HashSet::from([at("way"), folder.path().into()]));
        let names = eyes.looks.names.lock().unwrap().get(folder.path()).cloned();
        assert_eq!(names, Some(HashSet::from(["way".into(), "real".into()])));
    }

    #[test]
    fn what_may_be_a_manifest_counts_and_what_others_write_does_not() {
        let (wake, wakes) = mpsc::channel();
        let eyes = Eyes::new(wake);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.log"), "").unwrap();
        let data = EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any));
        for (kind, name, counts) in [
            (data, "a.yaml", true),
            (data, "x.log", false),
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), "a.yaml", false),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), "a.json", true),
            (EventKind::Create(CreateKind::Folder), "v1.2", true),
            (EventKind::Create(CreateKind::Any), "..data", true),
            (EventKind::Create(CreateKind::Any), ".a.yaml.swp", false),
            (EventKind::Create(CreateKind::Any), "x.log", false),
            (data, "kustomization.yml", true),
        ] {
            let event = Event::new(kind).add_path(folder.path().join(name));
            assert_eq!(eyes.looks.counts(&event), counts, "{kind:?} {name}");
        }
        // Until somebody looks, one change is as good as many.
        (0..3).for_each(|_| eyes.looks.tell(Ok(Event::new(data))));
        assert_eq!(wakes.try_iter().count(), 1);
        eyes.open();
        eyes.looks.tell(Ok(Event::new(data)));
        assert_eq!(wakes.try_iter().count(), 1);
    }
}

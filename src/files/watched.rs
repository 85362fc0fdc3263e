//! Files that are read again once they have changed, and the one rule of what that is.
//!
//! A file has changed when it holds other octets than those that were read last. Its [`Stamp`] spares the reading: one that
//! is as it was stands for the same octets, unless the file had just been written when it was read. The Corefile and the
//! files of certificates, which are taken up together, are compared by what they hold alone, as [`digest`] does.

use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use super::{CONFIGURATION, Error, bounded, read};

/// The age from which on a file cannot have been written twice within one tick of the file system's clock.
pub const FRESH: Duration = Duration::from_secs(2);

/// A file, and what was made of it.
#[derive(Debug)]
pub struct Watched<T> {
    path: PathBuf,
    most: u64,
    value: RwLock<T>,
    seen: Mutex<Option<Seen>>,
}

/// The file as it was when it was read last.
#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    /// Nothing can have been written since without another stamp.
    settled: bool,
    /// The hash of its octets; `None` of a file that could not be read.
    hash: Option<u64>,
}

impl<T> Watched<T> {
    /// A file of at most this many octets that nobody has looked at, and what stands for it until then.
    pub fn new(path: PathBuf, most: u64, value: T) -> Self {
        Self { path, most, value: RwLock::new(value), seen: Mutex::default() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value that was made of the file last.
    pub fn value(&self) -> RwLockReadGuard<'_, T> {
        self.value.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the file, and where it has changed, makes the value anew of what reading it came to. Says whether there is a
    /// new value.
    ///
    /// # Errors
    /// What `make` says, once for each change; the value stays. A file that is missing is a fault each time. One whose file
    /// system does not answer has not changed.
    pub fn look<E>(
        &self,
        clock: SystemTime,
        make: impl FnOnce(Result<Vec<u8>, Error>) -> Result<T, E>,
    ) -> Result<bool, E> {
        let stamp = Stamp::read(&self.path);
        let mut last = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|seen| seen.settled && Some(&seen.stamp) == stamp.as_ref()) {
            return Ok(false);
        }
        let read = read(&self.path, self.most);
        if read.as_ref().is_err_and(Error::is_stuck) {
            return Ok(false);
        }
        if let Some(stamp) = stamp {
            let settled = !stamp.is_fresh(clock);
            let hash = read.as_ref().ok().map(|octets| hash(octets));
            let same = |seen: &Seen| seen.hash == hash && (hash.is_some() || seen.stamp == stamp);
            let known = last.as_ref().is_some_and(same);
            *last = Some(Seen { stamp, settled, hash });
            if known {
                return Ok(false);
            }
        }
        let value = make(read)?;
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = value;
        Ok(true)
    }
}

fn hash(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    hasher.finish()
}

/// A number for what files hold now: another one once they have changed.
pub fn digest<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> u64 {
    let mut digest = DefaultHasher::new();
    for path in paths {
        read(path, CONFIGURATION).ok().hash(&mut digest);
    }
    digest.finish()
}

//----------- Stamp ----------------------------------------------------------

/// The file system's knowledge of a file: when it was written, its length, and which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    identity: (u64, u64),
}

impl Stamp {
    /// The stamp of a file, behind all links; `None` for one that cannot be looked at.
    pub fn read(path: &Path) -> Option<Self> {
        bounded::ask(path, |path| fs::metadata(path).ok())?.map(|metadata| Self::of(&metadata))
    }

    /// The stamp of a file of which this is known.
    pub fn of(metadata: &Metadata) -> Self {
        let identity = (metadata.dev(), metadata.ino());
        Self { modified: metadata.modified().ok(), length: metadata.len(), identity }
    }

    /// Whether the file may be written again at this time without another stamp.
    pub fn is_fresh(&self, clock: SystemTime) -> bool {
        self.modified.is_none_or(|at| clock.duration_since(at).map_or(true, |age| age < FRESH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks with a parser that takes whatever is read and is not `bad`.
    fn look(file: &Watched<String>, clock: SystemTime) -> Result<bool, String> {
        file.look(clock, |read| match read {
            Ok(octets) if octets.starts_with(b"bad") => Err("bad".to_owned()),
            Ok(octets) => Ok(String::from_utf8(octets).unwrap()),
            Err(error) => Err(error.why()),
        })
    }

    fn write(path: &Path, text: &str, at: SystemTime) {
        fs::write(path, text).unwrap();
        fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    #[test]
    fn a_file_is_read_again_when_it_has_changed_and_not_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (written, later) = (SystemTime::UNIX_EPOCH + Duration::from_secs(9), SystemTime::now());
        let file = Watched::new(path.clone(), CONFIGURATION, "nothing".to_owned());
        for _ in 0..2 {
            assert!(look(&file, later).unwrap_err().contains("No such file"));
        }
        assert_eq!(*file.value(), "nothing");
        write(&path, "one", written);
        assert_eq!(look(&file, later), Ok(true));
        assert_eq!(*file.value(), "one");
        // Nobody reads it to see that: the same stamp hides it.
        write(&path, "two", written);
        assert_eq!((look(&file, later), file.value().as_str()), (Ok(false), "one"));
        write(&path, "three", written + FRESH);
        assert_eq!((look(&file, later), file.value().as_str()), (Ok(true), "three"));
        // Written again, and as it was.
        write(&path, "three", written);
        assert_eq!(look(&file, later), Ok(false));
        fs::remove_file(&path).unwrap();
        assert!(look(&file, later).is_err());
        write(&path, "three", written);
        assert_eq!((look(&file, later), file.value().as_str()), (Ok(false), "three"));
    }

    #[test]
    fn two_writes_within_a_tick_are_both_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let file = Watched::new(path.clone(), CONFIGURATION, String::new());
        write(&path, "one", now);
        assert_eq!(look(&file, now), Ok(true));
        write(&path, "two", now);
        assert_eq!(look(&file, now + FRESH * 5), Ok(true));
        assert_eq!(*file.value(), "two");
    }

    #[test]
    fn a_fault_is_told_once_for_each_change_and_keeps_the_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let now = SystemTime::now();
        let file = Watched::new(path.clone(), 5, String::new());
        write(&path, "good", now);
        assert_eq!(look(&file, now), Ok(true));
        for text in ["bad", "bad 1"] {
            write(&path, text, now);
            assert_eq!(look(&file, now), Err("bad".into()), "{text}");
            assert_eq!(look(&file, now), Ok(false), "{text}");
        }
        write(&path, "too long", now);
        assert!(look(&file, now).unwrap_err().contains("longer"));
        assert_eq!(look(&file, now), Ok(false));
        assert_eq!(*file.value(), "good");
        write(&path, "good", now);
        assert_eq!(look(&file, now), Ok(true));
    }
}

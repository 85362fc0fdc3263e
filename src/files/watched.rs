//! Files that are read again once they have changed, and the one rule of what that is.
//!
//! A file has changed when it holds other octets than those that were read last. Its [`Stamp`] spares the reading: one that
//! is as it was stands for the same octets, unless the file had just been written when it was read. One file of which a value
//! is made is a [`Watched`]; files that are taken up together, as certificates and a zone file with those that it includes,
//! are a [`FileSet`]. The Corefile alone is compared by its words: comments do not count, and an `import` may find new files.

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
        let mut last = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((seen, read)) = Seen::look(last.as_ref(), &self.path, self.most, clock) else { return Ok(false) };
        if let Some(seen) = seen {
            let known = last.as_ref().is_some_and(|last| last.is(&seen));
            *last = Some(seen);
            if known {
                return Ok(false);
            }
        }
        let value = make(read)?;
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = value;
        Ok(true)
    }
}

/// A number for what files hold now: another one once they have changed.
pub fn digest<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> u64 {
    let mut digest = DefaultHasher::new();
    for path in paths {
        read(path, CONFIGURATION).ok().hash(&mut digest);
    }
    digest.finish()
}

//----------- FileSet --------------------------------------------------------

/// Files of which one thing was made, as they were when they were read for it.
#[derive(Debug, Default)]
pub struct FileSet(Mutex<Vec<Member>>);

#[derive(Debug)]
struct Member {
    path: PathBuf,
    most: u64,
    seen: Seen,
}

impl FileSet {
    /// Reads a file of at most this many octets, which belongs to the set from then on.
    ///
    /// # Errors
    /// As [`read`]; the file does not belong to the set then.
    pub fn read(&mut self, path: &Path, most: u64) -> Result<Vec<u8>, Error> {
        // Before it is read: a file that changes meanwhile has changed since.
        let stamp = Stamp::read(path);
        let octets = read(path, most)?;
        let seen = Seen { stamp, settled: false, hash: Some(hash(&octets)) };
        let members = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        members.push(Member { path: path.to_owned(), most, seen });
        Ok(octets)
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whether a file holds other octets than those that were read, or cannot be read any more.
    pub fn has_changed(&self, clock: SystemTime) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().any(|member| member.has_changed(clock))
    }
}

impl Member {
    fn has_changed(&mut self, clock: SystemTime) -> bool {
        match Seen::look(Some(&self.seen), &self.path, self.most, clock) {
            None => false,
            Some((Some(now), Ok(_))) if now.hash == self.seen.hash => {
                self.seen = now;
                false
            }
            Some(_) => true,
        }
    }
}

//----------- Seen -----------------------------------------------------------

/// A file as it was when it was read last.
#[derive(Debug)]
struct Seen {
    stamp: Option<Stamp>,
    /// Nothing can have been written since without another stamp.
    settled: bool,
    /// The hash of its octets; `None` of a file that could not be read.
    hash: Option<u64>,
}

/// A file that was read anew: what is to be remembered of it, if it is there, and its octets.
type ReadAnew = (Option<Seen>, Result<Vec<u8>, Error>);

impl Seen {
    /// Reads a file, unless it is known to be as it was before, or its file system does not answer.
    fn look(before: Option<&Self>, path: &Path, most: u64, clock: SystemTime) -> Option<ReadAnew> {
        let stamp = Stamp::read(path);
        if stamp.is_some() && before.is_some_and(|before| before.settled && before.stamp == stamp) {
            return None;
        }
        let read = read(path, most);
        if read.as_ref().is_err_and(Error::is_stuck) {
            return None;
        }
        let seen = stamp.map(|stamp| Self {
            settled: !stamp.is_fresh(clock),
            hash: read.as_ref().ok().map(|octets| hash(octets)),
            stamp: Some(stamp),
        });
        Some((seen, read))
    }

    /// Whether this is the same file, with the same octets or the same fault.
    fn is(&self, other: &Self) -> bool {
        self.hash == other.hash && (self.hash.is_some() || self.stamp == other.stamp)
    }
}

fn hash(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    hasher.finish()
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
    fn a_set_has_changed_when_one_of_its_files_holds_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["one", "two"].map(|name| folder.path().join(name));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let mut set = FileSet::default();
        assert!(set.read(&paths[0], 3).unwrap_err().is_missing() && set.is_empty());
        for path in &paths {
            write(path, "abc", now);
            set.read(path, 3).unwrap();
        }
        // Also within a tick of the clock, and once nothing can hide behind the stamp any more.
        for clock in [now, now + FRESH * 2] {
            assert!(!set.has_changed(clock));
        }
        for path in &paths {
            for changed in ["abd", "", "abcd"] {
                write(path, changed, now + FRESH);
                assert!(set.has_changed(now + FRESH * 2), "{changed}");
            }
            fs::remove_file(path).unwrap();
            assert!(set.has_changed(now + FRESH * 2));
            // Written again as it was: nothing is another.
            write(path, "abc", now + FRESH);
            assert!(!set.has_changed(now + FRESH * 2));
        }
    }

    #[test]
    fn a_set_sees_what_was_written_within_the_tick_in_which_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let mut set = FileSet::default();
        write(&path, "one", now);
        set.read(&path, 3).unwrap();
        write(&path, "two", now);
        assert!(set.has_changed(now + FRESH * 5));
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

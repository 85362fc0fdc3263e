//! Files that are written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

/// The end of the name under which a file is written before it takes its place.
const NEW: &str = ".new";

/// The age at which what was not finished belongs to nobody any more.
const LEFT_OVER: Duration = Duration::from_secs(60);

/// Writes a file beside its place, sees it to the disk, and moves it there: whoever reads the place sees the old file or
/// the new one, also after a crash at any moment.
///
/// # Errors
/// When it cannot be written; the old file is still there then.
pub fn replace<T>(path: &Path, write: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
    let new = beside(path);
    // One of the same process number is left from before. What others have laid there is not written through.
    let _ = fs::remove_file(&new);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&new)?;
    let written = write(&mut file).and_then(|written| {
        file.sync_all()?;
        fs::rename(&new, path)?;
        Ok(written)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new);
    } else if let Some(folder) = path.parent() {
        // The new name has to reach the disk as well; where a folder cannot be opened, the system does it in its time.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    written
}

/// Removes what processes have left beside a file that ended while they wrote it.
pub fn remove_left_over(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else { return };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let other = entry.file_name();
        let is_new = other.to_str().is_some_and(|other| {
            other.strip_prefix(name).and_then(|rest| rest.strip_suffix(NEW)).is_some_and(|rest| rest.starts_with('.'))
        });
        let age = entry.metadata().and_then(|file| file.modified()).map(|at| SystemTime::now().duration_since(at));
        if is_new && matches!(age, Ok(Ok(age)) if age >= LEFT_OVER) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Two writers of one process do not meet either.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    name.push(format!(".{}-{}{NEW}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        replace(&path, |file| file.write_all(b"one")).unwrap();
        let failed = replace(&path, |file| {
            file.write_all(b"tw")?;
            Err::<(), _>(io::Error::other("the disk is full"))
        });
        assert_eq!(
            (failed.unwrap_err().to_string(), fs::read(&path).unwrap()),
            ("the disk is full".into(), b"one".to_vec())
        );
        replace(&path, |file| {
            file.write_all(b"three")?;
            assert_eq!(fs::read(&path).unwrap(), b"one", "until it is all there");
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_link_beside_it_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("file"), folder.path().join("other"));
        fs::write(&other, b"mine").unwrap();
        // Whatever number comes next.
        for number in 0..1000 {
            let name = format!("file.{}-{number}.new", std::process::id());
            std::os::unix::fs::symlink(&other, folder.path().join(name)).unwrap();
        }
        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!((fs::read(&other).unwrap(), fs::read(&path).unwrap()), (b"mine".to_vec(), b"new".to_vec()));
    }

    #[test]
    fn what_others_left_is_removed_once_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let long_ago = SystemTime::now() - 2 * LEFT_OVER;
        for (name, is_old) in [("file.7.new", true), ("file.8.new", false), ("filed.9.new", true), ("file.new", true)] {
            let file = File::create(folder.path().join(name)).unwrap();
            if is_old {
                file.set_modified(long_ago).unwrap();
            }
        }
        remove_left_over(&path);
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["file.8.new", "file.new", "filed.9.new"]);
    }
}

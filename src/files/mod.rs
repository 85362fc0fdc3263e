//! Reads the files that somebody names, in a Corefile or on the command line: regular ones, within a bound, without waiting.
//!
//! A named pipe keeps its reader waiting until somebody writes, a device may never end, and opening some of them does
//! something. So the kind is looked at first, behind all links, and the file is opened in a way that does not wait in case
//! it has become something else meanwhile. What a shell hands over, `/dev/stdin` and `/dev/fd/N`, is for
//! [`read_handed_over`] alone. A file that is read again once it has changed is a [`Watched`] one, and several that are taken
//! up together are a [`FileSet`]. A file system that does not answer is waited for no longer than some seconds.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

use std::fmt;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

mod bounded;
mod replace;
mod watched;

pub use bounded::{give_up, stuck};
pub use replace::{remove_left_over, replace};
pub use watched::{FRESH, FileSet, Stamp, Watched, digest};

/// The bound for configuration: Corefiles, certificates, kubeconfigs, lists of resolvers. A ConfigMap holds 1 MiB.
pub const CONFIGURATION: u64 = 4 << 20;
/// The bound for records: zone files, hosts files, manifests.
pub const RECORDS: u64 = 64 << 20;

/// Reads a regular file of at most this many octets.
///
/// # Errors
/// When there is none, or something else, or when its file system does not answer.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    in_time(path, move |path| read_at_leisure(path, most))
}

/// Reads a file as [`read`] does, and waits for its file system however long that takes: for threads that do nothing else.
///
/// # Errors
/// When there is none, or something else.
pub fn read_at_leisure(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    take(open(path, most)?, most).map_err(|why| Error::new(path, why))
}

/// Reads a regular file that holds text.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> Result<String, Error> {
    to_text(path, read(path, most)?)
}

/// The text of a file that was read.
///
/// # Errors
/// When it is not UTF-8.
pub fn to_text(path: &Path, octets: Vec<u8>) -> Result<String, Error> {
    text(octets).map_err(|why| Error::new(path, why))
}

/// Reads text from a regular file, or from what the shell hands over under a name: `/dev/stdin`, `/dev/fd/N`. Who hands
/// a pipe over is waited for.
///
/// # Errors
/// As [`read_text`].
pub fn read_handed_over(path: &Path, most: u64) -> Result<String, Error> {
    let octets = match is_handed_over(path) {
        true => File::open(path).map_err(Why::from).and_then(|file| take(file, most)),
        false => return read_text(path, most),
    };
    octets.and_then(text).map_err(|why| Error::new(path, why))
}

/// Whether a path stands for what the shell hands over, which can be read once.
pub fn is_handed_over(path: &Path) -> bool {
    path == Path::new("/dev/stdin") || path.starts_with("/dev/fd")
}

/// Reads text from what the command line names: `-` is standard input.
///
/// # Errors
/// As [`read_handed_over`].
pub fn read_named(path: &Path, most: u64) -> Result<String, Error> {
    if path == Path::new("-") { read_stdin(most) } else { read_handed_over(path, most) }
}

/// Reads text from standard input to its end.
///
/// # Errors
/// When it is longer than the bound, or no text.
pub fn read_stdin(most: u64) -> Result<String, Error> {
    take(io::stdin().lock(), most).and_then(text).map_err(|why| Error::new(Path::new("stdin"), why))
}

/// Looks whether [`read`] would read a file, for those whose files are read elsewhere.
///
/// # Errors
/// As [`read`].
pub fn check(path: &Path, most: u64) -> Result<(), Error> {
    in_time(path, move |path| open(path, most).map(drop))
}

/// Whether there is no such file, as far as its file system says.
pub fn is_missing(path: &Path) -> bool {
    bounded::ask(path, |path| !path.exists()).unwrap_or_default()
}

/// The path of a file without links.
///
/// # Errors
/// When there is none, or when its file system does not answer.
pub fn canonical(path: &Path) -> Result<PathBuf, Error> {
    in_time(path, |path| fs::canonicalize(path).map_err(|error| Error::new(path, error.into())))
}

/// The paths in a folder, in no order.
///
/// # Errors
/// When it cannot be listed, or when its file system does not answer.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    in_time(folder, |folder| {
        let listed = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
        listed.map_err(|error| Error::new(folder, error.into()))
    })
}

fn in_time<T: Send + 'static>(
    path: &Path,
    question: impl Fn(&Path) -> Result<T, Error> + Send + Sync + 'static,
) -> Result<T, Error> {
    bounded::ask(path, question).unwrap_or_else(|| Err(Error::new(path, Why::Stuck)))
}

fn open(path: &Path, most: u64) -> Result<File, Error> {
    let fault = |why: Why| Error::new(path, why);
    let kind = |file: fs::Metadata| match named(file.file_type()) {
        Some(kind) => Err(fault(Why::Says(format!("it is {kind}, and only regular files are read")))),
        None if file.len() > most => Err(fault(Why::too_long(most))),
        None => Ok(()),
    };
    kind(fs::metadata(path).map_err(|error| fault(error.into()))?)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = file.map_err(|error| fault(error.into()))?;
    kind(file.metadata().map_err(|error| fault(error.into()))?)?;
    Ok(file)
}

/// The kind of a file in words; `None` for a regular one.
fn named(kind: FileType) -> Option<&'static str> {
    Some(match () {
        () if kind.is_file() => return None,
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    })
}

/// Reads to the end, but no further than one octet past the bound. The length that a file tells may grow, and some tell 0.
fn take(from: impl Read, most: u64) -> Result<Vec<u8>, Why> {
    let mut octets = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut octets)?;
    if octets.len() as u64 > most { Err(Why::too_long(most)) } else { Ok(octets) }
}

fn text(octets: Vec<u8>) -> Result<String, Why> {
    String::from_utf8(octets).map_err(|error| {
        let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = 1 + good.filter(|&&octet| octet == b'\n').count();
        Why::Says(format!("it is not UTF-8 text: look at line {line}"))
    })
}

//----------- Error ----------------------------------------------------------

/// The reason why a file is not read. Its display names the file: `/etc/x cannot be read: it is a folder, and only …`.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    System(io::Error),
    /// The file system does not answer.
    Stuck,
    Says(String),
}

impl Error {
    fn new(path: &Path, why: Why) -> Self {
        Self { path: path.to_owned(), why }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is no such file, so that it may come yet.
    pub fn is_missing(&self) -> bool {
        matches!(&self.why, Why::System(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the file system does not answer, which the log has been told.
    pub fn is_stuck(&self) -> bool {
        matches!(self.why, Why::Stuck)
    }

    /// Whether another machine may well have it, or another user read it: it is missing, or not ours to read.
    pub fn may_be_elsewhere(&self) -> bool {
        use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
        matches!(&self.why, Why::System(error) if matches!(error.kind(), NotFound | NotADirectory | PermissionDenied))
    }

    /// The reason alone, for a message that has named the file.
    pub fn why(&self) -> String {
        self.why.to_string()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be read: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for Error {}

impl Why {
    fn too_long(most: u64) -> Self {
        Self::Says(format!("it is longer than {} MiB", most >> 20))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::Stuck => f.write_str("its file system does not answer"),
            Self::Says(why) => why.fmt(f),
        }
    }
}

impl From<io::Error> for Why {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_files_are_read_to_the_bound_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read(&link, 1 << 20).unwrap().len(), 1 << 20);
        fs::write(&path, vec![b'x'; (1 << 20) + 1]).unwrap();
        let said = read(&link, 1 << 20).unwrap_err().to_string();
        assert_eq!(said, format!("{} cannot be read: it is longer than 1 MiB", link.display()));
        // Says that it is empty.
        if Path::new("/proc/self/status").exists() {
            assert!(!read(Path::new("/proc/self/status"), CONFIGURATION).unwrap().is_empty());
            assert!(read(Path::new("/proc/self/status"), 1).is_err());
        }
    }

    #[test]
    fn what_is_no_regular_file_is_neither_read_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, kind) in [
            (folder.path(), "a folder"),
            (&pipe, "a named pipe"),
            (&socket, "a socket"),
            (Path::new("/dev/null"), "a device"),
        ] {
            let wanted = format!("it is {kind}, and only regular files are read");
            assert_eq!(read(path, CONFIGURATION).unwrap_err().why(), wanted);
            assert_eq!(check(path, CONFIGURATION).unwrap_err().why(), wanted);
            assert_eq!(read_handed_over(path, CONFIGURATION).unwrap_err().why(), wanted);
        }
    }

    #[test]
    fn a_missing_file_may_come_yet_and_text_is_utf_8() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin1");
        let missing = read_text(&path, CONFIGURATION).unwrap_err();
        assert!(missing.is_missing() && missing.why().contains("No such file"));
        fs::write(&path, b"a\nb\xe4").unwrap();
        let said = read_text(&path, CONFIGURATION).unwrap_err();
        assert!(!said.is_missing());
        assert_eq!(said.why(), "it is not UTF-8 text: look at line 2");
    }
}

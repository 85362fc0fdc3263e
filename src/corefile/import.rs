//! The words of a Corefile, with snippets and imported files put in where `import` stands.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::lex::{self, Word};
use super::{Error, Position};
use crate::files;

/// The most octets of all imported files together.
const FILES_OCTETS: usize = 32 << 20;
/// Snippets and files that `import` puts in, all told.
const IMPORTS: usize = 10_000;
/// Words in all, imported ones counted each time.
const WORDS: usize = 100_000;

/// The words of a Corefile with its imports put in, one after the other.
pub(super) struct Words<'a> {
    elsewhere: Option<&'a OtherMachine>,
    frames: Vec<ImportFrame>,
    snippets: HashMap<String, Arc<[Word]>>,
    files: HashMap<PathBuf, Arc<[Word]>>,
    imports: usize,
    taken: usize,
    read: usize,
    /// Import patterns that match no file, and files that only the serving machine may have.
    pub(super) warnings: Vec<Error>,
}

struct ImportFrame {
    words: Arc<[Word]>,
    next: usize,
}

impl<'a> Words<'a> {
    /// The words of a text; with what is known of the serving machine, when this is another one.
    pub(super) fn new(words: Vec<Word>, elsewhere: Option<&'a OtherMachine>) -> Self {
        Self {
            elsewhere,
            frames: vec![ImportFrame { words: words.into(), next: 0 }],
            snippets: HashMap::new(),
            files: HashMap::new(),
            imports: 0,
            taken: 0,
            read: 0,
            warnings: Vec::new(),
        }
    }

    /// The next word, left where it is.
    pub(super) fn peek(&mut self) -> Option<&Word> {
        while self.frames.last()?.is_empty() {
            self.frames.pop();
        }
        let frame = self.frames.last()?;
        frame.words.get(frame.next)
    }

    /// The next word; words that come out of an import start a line.
    ///
    /// # Errors
    /// When imports have multiplied the words past all reason.
    pub(super) fn take(&mut self) -> Result<Option<Word>, Error> {
        let starts = self.starts_line();
        let Some(mut word) = self.peek().cloned() else { return Ok(None) };
        word.starts_line = starts;
        self.taken += 1;
        if self.taken > WORDS {
            let message =
                format!("imports make the Corefile longer than {WORDS} words: look for one that imports itself");
            return Err(Error::new(&word.position, message));
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.next += 1;
        }
        Ok(Some(word))
    }

    /// Whether the next word begins a line; so does the end of everything.
    pub(super) fn starts_line(&mut self) -> bool {
        let begins = self.peek().is_none_or(|word| word.starts_line);
        begins || self.frames.last().is_some_and(|frame| frame.next == 0)
    }

    /// Whether the next word is this brace or keyword.
    pub(super) fn is_next(&mut self, text: &str) -> bool {
        self.peek().is_some_and(|word| word.is(text))
    }

    /// Keeps the words of a snippet for later.
    ///
    /// # Errors
    /// When the name is taken.
    pub(super) fn define(&mut self, at: &Position, name: &str, words: Vec<Word>) -> Result<(), Error> {
        match self.snippets.insert(name.to_owned(), words.into()) {
            None => Ok(()),
            Some(_) => Err(Error::new(at, format!("snippet `({name})` is defined twice"))),
        }
    }

    /// Carries out an `import`, whose keyword has been taken: what it names is read next.
    ///
    /// # Errors
    /// When the argument is missing or not the only one, when the file is missing or no text, when there are too many imports.
    pub(super) fn import(&mut self, keyword: &Word, variable: &dyn Fn(&str) -> Option<String>) -> Result<(), Error> {
        let what = "a snippet, a file or a pattern with one `*`";
        let argument = match self.starts_line() {
            false => self.take()?,
            true => None,
        };
        let Some(argument) = argument.filter(|word| !word.is("{") && !word.is("}")) else {
            return Err(Error::new(&keyword.position, format!("import needs {what}")));
        };
        if !self.starts_line()
            && let Some(more) = self.peek()
        {
            let message = format!("import takes {what} and nothing after it, found `{}`", more.text);
            return Err(Error::new(&more.position, message));
        }
        let name = lex::substitute(&argument.text, variable);
        if name.is_empty() {
            return Err(Error::new(&argument.position, format!("import needs {what}, found an empty word")));
        }
        if let Some(snippet) = self.snippets.get(&name).cloned() {
            return self.put_in(&argument.position, snippet);
        }
        // What comes first in the alphabet is read first, so it is put in last.
        for path in self.paths(&argument.position, &name)?.into_iter().rev() {
            if let Some(words) = self.file(&argument.position, &path)? {
                self.put_in(&argument.position, words)?;
            }
        }
        Ok(())
    }

    fn put_in(&mut self, at: &Position, words: Arc<[Word]>) -> Result<(), Error> {
        self.imports += 1;
        if self.imports > IMPORTS {
            return Err(Error::new(at, format!("more than {IMPORTS} imports: look for one that imports itself")));
        }
        // Ended frames go first, so that a chain of imports at the end of each other does not pile up.
        self.peek();
        self.frames.push(ImportFrame { words, next: 0 });
        Ok(())
    }

    /// The files that an argument names, relative to the file that it stands in.
    fn paths(&mut self, at: &Position, name: &str) -> Result<Vec<PathBuf>, Error> {
        let folder = Path::new(&*at.file).parent().unwrap_or_else(|| Path::new(""));
        let pattern = folder.join(name);
        if !name.contains(['*', '?', '[']) {
            let mounted = self.elsewhere.and_then(|elsewhere| elsewhere.mounted(name).next());
            return Ok(vec![mounted.unwrap_or(pattern)]);
        }
        if name.matches('*').count() + name.matches('?').count() != 1 || name.contains(['[', ']']) {
            return Err(Error::new(
                at,
                format!("an import pattern takes one `*` and no other wildcard, found `{name}`"),
            ));
        }
        let mounted: Vec<PathBuf> = self.elsewhere.into_iter().flat_map(|elsewhere| elsewhere.mounted(name)).collect();
        let found = if mounted.is_empty() { glob(&pattern) } else { Ok(mounted) };
        let paths = found.map_err(|fault| Error::new(at, format!("cannot import `{}`: {fault}", pattern.display())))?;
        if paths.is_empty() {
            self.warnings.push(Error::new(at, format!("no file matches the import pattern `{name}`")));
        }
        Ok(paths)
    }

    /// The words of a file; `None` for one that only the serving machine may have.
    fn file(&mut self, at: &Position, path: &Path) -> Result<Option<Arc<[Word]>>, Error> {
        if let Some(words) = self.files.get(path) {
            return Ok(Some(words.clone()));
        }
        let mounted = self.elsewhere.and_then(|elsewhere| elsewhere.files.get(path)).cloned();
        let (name, text) = match mounted {
            Some(mounted) => mounted,
            None => match read(path) {
                Ok(text) => (path.to_string_lossy().into_owned(), text),
                Err(fault) => {
                    let fault = Error::new(at, format!("cannot import `{}`: {fault}", path.display()));
                    return match self.elsewhere.is_some() && !path.exists() {
                        true => {
                            self.warnings.push(fault.of_elsewhere());
                            Ok(None)
                        }
                        false => Err(fault),
                    };
                }
            },
        };
        self.read += text.len();
        if self.read > FILES_OCTETS {
            let message = format!("imported files are longer than {} MiB together", FILES_OCTETS >> 20);
            return Err(Error::new(at, message));
        }
        let words: Arc<[Word]> = lex::words(&name.into(), &text)?.into();
        self.files.insert(path.to_owned(), words.clone());
        Ok(Some(words))
    }
}

impl ImportFrame {
    fn is_empty(&self) -> bool {
        self.next >= self.words.len()
    }
}

/// Reads a file of words; says why that cannot be.
pub(super) fn read(path: &Path) -> Result<String, String> {
    files::read_handed_over(path, files::CONFIGURATION).map_err(|error| {
        let hint = match !error.is_stuck() && path.is_dir() {
            true => "; name its files, as in `FOLDER/*.conf`",
            false => "",
        };
        format!("{}{hint}", error.why())
    })
}

/// The existing paths that match a pattern with one wildcard, in the order of the alphabet; a folder that is not there matches nothing,
/// and one of which that is not known may have matched.
fn glob(pattern: &Path) -> Result<Vec<PathBuf>, files::Error> {
    let is_wild = |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?']);
    let parts: Vec<_> = pattern.components().collect();
    let (before, wild_and_after) = parts.split_at(parts.iter().position(is_wild).unwrap_or(parts.len()));
    let Some((wild, after)) = wild_and_after.split_first() else { return Ok(Vec::new()) };
    let wild = wild.as_os_str().to_string_lossy();
    let folder: PathBuf = before.iter().collect();
    let rest: PathBuf = after.iter().collect();
    let listing = match files::list(if folder.as_os_str().is_empty() { Path::new(".") } else { &folder }) {
        Err(error) if !error.is_stuck() => return Ok(Vec::new()),
        listing => listing?,
    };
    let mut found: Vec<PathBuf> = listing
        .into_iter()
        .filter_map(|path| Some(path.file_name()?.to_owned()))
        .filter(|name| matches(&wild, &name.to_string_lossy()))
        .take(IMPORTS + 1)
        .map(|name| if after.is_empty() { folder.join(name) } else { folder.join(name).join(&rest) })
        .filter(|path| !files::is_missing(path))
        .collect();
    found.sort();
    Ok(found)
}

/// The machine that will serve a Corefile, as far as it is known on the one that reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherMachine {
    /// The folder of the Corefile there, from which imports are named.
    pub folder: PathBuf,
    /// The files that are known, by their paths there: how positions name each, and its text.
    pub files: BTreeMap<PathBuf, (String, String)>,
}

impl OtherMachine {
    /// The known files that a path or a pattern in the Corefile names, in the order of the alphabet.
    fn mounted(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        let pattern = self.folder.join(name);
        let wanted = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = pattern.parent().map(Path::to_owned);
        let is_named = move |path: &&PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            path.parent() == folder.as_deref() && matches(&wanted, &name)
        };
        self.files.keys().filter(is_named).cloned()
    }
}

/// Whether a file name matches a pattern with one `*` (any characters) or one `?` (one character).
fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once(['*', '?']) else { return pattern == name };
    let middle = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    middle.is_some_and(|middle| pattern.contains('*') || middle.chars().count() == 1)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_wildcard_stands_for_any_characters_or_for_one() {
        assert!(matches("*.conf", "a.conf") && matches("*", ".hidden") && matches("a*b", "ab"));
        assert!(!matches("*.conf", "a.config") && !matches("aba*ba", "aba"));
        assert!(matches("?.conf", "a.conf") && !matches("?.conf", "ab.conf"));
    }

    #[test]
    fn a_pattern_finds_files_in_the_order_of_the_alphabet_also_below_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["b.conf", "a.conf", "c.txt"] {
            fs::write(at(name), "").unwrap();
        }
        fs::create_dir(at("team")).unwrap();
        fs::write(at("team/Corefile"), "").unwrap();
        assert_eq!(glob(&at("*.conf")).unwrap(), [at("a.conf"), at("b.conf")]);
        assert_eq!(glob(&at("*/Corefile")).unwrap(), [at("team/Corefile")]);
        assert_eq!(glob(&at("nothere/*")).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_is_no_text_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap_err().ends_with("name its files, as in `FOLDER/*.conf`"));
        assert!(read(&folder.path().join("nothere")).unwrap_err().contains("No such file"));
        if Path::new("/dev/zero").exists() {
            assert!(read(Path::new("/dev/zero")).unwrap_err().contains("it is a device"));
        }
    }
}

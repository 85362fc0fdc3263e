//! Words to tree: server blocks, snippets, imports.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use super::import::{self, Words};
use super::lex::{self, Word};
use super::{Corefile, Directive, Error, OtherMachine, Position, ServerBlock, Token, key};

/// Blocks inside blocks; no directive needs more than two.
const DEPTH: usize = 16;
/// Octets of all words once the variables are in.
const OCTETS: usize = 16 << 20;

/// The place that the text of a Corefile comes from.
#[derive(Clone, Debug)]
pub enum CorefileSource {
    /// A file; imports are relative to its folder.
    File(PathBuf),
    /// Text with a name for its positions; imports are relative to the folder in that name, which is the working folder when it has none.
    Text {
        /// The name of the file in positions.
        name: String,
        /// The text.
        text: String,
    },
}

/// Reads a Corefile with everything it imports. `variable` gives the value of an environment variable.
///
/// # Errors
/// At the first fault of the grammar, with its place; a file that cannot be read names the place of its import.
pub fn parse(source: &CorefileSource, variable: &dyn Fn(&str) -> Option<String>) -> Result<Corefile, Error> {
    read(source, variable, None)
}

/// Reads a Corefile on another machine than the one that will serve it: an imported file that is not here is a warning.
///
/// # Errors
/// As [`parse()`].
pub fn parse_elsewhere(
    source: &CorefileSource,
    elsewhere: &OtherMachine,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Corefile, Error> {
    read(source, variable, Some(elsewhere))
}

fn read(
    source: &CorefileSource,
    variable: &dyn Fn(&str) -> Option<String>,
    elsewhere: Option<&OtherMachine>,
) -> Result<Corefile, Error> {
    let (name, text): (Arc<str>, String) = match source {
        CorefileSource::Text { name, text } => (name.as_str().into(), text.clone()),
        CorefileSource::File(path) => {
            let name: Arc<str> = path.to_string_lossy().into();
            let whole = Position { file: name.clone(), line: 0, column: 0 };
            let text =
                import::read(path).map_err(|fault| Error::new(&whole, format!("cannot read the Corefile: {fault}")))?;
            (name, text)
        }
    };
    let words = Words::new(lex::words(&name, &text)?, elsewhere);
    let mut parser = Parser { words, variable, octets: 0, unset: Vec::new() };
    let blocks = parser.blocks()?;
    Ok(Corefile { blocks, warnings: parser.words.warnings, unset: parser.unset })
}

struct Parser<'a> {
    words: Words<'a>,
    variable: &'a dyn Fn(&str) -> Option<String>,
    octets: usize,
    unset: Vec<Error>,
}

impl Parser<'_> {
    fn blocks(&mut self) -> Result<Vec<ServerBlock>, Error> {
        let mut blocks = Vec::new();
        while let Some(first) = self.words.peek().cloned() {
            if first.is("import") {
                self.import()?;
                continue;
            }
            let names = self.names(&first)?;
            match names.as_slice() {
                [only] if only.text.starts_with('(') && only.text.ends_with(')') => self.snippet(only)?,
                _ => blocks.push(self.block(&names)?),
            }
        }
        Ok(blocks)
    }

    /// The words before a block: on one line, and on the next after a comma.
    fn names(&mut self, first: &Word) -> Result<Vec<Token>, Error> {
        let mut names = Vec::new();
        let mut comma: Option<Position> = None;
        let mut is_first = true;
        while let Some(word) = self.words.peek().cloned() {
            if word.is("{") {
                match comma {
                    Some(_) => return Err(wanted(&word, "another zone after the comma")),
                    None => break,
                }
            }
            let starts_line = self.words.starts_line();
            if starts_line && !is_first && comma.is_none() {
                break;
            }
            if starts_line && word.is("import") {
                self.import()?;
                continue;
            }
            if word.is("}") {
                let message =
                    "this `}` closes nothing: expected a zone that begins a server block, or the end of the file";
                return Err(Error::new(&word.position, message));
            }
            is_first = false;
            let mut token = self.token(&word)?;
            comma = token.text.ends_with(',').then(|| token.position.clone());
            if comma.is_some() {
                token.text.pop();
                if token.text.is_empty() {
                    return Err(wanted(&word, "a zone before the comma"));
                }
            }
            if !token.text.is_empty() {
                names.push(token);
            }
        }
        if let Some(position) = comma {
            return Err(Error::new(&position, "expected another zone after the comma, found the end of the file"));
        }
        if names.is_empty() {
            let found = if first.is("{") { "`{`".to_owned() } else { format!("`{}`, which is empty", first.text) };
            let message = format!("expected a zone that begins a server block, as in `.:53 {{`, found {found}");
            return Err(Error::new(&first.position, message));
        }
        Ok(names)
    }

    fn snippet(&mut self, name: &Token) -> Result<(), Error> {
        let open = match self.words.take()? {
            Some(word) if word.is("{") => word,
            found => {
                let found = found.map_or_else(|| "the end of the file".to_owned(), |word| format!("`{}`", word.text));
                return Err(name.error(format!("snippet `{}` needs a block: expected `{{`, found {found}", name.text)));
            }
        };
        let mut words = Vec::new();
        let mut depth = 0usize;
        while let Some(word) = self.words.take()? {
            match depth.checked_sub(1) {
                None if word.is("}") => {
                    let inner = name.text.trim_start_matches('(').trim_end_matches(')');
                    return self.words.define(&name.position, inner, words);
                }
                Some(less) if word.is("}") => depth = less,
                _ if word.is("{") => depth += 1,
                _ => {}
            }
            words.push(word);
        }
        Err(unclosed(&open))
    }

    fn block(&mut self, names: &[Token]) -> Result<ServerBlock, Error> {
        let mut keys = Vec::new();
        for name in names {
            keys.append(&mut key::read(name)?);
        }
        let open = match self.words.is_next("{") {
            true => self.words.take()?,
            false => None,
        };
        let directives = self.lines(open.as_ref(), 0)?;
        Ok(ServerBlock { keys, directives })
    }

    /// The lines of a block up to its `}`, or all that follow when the only server block has no braces.
    fn lines(&mut self, open: Option<&Word>, depth: usize) -> Result<Vec<Directive>, Error> {
        let mut lines = Vec::new();
        loop {
            let Some(word) = self.words.peek().cloned() else {
                return open.map_or(Ok(lines), |open| Err(unclosed(open)));
            };
            if word.is("}") && open.is_some() {
                self.words.take()?;
                return Ok(lines);
            }
            if word.is("import") {
                self.import()?;
                continue;
            }
            lines.push(self.directive(&word, depth)?);
        }
    }

    fn directive(&mut self, word: &Word, depth: usize) -> Result<Directive, Error> {
        if word.is("{") || word.is("}") {
            let hint = match word.is("{") {
                true => "; a `{` stands at the end of the line that it belongs to",
                false => ", which closes nothing",
            };
            return Err(Error::new(&word.position, format!("expected a directive, found `{}`{hint}", word.text)));
        }
        let name = self.token(word)?;
        let mut arguments: Vec<Token> = Vec::new();
        let mut glued = None;
        while !self.words.starts_line() {
            let Some(word) = self.words.peek().cloned() else { break };
            if word.is("{") {
                self.words.take()?;
                if depth + 1 > DEPTH {
                    return Err(Error::new(&word.position, format!("blocks go deeper than {DEPTH} levels here")));
                }
                let body = Some(self.lines(Some(&word), depth + 1)?);
                return match self.words.peek().cloned() {
                    Some(more) if !self.words.starts_line() => Err(wanted(&more, "the end of the line after `}`")),
                    _ => Ok(Directive { name, arguments, body }),
                };
            }
            if word.is("}") {
                return Err(Error::new(
                    &word.position,
                    "expected `}` on a line of its own, found it behind other words",
                ));
            }
            arguments.push(self.token(&word)?);
            glued = is_glued(&word).then_some(word);
        }
        match glued {
            Some(word) => {
                let message = format!("`{{` must be a word of its own: put a space before it in `{}`", word.text);
                Err(Error::new(&word.position, message))
            }
            None => Ok(Directive { name, arguments, body: None }),
        }
    }

    fn import(&mut self) -> Result<(), Error> {
        match self.words.take()? {
            Some(keyword) => self.words.import(&keyword, self.variable),
            None => Ok(()),
        }
    }

    /// Takes the next word, which has been looked at, and puts its variables in.
    fn token(&mut self, word: &Word) -> Result<Token, Error> {
        self.words.take()?;
        let (variable, unset) = (self.variable, RefCell::new(&mut self.unset));
        let text = lex::substitute(&word.text, &|name| {
            let value = variable(name);
            if value.is_none() {
                unset.borrow_mut().push(Error::new(&word.position, format!("the variable {name} is not set")));
            }
            value
        });
        self.octets = self.octets.saturating_add(text.len());
        if self.octets > OCTETS {
            let message =
                format!("the Corefile is longer than {} MiB with its imports and variables put in", OCTETS >> 20);
            return Err(Error::new(&word.position, message));
        }
        Ok(Token { text, position: word.position.clone() })
    }
}

/// `cache 30{`: the word would be read as an argument, and the block as lines of the one around it.
fn is_glued(word: &Word) -> bool {
    let before = word.text.strip_suffix('{').unwrap_or_default();
    !word.quoted && !before.is_empty() && !before.ends_with(['{', '\\'])
}

fn wanted(found: &Word, what: &str) -> Error {
    Error::new(&found.position, format!("expected {what}, found `{}`", found.text))
}

fn unclosed(open: &Word) -> Error {
    Error::new(&open.position, "this `{` is never closed: expected `}` before the end of the file")
}

#[cfg(test)]
mod tests;

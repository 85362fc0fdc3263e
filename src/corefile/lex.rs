//! Text to words: white space, quotes, comments, `{$ENV}`.

use std::sync::Arc;

use super::{Error, Position};

/// A word as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// The word without its quotes; variables are still in it.
    pub(super) text: String,
    /// The position of its first character, or of its quote.
    pub(super) position: Position,
    /// True for the first word of a line.
    pub(super) starts_line: bool,
    /// True for a word in quotes, which is no brace and no keyword.
    pub(super) quoted: bool,
}

impl Word {
    /// Whether the word is this brace or keyword.
    pub(super) fn is(&self, text: &str) -> bool {
        !self.quoted && self.text == text
    }
}

/// Takes a text apart.
pub(super) fn words(file: &Arc<str>, text: &str) -> Result<Vec<Word>, Error> {
    let mut lexer = Lexer { file, rest: text.chars(), line: 1, column: 1, starts_line: true };
    if text.starts_with('\u{feff}') {
        lexer.rest.next();
    }
    let mut words = Vec::new();
    while let Some(word) = lexer.word()? {
        words.push(word);
    }
    Ok(words)
}

struct Lexer<'a> {
    file: &'a Arc<str>,
    rest: std::str::Chars<'a>,
    line: u32,
    column: u32,
    starts_line: bool,
}

impl Lexer<'_> {
    fn word(&mut self) -> Result<Option<Word>, Error> {
        loop {
            match self.look() {
                None => return Ok(None),
                Some('#') => self.skip_comment(),
                Some('"') => return self.quoted().map(Some),
                Some(c) if c.is_whitespace() => {
                    self.starts_line |= c == '\n';
                    self.take();
                }
                Some(_) => return Ok(Some(self.bare())),
            }
        }
    }

    fn bare(&mut self) -> Word {
        let mut word = self.begin(false);
        while let Some(c) = self.look() {
            // Differs from CoreDNS: a comment begun inside a word goes to the end of its line; there it ends at the next space.
            if c == '#' || c.is_whitespace() && c != '\r' {
                break;
            }
            self.take();
            if c != '\r' {
                word.text.push(c);
            }
        }
        word
    }

    /// Reads a word in quotes. Only `\"` is an escape: regular expressions keep their backslashes.
    fn quoted(&mut self) -> Result<Word, Error> {
        let mut word = self.begin(true);
        self.take();
        while let Some(c) = self.take() {
            match c {
                '"' => return Ok(word),
                '\\' => match self.take() {
                    Some('"') => word.text.push('"'),
                    Some(other) => word.text.extend(['\\', other]),
                    None => break,
                },
                other => word.text.push(other),
            }
        }
        Err(Error::new(&word.position, "this quote is never closed: expected `\"` before the end of the file"))
    }

    fn begin(&mut self, quoted: bool) -> Word {
        let position = Position { file: self.file.clone(), line: self.line, column: self.column };
        Word { text: String::new(), position, starts_line: std::mem::take(&mut self.starts_line), quoted }
    }

    fn skip_comment(&mut self) {
        while self.look().is_some_and(|c| c != '\n') {
            self.take();
        }
    }

    fn look(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            (self.line, self.column) = (self.line.saturating_add(1), 1);
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(c)
    }
}

/// Puts the values of `{$NAME}` and `{%NAME%}` in; a variable that is not set is nothing. What is put in is not looked at again.
pub(super) fn substitute(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, reference) = rest.split_at(at);
        out.push_str(before);
        let found = named(reference, "{$", "}").or_else(|| named(reference, "{%", "%}"));
        let Some((name, after)) = found else {
            out.push('{');
            rest = reference.strip_prefix('{').unwrap_or_default();
            continue;
        };
        out.push_str(&variable(name).unwrap_or_default());
        rest = after;
    }
    out.push_str(rest);
    out
}

fn named<'a>(reference: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str)> {
    let (name, after) = reference.strip_prefix(open)?.split_once(close)?;
    // The system's calls take no such name, and the standard library may panic on it.
    (!name.is_empty() && !name.contains(['=', '\0'])).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        words(&"Corefile".into(), text).unwrap().into_iter().map(|w| w.text).collect()
    }

    #[test]
    fn white_space_parts_words_and_quotes_hold_them_together() {
        assert_eq!(texts("a  b\tc\r\n\"d e\" \"\" f"), ["a", "b", "c", "d e", "", "f"]);
        assert_eq!(texts("\u{feff}a"), ["a"]);
    }

    #[test]
    fn only_a_quote_is_escaped_in_quotes() {
        assert_eq!(texts(r#""a \"b\" \d+ \\" c"#), [r#"a "b" \d+ \\"#, "c"]);
        assert_eq!(texts(r#"mid"dle "a"b"#), [r#"mid"dle"#, "a", "b"]);
    }

    #[test]
    fn a_comment_ends_with_its_line_also_inside_a_word() {
        assert_eq!(texts("a#b c\n# d\ne \"#f\""), ["a", "e", "#f"]);
    }

    #[test]
    fn backticks_are_ordinary_characters() {
        assert_eq!(texts("`a b`"), ["`a", "b`"]);
    }

    #[test]
    fn words_know_their_line_and_column_behind_quotes_over_lines() {
        let words = words(&"Corefile".into(), "a \"b\nc\" d\n  e").unwrap();
        let places: Vec<_> =
            words.iter().map(|w| (w.text.as_str(), w.position.line, w.position.column, w.starts_line)).collect();
        assert_eq!(places, [("a", 1, 1, true), ("b\nc", 1, 3, false), ("d", 2, 4, false), ("e", 3, 3, true)]);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_refused_where_it_begins() {
        let error = words(&"Corefile".into(), "a\n  \"b c\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Corefile:2:3: this quote is never closed: expected `\"` before the end of the file"
        );
    }

    #[test]
    fn variables_are_put_in_in_both_spellings_and_once() {
        let value = |name: &str| match name {
            "A" => Some("{$B}".to_owned()),
            "B" => Some("b".to_owned()),
            _ => None,
        };
        assert_eq!(substitute("x{$B}y{%B%}z{$NOT_SET}", &value), "xbybz");
        assert_eq!(substitute("{$A}", &value), "{$B}");
        assert_eq!(substitute("{{ .Name }} {$} {%B} {$B", &value), "{{ .Name }} {$} {%B} {$B");
        assert_eq!(substitute("{$A=B}", &value), "{$A=B}");
    }
}

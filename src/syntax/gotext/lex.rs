//! Templates in tokens: text, and the words of actions.

use super::number::Number;

/// A token. Fields and what follows them without a space belong together, so spaces are tokens as well.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TemplateToken {
    /// Text outside of actions.
    Raw(String),
    Left,
    Right,
    Space,
    Dot,
    /// `.Name`.
    Field(String),
    /// `$name`; a lone `$` has no name.
    Variable(String),
    Word(String),
    Number(Number),
    /// A text in quotes, its escapes resolved.
    Text(String),
    Pipe,
    Open,
    Close,
    Comma,
    Declare,
    Assign,
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Parts a template.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn tokens(text: &str) -> Result<Vec<TemplateToken>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut trimmed = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let left = after.strip_prefix('-').filter(|rest| rest.starts_with(SPACES));
        let before = if trimmed { before.trim_start_matches(SPACES) } else { before };
        let before = if left.is_some() { before.trim_end_matches(SPACES) } else { before };
        tokens.push(TemplateToken::Raw(before.to_owned()));
        let inner = left.unwrap_or(after);
        let opened = if left.is_some() { inner.trim_start_matches(SPACES) } else { inner };
        let mut lexer = match opened.strip_prefix("/*") {
            Some(comment) => {
                let (_, behind) = comment.split_once("*/").ok_or("a comment is not closed")?;
                let lexer = TemplateLexer { rest: behind };
                lexer.at_end().ok_or("a comment ends before its action does")?;
                lexer
            }
            None => {
                tokens.push(TemplateToken::Left);
                let mut lexer = TemplateLexer { rest: inner };
                while lexer.at_end().is_none() {
                    tokens.push(lexer.token()?);
                }
                tokens.push(TemplateToken::Right);
                lexer
            }
        };
        trimmed = lexer.end();
        rest = lexer.rest;
    }
    tokens.push(TemplateToken::Raw(if trimmed { rest.trim_start_matches(SPACES) } else { rest }.to_owned()));
    Ok(tokens)
}

struct TemplateLexer<'t> {
    rest: &'t str,
}

impl<'t> TemplateLexer<'t> {
    /// The text behind the end of the action, if that is here, and whether white space goes with it.
    fn at_end(&self) -> Option<(&'t str, bool)> {
        if let Some(behind) = self.rest.strip_prefix("}}") {
            return Some((behind, false));
        }
        Some((self.rest.strip_prefix(SPACES)?.strip_prefix("-}}")?, true))
    }

    fn end(&mut self) -> bool {
        let (rest, trimmed) = self.at_end().unwrap_or((self.rest, false));
        self.rest = rest;
        trimmed
    }

    fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    fn token(&mut self) -> Result<TemplateToken, String> {
        let start = self.rest;
        let c = self.take().ok_or("an action is not closed by `}}`")?;
        Ok(match c {
            c if SPACES.contains(&c) => {
                while self.rest.starts_with(SPACES) && self.at_end().is_none() {
                    self.take();
                }
                TemplateToken::Space
            }
            '=' => TemplateToken::Assign,
            ':' => match self.take() {
                Some('=') => TemplateToken::Declare,
                _ => return Err("`:` is not followed by `=`".into()),
            },
            '|' => TemplateToken::Pipe,
            '(' => TemplateToken::Open,
            ')' => TemplateToken::Close,
            ',' => TemplateToken::Comma,
            '"' => TemplateToken::Text(self.quoted()?),
            '`' => {
                let (text, behind) = self.rest.split_once('`').ok_or("a quote is not closed")?;
                self.rest = behind;
                TemplateToken::Text(text.to_owned())
            }
            '\'' => TemplateToken::Number(self.character()?),
            '$' => TemplateToken::Variable(self.word()?),
            '.' if !self.rest.starts_with(|c: char| c.is_ascii_digit()) => match self.word()? {
                word if word.is_empty() => TemplateToken::Dot,
                word => TemplateToken::Field(word),
            },
            '.' | '+' | '-' | '0'..='9' => {
                self.rest = start;
                TemplateToken::Number(self.number()?)
            }
            c if is_alphanumeric(c) => {
                self.rest = start;
                TemplateToken::Word(self.word()?)
            }
            c => return Err(format!("`{c}` is not understood")),
        })
    }

    /// Letters and digits up to something that may end a word.
    fn word(&mut self) -> Result<String, String> {
        let end = self.rest.find(|c| !is_alphanumeric(c)).unwrap_or(self.rest.len());
        let (word, behind) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = behind;
        let ends = behind.is_empty()
            || behind.starts_with("}}")
            || behind.starts_with([' ', '\t', '\r', '\n', '.', ',', '|', ':', ')', '(']);
        if ends { Ok(word.to_owned()) } else { Err(format!("`{word}` ends with what it cannot end with")) }
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut octets = Vec::new();
        loop {
            match self.take() {
                Some('"') => return String::from_utf8(octets).map_err(|_| "a text is not in UTF-8".into()),
                Some('\n') | None => return Err("a quote is not closed".into()),
                Some('\\') => self.escape('"', &mut octets)?,
                Some(c) => octets.extend(c.to_string().bytes()),
            }
        }
    }

    fn character(&mut self) -> Result<Number, String> {
        let fault = || "a character is not as in 'x'".to_owned();
        let mut octets = Vec::new();
        let c = match self.take().filter(|c| !matches!(c, '\'' | '\n')).ok_or_else(fault)? {
            '\\' => {
                self.escape('\'', &mut octets)?;
                // An escape for an octet stands for the character of that number.
                let text = std::str::from_utf8(&octets).ok().and_then(|text| text.chars().next());
                text.map(u32::from).or_else(|| octets.first().map(|octet| u32::from(*octet))).ok_or_else(fault)?
            }
            c => u32::from(c),
        };
        if self.take() != Some('\'') {
            return Err(fault());
        }
        Ok(Number::character(c))
    }

    /// Reads the character that a backslash stands for, as in Go's texts.
    fn escape(&mut self, quote: char, into: &mut Vec<u8>) -> Result<(), String> {
        let fault = || "an escape is not understood".to_owned();
        let code = |lexer: &mut Self, digits: usize, radix: u32| {
            let (text, behind) = lexer.rest.split_at_checked(digits).ok_or_else(fault)?;
            lexer.rest = behind;
            let valid = text.chars().all(|c| c.is_digit(radix));
            u32::from_str_radix(text, radix).ok().filter(|_| valid).ok_or_else(fault)
        };
        let before = self.rest;
        match self.take().ok_or_else(fault)? {
            'a' => into.push(7),
            'b' => into.push(8),
            'f' => into.push(12),
            'n' => into.push(b'\n'),
            'r' => into.push(b'\r'),
            't' => into.push(b'\t'),
            'v' => into.push(11),
            '\\' => into.push(b'\\'),
            c if c == quote => into.extend(c.to_string().bytes()),
            'x' => into.push(u8::try_from(code(self, 2, 16)?).map_err(|_| fault())?),
            '0'..='7' => {
                self.rest = before;
                into.push(u8::try_from(code(self, 3, 8)?).map_err(|_| fault())?);
            }
            c @ ('u' | 'U') => {
                let c = char::from_u32(code(self, if c == 'u' { 4 } else { 8 }, 16)?).ok_or_else(fault)?;
                into.extend(c.to_string().bytes());
            }
            _ => return Err(fault()),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Number, String> {
        let text = self.rest;
        let mut end = text.find(|c| !matches!(c, '+' | '-')).unwrap_or(0).min(1);
        let digits = text.get(end..).unwrap_or_default();
        let radix = match digits.get(..2) {
            Some("0x" | "0X") => 16,
            Some("0o" | "0O") => 8,
            Some("0b" | "0B") => 2,
            _ => 10,
        };
        end = digits_end(text, end + if radix == 10 { 0 } else { 2 }, radix);
        if radix == 10 {
            if text.get(end..).is_some_and(|rest| rest.starts_with('.')) {
                end = digits_end(text, end + 1, 10);
            }
            if text.get(end..).is_some_and(|rest| rest.starts_with(['e', 'E'])) {
                end += 1;
                end += usize::from(text.get(end..).is_some_and(|rest| rest.starts_with(['+', '-'])));
                end = digits_end(text, end, 10);
            }
        }
        let (number, behind) = text.split_at_checked(end).unwrap_or((text, ""));
        if let Some(c) = behind.chars().next().filter(|&c| is_alphanumeric(c)) {
            return Err(format!("`{number}{c}` is no number"));
        }
        self.rest = behind;
        Number::parse(number)
    }
}

/// The end of the digits that begin at an octet.
fn digits_end(text: &str, from: usize, radix: u32) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.find(|c: char| c != '_' && !c.is_digit(radix)).unwrap_or(rest.len())
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

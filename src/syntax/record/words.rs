//! Zone text in words: quotes, comments, escapes, and parentheses that join lines (RFC 1035 section 5.1).

use std::borrow::Cow;

use super::Fault;

/// One word, as written: its escapes are kept, the quotes around it are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ZoneWord {
    /// Octets, because old files are in any character set.
    pub(super) octets: Vec<u8>,
    pub(super) quoted: bool,
    /// True when nothing stands between this word and the one before it, as in `alpn="h2"`.
    pub(super) glued: bool,
    pub(super) line: u32,
}

impl ZoneWord {
    /// The word to read a number from, or to show.
    pub(super) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.octets)
    }
}

/// One record or directive.
#[derive(Debug)]
pub(super) struct ZoneEntry {
    /// True for an entry that begins with white space, and so has the owner of the entry before.
    pub(super) blank: bool,
    pub(super) words: Vec<ZoneWord>,
}

/// The entries of a text, one by one.
#[derive(Debug)]
pub(super) struct ZoneEntries<'t> {
    rest: &'t [u8],
    line: u32,
}

impl<'t> ZoneEntries<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        // Some editors begin a file with a mark of its encoding.
        Self { rest: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text), line: 1 }
    }

    fn take(&mut self) -> Option<u8> {
        let (&octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.line += u32::from(octet == b'\n');
        Some(octet)
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Reads the octets up to the closing quote.
    fn quoted(&mut self, line: u32) -> Result<Vec<u8>, Fault> {
        let mut word = Vec::new();
        loop {
            match self.take() {
                Some(b'"') => return Ok(word),
                Some(b'\\') => {
                    word.push(b'\\');
                    word.extend(self.take());
                }
                Some(octet) => word.push(octet),
                None => return Err(Fault::new(line, "a quote is not closed")),
            }
        }
    }

    /// The rest of a word that begins with an octet.
    fn bare(&mut self, first: u8) -> Vec<u8> {
        let mut word = vec![first];
        let mut escaped = first == b'\\';
        while let Some(octet) = self.peek() {
            let ends = matches!(octet, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"');
            if octet == b'\n' || ends && !escaped {
                break;
            }
            word.extend(self.take());
            escaped = octet == b'\\' && !escaped;
        }
        word
    }

    fn entry(&mut self) -> Result<Option<ZoneEntry>, Fault> {
        let mut entry = ZoneEntry { blank: false, words: Vec::new() };
        let (mut depth, mut opened) = (0u32, self.line);
        let (mut fresh, mut glued) = (true, false);
        loop {
            let line = self.line;
            let Some(octet) = self.take() else { break };
            match octet {
                b'\n' if depth == 0 => match entry.words.is_empty() {
                    true => {
                        entry.blank = false;
                        fresh = true;
                        continue;
                    }
                    false => return Ok(Some(entry)),
                },
                b' ' | b'\t' | b'\r' | b'\n' => {
                    entry.blank |= fresh && octet != b'\r';
                    glued = false;
                }
                b';' => {
                    while self.peek().is_some_and(|octet| octet != b'\n') {
                        self.take();
                    }
                    glued = false;
                }
                b'(' => {
                    opened = if depth == 0 { line } else { opened };
                    depth += 1;
                    glued = false;
                }
                b')' => {
                    depth = depth.checked_sub(1).ok_or_else(|| Fault::new(line, "a `)` closes nothing"))?;
                    glued = false;
                }
                b'"' => {
                    let octets = self.quoted(line)?;
                    entry.words.push(ZoneWord { octets, quoted: true, glued, line });
                    glued = true;
                }
                first => {
                    let octets = self.bare(first);
                    entry.words.push(ZoneWord { octets, quoted: false, glued, line });
                    glued = true;
                }
            }
            fresh = false;
        }
        if depth > 0 {
            return Err(Fault::new(opened, "a `(` is not closed"));
        }
        Ok(Some(entry).filter(|entry| !entry.words.is_empty()))
    }
}

impl Iterator for ZoneEntries<'_> {
    type Item = Result<ZoneEntry, Fault>;

    /// After a fault, nothing.
    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entry();
        if entry.is_err() {
            self.rest = &[];
        }
        entry.transpose()
    }
}

/// The octets of a character-string, its escapes resolved.
///
/// # Errors
/// When an escape is cut off or stands for no octet.
pub(super) fn unescape(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(octet) = rest.next() {
        octets.push(if octet == b'\\' { escape(&mut rest)? } else { octet });
    }
    Ok(octets)
}

/// The octet that stands behind a backslash: `\DDD`, or the character itself.
pub(super) fn escape(rest: &mut impl Iterator<Item = u8>) -> Result<u8, &'static str> {
    match rest.next() {
        Some(first @ b'0'..=b'9') => {
            let mut value = u16::from(first - b'0');
            for _ in 0..2 {
                let digit = rest.next().filter(u8::is_ascii_digit).ok_or("an escape is cut off")?;
                value = value * 10 + u16::from(digit - b'0');
            }
            u8::try_from(value).map_err(|_| "an escape is above 255")
        }
        Some(other) => Ok(other),
        None => Err("an escape is cut off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        let entry = |entry: Result<ZoneEntry, Fault>| {
            entry.unwrap().words.iter().map(|word| format!("{}:{}", word.line, word.text())).collect()
        };
        ZoneEntries::new(text.as_bytes()).map(entry).collect()
    }

    #[test]
    fn lines_quotes_comments_and_parentheses_make_entries() {
        assert_eq!(
            words("a b ; c\r\n\n ; d\ne ( f ; g\n(h) )i\n"),
            [vec!["1:a", "1:b"], vec!["4:e", "4:f", "5:h", "5:i"]]
        );
        assert_eq!(words("a \"b ; ( \\\" \nc\" d\n e"), [vec!["1:a", "1:b ; ( \\\" \nc", "2:d"], vec!["3:e"]]);
        assert_eq!(words("\u{feff}a\\ b\\;c\\\\ d"), [["1:a\\ b\\;c\\\\", "1:d"]]);
        let blank: Vec<bool> = ZoneEntries::new(b"a\n b\n(\n c )\n\t\nd").map(|entry| entry.unwrap().blank).collect();
        assert_eq!(blank, [false, true, false, false]);
    }

    #[test]
    fn a_word_knows_whether_it_touches_the_one_before() {
        let glued = |text: &str| -> Vec<bool> {
            ZoneEntries::new(text.as_bytes()).flat_map(|entry| entry.unwrap().words).map(|word| word.glued).collect()
        };
        assert_eq!(glued("alpn=\"h2\" port=\"1\"x y"), [false, true, false, true, true, false]);
        assert_eq!(glued("a(b)"), [false, false]);
    }

    #[test]
    fn what_is_not_closed_is_a_fault_where_it_opens() {
        for (text, line, message) in [
            ("a\nb \"c\n\n", 2, "a quote is not closed"),
            ("a\n\nb ( c\n( d )\n", 3, "a `(` is not closed"),
            ("a\nb )\n", 2, "a `)` closes nothing"),
        ] {
            let fault = ZoneEntries::new(text.as_bytes()).find_map(Result::err).unwrap();
            assert_eq!((fault.line, fault.message.as_str()), (line, message));
        }
    }

    #[test]
    fn escapes_stand_for_octets() {
        assert_eq!(unescape(b"a\\;\\\"\\065\\255\\\\").unwrap(), b"a;\"A\xff\\");
        assert!(unescape(b"\\25").is_err() && unescape(b"\\256").is_err() && unescape(b"\\").is_err());
    }
}

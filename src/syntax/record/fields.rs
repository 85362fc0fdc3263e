//! The octets of a record's data, read from its words.

use data_encoding::{BASE32HEX_NOPAD, BASE64_NOPAD, HEXLOWER_PERMISSIVE};

use super::words::{ZoneWord, escape, unescape};
use crate::wire::Rtype;
use crate::wire::message::{self, MessageName, RData};

/// The words that are left, and the octets so far.
pub(super) struct RdataReader<'w> {
    words: &'w [ZoneWord],
    origin: &'w MessageName,
    pub(super) out: Vec<u8>,
    /// The line of the last word that was read.
    pub(super) line: u32,
}

impl<'w> RdataReader<'w> {
    pub(super) fn new(words: &'w [ZoneWord], origin: &'w MessageName) -> Self {
        Self { words, origin, out: Vec::new(), line: words.first().map_or(0, |word| word.line) }
    }

    pub(super) fn finish(self, rtype: Rtype) -> Result<RData, String> {
        match self.words.first() {
            Some(extra) => Err(format!("`{}` is one word too many", extra.text())),
            None if self.out.len() > usize::from(u16::MAX) => Err("it is longer than 65535 octets".into()),
            None => message::rdata_from(rtype.into(), self.out).map_err(|failure| failure.message),
        }
    }

    pub(super) fn put(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// Puts octets behind their length.
    pub(super) fn counted(&mut self, octets: &[u8]) -> Result<(), String> {
        self.out.push(u8::try_from(octets.len()).map_err(|_| "a text is longer than 255 octets")?);
        self.put(octets);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub(super) fn next(&mut self, what: &str) -> Result<&'w ZoneWord, String> {
        let (word, rest) = self.words.split_first().ok_or_else(|| format!("{what} is missing"))?;
        self.words = rest;
        self.line = word.line;
        Ok(word)
    }

    /// The next word, where it is what `wanted` says.
    pub(super) fn next_if(&mut self, wanted: impl FnOnce(&ZoneWord) -> bool) -> Option<&'w ZoneWord> {
        let (word, rest) = self.words.split_first()?;
        if !wanted(word) {
            return None;
        }
        self.words = rest;
        self.line = word.line;
        Some(word)
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.next(what)?;
        word.text().parse().map_err(|_| format!("`{}` is not {what}", word.text()))
    }

    /// A number, or a name that stands for one.
    pub(super) fn named<T: Copy + std::str::FromStr>(&mut self, what: &str, names: &[(&str, T)]) -> Result<T, String> {
        let word = self.next(what)?;
        let text = word.text();
        let named = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text)).map(|(_, number)| *number);
        named.or_else(|| text.parse().ok()).ok_or_else(|| format!("`{text}` is not {what}"))
    }

    pub(super) fn seconds(&mut self) -> Result<u32, String> {
        let word = self.next("a time in seconds")?;
        seconds(&word.text()).ok_or_else(|| format!("`{}` is not a time in seconds", word.text()))
    }

    pub(super) fn name(&mut self) -> Result<(), String> {
        let word = self.next("a name")?;
        for label in name(&word.octets, self.origin)?.iter() {
            self.counted(label)?;
        }
        self.out.push(0);
        Ok(())
    }

    /// A word's octets, its escapes resolved.
    pub(super) fn text(&mut self, what: &str) -> Result<Vec<u8>, String> {
        Ok(unescape(&self.next(what)?.octets)?)
    }

    pub(super) fn texts(&mut self) -> Result<(), String> {
        loop {
            let octets = self.text("text")?;
            if octets.is_empty() {
                self.counted(&[])?;
            }
            // Differs from RFC 1035: keys for mail are long, and other servers part them as well.
            octets.chunks(255).try_for_each(|part| self.counted(part))?;
            if self.is_empty() {
                return Ok(());
            }
        }
    }

    /// All words that are left, as one.
    pub(super) fn joined(&mut self) -> Vec<u8> {
        let words = std::mem::take(&mut self.words);
        self.line = words.last().map_or(self.line, |word| word.line);
        words.iter().flat_map(|word| word.octets.iter().copied()).collect()
    }

    pub(super) fn rest(&mut self, what: &str, digits: Digits, may_be_empty: bool) -> Result<(), String> {
        let text = self.joined();
        if text.is_empty() && !may_be_empty {
            return Err(format!("{what}: they are missing"));
        }
        let octets = digits.decode(&text);
        self.put(&octets.ok_or_else(|| format!("`{}` is not {what}", String::from_utf8_lossy(&text)))?);
        Ok(())
    }

    pub(super) fn types(&mut self) -> Result<(), String> {
        let mut types = Vec::new();
        while !self.is_empty() {
            let word = self.next("a type")?;
            let rtype = Rtype::from_name(&word.text());
            types.push(rtype.ok_or_else(|| format!("`{}` is no record type", word.text()))?);
        }
        types.sort_unstable();
        // RFC 4034 section 4.1.2: one block for each upper octet, of the bits up to the last that is set.
        for block in types.chunk_by(|one, other| one.0 >> 8 == other.0 >> 8) {
            let mut bits = [0u8; 32];
            let mut length = 0;
            for rtype in block {
                let [_, low] = rtype.to_be_bytes();
                let at = usize::from(low >> 3);
                if let Some(octet) = bits.get_mut(at) {
                    *octet |= 0x80 >> (low & 7);
                }
                length = at + 1;
            }
            self.out.push(block.first().map_or(0, |rtype| rtype.to_be_bytes()[0]));
            self.counted(bits.get(..length).unwrap_or_default())?;
        }
        Ok(())
    }

    /// `\# LENGTH HEX…` (RFC 3597 section 5).
    pub(super) fn generic(&mut self) -> Result<(), String> {
        self.next("\\#")?;
        let length: usize = self.number("a length")?;
        let hex = self.joined();
        let octets = Digits::Hex.decode(&hex).filter(|octets| octets.len() == length);
        let shown = String::from_utf8_lossy(&hex);
        self.put(&octets.ok_or_else(|| format!("`{shown}` is not {length} octets in hexadecimal"))?);
        Ok(())
    }
}

/// A name, relative to the origin unless it ends with a dot; its spelling is kept.
pub(super) fn name(text: &[u8], origin: &MessageName) -> Result<MessageName, String> {
    match text {
        b"@" => return Ok(origin.clone()),
        b"." => return Ok(MessageName::root()),
        _ => {}
    }
    let fault = |why: &str| format!("`{}` is no domain name: {why}", String::from_utf8_lossy(text));
    let mut labels: Vec<Vec<u8>> = vec![Vec::new()];
    let mut rest = text.iter().copied();
    while let Some(octet) = rest.next() {
        let octet = match octet {
            b'.' => {
                labels.push(Vec::new());
                continue;
            }
            b'\\' => escape(&mut rest).map_err(fault)?,
            octet => octet,
        };
        labels.last_mut().ok_or_else(|| fault("it is empty"))?.push(octet);
    }
    let absolute = labels.pop_if(|last| last.is_empty()).is_some();
    if labels.is_empty() || labels.iter().any(Vec::is_empty) {
        return Err(fault("a label is empty"));
    }
    if labels.iter().any(|label| label.len() > 63) {
        return Err(fault("a label is longer than 63 octets"));
    }
    let above = origin.iter().filter(|_| !absolute);
    let all = labels.iter().map(Vec::as_slice).chain(above);
    MessageName::from_labels(all).map_err(|_| fault("it is longer than 255 octets"))
}

/// Seconds, or with units as in `1h30m`.
pub(super) fn seconds(text: &str) -> Option<u32> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (mut total, mut number) = (0u32, 0u32);
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = number.checked_mul(10)?.checked_add(digit)?;
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        number = 0;
    }
    total.checked_add(number)
}

//----------- Digits ---------------------------------------------------------

/// A way to write octets (RFC 4648).
#[derive(Clone, Copy, Debug)]
pub(super) enum Digits {
    Hex,
    /// With the digits of section 7, in either case.
    Base32,
    Base64,
}

impl Digits {
    /// The octets; the filling at the end may be left out.
    pub(super) fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        let filled = text.iter().rposition(|&octet| octet != b'=').map_or(0, |at| at + 1);
        let bare = text.get(..filled)?;
        let octets = match self {
            Self::Hex => HEXLOWER_PERMISSIVE.decode(text),
            Self::Base32 => BASE32HEX_NOPAD.decode(&bare.to_ascii_uppercase()),
            Self::Base64 => BASE64_NOPAD.decode(bare),
        };
        octets.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Digits::{Base32, Base64, Hex};
    use super::*;

    #[test]
    fn digits_stand_for_octets() {
        assert_eq!(Hex.decode(b"00aBfF").unwrap(), [0, 0xab, 0xff]);
        assert_eq!(Base64.decode(b"AEX+DQ==").unwrap(), [0, 0x45, 0xfe, 0x0d]);
        assert_eq!(Base64.decode(b"AEX+DQ").unwrap(), [0, 0x45, 0xfe, 0x0d]);
        assert_eq!(Base32.decode(b"2vptu5timamqttgl4luu9kg21e0aor3s").unwrap().len(), 20);
        for (digits, text) in [
            (Hex, "abc"),
            (Hex, "xy"),
            (Hex, "ab="),
            (Base64, "A"),
            (Base64, "AA=A"),
            (Base64, "A*=="),
            (Base64, "AEX+DR"),
            (Base32, "w0"),
            (Base32, "0"),
        ] {
            assert_eq!(digits.decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn names_take_the_origin_and_keep_their_spelling() {
        let origin = MessageName::from_ascii("Example.org.").unwrap();
        let read = |text: &str| name(text.as_bytes(), &origin).map(|name| name.to_ascii());
        assert_eq!(read("WWW").unwrap(), "WWW.Example.org.");
        assert_eq!(read("a.b.").unwrap(), "a.b.");
        assert_eq!((read("@").unwrap(), read(".").unwrap()), ("Example.org.".into(), ".".into()));
        let dotted = name(b"a\\.b\\046c", &origin).unwrap();
        assert_eq!(dotted.iter().next().unwrap(), b"a.b.c");
        assert_eq!(name(b"a\\.", &origin).unwrap().iter().count(), 3);
        for bad in ["", "a..b", ".a", "a\\2", &"a".repeat(64), &"a.".repeat(130)] {
            assert!(name(bad.as_bytes(), &origin).is_err(), "{bad}");
        }
    }
}

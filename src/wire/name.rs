//! Names and labels in wire format (RFC 1035 section 3.1), lower case, uncompressed.
//!
//! Parsing is the only door: a [`Label`] over 63 octets and a [`Name`] over 255 cannot exist.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

//----------- Label ----------------------------------------------------------

/// One label in lower case, 1 to 63 octets.
///
/// Sixteen bytes; labels of up to 14 octets, which almost all pod names are, need no heap.
#[derive(Clone, PartialEq, Eq)]
pub struct Label(Repr);

#[derive(Clone, PartialEq, Eq)]
enum Repr {
    Inline { len: u8, octets: [u8; INLINE] },
    // Two boxes keep the whole at 16 bytes; such labels are rare.
    Heap(Box<Box<[u8]>>),
}

const INLINE: usize = 14;

impl Label {
    /// Takes octets as a label, folding ASCII upper case to lower.
    ///
    /// # Errors
    /// When the label is empty or longer than 63 octets.
    pub fn new(octets: &[u8]) -> Result<Self, NameError> {
        if octets.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if octets.len() > 63 {
            return Err(NameError::LongLabel);
        }
        let mut inline = [0; INLINE];
        Ok(Self(match inline.get_mut(..octets.len()) {
            Some(place) => {
                place.copy_from_slice(octets);
                place.make_ascii_lowercase();
                Repr::Inline { len: octets.len() as u8, octets: inline }
            }
            None => Repr::Heap(Box::new(octets.to_ascii_lowercase().into_boxed_slice())),
        }))
    }

    /// The octets, without the length octet.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, octets } => octets.get(..usize::from(*len)).unwrap_or_default(),
            Repr::Heap(octets) => octets,
        }
    }
}

// A label hashes and compares as its octets do, so that sets of labels are searched with the octets of a query.
impl Borrow<[u8]> for Label {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_label(self.as_bytes(), f)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

//----------- Name -----------------------------------------------------------

/// An absolute domain name in wire format, lower case, with its final root label.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<[u8]>);

impl Name {
    /// The root.
    pub fn root() -> Self {
        Self([0].as_slice().into())
    }

    /// Takes uncompressed wire format, with its final root label.
    ///
    /// # Errors
    /// When it is no well-formed name of at most 255 octets, or octets follow it.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        if wire.len() > 255 {
            return Err(NameError::LongName);
        }
        let mut rest = wire;
        loop {
            let (&len, tail) = rest.split_first().ok_or(NameError::Cut)?;
            match len {
                0 if tail.is_empty() => return Ok(Self(wire.to_ascii_lowercase().into())),
                0 => return Err(NameError::Cut),
                1..=63 => rest = tail.get(usize::from(len)..).ok_or(NameError::Cut)?,
                _ => return Err(NameError::LongLabel),
            }
        }
    }

    /// Joins labels, left to right, to a name.
    ///
    /// # Errors
    /// When a label is empty or too long, or the whole is over 255 octets.
    pub fn from_labels<'l>(labels: impl IntoIterator<Item = &'l [u8]>) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(64);
        for label in labels {
            if label.is_empty() {
                return Err(NameError::EmptyLabel);
            }
            if label.len() > 63 {
                return Err(NameError::LongLabel);
            }
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        }
        wire.push(0);
        if wire.len() > 255 {
            return Err(NameError::LongName);
        }
        wire.make_ascii_lowercase();
        Ok(Self(wire.into()))
    }

    /// The wire format: length octets, label octets, the final 0.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels from left to right, without the root.
    pub fn labels(&self) -> Labels<'_> {
        Labels { rest: &self.0 }
    }

    /// Whether it is the root.
    #[inline]
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether this name is the other or lies below it.
    pub fn is_within(&self, zone: &Self) -> bool {
        is_within(&self.0, &zone.0)
    }
}

/// Whether a name is a zone or lies below it, both in wire format and lower case.
pub fn is_within(name: &[u8], zone: &[u8]) -> bool {
    let mut rest = name;
    while rest.len() > zone.len() {
        match rest.split_first() {
            Some((&len, tail)) if len > 0 => rest = tail.get(usize::from(len)..).unwrap_or_default(),
            _ => return false,
        }
    }
    rest == zone
}

impl std::str::FromStr for Name {
    type Err = NameError;

    /// Reads presentation format (RFC 1035 section 5.1: `\.` and `\DDD` escapes); the final dot may be left out.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "." {
            return Ok(Self::root());
        }
        let mut labels: Vec<Vec<u8>> = vec![Vec::new()];
        let mut octets = text.bytes();
        while let Some(octet) = octets.next() {
            let label = labels.last_mut().ok_or(NameError::EmptyLabel)?;
            match octet {
                b'.' => labels.push(Vec::new()),
                b'\\' => match octets.next().ok_or(NameError::Escape)? {
                    digit @ b'0'..=b'9' => {
                        let mut value = u16::from(digit - b'0');
                        for _ in 0..2 {
                            let digit = octets.next().filter(u8::is_ascii_digit).ok_or(NameError::Escape)?;
                            value = value * 10 + u16::from(digit - b'0');
                        }
                        label.push(u8::try_from(value).map_err(|_| NameError::Escape)?);
                    }
                    other => label.push(other),
                },
                _ => label.push(octet),
            }
        }
        if labels.len() > 1 && labels.last().is_some_and(Vec::is_empty) {
            labels.pop();
        }
        Self::from_labels(labels.iter().map(Vec::as_slice))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            write_label(label, f)?;
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The labels of a name in wire format, from left to right.
#[derive(Clone, Debug)]
pub struct Labels<'n> {
    rest: &'n [u8],
}

impl<'n> Labels<'n> {
    /// The labels of a name that is known to be well-formed.
    pub(super) fn of(wire: &'n [u8]) -> Self {
        Self { rest: wire }
    }
}

impl<'n> Iterator for Labels<'n> {
    type Item = &'n [u8];

    fn next(&mut self) -> Option<&'n [u8]> {
        let (&len, tail) = self.rest.split_first()?;
        if len == 0 {
            return None;
        }
        let label = tail.get(..usize::from(len))?;
        self.rest = tail.get(usize::from(len)..)?;
        Some(label)
    }
}

/// The reason why octets or text are no label or name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// A label without octets.
    EmptyLabel,
    /// A label of more than 63 octets, or a compression pointer where none may be.
    LongLabel,
    /// A name of more than 255 octets.
    LongName,
    /// The octets end inside the name, or go on after it.
    Cut,
    /// A backslash that starts no escape.
    Escape,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyLabel => "a label is empty",
            Self::LongLabel => "a label is longer than 63 octets",
            Self::LongName => "the name is longer than 255 octets",
            Self::Cut => "the name is cut off or followed by more",
            Self::Escape => "a backslash starts no escape: write \\. or \\DDD",
        })
    }
}

impl std::error::Error for NameError {}

fn write_label(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for &octet in octets {
        match octet {
            b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => write!(f, "\\{}", octet as char)?,
            0x21..=0x7e => write!(f, "{}", octet as char)?,
            _ => write!(f, "\\{octet:03}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_takes_sixteen_bytes() {
        assert_eq!(size_of::<Label>(), 16);
    }

    #[test]
    fn a_set_of_labels_is_searched_with_octets() {
        let long = [b'x'; 40];
        let labels = std::collections::HashSet::from([Label::new(b"Kubia").unwrap(), Label::new(&long).unwrap()]);
        assert!(labels.contains(b"kubia".as_slice()) && labels.contains(long.as_slice()));
        assert!(!labels.contains(b"Kubia".as_slice()));
    }

    #[test]
    fn labels_are_folded_and_bounded() {
        assert_eq!(Label::new(b"Kubia-0").unwrap().as_bytes(), b"kubia-0");
        assert_eq!(Label::new(&[b'A'; 63]).unwrap().as_bytes(), [b'a'; 63]);
        assert_eq!(Label::new(b""), Err(NameError::EmptyLabel));
        assert_eq!(Label::new(&[b'a'; 64]), Err(NameError::LongLabel));
    }

    #[test]
    fn names_round_trip_between_text_and_wire() {
        for (text, shown) in [
            ("Kubia.Default.svc.cluster.local", "kubia.default.svc.cluster.local."),
            (".", "."),
            (r"a\.b.\000c.", r"a\.b.\000c."),
        ] {
            let name: Name = text.parse().unwrap();
            assert_eq!(name.to_string(), shown);
            assert_eq!(Name::from_wire(name.as_wire()).unwrap(), name);
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        assert_eq!("a..b".parse::<Name>(), Err(NameError::EmptyLabel));
        assert_eq!("".parse::<Name>(), Err(NameError::EmptyLabel));
        assert_eq!(r"a\9".parse::<Name>(), Err(NameError::Escape));
        assert_eq!(r"a\999".parse::<Name>(), Err(NameError::Escape));
        assert_eq!("a.".repeat(128).parse::<Name>(), Err(NameError::LongName));
        assert_eq!(Name::from_wire(b"\x01a"), Err(NameError::Cut));
        assert_eq!(Name::from_wire(b"\x01a\0\0"), Err(NameError::Cut));
        assert_eq!(Name::from_wire(b"\xc0\x0c"), Err(NameError::LongLabel));
    }

    #[test]
    fn a_name_lies_within_itself_and_its_parents() {
        let name: Name = "a.example.org".parse().unwrap();
        assert!(name.is_within(&name) && name.is_within(&"org".parse().unwrap()) && name.is_within(&Name::root()));
        assert!(!name.is_within(&"b.example.org".parse().unwrap()) && !name.is_within(&"ample.org".parse().unwrap()));
    }
}

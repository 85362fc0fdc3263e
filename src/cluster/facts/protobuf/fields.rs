//! The fields of a protobuf message, borrowed, in the order in which they come.

use std::fmt;

/// The fields of one message; ends after the first malformed one.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Fixed-width numbers: nothing that is read here has one.
    Fixed,
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Almost every number, a tag or the length of a short text, is one octet.
    #[inline]
    fn varint(&mut self) -> Result<u64, MalformedMessage> {
        match self.rest {
            [octet @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*octet))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, MalformedMessage> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&octet, rest) = self.rest.split_first().ok_or(MalformedMessage::Cut)?;
            self.rest = rest;
            value |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(MalformedMessage::new("a number is longer than ten octets"))
    }

    #[inline]
    fn take(&mut self, len: u64) -> Result<&'a [u8], MalformedMessage> {
        let len = usize::try_from(len).map_err(|_| MalformedMessage::Cut)?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(MalformedMessage::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The number of octets that are not yet read.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Enters the next field if it holds a message and has this number: gives the length of that, and goes to its begin.
    pub(super) fn enter(&mut self, number: u64) -> Result<Option<u64>, MalformedMessage> {
        let mut fields = self.clone();
        if fields.varint()? != number << 3 | 2 {
            return Ok(None);
        }
        let len = fields.varint()?;
        *self = fields;
        Ok(Some(len))
    }

    #[inline]
    fn field(&mut self) -> Result<(u32, Value<'a>), MalformedMessage> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| MalformedMessage::new("a field number is too large"))?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            // Groups are not part of what the API sends.
            kind => return Err(MalformedMessage::new(format!("field {number} has the unknown wire type {kind}"))),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), MalformedMessage>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], MalformedMessage> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(MalformedMessage::new("a field that holds octets or a message has a number")),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, MalformedMessage> {
        std::str::from_utf8(self.bytes()?).map_err(|_| MalformedMessage::new("text is not UTF-8"))
    }

    /// A signed number: negative ones come as 64-bit two's complement.
    pub(super) fn int(self) -> Result<i64, MalformedMessage> {
        match self {
            Self::Varint(value) => Ok(value as i64),
            _ => Err(MalformedMessage::new("a field that holds a number has octets")),
        }
    }

    pub(super) fn bool(self) -> Result<bool, MalformedMessage> {
        self.int().map(|value| value != 0)
    }
}

/// Octets that are no message of the expected shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MalformedMessage {
    /// They end before the message does.
    Cut,
    /// Anything else, in words.
    Wrong(String),
}

impl MalformedMessage {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self::Wrong(what.into())
    }
}

impl fmt::Display for MalformedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("it is cut off"),
            Self::Wrong(what) => f.write_str(what),
        }
    }
}

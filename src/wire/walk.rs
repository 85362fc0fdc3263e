//! The records of a message, walked in place: where they stand and how long they live, not what they say.
//!
//! For rooms that carry other servers' answers as octets. Everything is checked against the end of the message; names are
//! followed through compression pointers that lead backwards (RFC 1035 section 4.1.4).

use super::error::Malformed;
use super::name::{Name, NameError};
use super::opt::DO;
use super::{Class, Header, Rtype};

/// Walks the records of a message from the answer section to the last.
#[derive(Clone, Debug)]
pub struct Records<'m> {
    message: &'m [u8],
    at: usize,
    left: [u16; 3],
    section: u8,
}

/// One record and its place in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundRecord {
    /// 0 the answer, 1 the authority, 2 the additional section.
    pub section: u8,
    /// The beginning of the owner.
    pub owner: usize,
    /// The type.
    pub rtype: Rtype,
    /// The class; the payload size of an OPT record.
    pub class: Class,
    /// The TTL; extended response code, version and flags of an OPT record.
    pub ttl: u32,
    /// The beginning of the four octets of the TTL.
    pub ttl_at: usize,
    /// The beginning of the data.
    pub rdata: usize,
    /// The end of the data.
    pub end: usize,
}

impl FoundRecord {
    /// The upper eight bits of the response code, of an OPT record (RFC 6891 section 6.1.3).
    pub fn upper_rcode(&self) -> u8 {
        (self.ttl >> 24) as u8
    }

    /// DO, of an OPT record: DNSSEC records are welcome, or there (RFC 3225).
    pub fn dnssec_ok(&self) -> bool {
        self.ttl & u32::from(DO) != 0
    }
}

/// The pointers that a name may lead through: one for each label that it can have.
pub(super) const MOST_HOPS: u8 = 127;

impl<'m> Records<'m> {
    /// Starts behind the question section.
    ///
    /// # Errors
    /// When the header or the questions are cut short.
    pub fn new(message: &'m [u8]) -> Result<Self, Malformed> {
        let [questions, left @ ..] = Header::of(message).ok_or(Malformed)?.counts;
        let mut at = Header::LEN;
        for _ in 0..questions {
            at = skip_name(message, at)? + 4;
        }
        if at > message.len() {
            return Err(Malformed);
        }
        Ok(Self { message, at, left, section: 0 })
    }

    /// The beginning of the next record; after the last, the end of the message.
    pub fn at(&self) -> usize {
        self.at
    }

    fn step(&mut self) -> Result<Option<FoundRecord>, Malformed> {
        while let Some(left) = self.left.get_mut(usize::from(self.section)) {
            let Some(fewer) = left.checked_sub(1) else {
                self.section += 1;
                continue;
            };
            *left = fewer;
            let owner = self.at;
            let fixed = skip_name(self.message, owner)?;
            let rdata = fixed + 10;
            let end = rdata + usize::from(count(self.message, fixed + 8)?);
            if end > self.message.len() {
                return Err(Malformed);
            }
            self.at = end;
            let ttl = u32::from(count(self.message, fixed + 4)?) << 16 | u32::from(count(self.message, fixed + 6)?);
            return Ok(Some(FoundRecord {
                section: self.section,
                owner,
                rtype: Rtype(count(self.message, fixed)?),
                class: Class(count(self.message, fixed + 2)?),
                ttl,
                ttl_at: fixed + 4,
                rdata,
                end,
            }));
        }
        Ok(None)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<FoundRecord, Malformed>;

    /// The next record; after an error, nothing.
    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.left = [0; 3];
        }
        step.transpose()
    }
}

/// Reads a name of a message, wherever it stands, through its compression pointers; in lower case.
///
/// # Errors
/// When it leads out of the message, in circles, over 255 octets, or through more than 127 pointers.
pub fn name_at(message: &[u8], at: usize) -> Result<Name, NameError> {
    Name::from_wire(read_name(message, at, &mut [0; 255])?)
}

/// Reads a name of a message into `wire`, as it is spelled.
pub(super) fn read_name<'w>(message: &[u8], mut at: usize, wire: &'w mut [u8; 255]) -> Result<&'w [u8], NameError> {
    let mut len = 0;
    // Each pointer must lead before the place where the present run of labels began: no circle is possible.
    let (mut run, mut hops) = (at, 0);
    loop {
        let octet = *message.get(at).ok_or(NameError::Cut)?;
        match octet >> 6 {
            0 => {
                let next = at + 1 + usize::from(octet);
                let label = message.get(at..next).ok_or(NameError::Cut)?;
                let into = wire.get_mut(len..len + label.len()).ok_or(NameError::LongName)?;
                into.copy_from_slice(label);
                len += label.len();
                at = next;
                if octet == 0 {
                    return Ok(wire.get(..len).unwrap_or_default());
                }
            }
            3 => {
                let low = *message.get(at + 1).ok_or(NameError::Cut)?;
                let target = usize::from(octet & 0x3f) << 8 | usize::from(low);
                if target >= run || target < Header::LEN || hops == MOST_HOPS {
                    return Err(NameError::Cut);
                }
                hops += 1;
                run = target;
                at = target;
            }
            _ => return Err(NameError::LongLabel),
        }
    }
}

/// The end of a name in place: behind its root label or its first pointer.
#[inline]
pub(super) fn skip_name(message: &[u8], mut at: usize) -> Result<usize, Malformed> {
    // A name has 127 labels and the root.
    for _ in 0..128 {
        let octet = *message.get(at).ok_or(Malformed)?;
        match octet >> 6 {
            0 if octet == 0 => return Ok(at + 1),
            0 => at += 1 + usize::from(octet),
            3 => return Ok(at + 2),
            _ => return Err(Malformed),
        }
    }
    Err(Malformed)
}

fn count(message: &[u8], at: usize) -> Result<u16, Malformed> {
    match message.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\x01\x03WwW\x07example\x03org\0\0\x01\0\x01\
        \xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x50\0\0\x29\x04\xd0\0\0\x80\0\0\0";

    #[test]
    fn records_are_found_with_section_type_and_ttl() {
        let found: Vec<FoundRecord> = Records::new(ANSWER).unwrap().map(Result::unwrap).collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].section, found[0].rtype, found[0].ttl), (0, Rtype::A, 300));
        assert_eq!(&ANSWER[found[0].rdata..found[0].end], [192, 0, 2, 80]);
        assert_eq!(
            (found[1].section, found[1].rtype, found[1].class.0, found[1].end),
            (2, Rtype::OPT, 1232, ANSWER.len())
        );
        assert_eq!(name_at(ANSWER, found[0].owner).unwrap().to_string(), "www.example.org.");
    }

    #[test]
    fn a_message_cut_anywhere_is_malformed_or_has_fewer_records() {
        for len in 0..ANSWER.len() {
            let whole = Records::new(&ANSWER[..len]).is_ok_and(|records| records.into_iter().all(|one| one.is_ok()));
            assert!(!whole, "cut at {len}");
        }
    }

    #[test]
    fn a_pointer_that_leads_forwards_or_to_itself_is_refused() {
        let mut message = ANSWER.to_vec();
        let owner = Records::new(ANSWER).unwrap().at();
        message[owner + 1] = owner as u8;
        assert!(name_at(&message, owner).is_err());
        message[owner + 1] = owner as u8 + 4;
        assert!(name_at(&message, owner).is_err());
    }
}

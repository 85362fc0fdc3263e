//! The OPT record in octets (RFC 6891 section 6.1.2): written and read here alone.

use super::error::Malformed;
use super::{Header, Rtype};

/// The flag DO: DNSSEC records are welcome (RFC 3225).
pub(super) const DO: u16 = 0x8000;

/// The server's identifier (RFC 5001).
pub const NSID: u16 = 3;
/// The client's subnet (RFC 7871).
pub const SUBNET: u16 = 8;
/// The Extended DNS Error (RFC 8914).
pub(super) const EXTENDED_ERROR: u16 = 15;

/// An OPT record of version 0 as far as its options, which have so many octets. `upper` are the upper bits of the response
/// code.
pub fn opt_head(payload: u16, upper: u8, dnssec_ok: bool, options: u16) -> [u8; 11] {
    head(payload, [upper, 0], if dnssec_ok { DO } else { 0 }, options)
}

/// The same with the version behind the upper bits of the response code, and with all flags.
pub(super) fn head(payload: u16, [upper, version]: [u8; 2], flags: u16, options: u16) -> [u8; 11] {
    let ([p0, p1], [f0, f1], [l0, l1]) = (payload.to_be_bytes(), flags.to_be_bytes(), options.to_be_bytes());
    let [t0, t1] = Rtype::OPT.to_be_bytes();
    [0, t0, t1, p0, p1, upper, version, f0, f1, l0, l1]
}

/// The head of an option: its code and how many octets its value has.
pub fn option_head(code: u16, value: u16) -> [u8; 4] {
    let ([c0, c1], [l0, l1]) = (code.to_be_bytes(), value.to_be_bytes());
    [c0, c1, l0, l1]
}

/// Appends an OPT record of version 0 to a message and counts it. Its options are octets, some of them at a time.
pub fn append_opt(message: &mut Vec<u8>, payload: u16, upper: u8, dnssec_ok: bool, options: &[&[u8]]) {
    let len: usize = options.iter().map(|octets| octets.len()).sum();
    message.extend_from_slice(&opt_head(payload, upper, dnssec_ok, len as u16));
    options.iter().for_each(|octets| message.extend_from_slice(octets));
    Header::change(message, |header| header.counts[3] = header.counts[3].saturating_add(1));
}

/// The options of an OPT record, from its RDATA.
#[derive(Clone, Debug)]
pub struct EdnsOptions<'m> {
    rest: &'m [u8],
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct EdnsOption<'m> {
    /// Its code.
    pub code: u16,
    /// Head and value.
    pub octets: &'m [u8],
}

impl<'m> EdnsOptions<'m> {
    /// Reads RDATA.
    pub fn new(rdata: &'m [u8]) -> Self {
        Self { rest: rdata }
    }

    fn step(&mut self) -> Result<Option<EdnsOption<'m>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let &[c0, c1, l0, l1] = self.rest.first_chunk().ok_or(Malformed)?;
        let len = 4 + usize::from(u16::from_be_bytes([l0, l1]));
        let (octets, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(Some(EdnsOption { code: u16::from_be_bytes([c0, c1]), octets }))
    }
}

impl<'m> Iterator for EdnsOptions<'m> {
    type Item = Result<EdnsOption<'m>, Malformed>;

    /// The next option; after an error, nothing.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.rest = &[];
        }
        step.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_that_of_rfc_6891() {
        assert_eq!(opt_head(1232, 1, true, 6), [0, 0, 41, 0x04, 0xd0, 1, 0, 0x80, 0, 0, 6]);
        assert_eq!(opt_head(512, 0, false, 0), [0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn an_appended_record_is_counted() {
        let mut message = vec![0; 12];
        append_opt(&mut message, 1232, 0, false, &[&option_head(NSID, 1), b"x"]);
        assert_eq!((&message[..12], message.len()), (b"\0\0\0\0\0\0\0\0\0\0\0\x01".as_slice(), 12 + 11 + 5));
        assert!(message.ends_with(b"\0\x05\0\x03\0\x01x"));
    }

    #[test]
    fn options_fill_the_rdata_exactly_or_are_malformed() {
        let rdata = [option_head(NSID, 2).as_slice(), b"ab", &option_head(SUBNET, 0)].concat();
        let read =
            |len| EdnsOptions::new(&rdata[..len]).map(|option| option.map(|option| (option.code, option.octets.len())));
        assert_eq!(read(10).collect::<Result<Vec<_>, _>>(), Ok(vec![(NSID, 6), (SUBNET, 4)]));
        for len in 0..10 {
            assert_eq!(read(len).all(|option| option.is_ok()), matches!(len, 0 | 6), "cut at {len}");
        }
    }
}

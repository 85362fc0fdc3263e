//! Cuts the body of a watch into its events, wherever the transport cut it.

use super::decode::Encoding;
use super::failure::WatchFailure;
use crate::cluster::facts::LONGEST;

/// Octets of a watch that have come, and how far they are read.
///
/// Protobuf: four octets of length, most significant first, then the message. JSON: one document a line.
#[derive(Debug)]
pub(super) struct Frames {
    encoding: Encoding,
    octets: Vec<u8>,
    /// The place of the next frame.
    start: usize,
    /// Up to where no end of line was found.
    scanned: usize,
}

/// A frame longer than [`LONGEST`]: what follows cannot be trusted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong(pub(super) usize);

impl Frames {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self { encoding, octets: Vec::new(), start: 0, scanned: 0 }
    }

    /// Adds what the transport brought.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        if self.start > 0 {
            self.octets.drain(..self.start);
            self.scanned = self.scanned.saturating_sub(self.start);
            self.start = 0;
        }
        // A burst must not be paid for ever after.
        if self.octets.is_empty() && self.octets.capacity() > 1 << 20 {
            self.octets = Vec::new();
        }
        self.octets.extend_from_slice(chunk);
    }

    /// The next whole event, if it is there.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, TooLong> {
        match self.encoding {
            Encoding::Protobuf => self.next_prefixed(),
            Encoding::Json => self.next_line(),
        }
    }

    /// Whether an event has begun and not ended.
    pub(super) fn is_cut(&self) -> bool {
        self.octets.get(self.start..).is_some_and(|rest| rest.iter().any(|octet| !octet.is_ascii_whitespace()))
    }

    fn next_prefixed(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let Some(rest) = self.octets.get(self.start..) else { return Ok(None) };
        let Some((prefix, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_be_bytes(*prefix) as usize;
        if len > LONGEST {
            return Err(TooLong(len));
        }
        let Some(frame) = rest.get(..len) else { return Ok(None) };
        self.start += 4 + len;
        Ok(Some(frame))
    }

    fn next_line(&mut self) -> Result<Option<&[u8]>, TooLong> {
        loop {
            let from = self.scanned.max(self.start);
            let Some(offset) = self.octets.get(from..).and_then(|rest| rest.iter().position(|octet| *octet == b'\n'))
            else {
                self.scanned = self.octets.len();
                let waiting = self.octets.len() - self.start;
                return if waiting > LONGEST { Err(TooLong(waiting)) } else { Ok(None) };
            };
            let (begin, end) = (self.start, from + offset);
            self.start = end + 1;
            self.scanned = self.start;
            let blank = self.octets.get(begin..end).is_none_or(|line| line.iter().all(u8::is_ascii_whitespace));
            if blank {
                continue;
            }
            if end - begin > LONGEST {
                return Err(TooLong(end - begin));
            }
            return Ok(self.octets.get(begin..end));
        }
    }
}

/// The events of a body that comes in chunks, and whether it ends within one; `None` where one is too long.
pub(crate) fn events<'c>(is_json: bool, chunks: impl Iterator<Item = &'c [u8]>) -> Option<(Vec<Vec<u8>>, bool)> {
    let mut frames = Frames::new(if is_json { Encoding::Json } else { Encoding::Protobuf });
    let mut found = Vec::new();
    for chunk in chunks {
        frames.push(chunk);
        while let Some(frame) = frames.next().ok()? {
            found.push(frame.to_vec());
        }
    }
    Some((found, frames.is_cut()))
}

impl From<TooLong> for WatchFailure {
    fn from(TooLong(len): TooLong) -> Self {
        Self::Malformed(format!("an event of {len} octets"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(frames: &mut Frames) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some(frame) = frames.next().unwrap() {
            found.push(frame.to_vec());
        }
        found
    }

    fn body(encoding: Encoding, events: &[Vec<u8>]) -> Vec<u8> {
        let mut body = Vec::new();
        for event in events {
            match encoding {
                Encoding::Protobuf => {
                    body.extend_from_slice(&u32::try_from(event.len()).unwrap().to_be_bytes());
                    body.extend_from_slice(event);
                }
                Encoding::Json => {
                    body.extend_from_slice(event);
                    body.push(b'\n');
                }
            }
        }
        body
    }

    proptest! {
        #[test]
        fn frames_cut_anywhere_come_out_whole(
            events in prop::collection::vec(prop::collection::vec(b'a'..=b'z', 1..40), 0..8),
            cuts in prop::collection::vec(1_usize..50, 1..40),
            json in any::<bool>(),
        ) {
            let encoding = if json { Encoding::Json } else { Encoding::Protobuf };
            let body = body(encoding, &events);
            let mut frames = Frames::new(encoding);
            let mut found = Vec::new();
            let mut rest = body.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, more) = rest.split_at((*cut).min(rest.len()));
                frames.push(chunk);
                found.extend(all(&mut frames));
                rest = more;
            }
            prop_assert_eq!(found, events);
            prop_assert!(!frames.is_cut());
        }

        #[test]
        fn hostile_octets_end_in_frames_or_an_error(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20), json in any::<bool>()) {
            let mut frames = Frames::new(if json { Encoding::Json } else { Encoding::Protobuf });
            'all: for chunk in &chunks {
                frames.push(chunk);
                loop {
                    match frames.next() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'all,
                    }
                }
            }
        }
    }

    #[test]
    fn a_length_beyond_the_cap_is_an_error_before_it_is_stored() {
        let mut frames = Frames::new(Encoding::Protobuf);
        frames.push(&[0x7f, 0xff, 0xff, 0xff, 1]);
        assert_eq!(frames.next(), Err(TooLong(0x7fff_ffff)));
    }

    #[test]
    fn a_line_without_end_is_an_error_at_the_cap() {
        let mut frames = Frames::new(Encoding::Json);
        let chunk = vec![b'x'; 1 << 20];
        let failed = (0..=LONGEST >> 20).any(|_| {
            frames.push(&chunk);
            frames.next().is_err()
        });
        assert!(failed);
    }

    #[test]
    fn an_event_without_end_is_seen_as_cut() {
        let mut frames = Frames::new(Encoding::Protobuf);
        frames.push(&[0, 0, 0, 4, 1, 2]);
        assert_eq!(frames.next(), Ok(None));
        assert!(frames.is_cut());
        frames.push(&[3, 4]);
        assert_eq!(frames.next(), Ok(Some(&[1, 2, 3, 4][..])));
        assert!(!frames.is_cut());
    }

    #[test]
    fn blank_lines_are_skipped() {
        let mut frames = Frames::new(Encoding::Json);
        frames.push(b"\r\n\n{}\n \n");
        assert_eq!(all(&mut frames), [b"{}".to_vec()]);
        assert!(!frames.is_cut());
    }
}

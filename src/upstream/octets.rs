//! A client's message on its way to another resolver and back, as octets.

use crate::wire::{Flags, Header, Opcode, Rcode, check, respell};

/// A query as it is sent: under an id of its own, the letters of its name in random case.
///
/// The case is as good as 10 more bits of id for a common name; an answer must repeat it (draft-vixie-dnsext-dns0x20).
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) octets: Vec<u8>,
    /// The end of the question section.
    end: usize,
    /// Whether the case is random, so that it must come back.
    mixed: bool,
}

/// The result of comparing an answer with what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matches {
    /// The answer.
    Yes,
    /// The answer with octets behind it: the message itself has so many.
    Trailing(usize),
    /// The answer, had its question the case of the one that was sent.
    CaseLost,
    /// The id is right and something else is not: the question, the opcode, a record, a name. Perhaps a guess, perhaps a
    /// poor server.
    Doubtful,
    /// Something else.
    No,
}

impl Sent {
    /// Prepares a query with one question; `None` when it has another number or is malformed.
    pub(super) fn new(query: &[u8], id: u16, mut case: Option<u128>) -> Option<Self> {
        let mut octets = query.to_vec();
        let end = question_end(query)?;
        octets.get_mut(..2)?.copy_from_slice(&id.to_be_bytes());
        if let Some(bits) = &mut case {
            for_letters(&mut octets, |letter| {
                *letter = letter.to_ascii_lowercase() ^ if *bits & 1 == 1 { 0x20 } else { 0 };
                *bits = bits.rotate_right(1);
            });
        }
        Some(Self { octets, end, mixed: case.is_some() })
    }

    /// Looks at what came back. It is read to its end, so that whoever handles it later need not doubt it.
    pub(super) fn compare(&self, reply: &[u8]) -> Matches {
        let (Some(sent), Some(Header { id, flags, counts })) = (Header::of(&self.octets), Header::of(reply)) else {
            return Matches::No;
        };
        if id != sent.id || !flags.has(Flags::QR) {
            return Matches::No;
        }
        if flags.opcode() != Opcode::QUERY || counts[0] != 1 {
            return Matches::Doubtful;
        }
        let Some(case_kept) = self.compare_question(reply) else { return Matches::Doubtful };
        let len = match check(reply) {
            Ok(len) => len,
            // A truncated answer may be cut anywhere: only its header and question are used then.
            Err(_) if flags.has(Flags::TC) => reply.len(),
            Err(_) => return Matches::Doubtful,
        };
        match case_kept || !self.mixed {
            false => Matches::CaseLost,
            true if len < reply.len() => Matches::Trailing(len),
            true => Matches::Yes,
        }
    }

    /// The same over a connection, which nobody can write into: the case may be lost, an error may lack the question.
    pub(super) fn compare_trusted(&self, reply: &[u8]) -> Matches {
        let flags = Flags::of(reply).filter(|_| reply.len() == Header::LEN);
        let is_error = |flags: Flags| flags.opcode() == Opcode::QUERY && flags.rcode() != Rcode::NOERROR;
        let bare_error = flags.is_some_and(is_error);
        match self.compare(reply) {
            Matches::Doubtful if bare_error => Matches::Yes,
            Matches::CaseLost | Matches::Trailing(_) => Matches::Yes,
            other => other,
        }
    }

    /// Whether the question came back in its case; `None` for another question.
    fn compare_question(&self, reply: &[u8]) -> Option<bool> {
        let (name, rest) = self.octets.get(Header::LEN..self.end)?.split_last_chunk::<4>()?;
        let (their_name, their_rest) = reply.get(Header::LEN..self.end)?.split_last_chunk::<4>()?;
        (rest == their_rest && name.eq_ignore_ascii_case(their_name)).then(|| name == their_name)
    }
}

/// Makes an answer one to the client's query: its id, and the spelling of its name wherever the name or its end stands.
/// What no answer may have is taken off: octets behind it and the bit that is reserved (RFC 6895 section 2.1).
pub(super) fn restore(reply: &mut Vec<u8>, query: &[u8]) {
    let Some(question) = question_end(query).and_then(|end| query.get(Header::LEN..end)) else { return };
    let Some(Header { id, .. }) = Header::of(query) else { return };
    Header::change(reply, |header| (header.id, header.flags) = (id, header.flags.without(Flags::Z)));
    match question.split_last_chunk::<4>().map(|(name, _)| respell(reply, name)) {
        Some(Ok(len)) => reply.truncate(len),
        // An error without its question, or an answer cut inside a record: header and question are what is left of it.
        _ => {
            reply.truncate(Header::LEN);
            reply.extend_from_slice(question);
            Header::change(reply, |header| header.counts = [1, 0, 0, 0]);
        }
    }
}

/// The key that equal queries share: everything but the id and the case of the name.
pub(super) fn key(query: &[u8], stream: bool) -> Option<Box<[u8]>> {
    let mut octets = query.to_vec();
    question_end(query)?;
    octets.get_mut(..2)?.copy_from_slice(&[0, u8::from(stream)]);
    for_letters(&mut octets, |letter| *letter = letter.to_ascii_lowercase());
    Some(octets.into())
}

/// The end of the question section of a query with one question.
pub(super) fn question_end(query: &[u8]) -> Option<usize> {
    if Header::of(query)?.counts[0] != 1 {
        return None;
    }
    let mut at = Header::LEN;
    loop {
        match *query.get(at)? {
            0 => break,
            length @ 1..64 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
    (at - Header::LEN < 255 && at + 5 <= query.len()).then_some(at + 5)
}

/// Visits every letter of the qname; the caller has checked the question.
fn for_letters(query: &mut [u8], mut visit: impl FnMut(&mut u8)) {
    let mut at = Header::LEN;
    while let Some(&length) = query.get(at).filter(|&&length| length != 0) {
        let next = at + 1 + usize::from(length);
        query
            .get_mut(at + 1..next)
            .unwrap_or_default()
            .iter_mut()
            .filter(|octet| octet.is_ascii_alphabetic())
            .for_each(&mut visit);
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03wWw\x07example\0\0\x01\0\x01";

    fn answer(sent: &Sent, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut reply = sent.octets.clone();
        reply[2] |= 0x80;
        reply[7] = 1;
        reply.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01");
        change(&mut reply);
        reply
    }

    #[test]
    fn the_case_is_mixed_and_restored() {
        let sent = Sent::new(QUERY, 0xbeef, Some(0b1010_0101)).unwrap();
        assert_eq!(&sent.octets[..2], [0xbe, 0xef]);
        assert_eq!(&sent.octets[12..25], b"\x03WwW\x07exAmPle\0");
        let mut reply = answer(&sent, |_| {});
        assert_eq!(sent.compare(&reply), Matches::Yes);
        restore(&mut reply, QUERY);
        assert_eq!(&reply[..2], &QUERY[..2]);
        assert_eq!(&reply[12..29], &QUERY[12..29]);
    }

    #[test]
    fn the_spelling_is_restored_in_every_name() {
        let sent = Sent::new(QUERY, 1, Some(u128::MAX)).unwrap();
        let mut reply = answer(&sent, |reply| {
            let owner: Vec<u8> = reply[12..25].to_vec();
            reply.splice(29..31, owner.clone());
            reply[7] = 2;
            reply.extend(b"\xc0\x0c\0\x21\0\x01\0\0\0\x3c\0\x15\0\0\0\0\0\x50\x01a");
            reply.extend(owner);
        });
        assert_eq!(sent.compare(&reply), Matches::Yes);
        restore(&mut reply, QUERY);
        assert_eq!(&reply[29..42], &QUERY[12..25]);
        assert_eq!(&reply[reply.len() - 13..], &QUERY[12..25], "the target of the SRV record");
    }

    #[test]
    fn the_reserved_bit_and_what_stands_behind_the_answer_are_taken_off() {
        let sent = Sent::new(QUERY, 1, Some(u128::MAX)).unwrap();
        let mut reply = answer(&sent, |reply| {
            reply[3] |= 0x40;
            reply.extend([0; 10]);
        });
        assert_eq!(sent.compare(&reply), Matches::Trailing(reply.len() - 10));
        assert_eq!(sent.compare_trusted(&reply), Matches::Yes);
        restore(&mut reply, QUERY);
        assert_eq!((reply[3], reply.len()), (0, QUERY.len() + 16));
    }

    #[test]
    fn wrong_answers_are_told_apart() {
        let sent = Sent::new(QUERY, 7, Some(u128::MAX)).unwrap();
        assert_eq!(sent.compare(&answer(&sent, |reply| reply[1] ^= 1)), Matches::No);
        assert_eq!(sent.compare(&answer(&sent, |reply| reply[2] &= 0x7f)), Matches::No);
        assert_eq!(sent.compare(&answer(&sent, |reply| reply[14] = b'x')), Matches::Doubtful);
        assert_eq!(sent.compare(&answer(&sent, |reply| reply[14] ^= 0x20)), Matches::CaseLost);
        assert_eq!(sent.compare(&answer(&sent, |reply| reply[2] |= 0x28)), Matches::Doubtful, "an UPDATE");
        assert_eq!(sent.compare(&answer(&sent, |reply| reply[5] = 0)), Matches::Doubtful);
        assert_eq!(sent.compare(&answer(&sent, |reply| reply[5] = 2)), Matches::Doubtful);
        assert_eq!(sent.compare(&answer(&sent, |reply| reply[28] = 2)), Matches::Doubtful, "another class");
        let owner_of_itself = answer(&sent, |reply| reply[30] = 29);
        assert_eq!(sent.compare(&owner_of_itself), Matches::Doubtful);
        assert_eq!(sent.compare_trusted(&owner_of_itself), Matches::Doubtful);
        let bare = |flags: [u8; 2]| {
            let mut reply = answer(&sent, |reply| reply.truncate(12));
            reply[2..4].copy_from_slice(&flags);
            sent.compare_trusted(&reply)
        };
        assert_eq!(bare([0x81, 0x81]), Matches::Yes, "an old server's FORMERR");
        assert_eq!(bare([0x81, 0x80]), Matches::Doubtful, "no error");
        assert_eq!(bare([0xa9, 0x81]), Matches::Doubtful, "another opcode");
        assert_eq!(sent.compare(&answer(&sent, |reply| reply.truncate(40))), Matches::Doubtful);
        assert_eq!(sent.compare(&answer(&sent, |reply| reply.truncate(12))), Matches::Doubtful);
        assert_eq!(sent.compare(&answer(&sent, |reply| reply.truncate(11))), Matches::No);
        assert_eq!(sent.compare_trusted(&answer(&sent, |reply| reply[14] ^= 0x20)), Matches::Yes);
        assert_eq!(sent.compare_trusted(&answer(&sent, |reply| reply[14] = b'x')), Matches::Doubtful);
    }

    #[test]
    fn the_type_has_no_case_and_a_name_as_the_client_spelled_it_need_not_keep_its_own() {
        let mut query = QUERY.to_vec();
        query[26] = b'A';
        let sent = Sent::new(&query, 7, None).unwrap();
        assert_eq!(sent.compare(&answer(&sent, |reply| reply[26] = b'a')), Matches::Doubtful);
        assert_eq!(sent.compare(&answer(&sent, |reply| reply[14] ^= 0x20)), Matches::Yes);
    }

    #[test]
    fn a_truncated_answer_cut_inside_a_record_keeps_header_and_question() {
        let sent = Sent::new(QUERY, 7, None).unwrap();
        let mut reply = answer(&sent, |reply| {
            reply[2] |= 2;
            reply.truncate(40);
        });
        assert_eq!(sent.compare(&reply), Matches::Yes);
        restore(&mut reply, QUERY);
        assert_eq!(reply.len(), QUERY.len());
        assert_eq!(&reply[2..8], [0x83, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn equal_queries_have_one_key_whatever_their_id_and_case() {
        let mut other = QUERY.to_vec();
        other[0] = 9;
        other[13] = b'W';
        assert_eq!(key(QUERY, false), key(&other, false));
        assert_ne!(key(QUERY, false), key(QUERY, true));
        other[2] = 0;
        assert_ne!(key(QUERY, false), key(&other, false), "RD makes a difference");
    }

    #[test]
    fn what_is_no_query_with_one_question_cannot_be_sent() {
        for len in 0..QUERY.len() {
            assert!(Sent::new(&QUERY[..len], 1, None).is_none(), "cut at {len}");
        }
        let mut pointer = QUERY.to_vec();
        pointer[12] = 0xc0;
        assert!(Sent::new(&pointer, 1, None).is_none());
        let mut two = QUERY.to_vec();
        two[5] = 2;
        assert!(Sent::new(&two, 1, None).is_none());
    }
}

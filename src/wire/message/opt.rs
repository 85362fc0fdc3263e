//! The OPT record of a reply: the server's own, hop by hop (RFC 6891 section 7), whatever those behind it wrote.

use super::{Message, MessageEdns, Size, decode, encode, rdata};
use crate::wire::{Edns, Failure, OwnEdns};
use rdata::opt::{EdnsCode, EdnsOption};

const OPT: u16 = 41;

/// Writes a message with the server's own OPT record, cut to the size, into `buffer`. Returns whether TC is set.
///
/// Of an OPT record that the message brings the Extended DNS Error alone is kept (RFC 8914).
pub fn finish_message(
    message: &mut Message,
    query: Option<Edns>,
    own: &OwnEdns,
    size: Size,
    seed: u64,
    buffer: &mut Vec<u8>,
) -> bool {
    let brought = message.edns.take();
    message.edns = query.map(|query| {
        let mut edns = MessageEdns::new();
        edns.set_dnssec_ok(query.dnssec_ok).set_max_payload(own.payload);
        if let Some(nsid) = own.nsid_for(query) {
            edns.options_mut().insert(EdnsOption::Unknown(3, nsid.to_vec()));
        }
        if let Some(error) = brought.as_ref().and_then(|brought| brought.option(EdnsCode::Unknown(15))) {
            edns.options_mut().insert(error.clone());
        }
        edns
    });
    encode(message, size, seed, buffer)
}

/// Gives octets the server's own OPT record and makes them fit. They stay octets where they fit and their OPT record,
/// if they have one, is the last; otherwise they are read and written anew.
///
/// # Errors
/// When the octets are no message.
pub fn finish_octets(
    mut octets: Vec<u8>,
    query: Option<Edns>,
    own: &OwnEdns,
    size: Size,
    seed: u64,
) -> Result<Vec<u8>, Failure> {
    let own_len = own.len(query);
    match find(&octets) {
        Some(Found::None) if octets.len() + own_len <= size.limit => {
            append(&mut octets, query, own, 0);
            return Ok(octets);
        }
        Some(Found::Last { at, upper }) if at + own_len <= size.limit => {
            octets.truncate(at);
            count(&mut octets, |count| count.saturating_sub(1));
            append(&mut octets, query, own, upper);
            return Ok(octets);
        }
        _ => {}
    }
    let mut buffer = Vec::with_capacity(octets.len().min(size.limit));
    finish_message(&mut decode(&octets)?, query, own, size, seed, &mut buffer);
    Ok(buffer)
}

/// Where the OPT record of a message is.
enum Found {
    None,
    /// Nothing stands behind it, and it brings no options: it begins here, with these upper bits of the response code.
    Last {
        at: usize,
        upper: u8,
    },
    Elsewhere,
}

/// Steps over the records by their lengths; `None` when they are cut off.
fn find(octets: &[u8]) -> Option<Found> {
    let (header, mut rest) = octets.split_first_chunk::<12>()?;
    let &[_, _, _, _, q0, q1, a0, a1, n0, n1, r0, r1] = header;
    let [questions, answers, authorities, additionals] =
        [[q0, q1], [a0, a1], [n0, n1], [r0, r1]].map(u16::from_be_bytes);
    for _ in 0..questions {
        rest = skip_name(rest)?.get(4..)?;
    }
    let records = u32::from(answers) + u32::from(authorities) + u32::from(additionals);
    let mut found = Found::None;
    for index in 0..records {
        let at = octets.len() - rest.len();
        let (&[t0, t1, _, _, upper, _, _, _, l0, l1], data) = skip_name(rest)?.split_first_chunk::<10>()?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        rest = data.get(len..)?;
        if u16::from_be_bytes([t0, t1]) == OPT {
            let last = index + 1 == records && rest.is_empty() && len == 0;
            found = if last { Found::Last { at, upper } } else { Found::Elsewhere };
        }
    }
    Some(found)
}

fn skip_name(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (&len, tail) = rest.split_first()?;
        match len {
            0 => return Some(tail),
            1..=63 => rest = tail.get(usize::from(len)..)?,
            0xc0.. => return tail.get(1..),
            _ => return None,
        }
    }
}

fn append(octets: &mut Vec<u8>, query: Option<Edns>, own: &OwnEdns, upper: u8) {
    let Some(query) = query else { return };
    let nsid = own.nsid_for(query);
    octets.extend_from_slice(&[0, 0, OPT as u8]);
    octets.extend_from_slice(&own.payload.to_be_bytes());
    octets.extend_from_slice(&[upper, 0, u8::from(query.dnssec_ok) << 7, 0]);
    octets.extend_from_slice(&nsid.map_or(0, |nsid| nsid.len() as u16 + 4).to_be_bytes());
    if let Some(nsid) = nsid {
        octets.extend_from_slice(&[0, 3]);
        octets.extend_from_slice(&(nsid.len() as u16).to_be_bytes());
        octets.extend_from_slice(nsid);
    }
    count(octets, |count| count.saturating_add(1));
}

/// Changes the count of additional records.
fn count(octets: &mut [u8], change: impl FnOnce(u16) -> u16) {
    if let Some(place) = octets.get_mut(10..12).and_then(|place| place.first_chunk_mut::<2>()) {
        *place = change(u16::from_be_bytes(*place)).to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Asked, MessageName, OpCode, RData, Record, RecordType};

    const EDNS: Option<Edns> = Some(Edns { payload: 4096, version: 0, dnssec_ok: true, nsid: true });

    fn message() -> Message {
        let mut message = Message::response(7, OpCode::Query);
        let name = MessageName::from_ascii("a.example.org.").unwrap();
        message.add_query(Asked::query(name.clone(), RecordType::A));
        message.add_answer(Record::from_rdata(name, 30, RData::A(rdata::A::new(192, 0, 2, 1))));
        message
    }

    fn octets(message: &Message) -> Vec<u8> {
        let mut octets = Vec::new();
        encode(message, Size::tcp(), 0, &mut octets);
        octets
    }

    fn own() -> OwnEdns {
        OwnEdns { payload: 1400, nsid: Some(b"node".as_slice().into()) }
    }

    #[test]
    fn octets_get_the_servers_own_opt_record_when_the_query_had_one() {
        let mut brought = MessageEdns::new();
        brought.set_max_payload(9999);
        for edns in [None, Some(brought)] {
            let mut reply = message();
            reply.edns = edns;
            let finished = finish_octets(octets(&reply), EDNS, &own(), Size::udp(512), 0).unwrap();
            let read = decode(&finished).unwrap();
            let edns = read.edns.as_ref().unwrap();
            assert_eq!((edns.max_payload(), edns.flags().dnssec_ok, edns.options().options.len()), (1400, true, 1));
            assert_eq!((read.answers.len(), read.additionals.len()), (1, 0));
            let plain = finish_octets(octets(&reply), None, &own(), Size::udp(512), 0).unwrap();
            assert_eq!(plain, octets(&message()));
        }
    }

    #[test]
    fn octets_that_the_opt_record_pushes_over_the_limit_are_cut() {
        let limit = octets(&message()).len() + 18;
        let finished = finish_octets(octets(&message()), EDNS, &own(), Size::udp(limit), 0).unwrap();
        assert!(finished.len() <= limit && decode(&finished).unwrap().truncation);
        let finished = finish_octets(octets(&message()), EDNS, &own(), Size::udp(limit + 1), 0).unwrap();
        assert!(!decode(&finished).unwrap().truncation);
    }

    #[test]
    fn an_extended_error_is_passed_on_and_other_options_are_not() {
        let mut reply = message();
        let mut brought = MessageEdns::new();
        brought.options_mut().insert(EdnsOption::Unknown(15, vec![0, 22]));
        brought.options_mut().insert(EdnsOption::Unknown(100, vec![1]));
        reply.edns = Some(brought);
        let finished = finish_octets(octets(&reply), EDNS, OwnEdns::DEFAULT, Size::udp(512), 0).unwrap();
        let options = decode(&finished).unwrap().edns.unwrap().options().options.clone();
        assert_eq!(options, [(EdnsCode::Unknown(15), EdnsOption::Unknown(15, vec![0, 22]))]);
    }

    #[test]
    fn octets_that_are_no_message_are_refused() {
        assert!(finish_octets(vec![0xff; 40], EDNS, &own(), Size::udp(512), 0).is_err());
        assert!(finish_octets(vec![], EDNS, &own(), Size::udp(512), 0).is_err());
    }
}

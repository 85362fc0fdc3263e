//! How long a message is when no name in it is compressed, as logs tell the size of an answer.

use super::Rtype;
use super::error::Malformed;
use super::walk::Records;

/// The octets of a message with every name written out: without its OPT records, and those of its OPT records.
///
/// # Errors
/// When the octets are no message.
pub fn unpacked_len(message: &[u8]) -> Result<(usize, usize), Malformed> {
    let records = Records::new(message)?;
    // Questions are rarely compressed, being the first names there are.
    let (mut len, mut opt) = (records.at(), 0);
    for record in records {
        let record = record?;
        if record.rtype == Rtype::OPT {
            opt += record.end - record.owner;
            continue;
        }
        len += name(message, record.owner)?.0 + 10;
        let (before, names) = names_of(record.rtype);
        let mut at = record.rdata + before;
        if names > 0 {
            len += before;
            for _ in 0..names {
                let (written_out, in_place) = name(message, at)?;
                len += written_out;
                at += in_place;
            }
        } else {
            at = record.rdata;
        }
        len += record.end.checked_sub(at).ok_or(Malformed)?;
    }
    Ok((len, opt))
}

/// The beginning of the names in a record's data, and their number, of types whose names may be compressed.
fn names_of(rtype: Rtype) -> (usize, usize) {
    use Rtype as R;
    match rtype {
        R::NS | R::MD | R::MF | R::CNAME | R::MB | R::MG | R::MR | R::PTR | R::DNAME => (0, 1),
        R::SOA | R::MINFO | R::RP => (0, 2),
        R::MX | R::AFSDB | R::RT | R::KX => (2, 1),
        R::SRV => (6, 1),
        _ => (0, 0),
    }
}

/// The octets of a name, written out and in place. A name has at most 127 labels, so it takes no more steps than twice that.
fn name(message: &[u8], mut at: usize) -> Result<(usize, usize), Malformed> {
    let (begun, mut len, mut in_place) = (at, 0, None);
    for _ in 0..256 {
        let octet = *message.get(at).ok_or(Malformed)?;
        match octet >> 6 {
            0 => {
                len += 1 + usize::from(octet);
                at += 1 + usize::from(octet);
                if octet == 0 {
                    return Ok((len, in_place.unwrap_or(len)));
                }
            }
            3 => {
                in_place.get_or_insert(at + 2 - begun);
                at = usize::from(octet & 0x3f) << 8 | usize::from(*message.get(at + 1).ok_or(Malformed)?);
            }
            _ => return Err(Malformed),
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::super::message::{Message, Record, Size, encode};
    use super::*;

    const HEADER: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\x01\x01a\x02bc\0\0\x0f\0\x01";

    #[test]
    fn names_count_as_if_written_out() {
        let mut message = HEADER.to_vec();
        message.extend_from_slice(b"\xc0\x0c\0\x0f\0\x01\0\0\0\x05\0\x06\0\x0a\x01x\xc0\x0c");
        message.extend_from_slice(b"\xc0\x0e\0\x01\0\x01\0\0\0\x05\0\x04\xc0\0\x02\x01");
        message.extend_from_slice(b"\0\0\x29\x04\xd0\0\0\x80\0\0\0");
        let mx = 6 + 10 + 2 + 2 + 6;
        let a = 4 + 10 + 4;
        assert_eq!(unpacked_len(&message), Ok((12 + 6 + 4 + mx + a, 11)));
        for cut in 0..message.len() {
            assert_eq!(unpacked_len(&message[..cut]), Err(Malformed), "cut at {cut}");
        }
    }

    #[test]
    fn a_message_without_compression_is_as_long_as_it_is() {
        let owner = "a.bc.".parse().unwrap();
        let mut message = Message::response(1, crate::wire::message::OpCode::Query);
        message.answers.push(Record::from_rdata(owner, 5, "192.0.2.1".parse::<std::net::Ipv4Addr>().unwrap().into()));
        let mut octets = Vec::new();
        encode(&message, Size::tcp(), 0, &mut octets);
        assert_eq!(unpacked_len(&octets), Ok((octets.len(), 0)));
    }

    #[test]
    fn names_that_lead_in_circles_end() {
        let mut message = HEADER.to_vec();
        let here = message.len() as u8;
        message.extend_from_slice(&[0xc0, here, 0, 1, 0, 1, 0, 0, 0, 5, 0, 0]);
        assert_eq!(unpacked_len(&message), Err(Malformed));
    }
}

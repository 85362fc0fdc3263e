//! Other names for those in a message, as octets: what nobody here can read passes as it is.

use super::encode::Encoder;
use super::{MessageName, MessageQuestion, RecordType};
use crate::wire::error::Malformed;
use crate::wire::name::Labels;
use crate::wire::walk::{FoundRecord, Records, read_name, skip_name};
use crate::wire::{Class, Header, Rtype, layout};

/// The place of a name in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamePosition {
    /// The owner.
    Owner,
    /// The name of this number in the data of a record of this type.
    Data(RecordType, usize),
}

/// Writes a message anew, with this question, and with each name of its records as `change` leaves it. Names are
/// compressed where they may be (RFC 3597 section 4). How long it gets is for others to look after.
///
/// # Errors
/// When the octets are no message that [`check`](crate::wire::check) takes.
pub fn rename(
    octets: &[u8],
    question: &MessageQuestion,
    mut change: impl FnMut(NamePosition, &mut MessageName),
) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(octets.len() + 64);
    let mut encoder = Encoder::new(&mut out, usize::MAX);
    let Header { id, flags, counts: [_, records @ ..] } = Header::of(octets).ok_or(Malformed)?;
    let [answers, authorities, additionals] = records;
    encoder.put(&Header { id, flags, counts: [1, answers, authorities, additionals] }.to_octets());
    encoder.name(question.name());
    encoder.put(&Rtype::from(question.query_type()).to_be_bytes());
    encoder.put(&Class::from(question.query_class()).to_be_bytes());
    for record in Records::new(octets)? {
        let record = record?;
        let mut owner = spelled_at(octets, record.owner)?;
        let is_opt = record.rtype == Rtype::OPT;
        if !is_opt {
            change(NamePosition::Owner, &mut owner);
        }
        encoder.name(&owner);
        encoder.put(octets.get(record.ttl_at - 4..record.rdata).ok_or(Malformed)?);
        put_data(octets, &record, &mut encoder, &mut change)?;
    }
    Ok(out)
}

fn put_data(
    octets: &[u8],
    record: &FoundRecord,
    encoder: &mut Encoder<'_>,
    change: &mut impl FnMut(NamePosition, &mut MessageName),
) -> Result<(), Malformed> {
    let start = encoder.out.len();
    let (mut done, mut nth) = (record.rdata, 0);
    layout::names(octets, record, |at| {
        encoder.put(octets.get(done..at).ok_or(Malformed)?);
        let mut name = spelled_at(octets, at)?;
        change(NamePosition::Data(record.rtype.into(), nth), &mut name);
        match layout::may_be_compressed(record.rtype) {
            true => encoder.name(&name),
            false => encoder.spelled_out(&name),
        }
        (done, nth) = (skip_name(octets, at)?, nth + 1);
        Ok(done)
    })?;
    encoder.put(octets.get(done..record.end).ok_or(Malformed)?);
    let len = u16::try_from(encoder.out.len() - start).map_err(|_| Malformed)?;
    encoder.out.get_mut(start - 2..start).ok_or(Malformed)?.copy_from_slice(&len.to_be_bytes());
    Ok(())
}

fn spelled_at(octets: &[u8], at: usize) -> Result<MessageName, Malformed> {
    let mut wire = [0; 255];
    let wire = read_name(octets, at, &mut wire).map_err(|_| Malformed)?;
    let mut name = MessageName::from_labels(Labels::of(wire)).map_err(|_| Malformed)?;
    name.set_fqdn(true);
    Ok(name)
}

/// A message whose names are compressed: one that spells its owners out would be cut for clients that it fits otherwise.
/// Those that no client has to cut stay as they are.
pub fn compact(octets: Vec<u8>) -> Vec<u8> {
    const SMALLEST: usize = 512;
    if octets.len() <= SMALLEST {
        return octets;
    }
    let is_spelled = |record: &FoundRecord| {
        let end = skip_name(&octets, record.owner);
        end.is_ok_and(|end| end > record.owner + 1 && !is_pointer(&octets, record.owner, end))
    };
    // One may be the first of its kind.
    let spelled = Records::new(&octets).into_iter().flatten().flatten().filter(is_spelled).nth(1).is_some();
    let compact = spelled.then(|| anew(&octets)).flatten().filter(|compact| compact.len() < octets.len());
    compact.unwrap_or(octets)
}

/// Whether a name that stands there ends in a pointer.
fn is_pointer(octets: &[u8], start: usize, end: usize) -> bool {
    end >= start + 2 && octets.get(end - 2).is_some_and(|&octet| octet >= 0xc0)
}

/// The same message, written anew.
fn anew(octets: &[u8]) -> Option<Vec<u8>> {
    if Header::of(octets)?.counts[0] != 1 {
        return None;
    }
    let end = skip_name(octets, Header::LEN).ok()?;
    let &[t0, t1, c0, c1] = octets.get(end..)?.first_chunk::<4>()?;
    let mut question =
        MessageQuestion::query(spelled_at(octets, Header::LEN).ok()?, Rtype::from_be_bytes([t0, t1]).into());
    question.set_query_class(Class::from_be_bytes([c0, c1]).into());
    rename(octets, &question, |_, _| {}).ok()
}

/// A message without pointers in data that the codec takes as they are: moved to another place, they would lead elsewhere.
/// `None` where there are none.
pub(super) fn without_hidden_pointers(octets: &[u8]) -> Option<Vec<u8>> {
    let is_hidden = |record: &FoundRecord| {
        let mut pointers = false;
        let done = layout::names(octets, record, |at| {
            let end = skip_name(octets, at)?;
            pointers |= is_pointer(octets, at, end);
            Ok(end)
        });
        pointers && done.is_ok()
    };
    // The types that the codec reads itself.
    let read = |rtype| {
        use Rtype as R;
        matches!(rtype, R::NS | R::CNAME | R::SOA | R::PTR | R::MX | R::SRV | R::NAPTR | R::SVCB | R::HTTPS)
    };
    let hidden = Records::new(octets).ok()?.flatten().any(|record| !read(record.rtype) && is_hidden(&record));
    hidden.then(|| anew(octets)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check;
    use crate::wire::message::{decode, present};

    /// A reply to `a.one` with a TXT record of nothing, a DNAME record, an AFSDB record and an SRV record, their names compressed.
    const REPLY: &[u8] = b"\0\x07\x81\x80\0\x01\0\x04\0\0\0\x01\x01a\x03One\0\0\x10\0\x01\
        \xc0\x0c\0\x10\0\x01\0\0\0\x3c\0\0\
        \xc0\x0c\0\x27\0\x01\0\0\0\x3c\0\x04\x01d\xc0\x0e\
        \xc0\x0c\0\x12\0\x01\0\0\0\x3c\0\x06\0\x01\x01b\xc0\x0e\
        \xc0\x0c\0\x21\0\x01\0\0\0\x3c\0\x0a\0\0\0\0\0\x50\x01s\xc0\x0e\
        \0\0\x29\x04\xd0\0\0\0\0\0\0";

    fn name(text: &str) -> MessageName {
        MessageName::from_ascii(text).unwrap()
    }

    #[test]
    fn every_name_is_changed_and_what_nobody_reads_stays() {
        let mut seen = Vec::new();
        let changed = rename(REPLY, &MessageQuestion::query(name("x.three."), RecordType::TXT), |named, name| {
            seen.push((named, name.to_ascii()));
            let labels: Vec<&[u8]> = name.iter().collect();
            *name = MessageName::from_labels([labels[0], b"a-longer-name", b"two"]).unwrap();
        })
        .unwrap();
        let data = |rtype: u16| NamePosition::Data(rtype.into(), 0);
        let owner = || (NamePosition::Owner, "a.One.".to_owned());
        let mut expected = vec![owner(), owner(), (data(39), "d.One.".into())];
        expected.extend([owner(), (data(18), "b.One.".into()), owner(), (data(33), "s.One.".into())]);
        assert_eq!(seen, expected);
        assert_eq!(check(&changed), Ok(changed.len()));
        assert_eq!(changed[..12], REPLY[..12]);
        assert_eq!(changed[12..21], *b"\x01x\x05three\0");
        let targets: Vec<Vec<u8>> = Records::new(&changed)
            .unwrap()
            .flatten()
            .map(|record| changed[record.rdata..record.end].to_vec())
            .collect();
        assert_eq!(targets[0], b"");
        assert_eq!(targets[1], b"\x01d\x0da-longer-name\x03two\0");
        assert_eq!(targets[2], b"\0\x01\x01b\x0da-longer-name\x03two\0");
        assert_eq!(targets[3], b"\0\0\0\0\0\x50\x01s\x0da-longer-name\x03two\0");
    }

    #[test]
    fn names_of_old_types_are_compressed() {
        let mx = b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0\x01a\x03One\0\0\x0f\0\x01\
            \x01a\x03One\0\0\x0f\0\x01\0\0\0\x3c\0\x09\0\x01\x01m\x03One\0";
        let question = MessageQuestion::query(name("a.One."), RecordType::MX);
        let same = rename(mx, &question, |_, _| {}).unwrap();
        assert_eq!(same.len(), mx.len() - 5 - 3);
        assert_eq!(decode(&same).unwrap(), decode(mx).unwrap());
    }

    #[test]
    fn a_large_message_that_spells_its_owners_out_is_compressed() {
        let reply = |owner: &[u8], count: u8| {
            let mut octets = b"\0\x07\x81\x80\0\x01\0\0\0\0\0\0\x01a\x03One\0\0\x01\0\x01".to_vec();
            octets[7] = count;
            for last in 0..count {
                octets.extend(owner);
                octets.extend([0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, last]);
            }
            octets
        };
        let (spelled, compressed) = (b"\x01a\x03One\0".as_slice(), b"\xc0\x0c".as_slice());
        assert_eq!(compact(reply(spelled, 100)), reply(compressed, 100));
        assert_eq!(compact(reply(compressed, 100)), reply(compressed, 100));
        assert_eq!(compact(reply(spelled, 2)), reply(spelled, 2), "small enough");
        assert_eq!(compact(reply(b"\x01a\x03Two\0", 100)).len(), reply(compressed, 100).len() + 5);
        assert_eq!(compact(vec![0xff; 600]), vec![0xff; 600]);
    }

    #[test]
    fn octets_that_are_no_message_are_refused() {
        let question = MessageQuestion::query(name("a.one."), RecordType::TXT);
        for len in 0..REPLY.len() {
            assert!(rename(&REPLY[..len], &question, |_, _| {}).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn names_that_the_codec_does_not_know_lose_their_pointers_before_it_reads_them() {
        let mut reply = REPLY.to_vec();
        // Without the TXT record, which the codec refuses.
        reply.drain(23..35);
        reply[7] = 3;
        let message = decode(&reply).unwrap();
        assert_eq!(message.answers.len(), 3);
        assert_eq!(present(&message.answers[2]), "a.One. 60 SRV 0 0 80 s.One.");
        let mut written = Vec::new();
        crate::wire::message::encode(&message, super::super::Size::tcp(), 0, &mut written);
        let records: Vec<FoundRecord> = Records::new(&written).unwrap().flatten().collect();
        assert_eq!(written[records[0].rdata..records[0].end], *b"\x01d\x03One\0");
        assert_eq!(written[records[1].rdata..records[1].end], *b"\0\x01\x01b\x03One\0");
    }
}

//! The OPT record of a reply: the server's own, hop by hop (RFC 6891 section 7), whatever those behind it wrote.

use std::ops::Range;

use super::{Message, MessageEdns, Size, encode, rdata};
use crate::wire::opt::{EXTENDED_ERROR, EdnsOptions, NSID, SUBNET};
use crate::wire::{
    AnswerOctets, Edns, Failure, Header, Malformed, OwnEdns, Records, Rtype, Shears, append_opt, cut, option_head,
};
use rdata::opt::{EdnsCode, EdnsOption};

/// Writes a message with the server's own OPT record, cut to the size, into `buffer`. Returns whether TC is set.
///
/// Of an OPT record that the message brings the Extended DNS Error (RFC 8914) and the client's subnet (RFC 7871) are kept:
/// whoever keeps the answer must know whom it is for.
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
            edns.options_mut().insert(EdnsOption::Unknown(NSID, nsid.to_vec()));
        }
        for code in [EdnsCode::Unknown(EXTENDED_ERROR), EdnsCode::Subnet] {
            if let Some(option) = brought.as_ref().and_then(|brought| brought.option(code)) {
                edns.options_mut().insert(option.clone());
            }
        }
        edns
    });
    encode(message, size, seed, buffer)
}

/// Gives octets the server's own OPT record and makes them fit. They stay as they are where they fit and their OPT record, if
/// they have one, is the last and brings nothing to keep; otherwise their records are copied, as many as fit.
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
    let unreadable = || Failure::servfail(format!("an answer of {} octets cannot be read", octets.len()));
    let found = find(&octets).map_err(|Malformed| unreadable())?;
    let has_room = found.kept.len() <= 1024 && found.question_end + own.len(query) + found.kept.len() <= size.limit;
    let kept = query.filter(|_| has_room).map_or(&[][..], |_| &found.kept);
    let own_len = own.len(query) + kept.len();
    if kept.is_empty() {
        match found.opt {
            None if octets.len() + own_len <= size.limit => {
                append(&mut octets, query, own, 0, kept);
                return Ok(octets);
            }
            Some(Opt { at, is_last: true, upper }) if at + own_len <= size.limit => {
                octets.truncate(at);
                Header::change(&mut octets, |header| header.counts[3] = header.counts[3].saturating_sub(1));
                append(&mut octets, query, own, upper, kept);
                return Ok(octets);
            }
            _ => {}
        }
    }
    let limit = size.limit.min(usize::from(u16::MAX)).saturating_sub(own_len);
    let shears = Shears { limit, over_udp: size.over_udp, ttl: None, seed };
    let others = Records::new(&octets).into_iter().flatten().flatten().filter(|record| record.rtype != Rtype::OPT);
    let spans: Vec<Range<usize>> = others.map(|record| record.owner..record.end).collect();
    let span = |at: usize| spans.get(at).cloned();
    let source = AnswerOctets { message: &octets, question_end: found.question_end, counts: found.counts, span };
    let mut out = vec![0; limit];
    let (len, _) = cut(&source, shears, &mut out).map_err(|Malformed| unreadable())?;
    out.truncate(len);
    append(&mut out, query, own, found.opt.map_or(0, |opt| opt.upper), kept);
    Ok(out)
}

/// The contents of a message: the number of records but OPT, and that.
struct Contents {
    question_end: usize,
    counts: [usize; 3],
    opt: Option<Opt>,
    /// The options of the OPT record that are passed on: the Extended DNS Error and the client's subnet.
    kept: Vec<u8>,
}

/// An OPT record: where it begins, whether nothing stands behind it, and the upper bits of the response code.
#[derive(Clone, Copy)]
struct Opt {
    at: usize,
    is_last: bool,
    upper: u8,
}

fn find(octets: &[u8]) -> Result<Contents, Malformed> {
    let mut records = Records::new(octets)?;
    let question_end = records.at();
    let mut found = Contents { question_end, counts: [0; 3], opt: None, kept: Vec::new() };
    for record in &mut records {
        let record = record?;
        if record.rtype != Rtype::OPT {
            if let Some(opt) = &mut found.opt {
                opt.is_last = false;
            }
            if let Some(count) = found.counts.get_mut(usize::from(record.section)) {
                *count += 1;
            }
            continue;
        }
        found.opt = Some(Opt { at: record.owner, is_last: true, upper: record.upper_rcode() });
        let options = EdnsOptions::new(octets.get(record.rdata..record.end).unwrap_or_default());
        let kept = options.flatten().filter(|option| [EXTENDED_ERROR, SUBNET].contains(&option.code));
        kept.for_each(|option| found.kept.extend_from_slice(option.octets));
    }
    if let Some(opt) = &mut found.opt {
        opt.is_last &= records.at() == octets.len();
    }
    Ok(found)
}

/// Appends the server's own OPT record, when the query had one.
fn append(octets: &mut Vec<u8>, query: Option<Edns>, own: &OwnEdns, upper: u8, options: &[u8]) {
    let Some(query) = query else { return };
    match own.nsid_for(query) {
        Some(nsid) => {
            let options = [&option_head(NSID, nsid.len() as u16), nsid, options];
            append_opt(octets, own.payload, upper, query.dnssec_ok, &options);
        }
        None => append_opt(octets, own.payload, upper, query.dnssec_ok, &[options]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{MessageName, MessageQuestion, OpCode, RData, Record, RecordType, decode};

    const EDNS: Option<Edns> = Some(Edns { payload: 4096, version: 0, dnssec_ok: true, nsid: true });

    fn message() -> Message {
        let mut message = Message::response(7, OpCode::Query);
        let name = MessageName::from_ascii("a.example.org.").unwrap();
        message.add_query(MessageQuestion::query(name.clone(), RecordType::A));
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
    fn an_extended_error_and_the_clients_subnet_are_passed_on_and_other_options_are_not() {
        let mut reply = message();
        let mut brought = MessageEdns::new();
        brought.options_mut().insert(EdnsOption::Unknown(15, vec![0, 22]));
        brought.options_mut().insert(EdnsOption::Unknown(100, vec![1]));
        let subnet = EdnsOption::Subnet(rdata::opt::ClientSubnet::new([10, 1, 2, 0].into(), 24, 24));
        brought.options_mut().insert(subnet.clone());
        reply.edns = Some(brought);
        let finished = finish_octets(octets(&reply), EDNS, OwnEdns::DEFAULT, Size::udp(512), 0).unwrap();
        let options = decode(&finished).unwrap().edns.unwrap().options().options.clone();
        let error = EdnsOption::Unknown(15, vec![0, 22]);
        assert_eq!(options, [(EdnsCode::Unknown(15), error), (EdnsCode::Subnet, subnet)]);
    }

    #[test]
    fn octets_that_are_no_message_are_refused() {
        assert!(finish_octets(vec![0xff; 40], EDNS, &own(), Size::udp(512), 0).is_err());
        assert!(finish_octets(vec![], EDNS, &own(), Size::udp(512), 0).is_err());
    }
}

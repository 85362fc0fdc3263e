//! Queries octet by octet, and how they go over a connection.

use std::io::{self, Read, Write};

/// Types by their number, for those who read octets.
pub const A: u16 = 1;
/// SOA.
pub const SOA: u16 = 6;
/// TXT.
pub const TXT: u16 = 16;
/// AAAA.
pub const AAAA: u16 = 28;
/// SRV.
pub const SRV: u16 = 33;

/// A query of class IN with RD set, without EDNS. Labels of the name need no escapes.
pub fn query(id: u16, name: &str, qtype: impl Into<u16>) -> Vec<u8> {
    let labels: Vec<&[u8]> = name.split('.').filter(|label| !label.is_empty()).map(str::as_bytes).collect();
    of_labels(id, &labels, qtype)
}

/// As [`query`], for labels of any octets.
pub fn of_labels(id: u16, labels: &[&[u8]], qtype: impl Into<u16>) -> Vec<u8> {
    let mut octets = id.to_be_bytes().to_vec();
    octets.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in labels {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend_from_slice(label);
    }
    octets.push(0);
    octets.extend(qtype.into().to_be_bytes());
    octets.extend([0, 1]);
    octets
}

/// The query with an OPT record: the size that the client takes, and DO.
pub fn with_edns(query: Vec<u8>, size: u16, dnssec_ok: bool) -> Vec<u8> {
    with_options(query, size, dnssec_ok, &[])
}

/// As [`with_edns`], with the octets of options.
pub fn with_options(mut query: Vec<u8>, size: u16, dnssec_ok: bool, options: &[u8]) -> Vec<u8> {
    query[11] += 1;
    query.extend([0, 0, 41]);
    query.extend(size.to_be_bytes());
    query.extend([0, 0, u8::from(dnssec_ok) << 7, 0]);
    query.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
    query.extend_from_slice(options);
    query
}

/// Where the question of a message with one ends.
pub fn question_end(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5
}

/// The name that a message asks for, in lower case, with dots.
pub fn name(message: &[u8]) -> String {
    let (mut at, mut text) = (12, String::new());
    while message[at] != 0 {
        let next = at + 1 + usize::from(message[at]);
        text.push_str(&String::from_utf8_lossy(&message[at + 1..next]).to_lowercase());
        text.push('.');
        at = next;
    }
    text
}

/// The type that a message asks for.
pub fn qtype(message: &[u8]) -> u16 {
    let end = question_end(message);
    u16::from_be_bytes([message[end - 4], message[end - 3]])
}

/// A message with its length before it.
pub fn framed(octets: &[u8]) -> Vec<u8> {
    [&u16::try_from(octets.len()).unwrap().to_be_bytes(), octets].concat()
}

/// Writes a message with its length in one piece.
///
/// # Errors
/// As the stream has them.
pub fn send(stream: &mut impl Write, octets: &[u8]) -> io::Result<()> {
    stream.write_all(&framed(octets))?;
    stream.flush()
}

/// Reads a message by its length.
///
/// # Errors
/// As the stream has them; one that ends within a message is an error too.
pub fn receive(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut octets = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut octets)?;
    Ok(octets)
}

//! Writes an answer into the caller's buffer: header, question, records, OPT, always compressed.
//!
//! A name that stands in the answer has a [`Place`], to which owners point. Targets of SRV records are never
//! compressed (RFC 2782) but have a place all the same; other targets are compressed against the question and against
//! the first target that was written whole.

use std::net::IpAddr;

mod srv_row;

use super::cut::ADDITIONAL;
use super::opt::{EXTENDED_ERROR, NSID, opt_head, option_head};
use super::{Class, Edns, Failure, Flags, Header, OwnEdns, Question, Rcode, Rtype, Serial, Ttl};
pub use srv_row::SrvRow;

/// An answer under construction in a caller's buffer. The size limit holds at every moment.
///
/// Sections are written in their order; what does not fit is [`Full`] and leaves the answer as it was.
#[derive(Debug)]
pub struct Answer<'b> {
    buffer: &'b mut [u8],
    len: usize,
    /// The end of records: the size limit, less what the OPT record takes.
    limit: usize,
    header: Header,
    anchors: Anchors,
    edns: Option<Edns>,
    own: &'b OwnEdns,
    extended: Option<u16>,
}

/// The record did not fit: nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A section of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The records asked for.
    Answer = 1,
    /// The SOA of a negative answer.
    Authority = 2,
    /// Addresses beside SRV targets.
    Additional = 3,
}

/// The place of a name in the answer.
///
/// Pointers reach no further than octet 16,383. Owners at places behind it are written anew, as short as can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub(crate) usize);

/// The owner of a record.
#[derive(Clone, Copy, Debug)]
pub enum Owner<'n> {
    /// A name that stands already: the question, a part of it, or a target.
    At(Place),
    /// One label (without its length octet), and the name above it that stands already.
    Below(&'n [u8], Place),
    /// A name in wire format, uncompressed.
    Wire(&'n [u8]),
}

/// A name in RDATA: a label and the name above it, so that the second part is put together once for many records.
#[derive(Clone, Copy, Debug)]
pub struct Target<'n> {
    /// The first label, without its length octet, 1 to 63 octets; empty for none.
    pub label: &'n [u8],
    /// The rest in wire format, uncompressed, with its root label.
    pub rest: &'n [u8],
}

impl<'n> Target<'n> {
    /// A name in wire format, uncompressed.
    pub fn wire(name: &'n [u8]) -> Self {
        Self { label: &[], rest: name }
    }

    /// The octets of an SRV record that leads to it, its owner a pointer.
    pub fn srv_octets(self) -> usize {
        let label = if self.label.is_empty() { 0 } else { 1 + self.label.len() };
        srv_row::HEAD + label + self.rest.len()
    }
}

impl<'b> Answer<'b> {
    /// Starts the answer to a question: header with QR, the opcode, RD and CD of the query; the question as spelled.
    /// The octets of the OPT record are kept back from `limit` when the query had one.
    ///
    /// Limits and buffers below 512 octets may not hold the question itself: then nothing fits and
    /// [`finish`](Self::finish) returns 0.
    pub fn new(question: &Question<'b>, buffer: &'b mut [u8], limit: usize) -> Self {
        let (own, edns) = (question.own, question.edns);
        let limit = limit.min(buffer.len()).min(65_535).saturating_sub(own.len(edns));
        let mut answer = Self {
            buffer,
            len: 0,
            limit,
            header: Header { id: question.id, flags: question.flags.to_answer(), counts: [0; 4] },
            anchors: Anchors { question: question.end.saturating_sub(Header::LEN + 4), shared: None },
            edns,
            own,
            extended: None,
        };
        let copied = question.message.get(Header::LEN..question.end).unwrap_or_default();
        let mut out = answer.cursor();
        if out.put(&[0; Header::LEN]).and_then(|()| out.put(copied)).is_ok() {
            answer.len = out.at;
            answer.header.counts = [1, 0, 0, 0];
        } else {
            answer.limit = 0;
        }
        answer
    }

    /// The place of the qname.
    pub fn question_place(&self) -> Place {
        Place(Header::LEN)
    }

    /// The place of the part of the qname that begins at octet `start` of its wire format
    /// ([`QName::start`](super::QName::start)).
    pub fn suffix_place(&self, start: usize) -> Place {
        Place(Header::LEN + start)
    }

    /// The octets written so far, without the OPT record.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no record stands in any section.
    pub fn is_empty(&self) -> bool {
        self.header.counts.iter().skip(1).all(|&count| count == 0)
    }

    /// The octets that are left for records of a section.
    pub fn remaining(&self, section: Section) -> usize {
        self.limit_of(section).saturating_sub(self.len)
    }

    /// The number of records in a section.
    pub fn count(&self, section: Section) -> u16 {
        self.header.counts.get(section as usize).copied().unwrap_or_default()
    }

    /// Writes A or AAAA.
    ///
    /// # Errors
    /// [`Full`] when the record does not fit; nothing is written then.
    #[inline]
    pub fn address(&mut self, section: Section, owner: Owner<'_>, ttl: Ttl, address: IpAddr) -> Result<(), Full> {
        match (address, owner) {
            // Nearly every address there is: one copy.
            (IpAddr::V4(v4), Owner::At(place)) if place.is_reachable() => {
                let ([o0, o1], [t0, t1, t2, t3]) = (place.pointer(), ttl.to_be_bytes());
                let ([r0, r1], [c0, c1]) = (Rtype::A.to_be_bytes(), Class::IN.to_be_bytes());
                let [a, b, c, d] = v4.octets();
                self.copy(section, &[o0, o1, r0, r1, c0, c1, t0, t1, t2, t3, 0, 4, a, b, c, d])
            }
            (IpAddr::V4(v4), _) => self.record(section, owner, Rtype::A, ttl, |out, _| out.put(&v4.octets())),
            (IpAddr::V6(v6), _) => self.record(section, owner, Rtype::AAAA, ttl, |out, _| out.put(&v6.octets())),
        }
    }

    /// Writes SRV into the answer section and returns where its target stands.
    ///
    /// # Errors
    /// [`Full`] when the record does not fit; nothing is written then.
    pub fn srv(
        &mut self,
        owner: Owner<'_>,
        ttl: Ttl,
        priority: u16,
        weight: u16,
        port: u16,
        target: Target<'_>,
    ) -> Result<Place, Full> {
        let ([p0, p1], [w0, w1], [n0, n1]) = (priority.to_be_bytes(), weight.to_be_bytes(), port.to_be_bytes());
        let mut place = 0;
        self.record(Section::Answer, owner, Rtype::SRV, ttl, |out, shared| {
            out.put(&[p0, p1, w0, w1, n0, n1])?;
            place = out.at;
            // RFC 2782: the target is not compressed.
            out.label(target.label)?;
            shared.get_or_insert(Shared { at: out.at, len: target.rest.len() });
            out.put(target.rest)
        })?;
        Ok(Place(place))
    }

    /// Writes CNAME into the answer section and returns where its target stands.
    ///
    /// # Errors
    /// [`Full`] when the record does not fit; nothing is written then.
    pub fn cname(&mut self, owner: Owner<'_>, ttl: Ttl, target: Target<'_>) -> Result<Place, Full> {
        self.pointing(Section::Answer, owner, Rtype::CNAME, ttl, target)
    }

    /// Writes PTR into the answer section.
    ///
    /// # Errors
    /// [`Full`] when the record does not fit; nothing is written then.
    pub fn ptr(&mut self, owner: Owner<'_>, ttl: Ttl, target: Target<'_>) -> Result<(), Full> {
        self.pointing(Section::Answer, owner, Rtype::PTR, ttl, target).map(|_| ())
    }

    /// Writes NS and returns where its target stands.
    ///
    /// # Errors
    /// [`Full`] when the record does not fit; nothing is written then.
    pub fn ns(&mut self, section: Section, owner: Owner<'_>, ttl: Ttl, target: Target<'_>) -> Result<Place, Full> {
        self.pointing(section, owner, Rtype::NS, ttl, target)
    }

    /// Writes TXT into the answer section; a string past 255 octets is cut there.
    ///
    /// # Errors
    /// [`Full`] when the record does not fit; nothing is written then.
    pub fn txt(&mut self, owner: Owner<'_>, ttl: Ttl, strings: &[&[u8]]) -> Result<(), Full> {
        self.record(Section::Answer, owner, Rtype::TXT, ttl, |out, _| {
            for string in strings {
                let string = string.get(..255).unwrap_or(string);
                out.put(&[string.len() as u8])?;
                out.put(string)?;
            }
            Ok(())
        })
    }

    /// Writes the SOA of a cluster zone: primary server `ns.dns.ZONE`, mailbox `hostmaster.ZONE`, refresh 7200, retry
    /// 1800, expire 86400.
    ///
    /// # Errors
    /// [`Full`] when the record does not fit; nothing is written then.
    pub fn soa(
        &mut self,
        section: Section,
        zone: Owner<'_>,
        ttl: Ttl,
        serial: Serial,
        minimum: Ttl,
    ) -> Result<(), Full> {
        // Server and mailbox lie below the zone: they point to it, or to the owner written here.
        let above = if let Owner::At(place) = zone { place } else { Place(self.len) };
        self.record(section, zone, Rtype::SOA, ttl, |out, _| {
            out.put(b"\x02ns\x03dns")?;
            out.name(Owner::At(above))?;
            out.put(b"\x0ahostmaster")?;
            out.name(Owner::At(above))?;
            for number in [serial.0, 7200, 1800, 86_400, minimum.as_secs()] {
                out.put(&number.to_be_bytes())?;
            }
            Ok(())
        })
    }

    /// Ends the answer: sets AA, TC and the response code, appends the OPT record. Returns the length.
    pub fn finish(self, rcode: Rcode, authoritative: bool, truncated: bool) -> usize {
        let Self { buffer, len, mut header, anchors, edns, own, extended, .. } = self;
        if len == 0 {
            return 0;
        }
        header.flags = header.flags.with_if(authoritative, Flags::AA).with_if(truncated, Flags::TC).with_rcode(rcode);
        let mut out = Cursor { out: buffer, at: len, anchors };
        if put_opt(&mut out, own, edns, rcode, extended).is_ok() && edns.is_some() {
            header.counts[3] += 1;
        }
        let len = out.at;
        if let Some(place) = buffer.first_chunk_mut() {
            *place = header.to_octets();
        }
        len
    }

    /// Writes a record whose RDATA is one name that may be compressed.
    fn pointing(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: Rtype,
        ttl: Ttl,
        target: Target<'_>,
    ) -> Result<Place, Full> {
        let mut place = 0;
        self.record(section, owner, rtype, ttl, |out, shared| {
            place = out.at;
            out.label(target.label)?;
            let start = out.at;
            out.compressed(target.rest)?;
            if out.at - start == target.rest.len() {
                shared.get_or_insert(Shared { at: start, len: target.rest.len() });
            }
            Ok(())
        })?;
        Ok(Place(place))
    }

    /// Writes one record: `rdata` puts the octets behind RDLENGTH and says which name it wrote whole.
    #[inline]
    fn record(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: Rtype,
        ttl: Ttl,
        rdata: impl FnOnce(&mut Cursor<'_>, &mut Option<Shared>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        debug_assert!(
            self.header.counts.iter().skip(section as usize + 1).all(|&count| count == 0),
            "sections in order"
        );
        let mut shared = self.anchors.shared;
        let limit = self.limit_of(section);
        let mut out = self.cursor_up_to(limit);
        out.name(owner)?;
        let ([t0, t1], [c0, c1], [a, b, c, d]) = (rtype.to_be_bytes(), Class::IN.to_be_bytes(), ttl.to_be_bytes());
        out.put(&[t0, t1, c0, c1, a, b, c, d, 0, 0])?;
        let start = out.at;
        rdata(&mut out, &mut shared)?;
        let end = out.at;
        let len = u16::try_from(end - start).map_err(|_| Full)?;
        out.out.get_mut(start - 2..start).ok_or(Full)?.copy_from_slice(&len.to_be_bytes());
        let count = self.header.counts.get_mut(section as usize).ok_or(Full)?;
        *count = count.checked_add(1).ok_or(Full)?;
        self.anchors.shared = shared;
        self.len = end;
        Ok(())
    }

    /// Appends a whole record.
    #[inline]
    fn copy<const N: usize>(&mut self, section: Section, record: &[u8; N]) -> Result<(), Full> {
        debug_assert!(
            self.header.counts.iter().skip(section as usize + 1).all(|&count| count == 0),
            "sections in order"
        );
        let limit = self.limit_of(section);
        let count = self.header.counts.get_mut(section as usize).ok_or(Full)?;
        let (more, end) = (count.checked_add(1).ok_or(Full)?, self.len + N);
        let place = self.buffer.get_mut(self.len..end).filter(|_| end <= limit).ok_or(Full)?;
        place.copy_from_slice(record);
        (*count, self.len) = (more, end);
        Ok(())
    }

    /// A cursor behind what is written, up to the limit.
    fn cursor(&mut self) -> Cursor<'_> {
        self.cursor_up_to(self.limit)
    }

    fn cursor_up_to(&mut self, limit: usize) -> Cursor<'_> {
        Cursor { out: self.buffer.get_mut(..limit).unwrap_or_default(), at: self.len, anchors: self.anchors }
    }

    /// The end of the records of a section: nobody asked for additional ones.
    #[inline]
    fn limit_of(&self, section: Section) -> usize {
        if section == Section::Additional { self.limit.min(ADDITIONAL) } else { self.limit }
    }
}

impl Place {
    /// Whether a compression pointer can name it: 14 bits (RFC 1035 section 4.1.4).
    pub fn is_reachable(self) -> bool {
        self.0 < 0x4000
    }

    /// The place so many octets behind this one.
    #[must_use]
    pub fn behind(self, octets: usize) -> Self {
        Self(self.0 + octets)
    }

    /// The compression pointer to a place within reach.
    fn pointer(self) -> [u8; 2] {
        (self.0 as u16 | 0xc000).to_be_bytes()
    }
}

//----------- error_reply ----------------------------------------------------

/// Writes an answer that is an error and nothing else: the header, the question where one could be read, and the OPT
/// record when the query had one. Returns its length; 0 when there is no message to answer or the buffer is too small.
pub fn error_reply(message: &[u8], question: Option<&Question<'_>>, rcode: Rcode, buffer: &mut [u8]) -> usize {
    let Some(&[i0, i1, f0, f1]) = message.first_chunk() else { return 0 };
    if let Some(question) = question {
        return Answer::new(question, buffer, usize::MAX).finish(rcode, false, false);
    }
    let Some(place) = buffer.first_chunk_mut() else { return 0 };
    let flags = Flags(u16::from_be_bytes([f0, f1])).to_answer().with_rcode(rcode);
    *place = Header { id: u16::from_be_bytes([i0, i1]), flags, counts: [0; 4] }.to_octets();
    Header::LEN
}

/// Writes the answer to a query that failed: its response code, and the Extended DNS Error where the query had an OPT
/// record (RFC 8914). Returns its length.
pub fn failure_reply(question: &Question<'_>, failure: &Failure, buffer: &mut [u8]) -> usize {
    let mut answer = Answer::new(question, buffer, usize::MAX);
    answer.extended = failure.extended;
    answer.finish(failure.rcode, false, false)
}

/// Appends the OPT record of an answer, when the query had one.
fn put_opt(
    out: &mut Cursor<'_>,
    own: &OwnEdns,
    edns: Option<Edns>,
    rcode: Rcode,
    extended: Option<u16>,
) -> Result<(), Full> {
    let Some(query) = edns else { return Ok(()) };
    let nsid = own.nsid_for(query);
    let options = nsid.map_or(0, |nsid| 4 + nsid.len() as u16) + extended.map_or(0, |_| 6);
    // RFC 6891 section 6.1.3: the upper 8 bits of the response code, version 0, DO copied (RFC 3225), no other flag. What
    // another version means by its flags is not known.
    let dnssec_ok = query.dnssec_ok && rcode != Rcode::BADVERS;
    out.put(&opt_head(own.payload, (rcode.0 >> 4) as u8, dnssec_ok, options))?;
    if let Some(nsid) = nsid {
        out.put(&option_head(NSID, nsid.len() as u16))?;
        out.put(nsid)?;
    }
    if let Some(code) = extended {
        out.put(&option_head(EXTENDED_ERROR, 2))?;
        out.put(&code.to_be_bytes())?;
    }
    Ok(())
}

//----------- Cursor ---------------------------------------------------------

/// Writes behind what stands, never past the end.
struct Cursor<'a> {
    out: &'a mut [u8],
    at: usize,
    anchors: Anchors,
}

/// Names that stand whole, so that their ends can be pointed to.
#[derive(Clone, Copy, Debug)]
struct Anchors {
    /// The length of the qname, which stands behind the header.
    question: usize,
    /// The first target that was written whole.
    shared: Option<Shared>,
}

/// A name that stands whole in the answer.
#[derive(Clone, Copy, Debug)]
struct Shared {
    at: usize,
    len: usize,
}

impl Cursor<'_> {
    #[inline]
    fn put(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.at + octets.len();
        self.out.get_mut(self.at..end).ok_or(Full)?.copy_from_slice(octets);
        self.at = end;
        Ok(())
    }

    #[inline]
    fn label(&mut self, label: &[u8]) -> Result<(), Full> {
        if label.is_empty() {
            return Ok(());
        }
        debug_assert!(label.len() < 64, "a label has at most 63 octets");
        self.put(&[label.len() as u8])?;
        self.put(label)
    }

    #[inline]
    fn pointer(&mut self, place: Place) -> Result<(), Full> {
        self.put(&place.pointer())
    }

    /// Writes an owner.
    #[inline]
    fn name(&mut self, owner: Owner<'_>) -> Result<(), Full> {
        match owner {
            Owner::At(place) if place.is_reachable() => self.pointer(place),
            Owner::Below(label, place) => {
                self.label(label)?;
                self.name(Owner::At(place))
            }
            Owner::At(place) => self.again(place),
            Owner::Wire(name) => self.compressed(name),
        }
    }

    /// Writes a name again that stands where no pointer reaches.
    fn again(&mut self, place: Place) -> Result<(), Full> {
        let mut name = [0; 255];
        let len = self.read(place, &mut name).ok_or(Full)?;
        self.compressed(name.get(..len).ok_or(Full)?)
    }

    /// Reads a name of the answer, uncompressed; returns its length.
    fn read(&self, place: Place, into: &mut [u8; 255]) -> Option<usize> {
        let (mut at, mut len) = (place.0, 0);
        loop {
            let &head = self.out.get(at)?;
            match head {
                0xc0.. => {
                    let to = usize::from(u16::from_be_bytes([head & 0x3f, *self.out.get(at + 1)?]));
                    // We write no pointers forward; this keeps the loop finite all the same.
                    at = (to < at).then_some(to)?;
                }
                _ => {
                    let octets = self.out.get(at..=at + usize::from(head))?;
                    into.get_mut(len..len + octets.len())?.copy_from_slice(octets);
                    (at, len) = (at + octets.len(), len + octets.len());
                    if head == 0 {
                        return Some(len);
                    }
                }
            }
        }
    }

    /// Writes a name in wire format: its end as a pointer, where the end stands already in the same spelling.
    fn compressed(&mut self, name: &[u8]) -> Result<(), Full> {
        let Anchors { question, shared } = self.anchors;
        let question = Some(Shared { at: Header::LEN, len: question });
        let found = [shared, question]
            .into_iter()
            .flatten()
            .filter_map(|anchor| {
                let (from, into) = common_end(name, self.out.get(anchor.at..anchor.at + anchor.len)?)?;
                Place(anchor.at + into).is_reachable().then_some((from, Place(anchor.at + into)))
            })
            .min_by_key(|&(from, _)| from);
        match found {
            Some((from, place)) => {
                self.put(name.get(..from).ok_or(Full)?)?;
                self.pointer(place)
            }
            None => self.put(name),
        }
    }
}

/// The longest end, in whole labels and at least one, that two names in wire format share: where it begins in each.
fn common_end(name: &[u8], other: &[u8]) -> Option<(usize, usize)> {
    let (mut from, mut into) = (0, 0);
    loop {
        let (rest, rest_of_other) = (name.get(from..)?, other.get(into..)?);
        let (&len, &len_of_other) = (rest.first()?, rest_of_other.first()?);
        if len == 0 || len_of_other == 0 {
            return None;
        }
        if rest == rest_of_other {
            return Some((from, into));
        }
        let (left, left_of_other) = (rest.len(), rest_of_other.len());
        if left >= left_of_other {
            from += 1 + usize::from(len);
        }
        if left <= left_of_other {
            into += 1 + usize::from(len_of_other);
        }
    }
}

#[cfg(test)]
mod tests;

//! Cuts an answer at whole records, as octets: the work grows with what stays, not with what there was.
//!
//! Records are copied one by one into the caller's buffer. Names are looked at only where they are pointers: those to the
//! question stay as they are, since it stands where it stood; others are followed, at most 127 times, and written whole once.

use std::ops::{ControlFlow, Range};

use super::error::Malformed;
use super::walk::{FoundRecord, MOST_HOPS, skip_name};
use super::{Class, Flags, Header, Rtype, Ttl, layout, sample};

/// An answer as octets, with the places of its records.
pub struct AnswerOctets<'m, S> {
    /// The whole message.
    pub message: &'m [u8],
    /// The end of its question section.
    pub question_end: usize,
    /// The numbers of answer, authority and additional records, OPT not counted.
    pub counts: [usize; 3],
    /// The place of the record of a number, counted through the sections.
    pub span: S,
}

/// The way an answer is cut.
#[derive(Clone, Copy, Debug)]
pub struct Shears {
    /// The octets it may have.
    pub limit: usize,
    /// Whether the loss of additional records sets TC.
    pub over_udp: bool,
    /// The TTL of every record; `None` leaves them as they are.
    pub ttl: Option<Ttl>,
    /// The seed by which records stay that do not all fit: equal seeds choose the same.
    pub seed: u64,
}

/// No more octets than these for records that nobody asked for: some clients (c-ares in Node) take no answer that is
/// near to 64 KiB.
pub(super) const ADDITIONAL: usize = 60_000;

/// Copies what fits of an answer into a buffer, and returns its length and whether TC is set. Additional records are left out
/// before authority, authority before answers; of answers that do not all fit, the CNAMEs that begin them stay, and of the
/// rest a choice by the seed.
///
/// # Errors
/// When a record that is copied is malformed, or the buffer does not hold the question.
pub fn cut(
    source: &AnswerOctets<'_, impl Fn(usize) -> Option<Range<usize>>>,
    shears: Shears,
    out: &mut [u8],
) -> Result<(usize, bool), Malformed> {
    let limit = shears.limit.min(out.len()).min(usize::from(u16::MAX));
    let mut copy = Copy {
        from: source.message,
        question_end: source.question_end,
        out,
        at: 0,
        limit,
        standing: Standing::default(),
    };
    copy.octets(0..source.question_end).map_err(|_| Malformed)?;
    let [answers, authorities, additionals] = source.counts;
    let mut written = [0; 3];
    let mut truncated = Flags::of(source.message).is_some_and(|flags| flags.has(Flags::TC));
    let cut = copy.section(source, 0..answers, shears, &mut written[0])?;
    truncated |= cut;
    // Behind a hole nothing else is worth its place: the client asks again over TCP.
    if !cut {
        let cut = copy.section(source, answers..answers + authorities, shears, &mut written[1])?;
        truncated |= cut && (shears.over_udp || written[0] == 0);
        if !cut {
            copy.limit = limit.min(ADDITIONAL);
            let from = answers + authorities;
            let cut = copy.section(source, from..from + additionals, shears, &mut written[2])?;
            truncated |= cut && shears.over_udp;
        }
    }
    let len = copy.at;
    Header::change(out, |header| {
        header.flags = header.flags.with_if(truncated, Flags::TC);
        let [answers, authorities, additionals] = written;
        header.counts = [header.counts[0], answers, authorities, additionals];
    });
    Ok((len, truncated))
}

/// The reason why a record was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The record does not fit.
    Full,
    Malformed,
}

/// A copy under construction.
struct Copy<'m, 'b> {
    from: &'m [u8],
    question_end: usize,
    out: &'b mut [u8],
    at: usize,
    limit: usize,
    standing: Standing,
}

impl Copy<'_, '_> {
    /// Copies the records of a section: all in their order, or those that fit. Says whether some were left out.
    fn section(
        &mut self,
        source: &AnswerOctets<'_, impl Fn(usize) -> Option<Range<usize>>>,
        records: Range<usize>,
        shears: Shears,
        count: &mut u16,
    ) -> Result<bool, Malformed> {
        let span = |at| (source.span)(at).ok_or(Malformed);
        let Some(last) = records.clone().next_back() else { return Ok(false) };
        let (start, standing) = (self.at, self.standing);
        // As they stand, unless they are too long already: written whole, names get no shorter.
        if start + span(last)?.end - span(records.start)?.start <= self.limit {
            let mut all = records.clone();
            if all.try_for_each(|at| self.record(span(at)?, shears.ttl, count)).map_or_else(is_full, |()| Ok(true))? {
                return Ok(false);
            }
            (self.at, self.standing, *count) = (start, standing, 0);
        }
        let mut from = records.start;
        while from <= last && self.rtype(span(from)?)? == Rtype::CNAME {
            if !self.record(span(from)?, shears.ttl, count).map_or_else(is_full, |()| Ok(true))? {
                return Ok(true);
            }
            from += 1;
        }
        let mut done = Ok(true);
        // No record has less than 11 octets.
        let most = self.limit.saturating_sub(self.at) / 11 + 1;
        sample::draw(last + 1 - from, most, shears.seed, |at| {
            done = span(from + at)
                .and_then(|span| self.record(span, shears.ttl, count).map_or_else(is_full, |()| Ok(true)));
            if done == Ok(true) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        done.map(|_| true)
    }

    fn rtype(&self, span: Range<usize>) -> Result<Rtype, Malformed> {
        let fixed = skip_name(self.from, span.start)?;
        self.number(fixed).map(Rtype)
    }

    /// Copies one record, or leaves everything as it was.
    fn record(&mut self, span: Range<usize>, ttl: Option<Ttl>, count: &mut u16) -> Result<(), Stop> {
        let (start, standing) = (self.at, self.standing);
        let done = self.try_record(span, ttl).and_then(|()| count.checked_add(1).ok_or(Stop::Full));
        match done {
            Ok(more) => *count = more,
            Err(_) => (self.at, self.standing) = (start, standing),
        }
        done.map(|_| ())
    }

    fn try_record(&mut self, span: Range<usize>, ttl: Option<Ttl>) -> Result<(), Stop> {
        let fixed = self.name(span.start, true)?;
        let (rtype, class, rdata) = (Rtype(self.number(fixed)?), Class(self.number(fixed + 2)?), fixed + 10);
        let Range { start: owner, end } = span;
        if rdata > end {
            return Err(Stop::Malformed);
        }
        self.octets(fixed..rdata)?;
        let start = self.at;
        if let Some(ttl) = ttl {
            self.patch(start - 6, &ttl.to_be_bytes())?;
        }
        let record = FoundRecord { section: 0, owner, rtype, class, ttl: 0, ttl_at: fixed + 4, rdata, end };
        let may_point = layout::may_be_compressed(rtype);
        let (message, mut copied, mut stop) = (self.from, rdata, Stop::Malformed);
        let mut name = |at| {
            self.octets(copied..at)?;
            copied = self.name(at, may_point)?;
            Ok(copied)
        };
        layout::names(message, &record, |at| name(at).map_err(|why| stop_with(&mut stop, why)))
            .map_err(|Malformed| stop)?;
        self.octets(copied..end)?;
        let len = u16::try_from(self.at - start).map_err(|_| Stop::Full)?;
        self.patch(start - 2, &len.to_be_bytes())
    }

    /// Copies a name that begins at an octet of the source; returns where it ends there. Without leave to point, it is written
    /// whole.
    fn name(&mut self, start: usize, may_point: bool) -> Result<usize, Stop> {
        let (mut from, mut end, mut len) = (start, None, 0);
        for _ in 0..=MOST_HOPS {
            let run = from;
            loop {
                let octet = *self.from.get(from).ok_or(Stop::Malformed)?;
                match octet {
                    0 => {
                        self.octets(from..from + 1)?;
                        return Ok(end.unwrap_or(from + 1));
                    }
                    1..=63 => {
                        self.standing.note(from, self.at);
                        let next = from + 1 + usize::from(octet);
                        self.octets(from..next)?;
                        len += next - from;
                        if len > 254 {
                            return Err(Stop::Malformed);
                        }
                        from = next;
                    }
                    0xc0.. => break,
                    _ => return Err(Stop::Malformed),
                }
            }
            let target = usize::from(self.number(from)? & 0x3fff);
            let end = *end.get_or_insert(from + 2);
            // Backwards always, so that no circle is possible.
            if target >= run || target < Header::LEN {
                return Err(Stop::Malformed);
            }
            let standing =
                if target < self.question_end { u16::try_from(target).ok() } else { self.standing.find(target) };
            if let Some(place) = standing.filter(|_| may_point) {
                self.put(&(place | 0xc000).to_be_bytes())?;
                return Ok(end);
            }
            from = target;
        }
        Err(Stop::Malformed)
    }

    fn number(&self, at: usize) -> Result<u16, Malformed> {
        self.from.get(at..).and_then(|octets| octets.first_chunk()).copied().map(u16::from_be_bytes).ok_or(Malformed)
    }

    /// Copies octets as they are.
    fn octets(&mut self, range: Range<usize>) -> Result<(), Stop> {
        let octets = self.from.get(range).ok_or(Stop::Malformed)?;
        self.put(octets)
    }

    fn put(&mut self, octets: &[u8]) -> Result<(), Stop> {
        let end = self.at + octets.len();
        let place = self.out.get_mut(self.at..end).filter(|_| end <= self.limit).ok_or(Stop::Full)?;
        place.copy_from_slice(octets);
        self.at = end;
        Ok(())
    }

    fn patch(&mut self, at: usize, octets: &[u8]) -> Result<(), Stop> {
        self.out.get_mut(at..at + octets.len()).ok_or(Stop::Full)?.copy_from_slice(octets);
        Ok(())
    }
}

impl From<Malformed> for Stop {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// Notes why a walk stops, as the walk itself knows one reason alone.
fn stop_with(stop: &mut Stop, why: Stop) -> Malformed {
    *stop = why;
    Malformed
}

/// Not written for want of room is no fault.
fn is_full(stop: Stop) -> Result<bool, Malformed> {
    match stop {
        Stop::Full => Ok(false),
        Stop::Malformed => Err(Malformed),
    }
}

/// The places of names that were written lately: in the source, and in the copy.
#[derive(Clone, Copy, Default)]
struct Standing {
    places: [(u16, u16); 16],
    next: usize,
}

impl Standing {
    /// Notes a label, when a pointer can reach it (RFC 1035 section 4.1.4: 14 bits).
    fn note(&mut self, source: usize, place: usize) {
        if let (Ok(source), Ok(place @ ..0x4000)) = (u16::try_from(source), u16::try_from(place))
            && let Some(slot) = self.places.get_mut(self.next % 16)
        {
            *slot = (source, place);
            self.next += 1;
        }
    }

    fn find(&self, source: usize) -> Option<u16> {
        self.places.iter().find(|(from, _)| usize::from(*from) == source).map(|&(_, place)| place)
    }
}

#[cfg(test)]
mod tests;

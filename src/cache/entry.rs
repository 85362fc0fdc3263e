//! One cached answer.

use std::fmt;
use std::time::{Duration, Instant};

use super::shape::{Shape, Sort};
use super::{Ask, CacheSettings};
use crate::wire::{AnswerOctets, Flags, Header, NSID, Shears, Ttl, cut, opt_head, option_head};

/// The half of the cache that an answer lies in; what the label `type` says in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerKind {
    /// Data.
    Success,
    /// NXDOMAIN, NODATA and SERVFAIL.
    Denial,
}

impl AnswerKind {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denial => "denial",
        }
    }
}

/// The room for an answer: what the client can take.
#[derive(Clone, Copy)]
pub struct Room<'r> {
    /// The size limit in octets, the OPT record included.
    pub limit: usize,
    /// Whether the loss of additional records sets TC.
    pub over_udp: bool,
    /// Draws the seed by which records stay of an answer that is too long; it is asked for one of those alone.
    pub choice: &'r dyn Fn() -> u64,
}

impl Room<'static> {
    /// Room for the whole answer, or for none.
    pub const WHOLE: Self = Self { limit: usize::MAX, over_udp: false, choice: &|| 0 };
}

impl fmt::Debug for Room<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("limit", &self.limit).field("over_udp", &self.over_udp).finish_non_exhaustive()
    }
}

/// An answer that was found and stands in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The number of its octets.
    pub len: usize,
    /// The half it came from.
    pub kind: AnswerKind,
    /// Whether it is past its end (RFC 8767).
    pub stale: bool,
    /// The caller is to refresh it, and nobody else is until [`Cache::store`](super::Cache::store) or
    /// [`Cache::release`](super::Cache::release).
    pub refresh: bool,
}

/// An answer in the cache: its question in lower case, its records without OPT, the places of its TTLs.
#[derive(Debug)]
pub(super) struct Entry {
    octets: Box<[u8]>,
    places: Box<[u16]>,
    variant: u8,
    pub(super) failure: bool,
    stored: Instant,
    lifetime: Duration,
    hits: u32,
    last_hit: Instant,
    refreshing: bool,
    retry_after: Option<Instant>,
}

/// The age of an entry, before or after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Fresh,
    Stale,
    Over,
}

impl Entry {
    pub(super) fn new(ask: &Ask<'_>, reply: &[u8], shape: Shape, lifetime: Duration, now: Instant) -> Option<Self> {
        let mut octets: Box<[u8]> = reply.get(..shape.end)?.into();
        Header::change(&mut octets, |header| (header.id, header.counts[3]) = (0, shape.additional));
        octets.get_mut(Header::LEN..Header::LEN + ask.qname.len())?.copy_from_slice(ask.qname);
        Some(Self {
            octets,
            places: shape.places.into(),
            variant: ask.variant(),
            failure: shape.sort == Sort::Failure,
            stored: now,
            lifetime,
            hits: 0,
            last_hit: now,
            refreshing: false,
            retry_after: None,
        })
    }

    /// Whether this is the answer to the question.
    pub(super) fn is_for(&self, ask: &Ask<'_>) -> bool {
        let (t, c) = (ask.qtype.to_be_bytes(), ask.qclass.to_be_bytes());
        self.variant == ask.variant()
            && self.octets.get(Header::LEN..).is_some_and(|rest| {
                rest.strip_prefix(ask.qname).is_some_and(|rest| rest.starts_with(&[t[0], t[1], c[0], c[1]]))
            })
    }

    /// The octets it costs, what is around it included.
    pub(super) fn bytes(&self) -> usize {
        self.octets.len() + 2 * self.places.len() + size_of::<Self>() + 16
    }

    /// The end of its life.
    pub(super) fn ends(&self) -> Instant {
        self.stored + self.lifetime
    }

    pub(super) fn age(&self, settings: &CacheSettings, now: Instant) -> Age {
        let elapsed = now.saturating_duration_since(self.stored);
        match &settings.stale {
            _ if elapsed < self.lifetime => Age::Fresh,
            Some(stale) if elapsed - self.lifetime < stale.up_to => Age::Stale,
            _ => Age::Over,
        }
    }

    /// Whether a hit may lead to a refresh: past its end, or near it with `prefetch`.
    pub(super) fn may_be_refreshed(&self, settings: &CacheSettings, now: Instant) -> bool {
        let left = self.ends().saturating_duration_since(now);
        left.is_zero() || settings.prefetch.is_some_and(|prefetch| left <= self.lifetime * prefetch.percentage / 100)
    }

    /// Counts a hit and says whether the caller is to refresh the entry.
    pub(super) fn touch(&mut self, settings: &CacheSettings, now: Instant) -> bool {
        let wanted = if now < self.ends() {
            let Some(prefetch) = settings.prefetch else { return false };
            let paused = now.saturating_duration_since(self.last_hit) > prefetch.duration;
            self.hits = if paused { 1 } else { self.hits.saturating_add(1) };
            self.last_hit = now;
            let left = self.ends() - now;
            self.hits >= prefetch.amount && left <= self.lifetime * prefetch.percentage / 100
        } else {
            self.retry_after.is_none_or(|after| now >= after)
        };
        wanted && !std::mem::replace(&mut self.refreshing, true)
    }

    /// A refresh came to nothing: the next may be tried after the recheck time. Does nothing where none was under way, as
    /// with the entry that a refresh brought.
    pub(super) fn release(&mut self, settings: &CacheSettings, now: Instant) {
        if !std::mem::replace(&mut self.refreshing, false) {
            return;
        }
        let recheck = settings.stale.map_or(Duration::ZERO, |stale| stale.recheck);
        self.retry_after = (!recheck.is_zero()).then(|| now + recheck);
    }

    /// The hits of the answer whose place it takes go on.
    pub(super) fn succeed(&mut self, previous: &Self) {
        self.hits = previous.hits;
        self.last_hit = previous.last_hit;
    }

    /// The TTL shown: what is left, rounded up, so that it is 0 only for a stale answer.
    fn shown_ttl(&self, settings: &CacheSettings, now: Instant) -> Ttl {
        let left = match now.checked_duration_since(self.ends()) {
            Some(_) => return settings.stale.map_or(Ttl::ZERO, |stale| stale.ttl),
            None if settings.keep_ttl => self.lifetime,
            None => self.ends() - now,
        };
        u32::try_from(left.as_secs() + u64::from(left.subsec_nanos() > 0)).map_or(Ttl::MAX, Ttl::from_secs)
    }

    /// Writes the answer to the question, or what fits of it. `None` when the buffer is too small for what the client can
    /// take.
    pub(super) fn write(
        &self,
        ask: &Ask<'_>,
        settings: &CacheSettings,
        now: Instant,
        room: Room<'_>,
        buffer: &mut [u8],
    ) -> Option<usize> {
        const COPIED: Flags = Flags(Flags::RD.0 | Flags::CD.0);
        let opt_len = ask.own.len(ask.edns);
        let ttl = self.shown_ttl(settings, now);
        let plain = self.octets.len();
        let plain = if plain + opt_len <= room.limit.min(buffer.len()) {
            let message = buffer.get_mut(..plain)?;
            message.copy_from_slice(&self.octets);
            for &at in &self.places {
                message.get_mut(usize::from(at)..)?.first_chunk_mut::<4>()?.copy_from_slice(&ttl.to_be_bytes());
            }
            plain
        } else if room.limit <= buffer.len() {
            let limit = room.limit.checked_sub(opt_len)?;
            let shears = Shears { limit, over_udp: room.over_udp, ttl: Some(ttl), seed: (room.choice)() };
            self.cut(ask, shears, buffer)?
        } else {
            return None;
        };
        let len = plain + opt_len;
        let (message, opt) = buffer.get_mut(..len)?.split_at_mut_checked(plain)?;
        message.get_mut(Header::LEN..Header::LEN + ask.spelling.len())?.copy_from_slice(ask.spelling);
        let place = message.first_chunk_mut()?;
        let mut header = Header::from_octets(place);
        header.id = ask.id;
        header.flags = header.flags.without(COPIED) | ask.flags.only(COPIED);
        if !ask.wants_authentic() {
            header.flags = header.flags.without(Flags::AD);
        }
        if let Some(edns) = ask.edns {
            header.counts[3] = header.counts[3].checked_add(1)?;
            let (fixed, options) = opt.split_first_chunk_mut::<11>()?;
            *fixed = opt_head(ask.own.payload, 0, edns.dnssec_ok, u16::try_from(options.len()).ok()?);
            if let (Some(nsid), Some((head, value))) = (&ask.own.nsid, options.split_first_chunk_mut::<4>()) {
                *head = option_head(NSID, u16::try_from(value.len()).ok()?);
                value.copy_from_slice(nsid.get(..value.len())?);
            }
        }
        *place = header.to_octets();
        Some(len)
    }

    /// Writes as many records as fit.
    #[cold]
    fn cut(&self, ask: &Ask<'_>, shears: Shears, buffer: &mut [u8]) -> Option<usize> {
        let message = &*self.octets;
        let number = |at: usize| Some(usize::from(u16::from_be_bytes(*message.get(at..)?.first_chunk()?)));
        let question_end = Header::LEN + ask.qname.len() + 4;
        // A record ends behind its data, whose length stands behind its TTL; the next begins there.
        let end = |at: usize| {
            let ttl_at = usize::from(*self.places.get(at)?);
            Some(ttl_at + 6 + number(ttl_at + 4)?)
        };
        let span = |at: usize| Some(at.checked_sub(1).map_or(Some(question_end), end)?..end(at)?);
        let source = AnswerOctets { message, question_end, counts: [number(6)?, number(8)?, number(10)?], span };
        cut(&source, shears, buffer).ok().map(|(len, _)| len)
    }
}

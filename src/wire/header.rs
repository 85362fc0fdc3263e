//! The head of a message: 12 octets, read and written as one (RFC 1035 section 4.1.1).

use std::fmt;
use std::ops::BitOr;

use super::Rcode;

//----------- Header ---------------------------------------------------------

/// The head of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The id, by which an answer belongs to its query.
    pub id: u16,
    /// The bits behind it, opcode and response code among them.
    pub flags: Flags,
    /// The numbers of questions, and of records in the answer, authority and additional section.
    pub counts: [u16; 4],
}

impl Header {
    /// The number of its octets; the question section begins there.
    pub const LEN: usize = 12;

    /// The head of a message and what stands behind it; `None` for fewer octets than a head has.
    #[inline]
    pub fn split(message: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = message.split_first_chunk()?;
        Some((Self::from_octets(head), rest))
    }

    /// The head of a message.
    #[inline]
    pub fn of(message: &[u8]) -> Option<Self> {
        message.first_chunk().map(Self::from_octets)
    }

    /// The head that these octets are.
    #[inline]
    pub const fn from_octets(octets: &[u8; Self::LEN]) -> Self {
        let [i0, i1, f0, f1, q0, q1, n0, n1, u0, u1, d0, d1] = *octets;
        Self {
            id: u16::from_be_bytes([i0, i1]),
            flags: Flags(u16::from_be_bytes([f0, f1])),
            counts: [
                u16::from_be_bytes([q0, q1]),
                u16::from_be_bytes([n0, n1]),
                u16::from_be_bytes([u0, u1]),
                u16::from_be_bytes([d0, d1]),
            ],
        }
    }

    /// Its octets.
    #[inline]
    pub const fn to_octets(self) -> [u8; Self::LEN] {
        let [questions, answers, authorities, additionals] = self.counts;
        let ([i0, i1], [f0, f1]) = (self.id.to_be_bytes(), self.flags.0.to_be_bytes());
        let ([q0, q1], [n0, n1]) = (questions.to_be_bytes(), answers.to_be_bytes());
        let ([u0, u1], [d0, d1]) = (authorities.to_be_bytes(), additionals.to_be_bytes());
        [i0, i1, f0, f1, q0, q1, n0, n1, u0, u1, d0, d1]
    }

    /// Changes the head of a message; one with fewer octets than a head has stays as it is.
    #[inline]
    pub fn change(message: &mut [u8], change: impl FnOnce(&mut Self)) {
        if let Some(octets) = message.first_chunk_mut() {
            let mut header = Self::from_octets(octets);
            change(&mut header);
            *octets = header.to_octets();
        }
    }
}

//----------- Flags ----------------------------------------------------------

/// The second 16 bits of a head: flags, opcode, and the lower bits of the response code.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u16);

impl Flags {
    /// A response.
    pub const QR: Self = Self(0x8000);
    /// An authoritative answer.
    pub const AA: Self = Self(0x0400);
    /// Truncated: over TCP there is more.
    pub const TC: Self = Self(0x0200);
    /// Recursion desired.
    pub const RD: Self = Self(0x0100);
    /// Recursion available.
    pub const RA: Self = Self(0x0080);
    /// Reserved: zero in every message (RFC 6895 section 2.1).
    pub const Z: Self = Self(0x0040);
    /// Authentic data (RFC 4035 section 3.1.6).
    pub const AD: Self = Self(0x0020);
    /// Checking disabled: the client looks at signatures itself.
    pub const CD: Self = Self(0x0010);

    const OPCODE: Self = Self(0x7800);
    const RCODE: u16 = 0xf;

    /// Whether some of the given flags are set.
    #[inline]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }

    /// Those of the given flags that are set.
    #[inline]
    #[must_use]
    pub const fn only(self, flags: Self) -> Self {
        Self(self.0 & flags.0)
    }

    /// All but the given flags.
    #[inline]
    #[must_use]
    pub const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }

    /// The given flags also, where this holds.
    #[inline]
    #[must_use]
    pub const fn with_if(self, set: bool, flags: Self) -> Self {
        if set { Self(self.0 | flags.0) } else { self }
    }

    /// The flags with which the answer to a query begins: QR, and of the query its opcode, RD and CD (RFC 1035 section
    /// 4.1.1, RFC 4035 section 3.1.6).
    #[inline]
    #[must_use]
    pub const fn to_answer(self) -> Self {
        Self(Self::QR.0 | self.0 & (Self::OPCODE.0 | Self::RD.0 | Self::CD.0))
    }

    /// The opcode.
    #[inline]
    pub const fn opcode(self) -> Opcode {
        Opcode((self.0 >> 11) as u8 & 0xf)
    }

    /// The same with another opcode, of four bits.
    #[inline]
    #[must_use]
    pub const fn with_opcode(self, opcode: Opcode) -> Self {
        Self(self.0 & !Self::OPCODE.0 | (opcode.0 as u16 & 0xf) << 11)
    }

    /// The lower bits of the response code; the upper ones stand in the OPT record.
    #[inline]
    pub const fn rcode(self) -> Rcode {
        Rcode(self.0 & Self::RCODE)
    }

    /// The same with the lower bits of another response code.
    #[inline]
    #[must_use]
    pub const fn with_rcode(self, rcode: Rcode) -> Self {
        Self(self.0 & !Self::RCODE | rcode.0 & Self::RCODE)
    }

    /// The flags of a message; `None` for one that ends before them.
    #[inline]
    pub fn of(message: &[u8]) -> Option<Self> {
        message.get(2..)?.first_chunk().map(|octets| Self(u16::from_be_bytes(*octets)))
    }

    /// Changes the flags of a message; one that ends before them stays as it is.
    #[inline]
    pub fn change(message: &mut [u8], change: impl FnOnce(Self) -> Self) {
        if let Some(octets) = message.get_mut(2..).and_then(<[u8]>::first_chunk_mut) {
            *octets = change(Self(u16::from_be_bytes(*octets))).0.to_be_bytes();
        }
    }
}

impl Rcode {
    /// The lower bits of the response code of a message; SERVFAIL where it has no head.
    pub fn of(message: &[u8]) -> Self {
        Flags::of(message).map_or(Self::SERVFAIL, Flags::rcode)
    }
}

impl BitOr for Flags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Flags {
    /// The flags that are set, in their order: `qr,rd,ra`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Flags, &str); 8] = [
            (Flags::QR, "qr"),
            (Flags::AA, "aa"),
            (Flags::TC, "tc"),
            (Flags::RD, "rd"),
            (Flags::RA, "ra"),
            (Flags::Z, "z"),
            (Flags::AD, "ad"),
            (Flags::CD, "cd"),
        ];
        let mut between = "";
        for (_, name) in NAMES.iter().filter(|(flag, _)| self.has(*flag)) {
            write!(f, "{between}{name}")?;
            between = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#06x})", self.0)
    }
}

//----------- Opcode ---------------------------------------------------------

/// The kind of a query: four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A question (RFC 1035).
    pub const QUERY: Self = Self(0);
    /// A zone has changed (RFC 1996).
    pub const NOTIFY: Self = Self(4);
    /// A change of a zone (RFC 2136).
    pub const UPDATE: Self = Self(5);
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCTETS: [u8; 12] = [0x12, 0x34, 0x85, 0xb3, 0, 1, 1, 2, 3, 4, 5, 6];

    #[test]
    fn a_head_is_its_octets() {
        let (header, rest) = Header::split(&OCTETS).unwrap();
        assert_eq!((header.id, header.flags, header.counts), (0x1234, Flags(0x85b3), [1, 0x102, 0x304, 0x506]));
        assert!(rest.is_empty());
        assert_eq!(header.to_octets(), OCTETS);
        for len in 0..12 {
            assert_eq!(Header::of(&OCTETS[..len]), None, "{len}");
        }
        let mut octets = OCTETS;
        Header::change(&mut octets, |header| header.counts[3] += 1);
        assert_eq!((&octets[..11], octets[11]), (&OCTETS[..11], 7));
    }

    #[test]
    fn flags_have_the_places_of_rfc_1035() {
        let flags = Flags(0x85b3);
        assert_eq!(flags.to_string(), "qr,aa,rd,ra,ad,cd");
        assert_eq!((flags.opcode(), flags.rcode()), (Opcode::QUERY, Rcode::NXDOMAIN));
        assert_eq!(flags.without(Flags::AA | Flags::AD), Flags(0x8193));
        assert_eq!(flags.only(Flags::AA | Flags::TC), Flags::AA);
        assert_eq!((flags.has(Flags::TC), flags.has(Flags::TC | Flags::RD)), (false, true));
        assert_eq!(flags.with_if(true, Flags::TC).with_if(false, Flags::Z), Flags(0x87b3));
        assert_eq!(flags.with_rcode(Rcode::BADVERS), Flags(0x85b0));
        assert_eq!(flags.with_opcode(Opcode::UPDATE), Flags(0xadb3));
        assert_eq!(Flags(0x2ff0).with_opcode(Opcode::QUERY).opcode(), Opcode::QUERY);
        assert_eq!(Flags::of(&OCTETS[..4]), Some(flags));
        assert_eq!(Flags::of(&OCTETS[..3]), None);
    }

    #[test]
    fn an_answer_copies_opcode_rd_and_cd() {
        assert_eq!(Flags(0x7fff).to_answer(), Flags(0xf910));
        assert_eq!(Flags::default().to_answer(), Flags::QR);
    }
}

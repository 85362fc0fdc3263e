//! The time that a record may be kept, and the version of a zone: numbers with rules of their own.

use std::fmt;
use std::time::Duration;

//----------- Ttl ------------------------------------------------------------

/// The time that a record may be kept, in whole seconds: at most 2^31 - 1 (RFC 2181 section 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ttl(u32);

impl Ttl {
    /// The TTL of what is for the transaction alone (RFC 1035 section 3.2.1).
    pub const ZERO: Self = Self(0);
    /// The longest.
    pub const MAX: Self = Self(i32::MAX.unsigned_abs());

    /// The TTL of so many seconds, or the longest there is.
    #[inline]
    pub const fn from_secs(seconds: u32) -> Self {
        if seconds > Self::MAX.0 { Self::MAX } else { Self(seconds) }
    }

    /// The TTL field of a record that somebody sent: with its highest bit set it counts as 0 (RFC 2181 section 8).
    #[inline]
    pub const fn received(field: u32) -> Self {
        if field > Self::MAX.0 { Self::ZERO } else { Self(field) }
    }

    /// The seconds.
    #[inline]
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// The octets in a message.
    #[inline]
    pub const fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Ttl> for Duration {
    fn from(ttl: Ttl) -> Self {
        Self::from_secs(ttl.0.into())
    }
}

//----------- Serial ---------------------------------------------------------

/// The version of a zone. Serials go round, so that they have no order but this: one comes after those of the half circle
/// behind it (RFC 1982).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Serial(pub u32);

impl Serial {
    /// Whether this version comes after another. Of two that stand opposite each other neither does (RFC 1982 section 3.2).
    #[inline]
    pub const fn is_after(self, other: Self) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead > 0 && ahead < 1 << 31
    }

    /// The version so many steps on.
    #[inline]
    #[must_use]
    pub const fn plus(self, steps: u32) -> Self {
        Self(self.0.wrapping_add(steps))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 2181 section 8: 31 bits, and whoever gets more takes it for 0.
    #[test]
    fn a_ttl_has_31_bits() {
        const MOST: u32 = 0x7fff_ffff;
        for (seconds, own, received) in [(0, 0, 0), (30, 30, 30), (MOST, MOST, MOST), (MOST + 1, MOST, 0)] {
            assert_eq!(Ttl::from_secs(seconds).as_secs(), own, "{seconds}");
            assert_eq!(Ttl::received(seconds).as_secs(), received, "{seconds}");
        }
        assert_eq!((Ttl::from_secs(u32::MAX), Ttl::received(u32::MAX)), (Ttl::MAX, Ttl::ZERO));
    }

    // RFC 1982 section 5.
    #[test]
    fn serials_go_round() {
        for (one, other) in [(1, 0), (44, 0), (100, 0), (100, 44), (200, 100), (0, u32::MAX), (0x7fff_ffff, 0)] {
            assert!(Serial(one).is_after(Serial(other)) && !Serial(other).is_after(Serial(one)), "{one} {other}");
        }
        for (one, other) in [(7, 7), (0, 1 << 31), (1 << 31, 0)] {
            assert!(!Serial(one).is_after(Serial(other)), "{one} {other}");
        }
        assert_eq!(Serial(u32::MAX).plus(8), Serial(7));
    }
}

//! Chance from a seed, of our own: a seed has to stay the same run when a crate changes.

/// `SplitMix64`: a good mixer, and all the state that there is.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The chance of a seed, and of one of the uses of it.
    pub(crate) fn of(seed: u64, purpose: u64) -> Self {
        let mut own = Self(seed ^ purpose.wrapping_mul(0xa076_1d64_78bd_642f));
        own.next();
        own
    }

    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// One of these indices.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }

    /// One of `from..=to`.
    pub(crate) fn range(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Whether something of so many in a hundred happens.
    pub(crate) fn percent(&mut self, part: u64) -> bool {
        self.below(100) < part
    }

    /// One of several.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }

    /// A length between two, short ones as likely as long ones.
    pub(crate) fn length(&mut self, from: u64, to: u64) -> u64 {
        let doublings = (to / from).ilog2();
        let base = from << self.below(u64::from(doublings) + 1);
        self.range(base, (base * 2).min(to))
    }
}

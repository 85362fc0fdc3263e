//! Seeds, which decide which records an answer draws, and in which order.

use std::fmt;

/// The seeds of an answer. Equal seeds give equal answers.
#[derive(Clone, Copy)]
pub struct Seeds<'s> {
    /// The order of records that all fit.
    pub order: u64,
    /// Gives the seed of those that stay where not all do; it is asked for then alone.
    pub choice: &'s dyn Fn() -> u64,
}

impl Seeds<'_> {
    /// The seed to draw by, so that an answer that does not fit is made once.
    #[inline]
    pub(super) fn of(self, fits: bool) -> u64 {
        if fits { self.order } else { (self.choice)() }
    }
}

impl fmt::Debug for Seeds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seeds").field("order", &self.order).finish_non_exhaustive()
    }
}

//! The limits of the load on each address, as the command line sets them.

use super::rate::RateLimit;

/// Limits of the load on each address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadLimits {
    /// Queries that wait for plugins at one time.
    pub max_in_flight: usize,
    /// The rate of amplifying answers over UDP.
    pub rate: RateLimit,
}

impl Default for LoadLimits {
    fn default() -> Self {
        Self { max_in_flight: 10_000, rate: RateLimit::default() }
    }
}

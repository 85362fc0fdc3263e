//! Carries bytes between listeners, the zone and the chain; size and connection limits.

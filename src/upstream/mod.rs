//! Asks another resolver and returns its answer; pools, health, retries.

//! Port sets, each kept once: most of a cluster's slices have one of few.

use std::collections::HashSet;
use std::sync::Arc;

use crate::zone::Port;

/// The port sets that are in use.
#[derive(Debug, Default)]
pub(super) struct PortSets {
    sets: HashSet<Arc<[Port]>>,
    /// At this size those that nobody uses any more are dropped.
    limit: usize,
}

impl PortSets {
    /// The shared form of these ports, sorted.
    pub(super) fn share(&mut self, mut ports: Vec<Port>) -> Arc<[Port]> {
        ports.sort_unstable();
        ports.dedup();
        if let Some(known) = self.sets.get(ports.as_slice()) {
            return Arc::clone(known);
        }
        if self.sets.len() >= self.limit {
            self.sets.retain(|set| Arc::strong_count(set) > 1);
            self.limit = (self.sets.len() * 2).max(64);
        }
        let shared: Arc<[Port]> = ports.into();
        self.sets.insert(Arc::clone(&shared));
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::Protocol;

    fn ports(number: u16) -> Vec<Port> {
        vec![Port { name: None, protocol: Protocol::Tcp, number }]
    }

    #[test]
    fn equal_sets_are_one_and_unused_ones_go() {
        let mut sets = PortSets::default();
        let first = sets.share(ports(1));
        assert!(Arc::ptr_eq(&first, &sets.share(ports(1))));
        for number in 1..10_000 {
            sets.share(ports(number));
        }
        assert!(sets.sets.len() <= 64 && sets.sets.contains(ports(1).as_slice()));
    }
}

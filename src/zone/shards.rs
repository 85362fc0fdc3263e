//! A map in many small immutable parts: readers follow one atomic pointer, the writer replaces the parts that change.
//!
//! Cloning a part costs what the part holds, so there are many: at 100,000 entries a change copies about a hundred.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::quality::RandomState;
use hashbrown::HashTable;

/// An entry of the map, which carries its own key.
pub(super) trait ShardEntry: Clone {
    /// The key, borrowed from an entry or from a query.
    type Key<'k>: Copy + Hash
    where
        Self: 'k;

    /// The key of this entry.
    fn key(&self) -> Self::Key<'_>;

    /// Whether the key is this entry's. (The compiler cannot shorten the life of an associated type by itself.)
    fn has(&self, key: Self::Key<'_>) -> bool;
}

/// A map from keys to entries with one writer and any number of readers, in so many parts: a power of two.
pub(super) struct Shards<E, const PARTS: usize = MANY> {
    parts: Box<[ArcSwap<HashTable<E>>]>,
    // Seeded at random, so that nobody can choose names that crowd one part.
    hasher: RandomState,
}

/// Empty parts share one allocation, so that the map of a small cluster costs 8 KiB of pointers.
const MANY: usize = 1024;

/// For what even large clusters have by the thousand at most.
pub(super) const FEW: usize = 64;

impl<E: ShardEntry, const PARTS: usize> Shards<E, PARTS> {
    pub(super) fn new() -> Self {
        let empty = Arc::new(HashTable::new());
        Self { parts: (0..PARTS).map(|_| ArcSwap::new(Arc::clone(&empty))).collect(), hasher: RandomState::default() }
    }

    /// Shows the entry of a key to `look`, in its present version. Waits for nothing.
    #[inline]
    pub(super) fn with<R>(&self, key: E::Key<'_>, look: impl FnOnce(Option<&E>) -> R) -> R {
        let hash = self.hasher.hash_one(key);
        let part = self.parts[Self::part_of(hash)].load();
        look(part.find(hash, |entry| entry.has(key)))
    }

    /// Makes changes in their order, each of which names a key and says what becomes of it; a part that changes is
    /// written once.
    pub(super) fn update<C>(
        &self,
        changes: Vec<C>,
        key: impl for<'c> Fn(&'c C) -> E::Key<'c>,
        entry: impl Fn(C) -> Option<E>,
    ) {
        let mut changes: Vec<(u64, C)> =
            changes.into_iter().map(|change| (self.hasher.hash_one(key(&change)), change)).collect();
        // A stable sort: of two changes of one key the later one counts.
        changes.sort_by_key(|&(hash, _)| Self::part_of(hash));
        let mut changes = changes.into_iter().peekable();
        while let Some(&(hash, _)) = changes.peek() {
            let at = Self::part_of(hash);
            let mut table = HashTable::clone(&self.parts[at].load());
            while let Some((hash, change)) = changes.next_if(|&(hash, _)| Self::part_of(hash) == at) {
                if let Ok(found) = table.find_entry(hash, |entry| entry.has(key(&change))) {
                    found.remove();
                }
                if let Some(entry) = entry(change) {
                    table.insert_unique(hash, entry, |entry| self.hasher.hash_one(entry.key()));
                }
            }
            if table.len() < table.capacity() / 4 {
                table.shrink_to_fit(|entry| self.hasher.hash_one(entry.key()));
            }
            self.parts[at].store(Arc::new(table));
        }
    }

    /// The part that a hash belongs to. The table inside uses the hash's lower and topmost bits; these are others.
    fn part_of(hash: u64) -> usize {
        (hash >> 40) as usize % PARTS
    }

    /// Every entry, in no order; each part in its present version.
    pub(super) fn entries(&self) -> Vec<E> {
        self.parts.iter().flat_map(|part| part.load().iter().cloned().collect::<Vec<_>>()).collect()
    }
}

impl<E, const PARTS: usize> std::fmt::Debug for Shards<E, PARTS> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shards").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Pair(u32, u32);

    impl ShardEntry for Pair {
        type Key<'k> = u32;

        fn key(&self) -> u32 {
            self.0
        }

        fn has(&self, key: u32) -> bool {
            self.0 == key
        }
    }

    fn change(shards: &Shards<Pair>, changes: &[(u32, Option<u32>)]) {
        shards.update(changes.to_vec(), |change| change.0, |(key, value)| value.map(|value| Pair(key, value)));
    }

    #[test]
    fn the_last_change_of_a_key_counts() {
        let shards: Shards<Pair> = Shards::new();
        change(&shards, &[(1, Some(10)), (2, Some(20)), (1, None), (1, Some(11)), (2, None)]);
        assert_eq!(shards.with(1, |entry| entry.cloned()), Some(Pair(1, 11)));
        assert_eq!(shards.with(2, |entry| entry.cloned()), None);
    }

    #[test]
    fn entries_come_and_go_without_touching_others() {
        let shards = Shards::new();
        change(&shards, &(0..10_000).map(|key| (key, Some(key * 2))).collect::<Vec<_>>());
        change(&shards, &(0..10_000).filter(|key| key % 100 != 7).map(|key| (key, None)).collect::<Vec<_>>());
        let mut left = shards.entries();
        left.sort();
        assert_eq!(left, (0..100).map(|i| Pair(i * 100 + 7, (i * 100 + 7) * 2)).collect::<Vec<_>>());
        assert_eq!(shards.with(8, |entry| entry.cloned()), None);
    }
}

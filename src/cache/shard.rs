//! One part of one half of the cache, behind one short lock.

use std::time::Instant;

use hashbrown::HashTable;

use super::Ask;
use super::entry::Entry;
use crate::wire::Random;

/// Entries in a row, found through a table of their positions; a random one is one index away.
#[derive(Debug)]
pub(super) struct Shard {
    table: HashTable<u32>,
    slots: Vec<Slot>,
    bytes: usize,
    random: Random,
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    entry: Entry,
}

/// The entries that an eviction looks at: of four, the soonest to end goes, which is rarely one in use.
const SAMPLE: usize = 4;

impl Shard {
    pub(super) fn new(seed: u64) -> Self {
        Self { table: HashTable::new(), slots: Vec::new(), bytes: 0, random: Random::new(seed) }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&mut self, hash: u64, ask: &Ask<'_>) -> Option<&mut Entry> {
        let slots = &self.slots;
        let &at = self.table.find(hash, |&at| slots.get(at as usize).is_some_and(|slot| slot.entry.is_for(ask)))?;
        Some(&mut self.slots.get_mut(at as usize)?.entry)
    }

    /// Puts an entry in, in place of the one it follows. Returns how many others had to go.
    pub(super) fn insert(&mut self, hash: u64, ask: &Ask<'_>, mut entry: Entry, entries: usize, bytes: usize) -> usize {
        if let Some(previous) = self.get(hash, ask) {
            entry.succeed(previous);
        }
        self.remove(hash, ask);
        let mut evicted = 0;
        while !self.slots.is_empty() && (self.slots.len() >= entries || self.bytes + entry.bytes() > bytes) {
            self.evict();
            evicted += 1;
        }
        let Ok(at) = u32::try_from(self.slots.len()) else { return evicted };
        self.bytes += entry.bytes();
        self.slots.push(Slot { hash, entry });
        let slots = &self.slots;
        self.table.insert_unique(hash, at, |&at| slots.get(at as usize).map_or(0, |slot| slot.hash));
        evicted
    }

    /// Takes an entry out; whether there was one.
    pub(super) fn remove(&mut self, hash: u64, ask: &Ask<'_>) -> bool {
        let slots = &self.slots;
        let found = self.table.find(hash, |&at| slots.get(at as usize).is_some_and(|slot| slot.entry.is_for(ask)));
        match found {
            Some(&at) => {
                self.take(at);
                true
            }
            None => false,
        }
    }

    fn evict(&mut self) {
        let soonest = (0..SAMPLE)
            .filter_map(|_| {
                let at = self.random.below(self.slots.len());
                Some((self.slots.get(at)?.entry.ends(), at))
            })
            .min_by_key(|&(ends, _): &(Instant, usize)| ends);
        if let Some((_, at)) = soonest {
            self.take(u32::try_from(at).unwrap_or(u32::MAX));
        }
    }

    /// Takes the entry of a position out; the last one moves into its place.
    fn take(&mut self, at: u32) {
        let Some(hash) = self.slots.get(at as usize).map(|slot| slot.hash) else { return };
        if let Ok(found) = self.table.find_entry(hash, |&other| other == at) {
            found.remove();
        }
        let last = self.slots.len() - 1;
        let moved = self.slots.get(last).map(|slot| slot.hash);
        if let (Some(moved), Ok(last)) = (moved, u32::try_from(last))
            && at != last
            && let Some(position) = self.table.find_mut(moved, |&other| other == last)
        {
            *position = at;
        }
        let gone = self.slots.swap_remove(at as usize);
        self.bytes -= gone.entry.bytes();
    }
}

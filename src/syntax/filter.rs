//! A set of names that may say yes too often and never no too often: read without waiting, refilled while it is read.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::wire::Name;

const WORDS: usize = 4096;

/// Names in a bit field of 32 KiB; a name below a `*` counts too.
#[derive(Debug)]
pub struct NameFilter {
    words: Box<[AtomicU64]>,
    wildcards: AtomicBool,
    hasher: foldhash::fast::RandomState,
}

impl Default for NameFilter {
    fn default() -> Self {
        Self {
            words: (0..WORDS).map(|_| AtomicU64::new(0)).collect(),
            wildcards: AtomicBool::new(false),
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

impl NameFilter {
    /// Takes these names instead of the present ones. Names that were and will be in are in all the time.
    pub(crate) fn fill(&self, names: impl Iterator<Item = Name>) {
        let mut next = vec![0u64; WORDS];
        let mut wildcards = false;
        for name in names {
            let wire = name.as_wire();
            // A name below a wildcard is found by its parent's name.
            let (wire, below) = wire.strip_prefix(b"\x01*").map_or((wire, false), |parent| (parent, true));
            wildcards |= below;
            for (word, bit) in self.places(wire, below) {
                if let Some(word) = next.get_mut(word) {
                    *word |= bit;
                }
            }
        }
        if wildcards {
            self.wildcards.store(true, Ordering::Relaxed);
        }
        for (word, next) in self.words.iter().zip(next) {
            word.store(next, Ordering::Relaxed);
        }
        self.wildcards.store(wildcards, Ordering::Relaxed);
    }

    /// Whether a name in lower-case wire format may be in.
    pub fn holds(&self, wire: &[u8]) -> bool {
        if self.has(wire, false) {
            return true;
        }
        if !self.wildcards.load(Ordering::Relaxed) {
            return false;
        }
        let mut rest = wire;
        while let Some((&len, tail)) = rest.split_first() {
            if len == 0 {
                return false;
            }
            rest = tail.get(usize::from(len)..).unwrap_or_default();
            if self.has(rest, true) {
                return true;
            }
        }
        false
    }

    fn has(&self, wire: &[u8], below: bool) -> bool {
        self.places(wire, below)
            .into_iter()
            .all(|(word, bit)| self.words.get(word).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0))
    }

    fn places(&self, wire: &[u8], below: bool) -> [(usize, u64); 2] {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u8(u8::from(below));
        hasher.write(wire);
        let hash = hasher.finish();
        [hash, hash >> 32].map(|part| (part as usize % WORDS, 1 << (part >> 12 & 63)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(filter: &NameFilter, name: &str) -> bool {
        filter.holds(name.parse::<Name>().unwrap().as_wire())
    }

    #[test]
    fn names_and_names_below_wildcards_are_in() {
        let filter = NameFilter::default();
        filter.fill(["one.example", "*.apps.example"].iter().map(|name| name.parse().unwrap()));
        assert!(holds(&filter, "one.example") && holds(&filter, "a.b.apps.example"));
        assert!(!holds(&filter, "two.example") && !holds(&filter, "x.one.example") && !holds(&filter, "apps.example"));
        filter.fill(std::iter::once("two.example".parse().unwrap()));
        assert!(holds(&filter, "two.example") && !holds(&filter, "one.example") && !holds(&filter, "b.apps.example"));
    }

    #[test]
    fn a_thousand_names_let_few_others_in() {
        let filter = NameFilter::default();
        filter.fill((0..1000).map(|n| format!("n{n}.example").parse().unwrap()));
        assert!((0..1000).all(|n| holds(&filter, &format!("n{n}.example"))));
        assert!((0..1000).filter(|n| holds(&filter, &format!("m{n}.example"))).count() < 20);
    }
}

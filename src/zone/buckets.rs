//! A sorted set in immutable chunks, so that one change copies a chunk and not the set.
//!
//! Items are spread over the chunks by the hash of their key and sorted by key within each. A small set is one chunk.
//! Reads: by key, and by position, which makes a random choice cheap.

use std::sync::Arc;

/// An item of a set.
pub(super) trait Keyed: Clone {
    /// The key that identifies an item and orders it within its chunk.
    type Key: ?Sized + Ord;

    /// The item's key.
    fn key(&self) -> &Self::Key;

    /// The hash that decides the chunk; the same in every process.
    fn hash(key: &Self::Key) -> u64;
}

/// An immutable set of items.
#[derive(Clone, Debug, Default)]
pub(super) enum Buckets<T> {
    /// Nothing.
    #[default]
    Empty,
    /// Up to [`ONE`] items.
    One(Arc<[T]>),
    /// A power of two of chunks.
    Many(Arc<[Chunk<T>]>),
}

/// A part of a large set.
#[derive(Clone, Debug)]
pub(super) struct Chunk<T> {
    items: Arc<[T]>,
    /// The number of items that the set has up to the end of this chunk.
    end: u32,
}

/// A change of the item that has this item's key.
#[derive(Clone, Debug)]
pub(super) struct Edit<T> {
    pub(super) item: T,
    /// The item is in the set from now on; else its key is gone.
    pub(super) keep: bool,
}

/// The number of items in a chunk after they were spread anew.
const CHUNK: usize = 64;
/// A set stays in one chunk up to here; a larger one is spread anew when chunks hold more than this on average…
const ONE: usize = 2 * CHUNK;
/// …or less than this. The distance keeps a set at a limit from being spread at every change.
const FEW: usize = CHUNK / 2;

impl<T: Keyed> Buckets<T> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(items) => items.len(),
            Self::Many(chunks) => total(chunks),
        }
    }

    /// The item of a key.
    #[inline]
    pub(super) fn get(&self, key: &T::Key) -> Option<&T> {
        let items = match self {
            Self::Empty => return None,
            Self::One(items) => items,
            Self::Many(chunks) => &chunks.get(chunk_of::<T>(key, chunks.len()))?.items,
        };
        items.binary_search_by(|item| item.key().cmp(key)).ok().and_then(|at| items.get(at))
    }

    /// The item at a position below [`len`](Self::len). Positions mean something within one version only.
    #[inline]
    pub(super) fn nth(&self, position: usize) -> Option<&T> {
        match self {
            Self::Empty => None,
            Self::One(items) => items.get(position),
            Self::Many(chunks) => {
                let at = chunks.partition_point(|chunk| chunk.end as usize <= position);
                let before = at.checked_sub(1).and_then(|at| chunks.get(at)).map_or(0, |chunk| chunk.end as usize);
                chunks.get(at)?.items.get(position - before)
            }
        }
    }

    /// Every item.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.parts().flatten()
    }

    /// Every item, in the rows that it is held in.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[T]> {
        let (one, many) = match self {
            Self::Empty => (None, [].as_slice()),
            Self::One(items) => (Some(&**items), [].as_slice()),
            Self::Many(chunks) => (None, &**chunks),
        };
        one.into_iter().chain(many.iter().map(|chunk| &*chunk.items))
    }

    /// The next version. Each key appears at most once among the edits.
    pub(super) fn edit(&self, mut edits: Vec<Edit<T>>) -> Self {
        if edits.is_empty() {
            return self.clone();
        }
        let chunks = match self {
            Self::Empty => {
                edits.sort_by(|a, b| a.item.key().cmp(b.item.key()));
                return Self::spread(merge(&[], edits));
            }
            Self::One(items) => {
                edits.sort_by(|a, b| a.item.key().cmp(b.item.key()));
                return Self::spread(merge(items, edits));
            }
            Self::Many(chunks) => chunks,
        };
        let mut next: Vec<Chunk<T>> = chunks.to_vec();
        let mut edits: Vec<(usize, Edit<T>)> =
            edits.into_iter().map(|edit| (chunk_of::<T>(edit.item.key(), chunks.len()), edit)).collect();
        edits.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.item.key().cmp(y.item.key())));
        let mut edits = edits.into_iter().peekable();
        while let Some((at, edit)) = edits.next() {
            let mut ours = vec![edit];
            while let Some((_, edit)) = edits.next_if(|&(next, _)| next == at) {
                ours.push(edit);
            }
            next[at].items = merge(&next[at].items, ours).into();
        }
        let mut end = 0;
        for chunk in &mut next {
            end += chunk.items.len() as u32;
            chunk.end = end;
        }
        let len = end as usize;
        if len < FEW * next.len() || len > ONE * next.len() {
            return Self::spread(next.iter().flat_map(|chunk| chunk.items.iter().cloned()).collect());
        }
        Self::Many(next.into())
    }

    /// Spreads items over as many chunks as they need. Those of one chunk must be sorted already.
    fn spread(items: Vec<T>) -> Self {
        if items.is_empty() {
            return Self::Empty;
        }
        if items.len() <= ONE {
            let mut items = items;
            items.sort_by(|a, b| a.key().cmp(b.key()));
            return Self::One(items.into());
        }
        let count = (items.len() / CHUNK).next_power_of_two();
        let mut parts: Vec<Vec<T>> = (0..count).map(|_| Vec::with_capacity(CHUNK + CHUNK / 4)).collect();
        for item in items {
            parts[chunk_of::<T>(item.key(), count)].push(item);
        }
        let mut end = 0;
        let chunks = parts.into_iter().map(|mut items| {
            items.sort_by(|a, b| a.key().cmp(b.key()));
            end += items.len() as u32;
            Chunk { items: items.into(), end }
        });
        Self::Many(chunks.collect())
    }
}

fn total<T>(chunks: &[Chunk<T>]) -> usize {
    chunks.last().map_or(0, |chunk| chunk.end as usize)
}

/// `count` is a power of two.
fn chunk_of<T: Keyed>(key: &T::Key, count: usize) -> usize {
    T::hash(key) as usize & (count - 1)
}

/// Both sorted by key.
fn merge<T: Keyed>(items: &[T], edits: Vec<Edit<T>>) -> Vec<T> {
    let mut merged = Vec::with_capacity(items.len() + edits.len());
    let mut items = items.iter().peekable();
    for Edit { item, keep } in edits {
        while let Some(before) = items.next_if(|old| old.key() < item.key()) {
            merged.push(before.clone());
        }
        items.next_if(|old| old.key() == item.key());
        if keep {
            merged.push(item);
        }
    }
    merged.extend(items.cloned());
    merged
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Item(u32, u32);

    impl Keyed for Item {
        type Key = u32;

        fn key(&self) -> &u32 {
            &self.0
        }

        fn hash(key: &u32) -> u64 {
            u64::from(*key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
        }
    }

    fn check(set: &Buckets<Item>, model: &BTreeMap<u32, u32>) {
        assert_eq!(set.len(), model.len());
        let mut items: Vec<_> = (0..set.len()).map(|at| set.nth(at).unwrap().clone()).collect();
        assert_eq!(set.iter().cloned().collect::<Vec<_>>(), items);
        items.sort_by_key(|item| item.0);
        assert_eq!(items, model.iter().map(|(&key, &value)| Item(key, value)).collect::<Vec<_>>());
        assert!(items.iter().all(|item| set.get(&item.0) == Some(item)));
        assert!(set.nth(set.len()).is_none() && set.get(&u32::MAX).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_row_of_edits_equals_a_plain_map(
            rounds in proptest::collection::vec(
                proptest::collection::btree_map(0u32..600, (any::<bool>(), 0u32..9), 0..400), 1..12),
        ) {
            let (mut set, mut model) = (Buckets::default(), BTreeMap::new());
            for round in rounds {
                let edits = round.iter().map(|(&key, &(keep, value))| Edit { item: Item(key, value), keep });
                set = set.edit(edits.collect());
                for (key, (keep, value)) in round {
                    if keep { model.insert(key, value); } else { model.remove(&key); }
                }
                check(&set, &model);
            }
        }
    }

    #[test]
    fn one_change_of_a_large_set_copies_one_chunk() {
        let edits = (0..5000).map(|key| Edit { item: Item(key, 0), keep: true });
        let before = Buckets::default().edit(edits.collect());
        let after = before.edit(vec![Edit { item: Item(17, 1), keep: true }]);
        let (Buckets::Many(before), Buckets::Many(after)) = (before, after) else { panic!("5000 items are many") };
        let copied = before.iter().zip(after.iter()).filter(|(a, b)| !Arc::ptr_eq(&a.items, &b.items)).count();
        assert_eq!((copied, after.len()), (1, 128));
        assert!(after.iter().all(|chunk| chunk.items.len() < 128), "chunks are about even");
    }
}

//! Values in the order of their object, each once.

use std::collections::HashSet;
use std::hash::Hash;

/// Values without repeats. Objects have few as a rule and any number at worst, so a set helps only from some size on.
#[derive(Debug)]
pub(super) struct Distinct<T> {
    all: Vec<T>,
    seen: HashSet<T>,
}

const FEW: usize = 16;

impl<T: Clone + Eq + Hash> Distinct<T> {
    pub(super) fn new() -> Self {
        Self { all: Vec::new(), seen: HashSet::new() }
    }

    /// Adds a value, unless it is there.
    pub(super) fn push(&mut self, value: T) {
        let is_new = if self.all.len() < FEW {
            !self.all.contains(&value)
        } else {
            if self.seen.is_empty() {
                self.seen.extend(self.all.iter().cloned());
            }
            self.seen.insert(value.clone())
        };
        if is_new {
            self.all.push(value);
        }
    }

    pub(super) fn into_vec(self) -> Vec<T> {
        self.all
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn each_value_stands_once_where_it_came_first_however_many_there_are() {
        for count in [0, 1, FEW - 1, FEW, FEW + 1, 300_000] {
            let (mut distinct, start) = (Distinct::new(), Instant::now());
            for value in (0..count).chain((0..count).rev()) {
                distinct.push(value);
            }
            assert_eq!(distinct.into_vec(), (0..count).collect::<Vec<_>>());
            assert!(start.elapsed() < Duration::from_secs(10), "{count} take {:?}", start.elapsed());
        }
    }
}

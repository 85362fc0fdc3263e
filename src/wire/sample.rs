//! Uniformly random order without an array as long as the set: the work grows with what is drawn.
//!
//! A Fisher–Yates shuffle that is stopped as soon as the answer is full. The places it has exchanged so far are kept on
//! the stack: in an array where the set is small, in a hash table that is as large as an answer can have records
//! where it is not. Equal seeds give equal orders, so that a second walk meets the same items.

use std::ops::ControlFlow;

use super::Random;

/// No answer has more records: the shortest, an A record with a compressed owner, takes 16 octets.
pub const MOST_RECORDS: usize = 65_535 / 16;

/// Draws distinct positions below `count`, each order of them equally likely, until `take` breaks or all are drawn.
///
/// At most `most` are drawn. Returns whether all positions were taken.
pub fn draw(count: usize, most: usize, seed: u64, take: impl FnMut(usize) -> ControlFlow<()>) -> bool {
    match (count, most.min(MOST_RECORDS)) {
        (0, _) => true,
        (..=SMALL, most) => walk(Array([0; SMALL]), count, most, seed, take),
        (..=LARGE, most) => walk(Array([0; LARGE]), count, most, seed, take),
        (_, most @ ..=256) => walk(Table([(0, 0); 512]), count, most, seed, take),
        (_, most) => walk(Table([(0, 0); 8192]), count, most, seed, take),
    }
}

const SMALL: usize = 64;
const LARGE: usize = 2048;

// Kept apart, so that a small set does not pay for the stack of a large one.
#[inline(never)]
fn walk<P: Places>(
    mut places: P,
    count: usize,
    most: usize,
    seed: u64,
    mut take: impl FnMut(usize) -> ControlFlow<()>,
) -> bool {
    let mut random = Random::new(seed);
    for at in 0..count.min(most) {
        let other = at + random.below(count - at);
        let chosen = places.value(other);
        places.put(other, places.value(at));
        if take(chosen).is_break() {
            return false;
        }
    }
    count <= most
}

/// The positions that a shuffle has exchanged; all others stand where they were.
trait Places {
    fn value(&self, place: usize) -> usize;
    fn put(&mut self, place: usize, value: usize);
}

/// Holds every place; 0 says that the place was not exchanged.
struct Array<const N: usize>([u16; N]);

impl<const N: usize> Places for Array<N> {
    fn value(&self, place: usize) -> usize {
        match self.0.get(place) {
            None | Some(0) => place,
            Some(&value) => usize::from(value) - 1,
        }
    }

    fn put(&mut self, place: usize, value: usize) {
        if let Some(held) = self.0.get_mut(place) {
            *held = value as u16 + 1;
        }
    }
}

/// Holds the exchanged places, at most half of `N`; each as (place + 1, value), so that 0 marks what is free.
struct Table<const N: usize>([(u32, u32); N]);

impl<const N: usize> Table<N> {
    /// The slot in which a place is held, or the free one for it.
    fn slot(&self, place: usize) -> usize {
        let mut slot = scatter(place as u64) % N;
        while self.at(slot).0 != 0 && self.at(slot).0 as usize != place + 1 {
            slot = (slot + 1) % N;
        }
        slot
    }

    fn at(&self, slot: usize) -> (u32, u32) {
        self.0.get(slot).copied().unwrap_or_default()
    }
}

impl<const N: usize> Places for Table<N> {
    fn value(&self, place: usize) -> usize {
        match self.at(self.slot(place)) {
            (0, _) => place,
            (_, value) => value as usize,
        }
    }

    fn put(&mut self, place: usize, value: usize) {
        let slot = self.slot(place);
        if let Some(held) = self.0.get_mut(slot) {
            *held = (place as u32 + 1, value as u32);
        }
    }
}

fn scatter(number: u64) -> usize {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(count: usize, most: usize, seed: u64) -> Vec<usize> {
        let mut drawn = Vec::new();
        draw(count, most, seed, |position| {
            drawn.push(position);
            ControlFlow::Continue(())
        });
        drawn
    }

    /// Fails when counts that should be equal differ more than chance explains: about 5 standard deviations.
    fn assert_even(counts: &[u32]) {
        let mean = counts.iter().map(|&count| f64::from(count)).sum::<f64>() / counts.len() as f64;
        assert!(mean >= 5.0, "too few rounds to judge");
        let chi: f64 = counts.iter().map(|&count| (f64::from(count) - mean).powi(2) / mean).sum();
        let freedom = (counts.len() - 1) as f64;
        let off = (chi - freedom) / (2.0 * freedom).sqrt();
        assert!(off.abs() < 5.0, "chi square {chi:.1} for {freedom} degrees of freedom");
    }

    #[test]
    fn each_position_is_drawn_once() {
        for count in [0, 1, 2, 3, 10, 64, 65, 2048, 2049, 4000] {
            let mut all = drawn(count, usize::MAX, 7);
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
        for (count, most) in [(5000, 256), (1_000_000, 256), (1_000_000, 4000)] {
            let mut some = drawn(count, most, 7);
            some.sort_unstable();
            some.dedup();
            assert_eq!(some.len(), most);
            assert!(some.iter().all(|&position| position < count));
        }
    }

    #[test]
    fn it_says_whether_all_were_taken() {
        let all = |_| ControlFlow::Continue(());
        assert!(draw(0, 5, 1, all) && draw(5, 5, 1, all) && !draw(6, 5, 1, all));
        assert!(!draw(5, 5, 1, |_| ControlFlow::Break(())));
    }

    #[test]
    fn equal_seeds_give_equal_orders_and_others_do_not() {
        for count in [50, 1000, 5000] {
            assert_eq!(drawn(count, 200, 9), drawn(count, 200, 9));
            assert_ne!(drawn(count, 200, 9), drawn(count, 200, 10));
        }
    }

    #[test]
    fn every_position_is_equally_likely_in_first_and_second_place() {
        for (count, rounds) in [(2, 4000), (3, 6000), (10, 20_000), (100, 50_000), (5000, 100_000)] {
            let (mut first, mut second) = (vec![0; count], vec![0; count]);
            for seed in 0..rounds {
                let order = drawn(count, 2, seed * 0x1234_5677 + 1);
                first[order[0]] += 1;
                second[order[1]] += 1;
            }
            assert_even(&first);
            assert_even(&second);
        }
    }

    #[test]
    fn every_pair_is_equally_likely() {
        for (count, rounds) in [(2, 4000), (3, 6000), (10, 20_000), (100, 100_000)] {
            let mut pairs = vec![0; count * (count - 1)];
            for seed in 0..rounds {
                let order = drawn(count, 2, seed * 0x9876_5431 + 1);
                let second = if order[1] > order[0] { order[1] - 1 } else { order[1] };
                pairs[order[0] * (count - 1) + second] += 1;
            }
            assert_even(&pairs);
        }
    }

    #[test]
    fn a_choice_out_of_many_is_even_over_the_whole_set() {
        let mut counts = vec![0; 5000];
        for seed in 0..400 {
            drawn(5000, 200, seed * 0x1357_9bdf + 1).into_iter().for_each(|position| counts[position] += 1);
        }
        assert_even(&counts);
    }
}

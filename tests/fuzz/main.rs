//! What comes from outside, at its worst: a committed corpus of odd inputs, and random ones made from it, within bounds.
//!
//! Everything here is a property that holds of every input: it ends, without a panic, in what the reader promises.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[path = "../common/mod.rs"]
mod common;
mod corefiles;
mod hostile;
mod messages;
mod names;
#[path = "../support/ports.rs"]
mod ports;

/// Name and octets of each message of the corpus.
fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let octets = |hex: &str| {
        let digit = |at: usize| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    };
    let lines = include_str!("corpus/messages.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('\t').unwrap()).map(|(name, hex)| (name, octets(hex))).collect()
}

/// A message of the corpus with some octets changed, cut or added, or octets that come from nowhere.
fn a_message() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::collection::vec;
    use proptest::prelude::*;
    let changes = vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6);
    let damaged =
        (proptest::sample::select(corpus()), changes, any::<proptest::sample::Index>(), vec(any::<u8>(), 0..20))
            .prop_map(|((_, mut octets), changes, end, more)| {
                for (at, octet) in changes {
                    if !octets.is_empty() {
                        *at.get_mut(&mut octets) = octet;
                    }
                }
                octets.truncate(12.max(end.index(octets.len() + 1)));
                octets.extend(more);
                octets
            });
    prop_oneof![4 => damaged, 1 => vec(any::<u8>(), 0..300)]
}

//! What comes from outside, at its worst: a committed corpus of odd inputs, and random ones made from it, within bounds.
//!
//! Everything here is a property that holds of every input: it ends, without a panic, in what the reader promises. The properties stand
//! in `learn`, where libFuzzer runs them too; what it has learned is run again by [`learned`].

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod corefiles;
mod hostile;
mod learned;
mod messages;
mod names;

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

/// A question with records behind it, each of them nearly whole: some type, and data that may be too short or too long.
fn a_query_with_records() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::collection::vec;
    use proptest::prelude::*;
    let owner = prop_oneof![
        4 => Just(vec![0]),
        2 => Just(vec![0xc0, 12]),
        1 => vec(prop_oneof![Just(0u8), Just(0xc0), any::<u8>()], 1..4)
    ];
    let rtype = prop_oneof![4 => Just(41u16), 4 => 1u16..70, 2 => 249u16..260, 1 => any::<u16>()];
    // An option with a length that fits, mostly; other data as they come.
    let option = (prop_oneof![Just(3u16), Just(8), Just(10), 0u16..20], vec(0u8..4, 0..9), 0u16..20).prop_map(
        |(code, value, lie)| {
            let len = if lie == 0 { 5 } else { value.len() as u16 };
            [&code.to_be_bytes()[..], &len.to_be_bytes(), &value].concat()
        },
    );
    let data = prop_oneof![
        3 => vec(option, 0..3).prop_map(|options| options.concat()),
        2 => vec(any::<u8>(), 0..24),
        1 => Just(vec![1, 2, 3, 4]),
    ];
    let record = (owner, rtype, any::<[u8; 6]>(), data, 0u16..30).prop_map(|(owner, rtype, mut fixed, data, lie)| {
        // The version of EDNS is 0 mostly.
        fixed[3] = u8::from(fixed[3] > 230);
        let len = (data.len() as u16).wrapping_add(u16::from(lie == 0));
        [&owner[..], &rtype.to_be_bytes(), &fixed, &len.to_be_bytes(), &data].concat()
    });
    (vec(record, 0..4), any::<proptest::sample::Index>(), any::<[u8; 2]>()).prop_map(|(records, split, flags)| {
        // Each record lies in one of the three sections, in their order.
        let before = split.index(records.len() + 1).min(2) as u8;
        let counts = [0, 1, 0, before.min(1), 0, before.saturating_sub(1), 0, records.len() as u8 - before];
        let header = [0xab, 0xcd, flags[0] & 0x07, flags[1]];
        [&header[..], &counts, b"\x03Www\x07example\x03org\0\0\x01\0\x01", &records.concat()].concat()
    })
}

//! A new order for the addresses of a finished answer, in place.

use super::{Random, Records, Rtype};

/// The answer has a shape that cannot be put into another order in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlike;

/// Puts the addresses of an answer into a random order, as `loadbalance` does: aliases first, then addresses.
///
/// Records of one owner and type differ in their data alone when they have one TTL, so that exchanging the data is
/// enough. That is how a remembered answer looks: every record in it has the same TTL.
///
/// # Errors
/// When the addresses have several owners or types, do not stand together behind the aliases, or are not the only
/// records that have a new order (MX, two addresses in the additional section). Nothing has changed then.
pub fn shuffle_addresses(message: &mut [u8], seed: u64) -> Result<(), Unlike> {
    // The addresses stand one behind the other, each as long as the first: where that one's data are, and how far apart.
    let (mut at, mut apart, mut len, mut count) = (0, 0, 0, 0);
    let (mut first, mut over, mut beside) = (None, false, 0);
    for record in Records::new(message).map_err(|_| Unlike)? {
        let record = record.map_err(|_| Unlike)?;
        match (record.section, record.rtype) {
            (0, Rtype::A | Rtype::AAAA) => {
                // Everything before RDLENGTH: the owner, the type, the class and the TTL.
                let head = message.get(record.owner..record.rdata - 2).ok_or(Unlike)?;
                if over || head != *first.get_or_insert(head) {
                    return Err(Unlike);
                }
                if count == 0 {
                    (at, apart, len) = (record.rdata, record.end - record.owner, record.end - record.rdata);
                }
                count += 1;
            }
            (0, Rtype::CNAME) if count == 0 && !over => {}
            (0, Rtype::CNAME | Rtype::MX) => return Err(Unlike),
            (0, _) => over = true,
            (2, Rtype::A | Rtype::AAAA | Rtype::MX) => beside += 1,
            _ => {}
        }
    }
    if beside > 1 {
        return Err(Unlike);
    }
    let mut random = Random::new(seed);
    for index in 1..count {
        let other = random.below(index + 1);
        let (from, to) = (at + other * apart, at + index * apart);
        // Records do not overlap, and `other` comes first.
        if other < index
            && let Some((before, behind)) = message.split_at_mut_checked(to)
            && let (Some(one), Some(two)) = (before.get_mut(from..from + len), behind.get_mut(..len))
        {
            one.swap_with_slice(two);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::wire::message::{decode, present};

    /// An answer to `www.example.org`, each record by its type and data, the owner a pointer to the question.
    fn answer(answers: &[(u16, &[u8])], additionals: &[(u16, &[u8])]) -> Vec<u8> {
        let mut octets = vec![0, 1, 0x81, 0x80, 0, 1, 0, answers.len() as u8, 0, 0, 0, additionals.len() as u8];
        octets.extend_from_slice(b"\x03www\x07example\x03org\0\0\x01\0\x01");
        for (rtype, data) in answers.iter().chain(additionals) {
            octets.extend_from_slice(&[0xc0, 12, 0, *rtype as u8, 0, 1, 0, 0, 0, 30, 0, data.len() as u8]);
            octets.extend_from_slice(data);
        }
        octets
    }

    fn lines(octets: &[u8]) -> Vec<String> {
        decode(octets).unwrap().answers.iter().map(present).collect()
    }

    #[test]
    fn every_order_is_equally_likely_and_nothing_else_changes() {
        let octets = answer(&[(5, &[0xc0, 12]), (1, &[1; 4]), (1, &[2; 4]), (1, &[3; 4]), (16, b"\x01x")], &[]);
        let before = lines(&octets);
        let mut counts: BTreeMap<Vec<String>, u32> = BTreeMap::new();
        for seed in 0..6000 {
            let mut shuffled = octets.clone();
            shuffle_addresses(&mut shuffled, seed * 77_777).unwrap();
            let mut after = lines(&shuffled);
            *counts.entry(after.clone()).or_default() += 1;
            assert_eq!((&after[0], &after[4]), (&before[0], &before[4]));
            after.sort();
            let mut all = before.clone();
            all.sort();
            assert_eq!(after, all);
        }
        assert_eq!(counts.len(), 6);
        // 1000 expected, standard deviation 29.
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn answers_of_another_shape_stay_as_they_are() {
        let (four, sixteen, mail): (&[u8], &[u8], &[u8]) = (&[1; 4], &[1; 16], b"\0\x01\xc0\x0c");
        for (answers, additionals) in [
            (vec![(1, four), (28, sixteen)], vec![]),
            (vec![(1, four), (5, b"\xc0\x0c".as_slice())], vec![]),
            (vec![(1, four), (16, b"\x01x".as_slice()), (1, four)], vec![]),
            (vec![(15, mail), (15, mail)], vec![]),
            (vec![(33, mail)], vec![(1, four), (1, four)]),
        ] {
            let octets = answer(&answers, &additionals);
            let mut shuffled = octets.clone();
            assert_eq!((shuffle_addresses(&mut shuffled, 5), shuffled), (Err(Unlike), octets));
        }
        let mut other_ttl = answer(&[(1, four), (1, &[2; 4])], &[]);
        let last = other_ttl.len() - 7;
        other_ttl[last] = 31;
        assert_eq!(shuffle_addresses(&mut other_ttl, 5), Err(Unlike));
    }

    #[test]
    fn many_addresses_are_moved_as_few_are() {
        let all: Vec<[u8; 4]> = (0..250).map(|n| [10, 0, 0, n]).collect();
        let records: Vec<(u16, &[u8])> = all.iter().map(|address| (1, &address[..])).collect();
        let octets = answer(&records, &[]);
        let mut shuffled = octets.clone();
        shuffle_addresses(&mut shuffled, 5).unwrap();
        let (before, mut after) = (lines(&octets), lines(&shuffled));
        assert_ne!(before, after);
        after.sort_by_key(|line| line.rsplit('.').next().unwrap().parse::<u8>().unwrap());
        assert_eq!(before, after);
    }

    #[test]
    fn answers_without_addresses_have_one_order() {
        for octets in [answer(&[], &[]), answer(&[(16, b"\x01x")], &[(1, &[1; 4])])] {
            let mut shuffled = octets.clone();
            assert_eq!((shuffle_addresses(&mut shuffled, 5), shuffled), (Ok(()), octets));
        }
    }
}

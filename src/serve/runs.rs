//! Runs of answers that leave as one message, for the system to part into datagrams (UDP segmentation offload).
//!
//! Routing, filtering and queueing are done once for a message, and take most of the time of an answer. A message goes to one
//! client, and its datagrams have one length, save the last, which may be shorter. Stub resolvers that ask for A and AAAA at
//! once get both answers so, and forwarders all that are ready.

/// One answer of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchedAnswer<'s> {
    /// The place in the batch.
    pub(super) place: usize,
    /// The client's address, as the kernel writes it.
    pub(super) client: &'s [u8; 28],
    /// The length in octets, not 0.
    pub(super) len: usize,
}

/// Answers that leave as one: so many from the start on, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AnswerRun {
    pub(super) start: usize,
    pub(super) count: usize,
}

/// Some room below what IP can carry, headers included.
const LONGEST: usize = 65_000;

/// Puts places so that answers for one client stand together, the longest first. At most 64 answers are taken.
pub(super) fn order<'p, 's>(answers: impl Iterator<Item = BatchedAnswer<'s>>, places: &'p mut [u16]) -> &'p [u16] {
    let mut keys = [0_u64; 64];
    let mut count = 0;
    for (answer, key) in answers.zip(&mut keys).take(places.len()) {
        // 45 bits of the client, 13 of the length, 6 of the place.
        let len = 0x1fff - answer.len.min(0x1fff) as u64;
        *key = mixed(answer.client) << 19 | len << 6 | answer.place as u64 & 0x3f;
        count += 1;
    }
    let keys = keys.get_mut(..count).unwrap_or_default();
    keys.sort_unstable();
    for (place, key) in places.iter_mut().zip(&*keys) {
        *place = (key & 0x3f) as u16;
    }
    places.get(..count).unwrap_or_default()
}

/// Splits ordered places into runs; returns how many there are. `joined` says whether two answers are for one client.
pub(super) fn split(
    places: &[u16],
    len: impl Fn(usize) -> usize,
    joined: impl Fn(usize, usize) -> bool,
    runs: &mut [AnswerRun],
) -> usize {
    let (mut count, mut start) = (0, 0);
    while let (Some(&first), Some(run)) = (places.get(start), runs.get_mut(count)) {
        let most = len(first.into());
        let (mut end, mut total, mut last) = (start + 1, most, most);
        while let Some(&next) = places.get(end)
            && last == most
            && joined(first.into(), next.into())
            && total + len(next.into()) <= LONGEST
            && len(next.into()) <= most
        {
            last = len(next.into());
            total += last;
            end += 1;
        }
        *run = AnswerRun { start, count: end - start };
        (count, start) = (count + 1, end);
    }
    count
}

/// A number for an address, the same for the same.
fn mixed(client: &[u8; 28]) -> u64 {
    let (words, _) = client.as_chunks::<4>();
    let sum = words
        .iter()
        .fold(0_u64, |sum, word| (sum ^ u64::from(u32::from_ne_bytes(*word))).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    sum >> 19
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runs of answers to clients by number, as lists of (client, length).
    fn runs(answers: &[(u8, usize)], segments: bool) -> Vec<Vec<(u8, usize)>> {
        let clients: Vec<[u8; 28]> = answers.iter().map(|&(client, _)| [client; 28]).collect();
        let all = answers.iter().zip(&clients).enumerate();
        let all = all.map(|(place, (&(_, len), client))| BatchedAnswer { place, client, len });
        let mut places = [0; 64];
        let places = order(all, &mut places);
        let mut runs = [AnswerRun::default(); 64];
        let joined = |one: usize, other: usize| segments && answers[one].0 == answers[other].0;
        let count = split(places, |place| answers[place].1, joined, &mut runs);
        let mut shown: Vec<Vec<(u8, usize)>> = runs[..count]
            .iter()
            .map(|run| {
                places[run.start..run.start + run.count].iter().map(|&place| answers[usize::from(place)]).collect()
            })
            .collect();
        shown.sort();
        shown
    }

    #[test]
    fn answers_of_one_length_and_one_shorter_leave_together() {
        assert_eq!(
            runs(&[(1, 100), (2, 90), (1, 80), (1, 100), (1, 70), (2, 95), (1, 70)], true),
            [vec![(1, 70), (1, 70)], vec![(1, 100), (1, 100), (1, 80)], vec![(2, 95), (2, 90)]].map(|mut run| {
                run.sort_by_key(|&(client, len)| (client, std::cmp::Reverse(len)));
                run
            })
        );
    }

    #[test]
    fn without_segments_each_leaves_alone() {
        assert_eq!(runs(&[(1, 100), (1, 100), (2, 50)], false), [vec![(1, 100)], vec![(1, 100)], vec![(2, 50)]]);
        assert!(runs(&[], true).is_empty());
    }

    #[test]
    fn a_message_stays_below_what_ip_carries() {
        let all: Vec<(u8, usize)> = (0..64).map(|_| (1, 4096)).collect();
        let runs = runs(&all, true);
        assert_eq!(runs.iter().map(Vec::len).sum::<usize>(), 64);
        assert!(runs.iter().all(|run| run.len() * 4096 <= LONGEST));
        assert_eq!(runs.len(), 5);
    }
}

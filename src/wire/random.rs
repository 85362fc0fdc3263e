//! Random order from a seed that the caller chose.

use std::net::IpAddr;

/// SplitMix64: fast, and even enough for the order of records; it needs no secret.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Equal seeds give equal sequences.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    #[inline]
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when `bound` is. The bias of the multiplication is below one in 2^48 for any set of
    /// records that a message holds.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.draw()) * bound as u128) >> 64) as usize
    }
}

/// The seed by which records stay of an answer that does not fit: another for each client and name, and the same for one of
/// them for half a minute, so that a client that polls and cannot ask over TCP does not see a Service's peers come and go.
///
/// `name` is in lower case, `seconds` is the time. The half minutes of different clients begin at different times. Nothing in
/// it is secret or of this process: servers that stand beside each other choose alike.
pub fn choice(client: IpAddr, name: &[u8], seconds: u64) -> u64 {
    const WINDOW: u64 = 30;
    let bits = match client {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    let client = Random::new(bits as u64).draw() ^ (bits >> 64) as u64;
    let client = Random::new(client).draw();
    let mut seed = client ^ ((seconds + client % WINDOW) / WINDOW);
    for part in name.chunks(8) {
        let mut octets = [0; 8];
        octets.iter_mut().zip(part).for_each(|(place, octet)| *place = *octet);
        seed = Random::new(seed ^ u64::from_be_bytes(octets)).draw();
    }
    seed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_one_clients_for_half_a_minute() {
        let mut offsets = std::collections::BTreeSet::new();
        for client in ["10.0.0.1", "10.0.0.2", "10.1.0.1", "fd00::1", "fd00::2", "192.0.2.7"] {
            let seed = |seconds| choice(client.parse().unwrap(), b"\x01a\0", seconds);
            let changes: Vec<u64> = (1..300).filter(|&second| seed(second) != seed(second - 1)).collect();
            assert!((9..=10).contains(&changes.len()), "{changes:?}");
            assert!(changes.windows(2).all(|two| two[1] - two[0] == 30), "{changes:?}");
            offsets.insert(changes[0]);
        }
        assert!(offsets.len() > 3, "not all at once: {offsets:?}");
    }

    #[test]
    fn choices_of_clients_and_names_are_even() {
        let mut counts = [0u32; 10];
        for n in 0..10_000u32 {
            let client = IpAddr::from((0x0a00_0000 + n / 10).to_be_bytes());
            let name = [4, b'p', b'o', b'd', b'0' + (n % 10) as u8, 0];
            counts[Random::new(choice(client, &name, 1_800_000_000)).below(10)] += 1;
        }
        // 1000 expected, standard deviation 30.
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn numbers_are_below_their_bound_and_each_as_likely() {
        let mut random = Random::new(7);
        let mut seen = [0u32; 10];
        (0..10_000).for_each(|_| seen[random.below(10)] += 1);
        // 1000 expected, standard deviation 30.
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
        assert_eq!((random.below(0), random.below(1)), (0, 0));
    }
}

//! Loopback addresses for what has none: each pod its own, so that every "pod" can be run on this machine.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses of pods: 127.1.0.0/16.
pub(super) const PODS: [u8; 2] = [127, 1];

/// The virtual addresses of Services: 127.96.0.0/16.
pub(super) const SERVICES: [u8; 2] = [127, 96];

/// The IPv6 addresses beside those: a prefix that no network has (RFC 4193).
pub(super) const TWINS: &str = "fd7f::/16";

/// The IPv6 address beside one that was given out: fd7f:1::5 for 127.1.0.5.
pub(super) fn twin(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets();
    Ipv6Addr::new(0xfd00 | u16::from(a), b.into(), 0, 0, 0, 0, 0, u16::from_be_bytes([c, d]))
}

/// Gives out the addresses of one /16, lowest first; an owner keeps its address for as long as it exists.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    network: [u8; 2],
    owned: HashMap<String, Ipv4Addr>,
    taken: HashSet<Ipv4Addr>,
    /// All below are taken: a search starts here.
    lowest: u16,
}

impl Pool {
    pub(super) fn new(network: [u8; 2]) -> Self {
        Self { network, owned: HashMap::new(), taken: HashSet::new(), lowest: 1 }
    }

    /// Begins a new round: these owners keep their addresses, these addresses are spoken for.
    pub(super) fn retain(&mut self, owners: &HashSet<String>, reserved: impl IntoIterator<Item = IpAddr>) {
        let reserved = reserved.into_iter().filter_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        });
        self.taken = reserved.collect();
        let taken = &self.taken;
        self.owned.retain(|owner, address| owners.contains(owner) && !taken.contains(address));
        self.taken.extend(self.owned.values());
        self.lowest = 1;
    }

    /// The address of this owner: the one it has, else the lowest that is free; `None` when all are taken.
    pub(super) fn address(&mut self, owner: &str) -> Option<Ipv4Addr> {
        if let Some(&address) = self.owned.get(owner) {
            return Some(address);
        }
        let [a, b] = self.network;
        // Neither .0.0 nor .255.255, which some programs take for no host.
        let (host, free) = (self.lowest..u16::MAX)
            .map(|host| (host, Ipv4Addr::new(a, b, (host >> 8) as u8, host as u8)))
            .find(|(_, address)| !self.taken.contains(address))?;
        self.lowest = host + 1;
        self.taken.insert(free);
        self.owned.insert(owner.into(), free);
        Some(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(names: &[&str]) -> HashSet<String> {
        names.iter().map(|&name| name.into()).collect()
    }

    #[test]
    fn owners_keep_their_addresses_and_the_lowest_free_one_is_next() {
        let mut pool = Pool::new(PODS);
        assert_eq!(pool.address("a").unwrap().to_string(), "127.1.0.1");
        assert_eq!(pool.address("b").unwrap().to_string(), "127.1.0.2");
        pool.retain(&owners(&["b", "c"]), []);
        assert_eq!(pool.address("b").unwrap().to_string(), "127.1.0.2");
        assert_eq!(pool.address("c").unwrap().to_string(), "127.1.0.1");
    }

    #[test]
    fn addresses_that_manifests_name_are_left_to_them() {
        let mut pool = Pool::new(PODS);
        pool.address("a");
        pool.retain(&owners(&["a"]), ["127.1.0.1".parse().unwrap(), "127.1.0.3".parse().unwrap()]);
        assert_eq!(pool.address("a").unwrap().to_string(), "127.1.0.2");
        assert_eq!(pool.address("b").unwrap().to_string(), "127.1.0.4");
    }

    #[test]
    fn the_ipv6_address_beside_one_is_of_a_local_prefix() {
        assert_eq!(twin(Ipv4Addr::new(127, 1, 0, 5)).to_string(), "fd7f:1::5");
        assert_eq!(twin(Ipv4Addr::new(127, 96, 1, 2)).to_string(), "fd7f:60::102");
    }

    #[test]
    fn a_full_pool_says_so() {
        let mut pool = Pool::new(PODS);
        let all = (0..=u16::MAX).map(|host| IpAddr::from(Ipv4Addr::from(0x7f01_0000 | u32::from(host))));
        pool.retain(&HashSet::new(), all);
        assert_eq!(pool.address("a"), None);
    }
}

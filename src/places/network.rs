//! A client as far as addresses tell.

use std::net::IpAddr;

/// A client as far as addresses tell: an address of IPv4, a network of 64 bits of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Network(u64, bool);

impl Network {
    /// The network of an address. IPv4 within IPv6 is IPv4.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(u32::from(v4).into(), false),
            IpAddr::V6(v6) => Self((u128::from(v6) >> 64) as u64, true),
        }
    }
}

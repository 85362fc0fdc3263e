//! The endpoints of one slice in one block of octets, sorted by label: what the writer must remember, and no more.
//!
//! The block starts with the offsets of its entries, four octets each, so that a label is found by halving. An entry is
//! its flags; its label with a length octet, unless the label is derived from the address; the index of its topology
//! zone, where it has one; and its addresses, after their count where that is not one. An endpoint named `kubia-0` with
//! an IPv4 address takes 17 octets, one named after its address 9.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::{Dashed, Label};
use crate::zone::AddressList;

const READY: u8 = 1;
const DASHED: u8 = 2;
const ZONED: u8 = 4;
const MANY: u8 = 8;
const V6: u8 = 16;

/// Endpoints of one address family, sorted by label, the ready state of a label before its other state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed(Box<[u8]>);

/// An endpoint before it is packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loose {
    pub(super) label: Label,
    pub(super) ready: bool,
    /// Index into the slice's zones.
    pub(super) zone: Option<u8>,
    /// All of one family.
    pub(super) addresses: AddressList,
}

/// One entry, borrowed.
#[derive(Clone, Copy)]
pub(super) struct PackedEndpoint<'p> {
    flags: u8,
    label: PackedLabel<'p>,
    zone: Option<u8>,
    addresses: &'p [u8],
}

/// A label that stands in the block, or is made from the address.
#[derive(Clone, Copy)]
enum PackedLabel<'p> {
    Stored(&'p [u8]),
    Made(Dashed),
}

impl Packed {
    /// Packs endpoints; those with equal label and readiness become one.
    pub(super) fn new(mut endpoints: Vec<Loose>) -> Self {
        endpoints.sort_unstable_by(|one, other| {
            one.label.cmp(&other.label).then(other.ready.cmp(&one.ready)).then(one.zone.cmp(&other.zone))
        });
        endpoints.dedup_by(|later, first| {
            let same = later.label == first.label && later.ready == first.ready;
            if same {
                first.addresses.append(&mut later.addresses);
            }
            same
        });
        let mut block = vec![0; endpoints.len() * 4];
        for (at, endpoint) in endpoints.iter_mut().enumerate() {
            let offset = u32::try_from(block.len()).unwrap_or(u32::MAX);
            if let Some(place) = block.get_mut(at * 4..at * 4 + 4) {
                place.copy_from_slice(&offset.to_le_bytes());
            }
            endpoint.addresses.sort_unstable();
            endpoint.addresses.dedup();
            endpoint.write(&mut block);
        }
        Self(block.into_boxed_slice())
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.offset(0).unwrap_or(0) / 4
    }

    /// The entries in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = PackedEndpoint<'_>> {
        (0..self.len()).filter_map(|at| self.entry(at))
    }

    /// The entries of a label: ready, not ready, or both.
    pub(super) fn find(&self, label: &[u8]) -> impl Iterator<Item = PackedEndpoint<'_>> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.entry(middle) {
                Some(entry) if entry.label_bytes() < label => low = middle + 1,
                _ => high = middle,
            }
        }
        (low..low + 2).map_while(|at| self.entry(at)).take_while(move |entry| entry.label_bytes() == label)
    }

    fn offset(&self, at: usize) -> Option<usize> {
        let octets = self.0.get(at * 4..at * 4 + 4)?;
        Some(u32::from_le_bytes(octets.try_into().ok()?) as usize)
    }

    fn entry(&self, at: usize) -> Option<PackedEndpoint<'_>> {
        if at >= self.len() {
            return None;
        }
        PackedEndpoint::read(self.0.get(self.offset(at)?..)?)
    }
}

impl Loose {
    fn write(&self, block: &mut Vec<u8>) {
        let v6 = self.addresses.first().is_some_and(IpAddr::is_ipv6);
        let alone = match self.addresses.as_slice() {
            [address] => Some(*address),
            _ => None,
        };
        let dashed = alone.is_some_and(|address| Dashed::new(address).as_bytes() == self.label.as_bytes());
        let mut flags = 0;
        for (flag, set) in
            [(READY, self.ready), (DASHED, dashed), (ZONED, self.zone.is_some()), (MANY, alone.is_none()), (V6, v6)]
        {
            flags |= if set { flag } else { 0 };
        }
        block.push(flags);
        if !dashed {
            let label = self.label.as_bytes();
            // A label has at most 63 octets.
            block.push(label.len() as u8);
            block.extend_from_slice(label);
        }
        block.extend(self.zone);
        if alone.is_none() {
            block.extend_from_slice(&u32::try_from(self.addresses.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        for address in &self.addresses {
            match address {
                IpAddr::V4(address) => block.extend_from_slice(&address.octets()),
                IpAddr::V6(address) => block.extend_from_slice(&address.octets()),
            }
        }
    }
}

impl<'p> PackedEndpoint<'p> {
    fn read(block: &'p [u8]) -> Option<Self> {
        let (&flags, mut rest) = block.split_first()?;
        let mut stored = None;
        if flags & DASHED == 0 {
            let (&len, tail) = rest.split_first()?;
            let (label, tail) = tail.split_at_checked(usize::from(len))?;
            stored = Some(label);
            rest = tail;
        }
        let mut zone = None;
        if flags & ZONED != 0 {
            let (&index, tail) = rest.split_first()?;
            zone = Some(index);
            rest = tail;
        }
        let mut count = 1;
        if flags & MANY != 0 {
            let (octets, tail) = rest.split_first_chunk::<4>()?;
            count = u32::from_le_bytes(*octets) as usize;
            rest = tail;
        }
        let size = if flags & V6 == 0 { 4 } else { 16 };
        let addresses = rest.get(..count.checked_mul(size)?)?;
        let label = match stored {
            Some(label) => PackedLabel::Stored(label),
            None => PackedLabel::Made(Dashed::new(address(addresses)?)),
        };
        Some(Self { flags, label, zone, addresses })
    }

    /// Its label, in lower case.
    pub(super) fn label_bytes(&self) -> &[u8] {
        match &self.label {
            PackedLabel::Stored(label) => label,
            PackedLabel::Made(label) => label.as_bytes(),
        }
    }

    /// Its label, ready to be kept.
    pub(super) fn label(&self) -> Option<Label> {
        Label::new(self.label_bytes()).ok()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.flags & READY != 0
    }

    /// Whether its label is made from its address.
    pub(super) fn is_named_by_address(&self) -> bool {
        self.flags & DASHED != 0
    }

    /// The index of its topology zone.
    pub(super) fn zone(&self) -> Option<u8> {
        self.zone
    }

    /// Its addresses, sorted, each once.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<'p> {
        let size = if self.flags & V6 == 0 { 4 } else { 16 };
        self.addresses.chunks_exact(size).filter_map(address)
    }

    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        self.addresses().any(|own| own == address)
    }

    /// The order of the block.
    pub(super) fn order(&self, other: &PackedEndpoint<'_>) -> Ordering {
        self.label_bytes().cmp(other.label_bytes()).then(other.is_ready().cmp(&self.is_ready()))
    }

    /// Whether both say the same, their zones apart.
    pub(super) fn same(&self, other: &PackedEndpoint<'_>) -> bool {
        (self.flags ^ other.flags) & !ZONED == 0
            && self.addresses == other.addresses
            && self.label_bytes() == other.label_bytes()
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loose(label: &str, ready: bool, addresses: &[&str]) -> Loose {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Loose { label: Label::new(label.as_bytes()).unwrap(), ready, zone: None, addresses }
    }

    #[test]
    fn what_is_packed_is_found_again() {
        let mut endpoints =
            vec![loose("b", false, &["10.0.0.9"]), loose("b", true, &["10.0.0.8", "10.0.0.7", "10.0.0.8"])];
        for i in 0..100 {
            endpoints.push(loose(&format!("kubia-{i}"), i % 3 != 0, &[&format!("10.0.1.{i}")]));
            endpoints.push(loose(&format!("10-0-2-{i}"), true, &[&format!("10.0.2.{i}")]));
        }
        let packed = Packed::new(endpoints.clone());
        assert_eq!(packed.len(), 202);
        for endpoint in &endpoints[2..] {
            let found: Vec<_> = packed.find(endpoint.label.as_bytes()).collect();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].label().unwrap(), endpoint.label);
            assert_eq!(found[0].is_ready(), endpoint.ready);
            assert_eq!(found[0].addresses().collect::<AddressList>(), endpoint.addresses);
        }
        let found: Vec<Vec<IpAddr>> = packed.find(b"b").map(|entry| entry.addresses().collect()).collect();
        assert_eq!(
            found,
            [
                vec!["10.0.0.7".parse::<IpAddr>().unwrap(), "10.0.0.8".parse().unwrap()],
                vec!["10.0.0.9".parse().unwrap()]
            ]
        );
        assert_eq!(packed.find(b"kubia").count() + packed.find(b"").count() + packed.find(b"zz").count(), 0);
        assert_eq!(Packed::new(Vec::new()).find(b"b").count() + Packed::default().len(), 0);
    }

    #[test]
    fn an_endpoint_takes_few_octets() {
        assert_eq!(Packed::new(vec![loose("kubia-0", true, &["10.0.0.1"])]).0.len(), 17);
        assert_eq!(Packed::new(vec![loose("10-0-0-1", true, &["10.0.0.1"])]).0.len(), 9);
        assert_eq!(Packed::new(vec![loose("fd00--1", true, &["fd00::1"])]).0.len(), 21);
    }
}

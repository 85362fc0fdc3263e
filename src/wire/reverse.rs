//! Reverse names, and the addresses that they stand for (RFC 1035 section 3.5, RFC 3596 section 2.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Name;

/// The tree of IPv4 addresses: a label for each octet, the last first.
const IN_ADDR: &[u8] = b"\x07in-addr\x04arpa\0";
/// The tree of IPv6 addresses: a label for each four bits, the last first.
const IP6: &[u8] = b"\x03ip6\x04arpa\0";

/// Whether a name in wire format, in lower case, is one of the two trees or lies in it.
#[inline]
pub fn is_reverse(name: &[u8]) -> bool {
    name.ends_with(IN_ADDR) || name.ends_with(IP6)
}

/// The address of a whole reverse name in wire format, in lower case.
pub fn address_of(name: &[u8]) -> Option<IpAddr> {
    match name.strip_suffix(IN_ADDR) {
        Some(labels) => v4(labels).map(IpAddr::V4),
        None => v6(name.strip_suffix(IP6)?).map(IpAddr::V6),
    }
}

fn v4(mut labels: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    for octet in octets.iter_mut().rev() {
        let (&len, rest) = labels.split_first()?;
        let (label, rest) = rest.split_at_checked(usize::from(len))?;
        // As numbers are written, without a sign or zeros before them.
        if label.len() > 1 && label.starts_with(b"0") || !label.iter().all(u8::is_ascii_digit) {
            return None;
        }
        *octet = std::str::from_utf8(label).ok()?.parse().ok()?;
        labels = rest;
    }
    labels.is_empty().then(|| octets.into())
}

fn v6(labels: &[u8]) -> Option<Ipv6Addr> {
    if labels.len() != 64 {
        return None;
    }
    let add = |bits: u128, label: &[u8]| match label {
        [1, digit] => Some(bits << 4 | u128::from(char::from(*digit).to_digit(16)?)),
        _ => None,
    };
    labels.chunks_exact(2).rev().try_fold(0, add).map(Ipv6Addr::from_bits)
}

/// The reverse name of an address.
pub fn name_of(address: IpAddr) -> Name {
    let (digits, tree) = digits(address);
    zone(&digits, None, tree)
}

/// The zones that together hold the reverse names of a network and no others: one where its prefix ends between two labels,
/// several where it ends inside of one.
pub fn zones_of(address: IpAddr, prefix: u8) -> Vec<Name> {
    let (digits, tree) = digits(address);
    let bits = if address.is_ipv4() { 8 } else { 4 };
    let (whole, left) = (usize::from(prefix / bits), prefix % bits);
    let fixed = digits.get(..whole).unwrap_or(&digits);
    match digits.get(whole).filter(|_| left > 0) {
        None => vec![zone(fixed, None, tree)],
        Some(digit) => {
            let free = bits - left;
            let first = digit >> free << free;
            (0..1 << free).map(|step| zone(fixed, Some(first + step), tree)).collect()
        }
    }
}

/// The numbers in the labels of an address, from the tree down, and the tree.
fn digits(address: IpAddr) -> (Vec<u8>, &'static [u8]) {
    match address {
        IpAddr::V4(v4) => (v4.octets().to_vec(), IN_ADDR),
        IpAddr::V6(v6) => (v6.octets().iter().flat_map(|octet| [octet >> 4, octet & 0xf]).collect(), IP6),
    }
}

/// The name of these digits, and of one more where there is one.
fn zone(digits: &[u8], last: Option<u8>, tree: &[u8]) -> Name {
    let mut wire = Vec::with_capacity(80);
    for digit in last.into_iter().chain(digits.iter().rev().copied()) {
        let label = if tree == IP6 { format!("{digit:x}") } else { digit.to_string() };
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.extend_from_slice(tree);
    // 32 labels of one digit, or four: far from 255 octets.
    Name::from_wire(&wire).unwrap_or_else(|_| Name::root())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIX: &str = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.c.b.a.4.3.2.1.ip6.arpa.";

    fn address(name: &str) -> Option<String> {
        address_of(name.parse::<Name>().unwrap().as_wire()).map(|address| address.to_string())
    }

    fn zones(network: &str) -> Vec<String> {
        let (address, prefix) = network.split_once('/').unwrap();
        zones_of(address.parse().unwrap(), prefix.parse().unwrap()).iter().map(Name::to_string).collect()
    }

    #[test]
    fn addresses_and_reverse_names_stand_for_each_other() {
        for (text, name) in [
            ("1.2.3.4", "4.3.2.1.in-addr.arpa."),
            ("10.0.0.0", "0.0.0.10.in-addr.arpa."),
            ("255.255.255.255", "255.255.255.255.in-addr.arpa."),
            ("1234:abcd::1", SIX),
        ] {
            assert_eq!(name_of(text.parse().unwrap()).to_string(), name);
            assert_eq!(address(name).as_deref(), Some(text));
            assert!(is_reverse(name.parse::<Name>().unwrap().as_wire()));
        }
    }

    #[test]
    fn reverse_names_are_read_whole_or_not_at_all() {
        for name in [
            "3.2.1.in-addr.arpa",
            "5.4.3.2.1.in-addr.arpa",
            "04.3.2.1.in-addr.arpa",
            "256.3.2.1.in-addr.arpa",
            "+4.3.2.1.in-addr.arpa",
            "g.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.c.b.a.4.3.2.1.ip6.arpa",
            "10.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.c.b.a.4.3.2.1.ip6.arpa",
            "d.c.b.a.4.3.2.1.ip6.arpa",
            &format!("0.{SIX}"),
            "in-addr.arpa",
            "arpa",
            "example",
            ".",
        ] {
            assert_eq!(address(name), None, "{name}");
        }
        for name in ["arpa", "in-addr", "in-addr.arpa.example", "xin-addr.arpa"] {
            assert!(!is_reverse(name.parse::<Name>().unwrap().as_wire()), "{name}");
        }
    }

    #[test]
    fn networks_become_zones_at_label_boundaries() {
        assert_eq!(zones("10.0.0.0/8"), ["10.in-addr.arpa."]);
        assert_eq!(zones("10.31.8.0/23"), ["8.31.10.in-addr.arpa.", "9.31.10.in-addr.arpa."]);
        assert_eq!(zones("10.1.2.3/32"), ["3.2.1.10.in-addr.arpa."]);
        assert_eq!(zones("fd00::/8"), ["d.f.ip6.arpa."]);
        assert_eq!(zones("fd00::/7"), ["c.f.ip6.arpa.", "d.f.ip6.arpa."]);
        assert_eq!(zones("0.0.0.0/0"), ["in-addr.arpa."]);
        assert_eq!(zones("10.1.2.3/255"), ["3.2.1.10.in-addr.arpa."]);
        let all = zones("255.0.0.0/1");
        assert_eq!((all.len(), all[0].as_str(), all[127].as_str()), (128, "128.in-addr.arpa.", "255.in-addr.arpa."));
    }
}

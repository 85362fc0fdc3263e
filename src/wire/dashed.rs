//! Addresses as labels, with dashes in the place of dots and colons: `10-0-0-1`, `fd00--1`.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The label of an address.
#[derive(Clone, Copy)]
pub struct Dashed {
    octets: [u8; 47],
    len: u8,
    /// A `0` stands behind the text of the address.
    padded: bool,
}

impl Dashed {
    /// The canonical text of the address (RFC 5952), with `-` for dots and colons, and `0` after a final `-`: no label of a
    /// host ends in one.
    pub fn new(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::v4(address),
            IpAddr::V6(address) => Self::v6(address),
        }
    }

    // By hand: it is made once for each endpoint of a list, and at each look at an endpoint without a name.
    fn v4(address: Ipv4Addr) -> Self {
        let (mut octets, mut len) = ([0; 47], 0);
        let mut push = |octet: u8| {
            octets.get_mut(usize::from(len)).into_iter().for_each(|place| *place = octet);
            len += 1;
        };
        for (at, number) in address.octets().into_iter().enumerate() {
            if at > 0 {
                push(b'-');
            }
            for (unit, digit) in [(100, number / 100), (10, number / 10 % 10), (1, number % 10)] {
                if number >= unit || unit == 1 {
                    push(b'0' + digit);
                }
            }
        }
        Self { octets, len, padded: false }
    }

    fn v6(address: Ipv6Addr) -> Self {
        let mut octets = [0; 47];
        let room = octets.len();
        let mut place = octets.as_mut_slice();
        // The longest text of an address has 39 octets, so writing cannot fail.
        let _ = write!(place, "{address}");
        let mut len = room - place.len();
        for octet in octets.iter_mut().take(len) {
            if matches!(octet, b'.' | b':') {
                *octet = b'-';
            }
        }
        let last = len.checked_sub(1).and_then(|last| octets.get(last)).copied();
        let padded = last == Some(b'-');
        if let (true, Some(place)) = (padded, octets.get_mut(len)) {
            *place = b'0';
            len += 1;
        }
        Self { octets, len: len as u8, padded }
    }

    /// The octets of the label.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The text of the address alone, which may end in a dash.
    pub fn text(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len) - usize::from(self.padded)).unwrap_or_default()
    }

    /// The address that a label spells, in whatever of its spellings.
    pub fn address_of(label: &[u8]) -> Option<IpAddr> {
        let mut text = [0; 63];
        let text = text.get_mut(..label.len())?;
        let dashes = label.iter().filter(|&&octet| octet == b'-').count();
        let is_v4 = dashes == 3 && !label.windows(2).any(|two| two == b"--");
        for (place, &octet) in text.iter_mut().zip(label) {
            *place = match octet {
                b'-' if is_v4 => b'.',
                b'-' => b':',
                b'.' | b':' => return None,
                other => other,
            };
        }
        let text = std::str::from_utf8(text).ok()?;
        if is_v4 { text.parse().ok().map(IpAddr::V4) } else { text.parse().ok().map(IpAddr::V6) }
    }
}

impl fmt::Display for Dashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(self.as_bytes()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_addresses_are_their_text_with_dashes() {
        for (address, label) in [
            ("10.0.0.1", "10-0-0-1"),
            ("255.255.255.255", "255-255-255-255"),
            ("0.9.10.99", "0-9-10-99"),
            ("100.101.110.200", "100-101-110-200"),
            ("fd00::1", "fd00--1"),
            ("fd00::", "fd00--0"),
            ("::", "--0"),
            ("1111:2222:3333:4444:5555:6666:7777:8888", "1111-2222-3333-4444-5555-6666-7777-8888"),
            ("::ffff:192.0.2.1", "--ffff-192-0-2-1"),
        ] {
            assert_eq!(Dashed::new(address.parse().unwrap()).as_bytes(), label.as_bytes());
        }
    }

    #[test]
    fn the_usual_text_of_an_address_is_told_from_others() {
        for (label, address, usual) in [
            ("10-0-0-1", "10.0.0.1", true),
            ("fd00--1", "fd00::1", true),
            ("fd00--", "fd00::", true),
            ("fd00--0", "fd00::", false),
            ("fd00-0-0-0-0-0-0-1", "fd00::1", false),
            ("fd00--01", "fd00::1", false),
            ("fd00--", "fd00::1", false),
        ] {
            assert_eq!(Dashed::new(address.parse().unwrap()).text() == label.as_bytes(), usual, "{label}");
        }
    }

    #[test]
    fn addresses_are_read_in_every_spelling_with_dashes() {
        for (label, address) in [
            ("10-240-0-1", Some("10.240.0.1")),
            ("fd00--1", Some("fd00::1")),
            ("1-2-3-4-5-6-7-8", Some("1:2:3:4:5:6:7:8")),
            ("--1", Some("::1")),
            ("blah", None),
            ("10-240-0-256", None),
            ("010-240-0-1", None),
            ("10-240-0", None),
            ("10.240.0.1", None),
            ("a-b-c-d", None),
        ] {
            assert_eq!(Dashed::address_of(label.as_bytes()), address.map(|text| text.parse().unwrap()), "{label}");
        }
    }
}

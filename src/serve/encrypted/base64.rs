//! Base64 for URLs, without padding (RFC 4648 section 5), as DNS over HTTPS writes queries (RFC 8484 section 6).

/// The octets of a text; `None` when it is no such text.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len() / 4 * 3 + 2);
    // Bits that are read and not yet written.
    let (mut bits, mut count) = (0u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        (bits, count) = ((bits << 6) | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            octets.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // A letter alone holds no octet; what is left over must be zero.
    (count < 6 && bits == 0).then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_octets_or_nothing() {
        for (text, octets) in [
            ("", &b""[..]),
            ("Zg", b"f"),
            ("Zm8", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYmFy", b"foobar"),
            ("-_8", b"\xfb\xff"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(octets), "{text}");
        }
        for text in ["Z", "Zg==", "Zm+v", "Zm/v", "Zh", "Zm9", "Zm 9v"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}

//! The parts of records that are written in a way of their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::fields::{Digits, RdataReader};

/// The algorithms of DNSSEC (RFC 8624 and the registry).
pub(super) const ALGORITHMS: &[(&str, u8)] = &[
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("RSASHA1", 5),
    ("NSEC3DSA", 6),
    ("DSA-NSEC3-SHA1", 6),
    ("NSEC3RSASHA1", 7),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECC-GOST", 12),
    ("ECCGOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// The digests of DS records.
pub(super) const DIGESTS: &[(&str, u8)] =
    &[("SHA-1", 1), ("SHA1", 1), ("SHA-256", 2), ("SHA256", 2), ("GOST", 3), ("SHA-384", 4), ("SHA384", 4)];

/// The kinds of certificates (RFC 4398 section 2.1).
pub(super) const CERTIFICATES: &[(&str, u16)] = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

/// The kinds of notifications (RFC 9859 section 2.1).
pub(super) const SCHEMES: &[(&str, u8)] = &[("NOTIFY", 1)];

/// A time as seconds since 1970, or as a date.
pub(super) fn time(fields: &mut RdataReader<'_>) -> Result<(), String> {
    let word = fields.next("a time")?;
    let text = word.text();
    let time = match text.len() {
        14 => date(&text),
        _ => text.parse().ok(),
    };
    fields.put(&time.ok_or_else(|| format!("`{text}` is not a time"))?.to_be_bytes());
    Ok(())
}

/// `YYYYMMDDHHmmSS` in seconds since 1970, modulo 2^32 (RFC 4034 section 3.1.5).
fn date(text: &str) -> Option<u32> {
    if !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i8>().ok();
    let day = Date::new(text.get(..4)?.parse().ok()?, part(4, 6)?, part(6, 8)?).ok()?;
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let midnight = TimeZone::UTC.to_timestamp(day.into()).ok()?.as_second();
    let seconds = midnight + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    // A leap second is the first of the next minute, as nearly everywhere.
    (hour < 24 && minute < 60 && second < 61).then_some(seconds.rem_euclid(1 << 32) as u32)
}

/// Octets as `00-11-22`.
pub(super) fn dashed(fields: &mut RdataReader<'_>, length: usize) -> Result<(), String> {
    let word = fields.next("an address")?;
    let octet = |part: &[u8]| (part.len() == 2).then(|| Digits::Hex.decode(part)?.first().copied()).flatten();
    let octets: Option<Vec<u8>> = word.octets.split(|&octet| octet == b'-').map(octet).collect();
    let octets = octets.filter(|octets| octets.len() == length);
    fields.put(&octets.ok_or_else(|| format!("`{}` is not {length} octets with dashes between", word.text()))?);
    Ok(())
}

/// 64 bits as `0014:4fff:ff20:ee64`.
pub(super) fn groups(fields: &mut RdataReader<'_>) -> Result<(), String> {
    let word = fields.next("a locator")?;
    let group = |part: &[u8]| u16::from_str_radix(std::str::from_utf8(part).ok().filter(|it| it.len() <= 4)?, 16).ok();
    let groups: Option<Vec<u16>> = word.octets.split(|&octet| octet == b':').map(group).collect();
    let groups = groups.filter(|groups| groups.len() == 4);
    let groups = groups.ok_or_else(|| format!("`{}` is not four groups of hexadecimal digits", word.text()))?;
    groups.iter().for_each(|group| fields.put(&group.to_be_bytes()));
    Ok(())
}

/// RFC 1706: `0x47.0005.80…`.
pub(super) fn nsap(fields: &mut RdataReader<'_>) -> Result<(), String> {
    let text = fields.joined();
    let digits: Vec<u8> = text.iter().copied().filter(|&octet| octet != b'.').collect();
    let octets =
        digits.strip_prefix(b"0x").or_else(|| digits.strip_prefix(b"0X")).and_then(|digits| Digits::Hex.decode(digits));
    let octets = octets.filter(|octets| !octets.is_empty());
    fields.put(&octets.ok_or_else(|| format!("`{}` is no address of OSI", String::from_utf8_lossy(&text)))?);
    Ok(())
}

/// The processor and the system. One word with a space in it is both, and a system may be of several words.
pub(super) fn host_info(fields: &mut RdataReader<'_>) -> Result<(), String> {
    let mut texts = vec![fields.text("text")?];
    while !fields.is_empty() {
        texts.push(fields.text("text")?);
    }
    if let [only] = texts.as_slice() {
        let parts: Vec<Vec<u8>> =
            only.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect();
        texts = if parts.len() > 1 { parts } else { texts };
    }
    let (processor, system) = texts.split_first().ok_or("text is missing")?;
    fields.counted(processor)?;
    fields.counted(&system.join(&b' '))
}

/// RFC 3123: `[!]FAMILY:ADDRESS/LENGTH`, each without the zeros at the end of the address.
pub(super) fn prefixes(fields: &mut RdataReader<'_>) -> Result<(), String> {
    while !fields.is_empty() {
        let text = fields.next("a network")?.text();
        let fault = || format!("`{text}` is not a network as in 1:192.0.2.0/24");
        let (negative, rest) = text.strip_prefix('!').map_or((0, &*text), |rest| (0x80, rest));
        let (family, network) = rest.split_once(':').ok_or_else(fault)?;
        let network: IpNet = network.parse().map_err(|_| fault())?;
        let (number, octets) = match network.network() {
            IpAddr::V4(address) => (1u16, address.octets().to_vec()),
            IpAddr::V6(address) => (2, address.octets().to_vec()),
        };
        if family != number.to_string() {
            return Err(fault());
        }
        let length = octets.iter().rposition(|&octet| octet != 0).map_or(0, |at| at + 1);
        fields.put(&number.to_be_bytes());
        fields.put(&[network.prefix_len(), negative | length as u8]);
        fields.put(octets.get(..length).unwrap_or_default());
    }
    Ok(())
}

/// RFC 4025 section 3: precedence, kind of gateway, algorithm, gateway. The key follows.
pub(super) fn gateway(fields: &mut RdataReader<'_>) -> Result<(), String> {
    for _ in 0..3 {
        let number: u8 = fields.number("a number from 0 to 255")?;
        fields.put(&[number]);
    }
    let kind = fields.out.get(1).copied().unwrap_or_default();
    host(fields, kind)
}

/// RFC 8777 section 4.3: precedence, discovery, kind of relay, relay.
pub(super) fn relay(fields: &mut RdataReader<'_>) -> Result<(), String> {
    let precedence: u8 = fields.number("a number from 0 to 255")?;
    let discovery: u8 = fields.number("0 or 1")?;
    let kind: u8 = fields.number("a number from 0 to 127")?;
    if discovery > 1 || kind > 127 {
        return Err(format!("discovery is 0 or 1 and the kind of relay below 128, not {discovery} and {kind}"));
    }
    fields.put(&[precedence, discovery << 7 | kind]);
    host(fields, kind)
}

/// A host by its kind: none, an IPv4 address, an IPv6 address, a name.
fn host(fields: &mut RdataReader<'_>, kind: u8) -> Result<(), String> {
    match kind {
        0 => {
            let word = fields.next("a gateway")?;
            if word.octets == b"." {
                Ok(())
            } else {
                Err(format!("`{}` should be `.`: there is no gateway", word.text()))
            }
        }
        1 => fields.number::<Ipv4Addr>("an IPv4 address").map(|address| fields.put(&address.octets())),
        2 => fields.number::<Ipv6Addr>("an IPv6 address").map(|address| fields.put(&address.octets())),
        3 => fields.name(),
        other => Err(format!("{other} is no kind of gateway")),
    }
}

/// RFC 8005 section 6: algorithm, tag, key, then names.
pub(super) fn host_identity(fields: &mut RdataReader<'_>) -> Result<(), String> {
    let algorithm: u8 = fields.number("a number from 0 to 255")?;
    let tag = fields.next("a tag")?;
    let tag = Digits::Hex.decode(&tag.octets).ok_or_else(|| format!("`{}` is not hexadecimal digits", tag.text()))?;
    let key = fields.next("a key")?;
    let key = Digits::Base64.decode(&key.octets).ok_or_else(|| format!("`{}` is not octets in base 64", key.text()))?;
    let length = u8::try_from(tag.len()).map_err(|_| "the tag is too long")?;
    let key_length = u16::try_from(key.len()).map_err(|_| "the key is too long")?;
    fields.put(&[length, algorithm]);
    fields.put(&key_length.to_be_bytes());
    fields.put(&tag);
    fields.put(&key);
    while !fields.is_empty() {
        fields.name()?;
    }
    Ok(())
}

//----------- LOC ------------------------------------------------------------

/// RFC 1876 section 3: `D [M [S]] N|S D [M [S]] E|W ALTITUDE [SIZE [HORIZONTAL [VERTICAL]]]`.
pub(super) fn location(fields: &mut RdataReader<'_>) -> Result<(), String> {
    let latitude = angle(fields, 90, ["N", "S"])?;
    let longitude = angle(fields, 180, ["E", "W"])?;
    let altitude = hundredths(fields, "an altitude")?.checked_add(10_000_000);
    let altitude = altitude.and_then(|it| u32::try_from(it).ok()).ok_or("an altitude is out of bounds")?;
    // One metre wide, ten kilometres and ten metres exact, where nothing is said.
    let mut sizes = [0x12, 0x16, 0x13];
    for size in &mut sizes {
        if !fields.is_empty() {
            *size = power(hundredths(fields, "a size in metres")?)?;
        }
    }
    fields.put(&[0]);
    fields.put(&sizes);
    fields.put(&latitude.to_be_bytes());
    fields.put(&longitude.to_be_bytes());
    fields.put(&altitude.to_be_bytes());
    Ok(())
}

/// Thousandths of a second, the equator or the meridian of Greenwich at 2^31.
fn angle(fields: &mut RdataReader<'_>, most: u32, sides: [&str; 2]) -> Result<u32, String> {
    let [up, down] = sides;
    let fault = |text: &str| format!("`{text}` is not as in `52 22 23.000 {up}`");
    let (mut total, mut unit) = (0u32, 3_600_000u32);
    loop {
        let word = fields.next("a place")?;
        let text = word.text();
        let is = |side: &str| text.eq_ignore_ascii_case(side);
        if is(up) || is(down) {
            return match total <= most * 3_600_000 && unit < 3_600_000 {
                true if is(up) => Ok((1 << 31) + total),
                true => Ok((1 << 31) - total),
                false => Err(fault(&text)),
            };
        }
        let value = match unit {
            1000 => decimal(&text, 3).and_then(|value| u32::try_from(value).ok()).filter(|value| *value < 60_000),
            0..1000 => None,
            unit => {
                let bound = if unit == 60_000 { 60 } else { most + 1 };
                text.parse().ok().filter(|value: &u32| *value < bound).map(|value| value * unit)
            }
        };
        total += value.ok_or_else(|| fault(&text))?;
        unit /= 60;
    }
}

fn hundredths(fields: &mut RdataReader<'_>, what: &str) -> Result<i64, String> {
    let word = fields.next(what)?;
    let text = word.text();
    decimal(text.trim_end_matches(['m', 'M']), 2).ok_or_else(|| format!("`{text}` is not {what}"))
}

/// A decimal number with at most so many digits behind the point, which are taken as whole.
fn decimal(text: &str, places: usize) -> Option<i64> {
    let (negative, text) =
        text.strip_prefix('-').map_or_else(|| (false, text.strip_prefix('+').unwrap_or(text)), |it| (true, it));
    let (whole, behind) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    if !digits(whole) || !digits(behind) || whole.is_empty() && behind.is_empty() || whole.len() > 12 {
        return None;
    }
    let behind = behind.get(..places).unwrap_or(behind);
    let number: i64 = format!("0{whole}{behind:0<places$}").parse().ok()?;
    Some(if negative { -number } else { number })
}

/// Hundredths as one digit and a power of ten.
fn power(mut hundredths: i64) -> Result<u8, String> {
    let mut exponent = 0u8;
    if !(0..=9_000_000_000).contains(&hundredths) {
        return Err("a size is out of bounds".into());
    }
    while hundredths > 9 {
        hundredths /= 10;
        exponent += 1;
    }
    Ok((hundredths as u8) << 4 | exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_seconds() {
        for (text, seconds) in [
            ("19700101000000", 0),
            ("20000229120000", 951_825_600),
            ("20301231000000", 1_924_905_600),
            ("21060207062815", u32::MAX),
        ] {
            assert_eq!(date(text), Some(seconds), "{text}");
        }
        for bad in ["20010229000000", "20001301000000", "20000101240000", "2000010100000x"] {
            assert_eq!(date(bad), None, "{bad}");
        }
        assert_eq!(crate::syntax::record::fields::seconds("1w2d3h4m5s"), Some(788_645));
    }

    #[test]
    fn sizes_are_digits_and_powers() {
        assert_eq!((power(100), power(1_000_000), power(1000), power(0)), (Ok(0x12), Ok(0x16), Ok(0x13), Ok(0)));
        assert_eq!((decimal("-2.00", 2), decimal("23.5", 3), decimal(".1", 2)), (Some(-200), Some(23_500), Some(10)));
        assert!(power(9_000_000_001).is_err() && decimal("1e3", 2).is_none() && decimal("", 2).is_none());
    }
}

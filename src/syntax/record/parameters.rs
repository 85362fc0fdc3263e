//! The keys and values of SVCB and HTTPS records (RFC 9460 section 2.1 and appendix A).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::fields::{Digits, RdataReader};
use super::words::unescape;

/// The keys with a name, by their numbers.
const KEYS: [&str; 9] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];

/// Reads all words that are left as parameters, in any order; they go out in the order of their keys.
pub(super) fn read(fields: &mut RdataReader<'_>) -> Result<(), String> {
    let mut all: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    while !fields.is_empty() {
        let word = fields.next("a parameter")?;
        let text = word.octets.as_slice();
        if word.quoted || word.glued {
            return Err(format!("`{}` is no parameter: KEY=VALUE is one", word.text()));
        }
        let (name, value) = match text.iter().position(|&octet| octet == b'=') {
            None => (text, None),
            Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        };
        // In `alpn="h2,h3"` the value is a word of its own.
        let value = match value {
            Some([]) => fields.next_if(|next| next.quoted && next.glued).map(|next| next.octets.as_slice()),
            value => value,
        };
        let shown = String::from_utf8_lossy(name);
        let key = key(&shown).ok_or_else(|| format!("`{shown}` is no key of a parameter"))?;
        let octets = octets(key, &shown, value).map_err(|why| format!("{shown}: {why}"))?;
        if all.insert(key, octets).is_some() {
            return Err(format!("the key {shown} is there twice"));
        }
    }
    if let Some(mandatory) = all.get(&0) {
        let listed = mandatory.chunks_exact(2).filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
        if let Some(missing) = listed.into_iter().find(|key| !all.contains_key(key)) {
            return Err(format!("{} is mandatory and is not there", name(missing)));
        }
    }
    for (key, octets) in &all {
        let length = u16::try_from(octets.len()).map_err(|_| format!("the value of {} is too long", name(*key)))?;
        fields.put(&key.to_be_bytes());
        fields.put(&length.to_be_bytes());
        fields.put(octets);
    }
    Ok(())
}

/// A key by its name, or as `key123`.
fn key(name: &str) -> Option<u16> {
    if let Some(at) = KEYS.iter().position(|own| *own == name) {
        return u16::try_from(at).ok();
    }
    let digits = name.strip_prefix("key").filter(|digits| *digits == "0" || !digits.starts_with(['0', '+']))?;
    digits.parse().ok().filter(|key| *key != u16::MAX)
}

fn name(key: u16) -> String {
    KEYS.get(usize::from(key)).map_or_else(|| format!("key{key}"), |name| (*name).to_owned())
}

/// The octets of a value.
fn octets(key: u16, written: &str, value: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let octets = unescape(value.unwrap_or_default())?;
    // `key1=…` has its octets as they are.
    let known = KEYS.get(usize::from(key)).copied().filter(|name| *name == written);
    let Some(known) = known else { return Ok(octets) };
    if matches!(known, "no-default-alpn" | "ohttp") {
        return if octets.is_empty() { Ok(octets) } else { Err("it takes no value".into()) };
    }
    if octets.is_empty() {
        return Err("its value is missing".into());
    }
    let text = String::from_utf8_lossy(&octets);
    match known {
        "mandatory" => mandatory(&text),
        "alpn" => protocols(&octets),
        "port" => {
            let port: u16 = text.parse().map_err(|_| format!("`{text}` is not a number from 0 to 65535"))?;
            Ok(port.to_be_bytes().to_vec())
        }
        "ipv4hint" => list(&text, "an IPv4 address", |address: Ipv4Addr| address.octets()),
        "ipv6hint" => list(&text, "an IPv6 address", |address: Ipv6Addr| address.octets()),
        "ech" => Digits::Base64.decode(&octets).ok_or_else(|| format!("`{text}` is not octets in base 64")),
        _ => Ok(octets),
    }
}

fn list<T: std::str::FromStr, const N: usize>(
    text: &str,
    what: &str,
    octets: impl Fn(T) -> [u8; N],
) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for part in text.split(',') {
        all.extend(octets(part.parse().map_err(|_| format!("`{part}` is not {what}"))?));
    }
    Ok(all)
}

/// RFC 9460 section 8: in order, each once, and not itself.
fn mandatory(text: &str) -> Result<Vec<u8>, String> {
    let keys = text.split(',').map(|name| key(name).filter(|key| *key != 0).ok_or(name));
    let mut keys = keys.collect::<Result<Vec<_>, _>>().map_err(|name| format!("`{name}` cannot be mandatory"))?;
    keys.sort_unstable();
    match keys.windows(2).any(|pair| pair.first() == pair.last()) {
        true => Err("a key is there twice".into()),
        false => Ok(keys.iter().flat_map(|key| key.to_be_bytes()).collect()),
    }
}

/// Protocols behind their lengths; a comma or a backslash inside of one has a backslash before it.
fn protocols(octets: &[u8]) -> Result<Vec<u8>, String> {
    let mut all = vec![Vec::new()];
    let mut rest = octets.iter().copied();
    while let Some(octet) = rest.next() {
        let octet = match octet {
            b',' => {
                all.push(Vec::new());
                continue;
            }
            b'\\' => rest.next().filter(|next| matches!(next, b',' | b'\\')).ok_or("an escape is cut off")?,
            octet => octet,
        };
        if let Some(last) = all.last_mut() {
            last.push(octet);
        }
    }
    let mut out = Vec::new();
    for protocol in all {
        let length = u8::try_from(protocol.len()).ok().filter(|length| *length > 0);
        out.push(length.ok_or("a protocol has 1 to 255 octets")?);
        out.extend(protocol);
    }
    Ok(out)
}

//! `[SCHEME://]ZONE[:PORT]`: what stands before the block of a server.

use std::net::{IpAddr, Ipv6Addr};

use super::{Error, Key, Scheme, Token};
use crate::wire::{Name, NameError, reverse};

/// Reads a word before a server block; a network gives a key for each of its reverse zones.
pub(super) fn read(token: &Token) -> Result<Vec<Key>, Error> {
    if token.text.ends_with('{') {
        return Err(token.error(format!("`{{` must be a word of its own: put a space before it in `{}`", token.text)));
    }
    let (scheme, rest) = match token.text.split_once("://") {
        None => (Scheme::Dns, token.text.as_str()),
        Some((scheme, rest)) => (read_scheme(token, scheme)?, rest),
    };
    let (zone, port) = split_port(token, rest)?;
    let key = |zone, network| Key { token: token.clone(), scheme, zone, port, network };
    match read_network(token, zone)? {
        Some((address, length)) => {
            Ok(reverse::zones_of(address, length).into_iter().map(|zone| key(zone, Some((address, length)))).collect())
        }
        None => Ok(vec![key(read_zone(token, zone)?, None)]),
    }
}

fn read_scheme(token: &Token, scheme: &str) -> Result<Scheme, Error> {
    match scheme.to_ascii_lowercase().as_str() {
        "dns" => Ok(Scheme::Dns),
        "tls" => Ok(Scheme::Tls),
        "https" => Ok(Scheme::Https),
        "quic" => Ok(Scheme::Quic),
        _ => Err(token.error(format!(
            "`{scheme}://` is not supported: expected dns://, tls://, https:// or quic://, or none for dns://"
        ))),
    }
}

/// The port is what follows the last colon; an IPv6 network ends in `/LENGTH`, which is no number, and so has none by accident.
fn split_port<'a>(token: &Token, text: &'a str) -> Result<(&'a str, Option<u16>), Error> {
    let Some((zone, port)) = text.rsplit_once(':') else { return Ok((text, None)) };
    match port.parse() {
        Ok(port) if port_is_plain(zone, text) => Ok((zone, Some(port))),
        _ if port.contains('/') => Ok((text, None)),
        _ => Err(token.error(format!("expected a port from 0 to 65535 after the colon, found `{port}` in `{text}`"))),
    }
}

/// An IPv6 address without `/LENGTH` would lose its last group to the port.
fn port_is_plain(zone: &str, text: &str) -> bool {
    !zone.contains(':') || zone.contains('/') || text.parse::<Ipv6Addr>().is_err()
}

fn read_network(token: &Token, text: &str) -> Result<Option<(IpAddr, u8)>, Error> {
    let Some((address, length)) = text.split_once('/') else { return Ok(None) };
    // RFC 2317 zones such as `0/26.2.0.192.in-addr.arpa` have a slash as well.
    let Ok(address) = address.parse::<IpAddr>() else { return Ok(None) };
    let most = if address.is_ipv4() { 32 } else { 128 };
    match length.parse::<u8>() {
        Ok(length) if length <= most => Ok(Some((address, length))),
        _ => {
            Err(token.error(format!("expected a prefix length from 0 to {most} after `{address}/`, found `{length}`")))
        }
    }
}

fn read_zone(token: &Token, text: &str) -> Result<Name, Error> {
    if text.is_empty() || text == "." {
        return Ok(Name::root());
    }
    if let Some(c) = text.chars().find(|c| c.is_whitespace() || matches!(c, '{' | '}' | ',' | '"' | '(' | ')')) {
        return Err(token.error(format!("expected a zone, found `{text}`: a zone does not hold `{c}`")));
    }
    text.parse().map_err(|error| {
        let fault = match error {
            NameError::LongName => "it is longer than 255 octets".to_owned(),
            NameError::Escape if text.ends_with('\\') => "it ends in an escaped dot".to_owned(),
            error => error.to_string(),
        };
        token.error(format!("`{text}` is no zone: {fault}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::Position;

    fn token(text: &str) -> Token {
        Token { text: text.to_owned(), position: Position { file: "Corefile".into(), line: 1, column: 1 } }
    }

    fn zones(text: &str) -> Vec<String> {
        read(&token(text)).unwrap().into_iter().map(|key| key.zone.to_string()).collect()
    }

    fn refusal(text: &str) -> String {
        read(&token(text)).unwrap_err().message
    }

    #[test]
    fn scheme_zone_and_port_are_told_apart() {
        let key = read(&token("TLS://Example.ORG:8853")).unwrap().remove(0);
        assert_eq!((key.scheme, key.zone.to_string().as_str(), key.port), (Scheme::Tls, "example.org.", Some(8853)));
        let key = read(&token("dns://.")).unwrap().remove(0);
        assert_eq!((key.scheme, key.zone.to_string().as_str(), key.port), (Scheme::Dns, ".", None));
        assert_eq!(zones(":53"), ["."]);
        assert_eq!(zones("example.org."), ["example.org."]);
        assert_eq!(zones("0/26.2.0.192.in-addr.arpa"), ["0/26.2.0.192.in-addr.arpa."]);
    }

    #[test]
    fn a_network_becomes_its_reverse_zones() {
        assert_eq!(zones("10.0.0.0/8:53"), ["10.in-addr.arpa."]);
        assert_eq!(zones("10.31.8.7/24"), ["8.31.10.in-addr.arpa."]);
        assert_eq!(
            zones("192.0.4.0/22"),
            ["4.0.192.in-addr.arpa.", "5.0.192.in-addr.arpa.", "6.0.192.in-addr.arpa.", "7.0.192.in-addr.arpa."]
        );
        assert_eq!(zones("192.0.2.1/32"), ["1.2.0.192.in-addr.arpa."]);
        assert_eq!(zones("2001:db8::/32:5353"), ["8.b.d.0.1.0.0.2.ip6.arpa."]);
        assert_eq!(zones("fd00::/7"), ["c.f.ip6.arpa.", "d.f.ip6.arpa."]);
        assert_eq!(zones("0.0.0.0/0"), ["in-addr.arpa."]);
        assert_eq!(read(&token("0.0.0.0/0")).unwrap().remove(0).network, Some((IpAddr::from([0, 0, 0, 0]), 0)));
        assert_eq!(read(&token("2001:db8::/32:5353")).unwrap().remove(0).port, Some(5353));
        assert_eq!(read(&token("fd00::/8")).unwrap().remove(0).port, None);
    }

    #[test]
    fn what_is_no_key_is_refused_with_what_was_expected() {
        assert!(refusal("example.org:dns").contains("expected a port from 0 to 65535 after the colon, found `dns`"));
        assert!(refusal("example.org:").contains("found ``"));
        assert!(refusal("example.org:65536").contains("`65536`"));
        assert!(refusal("2001:db8::1").contains("expected a port"));
        assert!(refusal("grpc://.").contains("expected dns://, tls://, https:// or quic://"));
        assert!(refusal("10.96.0.0/40").contains("from 0 to 32"));
        assert!(refusal("fd00::/129").contains("from 0 to 128"));
        assert!(refusal(".{").contains("a space before it"));
        assert!(refusal("a..b").contains("a label is empty"));
        assert!(refusal(&"a".repeat(64)).contains("longer than 63"));
        assert!(refusal(&"a.".repeat(128)).contains("longer than 255"));
        assert!(refusal("a\\").contains("escaped dot"));
        assert!(refusal("a b").contains("a zone does not hold ` `"));
    }
}

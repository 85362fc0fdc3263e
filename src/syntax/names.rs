//! Names and zones as plugins use them: between text, `wire` names and the names of messages.

use crate::corefile::{Directive, Error, Token};
use crate::wire::message::MessageName;
use crate::wire::{Name, reverse};
use crate::zone::Fallthrough;

/// A name of a message in wire format, lower case.
pub(crate) fn to_wire(name: &MessageName) -> Name {
    Name::from(name)
}

/// A name in wire format as a name of a message.
pub(crate) fn to_message(name: &Name) -> MessageName {
    MessageName::from(name)
}

/// A name in lower case as people write it, with its final dot.
pub(crate) fn text(name: &MessageName) -> String {
    shown(&to_wire(name))
}

/// A name as CoreDNS writes it, in presentation form (RFC 1035 section 5.1) with its choice of escapes: logs, labels and
/// patterns that were written for it see the same.
pub(crate) fn shown(name: &Name) -> String {
    let mut text = String::with_capacity(name.as_wire().len());
    for label in name.labels() {
        push_label(label, &mut text);
        text.push('.');
    }
    if text.is_empty() {
        text.push('.');
    }
    text
}

/// A label in the same form.
pub(crate) fn shown_label(label: &[u8]) -> String {
    let mut text = String::with_capacity(label.len());
    push_label(label, &mut text);
    text
}

fn push_label(label: &[u8], text: &mut String) {
    for &octet in label {
        match octet {
            b'.' | b' ' | b'\'' | b'@' | b';' | b'(' | b')' | b'"' | b'\\' => {
                text.push('\\');
                text.push(octet as char);
            }
            b'!'..=b'~' => text.push(octet as char),
            _ => text.push_str(&format!("\\{octet:03}")),
        }
    }
}

/// Reads a name as people write it, keeping its spelling; the final dot may be left out.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<MessageName, String> {
    let folded: Name = text.parse().map_err(|error| format!("`{text}` is no domain name: {error}"))?;
    let mut name = to_message(&folded);
    // Labels without escapes keep their upper case: answers show the spelling of the file.
    if !text.contains('\\') && text != "." {
        let labels = text.trim_end_matches('.').split('.').map(str::as_bytes);
        name = MessageName::from_labels(labels).map_err(|error| format!("`{text}` is no domain name: {error}"))?;
    }
    Ok(name)
}

/// A set of zones; the longest that holds a name counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Zones(pub(crate) Vec<Name>);

impl Zones {
    /// Reads zones from words: names and networks such as `10.0.0.0/8`; without any, those of the server block.
    pub(crate) fn read(words: &[Token], block: &[Name]) -> Result<Self, Error> {
        if words.is_empty() {
            return Ok(Self(block.to_vec()));
        }
        let mut zones = Vec::new();
        for word in words {
            zones.extend(read_zone(word)?);
        }
        zones.dedup();
        Ok(Self(zones))
    }

    /// The longest zone that holds a name.
    pub(crate) fn matching(&self, name: &Name) -> Option<&Name> {
        self.0.iter().filter(|zone| name.is_within(zone)).max_by_key(|zone| zone.as_wire().len())
    }

    /// Whether some name can lie both in these zones and in the others.
    pub(crate) fn meet(&self, others: &[Name]) -> bool {
        self.0.iter().any(|zone| others.iter().any(|other| zone.is_within(other) || other.is_within(zone)))
    }
}

/// Reads one zone, or the reverse zones of a network.
pub(crate) fn read_zone(word: &Token) -> Result<Vec<Name>, Error> {
    if let Some((address, length)) = word.text.split_once('/')
        && let Ok(address) = address.parse::<std::net::IpAddr>()
    {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length: u8 = length.parse().map_err(|_| word.error(format!("`{}` is no network", word.text)))?;
        // CoreDNS takes such a word as a name; it can then match nothing.
        if length <= bits {
            return Ok(reverse::zones_of(address, length));
        }
    }
    let text = word.text.strip_prefix("dns://").unwrap_or(&word.text);
    let text = match text.rsplit_once(':') {
        Some((zone, port)) if port.parse::<u16>().is_ok() => zone,
        _ => text,
    };
    let name = text.parse().map_err(|error| word.error(format!("`{}` is no zone: {error}", word.text)))?;
    Ok(vec![name])
}

/// Reads `fallthrough [ZONES...]`.
pub(crate) fn read_fallthrough(line: &Directive) -> Result<Fallthrough, Error> {
    line.no_body()?;
    if line.arguments.is_empty() {
        return Ok(Fallthrough::All);
    }
    Ok(Fallthrough::Zones(Zones::read(&line.arguments, &[])?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_spelling_and_are_refused_when_malformed() {
        assert_eq!(parse("Web.Example").unwrap().to_ascii(), "Web.Example.");
        assert_eq!(text(&parse("Web.Example.").unwrap()), "web.example.");
        assert!(parse("a..b").is_err());
        assert!(parse(".").unwrap().is_root());
    }

    #[test]
    fn names_are_shown_with_corednss_escapes_and_read_back() {
        let labels: [&[u8]; 4] = [b"a.b", b"\0\n\x7f\xff", b" '@;()\"\\$", b"x"];
        let name = Name::from_labels(labels).unwrap();
        assert_eq!(shown(&name), r#"a\.b.\000\010\127\255.\ \'\@\;\(\)\"\\$.x."#);
        assert_eq!(shown(&name).parse(), Ok(name));
        assert_eq!((shown(&Name::root()), shown_label(b"a.")), (".".to_owned(), r"a\.".to_owned()));
    }

    #[test]
    fn the_longest_zone_counts() {
        let zones = Zones(vec!["example.".parse().unwrap(), "a.example.".parse().unwrap()]);
        assert_eq!(zones.matching(&"x.a.example.".parse().unwrap()), Some(&"a.example.".parse().unwrap()));
        assert_eq!(zones.matching(&"org.".parse().unwrap()), None);
        assert!(zones.meet(&["b.a.example.".parse().unwrap()]) && !zones.meet(&["cluster.local.".parse().unwrap()]));
    }
}

//! The format of a log line: text with placeholders, taken apart once.

use std::fmt::Write;
use std::net::IpAddr;

use super::answer::{Code, LoggedAnswer};
use super::{AnswerClass, Facts};
use crate::chain::Query;

/// The format unless one is given, and the one that `{common}` stands for.
pub(super) const COMMON: &str = "{remote}:{port} - {>id} \"{type} {class} {name} {proto} {size} {>do} {>bufsize}\" {rcode} {>rflags} {rsize} {duration}";

/// A format, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Format(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A placeholder, without its braces.
    Placeholder(&'static str),
    /// The label of a placeholder for metadata.
    Label(String),
}

const PLACEHOLDERS: [&str; 16] = [
    "type", "name", "class", "proto", "remote", "local", "port", "size", "rcode", "rsize", "duration", ">rflags",
    ">id", ">opcode", ">do", ">bufsize",
];

impl Format {
    /// Splits a format; what is no placeholder stays as it is. A placeholder begins at the last brace before its end, so
    /// that `{ {name} }` holds one.
    pub(super) fn read(text: &str) -> Self {
        let text = text.replace("{common}", COMMON).replace("{combined}", &format!("{COMMON} \"{{>opcode}}\""));
        let mut pieces = Vec::new();
        let (mut rest, mut plain) = (text.as_str(), String::new());
        while let Some((before, behind)) = rest.split_once('}') {
            rest = behind;
            let found = before.rsplit_once('{').and_then(|(outside, inner)| Some((outside, Piece::read(inner)?)));
            match found {
                Some((outside, piece)) => {
                    plain.push_str(outside);
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(piece);
                }
                None => {
                    plain.push_str(before);
                    plain.push('}');
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self(pieces)
    }

    /// The line of a query. `labelled` says that the query has metadata.
    pub(super) fn fill(
        &self,
        facts: &Facts,
        answer: &LoggedAnswer,
        query: &Query,
        seconds: f64,
        labelled: bool,
    ) -> String {
        let mut line = String::with_capacity(160);
        for piece in &self.0 {
            // Writing to memory cannot fail.
            let _ = piece.fill(&mut line, facts, answer, query, seconds, labelled);
        }
        line
    }
}

impl Piece {
    fn read(inner: &str) -> Option<Self> {
        match inner.strip_prefix('/') {
            Some(label) => Some(Self::Label(label.to_owned())),
            None => PLACEHOLDERS.iter().find(|known| **known == inner).map(|known| Self::Placeholder(known)),
        }
    }

    fn fill(
        &self,
        line: &mut String,
        facts: &Facts,
        answer: &LoggedAnswer,
        query: &Query,
        seconds: f64,
        labelled: bool,
    ) -> std::fmt::Result {
        let placeholder = match self {
            Self::Text(text) => return line.write_str(text),
            Self::Label(label) => {
                return match label.as_str() {
                    _ if !labelled => line.write_str("-"),
                    "log/type" => write!(line, "{}", answer.sort),
                    "log/class" => line.write_str(answer.sort.class().name()),
                    label => line.write_str(query.metadata.get(label).map_or("-", String::as_str)),
                };
            }
            Self::Placeholder(placeholder) => *placeholder,
        };
        match placeholder {
            "type" => write!(line, "{}", facts.qtype),
            "name" => line.write_str(&facts.shown),
            "class" => write!(line, "{}", facts.class),
            "proto" => line.write_str(query.client.transport.label()),
            "remote" => address(line, query.client.peer.ip()),
            "local" => address(line, query.client.local.ip()),
            "port" => write!(line, "{}", query.client.peer.port()),
            "size" => write!(line, "{}", query.size),
            "rcode" if answer.rcode.is_none() => line.write_str("-"),
            "rcode" => write!(line, "{}", Code(answer.rcode)),
            "rsize" => write!(line, "{}", answer.size),
            "duration" => write!(line, "{seconds}s"),
            ">rflags" => write!(line, "{}", answer.flags()),
            ">id" => write!(line, "{}", facts.id),
            ">opcode" => write!(line, "{}", facts.opcode()),
            ">do" => write!(line, "{}", facts.dnssec_ok),
            ">bufsize" => write!(line, "{}", facts.bufsize),
            _ => line.write_str("-"),
        }
    }
}

/// An address; IPv6 in brackets, because a port follows it in the common format.
fn address(line: &mut String, address: IpAddr) -> std::fmt::Result {
    match address.to_canonical() {
        IpAddr::V4(v4) => write!(line, "{v4}"),
        IpAddr::V6(v6) => write!(line, "[{v6}]"),
    }
}

impl AnswerClass {
    /// Its name in `class` and in `{/log/class}`.
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Success => "success",
            Self::Denial => "denial",
            Self::Error => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_taken_apart_as_in_corednss_replacer() {
        let text = |text: &str| Piece::Text(text.to_owned());
        for (format, pieces) in [
            ("", vec![]),
            ("plain", vec![text("plain")]),
            ("{name}", vec![Piece::Placeholder("name")]),
            ("{ {name} }", vec![text("{ "), Piece::Placeholder("name"), text(" }")]),
            ("a } {name}", vec![text("a } "), Piece::Placeholder("name")]),
            ("{nonsense} {name", vec![text("{nonsense} {name")]),
            ("{{>id}}", vec![text("{"), Piece::Placeholder(">id"), text("}")]),
            ("{/}{/a/b}", vec![Piece::Label(String::new()), Piece::Label("a/b".into())]),
            ("{>ID}{Name}", vec![text("{>ID}{Name}")]),
        ] {
            assert_eq!(Format::read(format).0, pieces, "{format}");
        }
        assert_eq!(Format::read("{common}"), Format::read(COMMON));
        assert_eq!(Format::read("{combined}"), Format::read(&format!("{COMMON} \"{{>opcode}}\"")));
    }
}

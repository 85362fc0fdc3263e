//! The syntax tree.

use std::net::IpAddr;

use super::{Error, Position};
use crate::wire::Name;

/// A word with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The word, without quotes, its variables put in.
    pub text: String,
    /// The position of its first character.
    pub position: Position,
}

impl Token {
    /// An error at this word.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::new(&self.position, message)
    }
}

/// A whole Corefile, imports and snippets put in.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Corefile {
    /// The server blocks, as written.
    pub blocks: Vec<ServerBlock>,
    /// Things worth a log line, such as an import pattern that matches no file.
    pub warnings: Vec<Error>,
    /// The variables that are not set, each at the word that names it: what may be wrong with the word.
    pub unset: Vec<Error>,
}

/// One server block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerBlock {
    /// The keys that it serves, at least one.
    pub keys: Vec<Key>,
    /// The directives, in the order of the text.
    pub directives: Vec<Directive>,
}

/// `[SCHEME://]ZONE[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The word it came from.
    pub token: Token,
    /// The transport.
    pub scheme: Scheme,
    /// The zone. A network such as `10.0.0.0/24` has been turned into its reverse zones, one key each.
    pub zone: Name,
    /// The port, when one is written.
    pub port: Option<u16>,
    /// The network as written, where the zone came from one; `(address, prefix length)`.
    pub network: Option<(IpAddr, u8)>,
}

/// The transport of a server block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Scheme {
    /// `dns://`: UDP and TCP, port 53.
    #[default]
    Dns,
    /// `tls://`: DNS over TLS, port 853 (RFC 7858).
    Tls,
    /// `https://`: DNS over HTTPS, port 443 (RFC 8484).
    Https,
    /// `quic://`: DNS over QUIC, port 853 (RFC 9250).
    Quic,
}

/// One directive: its line, and its block if it has one. Lines of a block are directives in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The name.
    pub name: Token,
    /// The words after it on its line.
    pub arguments: Vec<Token>,
    /// The lines of its block; `None` without a block.
    pub body: Option<Vec<Self>>,
}

impl Directive {
    /// The only argument.
    ///
    /// # Errors
    /// When there is none (at the directive), or more than one (at the second).
    pub fn one_argument(&self, what: &str) -> Result<&Token, Error> {
        match self.arguments.as_slice() {
            [only] => Ok(only),
            [] => Err(self.name.error(format!("{} needs {what}", self.name.text))),
            [_, more, ..] => Err(more.error(format!("{} takes {what} and nothing after it", self.name.text))),
        }
    }

    /// Makes sure that nothing follows.
    ///
    /// # Errors
    /// At the first argument.
    pub fn no_arguments(&self) -> Result<(), Error> {
        match self.arguments.first() {
            Some(extra) => Err(extra.error(format!("{} takes no argument, got `{}`", self.name.text, extra.text))),
            None => Ok(()),
        }
    }

    /// Makes sure that there is no block.
    ///
    /// # Errors
    /// At the first line of the block; at the directive when the block is empty.
    pub fn no_body(&self) -> Result<(), Error> {
        match self.body.as_deref() {
            Some([first, ..]) => {
                Err(first.name.error(format!("{} takes no block, got one with `{}`", self.name.text, first.name.text)))
            }
            Some([]) => Err(self.name.error(format!("{} takes no block", self.name.text))),
            None => Ok(()),
        }
    }

    /// The lines of the block; none without a block.
    pub fn lines(&self) -> &[Self] {
        self.body.as_deref().unwrap_or_default()
    }
}

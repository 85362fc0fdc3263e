//! The address of the page that explains answers: one of TCP, or the name of a socket within the machine.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// The socket that a server listens on unless it is told otherwise, and that it is asked at.
///
/// It has a name and no file, as Linux has them: an image with a read-only root needs no folder for it, nothing is left behind,
/// and it is seen within the network namespace alone, so by `kubectl exec` into the pod and by no other pod.
pub const DEFAULT_SOCKET: &str = "rollcall";

/// An address of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageAddress {
    /// An address of TCP.
    Tcp(SocketAddr),
    /// A Unix socket with a name and no file, written `@NAME`.
    Socket(String),
}

impl Default for PageAddress {
    fn default() -> Self {
        Self::Socket(DEFAULT_SOCKET.to_owned())
    }
}

impl FromStr for PageAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.strip_prefix('@') {
            // The name and its leading zero have to fit into the 108 octets of an address.
            Some(name) if (1..=100).contains(&name.len()) && !name.contains('\0') => Ok(Self::Socket(name.to_owned())),
            Some(_) => Err(()),
            None => text.parse().map(Self::Tcp).map_err(|_| ()),
        }
    }
}

impl fmt::Display for PageAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Socket(name) => write!(f, "@{name}"),
        }
    }
}

/// Everywhere that a server shows the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageAddresses {
    /// An address of TCP; one that cannot be had is an error.
    pub tcp: Option<SocketAddr>,
    /// The name of a socket; one that another process has is left to it.
    pub socket: Option<String>,
}

impl Default for PageAddresses {
    fn default() -> Self {
        Self { tcp: None, socket: Some(DEFAULT_SOCKET.to_owned()) }
    }
}

impl FromStr for PageAddresses {
    type Err = ();

    /// `ADDRESS:PORT` beside the socket, `@NAME` for another socket, `none` for nothing.
    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "none" {
            return Ok(Self { tcp: None, socket: None });
        }
        Ok(match text.parse()? {
            PageAddress::Tcp(address) => Self { tcp: Some(address), ..Self::default() },
            PageAddress::Socket(name) => Self { tcp: None, socket: Some(name) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_shown() {
        for text in ["127.0.0.1:8053", "[::1]:1", "@rollcall", "@a b"] {
            assert_eq!(text.parse::<PageAddress>().unwrap().to_string(), text);
        }
        let long = format!("@{}", "a".repeat(101));
        for text in ["", "@", "8053", "localhost:1", &long, "@a\0b"] {
            assert!(text.parse::<PageAddress>().is_err(), "{text}");
        }
        assert_eq!(PageAddress::default().to_string(), "@rollcall");
    }
}

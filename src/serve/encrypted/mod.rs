//! Encrypted listeners: DNS over TLS, HTTPS and QUIC.
//!
//! DNS over TLS is the code of plain TCP below a handshake: the same limits, the same ready-made answers. DNS over HTTPS
//! shares its way of taking connections, and puts messages into HTTP/2. QUIC has sockets, handshakes and streams of its own.
//!
//! None of this goes through `hickory-server`: in 0.26.3 it understands no GET over HTTPS, limits neither connections nor
//! streams, waits for an HTTP/2 preface without end (150 silent connections of 150 were open after 45 s), spins when files
//! run out, and shakes hands over QUIC with one client after another, so that a silent one holds the others up for 5 s. Its
//! clients test these listeners.
//!
//! | | TLS | HTTPS | QUIC |
//! |---|---|---|---|
//! | handshake | `handshake` | `handshake`, and again for HTTP/2's | `handshake` |
//! | a request | `read` | `read` | `read` |
//! | an answer | `write` | `write` | `write` |
//! | between requests | `idle` | `idle` | `idle` |
//! | size of a request | 4 KiB | 4 KiB, its headers 16 KiB | 4 KiB |
//! | requests at one time, a connection | `in_flight_per_connection` | `in_flight_per_connection` | `in_flight_per_connection` |
//! | answers that wait to be sent, a connection | 128 KiB | 128 KiB, and 4 KiB for each request | 128 KiB, and as much in QUIC |
//! | connections | `connections` | `connections` | `connections` |

mod base64;
mod held;
pub(super) mod https;
mod identity;
pub(super) mod quic;

use std::sync::Arc;

use rustls::ServerConfig;

pub(super) use identity::Identity;

/// How an encrypted listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484).
    Https,
    /// DNS over QUIC (RFC 9250).
    Quic,
}

impl Encryption {
    /// The name of the protocol inside, as client and server agree on it in the handshake.
    fn protocol(self) -> &'static [u8] {
        match self {
            Self::Tls => b"dot",
            Self::Https => b"h2",
            Self::Quic => b"doq",
        }
    }

    /// The settings of TLS, with an identity that can be replaced.
    ///
    /// # Errors
    /// When the versions and ciphers of the build do not fit together.
    pub(super) fn config(self, identity: &Arc<Identity>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let versions = if self == Self::Quic { &[&rustls::version::TLS13][..] } else { rustls::ALL_VERSIONS };
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(identity.clone())
            .with_cert_resolver(identity.clone());
        config.alpn_protocols = vec![self.protocol().to_vec()];
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests;

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
//! | answers that wait to be sent, a connection | 96 KiB | 128 KiB, and 4 KiB for each request | 128 KiB |
//! | answers that wait to be sent, all connections | 4 MiB | 4 MiB | 4 MiB |
//! | connections | 1,000 | 600 | 400 |
//!
//! An idle connection takes 14 KiB below TLS, 26 KiB with HTTPS, 40 KiB over QUIC: so many as may be open take 14 to
//! 16 MB, and all listeners attacked at once stay below what the pod may have.

mod held;
pub(super) mod https;
pub(super) mod quic;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::chain::settings::Tls;
use crate::serve::Limits;

/// The octets that TLS holds ready to be sent to a client that does not take them.
pub(super) const CIPHERTEXT: usize = 16 << 10;

/// The protocol of an encrypted listener.
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

    /// The settings of TLS. Each has sessions of its own: none can be resumed below other settings.
    ///
    /// # Errors
    /// When the versions and ciphers of the build do not fit together.
    pub(super) fn config(self, tls: &Tls) -> Result<Arc<ServerConfig>, rustls::Error> {
        let versions = if self == Self::Quic { &[&rustls::version::TLS13][..] } else { rustls::ALL_VERSIONS };
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)?;
        let builder = match &tls.clients {
            Some(clients) => builder.with_client_cert_verifier(clients.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::clone(&tls.identity))));
        config.alpn_protocols = vec![self.protocol().to_vec()];
        Ok(Arc::new(config))
    }

    /// Limits with fewer connections, as each takes more memory than one in the clear, and less room for answers.
    pub(super) fn bound(self, limits: Limits) -> Limits {
        let most = match self {
            Self::Tls => 1000,
            Self::Https => 600,
            Self::Quic => 400,
        };
        Limits { connections: limits.connections.min(most), unread: limits.unread.min(4 << 20), ..limits }
    }
}

#[cfg(test)]
mod tests;

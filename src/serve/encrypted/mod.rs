//! Encrypted listeners: DNS over TLS, HTTPS and QUIC.
//!
//! DNS over TLS is the code of plain TCP below a handshake: the same limits, the same ready-made answers. HTTPS and QUIC
//! go through `hickory-server`, whose limits are its own:
//!
//! | | TLS | HTTPS | QUIC |
//! |---|---|---|---|
//! | handshake of TLS | `handshake` | `idle` | 5 s, one after another on each socket |
//! | a request | `read` | `idle` | `read` |
//! | between requests | `idle` | `idle` | `idle` |
//! | size of a request | 64 KiB | 64 KiB | 64 KiB |
//! | requests at one time, a connection | `in_flight_per_connection` | no limit | 100 |
//! | connections | `connections` | no limit | `connections` |
//!
//! Over HTTPS a client that ends its handshake and then sends no HTTP/2 preface stays connected, only POST is understood,
//! and answers are written anew by hickory's encoder, which compresses the first 120 names alone. A listener that ends,
//! as hickory's do on a connection that was aborted before it was taken, is started again.

mod https;
mod identity;
mod quic;

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::{Handler, Limits};
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

/// What every encrypted listener is made of.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) handler: Arc<Handler>,
    pub(super) limits: Limits,
    pub(super) config: Arc<ServerConfig>,
    pub(super) stopped: watch::Receiver<bool>,
}

/// Serves DNS over TLS until the order to stop.
pub(super) async fn serve_tls(listener: tokio::net::TcpListener, with: Listener) {
    let tls = TlsAcceptor::from(with.config);
    super::tcp::serve(listener, with.handler, with.limits, Some(tls), with.stopped).await;
}

/// Serves DNS over HTTPS until the order to stop.
pub(super) async fn serve_https(listener: std::net::TcpListener, with: Listener) {
    https::serve(listener, with).await;
}

/// Serves DNS over QUIC until the order to stop.
pub(super) async fn serve_quic(socket: UdpSocket, with: Listener) {
    quic::serve(socket, with).await;
}

#[cfg(test)]
mod tests;

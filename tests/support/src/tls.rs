//! Certificates in files, and clients that trust them.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The name in all certificates.
pub const HOST: &str = "dns.example";

/// A connection as its client sees it.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Makes a certificate that is signed by itself.
pub fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap()
}

/// Writes a certificate and its key into a folder, `NAME.crt` and `NAME.key`.
pub fn write(folder: &Path, name: &str, made: &rcgen::CertifiedKey<rcgen::KeyPair>) {
    fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join(format!("{name}.crt")), made.cert.pem()).unwrap();
}

/// Writes a new one; gives its PEM.
pub fn renew(folder: &Path, name: &str) -> String {
    let made = certificate();
    write(folder, name, &made);
    made.cert.pem()
}

/// A client that trusts one certificate alone, by its PEM.
pub fn trusting(pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates([CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()]);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Shakes hands over a connection.
///
/// # Errors
/// As TLS has them: a certificate that is not trusted, a peer that goes away.
pub fn connect(config: &Arc<ClientConfig>, tcp: TcpStream) -> io::Result<Stream> {
    let name = ServerName::try_from(HOST).unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(config.clone(), name).unwrap(), tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

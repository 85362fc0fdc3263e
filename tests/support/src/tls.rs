//! Certificates, in memory and in files, and clients that trust them.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, ServerConfig, StreamOwned, WantsVerifier};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name in certificates that are for no other.
pub const HOST: &str = "dns.example";

/// A certificate that is signed by itself, and its key.
pub type Certificate = rcgen::CertifiedKey<rcgen::KeyPair>;

/// A connection as its client sees it.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Makes a certificate for [`HOST`].
pub fn certificate() -> Certificate {
    certificate_for(&[HOST])
}

/// Makes a certificate for these names and addresses.
pub fn certificate_for(names: &[&str]) -> Certificate {
    rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// The chain that is shown: the certificate alone.
pub fn chain(made: &Certificate) -> Vec<CertificateDer<'static>> {
    vec![made.cert.der().clone()]
}

/// The key behind a certificate.
pub fn key(made: &Certificate) -> PrivateKeyDer<'static> {
    made.signing_key.serialize_der().try_into().unwrap()
}

/// The settings of a server that shows a certificate and asks for none.
pub fn server(made: &Certificate) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_no_client_auth().with_single_cert(chain(made), key(made)).unwrap()
}

//----------- Files ------------------------------------------------------------

/// Writes a certificate and its key into a folder, `NAME.crt` and `NAME.key`.
pub fn write(folder: &Path, name: &str, made: &Certificate) {
    fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join(format!("{name}.crt")), made.cert.pem()).unwrap();
}

/// Writes a new one; gives its PEM.
pub fn renew(folder: &Path, name: &str) -> String {
    let made = certificate();
    write(folder, name, &made);
    made.cert.pem()
}

/// A folder with a certificate and its key for each name.
pub fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    names.iter().for_each(|name| write(folder.path(), name, &certificate()));
    folder
}

//----------- Clients ----------------------------------------------------------

/// The certificates that a peer trusts: this one alone.
pub fn roots(made: &Certificate) -> RootCertStore {
    alone(made.cert.der().clone())
}

fn alone(certificate: CertificateDer<'static>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates([certificate]);
    roots
}

/// A client that trusts one certificate alone, by its PEM.
pub fn trusting(pem: &str) -> Arc<ClientConfig> {
    let roots = alone(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
    Arc::new(client().with_root_certificates(roots).with_no_client_auth())
}

/// A client that trusts one certificate alone, speaks one protocol, and shows a certificate of its own if it has one.
pub fn speaking(protocol: &[u8], trusted: &Certificate, own: Option<&Certificate>) -> ClientConfig {
    let builder = client().with_root_certificates(roots(trusted));
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder.with_client_auth_cert(chain(own), key(own)).unwrap(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

fn client() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap()
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

/// Connects to a server and shakes hands, on a runtime.
///
/// # Errors
/// As TCP and TLS have them.
pub async fn dial(to: SocketAddr, config: ClientConfig) -> io::Result<TlsStream<tokio::net::TcpStream>> {
    let stream = tokio::net::TcpStream::connect(to).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(HOST).unwrap(), stream).await
}

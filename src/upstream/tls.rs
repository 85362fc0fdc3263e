//! Settings of TLS by which an upstream is trusted, and trusts.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::files;

/// The client side of TLS, shared by the upstreams of a line.
pub type TlsConfig = Arc<ClientConfig>;

/// The places where systems keep the certificates of the authorities they trust.
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Makes the client side of TLS 1.2 and 1.3: authorities from a file or the system's, and an own certificate with its key.
///
/// # Errors
/// When a file cannot be read or holds nothing of use; says which.
pub fn client_config(ca: Option<&Path>, own: Option<(&Path, &Path)>) -> Result<TlsConfig, String> {
    let mut roots = RootCertStore::empty();
    let ca = match ca {
        Some(path) => path,
        None => system_roots()?,
    };
    let (added, _) = roots.add_parsable_certificates(certificates(ca)?);
    if added == 0 {
        return Err(format!("{} holds no usable certificate", ca.display()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let secret =
                PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| format!("{}: {error}", key.display()))?;
            let chain = certificates(certificate)?;
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(|error| format!("{} with {}: {error}", certificate.display(), key.display()))?
        }
    };
    Ok(Arc::new(config))
}

/// The file with the certificates of the authorities that this system trusts.
///
/// # Errors
/// When there is none in any of the known places.
pub fn system_roots() -> Result<&'static Path, String> {
    SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists()).ok_or_else(|| {
        format!("no system certificates found ({}); name a CA file with `tls CA`", SYSTEM_ROOTS.join(", "))
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |error| format!("{}: {error}", path.display());
    CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<_, _>>().map_err(fault)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    files::read(path, files::CONFIGURATION).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_hold_nothing_of_use_are_named() {
        let said = client_config(Some(Path::new("/nowhere/ca.pem")), None).unwrap_err();
        assert!(said.contains("/nowhere/ca.pem"), "{said}");
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing\n").unwrap();
        assert!(client_config(Some(&empty), None).unwrap_err().contains("empty.pem holds no usable certificate"));
    }
}

//! Name: `tls`
//!
//! Description: names the certificate of encrypted listeners, and says what is asked of their clients.
//!
//! Syntax:
//!
//! ```text
//! tls CERT KEY [CA] {
//!     client_auth nocert|request|require|verify_if_given|require_and_verify
//! }
//! ```
//!
//! The files are PEM. Listeners are encrypted by the scheme of the block's keys: `tls://`, `https://`, `quic://`.
//! DNS over HTTPS takes GET and POST at `/dns-query`, in HTTP/2 alone; answers may be kept as long as their first record.
//! With `reload` the files are looked at as often as the Corefile, and a certificate that was renewed is used from then
//! on; SIGUSR1 reads them at once. Sessions and connections end with the certificate, the CA and the `client_auth` that they
//! began with: nobody resumes what would be refused now. TLS 1.2 and 1.3 are spoken, QUIC needs 1.3.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     tls tls.crt tls.key
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: renewed files are noticed. A listener that is to be encrypted needs `tls`: CoreDNS answers there in the
//! clear without it. `verify_if_given` and `require_and_verify` need the CA: CoreDNS takes the system's instead.
//! `keylog` and certificates by ACME (`tls` without files) are not supported.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureAlgorithm, SignatureScheme};

use crate::chain::Plugin;
use crate::chain::settings::Tls;
use crate::chain::setup::{Context, last};
use crate::corefile::{Directive, Error, Token};
use crate::files::{self, FileSet};
use crate::syntax::words;

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let tls = last(lines, |directive| read(directive, context))?;
    context.settings.tls = Some(tls);
    Ok(Vec::new())
}

fn read(directive: &Directive, context: &mut Context<'_, '_>) -> Result<Tls, Error> {
    let (certificate, key, authorities) = match directive.arguments.as_slice() {
        [certificate, key] => (certificate, key, None),
        [certificate, key, authorities] => (certificate, key, Some(authorities)),
        [] => {
            let why = "tls needs the files CERT KEY, and a CA if wanted; certificates by ACME are not supported";
            return Err(directive.name.error(why));
        }
        _ => return Err(directive.name.error("tls needs the files CERT KEY, and a CA if wanted")),
    };
    let mut asked = (ClientAuth::Nothing, &directive.name);
    for line in directive.lines() {
        if line.name.text != "client_auth" {
            return Err(words::unknown(line, "tls", &["client_auth"]));
        }
        let word = words::value(line, "what is asked of clients")?;
        asked = (ClientAuth::read(word)?, word);
    }
    let mut files = CertificateFiles { context, set: FileSet::default(), digest: DefaultHasher::new() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let identity = identity(&mut files, certificate, key, &provider)?;
    let roots = authorities.map(|word| files.roots(word)).transpose()?;
    let clients = match roots {
        Some(None) => None,
        roots => verifier(asked.0, roots.flatten(), &provider).map_err(|why| asked.1.error(why))?,
    };
    asked.0.hash(&mut files.digest);
    Ok(Tls {
        identity: Arc::new(identity),
        clients,
        at: directive.name.position.to_string(),
        files: Arc::new(files.set),
        digest: files.digest.finish(),
    })
}

//----------- CertificateFiles ----------------------------------------------------------

/// The files that a directive names, each read once; `None` for one that only the machine that serves has.
struct CertificateFiles<'f, 'c, 'h> {
    context: &'f mut Context<'c, 'h>,
    set: FileSet,
    digest: DefaultHasher,
}

impl CertificateFiles<'_, '_, '_> {
    fn read(&mut self, word: &Token, what: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = words::file(word);
        let octets = match self.set.read(&path, files::CONFIGURATION) {
            Ok(octets) => octets,
            Err(error) => {
                path.hash(&mut self.digest);
                return self.context.misses_file(word, what, &error).map(|()| None);
            }
        };
        octets.hash(&mut self.digest);
        Ok(Some(octets))
    }

    fn certificates(&mut self, word: &Token, what: &str) -> Result<Option<Vec<CertificateDer<'static>>>, Error> {
        let Some(octets) = self.read(word, what)? else { return Ok(None) };
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
        match read {
            Ok(chain) if !chain.is_empty() => Ok(Some(chain)),
            Ok(_) => Err(word.error(format!("{what} {} holds no CERTIFICATE block (PEM)", word.text))),
            Err(error) => Err(word.error(format!("{what} {} is not PEM: {error}", word.text))),
        }
    }

    fn roots(&mut self, word: &Token) -> Result<Option<RootCertStore>, Error> {
        let Some(certificates) = self.certificates(word, "the CA file")? else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate).map_err(|error| word.error(format!("the CA file {}: {error}", word.text)))?;
        }
        Ok(Some(roots))
    }
}

fn identity(
    files: &mut CertificateFiles<'_, '_, '_>,
    certificate: &Token,
    key: &Token,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let chain = files.certificates(certificate, "the certificate")?;
    let octets = files.read(key, "the key")?;
    let (Some(chain), Some(octets)) = (chain, octets) else {
        return Ok(CertifiedKey::new(Vec::new(), Arc::new(NoKey)));
    };
    let secret = PrivateKeyDer::from_pem_slice(&octets)
        .map_err(|error| key.error(format!("the key {} holds no private key (PEM): {error}", key.text)))?;
    CertifiedKey::from_der(chain, secret, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            key.error(format!("the key {} is not that of the certificate {}", key.text, certificate.text))
        }
        other => key.error(format!("the key {} with the certificate {}: {other}", key.text, certificate.text)),
    })
}

/// Stands for a key that is not here: it signs nothing.
#[derive(Debug)]
struct NoKey;

impl SigningKey for NoKey {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        None
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

//----------- ClientAuth ----------------------------------------------------------

/// The certificate that is asked of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ClientAuth {
    Nothing,
    Any { mandatory: bool },
    Verified { mandatory: bool },
}

impl ClientAuth {
    fn read(word: &Token) -> Result<Self, Error> {
        match word.text.as_str() {
            "nocert" => Ok(Self::Nothing),
            "request" => Ok(Self::Any { mandatory: false }),
            "require" => Ok(Self::Any { mandatory: true }),
            "verify_if_given" => Ok(Self::Verified { mandatory: false }),
            "require_and_verify" => Ok(Self::Verified { mandatory: true }),
            other => {
                let known = "nocert, request, require, verify_if_given, require_and_verify";
                Err(word.error(format!("`{other}` is none of {known}")))
            }
        }
    }
}

fn verifier(
    asked: ClientAuth,
    roots: Option<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let mandatory = match asked {
        ClientAuth::Nothing => return Ok(None),
        ClientAuth::Any { mandatory } => {
            return Ok(Some(Arc::new(AnyCertificate { mandatory, provider: provider.clone() })));
        }
        ClientAuth::Verified { mandatory } => mandatory,
    };
    let Some(roots) = roots else {
        return Err("clients can be verified only with a CA: write it behind the key, as in `tls CERT KEY CA`".into());
    };
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = if mandatory { builder } else { builder.allow_unauthenticated() };
    builder.build().map(|verifier| Some(verifier as Arc<dyn ClientCertVerifier>)).map_err(|error| error.to_string())
}

/// Takes any certificate whose key the client has.
#[derive(Debug)]
struct AnyCertificate {
    mandatory: bool,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::SystemTime;

    use rollcall_testing::tls;

    use super::super::testing::{block, fault};

    fn line(folder: &Path, words: &str, body: &str) -> String {
        let files: Vec<String> =
            words.split(' ').map(|word| folder.join(word).to_string_lossy().into_owned()).collect();
        format!("tls {} {body}", files.join(" "))
    }

    #[test]
    fn files_are_read_and_clients_are_asked_as_written() {
        let folder = tls::folder(&["a", "b"]);
        let set = |words: &str, body: &str| block(&line(folder.path(), words, body)).unwrap().settings.tls.unwrap();
        let plain = set("a.crt a.key", "");
        assert!(plain.clients.is_none());
        for (word, mandatory) in
            [("request", false), ("require", true), ("verify_if_given", false), ("require_and_verify", true)]
        {
            let set = set("a.crt a.key b.crt", &format!("{{\nclient_auth {word}\n}}"));
            assert_eq!(set.clients.unwrap().client_auth_mandatory(), mandatory, "{word}");
            assert_ne!(set.digest, plain.digest);
        }
        assert!(set("a.crt a.key", "{\nclient_auth nocert\n}").clients.is_none());
        for (from, to) in [("b.crt", "a.crt"), ("b.key", "a.key")] {
            let set = set("a.crt a.key", "");
            assert!(!set.files.has_changed(SystemTime::now()));
            let before = std::fs::read(folder.path().join(to)).unwrap();
            std::fs::copy(folder.path().join(from), folder.path().join(to)).unwrap();
            assert!(set.files.has_changed(SystemTime::now()), "{to}");
            std::fs::write(folder.path().join(to), before).unwrap();
            assert!(!set.files.has_changed(SystemTime::now()), "{to}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_place() {
        let folder = tls::folder(&["a", "b"]);
        std::fs::write(folder.path().join("empty"), "nothing\n").unwrap();
        let said = |words: &str, body: &str| fault(&line(folder.path(), words, body));
        for (words, body, place, part) in [
            ("missing.crt a.key", "", "Corefile:2:5:", "missing.crt cannot be read"),
            ("empty a.key", "", "Corefile:2:5:", "holds no CERTIFICATE block"),
            ("a.crt missing.key", "", "Corefile:2:", "missing.key cannot be read"),
            ("a.crt empty", "", "Corefile:2:", "holds no private key"),
            ("a.crt b.key", "", "Corefile:2:", "is not that of the certificate"),
            ("a.crt a.key missing.ca", "", "Corefile:2:", "missing.ca cannot be read"),
            ("a.crt a.key", "{\nclient_auth maybe\n}", "Corefile:3:13:", "`maybe` is none of"),
            ("a.crt a.key", "{\nclient_auth require_and_verify\n}", "Corefile:3:13:", "only with a CA"),
            ("a.crt a.key", "{\nkeylog x\n}", "Corefile:3:1:", "client_auth"),
        ] {
            let said = said(words, body);
            assert!(said.starts_with(place) && said.contains(part), "{words} {body}: {said}");
        }
        assert!(fault("tls a").starts_with("Corefile:2:1:"));
    }
}

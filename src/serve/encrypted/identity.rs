//! Who a listener is, and what it asks of clients: replaced on a reload, while connections stay.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};

use crate::plugins::settings::Tls;
use crate::zone::Swap;

/// The present certificate and the present demands.
#[derive(Debug)]
pub(in crate::serve) struct Identity(Swap<Tls>);

impl Identity {
    pub(in crate::serve) fn new(tls: Tls) -> Self {
        Self(Swap::new(tls))
    }

    /// Handshakes that begin from now on see this.
    pub(in crate::serve) fn replace(&self, tls: Tls) {
        self.0.store(tls);
    }

    /// Asks the present verifier of clients.
    fn ask<T>(
        &self,
        what: impl FnOnce(&dyn ClientCertVerifier) -> Result<T, rustls::Error>,
    ) -> Result<T, rustls::Error> {
        match &self.0.load().clients {
            Some(clients) => what(&**clients),
            None => Err(rustls::Error::General("no client certificate was asked for".to_owned())),
        }
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().identity.clone())
    }
}

impl ClientCertVerifier for Identity {
    fn offer_client_auth(&self) -> bool {
        self.0.load().clients.is_some()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.load().clients.as_ref().is_some_and(|clients| clients.client_auth_mandatory())
    }

    /// None: the authorities may change, and without hints clients show the certificate that they have.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.ask(|clients| clients.verify_client_cert(own, chain, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.ask(|clients| clients.verify_tls12_signature(message, certificate, signed))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.ask(|clients| clients.verify_tls13_signature(message, certificate, signed))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().clients.as_ref().map_or_else(Vec::new, |clients| clients.supported_verify_schemes())
    }
}

//! Name: `tls`
//!
//! Description: names the certificate of encrypted listeners.
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
//! Differences: `keylog` and certificates by ACME (`tls` without files) are not supported.

use std::sync::Arc;

use super::chain::Plugin;
use super::settings::{ClientAuth, Tls};
use super::setup::{Context, last};
use super::words;
use crate::corefile::{Directive, Error};

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    context.settings.tls = Some(last(lines, read)?);
    Ok(Vec::new())
}

fn read(directive: &Directive) -> Result<Tls, Error> {
    let (certificate, key, authorities) = match directive.arguments.as_slice() {
        [certificate, key] => (certificate, key, None),
        [certificate, key, authorities] => (certificate, key, Some(authorities)),
        [] => {
            let why = "tls needs the files CERT KEY, and a CA if wanted; certificates by ACME are not supported";
            return Err(directive.name.error(why));
        }
        _ => return Err(directive.name.error("tls needs the files CERT KEY, and a CA if wanted")),
    };
    let mut client_auth = ClientAuth::None;
    for line in directive.lines() {
        if line.name.text != "client_auth" {
            return Err(words::unknown(line, "tls", &["client_auth"]));
        }
        let word = words::value(line, "what is asked of clients")?;
        client_auth = match word.text.as_str() {
            "nocert" => ClientAuth::None,
            "request" => ClientAuth::Request,
            "require" => ClientAuth::Require,
            "verify_if_given" => ClientAuth::VerifyIfGiven,
            "require_and_verify" => ClientAuth::RequireAndVerify,
            other => {
                let known = "nocert, request, require, verify_if_given, require_and_verify";
                return Err(word.error(format!("`{other}` is none of {known}")));
            }
        };
    }
    Ok(Tls {
        certificate: words::file(certificate),
        key: words::file(key),
        authorities: authorities.map(words::file),
        client_auth,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use super::*;

    #[test]
    fn files_and_client_certificates_are_set() {
        let set = block("tls a b c {\nclient_auth require_and_verify\n}").unwrap().settings.tls.unwrap();
        let authorities = Some("c".into());
        let client_auth = ClientAuth::RequireAndVerify;
        assert_eq!(set, Tls { certificate: "a".into(), key: "b".into(), authorities, client_auth });
        assert!(fault("tls a").starts_with("Corefile:2:1:"));
        assert!(fault("tls a b {\nclient_auth maybe\n}").starts_with("Corefile:3:13:"));
    }
}

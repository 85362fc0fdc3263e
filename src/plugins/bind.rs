//! Name: `bind`
//!
//! Description: names the addresses that a server block listens on.
//!
//! Syntax:
//!
//! ```text
//! bind ADDRESS|INTERFACE... {
//!     except ADDRESS|INTERFACE...
//! }
//! ```
//!
//! An interface stands for the addresses that it has when the Corefile is read. The directive may be repeated. Where a reload
//! makes the addresses of a port wider or narrower, no query is lost, and connections to an address that is served before
//! and after stay. (Those over QUIC end when addresses grow narrower; their clients connect anew.)
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     bind 127.0.0.1 ::1
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: none.

use std::net::IpAddr;
use std::sync::Arc;

use crate::chain::Plugin;
use crate::chain::setup::Context;
use crate::corefile::{Directive, Error, Token};
use crate::syntax::words;

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let mut bound: Vec<IpAddr> = Vec::new();
    for directive in lines {
        if directive.arguments.is_empty() {
            return Err(directive.name.error("bind needs an address or an interface"));
        }
        let mut addresses = read(&directive.arguments, context)?;
        for line in directive.lines() {
            if line.name.text != "except" {
                return Err(words::unknown(line, "bind", &["except"]));
            }
            line.no_body()?;
            if line.arguments.is_empty() {
                return Err(line.name.error("except needs an address or an interface"));
            }
            let except = read(&line.arguments, context)?;
            addresses.retain(|address| !except.contains(address));
        }
        bound.extend(addresses);
    }
    if bound.is_empty() {
        let first = lines.first().map(|line| &line.name);
        return first.map_or(Ok(Vec::new()), |name| Err(name.error("bind leaves no address to listen on")));
    }
    bound.sort_unstable();
    bound.dedup();
    context.settings.bind = bound;
    Ok(Vec::new())
}

fn read(words: &[Token], context: &mut Context<'_, '_>) -> Result<Vec<IpAddr>, Error> {
    let interfaces = context.host.interfaces;
    let mut addresses = Vec::new();
    for word in words {
        if let Ok(address) = word.text.parse() {
            addresses.push(address);
            continue;
        }
        let own: Vec<IpAddr> = interfaces.iter().filter(|(name, _)| *name == word.text).map(|(_, ip)| *ip).collect();
        if own.is_empty() {
            let fault = word.error(format!("`{}` is neither an address nor an interface that has one", word.text));
            if !may_be_interface(&word.text) {
                return Err(fault);
            }
            context.lacks(fault)?;
            addresses.push(stand_in(&word.text));
            continue;
        }
        addresses.extend(own);
    }
    Ok(addresses)
}

/// Whether another machine may have an interface of this name: Linux allows 15 octets, and nobody starts one with a digit.
fn may_be_interface(name: &str) -> bool {
    name.len() <= 15 && name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.contains(['/', ':'])
}

/// An address of nobody, of the network for documents, in place of those of an interface that is not here. Blocks with
/// the same interface meet there, others do not.
fn stand_in(interface: &str) -> IpAddr {
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    // At least one octet is left empty, so that no name fills the address.
    octets.iter_mut().skip(4).zip(interface.bytes()).for_each(|(octet, letter)| *octet = letter);
    octets.into()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};

    fn bound(text: &str) -> Vec<String> {
        block(text).unwrap().settings.bind.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lines_add_up_and_interfaces_stand_for_their_addresses() {
        assert_eq!(bound("bind 127.0.0.1 127.0.0.2\nbind 127.0.0.3"), ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
        assert_eq!(bound("bind lo {\nexcept ::1\n}"), ["127.0.0.1"]);
        assert_eq!(bound("bind ::1 eth0"), ["10.244.0.5", "::1"]);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        assert!(fault("bind 127.0.0.300").starts_with("Corefile:2:6:"));
        assert!(fault("bind").starts_with("Corefile:2:1:"));
        assert!(fault("bind ::1 {\nexcept ::1\n}").contains("leaves no address"));
    }
}

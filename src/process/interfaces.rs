//! The addresses of this machine, by interface: for `bind` and for the NS records of the zone.

use std::net::IpAddr;

/// Lists the addresses, each with the name of its interface; none when the system does not tell.
pub(crate) fn list() -> Vec<(String, IpAddr)> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.into_iter().map(|interface| (interface.name.clone(), interface.ip())).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn loopback_is_found() {
        let list = list();
        assert!(list.iter().any(|(name, address)| name == "lo" && *address == Ipv4Addr::LOCALHOST), "{list:?}");
    }
}

//! The addresses of this machine, by interface: for `bind` and for the NS records of the zone.
#![expect(unsafe_code, reason = "the standard library does not list interfaces, and one system call needs no crate")]

use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Lists the addresses, each with the name of its interface; none when the system does not tell.
pub(super) fn list() -> Vec<(String, IpAddr)> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `first` is a valid place for the call to write a pointer to.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut next = first;
    while !next.is_null() {
        // SAFETY: `next` comes from the list that the call made, and the list is freed only below.
        let entry = unsafe { &*next };
        // SAFETY: the list's names are strings with a final NUL that live as long as the list.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy().into_owned();
        if let Some(address) = address(entry.ifa_addr) {
            found.push((name, address));
        }
        next = entry.ifa_next;
    }
    // SAFETY: `first` came from `getifaddrs`, and nothing of the list is used from here on.
    unsafe { libc::freeifaddrs(first) };
    found
}

/// Reads an address of the list, which is null for interfaces without one.
fn address(of: *const libc::sockaddr) -> Option<IpAddr> {
    if of.is_null() {
        return None;
    }
    // SAFETY: every address of the list begins with its family.
    match i32::from(unsafe { (*of).sa_family }) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a `sockaddr_in`; it may stand at any address.
            let v4 = unsafe { of.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that it is a `sockaddr_in6`; it may stand at any address.
            let v6 = unsafe { of.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found() {
        let list = list();
        assert!(list.iter().any(|(name, address)| name == "lo" && *address == Ipv4Addr::LOCALHOST), "{list:?}");
    }
}

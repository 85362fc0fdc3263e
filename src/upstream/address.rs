//! The address of another resolver, and the way by which it is asked.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The way that messages travel to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// UDP and TCP, port 53.
    Plain,
    /// DNS over TLS, port 853 (RFC 7858).
    Tls,
}

impl Way {
    /// The port where nobody writes one.
    pub fn port(self) -> u16 {
        match self {
            Self::Plain => 53,
            Self::Tls => 853,
        }
    }
}

/// An upstream's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamAddress {
    /// Address and port.
    pub address: SocketAddr,
    /// The way that messages travel.
    pub way: Way,
    /// The name that its certificate must hold; its address when there is none.
    pub server_name: Option<String>,
}

impl fmt::Display for UpstreamAddress {
    /// The text that an operator writes, for [`UpstreamHost::parse`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.server_name.as_ref().map(|name| format!("%{name}")).unwrap_or_default();
        match (self.way, self.address) {
            (Way::Plain, address) => write!(f, "{address}"),
            (Way::Tls, SocketAddr::V4(address)) => write!(f, "tls://{}{name}:{}", address.ip(), address.port()),
            (Way::Tls, SocketAddr::V6(address)) => write!(f, "tls://[{}{name}]:{}", address.ip(), address.port()),
        }
    }
}

/// An upstream as an operator writes it: `[tls://]HOST[%NAME][:PORT]`, HOST an address or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamHost {
    /// The way that messages travel.
    pub way: Way,
    /// The address, or a name or file as written.
    pub host: Result<IpAddr, String>,
    /// The port.
    pub port: u16,
    /// The name after `%`.
    pub server_name: Option<String>,
    scope: u32,
}

impl UpstreamHost {
    /// Reads a word.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(word: &str) -> Result<Self, String> {
        let (way, rest) = match word.split_once("://") {
            None => (Way::Plain, word),
            Some(("dns", rest)) => (Way::Plain, rest),
            Some(("tls", rest)) => (Way::Tls, rest),
            Some((scheme, _)) => {
                return Err(format!("`{scheme}://` is no way to an upstream here: write an address, dns:// or tls://"));
            }
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed.split_once(']').ok_or_else(|| format!("`{word}` lacks a ]"))?;
                (host, after.strip_prefix(':'))
            }
            None if rest.matches(':').count() == 1 => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
            None => (rest, None),
        };
        let port = match port {
            None => way.port(),
            Some(port) => match port.parse() {
                Ok(port) if port != 0 => port,
                _ => return Err(format!("`{port}` is no port: a number from 1 to 65535 is")),
            },
        };
        let (host, zone) = match host.rsplit_once('%') {
            Some((host, zone)) if !zone.is_empty() => (host, Some(zone)),
            _ => (host, None),
        };
        if host.is_empty() {
            return Err(format!("`{word}` names no upstream"));
        }
        let address = host.parse::<IpAddr>().map_err(|_| host.to_owned());
        // Behind % stands the server's name for TLS, the interface of a link-local address otherwise.
        let server_name = zone.filter(|_| way == Way::Tls).map(str::to_owned);
        let scope = match (&address, zone, way) {
            (Ok(IpAddr::V6(_)), Some(zone), Way::Plain) => interface_index(zone)
                .ok_or_else(|| format!("there is no interface `{zone}` for the address `{word}`"))?,
            _ => 0,
        };
        Ok(Self { way, host: address, port, server_name, scope })
    }

    /// The upstream at an address of this host.
    pub fn at(&self, address: IpAddr) -> UpstreamAddress {
        let address = match address {
            IpAddr::V6(v6) if self.scope != 0 => {
                SocketAddr::V6(std::net::SocketAddrV6::new(v6, self.port, 0, self.scope))
            }
            other => SocketAddr::new(other, self.port),
        };
        UpstreamAddress { address, way: self.way, server_name: self.server_name.clone() }
    }
}

/// The index of a network interface: a number, or a name that the system knows.
fn interface_index(zone: &str) -> Option<u32> {
    zone.parse().ok().or_else(|| {
        let index = std::fs::read_to_string(format!("/sys/class/net/{}/ifindex", zone.replace('/', ""))).ok()?;
        index.trim().parse().ok()
    })
}

/// The addresses of the `nameserver` lines of a resolv.conf; lines that hold none are passed over.
pub fn nameservers(text: &str) -> Vec<UpstreamAddress> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = words.next().filter(|&word| word == "nameserver").and_then(|_| words.next())?;
            let host =
                UpstreamHost::parse(&if address.contains(':') { format!("[{address}]") } else { address.to_owned() })
                    .ok()?;
            Some(host.at(host.host.clone().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_address_is_written_as_it_is_read() {
        for word in ["192.0.2.1:53", "[2001:db8::1]:5353", "tls://192.0.2.1:853", "tls://[2001:db8::1%a.example]:8853"]
        {
            let host = UpstreamHost::parse(word).unwrap();
            assert_eq!(host.at(host.host.clone().unwrap()).to_string(), word);
        }
    }

    fn parsed(word: &str) -> UpstreamAddress {
        let host = UpstreamHost::parse(word).unwrap();
        host.at(host.host.clone().unwrap())
    }

    #[test]
    fn addresses_have_a_scheme_a_port_and_a_name() {
        assert_eq!(parsed("192.0.2.1").address, "192.0.2.1:53".parse().unwrap());
        assert_eq!(parsed("dns://192.0.2.1:5353").address, "192.0.2.1:5353".parse().unwrap());
        assert_eq!(parsed("2001:db8::1").address, "[2001:db8::1]:53".parse().unwrap());
        assert_eq!(parsed("[2001:db8::1]:54").address, "[2001:db8::1]:54".parse().unwrap());
        let tls = parsed("tls://192.0.2.1%dns.example.org");
        assert_eq!((tls.way, tls.address.port(), tls.server_name.as_deref()), (Way::Tls, 853, Some("dns.example.org")));
        assert_eq!(parsed("tls://[2001:db8::1%dns.example]:8853").server_name.as_deref(), Some("dns.example"));
        assert_eq!(UpstreamHost::parse("resolver.example:54").unwrap().host, Err("resolver.example".into()));
    }

    #[test]
    fn what_is_no_address_says_why() {
        for bad in
            ["grpc://192.0.2.1", "https://192.0.2.1", "192.0.2.1:0", "192.0.2.1:dns", "[2001:db8::1", "", "tls://"]
        {
            assert!(UpstreamHost::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nameservers_are_read_as_the_c_library_does() {
        let text = "# a comment\nsearch example.org\nnameserver 192.0.2.53\n nameserver\t2001:db8::53 # late\nnameserver none\n";
        let found: Vec<String> = nameservers(text).iter().map(|one| one.address.to_string()).collect();
        assert_eq!(found, ["192.0.2.53:53", "[2001:db8::53]:53"]);
    }
}

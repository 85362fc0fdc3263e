//! The rules of a port's connections: who answers at each address, with which limits, below which settings of TLS.
//!
//! All of it is replaced on a reload, and told to every connection: one stays as long as its address is served and its
//! client would still be let in as it was.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::watch;

use super::{Handler, Limits};

/// The rules of one address.
#[derive(Debug)]
pub(super) struct Rules {
    /// The address as bound.
    pub(super) address: SocketAddr,
    pub(super) handler: Arc<Handler>,
    pub(super) limits: Limits,
    pub(super) secure: Option<Secure>,
}

/// The certificate of a listener, and what it asks of clients.
#[derive(Clone, Debug)]
pub(super) struct Secure {
    /// Another number for other settings.
    pub(super) digest: u64,
    /// Sessions are remembered in here, and resumed by nobody else: they end with the settings that they began with.
    pub(super) config: Arc<ServerConfig>,
}

/// The rules of all addresses of a port.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    /// Everything is to end.
    pub(super) stop: bool,
    pub(super) rules: Arc<BTreeMap<IpAddr, Arc<Rules>>>,
}

impl Orders {
    /// The rules of an address of ours: its own, else those of all addresses.
    pub(super) fn rules(&self, local: SocketAddr) -> Option<&Arc<Rules>> {
        let address = local.ip().to_canonical();
        let all = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let found = [address, all, Ipv6Addr::UNSPECIFIED.into()].into_iter().find_map(|ip| self.rules.get(&ip));
        found.filter(|rules| rules.address.port() == local.port())
    }

    /// Whether an address is served.
    pub(super) fn serve(&self, local: SocketAddr) -> bool {
        !self.stop && self.rules(local).is_some()
    }
}

//----------- ConnectionRules ------------------------------------------------

/// The rules of one connection.
#[derive(Debug)]
pub(super) struct ConnectionRules {
    local: SocketAddr,
    pub(super) rules: Arc<Rules>,
    orders: watch::Receiver<Orders>,
}

/// The consequence of new orders for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// To go on, by other rules.
    Stay,
    /// To end once it is quiet.
    Leave,
    /// To end with the queries that it has brought: its client came in by settings of TLS that count no more.
    Expired,
}

impl ConnectionRules {
    /// `None` for an address that is not served.
    pub(super) fn new(local: SocketAddr, orders: &watch::Receiver<Orders>) -> Option<Self> {
        let mut orders = orders.clone();
        let rules = orders.borrow_and_update().rules(local)?.clone();
        Some(Self { local, rules, orders })
    }

    /// Waits for new orders.
    pub(super) async fn news(&mut self) -> News {
        // Orders that came while nobody waited count as well.
        if !self.orders.borrow().stop && self.orders.changed().await.is_err() {
            return News::Leave;
        }
        let orders = self.orders.borrow_and_update();
        match orders.rules(self.local) {
            _ if orders.stop => News::Leave,
            None => News::Leave,
            Some(rules) => {
                let digest = |rules: &Rules| rules.secure.as_ref().map(|secure| secure.digest);
                let same = digest(rules) == digest(&self.rules);
                self.rules = rules.clone();
                if same { News::Stay } else { News::Expired }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LoadLimits;
    use super::super::testing::table;
    use super::*;

    fn orders(addresses: &[&str]) -> Orders {
        let rules = |text: &&str| {
            let address: SocketAddr = text.parse().unwrap();
            let handler = Arc::new(Handler::new(table().0, LoadLimits::default()));
            (address.ip(), Arc::new(Rules { address, handler, limits: Limits::default(), secure: None }))
        };
        Orders { stop: false, rules: Arc::new(addresses.iter().map(rules).collect()) }
    }

    #[test]
    fn the_narrowest_address_counts() {
        let orders = orders(&["[::]:53", "127.0.0.1:53", "[2001:db8::1]:53"]);
        let found = |text: &str| Some(orders.rules(text.parse().unwrap())?.address.ip().to_string());
        for (local, address) in [
            ("127.0.0.1:53", Some("127.0.0.1")),
            ("[::ffff:127.0.0.1]:53", Some("127.0.0.1")),
            ("127.0.0.2:53", Some("::")),
            ("[2001:db8::1]:53", Some("2001:db8::1")),
            ("[2001:db8::2]:53", Some("::")),
            ("0.0.0.0:53", Some("::")),
            ("127.0.0.1:54", None),
        ] {
            assert_eq!(found(local).as_deref(), address, "{local}");
        }
    }

    #[test]
    fn all_addresses_of_ipv4_are_none_of_ipv6() {
        let orders = orders(&["0.0.0.0:53", "[::1]:53"]);
        let serve = |text: &str| orders.serve(text.parse().unwrap());
        assert!(serve("127.0.0.1:53") && serve("[::1]:53") && !serve("[::2]:53") && !serve("[::]:53"));
    }

    #[tokio::test]
    async fn news_say_whether_a_connection_stays() {
        let (told, receiver) = watch::channel(orders(&["127.0.0.1:53"]));
        let mut standing = ConnectionRules::new("127.0.0.1:53".parse().unwrap(), &receiver).unwrap();
        told.send_replace(orders(&["[::]:53"]));
        assert_eq!(standing.news().await, News::Stay);
        assert!(standing.rules.address.ip().is_unspecified());
        told.send_replace(orders(&["127.0.0.2:53"]));
        assert_eq!(standing.news().await, News::Leave);
        told.send_modify(|orders| orders.stop = true);
        assert_eq!(standing.news().await, News::Leave);
        assert!(ConnectionRules::new("127.0.0.1:53".parse().unwrap(), &receiver).is_none());
    }
}

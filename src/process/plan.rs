//! The plan of a Corefile: what each listener serves.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::interfaces;
use super::mirrors::Unsynced;
use crate::chain::settings::{Reload, Settings, Timeouts, Tls};
use crate::chain::setup::{Carryover, Host};
use crate::chain::{Block, Client, Mirrors, setup};
use crate::corefile::{Corefile, Error, Key, OtherMachine, Scheme, Token};
use crate::plugins::blocks;
use crate::serve::{self, Encryption, Limits};
use crate::wire::{OwnEdns, Question};

/// An address to listen on, and how messages travel there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listener {
    /// The transport.
    pub(crate) scheme: Scheme,
    /// The address; `[::]` for all of both families.
    pub(crate) address: SocketAddr,
}

/// A port: its sockets and connections pass from one of its addresses to another.
pub(crate) type PortKey = (Scheme, u16);

impl Listener {
    /// The port of the listener.
    pub(crate) fn port(&self) -> PortKey {
        (self.scheme, self.address.port())
    }
}

/// The server blocks and settings of one listener.
#[derive(Debug)]
pub(crate) struct ListenerPlan {
    /// Limits of its connections.
    pub(crate) limits: Limits,
    /// The certificate and settings of TLS, where it is encrypted.
    pub(crate) secure: Option<Tls>,
    /// The server blocks, each with those of its keys that are for this listener.
    blocks: Vec<(Arc<Block>, Vec<Key>)>,
}

/// Everything that a Corefile asks for.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The servers, by listener.
    pub(crate) servers: BTreeMap<Listener, ListenerPlan>,
    /// The server blocks, as written.
    pub(crate) blocks: Vec<Arc<Block>>,
}

impl Plan {
    /// Sets a Corefile up. Nothing is bound yet.
    ///
    /// # Errors
    /// At the first fault, with its place.
    pub(crate) fn new(
        corefile: &Corefile,
        default_port: u16,
        mirrors: &mut dyn Mirrors,
        carryover: &Carryover,
    ) -> Result<Self, Error> {
        Self::of(set_up(corefile, default_port, mirrors, carryover, None)?, default_port)
    }

    /// Sets a Corefile up to look at it, without a cluster. `elsewhere`: another machine will serve, and what this one lacks
    /// is a note.
    ///
    /// # Errors
    /// At the first fault, with its place.
    pub(crate) fn look(corefile: &Corefile, elsewhere: Option<&OtherMachine>) -> Result<Self, Error> {
        Self::of(set_up(corefile, 53, &mut Unsynced, &Carryover::default(), elsewhere)?, 53)
    }

    /// The plan of these server blocks.
    ///
    /// # Errors
    /// When a listener cannot be had as the blocks say, with the place.
    pub(crate) fn of(blocks: Vec<Block>, default_port: u16) -> Result<Self, Error> {
        let blocks: Vec<Arc<Block>> = blocks.into_iter().map(Arc::new).collect();
        let mut servers = BTreeMap::<Listener, ListenerPlan>::new();
        for block in &blocks {
            for key in &block.keys {
                let secure = secure(key, &block.settings)?;
                for address in addresses(&block.settings) {
                    let address = SocketAddr::new(address, setup::port(key, default_port));
                    let server = match servers.entry(Listener { scheme: key.scheme, address }) {
                        Entry::Occupied(entry) => entry.into_mut(),
                        Entry::Vacant(entry) => entry.insert(ListenerPlan {
                            limits: Limits::default(),
                            secure: secure.clone(),
                            blocks: Vec::new(),
                        }),
                    };
                    server.check_same(secure.as_ref(), key)?;
                    server.add(block, key);
                }
            }
        }
        Ok(Self { servers, blocks })
    }

    /// The listeners of a server block.
    pub(crate) fn listeners(&self, block: &Arc<Block>) -> Vec<String> {
        let has = |server: &ListenerPlan| server.blocks.iter().any(|(other, _)| Arc::ptr_eq(other, block));
        self.servers.iter().filter(|(_, server)| has(server)).map(|(listener, _)| listener.to_string()).collect()
    }

    /// The directive that asks for an admin address.
    pub(crate) fn page_at(&self, address: &str) -> Option<&Token> {
        let mut pages = self.blocks.iter().flat_map(|block| &block.settings.pages);
        pages.find(|(own, _)| own == address).map(|(_, directive)| directive)
    }

    /// `reload`: the first that is written counts for the whole process.
    pub(crate) fn reload(&self) -> Option<Reload> {
        self.blocks.iter().find_map(|block| block.settings.reload)
    }

    /// The time for which answers go on after the order to stop: the longest `lameduck`.
    pub(crate) fn lameduck(&self) -> Duration {
        let lameducks =
            self.blocks.iter().filter_map(|block| block.settings.health.as_ref()).map(|health| health.lameduck);
        lameducks.max().unwrap_or_default()
    }

    /// Whether some server block has `debug`.
    pub(crate) fn debug(&self) -> bool {
        self.blocks.iter().any(|block| block.settings.debug)
    }

    /// Whether a file of certificates holds something else by now.
    pub(crate) fn certificates_changed(&self, clock: SystemTime) -> bool {
        let mut all = self.blocks.iter().filter_map(|block| block.settings.tls.as_ref());
        all.any(|tls| tls.files.has_changed(clock))
    }

    /// The directives in use and where: `[server, zone, view, directive]`.
    pub(crate) fn enabled(&self) -> Vec<[String; 4]> {
        let mut all = Vec::new();
        for (listener, server) in &self.servers {
            for (block, keys) in &server.blocks {
                let view = block.settings.view.as_ref().map_or("", |view| view.name());
                for key in keys {
                    let row =
                        |name: &&str| [&listener.to_string(), &key.zone.to_string(), view, name].map(ToOwned::to_owned);
                    all.extend(block.settings.enabled.iter().map(row));
                }
            }
        }
        all
    }

    /// A line for each zone and listener, as CoreDNS prints them at the start: `.:53`, `.:53 on 127.0.0.1`.
    pub(crate) fn banner(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (listener, server) in &self.servers {
            for key in server.blocks.iter().flat_map(|(_, keys)| keys) {
                let on = match listener.address.ip() {
                    ip if ip.is_unspecified() => String::new(),
                    ip => format!(" on {ip}"),
                };
                let way = if listener.scheme == Scheme::Dns { "" } else { &format!("{}://", scheme(listener.scheme)) };
                lines.push(format!("{way}{}:{}{on}", key.zone, listener.address.port()));
            }
        }
        lines
    }
}

/// Sets the server blocks of a Corefile up on this machine. `elsewhere`: another will serve, and what this one lacks is a note.
///
/// # Errors
/// At the first fault, with its place.
pub(crate) fn set_up(
    corefile: &Corefile,
    default_port: u16,
    mirrors: &mut dyn Mirrors,
    carryover: &Carryover,
    elsewhere: Option<&OtherMachine>,
) -> Result<Vec<Block>, Error> {
    let interfaces = interfaces::list();
    let hostname = hostname();
    let now = Instant::now();
    let mut host =
        Host { interfaces: &interfaces, hostname: &hostname, default_port, mirrors, carryover, now, elsewhere };
    blocks::set_up(corefile, &mut host)
}

impl ListenerPlan {
    /// The handshake comes before the question: one listener has one certificate.
    fn check_same(&self, secure: Option<&Tls>, key: &Key) -> Result<(), Error> {
        match (&self.secure, secure) {
            (Some(first), Some(tls)) if first.digest != tls.digest => Err(key.token.error(format!(
                "this listener has another certificate or `client_auth` at {}: use the same, or another port or `bind` address",
                first.at
            ))),
            _ => Ok(()),
        }
    }

    fn add(&mut self, block: &Arc<Block>, key: &Key) {
        match self.blocks.iter_mut().find(|(other, _)| Arc::ptr_eq(other, block)) {
            Some((_, keys)) => keys.push(key.clone()),
            None => {
                self.limits = with(self.limits, &block.settings);
                self.blocks.push((block.clone(), vec![key.clone()]));
            }
        }
    }

    /// The routes of the listener, whose label in metrics is `label`.
    pub(crate) fn table(&self, label: &str) -> serve::RouteTable {
        let blocks = self.blocks.iter().map(|(block, keys)| served(block, keys)).collect();
        serve::RouteTable::new(label, blocks)
    }
}

/// The certificate and settings of TLS of a key's listener, where it is encrypted.
fn secure(key: &Key, settings: &Settings) -> Result<Option<Tls>, Error> {
    match (encryption(key.scheme), &settings.tls) {
        (None, _) => Ok(None),
        (Some(_), Some(tls)) => Ok(Some(tls.clone())),
        (Some(_), None) => Err(key.token.error(format!(
            "a listener for {}:// needs a certificate: add `tls CERT KEY` to the server block",
            scheme(key.scheme)
        ))),
    }
}

/// The protocol above TLS.
pub(crate) fn encryption(scheme: Scheme) -> Option<Encryption> {
    match scheme {
        Scheme::Dns => None,
        Scheme::Tls => Some(Encryption::Tls),
        Scheme::Https => Some(Encryption::Https),
        Scheme::Quic => Some(Encryption::Quic),
    }
}

/// Later blocks of a listener change what they write, and nothing else.
fn with(limits: Limits, settings: &Settings) -> Limits {
    let Timeouts { read, write, idle, max_tcp_queries } = settings.timeouts;
    Limits {
        sockets: settings.sockets.or(limits.sockets),
        read: read.unwrap_or(limits.read),
        write: write.unwrap_or(limits.write),
        idle: idle.unwrap_or(limits.idle),
        queries_per_connection: max_tcp_queries.or(limits.queries_per_connection),
        ..limits
    }
}

pub(super) fn served(block: &Arc<Block>, keys: &[Key]) -> serve::ServedBlock {
    let settings = &block.settings;
    let own = OwnEdns {
        payload: settings.bufsize.unwrap_or(OwnEdns::DEFAULT.payload),
        nsid: settings.nsid.clone().map(Into::into),
    };
    let exclusions = settings.exclusions.clone();
    serve::ServedBlock {
        zones: keys.iter().map(|key| key.zone.clone()).collect(),
        views: block.fast().into_iter().collect(),
        shed: settings.shed,
        exclusions: match exclusions.is_empty() {
            true => None,
            false => Some(Box::new(move |question| exclusions.iter().any(|exclusion| exclusion.holds(question)))),
        },
        chain: block.chain.iter().cloned().collect(),
        own,
        bufsize: settings.bufsize,
        classes: settings.classes.clone(),
        measured: settings.prometheus.is_some(),
        admits: settings.view.as_ref().map(|_| {
            let block = block.clone();
            Box::new(move |question: &Question<'_>, client: &Client| block.admits(question, client))
                as serve::BlockFilter
        }),
        view: settings.view.as_ref().map_or_else(String::new, |view| view.name().to_owned()),
    }
}

/// The addresses that a server block listens on: those of `bind`, or all.
fn addresses(settings: &Settings) -> Vec<IpAddr> {
    match settings.bind.as_slice() {
        [] => vec![Ipv6Addr::UNSPECIFIED.into()],
        some => some.to_vec(),
    }
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// The scheme as a Corefile writes it.
pub(crate) fn scheme(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Dns => "dns",
        Scheme::Tls => "tls",
        Scheme::Https => "https",
        Scheme::Quic => "quic",
    }
}

impl fmt::Display for Listener {
    /// The server's label in metrics: `dns://:53`, `dns://127.0.0.1:53`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address.ip().is_unspecified() {
            true => write!(f, "{}://:{}", scheme(self.scheme), self.address.port()),
            false => write!(f, "{}://{}", scheme(self.scheme), self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::{CorefileSource, parse};

    fn plan(text: &str) -> Plan {
        try_plan(text).unwrap()
    }

    fn try_plan(text: &str) -> Result<Plan, Error> {
        let source = CorefileSource::Text { name: "Corefile".into(), text: text.into() };
        Plan::look(&parse(&source, &|_| None)?, None)
    }

    fn labels(plan: &Plan) -> Vec<String> {
        plan.servers.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn blocks_are_grouped_by_address_and_port() {
        let plan = plan(
            ". {\n whoami\n}\nexample.org example.net:5300 {\n whoami\n}\nexample.com {\n bind 127.0.0.1 ::1\n whoami\n}",
        );
        assert_eq!(labels(&plan), ["dns://127.0.0.1:53", "dns://:53", "dns://:5300", "dns://[::1]:53"]);
        assert_eq!(
            plan.banner(),
            ["example.com.:53 on 127.0.0.1", ".:53", "example.org.:53", "example.net.:5300", "example.com.:53 on ::1"]
        );
    }

    #[test]
    fn the_longest_lameduck_and_the_first_reload_count() {
        let plan = plan(
            ". {\n health {\n  lameduck 5s\n }\n reload 10s\n}\nexample.org {\n health :8081 {\n  lameduck 7s\n }\n debug\n}",
        );
        assert_eq!(plan.lameduck(), Duration::from_secs(7));
        assert_eq!(plan.reload().map(|reload| reload.interval), Some(Duration::from_secs(10)));
        assert!(plan.debug());
    }

    #[test]
    fn the_same_zone_and_port_twice_is_refused_at_the_second() {
        let fault = |text: &str| try_plan(text).unwrap_err().to_string();
        assert!(fault(". {\n whoami\n}\n.:53 {\n whoami\n}").starts_with("Corefile:4:1: "));
        assert!(fault("a.example A.example. {\n whoami\n}").starts_with("Corefile:1:11: "));
        assert!(try_plan(". {\n bind 127.0.0.1\n}\n. {\n bind 127.0.0.2\n}").is_ok());
    }

    #[test]
    fn encrypted_listeners_have_ports_of_their_own_and_need_a_certificate() {
        let folder = rollcall_testing::tls::folder(&["a", "b"]);
        let tls = |name: &str| {
            let path = folder.path().join(name).display().to_string();
            format!("tls {path}.crt {path}.key")
        };
        let set = plan(&format!("tls://. https://. quic://. {{\n {}\n whoami\n}}", tls("a")));
        assert_eq!(labels(&set), ["tls://:853", "https://:443", "quic://:853"]);
        assert_eq!(set.banner(), ["tls://.:853", "https://.:443", "quic://.:853"]);
        assert!(set.servers.values().all(|server| server.secure.is_some()));

        let fault = try_plan("tls://. {\n whoami\n}").unwrap_err().to_string();
        assert!(fault.starts_with("Corefile:1:1: ") && fault.contains("add `tls CERT KEY`"), "{fault}");
        let two = |one: &str, other: &str| {
            try_plan(&format!("tls://a {{\n {}\n whoami\n}}\ntls://b {{\n {}\n whoami\n}}", tls(one), tls(other)))
        };
        assert!(two("a", "a").is_ok());
        let fault = two("a", "b").unwrap_err().to_string();
        assert!(fault.starts_with("Corefile:5:1: ") && fault.contains("Corefile:2:2"), "{fault}");
        for scheme in ["grpc", "https3"] {
            let fault = try_plan(&format!("{scheme}://. {{\n whoami\n}}")).unwrap_err().to_string();
            assert!(fault.starts_with(&format!("Corefile:1:1: `{scheme}://` is not supported")), "{fault}");
        }
    }

    #[test]
    fn enabled_directives_are_named_by_server_and_zone() {
        let enabled = plan("example.org {\n errors\n whoami\n}").enabled();
        let row = |view: &str, name: &str| ["dns://:53", "example.org.", view, name].map(ToOwned::to_owned);
        assert_eq!(enabled, [row("", "errors"), row("", "whoami")]);
        let viewed = plan("example.org {\n view inside {\n  expr true\n }\n whoami\n}").enabled();
        assert_eq!(viewed, [row("inside", "whoami"), row("inside", "view")]);
    }
}

//! The server blocks of a server by zone, found by the longest zone that holds the qname.

use std::fmt;
use std::sync::Arc;

use super::metrics::{self, CounterGroup, ShedCounters};
use crate::chain::{Client, FastPath, Passing, Plugin};
use crate::wire::{Class, Name, OwnEdns, QName, Question, Rtype};
use crate::zone::View;

/// Says whether a question takes the chain though the zone could answer it.
pub type Exclusions = Box<dyn Fn(&Question<'_>) -> bool + Send + Sync>;

/// Says whether a block is for a question and its client.
pub type BlockFilter = Box<dyn Fn(&Question<'_>, &Client) -> bool + Send + Sync>;

/// One server block, as it is served.
#[derive(Default)]
pub struct ServedBlock {
    /// The zones.
    pub zones: Vec<Name>,
    /// The views that answer cluster names without the chain; empty when a plugin needs the message.
    pub views: Vec<Arc<View>>,
    /// Whether a question takes the chain though a view could answer it.
    pub exclusions: Option<Exclusions>,
    /// Whether the block is for this question and client (`view`); the next block of the zone is asked otherwise.
    pub admits: Option<BlockFilter>,
    /// The plugins, in order.
    pub chain: Arc<[Arc<dyn Plugin>]>,
    /// The OPT record of its answers, `bufsize` among it.
    pub own: OwnEdns,
    /// The largest answer over UDP (`bufsize`); without it the client's own size counts.
    pub bufsize: Option<u16>,
    /// The classes other than IN that are for the chain (`chaos`, `rewrite class`).
    pub classes: Vec<Class>,
    /// True when queries over UDP that no answer could be waited for are dropped before the chain (`shed`).
    pub shed: bool,
    /// True when its queries are counted (`prometheus`).
    pub measured: bool,
    /// The name of its view in metrics, mostly empty.
    pub view: String,
}

impl fmt::Debug for ServedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plugins: Vec<_> = self.chain.iter().map(|plugin| plugin.name()).collect();
        f.debug_struct("Block").field("zones", &self.zones).field("chain", &plugins).finish_non_exhaustive()
    }
}

/// The route table of one address: all blocks that listen there.
#[derive(Debug)]
pub struct RouteTable {
    /// The server's label in metrics: `dns://:53`.
    pub(super) server: Arc<str>,
    /// Longest zones first; those of one zone in the order of the Corefile.
    routes: Vec<Route>,
    /// Queries that no block is for.
    pub(super) dropped: Option<Arc<CounterGroup>>,
    /// The counters of `shed`, where a block has it.
    pub(super) shed: Option<ShedCounters>,
}

/// One zone of a block.
#[derive(Clone)]
pub(super) struct Route {
    zone: Name,
    labels: usize,
    /// The zone as metrics show it, with a final dot.
    pub(super) label: Arc<str>,
    pub(super) block: Arc<ServedBlock>,
    /// Remembered answers, where nothing in the chain needs to see them.
    pub(super) fast_path: Option<Arc<dyn FastPath>>,
    pub(super) group: Option<Arc<CounterGroup>>,
}

impl RouteTable {
    /// Sorts blocks by their zones. `server` is the server's label in metrics: `dns://:53`.
    pub fn new(server: &str, blocks: Vec<ServedBlock>) -> Self {
        let server: Arc<str> = server.into();
        let mut routes = Vec::new();
        let measured = blocks.iter().any(|block| block.measured);
        for block in blocks.into_iter().map(Arc::new) {
            let fast_path: Option<Arc<dyn FastPath>> = fast_path(&server, &block.chain).map(Arc::from);
            for zone in &block.zones {
                let label: Arc<str> = zone.to_string().into();
                let group = block.measured.then(|| metrics::group(&server, &label, &block.view));
                routes.push(Route {
                    zone: zone.clone(),
                    labels: zone.labels().count(),
                    label,
                    block: block.clone(),
                    fast_path: fast_path.clone(),
                    group,
                });
            }
        }
        routes.sort_by_key(|route| std::cmp::Reverse(route.labels));
        let dropped = measured.then(|| metrics::group(&server, "dropped", ""));
        let shed = routes.iter().any(|route| route.block.shed).then(|| ShedCounters::of(&server));
        Self { server, routes, dropped, shed }
    }

    /// The route of a question, by its place; `None` when no block is for it.
    ///
    /// DS at the apex of a zone belongs to its parent (RFC 4035 section 3.1.4.1), when that is served here too. As in CoreDNS
    /// a block of the root is nobody's parent: it is there for what the others leave.
    pub(super) fn find(&self, question: &Question<'_>, client: &Client) -> Option<usize> {
        let mut apex = None;
        for (index, route) in self.routes.iter().enumerate() {
            if !route.holds(&question.qname)
                || route.block.admits.as_ref().is_some_and(|admits| !admits(question, client))
            {
                continue;
            }
            if question.qtype == Rtype::DS && route.labels == question.qname.label_count() {
                apex = apex.or(Some(index));
                continue;
            }
            return apex.filter(|_| route.labels == 0).or(Some(index));
        }
        apex
    }

    pub(super) fn route(&self, index: usize) -> Option<&Route> {
        self.routes.get(index)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { zone, block, fast_path, .. } = self;
        f.debug_struct("Route")
            .field("zone", zone)
            .field("block", block)
            .field("fast_path", &fast_path.is_some())
            .finish()
    }
}

impl Route {
    fn holds(&self, qname: &QName) -> bool {
        qname.label_count().checked_sub(self.labels).is_some_and(|start| qname.suffix(start) == self.zone.as_wire())
    }
}

/// The fast path of a chain to cached answers, when the plugins in front do nothing that needs the message.
fn fast_path(server: &Arc<str>, chain: &[Arc<dyn Plugin>]) -> Option<Box<dyn FastPath>> {
    let mut shuffled = false;
    let mut rest = chain;
    while let Some((plugin, behind)) = rest.split_first() {
        if let Some(fast_path) = plugin.fast_path(server, behind, shuffled) {
            return Some(fast_path);
        }
        match plugin.passing() {
            Passing::NeedsMessage => return None,
            Passing::Unchanged => {}
            Passing::Shuffled => shuffled = true,
        }
        rest = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CLIENT, query};
    use super::*;
    use crate::wire::{Parsed, parse};

    fn block(zones: &[&str]) -> ServedBlock {
        ServedBlock { zones: zones.iter().map(|zone| zone.parse().unwrap()).collect(), ..ServedBlock::default() }
    }

    fn found(table: &RouteTable, name: &str, qtype: u16) -> Option<String> {
        let message = query(name, qtype);
        let Parsed::Query(question) = parse(&message) else { panic!("no query") };
        table.find(&question, &CLIENT).map(|index| table.route(index).unwrap().label.to_string())
    }

    #[test]
    fn the_longest_zone_counts() {
        let table = RouteTable::new(
            "dns://:53",
            vec![block(&["org"]), block(&["Sub.Example.org", "."]), block(&["example.org"])],
        );
        for (name, zone) in [
            ("a.sub.example.org", "sub.example.org."),
            ("sub.EXAMPLE.org", "sub.example.org."),
            ("asub.example.org", "example.org."),
            ("example.org", "example.org."),
            ("other.org", "org."),
            ("com", "."),
            (".", "."),
        ] {
            assert_eq!(found(&table, name, 1).as_deref(), Some(zone), "{name}");
        }
        assert_eq!(found(&RouteTable::new("dns://:53", vec![block(&["org"])]), "com", 1), None);
    }

    #[test]
    fn ds_at_an_apex_goes_to_the_parent_when_it_is_here() {
        let table = RouteTable::new("dns://:53", vec![block(&["example.org"]), block(&["org"]), block(&["com"])]);
        for (name, zone) in [
            ("example.org", Some("org.")),
            ("a.example.org", Some("example.org.")),
            ("com", Some("com.")),
            ("net", None),
        ] {
            assert_eq!(found(&table, name, 43).as_deref(), zone, "{name}");
        }
    }

    #[test]
    fn ds_at_an_apex_beside_a_root_block_stays_in_its_own_block() {
        let table =
            RouteTable::new("dns://:53", vec![block(&["."]), block(&["example.org"]), block(&["a.example.org"])]);
        for (name, zone) in
            [("example.org", "example.org."), ("a.example.org", "example.org."), ("org", "."), (".", ".")]
        {
            assert_eq!(found(&table, name, 43).as_deref(), Some(zone), "{name}");
        }
        let mut closed = block(&["example.org"]);
        closed.admits = Some(Box::new(|_, _| false));
        assert_eq!(
            found(&RouteTable::new("dns://:53", vec![closed, block(&["."])]), "example.org", 43).as_deref(),
            Some(".")
        );
    }

    #[test]
    fn a_block_that_does_not_admit_a_query_leaves_it_to_the_next() {
        let mut first = block(&["example.org"]);
        first.admits = Some(Box::new(|question, _| question.qtype == Rtype::A));
        let table = RouteTable::new("dns://:53", vec![first, block(&["org"])]);
        assert_eq!(found(&table, "example.org", 1).as_deref(), Some("example.org."));
        assert_eq!(found(&table, "example.org", 28).as_deref(), Some("org."));
    }
}

//! The ports of a Service, or of endpoints that have the same: found by name, and by number each once.
//!
//! A Service may have thousands of ports, and clients choose which they ask for: no question walks over them.

use std::ops::Deref;
use std::sync::Arc;

use crate::wire::Label;

/// A port of a Service or of a slice.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Port {
    /// Its name; `None` when it has none.
    pub name: Option<Label>,
    /// Its transport protocol.
    pub protocol: Protocol,
    /// Its number; 0 where a slice leaves it out ("all ports"), which has addresses but no SRV record.
    pub number: u16,
}

impl Port {
    /// The two labels of its name, with their underscores; `None` when it has none.
    pub fn labels(&self) -> Option<[Vec<u8>; 2]> {
        let underscore = |label: &[u8]| [b"_", label].concat();
        Some([underscore(self.name.as_ref()?.as_bytes()), underscore(self.protocol.label())])
    }
}

/// A transport protocol as the Kubernetes API spells it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The protocol of a label without underscore.
    pub(super) fn of_label(label: &[u8]) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp].into_iter().find(|protocol| protocol.label() == label)
    }

    /// The label after the underscore: `tcp`, `udp`, `sctp`.
    pub fn label(self) -> &'static [u8] {
        match self {
            Self::Tcp => b"tcp",
            Self::Udp => b"udp",
            Self::Sctp => b"sctp",
        }
    }
}

/// Ports, sorted, each once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortList {
    ports: Arc<[Port]>,
    /// Numbers and protocols; few ports of different numbers, as nearly every Service has, do without.
    index: Option<Box<PortIndex>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct PortIndex {
    /// The port numbers, sorted, each once: fewer than ports, perhaps (53 over UDP and over TCP).
    numbers: Box<[u16]>,
    /// The protocols of those that have a name, a bit each.
    protocols: u8,
}

const FEW: usize = 8;

impl PortList {
    /// Sorts the ports, unless they are.
    pub fn new(ports: Arc<[Port]>) -> Self {
        let ports = if ports.is_sorted_by(|a, b| a < b) {
            ports
        } else {
            let mut sorted = ports.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            sorted.into()
        };
        let mut numbers: Vec<u16> = ports.iter().map(|port| port.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let is_plain = ports.len() <= FEW && numbers.len() == ports.len();
        let index =
            (!is_plain).then(|| Box::new(PortIndex { numbers: numbers.into(), protocols: protocols(ports.iter()) }));
        Self { ports, index }
    }

    /// The ports, to be shared.
    pub(super) fn shared(&self) -> &Arc<[Port]> {
        &self.ports
    }

    /// Whether any port with a name has this protocol, a label without underscore.
    pub(super) fn has_protocol(&self, protocol: &[u8]) -> bool {
        let all = || self.index.as_ref().map_or_else(|| protocols(self.ports.iter()), |index| index.protocols);
        Protocol::of_label(protocol).is_some_and(|protocol| all() & bit(protocol) != 0)
    }

    /// The port numbers that a name asks for.
    pub(super) fn choose(&self, wanted: Ports<'_>) -> Numbers<'_> {
        match wanted {
            Ports::All => {
                // As in CoreDNS, an endpoint without ports counts in the weight all the same.
                let pairs = self.ports.len().max(1);
                let distinct = self.index.as_ref().map_or(&[][..], |index| &index.numbers);
                Numbers { ports: &self.ports, distinct, pairs }
            }
            Ports::Named { name, protocol } => {
                let ports = named(&self.ports, name, protocol);
                Numbers { ports, distinct: &[], pairs: ports.len() }
            }
        }
    }
}

impl Deref for PortList {
    type Target = [Port];

    fn deref(&self) -> &[Port] {
        &self.ports
    }
}

impl From<Vec<Port>> for PortList {
    fn from(ports: Vec<Port>) -> Self {
        Self::new(ports.into())
    }
}

/// The ports that a name asks for.
#[derive(Clone, Copy)]
pub(super) enum Ports<'s> {
    /// All, with a name or without.
    All,
    /// Those of a name and a protocol, both labels without underscore.
    Named { name: &'s [u8], protocol: &'s [u8] },
}

/// Port numbers, each once.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'p> {
    ports: &'p [Port],
    /// All of their numbers, where these are listed apart.
    distinct: &'p [u16],
    /// The number of ports that they stand for.
    pub(super) pairs: usize,
}

impl<'p> Numbers<'p> {
    /// Numbers that are listed, each once, and how many ports they stand for.
    pub(super) fn listed(distinct: &'p [u16], pairs: usize) -> Self {
        Self { ports: &[], distinct, pairs }
    }

    /// Their number.
    pub fn count(&self) -> usize {
        if self.distinct.is_empty() { self.ports.len() } else { self.distinct.len() }
    }

    /// The number at a place below [`count`](Self::count).
    pub fn nth(&self, at: usize) -> Option<u16> {
        if self.distinct.is_empty() {
            self.ports.get(at).map(|port| port.number)
        } else {
            self.distinct.get(at).copied()
        }
    }
}

/// Of sorted ports those of a name and a protocol, both labels without underscore. They have different numbers.
pub(super) fn named<'p>(ports: &'p [Port], name: &[u8], protocol: &[u8]) -> &'p [Port] {
    let Some(protocol) = Protocol::of_label(protocol) else { return &[] };
    let order = |port: &Port| (port.name.as_ref().map(Label::as_bytes), port.protocol).cmp(&(Some(name), protocol));
    let rest = ports.get(ports.partition_point(|port| order(port).is_lt())..).unwrap_or_default();
    rest.get(..rest.partition_point(|port| order(port).is_eq())).unwrap_or_default()
}

/// The protocols of those ports that have a name, a bit each.
pub(super) fn protocols<'p>(ports: impl Iterator<Item = &'p Port>) -> u8 {
    ports.filter(|port| port.name.is_some()).fold(0, |all, port| all | bit(port.protocol))
}

pub(super) fn bit(protocol: Protocol) -> u8 {
    1 << protocol as u8
}

/// The weight of each of so many SRV records, as CoreDNS divides it: a hundredth at least.
pub fn srv_weight(records: usize) -> u16 {
    (100 / records.max(1)).max(1) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, protocol: Protocol, number: u16) -> Port {
        Port { name: Label::new(name.as_bytes()).ok().filter(|_| !name.is_empty()), protocol, number }
    }

    fn numbers(list: &PortList, wanted: Ports<'_>) -> (Vec<u16>, usize) {
        let chosen = list.choose(wanted);
        ((0..chosen.count()).filter_map(|at| chosen.nth(at)).collect(), chosen.pairs)
    }

    #[test]
    fn ports_are_found_by_name_and_protocol_in_whatever_order_they_came() {
        let list = PortList::from(vec![
            port("http", Protocol::Tcp, 8080),
            port("dns", Protocol::Udp, 53),
            port("", Protocol::Sctp, 9),
            port("dns", Protocol::Tcp, 53),
            port("http", Protocol::Tcp, 80),
            port("http", Protocol::Tcp, 80),
        ]);
        let named = |name: &'static str, protocol: &'static str| {
            numbers(&list, Ports::Named { name: name.as_bytes(), protocol: protocol.as_bytes() })
        };
        assert_eq!(named("http", "tcp"), (vec![80, 8080], 2));
        assert_eq!((named("dns", "udp"), named("dns", "tcp")), ((vec![53], 1), (vec![53], 1)));
        for (name, protocol) in [("http", "udp"), ("htt", "tcp"), ("", "sctp"), ("zzz", "tcp"), ("http", "tls")] {
            assert_eq!(named(name, protocol), (vec![], 0), "_{name}._{protocol}");
        }
        assert_eq!(numbers(&list, Ports::All), (vec![9, 53, 80, 8080], 5));
        assert!(list.has_protocol(b"tcp") && list.has_protocol(b"udp"));
        assert!(!list.has_protocol(b"sctp") && !list.has_protocol(b"tls"));
        let plain = PortList::from(vec![port("http", Protocol::Tcp, 80), port("", Protocol::Udp, 53)]);
        assert_eq!(numbers(&plain, Ports::All), (vec![53, 80], 2));
        assert!(plain.has_protocol(b"tcp") && !plain.has_protocol(b"udp"));
        assert_eq!(size_of::<PortList>(), 24, "each Service has one");
    }
}

//! Ports of Services and slices.

use super::raw::{Flaws, RawText, dns_label};
use crate::zone::{Port, Protocol};

/// A port as both encodings have it.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawPort<'a> {
    #[serde(borrow)]
    pub(super) name: RawText<'a>,
    pub(super) protocol: RawText<'a>,
    pub(super) port: Option<i64>,
}

/// The usable ports in the order of the object, each once.
///
/// A slice may leave the number out ("all ports"): such a port has the number 0 and is no mistake.
pub(super) fn ports<'r>(raw: impl IntoIterator<Item = &'r RawPort<'r>>, flaws: &mut Flaws) -> Vec<Port> {
    let mut ports: Vec<Port> = raw.into_iter().filter_map(|raw| port(raw, flaws)).collect();
    let mut seen = std::collections::HashSet::with_capacity(ports.len());
    ports.retain(|port| seen.insert(port.clone()));
    ports
}

fn port(raw: &RawPort<'_>, flaws: &mut Flaws) -> Option<Port> {
    let number = match raw.port {
        None => 0,
        Some(number) => match u16::try_from(number) {
            Ok(number @ 1..) => number,
            _ => {
                flaws.note("port is not between 1 and 65535", &number.to_string());
                return None;
            }
        },
    };
    let protocol = match &*raw.protocol {
        "" | "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        other => {
            flaws.note("protocol is not TCP, UDP or SCTP", other);
            return None;
        }
    };
    let name = match &*raw.name {
        "" => None,
        name => {
            let label = dns_label(name);
            if label.is_none() {
                // The port itself is good: it keeps its place among the records of the bare name.
                flaws.note("port name is no DNS label", name);
            }
            label
        }
    };
    Some(Port { name, protocol, number })
}

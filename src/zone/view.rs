//! One `kubernetes` directive's way of looking at the zone: which names it answers, and how.

use std::collections::HashSet;
use std::net::IpAddr;

use super::Reader;
use crate::wire::{Label, Name, QName, Ttl, is_within};

/// The settings of one `kubernetes` directive, with the zone that it answers from.
#[derive(Clone, Debug)]
pub struct View {
    /// The cluster's names.
    pub reader: Reader,
    /// Forward and reverse zones, as listed; the longest that holds the qname counts.
    pub zones: Vec<Name>,
    /// Those of the zones that show Services imported from several clusters in the place of the cluster's own.
    pub multicluster: Vec<Name>,
    /// TTL of every record, 0 to 3600 seconds.
    pub ttl: Ttl,
    /// The way in which `A-B-C-D.NAMESPACE.pod` is answered.
    pub pods: Pods,
    /// The namespaces that are exposed; `None` for all.
    pub namespaces: Option<HashSet<Label>>,
    /// `ignore empty_service`: a Service without a ready endpoint is NXDOMAIN.
    pub ignore_empty: bool,
    /// `zonal`: names below `_zone` are answered.
    pub zonal: bool,
    /// The names that are handed on to the next plugin where they do not exist.
    pub fallthrough: Fallthrough,
    /// The bounds of TTLs that the `cache` before it sets.
    pub bounds: Option<TtlBounds>,
    /// Addresses of this server, for `ns.dns.ZONE` and the NS records.
    pub local: Vec<IpAddr>,
}

/// Bounds of TTLs, shortest and longest: those of a `cache` that remembers none of these names, and yet shows their TTLs as
/// it would those of others. A TTL of 0 stays 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TtlBounds {
    /// The zones of the names that they are for.
    pub zones: Vec<Name>,
    /// Of answers.
    pub success: (Ttl, Ttl),
    /// Of denials.
    pub denial: (Ttl, Ttl),
}

impl TtlBounds {
    pub(super) fn hold_for(&self, qname: &QName) -> bool {
        self.zones.iter().any(|zone| is_within(qname.as_wire(), zone.as_wire()))
    }
}

/// A TTL within bounds, where there are some.
pub(super) fn bounded(ttl: Ttl, bounds: Option<(Ttl, Ttl)>) -> Ttl {
    match bounds {
        Some((shortest, longest)) if ttl > Ttl::ZERO => ttl.max(shortest).min(longest),
        _ => ttl,
    }
}

/// The way in which names of pods are answered (`pods` in the Corefile).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pods {
    /// Not at all.
    #[default]
    Disabled,
    /// From the name alone, for each existing namespace.
    Insecure,
    /// Only when a pod of that namespace has the address.
    Verified,
}

/// The zones in which NXDOMAIN is handed on (`fallthrough` in the Corefile).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Fallthrough {
    /// Nowhere.
    #[default]
    None,
    /// In all zones.
    All,
    /// In these zones and below them.
    Zones(Vec<Name>),
}

impl Fallthrough {
    /// Whether a name that does not exist is handed on; in wire format, lower case.
    pub fn covers(&self, name: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Zones(zones) => zones.iter().any(|zone| is_within(name, zone.as_wire())),
        }
    }
}

//! A Service imported from several clusters, as the zones that `multicluster` names show it.
//!
//! Such Services are few, and their endpoints have two labels (`ENDPOINT.CLUSTER.SERVICE.NAMESPACE.svc`), which those of
//! the cluster itself need not pay for.

use std::net::IpAddr;

use super::{EndpointSet, PortList, ServiceName};

/// One version of an imported Service, immutable once published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its name and namespace.
    pub name: ServiceName,
    /// The meaning of its bare name.
    pub kind: ImportKind,
    /// Its ready endpoints in all clusters.
    pub set: EndpointSet,
}

/// The meaning of the bare name of an imported Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// Virtual addresses that the cluster set has for it (`type: ClusterSetIP`).
    ClusterSetIp {
        /// One or two.
        addresses: Box<[IpAddr]>,
        /// The ports of the ServiceImport.
        ports: PortList,
    },
    /// The addresses of its ready endpoints in all clusters.
    Headless,
}

#[cfg(test)]
mod tests;

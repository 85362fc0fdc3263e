//! By which addresses and names a Service is reached from outside the cluster, for `k8s_external`.

use std::net::IpAddr;
use std::sync::Arc;

use super::shards::Entry;
use super::{Port, ServiceName};
use crate::wire::Name;

/// A Service that is reached from outside.
///
/// Few Services are, so these are kept apart from the Services themselves, which stay as small as they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct External {
    /// Its name and namespace.
    pub name: ServiceName,
    /// `spec.externalIPs`, then `status.loadBalancer.ingress`.
    pub hosts: Box<[ExternalHost]>,
    /// The Service's ports.
    pub ports: Box<[Port]>,
}

/// One way to a Service from outside.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ExternalHost {
    /// An address.
    Address(IpAddr),
    /// The host name of a load balancer.
    Name(Name),
}

impl Entry for Arc<External> {
    type Key<'k> = &'k [u8];

    fn key(&self) -> &[u8] {
        self.name.as_wire()
    }

    fn has(&self, key: &[u8]) -> bool {
        self.key() == key
    }
}

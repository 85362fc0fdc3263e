//! `rollcall local PATH...`: the names of manifests, without a cluster.

use super::error::Error;
use super::flags::Local;
use crate::cluster;
use crate::cluster::manifests::LocalCluster;
use crate::corefile::Source;

/// Reads the manifests.
///
/// # Errors
/// When a path cannot be read or an object is wrong, with the place.
pub(super) fn cluster(options: &Local) -> Result<LocalCluster, Error> {
    LocalCluster::start(options.paths.clone(), cluster::Settings::default())
        .map_err(|error| Error::operator(error.to_string()))
}

/// The Corefile of a server that has the cluster's names and nothing else: other names are refused at the door, as nobody
/// is there to ask for them.
pub(super) fn corefile(options: &Local) -> Source {
    let Local { listen, zone, .. } = options;
    let (address, port) = (listen.ip(), listen.port());
    let text = format!(
        "{zone}:{port} in-addr.arpa:{port} ip6.arpa:{port} {{
    bind {address}
    errors
    kubernetes {{
        pods insecure
        ttl 30
    }}
    loadbalance
}}
"
    );
    Source::Text { name: "built-in Corefile".to_owned(), text }
}

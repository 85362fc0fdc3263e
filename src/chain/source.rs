//! The source of a `kubernetes` directive's names.

use std::path::PathBuf;

use crate::corefile::{Error, Token};
use crate::zone::Reader;

/// The source of a cluster's names: equal sources are one mirror.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The way to the API server.
    pub access: Access,
    /// `labels`: the selector of Services, slices and pods.
    pub labels: Option<String>,
    /// `namespace_labels`: the selector of namespaces.
    pub namespace_labels: Option<String>,
    /// `pods verified`: pods are watched.
    pub pods: bool,
    /// The pod of each address is kept: `metadata` tells who the client is.
    pub client_names: bool,
    /// Slices are watched; not with `noendpoints`.
    pub endpoints: bool,
    /// `endpoint_pod_names`: the pod's name is the label of an endpoint without hostname.
    pub endpoint_pod_names: bool,
    /// `zonal`: topology zones are kept.
    pub zonal: bool,
    /// `multicluster`: ServiceImports and their slices are watched as well.
    pub multicluster: bool,
    /// `apiserver_qps`, `apiserver_burst`, `apiserver_max_inflight`; 0 for the client's own.
    pub limits: [u32; 3],
}

/// The way to an API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// The service account of the pod.
    InCluster,
    /// `kubeconfig FILE [CONTEXT]`.
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// The context, when it is not the file's current one.
        context: Option<String>,
    },
    /// `endpoint URL`.
    Endpoint {
        /// Its URL.
        url: String,
        /// `tls CERT KEY CACERT`.
        tls: Option<[PathBuf; 3]>,
    },
}

/// Mirrors clusters for `kubernetes` directives; equal sources share one mirror, also across reloads.
pub trait Mirrors {
    /// The zone of a cluster, synced or not.
    ///
    /// # Errors
    /// When the way to the cluster is misconfigured; at `at`, the word that names it.
    fn mirror(&mut self, source: &Source, at: &Token) -> Result<Reader, Error>;
}

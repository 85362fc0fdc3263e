//! Settings that change what is derived of the cluster's objects.

/// Settings that change what is derived, not only how it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IndexSettings {
    /// `endpoint_pod_names`: the pod's name is the label of an endpoint without hostname.
    pub endpoint_pod_names: bool,
    /// `zonal`: topology zones are kept.
    pub zonal: bool,
    /// The pod of each address is kept, for those who ask who the client is.
    pub client_names: bool,
}

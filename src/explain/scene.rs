//! Everything that is known of one name of the cluster, for those who look for causes.

use std::collections::BTreeMap;

use crate::cluster::{Details, EndpointDetail, PodDetail, ServiceDetail};
use crate::wire::{Name, Rcode, Rtype};
use crate::zone::{Explained, Pods};

/// Everything that is known of one name of the cluster.
#[derive(Debug)]
pub struct Scene<'s> {
    /// The name.
    pub name: &'s Name,
    /// The type.
    pub rtype: Rtype,
    /// The response code; `None` when no answer came.
    pub rcode: Option<Rcode>,
    /// The number of records in the answer.
    pub records: usize,
    /// The meaning of the name.
    pub explained: &'s Explained,
    /// The names that it is an alias of, in turn.
    pub hops: &'s [AliasHop],
    /// Whether the first lists are complete.
    pub synced: bool,
    /// The setting of `pods`.
    pub pods: Pods,
    /// The namespaces that are there, as far as Services tell.
    pub namespaces: &'s [String],
    /// The Services that are there: namespace and name.
    pub services: &'s [(String, String)],
    /// What the namespaces hold that matter.
    pub details: &'s BTreeMap<String, Details>,
}

/// A name that another is an alias of.
#[derive(Clone, Debug)]
pub struct AliasHop {
    /// The name.
    pub name: Name,
    /// Its meaning, where it is a name of the cluster.
    pub explained: Option<Explained>,
    /// Whether it stands in the chain before already.
    pub again: bool,
}

impl Scene<'_> {
    /// The cluster domain, without a final dot.
    pub(super) fn zone(&self) -> String {
        plain(&self.explained.zone)
    }

    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<&ServiceDetail> {
        self.details.get(namespace)?.services.as_ref()?.iter().find(|service| service.name == *name)
    }

    pub(super) fn pods(&self, namespace: &str) -> &[PodDetail] {
        self.details.get(namespace).and_then(|details| details.pods.as_deref()).unwrap_or_default()
    }

    /// The endpoints of a Service.
    pub(super) fn endpoints<'d>(&'d self, namespace: &str, name: &'d str) -> impl Iterator<Item = &'d EndpointDetail> {
        let all = self.details.get(namespace).and_then(|details| details.endpoints.as_deref()).unwrap_or_default();
        all.iter().filter(move |endpoint| endpoint.service == *name)
    }

    /// Whether a Service is there, as far as its name goes.
    pub(super) fn has_service(&self, namespace: &str, name: &str) -> bool {
        self.services.iter().any(|(within, other)| within == namespace && other == name)
            || self.service(namespace, name).is_some()
    }

    /// The namespaces in which a Service of this name is.
    pub(super) fn elsewhere(&self, namespace: &str, name: &str) -> Vec<&str> {
        let mut found: Vec<&str> = self
            .services
            .iter()
            .filter(|(within, other)| other == name && within != namespace)
            .map(|(within, _)| within.as_str())
            .collect();
        found.sort_unstable();
        found
    }

    pub(super) fn has_namespace(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|other| other == namespace)
    }
}

/// A name without its final dot.
pub(super) fn plain(name: &Name) -> String {
    let text = name.to_string();
    if text.len() > 1 { text.trim_end_matches('.').to_owned() } else { text }
}

/// A few things in words: `a, b and 3 more`.
pub(super) fn few<T: AsRef<str>>(all: &[T]) -> String {
    const MOST: usize = 5;
    let shown: Vec<&str> = all.iter().take(MOST).map(AsRef::as_ref).collect();
    match all.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

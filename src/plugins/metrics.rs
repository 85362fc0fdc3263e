//! The metrics of directives that count one thing or two; `cache`, `forward` and `loop` declare their own. One static each, so
//! that they outlive reloads.

use prometheus::Registry;

use crate::metrics::metrics;

metrics! {
    fn register_common;

    /// Names that the search path led to.
    pub(crate) AUTOPATH_SUCCESS: IntCounterVec["server"] =
        "coredns_autopath_success_total", "Queries that autopath answered by a name of the search path";
    /// Queries that an acl refused.
    pub(crate) ACL_BLOCKED: IntCounterVec["server", "zone", "view"] =
        "coredns_acl_blocked_requests_total", "Queries refused by acl";
    /// Queries that an acl answered with nothing.
    pub(crate) ACL_FILTERED: IntCounterVec["server", "zone", "view"] =
        "coredns_acl_filtered_requests_total", "Queries answered with nothing by acl";
    /// Queries that an acl left without answer.
    pub(crate) ACL_DROPPED: IntCounterVec["server", "zone", "view"] =
        "coredns_acl_dropped_requests_total", "Queries left without answer by acl";
    /// Queries that an acl let through.
    pub(crate) ACL_ALLOWED: IntCounterVec["server", "view"] =
        "coredns_acl_allowed_requests_total", "Queries let through by acl";
    /// Queries that a template answered.
    pub(crate) TEMPLATE_MATCHES: IntCounterVec["server", "zone", "view", "class", "type"] =
        "coredns_template_matches_total", "Queries that a template matched";
    /// Templates that could not be filled in.
    pub(crate) TEMPLATE_FAILURES: IntCounterVec["server", "zone", "view", "class", "type", "section", "template"] =
        "coredns_template_template_failures_total", "Templates that could not be filled in";
    /// Templates whose text was no record.
    pub(crate) TEMPLATE_RR_FAILURES: IntCounterVec["server", "zone", "view", "class", "type", "section", "template"] =
        "coredns_template_rr_failures_total", "Filled-in templates that are no record";
    /// Queries that dns64 answered from IPv4 addresses.
    pub(crate) DNS64_TRANSLATED: IntCounterVec["server"] =
        "coredns_dns64_requests_translated_total", "AAAA queries answered from IPv4 addresses by dns64";
    /// Queries for localhost below another name.
    pub(crate) LOCALHOST: IntCounter =
        "coredns_local_localhost_requests_total", "Queries for names that begin with localhost";
    /// Names in hosts files.
    pub(crate) HOSTS_ENTRIES: GaugeVec["hostsfile"] =
        "coredns_hosts_entries", "Entries of hosts files and inline hosts";
    /// The time at which a hosts file was last read.
    pub(crate) HOSTS_RELOAD: Gauge =
        "coredns_hosts_reload_timestamp_seconds", "Unix time of the last reading of a hosts file";
}

/// Registers the metrics of all plugins, and of upstreams.
///
/// # Errors
/// When one of them is registered already.
pub fn register(registry: &Registry) -> prometheus::Result<()> {
    register_common(registry)?;
    super::cache::register(registry)?;
    super::forward::register(registry)?;
    super::loop_::register(registry)?;
    crate::upstream::register(registry)
}

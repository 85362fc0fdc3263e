//! The metrics of the plugins: one static for each, so that they outlive reloads.

use std::sync::LazyLock;

use prometheus::{Gauge, IntCounter, IntCounterVec, Opts, Registry};

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident, $metric:literal, $help:literal) => {
        $(#[$doc])*
        pub(crate) static $name: LazyLock<IntCounter> =
            LazyLock::new(|| IntCounter::new($metric, $help).expect("the name is well-formed"));
    };
    ($(#[$doc:meta])* $name:ident, $metric:literal, $help:literal, [$($label:literal),+]) => {
        $(#[$doc])*
        pub(crate) static $name: LazyLock<IntCounterVec> = LazyLock::new(|| {
            IntCounterVec::new(Opts::new($metric, $help), &[$($label),+]).expect("the name is well-formed")
        });
    };
}

counter!(
    /// Names that the search path led to.
    AUTOPATH_SUCCESS, "coredns_autopath_success_total", "Queries that autopath answered by a name of the search path", ["server"]
);
counter!(
    /// Queries that an acl refused.
    ACL_BLOCKED, "coredns_acl_blocked_requests_total", "Queries refused by acl", ["server", "zone", "view"]
);
counter!(
    /// Queries that an acl answered with nothing.
    ACL_FILTERED, "coredns_acl_filtered_requests_total", "Queries answered with nothing by acl", ["server", "zone", "view"]
);
counter!(
    /// Queries that an acl left without answer.
    ACL_DROPPED, "coredns_acl_dropped_requests_total", "Queries left without answer by acl", ["server", "zone", "view"]
);
counter!(
    /// Queries that an acl let through.
    ACL_ALLOWED, "coredns_acl_allowed_requests_total", "Queries let through by acl", ["server", "view"]
);
counter!(
    /// Queries that a template answered.
    TEMPLATE_MATCHES, "coredns_template_matches_total", "Queries that a template matched",
    ["server", "zone", "view", "class", "type"]
);
counter!(
    /// Templates that could not be filled in.
    TEMPLATE_FAILURES, "coredns_template_template_failures_total", "Templates that could not be filled in",
    ["server", "zone", "view", "class", "type", "section", "template"]
);
counter!(
    /// Templates whose text was no record.
    TEMPLATE_RR_FAILURES, "coredns_template_rr_failures_total", "Filled-in templates that are no record",
    ["server", "zone", "view", "class", "type", "section", "template"]
);
counter!(
    /// Queries that dns64 answered from IPv4 addresses.
    DNS64_TRANSLATED, "coredns_dns64_requests_translated_total", "AAAA queries answered from IPv4 addresses by dns64", ["server"]
);
counter!(
    /// Queries for localhost below another name.
    LOCALHOST, "coredns_local_localhost_requests_total", "Queries for names that begin with localhost"
);

/// Names in hosts files.
pub(crate) static HOSTS_ENTRIES: LazyLock<prometheus::GaugeVec> = LazyLock::new(|| {
    prometheus::GaugeVec::new(
        Opts::new("coredns_hosts_entries", "Entries of hosts files and inline hosts"),
        &["hostsfile"],
    )
    .expect("the name is well-formed")
});

/// When a hosts file was last read.
pub(crate) static HOSTS_RELOAD: LazyLock<Gauge> = LazyLock::new(|| {
    Gauge::new("coredns_hosts_reload_timestamp_seconds", "Unix time of the last reading of a hosts file")
        .expect("the name is well-formed")
});

/// Registers the metrics of all plugins.
///
/// # Errors
/// When one of them is registered already.
pub fn register(registry: &Registry) -> prometheus::Result<()> {
    registry.register(Box::new(AUTOPATH_SUCCESS.clone()))?;
    registry.register(Box::new(ACL_BLOCKED.clone()))?;
    registry.register(Box::new(ACL_FILTERED.clone()))?;
    registry.register(Box::new(ACL_DROPPED.clone()))?;
    registry.register(Box::new(ACL_ALLOWED.clone()))?;
    registry.register(Box::new(TEMPLATE_MATCHES.clone()))?;
    registry.register(Box::new(TEMPLATE_FAILURES.clone()))?;
    registry.register(Box::new(TEMPLATE_RR_FAILURES.clone()))?;
    registry.register(Box::new(DNS64_TRANSLATED.clone()))?;
    registry.register(Box::new(LOCALHOST.clone()))?;
    registry.register(Box::new(HOSTS_ENTRIES.clone()))?;
    registry.register(Box::new(HOSTS_RELOAD.clone()))?;
    super::cache::register(registry)?;
    super::forward::register(registry)?;
    super::loop_::register(registry)?;
    Ok(())
}

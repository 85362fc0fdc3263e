//! The one registry, and what the process says of itself.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntGauge, Registry};
use tokio::runtime::Handle;

use super::{logs, version};
use crate::admin;
use crate::cluster;
use crate::files;
use crate::metrics::{make, metrics};
use crate::plugins;
use crate::serve;
use crate::tasks;

metrics! {
    fn register;

    /// Reloads that failed.
    pub(crate) RELOAD_FAILED: IntCounter =
        "coredns_reload_failed_total", "Counter of the number of failed reload attempts.";
    /// The Corefile in use.
    VERSION_INFO: IntGaugeVec["hash", "value"] =
        "coredns_reload_version_info", "A metric with a constant '1' value, labelled by the hash of the Corefile.";
    /// Directives in use.
    PLUGIN_ENABLED: IntGaugeVec["server", "zone", "view", "name"] =
        "coredns_plugin_enabled", "A metric that indicates whether a plugin is enabled on per server and zone basis.";
    BUILD_INFO: IntGaugeVec["version", "revision", "goversion"] =
        "coredns_build_info", "A metric with a constant '1' value, labelled by version and revision.";
}

/// The registry with the metrics of all rooms.
pub(crate) fn registry(runtime: &Handle) -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    admin::register(&registry)?;
    cluster::register(&registry)?;
    plugins::register(&registry)?;
    serve::metrics::register(&registry)?;
    register(&registry)?;
    tasks::register(&registry)?;
    logs::register(&registry)?;
    #[cfg(target_os = "linux")]
    registry.register(Box::new(super::usage::Usage::new()))?;
    registry.register(Box::new(Tasks::new(runtime.clone())))?;
    registry.register(Box::new(StuckFiles::new()))?;
    BUILD_INFO.with_label_values(&[version::VERSION, version::REVISION, "rust"]).set(1);
    Ok(registry)
}

/// Says which Corefile is in use, and which directives: `[server, zone, view, directive]`.
pub(crate) fn describe(hash: &str, enabled: impl IntoIterator<Item = [String; 4]>) {
    VERSION_INFO.reset();
    VERSION_INFO.with_label_values(&["sha512", hash]).set(1);
    PLUGIN_ENABLED.reset();
    for labels in enabled {
        PLUGIN_ENABLED.with_label_values(&labels.each_ref().map(String::as_str)).set(1);
    }
}

/// The tasks of the runtime, under the name by which dashboards look for what runs at the same time.
struct Tasks {
    gauge: Gauge,
    runtime: Handle,
}

impl Tasks {
    fn new(runtime: Handle) -> Self {
        Self { gauge: make("go_goroutines", "Number of tasks that currently exist.", &[], None), runtime }
    }
}

impl Collector for Tasks {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set(self.runtime.metrics().num_alive_tasks() as f64);
        self.gauge.collect()
    }
}

/// The files that are not read at present.
struct StuckFiles(IntGauge);

impl StuckFiles {
    fn new() -> Self {
        let help = "Files that are not read at present, as their file systems do not answer";
        Self(make("rollcall_files_stuck", help, &[], None))
    }
}

impl Collector for StuckFiles {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.set(i64::try_from(files::stuck()).unwrap_or_default());
        self.0.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rooms_want_the_same_metric() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let registry = registry(runtime.handle()).unwrap();
        describe("07", [["dns://:53", ".", "", "errors"].map(ToOwned::to_owned)]);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "coredns_plugin_enabled{name=\"errors\",server=\"dns://:53\",view=\"\",zone=\".\"} 1\n",
            "coredns_reload_version_info{hash=\"sha512\",value=\"07\"} 1\n",
            "\ngo_goroutines ",
            "\nprocess_open_fds ",
            "\nrollcall_log_lines_dropped_total ",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    /// Metrics in the list of CoreDNS's, in the alerts and on the dashboard are registered before anything is counted.
    #[test]
    fn everything_that_is_listed_or_asked_for_is_registered() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let registry = registry(runtime.handle()).unwrap();
        let list = include_str!("../../tests/fixtures/metrics.txt");
        let names = list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').next());
        let texts = [
            include_str!("../../deploy/monitoring/prometheus-rule.yaml"),
            include_str!("../../deploy/monitoring/grafana-dashboard.json"),
        ];
        let words = texts.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
        let own = words.filter(|word| word.starts_with("rollcall") && word.contains('_'));
        let own: std::collections::BTreeSet<&str> = own.collect();
        assert!(own.len() > 3, "{own:?}");
        for name in names.filter(|name| !name.is_empty()).chain(own) {
            // A name that is taken cannot be had again.
            let second = Gauge::new(name, "another").unwrap();
            assert!(registry.register(Box::new(second)).is_err(), "{name} is not registered");
        }
    }
}

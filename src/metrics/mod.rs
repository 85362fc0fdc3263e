//! Declarations of metrics: name, help and labels stand in one line, and what is declared is registered.
//!
//! Each room declares its own metrics, in lists of [`metrics!`]; the function that a list begins with hands them to a
//! registry. The exceptions are collectors, which make up their numbers when somebody reads them.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

/// Declares metrics, and the function that registers them.
///
/// Labels stand in brackets behind the type, the bounds of a histogram's buckets behind the help where they are its own:
///
/// ```text
/// metrics! {
///     pub(super) fn register;
///
///     /// Answers that were too long.
///     pub(super) OVERSIZED: IntCounter = "example_oversized_total", "Answers that were too long";
///     /// Time that requests took.
///     DURATION: HistogramVec["verb", "host"] = "example_duration_seconds", "Time of a request", [0.1, 1.0];
/// }
/// ```
macro_rules! metrics {
    (
        $see:vis fn $register:ident;
        $(
            $(#[$doc:meta])*
            $visible:vis $name:ident: $kind:ident $([$($label:literal),+])? = $metric:literal, $help:literal $(, $bounds:expr)?;
        )+
    ) => {
        $(
            $(#[$doc])*
            $visible static $name: ::std::sync::LazyLock<::prometheus::$kind> = ::std::sync::LazyLock::new(|| {
                $crate::metrics::make($metric, $help, &[$($($label),+)?], None$(.or(Some(&$bounds)))?)
            });
        )+

        /// Hands the metrics that are declared here to a registry.
        ///
        /// # Errors
        /// When one of the names is taken.
        $see fn $register(registry: &::prometheus::Registry) -> ::prometheus::Result<()> {
            $(registry.register(Box::new($name.clone()))?;)+
            Ok(())
        }
    };
}
pub(crate) use metrics;

/// Bounds of buckets, each twice the one before.
pub(crate) const fn doubled<const N: usize>(first: f64) -> [f64; N] {
    let mut bounds = [first; N];
    let mut at = 1;
    while at < N {
        bounds[at] = bounds[at - 1] * 2.0;
        at += 1;
    }
    bounds
}

/// The metric that a line of [`metrics!`] declares.
///
/// # Panics
/// When a name is not well-formed, or labels or bounds do not go with the type. The lines are constants, and every test that
/// makes a registry makes all metrics.
pub(crate) fn make<M: Metric>(name: &str, help: &str, labels: &[&str], bounds: Option<&[f64]>) -> M {
    let options = labels.iter().fold(Opts::new(name, help), |options, label| options.variable_label(*label));
    M::declare(options, labels, bounds).expect("a line of metrics! is well-formed")
}

/// A type of metric that can be declared.
pub(crate) trait Metric: Collector + Clone {
    /// Makes the metric. A type without labels refuses options that have some.
    fn declare(options: Opts, labels: &[&str], bounds: Option<&[f64]>) -> prometheus::Result<Self>;
}

/// Refuses bounds of buckets for a type that has none.
fn refuse_bounds(bounds: Option<&[f64]>) -> prometheus::Result<()> {
    bounds.map_or(Ok(()), |_| Err(prometheus::Error::Msg("bounds of buckets are for histograms".into())))
}

macro_rules! plain {
    ($($one:ident, $many:ident;)+) => {
        $(
            impl Metric for $one {
                fn declare(options: Opts, _: &[&str], bounds: Option<&[f64]>) -> prometheus::Result<Self> {
                    refuse_bounds(bounds)?;
                    Self::with_opts(options)
                }
            }

            impl Metric for $many {
                fn declare(options: Opts, labels: &[&str], bounds: Option<&[f64]>) -> prometheus::Result<Self> {
                    refuse_bounds(bounds)?;
                    Self::new(options, labels)
                }
            }
        )+
    };
}

plain! {
    IntCounter, IntCounterVec;
    IntGauge, IntGaugeVec;
    Gauge, GaugeVec;
}

/// Options of a histogram; Prometheus's own bounds where none are declared.
fn histogram(options: Opts, bounds: Option<&[f64]>) -> HistogramOpts {
    let options = HistogramOpts::from(options);
    match bounds {
        Some(bounds) => options.buckets(bounds.to_vec()),
        None => options,
    }
}

impl Metric for Histogram {
    fn declare(options: Opts, _: &[&str], bounds: Option<&[f64]>) -> prometheus::Result<Self> {
        Self::with_opts(histogram(options, bounds))
    }
}

impl Metric for HistogramVec {
    fn declare(options: Opts, labels: &[&str], bounds: Option<&[f64]>) -> prometheus::Result<Self> {
        Self::new(histogram(options, bounds), labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    metrics! {
        fn register;

        ASKED: IntCounter = "test_asked_total", "Asked";
        TOOK: HistogramVec["by"] = "test_took_seconds", "Took", doubled::<3>(0.25);
        WAITED: Histogram = "test_waited_seconds", "Waited";
    }

    #[test]
    fn what_a_line_declares_is_what_is_read() {
        let registry = prometheus::Registry::new();
        register(&registry).unwrap();
        assert!(register(&registry).is_err(), "the names are taken");
        ASKED.inc();
        TOOK.with_label_values(&["me"]).observe(0.3);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "# HELP test_asked_total Asked\n# TYPE test_asked_total counter\ntest_asked_total 1\n",
            "test_took_seconds_bucket{by=\"me\",le=\"0.25\"} 0\n",
            "test_took_seconds_bucket{by=\"me\",le=\"0.5\"} 1\ntest_took_seconds_bucket{by=\"me\",le=\"1\"} 1\n",
            "test_waited_seconds_bucket{le=\"0.005\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(WAITED.get_sample_count(), 0);
    }

    #[test]
    fn labels_and_bounds_go_with_the_type() {
        let options = || Opts::new("test", "Test");
        assert!(IntCounter::declare(options().variable_label("by"), &["by"], None).is_err());
        assert!(IntGaugeVec::declare(options(), &["by"], Some(&[1.0])).is_err());
        assert!(Histogram::declare(options(), &[], Some(&[2.0, 1.0])).is_err());
    }
}

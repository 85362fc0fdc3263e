//! The counters of queries: CoreDNS's names, labels and buckets, without a look-up of labels per query.
//!
//! A [`CounterGroup`] holds the counters of one server block zone, one shard for each data thread that has counted there and one
//! for everybody else.
//! A data thread is the only writer of its shard, so that it counts with plain additions; [`Export`] adds the shards
//! up when metrics are read. Groups are found once for each plan and outlive it: counters never go back on a reload.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::chain::Transport;
use crate::metrics::metrics;
use crate::wire::{Rcode, Rtype};

metrics! {
    fn register_common;

    /// Queries that were dropped because too many were waiting for a plugin.
    pub(super) QUEUE_DROPPED: IntCounter =
        "rollcall_queue_dropped_total", "Queries dropped because too many were in flight";
    /// Queries that were dropped because their thread could not keep up with datagrams.
    pub(super) OVERLOAD_DROPPED: IntCounter =
        "rollcall_overload_dropped_total", "Queries over UDP dropped before the plugins as datagrams come too fast";
    /// Panics that were caught; the query got SERVFAIL.
    pub(super) PANICS: IntCounter = "coredns_panics_total", "Panics while answering a query";
    /// Answers that could not be sent.
    pub(super) SEND_FAILED: IntCounter =
        "rollcall_udp_send_failed_total", "UDP answers that the system refused to send";
    /// Answers that the rate of their client's network did not allow.
    pub(super) RATE_DROPPED: IntCounter =
        "rollcall_rrl_dropped_total", "UDP answers dropped by response rate limiting";
    /// Answers that were sent truncated instead.
    pub(super) RATE_TRUNCATED: IntCounter =
        "rollcall_rrl_truncated_total", "UDP answers sent truncated by response rate limiting";
    /// Queries and answers that `shed` dropped.
    SHED: IntCounterVec["server", "reason"] =
        "coredns_shed_dropped_total", "Queries and responses dropped, per server, by reason";
    /// Answers of which 64 KiB do not hold all records.
    pub(super) OVERSIZED: IntCounter =
        "rollcall_answers_oversized_total", "Answers whose records exceed the largest DNS message";
    /// Connections that were closed to make room.
    pub(super) CONNECTIONS_SHED: IntCounter =
        "rollcall_tcp_connections_shed_total", "TCP connections closed or refused at the limit";
    /// Answers that found no room because those of others are not taken.
    pub(super) UNREAD_SHED: IntCounter =
        "rollcall_tcp_unread_shed_total", "Connections closed as answers that nobody takes filled their room";
    /// Handshakes of TLS that failed or took too long.
    pub(super) HANDSHAKES_FAILED: IntCounter =
        "rollcall_tls_handshakes_failed_total", "TLS handshakes that failed or took too long";
    /// Answers over HTTPS, by HTTP status.
    pub(super) HTTPS_RESPONSES: IntCounterVec["server", "status"] =
        "coredns_dns_https_responses_total", "DNS over HTTPS answers by HTTP status";
    /// Streams over QUIC, by what became of them.
    pub(super) QUIC_RESPONSES: IntCounterVec["server", "status"] =
        "coredns_dns_quic_responses_total", "DNS over QUIC answers by application error code";
    /// Failures to accept a connection.
    pub(super) ACCEPT_FAILED: IntCounter = "rollcall_tcp_accept_errors_total", "Failures to accept a TCP connection";
    /// Open connections.
    pub(super) CONNECTIONS: IntGauge = "rollcall_tcp_connections", "Open connections over TCP, TLS and QUIC";
}

/// Registers the metrics of this room.
///
/// # Errors
/// When one of them is registered already.
pub fn register(registry: &Registry) -> prometheus::Result<()> {
    register_common(registry)?;
    registry.register(Box::new(Export::new()?))
}

/// The counters of `shed` at one server.
#[derive(Clone, Debug)]
pub(super) struct ShedCounters {
    /// Queries that were dropped before the chain.
    pub(super) queries: prometheus::IntCounter,
    /// Answers that had waited and could not be sent.
    pub(super) responses: prometheus::IntCounter,
}

impl ShedCounters {
    /// The counters of a server; shown from now on, though nothing is dropped yet.
    pub(super) fn of(server: &str) -> Self {
        let of = |reason| SHED.with_label_values(&[server, reason]);
        Self { queries: of("query"), responses: of("response") }
    }
}

//----------- CounterGroup ---------------------------------------------------

/// The counters of one zone of one server block.
#[derive(Debug)]
pub struct CounterGroup {
    server: Arc<str>,
    zone: Arc<str>,
    view: Arc<str>,
    /// The shard that any thread may count in.
    shared: CounterShard,
    /// The shards that one thread each counts in alone, by [`ShardId`].
    shards: Box<[OnceLock<Box<CounterShard>>]>,
    /// Answers by plugins other than [`PLUGINS`], and response codes without a place of their own.
    others: Mutex<HashMap<(u16, &'static str), u64>>,
}

/// An answered query, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    pub(super) transport: Transport,
    pub(super) v6: bool,
    pub(super) qtype: Rtype,
    pub(super) dnssec_ok: bool,
    pub(super) size: usize,
    /// The answer: its size, its response code and the plugin that wrote it; `None` for silence.
    pub(super) reply: Option<(usize, Rcode, &'static str)>,
}

/// The shard that a thread counts in: one of its own, given back when dropped, or the shared one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ShardId(Option<usize>);

impl ShardId {
    /// The shard that any thread may count in.
    pub(super) const SHARED: &'static Self = &Self(None);

    /// Takes a shard that no other thread has; the shared one when there is none left.
    pub(super) fn take() -> Self {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let free = (0..shard_count()).find(|id| !taken.contains(id));
        taken.extend(free);
        Self(free)
    }
}

impl Drop for ShardId {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|&id| Some(id) != self.0);
    }
}

static TAKEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Twice the cores: two addresses with a thread for each core count without sharing.
fn shard_count() -> usize {
    static COUNT: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 64) * 2);
    *COUNT
}

static GROUPS: Mutex<Vec<Arc<CounterGroup>>> = Mutex::new(Vec::new());

/// The counters of a zone: those that exist, or new ones.
pub fn group(server: &str, zone: &str, view: &str) -> Arc<CounterGroup> {
    let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    let found = groups.iter().find(|group| (&*group.server, &*group.zone, &*group.view) == (server, zone, view));
    if let Some(group) = found {
        return group.clone();
    }
    let group = Arc::new(CounterGroup {
        server: server.into(),
        zone: zone.into(),
        view: view.into(),
        shared: CounterShard::default(),
        shards: (0..shard_count()).map(|_| OnceLock::new()).collect(),
        others: Mutex::default(),
    });
    groups.push(group.clone());
    group
}

impl CounterGroup {
    /// Counts one query, all but its duration.
    #[inline]
    pub(super) fn observe(&self, shard: &ShardId, observed: &Observed) {
        let (shard, alone) = self.shard(shard);
        let proto = protocol(observed.transport);
        let add = |counter: &AtomicU64, amount| add(counter, amount, alone);
        if let Some(counter) =
            shard.requests.get((proto * 2 + usize::from(observed.v6)) * TYPES.len() + type_index(observed.qtype))
        {
            add(counter, 1);
        }
        if observed.dnssec_ok {
            add(&shard.dnssec_ok, 1);
        }
        if let Some(sizes) = shard.request_size.get(proto) {
            sizes.observe(size_bucket(observed.size), observed.size as u64, alone);
        }
        let Some((size, rcode, plugin)) = observed.reply else { return };
        if let Some(sizes) = shard.response_size.get(proto) {
            sizes.observe(size_bucket(size), size as u64, alone);
        }
        let own = PLUGINS.iter().position(|&own| own == plugin);
        match own.and_then(|own| shard.responses.get(own)?.get(usize::from(rcode.0))) {
            Some(counter) => add(counter, 1),
            None => {
                let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
                *others.entry((rcode.0, plugin)).or_default() += 1;
            }
        }
    }

    /// Counts how long a query took. Queries of one batch take the time of their batch: one reading of the clock.
    #[inline]
    pub(super) fn took(&self, shard: &ShardId, duration: Duration) {
        let (shard, alone) = self.shard(shard);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // 0.25 ms times powers of two.
        let bucket = match nanos.div_ceil(250_000) {
            0 | 1 => 0,
            quarters => quarters.next_power_of_two().trailing_zeros() as usize,
        };
        shard.duration.observe(bucket, nanos, alone);
    }

    /// The counters of a thread, and whether it is their only writer.
    fn shard(&self, id: &ShardId) -> (&CounterShard, bool) {
        let own = id.0.and_then(|id| self.shards.get(id));
        own.map_or((&self.shared, false), |shard| (shard.get_or_init(Box::default), true))
    }

    fn all_shards(&self) -> impl Iterator<Item = &CounterShard> {
        self.shards.iter().filter_map(OnceLock::get).map(|shard| &**shard).chain([&self.shared])
    }
}

/// The counters that one thread writes, on cache lines of their own.
#[derive(Debug)]
#[repr(align(128))]
struct CounterShard {
    requests: [AtomicU64; PROTOCOLS.len() * 2 * TYPES.len()],
    responses: [[AtomicU64; 24]; PLUGINS.len()],
    duration: Distribution<17>,
    request_size: [Distribution<15>; PROTOCOLS.len()],
    response_size: [Distribution<15>; PROTOCOLS.len()],
    dnssec_ok: AtomicU64,
}

impl Default for CounterShard {
    fn default() -> Self {
        Self {
            requests: [const { AtomicU64::new(0) }; _],
            responses: [const { [const { AtomicU64::new(0) }; 24] }; _],
            duration: Distribution::default(),
            request_size: Default::default(),
            response_size: Default::default(),
            dnssec_ok: AtomicU64::new(0),
        }
    }
}

/// A histogram: a count for each bucket, the last one for all that is above.
#[derive(Debug)]
struct Distribution<const N: usize> {
    buckets: [AtomicU64; N],
    sum: AtomicU64,
}

impl<const N: usize> Default for Distribution<N> {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; N], sum: AtomicU64::new(0) }
    }
}

impl<const N: usize> Distribution<N> {
    #[inline]
    fn observe(&self, bucket: usize, value: u64, alone: bool) {
        if let Some(counter) = self.buckets.get(bucket.min(N - 1)) {
            add(counter, 1, alone);
            add(&self.sum, value, alone);
        }
    }
}

/// Adds; the only writer of a counter needs no locked instruction.
#[inline]
fn add(counter: &AtomicU64, amount: u64, alone: bool) {
    if alone {
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    } else {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

/// The protocols as CoreDNS counts them: HTTPS as TCP, QUIC as UDP; their own counters tell them apart.
const PROTOCOLS: [&str; 2] = ["udp", "tcp"];

fn protocol(transport: Transport) -> usize {
    match transport {
        Transport::Udp | Transport::Quic => 0,
        Transport::Tcp | Transport::Https => 1,
    }
}

/// Declares the types that are counted by name; all others are `other`.
macro_rules! counted_types {
    ($($rtype:ident)+) => {
        const TYPES: &[&str] = &[$(stringify!($rtype),)+ "other"];

        /// The place of a type in [`TYPES`]. The comparisons become one jump.
        fn type_index(qtype: Rtype) -> usize {
            let mut index = 0;
            $(
                if qtype == Rtype::$rtype {
                    return index;
                }
                index += 1;
            )+
            index
        }
    };
}

counted_types! { A AAAA CNAME DNSKEY DS MX NSEC3 NSEC NS PTR RRSIG SOA SRV TXT HTTPS SVCB IXFR AXFR ANY }

/// The plugins whose answers are counted without a look-up; none is the server itself.
const PLUGINS: [&str; 4] = ["", "kubernetes", "cache", "forward"];

const SIZES: [u16; 14] = [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16_000, 32_000, 48_000, 64_000];

fn size_bucket(size: usize) -> usize {
    SIZES.iter().take_while(|&&bound| usize::from(bound) < size).count()
}

//----------- Export ---------------------------------------------------------

/// Adds up what the shards hold, when metrics are read.
struct Export {
    descriptions: Vec<Desc>,
}

const FAMILIES: [(&str, &str, &[&str]); 6] = [
    ("coredns_dns_requests_total", "Queries received", &["server", "zone", "view", "proto", "family", "type"]),
    ("coredns_dns_responses_total", "Answers by response code", &["server", "zone", "view", "rcode", "plugin"]),
    ("coredns_dns_request_duration_seconds", "Time that each query took", &["server", "zone", "view"]),
    ("coredns_dns_request_size_bytes", "Size of queries", &["server", "zone", "view", "proto"]),
    ("coredns_dns_response_size_bytes", "Size of answers", &["server", "zone", "view", "proto"]),
    ("coredns_dns_do_requests_total", "Queries with the DO bit set", &["server", "zone", "view"]),
];

impl Export {
    fn new() -> prometheus::Result<Self> {
        let descriptions = FAMILIES
            .iter()
            .map(|(name, help, labels)| {
                let labels = labels.iter().map(|&label| label.to_owned()).collect();
                Desc::new((*name).to_owned(), (*help).to_owned(), labels, HashMap::new())
            })
            .collect::<prometheus::Result<_>>()?;
        Ok(Self { descriptions })
    }
}

impl Collector for Export {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut metrics: [Vec<Metric>; 6] = Default::default();
        for group in &groups {
            group.collect(&mut metrics);
        }
        let families = FAMILIES.iter().zip(metrics).enumerate();
        families
            .filter(|(_, (_, metrics))| !metrics.is_empty())
            .map(|(index, (family, metrics))| {
                let mut exported = MetricFamily::default();
                exported.set_name(family.0.to_owned());
                exported.set_help(family.1.to_owned());
                exported.set_field_type(if (2..5).contains(&index) {
                    MetricType::HISTOGRAM
                } else {
                    MetricType::COUNTER
                });
                exported.set_metric(metrics);
                exported
            })
            .collect()
    }
}

impl CounterGroup {
    /// Writes out what has been counted, in the order of [`FAMILIES`].
    fn collect(
        &self,
        [requests, responses, durations, request_sizes, response_sizes, dnssec_ok]: &mut [Vec<Metric>; 6],
    ) {
        let place: [(&str, &str); 3] = [("server", &self.server), ("zone", &self.zone), ("view", &self.view)];
        let labelled = |labels: &[(&str, &str)]| -> Vec<LabelPair> {
            // Sorted by name, as the text format's readers expect.
            let mut pairs: Vec<_> = place.iter().chain(labels).collect();
            pairs.sort_unstable();
            pairs
                .into_iter()
                .map(|(name, value)| {
                    let mut pair = LabelPair::default();
                    pair.set_name((*name).to_owned());
                    pair.set_value((*value).to_owned());
                    pair
                })
                .collect()
        };
        let sum = |read: &dyn Fn(&CounterShard) -> Option<&AtomicU64>| -> u64 {
            self.all_shards().filter_map(read).map(|counter| counter.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
        };
        for (proto, label) in PROTOCOLS.iter().enumerate() {
            for (family, family_label) in ["1", "2"].iter().enumerate() {
                for (qtype, type_label) in TYPES.iter().enumerate() {
                    let index = (proto * 2 + family) * TYPES.len() + qtype;
                    let count = sum(&|shard| shard.requests.get(index));
                    if count > 0 {
                        let labels = [("proto", *label), ("family", *family_label), ("type", *type_label)];
                        requests.push(counted(labelled(&labels), count));
                    }
                }
            }
            let labels = || labelled(&[("proto", *label)]);
            let bounds = || SIZES.iter().map(|&size| f64::from(size));
            let asked = self.all_shards().filter_map(|shard| shard.request_size.get(proto));
            request_sizes.extend(distributed(asked, bounds(), 1.0, labels));
            let answered = self.all_shards().filter_map(|shard| shard.response_size.get(proto));
            response_sizes.extend(distributed(answered, bounds(), 1.0, labels));
        }
        let mut answered: HashMap<(u16, &str), u64> = HashMap::new();
        for (&key, &count) in &*self.others.lock().unwrap_or_else(PoisonError::into_inner) {
            answered.insert(key, count);
        }
        for (plugin, name) in PLUGINS.into_iter().enumerate() {
            for rcode in 0..24 {
                let count = sum(&|shard| shard.responses.get(plugin)?.get(usize::from(rcode)));
                *answered.entry((rcode, name)).or_default() += count;
            }
        }
        for ((rcode, plugin), count) in answered {
            // A rate of failures is wanted before the first of them.
            if count > 0 || (rcode, plugin) == (Rcode::SERVFAIL.0, "") {
                responses.push(counted(labelled(&[("rcode", &Rcode(rcode).to_string()), ("plugin", plugin)]), count));
            }
        }
        let bounds = (0..16).map(|power| 0.000_25 * f64::from(1 << power));
        let taken = self.all_shards().map(|shard| &shard.duration);
        durations.extend(distributed(taken, bounds, 1e-9, || labelled(&[])));
        let count = sum(&|shard| Some(&shard.dnssec_ok));
        if count > 0 {
            dnssec_ok.push(counted(labelled(&[]), count));
        }
    }
}

fn counted(labels: Vec<LabelPair>, count: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(count as f64);
    let mut metric = Metric::default();
    metric.set_label(labels);
    metric.set_counter(counter);
    metric
}

/// A histogram over all shards; `None` when nothing was observed.
fn distributed<'s, const N: usize>(
    shards: impl Iterator<Item = &'s Distribution<N>>,
    bounds: impl Iterator<Item = f64>,
    unit: f64,
    labels: impl FnOnce() -> Vec<LabelPair>,
) -> Option<Metric> {
    let mut counts = [0u64; N];
    let mut sum = 0u64;
    for distribution in shards {
        for (count, bucket) in counts.iter_mut().zip(&distribution.buckets) {
            *count += bucket.load(Ordering::Relaxed);
        }
        sum = sum.wrapping_add(distribution.sum.load(Ordering::Relaxed));
    }
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let mut below = 0;
    let buckets = bounds.zip(counts).map(|(bound, count)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(total);
    histogram.set_sample_sum(sum as f64 * unit);
    let mut metric = Metric::default();
    metric.set_label(labels());
    metric.set_histogram(histogram);
    Some(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBSERVED: Observed = Observed {
        transport: Transport::Udp,
        v6: false,
        qtype: Rtype::SRV,
        dnssec_ok: true,
        size: 60,
        reply: Some((300, Rcode::NOERROR, "kubernetes")),
    };

    #[test]
    fn counters_of_all_threads_are_exported_under_the_names_of_coredns() {
        let group = group("dns://:53", "counted.test.", "");
        let own = ShardId::take();
        for shard in [ShardId::SHARED, &own, &own, &ShardId(Some(9999))] {
            group.observe(shard, &OBSERVED);
            group.took(shard, Duration::from_micros(250));
        }
        group.observe(
            &own,
            &Observed {
                transport: Transport::Tcp,
                v6: true,
                qtype: Rtype(4711),
                dnssec_ok: false,
                size: 101,
                reply: Some((1000, Rcode::NXDOMAIN, "forward")),
            },
        );
        group.took(&own, Duration::from_secs(60));
        group.observe(&own, &Observed { reply: None, ..OBSERVED });
        let registry = Registry::new();
        registry.register(Box::new(Export::new().unwrap())).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| line.contains("counted.test.")).collect();
        for line in [
            r#"coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="SRV",view="",zone="counted.test."} 5"#,
            r#"coredns_dns_requests_total{family="2",proto="tcp",server="dns://:53",type="other",view="",zone="counted.test."} 1"#,
            r#"coredns_dns_responses_total{plugin="kubernetes",rcode="NOERROR",server="dns://:53",view="",zone="counted.test."} 4"#,
            r#"coredns_dns_responses_total{plugin="forward",rcode="NXDOMAIN",server="dns://:53",view="",zone="counted.test."} 1"#,
            r#"coredns_dns_request_duration_seconds_bucket{server="dns://:53",view="",zone="counted.test.",le="0.00025"} 4"#,
            r#"coredns_dns_request_duration_seconds_bucket{server="dns://:53",view="",zone="counted.test.",le="8.192"} 4"#,
            r#"coredns_dns_request_duration_seconds_bucket{server="dns://:53",view="",zone="counted.test.",le="+Inf"} 5"#,
            r#"coredns_dns_request_size_bytes_bucket{proto="tcp",server="dns://:53",view="",zone="counted.test.",le="100"} 0"#,
            r#"coredns_dns_request_size_bytes_bucket{proto="tcp",server="dns://:53",view="",zone="counted.test.",le="200"} 1"#,
            r#"coredns_dns_response_size_bytes_sum{proto="udp",server="dns://:53",view="",zone="counted.test."} 1200"#,
            r#"coredns_dns_do_requests_total{server="dns://:53",view="",zone="counted.test."} 5"#,
        ] {
            assert!(lines.contains(&line), "{line} is not in\n{}", lines.join("\n"));
        }
    }

    #[test]
    fn no_two_threads_count_in_one_shard() {
        let (first, second) = (ShardId::take(), ShardId::take());
        assert!(first != second || first == *ShardId::SHARED);
    }

    #[test]
    fn the_counters_of_a_zone_outlive_a_reload() {
        assert!(Arc::ptr_eq(&group("dns://:53", "kept.test.", ""), &group("dns://:53", "kept.test.", "")));
        assert!(!Arc::ptr_eq(&group("dns://:53", "kept.test.", ""), &group("dns://:53", "kept.test.", "v")));
    }

    #[test]
    fn durations_fall_into_the_bucket_that_is_not_below_them() {
        for (nanos, bucket) in
            [(0, 0), (250_000, 0), (250_001, 1), (500_000, 1), (500_001, 2), (8_192_000_000, 15), (8_192_000_001, 16)]
        {
            let group = group("dns://:53", &format!("{nanos}.duration.test."), "");
            group.took(ShardId::SHARED, Duration::from_nanos(nanos));
            let counts: Vec<_> =
                group.shared.duration.buckets.iter().map(|count| count.load(Ordering::Relaxed)).collect();
            assert_eq!(counts.iter().position(|&count| count == 1), Some(bucket), "{nanos} ns");
        }
    }
}

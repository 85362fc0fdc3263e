//! The use that this process makes of the machine: processor time, memory, descriptors, threads. Linux alone.
//!
//! By hand, as the crate that `prometheus` has for it brings second copies of two others: seven numbers from four files.

use std::fs;
use std::os::unix::fs::MetadataExt;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntGauge};

use crate::metrics::make;

/// The numbers, read anew whenever metrics are.
pub(super) struct Usage {
    units: Units,
    processor: IntCounter,
    /// In the order of [`GAUGES`].
    gauges: [IntGauge; GAUGES.len()],
}

const PROCESSOR: (&str, &str) = ("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");

const GAUGES: [(&str, &str); 6] = [
    ("process_open_fds", "Number of open file descriptors."),
    ("process_max_fds", "Maximum number of open file descriptors."),
    ("process_virtual_memory_bytes", "Virtual memory size in bytes."),
    ("process_resident_memory_bytes", "Resident memory size in bytes."),
    ("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
    ("process_threads", "Number of OS threads in the process."),
];

impl Usage {
    pub(super) fn new() -> Self {
        Self {
            units: Units::read().unwrap_or(Units { page: 4096, tick: 100 }),
            processor: make(PROCESSOR.0, PROCESSOR.1, &[], None),
            gauges: GAUGES.map(|(name, help)| make(name, help, &[], None)),
        }
    }

    /// Reads what the system tells; what it does not tell stays as it was.
    fn read(&self) {
        let now = Now::read(&self.units);
        // Two may read metrics at the same time.
        self.processor.inc_by(now.seconds.unwrap_or_default().saturating_sub(self.processor.get()));
        let told =
            [now.descriptors, now.most_descriptors, now.virtual_octets, now.resident_octets, now.start, now.threads];
        for (gauge, number) in self.gauges.iter().zip(told) {
            if let Some(number) = number.and_then(|number| i64::try_from(number).ok()) {
                gauge.set(number);
            }
        }
    }
}

impl Collector for Usage {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.iter().flat_map(Collector::desc).chain(self.processor.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        self.gauges.iter().flat_map(Collector::collect).chain(self.processor.collect()).collect()
    }
}

/// One reading of what the kernel tells.
#[derive(Debug, Default)]
struct Now {
    descriptors: Option<u64>,
    most_descriptors: Option<u64>,
    virtual_octets: Option<u64>,
    resident_octets: Option<u64>,
    /// In seconds since 1970.
    start: Option<u64>,
    threads: Option<u64>,
    /// Of the processor, spent by the process and by the system for it.
    seconds: Option<u64>,
}

impl Now {
    fn read(units: &Units) -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // proc_pid_stat(5). The name of the program, the second field, may hold anything.
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let field = |number: usize| rest.split(' ').nth(number - 3)?.parse::<u64>().ok();
        let spent = field(14).zip(field(15)).map(|(own, system)| own + system);
        Self {
            descriptors: descriptors(),
            most_descriptors: most_descriptors(),
            virtual_octets: field(23),
            resident_octets: field(24).map(|pages| pages * units.page),
            start: field(22).zip(boot()).map(|(ticks, boot)| ticks / units.tick + boot),
            threads: field(20),
            seconds: spent.map(|ticks| ticks / units.tick),
        }
    }
}

/// The open descriptors. The size of the folder tells them from Linux 6.2 on; before that it is 0.
fn descriptors() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.size() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64),
        size => Some(size),
    }
}

/// The limit of this process; `None` without one.
fn most_descriptors() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
}

/// When the machine was started, in seconds since 1970.
fn boot() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// The units that the kernel counts in.
#[derive(Debug)]
struct Units {
    /// The octets of a page.
    page: u64,
    /// Ticks in a second.
    tick: u64,
}

impl Units {
    /// Reads them from what the kernel hands to every program: pairs of machine words, getauxval(3).
    fn read() -> Option<Self> {
        const PAGE_SIZE: u64 = 6;
        const CLOCK_TICKS: u64 = 17;
        let words = fs::read("/proc/self/auxv").ok()?;
        let word = |octets: &[u8]| octets.try_into().ok().map(usize::from_ne_bytes).map(|word| word as u64);
        let pairs = words.chunks_exact(2 * size_of::<usize>()).filter_map(|pair| {
            let (key, value) = pair.split_at_checked(size_of::<usize>())?;
            word(key).zip(word(value))
        });
        let find =
            |wanted: u64| pairs.clone().find(|(key, value)| *key == wanted && *value > 0).map(|(_, value)| value);
        Some(Self { page: find(PAGE_SIZE)?, tick: find(CLOCK_TICKS)? })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_numbers_are_those_of_this_process() {
        let units = Units::read().unwrap();
        assert!(units.page.is_power_of_two() && units.page >= 4096 && (1..=10_000).contains(&units.tick), "{units:?}");
        let now = Now::read(&units);
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(now.start.unwrap() <= clock + 1 && now.start.unwrap() + 86_400 > clock, "{now:?}");
        assert!(now.threads.unwrap() >= 2, "{now:?}");
        assert!((3..100_000).contains(&now.descriptors.unwrap()), "{now:?}");
        let (resident, whole) = (now.resident_octets.unwrap(), now.virtual_octets.unwrap());
        assert!(1 << 20 < resident && resident < whole, "{now:?}");
        // The kernel's own words for the same.
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let kilobytes =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        let kilobytes: u64 = kilobytes.unwrap();
        assert!(resident.abs_diff(kilobytes * 1024) < resident / 2, "{resident} and {kilobytes} kB");
    }

    #[test]
    fn processor_time_never_goes_back() {
        let usage = Usage::new();
        usage.processor.inc_by(1_000_000);
        assert_eq!(usage.collect().len(), usage.desc().len());
        assert_eq!(usage.processor.get(), 1_000_000);
    }
}

//! The programs that are there to compare with, and the conditions that figures were taken under.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The programs found; what is missing is told in [`missing`](Self::missing).
pub(crate) struct Machine {
    pub(crate) rollcall: PathBuf,
    pub(crate) coredns: Option<PathBuf>,
    pub(crate) nsd: Option<PathBuf>,
    pub(crate) knot: Option<PathBuf>,
    pub(crate) dnsperf: Option<PathBuf>,
    pub(crate) missing: Vec<String>,
}

impl Machine {
    /// Looks where each program is: CoreDNS where `COREDNS` says, the others in the search path.
    pub(crate) fn look() -> Self {
        let mut machine = Self {
            rollcall: PathBuf::from(env!("CARGO_BIN_EXE_rollcall")),
            coredns: std::env::var_os("COREDNS").map(PathBuf::from).filter(|path| path.is_file()),
            nsd: in_path("nsd"),
            knot: in_path("knotd"),
            dnsperf: in_path("dnsperf"),
            missing: Vec::new(),
        };
        machine.coredns = machine.coredns.or_else(|| in_path("coredns"));
        for (found, name, how) in [
            (machine.coredns.is_some(), "CoreDNS", "set COREDNS=PATH, `go install github.com/coredns/coredns@latest`"),
            (machine.nsd.is_some(), "NSD", "the package nsd"),
            (machine.knot.is_some(), "Knot DNS", "the package knot"),
            (machine.dnsperf.is_some(), "dnsperf", "the package dnsperf; nothing is asked at a rate without it"),
        ] {
            if !found {
                machine.missing.push(format!("{name} was not found: {how}"));
            }
        }
        machine
    }

    /// Versions, processor, kernel, load and date, a line each.
    pub(crate) fn conditions(&self) -> Vec<String> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let cores = cores();
        let days = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs() / 86_400);
        let mut lines = vec![
            format!("date: {}", date(days)),
            format!("processor: {cores} cores, {}", model.map_or("unknown", |(_, model)| model)),
            format!("kernel: Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            format!("load before: {}", read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")),
        ];
        let load = read("/proc/loadavg").split(' ').next().and_then(|load| load.parse::<f64>().ok());
        if load.is_some_and(|load| load > cores as f64) {
            lines.push(
                "other programs kept the machine busy: ratios of processor time hold, latencies say little".into(),
            );
        }
        for (name, path, flag) in [
            ("rollcall", Some(&self.rollcall), "-version"),
            ("CoreDNS", self.coredns.as_ref(), "-version"),
            ("NSD", self.nsd.as_ref(), "-v"),
            ("Knot DNS", self.knot.as_ref(), "-V"),
        ] {
            if let Some(version) = path.and_then(|path| first_line(path, flag)) {
                lines.push(format!("{name}: {version}"));
            }
        }
        lines
    }
}

/// How many cores this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A command that has only the first so many cores, or all.
pub(crate) fn on_cores(program: &Path, cores: Option<usize>) -> Command {
    let Some(cores) = cores else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["-c", &format!("0-{}", cores - 1)]).arg(program);
    command
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let usual = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn first_line(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}

/// A day since 1970 as a date of the Gregorian calendar.
fn date(days: u64) -> String {
    // Years that begin in March put the leap day at their end.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{}-{month:02}-{day:02}", era * 400 + year + carry)
}

//! Questions at full speed or at a rate, asked by dnsperf.

use std::io;
use std::path::Path;

use super::machine::on_cores;
use super::servers::Server;

/// What one run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// Answers per second.
    pub(crate) rate: f64,
    /// Microseconds of the server's processor time for each answer.
    pub(crate) cpu: f64,
    /// Questions without an answer.
    pub(crate) lost: f64,
    /// Latencies in milliseconds, sorted; only of a run at a rate.
    pub(crate) latencies: Vec<f64>,
}

impl Run {
    /// The latency that such a part of all answers does not exceed.
    pub(crate) fn percentile(&self, part: f64) -> f64 {
        let at = ((self.latencies.len() as f64 * part) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).copied().unwrap_or(f64::NAN)
    }
}

/// How questions are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// At full speed over UDP.
    Udp,
    /// At full speed over TCP.
    Tcp,
    /// At so many a second over UDP, each latency noted.
    Rate(u32),
    /// At full speed over UDP, with a thread on each of the first so many cores and on no other.
    Cores(usize),
}

/// Asks the questions of a file, over and over.
pub(crate) fn run(program: &Path, server: &Server, questions: &Path, seconds: f64, how: How) -> io::Result<Run> {
    let cores = if let How::Cores(cores) = how { Some(cores) } else { None };
    let threads = cores.unwrap_or(1);
    let mut command = on_cores(program, cores);
    command.args(["-s", "127.0.0.1", "-p", &server.port.to_string(), "-d"]).arg(questions);
    command.args(["-c", &(8 * threads).to_string(), "-T", &threads.to_string(), "-q", &(200 * threads).to_string()]);
    command.args(["-l", &seconds.to_string()]);
    if let How::Tcp = how {
        command.args(["-m", "tcp"]);
    }
    if let How::Rate(rate) = how {
        command.args(["-v", "-Q", &rate.to_string()]);
    }
    let before = server.cpu();
    let output = command.output()?;
    let spent = server.cpu() - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
    };
    let answered = field("Queries completed:").filter(|&answered| answered > 0.0).ok_or_else(|| {
        io::Error::other(format!("dnsperf got no answers: {text}{}", String::from_utf8_lossy(&output.stderr)))
    })?;
    let mut latencies: Vec<f64> = text
        .lines()
        .filter(|line| line.starts_with("> ") && !line.starts_with("> T"))
        .filter_map(|line| Some(line.rsplit(' ').next()?.parse::<f64>().ok()? * 1e3))
        .collect();
    latencies.sort_unstable_by(f64::total_cmp);
    Ok(Run {
        rate: field("Queries per second:").unwrap_or(0.0),
        cpu: spent * 1e6 / answered,
        lost: field("Queries lost:").unwrap_or(0.0),
        latencies,
    })
}

/// The middle of several figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

//! One comparison that anyone can repeat: `cargo bench --bench versus [-- --quick] [-- --out FOLDER]`.
//!
//! Servers that are found on the machine get the same records and the same questions, in turn, several times in one
//! run. All of them share the cores with dnsperf and with the API server of this process, so that ratios mean more than
//! figures. The whole takes about nine minutes, `--quick` about two. Results are kept in `benches/results`, those of a
//! quick run only where `--out` says.

#![expect(clippy::print_stdout, reason = "the figures are its purpose")]

mod chart;
mod cores;
mod dnsperf;
mod growth;
mod machine;
mod records;
mod report;
mod servers;
mod speed;
mod writes;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use rollcall_testing::api_server::ApiServer;

use machine::Machine;
use records::Cluster;
use report::Report;

/// What all measurements need.
struct Bench {
    machine: Machine,
    runtime: tokio::runtime::Runtime,
    quick: bool,
    report: Report,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this too, and wants to know no figures.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("compares with other servers: run it with `cargo bench --bench versus`");
        return ExitCode::SUCCESS;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let out = arguments.iter().position(|argument| argument == "--out").and_then(|at| arguments.get(at + 1));
    match run(quick, out.map(PathBuf::from)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("the comparison ended early: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(quick: bool, out: Option<PathBuf>) -> io::Result<()> {
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut bench = Bench { machine: Machine::look(), runtime, quick, report: Report::default() };
    bench.report.say("# rollcall beside other servers\n");
    for line in bench.machine.conditions() {
        bench.report.say(&format!("- {line}"));
    }
    for line in std::mem::take(&mut bench.machine.missing) {
        bench.report.say(&format!("- {line}"));
    }
    bench.speed()?;
    bench.cores()?;
    bench.writes()?;
    bench.growth()?;
    bench.report.say(&format!("\nThe run took {} s.", begun.elapsed().as_secs()));
    let kept = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results"));
    match out.or_else(|| (!quick).then_some(kept)) {
        Some(folder) => bench.report.keep(&folder),
        None => Ok(()),
    }
}

impl Bench {
    /// An API server that holds a cluster.
    fn api(&self, cluster: Cluster) -> ApiServer {
        let api = self.runtime.block_on(ApiServer::start());
        for (plural, object) in cluster.objects() {
            api.apply(plural, object);
        }
        // Who lists needs no history; those that watch from now on get theirs.
        api.compact();
        api
    }
}

/// Figures over a row of places, by the name of the server.
type Series = Vec<(String, Vec<f64>)>;

/// Adds a figure to the row of this name.
fn note(series: &mut Series, title: &str, figure: f64) {
    match series.iter_mut().find(|(found, _)| found == title) {
        Some((_, figures)) => figures.push(figure),
        None => series.push((title.to_owned(), vec![figure])),
    }
}

/// A thousandth of a second as figures show it.
fn milliseconds(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

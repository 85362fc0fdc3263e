//! From the API's write to the answer, alone and while other slices change; latency of answers meanwhile.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rollcall_testing::api_server::ApiServer;

use super::dnsperf::{self, How, Run, median};
use super::milliseconds;
use super::records::{Cluster, Load};
use super::servers::{Client, Corefile, Server};
use super::{Bench, Series};

/// Changed slices per second.
const CHANGES: [u32; 4] = [0, 30, 100, 300];

impl Bench {
    pub(crate) fn writes(&mut self) -> io::Result<()> {
        let cluster = Cluster::ASKED;
        let api = self.api(cluster);
        let mut servers = vec![Server::of_corefile("rollcall", &self.machine.rollcall, Corefile::Cached(&api.url()))?];
        if let Some(program) = &self.machine.coredns {
            servers.push(Server::of_corefile("CoreDNS", program, Corefile::Kubeadm(&api.url()))?);
        }
        for server in &mut servers {
            server.answers(&Cluster::peer(7, 3))?;
        }
        let folder = tempfile::tempdir()?;
        let questions = folder.path().join("questions");
        fs::write(&questions, cluster.questions(Load::Mix))?;
        let count = if self.quick { 30 } else { 500 };
        let mut shown = Series::new();
        let mut rows: Vec<(String, Vec<Option<f64>>)> = Vec::new();
        let (mut late, mut cpus) = (Series::new(), Series::new());
        for server in &servers {
            let (mut p99, mut latency, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
            for changes in CHANGES {
                let (mut times, run, spent) = while_changing(&api, cluster, changes, || {
                    let times = while_asked(server, || visible(&api, cluster, server, count))?;
                    let seconds = if self.quick { 1.5 } else { 4.0 };
                    let before = (server.cpu(), Instant::now());
                    let run = match &self.machine.dnsperf {
                        Some(program) => dnsperf::run(program, server, &questions, seconds, How::Rate(3000))?,
                        None => Run::default(),
                    };
                    Ok((times, run, (server.cpu() - before.0) / before.1.elapsed().as_secs_f64()))
                })?;
                times.sort_unstable_by(f64::total_cmp);
                let most = times.last().copied().unwrap_or(f64::NAN);
                p99.push(times.get(times.len() * 99 / 100).copied().unwrap_or(most));
                rows.push((
                    format!("{}, {changes} changes/s", server.title),
                    vec![Some(median(times.clone())), p99.last().copied(), Some(most)],
                ));
                latency.push(run.percentile(0.99));
                cpu.push(spent * 100.0);
            }
            shown.push((server.title.to_owned(), p99));
            late.push((server.title.to_owned(), latency));
            cpus.push((server.title.to_owned(), cpu));
        }
        let columns = ["p50", "p99", "max"].map(str::to_owned);
        self.report.table(
            "From the API's write to the answer at 1,000 queries per second, for a name asked for just before (ms)",
            &columns,
            &rows,
        );
        let places = CHANGES.map(|changes| format!("{changes} changes/s"));
        self.report.lines("visible", "From the API's write to the answer, p99", "ms", &places, &shown);
        if self.machine.dnsperf.is_some() {
            let title = "Latency at 3,000 queries per second while slices change, p99";
            self.report.lines("churn", title, "ms", &places, &late);
            let title = "Processor time at 3,000 queries per second while slices change";
            self.report.lines("churn-cpu", title, "% of a core", &places, &cpus);
        }
        Ok(())
    }
}

/// Runs `then` while so many slices a second get other addresses.
fn while_changing<T>(
    api: &ApiServer,
    cluster: Cluster,
    changes: u32,
    then: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let change = |number: u32| {
        // The first Service is left alone: its changes are the ones waited for.
        let service = 1 + number as usize % (cluster.services - 1);
        api.apply("endpointslices", cluster.slice(service, 0, number % 7 + 1));
    };
    meanwhile(changes, change, then)
}

/// Runs `then` while a thousand questions a second are asked.
fn while_asked<T>(server: &Server, then: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let client = Client::new(server.port)?;
    let ask = |_| {
        let _ = client.address(&Cluster::peer(7, 3), Duration::from_secs(1));
    };
    meanwhile(1000, ask, then)
}

/// Runs `then`, and `each` so many times a second until that is done.
fn meanwhile<T>(rate: u32, each: impl Fn(u32) + Sync, then: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        if rate > 0 {
            scope.spawn(|| {
                let begun = Instant::now();
                for number in 1.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    each(number);
                    let due = begun + Duration::from_secs_f64(f64::from(number) / f64::from(rate));
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            });
        }
        let done = then();
        stop.store(true, Ordering::Relaxed);
        done
    })
}

/// Adds endpoints to a Service, one at a time, and waits for each; gives the times in milliseconds.
fn visible(api: &ApiServer, cluster: Cluster, server: &Server, count: usize) -> io::Result<Vec<f64>> {
    let client = Client::new(server.port)?;
    let mut times = Vec::new();
    for number in 0..count {
        let wider = Cluster { endpoints: 1 + number % 90, ..cluster };
        api.apply("endpointslices", wider.slice(0, 0, 0));
        std::thread::sleep(Duration::from_millis(5));
        let name = Cluster::peer(0, wider.endpoints);
        let wider = Cluster { endpoints: wider.endpoints + 1, ..wider };
        // Asked for before it is there: what says no must not be believed any longer than it is true.
        let _ = client.address(&name, Duration::from_secs(1));
        api.apply("endpointslices", wider.slice(0, 0, 0));
        let written = Instant::now();
        while client.address(&name, Duration::from_secs(1)) != Some(true) {
            if written.elapsed() > Duration::from_secs(35) {
                return Err(io::Error::other(format!("{} never shows {name}", server.title)));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        times.push(milliseconds(written.elapsed()));
    }
    Ok(times)
}

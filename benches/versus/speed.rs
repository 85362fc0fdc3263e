//! Questions at full speed and at a rate: how many a second, at what processor time, how late.

use std::fs;
use std::io;

use super::Bench;
use super::dnsperf::{self, How, Run, median};
use super::records::{Cluster, Load};
use super::servers::{Corefile, Server};

/// The rate at which latency is measured: what two cores carry with any of the servers.
const RATE: u32 = 3000;

impl Bench {
    pub(crate) fn speed(&mut self) -> io::Result<()> {
        let Some(dnsperf) = self.machine.dnsperf.clone() else { return Ok(()) };
        let cluster = Cluster::ASKED;
        let api = self.api(cluster);
        let folder = tempfile::tempdir()?;
        let mut servers = Server::all(&self.machine, &api.url(), &cluster.zone_file(), None)?;
        // Servers that remember what the first of them says.
        let upstream = servers.first().map_or(0, |server| server.port);
        let mut forwarding =
            vec![Server::of_corefile("rollcall", &self.machine.rollcall, Corefile::Forward(upstream))?];
        if let Some(program) = &self.machine.coredns {
            forwarding.push(Server::of_corefile("CoreDNS", program, Corefile::Forward(upstream))?);
        }
        for server in servers.iter_mut().chain(&mut forwarding) {
            server.answers(&Cluster::peer(7, 3))?;
        }
        let names: Vec<String> = servers.iter().map(|server| server.title.to_owned()).collect();
        let (rounds, seconds) = if self.quick { (1, 1.0) } else { (3, 2.0) };
        let (mut rates, mut cpus) = (Vec::new(), Vec::new());
        for (title, load, how, forwarded) in [
            ("A of a pod", Load::A, How::Udp, false),
            ("SRV of 5", Load::Srv, How::Udp, false),
            ("NXDOMAIN", Load::NxDomain, How::Udp, false),
            ("mix", Load::Mix, How::Udp, false),
            ("mix over TCP", Load::Mix, How::Tcp, false),
            ("forwarded, cached", Load::Mix, How::Udp, true),
        ] {
            let questions = folder.path().join("questions");
            fs::write(&questions, cluster.questions(load))?;
            let asked = if forwarded { &forwarding } else { &servers };
            if forwarded {
                // The first round fills the memory.
                for server in asked {
                    dnsperf::run(&dnsperf, server, &questions, 1.0, how)?;
                }
            }
            let mut runs: Vec<Vec<Run>> = asked.iter().map(|_| Vec::new()).collect();
            for _ in 0..rounds {
                for (server, runs) in asked.iter().zip(&mut runs) {
                    runs.push(dnsperf::run(&dnsperf, server, &questions, seconds, how)?);
                }
            }
            let column = |figure: fn(&Run) -> f64| {
                names
                    .iter()
                    .map(|name| {
                        let at = asked.iter().position(|server| server.title == name)?;
                        Some(median(runs.get(at)?.iter().map(figure).collect()))
                    })
                    .collect::<Vec<Option<f64>>>()
            };
            rates.push((title.to_owned(), column(|run| run.rate / 1e3)));
            cpus.push((title.to_owned(), column(|run| run.cpu)));
        }
        self.report.bars("cpu", "Processor time of the server for each query", "µs", &names, &cpus);
        self.report.bars("rate", "Queries per second", "thousands", &names, &rates);
        fs::write(folder.path().join("questions"), cluster.questions(Load::Mix))?;
        let mut latencies: [Vec<Option<f64>>; 3] = Default::default();
        for server in &servers {
            let mut best: Option<Run> = None;
            for _ in 0..rounds.min(2) {
                let seconds = if self.quick { 1.5 } else { 3.0 };
                let questions = folder.path().join("questions");
                let run = dnsperf::run(&dnsperf, server, &questions, seconds, How::Rate(RATE))?;
                // The machine is shared: the quieter of two rounds says more of the server.
                if best.as_ref().is_none_or(|best| run.percentile(0.99) < best.percentile(0.99)) {
                    best = Some(run);
                }
            }
            let best = best.unwrap_or_default();
            latencies[0].push(Some(best.percentile(0.5)));
            latencies[1].push(Some(best.percentile(0.99)));
            latencies[2].push(Some(best.lost));
        }
        let [half, late, lost] = latencies;
        let rows = [("p50".to_owned(), half), ("p99".to_owned(), late)];
        self.report.bars("latency", "Latency at 3,000 queries per second", "ms", &names, &rows);
        self.report.table("Queries without an answer at that rate", &names, &[("lost".to_owned(), lost)]);
        Ok(())
    }
}

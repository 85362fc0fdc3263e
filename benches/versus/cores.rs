//! What a core added brings: server and load share one core, then two, and so on.

use std::fs;
use std::io;

use super::dnsperf::{self, How, median};
use super::machine;
use super::records::{Cluster, Load};
use super::servers::Server;
use super::{Bench, Series, note};

impl Bench {
    /// The load grows with the cores and stays on them, so that what is lost beyond one is lost to waiting for each other.
    pub(crate) fn cores(&mut self) -> io::Result<()> {
        let Some(dnsperf) = self.machine.dnsperf.clone() else { return Ok(()) };
        let cluster = Cluster::ASKED;
        let api = self.api(cluster);
        let folder = tempfile::tempdir()?;
        let (questions, zone) = (folder.path().join("questions"), cluster.zone_file());
        fs::write(&questions, cluster.questions(Load::Mix))?;
        let counts: Vec<usize> = (0..).map(|power| 1 << power).take_while(|count| *count <= machine::cores()).collect();
        let (rounds, seconds) = if self.quick { (1, 1.0) } else { (3, 2.0) };
        let [mut rates, mut cpus]: [Series; 2] = Default::default();
        for count in counts.iter().copied() {
            let mut servers = Server::all(&self.machine, &api.url(), &zone, Some(count))?;
            servers.retain(|server| server.title != "CoreDNS, cache 30");
            let mut found = vec![Vec::new(); servers.len()];
            for server in &mut servers {
                server.answers(&Cluster::peer(7, 3))?;
            }
            for _ in 0..rounds {
                for (server, found) in servers.iter().zip(&mut found) {
                    found.push(dnsperf::run(&dnsperf, server, &questions, seconds, How::Cores(count))?);
                }
            }
            for (server, found) in servers.iter().zip(found) {
                let rate = median(found.iter().map(|run| run.rate / 1e3).collect());
                let cpu = median(found.iter().map(|run| run.cpu).collect());
                note(&mut rates, server.title, rate);
                note(&mut cpus, server.title, cpu);
            }
        }
        let places: Vec<String> =
            counts.iter().map(|count| format!("{count} core{}", if *count == 1 { "" } else { "s" })).collect();
        let title = "Queries per second on so many cores, shared with the load";
        self.report.lines("cores", title, "thousands", &places, &rates);
        // The load takes its part of each core, and as much more for each: what the server lacks shows here.
        let title = "Processor time for each query on so many cores";
        self.report.lines("cores-cpu", title, "µs", &places, &cpus);
        Ok(())
    }
}

//! What larger clusters and larger Services cost: start, memory, processor time.

use std::fs;
use std::io;
use std::time::Duration;

use super::dnsperf::{self, How, median};
use super::milliseconds;
use super::records::{Cluster, Load};
use super::servers::{Corefile, Server, srv_over_tcp};
use super::{Bench, Series, note};

/// Endpoints in headless Services of 20.
const SIZES: [usize; 3] = [1000, 10_000, 100_000];
/// Endpoints of one Service.
const PEERS: [usize; 4] = [5, 100, 1000, 5000];

/// The Service whose SRV records are asked for.
const NAME: &str = "app0.ns0.svc.cluster.local";

impl Bench {
    pub(crate) fn growth(&mut self) -> io::Result<()> {
        let programs: Vec<(&str, _)> =
            [("rollcall", Some(&self.machine.rollcall)), ("CoreDNS", self.machine.coredns.as_ref())]
                .into_iter()
                .filter_map(|(title, program)| Some((title, program?.clone())))
                .collect();
        let empty = || programs.iter().map(|(title, _)| ((*title).to_owned(), Vec::new())).collect::<Series>();
        let [mut starts, mut held, mut peaks, mut cpus] = [empty(), empty(), empty(), empty()];
        let folder = tempfile::tempdir()?;
        let questions = folder.path().join("questions");
        for size in SIZES {
            let cluster = Cluster { services: size / 20, endpoints: 20 };
            let api = self.api(cluster);
            fs::write(&questions, cluster.questions(Load::A))?;
            let mut times = vec![Vec::new(); programs.len()];
            // The last of several starts is kept for what follows.
            for _ in 1..if self.quick { 1 } else { 5 } {
                for ((title, program), times) in programs.iter().zip(&mut times) {
                    let mut server = Server::of_corefile(title, program, Corefile::Kubeadm(&api.url()))?;
                    times.push(milliseconds(server.answers(&Cluster::peer(size / 20 - 1, 19))?));
                }
            }
            for (at, (title, program)) in programs.iter().enumerate() {
                let mut server = Server::of_corefile(title, program, Corefile::Kubeadm(&api.url()))?;
                times[at].push(milliseconds(server.answers(&Cluster::peer(size / 20 - 1, 19))?));
                // Whatever a start leaves behind is gone by then.
                std::thread::sleep(Duration::from_secs(if self.quick { 1 } else { 4 }));
                let (resident, peak) = server.memory();
                starts[at].1.push(median(std::mem::take(&mut times[at])));
                held[at].1.push(resident);
                peaks[at].1.push(peak);
                if let Some(dnsperf) = &self.machine.dnsperf {
                    cpus[at].1.push(dnsperf::run(dnsperf, &server, &questions, 1.0, How::Udp)?.cpu);
                }
            }
        }
        let places = SIZES.map(|size| format!("{size} endpoints"));
        self.report.lines("start", "From the start to the first answer", "ms", &places, &starts);
        self.report.lines("memory", "Resident memory", "MB", &places, &held);
        self.report.lines("peak", "Peak of resident memory", "MB", &places, &peaks);
        if self.machine.dnsperf.is_some() {
            let title = "Processor time for an A query, by the size of the cluster";
            self.report.lines("cluster", title, "µs", &places, &cpus);
        }
        self.services()
    }

    /// SRV answers of Services of any size.
    fn services(&mut self) -> io::Result<()> {
        let Some(dnsperf) = self.machine.dnsperf.clone() else { return Ok(()) };
        let folder = tempfile::tempdir()?;
        let questions = folder.path().join("questions");
        fs::write(&questions, format!("{NAME} SRV\n"))?;
        let mut by_transport: [Series; 2] = Default::default();
        for peers in PEERS {
            let cluster = Cluster { services: 1, endpoints: peers };
            let api = self.api(cluster);
            let mut servers = Server::all(&self.machine, &api.url(), &cluster.zone_file(), None)?;
            servers.retain(|server| server.title != "CoreDNS, cache 30");
            for server in &mut servers {
                server.answers(&Cluster::peer(0, peers - 1))?;
                let seconds = if self.quick { 0.5 } else { 1.5 };
                let udp = dnsperf::run(&dnsperf, server, &questions, seconds, How::Udp)?.cpu;
                let before = server.cpu();
                let count = srv_over_tcp(server.port, NAME, Duration::from_secs_f64(seconds))?;
                let tcp = (server.cpu() - before) * 1e6 / count as f64;
                for (series, figure) in by_transport.iter_mut().zip([udp, tcp]) {
                    note(series, server.title, figure);
                }
            }
        }
        let places = PEERS.map(|peers| format!("{peers} pods"));
        let [udp, tcp] = by_transport;
        self.report.lines(
            "srv-udp",
            "Processor time for SRV over UDP, by the size of the Service",
            "µs",
            &places,
            &udp,
        );
        self.report.lines(
            "srv-tcp",
            "Processor time for SRV over TCP, by the size of the Service",
            "µs",
            &places,
            &tcp,
        );
        Ok(())
    }
}

//! What goes wrong around the server, one after another, again and again.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::RngExt;
use rollcall_testing::queries;
use tokio::sync::watch;

use super::clients::{Asking, Hindered};
use super::proxy::Way;
use super::site::Site;

/// One fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The connections to the API server are reset and none comes to be.
    ApiCut,
    /// They stay and say nothing.
    ApiBlocked,
    /// They say everything late.
    ApiSlow,
    /// The API server stands still, for those who write to it as well.
    ApiStopped,
    /// The upstream says nothing, and many ask for its names.
    UpstreamSilent,
    /// Another Corefile.
    Reload,
    /// A Corefile that is none, and the old one again.
    BadCorefile,
    /// Datagrams that are no queries.
    Garbage,
    /// Connections that say nothing.
    SilentConnections,
    /// The end of the process without a word, and a new one.
    Killed,
    /// The end in order, and a new one.
    Terminated,
}

/// In the order in which they come.
pub(crate) const FAULTS: [Fault; 11] = [
    Fault::ApiCut,
    Fault::Garbage,
    Fault::ApiBlocked,
    Fault::Reload,
    Fault::UpstreamSilent,
    Fault::ApiSlow,
    Fault::Killed,
    Fault::SilentConnections,
    Fault::BadCorefile,
    Fault::ApiStopped,
    Fault::Terminated,
];

impl Fault {
    /// Whether another process answers afterwards.
    pub(crate) fn ends_the_process(self) -> bool {
        matches!(self, Self::Killed | Self::Terminated)
    }
}

/// Who makes the faults.
pub(crate) struct Saboteur {
    pub(crate) site: Site,
    pub(crate) asking: Arc<Asking>,
    pub(crate) way: watch::Sender<Way>,
    /// The process of the API server.
    pub(crate) api_server: u32,
    pub(crate) processes: u64,
}

impl Saboteur {
    /// Lets one fault come and go.
    pub(crate) async fn make(&mut self, fault: Fault) {
        match fault {
            Fault::ApiCut => self.hinder(Way::Cut, Duration::from_secs(3)).await,
            Fault::ApiBlocked => self.hinder(Way::Blocked, Duration::from_secs(8)).await,
            Fault::ApiSlow => self.hinder(Way::Slow(Duration::from_millis(100)), Duration::from_secs(5)).await,
            Fault::ApiStopped => {
                let begun = self.begin_hindrance();
                rollcall_testing::signal(self.api_server, "STOP");
                tokio::time::sleep(Duration::from_secs(4)).await;
                rollcall_testing::signal(self.api_server, "CONT");
                self.end_hindrance(begun);
            }
            Fault::UpstreamSilent => self.ask_for_others().await,
            Fault::Reload => {
                for ttl in [30, 5] {
                    self.site.write_corefile(ttl);
                    self.site.reload("Reloading complete").await;
                }
            }
            Fault::BadCorefile => {
                std::fs::write(self.site.corefile(), ".:53 {\n kubernetes {\n no such words\n").unwrap();
                self.site.reload("reload failed").await;
                self.site.write_corefile(5);
            }
            Fault::Garbage => self.send_garbage().await,
            Fault::SilentConnections => {
                let to = self.site.plain();
                let open = || (0..200).map_while(|_| TcpStream::connect(to).ok()).collect::<Vec<_>>();
                let connections = tokio::task::block_in_place(open);
                tokio::time::sleep(Duration::from_secs(3)).await;
                drop(connections);
            }
            Fault::Killed => self.restart("KILL").await,
            Fault::Terminated => self.restart("TERM").await,
        }
    }

    fn begin_hindrance(&self) -> Instant {
        let begun = Instant::now();
        *self.asking.hindered.lock().unwrap() = Hindered::Since(begun);
        begun
    }

    fn end_hindrance(&self, begun: Instant) {
        *self.asking.hindered.lock().unwrap() = Hindered::Until(begun, Instant::now());
    }

    async fn hinder(&self, way: Way, time: Duration) {
        let begun = self.begin_hindrance();
        self.way.send_replace(way);
        tokio::time::sleep(time).await;
        self.way.send_replace(Way::Open);
        self.end_hindrance(begun);
    }

    async fn ask_for_others(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for n in 0..2_000_u16 {
            let query = queries::query(n, &format!("n{n}.example.org"), queries::A);
            let _ = socket.send_to(&query, self.site.plain());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn send_garbage(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let good = queries::query(1, "s0.default.svc.cluster.local", queries::SRV);
        for _ in 0..300 {
            for _ in 0..10 {
                let mut octets = good.clone();
                let (at, octet) = (rand::rng().random_range(0..octets.len()), rand::rng().random());
                octets[at] = octet;
                octets.truncate(rand::rng().random_range(1..=octets.len()));
                let _ = socket.send_to(&octets, self.site.plain());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn restart(&mut self, signal: &str) {
        self.asking.process.store(0, Ordering::SeqCst);
        tokio::task::block_in_place(|| self.site.restart(signal));
        self.asking.services.iter().for_each(|service| service.lock().unwrap().forget());
        self.processes += 1;
        self.asking.process.store(self.processes, Ordering::SeqCst);
    }
}

/// A socket address of 127.0.0.1.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

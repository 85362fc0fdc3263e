//! One server under measurement: started, watched through /proc, stopped when dropped.

use std::fmt::Write;
use std::fs;
use std::io::{self, Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rollcall_testing::free_port;
use rollcall_testing::queries::{A, SRV, framed, query};

use super::machine::{self, Machine};

/// A running server.
pub(crate) struct Server {
    pub(crate) title: &'static str,
    pub(crate) port: u16,
    /// When its process was started.
    pub(crate) started: Instant,
    child: Child,
    _folder: tempfile::TempDir,
}

/// What a server of Kubernetes names is to do with the cluster's names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Corefile<'c> {
    /// kubeadm's: the cluster's names are not cached.
    Kubeadm(&'c str),
    /// The same with a plain `cache 30`.
    Cached(&'c str),
    /// No cluster: everything comes from this port, and is cached.
    Forward(u16),
}

impl Corefile<'_> {
    fn text(self, port: u16) -> String {
        let mut text = format!(".:{port} {{\n bind 127.0.0.1\n errors\n prometheus 127.0.0.1:0\n loadbalance\n");
        let (cache, upstream) = match self {
            Self::Kubeadm(_) => ("cache 30 {\n disable success cluster.local\n disable denial cluster.local\n }", 9),
            Self::Cached(_) => ("cache 30", 9),
            Self::Forward(upstream) => ("cache 30", upstream),
        };
        if let Self::Kubeadm(api) | Self::Cached(api) = self {
            let zones = "cluster.local in-addr.arpa ip6.arpa";
            let rest = "pods insecure\n fallthrough in-addr.arpa ip6.arpa\n ttl 30";
            let _ = write!(text, " kubernetes {zones} {{\n endpoint {api}\n {rest}\n }}\n");
        }
        let _ = write!(text, " {cache}\n forward . 127.0.0.1:{upstream}\n}}\n");
        text
    }
}

impl Server {
    /// Starts a server that takes a Corefile.
    pub(crate) fn of_corefile(title: &'static str, program: &Path, corefile: Corefile<'_>) -> io::Result<Self> {
        Self::on_cores(title, program, corefile, None)
    }

    /// The same with the first so many cores only.
    fn on_cores(title: &'static str, program: &Path, corefile: Corefile<'_>, cores: Option<usize>) -> io::Result<Self> {
        let files = |port, _: &Path| vec![("Corefile", corefile.text(port))];
        Self::start(title, program, &["-conf", "Corefile"], cores, files)
    }

    /// Starts NSD with a zone file.
    fn nsd(program: &Path, zone: &str, only: Option<usize>) -> io::Result<Self> {
        Self::start("NSD", program, &["-d", "-c", "nsd.conf"], only, |port, folder| {
            let folder = folder.display();
            let cores = only.unwrap_or_else(machine::cores);
            let conf = format!(
                "server:\n ip-address: 127.0.0.1@{port}\n server-count: {cores}\n reuseport: yes\n username: \"\"\n \
                 zonesdir: \"{folder}\"\n pidfile: \"{folder}/pid\"\n database: \"\"\n xfrdfile: \"{folder}/xfrd\"\n \
                 zonelistfile: \"{folder}/list\"\n rrl-ratelimit: 0\nremote-control:\n control-enable: no\n\
                 zone:\n name: cluster.local\n zonefile: zone\n"
            );
            vec![("nsd.conf", conf), ("zone", zone.to_owned())]
        })
    }

    /// Starts Knot DNS with a zone file.
    fn knot(program: &Path, zone: &str, only: Option<usize>) -> io::Result<Self> {
        Self::start("Knot", program, &["-c", "knot.conf"], only, |port, folder| {
            let folder = folder.display();
            let cores = only.unwrap_or_else(machine::cores);
            let conf = format!(
                "server:\n  listen: 127.0.0.1@{port}\n  rundir: {folder}\n  udp-workers: {cores}\n  tcp-workers: {cores}\n\
                 database:\n  storage: {folder}\nzone:\n  - domain: cluster.local\n    storage: {folder}\n    file: zone\n    \
                 zonefile-sync: -1\n    journal-content: none\n"
            );
            vec![("knot.conf", conf), ("zone", zone.to_owned())]
        })
    }

    /// Every server there is with the records of one cluster, with the first so many cores or all.
    pub(crate) fn all(machine: &Machine, api: &str, zone: &str, only: Option<usize>) -> io::Result<Vec<Self>> {
        let mut all = vec![Self::on_cores("rollcall", &machine.rollcall, Corefile::Kubeadm(api), only)?];
        if let Some(program) = &machine.nsd {
            all.push(Self::nsd(program, zone, only)?);
        }
        if let Some(program) = &machine.knot {
            all.push(Self::knot(program, zone, only)?);
        }
        if let Some(program) = &machine.coredns {
            all.push(Self::on_cores("CoreDNS", program, Corefile::Kubeadm(api), only)?);
            all.push(Self::on_cores("CoreDNS, cache 30", program, Corefile::Cached(api), only)?);
        }
        Ok(all)
    }

    fn start(
        title: &'static str,
        program: &Path,
        arguments: &[&str],
        cores: Option<usize>,
        files: impl FnOnce(u16, &Path) -> Vec<(&'static str, String)>,
    ) -> io::Result<Self> {
        let (folder, port) = (tempfile::tempdir()?, free_port());
        for (name, text) in files(port, folder.path()) {
            fs::write(folder.path().join(name), text)?;
        }
        let log = fs::File::create(folder.path().join("log"))?;
        let started = Instant::now();
        let child = machine::on_cores(program, cores)
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { title, port, started, child, _folder: folder })
    }

    /// Waits until a name has an address; gives the time since the start.
    pub(crate) fn answers(&mut self, name: &str) -> io::Result<Duration> {
        let client = Client::new(self.port)?;
        loop {
            if client.address(name, Duration::from_millis(50)) == Some(true) {
                return Ok(self.started.elapsed());
            }
            if self.child.try_wait()?.is_some() || self.started.elapsed() > Duration::from_secs(60) {
                let log = fs::read_to_string(self._folder.path().join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("{} does not answer for {name}: {log}", self.title)));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The processor time that it and its children have taken, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let ticks: u64 = self.processes().iter().filter_map(|stat| Some(number(stat, 11)? + number(stat, 12)?)).sum();
        // The kernel shows a hundred ticks a second to every program.
        ticks as f64 / 100.0
    }

    /// Resident memory, and its peak, in MB.
    pub(crate) fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// The statistics of its process and of the children of that, behind the name of the program.
    fn processes(&self) -> Vec<String> {
        let mut family = vec![u64::from(self.child.id())];
        let mut found = Vec::new();
        let mut all: Vec<u64> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        all.sort_unstable();
        for process in all {
            let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
            let Some((_, stat)) = stat.rsplit_once(") ") else { continue };
            if family.contains(&process) || number(stat, 1).is_some_and(|parent| family.contains(&parent)) {
                family.push(process);
                found.push(stat.to_owned());
            }
        }
        found
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // NSD's children end with their parent, which must be told and not killed.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end && !matches!(self.child.try_wait(), Ok(Some(_))) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn number(stat: &str, field: usize) -> Option<u64> {
    stat.split(' ').nth(field)?.trim().parse().ok()
}

//----------- Client ---------------------------------------------------------

/// Asks one question at a time.
pub(crate) struct Client(UdpSocket);

impl Client {
    pub(crate) fn new(port: u16) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        Ok(Self(socket))
    }

    /// Whether a name has an address; `None` without an answer.
    pub(crate) fn address(&self, name: &str, patience: Duration) -> Option<bool> {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let query = query(id, name, A);
        self.0.set_read_timeout(Some(patience)).ok()?;
        self.0.send(&query).ok()?;
        let mut answer = [0; 1500];
        loop {
            let len = self.0.recv(&mut answer).ok()?;
            if len >= 12 && answer[..2] == id.to_be_bytes() {
                return Some(answer[3] & 0xf == 0 && answer[6..8] != [0, 0]);
            }
        }
    }
}

/// Asks for SRV over and over on one connection, an answer at a time; gives how many came.
pub(crate) fn srv_over_tcp(port: u16, name: &str, time: Duration) -> io::Result<usize> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let framed = framed(&query(1, name, SRV));
    let (begun, mut count, mut answer) = (Instant::now(), 0, vec![0; 65_535]);
    while begun.elapsed() < time {
        stream.write_all(&framed)?;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let answer = answer.get_mut(..usize::from(u16::from_be_bytes(len))).unwrap_or_default();
        stream.read_exact(answer)?;
        count += 1;
    }
    Ok(count)
}

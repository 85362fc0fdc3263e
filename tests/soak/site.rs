//! The server under test: a Corefile with a listener for each transport, and a process that can be started again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcall_testing::{PATIENCE, Server, command, free_port, get, tls};

use super::clients::{TRANSPORTS, Transport};
use super::faults::local;

const COREFILE: &str = "
(cluster) {
    bind 127.0.0.1
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig KUBECONFIG
        ttl TTL
    }
    cache 30
    loadbalance
}
.:UDP {
    import cluster
    ready 127.0.0.1:READY
    forward . UPSTREAM
}
tls://.:TLS {
    import cluster
    tls one.crt one.key
}
https://.:HTTPS {
    import cluster
    tls one.crt one.key
}
quic://.:QUIC {
    import cluster
    tls one.crt one.key
}
";

/// A folder with a Corefile, and the process that serves it.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    server: Server,
    ports: [u16; 4],
    ready: u16,
    upstream: SocketAddr,
    kubeconfig: PathBuf,
}

impl Site {
    /// Starts the server, and waits until it is ready.
    pub(crate) fn start(kubeconfig: &Path, upstream: SocketAddr, certificate: &tls::Certificate) -> Self {
        let folder = tempfile::tempdir().unwrap();
        tls::write(folder.path(), "one", certificate);
        let ports = [(); 4].map(|()| free_port());
        let (ready, kubeconfig) = (free_port(), kubeconfig.to_owned());
        write(folder.path(), 5, ports, ready, upstream, &kubeconfig);
        let server = begin(folder.path(), ready);
        Self { folder, server, ports, ready, upstream, kubeconfig }
    }

    pub(crate) fn corefile(&self) -> PathBuf {
        self.folder.path().join("Corefile")
    }

    pub(crate) fn write_corefile(&self, ttl: u32) {
        write(self.folder.path(), ttl, self.ports, self.ready, self.upstream, &self.kubeconfig);
    }

    /// Where plain queries go.
    pub(crate) fn plain(&self) -> SocketAddr {
        local(self.ports[0])
    }

    /// Where the queries of a transport go.
    pub(crate) fn address(&self, transport: Transport) -> SocketAddr {
        match TRANSPORTS.iter().position(|own| *own == transport) {
            Some(at @ 1..) => local(self.ports[at - 1]),
            _ => self.plain(),
        }
    }

    pub(crate) fn process(&self) -> u32 {
        self.server.child.id()
    }

    /// What the process has said.
    pub(crate) fn said(&self) -> String {
        self.server.said()
    }

    /// Orders to read the Corefile, and waits until the server says what came of it.
    pub(crate) async fn reload(&self, says: &str) {
        let before = self.said().len();
        self.server.signal("USR1");
        let mut left = PATIENCE;
        while !self.said()[before..].contains(says) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            left = left.saturating_sub(Duration::from_millis(20));
            assert!(!left.is_zero(), "{says:?} in {}", &self.said()[before..]);
        }
    }

    /// Ends the process by a signal and starts another one; waits until that is ready.
    pub(crate) fn restart(&mut self, signal: &str) {
        self.server.signal(signal);
        let status = self.server.ended();
        assert!(signal == "KILL" || status.success(), "{status}: {}", self.said());
        self.server = begin(self.folder.path(), self.ready);
    }
}

fn begin(folder: &Path, ready: u16) -> Server {
    let mut command = command();
    command.args(["-conf", "Corefile"]).current_dir(folder);
    let mut server = Server::of(command, "");
    server.up(|| get(ready, "/ready").is_some_and(|(status, _)| status == 200));
    server
}

fn write(folder: &Path, ttl: u32, ports: [u16; 4], ready: u16, upstream: SocketAddr, kubeconfig: &Path) {
    let words = ["UDP", "TLS", "HTTPS", "QUIC"].into_iter().zip(ports.map(|port| port.to_string()));
    let mut text = COREFILE.replace("KUBECONFIG", &kubeconfig.display().to_string());
    text = text.replace("TTL", &ttl.to_string()).replace("READY", &ready.to_string());
    text = text.replace("UPSTREAM", &upstream.to_string());
    for (word, port) in words {
        text = text.replace(&format!(".:{word} "), &format!(".:{port} "));
    }
    // Whole, as a volume of a ConfigMap changes.
    let new = folder.join("Corefile.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join("Corefile")).unwrap();
}

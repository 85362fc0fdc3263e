//! The server under test: the mirror and the zone, behind one UDP socket.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rollcall::cluster::{Connection, Mirror, Options, Settings};
use rollcall::wire::{Name, Parsed, parse};
use rollcall::zone::{Answered, Fallthrough, Pods, View, answer};

/// Answers from a mirror of one cluster until it is dropped.
pub(crate) struct Server {
    addr: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Starts it, and waits until the mirror is complete.
    pub(crate) fn start(kubeconfig: &Path) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let addr = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let connection = Connection::Kubeconfig { file: kubeconfig.to_owned(), context: None };
        let options = Options { connection, ..Options::default() };
        let mirror = Mirror::start(&options, Settings::default(), runtime.handle()).unwrap();
        let synced = mirror.synced();
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(30), synced).await })
            .expect("the mirror syncs");
        let zone = |labels: &[&str]| Name::from_labels(labels.iter().map(|label| label.as_bytes())).unwrap();
        let view = View {
            reader: mirror.reader(),
            zones: vec![zone(&["cluster", "local"]), zone(&["in-addr", "arpa"])],
            multicluster: Vec::new(),
            ttl: 30,
            pods: Pods::Disabled,
            namespaces: None,
            ignore_empty: false,
            zonal: false,
            fallthrough: Fallthrough::None,
            local: Vec::new(),
        };
        let thread = std::thread::spawn(move || {
            let seeds = RandomState::new();
            let (mut query, mut reply) = ([0; 4096], [0; 4096]);
            while !stopped.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut query) else { continue };
                let Parsed::Query(question) = parse(&query[..len]) else { continue };
                let seed = seeds.hash_one(question.id);
                if let Answered::Reply { len, .. } = answer(&question, &view, 4096, true, seed, &mut reply) {
                    let _ = socket.send_to(&reply[..len], from);
                }
            }
            mirror.shutdown();
            drop(runtime);
        });
        Self { addr, stop, thread: Some(thread) }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

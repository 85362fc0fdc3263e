//! Clients that ask all the time, over UDP and over a TCP connection for each query.

use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rollcall_testing::{PATIENCE, comes_true, queries};

/// How long an answer is waited for; longer than any takes on a busy machine.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    /// Over UDP and over TCP.
    answered: [AtomicUsize; 2],
    lost: AtomicUsize,
}

pub(crate) struct Load {
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts to ask for `stays.example`.
    pub(crate) fn start(port: u16) -> Self {
        let counts = Arc::new(Counts::default());
        let client = |way: usize, ask: fn(u16, u16) -> std::io::Result<()>| {
            let counts = counts.clone();
            std::thread::spawn(move || {
                let mut id = 0;
                while !counts.stop.load(Ordering::Relaxed) {
                    id += 1;
                    match ask(port, id) {
                        Ok(()) => counts.answered[way].fetch_add(1, Ordering::Relaxed),
                        Err(_) => counts.lost.fetch_add(1, Ordering::Relaxed),
                    };
                    // The reload is the subject here, not the load.
                    std::thread::sleep(Duration::from_millis(2));
                }
            })
        };
        let clients = vec![client(0, udp), client(1, tcp)];
        Self { counts, clients }
    }

    /// Waits until some more queries have been answered each way, or lost.
    pub(crate) fn goes_on(&self) {
        let count = |way: usize| self.counts.answered[way].load(Ordering::Relaxed) + self.lost();
        let before = [0, 1].map(count);
        assert!(comes_true(PATIENCE, || (0..2).all(|way| count(way) > before[way] + 20)), "nothing is answered");
    }

    pub(crate) fn lost(&self) -> usize {
        self.counts.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn end(mut self) -> Self {
        self.counts.stop.store(true, Ordering::Relaxed);
        self.clients.drain(..).for_each(|client| client.join().unwrap());
        self
    }
}

fn query(id: u16) -> Vec<u8> {
    queries::query(id, "stays.example", queries::A)
}

fn udp(port: u16, id: u16) -> std::io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(ANSWER))?;
    // Not connected: a port that is closed for a moment loses the query.
    socket.send_to(&query(id), (Ipv4Addr::LOCALHOST, port))?;
    socket.recv(&mut [0; 512]).map(drop)
}

fn tcp(port: u16, id: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER))?;
    queries::send(&mut stream, &query(id))?;
    queries::receive(&mut stream).map(drop)
}

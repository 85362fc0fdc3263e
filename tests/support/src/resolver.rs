//! A resolver that does what a test tells it to, over UDP, TCP and TLS on one port.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use crate::queries::question_end;

/// A query as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The message.
    pub octets: Vec<u8>,
    /// Whether it came over a connection.
    pub stream: bool,
    /// How many came before it.
    pub nth: usize,
    /// Which connection brought it; 0 for UDP.
    pub connection: usize,
}

/// What the resolver does then, one after another.
#[derive(Clone, Debug)]
pub enum Act {
    /// Sends these octets.
    Send(Vec<u8>),
    /// Sends these octets from another port.
    SendFromElsewhere(Vec<u8>),
    /// Waits.
    Wait(Duration),
    /// Closes the connection.
    Close,
    /// Closes the connection with a reset.
    Reset,
}

type Script = Arc<dyn Fn(&Asked) -> Vec<Act> + Send + Sync>;

/// The resolver; it ends with its value.
pub struct Resolver {
    /// Where it listens.
    pub address: SocketAddr,
    /// Everything that came.
    pub asked: Arc<Mutex<Vec<Asked>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Resolver {
    /// Starts one on a free port of 127.0.0.1.
    pub async fn start(script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::with_tls(script, None, Duration::ZERO).await
    }

    /// Starts one that speaks TLS on its connections, after a pause.
    pub async fn with_tls(
        script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static,
        tls: Option<Arc<rustls::ServerConfig>>,
        pause: Duration,
    ) -> Self {
        let script: Script = Arc::new(script);
        // UDP and TCP ports are given out apart: another test may have the other one.
        let (listener, socket) = loop {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
                break (listener, socket);
            }
        };
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let udp = tokio::spawn(serve_udp(Arc::new(socket), script.clone(), asked.clone()));
        let seen = asked.clone();
        let connections = AtomicUsize::new(0);
        let tcp = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen, tls) = (script.clone(), seen.clone(), tls.clone());
                let nth = connections.fetch_add(1, Ordering::Relaxed) + 1;
                tokio::spawn(async move {
                    match tls {
                        None => serve_stream(stream, script, seen, nth).await,
                        Some(config) => {
                            tokio::time::sleep(pause).await;
                            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await {
                                serve_stream(stream, script, seen, nth).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, asked, tasks: vec![udp, tcp] }
    }

    /// How many queries came.
    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// Notes a query and says what is to be done.
fn note(seen: &Mutex<Vec<Asked>>, script: &Script, octets: Vec<u8>, stream: bool, connection: usize) -> Vec<Act> {
    let asked = {
        let mut seen = seen.lock().unwrap();
        let asked = Asked { octets, stream, nth: seen.len(), connection };
        seen.push(asked.clone());
        asked
    };
    script(&asked)
}

async fn serve_udp(socket: Arc<UdpSocket>, script: Script, seen: Arc<Mutex<Vec<Asked>>>) {
    let mut buffer = vec![0; 65_535];
    while let Ok((len, peer)) = socket.recv_from(&mut buffer).await {
        let acts = note(&seen, &script, buffer[..len].to_vec(), false, 0);
        let socket = socket.clone();
        tokio::spawn(async move {
            for act in acts {
                match act {
                    Act::Send(octets) => drop(socket.send_to(&octets, peer).await),
                    Act::SendFromElsewhere(octets) => {
                        let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                        drop(other.send_to(&octets, peer).await);
                    }
                    Act::Wait(pause) => tokio::time::sleep(pause).await,
                    Act::Close | Act::Reset => {}
                }
            }
        });
    }
}

async fn serve_stream(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: Script,
    seen: Arc<Mutex<Vec<Asked>>>,
    nth: usize,
) {
    while let Ok(length) = stream.read_u16().await {
        let mut octets = vec![0; usize::from(length)];
        if stream.read_exact(&mut octets).await.is_err() {
            return;
        }
        for act in note(&seen, &script, octets, true, nth) {
            match act {
                Act::Send(octets) | Act::SendFromElsewhere(octets) => {
                    let mut framed = u16::try_from(octets.len()).unwrap().to_be_bytes().to_vec();
                    framed.extend(octets);
                    if stream.write_all(&framed).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
                Act::Wait(pause) => tokio::time::sleep(pause).await,
                Act::Close => return,
                Act::Reset => {
                    // Octets that were not read make the kernel answer the close with a reset; half a message before it.
                    let _ = stream.write_all(&[0, 40, 1]).await;
                    return;
                }
            }
        }
    }
}

/// The answer to a query: 192.0.2.`last` with a TTL of 300, `flags` added to QR, RD and RA. EDNS of the query is dropped.
pub fn answer(query: &[u8], flags: u16, last: u8) -> Vec<u8> {
    let end = question_end(query);
    let mut octets = query[..end].to_vec();
    octets[2..4].copy_from_slice(&(0x8180 | flags).to_be_bytes());
    octets[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    octets.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0x2c, 0, 4, 192, 0, 2, last]);
    octets
}

/// An answer without records.
pub fn empty(query: &[u8], flags: u16) -> Vec<u8> {
    let mut octets = query[..question_end(query)].to_vec();
    octets[2..4].copy_from_slice(&(0x8180 | flags).to_be_bytes());
    octets[6..12].fill(0);
    octets
}

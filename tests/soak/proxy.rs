//! The way from the server to the API server, which can be cut, blocked or slow.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The state of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Everything passes.
    Open,
    /// Connections are reset, new ones are closed at once.
    Cut,
    /// Connections stay, and nothing passes.
    Blocked,
    /// Everything passes, each piece after a pause.
    Slow(Duration),
}

/// Listens on a free port of 127.0.0.1 and passes on to `target`.
pub(crate) async fn start(target: SocketAddr) -> (SocketAddr, watch::Sender<Way>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (way, ways) = watch::channel(Way::Open);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let ways = ways.clone();
            if *ways.borrow() == Way::Cut {
                continue;
            }
            tokio::spawn(async move {
                let Ok(server) = TcpStream::connect(target).await else { return };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::select! {
                    () = pass(from_client, to_server, ways.clone()) => (),
                    () = pass(from_server, to_client, ways.clone()) => (),
                    () = cut(ways) => (),
                }
            });
        }
    });
    (address, way)
}

/// Waits until the way is cut.
async fn cut(mut ways: watch::Receiver<Way>) {
    let _ = ways.wait_for(|way| *way == Way::Cut).await;
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut ways: watch::Receiver<Way>) {
    let mut buffer = vec![0; 16_384];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        let Ok(way) = ways.wait_for(|way| *way != Way::Blocked).await.map(|way| *way) else { return };
        if let Way::Slow(pause) = way {
            tokio::time::sleep(pause).await;
        }
        if to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}

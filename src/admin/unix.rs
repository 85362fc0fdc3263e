//! Pages on a Unix socket with a name and no file: for `kubectl exec`, without settings. Only for processes of the same user,
//! or of root.

use std::future::ready;
use std::io;
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::AdminPage;
use super::http::{self, SitePages};
use super::places::ConnectionPlaces;

/// Connections at a time; for the next, the one longest without a complete request is closed.
const CONNECTIONS: usize = 32;

/// A listening socket and what is shown there; it ends when this is dropped.
#[derive(Debug)]
pub struct LocalSite {
    pages: watch::Sender<Arc<SitePages>>,
}

impl LocalSite {
    /// Listens on the socket of this name.
    ///
    /// # Errors
    /// When another process has it, or the system has no such sockets.
    pub fn start(name: &str, runtime: &Handle) -> io::Result<Self> {
        let _guard = runtime.enter();
        let listener = listen(name)?;
        let (own, _) = UnixStream::pair()?;
        let uid = own.peer_cred()?.uid();
        let (pages, shown) = watch::channel(Arc::default());
        runtime.spawn(accept(listener, uid, shown));
        Ok(Self { pages })
    }

    /// Shows these pages from now on, each at its path.
    pub fn show(&self, pages: impl IntoIterator<Item = (&'static str, AdminPage)>) {
        self.pages.send_replace(Arc::new(pages.into_iter().collect()));
    }
}

async fn accept(listener: UnixListener, uid: u32, pages: watch::Receiver<Arc<SitePages>>) {
    let places = ConnectionPlaces::new(CONNECTIONS);
    let mut shown = pages.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = shown.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            continue;
        };
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == uid || peer.uid() == 0) {
            continue;
        }
        http::begin(ready(Some((stream, None))), pages.clone(), places.take());
    }
}

#[cfg(target_os = "linux")]
fn listen(name: &str) -> io::Result<UnixListener> {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    let listener = std::os::unix::net::UnixListener::bind_addr(&address)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

#[cfg(not(target_os = "linux"))]
fn listen(_: &str) -> io::Result<UnixListener> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "sockets without a file are Linux's"))
}

/// Connects to the socket of this name.
#[cfg(target_os = "linux")]
pub(super) fn connect(name: &str) -> io::Result<UnixStream> {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn connect(_: &str) -> io::Result<UnixStream> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "sockets without a file are Linux's"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{PageAddress, ask, health};

    #[tokio::test]
    async fn a_page_is_shown_on_a_socket_and_a_name_that_is_taken_is_an_error() {
        let name = format!("rollcall-test-{}", std::process::id());
        let address = PageAddress::Socket(name.clone());
        assert!(ask(&address, "/health", &[]).await.is_err(), "nobody listens yet");
        let site = LocalSite::start(&name, &Handle::current()).unwrap();
        site.show([("/health", health())]);
        let (status, body) = ask(&address, "/health", &[]).await.unwrap();
        assert_eq!((status, &*body), (200, "OK"));
        assert_eq!(LocalSite::start(&name, &Handle::current()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(site);
        let mut tries = 0;
        while ask(&address, "/health", &[]).await.is_ok() {
            tries += 1;
            assert!(tries < 1000, "it still listens");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

//! An API server that is not reached over a socket: it is called in this process, as a simulation has it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::Client;
use tower::service_fn;

/// An API server that is called in this process.
#[derive(Clone)]
pub struct Direct {
    name: Arc<str>,
    connect: Arc<dyn Fn() -> Ask + Send + Sync>,
}

/// One connection: from a request, which has no body, to its response.
type Ask = Box<dyn Fn(http::Request<()>) -> Asked + Send>;
type Asked = Pin<Box<dyn Future<Output = io::Result<http::Response<Octets>>> + Send>>;
type Octets = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

impl Direct {
    /// An API server of this name. `connect` is called for each new connection; what it gives is called for each request over
    /// it, and gives a response whose body is a stream of octets. A failure of either is a connection that broke.
    pub fn new<A, F, B>(name: &str, connect: impl Fn() -> A + Send + Sync + 'static) -> Self
    where
        A: Fn(http::Request<()>) -> F + Send + 'static,
        F: Future<Output = io::Result<http::Response<B>>> + Send + 'static,
        B: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let connect = move || -> Ask {
            let ask = connect();
            Box::new(move |request| {
                let asked = ask(request);
                Box::pin(async move { Ok(asked.await?.map(|body| Box::pin(body) as Octets)) })
            })
        };
        Self { name: name.into(), connect: Arc::new(connect) }
    }

    /// A client over a connection of its own.
    ///
    /// # Panics
    /// Outside a tokio runtime: the client starts a task.
    pub(super) fn connect(&self) -> Client {
        let ask = (self.connect)();
        let service = service_fn(move |request: http::Request<kube::client::Body>| {
            let asked = ask(request.map(drop));
            async move { asked.await.map(|response| response.map(|octets| StreamBody::new(octets.map(framed)))) }
        });
        Client::new(service, "default")
    }
}

fn framed(octets: io::Result<Bytes>) -> io::Result<Frame<Bytes>> {
    octets.map(Frame::data)
}

impl fmt::Display for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One server is the same as itself alone.
impl PartialEq for Direct {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.connect, &other.connect)
    }
}

impl Eq for Direct {}

impl Hash for Direct {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.connect).cast::<()>().hash(state);
    }
}

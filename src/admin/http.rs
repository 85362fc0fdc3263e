//! HTTP/1.1 for small pages that are made anew for each request, with limits on what a client can hold on to.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::places::ConnectionPlace;
use super::{AdminPage, PageResponse};

/// The time limit for the head of a request, and for the next request of a connection.
const HEAD: Duration = Duration::from_secs(5);
/// The time limit for everything on one connection, so that a client that never reads its answer is let go.
const CONNECTION: Duration = Duration::from_secs(600);
/// Octets of a request's head.
const BUFFER: usize = 16 << 10;

/// The pages of one address, by path.
pub(super) type SitePages = BTreeMap<&'static str, AdminPage>;

/// Waits until a connection says something, as one that does not is worth no buffer; gives it with the address that it came
/// to.
pub(super) async fn greeted(stream: TcpStream) -> Option<(TcpStream, Option<IpAddr>)> {
    tokio::time::timeout(HEAD, stream.readable()).await.ok()?.ok()?;
    let own = stream.local_addr().ok()?.ip();
    Some((stream, Some(own)))
}

/// Serves a connection with our address, where it has one, once `greeted` hands it over; as long as it has its place and its
/// site.
pub(super) fn begin<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    greeted: impl Future<Output = Option<(S, Option<IpAddr>)>> + Send + 'static,
    pages: watch::Receiver<Arc<SitePages>>,
    place: ConnectionPlace,
) {
    tokio::spawn(async move {
        let current = || {
            place.renew();
            pages.borrow().clone()
        };
        let mut shown = pages.clone();
        let gone = async { while shown.changed().await.is_ok() {} };
        let serving = async {
            if let Some((stream, own)) = greeted.await {
                serve(stream, own, current, gone).await;
            }
        };
        tokio::select! {
            () = serving => {}
            () = place.lost() => {}
        }
    });
}

/// Serves one connection until it ends, or until `gone` and the answer to the present request is sent; `pages` gives what
/// stands there at the time of each request.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    own: Option<IpAddr>,
    pages: impl Fn() -> Arc<SitePages> + Send,
    gone: impl Future<Output = ()>,
) {
    let service = service_fn(|request| {
        let pages = pages();
        async move { Ok::<_, Infallible>(respond(&request, &pages, own).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // Faults of a connection are the client's affair: nobody could act on a log line about them.
    let _ = tokio::time::timeout(CONNECTION, async {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = gone => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    })
    .await;
}

/// Whether a request names the server by an address of this machine. A name that is not ours may be somebody else's who
/// lets it mean this address, to have a browser show its scripts what is here (DNS rebinding).
fn is_local(request: &Request<Incoming>, own: IpAddr) -> bool {
    let Some(host) = request.uri().authority().map(|authority| authority.host().to_owned()).or_else(|| {
        let host = request.headers().get(HOST)?.to_str().unwrap_or(".").to_owned();
        Some(host.parse::<Authority>().map_or(host, |authority| authority.host().to_owned()))
    }) else {
        // No browser leaves it out.
        return true;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback() || address.to_canonical() == own.to_canonical(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

async fn respond(request: &Request<Incoming>, pages: &SitePages, own: Option<IpAddr>) -> http::Response<Full<Bytes>> {
    let made = match pages.get(request.uri().path()) {
        Some(page) if page.is_for_operators && own.is_some_and(|own| !is_local(request, own)) => {
            PageResponse::text(StatusCode::FORBIDDEN, "403 ask by the address, or localhost\n")
        }
        None => PageResponse::text(StatusCode::NOT_FOUND, "404 page not found\n"),
        Some(_) if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            PageResponse::text(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n")
        }
        Some(page) => (page.show)(request.uri().query().unwrap_or_default()).await,
    };
    let mut response = http::Response::new(Full::new(made.body));
    *response.status_mut() = made.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(made.content_type));
    if made.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

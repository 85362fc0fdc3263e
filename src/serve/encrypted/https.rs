//! DNS over HTTPS (RFC 8484), by `hickory-server`: HTTP/2, POST to `/dns-query`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Header, HeaderCounts, MessageType, Metadata, ResponseCode};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::sync::watch;

use super::Listener;
use crate::plugins::chain::{Client, Transport};
use crate::serve::tcp::canonical;
use crate::serve::{Handler, metrics};
use crate::wire::message;

/// Where queries are posted to.
const PATH: &str = "/dns-query";

/// How long ready answers have to leave before connections are closed.
const LINGER: Duration = Duration::from_millis(200);

/// Serves until the order to stop; a listener that ends on its own is started again.
pub(super) async fn serve(listener: std::net::TcpListener, mut with: Listener) {
    let under_way = Arc::new(AtomicUsize::new(0));
    loop {
        let local = canonical(with.address);
        let requests = Requests { handler: with.handler.clone(), local, under_way: under_way.clone() };
        let mut server = Server::new(requests);
        let registered = listener.try_clone().and_then(tokio::net::TcpListener::from_std).and_then(|listener| {
            let config = with.config.clone();
            server.register_https_listener_with_tls_config(listener, with.limits.idle, config, None, PATH.to_owned())
        });
        let why = match registered {
            Err(error) => error.to_string(),
            Ok(()) => tokio::select! {
                () = told(&mut with.stopped) => {
                    while under_way.load(Ordering::Relaxed) > 0 {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    tokio::time::sleep(LINGER).await;
                    let _ = server.shutdown_gracefully().await;
                    return;
                }
                ended = server.block_until_done() => ended.err().map(|error| error.to_string()).unwrap_or_default(),
            },
        };
        metrics::ACCEPT_FAILED.inc();
        tracing::warn!(address = %with.address, why, "an HTTPS listener ended; starting it again");
        tokio::select! {
            () = told(&mut with.stopped) => return,
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
}

/// Waits for the order to stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Hands requests to the handler, and its answers back.
struct Requests {
    handler: Arc<Handler>,
    local: std::net::SocketAddr,
    under_way: Arc<AtomicUsize>,
}

impl RequestHandler for Requests {
    fn handle_request<'s, 'r, 'a, R, T>(
        &'s self,
        request: &'r Request,
        responses: R,
    ) -> Pin<Box<dyn Future<Output = ResponseInfo> + Send + 'a>>
    where
        R: ResponseHandler + 'a,
        T: Time + 'a,
        's: 'a,
        'r: 'a,
        Self: 'a,
    {
        Box::pin(async move {
            let _under_way = UnderWay::new(&self.under_way);
            self.answer(request, responses).await.unwrap_or_else(|| failed(request))
        })
    }
}

impl Requests {
    async fn answer(&self, request: &Request, mut responses: impl ResponseHandler) -> Option<ResponseInfo> {
        let client = Client { peer: canonical(request.src()), local: self.local, transport: Transport::Https };
        let answer = self.handler.clone().answer(request.as_slice(), client).await;
        let status = if answer.is_some() { "200" } else { "500" };
        metrics::HTTPS_RESPONSES.with_label_values(&[&*self.handler.plan().server, status]).inc();
        // Silence resets the stream.
        let answer = message::decode(&answer?.octets).ok()?;
        let response = MessageResponseBuilder::new(&request.queries, answer.edns.as_ref()).build(
            answer.metadata,
            &answer.answers,
            &answer.authorities,
            [],
            &answer.additionals,
        );
        responses.send_response(response).await.ok()
    }
}

fn failed(request: &Request) -> ResponseInfo {
    let mut metadata = Metadata::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
    metadata.response_code = ResponseCode::ServFail;
    Header { metadata, counts: HeaderCounts::default() }.into()
}

/// A request that is not answered yet.
struct UnderWay<'c>(&'c AtomicUsize);

impl<'c> UnderWay<'c> {
    fn new(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

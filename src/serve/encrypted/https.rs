//! DNS over HTTPS (RFC 8484): a query in each request of an HTTP/2 connection, by GET or POST at `/dns-query`.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response, StatusCode, header};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

use super::held::ConnectionRoom;
use crate::chain::{Client, Transport};
use crate::serve::connection_rules::{ConnectionRules, News, Rules};
use crate::serve::connections::Guard;
use crate::serve::handle::LONGEST_QUERY;
use crate::serve::limits::LAST_CALL;
use crate::serve::metrics;
use crate::wire::{Header, Records, Rtype};

/// The path of queries.
const PATH: &str = "/dns-query";

/// The type of queries and answers.
const MESSAGE: &str = "application/dns-message";

/// The headers of one request; the longest query fits into the path of a GET.
const HEADERS: u32 = 16 * 1024;

/// The octets that HTTP/2 itself keeps of an answer that waits to be sent.
const AHEAD: usize = 4096;

/// The longest time that others may keep an answer (`max-age`), and that of an answer without records.
const MOST_AGE: u32 = 3600;
const LEAST_AGE: u32 = 5;

/// The time that a client that was idle has to close the connection itself.
const FAREWELL: Duration = Duration::from_millis(500);

/// Serves a connection until it is idle for too long, its client leaves, or the order to stop has come.
pub(in crate::serve) async fn serve(
    stream: TlsStream<TcpStream>,
    client: Client,
    mut standing: ConnectionRules,
    guard: Guard,
) -> io::Result<()> {
    let client = Client { transport: Transport::Https, ..client };
    let guard = Arc::new(guard);
    let limits = &standing.rules.limits;
    let streams = u32::try_from(limits.in_flight_per_connection).unwrap_or(u32::MAX);
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(streams)
        .max_header_list_size(HEADERS)
        .initial_window_size(LONGEST_QUERY as u32)
        .max_send_buffer_size(AHEAD);
    let shaken = tokio::select! {
        shaken = timeout(limits.handshake, builder.handshake(stream)) => shaken,
        () = guard.closed() => return Ok(()),
    };
    let mut connection = shaken.map_err(|_| io::ErrorKind::TimedOut)?.map_err(io::Error::other)?;
    let held = ConnectionRoom::new(&guard);
    let mut tasks = JoinSet::new();
    let mut active = Instant::now();
    let mut last_call: Option<Instant> = None;
    let mut expired = false;
    loop {
        let idle = tasks.is_empty();
        guard.note(idle);
        let quiet = last_call.unwrap_or(active + standing.rules.limits.idle);
        tokio::select! {
            Some(_) = tasks.join_next(), if !idle => active = Instant::now(),
            accepted = connection.accept() => match accepted {
                // To be asked again on another connection.
                Some(Ok((_, mut respond))) if expired => respond.send_reset(Reason::REFUSED_STREAM),
                Some(Ok((request, respond))) => {
                    active = Instant::now();
                    tasks.spawn(answer(request, respond, client, standing.rules.clone(), held.clone()));
                }
                Some(Err(error)) => return Err(io::Error::other(error)),
                // The client has left, or all is said after the order to stop.
                None => return Ok(()),
            },
            news = standing.news(), if last_call.is_none() => if news != News::Stay {
                // Requests that are under way are still taken; the client is told to send no more.
                connection.graceful_shutdown();
                expired = news == News::Expired;
                last_call = Some(Instant::now() + if expired { FAREWELL } else { LAST_CALL });
            },
            () = guard.closed() => return Ok(()),
            () = sleep_until(quiet), if idle => match last_call {
                Some(_) => return Ok(()),
                None => {
                    connection.graceful_shutdown();
                    last_call = Some(Instant::now() + FAREWELL);
                }
            },
        }
    }
}

/// Answers a request.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    client: Client,
    rules: Arc<Rules>,
    held: ConnectionRoom,
) {
    let (handler, limits) = (&rules.handler, &rules.limits);
    let answered = match query(request, limits.read).await {
        Ok(octets) => match held.answer(handler, &octets, client, limits.write).await {
            Some((answer, room)) => Ok((answer.octets, room)),
            // RFC 8484 section 4.2.1: without an answer there is no success.
            None => Err(StatusCode::INTERNAL_SERVER_ERROR),
        },
        Err(status) => Err(status),
    };
    let status = *answered.as_ref().err().unwrap_or(&StatusCode::OK);
    metrics::HTTPS_RESPONSES.with_label_values(&[&*handler.table().server, status.as_str()]).inc();
    let (body, _room) = answered.map_or_else(|_| (Vec::new(), None), |(body, room)| (body, Some(room)));
    let mut response = Response::builder().status(status).header(header::CONTENT_LENGTH, body.len());
    if status == StatusCode::OK {
        response = response
            .header(header::CONTENT_TYPE, MESSAGE)
            .header(header::CACHE_CONTROL, format!("max-age={}", age(&body)));
    }
    let Ok(response) = response.body(()) else { return respond.send_reset(Reason::INTERNAL_ERROR) };
    // Failures are those of the connection, which ends by itself.
    if let Ok(mut stream) = respond.send_response(response, body.is_empty())
        && !body.is_empty()
    {
        match timeout(limits.write, send(&mut stream, body.into())).await {
            Ok(_) => {}
            Err(_) => stream.send_reset(Reason::CANCEL),
        }
    }
}

/// Sends a body as the client takes it.
async fn send(stream: &mut SendStream<Bytes>, mut body: Bytes) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(room) = poll_fn(|context| stream.poll_capacity(context)).await else { return Ok(()) };
        let part = body.split_to(room?.min(body.len()));
        stream.send_data(part, body.is_empty())?;
    }
    Ok(())
}

/// The octets of a query, or the status that says what is wrong.
async fn query(request: Request<RecvStream>, read: Duration) -> Result<Vec<u8>, StatusCode> {
    let (head, body) = request.into_parts();
    if head.uri.path() != PATH {
        return Err(StatusCode::NOT_FOUND);
    }
    let octets = match head.method {
        Method::GET => return message_of(head.uri.query().unwrap_or_default()),
        Method::POST => timeout(read, receive(body)).await.map_err(|_| StatusCode::REQUEST_TIMEOUT)??,
        _ => return Err(StatusCode::BAD_REQUEST),
    };
    of_a_querys_length(octets)
}

/// The message in the query of a GET's URI.
pub(crate) fn message_of(query: &str) -> Result<Vec<u8>, StatusCode> {
    let mut values = query.split('&').filter_map(|pair| pair.strip_prefix("dns="));
    match (values.next(), values.next()) {
        // RFC 8484 section 6: without padding.
        (Some(value), None) => BASE64URL_NOPAD.decode(value.as_bytes()).map_err(|_| StatusCode::BAD_REQUEST),
        _ => Err(StatusCode::BAD_REQUEST),
    }
    .and_then(of_a_querys_length)
}

/// The octets, if a query may be so long: a header, at least, and no more than is taken over UDP.
fn of_a_querys_length(octets: Vec<u8>) -> Result<Vec<u8>, StatusCode> {
    match octets.len() {
        ..Header::LEN => Err(StatusCode::BAD_REQUEST),
        Header::LEN..=LONGEST_QUERY => Ok(octets),
        _ => Err(StatusCode::PAYLOAD_TOO_LARGE),
    }
}

async fn receive(mut body: RecvStream) -> Result<Vec<u8>, StatusCode> {
    let mut octets = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|_| StatusCode::BAD_REQUEST)?;
        if octets.len() + data.len() > LONGEST_QUERY {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        octets.extend_from_slice(&data);
        let _ = body.flow_control().release_capacity(data.len());
    }
    Ok(octets)
}

/// The seconds that others may keep an answer: no longer than its first record lives (RFC 8484 section 5.1).
pub(crate) fn age(octets: &[u8]) -> u32 {
    let Ok(records) = Records::new(octets) else { return 0 };
    let others = records.filter(|record| !record.as_ref().is_ok_and(|record| record.rtype == Rtype::OPT));
    let least = others.map(|record| record.map_or(0, |record| record.ttl)).min();
    least.map_or(LEAST_AGE, |ttl| ttl.min(MOST_AGE))
}

//! Asks the admin page of another process.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::HOST;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::PageAddress;
use super::unix;

/// The time for the whole answer: what is explained may ask an upstream and the API.
const PATIENCE: Duration = Duration::from_secs(60);
/// The time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Octets of an answer.
const MOST: usize = 16 << 20;

/// Asks for a page with these values, and returns its status and its text.
///
/// # Errors
/// When nobody answers at the address, or not in HTTP; the message is for people.
pub async fn ask(address: &PageAddress, path: &str, values: &[(&str, &str)]) -> Result<(u16, String), String> {
    let pairs = values.iter().map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    let uri = format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"));
    let asked = async {
        match address {
            PageAddress::Tcp(to) => {
                let connected = tokio::time::timeout(CONNECT, TcpStream::connect(to)).await;
                let stream = connected.map_err(|_| format!("no connection within {} s", CONNECT.as_secs()))?;
                get(stream.map_err(|error| error.to_string())?, &to.to_string(), &uri).await
            }
            PageAddress::Socket(name) => {
                get(unix::connect(name).map_err(|error| error.to_string())?, "localhost", &uri).await
            }
        }
    };
    let answered = tokio::time::timeout(PATIENCE, asked).await;
    answered.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
}

async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    uri: &str,
) -> Result<(u16, String), String> {
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    tokio::spawn(connection);
    let request =
        Request::get(uri).header(HOST, host).body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(text)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MOST).collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

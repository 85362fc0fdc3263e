//! The pages for an operator: `/health`, `/ready` and `/metrics`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::StatusCode;
use prometheus::{Registry, TextEncoder};

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageResponse {
    /// The status code.
    pub status: StatusCode,
    /// The content type.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl PageResponse {
    /// Plain text.
    pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// A page, made anew for each request.
#[derive(Clone)]
pub struct AdminPage {
    /// Shows it to a request with this query (behind the `?`).
    pub(super) show: Arc<dyn Fn(&str) -> PageResponse + Send + Sync>,
    /// Refuses requests that name the server by anything but an address of this machine.
    pub(super) is_for_operators: bool,
}

impl AdminPage {
    fn new(show: impl Fn(&str) -> PageResponse + Send + Sync + 'static) -> Self {
        Self { show: Arc::new(show), is_for_operators: false }
    }
}

impl fmt::Debug for AdminPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("is_for_operators", &self.is_for_operators).finish_non_exhaustive()
    }
}

/// `/health`: "OK" for as long as the process can say so.
pub fn health() -> AdminPage {
    AdminPage::new(|_| PageResponse::text(StatusCode::OK, "OK"))
}

/// `/ready`: "OK", or 503 with the names of the plugins that are not ready.
pub fn ready(readiness: Arc<Readiness>) -> AdminPage {
    AdminPage::new(move |_| readiness.respond())
}

/// `/metrics`: everything in the registry, in version 0.0.4 of the text format.
pub fn metrics(registry: Registry) -> AdminPage {
    AdminPage::new(move |_| {
        let mut text = String::new();
        match TextEncoder::new().encode_utf8(&registry.gather(), &mut text) {
            Ok(()) => PageResponse {
                status: StatusCode::OK,
                content_type: "text/plain; version=0.0.4; charset=utf-8",
                body: text.into(),
            },
            Err(error) => {
                PageResponse::text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the metrics: {error}\n"))
            }
        }
    })
}

/// `/explain?name=NAME`: where the answer for a name comes from; 400 with the reason when that cannot be said. Only for who
/// names the server by its address or as `localhost`, 403 for others: a web site must not read it through a browser.
pub fn explain(explain: impl Fn(&str) -> Result<String, String> + Send + Sync + 'static) -> AdminPage {
    let page = AdminPage::new(move |query| {
        let name = query.split('&').find_map(|pair| pair.strip_prefix("name="));
        let name = name.ok_or_else(|| "which name? ask for /explain?name=kubia.default.svc.cluster.local".to_owned());
        match name.and_then(&explain) {
            Ok(text) => PageResponse::text(StatusCode::OK, text),
            Err(why) => PageResponse::text(StatusCode::BAD_REQUEST, why + "\n"),
        }
    });
    AdminPage { is_for_operators: true, ..page }
}

/// Whether the server is ready: asked for at each request, so that it cannot tell an old truth.
pub struct Readiness {
    waiting: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    stopping: Arc<AtomicBool>,
}

impl Readiness {
    /// `waiting` names what is not ready yet; once `stopping` is set, nothing is ready any more.
    pub fn new(waiting: impl Fn() -> Vec<String> + Send + Sync + 'static, stopping: Arc<AtomicBool>) -> Self {
        Self { waiting: Box::new(waiting), stopping }
    }

    fn respond(&self) -> PageResponse {
        if self.stopping.load(Ordering::Acquire) {
            return PageResponse::text(StatusCode::SERVICE_UNAVAILABLE, "Shutting down");
        }
        let waiting: BTreeSet<String> = (self.waiting)().into_iter().collect();
        if waiting.is_empty() {
            return PageResponse::text(StatusCode::OK, "OK");
        }
        PageResponse::text(StatusCode::SERVICE_UNAVAILABLE, waiting.into_iter().collect::<Vec<_>>().join(","))
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("stopping", &self.stopping).finish_non_exhaustive()
    }
}

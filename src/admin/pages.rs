//! The pages for an operator: `/health`, `/ready` and `/metrics`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready as ready_now};
use http::StatusCode;
use percent_encoding::percent_decode_str;
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

/// Makes a page for what stands behind the `?` of a request.
type PageMaker = dyn Fn(&str) -> BoxFuture<'static, PageResponse> + Send + Sync;

/// A page, made anew for each request.
#[derive(Clone)]
pub struct AdminPage {
    /// Shows it to a request with this query (behind the `?`).
    pub(super) show: Arc<PageMaker>,
    /// Refuses requests that name the server by anything but an address of this machine.
    pub(super) is_for_operators: bool,
}

impl AdminPage {
    fn new(show: impl Fn(&str) -> PageResponse + Send + Sync + 'static) -> Self {
        Self { show: Arc::new(move |query| ready_now(show(query)).boxed()), is_for_operators: false }
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

/// A question that the page `/explain` is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedPage {
    /// `name`.
    pub name: String,
    /// `type`.
    pub rtype: Option<String>,
    /// `namespace`: of the pod whose search list completes the name.
    pub namespace: Option<String>,
    /// `output=json`.
    pub json: bool,
}

impl AskedPage {
    /// Reads what stands behind the `?`.
    fn read(query: &str) -> Option<Self> {
        let value = |key: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))?;
            Some(percent_decode_str(pair).decode_utf8_lossy().into_owned())
        };
        let json = value("output").is_some_and(|output| output == "json");
        Some(Self { name: value("name")?, rtype: value("type"), namespace: value("namespace"), json })
    }
}

/// `/explain?name=NAME[&type=TYPE][&namespace=NAMESPACE][&output=json]`: where the answer for a name comes from; 400 with the
/// reason when that cannot be said. Only for who names the server by its address or as `localhost`, 403 for others: a web
/// site must not read it through a browser.
pub fn explain(
    explain: impl Fn(AskedPage) -> BoxFuture<'static, Result<String, String>> + Send + Sync + 'static,
) -> AdminPage {
    let show = move |query: &str| -> BoxFuture<'static, PageResponse> {
        let Some(asked) = AskedPage::read(query) else {
            let which = "which name? ask for /explain?name=kubia.default.svc.cluster.local\n";
            return ready_now(PageResponse::text(StatusCode::BAD_REQUEST, which)).boxed();
        };
        let (json, told) = (asked.json, explain(asked));
        async move {
            match told.await {
                Ok(body) if json => {
                    PageResponse { status: StatusCode::OK, content_type: "application/json", body: body.into() }
                }
                Ok(text) => PageResponse::text(StatusCode::OK, text),
                Err(why) => PageResponse::text(StatusCode::BAD_REQUEST, why + "\n"),
            }
        }
        .boxed()
    };
    AdminPage { show: Arc::new(show), is_for_operators: true }
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

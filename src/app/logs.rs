//! Log lines on standard output, in CoreDNS's shape: `[INFO] plugin/reload: Running configuration …`.
//!
//! Whoever logs puts a line in a queue and goes on: one thread writes, so that a reader of the log who does not read
//! cannot stop an answer. Lines for which there is no room are dropped and counted.

mod queue;

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

pub(super) use queue::DROPPED;
use queue::Queue;

type Control = reload::Handle<Targets, Registry>;

static CONTROL: OnceLock<(Control, Targets)> = OnceLock::new();
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// How long the end of the process waits for its last lines to be taken.
const PATIENCE: Duration = Duration::from_secs(1);

/// Begins to log, at least what `wishes` (`RUST_LOG`) ask for: `info`, `rollcall::cluster=debug`. Only the first call counts.
pub(super) fn start(wishes: Option<&str>) {
    let (wishes, fault) = match wishes.map(Targets::from_str) {
        None => (Targets::new(), None),
        Some(Ok(wishes)) => (wishes, None),
        Some(Err(error)) => (Targets::new(), Some(error)),
    };
    let queue = Queue::start(std::io::stdout(), queue::LINES);
    let (filter, control) = reload::Layer::new(targets(false, &wishes));
    let lines = tracing_subscriber::fmt::layer().event_format(Lines).with_ansi(false).with_writer(queue.clone());
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        let _ = CONTROL.set((control, wishes));
        let _ = QUEUE.set(queue);
    }
    if let Some(fault) = fault {
        tracing::warn!("RUST_LOG is not understood, as in info or rollcall::cluster=debug: {fault}");
    }
}

/// Waits until all lines are written, but not for a reader who does not read.
pub(super) fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(PATIENCE);
    }
}

/// `debug`: debug lines too, or no longer.
pub(super) fn set_debug(debug: bool) {
    if let Some((control, wishes)) = CONTROL.get() {
        let _ = control.reload(targets(debug, wishes));
    }
}

/// Crates that warn of what any client can cause, or of what is told here already: the watch of the API has its own lines.
const QUIET: [&str; 4] = ["h2", "quinn", "quinn_proto", "kube_client"];

/// What other crates say is for their makers, unless it is a warning, or wished for by name.
fn targets(debug: bool, wishes: &Targets) -> Targets {
    let wished = wishes.default_level().unwrap_or(LevelFilter::INFO);
    let ours = if debug { wished.max(LevelFilter::DEBUG) } else { wished };
    let theirs = if debug { LevelFilter::WARN } else { LevelFilter::OFF };
    let quiet = QUIET.iter().map(|target| ((*target).to_owned(), theirs));
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets(quiet)
        .with_target("rollcall", ours)
        .with_target("plugin", ours)
        .with_targets(wishes.iter().map(|(target, level)| (target.to_owned(), level)))
}

struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let meta = event.metadata();
        write!(out, "[{}] {}", level(*meta.level()), source(meta.target()))?;
        context.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

/// Who speaks, as CoreDNS names it.
fn source(target: &str) -> String {
    match target {
        // The lines of `log` are for machines, which expect the query right behind the level.
        "plugin/log" => String::new(),
        _ if target.starts_with("plugin/") => format!("{target}: "),
        _ if target.starts_with("rollcall::cluster") => "plugin/kubernetes: ".to_owned(),
        _ if target.starts_with("rollcall::upstream") => "plugin/forward: ".to_owned(),
        _ if target.starts_with("rollcall") => String::new(),
        _ => format!("{target}: "),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(debug: bool, speak: impl FnOnce()) -> String {
        lines_as_wished(debug, "", speak)
    }

    fn lines_as_wished(debug: bool, wishes: &str, speak: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let wishes = if wishes.is_empty() { Targets::new() } else { wishes.parse().unwrap() };
        let filter = targets(debug, &wishes);
        let layer =
            tracing_subscriber::fmt::layer().event_format(Lines).with_ansi(false).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(filter).with(layer), speak);
        let octets = sink.0.lock().unwrap().clone();
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn lines_look_as_corednss_do() {
        let said = lines(false, || {
            tracing::info!(target: "plugin/log", "127.0.0.1:5 - 7 \"A IN a. udp\"");
            tracing::error!(target: "plugin/errors", "2 a. A: no upstream");
            tracing::warn!(target: "rollcall::cluster::watch", kind = "services", "forbidden");
            tracing::debug!(target: "plugin/cache", "hidden");
            tracing::info!(target: "hyper", "hidden");
            tracing::error!(target: "kube_client::client::builder", "hidden");
            tracing::warn!(target: "quinn::endpoint", "hidden");
        });
        assert_eq!(
            said,
            "[INFO] 127.0.0.1:5 - 7 \"A IN a. udp\"\n[ERROR] plugin/errors: 2 a. A: no upstream\n\
             [WARNING] plugin/kubernetes: forbidden kind=\"services\"\n"
        );
        assert_eq!(lines(true, || tracing::debug!(target: "plugin/cache", "shown")), "[DEBUG] plugin/cache: shown\n");
    }

    #[test]
    fn wishes_choose_what_is_shown() {
        let speak = || {
            tracing::debug!(target: "rollcall::cluster::watch", "watch");
            tracing::info!(target: "rollcall::app", "app");
            tracing::warn!(target: "kube_client::client", "client");
        };
        assert_eq!(lines_as_wished(false, "warn", speak), "");
        assert_eq!(
            lines_as_wished(false, "rollcall::cluster=debug", speak),
            "[DEBUG] plugin/kubernetes: watch\n[INFO] app\n"
        );
        assert_eq!(lines_as_wished(false, "off,kube_client=warn", speak), "[WARNING] kube_client::client: client\n");
        assert_eq!(lines_as_wished(true, "info", speak).lines().count(), 3);
    }
}

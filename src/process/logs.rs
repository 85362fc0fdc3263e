//! Log lines on standard output: CoreDNS's text, `[INFO] plugin/reload: Running configuration …`, or JSON.
//!
//! Whoever logs puts a line into a queue and goes on: one thread writes, so that a reader of the log who does not read
//! cannot stop an answer. Lines for which there is no room are dropped and counted. [`mod@line`] makes a line: one of its own
//! whatever the values in it hold, and of a bounded length.

mod line;
mod queue;

use std::cell::Cell;
use std::panic::PanicHookInfo;
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

pub(crate) use line::{LogFormat, fatal};
use queue::Queue;
pub(crate) use queue::register;

type Control = reload::Handle<Targets, Registry>;

static CONTROL: OnceLock<(Control, Targets)> = OnceLock::new();
static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();

/// The time that the end of the process waits for its last lines to be taken.
const PATIENCE: Duration = Duration::from_secs(1);

/// Begins to log, at least what `wishes` (`RUST_LOG`) ask for: `info`, `rollcall::cluster=debug`. Only the first call counts.
pub(crate) fn start(format: LogFormat, wishes: Option<&str>) {
    let (wishes, fault) = match wishes.map(Targets::from_str) {
        None => (Targets::new(), None),
        Some(Ok(wishes)) => (wishes, None),
        Some(Err(error)) => (Targets::new(), Some(error)),
    };
    let queue = Arc::new(Queue::start(std::io::stdout(), queue::OCTETS));
    let (filter, control) = reload::Layer::new(targets(false, &wishes));
    let lines = Lines { format, queue: queue.clone() };
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        let _ = CONTROL.set((control, wishes));
        let _ = QUEUE.set(queue);
        std::panic::set_hook(Box::new(panicked));
    }
    if let Some(fault) = fault {
        tracing::warn!("RUST_LOG is not understood, as in info or rollcall::cluster=debug: {fault}");
    }
}

/// Waits until all lines are written, but not for a reader who does not read.
pub(crate) fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(PATIENCE);
    }
}

/// `debug`: debug lines too, or no longer.
pub(crate) fn set_debug(debug: bool) {
    if let Some((control, wishes)) = CONTROL.get() {
        let _ = control.reload(targets(debug, wishes));
    }
}

/// The events that are shown. Other crates speak to their makers, of what any client can cause or of what is told here
/// already: they are silent unless wished for by name, or `debug` asks for their warnings.
fn targets(debug: bool, wishes: &Targets) -> Targets {
    let wished = wishes.default_level().unwrap_or(LevelFilter::INFO);
    let ours = if debug { wished.max(LevelFilter::DEBUG) } else { wished };
    Targets::new()
        .with_default(if debug { LevelFilter::WARN } else { LevelFilter::OFF })
        .with_target("rollcall", ours)
        .with_target("plugin", ours)
        .with_targets(wishes.iter().map(|(target, level)| (target.to_owned(), level)))
}

/// Tells of a panic like of anything else: in a line, on standard output. Some client may know how to repeat it.
fn panicked(panic: &PanicHookInfo<'_>) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let Ok(mut last) = LAST.try_lock() else { return };
    if last.is_none_or(|last| last.elapsed() > Duration::from_secs(1)) {
        *last = Some(Instant::now());
        drop(last);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied().or_else(|| Some(payload.downcast_ref::<String>()?.as_str()));
        let why = text.unwrap_or("a value that is no text");
        tracing::error!(place, "a panic, which is a defect: {why}");
    }
}

//----------- Lines ----------------------------------------------------------

/// Makes a line of each event.
struct Lines {
    format: LogFormat,
    queue: Arc<Queue>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        thread_local!(static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) });
        // A value may log while it is written, and finds an empty buffer then.
        let mut line = LINE.take();
        line.clear();
        self.format.write(event, SystemTime::now(), &mut line);
        self.queue.push(&line);
        LINE.set(line);
    }
}

#[cfg(test)]
mod tests {
    use super::queue::tests::Sink;
    use super::*;

    fn lines(debug: bool, speak: impl FnOnce()) -> String {
        lines_as_wished(debug, "", speak)
    }

    fn lines_as_wished(debug: bool, wishes: &str, speak: impl FnOnce()) -> String {
        let wishes = if wishes.is_empty() { Targets::new() } else { wishes.parse().unwrap() };
        lines_of(LogFormat::Text, targets(debug, &wishes), speak)
    }

    fn lines_of(format: LogFormat, filter: Targets, speak: impl FnOnce()) -> String {
        let sink = Sink::default();
        let queue = Arc::new(Queue::start(sink.clone(), queue::OCTETS));
        let lines = Lines { format, queue: queue.clone() };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(filter).with(lines), speak);
        assert!(queue.flush(Duration::from_secs(60)));
        sink.text()
    }

    #[test]
    fn lines_look_as_corednss_do() {
        let said = lines(false, || {
            tracing::info!(target: "plugin/log", id = 7, "127.0.0.1:5 - 7 \"A IN a. udp\"");
            tracing::error!(target: "plugin/errors", "2 a. A: no upstream");
            tracing::warn!(target: "rollcall::cluster::watch", kind = "services", "forbidden");
            tracing::debug!(target: "plugin/cache", "hidden");
        });
        assert_eq!(
            said,
            "[INFO] 127.0.0.1:5 - 7 \"A IN a. udp\"\n[ERROR] plugin/errors: 2 a. A: no upstream\n\
             [WARNING] plugin/kubernetes: forbidden kind=\"services\"\n"
        );
        assert_eq!(lines(true, || tracing::debug!(target: "plugin/cache", "shown")), "[DEBUG] plugin/cache: shown\n");
    }

    /// One packet must not write what some crate thinks of it.
    #[test]
    fn other_crates_are_silent_until_asked_for() {
        let speak = || {
            tracing::error!(target: "hickory_proto::rr", "hidden");
            tracing::error!(target: "kube_client::client::builder", "hidden");
            tracing::warn!(target: "rustls::conn", "hidden");
            tracing::warn!(target: "h2::proto", "hidden");
            tracing::warn!(target: "quinn::endpoint", "hidden");
            tracing::info!(target: "hyper", "hidden");
        };
        assert_eq!(lines(false, speak), "");
        assert_eq!(lines_as_wished(false, "debug", speak), "");
        assert_eq!(lines_as_wished(false, "h2=warn", speak), "[WARNING] h2::proto: hidden\n");
        assert_eq!(lines(true, speak).lines().count(), 5);
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

    /// Whatever a value holds, its line is one line, of a bounded length.
    #[test]
    fn no_value_forges_a_line_or_makes_it_long() {
        let odd =
            format!("a\n[error] plugin/fake: pwned\r\x1b[2J\u{85}\u{2028}\u{202e}\0\"\\é{}", "x\n".repeat(20_000));
        for format in [LogFormat::Text, LogFormat::Json] {
            let said = lines_of(format, targets(false, &Targets::new()), || {
                tracing::warn!(name = %odd, other = odd, debug = ?odd, "{odd}");
                tracing::warn!("{}", "é".repeat(9000));
            });
            assert_eq!(said.lines().count(), 2, "{format:?}");
            assert!(said.lines().all(|line| line.len() < 8192), "{format:?}");
            assert!(!said.contains(['\r', '\x1b', '\u{85}', '\u{2028}', '\u{202e}', '\0']), "{format:?}");
            assert!(said.lines().all(|line| line.contains("… (cut)")), "{format:?}");
            if format == LogFormat::Json {
                for line in said.lines() {
                    let read: serde_json::Value = serde_json::from_str(line).unwrap();
                    assert!(!read["msg"].as_str().unwrap().contains(char::is_control));
                }
            }
        }
    }

    #[test]
    fn json_lines_have_corednss_keys() {
        let said = lines_of(LogFormat::Json, targets(false, &Targets::new()), || {
            tracing::info!(
                target: "plugin/log",
                qname = %"a\\\"b.", id = 7u16, dnssec_ok = true, rcode = %"", duration_seconds = 0.5, "text"
            );
            tracing::warn!(target: "rollcall::cluster::watch", kind = "services", "forbidden");
            tracing::info!("app");
        });
        let mut lines = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let first = lines.next().unwrap();
        assert!(first["time"].as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')), "{first}");
        for (key, value) in [
            ("level", serde_json::json!("INFO")),
            ("msg", serde_json::json!("text")),
            ("plugin", serde_json::json!("log")),
            ("qname", serde_json::json!("a\\\"b.")),
            ("id", serde_json::json!(7)),
            ("dnssec_ok", serde_json::json!(true)),
            ("rcode", serde_json::Value::Null),
            ("duration_seconds", serde_json::json!(0.5)),
        ] {
            assert_eq!(first[key], value, "{key}");
        }
        let second = lines.next().unwrap();
        assert_eq!((&second["level"], &second["plugin"]), (&"WARN".into(), &"kubernetes".into()));
        assert_eq!(second["kind"], "services");
        assert!(lines.next().unwrap().get("plugin").is_none());
    }
}

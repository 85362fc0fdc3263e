//! Troubles that keep a loop from going on, and how they are said: aloud, but each sort of them once a minute.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

use super::metrics::plural;
use super::moment::moment;
use crate::cluster::facts::Kind;

/// The time in which the same trouble is not logged again.
const QUIET: Duration = Duration::from_secs(60);

/// The trouble of one loop.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    present: Option<WatchTrouble>,
    /// When each sort of trouble was last logged.
    said: HashMap<&'static str, Instant>,
}

/// A trouble that keeps the loop from going on, since when, and whether that was said aloud.
#[derive(Debug)]
struct WatchTrouble {
    word: &'static str,
    since: Instant,
    aloud: bool,
    attempts: u32,
}

/// The trouble that a round met.
pub(super) struct Met<'m> {
    pub(super) kind: Kind,
    /// The request that it failed in: `list` or `watch`.
    pub(super) verb: &'static str,
    /// The sort of trouble.
    pub(super) word: &'static str,
    pub(super) reason: &'m dyn Display,
    /// The time that it waits.
    pub(super) retry_in: Duration,
    /// Names of the kind are known from before.
    pub(super) serves: bool,
}

impl Troubles {
    /// Whether something keeps the loop from going on.
    pub(super) fn is_there(&self) -> bool {
        self.present.is_some()
    }

    /// Whether the first good response ends it. Streams that break once they are open have to prove themselves.
    pub(super) fn ends_with_a_response(&self) -> bool {
        let lasting = ["expired", "malformed", "doubtful", "closed_early", "refused"];
        self.present.as_ref().is_some_and(|trouble| !lasting.contains(&trouble.word))
    }

    /// Whether a complete list ends it.
    pub(super) fn is_of_a_list(&self) -> bool {
        self.present.as_ref().is_some_and(|trouble| matches!(trouble.word, "malformed" | "doubtful"))
    }

    /// Takes note of what a round met, and logs it where that is due.
    pub(super) fn say(&mut self, met: Met<'_>) {
        let Met { kind, verb, word, reason, retry_in, serves } = met;
        let now = moment();
        let due = self.said.get(word).is_none_or(|said| now.duration_since(*said) >= QUIET);
        let trouble = self.present.get_or_insert(WatchTrouble { word, since: now, aloud: false, attempts: 0 });
        trouble.attempts = trouble.attempts.saturating_add(1);
        trouble.word = word;
        trouble.aloud |= due;
        let (attempts, lasting, wait) =
            (trouble.attempts, rounded(now.saturating_duration_since(trouble.since)), rounded(retry_in));
        let serving = if serves { "the last known names" } else { "nothing yet of this kind" };
        let (resource, group) = match kind {
            Kind::EndpointSlice | Kind::ImportedSlice => ("endpointslices", "discovery.k8s.io"),
            Kind::ServiceImport => (plural(kind), "multicluster.x-k8s.io"),
            Kind::Service | Kind::Namespace | Kind::Pod => (plural(kind), ""),
        };
        let kind = plural(kind);
        if !due {
            tracing::debug!(kind, verb, attempts, retry_in = ?wait, reason = %reason, "no news from the API server");
            return;
        }
        self.said.insert(word, now);
        match word {
            "forbidden" => tracing::warn!(
                kind, verb, attempts, retry_in = ?wait, serving, reason = %reason,
                "the API server forbids this: grant the verbs list and watch on resource \"{resource}\" of API group \"{group}\""
            ),
            "unauthorized" => tracing::warn!(
                kind, verb, attempts, retry_in = ?wait, serving, reason = %reason,
                "the API server does not accept our credentials: check the token or client certificate"
            ),
            "doubtful" => tracing::warn!(
                kind, retry_in = ?wait, serving, reason = %reason,
                "this list would take nearly everything away: it is asked for again"
            ),
            _ => tracing::warn!(
                kind, verb, attempts, ?lasting, retry_in = ?wait, serving, reason = %reason,
                "no news from the API server"
            ),
        }
    }

    /// The loop goes on; says whether there was anything to end.
    pub(super) fn end(&mut self, kind: Kind) -> bool {
        let Some(trouble) = self.present.take() else { return false };
        let (kind, attempts, after) =
            (plural(kind), trouble.attempts, rounded(moment().saturating_duration_since(trouble.since)));
        if trouble.aloud {
            tracing::info!(kind, attempts, ?after, "the watch goes on");
        } else {
            tracing::debug!(kind, attempts, ?after, "the watch goes on");
        }
        true
    }
}

/// For people: no one reads microseconds of a wait.
fn rounded(time: Duration) -> Duration {
    Duration::from_millis(time.as_millis() as u64)
}

//! Name: `errors`
//!
//! Description: writes a log line for each query that could not be answered.
//!
//! Syntax:
//!
//! ```text
//! errors [stdout] {
//!     stacktrace
//!     consolidate DURATION REGEX [warning|error|info|debug] [show_first]
//! }
//! ```
//!
//! The line reads `RCODE NAME TYPE: REASON`. Reasons that match the regular expression of a `consolidate` are counted
//! and told once at the end of each duration, at the level given; with `show_first` the first one is told at once too.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     errors {
//!         consolidate 5m ".* i/o timeout$" warning
//!         consolidate 30s "^Failed to .+" error show_first
//!     }
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: `stacktrace` is read and has no effect, a failure that is not expected is logged with its place anyway.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use regex::Regex;

use crate::chain::settings::Task;
use crate::chain::setup::{Context, once};
use crate::chain::{Next, Outcome, Passing, Plugin, Query};
use crate::corefile::{Directive, Error, Token};
use crate::syntax::{names, words};
use crate::wire::{Name, Rtype};

/// The level of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorLevel {
    Warning,
    Error,
    Info,
    Debug,
}

struct Pattern {
    every: Duration,
    regex: Regex,
    /// The expression as written.
    text: String,
    level: ErrorLevel,
    show_first: bool,
    seen: Mutex<SeenErrors>,
}

#[derive(Default)]
struct SeenErrors {
    since: Option<Instant>,
    count: u64,
}

/// The plugin.
pub(crate) struct Errors {
    patterns: Vec<Pattern>,
}

impl Errors {
    /// Takes one error in, and the line that tells of it; gives what is to be written now.
    fn take(&self, error: &str, line: String, now: Instant) -> Option<(ErrorLevel, String)> {
        for pattern in &self.patterns {
            if !pattern.regex.is_match(error) {
                continue;
            }
            let mut seen = pattern.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.count += 1;
            let first = seen.since.is_none();
            seen.since.get_or_insert(now);
            return (first && pattern.show_first).then_some((pattern.level, line));
        }
        Some((ErrorLevel::Error, line))
    }

    /// Gives the summaries that are due.
    fn due(&self, now: Instant) -> Vec<(ErrorLevel, String)> {
        let mut summaries = Vec::new();
        for pattern in &self.patterns {
            let mut seen = pattern.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.since.is_none_or(|since| now.saturating_duration_since(since) < pattern.every) {
                continue;
            }
            let count = std::mem::take(&mut *seen).count;
            // The first one, told at once, is not news any more.
            if !(pattern.show_first && count == 1) {
                let every = text_of(pattern.every);
                let regex = &pattern.text;
                summaries.push((pattern.level, format!("{count} errors like '{regex}' occurred in last {every}")));
            }
        }
        summaries
    }
}

/// A duration as Go writes it.
fn text_of(time: Duration) -> String {
    let seconds = time.as_secs();
    if time < Duration::from_secs(1) {
        return format!("{}ms", time.as_millis());
    }
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

fn write(level: ErrorLevel, line: &str) {
    match level {
        ErrorLevel::Warning => tracing::warn!(target: "plugin/errors", "{line}"),
        ErrorLevel::Error => tracing::error!(target: "plugin/errors", "{line}"),
        ErrorLevel::Info => tracing::info!(target: "plugin/errors", "{line}"),
        ErrorLevel::Debug => tracing::debug!(target: "plugin/errors", "{line}"),
    }
}

impl Plugin for Errors {
    fn name(&self) -> &'static str {
        "errors"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let (name, qtype, now) = (query.name(), Rtype::from(query.qtype()), query.received);
            let outcome = next.run(query).await;
            if let Outcome::Failed(_, failure) = &outcome {
                let error = failure.to_string();
                let line = format!("{} {} {qtype}: {error}", failure.rcode.0, names::text(&name));
                if let Some((level, line)) = self.take(&error, line, now) {
                    write(level, &line);
                }
            }
            outcome
        })
    }

    fn passing(&self) -> Passing {
        Passing::Unchanged
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    match directive.arguments.as_slice() {
        [] => {}
        [word] if word.text == "stdout" => {}
        [word, ..] => return Err(word.error(format!("errors writes to stdout only, not to `{}`", word.text))),
    }
    let mut patterns = Vec::new();
    for line in directive.lines() {
        match line.name.text.as_str() {
            "stacktrace" => words::alone(line)?,
            "consolidate" => patterns.push(pattern(line)?),
            _ => return Err(words::unknown(line, "errors", &["consolidate", "stacktrace"])),
        }
    }
    let plugin = Arc::new(Errors { patterns });
    if let Some(shortest) = plugin.patterns.iter().map(|pattern| pattern.every).min() {
        let every = (shortest / 4).clamp(Duration::from_millis(50), Duration::from_secs(1));
        let errors = plugin.clone();
        let run = move |now| errors.due(now).iter().for_each(|(level, line)| write(*level, line));
        context.settings.tasks.push(Task::forever(every, run));
    }
    Ok(vec![plugin])
}

fn pattern(line: &Directive) -> Result<Pattern, Error> {
    line.no_body()?;
    let [every, regex, rest @ ..] = line.arguments.as_slice() else {
        return Err(line.name.error("consolidate needs DURATION REGEX, then a level and show_first if wanted"));
    };
    let (level, rest) = match rest {
        [word, rest @ ..] if word.text != "show_first" => (level(word)?, rest),
        rest => (ErrorLevel::Error, rest),
    };
    let show_first = match rest {
        [] => false,
        [word] if word.text == "show_first" => true,
        [word, ..] => return Err(word.error(format!("`{}` cannot stand here, only show_first can", word.text))),
    };
    Ok(Pattern {
        every: words::positive_duration(every)?,
        regex: words::regex(regex)?,
        text: regex.text.clone(),
        level,
        show_first,
        seen: Mutex::default(),
    })
}

fn level(word: &Token) -> Result<ErrorLevel, Error> {
    Ok(match word.text.as_str() {
        "warning" => ErrorLevel::Warning,
        "error" => ErrorLevel::Error,
        "info" => ErrorLevel::Info,
        "debug" => ErrorLevel::Debug,
        other => return Err(word.error(format!("`{other}` is none of warning, error, info, debug"))),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::fault;
    use super::*;

    fn errors(consolidate: &[(u64, &str, ErrorLevel, bool)]) -> Errors {
        let pattern = |&(seconds, regex, level, show_first): &(u64, &str, ErrorLevel, bool)| Pattern {
            every: Duration::from_secs(seconds),
            regex: Regex::new(regex).unwrap(),
            text: regex.to_owned(),
            level,
            show_first,
            seen: Mutex::default(),
        };
        Errors { patterns: consolidate.iter().map(pattern).collect() }
    }

    #[test]
    fn errors_that_repeat_are_counted_and_told_once() {
        let errors = errors(&[(1, "^.*refused", ErrorLevel::Warning, false)]);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(errors.take("read udp: refused", "2 a.example. A: read udp: refused".into(), start), None);
        }
        assert!(errors.due(start + Duration::from_millis(900)).is_empty());
        let told = errors.due(start + Duration::from_secs(1));
        assert_eq!(told, [(ErrorLevel::Warning, "3 errors like '^.*refused' occurred in last 1s".to_owned())]);
        assert!(errors.due(start + Duration::from_secs(9)).is_empty());
        // The name is no part of the error.
        assert!(errors.take("other", "2 refused.example. A: other".into(), start).is_some());
    }

    #[test]
    fn the_first_is_shown_when_asked_for_and_not_counted_alone() {
        let errors = errors(&[(60, "timeout", ErrorLevel::Error, true)]);
        let start = Instant::now();
        assert!(errors.take("timeout", "timeout".into(), start).is_some());
        assert!(errors.due(start + Duration::from_secs(60)).is_empty());
        assert!(errors.take("timeout", "timeout".into(), start).is_some());
        assert!(errors.take("timeout", "timeout".into(), start).is_none());
        assert_eq!(errors.due(start + Duration::from_secs(60)).len(), 1);
    }

    #[test]
    fn durations_are_shown_as_go_does() {
        assert_eq!(text_of(Duration::from_secs(300)), "5m0s");
        assert_eq!(text_of(Duration::from_millis(300)), "300ms");
        assert_eq!(text_of(Duration::from_secs(3700)), "1h1m40s");
    }

    #[test]
    fn wrong_consolidations_are_refused_at_their_line() {
        for option in [
            "consolidate often \"timeout$\"",
            "consolidate 5m \"(timeout\" warning",
            "consolidate 5m \"timeout$\" loud",
            "consolidate 5m",
            "consolidate 5m a warning twice",
            "stacktrace yes",
            "other",
        ] {
            let said = fault(&format!("errors {{\n{option}\n}}"));
            assert!(said.starts_with("Corefile:3:"), "{option}: {said}");
        }
        assert!(fault("errors stderr").starts_with("Corefile:2:8:"));
    }
}

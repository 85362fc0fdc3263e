//! Why a list or a watch ended, and what is to be done about it.

use std::fmt;
use std::time::Duration;

use super::pace::TroubleSort;

/// The words for why a watch is started again, as [`WatchFailure::word`] has them.
pub(super) const WORDS: [&str; 13] = [
    "closed",
    "doubtful",
    "expired",
    "forbidden",
    "malformed",
    "panic",
    "refused",
    "server_error",
    "throttled",
    "timeout",
    "transport",
    "unauthorized",
    "went_back",
];

/// The reason why a list or a watch did not go on.
#[derive(Debug)]
pub(super) enum WatchFailure {
    /// No connection, or it broke.
    Transport(String),
    /// Nothing came for this long.
    Timeout(Duration),
    /// The API server refused, by the response's status or by an event of type ERROR.
    Status(ApiStatus),
    /// The response is not what was asked for.
    Malformed(String),
    /// A list that would take nearly everything away, and is not confirmed yet.
    Doubtful(String),
}

/// A refusal of the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ApiStatus {
    /// As an HTTP status code; 0 where an event carried none.
    pub(super) code: u16,
    /// The machine-readable reason: `Expired`, `Forbidden` …
    pub(super) reason: String,
    /// For people.
    pub(super) message: String,
    /// The time that the server asks us to wait.
    pub(super) retry_after: Option<Duration>,
}

/// The remedy for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Ask again for the same: the place in the stream of changes is still good.
    Retry,
    /// The same, over a new connection with credentials read afresh.
    Reconnect,
    /// List anew, as a difference: our place in the stream of changes is lost.
    Relist,
}

impl WatchFailure {
    /// The remedy, for a request that named a resourceVersion or a page of a list.
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            // The pool may hold more connections over the same dead path.
            Self::Transport(_) | Self::Timeout(_) => Remedy::Reconnect,
            Self::Malformed(_) | Self::Doubtful(_) => Remedy::Relist,
            Self::Status(status) if status.is_expired() => Remedy::Relist,
            Self::Status(status) => match status.code {
                401 => Remedy::Reconnect,
                403 | 408 | 409 | 429 | 500.. => Remedy::Retry,
                // An ERROR event without code, or a request that this server will never take as it is.
                _ => Remedy::Relist,
            },
        }
    }

    /// The word for metrics and for telling one state from another.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Transport(_) => "transport",
            Self::Timeout(_) => "timeout",
            Self::Malformed(_) => "malformed",
            Self::Doubtful(_) => "doubtful",
            Self::Status(status) if status.is_expired() => "expired",
            Self::Status(status) => match status.code {
                401 => "unauthorized",
                403 => "forbidden",
                429 => "throttled",
                500.. => "server_error",
                _ => "refused",
            },
        }
    }

    /// The sort of trouble that it is, for the wait that follows.
    pub(super) fn sort(&self) -> TroubleSort {
        match self {
            Self::Transport(_) | Self::Timeout(_) => TroubleSort::Away,
            Self::Malformed(_) => TroubleSort::Unusable,
            Self::Doubtful(_) => TroubleSort::Doubtful,
            Self::Status(status) if status.is_expired() => TroubleSort::Lost,
            Self::Status(status) => match status.code {
                401 | 403 => TroubleSort::Denied,
                408 | 409 | 429 | 500.. => TroubleSort::Failing,
                _ => TroubleSort::Unusable,
            },
        }
    }

    /// Whether the server does not know, or does not allow, what was asked: it will not change its mind.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Status(status)
            if matches!(status.code, 400 | 404 | 405 | 406 | 415 | 422) && !status.is_expired())
    }

    /// Whether asking for the same again is of no use to someone who asks once: a refusal, or credentials that do not do.
    pub(super) fn is_final(&self) -> bool {
        self.is_refusal() || matches!(self, Self::Status(status) if matches!(status.code, 401 | 403))
    }

    /// Whether a list that is asked for in another way may go better: a server or proxy may swallow the one and not the
    /// other, or have no time for it.
    pub(super) fn calls_for_another_way(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Malformed(_)) || self.is_refusal() || self.is_out_of_time()
    }

    fn is_out_of_time(&self) -> bool {
        matches!(self, Self::Status(status) if status.code == 504 && !status.is_expired())
    }

    /// The time that the server asks us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status(status) => status.retry_after,
            _ => None,
        }
    }
}

impl ApiStatus {
    /// Whether the resourceVersion or continue token is of no use any more, or not yet (a restored etcd).
    pub(super) fn is_expired(&self) -> bool {
        self.code == 410
            || matches!(self.reason.as_str(), "Expired" | "Gone" | "ResourceVersionTooLarge")
            // Sent as 504 Timeout; the cause is only in details that not all servers fill.
            || self.message.contains("Too large resource version")
    }
}

impl fmt::Display for WatchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(text) => f.write_str(text),
            Self::Timeout(limit) => write!(f, "the API server sent nothing for {limit:?}"),
            Self::Malformed(text) => write!(f, "unusable response: {text}"),
            Self::Doubtful(text) => f.write_str(text),
            Self::Status(status) => {
                write!(f, "{} {}", status.code, status.reason)?;
                if status.message.is_empty() { Ok(()) } else { write!(f, ": {}", status.message) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str, message: &str) -> WatchFailure {
        WatchFailure::Status(ApiStatus { code, reason: reason.into(), message: message.into(), retry_after: None })
    }

    #[test]
    fn a_dead_version_is_relisted_however_it_is_said() {
        for failure in [
            status(410, "", ""),
            status(0, "Expired", ""),
            status(0, "Gone", ""),
            status(504, "Timeout", "Too large resource version: 9, current: 3"),
            status(500, "ResourceVersionTooLarge", ""),
        ] {
            assert_eq!(failure.remedy(), Remedy::Relist, "{failure}");
            assert_eq!(failure.word(), "expired");
            assert!(!failure.is_refusal());
        }
    }

    #[test]
    fn a_busy_or_broken_server_keeps_our_place() {
        for code in [403, 429, 500, 503, 504] {
            assert_eq!(status(code, "", "").remedy(), Remedy::Retry, "{code}");
        }
        assert_eq!(status(401, "", "").remedy(), Remedy::Reconnect);
        assert_eq!(WatchFailure::Timeout(Duration::ZERO).remedy(), Remedy::Reconnect);
    }

    #[test]
    fn a_request_that_is_never_taken_is_a_refusal() {
        assert!(status(422, "Invalid", "").is_refusal());
        assert!(status(400, "BadRequest", "").is_refusal());
        assert!(!status(403, "Forbidden", "").is_refusal());
        assert_eq!(status(400, "BadRequest", "").remedy(), Remedy::Relist);
    }

    #[test]
    fn every_word_is_listed() {
        for failure in [
            WatchFailure::Transport(String::new()),
            WatchFailure::Timeout(Duration::ZERO),
            WatchFailure::Malformed(String::new()),
            WatchFailure::Doubtful(String::new()),
            status(410, "", ""),
            status(401, "", ""),
            status(403, "", ""),
            status(404, "", ""),
            status(429, "", ""),
            status(503, "", ""),
        ] {
            assert!(WORDS.contains(&failure.word()), "{failure:?}");
        }
    }
}

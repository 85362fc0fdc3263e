//! What goes wrong, for how long, and for whom.

use crate::chance::Chance;
use crate::objects::Kind;

/// A fault that lasts.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Its number.
    pub(crate) id: u64,
    /// What goes wrong.
    pub(crate) trouble: Trouble,
    /// The API server that it is of; `None` for all.
    pub(crate) server: Option<usize>,
    /// The kind of object that it is of; `None` for all.
    pub(crate) kind: Option<Kind>,
    /// How many in a hundred requests it meets.
    pub(crate) part: u64,
    /// When it begins and ends, in milliseconds.
    pub(crate) begin: u64,
    /// See `begin`.
    pub(crate) end: u64,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Connections are refused, and those that were open are cut.
    Down,
    /// Connections are open and silent, until the pings of HTTP/2 find that out.
    Silent,
    /// Requests are refused, with seconds to wait.
    Status(u16, &'static str, Option<u64>),
    /// Bodies break off anywhere.
    Cut,
    /// Bodies end anywhere as if that was all.
    Ends,
    /// Watches end as soon as they begin.
    Closes,
    /// Watches bring an event of type ERROR.
    ErrorEvent(u16, &'static str),
    /// Lists are a `Status`, with 200.
    StatusBody,
    /// Lists hold nothing, or next to nothing.
    Emptied,
    /// Something in between says something else.
    Html,
    /// Watches bring octets that are no event.
    Garbage,
    /// Events come twice, and old ones again.
    Repeats,
    /// What is written is seen so many milliseconds later.
    Lags(u64),
    /// Pages of lists are small, and their tokens expire.
    SmallPages,
}

impl Fault {
    /// A fault of chance that begins at a time.
    pub(crate) fn draw(chance: &mut Chance, id: u64, begin: u64, servers: usize) -> Self {
        let all = [
            Trouble::Down,
            Trouble::Silent,
            Trouble::Status(429, "TooManyRequests", None),
            Trouble::Status(429, "TooManyRequests", Some(chance.range(1, 10))),
            Trouble::Status(500, "InternalError", None),
            Trouble::Status(503, "ServiceUnavailable", Some(1)),
            Trouble::Status(504, "Timeout", None),
            Trouble::Status(504, "ResourceVersionTooLarge", None),
            Trouble::Status(401, "Unauthorized", None),
            Trouble::Status(403, "Forbidden", None),
            Trouble::Status(410, "Expired", None),
            Trouble::Cut,
            Trouble::Ends,
            Trouble::Closes,
            Trouble::ErrorEvent(410, "Expired"),
            Trouble::ErrorEvent(500, "InternalError"),
            Trouble::StatusBody,
            Trouble::Emptied,
            Trouble::Html,
            Trouble::Garbage,
            Trouble::Repeats,
            Trouble::Lags(chance.length(100, 5_000)),
            Trouble::SmallPages,
            Trouble::SmallPages,
        ];
        let trouble = chance.pick(&all);
        let server = chance.percent(40).then(|| chance.index(servers));
        let kinds = [Kind::Service, Kind::Slice, Kind::Slice, Kind::Namespace, Kind::Pod];
        let kind = chance.percent(50).then(|| chance.pick(&kinds));
        let part = chance.pick(&[100, 100, 60, 30]);
        // What lies for longer than this is believed, and what nobody can tell from the truth is no fault of ours.
        let longest = if trouble == Trouble::Emptied { 6_000 } else { 20_000 };
        Self { id, trouble, server, kind, part, begin, end: begin + chance.length(50, longest) }
    }

    /// Whether it may meet a request.
    pub(crate) fn meets(&self, server: usize, kind: Kind) -> bool {
        self.server.is_none_or(|own| own == server) && self.kind.is_none_or(|own| own == kind)
    }

    /// Whether it is of all that goes over the connections of a server, whatever that is.
    pub(crate) fn is_of_network(&self) -> bool {
        matches!(self.trouble, Trouble::Down | Trouble::Silent)
    }
}

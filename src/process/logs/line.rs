//! One event as one line: CoreDNS's text, or JSON with the keys of CoreDNS 1.15.
//!
//! Whatever a value holds, it can end no line and begin none: control characters, line separators and marks that turn the
//! direction of writing are shown octet by octet as `\DDD`, in the presentation form of names (RFC 1035 section 5.1). What
//! is too long is cut between two characters, and the cut is marked.

use std::fmt::{self, Debug, Display, Write};
use std::io::Write as _;
use std::str::FromStr;
use std::time::SystemTime;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// The message of a line, escapes included. The longest name in the common format of `log` takes a third of it.
const MESSAGE: usize = 4096;
/// A whole line.
const LINE: usize = 8192;
/// Stands where something was cut.
const CUT: &str = "… (cut)";

/// The format of lines: `-log-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// `[LEVEL] plugin/NAME: MESSAGE`.
    #[default]
    Text,
    /// An object for each line.
    Json,
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

impl LogFormat {
    /// Writes the line of an event.
    pub(super) fn write(self, event: &Event<'_>, now: SystemTime, line: &mut Vec<u8>) {
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let (plugin, other) = source(target);
        match self {
            Self::Text => {
                begin_text(level_in_text(level), plugin.filter(|plugin| *plugin != "log"), other, line);
                event.record(&mut Visitor { format: self, part: EventPart::Message, line });
                // The fields of a query are for programs; people have the format of the directive.
                if plugin != Some("log") {
                    event.record(&mut Visitor { format: self, part: EventPart::Fields, line });
                }
            }
            Self::Json => {
                begin_json(level_in_json(level), now, line);
                event.record(&mut Visitor { format: self, part: EventPart::Message, line });
                line.push(b'"');
                for (key, value) in [("plugin", plugin), ("target", other)] {
                    if let Some(value) = value {
                        let _ = write!(line, ",\"{key}\":\"{value}\"");
                    }
                }
                event.record(&mut Visitor { format: self, part: EventPart::Fields, line });
                line.push(b'}');
            }
        }
        line.push(b'\n');
    }
}

/// The last word of a process that cannot go on, for standard error.
pub(crate) fn fatal(format: LogFormat, error: &dyn Display, now: SystemTime) -> Vec<u8> {
    let mut line = Vec::new();
    match format {
        // For a person in front of a terminal: as long as it takes.
        LogFormat::Text => drop(writeln!(line, "rollcall: {error}")),
        LogFormat::Json => {
            begin_json("FATAL", now, &mut line);
            Bounded::new(format, MESSAGE, &mut line).put(format_args!("{error}"));
            line.extend_from_slice(b"\"}\n");
        }
    }
    line
}

fn begin_text(level: &str, plugin: Option<&str>, other: Option<&str>, line: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = match (plugin, other) {
        (Some(plugin), _) => write!(line, "[{level}] plugin/{plugin}: "),
        (None, Some(target)) => write!(line, "[{level}] {target}: "),
        (None, None) => write!(line, "[{level}] "),
    };
}

fn begin_json(level: &str, now: SystemTime, line: &mut Vec<u8>) {
    let _ = write!(line, "{{\"time\":\"{}\",\"level\":\"{level}\",\"msg\":\"", Time(now));
}

fn level_in_text(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

fn level_in_json(level: Level) -> &'static str {
    match level {
        Level::WARN => "WARN",
        other => level_in_text(other),
    }
}

/// The source of a line: the plugin as CoreDNS names it, or a crate that is none of ours.
fn source(target: &str) -> (Option<&str>, Option<&str>) {
    match target {
        _ if target.starts_with("plugin/") => (target.strip_prefix("plugin/"), None),
        _ if target.starts_with("rollcall::cluster") => (Some("kubernetes"), None),
        _ if target.starts_with("rollcall::upstream") => (Some("forward"), None),
        _ if target.starts_with("rollcall") => (None, None),
        _ => (None, Some(target)),
    }
}

//----------- Visitor --------------------------------------------------------

/// The part of an event that is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EventPart {
    Message,
    Fields,
}

struct Visitor<'l> {
    format: LogFormat,
    part: EventPart,
    line: &'l mut Vec<u8>,
}

impl Visitor<'_> {
    fn is_wanted(&self, field: &Field) -> bool {
        (field.name() == "message") == (self.part == EventPart::Message)
    }

    /// Text, within quotes where it is a JSON value.
    fn text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if !self.is_wanted(field) {
            return;
        }
        match (self.part, self.format) {
            (EventPart::Message, _) => Bounded::new(self.format, MESSAGE, self.line).put(value),
            (EventPart::Fields, LogFormat::Text) => {
                let _ = write!(self.line, " {}=", field.name());
                Bounded::new(self.format, LINE, self.line).put(value);
            }
            (EventPart::Fields, LogFormat::Json) => {
                let _ = write!(self.line, ",\"{}\":\"", field.name());
                let begun = self.line.len();
                Bounded::new(self.format, LINE, self.line).put(value);
                // A value without text is none.
                if self.line.len() == begun {
                    self.line.pop();
                    self.line.extend_from_slice(b"null");
                } else {
                    self.line.push(b'"');
                }
            }
        }
    }

    /// Writes a value that needs no quotes in JSON.
    fn bare(&mut self, field: &Field, value: &dyn Display) {
        match self.format {
            LogFormat::Json if self.part == EventPart::Fields && self.is_wanted(field) => {
                let _ = write!(self.line, ",\"{}\":{value}", field.name());
            }
            _ => self.text(field, format_args!("{value}")),
        }
    }
}

impl Visit for Visitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match self.format {
            LogFormat::Text if self.part == EventPart::Fields => self.text(field, format_args!("{value:?}")),
            _ => self.text(field, format_args!("{value}")),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        match value.is_finite() {
            true => self.bare(field, &value),
            false => self.text(field, format_args!("{value}")),
        }
    }
}

//----------- Bounded --------------------------------------------------------

/// Writes text into a line, escaped, as far as there is room.
struct Bounded<'l> {
    format: LogFormat,
    /// The place where the text must end, the mark of a cut included.
    end: usize,
    line: &'l mut Vec<u8>,
}

impl<'l> Bounded<'l> {
    /// A text of at most this much more, and within the line.
    fn new(format: LogFormat, most: usize, line: &'l mut Vec<u8>) -> Self {
        // Room for what closes the line and for keys without a value.
        let end = (line.len() + most).min(LINE - 1024);
        Self { format, end, line }
    }

    fn put(mut self, text: fmt::Arguments<'_>) {
        if self.write_fmt(text).is_err() {
            self.line.extend_from_slice(CUT.as_bytes());
        }
    }
}

impl Write for Bounded<'_> {
    /// Fails when there is no more room, which ends the writing of whatever is written.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let begun = self.line.len();
            let mut octets = [0; 4];
            let encoded = character.encode_utf8(&mut octets);
            let backslash: &[u8] = if self.format == LogFormat::Json { br"\\" } else { br"\" };
            match character {
                '"' | '\\' if self.format == LogFormat::Json => {
                    self.line.push(b'\\');
                    self.line.extend_from_slice(encoded.as_bytes());
                }
                _ if is_unsafe(character) => {
                    for octet in encoded.bytes() {
                        self.line.extend_from_slice(backslash);
                        let _ = write!(self.line, "{octet:03}");
                    }
                }
                _ => self.line.extend_from_slice(encoded.as_bytes()),
            }
            if self.line.len() + CUT.len() > self.end {
                self.line.truncate(begun);
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

/// Whether a character does something to a terminal or to whoever splits lines, instead of being shown.
fn is_unsafe(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

//----------- Time -----------------------------------------------------------

/// A time in UTC as RFC 3339 has it.
struct Time(SystemTime);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.9}", Timestamp::try_from(self.0).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(Time(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(), shown);
        }
    }

    #[test]
    fn the_last_word_is_one_object_or_as_many_lines_as_it_takes() {
        assert_eq!(fatal(LogFormat::Text, &"a\nb", UNIX_EPOCH), b"rollcall: a\nb\n");
        let said = fatal(LogFormat::Json, &"a\n\"b\"", UNIX_EPOCH);
        let read: serde_json::Value = serde_json::from_slice(&said).unwrap();
        assert_eq!((&read["level"], &read["msg"]), (&"FATAL".into(), &"a\\010\"b\"".into()));
    }

    #[test]
    fn text_is_cut_between_characters_and_marked() {
        for most in CUT.len()..40 {
            let mut line = Vec::new();
            Bounded::new(LogFormat::Text, most, &mut line).put(format_args!("é\nöüß{}", "x".repeat(40)));
            let text = String::from_utf8(line).unwrap();
            assert!(text.len() <= most && text.ends_with(CUT), "{most}: {text}");
        }
    }
}

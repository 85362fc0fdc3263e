//! Go's `fmt`: `printf`, `print` and how values are shown.
//!
//! Numbers with a fraction are not written in base 2 or 16, and `#` does nothing to them.

use std::fmt;

use super::value::{ANY, GoValue};

/// Shows values one behind the other, with a space between two of which none is a text.
pub(super) fn print(values: &[GoValue]) -> String {
    let mut out = String::new();
    let mut before = true;
    for value in values {
        let text = matches!(value, GoValue::Text(_));
        if !before && !text {
            out.push(' ');
        }
        before = text;
        out.push_str(&format("%v", std::slice::from_ref(value)));
    }
    out
}

/// A value as a template shows it.
impl fmt::Display for GoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("<no value>"),
            Self::Text(text) => f.write_str(text),
            other => f.write_str(&format("%v", std::slice::from_ref(other))),
        }
    }
}

/// Go's `Sprintf`.
pub(super) fn format(format: &str, values: &[GoValue]) -> String {
    let mut writer = Writer { out: String::new(), rest: format, values, next: 0, reordered: false };
    while let Some((before, after)) = writer.rest.split_once('%') {
        writer.out.push_str(before);
        writer.rest = after;
        if !writer.verb() {
            writer.out.push_str("%!(NOVERB)");
            break;
        }
    }
    writer.out.push_str(if writer.rest.contains('%') { "" } else { writer.rest });
    writer.extra();
    writer.out
}

/// The flags of a verb, its width and its precision.
#[derive(Clone, Copy, Debug, Default)]
struct PrintfFlags {
    sharp: bool,
    zero: bool,
    plus: bool,
    minus: bool,
    space: bool,
    /// `%#v`: as Go would write the value.
    source: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

struct Writer<'f> {
    out: String,
    rest: &'f str,
    values: &'f [GoValue],
    next: usize,
    /// Some verb says which value it shows.
    reordered: bool,
}

impl Writer<'_> {
    fn next_if(&mut self, wanted: char) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Shows the verb behind a `%`; false when there is none.
    fn verb(&mut self) -> bool {
        let mut flags = PrintfFlags::default();
        loop {
            match self.rest.chars().next() {
                Some('#') => flags.sharp = true,
                Some('0') => flags.zero = true,
                Some('+') => flags.plus = true,
                Some('-') => flags.minus = true,
                Some(' ') => flags.space = true,
                _ => break,
            }
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        let mut good = true;
        let mut indexed = self.index(&mut good);
        if self.next_if('*') {
            match self.star() {
                Some(width) => {
                    if width < 0 {
                        flags.minus = true;
                        flags.zero = false;
                    }
                    flags.width = Some(width.unsigned_abs() as usize);
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            indexed = false;
        } else {
            flags.width = self.number();
            good &= !(indexed && flags.width.is_some());
        }
        if self.next_if('.') {
            good &= !indexed;
            indexed = self.index(&mut good);
            if self.next_if('*') {
                match self.star() {
                    Some(precision) => flags.precision = usize::try_from(precision).ok(),
                    None => self.out.push_str("%!(BADPREC)"),
                }
                if flags.precision.is_none() && !self.out.ends_with("%!(BADPREC)") {
                    self.out.push_str("%!(BADPREC)");
                }
                indexed = false;
            } else {
                flags.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !indexed {
            self.index(&mut good);
        }
        let mut chars = self.rest.chars();
        let Some(verb) = chars.next() else { return false };
        self.rest = chars.as_str();
        match self.values.get(self.next) {
            _ if verb == '%' => self.out.push('%'),
            _ if !good => self.out.push_str(&format!("%!{verb}(BADINDEX)")),
            None => self.out.push_str(&format!("%!{verb}(MISSING)")),
            Some(value) => {
                if verb == 'v' {
                    flags.source = std::mem::take(&mut flags.sharp);
                    flags.plus = false;
                }
                self.out.push_str(&flags.show(value, verb));
                self.next += 1;
            }
        }
        true
    }

    /// `[3]`: the next value is the third. Says whether there is such an index, and in `good` whether it is one of the values.
    fn index(&mut self, good: &mut bool) -> bool {
        let Some(inner) = self.rest.strip_prefix('[') else { return false };
        self.reordered = true;
        let Some((number, behind)) = inner.split_once(']').filter(|_| self.rest.len() >= 3) else {
            self.rest = inner;
            *good = false;
            return false;
        };
        self.rest = behind;
        let plain = number.bytes().all(|octet| octet.is_ascii_digit());
        let Some(index) = number.parse::<usize>().ok().filter(|index| plain && *index <= WIDEST) else {
            *good = false;
            return false;
        };
        match index.checked_sub(1).filter(|index| *index < self.values.len()) {
            Some(index) => self.next = index,
            None => *good = false,
        }
        true
    }

    /// A width or precision that is the next value.
    fn star(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        let number = match value {
            GoValue::Int(number) => Some(*number),
            GoValue::Uint(number, _) => i64::try_from(*number).ok(),
            _ => None,
        };
        number.filter(|number| number.unsigned_abs() <= WIDEST as u64)
    }

    /// Decimal digits; none where there are too many.
    fn number(&mut self) -> Option<usize> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, behind) = self.rest.split_at_checked(end)?;
        if digits.is_empty() {
            return None;
        }
        let number = digits.parse().ok().filter(|number| *number <= WIDEST);
        // Where it is too large nothing behind it is read, the verb neither.
        self.rest = if number.is_some() { behind } else { "" };
        number
    }

    /// Shows the values that no verb has shown.
    fn extra(&mut self) {
        let left = self.values.get(self.next..).unwrap_or_default();
        if self.reordered || left.is_empty() {
            return;
        }
        let show = |value: &GoValue| match value {
            GoValue::Nil => "<nil>".to_owned(),
            value => format!("{}={}", value.kind(), PrintfFlags::default().show(value, 'v')),
        };
        let all: Vec<String> = left.iter().map(show).collect();
        self.out.push_str(&format!("%!(EXTRA {})", all.join(", ")));
    }
}

/// Wider or more exact than this is an error in the text.
const WIDEST: usize = 1_000_000;

impl PrintfFlags {
    fn show(self, value: &GoValue, verb: char) -> String {
        if verb == 'T' {
            return self.pad_cut(&value.kind());
        }
        match value {
            // Go wraps errors with it, and nothing else.
            value if verb == 'w' => self.bad(value, verb),
            GoValue::Nil if verb == 'v' => self.pad("<nil>"),
            GoValue::Bool(truth) if matches!(verb, 't' | 'v') => self.pad(if *truth { "true" } else { "false" }),
            GoValue::Int(number) => self.int((*number).unsigned_abs(), *number < 0, true, value, verb),
            GoValue::Uint(number, _) => self.int(*number, false, false, value, verb),
            GoValue::Float(number) => self.float(*number, value, verb),
            GoValue::Text(text) => self.text(text, value, verb),
            GoValue::List(_, list) => {
                let all: Vec<String> = list.iter().map(|one| self.element(one, verb)).collect();
                match self.source && verb == 'v' {
                    true => format!("{}{{{}}}", value.kind(), all.join(", ")),
                    false => format!("[{}]", all.join(" ")),
                }
            }
            GoValue::Map(_, map) => {
                let show = |(key, one): (&String, &GoValue)| {
                    format!("{}:{}", self.show(&GoValue::Text(key.clone()), verb), self.element(one, verb))
                };
                let all: Vec<String> = map.iter().map(show).collect();
                match self.source && verb == 'v' {
                    true => format!("{}{{{}}}", value.kind(), all.join(", ")),
                    false => format!("map[{}]", all.join(" ")),
                }
            }
            GoValue::Object(object) => self.text(&object.shown, value, verb),
            GoValue::Nil | GoValue::Bool(_) | GoValue::Root => self.bad(value, verb),
        }
    }

    /// A value within others: nothing is shown in place of one that is not there.
    fn element(self, value: &GoValue, verb: char) -> String {
        match value {
            GoValue::Nil if self.source => format!("{ANY}(nil)"),
            GoValue::Nil => "<nil>".into(),
            value => self.show(value, verb),
        }
    }

    /// The text that Go shows for a verb that is not for a value.
    fn bad(self, value: &GoValue, verb: char) -> String {
        match value {
            GoValue::Nil => format!("%!{verb}(<nil>)"),
            value => format!("%!{verb}({}={})", value.kind(), self.show_plain(value)),
        }
    }

    /// The value by itself, flags and all.
    fn show_plain(self, value: &GoValue) -> String {
        match value {
            GoValue::Root => value.kind().into_owned(),
            value => self.show(value, 'v'),
        }
    }

    fn padding(self, length: usize) -> String {
        let fill = if self.zero && !self.minus { "0" } else { " " };
        fill.repeat(self.width.unwrap_or(0).saturating_sub(length))
    }

    fn pad(self, text: &str) -> String {
        let padding = self.padding(text.chars().count());
        if self.minus { format!("{text}{padding}") } else { format!("{padding}{text}") }
    }

    /// The same, with spaces whatever is wanted.
    fn pad_spaces(self, text: &str) -> String {
        Self { zero: false, ..self }.pad(text)
    }

    fn cut(self, text: &str) -> &str {
        let end = self.precision.and_then(|most| text.char_indices().nth(most));
        end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
    }

    fn pad_cut(self, text: &str) -> String {
        self.pad(self.cut(text))
    }

    //----------- Texts ------------------------------------------------------

    fn text(self, text: &str, value: &GoValue, verb: char) -> String {
        match verb {
            'v' if self.source => self.quoted(text),
            'v' | 's' => self.pad_cut(text),
            'q' => self.quoted(text),
            'x' => self.hex(text.as_bytes(), false),
            'X' => self.hex(text.as_bytes(), true),
            _ => self.bad(value, verb),
        }
    }

    fn quoted(self, text: &str) -> String {
        let text = self.cut(text);
        let plain = |c: char| c != '`' && c != '\u{feff}' && c != '\u{7f}' && (c == '\t' || !c.is_ascii_control());
        if self.sharp && text.chars().all(plain) {
            return self.pad(&format!("`{text}`"));
        }
        let mut out = String::from('"');
        text.chars().for_each(|c| out.push_str(&escaped(c, '"', self.plus)));
        out.push('"');
        self.pad(&out)
    }

    fn hex(self, octets: &[u8], upper: bool) -> String {
        let octets = self.precision.and_then(|most| octets.get(..most)).unwrap_or(octets);
        let show = |octet: &u8| if upper { format!("{octet:02X}") } else { format!("{octet:02x}") };
        let all: Vec<String> = octets.iter().map(show).collect();
        let prefix = match self.sharp && !all.is_empty() {
            true if upper => "0X",
            true => "0x",
            false => "",
        };
        let text = match self.space {
            true => all.iter().map(|octet| format!("{prefix}{octet}")).collect::<Vec<_>>().join(" "),
            false => format!("{prefix}{}", all.concat()),
        };
        self.pad(&text)
    }

    //----------- Numbers ----------------------------------------------------

    fn int(self, number: u64, negative: bool, signed: bool, value: &GoValue, verb: char) -> String {
        let (digits, prefix) = match verb {
            'v' if self.source && !signed => {
                return Self { sharp: true, ..self }.int(number, negative, true, value, 'x');
            }
            'v' | 'd' => (number.to_string(), ""),
            'b' => (format!("{number:b}"), if self.sharp { "0b" } else { "" }),
            'o' => (format!("{number:o}"), ""),
            'O' => (format!("{number:o}"), "0o"),
            'x' => (format!("{number:x}"), if self.sharp { "0x" } else { "" }),
            'X' => (format!("{number:X}"), if self.sharp { "0X" } else { "" }),
            'c' => return self.pad(&character(number, negative).to_string()),
            'q' => {
                let c = character(number, negative);
                return self.pad(&format!("'{}'", escaped(c, '\'', self.plus)));
            }
            'U' => return self.unicode(number, negative),
            _ => return self.bad(value, verb),
        };
        if self.precision == Some(0) && number == 0 {
            return " ".repeat(self.width.unwrap_or(0));
        }
        let sign = match (negative, self.plus, self.space) {
            (true, _, _) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let least = match (self.precision, self.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if self.zero && !self.minus => width.saturating_sub(sign.len()),
            _ => 0,
        };
        let mut digits = "0".repeat(least.saturating_sub(digits.len())) + &digits;
        if verb == 'o' && self.sharp && !digits.starts_with('0') {
            digits.insert(0, '0');
        }
        self.pad_spaces(&format!("{sign}{prefix}{digits}"))
    }

    fn unicode(self, number: u64, negative: bool) -> String {
        // As Go has it, the sign is part of 64 bits.
        let number = if negative { number.wrapping_neg() } else { number };
        let digits = format!("{number:04X}");
        let mut text = format!("U+{}{digits}", "0".repeat(self.precision.unwrap_or(0).saturating_sub(digits.len())));
        let c = u32::try_from(number).ok().and_then(char::from_u32).filter(|&c| is_printable(c));
        if let Some(c) = c.filter(|_| self.sharp) {
            text.push_str(&format!(" '{c}'"));
        }
        self.pad_spaces(&text)
    }

    fn float(self, number: f64, value: &GoValue, verb: char) -> String {
        let size = number.abs();
        let digits = match verb {
            'e' | 'E' => exponential(size, Some(self.precision.unwrap_or(6))),
            'f' | 'F' => fixed(size, self.precision.unwrap_or(6)),
            'g' | 'G' | 'v' => general(size, self.precision),
            _ => return self.bad(value, verb),
        };
        let digits = if matches!(verb, 'E' | 'G') { digits.to_ascii_uppercase() } else { digits };
        let sign = match (number.is_sign_negative(), self.plus, self.space) {
            (true, _, _) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        match self.zero && !self.minus {
            true => format!("{sign}{}{digits}", self.padding(digits.len() + sign.len())),
            false => self.pad(&format!("{sign}{digits}")),
        }
    }
}

/// The most digits that a number has behind the point; all behind them are zeros.
const DIGITS: usize = 1_100;

/// `1.50`, with so many digits behind the point.
fn fixed(number: f64, precision: usize) -> String {
    let own = precision.min(DIGITS);
    format!("{number:.own$}") + &"0".repeat(precision - own)
}

/// `1.5e+06`, with so many digits behind the point or as many as it takes.
fn exponential(number: f64, precision: Option<usize>) -> String {
    let own = precision.map(|precision| precision.min(DIGITS));
    let text = own.map_or_else(|| format!("{number:e}"), |own| format!("{number:.own$e}"));
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    let zeros = "0".repeat(precision.unwrap_or(0) - own.unwrap_or(0));
    format!("{digits}{zeros}e{sign}{exponent:0>2}")
}

/// The shorter of both ways, as Go's `%g` chooses.
fn general(number: f64, precision: Option<usize>) -> String {
    let precision = precision.map(|digits| digits.clamp(1, DIGITS));
    let text = exponential(number, precision.map(|digits| digits - 1));
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    let count = digits.chars().filter(char::is_ascii_digit).count() as i64;
    let bound = match precision {
        None => 6,
        Some(precision) if precision as i64 > count && count > exponent => count,
        Some(precision) => precision as i64,
    };
    if exponent < -4 || exponent >= bound {
        let (sign, exponent) = if exponent < 0 { ('-', -exponent) } else { ('+', exponent) };
        return format!("{digits}e{sign}{exponent:02}");
    }
    let behind = usize::try_from(count - exponent - 1).unwrap_or(0);
    fixed(number, behind)
}

/// The character of a number; U+FFFD where there is none.
fn character(number: u64, negative: bool) -> char {
    u32::try_from(number).ok().filter(|_| !negative).and_then(char::from_u32).unwrap_or('\u{fffd}')
}

/// Whether Go shows a character as it is.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

/// A character within quotes.
fn escaped(c: char, quote: char, ascii: bool) -> String {
    match c {
        c if c == quote || c == '\\' => format!("\\{c}"),
        '\u{7}' => "\\a".into(),
        '\u{8}' => "\\b".into(),
        '\u{c}' => "\\f".into(),
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        '\t' => "\\t".into(),
        '\u{b}' => "\\v".into(),
        c if (c.is_ascii() || !ascii) && is_printable(c) => c.to_string(),
        c if c.is_ascii() => format!("\\x{:02x}", u32::from(c)),
        c if u32::from(c) > 0xffff => format!("\\U{:08x}", u32::from(c)),
        c => format!("\\u{:04x}", u32::from(c)),
    }
}

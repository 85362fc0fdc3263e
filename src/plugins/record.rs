//! Records in zone-file text (RFC 1035 section 5), as `template`, `file` and others have them.

use crate::wire::message::{DNSClass, MessageName, RData, Record, RecordType, rdata};

use super::names;

/// Reads one record: `OWNER [TTL] [CLASS] TYPE RDATA…`, TTL and class in either order.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn parse_line(line: &str, origin: Option<&MessageName>, ttl: u32) -> Result<Record, String> {
    let mut entries = entries(line).map_err(|fault| fault.message)?;
    match (entries.pop(), entries.is_empty()) {
        (Some(entry), true) if !entry.blank => {
            let (owner, rest) = entry.words.split_first().ok_or_else(|| "the record is empty".to_owned())?;
            Ok(record(name(&owner.text, origin)?, rest, origin, ttl)?.0)
        }
        (None, _) => Err("the record is empty".into()),
        _ => Err(format!("`{line}` is not one record")),
    }
}

/// A fault in a zone file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The line, from 1.
    pub(crate) line: u32,
    /// What is wrong.
    pub(crate) message: String,
}

/// Reads a zone file with `$ORIGIN` and `$TTL`; the records in their order.
///
/// # Errors
/// At the first fault, with its line.
pub(crate) fn parse_zone(text: &str, origin: &MessageName) -> Result<Vec<Record>, Fault> {
    let mut origin = origin.clone();
    let mut owner: Option<MessageName> = None;
    let (mut default, mut last): (Option<u32>, Option<u32>) = (None, None);
    let mut records = Vec::new();
    for entry in entries(text)? {
        let fault = |message: String| Fault { line: entry.line, message };
        let Some((first, rest)) = entry.words.split_first() else { continue };
        match (entry.blank, first.text.as_str(), rest) {
            (false, "$ORIGIN", [word]) => origin = name(&word.text, Some(&origin)).map_err(fault)?,
            (false, "$TTL", [word]) => {
                default = Some(ttl(&word.text).ok_or_else(|| fault(format!("`{}` is no TTL", word.text)))?);
            }
            (false, directive, _) if directive.starts_with('$') => {
                return Err(fault(format!("`{directive}` is not supported, only $ORIGIN NAME and $TTL SECONDS")));
            }
            (blank, text, _) => {
                let words = if blank { entry.words.as_slice() } else { rest };
                if !blank {
                    owner = Some(name(text, Some(&origin)).map_err(fault)?);
                }
                let owner = owner.clone().ok_or_else(|| fault("the first record has no owner".into()))?;
                let unset = default.or(last).unwrap_or(3600);
                let (record, own) = record(owner, words, Some(&origin), unset).map_err(fault)?;
                if own {
                    last = Some(record.ttl);
                }
                records.push(record);
            }
        }
    }
    Ok(records)
}

/// A record as a zone-file line.
#[cfg(test)]
pub(crate) fn text(record: &Record) -> String {
    let data = match &record.data {
        RData::TXT(txt) => {
            let quote = |octets: &[u8]| format!("\"{}\"", String::from_utf8_lossy(octets).replace('"', "\\\""));
            txt.txt_data.iter().map(|part| quote(part)).collect::<Vec<_>>().join(" ")
        }
        RData::CNAME(target) => names::text(target),
        RData::NS(target) => names::text(target),
        RData::PTR(target) => names::text(target),
        other => other.to_string(),
    };
    let owner = record.name.to_ascii();
    format!("{owner} {} {} {} {data}", record.ttl, record.dns_class, record.record_type())
}

//----------- Entries --------------------------------------------------------

struct Word {
    /// As written, escapes and all; without the quotes around it.
    text: String,
    quoted: bool,
}

struct Entry {
    line: u32,
    /// The entry begins with white space: it has the owner of the one before.
    blank: bool,
    words: Vec<Word>,
}

/// Splits text into entries: quotes, comments, and parentheses that join lines.
fn entries(text: &str) -> Result<Vec<Entry>, Fault> {
    let mut entries = Vec::new();
    let mut entry: Option<Entry> = None;
    let (mut line, mut depth, mut fresh) = (1u32, 0u32, true);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\n' {
            line += 1;
            if depth == 0 {
                entries.extend(entry.take().filter(|entry: &Entry| !entry.words.is_empty()));
                fresh = true;
            }
            continue;
        }
        let current = entry.get_or_insert_with(|| Entry { line, blank: false, words: Vec::new() });
        match c {
            ' ' | '\t' | '\r' => {
                if fresh {
                    current.blank = true;
                }
            }
            ';' => while chars.next_if(|&c| c != '\n').is_some() {},
            '(' => depth += 1,
            ')' => {
                depth = depth.checked_sub(1).ok_or_else(|| Fault { line, message: "a `)` closes nothing".into() })?;
            }
            '"' => {
                let mut word = String::new();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => {
                            word.push('\\');
                            word.extend(chars.next());
                        }
                        Some(c) => {
                            line += u32::from(c == '\n');
                            word.push(c);
                        }
                        None => return Err(Fault { line: current.line, message: "a quote is not closed".into() }),
                    }
                }
                current.words.push(Word { text: word, quoted: true });
            }
            c => {
                let mut word = String::from(c);
                if c == '\\' {
                    word.extend(chars.next());
                }
                while let Some(c) = chars.next_if(|&c| !matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '(' | ')' | '"')) {
                    word.push(c);
                    if c == '\\' {
                        word.extend(chars.next());
                    }
                }
                current.words.push(Word { text: word, quoted: false });
            }
        }
        fresh = false;
    }
    if depth > 0 {
        return Err(Fault { line, message: "a `(` is not closed".into() });
    }
    entries.extend(entry.filter(|entry| !entry.words.is_empty()));
    Ok(entries)
}

//----------- Record ---------------------------------------------------------

/// Reads what follows the owner; says whether the record has a TTL of its own.
fn record(
    owner: MessageName,
    words: &[Word],
    origin: Option<&MessageName>,
    default: u32,
) -> Result<(Record, bool), String> {
    let (mut own, mut class) = (None, DNSClass::IN);
    let mut rest = words;
    loop {
        let (word, after) = rest.split_first().ok_or_else(|| "the record has no type".to_owned())?;
        let upper = word.text.to_ascii_uppercase();
        if let Some(seconds) = ttl(&upper).filter(|_| own.is_none() && !word.quoted) {
            own = Some(seconds);
        } else if let Some(found) = parse_class(&upper) {
            class = found;
        } else {
            let qtype = parse_type(&upper).ok_or_else(|| format!("`{}` is no record type", word.text))?;
            let data = data(qtype, after, origin).map_err(|why| format!("{qtype} record: {why}"))?;
            let mut record = Record::from_rdata(owner, own.unwrap_or(default), data);
            record.dns_class = class;
            return Ok((record, own.is_some()));
        }
        rest = after;
    }
}

fn parse_class(text: &str) -> Option<DNSClass> {
    match text {
        "IN" => Some(DNSClass::IN),
        "CH" => Some(DNSClass::CH),
        "HS" => Some(DNSClass::HS),
        _ => None,
    }
}

/// Reads a type by name, or as `TYPE123` (RFC 3597).
pub(crate) fn parse_type(text: &str) -> Option<RecordType> {
    let upper = text.to_ascii_uppercase();
    match upper.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok()) {
        Some(number) => Some(number.into()),
        None if upper == "*" => None,
        None if upper == "IXFR" => Some(RecordType::IXFR),
        None => upper.parse().ok(),
    }
}

/// Seconds, or with units as in `1h30m`.
fn ttl(text: &str) -> Option<u32> {
    if text.is_empty() || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (mut total, mut number) = (0u32, 0u32);
    let mut pending = false;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = number.checked_mul(10)?.checked_add(digit)?;
            pending = true;
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        (number, pending) = (0, false);
    }
    if pending { total.checked_add(number) } else { Some(total) }
}

fn name(text: &str, origin: Option<&MessageName>) -> Result<MessageName, String> {
    match (text, origin) {
        ("@", Some(origin)) => return Ok(origin.clone()),
        ("@", None) => return Err("`@` stands for no name here".into()),
        _ => {}
    }
    let name = names::parse(text)?;
    let absolute = text == "." || text.ends_with('.') && !text.ends_with("\\.");
    match origin {
        Some(origin) if !absolute => {
            name.append_domain(origin).map_err(|error| format!("`{text}` is no domain name: {error}"))
        }
        _ => Ok(name),
    }
}

fn data(qtype: RecordType, words: &[Word], origin: Option<&MessageName>) -> Result<RData, String> {
    let mut fields = Fields { words, origin };
    if words.first().is_some_and(|word| word.text == "\\#" && !word.quoted) {
        fields.next("\\#")?;
        return fields.generic(qtype);
    }
    let data = match qtype {
        RecordType::A => RData::A(rdata::A(fields.parse("an IPv4 address")?)),
        RecordType::AAAA => RData::AAAA(rdata::AAAA(fields.parse("an IPv6 address")?)),
        RecordType::CNAME => RData::CNAME(rdata::CNAME(fields.name()?)),
        RecordType::NS => RData::NS(rdata::NS(fields.name()?)),
        RecordType::PTR => RData::PTR(rdata::PTR(fields.name()?)),
        RecordType::MX => RData::MX(rdata::MX::new(fields.parse("a preference")?, fields.name()?)),
        RecordType::SRV => RData::SRV(rdata::SRV::new(
            fields.parse("a priority")?,
            fields.parse("a weight")?,
            fields.parse("a port")?,
            fields.name()?,
        )),
        RecordType::SOA => RData::SOA(rdata::SOA::new(
            fields.name()?,
            fields.name()?,
            fields.parse("a serial")?,
            fields.seconds("a refresh time")?,
            fields.seconds("a retry time")?,
            fields.seconds("an expiry time")?,
            fields.seconds("a minimum TTL")?.unsigned_abs(),
        )),
        RecordType::TXT => {
            let mut parts = Vec::new();
            while !fields.words.is_empty() {
                parts.push(fields.characters()?);
            }
            if parts.is_empty() {
                return Err("text is missing".into());
            }
            RData::TXT(rdata::TXT::from_bytes(parts.iter().map(Vec::as_slice).collect()))
        }
        RecordType::HINFO => RData::HINFO(rdata::HINFO::from_bytes(
            fields.characters()?.into_boxed_slice(),
            fields.characters()?.into_boxed_slice(),
        )),
        other => {
            let quote = |word: &Word| if word.quoted { format!("\"{}\"", word.text) } else { word.text.clone() };
            let text = std::mem::take(&mut fields.words).iter().map(quote).collect::<Vec<_>>().join(" ");
            RData::try_from_str(other, &text).map_err(|error| format!("`{text}`: {error}"))?
        }
    };
    match fields.words.first() {
        Some(extra) => Err(format!("`{}` is one word too many", extra.text)),
        None => Ok(data),
    }
}

struct Fields<'w> {
    words: &'w [Word],
    origin: Option<&'w MessageName>,
}

impl<'w> Fields<'w> {
    fn next(&mut self, what: &str) -> Result<&'w Word, String> {
        let (word, rest) = self.words.split_first().ok_or_else(|| format!("{what} is missing"))?;
        self.words = rest;
        Ok(word)
    }

    fn parse<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.next(what)?;
        word.text.parse().map_err(|_| format!("`{}` is not {what}", word.text))
    }

    fn seconds(&mut self, what: &str) -> Result<i32, String> {
        let word = self.next(what)?;
        let seconds = ttl(&word.text).and_then(|seconds| i32::try_from(seconds).ok());
        seconds.ok_or_else(|| format!("`{}` is not {what}", word.text))
    }

    fn name(&mut self) -> Result<MessageName, String> {
        let word = self.next("a name")?;
        name(&word.text, self.origin)
    }

    /// A character-string of at most 255 octets, its escapes resolved.
    fn characters(&mut self) -> Result<Vec<u8>, String> {
        let word = self.next("text")?;
        let mut octets = Vec::with_capacity(word.text.len());
        let mut rest = word.text.bytes();
        while let Some(octet) = rest.next() {
            octets.push(match octet {
                b'\\' => match rest.next() {
                    Some(first @ b'0'..=b'9') => {
                        let mut value = u16::from(first - b'0');
                        for _ in 0..2 {
                            let digit = rest.next().filter(u8::is_ascii_digit);
                            value = value * 10 + u16::from(digit.ok_or("an escape is cut off")? - b'0');
                        }
                        u8::try_from(value).map_err(|_| "an escape is above 255")?
                    }
                    Some(other) => other,
                    None => return Err("an escape is cut off".into()),
                },
                other => other,
            });
        }
        if octets.len() > 255 {
            return Err("a text is longer than 255 octets".into());
        }
        Ok(octets)
    }

    /// `LENGTH HEX…` (RFC 3597 section 5).
    fn generic(&mut self, qtype: RecordType) -> Result<RData, String> {
        let length: usize = self.parse("a length")?;
        let hex: String = std::mem::take(&mut self.words).iter().map(|word| word.text.as_str()).collect();
        let octets = hex_octets(&hex).filter(|octets| octets.len() == length);
        let octets = octets.ok_or_else(|| format!("`{hex}` is not {length} octets in hexadecimal"))?;
        Ok(RData::Unknown { code: qtype, rdata: rdata::NULL::with(octets) })
    }
}

/// Octets written in hexadecimal.
pub(crate) fn hex_octets(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    digits.chunks(2).map(|pair| if let [high, low] = pair { Some(high << 4 | low) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(line: &str) -> String {
        text(&parse_line(line, None, 3600).unwrap())
    }

    #[test]
    fn records_are_read_from_lines() {
        assert_eq!(round("a.example. 60 IN A 192.0.2.1"), "a.example. 60 IN A 192.0.2.1");
        assert_eq!(round("a.example. IN 60 AAAA ::1"), "a.example. 60 IN AAAA ::1");
        assert_eq!(round("a.example. A 192.0.2.1"), "a.example. 3600 IN A 192.0.2.1");
        assert_eq!(round("A.example. 1h MX 10 mx.example."), "A.example. 3600 IN MX 10 mx.example.");
        assert_eq!(round("_s._tcp.a. 5 IN SRV 0 33 80 t.a."), "_s._tcp.a. 5 IN SRV 0 33 80 t.a.");
        assert_eq!(round("a. 5 IN TXT \"one two\" three"), "a. 5 IN TXT \"one two\" \"three\"");
        assert_eq!(round("a. 5 IN TXT (\n \"one\"\n \"two\" )"), "a. 5 IN TXT \"one\" \"two\"");
        assert_eq!(round("a. 5 CH TXT x"), "a. 5 CH TXT \"x\"");
    }

    #[test]
    fn broken_records_say_what_is_wrong() {
        let say = |line| parse_line(line, None, 3600).unwrap_err();
        assert_eq!(say("a. 5 IN A 10.0.0.300"), "A record: `10.0.0.300` is not an IPv4 address");
        assert_eq!(say("a. 5 IN A"), "A record: an IPv4 address is missing");
        assert_eq!(say("a. 5 IN A 10.0.0.1 x"), "A record: `x` is one word too many");
        assert_eq!(say("a. 5 IN WHAT x"), "`WHAT` is no record type");
        assert_eq!(say("a. 5 IN"), "the record has no type");
        assert_eq!(say(""), "the record is empty");
        assert_eq!(say("a. 5 IN TXT \"x"), "a quote is not closed");
        assert_eq!(say("a. 5 IN TXT (x"), "a `(` is not closed");
    }

    #[test]
    fn unknown_types_are_carried() {
        let record = parse_line("a. 5 IN TYPE65400 \\# 3 0aff00", None, 60).unwrap();
        assert_eq!(u16::from(record.record_type()), 65400);
        assert!(parse_line("a. 5 IN TYPE65400 \\# 2 0aff00", None, 60).is_err());
    }

    #[test]
    fn zone_files_have_origins_and_lines() {
        let origin = names::parse("example.").unwrap();
        let zone = "$TTL 60\n@ IN SOA ns host ( 1 ; serial\n 3600 600 86400 60 )\n  NS ns\nwww 5 A 192.0.2.1\n$ORIGIN b\nx CNAME www.example.\n";
        let lines: Vec<String> = parse_zone(zone, &origin).unwrap().iter().map(text).collect();
        assert_eq!(
            lines,
            [
                "example. 60 IN SOA ns.example. host.example. 1 3600 600 86400 60",
                "example. 60 IN NS ns.example.",
                "www.example. 5 IN A 192.0.2.1",
                "x.b.example. 60 IN CNAME www.example.",
            ]
        );
        let fault = parse_zone("@ 60 IN NS ns\nwww 60 IN A 10.0.0.300\n", &origin).unwrap_err();
        assert_eq!(fault.line, 2);
    }
}

//! Texts of operators: names, Corefiles, zone files, templates, expressions, manifests.

use std::fmt::Write as _;
use std::net::IpAddr;

use data_encoding::HEXLOWER;
use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use rollcall::cluster::manifests::{Addresses, Loaded, load_text};
use rollcall::corefile::{Corefile, CorefileSource, Directive, Token, parse};
use rollcall::fuzzing;
use rollcall::wire::message::{MessageName, Record, Size, decode, encode};
use rollcall::wire::{Name, Records};
use serde_json::Value;

use crate::watches::is_fact;

//----------- Names ----------------------------------------------------------

/// A name that is read is written, and read again it is the same; no name is longer than the wire allows.
pub fn name(octets: &[u8]) {
    if let Ok(name) = Name::from_wire(octets) {
        assert!(name.as_wire().eq_ignore_ascii_case(octets));
        is_name(&name);
    }
    let Ok(text) = std::str::from_utf8(octets) else { return };
    if let Ok(name) = text.parse::<Name>() {
        is_name(&name);
    }
}

fn is_name(name: &Name) {
    let wire = name.as_wire();
    assert!(wire.len() <= 255 && wire.last() == Some(&0));
    assert!(name.labels().all(|label| (1..=63).contains(&label.len())));
    assert_eq!(name.labels().map(|label| label.len() + 1).sum::<usize>() + 1, wire.len());
    let shown = name.to_string();
    assert_eq!(shown.parse::<Name>().as_ref(), Ok(name), "{shown:?}");
    assert_eq!(Name::from_wire(wire).as_ref(), Ok(name));
    assert_eq!(Name::from_labels(name.labels()).as_ref(), Ok(name));
    assert_eq!(Name::from(&MessageName::from(name)), *name);
}

//----------- Corefiles ------------------------------------------------------

/// A Corefile is a tree, which is the same when it is written and read again, or has one fault at a place that is there.
pub fn corefile(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    // What is imported by name and not by a snippet is read from files: of a folder that is not there.
    match tree(text) {
        Ok(file) => {
            assert!(file.blocks.iter().all(|block| !block.keys.is_empty()));
            let Some(written) = written(&file) else { return };
            let again = tree(&written).unwrap_or_else(|fault| panic!("{fault}\n{written}"));
            assert_eq!(shape(&again), shape(&file), "{written}");
        }
        Err(fault) => {
            let (line, column) = (fault.position.line as usize, fault.position.column as usize);
            let lines: Vec<&str> = text.split('\n').collect();
            let width = lines.get(line - 1).unwrap_or_else(|| panic!("line {line}: {fault}\n{text}")).chars().count();
            assert!((1..=width + 1).contains(&column), "column {column}: {fault}\n{text}");
            assert!(!fault.message.is_empty() && !fault.message.ends_with('.'), "{fault}");
        }
    }
}

fn tree(text: &str) -> Result<Corefile, rollcall::corefile::Error> {
    let source = CorefileSource::Text { name: "/nowhere/at/all/Corefile".into(), text: text.to_owned() };
    parse(&source, &|name: &str| (name == "A").then(|| "{$A} a b".to_owned()))
}

/// The tree as text; `None` where a word of it cannot be written between quotes.
fn written(file: &Corefile) -> Option<String> {
    let mut text = String::new();
    for block in &file.blocks {
        let mut last = None;
        for key in &block.keys {
            // A network is several keys of one word.
            if last != Some(&key.token) && !key.token.text.ends_with(',') {
                text.push_str(&quoted(&key.token)?);
                text.push(' ');
            } else if last != Some(&key.token) {
                return None;
            }
            last = Some(&key.token);
        }
        text.push_str("{\n");
        block.directives.iter().try_for_each(|directive| write_directive(directive, &mut text))?;
        text.push_str("}\n");
    }
    Some(text)
}

fn write_directive(directive: &Directive, text: &mut String) -> Option<()> {
    text.push_str(&quoted(&directive.name)?);
    for word in &directive.arguments {
        text.push(' ');
        text.push_str(&quoted(word)?);
    }
    if let Some(body) = &directive.body {
        text.push_str(" {\n");
        body.iter().try_for_each(|line| write_directive(line, text))?;
        text.push('}');
    }
    text.push('\n');
    Some(())
}

/// A word between quotes; there a backslash escapes a quote and nothing else, so that none can stand before one.
fn quoted(word: &Token) -> Option<String> {
    let text = &word.text;
    let is_plain = !text.ends_with('\\') && !text.contains("\\\"") && !text.contains("{$") && !text.contains("{%");
    is_plain.then(|| format!("\"{}\"", text.replace('"', "\\\"")))
}

/// All of a tree but the places.
fn shape(file: &Corefile) -> String {
    fn directives(all: &[Directive], shape: &mut String) {
        for one in all {
            let words: Vec<&str> = one.arguments.iter().map(|word| word.text.as_str()).collect();
            write!(shape, "{:?} {words:?} {}", one.name.text, one.body.is_some()).unwrap();
            shape.push('(');
            directives(one.lines(), shape);
            shape.push(')');
        }
    }
    let mut shape = String::new();
    for block in &file.blocks {
        let mut keys: Vec<_> = block.keys.iter().map(|key| (key.scheme, &key.zone, key.port, key.network)).collect();
        keys.dedup();
        write!(shape, "{keys:?}").unwrap();
        directives(&block.directives, &mut shape);
    }
    shape
}

//----------- Zone files -----------------------------------------------------

/// The records of a zone file can be sent, come back as they were, and are the same when their data are written as octets.
pub fn zone(octets: &[u8]) {
    if makes_many(octets) {
        return;
    }
    let origin = MessageName::from_ascii("example.org.").unwrap();
    let records = match fuzzing::zone_file(octets, &origin) {
        Ok(records) => records,
        Err((line, message)) => {
            let lines = octets.split(|octet| *octet == b'\n').count();
            assert!((1..=lines as u32).contains(&line) && !message.is_empty(), "{line}: {message}");
            return;
        }
    };
    for record in records.iter().take(64) {
        let sent = sent(record);
        let Some(back) = received(&sent) else { panic!("{record:?} was sent as {sent:02x?}") };
        assert_eq!((&back.name, back.ttl, back.dns_class), (&record.name, record.ttl, record.dns_class));
        let data = data(record);
        let (name, ttl, class) = (Name::from(&record.name), record.ttl, u16::from(record.dns_class));
        let (len, hex) = (data.len(), HEXLOWER.encode(&data));
        // RFC 3597 section 5: any data, as octets.
        let line = format!("{name} {ttl} CLASS{class} TYPE{} \\# {len} {hex}", u16::from(record.record_type()));
        // The line has the owner in lower case, to which names in the data may point.
        if MessageName::from(&name).iter().ne(record.name.iter()) {
            continue;
        }
        let again = fuzzing::record(&line).unwrap_or_else(|fault| panic!("{fault}: {line}: {record:?}"));
        assert_eq!(self::sent(&again), sent, "{line}");
    }
}

/// `$GENERATE` makes up to a million records of a line: that is no work of a small input's, and no news.
fn makes_many(octets: &[u8]) -> bool {
    let generates = octets.to_ascii_uppercase().windows(9).any(|part| part == b"$GENERATE");
    generates && octets.windows(4).any(|part| part.iter().all(u8::is_ascii_digit))
}

fn sent(record: &Record) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Response, OpCode::Query);
    message.add_answer(record.clone());
    let mut octets = Vec::new();
    assert!(!encode(&message, Size::tcp(), 0, &mut octets), "one record fits");
    octets
}

/// The data as octets, all names in them whole.
fn data(record: &Record) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    record.data.emit(&mut encoder).unwrap();
    octets
}

fn received(octets: &[u8]) -> Option<Record> {
    let found = Records::new(octets).ok()?.next()?.ok()?;
    // Data that the codec cannot take apart are sent all the same.
    match decode(octets) {
        Ok(message) => message.answers.into_iter().chain(message.additionals).next(),
        Err(_) => {
            let name = rollcall::wire::name_at(octets, found.owner).ok()?;
            let mut record = Record::update0(MessageName::from(&name), found.ttl, found.rtype.0.into());
            record.dns_class = found.class.0.into();
            Some(record)
        }
    }
}

//----------- Templates and expressions --------------------------------------

/// A template is filled in alike each time, within bounds; two beside each other give what each of them gives.
pub fn template(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let (one, other) = text.split_once('\0').unwrap_or((text, ""));
    let filled = |text: &str| fuzzing::template(text).ok().flatten();
    let Some(first) = filled(one) else { return };
    // A verb of `printf` makes a million octets at most.
    assert!(first.len() <= (1 + one.matches('%').count()) << 20, "{}", first.len());
    if !one.contains("{{") {
        assert_eq!(first, one);
    }
    // Templates within templates are known in all of the text.
    let is_whole = |text: &str| !["define", "block", "template"].iter().any(|word| text.contains(word));
    if let Some(second) = filled(other).filter(|_| is_whole(one) && is_whole(other)) {
        assert_eq!(filled(&format!("{one}|{other}")), Some(format!("{first}|{second}")));
    }
}

/// An expression has one value; the laws of Kleene's logic hold of it.
pub fn expression(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let (one, other) = text.split_once('\0').unwrap_or((text, "true"));
    let Ok(value) = fuzzing::expression(one) else { return };
    let of = |text: &str| fuzzing::expression(text);
    // Within others it may lie too deep.
    let same = |text: &str, value: &Option<String>| {
        if let Ok(found) = of(text) {
            assert_eq!(&found, value, "{text}");
        }
    };
    same(&format!("({one})"), &value);
    let truth = value.filter(|value| value.starts_with("Bool"));
    let negated = |truth: &Option<String>| {
        truth.as_deref().map(|truth| if truth == "Bool(true)" { "Bool(false)" } else { "Bool(true)" }.to_owned())
    };
    same(&format!("!({one})"), &negated(&truth));
    same(&format!("!(!({one}))"), &truth);
    same(&format!("({one}) && ({one})"), &truth);
    same(&format!("({one}) || ({one})"), &truth);
    same(&format!("({one}) || true"), &Some("Bool(true)".into()));
    same(&format!("false && ({one})"), &Some("Bool(false)".into()));
    if of(other).is_ok()
        && let Ok(both) = of(&format!("({one}) && ({other})"))
    {
        same(&format!("!(!({one}) || !({other}))"), &both);
        same(&format!("({other}) and ({one})"), &both);
    }
}

//----------- Manifests ------------------------------------------------------

/// Manifests are read alike each time, as they stand and as JSON is written in other ways; what they hold is well-formed.
pub fn manifest(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let loaded = read(text);
    assert_eq!(comparable(&loaded), comparable(&read(text)));
    if let Ok(loaded) = &loaded {
        loaded.facts.iter().for_each(|fact| is_fact(fact.kind(), fact));
    } else if let Err(error) = &loaded
        && let Some(place) = error.place()
    {
        // YAML ends a line with either.
        let lines = text.matches(['\n', '\r']).count() as u32 + 1;
        assert!((1..=lines).contains(&place.line), "{error}");
    }
    if let Ok(value) = serde_json::from_str::<Value>(text)
        && value.to_string().len() == text.bytes().filter(|octet| !octet.is_ascii_whitespace()).count()
    {
        let ways = [value.to_string(), serde_json::to_string_pretty(&value).unwrap(), block(&value, 0)];
        for way in ways {
            assert_eq!(comparable(&read(&way)), comparable(&loaded), "{way}");
        }
    }
}

fn read(text: &str) -> Result<Loaded, rollcall::cluster::manifests::Error> {
    load_text(text, &mut Addresses::default())
}

/// The facts, or whether there is a fault: its place and words are of the text.
fn comparable(
    loaded: &Result<Loaded, rollcall::cluster::manifests::Error>,
) -> Option<&[rollcall::cluster::facts::Fact]> {
    loaded.as_ref().ok().map(|loaded| &loaded.facts[..])
}

/// A value as YAML in blocks, all text between quotes.
fn block(value: &Value, depth: usize) -> String {
    let inset = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => fields
            .iter()
            .map(|(key, value)| format!("\n{inset}{}: {}", Value::from(key.as_str()), block(value, depth + 1)))
            .collect(),
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| format!("\n{inset}- {}", block(item, depth + 1))).collect()
        }
        other => other.to_string(),
    }
}

/// An address, as both encodings of an object spell it.
pub(crate) fn address(number: u8, v6: bool) -> IpAddr {
    if v6 {
        IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, number.into()])
    } else {
        IpAddr::from([10, 0, number / 16, number])
    }
}

//! Whole zone files: owners, TTLs, and the directives `$ORIGIN`, `$TTL`, `$INCLUDE` and `$GENERATE`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fields::{name, seconds};
use super::words::{ZoneEntries, ZoneEntry, ZoneWord};
use super::{Fault, generate, record};
use crate::files::{self, FileSet};
use crate::wire::message::{MessageName, RData, Record};

/// The depth to which files may lie within one another, as in CoreDNS.
const DEEPEST: usize = 7;

/// The most records that `$GENERATE` may make in a whole zone.
const MOST_GENERATED: usize = 1 << 20;

/// A zone file, read.
#[derive(Debug)]
pub(crate) struct ZoneText {
    /// The records in their order.
    pub(crate) records: Vec<Placed>,
    /// The files that they come from.
    pub(crate) files: FileSet,
}

/// A record, and where it stands.
#[derive(Debug)]
pub(crate) struct Placed {
    /// The record.
    pub(crate) record: Record,
    /// The file.
    pub(crate) file: Arc<Path>,
    /// The line, from 1.
    pub(crate) line: u32,
}

/// Reads a zone file and those that it includes.
///
/// # Errors
/// At the first fault, with its file and line.
pub(crate) fn parse_zone(path: &Path, origin: &MessageName) -> Result<ZoneText, Fault> {
    let mut reader = ZoneReader::new();
    let file: Arc<Path> = path.into();
    let located = |fault: Fault| Fault { file: fault.file.or_else(|| Some(file.clone())), ..fault };
    let scope = ZoneScope::new(origin);
    // No line of it is to blame where it cannot be read.
    let unread = |why: String| Fault::new(0, format!("the zone file {} cannot be read: {why}", path.display()));
    reader.file(&file, scope).map_err(|why| located(unread(why)))?.map_err(located)?;
    Ok(reader.zone)
}

/// Reads text as if it were the contents of a zone file. What it includes is looked for from the root.
///
/// # Errors
/// As [`parse_zone`].
pub(crate) fn parse_zone_text(text: &[u8], origin: &MessageName) -> Result<ZoneText, Fault> {
    let mut reader = ZoneReader::new();
    reader.text(text, &Path::new("/zone").into(), ZoneScope::new(origin))?;
    Ok(reader.zone)
}

/// The state that words of a file are read in; an included file has its own.
#[derive(Clone, Debug)]
struct ZoneScope {
    origin: MessageName,
    owner: Option<MessageName>,
    /// The TTL that `$TTL` sets.
    default: Option<u32>,
    /// The last TTL that a record has of its own.
    last: Option<u32>,
}

impl ZoneScope {
    fn new(origin: &MessageName) -> Self {
        Self { origin: origin.clone(), owner: None, default: None, last: None }
    }
}

struct ZoneReader {
    zone: ZoneText,
    /// The files that are being read, each within the one before.
    open: Vec<PathBuf>,
    /// The last number of the SOA: the TTL where nothing else says one, as in BIND.
    minimum: Option<u32>,
    /// The octets that all files together may still have.
    octets: u64,
    generated: usize,
}

impl ZoneReader {
    fn new() -> Self {
        let zone = ZoneText { records: Vec::new(), files: FileSet::default() };
        Self { zone, open: Vec::new(), minimum: None, octets: files::RECORDS, generated: 0 }
    }

    /// Reads a file: whether it can be read, and whether it is without fault.
    fn file(&mut self, path: &Arc<Path>, scope: ZoneScope) -> Result<Result<(), Fault>, String> {
        let itself = files::canonical(path).map_err(|error| error.why())?;
        if self.open.contains(&itself) {
            return Err("it includes itself".into());
        }
        if self.open.len() > DEEPEST {
            return Err(format!("more than {DEEPEST} files lie within one another"));
        }
        let text = self.zone.files.read(path, self.octets).map_err(|error| error.why())?;
        self.octets -= text.len() as u64;
        self.open.push(itself);
        let done = self.text(&text, path, scope);
        self.open.pop();
        Ok(done.map_err(|fault| Fault { file: fault.file.or_else(|| Some(path.clone())), ..fault }))
    }

    fn text(&mut self, text: &[u8], path: &Arc<Path>, mut scope: ZoneScope) -> Result<(), Fault> {
        for entry in ZoneEntries::new(text) {
            self.entry(entry?, path, &mut scope)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: ZoneEntry, path: &Arc<Path>, scope: &mut ZoneScope) -> Result<(), Fault> {
        let Some((first, rest)) = entry.words.split_first() else { return Ok(()) };
        let fault = |message: String| Fault::new(first.line, message);
        if entry.blank || first.quoted || !first.octets.starts_with(b"$") {
            return self.record(&entry.words, entry.blank, path, scope);
        }
        let directive = first.text().to_ascii_uppercase();
        match (directive.as_str(), rest) {
            ("$ORIGIN", [word]) => scope.origin = name(&word.octets, &scope.origin).map_err(fault)?,
            ("$TTL", [word]) => {
                let ttl = seconds(&word.text()).ok_or_else(|| fault(format!("`{}` is no TTL", word.text())))?;
                scope.default = Some(ttl);
            }
            ("$INCLUDE", [word, origin @ ..]) if origin.len() < 2 => {
                let within = path.parent().unwrap_or_else(|| Path::new("")).join(&*word.text());
                let mut inner = scope.clone();
                if let [origin] = origin {
                    inner.origin = name(&origin.octets, &scope.origin).map_err(fault)?;
                }
                let shown = within.display().to_string();
                self.file(&within.into(), inner).map_err(|why| fault(format!("$INCLUDE: {shown}: {why}")))??;
            }
            ("$GENERATE", [range, words @ ..]) if !words.is_empty() => {
                for line in generate::lines(range, words)? {
                    self.generated += 1;
                    if self.generated > MOST_GENERATED {
                        return Err(fault(format!("$GENERATE makes more than {MOST_GENERATED} records in this zone")));
                    }
                    self.record(&line?, false, path, scope)?;
                }
            }
            ("$ORIGIN" | "$TTL" | "$INCLUDE" | "$GENERATE", _) => {
                let form = "$ORIGIN NAME, $TTL SECONDS, $INCLUDE FILE [NAME] and $GENERATE RANGE RECORD are understood";
                return Err(fault(format!("`{directive}` has too few words or too many: {form}")));
            }
            // An owner may begin with the sign as well, but hardly does.
            _ => return Err(fault(format!("`{directive}` is no directive"))),
        }
        Ok(())
    }

    fn record(
        &mut self,
        words: &[ZoneWord],
        blank: bool,
        path: &Arc<Path>,
        scope: &mut ZoneScope,
    ) -> Result<(), Fault> {
        let line = words.first().map_or(1, |word| word.line);
        let fault = |message: String| Fault::new(line, message);
        let words = match words.split_first() {
            Some((owner, rest)) if !blank => {
                scope.owner = Some(name(&owner.octets, &scope.origin).map_err(fault)?);
                rest
            }
            _ => words,
        };
        let owner = scope.owner.clone().ok_or_else(|| fault("the first record has no owner".into()))?;
        let ttl = scope.default.or(scope.last).or(self.minimum);
        let read = record(owner, words, &scope.origin, ttl.unwrap_or(3600));
        let (mut record, own) = read.map_err(|(at, why)| Fault::new(at.max(line), why))?;
        if let (RData::SOA(soa), None) = (&record.data, self.minimum) {
            self.minimum = Some(soa.minimum);
            if ttl.is_none() && !own {
                record.ttl = soa.minimum;
            }
        }
        if own {
            scope.last = Some(record.ttl);
        }
        self.zone.records.push(Placed { record, file: path.clone(), line });
        Ok(())
    }
}

//! Name: `file`
//!
//! Description: answers from zone files (RFC 1035 section 5).
//!
//! Syntax:
//!
//! ```text
//! file DBFILE [ZONES...] {
//!     reload DURATION
//!     reload_by_mtime
//!     fallthrough [ZONES...]
//! }
//! ```
//!
//! Without zones the file is for those of the server block. What was written to it, or to a file that it includes, is taken up
//! when the SOA has another serial, or whatever it is with `reload_by_mtime`; it is looked at every minute unless given, never with
//! `reload 0`. The directive may be repeated; one `fallthrough` is for all. Where `file` is the last plugin, names outside of its zones
//! are refused.
//!
//! Zone files may hold all record types that have a text form, others as `TYPE123 \# LENGTH HEX` (RFC 3597), and the directives
//! `$ORIGIN`, `$TTL`, `$INCLUDE FILE [ORIGIN]` (from the folder of the file it stands in, 7 deep at most, with an origin and a TTL of its
//! own) and `$GENERATE RANGE RECORD` (65,536 records at most). All files of a zone have 64 MiB at most together. Of a zone that is
//! signed with NSEC the signatures and denials go to clients that take them.
//!
//! Examples:
//!
//! ```corefile
//! example.org {
//!     file db.example.org {
//!         reload 30s
//!     }
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: a zone file with a fault is refused with its line, and so is data that cannot be sent. A record outside of its
//! zone is left out, with a warning. A zone signed with NSEC3 is served, without denials. `$GENERATE` keeps to `$TTL`. Types of any
//! (`ANY`) are answered. A wildcard is not for names that stand above others (RFC 4592 section 2.2.2), a SOA beside a denial lives no
//! longer than its minimum (RFC 2308 section 3), also where an alias leads to nothing, and a circle of aliases is told once. A record
//! that is written twice stands once, with its first TTL. Owners are spelled as in the question.

mod zone;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

use crate::chain::settings::Task;
use crate::chain::setup::Context;
use crate::chain::{Next, Outcome, Plugin, Query, Reply, append, is_transfer};
use crate::corefile::{Directive, Error, Position};
use crate::files::{self, FileSet};
use crate::syntax::names::read_fallthrough;
use crate::syntax::names::{self, Zones};
use crate::syntax::record::{self, Fault};
use crate::syntax::words;
use crate::wire::message::{DNSClass, Message, MessageName, Record, ResponseCode};
use crate::wire::{Failure, Name, Serial};
use crate::zone::Fallthrough;
use zone::{Asked, FileZone, Found, outsiders};

/// The plugin: all `file` lines of a server block.
pub(crate) struct ZoneFiles {
    files: Vec<Arc<ZoneSource>>,
    fallthrough: Fallthrough,
}

struct ZoneSource {
    path: PathBuf,
    zones: Vec<Name>,
    /// `reload_by_mtime`: whatever was written is taken up, not only another serial.
    by_time: bool,
    loaded: RwLock<LoadedZone>,
}

/// The content of a file; nothing as long as it cannot be read.
#[derive(Default)]
struct LoadedZone {
    /// One for each zone of the source.
    zones: Vec<Arc<FileZone>>,
    /// The file and those that it includes.
    files: FileSet,
}

impl LoadedZone {
    fn serials(&self) -> Vec<Serial> {
        self.zones.iter().map(|zone| zone.serial()).collect()
    }

    /// Whether some file has changed since, or nothing could be read.
    fn is_outdated(&self, clock: SystemTime) -> bool {
        self.files.is_empty() || self.files.has_changed(clock)
    }
}

impl ZoneSource {
    /// Reads the file, and says what an operator should know of it.
    fn load(&self) -> Result<(LoadedZone, Vec<Error>), Error> {
        let at = |fault: &Fault| {
            let file = fault.file.as_deref().unwrap_or(&self.path);
            Position { file: file.to_string_lossy().as_ref().into(), line: fault.line, column: 1 }
        };
        let start = Position { file: self.path.to_string_lossy().as_ref().into(), line: 1, column: 1 };
        let (mut loaded, mut warnings) = (LoadedZone::default(), Vec::new());
        for origin in &self.zones {
            let name = names::to_message(origin);
            let read = record::parse_zone(&self.path, &name);
            let read = read.map_err(|fault| Error::new(&at(&fault), fault.message))?;
            let (zone, outside) = FileZone::new(name, read.records).map_err(|why| Error::new(&start, why))?;
            warnings.extend(outsiders(origin, &outside));
            loaded.zones.push(Arc::new(zone));
            loaded.files = read.files;
        }
        Ok((loaded, warnings))
    }

    /// Reads the file again once it has changed; a file with a fault changes nothing.
    fn reload(&self) {
        if !self.read().is_outdated(SystemTime::now()) {
            return;
        }
        match self.load() {
            Ok((new, warnings)) => {
                let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
                if self.by_time || loaded.serials() != new.serials() {
                    *loaded = new;
                    warnings.iter().for_each(|warning| tracing::warn!(target: "plugin/file", "{warning}"));
                } else {
                    loaded.files = new.files;
                }
            }
            Err(error) => tracing::warn!(target: "plugin/file", "the zone stays as it was: {error}"),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, LoadedZone> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn zone(&self, zone: &Name) -> Option<Arc<FileZone>> {
        let place = self.zones.iter().position(|own| own == zone)?;
        self.read().zones.get(place).cloned()
    }
}

impl ZoneFiles {
    /// The file of the longest zone that holds a name.
    fn source(&self, name: &Name) -> Option<(&ZoneSource, &Name)> {
        let candidates = self.files.iter().flat_map(|file| file.zones.iter().map(move |zone| (&**file, zone)));
        candidates.filter(|(_, zone)| name.is_within(zone)).max_by_key(|(_, zone)| zone.as_wire().len())
    }
}

impl Plugin for ZoneFiles {
    fn name(&self) -> &'static str {
        "file"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let wire = query.qname();
            let mut message = query.reply_message();
            let Some((source, zone)) = self.source(&wire).filter(|_| query.qclass() == DNSClass::IN) else {
                if next.plugins().is_empty() {
                    // Nobody behind it answers for other zones, as a server of zone files says it.
                    message.metadata.response_code = ResponseCode::Refused;
                    return Outcome::Reply(Reply::from_message("file", message));
                }
                return Outcome::Next;
            };
            let Some(zone) = source.zone(zone) else {
                let why = format!("plugin/file: the zone {zone} could not be read from {}", source.path.display());
                return Outcome::Failed("file", Failure::servfail(why));
            };
            if is_transfer(query.qtype()) {
                message.metadata.response_code = ResponseCode::Refused;
                return Outcome::Reply(Reply::from_message("file", message));
            }
            let mut found = Found::default();
            let asked = Asked { qtype: query.qtype(), dnssec: query.dnssec_ok(), query };
            zone.look_up(&query.name(), asked, &mut found);
            if found.nothing && found.answers.is_empty() && self.fallthrough.covers(wire.as_wire()) {
                return Outcome::Next;
            }
            let failed = found.rcode == ResponseCode::ServFail && found.answers.is_empty();
            message.metadata.authoritative = !found.referral && !failed;
            message.metadata.response_code = found.rcode;
            message.metadata.truncation = found.cut || found.cut_beside && query.limit.over_udp;
            message.answers = found.answers;
            message.authorities = found.authorities;
            message.additionals = found.additionals;
            if let Some(target) = found.outside {
                beyond(query, &target, &mut message).await;
            }
            Outcome::Reply(Reply::from_message("file", message))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        // It stands behind `kubernetes` in every chain.
        None
    }

    fn transfer(&self, zone: &MessageName) -> Option<Box<dyn Iterator<Item = Record> + Send>> {
        let wire = names::to_wire(zone);
        let (source, own) = self.source(&wire)?;
        if *own != wire {
            return None;
        }
        source.zone(own).map(|zone| Box::new(zone.records()) as Box<_>)
    }
}

/// Adds what is known of the target of an alias that leads out of the zone.
///
/// Where nobody here knows it, or whoever does refuses, the alias is the answer, and the client goes on from there. That it
/// does not exist, or that those who know it fail, is said (RFC 6604 section 3).
async fn beyond(query: &Query, target: &MessageName, message: &mut Message) {
    let rcode = match query.resolver.lookup(query, target, query.qtype()).await {
        Outcome::Reply(mut reply) => match reply.message() {
            Ok(found) => {
                append(message, found);
                message.metadata.response_code
            }
            Err(failure) => failure.rcode.into(),
        },
        Outcome::Failed(_, failure) => failure.rcode.into(),
        Outcome::Next | Outcome::Drop => ResponseCode::NoError,
    };
    message.metadata.response_code = match rcode {
        ResponseCode::NXDomain | ResponseCode::ServFail => rcode,
        _ => ResponseCode::NoError,
    };
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let mut files = ZoneFiles { files: Vec::new(), fallthrough: Fallthrough::None };
    for directive in lines {
        let Some((file, zones)) = directive.arguments.split_first() else {
            return Err(directive.name.error("file needs DBFILE, then zones if wanted"));
        };
        let (mut every, mut by_time) = (Duration::from_secs(60), false);
        for line in directive.lines() {
            match line.name.text.as_str() {
                "reload" => every = words::duration(words::value(line, "a duration, as in 30s")?)?,
                "reload_by_mtime" => {
                    words::alone(line)?;
                    by_time = true;
                }
                "fallthrough" => files.fallthrough = read_fallthrough(line)?,
                // Lookups go through the server always; old Corefiles ask for it.
                "upstream" => {}
                _ => return Err(words::unknown(line, "file", &["reload", "reload_by_mtime", "fallthrough"])),
            }
        }
        let zones = Zones::read(zones, context.zones)?.0;
        let source = ZoneSource { path: words::file(file), zones, by_time, loaded: RwLock::default() };
        match source.load() {
            Ok((loaded, warnings)) => {
                *source.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                context.settings.notes.extend(warnings);
            }
            Err(_) if files::is_missing(&source.path) && context.brings(&source.path) => {}
            // A file that is not there yet is looked for again.
            Err(error) if files::is_missing(&source.path) && !every.is_zero() => {
                context.settings.notes.push(file.error(format!("{}; it is looked for every {every:?}", error.message)));
            }
            Err(error) if files::is_missing(&source.path) => context.lacks(file.error(error.message))?,
            // No line of the file is to blame.
            Err(error) if error.position.line == 0 => return Err(file.error(error.message)),
            Err(error) => return Err(error),
        }
        let source = Arc::new(source);
        if !every.is_zero() {
            let reloaded = source.clone();
            context.settings.tasks.push(Task::forever(every, move |_| reloaded.reload()));
        }
        files.files.push(source);
    }
    Ok(vec![Arc::new(files)])
}

#[cfg(test)]
mod tests;

//! Name: `file`
//!
//! Description: answers from zone files (RFC 1035 section 5).
//!
//! Syntax:
//!
//! ```text
//! file DBFILE [ZONES...] {
//!     reload DURATION
//!     fallthrough [ZONES...]
//! }
//! ```
//!
//! Without zones the file is for those of the server block. It is read again when its SOA has another serial, looked at every
//! minute unless given, never with `reload 0`. The directive may be repeated; one `fallthrough` is for all.
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
//! Differences: zones are not signed. A zone file with a fault is refused with its line.

mod zone;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::chain::{Next, Outcome, Plugin, Query, Reply};
use super::kubernetes::{append, is_transfer};
use super::names::{self, Zones};
use super::names::{falls_through, read_fallthrough};
use super::record;
use super::setup::{Context, Task};
use super::words;
use crate::corefile::{Directive, Error, Position};
use crate::files;
use crate::wire::message::{DNSClass, MessageName, Record, ResponseCode};
use crate::wire::{Failure, Name};
use crate::zone::Fallthrough;
use zone::{Found, Zone};

/// The plugin: all `file` lines of a server block.
pub(crate) struct Files {
    files: Vec<Arc<Source>>,
    fallthrough: Fallthrough,
}

struct Source {
    path: PathBuf,
    zones: Vec<Name>,
    /// One for each of `zones`; empty as long as the file cannot be read.
    loaded: RwLock<Vec<Arc<Zone>>>,
}

impl Source {
    fn load(&self) -> Result<Vec<Arc<Zone>>, Error> {
        let at = |line: u32| Position { file: self.path.to_string_lossy().as_ref().into(), line, column: 1 };
        let text = read(&self.path).map_err(|why| Error::new(&at(0), why))?;
        let mut zones = Vec::new();
        for zone in &self.zones {
            let origin = names::to_message(zone);
            let records =
                record::parse_zone(&text, &origin).map_err(|fault| Error::new(&at(fault.line), fault.message))?;
            zones.push(Arc::new(Zone::new(origin, records).map_err(|why| Error::new(&at(1), why))?));
        }
        Ok(zones)
    }

    /// Reads the file again; a file with a fault changes nothing.
    fn reload(&self) {
        match self.load() {
            Ok(new) => {
                let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
                let serials = |zones: &[Arc<Zone>]| zones.iter().map(|zone| zone.serial()).collect::<Vec<_>>();
                if serials(&loaded) != serials(&new) {
                    *loaded = new;
                }
            }
            Err(error) => tracing::warn!(target: "plugin/file", "the zone stays as it was: {error}"),
        }
    }

    fn zone(&self, zone: &Name) -> Option<Arc<Zone>> {
        let place = self.zones.iter().position(|own| own == zone)?;
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }
}

fn read(path: &Path) -> Result<String, String> {
    files::read_text(path, files::RECORDS).map_err(|error| format!("the zone file {error}"))
}

impl Files {
    /// The file of the longest zone that holds a name.
    fn source(&self, name: &Name) -> Option<(&Source, &Name)> {
        let candidates = self.files.iter().flat_map(|file| file.zones.iter().map(move |zone| (&**file, zone)));
        candidates.filter(|(_, zone)| name.is_within(zone)).max_by_key(|(_, zone)| zone.as_wire().len())
    }
}

impl Plugin for Files {
    fn name(&self) -> &'static str {
        "file"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let wire = names::to_wire(&query.name());
            let Some((source, zone)) = self.source(&wire) else { return Outcome::Next };
            if query.qclass() != DNSClass::IN {
                return Outcome::Next;
            }
            let Some(zone) = source.zone(zone) else {
                let why = format!("plugin/file: the zone {zone} could not be read from {}", source.path.display());
                return Outcome::Failed("file", Failure::servfail(why));
            };
            let mut message = query.reply_message();
            if is_transfer(query.qtype()) {
                message.metadata.response_code = ResponseCode::Refused;
                return Outcome::Reply(Reply::from_message("file", message));
            }
            let mut found = Found::default();
            zone.look_up(&query.name(), query.qtype(), &mut found);
            if found.rcode == ResponseCode::NXDomain
                && found.answers.is_empty()
                && falls_through(&self.fallthrough, &wire)
            {
                return Outcome::Next;
            }
            message.metadata.authoritative = !found.referral;
            message.metadata.response_code = found.rcode;
            message.answers = found.answers;
            message.authorities = found.authorities;
            message.additionals = found.additionals;
            if let Some(target) = found.outside {
                match query.resolver.lookup(query, &target, query.qtype()).await {
                    Outcome::Reply(mut reply) => {
                        if let Ok(beyond) = reply.message() {
                            append(&mut message, beyond);
                        }
                    }
                    Outcome::Failed(_, failure) => message.metadata.response_code = failure.rcode.into(),
                    Outcome::Next | Outcome::Drop => {}
                }
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

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let mut files = Files { files: Vec::new(), fallthrough: Fallthrough::None };
    for directive in lines {
        let Some((file, zones)) = directive.arguments.split_first() else {
            return Err(directive.name.error("file needs DBFILE, then zones if wanted"));
        };
        let mut every = Duration::from_secs(60);
        for line in directive.lines() {
            match line.name.text.as_str() {
                "reload" => every = words::duration(words::value(line, "a duration, as in 30s")?)?,
                "fallthrough" => files.fallthrough = read_fallthrough(line)?,
                // Lookups go through the server always; old Corefiles ask for it.
                "upstream" => {}
                _ => return Err(words::unknown(line, "file", &["reload", "fallthrough"])),
            }
        }
        let zones = Zones::read(zones, context.zones)?.0;
        let source = Source { path: words::file(file), zones, loaded: RwLock::default() };
        match source.load() {
            Ok(loaded) => *source.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded,
            // A file that is not there yet is looked for again.
            Err(error) if !source.path.exists() && !every.is_zero() => {
                context.settings.notes.push(file.error(format!("{}; it is looked for every {every:?}", error.message)));
            }
            // No line of the file is to blame.
            Err(error) if error.position.line == 0 => return Err(file.error(error.message)),
            Err(error) => return Err(error),
        }
        let source = Arc::new(source);
        if !every.is_zero() {
            let reloaded = source.clone();
            context.settings.tasks.push(Task { every, run: Arc::new(move |_| reloaded.reload()) });
        }
        files.files.push(source);
    }
    Ok(vec![Arc::new(files)])
}

#[cfg(test)]
mod tests;

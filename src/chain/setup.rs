//! The surroundings that the setup of a directive sees: its server block, the machine, what outlives a reload.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::plugin::Plugin;
use super::settings::Settings;
use super::source::Mirrors;
use crate::corefile::{Directive, Error, Key, OtherMachine, Scheme, ServerBlock, Token};
use crate::files;
use crate::syntax::words;
use crate::wire::Name;

//----------- Host -----------------------------------------------------------

/// The surroundings, as they are lent to the setup of all server blocks.
pub struct Host<'h> {
    /// The addresses of this machine, each with the name of its interface.
    pub interfaces: &'h [(String, IpAddr)],
    /// The host's name.
    pub hostname: &'h str,
    /// The port of a `dns://` key that names none.
    pub default_port: u16,
    /// The mirrors of clusters.
    pub mirrors: &'h mut dyn Mirrors,
    /// The things that outlive a reload.
    pub carryover: &'h Carryover,
    /// The present time.
    pub now: Instant,
    /// Another machine that will serve, as far as it is known: what this one lacks is a note then, and nobody is asked
    /// over the network.
    pub elsewhere: Option<&'h OtherMachine>,
}

/// Things that outlive a reload, such as caches and connections: found again under the same key.
#[derive(Default)]
pub struct Carryover(Mutex<HashMap<String, Arc<dyn Any + Send + Sync>>>);

impl Carryover {
    /// The thing that was kept under a key, or a new one. A key names the directive and everything the thing depends on.
    pub fn get<T: Any + Send + Sync>(&self, key: &str, make: impl FnOnce() -> T) -> Arc<T> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.get(key).and_then(|thing| thing.clone().downcast().ok()) {
            return found;
        }
        let made = Arc::new(make());
        kept.insert(key.to_owned(), made.clone());
        made
    }

    /// Lets go of what no chain uses any more.
    pub fn sweep(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, thing| Arc::strong_count(thing) > 1);
    }
}

#[cfg(test)]
impl Carryover {
    /// The number of things that are kept.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl fmt::Debug for Carryover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carryover")
    }
}

//----------- Context --------------------------------------------------------

/// The view that the setup of one directive has: its server block, and the surroundings.
pub struct Context<'c, 'h> {
    /// The zones of the block's keys.
    pub zones: &'c [Name],
    /// The block's keys.
    pub keys: &'c [Key],
    /// The text that tells the block from all others of the Corefile, and from itself after a reload that changes its
    /// clients.
    pub identity: &'c str,
    /// The block, as written.
    pub block: &'c ServerBlock,
    /// All blocks, as written.
    pub blocks: &'c [ServerBlock],
    /// The surroundings.
    pub host: &'c mut Host<'h>,
    /// The names of all directives, in the order of their plugins in a chain.
    pub order: &'c [&'static str],
    /// The name of the block's `view` in metrics, mostly empty.
    pub view: &'c str,
    /// The block's settings, being filled.
    pub settings: Settings,
}

impl Context<'_, '_> {
    /// A fault of this machine, not of the Corefile: a note where another one will serve.
    ///
    /// # Errors
    /// The fault, where this machine will serve.
    pub(crate) fn lacks(&mut self, fault: Error) -> Result<(), Error> {
        if self.host.elsewhere.is_none() {
            return Err(fault);
        }
        self.settings.notes.push(fault.of_elsewhere());
        Ok(())
    }

    /// Looks whether a file that somebody else will read can be read; `what` it is begins the fault. Says whether it is
    /// here: on another machine than the one that serves it need not be.
    ///
    /// # Errors
    /// At the word that names it.
    pub(crate) fn expects_file(&mut self, word: &Token, what: &str) -> Result<bool, Error> {
        match files::check(&words::file(word), files::CONFIGURATION) {
            Ok(()) => Ok(true),
            Err(error) => self.misses_file(word, what, &error).map(|()| false),
        }
    }

    /// A file that cannot be read: a note where another machine may have it.
    ///
    /// # Errors
    /// At the word that names it.
    pub(crate) fn misses_file(&mut self, word: &Token, what: &str, error: &files::Error) -> Result<(), Error> {
        if self.brings(error.path()) {
            return Ok(());
        }
        let fault = word.error(format!("{what} {error}"));
        if error.may_be_elsewhere() { self.lacks(fault) } else { Err(fault) }
    }

    /// Whether another machine will serve, and has this file for sure.
    pub(crate) fn brings(&self, file: &Path) -> bool {
        self.host.elsewhere.is_some_and(|elsewhere| elsewhere.files.contains_key(file))
    }

    /// The part of the block's chain behind a directive, and all that its answers depend on, as text: equal texts give
    /// equal answers. An alias of `file` or `template` leads through other blocks, which count then as well.
    pub(crate) fn behind(&self, directive: &str) -> String {
        let behind = self.order.iter().skip_while(|name| **name != directive).skip(1);
        let behind = behind.flat_map(|name| self.block.directives.iter().filter(move |line| line.name.text == *name));
        let mut text = String::new();
        let mut leads_on = false;
        for line in behind {
            write_line(line, &mut text);
            leads_on |= matches!(line.name.text.as_str(), "file" | "template");
        }
        for block in self.blocks.iter().filter(|_| leads_on) {
            block.keys.iter().for_each(|key| text += &format!("{:?} ", key.token.text));
            block.directives.iter().for_each(|line| write_line(line, &mut text));
        }
        text
    }
}

/// Writes a directive as one line. A file with upstreams stands for what it holds.
pub(crate) fn write_line(line: &Directive, into: &mut String) {
    let words = [&line.name].into_iter().chain(&line.arguments);
    words.for_each(|word| *into += &format!("{:?} ", word.text));
    if line.name.text == "forward" {
        let paths = line
            .arguments
            .iter()
            .skip(1)
            .map(words::file)
            .filter(|path| files::check(path, files::CONFIGURATION).is_ok());
        *into += &format!("{:x} ", files::digest(&paths.collect::<Vec<_>>()));
    }
    if let Some(body) = &line.body {
        *into += "{ ";
        body.iter().for_each(|line| write_line(line, into));
        *into += "} ";
    }
    *into += "; ";
}

/// Sets a directive up: gets all its lines in the block, gives its plugins in order.
pub(crate) type Setup = fn(&[&Directive], &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error>;

/// Refuses a second line of a directive that counts once per server block.
pub(crate) fn once<'d>(lines: &[&'d Directive]) -> Result<&'d Directive, Error> {
    match lines {
        [line] => Ok(line),
        [_, second, ..] => {
            Err(second.name.error(format!("{} can be used only once per server block", second.name.text)))
        }
        [] => unreachable!("a directive is set up only where it is written"),
    }
}

/// The line that counts of a directive that may be repeated: the last one. The others must make sense as well.
pub(crate) fn last<T>(lines: &[&Directive], mut read: impl FnMut(&Directive) -> Result<T, Error>) -> Result<T, Error> {
    let (last, before) =
        lines.split_last().unwrap_or_else(|| unreachable!("a directive is set up only where it is written"));
    for line in before {
        read(line)?;
    }
    read(last)
}

/// The port of a key.
pub fn port(key: &Key, default: u16) -> u16 {
    key.port.unwrap_or(match key.scheme {
        Scheme::Dns => default,
        Scheme::Tls | Scheme::Quic => 853,
        Scheme::Https => 443,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again_until_swept() {
        let kept = Carryover::default();
        let first = kept.get("cache .", || 1u32);
        kept.sweep();
        assert_eq!(*kept.get("cache .", || 2u32), 1);
        drop(first);
        kept.sweep();
        assert_eq!(*kept.get("cache .", || 2u32), 2);
    }
}

//! What a server block becomes, and what the setup of a directive sees.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::plugin::{Client, Metadata, Next, Outcome, Plugin, Query, Resolve};
use super::settings::Settings;
use super::source::Source;
use crate::corefile::{Directive, Elsewhere, Error, Key, Scheme, ServerBlock, Token};
use crate::files;
use crate::syntax::words;
use crate::wire::message::{self, MessageName, RecordType, Size};
use crate::wire::{Failure, Name, Question};
use crate::zone::{Reader, View};

//----------- Block ----------------------------------------------------------

/// A server block, ready to serve.
pub struct Block {
    /// What it serves.
    pub keys: Vec<Key>,
    /// Its plugins, in order.
    pub chain: Vec<Arc<dyn Plugin>>,
    /// Everything that is no plugin.
    pub settings: Settings,
}

impl Block {
    /// The chain, to run a query through.
    pub fn next(&self) -> Next<'_> {
        Next::new(&self.chain)
    }

    /// The cluster's names, where some plugin answers from them.
    pub fn view(&self) -> Option<Arc<View>> {
        self.chain.iter().find_map(|plugin| plugin.view())
    }

    /// Whether it serves a question: what its `view` says. Without one it serves all.
    pub fn admits(&self, question: &Question<'_>, client: &Client) -> bool {
        let Some(filter) = &self.settings.view else { return true };
        let Ok(request) = message::decode_query(question.message) else { return false };
        let mut query = Query {
            request,
            client: *client,
            received: Instant::now(),
            size: question.message.len(),
            limit: Size::tcp(),
            server: "".into(),
            zone: "".into(),
            metadata: Metadata::new(),
            resolver: Arc::new(Nobody),
            depth: 0,
            of_cluster: AtomicBool::new(false),
            passed: Default::default(),
            sent_on: Vec::new(),
        };
        if self.settings.enabled.contains(&"metadata") {
            let mut metadata = Metadata::new();
            self.chain.iter().for_each(|plugin| plugin.metadata(&query, &mut metadata));
            query.metadata = metadata;
        }
        filter.admits(&query)
    }

    /// The view to answer cluster names from without the chain, or why that cannot be: one reason for each plugin in the way.
    /// Questions that [`Settings::diverts`] names take the chain all the same.
    ///
    /// # Errors
    /// The reasons, as `PLUGIN: REASON`; none when no plugin answers cluster names at all.
    pub fn fast(&self) -> Result<Arc<View>, Vec<String>> {
        let mut reasons = Vec::new();
        let Some(view) = self.view() else { return Err(reasons) };
        if self.settings.view.is_some() {
            reasons.push("view: which block serves depends on the query".to_owned());
        }
        for plugin in self.chain.iter().take_while(|plugin| plugin.view().is_none()) {
            if let Some(reason) = plugin.needs_message(&view.zones) {
                reasons.push(format!("{}: {reason}", plugin.name()));
            }
        }
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let mut before = self.chain.iter().take_while(|plugin| plugin.view().is_none());
        match before.find_map(|plugin| plugin.ttl_bounds()) {
            Some(bounds) => Ok(Arc::new(View { bounds: Some(bounds), ..View::clone(&view) })),
            None => Ok(view),
        }
    }
}

/// Nobody is asked while it is decided who serves.
struct Nobody;

impl Resolve for Nobody {
    fn lookup<'a>(&'a self, _: &'a Query, _: &'a MessageName, _: RecordType) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::Failed("view", Failure::servfail("no look-up is made to choose a server block")) })
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain: Vec<&str> = self.chain.iter().map(|plugin| plugin.name()).collect();
        f.debug_struct("Block").field("keys", &self.keys).field("chain", &chain).finish_non_exhaustive()
    }
}

//----------- Host -----------------------------------------------------------

/// What the surroundings lend to the setup of all server blocks.
pub struct Host<'h> {
    /// The addresses of this machine, each with the name of its interface.
    pub interfaces: &'h [(String, IpAddr)],
    /// The host's name.
    pub hostname: &'h str,
    /// The port of a `dns://` key that names none.
    pub default_port: u16,
    /// Who mirrors clusters.
    pub mirrors: &'h mut dyn Mirrors,
    /// What outlives a reload.
    pub kept: &'h Kept,
    /// The present time.
    pub now: Instant,
    /// What is known of another machine that will serve: what this one lacks is a note then, and nobody is asked over the
    /// network.
    pub elsewhere: Option<&'h Elsewhere>,
}

/// Mirrors clusters for `kubernetes` directives; equal sources share one mirror, also across reloads.
pub trait Mirrors {
    /// The zone of a cluster, synced or not.
    ///
    /// # Errors
    /// When the way to the cluster is misconfigured; at `at`, the word that names it.
    fn mirror(&mut self, source: &Source, at: &Token) -> Result<Reader, Error>;
}

/// Things that outlive a reload, such as caches and connections: found again under the same key.
#[derive(Default)]
pub struct Kept(Mutex<HashMap<String, Arc<dyn Any + Send + Sync>>>);

impl Kept {
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
impl Kept {
    /// How many things are kept.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

//----------- Context --------------------------------------------------------

/// What the setup of one directive sees: its server block, and the surroundings.
pub struct Context<'c, 'h> {
    /// The zones of the block's keys.
    pub zones: &'c [Name],
    /// The block's keys.
    pub keys: &'c [Key],
    /// What tells the block from all others of the Corefile, and from itself after a reload that changes whom it serves.
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

    /// What stands behind a directive in the block's chain, and all that its answers depend on, as text: equal texts give
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
        let paths = line.arguments.iter().skip(1).map(words::file).filter(|path| path.is_file());
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

//----------- Task -----------------------------------------------------------

/// Something that a directive does from time to time, as long as its block serves or until it is done.
#[derive(Clone)]
pub struct Task {
    /// How often.
    pub every: Duration,
    /// What; it may read files and so may take its time. `Break` is the end of it.
    pub run: Arc<dyn Fn(Instant) -> ControlFlow<()> + Send + Sync>,
}

impl Task {
    /// What is done as long as the block serves.
    pub(crate) fn forever(every: Duration, run: impl Fn(Instant) + Send + Sync + 'static) -> Self {
        let run = move |now| {
            run(now);
            ControlFlow::Continue(())
        };
        Self { every, run: Arc::new(run) }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("every", &self.every).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again_until_swept() {
        let kept = Kept::default();
        let first = kept.get("cache .", || 1u32);
        kept.sweep();
        assert_eq!(*kept.get("cache .", || 2u32), 1);
        drop(first);
        kept.sweep();
        assert_eq!(*kept.get("cache .", || 2u32), 2);
    }
}

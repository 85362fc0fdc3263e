//! Name: `hosts`
//!
//! Description: answers A, AAAA and PTR from a hosts file and from lines in the Corefile.
//!
//! Syntax:
//!
//! ```text
//! hosts [FILE [ZONES...]] {
//!     ADDRESS NAMES...
//!     ttl SECONDS
//!     no_reverse
//!     reload DURATION
//!     fallthrough [ZONES...]
//!     fallthrough_unsupported
//! }
//! ```
//!
//! The file is `/etc/hosts` unless given; it need not exist. It is read again when it changes, looked at every 5 seconds
//! unless given, never with `reload 0`. Lines with addresses stand before `fallthrough`. A name whose first label is `*` answers
//! for all names with another first label that have no line of their own. With `fallthrough_unsupported`, types other than A, AAAA and
//! PTR are for the next plugin, also of names that have a line.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     hosts {
//!         10.0.0.1 printer.example.org
//!         fallthrough
//!     }
//!     whoami
//! }
//! ```
//!
//! Metrics: `coredns_hosts_entries{hostsfile}`, `coredns_hosts_reload_timestamp_seconds`.
//!
//! Ready: always.
//!
//! Differences: a line in the Corefile that is no address is refused instead of left aside.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;

use super::metrics;
use crate::chain::settings::Task;
use crate::chain::setup::{Context, once};
use crate::chain::{Choice, FastPathExclusion, Next, Outcome, Plugin, Query, Reply};
use crate::corefile::{Directive, Error};
use crate::files::{self, Watched};
use crate::syntax::filter::NameFilter;
use crate::syntax::names::read_fallthrough;
use crate::syntax::names::{self, Zones};
use crate::syntax::words;
use crate::wire::message::{RData, Record, RecordType, rdata};
use crate::wire::{Failure, Name, reverse};
use crate::zone::Fallthrough;

/// The plugin.
pub(crate) struct Hosts {
    zones: Zones,
    ttl: u32,
    reverse: bool,
    fallthrough: Fallthrough,
    /// `fallthrough_unsupported`: types other than A and AAAA of its names are for the next plugin.
    passes_other_types: bool,
    inline: HostsTable,
    file: Watched<HostsTable>,
    filter: Arc<NameFilter>,
}

/// Names and addresses of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct HostsTable {
    forward: HashMap<Name, Vec<IpAddr>>,
    reverse: HashMap<IpAddr, Vec<Name>>,
}

impl HostsTable {
    fn add(&mut self, address: IpAddr, name: Name) {
        let addresses = self.forward.entry(name.clone()).or_default();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
        let names = self.reverse.entry(address).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }

    /// Reads a hosts file; lines that say nothing are left aside.
    fn parse(text: &str) -> Self {
        let mut table = Self::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(parse_address) else { continue };
            for name in words.filter_map(|word| word.parse().ok()) {
                table.add(address, name);
            }
        }
        table
    }

    /// The addresses of a name: its own, or those of a `*` in the place of its first label.
    fn addresses(&self, name: &Name) -> Option<&[IpAddr]> {
        if let Some(own) = self.forward.get(name) {
            return Some(own);
        }
        let wildcard = Name::from_labels([b"*".as_slice()].into_iter().chain(name.labels().skip(1))).ok()?;
        self.forward.get(&wildcard).map(Vec::as_slice)
    }
}

fn parse_address(word: &str) -> Option<IpAddr> {
    // An address may name its interface after a `%`.
    word.split('%').next().unwrap_or(word).parse().ok()
}

impl Hosts {
    /// The addresses of a name from both sources, those that are wanted; `None` when neither knows the name.
    fn addresses(&self, query: &Query, name: &Name, wanted: impl Fn(&IpAddr) -> bool) -> Option<Choice<IpAddr>> {
        let file = self.file.value();
        let found = [self.inline.addresses(name), file.addresses(name)];
        if found == [None, None] {
            return None;
        }
        let [own, others] = found.map(Option::unwrap_or_default);
        let seen: HashSet<&IpAddr> = if others.is_empty() { HashSet::new() } else { own.iter().collect() };
        let others = others.iter().filter(|address| !seen.contains(address));
        let all: Vec<IpAddr> = own.iter().chain(others).filter(|address| wanted(address)).copied().collect();
        Some(query.some_of(&all))
    }

    fn names(&self, query: &Query, address: IpAddr) -> Choice<Name> {
        let file = self.file.value();
        let mut seen = HashSet::new();
        let all = [&self.inline, &*file].into_iter().flat_map(|table| table.reverse.get(&address)).flatten();
        let all = all.filter(|name| name.labels().next() != Some(b"*"));
        let all: Vec<&Name> = all.filter(|name| seen.insert(*name)).collect();
        let some = query.some_of(&all);
        Choice { records: some.records.into_iter().cloned().collect(), all: some.all }
    }

    /// Reads the file again when it has changed.
    fn reload(&self) {
        let looked = self.file.look(SystemTime::now(), |read| {
            let table = HostsTable::parse(&String::from_utf8_lossy(&read?));
            self.tell(&table);
            Ok::<_, files::Error>(table)
        });
        match looked {
            // A file that is gone, as in the middle of its replacement, says nothing new.
            Err(error) if !error.is_missing() => {
                tracing::warn!(target: "plugin/hosts", "the entries stay as they were: {error}");
            }
            _ => {}
        }
    }

    /// Tells the fast path and whoever reads metrics what the file says.
    fn tell(&self, table: &HostsTable) {
        self.filter.fill([&self.inline, table].into_iter().flat_map(|table| {
            let reverse = table.reverse.keys().filter(|_| self.reverse).map(|ip| reverse::name_of(*ip));
            table.forward.keys().cloned().chain(reverse)
        }));
        let count = |table: &HostsTable| table.forward.values().map(Vec::len).sum::<usize>();
        let label = self.file.path().to_string_lossy();
        metrics::HOSTS_ENTRIES.with_label_values(&[label.as_ref()]).set((count(table) + count(&self.inline)) as f64);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        metrics::HOSTS_RELOAD.set(now.as_secs_f64());
    }

    fn answer(&self, query: &Query, all: bool, records: impl Iterator<Item = RData>) -> Outcome {
        let mut message = query.reply_message();
        message.metadata.authoritative = true;
        message.metadata.truncation = !all;
        let name = query.name();
        message.answers = records.map(|data| Record::from_rdata(name.clone(), self.ttl, data)).collect();
        Outcome::Reply(Reply::from_message("hosts", message))
    }
}

impl Plugin for Hosts {
    fn name(&self) -> &'static str {
        "hosts"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let (name, qtype) = (query.qname(), query.qtype());
            // Reverse names need not lie in the zones, and those that are not known are never a failure.
            if qtype == RecordType::PTR {
                let address = reverse::address_of(name.as_wire()).filter(|_| self.reverse);
                if let Some(address) = address {
                    let Choice { records, all } = self.names(query, address);
                    if !records.is_empty() {
                        let pointers = records.iter().map(|name| RData::PTR(rdata::PTR(names::to_message(name))));
                        return self.answer(query, all, pointers);
                    }
                }
                return Outcome::Next;
            }
            if self.zones.matching(&name).is_none() {
                return Outcome::Next;
            }
            if self.passes_other_types
                && !matches!(qtype, RecordType::A | RecordType::AAAA)
                && self.fallthrough.covers(name.as_wire())
            {
                return Outcome::Next;
            }
            let wanted = |address: &IpAddr| match qtype {
                RecordType::A => address.is_ipv4(),
                RecordType::AAAA => address.is_ipv6(),
                _ => false,
            };
            match self.addresses(query, &name, wanted) {
                Some(some) => self.answer(query, some.all, some.records.into_iter().map(RData::from)),
                None if self.fallthrough.covers(name.as_wire()) => Outcome::Next,
                None => {
                    let why = format!("plugin/hosts: {name} has no line, and there is no fallthrough");
                    Outcome::Failed("hosts", Failure::servfail(why))
                }
            }
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        // Its names take the chain by the filter.
        None
    }
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    let (file, zones) =
        directive.arguments.split_first().map_or((None, [].as_slice()), |(file, zones)| (Some(file), zones));
    let path = file.map_or_else(|| PathBuf::from("/etc/hosts"), words::file);
    let mut hosts = Hosts {
        zones: Zones::read(zones, context.zones)?,
        ttl: 3600,
        reverse: true,
        fallthrough: Fallthrough::None,
        passes_other_types: false,
        inline: HostsTable::default(),
        file: Watched::new(path, files::RECORDS, HostsTable::default()),
        filter: Arc::default(),
    };
    let (mut every, mut unsupported) = (Duration::from_secs(5), None);
    for line in directive.lines() {
        match line.name.text.as_str() {
            "ttl" => hosts.ttl = words::number(words::value(line, "a number of seconds")?, 1..=65_535)?,
            "fallthrough_unsupported" => {
                words::alone(line)?;
                unsupported = Some(&line.name);
            }
            "no_reverse" => {
                words::alone(line)?;
                hosts.reverse = false;
            }
            "reload" => every = words::duration(words::value(line, "a duration, as in 15s")?)?,
            "fallthrough" => hosts.fallthrough = read_fallthrough(line)?,
            text => match parse_address(text) {
                Some(_) if hosts.fallthrough != Fallthrough::None => {
                    return Err(line.name.error("lines with addresses must stand before fallthrough"));
                }
                Some(address) => {
                    line.no_body()?;
                    for word in &line.arguments {
                        let name = word.text.parse();
                        let name = name.map_err(|why| word.error(format!("`{}` is no host name: {why}", word.text)))?;
                        hosts.inline.add(address, name);
                    }
                }
                None => {
                    let known = [
                        "an address with its names",
                        "ttl",
                        "no_reverse",
                        "reload",
                        "fallthrough",
                        "fallthrough_unsupported",
                    ];
                    return Err(words::unknown(line, "hosts", &known));
                }
            },
        }
    }
    if let Some(name) = unsupported {
        if hosts.fallthrough == Fallthrough::None {
            return Err(name.error("fallthrough_unsupported needs fallthrough beside it"));
        }
        hosts.passes_other_types = true;
    }
    hosts.tell(&HostsTable::default());
    let at = file.unwrap_or(&directive.name);
    match files::check(hosts.file.path(), files::RECORDS) {
        Ok(()) => hosts.reload(),
        Err(error) if error.is_missing() && context.brings(hosts.file.path()) => {}
        Err(error) if error.is_missing() || error.is_stuck() || hosts.file.path().is_dir() => {
            context.settings.notes.push(at.error(format!("the hosts file {error}")));
        }
        Err(error) => return Err(at.error(format!("the hosts file {error}"))),
    }
    let hosts = Arc::new(hosts);
    context.settings.exclusions.push(FastPathExclusion::Names(hosts.filter.clone()));
    if !every.is_zero() {
        let reloaded = hosts.clone();
        context.settings.tasks.push(Task::forever(every, move |_| reloaded.reload()));
    }
    Ok(vec![hosts])
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::testing::{block, fault};
    use super::*;
    use crate::chain::Block;
    use crate::chain::testing::{lines, message, query, run};

    fn ask(block: &Block, name: &str, qtype: RecordType) -> Vec<String> {
        lines(&message(run(&block.chain, &mut query(name, qtype))).answers)
    }

    const INLINE: &str = "hosts /does/not/exist {\n10.0.0.1 one.example two.example\nfd00::1 one.example\n\
                          10.0.0.2 *.apps.example\nttl 45\nfallthrough\n}";

    #[test]
    fn names_and_addresses_are_answered_both_ways() {
        let block = block(INLINE).unwrap();
        assert_eq!(ask(&block, "One.example.", RecordType::A), ["One.example. 45 IN A 10.0.0.1"]);
        assert_eq!(ask(&block, "one.example.", RecordType::AAAA), ["one.example. 45 IN AAAA fd00::1"]);
        assert_eq!(ask(&block, "x.apps.example.", RecordType::A), ["x.apps.example. 45 IN A 10.0.0.2"]);
        assert_eq!(ask(&block, "two.example.", RecordType::TXT), [""; 0]);
        assert_eq!(
            ask(&block, "1.0.0.10.in-addr.arpa.", RecordType::PTR),
            ["1.0.0.10.in-addr.arpa. 45 IN PTR one.example.", "1.0.0.10.in-addr.arpa. 45 IN PTR two.example."]
        );
    }

    #[test]
    fn what_has_no_line_falls_through_or_fails() {
        let block_with = block(&format!("{INLINE}\nwhoami")).unwrap();
        for name in ["three.example.", "x.y.apps.example.", "apps.example."] {
            assert!(ask(&block_with, name, RecordType::A).is_empty(), "{name}");
        }
        let closed = block("hosts /does/not/exist {\n10.0.0.1 one.example\n}\nwhoami").unwrap();
        let outcome = run(&closed.chain, &mut query("three.example.", RecordType::TXT));
        assert!(matches!(outcome, Outcome::Failed("hosts", _)));
        assert!(ask(&closed, "9.0.0.10.in-addr.arpa.", RecordType::PTR).is_empty());
    }

    #[test]
    fn other_types_can_be_left_to_the_next_plugin() {
        let text = format!("{INLINE}\nwhoami").replace("fallthrough", "fallthrough\nfallthrough_unsupported");
        let reply = message(run(&block(&text).unwrap().chain, &mut query("one.example.", RecordType::MX)));
        assert_eq!(reply.additionals.len(), 2, "whoami has answered");
        assert!(fault("hosts {\nfallthrough_unsupported\n}").starts_with("Corefile:3:1:"));
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names");
        std::fs::write(&path, "# a comment\n10.30.0.1 one.example # more\nnonsense x\n").unwrap();
        let block = block(&format!("hosts {} example {{\nno_reverse\n}}", path.display())).unwrap();
        assert_eq!(ask(&block, "one.example.", RecordType::A), ["one.example. 3600 IN A 10.30.0.1"]);
        std::fs::write(&path, "10.30.0.9 one.example new.example\n").unwrap();
        let task = block.settings.tasks.first().unwrap();
        assert_eq!(task.every, Duration::from_secs(5));
        let _ = (task.run)(Instant::now());
        assert_eq!(ask(&block, "new.example.", RecordType::A), ["new.example. 3600 IN A 10.30.0.9"]);
        std::fs::remove_file(&path).unwrap();
        let _ = (task.run)(Instant::now());
        assert_eq!(ask(&block, "one.example.", RecordType::A), ["one.example. 3600 IN A 10.30.0.9"]);
    }

    #[test]
    fn only_its_own_names_take_the_chain() {
        let block = block(&format!("{INLINE}\nkubernetes cluster.local in-addr.arpa")).unwrap();
        assert!(block.fast().is_ok());
        let Some(FastPathExclusion::Names(filter)) = block.settings.exclusions.first() else { panic!("no filter") };
        let holds = |name: &str| filter.holds(name.parse::<Name>().unwrap().as_wire());
        assert!(holds("one.example") && holds("x.apps.example") && holds("1.0.0.10.in-addr.arpa"));
        assert!(!holds("web.default.svc.cluster.local"));
    }

    #[test]
    fn a_file_may_come_later_and_is_no_device() {
        assert_eq!(block("hosts /does/not/exist").unwrap().settings.notes.len(), 1);
        assert!(
            fault("hosts /dev/zero")
                .starts_with("Corefile:2:7: the hosts file /dev/zero cannot be read: it is a device")
        );
    }

    #[test]
    fn wrong_options_are_refused_at_their_line() {
        assert!(fault("hosts {\nfallthrough\n10.0.0.1 one.example\n}").starts_with("Corefile:4:1:"));
        assert!(fault("hosts {\nreload 5\n}").starts_with("Corefile:3:8:"));
        assert!(fault("hosts {\n10.0.0.1 one.example\nttl -5\n}").starts_with("Corefile:4:5:"));
        assert!(fault("hosts {\n10.0.0.300 one.example\n}").starts_with("Corefile:3:1:"));
        assert!(fault("hosts {\n10.0.0.1 a..b\n}").starts_with("Corefile:3:10:"));
    }
}

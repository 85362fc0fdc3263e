//! Name: `autopath`
//!
//! Description: follows the client's search path on the server's side, so that its first question already brings the answer.
//!
//! Syntax:
//!
//! ```text
//! autopath [ZONES...] @kubernetes|FILE
//! ```
//!
//! With `@kubernetes` the path is that of the pod that asks: its namespace's names, those of all Services, the cluster's
//! zone, then the search path of this server's own `/etc/resolv.conf`; it needs `pods verified`. With a file, the path is that
//! of the `search` line in it. A name that the path leads to is answered by a CNAME to it.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     autopath @kubernetes
//!     kubernetes cluster.local {
//!         pods verified
//!     }
//!     whoami
//! }
//! ```
//!
//! Metrics: `coredns_autopath_success_total{server}`.
//!
//! Ready: always.
//!
//! Differences: the namespace is taken from the question, and a pod of that namespace must have the client's address; an address
//! that several pods share is no obstacle.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::metrics;
use crate::chain::setup::{Context, last};
use crate::chain::{Next, Outcome, Plugin, Query, Reply};
use crate::corefile::{Directive, Error};
use crate::files;
use crate::syntax::names::{self, Zones};
use crate::syntax::words;
use crate::wire::message::{MessageName, RData, Record, ResponseCode, rdata};
use crate::wire::{Name, Rcode};

/// The plugin.
pub(crate) struct Autopath {
    zones: Zones,
    /// `None` asks the plugin that knows the client.
    path: Option<Vec<MessageName>>,
    /// The names that come behind the path of the client.
    own: Vec<MessageName>,
}

impl Autopath {
    fn path(&self, query: &Query, next: Next<'_>) -> Option<Vec<MessageName>> {
        let mut path = match &self.path {
            Some(path) => path.clone(),
            None => {
                let mut path = next.plugins().iter().find_map(|plugin| plugin.search_path(query))?;
                path.extend(self.own.iter().cloned());
                path
            }
        };
        path.push(MessageName::root());
        Some(path)
    }
}

impl Plugin for Autopath {
    fn name(&self) -> &'static str {
        "autopath"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let asked = query.name();
            if self.zones.matching(&names::to_wire(&asked)).is_none() {
                return Outcome::Next;
            }
            let Some(path) = self.path(query, next) else { return Outcome::Next };
            // Only the first step of a search path shows that the client searches.
            let Some(base) = path.first().and_then(|first| base(&asked, first)) else { return Outcome::Next };
            let request = query.request.clone();
            let mut first = None;
            for (step, suffix) in path.iter().enumerate() {
                let Ok(name) = base.clone().append_domain(suffix) else { continue };
                let (qtype, qclass) = (query.qtype(), query.qclass());
                query.request.ask(&name, qtype, qclass);
                let mut outcome = next.run(&mut *query).await;
                let found = matches!(&outcome, Outcome::Reply(reply) if reply.rcode() != Rcode::NXDOMAIN);
                if found && let Outcome::Reply(reply) = &mut outcome {
                    metrics::AUTOPATH_SUCCESS.with_label_values(&[query.server.as_ref()]).inc();
                    query.request = request;
                    return restore(query, reply);
                }
                if step == 0 {
                    first = Some(outcome);
                }
            }
            query.request = request;
            first.unwrap_or(Outcome::Next)
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        Some("the search path of the client is followed".into())
    }
}

/// The name without a suffix, when it lies below it.
fn base(name: &MessageName, suffix: &MessageName) -> Option<MessageName> {
    let (all, below) = (name.iter().count(), suffix.iter().count());
    if all <= below || !suffix.zone_of(name) {
        return None;
    }
    let mut base = MessageName::from_labels(name.iter().take(all - below)).ok()?;
    base.set_fqdn(false);
    Some(base)
}

/// Makes an answer to a step of the search path one to the question, with a CNAME before it where its owner is another.
fn restore(query: &Query, reply: &mut Reply) -> Outcome {
    let asked = query.request.name();
    let plugin = reply.plugin;
    let Ok(message) = reply.message() else { return Outcome::Drop };
    let mut message = std::mem::replace(message, query.reply_message());
    message.queries = vec![query.request.asked()];
    let owner = message.answers.first().map(|record| (record.name.clone(), record.ttl));
    if let Some((owner, ttl)) = owner.filter(|(owner, _)| owner != asked)
        && message.metadata.response_code == ResponseCode::NoError
    {
        message.answers.insert(0, Record::from_rdata(asked.clone(), ttl, RData::CNAME(rdata::CNAME(owner))));
        return Outcome::Reply(Reply::from_message("autopath", message));
    }
    Outcome::Reply(Reply::from_message(plugin, message))
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    Ok(vec![Arc::new(last(lines, |directive| read(directive, context))?)])
}

fn read(directive: &Directive, context: &mut Context<'_, '_>) -> Result<Autopath, Error> {
    directive.no_body()?;
    let own_zones = context.zones;
    let Some((source, zones)) = directive.arguments.split_last() else {
        return Err(directive.name.error("autopath needs @kubernetes or a file with a search line"));
    };
    let path = match source.text.strip_prefix('@') {
        Some("kubernetes") => None,
        Some(other) => return Err(source.error(format!("`@{other}` knows no search paths, only @kubernetes does"))),
        None => match search(&words::file(source)) {
            Ok(path) => Some(path),
            Err(error) => {
                context.misses_file(source, "the file", &error)?;
                Some(Vec::new())
            }
        },
    };
    let own = if path.is_none() { search(Path::new("/etc/resolv.conf")).unwrap_or_default() } else { Vec::new() };
    Ok(Autopath { zones: Zones::read(zones, own_zones)?, path, own })
}

/// The names on the last `search` line of a resolv.conf.
fn search(path: &Path) -> Result<Vec<MessageName>, files::Error> {
    let text = files::read_text(path, files::CONFIGURATION)?;
    let line = text.lines().filter_map(|line| line.trim().strip_prefix("search")).next_back().unwrap_or_default();
    Ok(line.split_whitespace().filter_map(|word| names::parse(word).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::fault;
    use super::*;
    use crate::chain::testing::{Answers, lines, message, query, run};
    use crate::wire::message::RecordType;

    /// Answers one name, NXDOMAIN for all others.
    struct Only(Answers);

    impl Plugin for Only {
        fn name(&self) -> &'static str {
            "only"
        }

        fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
            Box::pin(async move {
                let mut message = query.reply_message();
                message.answers = self.0.answers.iter().filter(|record| record.name == query.name()).cloned().collect();
                if message.answers.is_empty() {
                    message.metadata.response_code = ResponseCode::NXDomain;
                }
                Outcome::Reply(Reply::from_message("only", message))
            })
        }

        fn needs_message(&self, _: &[Name]) -> Option<String> {
            None
        }
    }

    fn ask(zone: &str, name: &str) -> (Vec<String>, ResponseCode) {
        let path = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"];
        let path = Some(path.iter().map(|name| names::parse(name).unwrap()).collect());
        let zones = Zones(vec![Name::root()]);
        let chain: Vec<Arc<dyn Plugin>> =
            vec![Arc::new(Autopath { zones, path, own: Vec::new() }), Arc::new(Only(Answers::with(zone)))];
        let reply = message(run(&chain, &mut query(name, RecordType::A)));
        assert_eq!(reply.queries.first().unwrap().name.to_ascii(), name);
        (lines(&reply.answers), reply.metadata.response_code)
    }

    #[test]
    fn the_first_question_already_brings_the_answer() {
        let outside = "www.example.com. 300 IN A 192.0.2.80";
        let asked = "www.example.com.default.svc.cluster.local.";
        assert_eq!(ask(outside, asked).0, [format!("{asked} 300 IN CNAME www.example.com."), outside.to_owned()]);
        let other = "db.prod.svc.cluster.local. 30 IN A 10.244.3.31";
        let asked = "db.prod.default.svc.cluster.local.";
        assert_eq!(ask(other, asked).0, [format!("{asked} 30 IN CNAME db.prod.svc.cluster.local."), other.to_owned()]);
        let own = "web.default.svc.cluster.local. 30 IN A 10.96.0.80";
        assert_eq!(ask(own, "web.default.svc.cluster.local.").0, [own]);
    }

    #[test]
    fn what_nobody_has_is_nxdomain_and_other_names_are_left_alone() {
        let outside = "www.example.com. 300 IN A 192.0.2.80";
        assert_eq!(ask(outside, "x.default.svc.cluster.local.").1, ResponseCode::NXDomain);
        assert_eq!(ask(outside, "www.example.com.svc.cluster.local.").1, ResponseCode::NXDomain);
    }

    #[test]
    fn the_path_comes_from_a_file_or_a_plugin() {
        assert!(fault("autopath").starts_with("Corefile:2:1:"));
        assert!(fault("autopath @etcd").starts_with("Corefile:2:10:"));
        assert!(fault("autopath /does/not/exist").contains("cannot be read"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        std::fs::write(&path, "nameserver 192.0.2.1\nsearch a.example b.example\n").unwrap();
        let found: Vec<String> = search(&path).unwrap().iter().map(MessageName::to_ascii).collect();
        assert_eq!(found, ["a.example.", "b.example."]);
    }
}

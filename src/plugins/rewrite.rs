//! Name: `rewrite`
//!
//! Description: changes a query on its way in, and the answer on its way back.
//!
//! Syntax:
//!
//! ```text
//! rewrite [continue|stop] name [exact|prefix|suffix|substring|regex] FROM TO [metadata] [answer auto|name|value [FROM TO]]...
//! rewrite [continue|stop] type|class FROM TO
//! rewrite [continue|stop] ttl [MATCH] NAME SECONDS|MIN-MAX
//! rewrite [continue|stop] rcode [MATCH] NAME FROM TO
//! rewrite [continue|stop] cname [MATCH] FROM TO
//! rewrite [continue|stop] edns0 local set|append|replace|unset CODE [VALUE] [revert]
//! rewrite [continue|stop] edns0 nsid set|append|replace|unset [revert]
//! rewrite [continue|stop] edns0 subnet set|append|replace|unset [V4BITS V6BITS] [revert]
//! ```
//!
//! A rule may stand in a block, one line for the rule and one for each `answer`. The first rule that applies ends the
//! rewriting, unless it says `continue`. `prefix`, `suffix` and `substring` find whole labels at their end: FROM and TO get a
//! final dot where they have none. A regular expression has groups `{1}`, `{2}`… in TO, and with `metadata` labels such as
//! `{kubernetes/service}`. `exact` puts the names of the answer back by itself, the others with `answer auto`; `answer name` and
//! `answer value` change owners and values by expressions: the names of SRV, MX, CNAME, DNAME, NS, PTR, NAPTR and SOA (its first)
//! are values. The question goes back as it came, always. `class` lets queries of that class come this far. Of the options of
//! an answer the client gets the subnet alone, and with `revert` as it sent it.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     rewrite name shop.example.org web.default.svc.cluster.local
//!     rewrite name suffix .corp.example.org .default.svc.cluster.local answer auto
//!     rewrite ttl suffix .example.org. 60-300
//!     whoami
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: names put back have the spelling of the question.

mod back;
mod edns;
mod matcher;
mod rules;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::chain::setup::Context;
use crate::chain::{Next, Outcome, Plugin, Query, Reply, append};
use crate::corefile::{Directive, Error, Token};
use crate::syntax::names;
use crate::wire::message::{DNSClass, Message, RData, RecordType, rdata};
use crate::wire::{Failure, Malformed, Name};
use back::Back;
use rules::{RewriteRule, Rewritten};

/// The plugin: all rules of a server block, in their order.
pub(crate) struct Rewrite {
    rules: Vec<(RewriteRule, Mode)>,
}

/// The way on after a rule that applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Stop,
    Continue,
}

impl Plugin for Rewrite {
    fn name(&self) -> &'static str {
        "rewrite"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let request = query.request.clone();
            let mut back = Vec::new();
            for (rule, mode) in &self.rules {
                match rule.apply(query) {
                    Ok(Rewritten::No) => continue,
                    Ok(Rewritten::Yes(rule)) => back.extend(rule),
                    Err(why) => {
                        let name = names::text(&query.name());
                        let why = format!("plugin/rewrite: {name} cannot be rewritten: {why}");
                        query.request = request;
                        return Outcome::Failed("rewrite", Failure::servfail(why));
                    }
                }
                if *mode == Mode::Stop {
                    break;
                }
            }
            let changed = query.request.octets() != request.octets();
            if back.is_empty() && !changed {
                return Outcome::Next;
            }
            let mut outcome = next.run(&mut *query).await;
            let asked = query.qtype();
            let had_edns = request.edns().is_some();
            query.request.ask(request.name(), request.qtype(), request.qclass());
            if let Outcome::Failed(_, failure) = &mut outcome {
                for rule in &back {
                    if let Back::Rcode { from, to } = rule
                        && u16::from(*from) == failure.rcode.0
                    {
                        failure.rcode = (*to).into();
                    }
                }
            }
            if let Outcome::Reply(reply) = &mut outcome
                && let Err(failure) = put_back(reply, &back, query, asked, had_edns).await
            {
                return Outcome::Failed("rewrite", failure);
            }
            outcome
        })
    }

    fn needs_message(&self, cluster_zones: &[Name]) -> Option<String> {
        self.rules.iter().find_map(|(rule, _)| rule.concerns(cluster_zones))
    }

    fn takes_class(&self, class: DNSClass) -> bool {
        self.rules.iter().any(|(rule, _)| matches!(rule, RewriteRule::Class { from, .. } if *from == class))
    }
}

/// Makes an answer to the rewritten question one to the client's, which `query` is again. Octets stay octets where the rules
/// allow it, so that records that nobody here can read leave as they came.
///
/// # Errors
/// When an answer is no message.
async fn put_back(
    reply: &mut Reply,
    back: &[Back],
    query: &Query,
    asked: RecordType,
    had_edns: bool,
) -> Result<(), Failure> {
    let question = query.request.asked();
    let by_message = back.iter().any(Back::needs_message) && reply.message().is_ok();
    if let Some(octets) = reply.octets_unless_read().filter(|_| !by_message) {
        return back::put_back_octets(octets, back, &question)
            .map_err(|Malformed| Failure::servfail("plugin/rewrite: the answer is no message"));
    }
    let message = reply.message()?;
    message.queries = vec![question.clone()];
    if !had_edns {
        message.edns = None;
    }
    for rule in back.iter().rev() {
        match rule {
            Back::Cname { from, to } => retarget(message, query, asked, from, to).await,
            rule => rule.put_back(message, &question.name),
        }
    }
    Ok(())
}

/// Lets a CNAME lead elsewhere: what stood behind it makes room for what the new target has.
async fn retarget(message: &mut Message, query: &Query, qtype: RecordType, from: &matcher::Matcher, to: &str) {
    let found = message.answers.iter().position(|record| match &record.data {
        RData::CNAME(target) => from.rewrite(&names::text(target), to).is_some(),
        _ => false,
    });
    let Some(at) = found else { return };
    let Some(record) = message.answers.get_mut(at) else { return };
    let RData::CNAME(target) = &record.data else { return };
    let Some(new) = from.rewrite(&names::text(target), to).and_then(|name| names::parse(&name).ok()) else { return };
    record.data = RData::CNAME(rdata::CNAME(new.clone()));
    message.answers.truncate(at + 1);
    if qtype == RecordType::CNAME {
        return;
    }
    match query.resolver.lookup(query, &new, qtype).await {
        Outcome::Reply(mut reply) => {
            if let Ok(found) = reply.message() {
                message.authorities.clear();
                append(message, found);
            }
        }
        Outcome::Failed(_, failure) => message.metadata.response_code = failure.rcode.into(),
        Outcome::Next | Outcome::Drop => {}
    }
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let mut rules = Vec::new();
    for line in lines {
        let mut words: Vec<&Token> = line.arguments.iter().collect();
        for inner in line.lines() {
            inner.no_body()?;
            words.push(&inner.name);
            words.extend(&inner.arguments);
        }
        let mut rest = words.as_slice();
        let mut mode = Mode::Stop;
        if let Some((word, after)) = rest.split_first()
            && matches!(word.text.to_lowercase().as_str(), "continue" | "stop")
        {
            mode = if word.text.to_lowercase() == "continue" { Mode::Continue } else { Mode::Stop };
            rest = after;
        }
        let rule = RewriteRule::read(&line.name, rest)?;
        context.settings.exclusions.extend(rule.exclusion());
        if let RewriteRule::Class { from, .. } = rule {
            context.settings.classes.push(from.into());
        }
        rules.push((rule, mode));
    }
    Ok(vec![Arc::new(Rewrite { rules })])
}

#[cfg(test)]
mod tests;

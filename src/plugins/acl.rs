//! Name: `acl`
//!
//! Description: decides by source address and type who may ask.
//!
//! Syntax:
//!
//! ```text
//! acl [ZONES...] {
//!     allow|block|filter|drop [type TYPES...] [net NETWORKS...]
//! }
//! ```
//!
//! The first line that matches decides, what none matches is allowed. `block` answers REFUSED, `filter` an empty NOERROR,
//! `drop` nothing. Without `type` or `net`, or with `*`, a line is for all. The directive may be repeated.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     acl example.org {
//!         allow net 10.0.0.0/8
//!         block type A AAAA
//!     }
//!     whoami
//! }
//! ```
//!
//! Metrics: `coredns_acl_blocked_requests_total`, `coredns_acl_filtered_requests_total`,
//! `coredns_acl_dropped_requests_total` (each `{server, zone, view}`), `coredns_acl_allowed_requests_total{server, view}`.
//!
//! Ready: always.
//!
//! Differences: the Extended DNS Error is put in only for clients that use EDNS.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use ipnet::IpNet;

use super::metrics;
use crate::chain::setup::Context;
use crate::chain::{Next, Outcome, Plugin, Query, Reply};
use crate::corefile::{Directive, Error};
use crate::syntax::names::Zones;
use crate::syntax::words;
use crate::wire::message::{MessageEdns, RecordType, ResponseCode, rdata};
use crate::wire::{Name, Rtype};

/// The plugin: all `acl` lines of a server block, in their order.
pub(crate) struct Acl {
    rules: Vec<AclRule>,
    /// The block's view, for the metrics.
    view: String,
}

struct AclRule {
    zones: Zones,
    policies: Vec<AclPolicy>,
}

struct AclPolicy {
    action: AclAction,
    /// `None` for all.
    types: Option<Vec<RecordType>>,
    /// `None` for all.
    networks: Option<Vec<IpNet>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AclAction {
    Allow,
    Block,
    Filter,
    Drop,
}

impl Acl {
    /// The action for a query, and the zone of the rule that says so.
    fn judge(&self, name: &Name, qtype: RecordType, client: IpAddr) -> Option<(AclAction, &Name)> {
        self.rules.iter().find_map(|rule| {
            let zone = rule.zones.matching(name)?;
            let holds = |policy: &&AclPolicy| {
                policy.types.as_ref().is_none_or(|types| types.contains(&qtype))
                    && policy.networks.as_ref().is_none_or(|nets| nets.iter().any(|net| net.contains(&client)))
            };
            rule.policies.iter().find(holds).map(|policy| (policy.action, zone))
        })
    }
}

impl Plugin for Acl {
    fn name(&self) -> &'static str {
        "acl"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let name = query.qname();
            let (server, view) = (query.server.as_ref(), self.view.as_str());
            let judged = self.judge(&name, query.qtype(), query.client.peer.ip().to_canonical());
            let (rcode, extended, metric, zone) = match judged {
                // Extended DNS Errors 15 and 17 (RFC 8914 section 4).
                Some((AclAction::Block, zone)) => (ResponseCode::Refused, 15u16, &metrics::ACL_BLOCKED, zone),
                Some((AclAction::Filter, zone)) => (ResponseCode::NoError, 17, &metrics::ACL_FILTERED, zone),
                Some((AclAction::Drop, zone)) => {
                    metrics::ACL_DROPPED.with_label_values(&[server, zone.to_string().as_str(), view]).inc();
                    return Outcome::Drop;
                }
                Some((AclAction::Allow, _)) | None => {
                    metrics::ACL_ALLOWED.with_label_values(&[server, view]).inc();
                    return Outcome::Next;
                }
            };
            metric.with_label_values(&[server, zone.to_string().as_str(), view]).inc();
            let mut message = query.reply_message();
            message.metadata.response_code = rcode;
            if query.request.edns().is_some() {
                let option = rdata::opt::EdnsOption::Unknown(15, extended.to_be_bytes().to_vec());
                message.edns.get_or_insert_with(MessageEdns::new).options_mut().insert(option);
            }
            Outcome::Reply(Reply::from_message("acl", message))
        })
    }

    fn needs_message(&self, cluster_zones: &[Name]) -> Option<String> {
        let concerns = self.rules.iter().any(|rule| rule.zones.meet(cluster_zones));
        concerns.then(|| "who may ask for cluster names depends on the client".to_owned())
    }
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let mut rules = Vec::new();
    for line in lines {
        if line.lines().is_empty() {
            context.settings.notes.push(line.name.error("acl has no allow, block, filter or drop, and so no effect"));
        }
        let zones = Zones::read(&line.arguments, context.zones)?;
        let policies = line.lines().iter().map(policy).collect::<Result<Vec<_>, _>>()?;
        rules.push(AclRule { zones, policies });
    }
    Ok(vec![Arc::new(Acl { rules, view: context.view.to_owned() })])
}

fn policy(line: &Directive) -> Result<AclPolicy, Error> {
    line.no_body()?;
    let action = match line.name.text.to_lowercase().as_str() {
        "allow" => AclAction::Allow,
        "block" => AclAction::Block,
        "filter" => AclAction::Filter,
        "drop" => AclAction::Drop,
        _ => return Err(words::unknown(line, "acl", &["allow", "block", "filter", "drop"])),
    };
    let (mut types, mut networks) = (None, None);
    let mut rest = line.arguments.as_slice();
    while let Some((section, after)) = rest.split_first() {
        let end = after.iter().position(|word| matches!(word.text.as_str(), "type" | "net")).unwrap_or(after.len());
        let (values, behind) = after.split_at_checked(end).unwrap_or((after, &[]));
        rest = behind;
        if values.is_empty() {
            return Err(section.error(format!("{} needs at least one value, or *", section.text)));
        }
        let all = values.iter().any(|word| word.text == "*");
        match section.text.as_str() {
            "type" if all => {}
            "net" if all => {}
            "type" => {
                let read = |word: &crate::corefile::Token| {
                    let found = Rtype::from_name(&word.text).map(RecordType::from);
                    found.ok_or_else(|| word.error(format!("`{}` is no record type", word.text)))
                };
                types = Some(values.iter().map(read).collect::<Result<Vec<_>, _>>()?);
            }
            "net" => networks = Some(values.iter().map(words::network).collect::<Result<Vec<_>, _>>()?),
            other => return Err(section.error(format!("`{other}` is neither type nor net"))),
        }
    }
    Ok(AclPolicy { action, types, networks })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use super::*;
    use crate::chain::testing::{message, query, query_edns, run};

    const RULES: &str = "acl secret.example {\nallow net 127.0.0.4/32\nblock\n}\nacl {\nblock type A net 127.0.0.2\n\
                         filter type AAAA net 127.0.0.2/32\ndrop net 127.0.0.3\nallow type * net 127.0.0.4\n\
                         filter net 127.0.0.5 ::5\n}\nwhoami";

    fn ask(name: &str, qtype: RecordType, from: &str) -> Option<(ResponseCode, bool)> {
        let mut asked = query(name, qtype);
        asked.client.peer.set_ip(from.parse().unwrap());
        match run(&block(RULES).unwrap().chain, &mut asked) {
            Outcome::Drop => None,
            outcome => {
                let reply = message(outcome);
                Some((reply.metadata.response_code, !reply.additionals.is_empty()))
            }
        }
    }

    #[test]
    fn the_first_line_that_matches_decides() {
        let (passed, refused, empty) = (
            Some((ResponseCode::NoError, true)),
            Some((ResponseCode::Refused, false)),
            Some((ResponseCode::NoError, false)),
        );
        for (name, qtype, from, outcome) in [
            ("www.example.com.", RecordType::A, "127.0.0.1", passed),
            ("www.example.com.", RecordType::A, "127.0.0.2", refused),
            ("www.example.com.", RecordType::AAAA, "127.0.0.2", empty),
            ("www.example.com.", RecordType::MX, "127.0.0.2", passed),
            ("www.example.com.", RecordType::A, "127.0.0.3", None),
            ("www.example.com.", RecordType::A, "127.0.0.4", passed),
            ("www.example.com.", RecordType::A, "::5", empty),
            ("who.secret.example.", RecordType::TXT, "127.0.0.1", refused),
            ("who.secret.example.", RecordType::TXT, "127.0.0.4", passed),
        ] {
            assert_eq!(ask(name, qtype, from), outcome, "{name} {qtype} {from}");
        }
    }

    #[test]
    fn clients_with_edns_are_told_why() {
        let chain = block("acl {\nblock\n}\nwhoami").unwrap().chain;
        let reply = message(run(&chain, &mut query_edns("a.example.", RecordType::A, 1232, false)));
        let option = reply.edns.unwrap().option(rdata::opt::EdnsCode::Unknown(15)).cloned();
        assert_eq!(option, Some(rdata::opt::EdnsOption::Unknown(15, vec![0, 15])));
    }

    #[test]
    fn wrong_policies_are_refused_at_their_word() {
        for (line, column) in [
            ("deny net 10.0.0.0/8", 1),
            ("block net 10.0.0.0/33", 11),
            ("block type AX net *", 12),
            ("block type", 7),
            ("block from 10.0.0.1", 7),
        ] {
            let said = fault(&format!("acl {{\n{line}\n}}"));
            assert!(said.starts_with(&format!("Corefile:3:{column}:")), "{line}: {said}");
        }
        assert_eq!(block("acl example.org").unwrap().settings.notes.len(), 1);
    }

    #[test]
    fn rules_for_other_zones_leave_cluster_names_alone() {
        let fast = |acl: &str| block(&format!("{acl}\nkubernetes cluster.local")).unwrap().fast().is_ok();
        assert!(fast("acl example.org {\nblock\n}"));
        assert!(!fast("acl {\nblock net 10.0.0.0/8\n}"));
    }
}

//! The way of a query through its plugins, in words.

use super::report::PathStep;
use crate::chain::{TraceEnd, TraceStep};

/// The plugins on the way, in the order in which they began, and what each did.
pub fn path(steps: &[TraceStep]) -> Vec<PathStep> {
    let told = steps.iter().enumerate().map(|(at, step)| {
        let behind = steps.get(at + 1).filter(|next| next.depth == step.depth);
        let deeper = steps.get(at + 1).filter(|next| next.depth > step.depth);
        let (did, acted) = did(step, behind, deeper);
        PathStep { plugin: step.plugin.to_owned(), name: step.name.clone(), depth: step.depth, did, acted }
    });
    told.collect()
}

fn did(step: &TraceStep, behind: Option<&TraceStep>, deeper: Option<&TraceStep>) -> (String, bool) {
    let changed = behind.filter(|next| next.name != step.name || next.rtype != step.rtype);
    let made = match changed {
        Some(next) if next.name != step.name => format!("makes {} of it; ", next.name),
        Some(next) => format!("asks for type {} instead; ", next.rtype),
        None => String::new(),
    };
    match &step.end {
        None => (format!("{made}waits for an answer"), true),
        Some(TraceEnd::Passed) => match step.plugin {
            "hosts" | "template" | "file" | "kubernetes" | "k8s_external" => {
                (format!("{made}has no such name, hands it on"), true)
            }
            _ => (format!("{made}hands it on"), !made.is_empty()),
        },
        Some(TraceEnd::Dropped) => (format!("{made}drops it: the client gets nothing"), true),
        Some(TraceEnd::Failed { by, rcode, message }) if *by == step.plugin => {
            (format!("{made}fails with {rcode}: {message}"), true)
        }
        Some(TraceEnd::Failed { rcode, message, .. }) => {
            (format!("{made}passes a failure on: {rcode} {message}"), !made.is_empty() || behind.is_none())
        }
        Some(TraceEnd::Answered { by, rcode, upstream }) => {
            let asked = match (step.plugin, upstream) {
                ("forward", Some(upstream)) => format!(", as {upstream} says"),
                _ => String::new(),
            };
            let alias = deeper.map(|next| format!(", after a look-up of {}", next.name)).unwrap_or_default();
            match (step.plugin, behind) {
                ("cache", None) => (format!("{made}answers {rcode} from memory"), true),
                (plugin, _) if *by == plugin => (format!("{made}answers {rcode}{asked}{alias}"), true),
                (_, None) => (format!("{made}answers {rcode}{asked}{alias}"), true),
                _ => (format!("{made}lets the answer pass"), !made.is_empty()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Rcode;
    use crate::wire::message::RecordType;

    fn step(plugin: &'static str, name: &str, end: TraceEnd) -> TraceStep {
        TraceStep { plugin, depth: 0, name: name.into(), rtype: RecordType::A, end: Some(end) }
    }

    fn answered(by: &'static str) -> TraceEnd {
        TraceEnd::Answered { by, rcode: Rcode::NOERROR, upstream: Some("192.0.2.1:53".into()) }
    }

    fn said(steps: &[TraceStep]) -> Vec<(String, bool)> {
        path(steps).into_iter().map(|step| (step.did, step.acted)).collect()
    }

    #[test]
    fn each_plugin_is_told_by_what_it_did() {
        let steps = [
            step("errors", "old.", answered("forward")),
            step("rewrite", "old.", answered("forward")),
            step("hosts", "new.", TraceEnd::Passed),
            step("forward", "new.", answered("forward")),
        ];
        let told = said(&steps);
        assert_eq!(told[0], ("lets the answer pass".into(), false));
        assert_eq!(told[1], ("makes new. of it; lets the answer pass".into(), true));
        assert_eq!(told[2], ("has no such name, hands it on".into(), true));
        assert_eq!(told[3], ("answers NOERROR, as 192.0.2.1:53 says".into(), true));
    }

    #[test]
    fn an_answer_from_the_cache_has_nobody_behind_it() {
        assert_eq!(said(&[step("cache", "a.", answered("cache"))])[0].0, "answers NOERROR from memory");
        let failed = TraceEnd::Failed { by: "forward", rcode: Rcode::SERVFAIL, message: "no healthy upstream".into() };
        assert_eq!(said(&[step("forward", "a.", failed)])[0].0, "fails with SERVFAIL: no healthy upstream");
        let waiting = TraceStep { end: None, ..step("forward", "a.", TraceEnd::Passed) };
        assert_eq!(said(&[waiting])[0].0, "waits for an answer");
    }
}

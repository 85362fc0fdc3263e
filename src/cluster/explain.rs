//! The origin of an answer, in lines for people: from the name to the rule, the objects, their versions, and when they
//! arrived.

use std::fmt::Write;

use super::{Explanation, KindStatus};
use crate::wire::{Label, Name};
use crate::zone::{Explained, ServiceName};

/// Writes what is known of a name. `snapshot` is the Unix second of the snapshot that is answered from, `explain` looks a
/// Service up, `unix` is now in seconds since 1970.
pub fn lines(
    name: &Name,
    explained: &Explained,
    status: &[KindStatus],
    snapshot: Option<u64>,
    explain: impl Fn(&ServiceName, Option<&Label>) -> Explanation,
    unix: u32,
) -> String {
    let mut text = format!("{name} in the zone {}\n  {}\n", explained.zone, explained.rule);
    for (service, label) in &explained.services {
        let known = explain(service, label.as_ref());
        let key = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let (namespace, name) = (key(service.namespace()), key(service.service()));
        let _ = match known.service {
            Some((version, arrived)) => {
                writeln!(text, "Service {namespace}/{name}: resourceVersion {version}, {}", ago(arrived, unix))
            }
            None => writeln!(text, "Service {namespace}/{name}: not known"),
        };
        for slice in &known.slices {
            let listed = match (label, slice.lists) {
                (Some(label), Some(true)) => format!("; lists {label}, ready"),
                (Some(label), Some(false)) => format!("; lists {label}, not ready"),
                _ => String::new(),
            };
            let _ = writeln!(
                text,
                "EndpointSlice {namespace}/{}: resourceVersion {}, {}; {} ready, {} not ready{listed}",
                slice.name,
                slice.version,
                ago(slice.arrived, unix),
                slice.ready,
                slice.not_ready
            );
        }
        if known.held > 0 {
            let _ = writeln!(text, "{} endpoints are answered for a moment more, between two slices", known.held);
        }
    }
    if let Some(true_at) = snapshot {
        let _ = writeln!(
            text,
            "answered from a snapshot: true up to {} s ago (Unix second {true_at}), until the API server has listed all",
            u64::from(unix).saturating_sub(true_at)
        );
    }
    for kind in status {
        let age = kind.age.map_or_else(|| "none yet".to_owned(), |age| format!("{:.1} s ago", age.as_secs_f64()));
        let trouble = kind.trouble.as_ref().map(|trouble| format!("; {trouble}")).unwrap_or_default();
        let synced = if kind.synced { "" } else { ", first list not complete" };
        let _ = writeln!(
            text,
            "watch of {}: last news {age}, up to resourceVersion {}{synced}{trouble}",
            kind.kind, kind.version
        );
    }
    text
}

fn ago(arrived: u32, unix: u32) -> String {
    format!("arrived {} s ago (Unix second {arrived})", unix.saturating_sub(arrived))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ExplainedSlice;

    #[test]
    fn objects_are_told_with_version_and_age() {
        let label = |text: &str| Label::new(text.as_bytes()).unwrap();
        let explained = Explained {
            zone: "cluster.local".parse().unwrap(),
            rule: "the endpoint db-0".into(),
            services: vec![(ServiceName::new(&label("db"), &label("n")), Some(label("db-0")))],
        };
        let slice =
            ExplainedSlice { name: "db-x".into(), version: 8, arrived: 95, ready: 2, not_ready: 1, lists: Some(true) };
        let known = Explanation { service: Some((7, 90)), slices: vec![slice], held: 1 };
        let name = "db-0.db.n.svc.cluster.local".parse().unwrap();
        let text = lines(&name, &explained, &[], Some(88), |_, _| known.clone(), 100);
        for part in [
            "db-0.db.n.svc.cluster.local. in the zone cluster.local.\n  the endpoint db-0\n",
            "Service n/db: resourceVersion 7, arrived 10 s ago (Unix second 90)\n",
            "EndpointSlice n/db-x: resourceVersion 8, arrived 5 s ago (Unix second 95); 2 ready, 1 not ready; lists db-0, ready\n",
            "1 endpoints are answered for a moment more",
            "answered from a snapshot: true up to 12 s ago (Unix second 88)",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}

//! What a query says of the cluster's objects, as labels for `log`, `template`, `rewrite` and `view`.

use std::net::IpAddr;

use crate::chain::Metadata;
use crate::syntax::names;
use crate::wire::{Name, QName};
use crate::zone::View;

/// Tells what a name in one of the zones names; every label is in presentation form, as any client chooses them.
pub(super) fn tell(view: &View, name: &Name, into: &mut Metadata) {
    let qname = QName::from_name(name);
    let Some(zone) = view.zone_of(&qname) else { return };
    let Some(named) = view.named_objects(&qname, zone) else {
        into.insert("kubernetes/parse-error".to_owned(), "invalid query name".to_owned());
        return;
    };
    let mut put = |label: &str, value: String| into.insert(format!("kubernetes/{label}"), value);
    for (label, value) in [
        ("kind", named.kind),
        ("namespace", named.namespace),
        ("service", named.service),
        ("endpoint", named.endpoint),
        ("port-name", named.port),
        ("protocol", named.protocol),
    ] {
        put(label, names::shown_label(value));
    }
    if view.is_multicluster(qname.suffix(zone)) {
        put("cluster", names::shown_label(named.cluster));
    }
    if view.zonal {
        let zone: Vec<String> = named.topology.iter().map(|label| names::shown_label(label)).collect();
        put("zone", zone.join("."));
    }
}

/// Tells whose pod the client is, where that is kept.
pub(super) fn tell_client(view: &View, address: IpAddr, into: &mut Metadata) {
    if let Some(pod) = view.reader.client(address) {
        into.insert("kubernetes/client-namespace".to_owned(), pod.namespace.to_string());
        into.insert("kubernetes/client-pod-name".to_owned(), pod.name.to_string());
    }
}

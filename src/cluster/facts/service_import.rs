//! From a ServiceImport (`multicluster.x-k8s.io`) to its facts.

use std::net::IpAddr;

use super::distinct::Distinct;
use super::port::{RawPort, ports};
use super::raw::{Flaws, RawMeta, RawText, dns_label};
use super::{DecodedObject, Fact, Kind, ServiceFact, ServiceSpec};

/// A ServiceImport; the API server has custom resources in JSON only.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawServiceImport<'a> {
    #[serde(borrow)]
    pub(super) metadata: RawMeta<'a>,
    pub(super) spec: Option<RawImportSpec<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawImportSpec<'a> {
    #[serde(borrow)]
    pub(super) ports: Option<Vec<RawPort<'a>>>,
    pub(super) ips: Option<Vec<RawText<'a>>>,
    #[serde(rename = "type")]
    pub(super) kind: RawText<'a>,
}

pub(super) fn object(raw: &RawServiceImport<'_>) -> DecodedObject {
    let meta = &raw.metadata;
    if let Err(bad) = meta.check(Kind::ServiceImport) {
        return DecodedObject::Bad(bad);
    }
    if dns_label(&meta.name).is_none() {
        return DecodedObject::Bad(meta.bad(Kind::ServiceImport, "skipped: metadata.name is no DNS label"));
    }
    let Some(spec) = &raw.spec else {
        return DecodedObject::Bad(meta.bad(Kind::ServiceImport, "skipped: it has no spec"));
    };
    let mut flaws = Flaws::default();
    let mut ports = ports(spec.ports.iter().flatten(), &mut flaws);
    ports.retain(|port| port.number != 0);
    let spec = if *spec.kind == *"Headless" {
        ServiceSpec::Headless { ports }
    } else {
        let mut addresses: Distinct<IpAddr> = Distinct::new();
        for text in spec.ips.iter().flatten() {
            match text.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => flaws.note("one of spec.ips is no address", text),
            }
        }
        ServiceSpec::ClusterIp { addresses: addresses.into_vec(), ports }
    };
    let fact = ServiceFact { key: meta.key(), version: meta.version(), selector: false, spec, external: None };
    DecodedObject::Keep(Fact::Import(fact), flaws.into_bad(Kind::ServiceImport, meta))
}

#[cfg(test)]
mod tests {
    use super::super::{ImportedSliceFact, SliceFact, json};
    use super::*;

    fn import(spec: &str) -> DecodedObject {
        let text =
            format!(r#"{{"metadata": {{"namespace": "n", "name": "db", "resourceVersion": "7"}}, "spec": {spec}}}"#);
        json::object(Kind::ServiceImport, &text)
    }

    #[test]
    fn the_type_says_what_the_name_stands_for() {
        let DecodedObject::Keep(Fact::Import(fact), None) = import(r#"{"type": "Headless", "ports": [{"port": 80}]}"#)
        else {
            panic!("it is well-formed");
        };
        assert!(fact.version == 7 && matches!(fact.spec, ServiceSpec::Headless { .. }));
        let spec = r#"{"type": "ClusterSetIP", "ips": ["10.0.0.1", "10.0.0.1", "fd00::1"], "ports": null}"#;
        let DecodedObject::Keep(Fact::Import(fact), None) = import(spec) else { panic!("it is well-formed") };
        let addresses = ["10.0.0.1", "fd00::1"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(fact.spec, ServiceSpec::ClusterIp { addresses, ports: Vec::new() });
    }

    #[test]
    fn what_is_wrong_is_said_and_the_rest_is_kept() {
        let DecodedObject::Keep(_, Some(flaw)) = import(r#"{"type": "ClusterSetIP", "ips": ["10.0.0"]}"#) else {
            panic!("it is kept");
        };
        assert!(flaw.why.contains("spec.ips is no address") && flaw.kind == Kind::ServiceImport, "{flaw}");
        assert!(matches!(import("null"), DecodedObject::Bad(_)));
        assert!(matches!(
            json::object(Kind::ServiceImport, r#"{"metadata": {"name": "a.b"}, "spec": {}}"#),
            DecodedObject::Bad(_)
        ));
    }

    #[test]
    fn a_slice_belongs_to_its_import_by_label() {
        let slice = |kind, labels: &str| {
            let text = format!(
                r#"{{"metadata": {{"namespace": "n", "name": "s", "labels": {{{labels}}}}}, "addressType": "IPv4",
                    "endpoints": [{{"addresses": ["10.0.0.1"]}}]}}"#
            );
            json::object(kind, &text)
        };
        let both = r#""kubernetes.io/service-name": "derived-1", "multicluster.kubernetes.io/service-name": "db",
            "multicluster.kubernetes.io/source-cluster": "West""#;
        let DecodedObject::Keep(Fact::ImportedSlice(ImportedSliceFact { slice: fact, cluster }), None) =
            slice(Kind::ImportedSlice, both)
        else {
            panic!("it is well-formed");
        };
        assert_eq!((&*fact.service, cluster.map(|cluster| cluster.to_string())), ("db", Some("west".into())));
        let DecodedObject::Keep(Fact::Slice(SliceFact { service, .. }), None) = slice(Kind::EndpointSlice, both) else {
            panic!("it is a slice of a Service as well");
        };
        assert_eq!(&*service, "derived-1");
        assert!(matches!(slice(Kind::ImportedSlice, r#""kubernetes.io/service-name": "db""#), DecodedObject::Drop(_)));
    }
}
